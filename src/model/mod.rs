//! Models assembled from layers: decoder, blocks, counts, parameter names.
