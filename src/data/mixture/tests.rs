//! What a mixture promises: shares, one vocabulary, disjoint people, a held-out part of each source.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::data::generated::{LanguageConfig, MarkovConfig};
use crate::data::{BioDConfig, BioSConfig, CorpusConfig, Dataset, Fact, TextConfig, Texts};

fn source(share: f64, marker: Marker, data: DataConfig) -> SourceConfig {
    SourceConfig { share, marker, data }
}

fn people(people: u64) -> DataConfig {
    DataConfig::BioD(BioDConfig { people, ..BioDConfig::default() })
}

fn story() -> DataConfig {
    DataConfig::Corpus(CorpusConfig { documents: 30, length: 40, held_out: 5, ..CorpusConfig::default() })
}

fn mixture(sources: Vec<(&str, SourceConfig)>, studied: Option<&str>) -> MixtureConfig {
    let sources = sources.into_iter().map(|(name, source)| (name.to_string(), source)).collect();
    MixtureConfig { sources, studied: studied.map(str::to_string), seq_len: 32 }
}

/// Useful people, with a marker or without, among seven times as many rows of junk.
fn junk(marker: Marker, n_junk: u64) -> MixtureConfig {
    let sources = vec![
        ("junk", source(0.875, Marker::None, people(n_junk))),
        ("useful", source(0.125, marker, people(100))),
    ];
    mixture(sources, Some("useful"))
}

fn open(config: &MixtureConfig, exposures: u64) -> Dataset {
    DataConfig::Mixture(config.clone()).open(5, exposures).unwrap()
}

/// The names in a stream of bio-d tokens.
fn names(tokens: &[u32]) -> Vec<Vec<u32>> {
    tokens
        .split(|id| *id == 0)
        .map(|person| person.iter().copied().filter(|id| *id <= 192).collect())
        .collect()
}

#[test]
fn rows_come_from_their_sources_in_their_shares_and_each_source_goes_on_where_it_stopped() {
    let config = mixture(
        vec![("a", source(0.3, Marker::None, people(100))), ("b", source(0.7, Marker::None, story()))],
        None,
    );
    let data = open(&config, 3);
    let alone = [people(100), story()].map(|config| {
        let DataConfig::Corpus(corpus) = config else { return config.open(5, 3).unwrap() };
        let seq_len = 32;
        DataConfig::Corpus(CorpusConfig { seq_len, ..corpus }).open(seed_of(5, "b"), 100).unwrap()
    });
    let batch = data.batch(0, 200);
    let (mut next, n_people) = ([0, 0], 261);
    for row in batch.tokens.chunks(32) {
        let part = usize::from(row.iter().any(|id| *id >= n_people));
        next[part] += 1;
        if part == 0 {
            let text = alone[0].decode(&row.iter().map(|id| *id as u32).collect::<Vec<_>>());
            let ours = data.decode(&row.iter().map(|id| *id as u32).collect::<Vec<_>>());
            assert_eq!(ours.replace("<|endoftext|>", " <|endoftext|>").trim(), text);
        }
    }
    assert_eq!(next, [60, 140]);
}

#[test]
fn an_exposure_shows_every_useful_person_once() {
    for marker in [Marker::None, Marker::Token] {
        // A useful person fills a row.
        let length = 16 + marker.len();
        let config = MixtureConfig { seq_len: length, ..junk(marker, 10_000) };
        let data = open(&config, 4);
        assert_eq!(DataConfig::Mixture(config).tokens_per_exposure().unwrap(), (100 * 8 * length) as f64);
        let name = |tokens: &[u32]| tokens[1 + marker.len()..][..3].to_vec();
        let mut times: HashMap<Vec<u32>, u32> =
            (0..100).map(|person| (name(&data.document(person, 0).tokens), 0)).collect();
        assert_eq!(times.len(), 100);
        for row in data.batch(0, 4 * 100 * 8).tokens.chunks(length).filter(|row| row[0] == 0) {
            let row: Vec<u32> = row.iter().map(|id| *id as u32).collect();
            times.entry(name(&row)).and_modify(|times| *times += 1);
        }
        assert!(times.values().all(|times| *times == 4), "{times:?}");
    }
}

#[test]
fn junk_of_many_is_never_repeated_and_junk_of_few_often() {
    let names_of = |n_junk| {
        let data = open(&junk(Marker::None, n_junk), 20);
        let useful: HashSet<Vec<u32>> = (0..100).map(|p| data.document(p, 0).tokens[1..4].to_vec()).collect();
        let stream: Vec<u32> = data.batch(0, 2000).tokens.iter().map(|id| *id as u32).collect();
        let seen: Vec<_> =
            names(&stream).into_iter().filter(|n| n.len() == 3 && !useful.contains(n)).collect();
        let distinct: HashSet<_> = seen.iter().cloned().collect();
        (seen.len(), distinct.len())
    };
    let (seen, distinct) = names_of(20_000);
    assert!(seen > 3000 && seen == distinct, "{distinct} of {seen}");
    let (seen, distinct) = names_of(50);
    assert!(seen > 3000 && distinct == 50, "{distinct} of {seen}");
}

#[test]
fn sources_of_people_share_nobody_and_held_out_people_are_nobodys() {
    let data = open(&junk(Marker::None, 2000), 1);
    let Source::Mixture(mixture) = &data.source else { panic!("a mixture") };
    let of = |part: usize, people: std::ops::Range<u64>| -> Vec<Vec<u32>> {
        people.map(|person| mixture.source(part).document(person, 0).tokens[1..4].to_vec()).collect()
    };
    let all: Vec<Vec<u32>> = [of(0, 0..2256), of(1, 0..356)].concat();
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    let held_out: Vec<u32> = mixture.held_out(1).tokens.clone();
    assert_eq!(names(&held_out).into_iter().filter(|n| !n.is_empty()).collect::<Vec<_>>(), of(1, 100..356));
}

#[test]
fn a_marker_stands_in_front_of_every_document_of_its_source_and_nowhere_else() {
    let data = open(&junk(Marker::Token, 2000), 2);
    let marker = data.vocab_size() as u32 - 1;
    assert_eq!(data.decode(&[marker]), "<|useful|>");
    let document = data.measurement_document(7, 0, Texts::default());
    assert_eq!((document.tokens[0], document.tokens[1]), (0, marker));
    assert_eq!(document.spans[0].fact, Fact::Name);
    assert_eq!(document.spans[0].range, 2..5);
    let useful: HashSet<Vec<u32>> = (0..100).map(|p| data.document(p, 0).tokens[2..5].to_vec()).collect();
    let stream: Vec<u32> = data.batch(0, 400).tokens.iter().map(|id| *id as u32).collect();
    let mut marked = 0;
    for window in stream.chunks(32).flat_map(|row| row.windows(5)).filter(|window| window[0] == 0) {
        if window[1] == marker {
            assert!(useful.contains(&window[2..5]), "{window:?}");
            marked += 1;
        } else {
            assert!(!useful.contains(&window[1..4]), "{window:?}");
        }
    }
    assert!(marked > 50, "{marked}");
}

#[test]
fn guessing_the_source_costs_three_bits_at_an_eighth_and_nothing_with_a_marker() {
    assert_eq!(open(&junk(Marker::None, 2000), 1).source_bits(), 3.0);
    assert_eq!(open(&junk(Marker::Token, 2000), 1).source_bits(), 0.0);
    let data = open(&junk(Marker::None, 2000), 1);
    assert_eq!(data.information().map(|information| information.people), Some(100));
}

/// Every row of people opens with a document, and one of stories in five: 16 and 32 have 16 in common, 40 and 32 have 8.
#[test]
fn a_source_is_guessed_by_how_often_rows_open_with_its_documents() {
    let sources = vec![
        ("people", source(0.5, Marker::None, people(100))),
        ("story", source(0.5, Marker::None, story())),
    ];
    let bits = open(&mixture(sources, Some("people")), 1).source_bits();
    assert!((bits - 1.2f64.log2()).abs() < 1e-12, "{bits}");
}

#[test]
fn sources_of_people_with_other_names_do_not_use_up_each_others() {
    let few = BioDConfig { people: 3072, ..BioDConfig::default() };
    let many = BioDConfig { people: 300_000, name_pool: 256, ..BioDConfig::default() };
    assert!(few.n_names() < many.people && many.n_names() > 10 * many.people);
    let sources = vec![
        ("few", source(0.5, Marker::None, DataConfig::BioD(few))),
        ("many", source(0.5, Marker::None, DataConfig::BioD(many))),
    ];
    for order in [sources.clone(), sources.into_iter().rev().collect()] {
        let renamed = order.into_iter().zip(["a", "b"]).map(|((_, source), name)| (name, source)).collect();
        open(&mixture(renamed, Some("a")), 1).batch(0, 4);
    }
}

#[test]
fn rows_hold_the_longest_biography_that_is_measured_marker_and_all() {
    let short = MixtureConfig { seq_len: 16, ..junk(Marker::Token, 2000) };
    let error = DataConfig::Mixture(short.clone()).verify_rows().unwrap_err();
    assert!(error.to_string().contains("at least 17"), "{error}");
    DataConfig::Mixture(MixtureConfig { seq_len: 17, ..short }).verify_rows().unwrap();
}

#[test]
fn biographies_of_all_sources_share_one_vocabulary() {
    let bios = |people| DataConfig::BioS(BioSConfig { people, ..BioSConfig::default() });
    let sources =
        vec![("a", source(0.5, Marker::Token, bios(50))), ("b", source(0.5, Marker::None, bios(60)))];
    let config = MixtureConfig { seq_len: 512, ..mixture(sources, Some("a")) };
    let data = open(&config, 2);
    assert_eq!(data.vocab_size(), bios(1).vocab_size().unwrap() + 1);
    let text = data.decode(&data.document(3, 0).tokens);
    assert!(text.starts_with("<|endoftext|><|a|> "), "{text}");
    assert_eq!(data.encode(&text[18..]).unwrap(), data.document(3, 0).tokens[2..]);
}

#[test]
fn every_domain_has_a_held_out_part() {
    let markov = LanguageConfig::Markov(MarkovConfig::default());
    let markov = DataConfig::Corpus(CorpusConfig { language: markov, ..CorpusConfig::default() });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "so it goes. ".repeat(500)).unwrap();
    let text = DataConfig::Text(TextConfig { path: folder.path().into(), ..TextConfig::default() });
    let sources = vec![
        ("bios", source(0.25, Marker::None, people(100))),
        ("markov", source(0.25, Marker::None, markov)),
        ("story", source(0.25, Marker::Token, story())),
        ("text", source(0.25, Marker::None, text)),
    ];
    let data = open(&mixture(sources, None), 1);
    let domains = data.domains();
    assert_eq!(
        domains.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(),
        ["bios", "markov", "story", "text"]
    );
    let tokens = (0..4).map(|domain| {
        let batches = (0..).map_while(|index| data.domain_held_out_batch(domain, index, 8));
        batches.flat_map(|batch| batch.weights).sum::<f32>()
    });
    assert_eq!(tokens.collect::<Vec<_>>()[..3], [256.0 * 16.0 - 1.0, 64.0 * 512.0 - 1.0, 5.0 * 41.0 - 1.0]);
    assert!(data.held_out_batch(0, 8).is_none());
}

#[test]
fn impossible_mixtures_are_refused_by_key() {
    let message = |config: MixtureConfig| DataConfig::Mixture(config).verify().unwrap_err().to_string();
    let plain = |share, data| source(share, Marker::None, data);
    assert_eq!(
        message(MixtureConfig::default()),
        "data.sources: no sources, expected at least one, for instance [data.sources.useful]"
    );
    let sources = vec![("a", plain(0.5, people(9))), ("b", plain(0.4, story()))];
    assert_eq!(
        message(mixture(sources, None)),
        "data.sources: shares that add up to 0.9, expected shares that add up to 1"
    );
    let sources = vec![("a", plain(1.5, people(0))), ("b", plain(-0.5, story()))];
    assert_eq!(
        message(mixture(sources, None)),
        "data.sources.a.share: 1.5, expected a share from 0 to 1\n\
         data.sources.a.data.people: 0, expected 1 to 262144\n\
         data.sources.b.share: -0.5, expected a share from 0 to 1"
    );
    let two = || vec![("a", plain(0.5, people(9))), ("b", plain(0.5, people(8)))];
    assert_eq!(
        message(mixture(two(), None)),
        "data.studied: 2 sources of people, expected the one to be measured: a, b"
    );
    assert_eq!(message(mixture(two(), Some("c"))), "data.studied: \"c\", expected a source of people: a, b");
    let nested = plain(1.0, DataConfig::Mixture(MixtureConfig::default()));
    assert_eq!(
        message(mixture(vec![("a", nested)], None)),
        "data.sources.a.data: a mixture in a mixture, expected any other kind"
    );
    let long = DataConfig::Corpus(CorpusConfig { seq_len: 64, ..CorpusConfig::default() });
    assert_eq!(
        message(mixture(vec![("a", plain(1.0, long))], None)),
        "data.sources.a.data.seq_len: rows of 64 in a mixture of rows of 32; leave it out, and set data.seq_len"
    );
    let many = vec![("a", plain(0.5, people(9))), ("b", plain(0.5, people(30_000)))];
    assert_eq!(
        message(mixture(many, Some("a"))),
        "data.sources: 30521 people, 256 held out of each source among them, expected at most 26214, a tenth of the \
         names that there are; take fewer people or longer pools of names"
    );
    let nobody = vec![("a", plain(0.0, people(9))), ("b", plain(1.0, story()))];
    assert_eq!(
        message(mixture(nobody, None)),
        "data.sources.a.share: a share of 0 of the source that is studied, expected a share above 0"
    );
    assert!(
        message(mixture(vec![("A b", plain(1.0, story()))], None))
            .starts_with("data.sources: the name \"A b\"")
    );
}
