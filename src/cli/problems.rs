//! Problems on the terminal: the place, the line, a caret, what was expected, how to fix it.

use std::io::{IsTerminal, Write};

use ablation_zoo::error::{Kind, Place, Problem};
use ablation_zoo::{Error, visible};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// Prints all problems to standard error, in colour if that is a terminal and `NO_COLOR` is not set.
pub fn print(error: &Error) {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let renderer = match std::io::stderr().is_terminal() && !plain {
        true => Renderer::styled(),
        false => Renderer::plain(),
    };
    // What somebody asked for is no error.
    let is_asked = |place: usize| place == 0 && error.kind == Kind::Stopped;
    let level = |place: usize| if is_asked(place) { Level::NOTE.with_name("stopped") } else { Level::ERROR };
    let render = |(place, problem)| render(&shown(problem), level(place), &renderer);
    let texts: Vec<String> = error.problems.iter().enumerate().map(render).collect();
    let _ = writeln!(std::io::stderr(), "{}", texts.join("\n\n"));
}

/// Says on standard error what is not shown because of an error, where that hides nothing else.
pub fn left_out(what: &str, error: &Error) {
    note(&format!("left out: {what}: {error}"));
}

/// Says a sentence on standard error.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", visible::text(text));
}

/// A problem in which nothing is a command to the terminal; the caret stays under what it marks.
fn shown(problem: &Problem) -> Problem {
    let line = |text: &String| visible::line(text).into_owned();
    let place = |place: &Place| {
        let span = span(place);
        let part = |range: std::ops::Range<usize>| visible::text(&place.text[range]).into_owned();
        let parts = [part(0..span.start), part(span.clone()), part(span.end..place.text.len())];
        let [column, width] = [&parts[0], &parts[1]].map(|part| part.chars().count());
        let (file, line) = (line(&place.file), place.line);
        Place { file, line, column: column + 1, width: width.max(1), text: parts.concat() }
    };
    Problem {
        place: problem.place.as_ref().map(place),
        key: problem.key.as_ref().map(line),
        found: line(&problem.found),
        expected: problem.expected.as_ref().map(line),
        help: problem.help.as_ref().map(line),
    }
}

/// Says on standard error what was allowed.
pub fn warn(problems: &[Problem]) {
    problems.iter().for_each(|problem| caution(&problem.to_string()));
}

/// Says on standard error what is worth a word.
pub fn caution(warning: &str) {
    let _ = writeln!(std::io::stderr(), "warning: {warning}");
}

fn render(problem: &Problem, level: Level, renderer: &Renderer) -> String {
    let title = match &problem.key {
        Some(key) => format!("{key}: {}", problem.found),
        None => problem.found.clone(),
    };
    let expected = problem.expected.as_ref().map(|expected| format!("expected {expected}"));
    let mut group = Group::with_title(level.primary_title(title));
    group = match (&problem.place, expected) {
        (Some(place), expected) if !place.text.trim().is_empty() => {
            let mark = AnnotationKind::Primary.span(span(place));
            let mark = match expected {
                Some(expected) => mark.label(expected),
                None => mark,
            };
            let line = Snippet::source(&place.text).line_start(place.line).path(&place.file).annotation(mark);
            group.element(line)
        }
        (Some(place), expected) => {
            let origin = Origin::path(&place.file).line(place.line).char_column(place.column);
            group.element(origin).elements(expected.map(|expected| Level::NOTE.message(expected)))
        }
        (None, expected) => group.elements(expected.map(|expected| Level::NOTE.message(expected))),
    };
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(help));
    }
    renderer.render(&[group])
}

/// The bytes of the line that the caret underlines.
fn span(place: &Place) -> std::ops::Range<usize> {
    let byte = |chars: usize| place.text.char_indices().nth(chars).map_or(place.text.len(), |(byte, _)| byte);
    byte(place.column - 1)..byte(place.column - 1 + place.width)
}
