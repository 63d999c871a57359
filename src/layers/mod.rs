//! Tensor to tensor: a folder is a slot, a file is a variant.
