//! What the tests of kernels share: random leaves, both forms compared in values and gradients, finite differences.

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Rope;

/// Relative to the largest number of a tensor: f32 sums of a few hundred products, in two different orders.
const ROUNDING: f64 = 2e-5;
/// Step of the central differences in f64; their error is its square.
const DIFFERENCE: f64 = 1e-5;
/// What is left of them after cancellation, relative to the largest gradient.
const DIFFERENCE_ERROR: f64 = 1e-7;

/// The CPU without autodiff.
pub fn device() -> Device {
    Device::flex()
}

/// An input of a kernel under test: a flat leaf and the shape in which the kernel sees it.
pub struct Leaf {
    flat: Tensor<1>,
    shape: Vec<usize>,
}

impl Leaf {
    fn new(values: &[f64], shape: &[usize], dtype: DType) -> Self {
        let device = device().autodiff();
        let flat = Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), (&device, dtype));
        Leaf { flat: flat.require_grad(), shape: shape.to_vec() }
    }

    /// A leaf from any tensor, to make constants like it.
    pub fn of<const D: usize>(x: &Tensor<D>) -> Self {
        let shape = x.dims().to_vec();
        Leaf { flat: x.clone().reshape([shape.iter().product::<usize>()]), shape }
    }

    /// The tensor that the kernel takes.
    pub fn get<const D: usize>(&self) -> Tensor<D> {
        let shape: [usize; D] = self.shape.as_slice().try_into().expect("the rank that the test gave");
        self.flat.clone().reshape(shape)
    }

    /// A constant on the same device and of the same type.
    pub fn constant(&self, values: Vec<f64>) -> Tensor<1> {
        let n = values.len();
        Tensor::from_data(TensorData::new(values, [n]), (&self.flat.device(), self.flat.dtype()))
    }
}

/// Numbers between -1 and 1.
fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random_range(-1.0f64..1.0)).collect()
}

/// A random f32 tensor, numbers between -1 and 1.
pub fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers(shape.iter().product(), seed), shape), (device, DType::F32))
}

/// The numbers of a tensor of any type.
pub fn values<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    x.to_data().iter::<f64>().collect()
}

/// A line of points, to be taken in either precision.
pub struct Line<'a>(&'a [f32]);

/// The points `[1, 1, n]`.
pub fn line(points: &[f32]) -> Line<'_> {
    Line(points)
}

impl Line<'_> {
    fn data(&self) -> TensorData {
        TensorData::new(self.0.to_vec(), [1, 1, self.0.len()])
    }

    /// In f32.
    pub fn into_float(self) -> Tensor<3> {
        Tensor::from_data(self.data(), (&device(), DType::F32))
    }

    /// In f64.
    pub fn into_double(self) -> Tensor<3> {
        Tensor::from_data(self.data(), (&device(), DType::F64))
    }
}

/// Rotary angles for `t` times, on the device and in the type of `like`.
pub fn angles(like: &Leaf, t: usize, rotated: usize) -> Rope {
    let half = rotated / 2;
    let angle = |i: usize| (i / half) as f64 * 100f64.powf(-((i % half) as f64) / half as f64);
    let table =
        |f: fn(f64) -> f64| like.constant((0..t * half).map(|i| f(angle(i))).collect()).reshape([t, half]);
    Rope { cos: table(f64::cos), sin: table(f64::sin) }
}

/// Asserts equality within [`ROUNDING`] of the largest.
pub fn assert_close(x: &[f64], y: &[f64], what: &str) {
    assert_close_within(x, y, ROUNDING, what);
}

fn assert_close_within(x: &[f64], y: &[f64], tolerance: f64, what: &str) {
    assert_eq!(x.len(), y.len(), "{what}: lengths");
    let largest = y.iter().fold(1e-3f64, |largest, y| largest.max(y.abs()));
    for (i, (x, y)) in x.iter().zip(y).enumerate() {
        let error = (x - y).abs() / largest;
        assert!(error <= tolerance, "{what}: element {i} is {x}, expected {y} (the largest is {largest})");
    }
}

/// Asserts that two tensors hold the same bits.
pub fn assert_equal_bits<const D: usize>(x: &Tensor<D>, y: &Tensor<D>) {
    assert_eq!(x.to_data(), y.to_data());
}

/// The output and the gradient of every leaf, for a fixed random gradient of the output.
fn run<const D: usize>(
    shapes: &[Vec<usize>],
    dtype: DType,
    f: impl Fn(&[Leaf]) -> Tensor<D>,
) -> (Vec<f64>, Vec<Vec<f64>>) {
    let leaves: Vec<Leaf> = shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| Leaf::new(&numbers(shape.iter().product(), i as u64), shape, dtype))
        .collect();
    let output = f(&leaves);
    let gradients = weighted(&output, &leaves[0]).backward();
    let gradient = |leaf: &Leaf| values(&leaf.flat.grad(&gradients).expect("every leaf has a gradient"));
    (values(&output), leaves.iter().map(gradient).collect())
}

/// A fixed random combination of the numbers of `output`.
fn weighted<const D: usize>(output: &Tensor<D>, like: &Leaf) -> Tensor<1> {
    let shape = output.dims();
    let upstream = like.constant(numbers(shape.iter().product(), 99)).reshape(shape);
    (output.clone() * upstream).sum()
}

/// Asserts that two forms agree in f32, in values and in the gradients of all leaves, and that the fast form gives
/// the same bits when nothing is tracked.
pub fn same<const D: usize>(
    shapes: &[Vec<usize>],
    fast: impl Fn(&[Leaf]) -> Tensor<D>,
    slow: impl Fn(&[Leaf]) -> Tensor<D>,
) {
    let (fast_output, fast_gradients) = run(shapes, DType::F32, &fast);
    let (slow_output, slow_gradients) = run(shapes, DType::F32, &slow);
    assert_close(&fast_output, &slow_output, &format!("output for {shapes:?}"));
    for (i, (fast, slow)) in fast_gradients.iter().zip(&slow_gradients).enumerate() {
        assert_close(fast, slow, &format!("gradient of input {i} for {shapes:?}"));
    }
    let plain: Vec<Leaf> = shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| Leaf::new(&numbers(shape.iter().product(), i as u64), shape, DType::F32))
        .map(|leaf| Leaf { flat: leaf.flat.inner(), shape: leaf.shape })
        .collect();
    assert!(values(&fast(&plain)) == fast_output, "tracking changed the output for {shapes:?}");
}

/// Asserts that the gradients that Burn derives in f64 are the central differences.
pub fn finite_differences<const D: usize>(shapes: &[Vec<usize>], f: impl Fn(&[Leaf]) -> Tensor<D>) {
    let (_, gradients) = run(shapes, DType::F64, &f);
    let at = |which: usize, element: usize, step: f64| {
        let leaves: Vec<Leaf> = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| {
                let mut numbers = numbers(shape.iter().product(), i as u64);
                if i == which {
                    numbers[element] += step;
                }
                Leaf::new(&numbers, shape, DType::F64)
            })
            .collect();
        values(&weighted(&f(&leaves), &leaves[0]))[0]
    };
    for (which, gradient) in gradients.iter().enumerate() {
        let difference = |i| (at(which, i, DIFFERENCE) - at(which, i, -DIFFERENCE)) / (2.0 * DIFFERENCE);
        let expected: Vec<f64> = (0..gradient.len()).map(difference).collect();
        assert_close_within(gradient, &expected, DIFFERENCE_ERROR, &format!("gradient of input {which}"));
    }
}

/// Runs `f` with `threads` threads.
pub fn in_pool<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a small pool").install(f)
}

/// Asserts that output and gradients are bit for bit the same with one thread and with two.
pub fn equal_bits<const D: usize>(shapes: &[Vec<usize>], f: impl Fn(&[Leaf]) -> Tensor<D> + Sync) {
    let one = in_pool(1, || run(shapes, DType::F32, &f));
    let two = in_pool(2, || run(shapes, DType::F32, &f));
    assert!(one == two, "the number of threads changed the result for {shapes:?}");
}
