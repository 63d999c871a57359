//! `L(r, s) = (A / (r + r0)^alpha) (B / s^beta + C)` with `A = 1`: a power of the own share times a power of
//! time.
//!
//! Ge et al. 2024 (arXiv 2405.14908), equations 1 to 3. `A` only ever appears as `A B` and `A C`, so that
//! four of their five constants can be known. The law says nothing of the other domains: what they teach goes
//! into `r0`.

use serde::{Deserialize, Serialize};

use super::{AtZero, Mixtures, too_few};
use crate::error::{Error, Problem, Result};
use crate::laws::least_squares::{Bound, Loss, minimise_from};

/// Constants of one domain.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bimix {
    /// Exponent of the share.
    pub alpha: f64,
    /// `B`: what time removes, in nats at `r = 1, s = 1`; 0 for a law of one time.
    pub b: f64,
    /// Exponent of time.
    pub beta: f64,
    /// `C`: what time leaves, in nats at `r = 1`.
    pub c: f64,
    /// `r0`: what the other domains are worth; 0 without an offset.
    pub offset: f64,
}

/// Whether the law has a term for time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// `B / s^beta + C`.
    Fitted,
    /// `C` alone.
    One,
}

const ALPHAS: Bound = (0.0, 5.0);
const BETAS: Bound = (0.01, 3.0);
const LN_COEFFICIENTS: Bound = (-30.0, 30.0);
/// From a millionth to a whole.
const LN_OFFSETS: Bound = (-13.8, 0.0);

const START_ALPHAS: [f64; 2] = [0.05, 0.4];
const START_BETAS: [f64; 2] = [0.2, 0.8];
const START_OFFSETS: [f64; 2] = [1e-3, 3e-2];

impl Bimix {
    /// Loss in nats at a share and a time; infinite at share 0 without an offset.
    pub fn loss(&self, share: f64, steps: f64) -> f64 {
        self.at_whole(steps) * (share + self.offset).powf(-self.alpha)
    }

    /// `G(s) = B / s^beta + C`, the loss at `r + r0 = 1`.
    pub fn at_whole(&self, steps: f64) -> f64 {
        self.c + self.b * steps.powf(-self.beta)
    }

    /// Derivative of the loss by the share.
    pub(super) fn slope(&self, share: f64, steps: f64) -> f64 {
        -self.alpha * self.loss(share, steps) / (share + self.offset)
    }
}

/// The coordinates of the search: `alpha, ln C, ln r0, ln (B / s0^beta), beta`, the last two or three left
/// out at need.
struct Search {
    at_zero: AtZero,
    time: Time,
    /// Time in the middle of the measurements.
    steps: f64,
}

impl Search {
    fn decode(&self, x: &[f64]) -> Bimix {
        let (offset, rest) = match self.at_zero {
            AtZero::Drop => (0.0, &x[2..]),
            AtZero::Offset => (x[2].exp(), &x[3..]),
        };
        let (b, beta) = match self.time {
            Time::Fitted => ((rest[0] + rest[1] * self.steps.ln()).exp(), rest[1]),
            Time::One => (0.0, 0.0),
        };
        Bimix { alpha: x[0], c: x[1].exp(), offset, b, beta }
    }

    fn bounds(&self) -> Vec<Bound> {
        let offset = match self.at_zero {
            AtZero::Drop => &[][..],
            AtZero::Offset => &[LN_OFFSETS],
        };
        let time = match self.time {
            Time::Fitted => &[LN_COEFFICIENTS, BETAS][..],
            Time::One => &[],
        };
        [&[ALPHAS, LN_COEFFICIENTS], offset, time].concat()
    }

    /// All combinations; `level` is the middle of the log losses, of which time removes some or most.
    fn starts(&self, level: f64) -> Vec<Vec<f64>> {
        let mut starts: Vec<Vec<f64>> = START_ALPHAS.iter().map(|&alpha| vec![alpha, level]).collect();
        let extend = |starts: Vec<Vec<f64>>, more: &[Vec<f64>]| -> Vec<Vec<f64>> {
            starts.iter().flat_map(|start| more.iter().map(move |more| [&start[..], more].concat())).collect()
        };
        match self.at_zero {
            AtZero::Drop => {}
            AtZero::Offset => starts = extend(starts, &START_OFFSETS.map(|offset| vec![offset.ln()])),
        }
        match self.time {
            Time::Fitted => starts = extend(starts, &START_BETAS.map(|beta| vec![level - 1.0, beta])),
            Time::One => {}
        }
        starts
    }
}

/// Least squares of `ln L` within bounds, from several starts.
pub(super) fn fit(
    mixtures: &Mixtures,
    target: usize,
    own: usize,
    at_zero: AtZero,
    time: Time,
) -> Result<Bimix> {
    let all = mixtures.observations.iter().map(|o| (o.shares[own], o.steps, o.losses[target].ln()));
    let points: Vec<(f64, f64, f64)> = match at_zero {
        AtZero::Drop => all.filter(|(share, _, _)| *share > 0.0).collect(),
        AtZero::Offset => all.collect(),
    };
    let mean = |of: fn(&(f64, f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let search = Search { at_zero, time, steps: mean(|p| p.1.ln()).exp() };
    let bounds = search.bounds();
    if points.len() <= bounds.len() {
        return Err(too_few(points.len(), bounds.len(), mixtures.target(target)));
    }
    let errors = |x: &[f64], out: &mut Vec<f64>| {
        let law = search.decode(x);
        out.extend(points.iter().map(|&(share, steps, ln_loss)| law.loss(share, steps).ln() - ln_loss));
    };
    let minimum = minimise_from(&search.starts(mean(|p| p.2)), &bounds, Loss::Square, errors);
    minimum.map(|minimum| search.decode(&minimum.x)).ok_or_else(|| {
        Error::data(Problem::new(format!("no own-share law fits {}", mixtures.target(target))))
    })
}
