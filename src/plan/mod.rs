//! TOML to a merged, checked, typed plan.
