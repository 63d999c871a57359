//! `|s_1(x) - s_2(x)| >= resolution`: the overlap of two curves, cut where the lead begins, ends and changes
//! hands.

use super::crossing::{Lead, Side, Touch};

/// A change of the lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Change {
    pub(super) at: f64,
    pub(super) ahead: Side,
}

/// The overlap cut where the difference leaves or enters the resolution.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    pub(super) changes: Vec<Change>,
    pub(super) touches: Vec<Touch>,
    pub(super) leads: Vec<Lead>,
}

impl Stretches {
    pub(super) fn of(places: &[f64], first: &[f64], second: &[f64], resolution: f64) -> Self {
        let difference: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
        let leader = |d: f64| match d {
            d if d <= -resolution => Some(Side::First),
            d if d >= resolution => Some(Side::Second),
            _ => None,
        };
        let mut found = Stretches::default();
        let mut start = 0;
        while start < places.len() {
            let side = leader(difference[start]);
            let end = (start..places.len()).find(|&k| leader(difference[k]) != side).unwrap_or(places.len());
            let (from, to) = (places[start].exp(), places[end - 1].exp());
            let most = difference[start..end].iter().fold(0.0, |most: f64, d| most.max(d.abs()));
            if let Some(side) = side {
                let before = found.leads.last().map(|lead| lead.side);
                if before.is_some_and(|before| before != side) {
                    found.changes.push(Change { at: zero(places, &difference, start), ahead: side });
                    // What lay between the two leads was the crossing, not a touch.
                    let last_lead = found.leads.last().map_or(0.0, |lead| lead.to);
                    found.touches.retain(|touch| touch.to <= last_lead);
                }
                found.leads.push(Lead { side, from, to, most });
            } else {
                found.touches.push(Touch { from, to, difference: most });
            }
            start = end;
        }
        found
    }
}

/// The last change of sign before place `end`, on the straight line between its neighbours.
fn zero(places: &[f64], difference: &[f64], end: usize) -> f64 {
    let k = (1..=end).rev().find(|&k| difference[k - 1] * difference[end] <= 0.0).unwrap_or(end);
    let share = difference[k - 1] / (difference[k - 1] - difference[k]);
    (places[k - 1] + share * (places[k] - places[k - 1])).exp()
}
