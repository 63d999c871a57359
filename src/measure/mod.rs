//! One file per measurement.
