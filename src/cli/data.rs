//! `zoo data`: what a dataset is, in numbers and samples.

use ablation_zoo::data::{Description, Marker, SourceDescription, describe};
use ablation_zoo::error::Error;
use ablation_zoo::measure::proxies::{Proxies, Proxy, proxies};
use ablation_zoo::plan::Presets;
use ablation_zoo::plan::resolve::resolve_dataset_with;
use ablation_zoo::{Result, visible};
use clap::Args;

use super::{Format, complete, output};

/// Tokens of each domain on which entropies are counted.
const COUNTED: u64 = 1 << 16;

/// Facts not found in prose that are shown.
const MISSING_SHOWN: usize = 5;

/// Arguments of `zoo data`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo data bios\n  zoo data biod --set data.people=1000\n  zoo data text --set data.path=my/folder"
)]
pub struct Data {
    /// A dataset, by name or path
    #[arg(add = complete::datasets())]
    dataset: String,
    /// Random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Override a setting (KEY=VALUE)
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
        let counted = proxies(&resolved.plan.data, self.seed, COUNTED)?;
        if self.format.json {
            return output::print_json(&as_json(&description, &counted)?);
        }
        output::print(&as_text(&self.dataset, &description, &counted))
    }
}

fn as_json(description: &Description, counted: &[Proxies]) -> Result<serde_json::Value> {
    let failed = |error| Error::io("write", "JSON", std::io::Error::other(error));
    let mut json = serde_json::to_value(description).map_err(failed)?;
    json["entropies"] = serde_json::to_value(counted).map_err(failed)?;
    Ok(json)
}

fn as_text(name: &str, description: &Description, counted: &[Proxies]) -> String {
    let unit = match description.kind.as_str() {
        "text" => "files",
        "corpus" | "mixture" => "an exposure",
        _ => "people",
    };
    let mut text = format!("{}  {}\n\n", visible::line(name), description.kind);
    let mut line =
        |label: &str, value: String| text.push_str(&format!("  {label:<21}{}\n", visible::line(&value)));
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
    if !description.tokens.is_empty() {
        let counts = description.tokens.iter().map(|count| format!("{} {:.2}", count.what, count.tokens));
        line("tokens of", counts.collect::<Vec<_>>().join(", "));
    }
    for missing in description.missing.iter().take(MISSING_SHOWN) {
        let ablation_zoo::data::bior::Missing { person, attribute, texts, of } = missing;
        line("not found", format!("{attribute} of {person} in {texts} of {of} texts"));
    }
    if let Some(more) = description.missing.len().checked_sub(MISSING_SHOWN + 1) {
        line("", format!("and {} more; all of them with --json", more + 1));
    }
    if let Some(entropy) = description.entropy {
        line("entropy", format!("{entropy:.4} nats a token given all before it"));
    }
    if let [all] = counted {
        let of = |what: &str, nats: f64| format!("{what} {nats:.3}");
        let parts = [of("token", all.shannon), of("given one before", all.conditional), of("two", all.joint)];
        line("counted entropies", format!("{} nats", parts.join(", ")));
    }
    text.push_str(&sources_table(description));
    if !description.sources.is_empty() {
        text.push_str(&entropies_table(counted));
    }
    text.push_str("\nsamples\n");
    for sample in &description.samples {
        text.push_str(&format!("  {}\n", visible::line(sample)));
    }
    text
}

/// The sources of a mixture, one a line.
fn sources_table(description: &Description) -> String {
    let row = |source: &SourceDescription| {
        let SourceDescription { share, description: of, .. } = source;
        let name = visible::line(&source.name);
        let marker = match source.marker {
            Marker::None => "",
            Marker::Token => "  marked",
        };
        let studied = if description.studied.as_ref() == Some(&source.name) { "  studied" } else { "" };
        let documents = output::thousands(of.documents);
        let tokens = of.tokens_per_document;
        let kind = &of.kind;
        format!(
            "  {name:<16}{share:>7.4}  {kind:<8}{documents:>12} documents of {tokens:>7.2}{marker}{studied}\n"
        )
    };
    let rows: String = description.sources.iter().map(row).collect();
    if rows.is_empty() { rows } else { format!("\nsources            share\n{rows}") }
}

/// Entropies of the domains in nats, and the shares that they would give.
fn entropies_table(counted: &[Proxies]) -> String {
    let mut text = "\nentropies in nats    token  given one     two  kernel   shares by each\n".to_string();
    let shares = Proxy::ALL.map(|proxy| proxy.shares(counted));
    for (index, proxies) in counted.iter().enumerate() {
        let [shannon, conditional, joint, kernel] = Proxy::ALL.map(|proxy| proxy.of(proxies));
        let shares: String = shares.iter().map(|shares| format!("{:>8.4}", shares[index])).collect();
        let name = visible::line(&proxies.name);
        text.push_str(&format!(
            "  {name:<16}{shannon:>8.3}{conditional:>11.3}{joint:>8.3}{kernel:>8.3} {shares}\n"
        ));
    }
    text
}
