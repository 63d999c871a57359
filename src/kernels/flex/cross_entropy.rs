//! Head and loss by chunks of tokens: logits into a buffer, losses and their gradient in its place, then the products
//! dh = G W and dW = G^T h. The gradient is taken in the forward, so that no logits are kept.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use burn::backend::Dispatch;
use burn::tensor::{Int, Shape, Tensor};
use burn_flex::FlexTensor;

use super::gemm::{Output, Packed, Start, View, blocks, gemm_part};
use super::memory::{Shared, filled};
use super::simd::simd;
use super::tensor::{contiguous, in_place, indices, last, numbers, tensor};
use super::{Fused, Operation, parallel};
use crate::kernels::Precision;

/// [`crate::kernels::linear_cross_entropy`].
pub fn linear_cross_entropy(
    hidden: Tensor<2>,
    head_weight: Tensor<2>,
    targets: Tensor<1, Int>,
    weights: Tensor<1>,
) -> (Tensor<1>, Tensor<1>) {
    let (h, w) = (hidden.into_dispatch(), head_weight.into_dispatch());
    let (mean, losses) = Dispatch::cross_entropy(h, w, targets.into_dispatch(), weights.into_dispatch());
    (Tensor::from_dispatch(mean), Tensor::from_dispatch(losses))
}

/// The mean and the losses, without a gradient.
pub fn losses(
    h: FlexTensor,
    w: FlexTensor,
    targets: FlexTensor,
    weights: FlexTensor,
) -> (FlexTensor, FlexTensor) {
    let operation = CrossEntropy::new(targets, weights);
    let losses = operation.losses.clone();
    let mean = operation.forward([h, w]);
    (mean, losses.get().cloned().expect("the forward has run"))
}

/// Tokens of a chunk: fixed, because it cuts the sums of dW.
const TOKENS: usize = 96;
/// Multiply-adds that repay waking another thread.
const WORTH_A_THREAD: usize = 1 << 21;

/// Inputs hidden and head weight. The detached losses come out beside the mean, through `losses`.
#[derive(Debug, Clone)]
pub struct CrossEntropy {
    targets: FlexTensor,
    weights: FlexTensor,
    losses: Arc<OnceLock<FlexTensor>>,
    precision: Precision,
}

/// Whether the gradient is taken on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gradient {
    Wanted,
    Not,
}

impl CrossEntropy {
    /// For these targets and weights.
    pub fn new(targets: FlexTensor, weights: FlexTensor) -> Self {
        let precision = Precision::of_scope();
        CrossEntropy { targets, weights: contiguous(weights), losses: Arc::default(), precision }
    }

    /// Where the forward puts the losses.
    pub fn losses(&self) -> Arc<OnceLock<FlexTensor>> {
        self.losses.clone()
    }

    /// The mean, and where wanted the gradients of hidden and head weight.
    fn run(self, inputs: [FlexTensor; 2], gradient: Gradient) -> (FlexTensor, Option<[FlexTensor; 2]>) {
        let [h, w] = inputs.map(contiguous);
        let (d, n) = (last(&h), h.layout().num_elements() / last(&h));
        let v = w.layout().num_elements() / d;
        let weights = numbers(&self.weights);
        let sum: f64 = weights.iter().map(|&weight| weight as f64).sum();
        let coefficients: Vec<f32> = weights.iter().map(|&weight| (weight as f64 / sum) as f32).collect();
        let targets = indices(self.targets, v, "target", "vocabulary");
        assert!(targets.len() == n && weights.len() == n, "every token has a target and a weight");
        let head = Head {
            h: numbers(&h),
            w: numbers(&w),
            targets: &targets,
            coefficients: &coefficients,
            n,
            d,
            v,
            precision: self.precision,
        };
        let (losses, gradients) = head.run(gradient);
        let weighted = losses.iter().zip(weights).map(|(&loss, &weight)| loss as f64 * weight as f64);
        let mean = (weighted.sum::<f64>() / sum) as f32;
        self.losses.set(tensor(losses, Shape::new([n]))).expect("an operation runs once");
        let gradients =
            gradients.map(|[dh, dw]| [tensor(dh, Shape::new([n, d])), tensor(dw, Shape::new([v, d]))]);
        (tensor(vec![mean], Shape::new([1])), gradients)
    }
}

impl Operation<2> for CrossEntropy {
    /// The gradients for an upstream gradient of one.
    type Saved = [FlexTensor; 2];

    fn forward(self, inputs: [FlexTensor; 2]) -> FlexTensor {
        self.run(inputs, Gradient::Not).0
    }

    fn forward_saving(self, inputs: [FlexTensor; 2]) -> (FlexTensor, Self::Saved) {
        let (mean, gradients) = self.run(inputs, Gradient::Wanted);
        (mean, gradients.expect("asked for"))
    }

    fn backward(
        self,
        saved: Self::Saved,
        gradient: FlexTensor,
        _wanted: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let factor = numbers(&contiguous(gradient))[0];
        // Most often this is the root of the graph.
        if factor == 1.0 {
            return saved.map(Some);
        }
        saved.map(|x| Some(in_place(x, |x| x.iter_mut().for_each(|x| *x *= factor))))
    }
}

/// The problem on slices.
struct Head<'a> {
    h: &'a [f32],
    w: &'a [f32],
    targets: &'a [u32],
    coefficients: &'a [f32],
    n: usize,
    d: usize,
    v: usize,
    precision: Precision,
}

impl Head<'_> {
    /// The losses, and the gradients of hidden and head weight. The chunks of a wave run side by side, then the parts of
    /// the head weight; each sum goes through the chunks in order, whatever the number of threads.
    fn run(&self, gradient: Gradient) -> (Vec<f32>, Option<[Vec<f32>; 2]>) {
        let Head { n, d, v, .. } = *self;
        // One line more than needed, so that rows of a power of two do not fall on the same lines of the cache.
        let stride = v.next_multiple_of(16) + 16;
        let across = Packed::new(View::new(self.w, v, d).t().rounded(self.precision));
        let wanted = gradient == Gradient::Wanted;
        let along = wanted.then(|| Packed::new(View::new(self.w, v, d).rounded(self.precision)));
        let parts = parallel::parts(n * d * v / WORTH_A_THREAD).min(n.div_ceil(TOKENS));
        let mut losses = vec![0.0; n];
        let mut dh = filled(if wanted { n * d } else { 0 }, |_| ());
        let mut dw = filled(if wanted { v * d } else { 0 }, |_| ());
        // Zeros, because the numbers beyond a row of logits are read, and masked.
        let mut logits = vec![0.0; parts * TOKENS.min(n) * stride];
        let chunks: Vec<Range<usize>> = blocks(0..n, TOKENS).collect();
        for wave in chunks.chunks(parts) {
            let [all_losses, all_dh, all_logits] =
                [&mut losses, &mut dh, &mut logits].map(|x| Shared::new(x));
            parallel::each(wave.len(), |i| {
                let tokens = wave[i].clone();
                let m = tokens.len();
                let h = View::new(&self.h[tokens.start * d..tokens.end * d], m, d);
                // SAFETY: chunks are disjoint in the losses and in dh, and each has its own logits.
                let (losses, logits) = unsafe {
                    (
                        all_losses.part(tokens.start, m),
                        all_logits.part(i * TOKENS.min(n) * stride, m * stride),
                    )
                };
                across.multiply(h, Output::new(logits, stride));
                let coefficients = wanted.then(|| &self.coefficients[tokens.clone()]);
                lose(logits, stride, v, &self.targets[tokens.clone()], coefficients, losses);
                if let Some(along) = &along {
                    // SAFETY: as above.
                    let dh = unsafe { Output::shared(all_dh, tokens.start * d, d) };
                    along.multiply(View::strided(logits, m, v, stride), dh);
                }
            });
            if wanted {
                self.add_head_gradient(wave, &logits, stride, &mut dw, parts);
            }
        }
        (losses, wanted.then_some([dh, dw]))
    }

    /// dW += G^T h for the chunks of a wave; the first begins the sum.
    fn add_head_gradient(
        &self,
        wave: &[Range<usize>],
        logits: &[f32],
        stride: usize,
        dw: &mut [f32],
        parts: usize,
    ) {
        let Head { n, d, v, .. } = *self;
        let c = Output::new(dw, d);
        let each = v.div_ceil(parts).next_multiple_of(16);
        parallel::each(v.div_ceil(each), |part| {
            let rows = part * each..((part + 1) * each).min(v);
            for (i, tokens) in wave.iter().enumerate() {
                let m = tokens.len();
                let gradient = View::strided(&logits[i * TOKENS.min(n) * stride..], m, v, stride);
                let h = View::new(&self.h[tokens.start * d..tokens.end * d], m, d).rounded(self.precision);
                let start = if tokens.start == 0 { Start::Zero } else { Start::Itself };
                gemm_part(gradient.t(), h, c, start, rows.clone(), 0..d);
            }
        });
    }
}

simd! {
    /// The loss of each row of logits; with coefficients, the row becomes the gradient
    /// coefficient (share - [is the target]).
    fn lose<S>(s, logits: &mut [f32], stride: usize, v: usize, targets: &[u32], coefficients: Option<&[f32]>,
               losses: &mut [f32]) {
        // Whole vectors: a row of logits has room for them, and the lanes from v on are masked.
        let last = (v - 1) / S::LANES * S::LANES;
        for (i, row) in logits.chunks_mut(stride).enumerate() {
            let target = targets[i] as usize;
            let mut largest = s.below(last, v, s.get(row, last), f32::NEG_INFINITY);
            for j in (0..last).step_by(S::LANES) {
                largest = s.max(largest, s.get(row, j));
            }
            let largest = s.largest(largest);
            let own = row[target] - largest;
            let largests = s.splat(largest);
            let e = s.exp(s.sub(s.get(row, last), largests));
            let mut sums = s.below(last, v, e, 0.0);
            s.set(row, last, sums);
            for j in (0..last).step_by(S::LANES) {
                let e = s.exp(s.sub(s.get(row, j), largests));
                s.set(row, j, e);
                sums = s.add(sums, e);
            }
            let sum = s.sum(sums);
            losses[i] = sum.ln() - own;
            if let Some(coefficients) = coefficients {
                let factors = s.splat(coefficients[i] / sum);
                for j in (0..v).step_by(S::LANES) {
                    s.set(row, j, s.mul(s.get(row, j), factors));
                }
                row[target] -= coefficients[i];
            }
        }
    }
}
