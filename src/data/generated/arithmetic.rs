//! `1 7 + 5 = 2 2 ;`: equations in digits, whose results follow from their operands.

use serde::{Deserialize, Serialize};

use crate::data::check_range;
use crate::data::random::Draws;
use crate::error::Result;

/// Equations in digits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArithmeticConfig {
    /// Digits of an operand at most, 1 to 3; operands are uniform below ten to that power.
    pub digits: u64,
}

const WORDS: [&str; 15] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "+", "-", "*", "=", ";"];
const PLUS: u32 = 10;
const MINUS: u32 = 11;
const TIMES: u32 = 12;
const EQUALS: u32 = 13;
const END: u32 = 14;
const OPERATORS: [u32; 3] = [PLUS, MINUS, TIMES];

impl Default for ArithmeticConfig {
    fn default() -> Self {
        ArithmeticConfig { digits: 2 }
    }
}

pub(super) fn words() -> Vec<String> {
    WORDS.map(str::to_string).to_vec()
}

impl ArithmeticConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_range("language.digits", self.digits, 1..=3)
    }

    fn operands(&self) -> u64 {
        10u64.pow(self.digits as u32)
    }

    /// Of an equation over the mean number of its tokens, in nats.
    pub(super) fn entropy(&self) -> f64 {
        let n = self.operands();
        let mut tokens = 0u64;
        let mut equation = Vec::new();
        for (a, b) in (0..n).flat_map(|a| (0..n).map(move |b| (a, b))) {
            for operator in OPERATORS {
                equation.clear();
                write_equation(a, operator, b, &mut equation);
                tokens += equation.len() as u64;
            }
        }
        let equations = (OPERATORS.len() as u64 * n * n) as f64;
        equations.ln() / (tokens as f64 / equations)
    }

    pub(super) fn write(&self, draws: &mut Draws, length: usize, out: &mut Vec<u32>) {
        let end = out.len() + length;
        while out.len() < end {
            let operator = OPERATORS[draws.below(3) as usize];
            write_equation(draws.below(self.operands()), operator, draws.below(self.operands()), out);
        }
    }
}

fn write_equation(a: u64, operator: u32, b: u64, out: &mut Vec<u32>) {
    write_number(a as i64, out);
    out.push(operator);
    write_number(b as i64, out);
    out.push(EQUALS);
    let (a, b) = (a as i64, b as i64);
    write_number(
        match operator {
            PLUS => a + b,
            MINUS => a - b,
            _ => a * b,
        },
        out,
    );
    out.push(END);
}

fn write_number(number: i64, out: &mut Vec<u32>) {
    if number < 0 {
        out.push(MINUS);
    }
    out.extend(number.unsigned_abs().to_string().bytes().map(|digit| u32::from(digit - b'0')));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::Streams;

    #[test]
    fn every_equation_is_true() {
        let mut text = Vec::new();
        ArithmeticConfig { digits: 2 }.write(&mut Streams::new(4, "test").at(0), 4000, &mut text);
        let words: String = text.iter().map(|word| WORDS[*word as usize]).collect();
        let mut seen = 0;
        for equation in words.split_terminator(';') {
            let (left, result) = equation.split_once('=').unwrap();
            let at = left[1..].find(['+', '-', '*']).unwrap() + 1;
            let [a, b]: [i64; 2] = [&left[..at], &left[at + 1..]].map(|number| number.parse().unwrap());
            let expected = match &left[at..=at] {
                "+" => a + b,
                "-" => a - b,
                _ => a * b,
            };
            assert_eq!(result.parse::<i64>().unwrap(), expected, "{equation}");
            seen += 1;
        }
        assert!(seen > 400, "{seen}");
    }

    #[test]
    fn the_entropy_is_that_of_the_operands() {
        // One digit: 300 equations, the mean length counted by hand: 5 + digits of the result and its sign.
        let lengths: Vec<usize> = (0..10i64)
            .flat_map(|a| (0..10).flat_map(move |b| [a + b, a - b, a * b]))
            .map(|result| 5 + result.to_string().len())
            .collect();
        let mean = lengths.iter().sum::<usize>() as f64 / 300.0;
        assert!((ArithmeticConfig { digits: 1 }.entropy() - 300f64.ln() / mean).abs() < 1e-12);
    }
}
