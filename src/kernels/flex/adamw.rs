//! The optimizer in one pass over parameter, gradient and moments.

use burn::backend::Flex;
use burn::tensor::{Shape, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::memory::Shared;
use super::parallel;
use super::simd::{Simd, simd};
use super::tensor::{contiguous, numbers, owned, tensor};
use crate::kernels::AdamwStep;

/// Numbers that repay waking another thread.
const WORTH_A_THREAD: usize = 1 << 16;
/// Numbers of a part of a sum: fixed, so that the bits do not depend on the threads.
const PART: usize = 1 << 14;

/// [`crate::kernels::adamw()`].
pub fn adamw<const D: usize>(
    p: Tensor<D>,
    g: Tensor<D>,
    m: Tensor<D>,
    v: Tensor<D>,
    step: &AdamwStep,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    let g = contiguous(inner(g));
    let [mut p, mut m, mut v] = [p, m, v].map(|x| owned(inner(x)));
    let [new_p, new_m, new_v] = [&mut p, &mut m, &mut v].map(|x| x.storage_mut::<f32>());
    update_all(new_p, numbers(&g), new_m, new_v, &step.packed());
    (outer(p), outer(m), outer(v))
}

/// [`crate::kernels::square_sum`].
pub fn square_sum<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let x = contiguous(inner(x));
    let parts: Vec<&[f32]> = numbers(&x).chunks(PART).collect();
    let sums: Vec<f64> = if parts.len() > WORTH_A_THREAD / PART && rayon::current_num_threads() > 1 {
        parts.par_iter().map(|part| squares(part)).collect()
    } else {
        parts.iter().map(|part| squares(part)).collect()
    };
    outer(tensor(vec![sums.iter().sum::<f64>() as f32], Shape::new([1])))
}

/// The buffer of a tensor without autodiff.
fn inner<const D: usize>(x: Tensor<D>) -> FlexTensor {
    x.try_into_primitive::<Flex>()
        .unwrap_or_else(|error| panic!("the optimizer takes inner tensors: {error:?}"))
}

fn outer<const D: usize>(x: FlexTensor) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(x)
}

fn update_all(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], factors: &[f32; 9]) {
    let n = p.len();
    assert!(
        [g.len(), m.len(), v.len()] == [n; 3],
        "a parameter, its gradient and its moments have one shape"
    );
    let each = n.div_ceil(parallel::parts(n / WORTH_A_THREAD)).next_multiple_of(16).max(16);
    let [p, m, v] = [p, m, v].map(Shared::new);
    parallel::each(n.div_ceil(each).max(1), |part| {
        let (from, n) = ((part * each).min(n), each.min(n - (part * each).min(n)));
        // SAFETY: parts are disjoint and lie within all three buffers.
        let [p, m, v] = [p, m, v].map(|x| unsafe { x.part(from, n) });
        update(p, &g[from..from + n], m, v, factors);
    });
}

simd! {
    fn update<S>(s, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], factors: &[f32; 9]) {
        let factors = factors.map(|x| s.splat(x));
        let n = p.len();
        let whole = n / S::LANES * S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            let [new_p, new_m, new_v] = updated(s, s.get(p, i), s.get(g, i), s.get(m, i), s.get(v, i), &factors);
            s.set(p, i, new_p);
            s.set(m, i, new_m);
            s.set(v, i, new_v);
        }
        if whole < n {
            let tail = |x: &[f32]| s.get_tail(&x[whole..], 0.0);
            let [new_p, new_m, new_v] = updated(s, tail(p), tail(g), tail(m), tail(v), &factors);
            s.set_tail(&mut p[whole..], new_p);
            s.set_tail(&mut m[whole..], new_m);
            s.set_tail(&mut v[whole..], new_v);
        }
    }
}

#[inline(always)]
fn updated<S: Simd>(s: S, p: S::V, g: S::V, m: S::V, v: S::V, factors: &[S::V; 9]) -> [S::V; 3] {
    let [beta1, rest1, beta2, rest2, eps, scale, keep, size, correction] = *factors;
    let g = s.mul(g, scale);
    let m = s.fma(beta1, m, s.mul(rest1, g));
    let v = s.fma(beta2, v, s.mul(s.mul(rest2, g), g));
    let root = s.add(s.sqrt(s.mul(v, correction)), eps);
    let change = s.div(s.mul(size, m), root);
    [s.sub(s.mul(p, keep), change), m, v]
}

/// The sum of squares in f64, in eight lanes.
fn squares(x: &[f32]) -> f64 {
    let mut sums = [0.0f64; 8];
    let chunks = x.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|&x| x as f64 * x as f64).sum();
    for chunk in chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += x as f64 * x as f64;
        }
    }
    sums.iter().sum::<f64>() + rest
}
