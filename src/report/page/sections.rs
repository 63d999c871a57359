//! The sections of the page, in reading order; an empty text where there is nothing to say.

use super::super::comparison::{ArmResult, Comparison};
use super::super::figure::Figure;
use super::super::number;
use super::super::speedup::ArmSpeedup;
use super::super::table::{self, Side};
use super::escape;

/// The question, and where it comes from.
pub fn header(comparison: &Comparison) -> String {
    let [name, profile, question, source] =
        [&comparison.name, &comparison.profile, &comparison.question, &comparison.source]
            .map(|text| escape(text));
    let source = if source.is_empty() { source } else { format!("<p class=\"source\">{source}</p>\n") };
    format!(
        "<header>\n<p class=\"kicker\">Ablation {name}, profile {profile}</p>\n<h1>{question}</h1>\n{source}</header>"
    )
}

/// The headline, its picture, the table, then the sentences behind it and what weakens them.
pub fn answer(comparison: &Comparison, figures: &[Figure]) -> String {
    let (headline, rest) =
        comparison.answer.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
    let cautions = match comparison.cautions.is_empty() {
        true => String::new(),
        false => {
            format!("\n<aside>\n<h3>Before you rely on this</h3>\n{}\n</aside>", items(&comparison.cautions))
        }
    };
    let rest: Vec<String> = rest.iter().chain(&comparison.next).cloned().collect();
    let picture = figures.iter().find(|figure| figure.name == PICTURE).map_or(String::new(), draw);
    let columns = table::columns(comparison);
    let sides: Vec<Side> = columns.iter().map(|column| column.side).collect();
    let heads: Vec<String> = columns.iter().map(|column| column.head.to_string()).collect();
    let row = |arm: &ArmResult| (arm.arm == comparison.control, table::cells(comparison, arm));
    let table = rows(&heads, &sides, comparison.arms.iter().map(row));
    section(
        "Answer",
        &format!(
            "<p class=\"lead\">{}</p>\n{picture}\n{table}\n{}{cautions}",
            escape(headline),
            items(&rest)
        ),
    )
}

/// The figure of the answer.
const PICTURE: &str = "arms";

/// Tables of parts and every figure but those of the answer and of tuning.
pub fn details(comparison: &Comparison, figures: &[Figure]) -> String {
    let is_elsewhere = |figure: &&Figure| [PICTURE, "tuning"].contains(&figure.name.as_str());
    let figures: Vec<String> = figures.iter().filter(|figure| !is_elsewhere(figure)).map(draw).collect();
    let tables = exam(comparison) + &documents(comparison) + &extraction(comparison) + &apart(comparison);
    match tables.is_empty() && figures.is_empty() {
        true => String::new(),
        false => section("In detail", &format!("{tables}{}", figures.join("\n"))),
    }
}

/// Names and values of mixtures apart.
fn apart(comparison: &Comparison) -> String {
    let parts = table::apart(comparison);
    if parts.is_empty() {
        return String::new();
    }
    let mut sides = [Side::Right; 7];
    sides[0] = Side::Left;
    let row = |cells: [String; 7]| (cells[0] == comparison.control, cells.to_vec());
    let table = rows(&table::APART_COLUMNS.map(str::to_string), &sides, parts.into_iter().map(row));
    format!("<p>{}</p>\n{table}\n", escape(table::APART))
}

/// What came of questions about strangers besides right answers.
fn exam(comparison: &Comparison) -> String {
    let parts = table::exam(comparison);
    if parts.is_empty() {
        return String::new();
    }
    let sides = [Side::Left, Side::Right, Side::Right, Side::Right];
    let row = |cells: [String; 4]| (cells[0] == comparison.control, cells.to_vec());
    let table = rows(&table::EXAM_COLUMNS.map(str::to_string), &sides, parts.into_iter().map(row));
    format!("<p>{}</p>\n{table}\n", escape(table::EXAM))
}

/// Perplexity of the ends of long documents.
fn documents(comparison: &Comparison) -> String {
    let parts = table::documents(comparison);
    let Some((heads, parts)) = parts.split_first() else { return String::new() };
    let mut sides = vec![Side::Right; heads.len()];
    sides[0] = Side::Left;
    let row = |cells: &Vec<String>| (cells[0] == comparison.control, cells.clone());
    let table = rows(heads, &sides, parts.iter().map(row));
    format!("<p>{}</p>\n{table}\n", escape(table::DOCUMENTS))
}

/// Right answers of models that were taught to answer, by attribute.
fn extraction(comparison: &Comparison) -> String {
    let parts = table::extraction(comparison);
    if parts.is_empty() {
        return String::new();
    }
    let sides = [Side::Left, Side::Left, Side::Right, Side::Right, Side::Right];
    let row = |cells: [String; 5]| (cells[0] == comparison.control, cells.to_vec());
    let table = rows(&table::EXTRACTION_COLUMNS.map(str::to_string), &sides, parts.into_iter().map(row));
    format!("<p>{}</p>\n{table}\n", escape(table::EXTRACTION))
}

/// How much sooner arms reach the control's last loss, beside what was published.
pub fn speedups(comparison: &Comparison) -> String {
    if comparison.speedups.is_empty() {
        return String::new();
    }
    let heads = ["arm", "losses", "speed-up in FLOPs", "in seconds", "published"].map(str::to_string);
    let row = |speedup: &ArmSpeedup| {
        let (flops, seconds) = (speedup.flops.in_words(), speedup.seconds.in_words());
        let published = speedup.published.clone().unwrap_or_else(|| "—".to_string());
        (false, vec![speedup.arm.clone(), speedup.stage.to_string(), flops, seconds, published])
    };
    let table = rows(&heads, &[Side::Left; 5], comparison.speedups.iter().map(row));
    let what = "<p>Cost of the control over cost of the arm, less 1, at the last loss of the control; what came \
                before growth is counted.</p>";
    section("Speed-up", &format!("{what}\n{table}"))
}

/// What differs, what is held fixed, and what was published.
pub fn setup(comparison: &Comparison) -> String {
    let control = comparison.control_arm();
    let heads =
        ["arm", "differs by", "matched on", "peak rate", "parameters", "FLOPs of training", "published"]
            .map(str::to_string);
    let sides = [Side::Left, Side::Left, Side::Left, Side::Right, Side::Right, Side::Right, Side::Left];
    let row = |arm: &ArmResult| {
        let published =
            arm.published.as_ref().map(|published| format!("{} ({})", published.text, published.scale));
        let cells = vec![
            arm.arm.clone(),
            if arm.differs.is_empty() { "—".to_string() } else { arm.differs.clone() },
            if arm.holds.is_empty() { "—".to_string() } else { arm.holds.clone() },
            number::rate(arm.rate),
            against(arm.params.map(|n| n as f64), control.params.map(|n| n as f64), number::count),
            against(arm.flops, control.flops, number::scientific),
            published.unwrap_or_else(|| "—".to_string()),
        ];
        (arm.arm == comparison.control, cells)
    };
    let table = rows(&heads, &sides, comparison.primary_arms().map(row));
    let read = table::read_in(comparison).map(str::to_string);
    let notes: Vec<String> = comparison.notes.iter().cloned().chain(read).collect();
    section("What is compared", &format!("{}\n{table}", items(&notes)))
}

/// A number with by how much it differs from the control's: `49.9k (−57 %)`.
fn against(value: Option<f64>, control: Option<f64>, show: impl Fn(f64) -> String) -> String {
    let Some(value) = value else { return "—".to_string() };
    match control.map(|control| 100.0 * (value / control - 1.0)) {
        Some(percent) if percent.abs() >= 0.05 => {
            let sign = if percent > 0.0 { "+" } else { "" };
            format!(
                "{} ({sign}{} %)",
                show(value),
                number::fixed(percent, if percent.abs() < 10.0 { 1 } else { 0 })
            )
        }
        Some(_) | None => show(value),
    }
}

/// The figure of tuning.
pub fn tuning(figures: &[Figure]) -> String {
    let figure = figures.iter().find(|figure| figure.name == "tuning");
    figure.map_or(String::new(), |figure| section("How learning rates were chosen", &draw(figure)))
}

/// Missing runs, every run with its fingerprint, and the machines.
pub fn runs(comparison: &Comparison) -> String {
    let missing: Vec<String> = comparison
        .missing
        .iter()
        .map(|run| format!("{} seed {}: {}", run.arm, run.seed, run.cause))
        .collect();
    let missing = match missing.is_empty() {
        true => "<p>No planned run is missing.</p>".to_string(),
        false => format!("<h3>Missing runs</h3>\n{}", items(&missing)),
    };
    section("Runs and machines", &format!("{missing}\n{}\n{}", machines(comparison), every_run(comparison)))
}

fn machines(comparison: &Comparison) -> String {
    let heads = ["processor", "device", "kernels", "threads", "platform", "version", "last run (UTC)"]
        .map(str::to_string);
    let sides = [Side::Left, Side::Left, Side::Left, Side::Right, Side::Left, Side::Left, Side::Left];
    let machines = comparison.environments.iter().map(|machine| {
        let commit = machine.commit.as_ref().map_or(String::new(), |commit| format!(" ({commit})"));
        let cells = vec![
            machine.processor.clone(),
            machine.device.clone(),
            machine.kernels.clone(),
            machine.threads.to_string(),
            machine.platform.clone(),
            format!("{}{commit}", machine.version),
            machine.finished.clone(),
        ];
        (false, cells)
    });
    rows(&heads, &sides, machines)
}

fn every_run(comparison: &Comparison) -> String {
    let heads =
        ["arm", "seed", comparison.measure.label(), "time", "ended (UTC)", "fingerprint"].map(str::to_string);
    let sides = [Side::Left, Side::Right, Side::Right, Side::Right, Side::Left, Side::Left];
    let runs = comparison.arms.iter().flat_map(|arm| {
        arm.runs.iter().map(move |run| {
            let cells = vec![
                arm.label(),
                run.seed.to_string(),
                number::fixed(run.value, 4),
                number::seconds(run.seconds),
                run.finished.clone(),
                run.fingerprint.chars().take(12).collect(),
            ];
            (false, cells)
        })
    });
    format!("<details>\n<summary>Every run</summary>\n{}\n</details>", rows(&heads, &sides, runs))
}

/// The command.
pub fn repeat(comparison: &Comparison) -> String {
    let command = escape(&comparison.command);
    let text = format!(
        "<pre><code>{command}</code></pre>\n<p>Runs that are finished are not trained again. The numbers of this page \
         are in <code>report.json</code> and, run by run, in <code>report.csv</code> beside it; the figures are in \
         <code>figures/</code> as SVG and PNG.</p>"
    );
    section("How to repeat it", &text)
}

/// A section with its heading; `body` is HTML.
pub fn section(heading: &str, body: &str) -> String {
    format!("<section>\n<h2>{heading}</h2>\n{body}\n</section>")
}

fn items(texts: &[String]) -> String {
    let items: Vec<String> = texts.iter().map(|text| format!("<li>{}</li>", escape(text))).collect();
    if items.is_empty() { String::new() } else { format!("<ul>\n{}\n</ul>", items.join("\n")) }
}

fn draw(figure: &Figure) -> String {
    let caption = escape(&figure.caption);
    format!(
        "<figure>\n<div class=\"wide\">\n{}</div>\n<div class=\"narrow\">\n{}</div>\n<figcaption>{caption}</figcaption>\n\
         </figure>",
        figure.wide, figure.narrow
    )
}

/// A table; each row says whether it is the control's.
fn rows(heads: &[String], sides: &[Side], body: impl Iterator<Item = (bool, Vec<String>)>) -> String {
    let cell = |tag: &str, side: &Side, text: &str| {
        let class = if *side == Side::Right { " class=\"number\"" } else { "" };
        format!("<{tag}{class}>{}</{}>", escape(text), tag.split(' ').next().unwrap_or(tag))
    };
    let head: String =
        heads.iter().zip(sides).map(|(text, side)| cell("th scope=\"col\"", side, text)).collect();
    let body: Vec<String> = body
        .map(|(control, cells)| {
            let tag = |index| if index == 0 { "th scope=\"row\"" } else { "td" };
            let cells = cells.iter().zip(sides).enumerate();
            let cells: String = cells.map(|(index, (text, side))| cell(tag(index), side, text)).collect();
            let class = if control { " class=\"control\"" } else { "" };
            format!("<tr{class}>{cells}</tr>")
        })
        .collect();
    format!(
        "<div class=\"scroll\">\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{}\n</tbody>\n</table>\n</div>",
        body.join("\n")
    )
}
