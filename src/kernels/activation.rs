//! y = function(x) elementwise, and the gate of a gated MLP y = function(gate) * up (Shazeer 2020, arXiv 2002.05202).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

#[cfg(feature = "flex")]
use super::flex;
use super::precision::upcast;

/// An elementwise nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// x Phi(x), with the error function (Hendrycks and Gimpel 2016, arXiv 1606.08415).
    #[default]
    Gelu,
    /// GELU by tanh, as in GPT-2: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    GeluTanh,
    /// x sigmoid(x), also called swish (Ramachandran et al. 2017, arXiv 1710.05941).
    Silu,
    /// max(x, 0).
    Relu,
    /// max(x, 0)^2 (So et al. 2021, arXiv 2109.08668).
    ReluSquared,
}

/// `function(x)`.
///
/// # Shapes
/// `x [b, t, f]` to `[b, t, f]`.
pub fn activation(x: Tensor<3>, function: Activation) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if flex::takes(&x) {
        return flex::activation(x, function);
    }
    reference::activation(x, function)
}

/// `function(gate) * up`.
///
/// # Shapes
/// `gate [b, t, f]`, `up [b, t, f]` to `[b, t, f]`.
pub fn gated(gate: Tensor<3>, up: Tensor<3>, function: Activation) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if flex::takes(&gate) {
        return flex::gated(gate, up, function);
    }
    reference::gated(gate, up, function)
}

pub mod reference {
    //! The same in plain tensor code.
    use burn::tensor::activation::{relu, sigmoid};

    use super::*;

    /// See [`super::activation`].
    pub fn activation(x: Tensor<3>, function: Activation) -> Tensor<3> {
        let (dtype, x) = (x.dtype(), upcast(x));
        let y = match function {
            Activation::Gelu => {
                let twice_phi = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0;
                x * twice_phi * 0.5
            }
            Activation::GeluTanh => {
                let cubic = x.clone() + x.clone() * x.clone() * x.clone() * 0.044715;
                let tanh = (cubic * (2.0 / std::f64::consts::PI).sqrt()).tanh();
                x * (tanh + 1.0) * 0.5
            }
            Activation::Silu => x.clone() * sigmoid(x),
            Activation::Relu => relu(x),
            Activation::ReluSquared => {
                let y = relu(x);
                y.clone() * y
            }
        };
        y.cast(dtype)
    }

    /// See [`super::gated`].
    pub fn gated(gate: Tensor<3>, up: Tensor<3>, function: Activation) -> Tensor<3> {
        activation(gate, function) * up
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::kernels::check::{self, Leaf};

    const ALL: [Activation; 5] =
        [Activation::Gelu, Activation::GeluTanh, Activation::Silu, Activation::Relu, Activation::ReluSquared];
    /// The fast forms replace erf, exp and tanh by polynomials good to a few units in the last place.
    const POLYNOMIAL: f64 = 2e-6;

    #[test]
    fn every_function_is_its_reference_in_values_and_gradients() {
        for function in ALL {
            for shape in [vec![2, 3, 7], vec![1, 1, 1], vec![3, 11, 33], vec![2, 8, 64]] {
                let fast = |x: &[Leaf]| activation(x[0].get(), function);
                let slow = |x: &[Leaf]| reference::activation(x[0].get(), function);
                check::same(std::slice::from_ref(&shape), fast, slow);
                let fast = |x: &[Leaf]| gated(x[0].get(), x[1].get(), function);
                let slow = |x: &[Leaf]| reference::gated(x[0].get(), x[1].get(), function);
                check::same(&[shape.clone(), shape], fast, slow);
            }
        }
    }

    #[test]
    fn the_reference_gradients_are_the_finite_differences() {
        for function in ALL {
            check::finite_differences(&[vec![2, 3, 5], vec![2, 3, 5]], |x| {
                reference::gated(x[0].get(), x[1].get(), function)
            });
        }
    }

    #[test]
    fn the_whole_line_agrees_with_f64_and_the_far_ends_are_finite() {
        let points: Vec<f32> =
            (-1200..=1200).map(|i| i as f32 / 100.0).chain([-1e4, -100.0, 100.0, 1e4]).collect();
        for function in ALL {
            let fast = activation(check::line(&points).into_float(), function);
            let slow = reference::activation(check::line(&points).into_double(), function);
            let (fast, slow) = (check::values(&fast), check::values(&slow));
            for ((x, y), expected) in points.iter().zip(&fast).zip(&slow) {
                let error = (y - expected).abs() / expected.abs().max(1e-3);
                assert!(error < POLYNOMIAL, "{function:?}({x}) = {y}, expected {expected}");
            }
        }
    }

    #[test]
    fn views_that_are_not_contiguous_give_the_same_numbers() {
        let fast = |x: &[Leaf]| {
            let both = x[0].get::<3>();
            gated(both.clone().narrow(2, 0, 5), both.narrow(2, 5, 5).swap_dims(0, 1), Activation::Silu)
        };
        let slow = |x: &[Leaf]| {
            let both = x[0].get::<3>();
            reference::gated(
                both.clone().narrow(2, 0, 5),
                both.narrow(2, 5, 5).swap_dims(0, 1),
                Activation::Silu,
            )
        };
        check::same(&[vec![3, 3, 10]], fast, slow);
    }

    #[test]
    fn one_thread_and_two_give_equal_bits() {
        let shape = vec![3, 100, 333];
        check::equal_bits(&[shape.clone(), shape], |x| gated(x[0].get(), x[1].get(), Activation::Gelu));
    }

    #[test]
    fn names_are_kebab_case() {
        let names: Vec<_> = ALL.iter().map(|f| serde_json::to_string(f).unwrap()).collect();
        assert_eq!(names, ["\"gelu\"", "\"gelu-tanh\"", "\"silu\"", "\"relu\"", "\"relu-squared\""]);
    }
}
