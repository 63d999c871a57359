//! `zoo measure`: what a finished run knows, measured again from its weights.

use ablation_zoo::run::{job, worker::Task};
use ablation_zoo::{Result, device};
use clap::Args;

use super::store::StoreArgs;
use super::{Format, output};

/// Arguments of `zoo measure`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo measure mlp-control-tiny-1e-3-s1\n  zoo measure runs/mlp-control-tiny-1e-3-s1-0123456789abcdef-cpu-f32"
)]
pub struct MeasureCommand {
    /// A finished run: its name, the beginning of it, or its folder (`zoo runs` lists them)
    run: String,
    #[command(flatten)]
    store: StoreArgs,
    /// Where to compute
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Fresh renderings of each biography [default: those of the plan]
    #[arg(long)]
    renderings: Option<u64>,
    #[command(flatten)]
    format: Format,
}

impl MeasureCommand {
    /// Measures and prints.
    pub fn run(&self) -> Result<()> {
        let run = self.store.run(&self.run)?;
        let mut plan = run.plan()?;
        plan.measure.renderings = self.renderings.unwrap_or(plan.measure.renderings).clamp(1, 10_000);
        let device = device::open(&self.device)?;
        let task = Task { run, plan, device: self.device.clone(), stages: Vec::new() };
        let measured = job::measure_again(&task, &device)?;
        if self.format.json {
            let json = serde_json::to_value(&measured).expect("measurements are numbers and names");
            return output::print_json(&json);
        }
        let mut text = String::new();
        if let Some(capacity) = &measured.capacity {
            let (bits, most) = (capacity.bits_per_param, capacity.max_bits_per_param);
            text.push_str(&format!("bits per parameter  {bits:.4} of {most:.4}\n"));
            let parts = (capacity.name_bits, capacity.value_bits, capacity.diversity_bits);
            text.push_str(&format!(
                "bits                {:.0} (names {:.0}, values {:.0}, diversity {:.0})\n",
                capacity.bits, parts.0, parts.1, parts.2
            ));
            text.push_str(&format!("parameters          {}\n", output::thousands(capacity.params)));
            text.push_str(&format!(
                "fully known         {:.1} % of {} people\n",
                100.0 * capacity.fully_known,
                output::thousands(capacity.people)
            ));
            for attribute in &capacity.attributes {
                text.push_str(&format!(
                    "  {:<18}{:.2} of {:.2} bits a person\n",
                    attribute.name, attribute.bits, attribute.max_bits
                ));
            }
        }
        if let Some(loss) = &measured.held_out {
            text.push_str(&format!(
                "held-out loss       {:.4} nats per token over {} tokens\n",
                loss.nats_per_token, loss.tokens
            ));
        }
        output::print(&text)
    }
}
