//! Flex tensors as slices.

use burn::backend::Flex;
use burn::tensor::{Bytes, DType, Int, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};

use super::memory::filled;

/// The tensor itself, or a copy in row-major order.
pub fn contiguous(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() { x } else { x.to_contiguous() }
}

/// The numbers of a contiguous tensor.
pub fn numbers(x: &FlexTensor) -> &[f32] {
    x.as_slice::<f32>().expect("a fast kernel takes contiguous f32 tensors alone")
}

/// A tensor of these numbers.
pub fn tensor(numbers: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(numbers), Layout::contiguous(shape), DType::F32)
}

/// A tensor whose numbers `write` fills.
pub fn output(shape: Shape, write: impl FnOnce(&mut [f32])) -> FlexTensor {
    tensor(filled(shape.num_elements(), write), shape)
}

/// A contiguous tensor with a buffer of its own: `x` itself where nobody else holds its buffer, else a copy.
pub fn owned(x: FlexTensor) -> FlexTensor {
    let layout = x.layout();
    let whole =
        x.is_contiguous() && layout.start_offset() == 0 && x.bytes().len() == 4 * layout.num_elements();
    if whole && x.is_unique() {
        return x;
    }
    let x = contiguous(x);
    tensor(numbers(&x).to_vec(), x.layout().shape().clone())
}

/// `x` after `change` to its numbers, in place where nobody else holds the buffer.
pub fn in_place(x: FlexTensor, change: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut x = owned(x);
    change(x.storage_mut::<f32>());
    x
}

/// Width of the last axis.
pub fn last(x: &FlexTensor) -> usize {
    x.layout().shape().last().copied().unwrap_or(1)
}

/// Token or class numbers, each checked to be below `n`; `what` and `of` name them in the message.
pub fn indices(x: FlexTensor, n: usize, what: &str, of: &str) -> Vec<u32> {
    let x = contiguous(x);
    let check = |i: i64| {
        assert!((0..n as i64).contains(&i), "{what} {i} is not in a {of} of {n}");
        i as u32
    };
    match x.dtype() {
        DType::I32 => x.as_slice::<i32>().expect("contiguous").iter().map(|&i| check(i as i64)).collect(),
        DType::I64 => x.as_slice::<i64>().expect("contiguous").iter().map(|&i| check(i)).collect(),
        other => panic!("{what}s are i32 or i64, not {other:?}"),
    }
}

/// The buffer of a float tensor that takes no part in the gradient.
pub fn constant<const D: usize>(x: &Tensor<D>) -> FlexTensor {
    let x = x.clone();
    let x = if x.device().is_autodiff() { x.inner() } else { x };
    contiguous(x.try_into_primitive::<Flex>().unwrap_or_else(|error| panic!("{MIXED}: {error:?}")))
}

/// The buffer of an int tensor.
pub fn integers<const D: usize>(x: Tensor<D, Int>) -> FlexTensor {
    let x = if x.device().is_autodiff() { x.inner() } else { x };
    x.try_into_primitive::<Flex>().unwrap_or_else(|error| panic!("{MIXED}: {error:?}"))
}

const MIXED: &str = "all tensors of a fast kernel live on the CPU";
