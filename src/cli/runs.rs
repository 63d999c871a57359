//! `zoo runs`: what is in the store, or whether it is still what was written.

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Kind};
use ablation_zoo::run::{Run, State, Store};
use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};

use super::store::{StoreArgs, size};
use super::{Format, output};

/// Arguments of `zoo runs`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo runs\n  zoo runs --state failed\n  zoo runs --arm gated --json\n  zoo runs --verify"
)]
pub struct Runs {
    #[command(flatten)]
    store: StoreArgs,
    /// Only runs in this state
    #[arg(long, value_name = "STATE")]
    state: Option<Only>,
    /// Only runs whose name contains this
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only runs of this arm
    #[arg(long, value_name = "ARM")]
    arm: Option<String>,
    /// Read every file of every finished run and name what was changed
    #[arg(long, conflicts_with_all = ["state", "name", "arm", "json"])]
    verify: bool,
    #[command(flatten)]
    format: Format,
}

/// A state without its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    Waiting,
    Running,
    Stopped,
    Failed,
    Diverged,
    Finished,
}

/// One line.
struct Row {
    run: Run,
    id: String,
    arm: String,
    role: &'static str,
    state: State,
    bytes: u64,
    bits_per_param: Option<f64>,
    final_loss: Option<f64>,
}

impl Runs {
    /// Prints a table, or what is damaged.
    pub fn run(&self) -> Result<()> {
        let store = self.store.open()?;
        if self.verify {
            return verify(&store);
        }
        let (mut rows, mut problems) = (Vec::new(), Vec::new());
        let runs = store.runs()?;
        let named = Store::ids(&runs).into_iter().zip(runs).filter(|(_, run)| self.wants_name(run.folder()));
        for (id, run) in named {
            match self.row(run, id) {
                Ok(row) => rows.extend(row),
                // A damaged run hides no other.
                Err(error) => problems.extend(error.problems),
            }
        }
        match self.format.json {
            true => output::print_json(&rows.iter().map(Row::json).collect())?,
            false => output::print(&text(&rows))?,
        }
        if problems.is_empty() { Ok(()) } else { Err(Error { kind: Kind::Data, problems }) }
    }

    fn wants_name(&self, name: &str) -> bool {
        self.name.as_ref().is_none_or(|part| name.contains(part.as_str()))
    }

    /// `None` when it is not wanted.
    fn row(&self, run: Run, id: String) -> Result<Option<Row>> {
        let state = run.state()?;
        if self.state.is_some_and(|only| only != Only::of(&state)) {
            return Ok(None);
        }
        let header = run.header()?;
        if self.arm.as_ref().is_some_and(|arm| *arm != header.arm) {
            return Ok(None);
        }
        let record = (state == State::Finished).then(|| run.record()).transpose()?;
        let capacity = record.as_ref().and_then(|record| record.measurements.capacity.as_ref());
        Ok(Some(Row {
            id,
            arm: header.arm,
            role: match header.role {
                ablation_zoo::run::Role::Tune => "tune",
                ablation_zoo::run::Role::Stage => "stage",
                ablation_zoo::run::Role::Report => "report",
            },
            bytes: run.bytes()?,
            bits_per_param: capacity.map(|capacity| capacity.bits_per_param),
            final_loss: record.as_ref().map(|record| record.training.final_loss),
            state,
            run,
        }))
    }
}

impl Only {
    fn of(state: &State) -> Self {
        match state {
            State::Waiting => Only::Waiting,
            State::Running => Only::Running,
            State::Stopped => Only::Stopped,
            State::Failed { .. } => Only::Failed,
            State::Diverged { .. } => Only::Diverged,
            State::Finished => Only::Finished,
        }
    }
}

impl Row {
    fn json(&self) -> Json {
        json!({
            "run": self.run.folder(),
            "id": self.id,
            "arm": self.arm,
            "role": self.role,
            "state": self.state.name(),
            "cause": self.state.cause(),
            "device": self.run.site().device,
            "dtype": self.run.site().dtype,
            "bytes": self.bytes,
            "bits_per_param": self.bits_per_param,
            "final_loss": self.final_loss,
        })
    }
}

fn text(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no runs".to_string();
    }
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_string(), |value| format!("{value:.3}"));
    let header = ["id", "run", "role", "state", "bits/param", "loss", "size"];
    let lines = rows.iter().map(|row| {
        let (run, role) = (row.run.name().to_string(), row.role.to_string());
        let (bits, loss) = (number(row.bits_per_param), number(row.final_loss));
        [row.id.clone(), run, role, row.state.name().to_string(), bits, loss, size(row.bytes)]
    });
    let mut text = output::table(header, 4, lines);
    for row in rows {
        if let Some(cause) = row.state.cause() {
            text.push_str(&format!("\n  {}: {cause}", row.id));
        }
    }
    let bytes = rows.iter().map(|row| row.bytes).sum();
    format!("{}\n\n  in all: {}, {}", text.trim_end(), output::count(rows.len(), "run"), size(bytes))
}

fn verify(store: &Store) -> Result<()> {
    let damaged = store.verify()?;
    if damaged.is_empty() {
        return output::print("every file of every finished run is as it was written");
    }
    Err(Error { kind: Kind::Data, problems: damaged.into_iter().flat_map(|error| error.problems).collect() })
}
