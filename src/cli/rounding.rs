//! `--quantize`: the same model with its weights rounded, beside the model as it was trained.

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Problem};
use ablation_zoo::measure::Measurements;
use ablation_zoo::measure::quantize::config::BITS;
use ablation_zoo::measure::quantize::{
    ColumnOrder, GptqConfig, GroupConfig, QuantizeConfig, RtnConfig, Scale, Scope,
};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::output;

/// What is rounded, how finely, and how.
#[derive(Debug, Args)]
pub struct RoundingArgs {
    /// Quantize the weights to this type: int2 to int8, or several of them
    #[arg(long, value_name = "INT,..", value_delimiter = ',')]
    quantize: Vec<String>,
    /// How weights are rounded
    #[arg(long, requires = "quantize", default_value = "rtn")]
    method: Method,
    /// Which weights share a scale: tensor, channel or group:SIZE
    #[arg(long, requires = "quantize", default_value = "channel")]
    scale: String,
    /// Which weights are rounded [default: linear, then all]
    #[arg(long, requires = "quantize")]
    weights: Option<Weights>,
    /// Order in which GPTQ rounds inputs
    #[arg(long, requires = "quantize", default_value = "stored")]
    order: InputOrder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Round to nearest
    Rtn,
    /// Input by input; the remaining weights are updated to compensate for the error
    Gptq,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Weights {
    /// The weights of linear layers
    Linear,
    /// All matrices, embeddings of tokens and positions included
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InputOrder {
    /// As they are stored
    Stored,
    /// The largest first
    Activation,
}

/// What a rounded model measures.
#[derive(Debug, Clone, Serialize)]
pub struct Rounded {
    /// How it was rounded.
    pub quantize: QuantizeConfig,
    /// What was measured.
    #[serde(flatten)]
    pub measured: Measurements,
}

impl RoundingArgs {
    /// Every way of rounding that is asked for.
    pub fn configs(&self) -> Result<Vec<QuantizeConfig>> {
        let scale = self.scale()?;
        let scopes: &[Scope] = match self.weights {
            Some(Weights::Linear) => &[Scope::Linear],
            Some(Weights::All) => &[Scope::All],
            None => &[Scope::Linear, Scope::All],
        };
        let mut configs = Vec::new();
        for &weights in scopes {
            for asked in &self.quantize {
                configs.push(self.config(bits(asked)?, scale, weights));
            }
        }
        Ok(configs)
    }

    fn config(&self, bits: u32, scale: Scale, weights: Scope) -> QuantizeConfig {
        let order = match self.order {
            InputOrder::Stored => ColumnOrder::Stored,
            InputOrder::Activation => ColumnOrder::Activation,
        };
        match self.method {
            Method::Rtn => QuantizeConfig::Rtn(RtnConfig { bits, scale, weights }),
            Method::Gptq => {
                QuantizeConfig::Gptq(GptqConfig { bits, scale, weights, order, ..GptqConfig::default() })
            }
        }
    }

    fn scale(&self) -> Result<Scale> {
        let size = |text: &str| text.strip_prefix("group:")?.parse().ok().filter(|size| *size > 1);
        match self.scale.as_str() {
            "tensor" => Ok(Scale::Tensor),
            "channel" => Ok(Scale::Channel),
            text => match size(text) {
                Some(size) => Ok(Scale::Group(GroupConfig { size })),
                None => {
                    let problem = Problem::new(format!("{text:?}")).key("--scale");
                    Err(Error::config(problem.expected("tensor, channel, or group:SIZE from group:2 up")))
                }
            },
        }
    }
}

fn bits(asked: &str) -> Result<u32> {
    let bits = asked.strip_prefix("int").and_then(|digits| digits.parse().ok());
    bits.filter(|bits| BITS.contains(bits)).ok_or_else(|| {
        let expected = format!("int{} to int{}", BITS.start(), BITS.end());
        Error::config(Problem::new(format!("{asked:?}")).key("--quantize").expected(expected))
    })
}

/// One line as trained and one for each rounding, and which tensors were left in float.
pub fn table(float: &Measurements, rounded: &[Rounded]) -> String {
    let header =
        ["weights", "rounded", "stored bits/param", "bits known", "bits/param", "of float", "known per bit"];
    let mut rows = vec![row("float32".to_string(), "none", 32.0, float, float)];
    for Rounded { quantize, measured } in rounded {
        let (Some(rounding), Some(storage)) = (quantize.rounding(), &measured.quantized) else { continue };
        let scope = match rounding.scope {
            Scope::Linear => "linear",
            Scope::All => "all",
        };
        rows.push(row(format!("int{}", rounding.bits), scope, storage.bits_per_param, measured, float));
    }
    output::table(header, 2, rows) + &left_in_float(rounded)
}

fn row(name: String, scope: &str, stored: f64, measured: &Measurements, float: &Measurements) -> [String; 7] {
    let known = measured.capacity.as_ref().zip(float.capacity.as_ref());
    let [bits, per_param, share, per_bit] = match (known, &measured.held_out) {
        (Some((now, before)), _) => [
            format!("{:.0}", now.bits),
            format!("{:.4}", now.bits_per_param),
            format!("{:.1} %", 100.0 * now.bits / before.bits),
            format!("{:.4}", now.bits_per_param / stored),
        ],
        (None, Some(loss)) => {
            [String::new(), format!("loss {:.4}", loss.nats_per_token), String::new(), String::new()]
        }
        (None, None) => [const { String::new() }; 4],
    };
    [name, scope.to_string(), format!("{stored:.2}"), bits, per_param, share, per_bit]
}

/// Names with `*` for the number of a block, each once.
fn alike(names: &[String]) -> Vec<String> {
    let star = |part: &str| {
        if part.bytes().all(|b| b.is_ascii_digit()) { "*".to_string() } else { part.to_string() }
    };
    let mut names: Vec<String> =
        names.iter().map(|name| name.split('.').map(star).collect::<Vec<_>>().join(".")).collect();
    names.sort();
    names.dedup();
    names
}

/// The tensors that no rounding of the same scope has touched.
fn left_in_float(rounded: &[Rounded]) -> String {
    let mut text = String::new();
    for (scope, name) in [(Scope::Linear, "linear"), (Scope::All, "all")] {
        let of_scope =
            |one: &&Rounded| one.quantize.rounding().is_some_and(|rounding| rounding.scope == scope);
        let storage = rounded.iter().find(of_scope).and_then(|one| one.measured.quantized.as_ref());
        if let Some(storage) = storage {
            let (kept, all) = (storage.in_float.len(), storage.in_float.len() + storage.rounded.len());
            let names = alike(&storage.in_float).join(", ");
            text.push_str(&format!("\n{name}: {kept} of {all} tensors are left in float: {names}\n"));
        }
    }
    text
}
