//! The documents say what is there.

use std::path::Path;

use ablation_zoo::plan::PresetKind;

#[test]
fn the_tables_of_models_and_ablations_list_every_file() {
    for kind in [PresetKind::Models, PresetKind::Ablations] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind.folder()).join("README.md");
        let text = std::fs::read_to_string(path).unwrap();
        for (name, _) in kind.built_in() {
            assert!(text.contains(&format!("[{name}]({name}.toml)")), "{} misses {name}", kind.folder());
        }
    }
}

#[test]
fn the_ablation_in_the_readme_is_one() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ablations/README.md")).unwrap();
    let block = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = crate::program::Folder::new();
    folder.write("ablations/mine.toml", block);
    let plan = folder.json(&["plan", "mine", "--json"]);
    assert_eq!(plan["arms"].as_array().unwrap().len(), 2);
}
