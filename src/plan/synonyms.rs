//! Words that the field uses for what is called otherwise here, and words for what is not offered.

/// A word as it is typed, in lower case with dashes, and what to write instead.
const WORDS: [(&str, &str); 52] = [
    ("nope", "position = \"none\" is a model without positions (NoPE)"),
    ("no-pe", "position = \"none\" is a model without positions (NoPE)"),
    ("rotary", "position = \"rope\""),
    ("abs-pos", "position = \"learned\", or \"sinusoidal\""),
    ("absolute", "position = \"learned\", or \"sinusoidal\""),
    ("relu2", "activation = \"relu-squared\""),
    ("relu^2", "activation = \"relu-squared\""),
    ("squared-relu", "activation = \"relu-squared\""),
    ("sqrelu", "activation = \"relu-squared\""),
    ("swish", "activation = \"silu\""),
    ("gelu-new", "activation = \"gelu-tanh\""),
    ("swiglu", "feed_forward = { kind = \"gated-mlp\", activation = \"silu\" }"),
    ("geglu", "feed_forward = { kind = \"gated-mlp\", activation = \"gelu\" }"),
    ("reglu", "feed_forward = { kind = \"gated-mlp\", activation = \"relu\" }"),
    ("glu", "feed_forward = { kind = \"gated-mlp\", .. }; a sigmoid gate is not offered"),
    ("ffn", "feed_forward"),
    ("dense", "feed_forward = \"mlp\""),
    ("window", "mixer.mask = { kind = \"sliding-window\", .. }"),
    ("sliding", "mixer.mask = { kind = \"sliding-window\", .. }"),
    ("swa", "mixer.mask = { kind = \"sliding-window\", .. }"),
    ("tied", "embedding = { kind = \"token\", head = \"tied\" }"),
    ("tie-embeddings", "embedding = { kind = \"token\", head = \"tied\" }"),
    ("tie-word-embeddings", "embedding = { kind = \"token\", head = \"tied\" }"),
    ("untied", "embedding = { kind = \"token\", head = \"untied\" }"),
    ("lr", "training.peak_lr"),
    ("learning-rate", "training.peak_lr"),
    ("wd", "training.optimizer.weight_decay"),
    ("weight-decay", "training.optimizer.weight_decay"),
    ("steps", "training.length = { kind = \"steps\", count = .. }"),
    ("max-steps", "training.length = { kind = \"steps\", count = .. }"),
    ("epochs", "training.length = { kind = \"exposures\", count = .. }"),
    ("batch-size", "training.batch"),
    ("warmup", "training.schedule.warmup_steps"),
    ("grad-clip", "training.clip = { kind = \"global-norm\", max = .. }"),
    ("base", "theta of position = \"rope\""),
    ("rope-theta", "theta of position = \"rope\""),
    ("experts", "n_experts of feed_forward = \"moe\""),
    ("hidden", "model.d_model"),
    ("hidden-size", "model.d_model"),
    ("dim", "model.d_model"),
    ("n-embd", "model.d_model"),
    ("layers", "model.n_layers"),
    ("n-layer", "model.n_layers"),
    ("heads", "model.n_heads"),
    ("n-head", "model.n_heads"),
    ("d-ff", "feed_forward.expansion, the ratio to d_model, so that it fits every size"),
    ("intermediate-size", "feed_forward.expansion, the ratio to d_model, so that it fits every size"),
    ("context-length", "data.seq_len"),
    ("block-size", "data.seq_len"),
    ("dropout", "not offered: the works that are repeated here train without it"),
    ("muon", "not offered yet: optimizer = \"adamw\""),
    ("mamba", "not offered yet: mixer = \"attention\", or \"average\""),
];

/// What to write instead of a word, if it is known.
pub(super) fn meant(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase().replace('_', "-");
    WORDS.iter().find(|(known, _)| *known == word).map(|(_, meant)| *meant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::reader::unknown;

    #[test]
    fn every_word_of_the_field_is_answered_with_what_to_write() {
        for (word, meant) in WORDS {
            let typed = word.to_uppercase().replace('-', "_");
            let problem = unknown("key", &typed, &["kind", "activation"]);
            assert!(problem.to_string().contains(meant), "{word}: {problem}");
        }
    }

    #[test]
    fn no_word_stands_twice_and_none_is_a_kind_that_there_is() {
        for (index, (word, _)) in WORDS.iter().enumerate() {
            assert!(WORDS[..index].iter().all(|(other, _)| other != word), "{word}");
            assert!(!["rope", "gated-mlp", "moe", "relu-squared", "silu", "rms"].contains(word));
        }
    }

    #[test]
    fn a_long_list_is_cut_to_the_nearest_names() {
        let names: Vec<String> = (1..=40).map(|n| format!("name-{n}")).chain(["other".to_string()]).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let said = unknown("size", "other-one", &names).to_string();
        assert!(said.contains("other") && said.contains("and 33 more"), "{said}");
        assert!(unknown("size", "x", &names[..12]).to_string().contains("name-12"));
    }
}
