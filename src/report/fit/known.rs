//! What is known of a model besides its curve: parameters, and tokens per second and device.

use crate::error::{Error, Problem, Result};

/// A model by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Size {
    /// The name of its curve.
    pub name: String,
    /// Parameters.
    pub params: f64,
    /// Tokens per second and device, if known.
    pub tokens_per_second: Option<f64>,
}

/// LLaMA and Llama 2 as published (Touvron et al. 2023, arXiv 2302.13971, Table 2, and 2307.09288, Table 2): parameters;
/// tokens per second are tokens of training over GPU-hours.
const PUBLISHED: [(&str, f64, f64); 8] = [
    ("llama1-7B", 6.7e9, 3384.3),
    ("llama1-13B", 13.0e9, 2063.9),
    ("llama1-33B", 32.5e9, 730.5),
    ("llama1-65B", 65.2e9, 379.0),
    ("llama2-7B", 6.7e9, 3031.9),
    ("llama2-13B", 13.0e9, 1515.9),
    ("llama2-34B", 34.0e9, 533.7),
    ("llama2-70B", 69.0e9, 322.1),
];

impl Size {
    /// Reads `NAME:PARAMS` or `NAME:PARAMS:TOKENS_PER_SECOND`.
    ///
    /// # Errors
    /// Another number of parts, or a number that is not positive and finite.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || {
            let problem = Problem::new(format!("{text:?}")).key("--size");
            Error::config(
                problem.expected("NAME:PARAMS or NAME:PARAMS:TOKENS_PER_SECOND, such as 7B:6.7e9:3384"),
            )
        };
        let number = |text: &str| {
            text.parse::<f64>().ok().filter(|value| *value > 0.0 && value.is_finite()).ok_or_else(bad)
        };
        let (name, params, speed) = match text.split(':').collect::<Vec<_>>()[..] {
            [name, params] if !name.is_empty() => (name, params, None),
            [name, params, speed] if !name.is_empty() => (name, params, Some(speed)),
            _ => return Err(bad()),
        };
        Ok(Size {
            name: name.to_string(),
            params: number(params)?,
            tokens_per_second: speed.map(number).transpose()?,
        })
    }

    /// What is published of a file of this name.
    pub fn published(stem: &str) -> Option<Self> {
        let (name, params, speed) = PUBLISHED.iter().find(|(name, ..)| name.eq_ignore_ascii_case(stem))?;
        Some(Size { name: name.to_string(), params: *params, tokens_per_second: Some(*speed) })
    }

    /// The size that a name ends with, such as `13B`, `1.4b` or `125M`.
    pub fn in_name(stem: &str) -> Option<Self> {
        let last = stem.rsplit(['-', '_', ' ']).next()?;
        let (digits, unit) = last.split_at_checked(last.len().checked_sub(1)?)?;
        let unit = match unit {
            "k" | "K" => 1e3,
            "m" | "M" => 1e6,
            "b" | "B" => 1e9,
            "t" | "T" => 1e12,
            _ => return None,
        };
        let params = digits.parse::<f64>().ok().filter(|value| *value > 0.0 && value.is_finite())? * unit;
        Some(Size { name: stem.to_string(), params, tokens_per_second: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_from_an_option_a_table_or_the_name() {
        let given = Size::parse("a:2e6:100").unwrap();
        assert_eq!((given.name.as_str(), given.params, given.tokens_per_second), ("a", 2e6, Some(100.0)));
        assert_eq!(Size::parse("a:7").unwrap().tokens_per_second, None);
        for bad in ["a", "a:", ":7", "a:-1", "a:1:nan", "a:1:2:3"] {
            assert_eq!(Size::parse(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
        assert_eq!(Size::published("LLAMA1-7b").unwrap().params, 6.7e9);
        assert_eq!(Size::in_name("pythia-1.4b").unwrap().params, 1.4e9);
        assert_eq!(Size::in_name("run-125M").unwrap().params, 125e6);
        for nameless in ["b", "", "fast-ü", "7", "infB"] {
            assert_eq!(Size::in_name(nameless), None, "{nameless}");
        }
    }
}
