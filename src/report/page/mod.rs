//! One self-contained HTML page: no script, no network, readable in the dark, on a phone and on paper.
//!
//! Whatever comes from a file or a name goes through [`escape`]; the content security policy forbids everything but
//! the style that is inside.

mod glossary;
pub mod index;
mod sections;

use super::comparison::Comparison;
use super::figure::Figure;
use super::figure::svg::escape;

const STYLE: &str = include_str!("style.css");

const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// The page.
pub fn html(comparison: &Comparison, figures: &[Figure]) -> String {
    let body: Vec<String> = [
        sections::header(comparison),
        sections::answer(comparison, figures),
        sections::details(comparison, figures),
        sections::speedups(comparison),
        sections::setup(comparison),
        sections::tuning(figures),
        glossary::section_for(comparison),
        sections::runs(comparison),
        sections::repeat(comparison),
    ]
    .into_iter()
    .filter(|section| !section.is_empty())
    .collect();
    document(&comparison.question, &body.join("\n"))
}

/// A whole document around the content of its main part.
fn document(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}\n</main>\n</body>\n</html>\n",
        body
    )
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::evidence::Evidence;
    use super::super::{fake, figure};
    use super::*;

    fn page(evidence: &Evidence) -> String {
        let comparison = compare(evidence).unwrap();
        html(&comparison, &figure::all(evidence, &comparison))
    }

    /// What an opening tag looks like without its attributes, in order.
    fn headings(page: &str) -> Vec<&str> {
        let after = |tag| page.split(tag).skip(1).filter_map(|rest| rest.split('<').next());
        after("<h1>").chain(after("<h2>")).collect()
    }

    #[test]
    fn the_page_answers_first_and_then_shows_how() {
        let page = page(&fake::evidence());
        assert_eq!(
            headings(&page),
            [
                "What does the MLP do for knowledge?",
                "Answer",
                "In detail",
                "What is compared",
                "How learning rates were chosen",
                "How each number is counted",
                "Runs and machines",
                "How to repeat it",
            ]
        );
        assert!(page.find("“none” stores 0.472 times").unwrap() < page.find("<table").unwrap());
        assert_eq!(page.matches("<figure>").count(), 6);
        assert_eq!(page.matches("<svg").count(), 12);
        for must in ["Made-up Processor 9000", "<code>zoo run mlp</code>", "2458b29", "not comparable"] {
            assert!(page.contains(must), "{must}");
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = page(&fake::evidence());
        assert!(page.contains("default-src 'none'"));
        let without_namespace = page.replace("http://www.w3.org/2000/svg", "");
        for forbidden in ["http://", "https://", "<script", "src=", "@import", "url("] {
            assert!(!without_namespace.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn names_from_files_cannot_become_markup() {
        let mut evidence = fake::evidence_with_gaps();
        let evil = "<script>alert(1)</script>\"'&";
        for text in [&mut evidence.name, &mut evidence.question, &mut evidence.source, &mut evidence.command]
        {
            *text = evil.to_string();
        }
        evidence.profile = evil.to_string();
        evidence.notes = vec![evil.to_string()];
        evidence.missing[0].cause = evil.to_string();
        for arm in &mut evidence.arms {
            (arm.differs, arm.holds) = (evil.to_string(), evil.to_string());
            if arm.name == "none" {
                arm.name = evil.to_string();
            }
            if let Some(published) = &mut arm.published {
                (published.text, published.scale) = (evil.to_string(), evil.to_string());
            }
            for run in &mut arm.runs {
                run.record.environment.processor = evil.to_string();
                run.record.fingerprint = evil.to_string();
                if let Some(capacity) = &mut run.record.measurements.capacity {
                    capacity.attributes[0].name = evil.to_string();
                }
            }
        }
        let page = page(&evidence);
        assert!(!page.contains("<script"));
        assert!(!page.contains("\"'&\""));
        assert!(page.matches("&lt;script&gt;").count() > 10);
    }

    #[test]
    fn missing_runs_are_named_with_their_cause() {
        let page = page(&fake::evidence_with_gaps());
        assert!(page.contains("loss is not a number at step 812"));
        assert!(page.contains("3 of 13 planned runs are missing"));
        assert!(page.contains("none (equal rate)"));
    }

    #[test]
    fn a_page_of_text_speaks_of_loss_and_not_of_bits() {
        let page = page(&fake::evidence_of_text());
        assert!(
            page.contains("held-out loss by 0.633 nats per token") && !page.contains("bits per parameter")
        );
    }
}
