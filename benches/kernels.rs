//! Speed of the kernels, fast form beside reference form: `RAYON_NUM_THREADS=1 cargo bench --bench kernels [-- P steps fast]`.
//!
//! For each shape: every kernel forward and with its backward, the rate of its products beside crate gemm's on the same
//! product, and a whole training step of a small GPT with AdamW. Times are the best of several rounds.

use std::hint::black_box;

use ablation_zoo::kernels::{self as fast, reference};
use ablation_zoo::kernels::{Activation, AdamwStep, Heads, Rope, level};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A model and a batch.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    d: usize,
    layers: usize,
    h: usize,
    rotated: usize,
    v: usize,
    t: usize,
    b: usize,
}

const SHAPES: [Shape; 5] = [
    Shape { name: "Q", d: 64, layers: 2, h: 2, rotated: 32, v: 261, t: 16, b: 16 },
    Shape { name: "P", d: 128, layers: 2, h: 2, rotated: 16, v: 3275, t: 512, b: 12 },
    Shape { name: "S", d: 64, layers: 2, h: 4, rotated: 16, v: 1024, t: 128, b: 16 },
    Shape { name: "M", d: 128, layers: 4, h: 4, rotated: 32, v: 2048, t: 256, b: 8 },
    Shape { name: "L", d: 256, layers: 6, h: 8, rotated: 32, v: 8192, t: 512, b: 8 },
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    println!("kernels {}, threads {}", level().name(), rayon::current_num_threads());
    println!("crate gemm 1024^3: {:.0} GFLOP/s", crate_gemm(1024, 1024, 1024));
    let shapes = chosen(&words, &SHAPES.map(|shape| shape.name), &["Q", "P"]);
    let parts = chosen(&words, &["products", "kernels", "steps"], &["products", "kernels", "steps"]);
    let forms = chosen(&words, &["fast", "reference"], &["fast", "reference"]);
    for s in SHAPES.iter().filter(|shape| shapes.contains(&shape.name)) {
        println!("\n{}: d {} layers {} heads {} v {} t {} b {}", s.name, s.d, s.layers, s.h, s.v, s.t, s.b);
        for part in &parts {
            match *part {
                "products" => products(s),
                "kernels" => kernels(s),
                _ => steps(s, &forms),
            }
        }
    }
}

/// Those of `all` that the command line names, or `usual` if it names none.
fn chosen(words: &[String], all: &[&'static str], usual: &[&'static str]) -> Vec<&'static str> {
    let named: Vec<_> = all.iter().copied().filter(|name| words.iter().any(|word| word == name)).collect();
    if named.is_empty() { usual.to_vec() } else { named }
}

/// Seconds since some moment: of this thread's own time on a processor where there is but one thread, so that other
/// programs disturb less; else of the clock on the wall.
fn now() -> f64 {
    let clock = match rayon::current_num_threads() {
        1 => libc::CLOCK_THREAD_CPUTIME_ID,
        _ => libc::CLOCK_MONOTONIC,
    };
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock writes the time that it is given.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

/// Seconds of one call, the best of rounds of at least 20 ms, for half a second.
fn seconds(mut call: impl FnMut()) -> f64 {
    call();
    let start = now();
    call();
    let calls = (0.02 / (now() - start)).ceil().max(1.0) as usize;
    let begin = now();
    let mut best = f64::INFINITY;
    while (now() - begin) < 0.5 {
        let start = now();
        (0..calls).for_each(|_| call());
        best = best.min((now() - start) / calls as f64);
    }
    best
}

/// GFLOP/s of crate gemm on row-major matrices.
fn crate_gemm(m: usize, n: usize, k: usize) -> f64 {
    let (a, b, mut c) = (vec![1.0f32; m * k], vec![1.0f32; k * n], vec![0.0f32; m * n]);
    let threads = match rayon::current_num_threads() {
        1 => gemm::Parallelism::None,
        n => gemm::Parallelism::Rayon(n),
    };
    let time = seconds(|| {
        let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
        let (n_, k_) = (n as isize, k as isize);
        // SAFETY: the strides are those of row-major matrices of these sizes.
        unsafe {
            gemm::gemm(m, n, k, c, 1, n_, false, a, 1, k_, b, 1, n_, 0.0, 1.0, false, false, false, threads)
        };
    });
    2e-9 * (m * n * k) as f64 / time
}

/// Numbers without a pattern, small enough for a training step.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..n).map(|_| next() * 0.2).collect()
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let n = shape.iter().product();
    Tensor::from_data(TensorData::new(numbers(n, n as u64), shape), (device, DType::F32))
}

fn tokens<const D: usize>(shape: [usize; D], v: usize, device: &Device) -> Tensor<D, Int> {
    let ids: Vec<i32> = (0..shape.iter().product()).map(|i: usize| (i * 7919 % v) as i32).collect();
    Tensor::from_data(TensorData::new(ids, shape), device)
}

fn angles(t: usize, rotated: usize, device: &Device) -> Rope {
    let half = rotated / 2;
    let angle = |i: usize| (i / half) as f64 * 1e4f64.powf(-((i % half) as f64) / half as f64);
    let table = |f: fn(f64) -> f64| {
        let values: Vec<f32> = (0..t * half).map(|i| f(angle(i)) as f32).collect();
        Tensor::from_data(TensorData::new(values, [t, half]), (device, DType::F32))
    };
    Rope { cos: table(f64::cos), sin: table(f64::sin) }
}

/// The rates of the products of each linear layer: y = x W alone, then with dx and dW (and the sum that begins the
/// backward).
fn products(s: &Shape) {
    println!(
        "{:24} {:>22} {:>14} {:>14} {:>14}",
        "product", "n x d_in x d_out", "crate gemm", "y = x W", "and backward"
    );
    let (n, d) = (s.b * s.t, s.d);
    for (name, i, o) in [("qkv", d, 3 * d), ("out", d, d), ("up", d, 4 * d), ("down", 4 * d, d)] {
        let device = Device::flex();
        let (x, w) = (random([s.b, s.t, i], &device), random([i, o], &device));
        let forward = seconds(|| drop(black_box(fast::linear(x.clone(), w.clone(), None))));
        let device = device.autodiff();
        let (x, w) = (random([s.b, s.t, i], &device).require_grad(), random([i, o], &device).require_grad());
        let all = seconds(|| drop(black_box(fast::linear(x.clone(), w.clone(), None).sum().backward())));
        let work = 2e-9 * (n * i * o) as f64;
        println!(
            "{name:24} {:>22} {:>14.0} {:>14.0} {:>14.0}",
            format!("{n} x {i} x {o}"),
            crate_gemm(n, o, i),
            work / forward,
            3.0 * work / all
        );
    }
}

/// Prints the times of one kernel in both forms.
fn compare<const D: usize>(name: &str, fast: impl Fn() -> Tensor<D>, slow: impl Fn() -> Tensor<D>) {
    let times = |f: &dyn Fn() -> Tensor<D>| {
        [seconds(|| drop(black_box(f()))) * 1e6, seconds(|| drop(black_box(f().sum().backward()))) * 1e6]
    };
    let ([fast, fast_all], [slow, slow_all]) = (times(&fast), times(&slow));
    println!("{name:24} {fast:>12.1} {slow:>12.1} {fast_all:>16.1} {slow_all:>12.1}");
}

fn kernels(s: &Shape) {
    println!(
        "{:24} {:>12} {:>12} {:>16} {:>12}",
        "us, tracked", "forward", "reference", "and backward", "reference"
    );
    let device = Device::flex().autodiff();
    let heads = Heads { n_heads: s.h, n_kv_heads: s.h, d_head: s.d / s.h };
    let rope = angles(s.t, s.rotated, &device);
    let leaf = |d: usize| random([s.b, s.t, d], &device).require_grad();
    let (x, wide, qkv) = (leaf(s.d), leaf(4 * s.d), leaf(3 * s.d));
    let (w, head) =
        (random([s.d, 4 * s.d], &device).require_grad(), random([s.v, s.d], &device).require_grad());
    let gamma = random([s.d], &device).require_grad();
    let n = s.b * s.t;
    let (ids, targets) = (tokens([s.b, s.t], s.v, &device), tokens([n], s.v, &device));
    let ones = Tensor::<1>::ones([n], &device);
    compare(
        "linear",
        || fast::linear(x.clone(), w.clone(), None),
        || reference::linear(x.clone(), w.clone(), None),
    );
    compare(
        "layer_norm",
        || fast::layer_norm(x.clone(), gamma.clone(), Some(gamma.clone()), 1e-5),
        || reference::layer_norm(x.clone(), gamma.clone(), Some(gamma.clone()), 1e-5),
    );
    compare(
        "rms_norm",
        || fast::rms_norm(x.clone(), gamma.clone(), 1e-5),
        || reference::rms_norm(x.clone(), gamma.clone(), 1e-5),
    );
    compare(
        "gelu",
        || fast::activation(wide.clone(), Activation::Gelu),
        || reference::activation(wide.clone(), Activation::Gelu),
    );
    compare(
        "silu gate",
        || fast::gated(wide.clone(), wide.clone(), Activation::Silu),
        || reference::gated(wide.clone(), wide.clone(), Activation::Silu),
    );
    compare(
        "attention",
        || fast::causal_attention(qkv.clone(), Some(&rope), heads),
        || reference::causal_attention(qkv.clone(), Some(&rope), heads),
    );
    compare(
        "embedding",
        || fast::embedding(head.clone(), ids.clone()),
        || reference::embedding(head.clone(), ids.clone()),
    );
    let hidden = random([n, s.d], &device).require_grad();
    compare(
        "linear_cross_entropy",
        || fast::linear_cross_entropy(hidden.clone(), head.clone(), targets.clone(), ones.clone()).0,
        || reference::linear_cross_entropy(hidden.clone(), head.clone(), targets.clone(), ones.clone()).0,
    );
}

/// The parameters of a pre-norm GPT with tied embedding, and their moments.
struct Model {
    parameters: Vec<Parameter>,
}

struct Parameter {
    value: Value,
    moments: Option<(Value, Value)>,
}

#[derive(Clone)]
enum Value {
    Vector(Tensor<1>),
    Matrix(Tensor<2>),
}

impl Model {
    fn new(s: &Shape, device: &Device) -> Self {
        let d = s.d;
        let vector = || Value::Vector(Tensor::ones([d], device).require_grad());
        let matrix = |i, o| Value::Matrix(random([i, o], device).require_grad());
        let mut values = vec![matrix(s.v, d)];
        for _ in 0..s.layers {
            values.extend([vector(), vector(), matrix(d, 3 * d), matrix(d, d)]);
            values.extend([vector(), vector(), matrix(d, 4 * d), matrix(4 * d, d)]);
        }
        values.extend([vector(), vector()]);
        let parameter = |value| Parameter { value, moments: None };
        Model { parameters: values.into_iter().map(parameter).collect() }
    }

    fn vector(&self, i: usize) -> Tensor<1> {
        match &self.parameters[i].value {
            Value::Vector(x) => x.clone(),
            Value::Matrix(_) => panic!("parameter {i} is a matrix"),
        }
    }

    fn matrix(&self, i: usize) -> Tensor<2> {
        match &self.parameters[i].value {
            Value::Matrix(x) => x.clone(),
            Value::Vector(_) => panic!("parameter {i} is a vector"),
        }
    }
}

/// One training step with the kernels of `$form`: the times of forward, backward and optimizer.
macro_rules! step {
    ($form:ident, $model:ident, $s:ident, $rope:ident, $ids:ident, $targets:ident, $ones:ident) => {{
        let begin = now();
        let heads = Heads { n_heads: $s.h, n_kv_heads: $s.h, d_head: $s.d / $s.h };
        let mut x = $form::embedding($model.matrix(0), $ids.clone());
        for layer in 0..$s.layers {
            let p = 1 + 8 * layer;
            let y = $form::layer_norm(x.clone(), $model.vector(p), Some($model.vector(p + 1)), 1e-5);
            let y =
                $form::causal_attention($form::linear(y, $model.matrix(p + 2), None), Some(&$rope), heads);
            x = $form::linear_add(y, $model.matrix(p + 3), None, x);
            let y = $form::layer_norm(x.clone(), $model.vector(p + 4), Some($model.vector(p + 5)), 1e-5);
            let y = $form::activation($form::linear(y, $model.matrix(p + 6), None), Activation::Gelu);
            x = $form::linear_add(y, $model.matrix(p + 7), None, x);
        }
        let p = 1 + 8 * $s.layers;
        let x = $form::layer_norm(x, $model.vector(p), Some($model.vector(p + 1)), 1e-5);
        let x = x.reshape([$s.b * $s.t, $s.d]);
        let (loss, _) = $form::linear_cross_entropy(x, $model.matrix(0), $targets.clone(), $ones.clone());
        let forward = (now() - begin);
        let value: f32 = loss.clone().into_scalar();
        let begin = now();
        let mut gradients = loss.backward();
        let backward = (now() - begin);
        let begin = now();
        let step = AdamwStep {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.1,
            step: 1,
            grad_scale: 1.0,
        };
        macro_rules! update {
            ($variant:ident, $p:ident, $parameter:ident) => {{
                let g = $p.grad_remove(&mut gradients).expect("a gradient");
                black_box($form::square_sum(g.clone()).into_scalar::<f32>());
                let (m, v) = match $parameter.moments.take() {
                    Some((Value::$variant(m), Value::$variant(v))) => (m, v),
                    _ => (g.zeros_like(), g.zeros_like()),
                };
                let (p, m, v) = $form::adamw($p.inner(), g, m, v, &step);
                $parameter.moments = Some((Value::$variant(m), Value::$variant(v)));
                $parameter.value = Value::$variant(Tensor::from_inner(p).require_grad());
            }};
        }
        for parameter in &mut $model.parameters {
            match std::mem::replace(&mut parameter.value, Value::Vector($ones.clone())) {
                Value::Vector(p) => update!(Vector, p, parameter),
                Value::Matrix(p) => update!(Matrix, p, parameter),
            }
        }
        (value, [forward, backward, (now() - begin)])
    }};
}

fn steps(s: &Shape, forms: &[&str]) {
    let device = Device::flex().autodiff();
    let n = s.b * s.t;
    let (ids, targets) = (tokens([s.b, s.t], s.v, &device), tokens([n], s.v, &device));
    let (rope, ones) = (angles(s.t, s.rotated, &device), Tensor::<1>::ones([n], &device));
    let parameters = 12 * s.d * s.d * s.layers + s.v * s.d;
    let work = n as f64 * (6 * parameters + 6 * s.layers * s.d * s.t) as f64;
    println!(
        "{:24} {:>10} {:>10} {:>10} {:>10} {:>12} {:>10} {:>10}",
        "step, ms", "forward", "backward", "optimizer", "all", "tokens/s", "GFLOP/s", "loss"
    );
    for &form in forms {
        let mut model = Model::new(s, &device);
        let (mut best, mut count, mut value) = ([f64::INFINITY; 3], 0, 0.0);
        let begin = now();
        while count < 3 || (now() - begin) < 3.0 {
            let (loss, times) = match form {
                "fast" => step!(fast, model, s, rope, ids, targets, ones),
                _ => step!(reference, model, s, rope, ids, targets, ones),
            };
            if times.iter().sum::<f64>() < best.iter().sum::<f64>() {
                best = times;
            }
            (count, value) = (count + 1, loss);
            if count == 3 && form == "reference" && (now() - begin) > 1.0 {
                break;
            }
        }
        let all: f64 = best.iter().sum();
        let [forward, backward, optimizer] = best.map(|x| x * 1e3);
        println!(
            "{form:24} {forward:>10.3} {backward:>10.3} {optimizer:>10.3} {:>10.3} {:>12.0} {:>10.1} {value:>10.4}",
            all * 1e3,
            n as f64 / all,
            1e-9 * work / all
        );
    }
}
