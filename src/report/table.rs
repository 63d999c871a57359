//! The table of a comparison: for a terminal, in Markdown, and as the cells that the page uses.

use super::comparison::{ArmResult, Comparison, DocumentResult, Measure};
use super::number;
use super::terminal::{Look, Table, wrap};
use crate::measure::MeasureContext;
use crate::statistics::Effect;
use crate::visible;

/// One column: its head, how it is aligned, and whether a narrow terminal still shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// What stands over it.
    pub head: &'static str,
    /// Numbers stand to the right.
    pub side: Side,
    /// Who sees it.
    pub need: Need,
}

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Whether a column stays when there is little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Always shown.
    Always,
    /// Shown where there is room.
    WithRoom,
}

/// The columns of a comparison.
pub fn columns(comparison: &Comparison) -> Vec<Column> {
    let column = |head, side, need| Column { head, side, need };
    let (mean, effect) = match comparison.measure {
        Measure::BitsPerParam => ("bits/param (95 %)", "ratio to control (95 %)"),
        Measure::HeldOutLoss => ("held-out loss (95 %)", "minus control (95 %)"),
        Measure::Answers => ("right answers (95 %)", "minus control (95 %)"),
    };
    let mut columns = vec![
        column("arm", Side::Left, Need::Always),
        column("runs", Side::Right, Need::Always),
        column("params", Side::Right, Need::Always),
        column(mean, Side::Right, Need::Always),
        column(effect, Side::Right, Need::Always),
        column("p", Side::Right, Need::WithRoom),
    ];
    if comparison.measure == Measure::BitsPerParam {
        columns.push(column("R_max", Side::Right, Need::WithRoom));
        columns.push(column("fully known", Side::Right, Need::WithRoom));
    }
    columns.push(column("time per run", Side::Right, Need::WithRoom));
    columns
}

/// The cells of one arm, in the order of [`columns`]; a dash where there is no number.
pub fn cells(comparison: &Comparison, arm: &ArmResult) -> Vec<String> {
    let dash = || "—".to_string();
    let effect = arm.compared.as_ref();
    let mut cells = vec![
        arm.label(),
        arm.n_runs.to_string(),
        arm.params.map_or_else(dash, |params| number::count(params as f64)),
        arm.primary(comparison.measure).map_or_else(dash, number::estimate),
        effect.map_or_else(dash, |effect| match effect.contrast == comparison.measure.contrast() {
            true => number::estimate(&effect.estimate),
            false => format!("minus {}", number::estimate(&effect.estimate)),
        }),
        effect.and_then(|effect| effect.p).map_or_else(dash, number::p),
    ];
    if comparison.measure == Measure::BitsPerParam {
        cells.push(arm.max_bits_per_param.map_or_else(dash, number::three));
        let percent = |share: f64| format!("{} %", number::three(100.0 * share));
        cells.push(arm.fully_known.as_ref().map_or_else(dash, |share| percent(share.mean)));
    }
    cells.push(arm.seconds.as_ref().map_or_else(dash, |seconds| number::seconds(seconds.mean)));
    cells
}

/// The table for a terminal, fitted to its width, which names the columns that it leaves to the page; ends with a line
/// break.
pub fn terminal(comparison: &Comparison, look: Look) -> String {
    let columns = columns(comparison);
    let table = |is_kept: &dyn Fn(&Column) -> bool| {
        let kept = |texts: Vec<String>| -> Vec<String> {
            let kept = texts.into_iter().zip(&columns).filter(|(_, column)| is_kept(column));
            kept.map(|(text, _)| printable(&short(&text))).collect()
        };
        Table {
            heads: kept(columns.iter().map(|column| column.head.to_string()).collect()),
            n_left: 1,
            rows: comparison.arms.iter().map(|arm| kept(cells(comparison, arm))).collect(),
            bold: comparison.arms.iter().position(|arm| arm.arm == comparison.control),
        }
    };
    let whole = table(&|_| true);
    if look.width.is_none_or(|width| whole.width() <= width) {
        return whole.fit(look);
    }
    let left: Vec<&str> =
        columns.iter().filter(|column| column.need == Need::WithRoom).map(|column| column.head).collect();
    let note = wrap(&format!("  on the page: {}", left.join(", ")), look.width);
    table(&|column| column.need == Need::Always).fit(look) + &note
}

/// An interval in brackets: `1.13 [0.99, 1.30]`.
fn short(cell: &str) -> String {
    match cell
        .split_once(" (")
        .and_then(|(value, rest)| Some((value, rest.strip_suffix(')')?.split_once(" to ")?)))
    {
        Some((value, (low, high))) => format!("{value} [{low}, {high}]"),
        None => cell.to_string(),
    }
}

/// The whole answer for a terminal: the question, the table, what weakens the answer, and last the headline with what to do
/// next. The sentences about each arm are on the page.
pub fn summary(comparison: &Comparison, look: Look) -> String {
    let question = printable(&comparison.question);
    let question = if question.is_empty() { question } else { format!("{question}\n\n") };
    let mut text = format!("{question}{}\n", terminal(comparison, look));
    let mut add =
        |head: &str, sentence: &str| text += &wrap(&printable(&format!("{head}{sentence}")), look.width);
    read_in(comparison).iter().for_each(|sentence| add("", sentence));
    comparison.cautions.iter().for_each(|caution| add("caution: ", caution));
    for run in &comparison.missing {
        add("missing: ", &format!("{} seed {}: {}", run.arm, run.seed, run.cause));
    }
    if text.lines().last().is_some_and(|line| !line.is_empty()) {
        text.push('\n');
    }
    let last = comparison.headline().iter().chain(&comparison.next);
    last.for_each(|sentence| text += &wrap(&printable(sentence), look.width));
    text
}

/// In which context bits were read, where it is not none.
pub fn read_in(comparison: &Comparison) -> Option<&'static str> {
    let mut arms = comparison.primary_arms().filter(|arm| arm.bits_per_param.is_some()).peekable();
    let is_packed = arms.peek().is_some() && arms.all(|arm| arm.context == MeasureContext::Packed);
    is_packed.then_some("Bits were read in biographies that follow those of others, as in training.")
}

/// The table in Markdown with the answer above and the command below, for docs/results.
pub fn markdown(comparison: &Comparison) -> String {
    let columns = columns(comparison);
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("{}\n\n", literal(&comparison.question));
    for sentence in &comparison.answer {
        text += &format!("{}\n", literal(sentence));
    }
    comparison.next.iter().for_each(|next| text += &format!("{}\n", literal(next)));
    read_in(comparison).iter().for_each(|sentence| text += &format!("{sentence}\n"));
    text += "\n";
    text += &line(columns.iter().map(|column| literal(column.head)).collect());
    let rule = |column: &Column| if column.side == Side::Right { "---:" } else { "---" }.to_string();
    text += &line(columns.iter().map(rule).collect());
    for arm in &comparison.arms {
        text += &line(cells(comparison, arm).iter().map(|cell| literal(cell)).collect());
    }
    let parts = exam(comparison);
    if !parts.is_empty() {
        text += &format!("\n{EXAM}\n\n");
        text += &line(EXAM_COLUMNS.map(literal).into());
        text += "| --- | ---: | ---: | ---: |\n";
        text +=
            &parts.iter().map(|row| line(row.iter().map(|cell| literal(cell)).collect())).collect::<String>();
    }
    if let [heads, parts @ ..] = &documents(comparison)[..] {
        text += &format!("\n{DOCUMENTS}\n\n");
        text += &line(heads.iter().map(|head| literal(head)).collect());
        text +=
            &line(std::iter::once("---").chain(["---:"].repeat(heads.len() - 1)).map(String::from).collect());
        text +=
            &parts.iter().map(|row| line(row.iter().map(|cell| literal(cell)).collect())).collect::<String>();
    }
    let parts = extraction(comparison);
    if !parts.is_empty() {
        text += &format!("\n{EXTRACTION}\n\n");
        text += &line(EXTRACTION_COLUMNS.map(literal).into());
        text += "| --- | --- | ---: | ---: | ---: |\n";
        text +=
            &parts.iter().map(|row| line(row.iter().map(|cell| literal(cell)).collect())).collect::<String>();
    }
    let parts = apart(comparison);
    if !parts.is_empty() {
        text += &format!("\n{APART}\n\n");
        text += &line(APART_COLUMNS.map(literal).into());
        text += &line(std::iter::once("---").chain(["---:"; 6]).map(String::from).collect());
        text +=
            &parts.iter().map(|row| line(row.iter().map(|cell| literal(cell)).collect())).collect::<String>();
    }
    for caution in &comparison.cautions {
        text += &format!("\nCaution: {}\n", literal(caution));
    }
    for run in &comparison.missing {
        text += &format!("\nMissing: {} seed {}: {}\n", literal(&run.arm), run.seed, literal(&run.cause));
    }
    text + &format!("\nMade by `{}`.\n", printable(&comparison.command).replace('`', "'"))
}

/// What [`exam`] shows.
pub const EXAM: &str = "Format kept: answers in the form that was asked for, with any value, at the number of chunks that \
    the arms are compared at; the form is a value alone, or what the decoder was tuned to. Divergence: from the answer of \
    the same decoder with the chunks in its own window, at the largest number of chunks that it holds. Means over seeds \
    with 95 % intervals.";

/// Heads of the columns of [`exam`].
pub const EXAM_COLUMNS: [&str; 4] =
    ["arm", "format kept (%)", "divergence from the teacher (nats)", "at chunks"];

/// What came of questions about strangers besides right answers, by arm; nothing where none were asked.
pub fn exam(comparison: &Comparison) -> Vec<[String; 4]> {
    let dash = || "—".to_string();
    let asked = comparison.primary_arms().filter_map(|arm| Some((arm, arm.exam.as_ref()?)));
    asked
        .map(|(arm, exam)| {
            let teacher = exam.teacher.as_ref();
            let nats = teacher.map_or_else(dash, |teacher| number::estimate(&teacher.nats));
            let chunks = teacher.map_or_else(dash, |teacher| teacher.chunks.to_string());
            [arm.label(), number::estimate(&exam.format_percent), nats, chunks]
        })
        .collect()
}

/// What [`documents`] shows.
pub const DOCUMENTS: &str = "Perplexity of the ends of long documents, all tokens of their last questions and answers, by how \
    many of the chunks before them there are to read. Means over seeds; the figure shows their spread.";

/// Perplexity of the ends of long documents: the heads of the columns, then a row for each arm; nothing where none were
/// read.
pub fn documents(comparison: &Comparison) -> Vec<Vec<String>> {
    let exams = || comparison.primary_arms().filter_map(|arm| Some((arm, &arm.exam.as_ref()?.documents)));
    let Some((_, longest)) = exams().max_by_key(|(_, documents)| documents.len()) else { return Vec::new() };
    if longest.is_empty() {
        return Vec::new();
    }
    let chunks: Vec<u64> = longest.iter().map(|document| document.chunks).collect();
    let heads = std::iter::once("arm".to_string());
    let heads = heads.chain(chunks.iter().map(|&n| number::plural(n as usize, "chunk")));
    let row = |(arm, documents): (&ArmResult, &Vec<DocumentResult>)| {
        let at = |n: &u64| {
            let found = documents.iter().find(|document| document.chunks == *n);
            found.map_or("—".to_string(), |document| number::three(document.perplexity.mean))
        };
        std::iter::once(arm.label()).chain(chunks.iter().map(at)).collect()
    };
    std::iter::once(heads.collect()).chain(exams().map(row)).collect()
}

/// What [`extraction`] shows.
pub const EXTRACTION: &str = "Shares of right answers about people whom nobody asked about in training, about those who \
    were asked about, and of values that the model of the former recited in a text of the training kind before it was \
    taught to answer; means over seeds with 95 % intervals.";

/// Heads of the columns of [`extraction`].
pub const EXTRACTION_COLUMNS: [&str; 5] = ["arm", "attribute", "not asked about", "asked about", "recited"];

/// Right answers by arm and attribute; nothing where no model was taught to answer.
pub fn extraction(comparison: &Comparison) -> Vec<[String; 5]> {
    let rows = comparison.primary_arms().flat_map(|arm| arm.extraction.iter().map(move |part| (arm, part)));
    rows.map(|(arm, part)| {
        let [accuracy, asked, recited] = [&part.accuracy, &part.asked, &part.recited].map(number::estimate);
        [arm.label(), part.name.clone(), accuracy, asked, recited]
    })
    .collect()
}

/// What [`apart`] shows.
pub const APART: &str = "Names and values apart. Whoever reads a mixture without markers has to guess, before the name, which \
    source a document is of; the guess costs bits of names that no training can save, and the last two columns are given \
    the source. Values are not touched by it.";

/// Heads of the columns of [`apart`].
pub const APART_COLUMNS: [&str; 7] = [
    "arm",
    "guessing the source (bits a person)",
    "names (bits/param)",
    "values (bits/param)",
    "ratio of values to control",
    "bits/param given the source",
    "ratio to control given the source",
];

/// Names and values by arm; nothing where there are no mixtures.
pub fn apart(comparison: &Comparison) -> Vec<[String; 7]> {
    let ratio = |ratio: &Option<Effect>| {
        ratio.as_ref().map_or("—".to_string(), |ratio| number::estimate(&ratio.estimate))
    };
    let any_mixed = comparison.primary_arms().any(|arm| !arm.domains.is_empty());
    let arms = comparison.primary_arms().filter(|_| any_mixed);
    arms.filter_map(|arm| Some((arm, arm.apart.as_ref()?)))
        .map(|(arm, apart)| {
            let [names, values, given] =
                [&apart.names, &apart.values, &apart.given_source].map(number::estimate);
            let source = number::fixed(apart.source_bits, 2);
            let (of_values, of_given) = (ratio(&apart.ratio_of_values), ratio(&apart.ratio_given_source));
            [arm.label(), source, names, values, of_values, given, of_given]
        })
        .collect()
}

/// Text in which nothing is a command to the terminal.
pub fn printable(text: &str) -> String {
    visible::line(text).into_owned()
}

/// Text in which nothing is Markdown or HTML.
pub(super) fn literal(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in printable(text).chars() {
        if matches!(c, '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '\\' | '#') {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::fake;
    use super::*;
    use crate::measure::{AnswerPoint, Answers, AttributeAnswers, DocumentPoint, Extraction};

    use super::super::terminal::Style;

    const PIPED: Look = Look { width: None, style: Style::Plain };

    #[test]
    fn a_piped_table_is_plain_and_has_every_column() {
        let comparison = compare(&fake::evidence()).unwrap();
        let table = terminal(&comparison, PIPED);
        assert!(!table.contains('\u{1b}') && table.contains("time per run"), "{table}");
        assert!(table.contains("0.567 [0.529, 0.605]") && table.contains("0.472 [0.434, 0.514]"), "{table}");
        assert_eq!(table.lines().filter(|line| line.contains(" [")).count(), 4);
    }

    #[test]
    fn a_narrow_terminal_keeps_to_its_width_and_shows_what_matters() {
        let comparison = compare(&fake::evidence()).unwrap();
        for width in [40, 60, 80, 100] {
            let look = Look { width: Some(width), style: Style::Plain };
            let text = summary(&comparison, look);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert!(text.contains("ratio to control (95 %)") || width == 40, "{text}");
            assert!(text.contains("0.472 [0.434, 0.514]") || width == 40, "{text}");
        }
        let table = terminal(&comparison, Look { width: Some(80), style: Style::Bold });
        assert!(
            table.contains("\u{1b}[1m") && table.contains("  on the page: p, R_max, fully known"),
            "{table}"
        );
    }

    #[test]
    fn names_cannot_command_the_terminal_or_break_markdown() {
        let mut evidence = fake::evidence();
        evidence.arms[3].name = "no|ne\u{1b}[2J<b>".to_string();
        let comparison = compare(&evidence).unwrap();
        assert!(!summary(&comparison, PIPED).contains('\u{1b}'));
        let markdown = markdown(&comparison);
        assert!(markdown.contains("| no\\|ne\\\\u001b\\[2J\\<b\\> |"), "{markdown}");
        let pipes = |line: &str| line.replace("\\|", "").matches('|').count();
        let rows: Vec<usize> = markdown.lines().filter(|line| line.starts_with('|')).map(pipes).collect();
        assert_eq!(rows, [columns(&comparison).len() + 1; 6]);
    }

    #[test]
    fn answers_of_models_that_were_taught_are_the_measure_and_shown_by_attribute() {
        let mut evidence = fake::evidence();
        for run in evidence.arms.iter_mut().flat_map(|arm| &mut arm.runs) {
            let accuracy = 0.5 + 0.01 * run.seed as f64;
            let one = AttributeAnswers { name: "city".into(), accuracy, asked_accuracy: 0.9, recited: 1.0 };
            run.record.measurements.extraction = Some(Extraction {
                accuracy,
                asked_accuracy: 0.9,
                recited: 1.0,
                people: 40,
                trained_params: 1000,
                attributes: vec![one],
            });
        }
        let comparison = compare(&evidence).unwrap();
        assert_eq!(comparison.measure, Measure::Answers);
        let markdown = markdown(&comparison);
        let row = "| gpt2 | city | 0.520 (0.495 to 0.545) | 0.900 (0.900 to 0.900) | 1.00 (1.00 to 1.00) |";
        assert!(markdown.contains(row) && markdown.contains("| gpt2 | all attributes |"), "{markdown}");
        assert!(super::super::page::html(&comparison, &[]).contains("asked about in training"));
        assert!(extraction(&compare(&fake::evidence()).unwrap()).is_empty());
    }

    #[test]
    fn the_format_of_answers_and_the_divergence_from_a_teacher_are_shown() {
        let mut evidence = fake::evidence();
        for run in evidence.arms.iter_mut().flat_map(|arm| &mut arm.runs) {
            let point = |chunks, teacher_nats| AnswerPoint {
                chunks,
                tokens: 9 * chunks,
                questions: 64,
                accuracy: 0.5,
                format: 0.75,
                nats: 1.0,
                by_quarter: Vec::new(),
                teacher_nats,
                tokens_per_second: 1e3,
            };
            let points = vec![point(1, Some(0.25)), point(2, Some(0.5)), point(4, None)];
            let documents = [1, 4].map(|chunks| DocumentPoint {
                chunks,
                tokens: 9 * chunks,
                nats_per_token: (8.0 / chunks as f64).ln(),
            });
            let relevant = Vec::new();
            let answers =
                Answers { accuracy: 0.5, judged_by: 4, points, relevant, documents: documents.into() };
            run.record.measurements.answers = Some(answers);
        }
        let comparison = compare(&evidence).unwrap();
        let markdown = markdown(&comparison);
        let row = "| gpt2 | 75.0 (75.0 to 75.0) | 0.500 (0.500 to 0.500) | 2 |";
        assert!(markdown.contains(row), "{markdown}");
        let perplexities = "| arm | 1 chunk | 4 chunks |\n| --- | ---: | ---: |\n| gpt2 | 8.00 | 2.00 |\n";
        assert!(markdown.contains(perplexities), "{markdown}");
        let page = super::super::page::html(&comparison, &[]);
        assert!(page.contains("Format kept") && page.contains("Perplexity of the ends"));
        let other = compare(&fake::evidence()).unwrap();
        assert!(exam(&other).is_empty() && documents(&other).is_empty());
    }

    #[test]
    fn missing_runs_and_cautions_are_part_of_the_summary() {
        let text = summary(&compare(&fake::evidence_with_gaps()).unwrap(), PIPED);
        assert!(text.contains("missing: gated seed 3: loss is not a number at step 812\n"), "{text}");
        assert!(text.contains("caution: 3 of 13 planned runs are missing"), "{text}");
    }
}
