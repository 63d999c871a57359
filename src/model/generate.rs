//! Text from a decoder: one token at a time, each from the logits behind those before it.
//!
//! Keys and values of earlier positions are kept, so that a new token costs one position. A row's text depends on its
//! prompt, the seed and its number in the batch, not on the rows beside it.

use burn::tensor::{Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::decoder::Decoder;
use crate::error::{Error, Problem, Result};
use crate::layers::ForwardContext;

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice {
    /// The most probable one.
    Greedy,
    /// One at random, by its probability.
    Sample(Sampling),
}

/// How tokens are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it: below 1 the probable becomes more so.
    pub temperature: f64,
    /// Only so many of the most probable tokens are drawn from; absent: all.
    pub top_k: Option<usize>,
    /// Decides the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { temperature: 1.0, top_k: None, seed: 0 }
    }
}

/// Continues each of `prompts`, rows of one length, by `n` tokens; returns the new tokens alone.
///
/// # Errors
/// Prompts that are empty or differ in length, that name unknown tokens, or that leave no room for `n` tokens in the
/// model's longest row; a temperature or `top_k` that cannot be meant.
pub fn generate(model: &Decoder, prompts: &[Vec<i32>], n: usize, choice: &Choice) -> Result<Vec<Vec<i32>>> {
    let continuation = Continuation::new(model, prompts, n, choice)?;
    let mut rows = vec![Vec::with_capacity(n); prompts.len()];
    for tokens in continuation {
        rows.iter_mut().zip(tokens).for_each(|(row, token)| row.push(token));
    }
    Ok(rows)
}

/// Text under way: each step of the iterator is the next token of every row.
#[derive(Debug)]
pub struct Continuation<'a> {
    model: &'a Decoder,
    ctx: ForwardContext,
    rows: Vec<Row>,
    next: Vec<Vec<i32>>,
    left: usize,
}

impl<'a> Continuation<'a> {
    /// Of `prompts`, by `n` tokens.
    ///
    /// # Errors
    /// As [`generate`].
    pub fn new(model: &'a Decoder, prompts: &[Vec<i32>], n: usize, choice: &Choice) -> Result<Self> {
        check(model, prompts, n, choice)?;
        let rows = (0..prompts.len()).map(|row| Row::new(choice, row)).collect();
        Ok(Continuation {
            model,
            ctx: ForwardContext::with_kv_cache(),
            rows,
            next: prompts.to_vec(),
            left: n,
        })
    }
}

impl Iterator for Continuation<'_> {
    type Item = Vec<i32>;

    fn next(&mut self) -> Option<Vec<i32>> {
        self.left = self.left.checked_sub(1)?;
        let logits = last_logits(self.model, &self.next, &mut self.ctx);
        let tokens: Vec<i32> =
            self.rows.iter_mut().zip(logits).map(|(row, logits)| row.draw(&logits)).collect();
        self.next = tokens.iter().map(|token| vec![*token]).collect();
        Some(tokens)
    }
}

fn check(model: &Decoder, prompts: &[Vec<i32>], n: usize, choice: &Choice) -> Result<()> {
    let [vocab_size, _] = model.embedding.weight.val().dims();
    let t = prompts.first().map_or(0, Vec::len);
    let problem = if t == 0 {
        Problem::new("an empty prompt").help("start with at least one token")
    } else if prompts.iter().any(|prompt| prompt.len() != t) {
        Problem::new("prompts of different lengths").help("generate from one length at a time")
    } else if let Some(token) = prompts.iter().flatten().find(|t| !(0..vocab_size as i32).contains(t)) {
        Problem::new(format!("token {token}"))
            .expected(format!("one of the vocabulary, 0 to {}", vocab_size - 1))
    } else if t.saturating_add(n) > model.seq_len() {
        let found = format!("{t} tokens of prompt and {n} new ones");
        Problem::new(found).expected(format!("at most {} together, the model's longest row", model.seq_len()))
    } else if let Choice::Sample(Sampling { temperature, .. }) = choice
        && !(temperature.is_finite() && *temperature > 0.0)
    {
        let problem = Problem::new(temperature.to_string()).key("temperature").expected("a number above 0");
        problem.help("for the most probable token, choose greedily")
    } else if let Choice::Sample(Sampling { top_k: Some(0), .. }) = choice {
        Problem::new("0").key("top_k").expected("at least 1")
    } else {
        return Ok(());
    };
    Err(Error::config(problem))
}

/// The logits behind the last of `tokens`, per row.
fn last_logits(model: &Decoder, tokens: &[Vec<i32>], ctx: &mut ForwardContext) -> Vec<Vec<f32>> {
    let (b, t) = (tokens.len(), tokens[0].len());
    let device = model.embedding.weight.val().device();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens.concat(), [b, t]), &device);
    let last = model.hidden(tokens, ctx).narrow(1, t - 1, 1).squeeze_dim::<2>(1); // [b, d]
    let logits = last.matmul(model.head_weight().transpose()); // [b, v]
    let [_, v] = logits.dims();
    let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
    logits.chunks(v).map(<[f32]>::to_vec).collect()
}

/// One row under way.
#[derive(Debug)]
struct Row {
    choice: Choice,
    rng: ChaCha8Rng,
}

impl Row {
    fn new(choice: &Choice, row: usize) -> Self {
        let seed = match choice {
            Choice::Greedy => 0,
            Choice::Sample(sampling) => sampling.seed,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(row as u64);
        Row { choice: *choice, rng }
    }

    fn draw(&mut self, logits: &[f32]) -> i32 {
        let token = match self.choice {
            Choice::Greedy => descending(logits)[0],
            Choice::Sample(sampling) => sample(logits, &sampling, self.rng.random_range(0.0..1.0)),
        };
        token as i32
    }
}

/// Tokens from the most to the least probable.
fn descending(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order
}

/// The token at which the running sum of probabilities passes `u`, a number in [0, 1).
fn sample(logits: &[f32], sampling: &Sampling, u: f64) -> usize {
    let mut order = descending(logits);
    order.truncate(sampling.top_k.unwrap_or(logits.len()));
    let highest = logits[order[0]] as f64;
    let weight = |&token: &usize| ((logits[token] as f64 - highest) / sampling.temperature).exp();
    let mut left = u * order.iter().map(weight).sum::<f64>();
    let drawn = order.iter().find(|token| {
        left -= weight(token);
        left < 0.0
    });
    *drawn.unwrap_or(&order[0]) // rounding can leave a little when u is almost one
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::variants;

    /// Sums of a few dozen products, in two different orders.
    const ROUNDING: f32 = 1e-4;

    #[test]
    fn kept_keys_and_values_give_the_logits_of_the_whole_row() {
        let device = crate::device::open("cpu").unwrap();
        for (name, config) in variants::all() {
            let model = config.init(variants::V, variants::T, 3, &device);
            let tokens = variants::tokens(&device);
            let whole = model.logits(tokens.clone()); // [b, t, v]
            let mut ctx = ForwardContext::with_kv_cache();
            for (start, t) in [(0, 2), (2, 1), (3, 1), (4, 1)] {
                let hidden = model.hidden(tokens.clone().narrow(1, start, t), &mut ctx);
                let logits = hidden.matmul(model.head_weight().transpose().unsqueeze::<3>());
                let difference =
                    (logits - whole.clone().narrow(1, start, t)).abs().max().into_scalar::<f32>();
                assert!(difference < ROUNDING, "{name}: off by {difference} at {start}");
            }
        }
    }

    #[test]
    fn greedy_text_is_the_most_probable_token_of_the_whole_row_each_time() {
        let device = crate::device::open("cpu").unwrap();
        let model = variants::base().init(variants::V, 8, 3, &device);
        let mut row = vec![1, 2, 3];
        let text = generate(&model, std::slice::from_ref(&row), 5, &Choice::Greedy).unwrap();
        for token in &text[0] {
            let whole = Tensor::<2, Int>::from_data(TensorData::new(row.clone(), [1, row.len()]), &device);
            let last = model.logits(whole).narrow(1, row.len() - 1, 1).argmax(2).into_scalar::<i32>();
            assert_eq!(*token, last);
            row.push(last);
        }
    }

    #[test]
    fn samples_are_repeatable_and_rows_do_not_touch_each_other() {
        let model = variants::base().init(variants::V, 12, 3, &crate::device::open("cpu").unwrap());
        let draw = |prompts: &[Vec<i32>], seed| {
            let choice = Choice::Sample(Sampling { temperature: 2.0, seed, ..Sampling::default() });
            generate(&model, prompts, 10, &choice).unwrap()
        };
        let both = draw(&[vec![1, 2], vec![1, 2]], 7);
        assert_eq!(draw(&[vec![1, 2], vec![5, 6]], 7)[0], both[0]);
        assert_ne!(both[0], both[1], "two rows of one prompt are two samples");
        assert_ne!(draw(&[vec![1, 2]], 8)[0], both[0]);
    }

    #[test]
    fn frequencies_of_samples_are_the_probabilities() {
        let logits = [0.0, 2.0f32.ln(), f32::NEG_INFINITY, 4.0f32.ln()]; // one, two and four sevenths
        let count = |sampling: Sampling, token| {
            let draws = (0..700).map(|i| sample(&logits, &sampling, (i as f64 + 0.5) / 700.0));
            draws.filter(|drawn| *drawn == token).count()
        };
        let plain = Sampling::default();
        assert_eq!([0, 1, 2, 3].map(|token| count(plain, token)), [100, 200, 0, 400]);
        let two = Sampling { top_k: Some(2), ..plain };
        assert_eq!([0, 1, 2, 3].map(|token| count(two, token)), [0, 233, 0, 467]);
        assert!(count(Sampling { temperature: 0.1, ..plain }, 3) > 690);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let model = variants::base().init(variants::V, 5, 3, &crate::device::open("cpu").unwrap());
        let refusal = |prompts: &[Vec<i32>], n, choice| {
            generate(&model, prompts, n, &choice).expect_err("it cannot be meant").to_string()
        };
        let cold = Choice::Sample(Sampling { temperature: 0.0, ..Sampling::default() });
        assert!(refusal(&[vec![]], 1, Choice::Greedy).contains("empty prompt"));
        assert!(refusal(&[vec![1], vec![1, 2]], 1, Choice::Greedy).contains("different lengths"));
        assert!(refusal(&[vec![1, 11]], 1, Choice::Greedy).contains("token 11"));
        assert!(refusal(&[vec![1, 2]], 4, Choice::Greedy).contains("at most 5"));
        assert!(refusal(&[vec![1]], 1, cold).contains("greedily"));
    }
}
