//! `zoo grow`: the model of a finished run, grown into a folder.

use std::path::PathBuf;

use ablation_zoo::model::growth::{
    Direction, LayerOrder, LearnConfig, Operator, RampConfig, Recipe, StackConfig,
};
use ablation_zoo::run::grow::{GrowthReport, grow};
use ablation_zoo::{Result, device};
use clap::{Args, ValueEnum};

use super::store::StoreArgs;
use super::{Format, complete, output};

const EXAMPLES: &str = "\
Examples:
  zoo grow RUN --operator stack --factor 4                  Gstack: the whole model four times
  zoo grow RUN --operator zero --order interleave           copies that add nothing at first
  zoo grow RUN --operator stack --order 12-345*7-6          some layers again: 6 become 24
  zoo grow RUN --operator stack --direction width           twice the width, twice the heads";

/// Arguments of `zoo grow`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Grow {
    /// A finished run: its name, the beginning of it, or its folder (`zoo runs` lists them)
    #[arg(add = complete::runs())]
    run: String,
    /// What new layers and units start from
    #[arg(long, value_enum, default_value = "stack")]
    operator: OperatorName,
    /// Growth factor of the depth or width [default: 4 for depth, 2 for width]
    #[arg(long, value_name = "N")]
    factor: Option<usize>,
    /// Dimension that grows
    #[arg(long, value_enum, default_value = "depth")]
    direction: DirectionName,
    /// Which layer comes from which: stack, interleave, middle:N, last:N, overlap:N, or 12-345*7-6
    #[arg(long, value_name = "SPEC", default_value = "stack")]
    order: LayerOrder,
    /// Fraction of noise in the linear layers of new and old blocks (stack)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    noise: f64,
    /// Where the model goes [default: the run's name and the operator's]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    /// Device to run on
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OperatorName {
    /// Copies (Gstack, Net2Net)
    Stack,
    /// New layers whose output is zero
    Zero,
    /// Random layers, faded in
    Random,
    /// Trained mixtures (LiGO)
    Learn,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DirectionName {
    /// More layers
    Depth,
    /// Wider layers, more heads
    Width,
}

impl Grow {
    /// Grows and says what that did.
    pub fn run(&self) -> Result<()> {
        let run = self.store.run(&self.run)?;
        let recipe = self.recipe();
        let out = match &self.out {
            Some(out) => out.clone(),
            None => PathBuf::from(format!("{}-{}", run.folder(), recipe.operator.name())),
        };
        let report = grow(&run, &recipe, &out, &device::open(&self.device)?)?;
        match self.format.json {
            true => output::print_json(&serde_json::json!({"folder": out, "growth": report})),
            false => output::print(&text(&report, &output::path(&out))),
        }
    }

    fn recipe(&self) -> Recipe {
        let operator = match self.operator {
            OperatorName::Stack => Operator::Stack(StackConfig { noise: self.noise }),
            OperatorName::Zero => Operator::Zero,
            OperatorName::Random => Operator::Random(RampConfig::default()),
            OperatorName::Learn => Operator::Learn(LearnConfig::default()),
        };
        let direction = match self.direction {
            DirectionName::Depth => Direction::Depth,
            DirectionName::Width => Direction::Width,
        };
        Recipe { operator, direction, factor: self.factor, order: self.order.clone() }
    }
}

fn text(report: &GrowthReport, folder: &str) -> String {
    let layers: Vec<String> = report.layers.iter().map(usize::to_string).collect();
    let (before, after) = (report.before, report.after);
    let times = after.non_embedding() as f64 / before.non_embedding() as f64;
    let rows = [
        ("operator", format!("{}: {}", report.operator, report.promise)),
        ("layers", layers.join(" ")),
        (
            "connections",
            format!("{:.1} % of neighbours were neighbours before", 100.0 * report.connection_rate),
        ),
        (
            "gap",
            format!(
                "{:.3e}, the largest difference of a logit on {} tokens",
                report.function_gap,
                output::thousands(report.probe_tokens as u64)
            ),
        ),
        (
            "parameters",
            format!(
                "{} to {}, non-embedding {times:.2} times as many",
                output::thousands(before.total),
                output::thousands(after.total)
            ),
        ),
        ("folder", folder.to_string()),
    ];
    rows.iter().map(|(name, value)| format!("  {name:<12}{value}\n")).collect()
}
