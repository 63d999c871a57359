//! Norms row by row. With xh the normalised row and w = dy gamma:
//! dx = (w - mean(w) - xh mean(w xh)) / deviation, without mean(w) for the RMS norm; dgamma = sum dy xh, dbeta = sum dy.

use burn::backend::Dispatch;
use burn::tensor::{Shape, Tensor};
use burn_flex::FlexTensor;

use super::memory::{Shared, filled};
use super::simd::simd;
use super::tensor::{contiguous, last, numbers, output, tensor};
use super::{Fused, Operation, call_two, parallel};

/// [`crate::kernels::layer_norm`].
pub fn layer_norm(x: Tensor<3>, gamma: Tensor<1>, beta: Option<Tensor<1>>, eps: f64) -> Tensor<3> {
    let operation = Norm { centre: Centre::Mean, eps: eps as f32 };
    match beta {
        None => call_two(operation, x, gamma),
        Some(beta) => {
            let (x, gamma, beta) = (x.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch());
            Tensor::from_dispatch(Dispatch::three(x, gamma, beta, operation))
        }
    }
}

/// [`crate::kernels::rms_norm`].
pub fn rms_norm(x: Tensor<3>, gamma: Tensor<1>, eps: f64) -> Tensor<3> {
    call_two(Norm { centre: Centre::Zero, eps: eps as f32 }, x, gamma)
}

/// From where deviations are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Centre {
    Mean,
    Zero,
}

/// Inputs x, gamma, and beta if there is a third.
#[derive(Debug, Clone, Copy)]
struct Norm {
    centre: Centre,
    eps: f32,
}

/// Rows of a part: fixed, so that the bits of sums over rows do not depend on the threads.
const ROWS: usize = 256;
/// Numbers that repay waking another thread.
const WORTH_A_THREAD: usize = 1 << 17;

impl<const N: usize> Operation<N> for Norm {
    /// x, gamma, and the centre and the inverse deviation of each row.
    type Saved = [FlexTensor; 3];

    fn forward_saving(self, inputs: [FlexTensor; N]) -> (FlexTensor, Self::Saved) {
        let mut inputs = inputs.into_iter().map(contiguous);
        let (x, gamma) = (inputs.next().expect("x"), inputs.next().expect("gamma"));
        let beta = inputs.next();
        let d = last(&x);
        let n = x.layout().num_elements() / d;
        assert_eq!(numbers(&gamma).len(), d, "a norm has a factor per channel");
        let mut y = Vec::new();
        let statistics = filled(2 * n, |statistics| {
            y = filled(n * d, |y| {
                let (y, statistics) = (Shared::new(y), Shared::new(statistics));
                over_rows(n, d, |from, rows| {
                    let x = &numbers(&x)[from * d..][..rows * d];
                    // SAFETY: parts of rows are disjoint and lie within both outputs.
                    let (y, statistics) =
                        unsafe { (y.part(from * d, rows * d), statistics.part(2 * from, 2 * rows)) };
                    normalise(x, numbers(&gamma), beta.as_ref().map(numbers), y, statistics, self);
                });
            });
        });
        let y = tensor(y, x.layout().shape().clone());
        (y, [x, gamma, tensor(statistics, Shape::new([n, 2]))])
    }

    fn backward(
        self,
        saved: Self::Saved,
        gradient: FlexTensor,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N] {
        let [x, gamma, statistics] = saved;
        let dy = contiguous(gradient);
        let d = last(&x);
        let n = x.layout().num_elements() / d;
        let mut sums = vec![0.0; 2 * d];
        let dx = output(x.layout().shape().clone(), |dx| {
            let dx = Shared::new(dx);
            parallel::sum_in_parts(n, ROWS, &mut sums, |rows, sums| {
                let part = rows.start * d..rows.end * d;
                let (x, dy) = (&numbers(&x)[part.clone()], &numbers(&dy)[part.clone()]);
                let statistics = &numbers(&statistics)[2 * rows.start..2 * rows.end];
                // SAFETY: parts of rows are disjoint and lie within the output.
                let dx = unsafe { dx.part(part.start, part.len()) };
                pull_back(x, numbers(&gamma), statistics, dy, dx, sums, self.centre);
            });
        });
        let mut results = [const { None }; N];
        results[0] = wanted[0].then_some(dx);
        let (dgamma, dbeta) = sums.split_at(d);
        for (result, sum) in results[1..].iter_mut().zip([dgamma, dbeta]) {
            *result = Some(tensor(sum.to_vec(), Shape::new([d])));
        }
        results
    }
}

/// Calls `work` with parts of `n` rows: where they begin, and how many.
fn over_rows(n: usize, d: usize, work: impl Fn(usize, usize) + Send + Sync) {
    let each = n.div_ceil(parallel::parts(n * d / WORTH_A_THREAD)).max(1);
    parallel::each(n.div_ceil(each), |part| work(part * each, each.min(n - part * each)));
}

/// The sum of `term` over whole vectors of a row, then of `rest` over what is left.
macro_rules! sum_row {
    ($s:ident, $d:expr, |$i:ident| $term:expr, |$j:ident| $rest:expr) => {{
        let mut sum = $s.splat(0.0);
        let whole = $d / S::LANES * S::LANES;
        for $i in (0..whole).step_by(S::LANES) {
            sum = $s.add(sum, $term);
        }
        let mut sum = $s.sum(sum);
        for $j in whole..$d {
            sum += $rest;
        }
        sum
    }};
}

simd! {
    fn normalise<S>(s, x: &[f32], gamma: &[f32], beta: Option<&[f32]>, y: &mut [f32], statistics: &mut [f32], norm: Norm) {
        let d = gamma.len();
        let whole = d / S::LANES * S::LANES;
        for ((x, y), statistics) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(statistics.chunks_exact_mut(2)) {
            let centre = match norm.centre {
                Centre::Mean => sum_row!(s, d, |i| s.get(x, i), |j| x[j]) / d as f32,
                Centre::Zero => 0.0,
            };
            let centres = s.splat(centre);
            let mut squares = s.splat(0.0);
            for i in (0..whole).step_by(S::LANES) {
                let deviation = s.sub(s.get(x, i), centres);
                squares = s.fma(deviation, deviation, squares);
            }
            let mut square = s.sum(squares);
            for &x in &x[whole..] {
                square += (x - centre) * (x - centre);
            }
            let inverse = 1.0 / (square / d as f32 + norm.eps).sqrt();
            statistics.copy_from_slice(&[centre, inverse]);
            let inverses = s.splat(inverse);
            for i in (0..whole).step_by(S::LANES) {
                let value = s.mul(s.mul(s.sub(s.get(x, i), centres), inverses), s.get(gamma, i));
                s.set(y, i, match beta { Some(beta) => s.add(value, s.get(beta, i)), None => value });
            }
            for i in whole..d {
                y[i] = (x[i] - centre) * inverse * gamma[i] + beta.map_or(0.0, |beta| beta[i]);
            }
        }
    }
}

simd! {
    /// Writes `dx` and adds to `sums`, first of gamma, then of beta.
    fn pull_back<S>(s, x: &[f32], gamma: &[f32], statistics: &[f32], dy: &[f32], dx: &mut [f32], sums: &mut [f32],
                    centre: Centre) {
        let d = gamma.len();
        let whole = d / S::LANES * S::LANES;
        let (dgamma, dbeta) = sums.split_at_mut(d);
        let rows = x.chunks_exact(d).zip(dy.chunks_exact(d)).zip(dx.chunks_exact_mut(d));
        for (((x, dy), dx), statistics) in rows.zip(statistics.chunks_exact(2)) {
            let (middle, inverse) = (statistics[0], statistics[1]);
            let (middles, inverses) = (s.splat(middle), s.splat(inverse));
            let (mut plain, mut along) = (s.splat(0.0), s.splat(0.0));
            for i in (0..whole).step_by(S::LANES) {
                let normal = s.mul(s.sub(s.get(x, i), middles), inverses);
                let dy = s.get(dy, i);
                let w = s.mul(dy, s.get(gamma, i));
                plain = s.add(plain, w);
                along = s.fma(w, normal, along);
                s.set(dgamma, i, s.fma(dy, normal, s.get(dgamma, i)));
                s.set(dbeta, i, s.add(dy, s.get(dbeta, i)));
            }
            let (mut plain, mut along) = (s.sum(plain), s.sum(along));
            for i in whole..d {
                let normal = (x[i] - middle) * inverse;
                plain += dy[i] * gamma[i];
                along += dy[i] * gamma[i] * normal;
                dgamma[i] += dy[i] * normal;
                dbeta[i] += dy[i];
            }
            let along = along / d as f32;
            let plain = match centre {
                Centre::Mean => plain / d as f32,
                Centre::Zero => 0.0,
            };
            let (plains, alongs) = (s.splat(plain), s.splat(-along));
            for i in (0..whole).step_by(S::LANES) {
                let normal = s.mul(s.sub(s.get(x, i), middles), inverses);
                let w = s.sub(s.mul(s.get(dy, i), s.get(gamma, i)), plains);
                s.set(dx, i, s.mul(s.fma(normal, alongs, w), inverses));
            }
            for i in whole..d {
                let normal = (x[i] - middle) * inverse;
                dx[i] = (dy[i] * gamma[i] - plain - normal * along) * inverse;
            }
        }
    }
}
