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

#[test]
fn the_readme_fits_four_screens_and_names_only_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(text.lines().count() <= 170, "{} lines", text.lines().count());
    for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
        assert!(target.starts_with("https://") || root.join(target).exists(), "{target} is not there");
    }
}

#[test]
fn the_question_in_the_readme_has_two_arms_of_equal_parameters() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let block = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = crate::program::Folder::new();
    folder.write("position.toml", block);
    let plan = folder.json(&["plan", "./position.toml", "--json"]);
    let arms = plan["arms"].as_array().unwrap();
    assert_eq!(arms.len(), 2);
    assert_eq!(arms[0]["params"], arms[1]["params"]);
}

#[test]
fn the_course_has_every_lesson() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/teaching.md")).unwrap();
    for entry in std::fs::read_dir(root.join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(text.contains(&format!("(../examples/{name}.rs)")), "the course misses {name}");
        }
    }
}

#[test]
fn runs_that_a_class_trained_apart_are_taken_by_the_ablation() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let block = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = crate::program::Folder::new();
    folder.write("position.toml", block);
    let short = ["--set", "training.length.count=10", "--set", "training.schedule.warmup_steps=20"];
    let sets = [&["--set", "data.people=256", "--set", "training.peak_lr=4e-3"], &short[..]].concat();
    for (seed, arm) in [("1", None), ("2", None), ("1", Some("model.block.mixer.position=\"none\""))] {
        let own = arm.map_or(Vec::new(), |arm| vec!["--set", arm]);
        let store = format!("student-{seed}");
        let args = ["train", "gpt2:micro", "biod", "--quiet", "--seed", seed, "--store", &store];
        folder.ask(&[&args[..], &sets, &own].concat());
    }
    for store in ["student-1", "student-2"] {
        for entry in std::fs::read_dir(folder.path().join(store)).unwrap() {
            let path = entry.unwrap().path();
            let to = folder.path().join("class").join(path.file_name().unwrap());
            std::fs::create_dir_all(folder.path().join("class")).unwrap();
            std::fs::rename(&path, to).unwrap();
        }
    }
    let args = ["run", "./position.toml", "--store", "class", "--set", "repeat.seeds=2"];
    let said = folder.ask(&[&args[..], &short].concat());
    assert!(said.contains("control") && said.contains("no positions"), "{said}");
    let runs = folder.json(&["runs", "--store", "class", "--json"]);
    let runs = runs["runs"].as_array().or(runs.as_array()).unwrap();
    assert_eq!(runs.len(), 4, "three were taken, one was trained");
}
