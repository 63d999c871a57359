//! Which positions a query reads: those before it, only the near ones of those, or the whole sequence.

use burn::tensor::{Bool, Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Problem;

/// The attention mask: which positions a query reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionMask {
    /// Itself and all before it.
    #[default]
    Causal,
    /// Itself and the `size - 1` before it (Beltagy et al. 2020, arXiv 2004.05150; Mistral).
    SlidingWindow(WindowConfig),
    /// The whole row, in both directions: encoders.
    Bidirectional,
}

/// Settings of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowConfig {
    /// Positions that a query reads, its own included.
    pub size: usize,
}

impl AttentionMask {
    /// What is impossible about it; keys are relative to `mask`.
    pub fn check(&self) -> Vec<Problem> {
        match self {
            AttentionMask::SlidingWindow(WindowConfig { size: 0 }) => {
                let problem = Problem::new("0").key("size").expected("at least 1");
                vec![problem.help("say how many positions a query reads, for instance size = 128")]
            }
            AttentionMask::Causal | AttentionMask::SlidingWindow(_) | AttentionMask::Bidirectional => {
                Vec::new()
            }
        }
    }

    /// Whether rows of `t` are read as if it were plainly causal.
    pub fn is_causal_within(&self, t: usize) -> bool {
        match self {
            AttentionMask::Causal => true,
            AttentionMask::SlidingWindow(window) => t <= window.size,
            AttentionMask::Bidirectional => false,
        }
    }

    /// True where the last `t` of `s` positions do not read, `[t, s]`; none if they read everything.
    pub fn hidden(&self, [t, s]: [usize; 2], device: &Device) -> Option<Tensor<2, Bool>> {
        let times = |from: usize| Tensor::<1, Int>::arange(from as i64..s as i64, device);
        let distance = || times(s - t).unsqueeze_dim::<2>(1) - times(0).unsqueeze_dim::<2>(0); // [t, s]
        match self {
            AttentionMask::Causal => Some(distance().lower_elem(0)),
            AttentionMask::SlidingWindow(window) => {
                let distance = distance();
                Some(distance.clone().lower_elem(0).bool_or(distance.greater_equal_elem(window.size as i64)))
            }
            AttentionMask::Bidirectional => None,
        }
    }

    /// FLOPs per token of scores and values of `width = h k` channels in rows of `t`: four per channel and key; a
    /// causal row of `t` counts as `t / 2` keys per query.
    pub fn flops_per_token(&self, width: usize, t: usize) -> u64 {
        let (width, t) = (width as u128, t.max(1) as u128);
        let twice_the_pairs = match self {
            AttentionMask::Causal => t * t,
            AttentionMask::SlidingWindow(window) => {
                let w = (window.size as u128).min(t);
                w * (2 * t - w)
            }
            AttentionMask::Bidirectional => 2 * t * t,
        };
        (2 * width * twice_the_pairs / t) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(mask: AttentionMask, t: usize, s: usize) -> Vec<String> {
        let hidden = mask.hidden([t, s], &crate::device::open("cpu").unwrap()).unwrap().into_data();
        let marks: String = hidden.iter::<bool>().map(|hidden| if hidden { '.' } else { 'x' }).collect();
        (0..t).map(|i| marks[i * s..(i + 1) * s].to_string()).collect()
    }

    #[test]
    fn masks_look_as_their_names_say() {
        assert_eq!(rows(AttentionMask::Causal, 3, 3), ["x..", "xx.", "xxx"]);
        assert_eq!(rows(AttentionMask::Causal, 2, 4), ["xxx.", "xxxx"]);
        assert_eq!(
            rows(AttentionMask::SlidingWindow(WindowConfig { size: 2 }), 4, 4),
            ["x...", "xx..", ".xx.", "..xx"]
        );
        assert_eq!(rows(AttentionMask::SlidingWindow(WindowConfig { size: 2 }), 1, 4), ["..xx"]);
    }

    #[test]
    fn a_window_as_long_as_the_row_costs_what_causal_costs() {
        let window = |size| AttentionMask::SlidingWindow(WindowConfig { size });
        for size in [7, 8] {
            assert_eq!(window(size).flops_per_token(6, 7), AttentionMask::Causal.flops_per_token(6, 7));
        }
        assert!(window(3).flops_per_token(6, 7) < AttentionMask::Causal.flops_per_token(6, 7));
        assert_eq!(AttentionMask::Bidirectional.flops_per_token(6, 7), 4 * 6 * 7);
    }
}
