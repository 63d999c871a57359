//! `zoo generate`: text from a trained model.

use std::ops::ControlFlow;

use ablation_zoo::data::Language;
use ablation_zoo::error::{Error, Problem};
use ablation_zoo::model::{Choice, Continuation, Sampling};
use ablation_zoo::{Result, device};
use clap::Args;
use serde_json::json;

use super::store::StoreArgs;
use super::{Format, NonFiniteArgs, complete, output};

/// Arguments of `zoo generate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zoo generate mlp-control --prompt 'n1.4 n2.7 n3.1 a1'
  zoo generate runs/gpt2-bios-s1-0123456789abcdef-cpu-f32 --prompt ' Ada Lovelace was born on'
  zoo generate llama --prompt '' --temperature 0.8 --top-k 40 --seed 3

Without --temperature and --top-k decoding is greedy.")]
pub struct GenerateCommand {
    /// A finished run: its name, the beginning of it, or its folder (`zoo runs` lists them); or a folder of transformers
    #[arg(add = complete::runs())]
    run: String,
    /// Prompt that the text continues
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// Maximum number of new tokens [default: 64, or as many as fit]
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,
    /// Sampling temperature (default: greedy)
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Sample only from the K most probable tokens
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Random seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    non_finite: NonFiniteArgs,
    /// Device to run on
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    #[command(flatten)]
    format: Format,
}

/// The number of new tokens when the command line gives none.
const TOKENS: usize = 64;

impl GenerateCommand {
    /// Prints prompt and continuation, token by token, up to the end of the text.
    pub fn run(&self) -> Result<()> {
        let device = device::open(&self.device)?;
        let (trained, _) = self.store.model(&self.run, &device, self.non_finite.choice())?;
        let language = trained.language()?;
        let prompt = language.prompt(&self.prompt).map_err(in_prompt)?;
        let room = trained.blueprint.seq_len.saturating_sub(prompt.len());
        let n = self.tokens.unwrap_or(TOKENS.min(room.max(1)));
        let row: Vec<i32> = prompt.iter().map(|token| *token as i32).collect();
        let tokens = Continuation::new(&trained.model, &[row], n, &self.choice())?
            .map(|row| row[0] as u32)
            .take_while(|token| Some(*token) != language.end_of_text());
        match self.format.json {
            true => print_json(language, &prompt, tokens.collect()),
            false => stream(language, &prompt, tokens),
        }
    }

    fn choice(&self) -> Choice {
        match (self.temperature, self.top_k) {
            (None, None) => Choice::Greedy,
            (temperature, top_k) => {
                Choice::Sample(Sampling { temperature: temperature.unwrap_or(1.0), top_k, seed: self.seed })
            }
        }
    }
}

fn in_prompt(mut error: Error) -> Error {
    error.problems = error.problems.into_iter().map(|problem: Problem| problem.key("--prompt")).collect();
    error
}

fn print_json(language: &Language, prompt: &[u32], tokens: Vec<u32>) -> Result<()> {
    let text = language.decode(&tokens);
    output::print_json(&json!({"prompt_tokens": prompt, "tokens": tokens, "text": text}))
}

/// Prints whatever of the text is sure: a character that lacks bytes waits for the next token.
fn stream(language: &Language, prompt: &[u32], tokens: impl Iterator<Item = u32>) -> Result<()> {
    let opening = usize::from(prompt.first().copied() == language.end_of_text());
    let mut all = prompt[opening..].to_vec();
    let mut printed = String::new();
    let mut show = |all: &[u32], last: bool| {
        let text = language.decode(all);
        let sure = if last { text.as_str() } else { text.trim_end_matches('\u{fffd}') };
        let fresh = sure.strip_prefix(printed.as_str()).unwrap_or("");
        let said = output::print_part(fresh);
        printed.push_str(fresh);
        said
    };
    for token in [None].into_iter().chain(tokens.map(Some)) {
        all.extend(token);
        if show(&all, false)?.is_break() {
            return Ok(());
        }
    }
    match show(&all, true)? {
        ControlFlow::Continue(()) => output::print(""),
        ControlFlow::Break(()) => Ok(()),
    }
}
