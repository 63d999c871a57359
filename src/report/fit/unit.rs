//! Units of an axis as people read them: seconds where an hour is never reached.

use crate::laws::bootstrap::Interval;
use crate::laws::curves::Axis;

/// What numbers along an axis are multiplied with, and called, before they are shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// Factor.
    pub factor: f64,
    /// Name.
    pub name: &'static str,
}

impl Unit {
    /// For values up to `most`.
    pub fn of(axis: Axis, most: f64) -> Self {
        let (factor, name) = match axis {
            Axis::Hours if most < 1.0 => (3600.0, "seconds"),
            Axis::Hours => (1.0, "GPU-hours"),
            Axis::Tokens => (1.0, "tokens"),
            Axis::Flops => (1.0, "FLOPs"),
            Axis::SixNd => (1.0, "FLOPs (6ND)"),
        };
        Unit { factor, name }
    }

    /// A value in this unit.
    pub fn value(&self, x: f64) -> String {
        digits(self.factor * x)
    }

    /// An interval in this unit, without its name.
    pub fn interval(&self, at: &Interval) -> String {
        let [low, high] =
            [at.low, at.high].map(|end| if end.is_finite() { self.value(end) } else { "open".into() });
        format!("{} [{low}, {high}]", self.value(at.estimate))
    }
}

/// Three digits: `2.20e4`, `41.3`.
fn digits(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if value == 0.0 => "0".to_string(),
        _ if !(1e-2..1e4).contains(&size) => format!("{value:.2e}"),
        _ => format!("{value:.*}", (2 - size.log10().floor() as i32).max(0) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_runs_are_told_in_seconds_and_open_ends_are_said() {
        let unit = Unit::of(Axis::Hours, 0.02);
        assert_eq!(
            unit.interval(&Interval { estimate: 0.01, low: 0.005, high: f64::INFINITY }),
            "36.0 [18.0, open]"
        );
        assert_eq!(Unit::of(Axis::Hours, 1e5).value(22_345.0), "2.23e4");
        assert_eq!(Unit::of(Axis::Flops, 1e12).value(0.0), "0");
    }
}
