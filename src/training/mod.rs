//! The loop, optimizer, schedule, checkpoints, meters and observers.
