//! Reading: biographies of strangers and questions about them, so that nothing can be known by heart and everything
//! has to be read.
//!
//! Values are drawn anew for every row: a model that answers has found the answer in what stands before the question,
//! or in the chunks beside it. A biography is end-of-text and one sentence of four symbols for each attribute, in any
//! order: both parts of the name, the attribute, the value. A question is a mark and such a sentence; what comes after
//! its attribute is the answer. A quarter of all names is kept for [`QaTest`]s and never seen in training.
//!
//! So questions are answered in text. A decoder can be tuned to another [`AnswerForm`], which no text shows, on rows whose
//! questions are answered so.

use serde::{Deserialize, Serialize};

use super::permutation::Permutation;
use super::random::{Draws, Streams};
use super::{Batch, ChunkBatch, MAX_SEQ_LEN, check_range, out_of_range};
use crate::error::{Error, Problem, Result};

/// The token that opens every biography.
pub(super) const END_OF_TEXT: u32 = 0;
/// The token that opens every question.
const QUESTION: u32 = 1;
/// Symbols in a sentence: two of the name, attribute, value.
const SENTENCE: usize = 4;
/// Symbols in a question with its answer.
const QUESTION_LEN: usize = 1 + SENTENCE;
/// One name in so many is kept for exams.
const KEPT: u64 = 4;

/// The numbers of reading; the default is small enough for two CPU cores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadingConfig {
    /// Attributes of a person.
    pub attributes: u64,
    /// Values that an attribute can have; guessing is right once in so many times.
    pub values: u64,
    /// Words that each of the two parts of a name is drawn from.
    pub name_pool: u64,
    /// Biographies in a row.
    pub biographies: u64,
    /// Questions behind them.
    pub questions: u64,
}

impl Default for ReadingConfig {
    fn default() -> Self {
        ReadingConfig { attributes: 4, values: 32, name_pool: 32, biographies: 4, questions: 8 }
    }
}

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerForm {
    /// By the value, as in text.
    Value,
    /// By the value and end-of-text, where text goes on.
    #[default]
    Ended,
    /// By the sentence that says the value, and end-of-text.
    Sentence,
}

impl AnswerForm {
    /// Symbols in a question with its answer.
    fn question_len(self) -> usize {
        match self {
            AnswerForm::Value => QUESTION_LEN,
            AnswerForm::Ended => QUESTION_LEN + 1,
            AnswerForm::Sentence => QUESTION_LEN - 1 + SENTENCE + 1,
        }
    }
}

/// Something on which a model is measured: a question, or the end of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QaTest {
    /// One biography each; a question is about one of them.
    pub chunks: Vec<Vec<u32>>,
    /// What stands before the answer, for instance a question without its value.
    pub question: Vec<u32>,
    /// The right answer, for instance the value that was asked for.
    pub answer: Vec<u32>,
}

impl QaTest {
    /// The same question, which text answers by a value, with its answer in this form.
    pub fn answered(self, form: AnswerForm) -> Self {
        let answer = match form {
            AnswerForm::Value => return self,
            AnswerForm::Ended => [&self.answer[..], &[END_OF_TEXT]].concat(),
            AnswerForm::Sentence => [&self.question[1..], &self.answer, &[END_OF_TEXT]].concat(),
        };
        QaTest { answer, ..self }
    }
}

/// Who is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Training,
    Kept,
}

/// Somebody with a value for each attribute.
#[derive(Debug, Clone)]
struct Stranger {
    name: u64,
    values: Vec<u64>,
}

impl ReadingConfig {
    pub(super) fn check(&self) -> Result<()> {
        for (key, value, range) in [
            ("attributes", self.attributes, 1..=1024),
            ("values", self.values, 2..=1 << 20),
            ("name_pool", self.name_pool, 2..=1 << 20),
            ("biographies", self.biographies, 1..=MAX_SEQ_LEN / 4),
            ("questions", self.questions, 0..=MAX_SEQ_LEN / 5),
        ] {
            check_range(key, value, range)?;
        }
        let most = self.n_names(Names::Kept);
        if self.biographies > most {
            return Err(out_of_range(
                "biographies",
                self.biographies,
                &format!("at most {most} of other names"),
            ));
        }
        match self.seq_len() as u64 > MAX_SEQ_LEN {
            true => Err(out_of_range("biographies", self.biographies, "at most 2^20 tokens in a row")),
            false => Ok(()),
        }
    }

    fn n_names(&self, names: Names) -> u64 {
        let kept = self.name_pool * self.name_pool / KEPT;
        match names {
            Names::Training => self.name_pool * self.name_pool - kept,
            Names::Kept => kept,
        }
    }

    fn first_attribute(&self) -> u64 {
        2 + 2 * self.name_pool
    }

    fn first_value(&self) -> u64 {
        self.first_attribute() + self.attributes
    }

    pub(super) fn vocab_size(&self) -> usize {
        (self.first_value() + self.values) as usize
    }

    pub(super) fn seq_len(&self) -> usize {
        self.biographies as usize * self.chunk_len() + self.questions as usize * QUESTION_LEN
    }

    /// Tokens of a biography.
    pub fn chunk_len(&self) -> usize {
        1 + SENTENCE * self.attributes as usize
    }

    /// Tokens of a row that holds questions alone.
    pub fn questions_len(&self) -> usize {
        1 + self.questions as usize * QUESTION_LEN
    }

    /// The same rows with nothing in them but one biography: what an encoder of chunks is trained on.
    pub fn chunks(&self) -> Self {
        ReadingConfig { biographies: 1, questions: 0, ..self.clone() }
    }

    /// The most chunks that can be told apart by their names.
    pub fn max_chunks(&self) -> u64 {
        self.n_names(Names::Kept)
    }

    /// The most chunks in as many tokens as a row has that leave room for a question behind them.
    pub fn chunks_before_a_question(&self) -> u64 {
        (self.seq_len().saturating_sub(QUESTION_LEN) / self.chunk_len()) as u64
    }

    /// Questions with answers in this form that fit behind the biographies of a row; none if it has no room.
    pub fn answered_questions(&self, form: AnswerForm) -> usize {
        self.questions as usize * QUESTION_LEN / form.question_len()
    }

    /// Tokens of a row whose questions are answered in this form; its last answer ends it.
    ///
    /// # Panics
    /// If not one of them fits.
    pub fn answered_len(&self, form: AnswerForm) -> usize {
        let questions = self.answered_questions(form);
        assert!(questions > 0, "{} questions in a row for one in form {form:?}", self.questions);
        self.biographies as usize * self.chunk_len() + questions * form.question_len() - 1
    }

    /// Tokens as words: `n1.17` is word 17 of the first part of a name, `a3` an attribute, `v5` a value.
    pub fn decode(&self, tokens: &[u32]) -> String {
        tokens.iter().map(|&token| self.word(token)).collect::<Vec<_>>().join(" ")
    }

    /// How each token is spelled.
    pub(super) fn spellings(&self) -> Vec<Vec<u8>> {
        (0..self.vocab_size() as u32).map(|token| format!(" {}", self.word(token)).into()).collect()
    }

    fn word(&self, token: u32) -> String {
        match u64::from(token) {
            0 => "<|endoftext|>".to_string(),
            1 => "?".to_string(),
            t if t < self.first_attribute() => {
                format!("n{}.{}", (t - 2) / self.name_pool + 1, (t - 2) % self.name_pool)
            }
            t if t < self.first_value() => format!("a{}", t - self.first_attribute() + 1),
            t => format!("v{}", t - self.first_value()),
        }
    }

    /// The tokens of words between spaces, in the form of [`ReadingConfig::decode`].
    ///
    /// # Errors
    /// A word that is not in the vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let known = |word: &str| (0..self.vocab_size() as u32).find(|&token| self.word(token) == word);
        let token = |word: &str| {
            known(word).ok_or_else(|| {
                let problem = Problem::new(format!("\"{word}\" is not a symbol of this data"));
                Error::config(problem.expected("?, n1.0, n2.0, a1, v0 and so on, with spaces between"))
            })
        };
        text.split_whitespace().map(token).collect()
    }

    pub(super) fn open(&self, seed: u64) -> Reading {
        let n_names = self.name_pool * self.name_pool;
        Reading {
            config: self.clone(),
            names: Permutation::new(n_names, &mut Streams::new(seed, "reading names").at(0)),
            rows: Streams::new(seed, "reading rows"),
            chunks: Streams::new(seed, "reading chunks"),
            exams: Streams::new(seed, "reading exams"),
            answered: Streams::new(seed, "reading answers"),
            documents: Streams::new(seed, "reading documents"),
        }
    }
}

/// Biographies and questions, opened.
#[derive(Debug)]
pub struct Reading {
    config: ReadingConfig,
    names: Permutation,
    rows: Streams,
    chunks: Streams,
    exams: Streams,
    answered: Streams,
    documents: Streams,
}

impl Reading {
    pub(super) fn config(&self) -> &ReadingConfig {
        &self.config
    }

    /// Tokens of a chunk.
    pub fn chunk_len(&self) -> usize {
        self.config.chunk_len()
    }

    /// Questions in a row.
    pub fn questions(&self) -> u64 {
        self.config.questions
    }

    /// Whether a token can be an answer at all.
    pub fn is_value(&self, token: u32) -> bool {
        u64::from(token) >= self.config.first_value()
    }

    /// Rows of biographies with questions about them behind.
    pub(super) fn rows(&self, first: u64, rows: usize) -> Batch {
        let mut batch = Batch::with_capacity(rows, self.config.seq_len());
        for row in first..first + rows as u64 {
            let mut draws = self.rows.at(row);
            let people = self.strangers(self.config.biographies, Names::Training, &mut draws);
            let mut run = Vec::with_capacity(self.config.seq_len() + 1);
            people.iter().for_each(|person| self.write_biography(person, &mut draws, &mut run));
            self.write_questions(&people, &mut draws, &mut run);
            run.push(END_OF_TEXT);
            batch.push_row(&run, 0);
        }
        batch
    }

    /// Rows of questions alone, with the biographies of those asked for and of others in chunks beside them: as many
    /// for all rows, 1 to `most`. A share `dropout` of the chunks loses its end, one in ten of those everything.
    pub fn with_chunks(&self, step: u64, rows: usize, most: u64, dropout: f64) -> (Batch, ChunkBatch) {
        let k = 1 + self.chunks.at_turn(step, 1).below(most);
        let mut batch = Batch::with_capacity(rows, self.config.questions_len());
        let mut chunks = ChunkBatch::new(k as usize, self.config.chunk_len());
        for row in 0..rows as u64 {
            let mut draws = self.chunks.at(step * rows as u64 + row);
            let people = self.strangers(k, Names::Training, &mut draws);
            for person in &people {
                let mut chunk = Vec::with_capacity(self.config.chunk_len());
                self.write_biography(person, &mut draws, &mut chunk);
                chunks.push(&chunk, kept(chunk.len(), dropout, &mut draws));
            }
            let mut run = vec![END_OF_TEXT];
            self.write_questions(&people, &mut draws, &mut run);
            run.push(END_OF_TEXT);
            batch.push_row(&run, 0);
        }
        (batch, chunks)
    }

    /// Rows of biographies with questions about them behind that are answered in this form.
    ///
    /// # Panics
    /// If a row has no room for one of them.
    pub fn answered(&self, form: AnswerForm, step: u64, rows: usize) -> Batch {
        let seq_len = self.config.answered_len(form);
        let mut batch = Batch::with_capacity(rows, seq_len);
        for row in 0..rows as u64 {
            let mut draws = self.answered.at(step * rows as u64 + row);
            let people = self.strangers(self.config.biographies, Names::Training, &mut draws);
            let mut run = Vec::with_capacity(seq_len + 1);
            people.iter().for_each(|person| self.write_biography(person, &mut draws, &mut run));
            for _ in 0..self.config.answered_questions(form) {
                let person = anybody(&people, &mut draws);
                let asked = self.asked(Vec::new(), person, draws.below(self.config.attributes));
                let asked = asked.answered(form);
                run.extend([asked.question, asked.answer].concat());
            }
            batch.push_row(&run, 0);
        }
        batch
    }

    /// Question number `index` about somebody whose biography is chunk number `gold` of `n_chunks`; all names were kept
    /// out of training. The same question is asked whatever `gold` is.
    ///
    /// # Panics
    /// If there are more chunks than kept names, or `gold` is none of them.
    pub fn exam(&self, index: u64, n_chunks: u64, gold: u64) -> QaTest {
        assert!(gold < n_chunks, "chunk {gold} of {n_chunks}");
        let mut draws = self.exams.at(index);
        let people = self.strangers(n_chunks, Names::Kept, &mut draws);
        let attribute = draws.below(self.config.attributes);
        let mut chunks: Vec<Vec<u32>> = Vec::new();
        for person in &people {
            let mut chunk = Vec::new();
            self.write_biography(person, &mut draws, &mut chunk);
            chunks.push(chunk);
        }
        chunks.swap(0, gold as usize);
        self.asked(chunks, &people[0], attribute)
    }

    /// Question number `index` about somebody whose biography is `relevant` of `n_chunks` chunks, its sentences in another
    /// order in each; the others are about others, and all stand in any order. The same question is asked whatever
    /// `relevant` is.
    ///
    /// # Panics
    /// If there are more chunks than kept names, or `relevant` is 0 or above `n_chunks`.
    pub fn repeated_exam(&self, index: u64, n_chunks: u64, relevant: u64) -> QaTest {
        assert!((1..=n_chunks).contains(&relevant), "{relevant} relevant chunks of {n_chunks}");
        let mut draws = self.exams.at(index);
        let attribute = draws.below(self.config.attributes);
        let people = self.strangers(1 + n_chunks - relevant, Names::Kept, &mut draws);
        let mut chunk = |person| {
            let mut chunk = Vec::new();
            self.write_biography(person, &mut draws, &mut chunk);
            chunk
        };
        let same = std::iter::repeat_n(&people[0], relevant as usize);
        let mut chunks: Vec<Vec<u32>> = same.chain(&people[1..]).map(&mut chunk).collect();
        draws.shuffle(&mut chunks);
        self.asked(chunks, &people[0], attribute)
    }

    /// The end of document number `index`, behind the last `n_chunks` of its `length` biographies: as many questions
    /// with their answers as a row has, all of which but the first mark is what a model is measured on. How far back
    /// the biography of somebody who is asked for stands at most is a power of two, all that fit alike, so that each
    /// doubling of what is read holds some more of them. All names were kept out of training; the end is the same
    /// whatever `n_chunks` is.
    ///
    /// # Panics
    /// If there are more biographies than kept names, `n_chunks` is 0 or above `length`, or a row has no questions.
    pub fn document(&self, index: u64, length: u64, n_chunks: u64) -> QaTest {
        assert!((1..=length).contains(&n_chunks), "{n_chunks} of {length} biographies");
        let mut draws = self.documents.at(index);
        let people = self.strangers(length, Names::Kept, &mut draws);
        let mut chunks = Vec::new();
        for person in &people {
            let mut chunk = Vec::new();
            self.write_biography(person, &mut draws, &mut chunk);
            chunks.push(chunk);
        }
        let mut question = Vec::new();
        for _ in 0..self.config.questions {
            let farthest = 1 << draws.below(1 + u64::from(length.ilog2()));
            let person = &people[(length - 1 - draws.below(farthest)) as usize];
            self.write_question(person, draws.below(self.config.attributes), &mut question);
        }
        let answer = question.split_off(1);
        QaTest { chunks: chunks.split_off((length - n_chunks) as usize), question, answer }
    }

    /// The question for an attribute of somebody.
    fn asked(&self, chunks: Vec<Vec<u32>>, person: &Stranger, attribute: u64) -> QaTest {
        let mut question = Vec::new();
        self.write_question(person, attribute, &mut question);
        let answer = question.split_off(QUESTION_LEN - 1);
        QaTest { chunks, question, answer }
    }

    fn strangers(&self, n: u64, names: Names, draws: &mut Draws) -> Vec<Stranger> {
        let (len, first) = match names {
            Names::Training => (self.config.n_names(names), 0),
            Names::Kept => (self.config.n_names(names), self.config.n_names(Names::Training)),
        };
        let order = Permutation::new(len, draws);
        let mut stranger = |i| Stranger {
            name: self.names.apply(first + order.apply(i, 0), 0),
            values: (0..self.config.attributes).map(|_| draws.below(self.config.values)).collect(),
        };
        (0..n).map(&mut stranger).collect()
    }

    fn write_biography(&self, person: &Stranger, draws: &mut Draws, out: &mut Vec<u32>) {
        out.push(END_OF_TEXT);
        let mut attributes: Vec<u64> = (0..self.config.attributes).collect();
        draws.shuffle(&mut attributes);
        attributes.into_iter().for_each(|attribute| self.write_sentence(person, attribute, out));
    }

    /// As many questions as a row has, each about anybody.
    fn write_questions(&self, people: &[Stranger], draws: &mut Draws, out: &mut Vec<u32>) {
        for _ in 0..self.config.questions {
            let person = anybody(people, draws);
            self.write_question(person, draws.below(self.config.attributes), out);
        }
    }

    fn write_question(&self, person: &Stranger, attribute: u64, out: &mut Vec<u32>) {
        out.push(QUESTION);
        self.write_sentence(person, attribute, out);
    }

    fn write_sentence(&self, person: &Stranger, attribute: u64, out: &mut Vec<u32>) {
        let (config, pool) = (&self.config, self.config.name_pool);
        out.extend([
            (2 + person.name % pool) as u32,
            (2 + pool + person.name / pool) as u32,
            (config.first_attribute() + attribute) as u32,
            (config.first_value() + person.values[attribute as usize]) as u32,
        ]);
    }
}

fn anybody<'a>(people: &'a [Stranger], draws: &mut Draws) -> &'a Stranger {
    &people[draws.below(people.len() as u64) as usize]
}

/// How many of `n` tokens a chunk keeps.
fn kept(n: usize, dropout: f64, draws: &mut Draws) -> usize {
    const FINE: u64 = 1 << 32;
    if draws.below(FINE) as f64 >= dropout * FINE as f64 {
        return n;
    }
    match draws.below(10) {
        0 => 0,
        _ => 1 + draws.below(n as u64 - 1) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn config() -> ReadingConfig {
        ReadingConfig { attributes: 3, values: 5, name_pool: 6, biographies: 2, questions: 4 }
    }

    fn name(sentence: &[u32]) -> [u32; 2] {
        [sentence[0], sentence[1]]
    }

    /// The sentences of a biography.
    fn sentences(chunk: &[u32]) -> HashSet<Vec<u32>> {
        chunk[1..].chunks(SENTENCE).map(<[u32]>::to_vec).collect()
    }

    #[test]
    fn every_answer_of_a_row_stands_in_its_biographies() {
        let (config, data) = (config(), config().open(3));
        let batch = data.rows(100, 20);
        assert_eq!((batch.rows, batch.seq_len), (20, 2 * 13 + 4 * 5));
        for row in batch.tokens.chunks(batch.seq_len) {
            let row: Vec<u32> = row.iter().map(|&token| token as u32).collect();
            let (biographies, questions) = row.split_at(2 * config.chunk_len());
            let told: HashSet<_> = biographies.chunks(13).flat_map(sentences).collect();
            assert_eq!(told.len(), 6);
            for question in questions.chunks(5) {
                assert_eq!(question[0], QUESTION);
                assert!(told.iter().any(|told| *told == question[1..]));
            }
        }
        assert_eq!(batch, data.rows(100, 20));
        assert_ne!(batch, data.rows(120, 20));
    }

    #[test]
    fn every_answer_beside_chunks_stands_in_them_unless_it_was_dropped() {
        let data = config().open(3);
        let mut numbers = HashSet::new();
        for step in 0..20 {
            let (batch, chunks) = data.with_chunks(step, 3, 4, 0.0);
            numbers.insert(chunks.n_chunks);
            assert_eq!((batch.seq_len, chunks.tokens.len()), (21, 3 * chunks.n_chunks * 13));
            for (row, told) in batch.tokens.chunks(21).zip(chunks.tokens.chunks(chunks.n_chunks * 13)) {
                let told: Vec<u32> = told.iter().map(|&token| token as u32).collect();
                let told: HashSet<_> = told.chunks(13).flat_map(sentences).collect();
                for question in row[1..].chunks(5) {
                    assert!(told.contains(&question[1..].iter().map(|&t| t as u32).collect::<Vec<_>>()));
                }
            }
            assert!(chunks.hidden.iter().all(|hidden| !hidden));
        }
        assert_eq!(numbers, HashSet::from([1, 2, 3, 4]));
        let (_, dropped) = data.with_chunks(0, 2000, 1, 0.3);
        let shortened: Vec<usize> =
            dropped.hidden.chunks(13).map(|chunk| chunk.iter().filter(|hidden| **hidden).count()).collect();
        let share = |test: fn(&&usize) -> bool| shortened.iter().filter(test).count() as f64 / 2000.0;
        assert!((share(|n| **n > 0) - 0.3).abs() < 0.04, "four standard errors");
        assert!((share(|n| **n == 13) - 0.03).abs() < 0.016, "four standard errors");
    }

    #[test]
    fn exams_ask_about_people_whom_training_never_named() {
        let data = config().open(3);
        let trained: HashSet<_> = (0..50)
            .flat_map(|step| {
                data.rows(10 * step, 10)
                    .tokens
                    .chunks(46)
                    .map(|row| [row[1] as u32, row[2] as u32])
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(trained.len(), 27, "all names of training");
        for index in 0..30 {
            let exam = data.exam(index, 9, index % 9);
            let names: HashSet<_> = exam.chunks.iter().map(|chunk| name(&chunk[1..])).collect();
            assert_eq!(names.len(), 9);
            assert!(names.is_disjoint(&trained));
            let told = [&exam.question[1..], &exam.answer].concat();
            assert!(sentences(&exam.chunks[index as usize % 9]).contains(&told));
            assert_eq!(data.exam(index, 9, 0).answer, exam.answer);
        }
    }

    #[test]
    fn as_many_chunks_hold_the_answer_as_are_relevant() {
        let data = config().open(3);
        for (index, relevant) in (0..20).zip((1..=5).cycle()) {
            let exam = data.repeated_exam(index, 5, relevant);
            let told = [&exam.question[1..], &exam.answer].concat();
            let holds = |chunk: &&Vec<u32>| sentences(chunk).contains(&told);
            assert_eq!((exam.chunks.len(), exam.chunks.iter().filter(holds).count()), (5, relevant as usize));
            let names: HashSet<_> = exam.chunks.iter().map(|chunk| name(&chunk[1..])).collect();
            assert_eq!(names.len() as u64, 6 - relevant);
            assert_eq!(data.repeated_exam(index, 5, 1).question, exam.question);
        }
    }

    #[test]
    fn rows_for_tuning_answer_in_their_form() {
        let (config, data) = (config(), config().open(3));
        for (form, questions, len) in
            [(AnswerForm::Value, 4, 5), (AnswerForm::Ended, 3, 6), (AnswerForm::Sentence, 2, 9)]
        {
            let seq_len = 2 * 13 + questions * len - 1;
            assert_eq!((config.answered_questions(form), config.answered_len(form)), (questions, seq_len));
            let batch = data.answered(form, 7, 20);
            assert_eq!((batch.rows, batch.seq_len), (20, seq_len));
            assert!(batch.weights.iter().all(|&weight| weight == 1.0));
            for (row, targets) in batch.tokens.chunks(seq_len).zip(batch.targets.chunks(seq_len)) {
                let row: Vec<u32> = row.iter().chain(targets.last()).map(|&token| token as u32).collect();
                let (biographies, questions) = row.split_at(2 * 13);
                let told: HashSet<_> = biographies.chunks(13).flat_map(sentences).collect();
                for question in questions.chunks(len) {
                    assert_eq!(question[0], QUESTION);
                    let (said, end) = match form {
                        AnswerForm::Value => (&question[1..], None),
                        AnswerForm::Ended => (&question[1..5], Some(question[5])),
                        AnswerForm::Sentence => (&question[4..8], Some(question[8])),
                    };
                    assert!(told.contains(said) && question[1..4] == said[..3]);
                    assert!(end.is_none_or(|end| end == END_OF_TEXT));
                }
            }
            assert_eq!(batch, data.answered(form, 7, 20));
            assert_ne!(batch, data.answered(form, 8, 20));
        }
        let exam = data.exam(0, 2, 1);
        let ended = exam.clone().answered(AnswerForm::Ended).answer;
        assert_eq!(ended, [exam.answer[0], END_OF_TEXT]);
        let sentence = exam.clone().answered(AnswerForm::Sentence).answer;
        assert_eq!(sentence, [&exam.question[1..], &ended].concat());
        assert_eq!(exam.clone().answered(AnswerForm::Value), exam);
    }

    #[test]
    fn each_doubling_of_what_is_read_holds_more_of_what_the_end_of_a_document_asks() {
        let data = config().open(3);
        let mut found = [0u64; 4];
        for index in 0..200 {
            let whole = data.document(index, 8, 8);
            for (found, n) in found.iter_mut().zip([1, 2, 4, 8]) {
                let end = data.document(index, 8, n);
                assert_eq!((&end.question, &end.answer), (&whole.question, &whole.answer));
                assert_eq!(end.chunks, whole.chunks[8 - n as usize..]);
                let told: HashSet<_> = end.chunks.iter().flat_map(|chunk| sentences(chunk)).collect();
                let asked = [end.question, end.answer].concat();
                assert_eq!(asked.len(), 4 * QUESTION_LEN);
                *found += asked.chunks(5).filter(|asked| told.contains(&asked[1..])).count() as u64;
            }
        }
        // Of 800: a quarter for each power of two that is read, and of each beyond it what lies within.
        let expected = [375.0, 550.0, 700.0, 800.0];
        let near = |(found, expected): (&u64, f64)| (*found as f64 - expected).abs() < 60.0;
        assert!(found.iter().zip(expected).all(near), "{found:?}, four standard errors are below 60");
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        let (config, all) = (config(), (0..config().vocab_size() as u32).collect::<Vec<_>>());
        assert_eq!(config.encode(&config.decode(&all)).unwrap(), all);
        assert_eq!(config.decode(&[1, 2, 8, 14, 17]), "? n1.0 n2.0 a1 v0");
        assert!(config.encode("? n3.0").unwrap_err().to_string().starts_with("\"n3.0\" is not a symbol"));
    }

    #[test]
    fn impossible_numbers_are_errors_that_name_the_key() {
        let message = |config: ReadingConfig| config.check().unwrap_err().to_string();
        assert_eq!(message(ReadingConfig { values: 1, ..config() }), "data.values: 1, expected 2 to 1048576");
        assert!(message(ReadingConfig { biographies: 10, ..config() }).starts_with("data.biographies: 10"));
        assert!(
            message(ReadingConfig { questions: 1 << 19, ..config() }).starts_with("data.questions: 524288")
        );
    }
}
