//! Causal softmax attention softmax(Q K^T / sqrt(k)) V (Vaswani et al. 2017, arXiv 1706.03762) with shared
//! key-value heads (Ainslie et al. 2023, arXiv 2305.13245) and rotary positions, from one packed projection.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use super::flex;
use super::precision::upcast;
use super::rope::Rope;

/// How the channels of a packed projection divide into heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads h.
    pub n_heads: usize,
    /// Key-value heads g; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Channels of a head k.
    pub d_head: usize,
}

impl Heads {
    /// Channels of the packed projection, (h + 2 g) k.
    pub fn d_packed(&self) -> usize {
        (self.n_heads + 2 * self.n_kv_heads) * self.d_head
    }

    /// Channels of the queries and of the output, h k.
    pub fn d_queries(&self) -> usize {
        self.n_heads * self.d_head
    }

    /// Query heads that read one key-value head.
    pub fn n_sharing(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }
}

/// Causal attention of every head: query head i reads key-value head `i / (h / g)` at the times up to its own, with
/// scale `1 / sqrt(k)`.
///
/// # Shapes
/// `qkv [b, t, (h + 2 g) k]`, first the queries head by head, then the keys, then the values, to `[b, t, h k]`;
/// `rope` turns queries and keys.
pub fn causal_attention(qkv: Tensor<3>, rope: Option<&Rope>, heads: Heads) -> Tensor<3> {
    let [_, _, width] = qkv.dims();
    assert_eq!(width, heads.d_packed(), "a packed projection holds (h + 2 g) k channels, {heads:?}");
    assert_eq!(heads.n_heads % heads.n_kv_heads, 0, "key-value heads divide the heads, {heads:?}");
    #[cfg(feature = "flex")]
    if flex::takes(&qkv) {
        return flex::causal_attention(qkv, rope, heads);
    }
    reference::causal_attention(qkv, rope, heads)
}

pub mod reference {
    //! The same in plain tensor code.
    use burn::tensor::{Bool, activation::softmax};

    use super::super::rope::reference::rope as turn;
    use super::*;

    /// See [`super::causal_attention`].
    pub fn causal_attention(qkv: Tensor<3>, rope: Option<&Rope>, heads: Heads) -> Tensor<3> {
        let [b, t, _] = qkv.dims();
        let Heads { n_heads: h, n_kv_heads: g, d_head: k } = heads;
        let split = |from: usize, n: usize| {
            qkv.clone().narrow(2, from * k, n * k).reshape([b, t, n, k]).swap_dims(1, 2) // [b, n, t, k]
        };
        let (queries, keys, values) = (split(0, h), split(h, g), split(h + g, g));
        let (queries, keys) = match rope {
            Some(rope) => (turn(queries, rope), turn(keys, rope)),
            None => (queries, keys),
        };
        let share = |x: Tensor<4>| {
            x.unsqueeze_dim::<5>(2).expand([b, g, heads.n_sharing(), t, k]).reshape([b, h, t, k]) // [b, h, t, k]
        };
        let scores = upcast(queries.matmul(share(keys).swap_dims(2, 3))) / (k as f64).sqrt(); // [b, h, t, s]
        let future = Tensor::<2, Bool>::tril_mask([t, t], 0, &scores.device()).unsqueeze::<4>(); // [1, 1, t, s]
        let shares = softmax(scores.mask_fill(future.expand([b, h, t, t]), f32::NEG_INFINITY), 3);
        let values = share(values);
        shares.cast(values.dtype()).matmul(values).swap_dims(1, 2).reshape([b, t, h * k]) // [b, t, h k]
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::kernels::check::{self, Leaf};

    /// b, t, h, g, k, rotated: odd heads, shared keys, one token, several blocks, the widths of real models.
    const SHAPES: [[usize; 6]; 8] = [
        [2, 3, 4, 2, 6, 4],
        [1, 1, 1, 1, 2, 2],
        [2, 16, 2, 2, 32, 32],
        [1, 37, 3, 1, 10, 6],
        [1, 70, 2, 1, 16, 0],
        [1, 130, 2, 2, 64, 16],
        [1, 33, 1, 1, 128, 128],
        [2, 97, 6, 2, 20, 20],
    ];

    fn heads([_, _, h, g, k, _]: [usize; 6]) -> Heads {
        Heads { n_heads: h, n_kv_heads: g, d_head: k }
    }

    fn with(
        attention: impl Fn(Tensor<3>, Option<&Rope>, Heads) -> Tensor<3>,
        shape @ [_, t, _, _, _, rotated]: [usize; 6],
    ) -> impl Fn(&[Leaf]) -> Tensor<3> {
        move |x| {
            let rope = (rotated > 0).then(|| check::angles(&x[0], t, rotated));
            attention(x[0].get(), rope.as_ref(), heads(shape))
        }
    }

    #[test]
    fn attention_is_its_reference_in_values_and_gradients() {
        for shape @ [b, t, ..] in SHAPES {
            let packed = [vec![b, t, heads(shape).d_packed()]];
            check::same(&packed, with(causal_attention, shape), with(reference::causal_attention, shape));
        }
    }

    #[test]
    fn the_reference_gradients_are_the_finite_differences() {
        let shape = [2, 3, 4, 2, 4, 2];
        check::finite_differences(&[vec![2, 3, 32]], with(reference::causal_attention, shape));
    }

    #[test]
    fn no_output_depends_on_a_later_input() {
        let device = check::device();
        let heads = Heads { n_heads: 2, n_kv_heads: 1, d_head: 8 };
        let before = check::random::<3>([1, 50, 32], 1, &device);
        for changed in [1, 20, 49] {
            let tail = check::random::<3>([1, 50 - changed, 32], 2, &device);
            let after = before.clone().slice_assign([0..1, changed..50, 0..32], tail);
            let (y, z) =
                (causal_attention(before.clone(), None, heads), causal_attention(after, None, heads));
            check::assert_equal_bits(&y.clone().narrow(1, 0, changed), &z.clone().narrow(1, 0, changed));
            let later = check::values(&(y - z).narrow(1, changed, 1));
            assert!(later.iter().any(|change| change.abs() > 0.0), "the changed token itself must differ");
        }
    }

    #[test]
    fn huge_scores_neither_overflow_nor_lose_the_largest() {
        let heads = Heads { n_heads: 1, n_kv_heads: 1, d_head: 4 };
        let one = [1e4f32, 0.0, 0.0, 0.0];
        let rows = [[one, one, [1.0; 4]].concat(), [one, [0.0; 4], [3.0; 4]].concat()].concat();
        let qkv = Tensor::<1>::from_floats(rows.as_slice(), &check::device()).reshape([1, 2, 12]);
        assert_eq!(check::values(&causal_attention(qkv, None, heads)), [1.0; 8]);
    }

    #[test]
    fn a_query_that_is_no_number_reads_no_number() {
        let heads = Heads { n_heads: 1, n_kv_heads: 1, d_head: 4 };
        let rows = [[f32::NAN; 4], [1.0; 4], [2.0; 4], [1.0; 4], [1.0; 4], [2.0; 4]].concat();
        let qkv = Tensor::<1>::from_floats(rows.as_slice(), &check::device()).reshape([1, 2, 12]);
        let read = check::values(&causal_attention(qkv, None, heads));
        assert!(read[..4].iter().all(|value| value.is_nan()) && read[4..] == [2.0; 4], "{read:?}");
    }

    #[test]
    fn views_that_are_not_contiguous_give_the_same_numbers() {
        let heads = Heads { n_heads: 2, n_kv_heads: 1, d_head: 4 };
        let fast =
            |x: &[Leaf]| causal_attention(x[0].get::<3>().swap_dims(0, 1).narrow(2, 1, 16), None, heads);
        let slow = |x: &[Leaf]| {
            reference::causal_attention(x[0].get::<3>().swap_dims(0, 1).narrow(2, 1, 16), None, heads)
        };
        check::same(&[vec![5, 2, 18]], fast, slow);
    }

    #[test]
    fn one_thread_and_two_give_equal_bits() {
        let shape = [3, 200, 4, 2, 16, 8];
        check::equal_bits(&[vec![3, 200, heads(shape).d_packed()]], with(causal_attention, shape));
    }
}
