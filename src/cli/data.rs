//! `zoo data`: what a dataset is, in numbers and samples.

use ablation_zoo::Result;
use ablation_zoo::data::{Description, describe};
use ablation_zoo::error::Error;
use ablation_zoo::plan::Presets;
use ablation_zoo::plan::resolve::resolve_dataset_with;
use clap::Args;

use super::{Format, output};

/// Arguments of `zoo data`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo data bios\n  zoo data biod --set data.people=1000\n  zoo data text --set data.path=my/folder"
)]
pub struct Data {
    /// A dataset, by name or path
    dataset: String,
    /// The seed that decides who exists
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Set one key, last word over all files
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    format: Format,
}

impl Data {
    /// Prints the description.
    pub fn run(&self) -> Result<()> {
        let resolved = resolve_dataset_with(&Presets::here(), &self.dataset, &self.sets)?;
        let description = describe(&resolved.plan.data, self.seed)?;
        if self.format.json {
            let json = serde_json::to_value(&description)
                .map_err(|error| Error::io("write", "JSON", std::io::Error::other(error)))?;
            return output::print_json(&json);
        }
        output::print(&as_text(&self.dataset, &description))
    }
}

fn as_text(name: &str, description: &Description) -> String {
    let unit = if description.information.is_some() { "people" } else { "files" };
    let mut text = format!("{name}  {}\n\n", description.kind);
    let mut line = |label: &str, value: String| text.push_str(&format!("  {label:<21}{value}\n"));
    line("documents", format!("{} {unit}", output::thousands(description.documents)));
    line("vocabulary", format!("{} tokens", output::thousands(description.vocab_size as u64)));
    line("row", format!("{} tokens", description.seq_len));
    let mean = description.tokens_per_document;
    line("tokens per document", format!("{mean:.2} expected, {:.2} without end-of-text", mean - 1.0));
    if let (Some(person), Some(total)) = (description.bits_per_person, description.total_bits) {
        line("bits per person", format!("{person:.2} = log2(N0/N) + log2 S0"));
        line("bits of everything", format!("{} bit", output::short(total, "")));
    }
    if let Some(information) = &description.information {
        let terms = information.attributes.iter().map(|a| format!("{} {:.2}", a.name, a.bits));
        line("bits of values", terms.collect::<Vec<_>>().join(", "));
    }
    let counts = description.tokens.iter().map(|count| format!("{} {:.2}", count.what, count.tokens));
    line("tokens of", counts.collect::<Vec<_>>().join(", "));
    text.push_str("\nsamples\n");
    for sample in &description.samples {
        text.push_str(&format!("  {sample}\n"));
    }
    text
}
