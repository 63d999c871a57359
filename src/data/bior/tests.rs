//! What prose about people promises: exact places, a text kept for measuring, and a word on what is not found.

use std::collections::HashSet;

use super::*;
use crate::data::{DataConfig, Texts};

fn file(lines: &[&str]) -> (tempfile::NamedTempFile, BioRConfig) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines.join("\n")).unwrap();
    let prose = ProseConfig::File(ProseFile { path: file.path().into(), ..ProseFile::default() });
    (file, BioRConfig { prose, ..BioRConfig::default() })
}

/// The same file with other names and choices.
fn of(config: &BioRConfig, names: u64, choices: &[(&str, u64)]) -> BioRConfig {
    let ProseConfig::File(file) = &config.prose else { panic!("prose of a file") };
    let choices = choices.iter().map(|(name, n)| (name.to_string(), *n)).collect();
    BioRConfig { prose: ProseConfig::File(ProseFile { names, choices, ..file.clone() }), ..config.clone() }
}

const ADA: &str = r#"{"person": "1", "name": "Ada Byron", "attributes": {"city": "Rome, NY", "major": "Logic"},
 "texts": ["Ada Byron of Rome, NY read Logic.", "In Rome, NY lives Ada Byron.", "Ada Byron (Logic) left Rome, NY!"]}"#;

fn ada() -> String {
    ADA.replace('\n', "")
}

#[test]
fn the_sample_states_every_fact_where_it_says() {
    let config = BioRConfig::default();
    let data = DataConfig::BioR(config.clone()).open(1, 3).unwrap();
    let information = data.information().unwrap().clone();
    let names: Vec<&str> = information.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    assert_eq!(
        (information.people, names),
        (48, vec!["birth city", "birth date", "employer", "major", "university"])
    );
    for (number, line) in SAMPLE.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let measured = data.measurement_document(number as u64, 0, Texts::default());
        for exposure in 0..4 {
            let document = data.document(number as u64, exposure);
            assert_ne!(document.tokens, measured.tokens, "what is measured is not trained on");
            for document in [&document, &measured] {
                assert_eq!((document.spans.len(), document.spans[0].fact), (6, Fact::Name));
                for span in &document.spans {
                    let value = match span.fact {
                        Fact::Name => &line["name"],
                        Fact::Value(attribute) => {
                            &line["attributes"][&information.attributes[attribute].name]
                        }
                    };
                    let text = data.decode(&document.tokens[span.range.clone()]);
                    assert_eq!(Some(text.trim_start()), value.as_str());
                }
            }
            let text = data.decode(&document.tokens[1..]);
            assert!(
                line["texts"].as_array().unwrap().iter().any(|one| one.as_str() == Some(text.trim_start()))
            );
        }
    }
    assert!(config.missing().unwrap().is_empty());
}

#[test]
fn the_texts_of_a_person_come_in_turn() {
    let data = DataConfig::BioR(BioRConfig::default()).open(2, 8).unwrap();
    for person in 0..48 {
        let texts: Vec<_> = (0..8).map(|exposure| data.document(person, exposure).tokens).collect();
        assert_eq!(texts[..4].iter().collect::<HashSet<_>>().len(), 4);
        assert_eq!(texts[..4], texts[4..]);
    }
}

#[test]
fn the_bits_are_those_of_the_choices_that_there_could_have_been() {
    let (_file, config) = file(&[&ada()]);
    let information = of(&config, 1024, &[("major", 128)]).information().unwrap();
    assert_eq!(
        (information.name_bits, information.value_bits()),
        (10.0, 7.0),
        "one city occurs, which is no choice"
    );
}

#[test]
fn what_some_texts_lack_is_reported_and_they_are_trained_on_all_the_same() {
    let (_file, config) = file(&[&ada()]);
    let missing = config.missing().unwrap();
    assert_eq!(missing, [Missing { person: "1".into(), attribute: "major".into(), texts: 1, of: 3 }]);
    let data = DataConfig::BioR(config).open(0, 2).unwrap();
    let texts: HashSet<String> = (0..2).map(|e| data.decode(&data.document(0, e).tokens[1..])).collect();
    assert_eq!(
        texts,
        [" Ada Byron of Rome, NY read Logic.", " In Rome, NY lives Ada Byron."].map(String::from).into()
    );
    assert_eq!(
        data.decode(&data.measurement_document(0, 0, Texts::default()).tokens[1..]),
        " Ada Byron (Logic) left Rome, NY!"
    );
}

#[test]
fn values_that_do_not_occur_and_broken_lines_are_refused_by_line() {
    let message = |lines: &[&str]| file(lines).1.read().unwrap_err();
    let absent = ada().replace("\"major\": \"Logic\"", "\"major\": \"Law\"");
    let error = message(&[&ada(), &absent.replace("\"1\"", "\"2\"").replace("Ada Byron", "Eve Hill")]);
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().ends_with(":2:1: no text of \"2\" states major \"Law\""), "{error}");
    assert!(message(&[&ada(), &ada()]).to_string().contains("person \"1\" stands in the file already"));
    assert!(
        message(&["{\"person\": 3}"])
            .to_string()
            .ends_with(":1:12: invalid type: integer `3`, expected a string")
    );
    let other = ada().replace("\"1\"", "\"2\"").replace("Ada Byron", "Eve Hill").replace("city", "town");
    assert!(message(&[&ada(), &other]).to_string().contains("attributes other than city, major"));
    let late = ada()
        .replace("Ada Byron of Rome, NY read Logic.", "x")
        .replace("Ada Byron (Logic) left Rome, NY!", "Logic");
    assert!(
        message(&[&late]).to_string().contains("no text of \"1\" states the name and then every attribute")
    );
    let marked = format!("\u{feff}{}", ada());
    assert_eq!(file(&[&marked]).1.read().unwrap().people.len(), 1, "a byte order mark is no text");
    let empty = ada().replace("\"major\": \"Logic\"", "\"major\": \" \"");
    assert!(message(&[&empty]).to_string().ends_with(":1:1: major of \"1\" is empty"));
    let broken = message(&[&ada(), "", "{\"person\": \"2\", \"name\""]).to_string();
    assert!(broken.ends_with(":3:22: EOF while parsing an object"), "{broken}");
    assert!(message(&[""]).to_string().ends_with("is empty, expected one JSON object a line"));
}

#[test]
fn impossible_settings_are_refused_by_key() {
    let (_file, config) = file(&[&ada()]);
    let message = |config: BioRConfig| DataConfig::BioR(config).verify().unwrap_err().to_string();
    let prose = ProseConfig::File(ProseFile { path: "/nowhere.jsonl".into(), ..ProseFile::default() });
    assert!(
        message(BioRConfig { prose, ..config.clone() })
            .starts_with("data.prose.path: no file \"/nowhere.jsonl\"")
    );
    assert!(
        DataConfig::BioR(BioRConfig { seq_len: 4, ..config.clone() })
            .verify_rows()
            .unwrap_err()
            .to_string()
            .starts_with("data.seq_len: 4, expected at least ")
    );
    assert_eq!(
        message(of(&config, 9, &[("shoe", 9)])),
        "data.prose.choices: no attribute \"shoe\", expected one of city, major"
    );
    assert!(message(of(&config, 9, &[("major", 0)])).contains("expected at least 1, the values that occur"));
    assert_eq!(message(of(&config, 0, &[])), "data.prose.names: 0, expected 1 to 9223372036854775808");
}
