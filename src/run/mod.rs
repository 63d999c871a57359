//! Doing the plan: store, lease, resume, executors.
