//! `zoo schema`: JSON Schema of what the reading commands print and of the files that runs leave.

mod answers;
mod files;
mod shape;

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Problem};
use clap::Args;
use serde_json::{Value as Json, json};

use super::output;

/// Arguments of `zoo schema`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo schema\n  zoo schema plan\n  zoo schema measurements.json > measurements.schema.json"
)]
pub struct Schema {
    /// A command that prints JSON, or a file of a run [default: list them]
    name: Option<String>,
}

/// One documented kind of JSON.
struct Documented {
    name: &'static str,
    /// What it describes.
    title: &'static str,
    shape: fn() -> Json,
}

const fn documented(name: &'static str, title: &'static str, shape: fn() -> Json) -> Documented {
    Documented { name, title, shape }
}

impl Schema {
    /// Prints one schema, or the names of all.
    pub fn run(&self) -> Result<()> {
        let all = || answers::ALL.iter().chain(&files::ALL);
        let Some(name) = &self.name else {
            let row = |of: &Documented| [of.name.to_string(), of.title.to_string()];
            return output::print(&output::table(["name", "what it describes"], 2, all().map(row)));
        };
        match all().find(|of| of.name == name) {
            Some(of) => {
                let mut schema = (of.shape)();
                schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
                schema["title"] = json!(of.title);
                output::print_json(&schema)
            }
            None => {
                let names: Vec<&str> = all().map(|of| of.name).collect();
                let problem = Problem::new(format!("no schema {name:?}")).key("NAME");
                Err(Error::config(problem.expected(format!("one of {}", names.join(", ")))))
            }
        }
    }
}
