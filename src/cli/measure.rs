//! `zoo measure`: what a finished run knows, measured again from its weights.

use ablation_zoo::data::Texts;
use ablation_zoo::error::Problem;
use ablation_zoo::measure::{MeasureContext, Measurements, QuantizeConfig};
use ablation_zoo::run::job;
use ablation_zoo::{Error, Result, device, visible};
use clap::{Args, ValueEnum};
use serde_json::Value as Json;

use super::rounding::{self, Rounded, RoundingArgs};
use super::store::StoreArgs;
use super::{Format, complete, output};

/// Arguments of `zoo measure`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo measure mlp-control-tiny-1e-3-s1\n  zoo measure runs/mlp-control-tiny-1e-3-s1-0123456789abcdef-cpu-f32\n  zoo measure RUN --quantize int8,int4,int3,int2\n  zoo measure RUN --quantize int4 --method gptq --scale group:64 --weights linear"
)]
pub struct MeasureCommand {
    /// A finished run: its name, the beginning of it, or its folder (`zoo runs` lists them)
    #[arg(add = complete::runs())]
    run: String,
    #[command(flatten)]
    store: StoreArgs,
    /// Device to run on
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Freshly sampled texts of each biography [default: those of the plan]
    #[arg(long, alias = "renderings", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    paraphrases: Option<u64>,
    /// Texts that knowledge is measured on [default: those of the plan]
    #[arg(long, value_name = "TEXTS")]
    texts: Option<MeasuredIn>,
    /// What stands before each biography [default: that of the plan]
    #[arg(long, value_name = "CONTEXT")]
    context: Option<ReadIn>,
    #[command(flatten)]
    rounding: RoundingArgs,
    #[command(flatten)]
    format: Format,
}

/// The texts that knowledge is measured on.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum MeasuredIn {
    /// No fact stands after another that tells it
    Unprompted,
    /// As in training, where a working city may tell the employer
    AsTrained,
}

/// What stands before a biography.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReadIn {
    /// Biographies of others, as in training
    Packed,
    /// Nothing
    Alone,
}

impl MeasureCommand {
    /// Measures and prints.
    pub fn run(&self) -> Result<()> {
        let configs = self.rounding.configs()?;
        let run = self.store.run(&self.run)?;
        let mut plan = run.plan_and_data()?;
        plan.measure.paraphrases = self.paraphrases.unwrap_or(plan.measure.paraphrases);
        match self.texts {
            None => {}
            Some(MeasuredIn::Unprompted) => plan.measure.texts = Texts::Unprompted,
            Some(MeasuredIn::AsTrained) => plan.measure.texts = Texts::AsTrained,
        }
        match self.context {
            None => {}
            Some(ReadIn::Packed) if plan.data.studied().is_none() => return Err(nobody(plan.data.kind())),
            Some(ReadIn::Packed) => plan.measure.context = MeasureContext::Packed,
            Some(ReadIn::Alone) => plan.measure.context = MeasureContext::Alone,
        }
        let device = device::open(&self.device)?;
        if !configs.is_empty() {
            plan.measure.quantize = QuantizeConfig::None;
        }
        let measured = job::measure_again(&run, &plan, &device)?;
        let mut rounded = Vec::new();
        for quantize in configs {
            plan.measure.quantize = quantize;
            rounded.push(Rounded { quantize, measured: job::measure_again(&run, &plan, &device)? });
        }
        match (self.format.json, rounded.is_empty()) {
            (true, _) => output::print_json(&json(&measured, &rounded)),
            (false, true) => output::print(&text(&measured)),
            (false, false) => output::print(&rounding::table(&measured, &rounded)),
        }
    }
}

fn nobody(kind: &str) -> Error {
    let problem = Problem::new(format!("packed with data without people, {kind}")).key("--context");
    Error::config(problem.expected("alone").help("nobody's biography is read; leave it out"))
}

fn json(measured: &Measurements, rounded: &[Rounded]) -> Json {
    let value = |of: &dyn Fn() -> serde_json::Result<Json>| of().expect("measurements are numbers and names");
    let mut all = value(&|| serde_json::to_value(measured));
    if !rounded.is_empty() {
        all["rounded"] = value(&|| serde_json::to_value(rounded));
    }
    all
}

fn text(measured: &Measurements) -> String {
    let mut text = String::new();
    if let Some(capacity) = &measured.capacity {
        let (bits, most) = (capacity.bits_per_param, capacity.max_bits_per_param);
        text.push_str(&format!("bits per parameter  {bits:.4} of {most:.4}\n"));
        let parts = (capacity.name_bits, capacity.value_bits, capacity.diversity_bits);
        text.push_str(&format!(
            "bits                {:.0} (names {:.0}, values {:.0}, diversity {:.0})\n",
            capacity.bits, parts.0, parts.1, parts.2
        ));
        if let Some(given) = &capacity.given_source {
            text.push_str(&format!(
                "  given the source  {:.4} bits per parameter (names {:.0}; guessing costs {:.2} bits a person)\n",
                given.bits_per_param, given.name_bits, given.source_bits
            ));
        }
        if capacity.context == MeasureContext::Packed {
            text.push_str("read                behind biographies of others, as in training\n");
        }
        text.push_str(&format!("parameters          {}\n", output::thousands(capacity.params)));
        text.push_str(&format!(
            "recalled exactly    {:.1} % of {} people\n",
            100.0 * capacity.fully_known,
            output::thousands(capacity.people)
        ));
        for attribute in &capacity.attributes {
            text.push_str(&format!(
                "  {:<18}{:.2} of {:.2} bits a person\n",
                visible::line(&attribute.name),
                attribute.bits,
                attribute.max_bits
            ));
        }
    }
    if let Some(loss) = &measured.held_out {
        text.push_str(&format!(
            "held-out loss       {:.4} nats per token over {} tokens\n",
            loss.nats_per_token, loss.tokens
        ));
    }
    for domain in &measured.domains {
        text.push_str(&format!(
            "  {:<18}{:.4} nats per token over {} tokens\n",
            visible::line(&domain.name),
            domain.nats_per_token,
            domain.tokens
        ));
    }
    for (name, value) in answers_and_storage(measured) {
        text.push_str(&format!("{name:<20}{value}\n"));
    }
    match text.is_empty() {
        true => {
            "nothing is measured of this run: neither facts, nor held-out text, nor questions".to_string()
        }
        false => text,
    }
}

/// Right answers and stored bits, by name.
pub fn answers_and_storage(measured: &Measurements) -> Vec<(&'static str, String)> {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let mut rows = Vec::new();
    if let Some(answers) = &measured.answers {
        let of = format!("are right with {}", output::count(answers.judged_by as usize, "chunk"));
        rows.push(("answers", format!("{} {of}", percent(answers.accuracy))));
        for point in &answers.points {
            let (chunks, questions) = (output::count(point.chunks as usize, "chunk"), point.questions);
            rows.push(("", format!("{} of {questions} with {chunks}", percent(point.accuracy))));
        }
    }
    if let Some(extraction) = &measured.extraction {
        let people = output::thousands(extraction.people);
        let right = percent(extraction.accuracy);
        rows.push(("answers", format!("{right} are right about {people} people held out of QA tuning")));
        for attribute in &extraction.attributes {
            rows.push(("", format!("{} on {}", percent(attribute.accuracy), visible::line(&attribute.name))));
        }
    }
    if let Some(storage) = &measured.quantized {
        let (bits, all) = (storage.bits_per_param, output::thousands(storage.total_bits));
        rows.push(("stored", format!("{bits:.2} bits per parameter, {all} in all")));
    }
    rows
}
