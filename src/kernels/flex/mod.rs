//! The fast forms: f32 on the Flex CPU backend, with their own backward under autodiff.
//!
//! Each operation is an [`Operation`] on buffers; [`Fused`] carries it through Burn's dispatch and graph. Unsafe code
//! lives in this folder alone: vectors, buffers that start undefined, and outputs that threads write in parts.

mod activation;
mod adamw;
mod attention;
mod cross_entropy;
mod embedding;
mod gemm;
mod linear;
mod memory;
mod norm;
mod parallel;
mod rope;
mod simd;
mod tensor;

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Device, Tensor};
use burn_flex::FlexTensor;

pub use activation::{activation, gated};
pub use adamw::{adamw, square_sum};
pub use attention::causal_attention;
pub use cross_entropy::linear_cross_entropy;
pub use embedding::embedding;
pub use linear::linear;
pub use norm::{layer_norm, rms_norm};
pub use rope::rope;

use super::level::{Level, level};

/// Whether a kernel on `x` takes its fast form.
pub fn takes<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && level_on(&x.device()) != Level::Reference
}

/// The form that kernels in f32 take on a device.
pub fn level_on(device: &Device) -> Level {
    if *device == Device::flex() { level() } else { Level::Reference }
}

/// An operation of N float tensors with one output and its own backward.
pub trait Operation<const N: usize>: Clone + Debug + Send + 'static {
    /// What the backward needs.
    type Saved: Clone + Debug + Send + 'static;

    /// The output alone.
    fn forward(self, inputs: [FlexTensor; N]) -> FlexTensor {
        self.forward_saving(inputs).0
    }

    /// The output, and what the backward needs.
    fn forward_saving(self, inputs: [FlexTensor; N]) -> (FlexTensor, Self::Saved);

    /// The gradients of those inputs that are wanted, from the gradient of the output.
    fn backward(self, saved: Self::Saved, gradient: FlexTensor, wanted: [bool; N])
    -> [Option<FlexTensor>; N];
}

/// Entry through Burn's dispatch, one method per number of inputs.
#[backend_extension(Autodiff, Flex)]
pub trait Fused: Backend {
    /// An operation of one tensor.
    fn one<O: Operation<1>>(a: FloatTensor<Self>, operation: O) -> FloatTensor<Self>;
    /// An operation of two tensors.
    fn two<O: Operation<2>>(a: FloatTensor<Self>, b: FloatTensor<Self>, operation: O) -> FloatTensor<Self>;
    /// An operation of three tensors.
    fn three<O: Operation<3>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self>;
    /// An operation of four tensors.
    fn four<O: Operation<4>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self>;
    /// The weighted mean loss and the detached losses.
    fn cross_entropy(
        hidden: FloatTensor<Self>,
        head_weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

impl Fused for Flex {
    fn one<O: Operation<1>>(a: FlexTensor, operation: O) -> FlexTensor {
        operation.forward([a])
    }

    fn two<O: Operation<2>>(a: FlexTensor, b: FlexTensor, operation: O) -> FlexTensor {
        operation.forward([a, b])
    }

    fn three<O: Operation<3>>(a: FlexTensor, b: FlexTensor, c: FlexTensor, operation: O) -> FlexTensor {
        operation.forward([a, b, c])
    }

    fn four<O: Operation<4>>(
        a: FlexTensor,
        b: FlexTensor,
        c: FlexTensor,
        d: FlexTensor,
        operation: O,
    ) -> FlexTensor {
        operation.forward([a, b, c, d])
    }

    fn cross_entropy(
        h: FlexTensor,
        w: FlexTensor,
        t: FlexTensor,
        weights: FlexTensor,
    ) -> (FlexTensor, FlexTensor) {
        cross_entropy::losses(h, w, t, weights)
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn one<O: Operation<1>>(a: Node, operation: O) -> Node {
        record::<C, O, 1>(operation, [a])
    }

    fn two<O: Operation<2>>(a: Node, b: Node, operation: O) -> Node {
        record::<C, O, 2>(operation, [a, b])
    }

    fn three<O: Operation<3>>(a: Node, b: Node, c: Node, operation: O) -> Node {
        record::<C, O, 3>(operation, [a, b, c])
    }

    fn four<O: Operation<4>>(a: Node, b: Node, c: Node, d: Node, operation: O) -> Node {
        record::<C, O, 4>(operation, [a, b, c, d])
    }

    fn cross_entropy(h: Node, w: Node, targets: FlexTensor, weights: Node) -> (Node, Node) {
        let operation = cross_entropy::CrossEntropy::new(targets, weights.into_primitive());
        let losses = operation.losses();
        let mean = record::<C, _, 2>(operation, [h, w]);
        let losses = losses.get().cloned().expect("the forward has run");
        (mean, Node::new(losses))
    }
}

/// A tensor in Burn's graph.
type Node = FloatTensor<Autodiff<Flex>>;

/// Runs an operation and puts its backward into the graph, if an input is tracked.
fn record<C: CheckpointStrategy, O: Operation<N>, const N: usize>(operation: O, inputs: [Node; N]) -> Node {
    let nodes = inputs.each_ref().map(Node::node);
    let inputs = inputs.map(Node::into_primitive);
    match Step(operation.clone()).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let (output, saved) = operation.forward_saving(inputs);
            prepared.finish(saved, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(operation.forward(inputs)),
    }
}

/// The backward of an operation as a step of the graph.
#[derive(Debug)]
struct Step<O>(O);

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Step<O> {
    type State = O::Saved;

    fn backward(self, ops: Ops<O::Saved, N>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let results = self.0.backward(ops.state, gradient, wanted);
        for (parent, result) in ops.parents.into_iter().zip(results) {
            if let (Some(parent), Some(result)) = (parent, result) {
                gradients.register::<Flex>(parent.id, result);
            }
        }
    }
}

/// Calls an [`Operation`] of one tensor.
fn call_one<const D: usize, const E: usize>(operation: impl Operation<1>, a: Tensor<D>) -> Tensor<E> {
    Tensor::from_dispatch(Dispatch::one(a.into_dispatch(), operation))
}

/// Calls an [`Operation`] of two tensors.
fn call_two<const D: usize, const E: usize, const F: usize>(
    operation: impl Operation<2>,
    a: Tensor<D>,
    b: Tensor<E>,
) -> Tensor<F> {
    Tensor::from_dispatch(Dispatch::two(a.into_dispatch(), b.into_dispatch(), operation))
}
