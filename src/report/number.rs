//! Numbers as people read them: three digits, a unit, an interval in words.

use crate::statistics::Estimate;

/// `value` with three significant digits and no exponent: `1.20`, `0.573`, `12.3`, `1234`.
pub fn three(value: f64) -> String {
    fixed(value, decimals(value))
}

/// Decimals that show three significant digits of `value`, at most six.
pub fn decimals(value: f64) -> usize {
    // the exponent after rounding: 0.9997 is 1.00, not 1.000
    let rounded = format!("{value:.2e}");
    let exponent = rounded.split_once('e').and_then(|(_, exponent)| exponent.parse::<i64>().ok());
    (2 - exponent.unwrap_or(0)).clamp(0, 6) as usize
}

/// `value` with so many decimals, with a true minus sign and no negative zero.
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
    if value < 0.0 && !zero { format!("−{text}") } else { text }
}

/// A count with three digits and a prefix: `512`, `116k`, `1.21M`, `8.19G`.
pub fn count(value: f64) -> String {
    for (size, prefix) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        // 999.5 and above would print as 1000 of the smaller prefix
        if value >= size * 0.9995 {
            return format!("{}{prefix}", three(value / size));
        }
    }
    format!("{value:.0}")
}

/// A count of parameters in millions, as papers give it: `0.12 M`.
pub fn millions(value: f64) -> String {
    let millions = value / 1e6;
    let decimals = if millions < 0.095 { 3 } else { 2.min(decimals(millions)) };
    format!("{} M", fixed(millions, decimals))
}

/// A power of ten in full: `5.70 × 10¹²`.
pub fn scientific(value: f64) -> String {
    let text = format!("{value:.2e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let exponent: String = exponent.chars().map(superscript).collect();
    format!("{digits} × 10{exponent}")
}

fn superscript(digit: char) -> char {
    match digit {
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '-' => '⁻',
        digit => char::from_u32('⁰' as u32 + digit.to_digit(10).unwrap_or(0)).unwrap_or(digit),
    }
}

/// A learning rate: `5e-4`, `1.5e-3`.
pub fn rate(value: f64) -> String {
    format!("{value:e}")
}

/// A time: `4.20 s`, `43 s`, `3 min 12 s`, `2 h 5 min`.
pub fn seconds(value: f64) -> String {
    let whole = value.round() as u64;
    match whole {
        0..10 => format!("{} s", three(value)),
        10..100 => format!("{whole} s"),
        100..6000 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A number of seconds in the largest fitting unit, rounded: `40 s`, `9 min`, `2.3 h`.
pub fn about(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("{seconds:.0} s"),
        ..5400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// At most one decimal, and none where there is nothing behind it: `10`, `9.5`.
pub fn short(value: f64) -> String {
    let text = fixed(value, 1);
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}

/// Without zeros that say nothing: `0.2`, `1`, `50`.
pub fn plain(value: f64) -> String {
    let text = fixed(value, 6);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// A p value: `0.032`, or `< 0.001`.
pub fn p(value: f64) -> String {
    if value < 0.001 { "< 0.001".to_string() } else { format!("{value:.3}") }
}

/// A mean with its interval: `1.20 (1.14 to 1.26)`, or `1.20 (no interval)`.
pub fn estimate(estimate: &Estimate) -> String {
    match range(estimate) {
        Some(range) => format!("{} ({range})", mean(estimate)),
        None => format!("{} (no interval)", mean(estimate)),
    }
}

/// Only the mean, with the decimals of [`range`].
pub fn mean(estimate: &Estimate) -> String {
    fixed(estimate.mean, shared_decimals(estimate))
}

/// Only the interval: `1.14 to 1.26`.
pub fn range(estimate: &Estimate) -> Option<String> {
    let decimals = shared_decimals(estimate);
    Some(format!("{} to {}", fixed(estimate.low?, decimals), fixed(estimate.high?, decimals)))
}

/// Three digits of the largest of mean and ends: more would be noise.
fn shared_decimals(estimate: &Estimate) -> usize {
    let ends = [Some(estimate.mean), estimate.low, estimate.high];
    decimals(ends.into_iter().flatten().map(f64::abs).fold(0.0, f64::max))
}

/// `1 seed`, `3 seeds`.
pub fn plural(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_string(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", most.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_three_digits_and_their_unit() {
        assert_eq!(
            [1.2, 0.5731, 12.34, 1234.5, 0.9997].map(three),
            ["1.20", "0.573", "12.3", "1234", "1.00"]
        );
        assert_eq!([512.0, 116_200.0, 999_700.0, 8.192e9].map(count), ["512", "116k", "1.00M", "8.19G"]);
        assert_eq!([116_000.0, 1.21e6, 50_000.0].map(millions), ["0.12 M", "1.21 M", "0.050 M"]);
        assert_eq!(scientific(5.7e12), "5.70 × 10¹²");
        assert_eq!([5e-4, 1e-3, 1.5e-3].map(rate), ["5e-4", "1e-3", "1.5e-3"]);
        assert_eq!([4.2, 43.4, 192.0, 7500.0].map(seconds), ["4.20 s", "43 s", "3 min 12 s", "2 h 5 min"]);
    }

    #[test]
    fn an_interval_and_its_mean_share_their_decimals_and_a_tiny_minus_is_no_minus() {
        let three = Estimate { mean: 1.2, low: Some(1.138), high: Some(1.262), n: 3, reason: None };
        assert_eq!(estimate(&three), "1.20 (1.14 to 1.26)");
        assert_eq!(estimate(&Estimate { low: None, ..three.clone() }), "1.20 (no interval)");
        let wide = Estimate { mean: 0.02, low: Some(-0.1183), high: Some(0.1583), ..three };
        assert_eq!(estimate(&wide), "0.020 (−0.118 to 0.158)");
        assert_eq!((fixed(-0.001, 2), fixed(-0.25, 2)), ("0.00".to_string(), "−0.25".to_string()));
    }

    #[test]
    fn lists_read_as_english() {
        assert_eq!([list::<&str>(&[]), list(&["a"]), list(&["a", "b", "c"])], ["", "a", "a, b and c"]);
    }
}
