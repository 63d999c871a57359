//! What biographies promise: sizes, exact spans, unique names, nothing told before it is asked.

use std::collections::{HashMap, HashSet};

use super::pieces::Pronoun;
use super::pools::Pools;
use super::*;
use crate::data::{DataConfig, Document, Fact, Texts};

/// The published vocabulary and mean length; ours may differ by this share.
const PUBLISHED_VOCAB: f64 = 3275.0;
const PUBLISHED_TOKENS: f64 = 73.0;
const NEAR: f64 = 0.05;

fn pools() -> Pools {
    PoolsConfig::BuiltIn.load().unwrap()
}

fn config(people: u64) -> BioSConfig {
    BioSConfig { people, ..BioSConfig::default() }
}

/// The text of the whole document after end-of-text, and of each fact.
fn read(bios: &BioS, document: &Document) -> (String, HashMap<Fact, String>) {
    let decode = |tokens: &[u32]| bios.tokenizer().decode(tokens);
    let facts = document.spans.iter().map(|span| (span.fact, decode(&document.tokens[span.range.clone()])));
    (decode(&document.tokens[1..]), facts.collect())
}

#[test]
fn pools_have_the_published_sizes() {
    let pools = pools();
    let lists =
        [&pools.first_names, &pools.middle_names, &pools.last_names, &pools.cities, &pools.universities];
    assert_eq!(lists.map(|list| list.len()), [400, 400, 1000, 200, 300]);
    assert_eq!((pools.majors.len(), pools.employers.len(), pools.headquarters.len()), (100, 263, 263));
    assert_eq!(pools.sentences.each_ref().map(Vec::len), [50; 6]);
    let bits: f64 = config(1).information().unwrap().value_bits();
    assert!((bits - 47.59).abs() < 0.01, "log2 S0 = {bits}");
}

#[test]
fn vocabulary_and_length_are_within_five_percent_of_the_published() {
    let pieces = config(1).pieces().unwrap();
    let vocab_size = pieces.tokenizer.vocab_size() as f64;
    let tokens = pieces.mean_document(&Rendering::default()) - 1.0;
    assert!((vocab_size / PUBLISHED_VOCAB - 1.0).abs() < NEAR, "{vocab_size} tokens in the vocabulary");
    assert!((tokens / PUBLISHED_TOKENS - 1.0).abs() < NEAR, "{tokens} tokens in a biography");
}

#[test]
fn the_expected_length_is_the_mean_of_many_documents() {
    for names in [Names::FirstSentence, Names::EverySentence] {
        let rendering = Rendering { names, ..Rendering::default() };
        let config = BioSConfig { rendering, ..config(20_000) };
        let bios = config.open(&Opening::alone(11, 1, 512)).unwrap();
        let tokens: usize = (0..20_000).map(|person| bios.document(person, 0).tokens.len()).sum();
        let (mean, expected) = (tokens as f64 / 20_000.0, config.pieces().unwrap().mean_document(&rendering));
        // The standard deviation of one document is below 10 tokens: five standard errors.
        assert!((mean - expected).abs() < 5.0 * 10.0 / 20_000f64.sqrt(), "{mean} against {expected}");
    }
}

#[test]
fn every_template_with_every_value_is_tokenised_as_the_whole_sentence_would_be() {
    let (pools, pieces) = (pools(), config(1).pieces().unwrap());
    let dates = (0..12 * 28 * 200).step_by(331).chain(0..200).map(|i| [i / 200 / 28, i / 200 % 28, i % 200]);
    let dates: Vec<Vec<u32>> = dates
        .map(|[m, d, y]| [pieces.months.get(m), pieces.days.get(d), pieces.years.get(y)].concat())
        .collect();
    let runs =
        [&pieces.cities, &pieces.universities, &pieces.majors, &pieces.employers, &pieces.headquarters];
    let lists = runs.map(|runs| (0..runs.len()).map(|i| runs.get(i).to_vec()).collect());
    let values: Vec<Vec<Vec<u32>>> = std::iter::once(dates).chain(lists).collect();
    for (number, sentences) in pieces.sentences.iter().enumerate() {
        for (sentence, template) in sentences.iter().zip(&pools.sentences[number]) {
            for (gender, value) in
                (0..2).flat_map(|gender| values[number].iter().map(move |value| (gender, value)))
            {
                let subject = pieces.pronouns.get(gender);
                let parts = [subject, &sentence.before[gender], value, &sentence.after[gender]].concat();
                let text = pieces.tokenizer.decode(&parts);
                assert_eq!(pieces.tokenizer.encode(&text).unwrap(), parts, "{text} of {template:?}");
            }
        }
    }
}

#[test]
fn every_template_with_every_last_name_is_tokenised_as_the_whole_sentence_would_be() {
    let pieces = config(1).pieces().unwrap();
    for sentence in pieces.sentences.iter().flatten() {
        for last in 0..pieces.last_names.len() {
            let parts = [pieces.last_names.get(last), &sentence.before[0]].concat();
            assert_eq!(pieces.tokenizer.encode(&pieces.tokenizer.decode(&parts)).unwrap(), parts);
        }
    }
}

#[test]
fn whole_biographies_are_tokenised_as_their_text_would_be() {
    for tokenizer in [TokenizerConfig::Gpt2, TokenizerConfig::Words, TokenizerConfig::Bytes] {
        let bios = BioSConfig { tokenizer, ..config(500) }.open(&Opening::alone(2, 1, 512)).unwrap();
        for person in 0..500 {
            let document = bios.document(person, person);
            assert_eq!(bios.tokenizer().encode(&read(&bios, &document).0).unwrap(), document.tokens[1..]);
        }
    }
}

#[test]
fn spans_hold_the_facts_of_the_person_whatever_the_wording() {
    let bios = config(300).open(&Opening::alone(5, 1, 512)).unwrap();
    for person in 0..300 {
        let (_, facts) = read(&bios, &bios.document(person, 0));
        assert_eq!(facts.len(), 7, "the name and six values");
        for exposure in 1..5 {
            let (text, again) = read(&bios, &bios.document(person, exposure));
            for fact in
                [Fact::Name, Fact::Value(0), Fact::Value(1), Fact::Value(2), Fact::Value(3), Fact::Value(4)]
            {
                assert_eq!(facts[&fact], again[&fact], "{text}");
            }
            let gender = again[&Fact::Value(5)].as_str();
            let she = text.contains(" She ");
            assert!(
                if she { [" She", " her"] } else { [" He", " his"] }.contains(&gender),
                "{gender} in {text}"
            );
            let first =
                [" He ", " She ", " his ", " her "].iter().filter_map(|word| text.find(word)).min().unwrap();
            assert!(text[first..].starts_with(gender), "the gender counts where it stands first: {text}");
        }
    }
}

#[test]
fn names_are_unique_and_genders_independent_of_them() {
    let bios = config(100_000).open(&Opening::alone(1, 1, 512)).unwrap();
    let name_end = |document: &Document| document.spans[0].range.end;
    let mut names = HashSet::new();
    let mut women = 0u64;
    for person in 0..100_000 {
        let document = bios.document(person, 0);
        assert_eq!((document.spans[0].fact, document.spans[0].range.start), (Fact::Name, 1));
        assert!(names.insert(document.tokens[1..name_end(&document)].to_vec()), "person {person}");
        women += u64::from(read(&bios, &document).0.contains(" She "));
    }
    assert!(women.abs_diff(50_000) < 800, "{women} women: five standard deviations");
}

#[test]
fn a_larger_dataset_begins_with_the_people_of_a_smaller_one() {
    let (small, large) = (
        config(10).open(&Opening::alone(3, 1, 512)).unwrap(),
        config(1000).open(&Opening::alone(3, 1, 512)).unwrap(),
    );
    assert!((0..10).all(|person| small.document(person, 0) == large.document(person, 0)));
}

#[test]
fn measured_text_is_new_and_names_the_employer_before_the_city_that_tells_it() {
    let bios = config(200).open(&Opening::alone(8, 1, 512)).unwrap();
    let cities: HashSet<String> = pools().headquarters.into_iter().collect();
    let mut seen_first = [0u32; 2];
    let mut told = 0;
    for person in 0..200 {
        let trained: HashSet<Vec<u32>> =
            (0..20).map(|exposure| bios.document(person, exposure).tokens).collect();
        let measured = bios.measurement_document(person, 0, Texts::default());
        assert!(!trained.contains(&measured.tokens));
        let (_, facts) = read(&bios, &measured);
        assert_eq!(facts[&Fact::Value(4)], read(&bios, &bios.document(person, 0)).1[&Fact::Value(4)]);
        let employer = measured.spans.iter().find(|span| span.fact == Fact::Value(4)).unwrap().range.start;
        let before = bios.tokenizer().decode(&measured.tokens[..employer]);
        let birth_city = facts[&Fact::Value(1)].trim();
        assert!(
            !cities.iter().any(|city| before.contains(&format!(" {city}")) && city != birth_city),
            "{before}"
        );
        let birth = measured.spans.iter().find(|span| span.fact == Fact::Value(0)).unwrap().range.start;
        seen_first[usize::from(birth < employer)] += 1;
        // The same draws in the order of training: another text where the city would tell the employer.
        told += usize::from(bios.measurement_document(person, 0, Texts::AsTrained) != measured);
    }
    assert!(told.abs_diff(100) < 36, "half of the texts, five times 7: {told}");
    // An employer before the city stands before the birth date two times in three: 133, five times 6.7.
    assert!(seen_first[0].abs_diff(133) < 34, "the rest of the order stays random: {seen_first:?}");
}

#[test]
fn single_and_fixed_renderings_repeat_what_they_say_they_repeat() {
    let open = |sentences, order, names| {
        BioSConfig { rendering: Rendering { sentences, order, names }, ..config(50) }
            .open(&Opening::alone(6, 10, 512))
            .unwrap()
    };
    let distinct = |bios: &BioS| (0..40).map(|e| bios.document(7, e).tokens).collect::<HashSet<_>>().len();
    let words = |bios: &BioS, exposure| {
        let mut sentences: Vec<_> =
            read(bios, &bios.document(7, exposure)).0.split(". ").map(str::len).collect();
        sentences.sort_unstable();
        sentences
    };
    let simple = open(Sentences::Single, SentenceOrder::Fixed, Names::FirstSentence);
    assert_eq!(distinct(&simple), 1);
    assert_eq!(
        simple.document(7, 0),
        simple.measurement_document(7, 3, Texts::default()),
        "the only text there is"
    );
    let permuted = open(Sentences::Single, SentenceOrder::Permuted, Names::EverySentence);
    assert!(distinct(&permuted) > 30);
    assert_eq!(words(&permuted, 0).len(), words(&permuted, 1).len());
    let full = read(&permuted, &permuted.document(7, 0));
    assert_eq!(full.0.matches(full.1[&Fact::Name].trim()).count(), 6);
    assert!(!full.1.contains_key(&Fact::Value(5)), "the gender does not count");
    assert!(distinct(&open(Sentences::Multi, SentenceOrder::Fixed, Names::FirstSentence)) > 30);
}

/// What may follow a stretch of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Next {
    Word(u32),
    Value(usize),
    Gender,
}

/// If a sentence that goes on with a value could also go on otherwise, a perfect model would still be charged
/// for the choice, and the capacity ratio could not reach its maximum.
#[test]
fn no_model_has_to_guess_how_a_sentence_goes_on_before_a_fact() {
    let pieces = config(1).pieces().unwrap();
    let mut nexts: HashMap<Vec<Next>, HashSet<Next>> = HashMap::new();
    for (number, sentence) in
        pieces.sentences.iter().enumerate().flat_map(|(n, all)| all.iter().map(move |s| (n, s)))
    {
        let words = |half: &[u32], his: Option<&std::ops::Range<usize>>| {
            let word = |(i, &id): (usize, &u32)| {
                if his.is_some_and(|h| h.contains(&i)) { Next::Gender } else { Next::Word(id) }
            };
            half.iter().enumerate().map(word).collect::<Vec<_>>()
        };
        let (before, after) = match &sentence.pronoun {
            Pronoun::Nowhere => (None, None),
            Pronoun::Before(ranges) => (Some(&ranges[0]), None),
            Pronoun::After(ranges) => (None, Some(&ranges[0])),
        };
        let mut path = words(&sentence.before[0], before);
        path.push(Next::Value(number));
        path.extend(words(&sentence.after[0], after));
        path.push(Next::Gender); // the subject of the next sentence
        for (i, next) in path.iter().enumerate() {
            nexts.entry(path[..i].to_vec()).or_default().insert(next.clone());
        }
    }
    for (path, nexts) in nexts {
        let forced = !nexts.iter().any(|next| !matches!(next, Next::Word(_))) || nexts.len() == 1;
        let read: Vec<u32> =
            path.iter().filter_map(|n| if let Next::Word(id) = n { Some(*id) } else { None }).collect();
        assert!(forced, "after {:?} come {nexts:?}", pieces.tokenizer.decode(&read));
    }
}

#[test]
fn too_many_people_are_refused_before_anything_is_made() {
    let message = |people| DataConfig::BioS(config(people)).open(0, 1).unwrap_err().to_string();
    assert_eq!(message(0), "data.people: 0, expected at least 1");
    assert!(
        message(1 << 60)
            .starts_with("data.people: 1152921504606846976, expected at most 160000000, the number")
    );
    let long = BioSConfig { seq_len: 1 << 40, ..config(1) };
    assert_eq!(long.check().unwrap_err().to_string(), "data.seq_len: 1099511627776, expected 1 to 1048576");
}

/// A folder of small lists; `change` replaces one of them.
fn folder(change: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lists = [
        ("first_names", "Ada\r\nGrace\r\n"),
        ("middle_names", "May\r\nJoy\r\n"),
        ("last_names", "Byron\r\nHopper\r\nKing\r\n"),
        ("cities", "Rome, NY\r\nTroy, NY\r\n"),
        ("universities", "A&M University\r\nSaint John's\r\n"),
        ("majors", "Logic\r\n"),
        ("employers", "Acme; Rome, NY\r\nYahoo!; Troy, NY\r\n"),
    ];
    for (name, text) in lists {
        let text = change.iter().find(|(changed, _)| *changed == name).map_or(text, |(_, text)| text);
        std::fs::write(folder.path().join(name).with_extension("txt"), text).unwrap();
    }
    folder
}

fn from_folder(folder: &tempfile::TempDir, people: u64) -> BioSConfig {
    BioSConfig { pools: PoolsConfig::Folder(FolderConfig { path: folder.path().into() }), ..config(people) }
}

#[test]
fn the_users_own_lists_are_read_with_or_without_carriage_returns() {
    let folder = folder(&[]);
    let config = from_folder(&folder, 12);
    let bios = config.open(&Opening::alone(0, 1, 512)).unwrap();
    let names: HashSet<String> =
        (0..12).map(|p| read(&bios, &bios.document(p, 0)).1[&Fact::Name].clone()).collect();
    assert_eq!(names.len(), 12, "all names taken");
    assert!(names.contains(" Ada Joy Hopper"));
    assert_eq!(config.information().unwrap().value_bits(), (67_200.0 * 2.0 * 2.0 * 2.0 * 2.0f64).log2());
    assert_eq!(config.pools.files().len(), 7);
    let error = from_folder(&folder, 13).open(&Opening::alone(0, 1, 512)).unwrap_err().to_string();
    assert_eq!(
        error,
        "data.people: 13, expected at most 12, the number of full names in the pools; take fewer people or longer lists of names"
    );
}

#[test]
fn bad_lists_are_named_by_file_and_line() {
    let message = |change: &[(&str, &str)]| {
        from_folder(&folder(change), 2).open(&Opening::alone(0, 1, 512)).unwrap_err().to_string()
    };
    let both = message(&[("majors", "Logic\nLaw\nLogic\n"), ("cities", "")]);
    assert!(
        both.contains("cities.txt is empty") && both.contains("majors.txt:3:1: \"Logic\" stands in line 1"),
        "{both}"
    );
    let employers = message(&[("employers", "Acme; Rome, NY\nOrbit\n")]);
    assert!(
        employers.contains("employers.txt:2:1: no city, expected name; city of the headquarters"),
        "{employers}"
    );
    let twice = message(&[("employers", "Acme; Rome, NY\nAcme; Troy, NY\n")]);
    assert!(twice.contains("employers.txt:2:1: \"Acme\" has a city already"), "{twice}");
    let missing = folder(&[]);
    std::fs::remove_file(missing.path().join("majors.txt")).unwrap();
    let missing = from_folder(&missing, 2).open(&Opening::alone(0, 1, 512)).unwrap_err();
    assert!(missing.to_string().contains("majors.txt") && missing.exit_code() == 74, "{missing}");
    let nowhere = PoolsConfig::Folder(FolderConfig { path: "/nowhere".into() });
    let error = BioSConfig { pools: nowhere, ..config(2) }.check().unwrap_err().to_string();
    assert!(error.starts_with("data.pools.path: no folder \"/nowhere\", expected a folder with"), "{error}");
}

#[test]
fn a_value_that_ends_in_a_mark_is_kept_apart_from_the_end_of_its_sentence() {
    let bios = from_folder(&folder(&[("employers", "Yahoo!; Rome, NY\n")]), 5)
        .open(&Opening::alone(0, 1, 512))
        .unwrap();
    for person in 0..5 {
        let (text, facts) = read(&bios, &bios.document(person, 0));
        assert_eq!(facts[&Fact::Value(4)], " Yahoo!", "{text}");
    }
}

#[test]
fn the_users_own_templates_replace_ours() {
    let folder = folder(&[("employers", "Acme; Rome, NY\n")]);
    let templates = folder.path().join("templates");
    std::fs::create_dir(&templates).unwrap();
    for name in ["birth_date", "birth_city", "university", "major", "employer", "working_city"] {
        std::fs::write(
            templates.join(format!("{name}.txt")),
            format!("{{name}} has {name} {{value}} indeed.\n"),
        )
        .unwrap();
    }
    let config = from_folder(&folder, 2);
    assert_eq!(config.pools.files().len(), 13);
    let bios = config.open(&Opening::alone(0, 1, 512)).unwrap();
    assert!(read(&bios, &bios.document(0, 0)).0.contains(" has employer Acme indeed."));
    std::fs::write(templates.join("major.txt"), "{name} likes {value}.\n{name} likes it.\n").unwrap();
    let error = config.open(&Opening::alone(0, 1, 512)).unwrap_err().to_string();
    assert!(error.contains("major.txt:2:1: no {value}, expected {value} once"), "{error}");
}
