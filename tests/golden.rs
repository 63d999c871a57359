//! Resolved plans under review: a change of any default, preset or rule of merging shows as a difference of text.
//! `ZOO_UPDATE_GOLDEN=1 cargo test --release golden` writes them anew.

use std::fmt::Write;
use std::path::Path;

use ablation_zoo::plan::difference::{between, phrase};
use ablation_zoo::plan::tree::{Node, Source, Table};
use ablation_zoo::plan::{Ablation, Arm, Fingerprint, PresetKind, Presets, resolve_model};

/// Only what is compiled in.
fn presets() -> Presets {
    Presets::at("/nowhere")
}

fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("ZOO_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let first = golden.lines().zip(text.lines()).find(|(golden, now)| golden != now);
    let hint = "review it, then ZOO_UPDATE_GOLDEN=1 cargo test --release golden";
    assert!(golden == text, "{name} is another plan now; first difference: {first:?}; {hint}");
}

fn profiles(text: &str) -> Vec<String> {
    let file = Node::parse(&Source::new("", text)).unwrap();
    let profiles = file.get(&["profiles"]).and_then(Node::as_table).into_iter().flat_map(Table::iter);
    profiles.map(|profile| profile.key.clone()).collect()
}

/// The control in full, the other arms by what differs.
fn describe(ablation: &Ablation) -> String {
    let mut text = String::new();
    for arm in &ablation.arms {
        let control = ablation.control(&arm.size);
        heading(&mut text, arm);
        if arm.name == control.name {
            writeln!(text, "{}", arm.resolved.plan.to_toml()).unwrap();
            continue;
        }
        for difference in between(&control.resolved.plan, &arm.resolved.plan) {
            let value = |node: &Option<Node>| node.as_ref().map_or("-".to_string(), phrase);
            writeln!(text, "# {}: {} -> {}", difference.key, value(&difference.a), value(&difference.b))
                .unwrap();
        }
        text.push('\n');
    }
    for run in ablation.forecast().certain {
        let value = match run.values.as_slice() {
            [] => "-".to_string(),
            values => values.iter().map(|value| format!("{value:e}")).collect::<Vec<_>>().join(" "),
        };
        let (arm, size, seed, role) = (&run.arm, &run.size, run.seed, run.role);
        writeln!(text, "# run {arm} {size} seed {seed} {role:?} at {value}: {}", run.fingerprint).unwrap();
    }
    text
}

fn heading(text: &mut String, arm: &Arm) {
    let fingerprint = Fingerprint::of(&arm.resolved.plan).unwrap();
    let (name, size, params, flops) = (&arm.name, &arm.size, arm.params.total, arm.flops_per_token);
    writeln!(text, "# {name} {size}: {params} parameters, {flops} FLOPs per token, {fingerprint}").unwrap();
}

#[test]
fn golden_models() {
    for (name, _) in PresetKind::Models.built_in() {
        let resolved = resolve_model(&presets(), name, Some("tiny")).unwrap();
        compare(&format!("model-{name}.toml"), &resolved.plan.to_toml());
    }
}

#[test]
fn golden_ablations() {
    for (name, text) in PresetKind::Ablations.built_in() {
        for profile in profiles(text) {
            let ablation = Ablation::load(&presets(), name, Some(&profile), &[]).unwrap();
            compare(&format!("{name}-{profile}.toml"), &describe(&ablation));
        }
    }
}
