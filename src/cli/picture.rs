//! A model as text, from tokens to logits.

use ablation_zoo::model::{ModelConfig, NormPlacement};
use ablation_zoo::plan::difference::phrase;
use ablation_zoo::plan::tree::Node;
use ablation_zoo::plan::writer;

/// What lies on a branch of the residual stream, in order: a name, and what it is.
type Branch = Vec<(&'static str, String)>;

/// Draws a model; absent slots are left out.
pub fn draw(model: &ModelConfig) -> String {
    let tree = writer::write(model);
    let is = |path: &[&str]| tree.get(path).filter(|node| node.kind() != Some("none")).map(phrase);
    let norm = is(&["norm"]).map(|norm| ("norm", norm));
    let slot = |name: &'static str, convolution: &'static str| {
        let slot = is(&["block", name]).map(|slot| (name, slot))?;
        let convolution = is(&["block", convolution]).map(|is| ("convolution", is));
        Some(convolution.into_iter().chain([slot]).collect::<Branch>())
    };
    let halves = [slot("mixer", "mixer_convolution"), slot("feed_forward", "feed_forward_convolution")];
    let mut text =
        format!("\n  tokens\n    |\n{}    |\n", stream("embedding", &is(&["embedding"]).unwrap_or_default()));
    text.push_str(&block(model.block.norm_placement, &norm, halves.into_iter().flatten()));
    let times = if model.n_layers > 0 { model.n_layers.to_string() } else { "n".to_string() };
    text.push_str(&format!("   ...   {times} such blocks{}\n    |\n", overrides(&tree)));
    if let (Some((name, norm)), false) = (norm, model.block.norm_placement.normalises_the_stream()) {
        text.push_str(&format!("{}    |\n", stream(name, &norm)));
    }
    text + "  logits\n"
}

/// The branches of a block and what lies between them.
fn block(
    norm_placement: NormPlacement,
    norm: &Option<(&'static str, String)>,
    halves: impl Iterator<Item = Branch>,
) -> String {
    let norm = || norm.clone().into_iter();
    let on_stream = norm().map(|(name, norm)| format!("{}    |\n", stream(name, &norm))).collect::<String>();
    match norm_placement {
        NormPlacement::Pre => halves.map(|half| branch(norm().chain(half))).collect(),
        NormPlacement::Post => halves.map(|half| branch(half.into_iter()) + &on_stream).collect(),
        NormPlacement::Output => halves.map(|half| branch(half.into_iter().chain(norm()))).collect(),
        NormPlacement::Sandwich => halves.map(|half| branch(norm().chain(half).chain(norm()))).collect(),
        NormPlacement::Parallel(_) => {
            let beside = "    (the next branch reads the same input)\n";
            halves.map(|half| branch(norm().chain(half))).collect::<Vec<_>>().join(beside)
        }
    }
}

fn branch(parts: impl Iterator<Item = (&'static str, String)>) -> String {
    let lines: String = parts.map(|(name, is)| format!("    |   {name:<14} {is}\n")).collect();
    format!("    +-----.\n{lines}    +<----'\n    |\n")
}

fn stream(name: &str, is: &str) -> String {
    format!("  {name:<18} {is}\n")
}

/// Says which layers differ, if any do.
fn overrides(tree: &Node) -> String {
    let layers = tree.get(&["layers"]).map(phrase).unwrap_or_default();
    if layers.len() > 2 { format!(", but {layers}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ablation_zoo::layers::feed_forward::FeedForwardConfig;

    fn count(text: &str, word: &str) -> usize {
        text.lines().filter(|line| line.split_whitespace().any(|found| found == word)).count()
    }

    #[test]
    fn the_norms_stand_where_the_arrangement_has_them() {
        let norms = |norm_placement| {
            let mut model = ModelConfig::default();
            model.block.norm_placement = norm_placement;
            count(&draw(&model), "norm")
        };
        assert_eq!(norms(NormPlacement::Pre), 3);
        assert_eq!(norms(NormPlacement::Post), 2);
        assert_eq!(norms(NormPlacement::Output), 3);
        assert_eq!(norms(NormPlacement::Sandwich), 5);
    }

    #[test]
    fn an_absent_slot_is_not_drawn() {
        let mut model = ModelConfig::default();
        assert_eq!(count(&draw(&model), "feed_forward"), 1);
        model.block.feed_forward = FeedForwardConfig::None;
        let text = draw(&model);
        assert_eq!((count(&text, "feed_forward"), count(&text, "norm")), (0, 2));
        assert_eq!(count(&text, "convolution"), 0);
    }
}
