//! Scales, round ticks, and labels that keep out of each other's way.

use super::super::number;

/// How values are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Equal differences, equal distances.
    Linear,
    /// Equal ratios, equal distances.
    Logarithmic,
}

/// From values to pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    spacing: Spacing,
    values: (f64, f64),
    pixels: (f64, f64),
}

impl Scale {
    /// Lays `values` out over `pixels`; a range of one value gets room on both sides.
    pub fn new(spacing: Spacing, values: (f64, f64), pixels: (f64, f64)) -> Self {
        let values = match spacing {
            _ if values.0 != values.1 => values,
            Spacing::Linear => (values.0 - 0.5, values.1 + 0.5),
            Spacing::Logarithmic => (values.0 / 2.0, values.1 * 2.0),
        };
        Scale { spacing, values, pixels }
    }

    /// The pixel of a value.
    pub fn at(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let share = match self.spacing {
            Spacing::Linear => (value - low) / (high - low),
            Spacing::Logarithmic => (value / low).ln() / (high / low).ln(),
        };
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// The lowest value that is shown.
    pub fn start(&self) -> f64 {
        self.values.0
    }

    /// The highest value that is shown.
    pub fn end(&self) -> f64 {
        self.values.1
    }

    /// The pixels that values are laid out over.
    pub fn pixels(&self) -> (f64, f64) {
        self.pixels
    }
}

/// Round values, 1, 2 or 5 times a power of ten apart, inside `low..=high`; as near to `wanted` of them as can be.
pub fn ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let power = ((high - low).max(f64::MIN_POSITIVE) / wanted.max(1) as f64).log10().floor();
    let steps = [-1.0, 0.0, 1.0].map(|shift| [1.0, 2.0, 5.0].map(|m| m * 10f64.powf(power + shift)));
    let between = |step: &f64| -> Vec<f64> {
        // the tolerance keeps a tick at 0.3 when 0.3 / 0.1 comes out as 2.999...
        let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        (first..=last).map(|index| index as f64 * step).collect()
    };
    let candidates = steps.iter().flatten().map(between);
    candidates.min_by_key(|ticks| ticks.len().abs_diff(wanted)).unwrap_or_default()
}

/// Powers of ten inside `low..=high`, with 2 and 5 times them where that leaves fewer than `wanted`.
pub fn log_ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let of = |digits: &'static [f64]| -> Vec<f64> {
        let all = powers.clone().flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)));
        all.filter(|tick| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(tick)).collect()
    };
    let (sparse, dense) = (of(&[1.0]), of(&[1.0, 2.0, 5.0]));
    if sparse.len() < wanted { dense } else { sparse }
}

/// Labels of ticks, all with the decimals that their step needs.
pub fn tick_labels(ticks: &[f64]) -> Vec<String> {
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    if step >= 1000.0 {
        return ticks.iter().map(|&tick| thousands(tick, step)).collect();
    }
    let decimals = (-(step * 1.001).log10().floor()).clamp(0.0, 6.0) as usize;
    ticks.iter().map(|&tick| number::fixed(tick, decimals)).collect()
}

/// With one prefix for all: `0`, `2M`, `4M`, or `0`, `0.5M`, `1.0M`.
fn thousands(tick: f64, step: f64) -> String {
    if tick == 0.0 {
        return "0".to_string();
    }
    let prefixes = [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (size, prefix) = prefixes.into_iter().find(|(size, _)| *size <= step * 10.0).unwrap_or((1.0, ""));
    let decimals = if step < size { 1 } else { 0 };
    format!("{}{prefix}", number::fixed(tick / size, decimals))
}

/// Moves labels, wanted at these pixels, apart to at least `gap`, inside `low..=high`, keeping their order.
pub fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let mut placed = wanted.to_vec();
    // A label pushed down by the one above, then the whole column pushed up from its lower end: labels in a cluster
    // share the displacement.
    for _ in 0..64 {
        for pair in order.windows(2) {
            let overlap = gap - (placed[pair[1]] - placed[pair[0]]);
            if overlap > 0.0 {
                placed[pair[0]] -= overlap / 2.0;
                placed[pair[1]] += overlap / 2.0;
            }
        }
        placed.iter_mut().for_each(|y| *y = y.clamp(low, high));
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside_the_data() {
        assert_eq!(tick_labels(&ticks(0.0, 1.37, 4)), ["0.0", "0.5", "1.0"]);
        assert_eq!(tick_labels(&ticks(0.0, 1.0, 6)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(tick_labels(&ticks(0.0, 8.1e6, 4)), ["0", "2M", "4M", "6M", "8M"]);
        assert_eq!(tick_labels(&ticks(0.0, 1.6e6, 4)), ["0", "0.5M", "1.0M", "1.5M"]);
        assert_eq!(tick_labels(&ticks(-0.13, 0.31, 4)), ["−0.1", "0.0", "0.1", "0.2", "0.3"]);
    }

    #[test]
    fn ticks_of_a_logarithmic_axis_are_round() {
        assert_eq!(log_ticks(3e2, 2e5, 3), [1e3, 1e4, 1e5]);
        assert_eq!(log_ticks(8.0, 60.0, 3), [10.0, 20.0, 50.0]);
    }

    #[test]
    fn scales_put_equal_ratios_at_equal_distances_when_logarithmic() {
        let scale = Scale::new(Spacing::Logarithmic, (1e-4, 1e-2), (0.0, 100.0));
        assert!((scale.at(1e-3) - 50.0).abs() < 1e-9);
        assert_eq!(Scale::new(Spacing::Linear, (0.0, 2.0), (10.0, 30.0)).at(0.5), 15.0);
        assert!(Scale::new(Spacing::Linear, (3.0, 3.0), (0.0, 10.0)).at(3.0) == 5.0);
    }

    #[test]
    fn labels_keep_their_order_and_their_distance() {
        let placed = spread(&[50.0, 51.0, 52.0, 10.0], 12.0, 0.0, 100.0);
        assert!(placed[1] - placed[0] > 11.9 && placed[2] - placed[1] > 11.9);
        assert_eq!(placed[3], 10.0);
        assert!(spread(&[99.0, 99.5], 12.0, 0.0, 100.0)[1] <= 100.0);
    }
}
