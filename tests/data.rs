//! Datasets as users meet them.

use ablation_zoo::plan::PresetKind;

use crate::program::Folder;
use crate::schema::assert_fits;

#[test]
fn every_dataset_is_shown_and_its_note_has_the_size_of_its_vocabulary() {
    let folder = Folder::new();
    for (name, text) in PresetKind::Datasets.built_in().iter().filter(|(name, _)| *name != "text") {
        let shown = folder.json(&["data", name, "--json"]);
        let vocabulary = format!("{} tokens", shown["vocab_size"]);
        assert!(
            text.lines().take_while(|line| line.starts_with('#')).any(|line| line.contains(&vocabulary)),
            "the note of {name} misses {vocabulary}"
        );
        assert!(!shown["samples"].as_array().unwrap().is_empty(), "{name}");
        assert!(shown["entropies"][0]["conditional"].as_f64().unwrap() > 0.0, "{name}");
    }
}

#[test]
fn a_mixture_shows_its_sources_their_shares_and_the_shares_that_entropies_would_give() {
    let folder = Folder::new();
    let text = folder.ask(&["data", "mixture"]);
    for source in ["brackets", "markov-1", "markov-2", "people", "story"] {
        let lines: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with(source)).collect();
        assert_eq!(lines.len(), 3, "{source}: source, sample and entropies in {text}");
        assert!(lines.iter().any(|line| line.contains("0.2000")), "{lines:?}");
    }
    let shown = folder.json(&["data", "junk", "--json"]);
    assert_eq!(shown["studied"], "useful");
    assert_eq!(shown["sources"][1]["share"], 0.125);
}

#[test]
fn shares_that_do_not_add_up_are_refused_with_their_sum() {
    let said = Folder::new().zoo(&["data", "junk", "--set", "data.sources.useful.share=0.5"]);
    assert_eq!(said.code, 2);
    assert!(said.err.starts_with("error: data.sources: shares that add up to 1.375"), "{}", said.err);
}

#[test]
fn a_source_that_is_misspelt_is_refused_with_its_place() {
    let folder = Folder::new();
    folder.write(
        "datasets/mine.toml",
        "[data]\nkind = \"mixture\"\n[data.sources.a]\nshare = 1\ndata = { kind = \"biod\" }\n",
    );
    let said = folder.zoo(&["data", "mine"]);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("data.sources.a.data: unknown kind \"biod\"") && said.err.contains("mine.toml:5"),
        "{}",
        said.err
    );
    assert!(said.err.contains("did you mean \"bio-d\"?"), "{}", said.err);
}

#[test]
fn more_people_than_names_are_refused_before_anything_runs() {
    let said = Folder::new().zoo(&["train", "gpt2:micro", "bios", "--set", "data.people=200000000"]);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("data.people: 200000000") && said.err.contains("at most 160000000"),
        "{}",
        said.err
    );
}

#[test]
fn a_run_on_junk_measures_the_useful_people_alone_and_every_domain() {
    let folder = Folder::new();
    let sets = [
        "data.sources.useful.data.people=40",
        "data.sources.junk.data.people=4000",
        "training.length={kind='exposures',count=2}",
        "training.schedule.warmup_steps=2",
    ];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let said = folder.json(&[&["train", "gpt2:micro", "junk", "--json"], &sets[..]].concat());
    let (training, measured) = (&said["record"]["training"], &said["record"]["measurements"]);
    // 40 people of 16 tokens twice, one row in eight, in steps of 16 rows of 64.
    assert_eq!(training["steps"], 10);
    assert_eq!(measured["capacity"]["people"], 40);
    let given = &measured["capacity"]["given_source"];
    assert_eq!(given["source_bits"], 3.0);
    let difference = given["bits"].as_f64().unwrap() - measured["capacity"]["bits"].as_f64().unwrap();
    assert!((difference - 120.0).abs() < 1e-6, "{difference}");
    let domains = measured["domains"].as_array().unwrap();
    assert_eq!(
        domains.iter().map(|domain| domain["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["junk", "useful"]
    );
    assert!(domains.iter().all(|domain| domain["nats_per_token"].as_f64().unwrap() > 1.0), "{domains:?}");
}

const ADA: &str = r#"{"person": "1", "name": "Ada Byron", "attributes": {"city": "Rome", "major": "Logic"}, "texts": ["Ada Byron of Rome read Logic.", "In Rome lives Ada Byron.", "Ada Byron, of Logic and Rome."]}"#;

#[test]
fn prose_of_ones_own_is_read_and_what_it_does_not_state_is_said() {
    let folder = Folder::new();
    folder.write("people.jsonl", ADA);
    let prose = "data.prose={ kind = 'file', path = 'people.jsonl' }";
    let text = folder.ask(&["data", "bior", "--set", prose]);
    assert!(text.contains("not found            major of 1 in 1 of 3 texts"), "{text}");
    assert!(text.contains("[name: Ada Byron] of [city: Rome] read [major: Logic]."), "{text}");
    assert!(text.contains("bits per person"), "{text}");
    let json = folder.json(&["data", "bior", "--set", prose, "--json"]);
    assert_fits(&folder, "data", &json);
    assert_eq!(json["missing"][0]["attribute"], "major");
}

#[test]
fn names_are_found_in_prose_however_their_letters_are_composed() {
    let (one, several) = ("Zo\u{eb} Nu\u{f1}ez", "Zoe\u{308} Nun\u{303}ez");
    for (name, told) in [(one, several), (several, one)] {
        let texts = [format!("{told} lives in Rome."), format!("{told} came to Rome.")];
        let line =
            serde_json::json!({"person": "1", "name": name, "attributes": {"city": "Rome"}, "texts": texts});
        let folder = Folder::new();
        folder.write("people.jsonl", &line.to_string());
        let said =
            folder.ask(&["data", "bior", "--set", "data.prose={ kind = 'file', path = 'people.jsonl' }"]);
        assert!(said.contains(&format!("[name: {told}]")), "{said}");
    }
}

#[test]
fn prose_that_lacks_a_value_or_is_no_json_is_refused_by_line() {
    let folder = Folder::new();
    let absent =
        ADA.replace("\"1\"", "\"2\"").replace("Ada Byron", "Eve Hill").replace("\"Logic\"", "\"Law\"");
    folder.write("people.jsonl", &format!("{ADA}\n{absent}\n{{\"person\"\n"));
    let prose = "data.prose={ kind = 'file', path = 'people.jsonl' }";
    let said = folder.zoo(&["data", "bior", "--set", prose]);
    assert_eq!(said.code, 65, "{}", said.err);
    for said_once in
        ["no text of \"2\" states major \"Law\"", "people.jsonl:2:1", "EOF while parsing", "people.jsonl:3:9"]
    {
        assert!(said.err.contains(said_once), "{said_once} in {}", said.err);
    }
    let gone = folder.zoo(&["data", "bior", "--set", "data.prose={ kind = 'file', path = 'gone.jsonl' }"]);
    assert_eq!(gone.code, 2);
    assert!(gone.err.contains("data.prose.path: no file \"gone.jsonl\""), "{}", gone.err);
}
