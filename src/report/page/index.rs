//! The page that leads to the reports of all ablations.

use super::super::comparison::Comparison;
use super::super::figure::svg::escape;
use super::document;

/// Its title, by which it is known.
pub const TITLE: &str = "Reports of all ablations";

/// A report and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Linked {
    /// The page, from the folder of the index on, with slashes.
    pub page: String,
    /// The size, where an ablation has several.
    pub size: String,
    /// What it says.
    pub comparison: Comparison,
}

/// The page; questions stand in the order given, which groups those of one ablation.
pub fn html(reports: &[Linked]) -> String {
    let rows: String = reports.iter().map(row).collect();
    let n = match reports.len() {
        1 => "1 report".to_string(),
        n => format!("{n} reports"),
    };
    let body = format!(
        "<header>\n<p class=\"kicker\">{n}</p>\n<h1>What was asked and answered</h1>\n</header>\n\
         <div class=\"scroll\">\n<table>\n<thead><tr><th>question</th><th>ablation</th><th>profile</th>\
         <th class=\"number\">runs</th><th>answer</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>"
    );
    document(TITLE, &body)
}

fn row(linked: &Linked) -> String {
    let of = &linked.comparison;
    let runs: usize = of.arms.iter().map(|arm| arm.n_runs).sum();
    let size = if linked.size.is_empty() { String::new() } else { format!(", size {}", linked.size) };
    let missing = match of.missing.len() {
        0 => String::new(),
        n => format!(" ({n} of the planned runs are missing)"),
    };
    format!(
        "<tr><td><a href=\"{}\">{}</a></td><td>{}</td><td>{}</td><td class=\"number\">{runs}</td><td>{}</td></tr>\n",
        escape(&linked.page),
        escape(&of.question),
        escape(&of.name),
        escape(&format!("{}{size}", of.profile)),
        escape(&format!("{}{missing}", of.answer.first().map_or("", String::as_str))),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::{compare, fake};
    use super::*;

    #[test]
    fn every_report_has_a_row_and_no_name_becomes_markup() {
        let mut comparison = compare(&fake::evidence()).unwrap();
        let first = Linked {
            page: "mlp-quick/report.html".into(),
            size: String::new(),
            comparison: comparison.clone(),
        };
        comparison.question = "<script>\"?".to_string();
        let second = Linked { page: "\"x/report.html".into(), size: "tiny".into(), comparison };
        let page = html(&[first, second]);
        assert_eq!(page.matches("<tr><td>").count(), 2);
        assert!(page.contains("<a href=\"mlp-quick/report.html\">What does the MLP do for knowledge?</a>"));
        assert!(page.contains("stores 0.472 times") && page.contains("size tiny"), "{page}");
        assert!(!page.contains("<script") && !page.contains("href=\"\"x"));
    }
}
