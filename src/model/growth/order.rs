//! Which layer of the small model each layer of the big one comes from.
//!
//! | order | 3 layers to 6 | |
//! |---|---|---|
//! | `stack` | `123123` | Gstack, Du et al. 2024 (arXiv 2405.15319) |
//! | `interleave` | `112233` | LEMON, Wang et al. 2023 (arXiv 2310.07999) |
//! | `middle:3` | `123123` | the middle block of three again: MIDAS, Saunshi et al. 2024 (arXiv 2409.19044) |
//! | `last:3` | `123123` | the last three again: StackedBERT, Gong et al. 2019 |
//! | `overlap:0` | `123123` | all but the last n, then all but the first n: SOLAR, Kim et al. 2023 (arXiv 2312.15166) |
//! | `1-23*2-3` | `123233` | written out: parts joined by `-`, `*n` repeats one; from ten layers on `1..12-9..12*3` |

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};

/// Layers of the big model per layer of the small one, when nothing else is said: what Gstack recommends.
const DEFAULT_FACTOR: usize = 4;

/// The most layers that are taken for meant.
const MAX_LAYERS: usize = 10_000;

/// The words that an order can be.
const WORDS: &str =
    "stack, interleave, middle:N, last:N, overlap:N, or layers such as 12-345*7-6 or 1..24-9..32";

/// Which layer of the small model each layer of the big one comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LayerOrder {
    /// The whole model again and again.
    #[default]
    Stack,
    /// Each layer again and again.
    Interleave,
    /// The middle block of so many layers twice.
    Middle(usize),
    /// The last so many layers twice.
    Last(usize),
    /// All but the last so many, then all but the first so many.
    Overlap(usize),
    /// Written out.
    Listed(Listed),
}

/// Layers written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    text: String,
    /// From 0.
    layers: Vec<usize>,
}

impl LayerOrder {
    /// Layers of the small model of a big one of `n_layers`; keys of problems are relative to `[growth]`.
    ///
    /// # Errors
    /// `factor` or the order do not fit `n_layers`.
    pub fn small_layers(&self, n_layers: usize, factor: Option<usize>) -> Result<usize> {
        let wrong = |key: &str, expected: String| {
            let problem = Problem::new(format!("{n_layers} layers cannot come from this")).key(key);
            Error::config(problem.expected(expected))
        };
        let n_small = match self {
            LayerOrder::Stack | LayerOrder::Interleave => {
                let factor = factor.unwrap_or(DEFAULT_FACTOR);
                if factor == 0 || !n_layers.is_multiple_of(factor) {
                    let problem = Problem::new(factor.to_string()).key("factor");
                    let expected = format!("a divisor of the {n_layers} layers of the model");
                    return Err(Error::config(problem.expected(expected)));
                }
                n_layers / factor
            }
            LayerOrder::Middle(n) | LayerOrder::Last(n) => n_layers.saturating_sub(*n),
            LayerOrder::Overlap(n) if n_layers.is_multiple_of(2) => (n_layers / 2).saturating_add(*n),
            LayerOrder::Overlap(_) => return Err(wrong("order", "an even number of layers".to_string())),
            LayerOrder::Listed(listed) => listed.layers.iter().max().map_or(0, |last| last + 1),
        };
        let layers = self.layers(n_small, factor)?;
        match layers.len() == n_layers {
            true => Ok(n_small),
            false => {
                let makes = format!("{:?} makes {} layers of {n_small}", self.to_string(), layers.len());
                let problem = Problem::new(makes).key("order");
                Err(Error::config(problem.expected(format!("{n_layers}, as the model has"))))
            }
        }
    }

    /// The layer of the small model, from 0, that each layer of the big one comes from.
    ///
    /// # Errors
    /// `factor` or the order do not fit `n_small` layers.
    pub fn layers(&self, n_small: usize, factor: Option<usize>) -> Result<Vec<usize>> {
        self.check(n_small)?;
        let repeats = factor.unwrap_or(DEFAULT_FACTOR);
        if repeats == 0 || repeats.saturating_mul(n_small) > MAX_LAYERS {
            let expected = format!("at least 1, and at most {MAX_LAYERS} layers in all");
            let problem = Problem::new(repeats.to_string()).key("factor");
            return Err(Error::config(problem.expected(expected)));
        }
        let layers: Vec<usize> = match self {
            LayerOrder::Stack => (0..n_small * repeats).map(|layer| layer % n_small).collect(),
            LayerOrder::Interleave => (0..n_small * repeats).map(|layer| layer / repeats).collect(),
            LayerOrder::Middle(n) => {
                let end = (n_small / n).div_ceil(2) * n;
                (0..end).chain(end - n..n_small).collect()
            }
            LayerOrder::Last(n) => (0..n_small).chain(n_small - n..n_small).collect(),
            LayerOrder::Overlap(n) => (0..n_small - n).chain(*n..n_small).collect(),
            LayerOrder::Listed(listed) => listed.layers.clone(),
        };
        let fits = factor.is_none_or(|factor| factor.checked_mul(n_small) == Some(layers.len()));
        if !fits {
            let problem = Problem::new(repeats.to_string()).key("factor");
            let problem = problem.expected(format!("{n_small} layers to become {}", layers.len()));
            let help = format!("leave it out: the order {:?} says it", self.to_string());
            return Err(Error::config(problem.help(help)));
        }
        Ok(layers)
    }

    fn check(&self, n_small: usize) -> Result<()> {
        let expected = match self {
            LayerOrder::Stack | LayerOrder::Interleave => return Ok(()),
            LayerOrder::Middle(n) if *n == 0 || n_small == 0 || !n_small.is_multiple_of(*n) => {
                "a divisor of the layers of the small model"
            }
            LayerOrder::Last(n) if *n == 0 || *n > n_small => "1 up to the layers of the small model",
            LayerOrder::Overlap(n) if n.saturating_mul(2) > n_small => {
                "at most half the layers of the small model"
            }
            LayerOrder::Listed(listed) if listed.layers.iter().max() != n_small.checked_sub(1).as_ref() => {
                "the last layer of the small model among its layers"
            }
            LayerOrder::Middle(_) | LayerOrder::Last(_) | LayerOrder::Overlap(_) | LayerOrder::Listed(_) => {
                return Ok(());
            }
        };
        let found = format!("{:?} for a small model of {n_small} layers", self.to_string());
        Err(Error::config(Problem::new(found).key("order").expected(expected)))
    }
}

/// The share of neighbours in `layers` that are neighbours in the small model too, R_c of the Gstack paper (Appendix
/// H); 1 when there is only one layer.
pub fn connection_rate(layers: &[usize]) -> f64 {
    let kept = layers.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
    match layers.len() {
        0 | 1 => 1.0,
        n => kept as f64 / (n - 1) as f64,
    }
}

impl FromStr for LayerOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("unknown order {text:?}, expected {WORDS}");
        let number = |n: &str| n.parse::<usize>().map_err(|_| unknown());
        match text.split_once(':') {
            Some(("middle", n)) => Ok(LayerOrder::Middle(number(n)?)),
            Some(("last", n)) => Ok(LayerOrder::Last(number(n)?)),
            Some(("overlap", n)) => Ok(LayerOrder::Overlap(number(n)?)),
            Some(_) => Err(unknown()),
            None if text == "stack" => Ok(LayerOrder::Stack),
            None if text == "interleave" => Ok(LayerOrder::Interleave),
            None => Ok(LayerOrder::Listed(Listed {
                layers: listed(text).ok_or_else(unknown)?,
                text: text.into(),
            })),
        }
    }
}

/// The layers of `12-345*7-6`; none if it is not of this form, misses a layer or is beyond all measure.
fn listed(text: &str) -> Option<Vec<usize>> {
    let mut layers = Vec::new();
    for part in text.split('-') {
        let (part, times) = match part.split_once('*') {
            Some((part, times)) => (part, times.parse::<usize>().ok()?),
            None => (part, 1),
        };
        let part = match part.split_once("..") {
            Some((first, last)) => {
                let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
                (last < MAX_LAYERS).then(|| (first..=last).collect::<Vec<usize>>())?
            }
            None => part.chars().map(|layer| Some(layer.to_digit(10)? as usize)).collect::<Option<_>>()?,
        };
        if part.is_empty() || part.len().saturating_mul(times) > MAX_LAYERS - layers.len().min(MAX_LAYERS) {
            return None;
        }
        (0..times).for_each(|_| layers.extend_from_slice(&part));
    }
    let last = layers.iter().copied().max()?;
    let complete = (1..=last).all(|layer| layers.contains(&layer)) && !layers.contains(&0);
    complete.then(|| layers.iter().map(|layer| layer - 1).collect())
}

impl fmt::Display for LayerOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerOrder::Stack => write!(f, "stack"),
            LayerOrder::Interleave => write!(f, "interleave"),
            LayerOrder::Middle(n) => write!(f, "middle:{n}"),
            LayerOrder::Last(n) => write!(f, "last:{n}"),
            LayerOrder::Overlap(n) => write!(f, "overlap:{n}"),
            LayerOrder::Listed(listed) => f.write_str(&listed.text),
        }
    }
}

impl TryFrom<String> for LayerOrder {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<LayerOrder> for String {
    fn from(order: LayerOrder) -> Self {
        order.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(order: &str, n_small: usize, factor: Option<usize>) -> String {
        let layers = order.parse::<LayerOrder>().unwrap().layers(n_small, factor).unwrap();
        layers.iter().map(|layer| (layer + 1).to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn orders_are_what_their_papers_do() {
        assert_eq!(layers("stack", 3, Some(2)), "1 2 3 1 2 3");
        assert_eq!(layers("interleave", 3, Some(2)), "1 1 2 2 3 3");
        assert_eq!(layers("last:2", 4, None), "1 2 3 4 3 4");
        assert_eq!(layers("12-3*2-4", 4, None), "1 2 3 3 4");
        let midas = [layers("middle:2", 2, None), layers("middle:2", 4, None), layers("middle:2", 6, None)];
        assert_eq!(midas, ["1 2 1 2", "1 2 1 2 3 4", "1 2 3 4 3 4 5 6"]);
        let solar = "overlap:8".parse::<LayerOrder>().unwrap();
        assert_eq!(solar.small_layers(48, None).unwrap(), 32);
        let written = "1..24-9..32".parse::<LayerOrder>().unwrap();
        assert_eq!(solar.layers(32, None).unwrap(), written.layers(32, None).unwrap());
    }

    #[test]
    fn connection_rates_are_those_of_the_papers_table() {
        let rate = |order: &str, n_layers: usize, factor: Option<usize>| {
            let order: LayerOrder = order.parse().unwrap();
            let n_small = order.small_layers(n_layers, factor).unwrap();
            100.0 * connection_rate(&order.layers(n_small, factor).unwrap())
        };
        let table = [
            ("123456*4", 87.0),
            ("12-3456*5-56", 78.3),
            ("12-345*7-6", 74.0),
            ("123-456*7", 74.0),
            ("1234-56*10", 60.7),
            ("12-34*10-56", 60.7),
            ("1-234*7-56", 74.0),
            ("123*7-456", 74.0),
        ];
        for (order, published) in table {
            let found = rate(order, 24, None);
            assert!((found - published).abs() < 0.2, "{order}: {found}, published {published}");
        }
        let pairs = [
            ("stack", 6, 2, 80.0),
            ("interleave", 6, 2, 40.0),
            ("stack", 24, 3, 91.3),
            ("interleave", 24, 3, 30.4),
        ];
        for (order, n_layers, factor, published) in pairs {
            assert!((rate(order, n_layers, Some(factor)) - published).abs() < 0.05, "{order} to {n_layers}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_key() {
        let key = |order: &str, n_layers: usize, factor: Option<usize>| {
            order.parse::<LayerOrder>().unwrap().small_layers(n_layers, factor).unwrap_err().problems[0]
                .key
                .clone()
                .unwrap()
        };
        assert_eq!(key("stack", 6, Some(4)), "factor");
        assert_eq!(key("stack", 6, Some(0)), "factor");
        assert_eq!(key("12-345*7-6", 23, None), "order");
        assert_eq!(key("12-345*7-6", 24, Some(3)), "factor");
        assert_eq!(key("overlap:2", 7, None), "order");
        assert_eq!(key("overlap:9", 8, None), "order");
        assert_eq!(key("middle:4", 10, None), "order");
        assert_eq!(key("last:4", 4, None), "order");
    }

    #[test]
    fn what_is_no_order_is_refused() {
        for text in
            ["", "pile", "middle:x", "10", "13", "1--2", "12*", "1*99999999999", "1..99999999", "front:2"]
        {
            let error = text.parse::<LayerOrder>().unwrap_err();
            assert!(error.contains("12-345*7-6"), "{text}: {error}");
        }
    }

    #[test]
    fn an_order_survives_being_written_and_read() {
        for text in ["stack", "interleave", "middle:3", "last:2", "overlap:8", "12-345*7-6"] {
            assert_eq!(text.parse::<LayerOrder>().unwrap().to_string(), text);
        }
    }
}
