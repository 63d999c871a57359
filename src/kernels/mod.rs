//! Fused operations: a reference form in plain Burn tensors beside a fast form with its own backward.
