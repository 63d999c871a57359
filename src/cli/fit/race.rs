//! `zoo fit race`: who is ahead, on which axis, and whether small models come back.

use std::path::Path;

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Problem};
use ablation_zoo::laws::curves::{
    Axis, CrossingConfig, ExtrapolationMethod, ExtrapolationVerdict, Smoothing,
};
use ablation_zoo::laws::table::Table;
use ablation_zoo::report::figure::race::figure;
use ablation_zoo::report::fit::{
    self, Answer, Drawn, Measured, Race, RaceConfig, RaceCurve, Round, Size, Unit,
};
use clap::Args;

use super::super::output;
use super::subject::{File, FitArgs};

/// Arguments of `zoo fit race`.
#[derive(Debug, Args)]
#[command(
    after_help = "Files: a header, then rows, tabs, commas or semicolons between: hours (or seconds, tokens, flops, 6nd), loss,\nand stage (raw or annealed) if not all raw; a column run, if a file has several.\n\nExamples:\n  zoo fit race llama1-7B.tsv llama1-13B.tsv --out figures\n  zoo fit race small.csv big.csv --size small:1.1e6:52000 --size big:4.2e6:16000\n  zoo fit race race"
)]
pub struct RaceCommand {
    #[command(flatten)]
    fit: FitArgs,
    /// What is known of a file's model: parameters, and tokens per second and device [default: as published, or the
    /// size in its name]
    #[arg(long = "size", value_name = "NAME:PARAMS[:SPEED]")]
    sizes: Vec<String>,
    /// Width of the smoothing, as a share of the place
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    smoothing: f64,
    /// Differences below this many nats decide nothing
    #[arg(long, value_name = "NATS", default_value_t = 1e-3)]
    resolution: f64,
}

impl RaceCommand {
    /// Judges and prints.
    pub fn run(&self) -> Result<()> {
        let config = self.config()?;
        let subjects = self.fit.read()?;
        let mut entrants = self.of_files(&subjects.files)?;
        entrants.extend(fit::families(&subjects.runs));
        let race = fit::race(entrants, &config)?;
        self.fit.out.iter().try_for_each(|folder| write(&race, folder))?;
        if self.fit.format.json {
            return output::print_exact(&fit::json(&race));
        }
        let written =
            self.fit.out.as_ref().map_or(String::new(), |to| format!("\nfigures: {}", to.display()));
        output::print(&(text(&race) + &written))
    }

    fn config(&self) -> Result<RaceConfig> {
        let demand = |value: f64, key: &str| match value > 0.0 && value < 1.0 {
            true => Ok(value),
            false => Err(Error::config(
                Problem::new(value.to_string()).key(key).expected("a number above 0 and below 1"),
            )),
        };
        let smoothing = Smoothing::Kernel(demand(self.smoothing, "--smoothing")?);
        let bootstrap = self.fit.bootstrap();
        let resolution = demand(self.resolution, "--resolution")?;
        Ok(RaceConfig { crossings: CrossingConfig { smoothing, resolution, bootstrap } })
    }

    fn of_files(&self, files: &[File]) -> Result<Vec<RaceCurve>> {
        let sizes = self.sizes.iter().map(|text| Size::parse(text)).collect::<Result<Vec<Size>>>()?;
        let mut tables: Vec<(String, Table)> = Vec::new();
        for file in files {
            let table = Table::parse(&file.path, &file.text)?;
            // Metrics of several runs in one file, as `zoo export` writes them.
            match table.find(&["run"])?.map(|column| table.split(column)) {
                Some(runs) if runs.len() > 1 => tables.extend(runs),
                _ => tables.push((file.stem.clone(), table)),
            }
        }
        let stems: Vec<String> = tables.iter().map(|(stem, _)| stem.clone()).collect();
        let names = fit::labels(&stems);
        let of = |(stem, table): &(String, Table), name: &String| {
            let given = sizes.iter().find(|size| size.name == *name || size.name == *stem);
            let known = given.cloned().or_else(|| Size::published(stem));
            RaceCurve::of_table(table, name, known.or_else(|| Size::in_name(stem)))
        };
        if let Some(idle) =
            sizes.iter().find(|size| !names.contains(&size.name) && !stems.contains(&size.name))
        {
            let problem = Problem::new(format!("{:?} is the size of no file", idle.name)).key("--size");
            return Err(Error::config(problem.expected(format!("one of {}", names.join(", ")))));
        }
        tables.iter().zip(&names).map(|(table, name)| of(table, name)).collect()
    }
}

/// The races of finished runs, in words, with figures in `folder`.
pub fn law(runs: &[Measured], folder: &Path) -> Result<String> {
    let race = fit::race(fit::families(runs), &RaceConfig::default())?;
    write(&race, folder)?;
    Ok(text(&race))
}

fn write(race: &Race, folder: &Path) -> Result<()> {
    let figures: Vec<_> = race.rounds.iter().map(figure).collect();
    fit::write(race, "race", &figures, folder).map(|_| ())
}

fn text(race: &Race) -> String {
    let mut text = race.rounds.iter().map(round).collect::<String>();
    if !race.extrapolations.is_empty() {
        text.push_str("Drawn on to the end of the largest\n\n");
        text.push_str(&output::table(
            ["model", "to", "by", "verdict", "loss", "measured"],
            4,
            race.extrapolations.iter().flat_map(drawn),
        ));
        text.push('\n');
    }
    text.push_str("Do small models overtake again?\n\n");
    let row = |answer: &Answer| {
        let place = format!("{} {}", answer.stage, answer.schedule);
        let axis = match answer.axis {
            Axis::Hours => "time".to_string(),
            axis => axis.to_string(),
        };
        [axis, place.trim_end().to_string(), answer.text.clone()]
    };
    match race.answers.is_empty() {
        true => text.push_str("  who is small is not known\n"),
        false => {
            text.push_str(&output::table(["axis", "losses", "answer"], 3, race.answers.iter().map(row)));
            text.push_str(&format!("\n  {}\n", Answer::verdict(&race.answers)));
        }
    }
    for note in &race.notes {
        text.push_str(&format!("\n  note: {note}"));
    }
    text
}

fn round(round: &Round) -> String {
    let most = round.curves.iter().map(|curve| curve.range().1).fold(0.0, f64::max);
    let unit = Unit::of(round.axis, most);
    let schedule = if round.schedule.is_empty() { String::new() } else { format!(", {}", round.schedule) };
    let mut rows = Vec::new();
    for pair in &round.pairs {
        let name = format!("{} / {}", pair.names.0, pair.names.1);
        let overlap = format!("{} to {}", unit.value(pair.overlap.0), unit.value(pair.overlap.1));
        for crossing in &pair.crossings {
            let support = crossing.support.map_or(String::new(), |share| format!("{:.0} %", 100.0 * share));
            let what = format!("{} overtakes", pair.name(crossing.ahead));
            rows.push([name.clone(), overlap.clone(), what, unit.interval(&crossing.at), support]);
        }
        for touch in &pair.touches {
            let at = format!("{} to {}", unit.value(touch.from), unit.value(touch.to));
            let what = format!("unresolved, at most {:.4} nats apart", touch.difference);
            rows.push([name.clone(), overlap.clone(), what, at, String::new()]);
        }
        if pair.crossings.is_empty() {
            let lead = pair.leads.iter().max_by(|a, b| a.most.total_cmp(&b.most));
            let what = lead.map_or("never apart".to_string(), |lead| {
                format!("no crossing, {} ahead by up to {:.3}", pair.name(lead.side), lead.most)
            });
            rows.push([name, overlap, what, String::new(), String::new()]);
        }
    }
    for apart in &round.apart {
        let name = format!("{} / {}", apart.names.0, apart.names.1);
        rows.push([name, "none".into(), "not comparable".into(), String::new(), String::new()]);
    }
    let owner = |owner: &fit::Owner| format!("{} from {}", owner.name, unit.value(owner.from));
    let owners: Vec<String> = round.envelope.iter().map(owner).collect();
    let header = ["pair", "both measured", "what", "at, 95 % interval", "replicates"];
    format!(
        "By {}, {} losses{schedule}\n\n{}\n  lowest: {}\n\n",
        unit.name,
        round.stage,
        output::table(header, 4, rows),
        owners.join(", ")
    )
}

fn drawn(drawn: &Drawn) -> Vec<[String; 6]> {
    let law = match drawn.law.as_str() {
        "hoffmann" => "Hoffmann's law",
        _ => "Besiroglu's law",
    };
    let row = |answer: &ablation_zoo::laws::curves::Extrapolation| {
        let by = match answer.method {
            ExtrapolationMethod::Line(from, to) => {
                format!("line through {:.0} to {:.0} % of its run", 100.0 * from, 100.0 * to)
            }
            ExtrapolationMethod::Law => law.to_string(),
            ExtrapolationMethod::AnchoredLaw => format!("{law}, moved onto its end"),
        };
        let measured = format!("{:.3}", drawn.loss_of_largest);
        let verdict = match (answer.verdict, answer.loss > drawn.loss_of_largest) {
            (ExtrapolationVerdict::Plausible, true) => "plausible: the larger model stays ahead".to_string(),
            (ExtrapolationVerdict::Plausible, false) => "plausible: the small model wins".to_string(),
            (other, _) => other.to_string(),
        };
        [drawn.name.clone(), drawn.to.clone(), by, verdict, format!("{:.3}", answer.loss), measured]
    };
    // The line is the same whatever the law; its floor is the first law's.
    let skip = usize::from(drawn.law != "hoffmann");
    drawn.answers.iter().skip(skip).map(row).collect()
}
