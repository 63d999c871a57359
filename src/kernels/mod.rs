//! Fused operations: a reference form in plain Burn tensors beside a fast form with its own backward.

use burn::tensor::{Int, Tensor};
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Function {
    #[default]
    Gelu,
    GeluTanh,
    Silu,
    Relu,
    ReluSquared,
}
#[allow(missing_docs)]
pub struct Rope {
    pub cos: Tensor<2>,
    pub sin: Tensor<2>,
}
#[allow(missing_docs)]
pub struct Heads {
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub d_head: usize,
}
#[allow(missing_docs)]
pub fn linear(_x: Tensor<3>, _weight: Tensor<2>, _bias: Option<Tensor<1>>) -> Tensor<3> {
    unreachable!()
}
#[allow(missing_docs)]
pub fn linear_add(
    _x: Tensor<3>,
    _weight: Tensor<2>,
    _bias: Option<Tensor<1>>,
    _residual: Tensor<3>,
) -> Tensor<3> {
    unreachable!()
}
#[allow(missing_docs)]
pub fn layer_norm(_x: Tensor<3>, _gamma: Tensor<1>, _beta: Option<Tensor<1>>, _eps: f64) -> Tensor<3> {
    unreachable!()
}
#[allow(missing_docs)]
pub fn rms_norm(_x: Tensor<3>, _gamma: Tensor<1>, _eps: f64) -> Tensor<3> {
    unreachable!()
}
#[allow(missing_docs)]
pub fn activation(_x: Tensor<3>, _function: Function) -> Tensor<3> {
    unreachable!()
}
#[allow(missing_docs)]
pub fn gated(_gate: Tensor<3>, _up: Tensor<3>, _function: Function) -> Tensor<3> {
    unreachable!()
}
#[allow(missing_docs)]
pub fn causal_attention(_qkv: Tensor<3>, _rope: Option<&Rope>, _heads: Heads) -> Tensor<3> {
    unreachable!()
}
#[allow(missing_docs)]
pub fn embedding(_weight: Tensor<2>, _tokens: Tensor<2, Int>) -> Tensor<3> {
    unreachable!()
}
#[allow(missing_docs)]
pub fn linear_cross_entropy(
    _hidden: Tensor<2>,
    _head_weight: Tensor<2>,
    _targets: Tensor<1, Int>,
    _weights: Tensor<1>,
) -> (Tensor<1>, Tensor<1>) {
    unreachable!()
}
