//! `min { x : s(x) <= L }`: when a run first gets down to a loss.

use super::crossing::places;
use super::smooth::Smoothed;
use super::{Curve, Smoothing};

/// When a run first gets down to a loss, in the unit of its axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Passage {
    /// Here.
    At(f64),
    /// At or before its first point, which is here.
    Before(f64),
    /// The run does not reach the loss by its last point, which is here.
    After(f64),
}

/// Places at which a curve is looked at, evenly in `ln x`.
const PLACES: usize = 400;

/// A smoothed run, ready to be asked when it passes a loss.
pub struct Descent {
    places: Vec<f64>,
    smoothed: Smoothed,
}

impl Descent {
    /// Smooths `curve` over its whole range.
    pub fn new(curve: &Curve, smoothing: Smoothing) -> Self {
        let places = places(curve.range(), PLACES);
        Descent { smoothed: Smoothed::new(curve, &places, smoothing), places }
    }

    /// When the run first gets down to `loss` nats.
    pub fn passage(&self, loss: f64) -> Passage {
        first_at_most(&self.places, &self.smoothed.loss, loss)
    }

    /// The loss at its last point, in nats.
    pub fn last_loss(&self) -> f64 {
        self.smoothed.loss[self.smoothed.loss.len() - 1]
    }
}

fn first_at_most(places: &[f64], losses: &[f64], loss: f64) -> Passage {
    match losses.iter().position(|&other| other <= loss) {
        None => Passage::After(places[places.len() - 1].exp()),
        Some(0) => Passage::Before(places[0].exp()),
        Some(k) => {
            let share = (losses[k - 1] - loss) / (losses[k - 1] - losses[k]);
            Passage::At((places[k - 1] + share * (places[k] - places[k - 1])).exp())
        }
    }
}
