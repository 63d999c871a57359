//! What every dataset promises: the same batches for the same seed, in any order, from any thread, for ever.

use super::*;

fn datasets() -> (tempfile::TempDir, Vec<(&'static str, DataConfig)>) {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..4000).map(|i| format!("{} plus {} is {}. ", i, i + 1, 2 * i + 1)).collect();
    std::fs::write(folder.path().join("sums.txt"), text).unwrap();
    let text = TextConfig { path: folder.path().into(), seq_len: 33, ..TextConfig::default() };
    let bios = BioSConfig { people: 700, seq_len: 97, ..BioSConfig::default() };
    let biod = BioDConfig { people: 500, diversity: 9, length: 2, ..BioDConfig::default() };
    let part = |share, marker, data: &DataConfig| SourceConfig { share, marker, data: data.clone() };
    let junk = BioDConfig { people: 9000, ..biod.clone() };
    let corpus =
        CorpusConfig { documents: 90, length: 40, held_out: 9, seq_len: 29, ..CorpusConfig::default() };
    let useful = part(0.125, Marker::Token, &DataConfig::BioD(biod.clone()));
    let sources = [
        ("useful", useful),
        ("junk", part(0.5, Marker::None, &DataConfig::BioD(junk))),
        (
            "story",
            part(0.375, Marker::None, &DataConfig::Corpus(CorpusConfig { seq_len: 512, ..corpus.clone() })),
        ),
    ];
    let sources = sources.map(|(name, source)| (name.to_string(), source)).into();
    let mixture = MixtureConfig { sources, studied: Some("useful".into()), seq_len: 33 };
    let all = vec![
        ("bio-s", DataConfig::BioS(bios)),
        ("bio-d", DataConfig::BioD(biod)),
        ("bio-r", DataConfig::BioR(BioRConfig { seq_len: 31, ..BioRConfig::default() })),
        ("text", DataConfig::Text(text)),
        ("corpus", DataConfig::Corpus(corpus)),
        ("mixture", DataConfig::Mixture(mixture)),
    ];
    (folder, all)
}

fn hash(batch: &Batch) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for id in batch.tokens.iter().chain(&batch.targets) {
        hasher.update(&id.to_le_bytes());
    }
    hasher.finalize()
}

#[test]
fn batches_are_pinned_for_ever() {
    let (_folder, configs) = datasets();
    let pinned = configs.into_iter().map(|(kind, config)| {
        let dataset = config.open(1234, 3).unwrap();
        let steps = [0, 5, 400].map(|step| hash(&dataset.batch(step, 4)).to_hex()[..12].to_string());
        format!("{kind} {}", steps.join(" "))
    });
    let golden = [
        "bio-s 52a88e7140af 0f6f0995b29d b541bb15540d",
        "bio-d 728d2178a364 ae65ddbbc9f3 fb18ec3867ad",
        "bio-r 2435c34d4856 df50fd99f281 fb21a3179c76",
        "text 5b099a02985b dfe984053872 08aaeacf575b",
        "corpus 7bda649d29ba f1e4565a6885 8d531c5d0639",
        "mixture fcba6130273d 02d4230b6551 795f6dfb7690",
    ];
    assert_eq!(pinned.collect::<Vec<_>>(), golden);
}

#[test]
fn strangers_and_questions_are_pinned_for_ever() {
    let config = DataConfig::Reading(crate::data::ReadingConfig::default());
    let data = config.open(1234, 3).unwrap();
    let reading = data.reading().unwrap();
    let (questions, chunks) = reading.with_chunks(3, 2, 4, 0.3);
    let of = |ids: Vec<i32>| {
        let bytes: Vec<u8> = ids.into_iter().flat_map(i32::to_le_bytes).collect();
        blake3::hash(&bytes).to_hex()[..12].to_string()
    };
    let exam = |exam: crate::data::reading::QaTest| {
        let ids = exam.chunks.concat().into_iter().chain(exam.question).chain(exam.answer);
        of(ids.map(|id| id as i32).collect())
    };
    let hidden = chunks.hidden.iter().map(|&hidden| i32::from(hidden));
    let pinned = [
        of(data.batch(5, 4).tokens),
        of(questions.tokens),
        of(chunks.tokens.iter().copied().chain(hidden).collect()),
        exam(reading.exam(7, 6, 2)),
        exam(reading.repeated_exam(7, 6, 2)),
        exam(reading.document(7, 6, 2)),
        of(reading.answered(crate::data::reading::AnswerForm::Sentence, 3, 2).tokens),
    ];
    let golden = [
        "ce3155eaad1d",
        "dd5aa59bca4e",
        "832fab66809c",
        "ffad97718081",
        "420dd207cd1e",
        "42d9216db7bf",
        "b4714a3beba5",
    ];
    assert_eq!(pinned, golden);
}

#[test]
fn a_step_asked_for_alone_is_the_step_of_the_sequence() {
    let (_folder, configs) = datasets();
    for (kind, config) in configs {
        let sequential = config.open(9, 2).unwrap();
        let all: Vec<Batch> = (0..60).map(|step| sequential.batch(step, 3)).collect();
        for step in [59, 3, 31, 0, 58] {
            assert_eq!(config.open(9, 2).unwrap().batch(step, 3), all[step as usize], "{kind} step {step}");
            assert_eq!(sequential.batch(step, 3), all[step as usize], "{kind} step {step} again");
        }
        assert_ne!(config.open(10, 2).unwrap().batch(0, 3), all[0], "{kind}: another seed");
    }
}

#[test]
fn one_thread_and_eight_read_the_same() {
    let (_folder, configs) = datasets();
    for (kind, config) in configs {
        let alone = config.open(2, 5).unwrap();
        let expected: Vec<_> = (0..160).map(|step| hash(&alone.batch(step, 2))).collect();
        let shared = config.open(2, 5).unwrap();
        let of_thread = |t: u64| (0..20).map(|i| hash(&shared.batch(i * 8 + t, 2))).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|t| (t, scope.spawn(move || of_thread(t)))).collect();
            for (t, thread) in threads {
                let read = thread.join().unwrap();
                assert!(read.iter().enumerate().all(|(i, h)| *h == expected[i * 8 + t as usize]), "{kind}");
            }
        });
    }
}

#[test]
fn rows_change_nothing_but_the_cut() {
    let (_folder, configs) = datasets();
    for (kind, config) in configs {
        let dataset = config.open(2, 5).unwrap();
        let wide: Vec<i32> = (0..2).flat_map(|step| dataset.batch(step, 6).tokens).collect();
        let narrow: Vec<i32> = (0..6).flat_map(|step| dataset.batch(step, 2).tokens).collect();
        assert_eq!(wide, narrow, "{kind}");
    }
}

#[test]
fn targets_are_the_next_tokens_and_every_weight_is_one() {
    let (_folder, configs) = datasets();
    for (kind, config) in configs {
        let batch = config.open(0, 1).unwrap().batch(7, 5);
        assert_eq!(batch.tokens.len(), 5 * config.seq_len(), "{kind}");
        for (tokens, targets) in batch.tokens.chunks(batch.seq_len).zip(batch.targets.chunks(batch.seq_len)) {
            assert_eq!(tokens[1..], targets[..targets.len() - 1], "{kind}");
        }
        assert!(
            batch.weights.iter().all(|&weight| weight == 1.0) && batch.weights.len() == batch.tokens.len()
        );
        let vocab_size = config.vocab_size().unwrap() as i32;
        assert!(batch.tokens.iter().all(|token| (0..vocab_size).contains(token)), "{kind}");
    }
}

#[test]
fn packed_windows_hold_every_biography_once_per_exposure() {
    let config = DataConfig::BioS(BioSConfig { people: 150, seq_len: 64, ..BioSConfig::default() });
    let dataset = config.open(3, 4).unwrap();
    let mut expected: Vec<Vec<u32>> = (0..150)
        .flat_map(|p| (0..4).map(move |e| (p, e)))
        .map(|(p, e)| dataset.document(p, e).tokens)
        .collect();
    let total: usize = expected.iter().map(Vec::len).sum();
    let stream = (0..).flat_map(|step| dataset.batch(step, 7).tokens).map(|id| id as u32);
    let stream: Vec<u32> = stream.take(total).collect();
    let mut found: Vec<Vec<u32>> =
        stream[1..].split(|&id| id == 0).map(|rest| [&[0], rest].concat()).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn configs_survive_toml_and_unknown_keys_do_not() {
    let (_folder, configs) = datasets();
    for (_, config) in configs {
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<DataConfig>(&text).unwrap(), config, "{text}");
    }
    let short =
        "[bio-s]\npeople = 9\nrendering = { sentences = \"single\" }\npools = { folder = { path = \"p\" } }";
    let DataConfig::BioS(config) = toml::from_str(short).unwrap() else { panic!("another kind") };
    assert_eq!(
        (config.people, config.rendering.sentences, config.seq_len),
        (9, bios::Sentences::Single, 512)
    );
    assert!(toml::from_str::<DataConfig>("[bio-d]\npeopel = 9").unwrap_err().to_string().contains("peopel"));
}

#[test]
fn the_files_of_a_folder_are_hashed_and_built_in_data_has_none() {
    let (folder, configs) = datasets();
    let files: Vec<_> = configs.iter().map(|(_, config)| config.external_files().unwrap()).collect();
    assert!(
        files[0].is_empty()
            && files[1].is_empty()
            && files[2].is_empty()
            && files[4].is_empty()
            && files[5].is_empty()
    );
    assert_eq!(files[3][0].path, folder.path().join("sums.txt"));
    assert_eq!(files[3][0].blake3, blake3::hash(&std::fs::read(&files[3][0].path).unwrap()).to_string());
}

#[test]
fn the_file_of_a_tokenizer_is_hashed_with_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, "any").unwrap();
    let file = tokenizer::FileConfig { path: path.clone(), end_of_text: None };
    let config = BioSConfig { tokenizer: TokenizerConfig::File(file), ..BioSConfig::default() };
    let files = DataConfig::BioS(config).external_files().unwrap();
    let hashed = [ExternalFile { path, blake3: blake3::hash(b"any").to_string() }];
    assert_eq!(files, hashed);
}

#[test]
fn the_dataset_files_of_the_repository_say_what_their_notes_promise() {
    for (text, kind, vocab_size, tokens) in [
        (include_str!("../../datasets/bios.toml"), "bio-s", 3332, 73.33),
        (include_str!("../../datasets/biod.toml"), "bio-d", 261, 16.0),
    ] {
        let mut table: toml::Table = toml::from_str(text).unwrap();
        let mut data = table.remove("data").unwrap().try_into::<toml::Table>().unwrap();
        assert_eq!(data.remove("kind").unwrap().as_str(), Some(kind));
        let tagged: toml::Table = [(kind.to_string(), toml::Value::Table(data))].into_iter().collect();
        let config: DataConfig = tagged.try_into().unwrap();
        assert_eq!(config.vocab_size().unwrap(), vocab_size);
        assert!(
            (config.tokens_per_document().unwrap() - tokens).abs() < 0.005,
            "{}",
            config.tokens_per_document().unwrap()
        );
        assert!(
            text.contains(&vocab_size.to_string()) && text.contains(&tokens.to_string()),
            "the note has the numbers"
        );
    }
}
