//! Rotations of rows; the backward turns the other way.

use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::gemm::{Output, View};
use super::simd::simd;
use super::tensor::{constant, contiguous, last, numbers, output};
use super::{Operation, call_one};
use crate::kernels::Rope;

/// [`crate::kernels::rope()`].
pub fn rope(x: Tensor<4>, rope: &Rope) -> Tensor<4> {
    call_one(Turn(Angles::new(rope, x.dims()[2])), x)
}

/// The tables of a [`Rope`] as buffers, a row of half the turned channels for each time.
#[derive(Debug, Clone)]
pub struct Angles {
    cos: FlexTensor,
    sin: FlexTensor,
}

/// Which way to turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By the angle of the time.
    Forward,
    /// Back.
    Backward,
}

impl Angles {
    /// The angles of `t` times.
    pub fn new(rope: &Rope, t: usize) -> Self {
        assert_eq!(rope.cos.dims(), rope.sin.dims(), "every angle has a cosine and a sine");
        assert!(rope.cos.dims()[0] >= t, "rotary angles for {t} times, found {}", rope.cos.dims()[0]);
        Angles { cos: constant(&rope.cos), sin: constant(&rope.sin) }
    }
}

/// Rows of a buffer, `stride` numbers from one to the next.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The numbers from the first row on.
    pub data: &'a [f32],
    /// From one row to the next.
    pub stride: usize,
}

impl<'a> Rows<'a> {
    /// The rows from `row` on.
    pub fn from(self, row: usize) -> Self {
        Rows { data: &self.data[row * self.stride..], ..self }
    }

    /// `n` rows, `k` wide, as a factor of a product.
    pub fn view(self, n: usize, k: usize) -> View<'a> {
        View::strided(self.data, n, k, self.stride)
    }
}

/// Writes `n` rows of `from`, `k` wide, to `to`: row i turned by the angles of time i, if any, and times `factor`.
pub fn turn(from: Rows, n: usize, k: usize, to: Output, angles: &Option<Angles>, factor: f32, way: Way) {
    let (cos, sin, half) = match angles {
        Some(angles) => (numbers(&angles.cos), numbers(&angles.sin), last(&angles.cos)),
        None => (&[][..], &[][..], 0),
    };
    assert!(2 * half <= k, "{} of {k} channels cannot turn", 2 * half);
    turn_rows(from, n, k, to, cos, sin, half, factor, way);
}

simd! {
    fn turn_rows<S>(s, from: Rows, n: usize, k: usize, to: Output, cos: &[f32], sin: &[f32], half: usize, factor: f32,
                    way: Way) {
        let sign = match way { Way::Forward => factor, Way::Backward => -factor };
        let (factors, signs) = (s.splat(factor), s.splat(sign));
        let whole = half / S::LANES * S::LANES;
        for time in 0..n {
            let x = &from.data[time * from.stride..][..k];
            // SAFETY: the caller gives an output of `n` rows, `k` wide, that is this thread's.
            let y = unsafe { to.row(time, k) };
            let (cos, sin) = (&cos[time * half..][..half], &sin[time * half..][..half]);
            for i in (0..whole).step_by(S::LANES) {
                let (a, b) = (s.get(x, i), s.get(x, half + i));
                let (cos, sin) = (s.mul(s.get(cos, i), factors), s.mul(s.get(sin, i), signs));
                s.set(y, i, s.sub(s.mul(a, cos), s.mul(b, sin)));
                s.set(y, half + i, s.add(s.mul(b, cos), s.mul(a, sin)));
            }
            for i in whole..half {
                let (a, b) = (x[i], x[half + i]);
                let (cos, sin) = (cos[i] * factor, sin[i] * sign);
                y[i] = a * cos - b * sin;
                y[half + i] = b * cos + a * sin;
            }
            let still = 2 * half;
            let whole = still + (k - still) / S::LANES * S::LANES;
            for i in (still..whole).step_by(S::LANES) {
                s.set(y, i, s.mul(s.get(x, i), factors));
            }
            for i in whole..k {
                y[i] = x[i] * factor;
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Turn(Angles);

impl Turn {
    fn all(self, x: FlexTensor, way: Way) -> FlexTensor {
        let x = contiguous(x);
        let [_, _, t, k] = x.layout().shape().dims();
        let angles = Some(self.0);
        output(x.layout().shape().clone(), |y| {
            for (from, to) in numbers(&x).chunks_exact(t * k).zip(y.chunks_exact_mut(t * k)) {
                turn(Rows { data: from, stride: k }, t, k, Output::new(to, k), &angles, 1.0, way);
            }
        })
    }
}

impl Operation<1> for Turn {
    type Saved = ();

    fn forward_saving(self, [x]: [FlexTensor; 1]) -> (FlexTensor, ()) {
        (self.all(x, Way::Forward), ())
    }

    fn backward(self, (): (), gradient: FlexTensor, _wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(self.all(gradient, Way::Backward))]
    }
}
