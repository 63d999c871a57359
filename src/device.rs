//! Devices by name. The only file that names backends.
