//! People and facts to text to tokens to batches; the order is a pure function of seed and step.
