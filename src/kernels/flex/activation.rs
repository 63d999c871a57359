//! Nonlinearities, value and slope from one exponential.

use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::memory::Shared;
use super::simd::{Simd, simd};
use super::tensor::{contiguous, in_place, numbers, output};
use super::{Operation, call_one, call_two, parallel};
use crate::kernels::Activation;

/// [`crate::kernels::activation()`].
pub fn activation(x: Tensor<3>, function: Activation) -> Tensor<3> {
    call_one(Pointwise(function), x)
}

/// [`crate::kernels::gated`].
pub fn gated(gate: Tensor<3>, up: Tensor<3>, function: Activation) -> Tensor<3> {
    call_two(Gated(function), gate, up)
}

#[derive(Debug, Clone)]
struct Pointwise(Activation);

#[derive(Debug, Clone)]
struct Gated(Activation);

impl Operation<1> for Pointwise {
    type Saved = FlexTensor;

    fn forward_saving(self, [x]: [FlexTensor; 1]) -> (FlexTensor, FlexTensor) {
        let x = contiguous(x);
        let y = output(x.layout().shape().clone(), |y| {
            over_parts([&x], [y], |[x], [y]| values(x, None, y, self.0))
        });
        (y, x)
    }

    fn backward(self, x: FlexTensor, gradient: FlexTensor, _wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(in_place(gradient, |dx| over_parts([&x], [dx], |[x], [dx]| slopes(x, dx, self.0))))]
    }
}

impl Operation<2> for Gated {
    type Saved = [FlexTensor; 2];

    fn forward_saving(self, inputs: [FlexTensor; 2]) -> (FlexTensor, Self::Saved) {
        let [gate, up] = inputs.map(contiguous);
        assert_eq!(gate.layout().shape(), up.layout().shape(), "a gate has the shape of what it gates");
        let y = output(gate.layout().shape().clone(), |y| {
            over_parts([&gate, &up], [y], |[gate, up], [y]| values(gate, Some(up), y, self.0));
        });
        (y, [gate, up])
    }

    fn backward(
        self,
        [gate, up]: Self::Saved,
        dy: FlexTensor,
        _wanted: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let mut dup = None;
        let dgate = in_place(dy, |dgate| {
            dup = Some(output(up.layout().shape().clone(), |dup| {
                over_parts([&gate, &up], [dgate, dup], |[gate, up], [dgate, dup]| {
                    gated_slopes(gate, up, dgate, dup, self.0);
                });
            }));
        });
        [Some(dgate), dup]
    }
}

/// Numbers that repay waking another thread.
const WORTH_A_THREAD: usize = 1 << 15;

/// Calls `work` with matching parts of all buffers.
fn over_parts<const I: usize, const O: usize>(
    inputs: [&FlexTensor; I],
    outputs: [&mut [f32]; O],
    work: impl Fn([&[f32]; I], [&mut [f32]; O]) + Send + Sync,
) {
    let inputs = inputs.map(numbers);
    let n = inputs[0].len();
    let outputs = outputs.map(Shared::new);
    let each = n.div_ceil(parallel::parts(n / WORTH_A_THREAD)).next_multiple_of(16).max(16);
    parallel::each(n.div_ceil(each).max(1), |part| {
        let range = (part * each).min(n)..((part + 1) * each).min(n);
        // SAFETY: parts are disjoint and lie within every output, all as long as the inputs.
        let outputs = outputs.map(|y| unsafe { y.part(range.start, range.len()) });
        work(inputs.map(|x| &x[range.clone()]), outputs);
    });
}

/// A curve with its slope.
trait Curve: Copy {
    /// The value, and the slope.
    fn at<S: Simd>(self, s: S, x: S::V) -> (S::V, S::V);
}

/// Runs `$body` with `$curve` bound to the curve of `$function`.
macro_rules! with_curve {
    ($function:expr, |$curve:ident| $body:expr) => {
        match $function {
            Activation::Gelu => {
                let $curve = Gelu;
                $body
            }
            Activation::GeluTanh => {
                let $curve = GeluTanh;
                $body
            }
            Activation::Silu => {
                let $curve = Silu;
                $body
            }
            Activation::Relu => {
                let $curve = Relu;
                $body
            }
            Activation::ReluSquared => {
                let $curve = ReluSquared;
                $body
            }
        }
    };
}

simd! {
    /// `y = f(x)`, times `up` where there is one.
    fn values<S>(s, x: &[f32], up: Option<&[f32]>, y: &mut [f32], function: Activation) {
        with_curve!(function, |curve| match up {
            None => map(s, [x, x], [y], Value(curve)),
            Some(up) => map(s, [x, up], [y], GatedValue(curve)),
        })
    }
}

simd! {
    /// `dx = dx f'(x)`.
    fn slopes<S>(s, x: &[f32], dx: &mut [f32], function: Activation) {
        with_curve!(function, |curve| map(s, [x, x], [dx], Slope(curve)))
    }
}

simd! {
    /// `dup = dgate f(gate)`, then `dgate = dgate up f'(gate)`.
    fn gated_slopes<S>(s, gate: &[f32], up: &[f32], dgate: &mut [f32], dup: &mut [f32], function: Activation) {
        with_curve!(function, |curve| map(s, [gate, up], [dgate, dup], GatedSlope(curve)))
    }
}

/// What becomes of two inputs and what the outputs held; a trait, because a closure would not be compiled for the
/// width.
trait Elementwise<const O: usize>: Copy {
    fn at<S: Simd>(self, s: S, x: [S::V; 2], y: [S::V; O]) -> [S::V; O];
}

#[inline(always)]
fn map<S: Simd, const O: usize>(s: S, x: [&[f32]; 2], y: [&mut [f32]; O], f: impl Elementwise<O>) {
    let n = x[0].len();
    let whole = n / S::LANES * S::LANES;
    let y = y.map(|y| &mut y[..n]);
    for i in (0..whole).step_by(S::LANES) {
        let old = std::array::from_fn(|o| s.get(y[o], i));
        let new = f.at(s, [s.get(x[0], i), s.get(x[1], i)], old);
        for o in 0..O {
            s.set(y[o], i, new[o]);
        }
    }
    if whole < n {
        let old = std::array::from_fn(|o| s.get_tail(&y[o][whole..], 0.0));
        let new = f.at(s, [s.get_tail(&x[0][whole..], 0.0), s.get_tail(&x[1][whole..], 0.0)], old);
        for o in 0..O {
            s.set_tail(&mut y[o][whole..], new[o]);
        }
    }
}

#[derive(Clone, Copy)]
struct Value<C>(C);
#[derive(Clone, Copy)]
struct GatedValue<C>(C);
#[derive(Clone, Copy)]
struct Slope<C>(C);
#[derive(Clone, Copy)]
struct GatedSlope<C>(C);

impl<C: Curve> Elementwise<1> for Value<C> {
    #[inline(always)]
    fn at<S: Simd>(self, s: S, [x, _]: [S::V; 2], _: [S::V; 1]) -> [S::V; 1] {
        [self.0.at(s, x).0]
    }
}

impl<C: Curve> Elementwise<1> for GatedValue<C> {
    #[inline(always)]
    fn at<S: Simd>(self, s: S, [gate, up]: [S::V; 2], _: [S::V; 1]) -> [S::V; 1] {
        [s.mul(self.0.at(s, gate).0, up)]
    }
}

impl<C: Curve> Elementwise<1> for Slope<C> {
    #[inline(always)]
    fn at<S: Simd>(self, s: S, [x, _]: [S::V; 2], [dy]: [S::V; 1]) -> [S::V; 1] {
        [s.mul(dy, self.0.at(s, x).1)]
    }
}

impl<C: Curve> Elementwise<2> for GatedSlope<C> {
    #[inline(always)]
    fn at<S: Simd>(self, s: S, [gate, up]: [S::V; 2], [dy, _]: [S::V; 2]) -> [S::V; 2] {
        let (value, slope) = self.0.at(s, gate);
        [s.mul(s.mul(dy, up), slope), s.mul(dy, value)]
    }
}

#[derive(Clone, Copy)]
struct Gelu;
#[derive(Clone, Copy)]
struct GeluTanh;
#[derive(Clone, Copy)]
struct Silu;
#[derive(Clone, Copy)]
struct Relu;
#[derive(Clone, Copy)]
struct ReluSquared;

impl Curve for Gelu {
    /// Phi(-|x|) = e^(-x^2/2) t P(t) with t = 1 / (1 + 0.38 |x| / sqrt 2), where P interpolates e^(z^2) erfc(z) / 2t at
    /// Chebyshev nodes: relative error 2.5e-8 before rounding.
    #[inline(always)]
    fn at<S: Simd>(self, s: S, x: S::V) -> (S::V, S::V) {
        const P: [f32; 8] = [
            -0.132_796_15,
            0.185_438_7,
            -0.084_837_49,
            0.117_910_19,
            0.068_068_75,
            0.102_279_08,
            0.106_913_604,
            0.107_208_2,
        ];
        const SCALE: f32 = 0.38 * std::f32::consts::FRAC_1_SQRT_2;
        const DENSITY: f32 = 0.398_942_3; // 1 / sqrt(2 pi)
        let (zero, one) = (s.splat(0.0), s.splat(1.0));
        let away = s.max(x, s.sub(zero, x));
        let bell = s.exp(s.mul(s.mul(x, x), s.splat(-0.5)));
        let t = s.div(one, s.fma(away, s.splat(SCALE), one));
        let mut p = s.splat(0.029_815_132);
        for c in P {
            p = s.fma(p, t, s.splat(c));
        }
        let tail = s.mul(s.mul(bell, t), p);
        let phi = s.select_less(x, zero, tail, s.sub(one, tail));
        (s.mul(x, phi), s.fma(s.mul(x, bell), s.splat(DENSITY), phi))
    }
}

/// x sigmoid(u), and its slope given that of u.
#[inline(always)]
fn swish<S: Simd>(s: S, x: S::V, u: S::V, du: S::V) -> (S::V, S::V) {
    let one = s.splat(1.0);
    let share = s.div(one, s.add(one, s.exp(s.sub(s.splat(0.0), u))));
    let value = s.mul(x, share);
    (value, s.fma(s.mul(value, s.sub(one, share)), du, share))
}

impl Curve for GeluTanh {
    /// (1 + tanh u) / 2 = sigmoid(2 u).
    #[inline(always)]
    fn at<S: Simd>(self, s: S, x: S::V) -> (S::V, S::V) {
        const TWICE: f32 = 1.595_769; // 2 sqrt(2 / pi)
        let square = s.mul(x, x);
        let u = s.mul(x, s.fma(square, s.splat(TWICE * 0.044715), s.splat(TWICE)));
        let du = s.fma(square, s.splat(3.0 * TWICE * 0.044715), s.splat(TWICE));
        swish(s, x, u, du)
    }
}

impl Curve for Silu {
    #[inline(always)]
    fn at<S: Simd>(self, s: S, x: S::V) -> (S::V, S::V) {
        swish(s, x, x, s.splat(1.0))
    }
}

impl Curve for Relu {
    #[inline(always)]
    fn at<S: Simd>(self, s: S, x: S::V) -> (S::V, S::V) {
        let zero = s.splat(0.0);
        (s.max(zero, x), s.select_less(zero, x, s.splat(1.0), zero))
    }
}

impl Curve for ReluSquared {
    #[inline(always)]
    fn at<S: Simd>(self, s: S, x: S::V) -> (S::V, S::V) {
        let positive = s.max(s.splat(0.0), x);
        (s.mul(positive, positive), s.add(positive, positive))
    }
}
