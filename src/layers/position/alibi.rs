//! ALiBi: `score(i, j) - slope_h |i - j|`, slopes `2^(-8/h), 2^(-16/h), ..., 2^-8`; no parameters.
//!
//! Press et al. 2022 (arXiv 2108.12409): attention that prefers the near reads sequences longer than it was trained on.
//! When h is no power of two, the slopes are those of the power below it and every other one of the power above.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

/// The slopes of all heads; constants, not parameters.
#[derive(Module, Debug)]
pub struct Alibi {
    /// `[h]`.
    slopes: Tensor<1>,
}

impl Alibi {
    /// The slopes of `n_heads` heads.
    pub fn new(n_heads: usize, device: &Device) -> Self {
        Alibi { slopes: Tensor::from_floats(slopes(n_heads).as_slice(), device) }
    }

    /// What is added to the scores of the last `t` of `s` positions, `[h, t, s]`.
    pub fn bias(&self, t: usize, s: usize) -> Tensor<3> {
        let device = self.slopes.device();
        let times = |from: usize| Tensor::<1, Int>::arange(from as i64..s as i64, &device).float();
        let distance = times(s - t).unsqueeze_dim::<2>(1) - times(0).unsqueeze_dim::<2>(0); // [t, s]
        let slopes = self.slopes.clone().reshape([-1, 1, 1]); // [h, 1, 1]
        distance.abs().neg().unsqueeze::<3>() * slopes // [h, t, s]
    }
}

fn slopes(n_heads: usize) -> Vec<f32> {
    let geometric = |n: usize| (1..=n).map(move |i| (-8.0 * i as f32 / n as f32).exp2());
    if n_heads.is_power_of_two() {
        return geometric(n_heads).collect();
    }
    let below = n_heads.next_power_of_two() / 2;
    geometric(below).chain(geometric(2 * below).step_by(2)).take(n_heads).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_paper() {
        assert_eq!(slopes(8), [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]);
        assert_eq!(slopes(3), [0.0625, 0.00390625, 0.25]);
    }

    #[test]
    fn the_bias_is_the_slope_times_the_distance() {
        let alibi = Alibi::new(2, &crate::device::open("cpu").unwrap());
        let bias = alibi.bias(2, 3).into_data().try_into_vec::<f32>().unwrap();
        let [near, far] = [0.0625, 0.00390625];
        let expected = [-near, 0.0, -near, -2.0 * near, -near, 0.0, -far, 0.0, -far, -2.0 * far, -far, 0.0];
        assert_eq!(bias, expected);
    }
}
