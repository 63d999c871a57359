//! What every generated corpus promises.

use std::collections::HashSet;

use super::*;
use crate::data::DataConfig;

fn corpora() -> [CorpusConfig; 4] {
    let of = |language| CorpusConfig { language, documents: 50, length: 40, held_out: 7, seq_len: 24 };
    [
        of(LanguageConfig::default()),
        of(LanguageConfig::Markov(MarkovConfig { order: 2, symbols: 9, entropy: 1.1 })),
        of(LanguageConfig::Brackets(BracketsConfig::default())),
        of(LanguageConfig::Arithmetic(ArithmeticConfig::default())),
    ]
}

#[test]
fn every_document_comes_once_in_an_exposure_and_has_its_length() {
    for config in corpora() {
        let corpus = config.open(&Opening::alone(3, 2, 40)).unwrap();
        let mut seen: Vec<Vec<u32>> =
            (0..100).map(|row| corpus.rows(row, 1).tokens.iter().map(|id| *id as u32).collect()).collect();
        let mut expected: Vec<Vec<u32>> =
            (0..50).chain(0..50).map(|document| corpus.document(document)).collect();
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected, "{:?}", config.language);
        assert!(expected.iter().all(|document| document.len() == 40 && document[0] == 0));
    }
}

#[test]
fn training_never_reads_what_is_held_out() {
    for config in corpora() {
        let corpus = config.open(&Opening::alone(3, 1, 24)).unwrap();
        let trained: HashSet<Vec<u32>> = (0..50).map(|document| corpus.document(document)).collect();
        let held_out: Vec<&[u32]> = corpus.held_out.tokens.chunks(40).collect();
        assert_eq!(held_out.len(), 7);
        assert!(held_out.iter().all(|document| !trained.contains(*document)), "{:?}", config.language);
    }
}

#[test]
fn what_is_written_is_read_back_by_the_tokenizer() {
    for config in corpora() {
        let corpus = config.open(&Opening::alone(3, 1, 24)).unwrap();
        let document = corpus.document(1);
        let text = corpus.tokenizer.decode(&document[1..]);
        assert_eq!(corpus.tokenizer.encode(&text).unwrap(), document[1..], "{text}");
    }
}

#[test]
fn the_vocabulary_holds_every_word_and_end_of_text() {
    for config in corpora() {
        let vocab_size = DataConfig::Corpus(config.clone()).vocab_size().unwrap();
        assert_eq!(vocab_size, 1 + config.language.words().len(), "{:?}", config.language);
    }
}

#[test]
fn impossible_corpora_are_refused_by_key() {
    let message = |config: CorpusConfig| config.check().unwrap_err().to_string();
    let base = CorpusConfig::default;
    assert_eq!(
        message(CorpusConfig { documents: 0, ..base() }),
        "data.documents: 0, expected 1 to 1099511627776"
    );
    assert_eq!(message(CorpusConfig { length: 1, ..base() }), "data.length: 1, expected 2 to 1048576");
    let language = LanguageConfig::Chronicle(ChronicleConfig { cast: 1 });
    assert_eq!(message(CorpusConfig { language, ..base() }), "data.language.cast: 1, expected 2 to 32");
}
