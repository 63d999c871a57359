//! What travels beside the hidden state through one forward pass.

use burn::tensor::Tensor;

/// One forward pass: what sublayers share without knowing each other.
///
/// A block puts its input into [`Pass::residual`] before it calls a sublayer. A sublayer whose last operation is a
/// linear map takes it and adds it in the same kernel; a sublayer that leaves it gets it added by the block.
#[derive(Debug, Default)]
pub struct Pass {
    residual: Option<Tensor<3>>,
}

impl Pass {
    /// A pass over whole rows, from their first position on.
    pub fn new() -> Self {
        Pass::default()
    }

    /// Offers the residual stream `[b, t, d]` to the sublayer that is called next.
    pub fn offer_residual(&mut self, x: Tensor<3>) {
        self.residual = Some(x);
    }

    /// Takes the residual stream, if it was offered and nobody took it yet.
    pub fn take_residual(&mut self) -> Option<Tensor<3>> {
        self.residual.take()
    }
}
