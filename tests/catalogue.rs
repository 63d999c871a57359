//! `docs/zoo.md`: every choice of every slot, written from the code. Formula and paper are what the source says of it,
//! settings, counts and pictures come from the types. `ZOO_UPDATE_GOLDEN=1 cargo test --release catalogue` writes it.

use std::fmt::Write;
use std::path::Path;

use ablation_zoo::model::ModelConfig;
use ablation_zoo::plan::tree::{Node, Source};
use ablation_zoo::plan::{Plan, Presets, resolve_model, writer};

#[path = "../src/cli/picture.rs"]
mod picture;

/// The model whose choices are exchanged, with the vocabulary and the row of the paper.
const BASE: (&str, &str) = ("gpt2", "2-2");
const VOCABULARY: usize = 3275;
const ROW: usize = 512;

/// A slot: its name, its key, the file and the enum of its choices, and choices with a file of their own.
struct Slot {
    name: &'static str,
    key: &'static str,
    file: &'static str,
    choices: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// What must be chosen beside it, or has no default.
    beside: &'static str,
}

const fn slot(name: &'static str, key: &'static str, file: &'static str, choices: &'static str) -> Slot {
    Slot { name, key, file, choices, files: &[], beside: "" }
}

const MOE: &str = "model.block.feed_forward = { kind = \"moe\", top_k = 2 }";

const SLOTS: [Slot; 17] = [
    Slot {
        files: &[("mlp", "mlp.rs"), ("gated-mlp", "gated_mlp.rs"), ("moe", "moe.rs")],
        ..slot("Feed-forward", "model.block.feed_forward", "layers/feed_forward/mod.rs", "FeedForwardConfig")
    },
    slot("Activation", "model.block.feed_forward.activation", "kernels/activation.rs", "Activation"),
    Slot {
        beside: MOE,
        ..slot(
            "Router of experts",
            "model.block.feed_forward.router",
            "layers/feed_forward/router.rs",
            "Router",
        )
    },
    Slot {
        beside: MOE,
        ..slot(
            "Capacity of experts",
            "model.block.feed_forward.capacity",
            "layers/feed_forward/routing.rs",
            "Capacity",
        )
    },
    Slot {
        files: &[("attention", "attention.rs"), ("average", "average.rs")],
        ..slot("Mixer", "model.block.mixer", "layers/mixer/mod.rs", "MixerConfig")
    },
    Slot {
        files: &[
            ("rope", "rope.rs"),
            ("alibi", "alibi.rs"),
            ("learned", "learned.rs"),
            ("sinusoidal", "sinusoidal.rs"),
        ],
        ..slot("Position", "model.block.mixer.position", "layers/position/mod.rs", "PositionConfig")
    },
    slot(
        "RoPE scaling",
        "model.block.mixer.position.scaling",
        "layers/position/rope_scaling.rs",
        "RopeScaling",
    ),
    Slot {
        beside: "model.block.mixer.mask = { kind = \"sliding-window\", size = 128 }",
        ..slot("Attention mask", "model.block.mixer.mask", "layers/mixer/mask.rs", "AttentionMask")
    },
    slot("Norm of queries and keys", "model.block.mixer.qk_norm", "layers/mixer/qk_norm.rs", "QkNormConfig"),
    slot("Logit softcap", "model.block.mixer.logit_softcap", "layers/mixer/scores.rs", "LogitSoftcap"),
    slot("Norm placement", "model.block.norm_placement", "model/norm_placement.rs", "NormPlacement"),
    slot("Norm", "model.norm", "layers/norm.rs", "NormConfig"),
    slot("Bias of attention", "model.block.mixer.bias", "layers/mod.rs", "Bias"),
    slot("Short convolution", "model.block.mixer_convolution", "layers/convolution.rs", "ConvolutionConfig"),
    slot("Head", "model.embedding.head", "layers/embedding.rs", "Head"),
    slot("Scale of the embedding", "model.embedding.scale", "layers/embedding.rs", "EmbeddingScale"),
    slot("Initial values", "model.init", "model/init.rs", "InitConfig"),
];

#[test]
fn the_catalogue_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/zoo.md");
    let text = catalogue();
    if std::env::var_os("ZOO_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let first = written.lines().zip(text.lines()).find(|(written, now)| written != now);
    assert!(written == text, "docs/zoo.md: {first:?}; ZOO_UPDATE_GOLDEN=1 cargo test --release catalogue");
}

fn catalogue() -> String {
    let base = base();
    let (name, size) = BASE;
    let count = base.num_params(VOCABULARY, ROW).total;
    let mut text = format!(
        "# Every choice of the zoo\n\n\
         Written from the code by `tests/catalogue.rs`. Each choice is exchanged alone in {name} at size {size}, which \
         has {} parameters\nwith {VOCABULARY} tokens and sequences of {ROW}; FLOPs are those of training per token. Settings \
         are shown with their defaults,\npictures show what is on the branches of the residual stream.\n\n",
        thousands(count)
    );
    for slot in &SLOTS {
        let anchor = slot.name.to_lowercase().replace(' ', "-");
        writeln!(text, "- [{}](#{anchor})", slot.name).unwrap();
    }
    SLOTS.iter().for_each(|slot| text.push_str(&section(slot, &base)));
    text
}

fn section(slot: &Slot, base: &ModelConfig) -> String {
    let source = source(slot.file);
    let mut text = format!("\n## {}\n\n`{}`. {}\n", slot.name, slot.key, header(&source));
    for (kind, note) in kinds(&source, slot.choices) {
        let (settings, model) = chosen(slot, &kind);
        let own = slot.files.iter().find(|(name, _)| *name == kind);
        let own = own.map(|(_, file)| header(&self::source(&sibling(slot.file, file))));
        let key = slot.key.rsplit('.').next().unwrap();
        write!(text, "\n### {key} = \"{kind}\"\n\n{note}\n").unwrap();
        own.iter().for_each(|own| write!(text, "\n{own}\n").unwrap());
        write!(text, "\n```toml\n{settings}\n```\n\n{}", counts(&model, base)).unwrap();
        text.push_str(&drawing(slot, &model));
    }
    text
}

/// Its settings with their defaults, and the base model with it.
fn chosen(slot: &Slot, kind: &str) -> (String, ModelConfig) {
    let mut tree = writer::write(&resolved());
    if !slot.beside.is_empty() {
        tree.merge(Node::parse(&Source::new("beside", slot.beside)).unwrap());
    }
    tree.merge(Node::parse(&Source::new(kind, format!("{} = {kind:?}", slot.key))).unwrap());
    let plan = Plan::from_toml(kind, &writer::document(&tree)).unwrap();
    let path: Vec<&str> = slot.key.split('.').collect();
    let written = writer::write(&plan);
    let settings = format!("{} = {}", slot.key, writer::inline(written.get(&path).unwrap()));
    let problems = match plan.model.block.mixer.reads_ahead() {
        true => plan.model.check_encoder(ROW),
        false => plan.model.check(ROW),
    };
    assert!(problems.is_empty(), "{settings}: {}", problems[0]);
    (settings, plan.model)
}

fn counts(model: &ModelConfig, base: &ModelConfig) -> String {
    let of = |model: &ModelConfig| {
        let params = model.num_params(VOCABULARY, ROW);
        (params, model.flops_per_token(VOCABULARY, ROW).exact)
    };
    let ((params, flops), (base_params, base_flops)) = (of(model), of(base));
    let change = |now: u64, base: u64| match now.abs_diff(base) {
        0 => "the same".to_string(),
        by => {
            let sign = if now > base { '+' } else { '-' };
            format!("{sign}{}, {:+.1} %", thousands(by), 100.0 * (now as f64 / base as f64 - 1.0))
        }
    };
    let active = match params.active < params.total {
        true => format!(", {} at work on any one token", thousands(params.active)),
        false => String::new(),
    };
    let (more_params, more_flops) = (change(params.total, base_params.total), change(flops, base_flops));
    let (params, flops) = (thousands(params.total), thousands(flops));
    format!("{params} parameters ({more_params}){active}; {flops} FLOPs per token ({more_flops}).\n")
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let grouped = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap());
    grouped.collect::<Vec<_>>().join(",")
}

/// What is seen of the choice: the line of the embedding, its branch of the block, or the whole block.
fn drawing(slot: &Slot, model: &ModelConfig) -> String {
    let drawn = picture::draw(model);
    let lines: Vec<&str> = drawn.lines().collect();
    let first = lines.iter().position(|line| line.contains("+--")).unwrap();
    let last = lines.iter().position(|line| line.contains("such blocks")).unwrap();
    let block = lines[first..last].join("\n");
    let branch = |name: &str| {
        let found = block.split("    +-----.\n").find(|branch| branch.contains(&format!("|   {name} ")));
        found.map_or(block.clone(), |branch| format!("    +-----.\n{}", branch.trim_end()))
    };
    let kept = match slot.key.split('.').collect::<Vec<_>>()[..] {
        ["model", "embedding", ..] => {
            lines.iter().find(|line| line.starts_with("  embedding")).unwrap().to_string()
        }
        ["model", "init"] => return String::new(),
        ["model", "block", half @ ("mixer" | "feed_forward"), ..] => branch(half),
        _ => block,
    };
    format!("\n```text\n{kept}\n```\n")
}

fn resolved() -> Plan {
    resolve_model(&Presets::at("/nowhere"), BASE.0, Some(BASE.1)).unwrap().plan
}

fn base() -> ModelConfig {
    resolved().model
}

fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sibling(file: &str, name: &str) -> String {
    Path::new(file).with_file_name(name).to_str().unwrap().to_string()
}

/// What a file says of itself: its `//!` lines, links to items as code.
fn header(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim_start);
    let text = plain(lines.collect::<Vec<_>>().join("\n").trim().trim_start_matches("Slot: "));
    text[..1].to_uppercase() + &text[1..]
}

/// The kinds of a choice with what is said of them: variants of an enum, as TOML calls them.
fn kinds(source: &str, choices: &str) -> Vec<(String, String)> {
    let body = source.split(&format!("pub enum {choices} {{")).nth(1).unwrap_or_else(|| panic!("{choices}"));
    let (mut kinds, mut note) = (Vec::new(), Vec::new());
    for line in body.lines().take_while(|line| *line != "}").map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            note.push(words.trim());
        } else if line.starts_with(|c: char| c.is_ascii_uppercase()) {
            let name: String = line.chars().take_while(char::is_ascii_alphanumeric).collect();
            kinds.push((kebab(&name), plain(&std::mem::take(&mut note).join("\n"))));
        }
    }
    kinds
}

/// `GatedMlp` as TOML writes it.
fn kebab(name: &str) -> String {
    let word =
        |c: char| if c.is_ascii_uppercase() { format!("-{}", c.to_ascii_lowercase()) } else { c.to_string() };
    name.chars().map(word).collect::<String>().trim_start_matches('-').to_string()
}

/// Links of rustdoc as mere code.
fn plain(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`")
}
