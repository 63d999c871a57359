//! Questions about strangers: how many answers are right, and how surprising the right ones are, by the number of chunks
//! that there are to read, by the place of the one that matters, and by how many of them hold the answer; and how
//! surprising the end of a long document is, by how much of what stands before it is read.

use std::time::Instant;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::data::reading::{AnswerForm, QaTest, Reading};
use crate::data::{ChunkBatch, Dataset};
use crate::layers::ForwardContext;
use crate::model::{ContextModel, Decoder};
use crate::training::reading::chunk_tensors;

/// Tokens of a forward pass, about.
const READING_TOKENS_PER_PASS: usize = 8192;
/// Places of the chunk that matters are told apart by quarters.
const QUARTERS: usize = 4;

/// What a model reads its chunks with.
#[derive(Debug, Clone, Copy)]
pub enum Reader<'a> {
    /// It does not read them: the question alone.
    Alone(&'a Decoder),
    /// The last of them that fit, before the question in its own window.
    Window(&'a Decoder),
    /// Each in a window of its own, probabilities averaged.
    Replug(&'a Decoder),
    /// Through its encoder.
    Encoder(&'a ContextModel),
}

/// What came of all questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// Share of right answers at the number of chunks that the run is judged by.
    pub accuracy: f64,
    /// That number.
    pub judged_by: u64,
    /// By the number of chunks, ascending.
    pub points: Vec<AnswerPoint>,
    /// At that number, by how many of the chunks hold the answer, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relevant: Vec<RelevantPoint>,
    /// The ends of documents of as many chunks as there are at most, by how many of the last are read, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentPoint>,
}

/// How surprising the ends of long documents are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentPoint {
    /// Chunks before the end that there are to read.
    pub chunks: u64,
    /// Tokens in them.
    pub tokens: u64,
    /// Mean loss of the tokens of the end, in nats.
    pub nats_per_token: f64,
}

impl DocumentPoint {
    /// `e` to the mean loss.
    pub fn perplexity(&self) -> f64 {
        self.nats_per_token.exp()
    }
}

/// What came of questions with so many chunks that hold the answer among as many as the run is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelevantPoint {
    /// Chunks that hold the answer.
    pub relevant: u64,
    /// Share of answers that are right.
    pub accuracy: f64,
    /// Mean of `-ln p` of the right answer.
    pub nats: f64,
}

/// What came of questions with so many chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerPoint {
    /// Chunks, one of them with the answer.
    pub chunks: u64,
    /// Tokens in them.
    pub tokens: u64,
    /// Questions.
    pub questions: u64,
    /// Share of answers that are right.
    pub accuracy: f64,
    /// Share of answers in the form of right ones, with any value.
    pub format: f64,
    /// Mean of `-ln p` of the right answer.
    pub nats: f64,
    /// Accuracy by the quarter of the context in which the answer stands; empty for fewer than four chunks.
    pub by_quarter: Vec<f64>,
    /// Mean of `KL(teacher || reader)` summed over the places of the right answer, in nats: the teacher is the decoder of
    /// an encoder's reader with the chunks in its own window. Only where they fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher_nats: Option<f64>,
    /// Tokens of context read per second, in batches.
    pub tokens_per_second: f64,
}

/// How many questions of which sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QaTestConfig {
    /// Questions at each number of chunks.
    pub questions: u64,
    /// The most chunks; smaller numbers are the powers of two below.
    pub most_chunks: u64,
    /// The number of chunks that a run is judged by.
    pub judged_by: u64,
}

impl Default for QaTestConfig {
    fn default() -> Self {
        QaTestConfig { questions: 256, most_chunks: 64, judged_by: 8 }
    }
}

impl QaTestConfig {
    /// The numbers of chunks, ascending.
    pub fn sizes(&self) -> Vec<u64> {
        ascending(powers(self.most_chunks).chain([self.most_chunks, self.judged_by]))
    }

    /// The chunks that are read for one question of each kind; those at the ends of documents are not counted.
    pub fn chunks_read(&self) -> impl Iterator<Item = u64> {
        let relevant = self.relevant().into_iter().map(|_| self.judged_by);
        self.sizes().into_iter().chain(relevant)
    }

    /// How many of the chunks that a run is judged by hold the answer, ascending.
    fn relevant(&self) -> Vec<u64> {
        ascending(powers(self.judged_by).chain([self.judged_by]))
    }
}

/// The powers of two up to `most`.
fn powers(most: u64) -> impl Iterator<Item = u64> {
    (0..).map(|i| 1 << i).take_while(move |&n| n <= most)
}

fn ascending(numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut sorted: Vec<u64> = numbers.collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

/// Asks everything of `config`, to be answered in `form`; `None` where the data asks no questions.
pub fn measure(
    reader: Reader,
    data: &Dataset,
    config: &QaTestConfig,
    form: AnswerForm,
    device: &Device,
) -> Option<Answers> {
    let reading = data.reading()?;
    let tester = QaTester { reader, reading, config, form, device };
    let points: Vec<AnswerPoint> = config.sizes().into_iter().map(|chunks| tester.point(chunks)).collect();
    let judged = points.iter().find(|point| point.chunks == config.judged_by);
    let accuracy = judged.expect("the sizes hold the one that is judged by").accuracy;
    let relevant = match reader {
        Reader::Alone(_) => Vec::new(),
        Reader::Window(_) | Reader::Replug(_) | Reader::Encoder(_) => {
            config.relevant().into_iter().map(|relevant| tester.repeated(relevant)).collect()
        }
    };
    let documents = config.sizes().into_iter().filter_map(|chunks| tester.document(chunks)).collect();
    Some(Answers { accuracy, judged_by: config.judged_by, points, relevant, documents })
}

/// Who is asked, about what and how.
struct QaTester<'a> {
    reader: Reader<'a>,
    reading: &'a Reading,
    config: &'a QaTestConfig,
    form: AnswerForm,
    device: &'a Device,
}

impl QaTester<'_> {
    fn exams(&self, exam: impl Fn(u64) -> QaTest) -> Vec<QaTest> {
        (0..self.config.questions).map(|index| exam(index).answered(self.form)).collect()
    }

    fn tokens(&self, chunks: u64) -> u64 {
        chunks * self.reading.chunk_len() as u64
    }

    fn point(&self, chunks: u64) -> AnswerPoint {
        let QaTester { reader, config: QaTestConfig { questions, .. }, device, .. } = self;
        let exams = self.exams(|index| self.reading.exam(index, chunks, index % chunks));
        let start = Instant::now();
        let log_probs = reader.answers(&exams, device);
        let seconds = start.elapsed().as_secs_f64();
        let marks = self.marks(&exams, &log_probs);
        let read = exams.first().map_or(0, |exam| reader.tokens_read(exam)) as u64;
        AnswerPoint {
            chunks,
            tokens: self.tokens(chunks),
            questions: *questions,
            accuracy: share(&marks.right),
            format: share(&marks.in_form),
            nats: marks.nats,
            by_quarter: marks.by_quarter(chunks),
            teacher_nats: reader
                .teacher(&exams)
                .map(|teacher| mean_divergence(teacher, &exams, &log_probs, device)),
            tokens_per_second: (read * questions) as f64 / seconds,
        }
    }

    /// As many chunks as a run is judged by, `relevant` of them with the answer.
    fn repeated(&self, relevant: u64) -> RelevantPoint {
        let exams = self.exams(|index| self.reading.repeated_exam(index, self.config.judged_by, relevant));
        let marks = self.marks(&exams, &self.reader.answers(&exams, self.device));
        RelevantPoint { relevant, accuracy: share(&marks.right), nats: marks.nats }
    }

    /// The ends of documents of which `chunks` are read, with as many questions in all as an exam has; nothing where
    /// documents end in none.
    fn document(&self, chunks: u64) -> Option<DocumentPoint> {
        let length = self.config.most_chunks.max(self.config.judged_by);
        let documents = match self.reading.questions() {
            0 => return None,
            of_one => self.config.questions.div_ceil(of_one),
        };
        let end = |index| self.reading.document(index, length, chunks);
        let ends: Vec<QaTest> = (0..documents).map(end).collect();
        let log_probs = self.reader.answers(&ends, self.device);
        let nats: f64 = ends.iter().zip(&log_probs).map(|(end, logs)| nats(end, logs)).sum();
        let tokens: usize = ends.iter().map(|end| end.answer.len()).sum();
        Some(DocumentPoint { chunks, tokens: self.tokens(chunks), nats_per_token: nats / tokens as f64 })
    }

    /// What became of `exams`, whose right answers the reader gives the probabilities `log_probs`.
    fn marks(&self, exams: &[QaTest], log_probs: &[Vec<f32>]) -> Scores {
        let said = self.said(exams, log_probs);
        let each = |judge: fn(&Self, &QaTest, &QaTest) -> bool| {
            said.iter().zip(exams).map(|(said, exam)| judge(self, said, exam)).collect()
        };
        let nats: f64 = exams.iter().zip(log_probs).map(|(exam, logs)| nats(exam, logs)).sum();
        Scores {
            right: each(Self::is_right),
            in_form: each(Self::is_in_form),
            nats: nats / exams.len() as f64,
        }
    }

    /// Whether the first value that was said is that of the right answer.
    fn is_right(&self, said: &QaTest, exam: &QaTest) -> bool {
        let value = |exam: &QaTest| exam.answer.iter().copied().find(|&token| self.reading.is_value(token));
        value(said) == value(exam)
    }

    /// Whether the answer is the right one but for its value.
    fn is_in_form(&self, said: &QaTest, exam: &QaTest) -> bool {
        let is_value = |token: u32| self.reading.is_value(token);
        let alike = |(&said, &right): (&u32, &u32)| said == right || (is_value(said) && is_value(right));
        said.answer.iter().zip(&exam.answer).all(alike)
    }

    /// `exams` with what the reader says in the place of the right answers: the most probable token after what it has
    /// said so far, as many as those have. What stands behind a place does not change what is said in it.
    fn said(&self, exams: &[QaTest], log_probs: &[Vec<f32>]) -> Vec<QaTest> {
        let mut said = exams.to_vec();
        for place in 0..exams.first().map_or(0, |exam| exam.answer.len()) {
            let logs = match place {
                0 => log_probs,
                _ => &self.reader.answers(&said, self.device),
            };
            for (exam, logs) in said.iter_mut().zip(logs) {
                exam.answer[place] = most_probable(in_place(logs, place, exam.answer.len()));
            }
        }
        said
    }
}

/// Of the logarithms of the probabilities of all tokens in `places` places, those in one of them.
fn in_place(logs: &[f32], place: usize, places: usize) -> &[f32] {
    let v = logs.len() / places;
    &logs[place * v..(place + 1) * v]
}

fn most_probable(logs: &[f32]) -> u32 {
    logs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(token, _)| token as u32)
}

/// `-ln p` of the right answer.
fn nats(exam: &QaTest, logs: &[f32]) -> f64 {
    let of_place =
        |(place, &token): (usize, &u32)| -f64::from(in_place(logs, place, exam.answer.len())[token as usize]);
    exam.answer.iter().enumerate().map(of_place).sum()
}

fn share(of: &[bool]) -> f64 {
    of.iter().filter(|yes| **yes).count() as f64 / of.len() as f64
}

/// What became of each question.
struct Scores {
    /// Whether the first value that was said is the one that was asked for.
    right: Vec<bool>,
    /// Whether the answer has the form of the right one, with any value.
    in_form: Vec<bool>,
    /// Mean of `-ln p` of the right answer.
    nats: f64,
}

impl Scores {
    /// By the quarter in which the answer stands, if question number `i` has it in chunk `i` modulo `chunks`.
    fn by_quarter(&self, chunks: u64) -> Vec<f64> {
        if chunks < QUARTERS as u64 || (self.right.len() as u64) < chunks {
            return Vec::new();
        }
        let mut quarters = [[0u64; 2]; QUARTERS];
        for (index, right) in (0..).zip(&self.right) {
            let [rights, asked] = &mut quarters[((index % chunks) * QUARTERS as u64 / chunks) as usize];
            *rights += u64::from(*right);
            *asked += 1;
        }
        quarters.iter().map(|[right, asked]| *right as f64 / *asked as f64).collect()
    }
}

/// The mean of `KL(teacher || log_probs)` over questions.
fn mean_divergence(teacher: Reader, exams: &[QaTest], log_probs: &[Vec<f32>], device: &Device) -> f64 {
    let taught = teacher.answers(exams, device);
    let each = taught.iter().flatten().zip(log_probs.iter().flatten());
    let sum: f64 = each.map(|(p, q)| f64::from(p.exp()) * f64::from(p - q)).sum();
    sum / exams.len() as f64
}

impl<'a> Reader<'a> {
    /// Who reads the chunks of `exams` in the window of the same decoder, if an encoder reads them here and they fit.
    fn teacher(&self, exams: &[QaTest]) -> Option<Reader<'a>> {
        let Reader::Encoder(model) = *self else { return None };
        let exam = exams.first()?;
        let tokens = exam.chunks.iter().map(Vec::len).sum::<usize>() + end(exam).len();
        (tokens <= model.decoder.seq_len()).then_some(Reader::Window(&model.decoder))
    }

    /// Tokens of chunks that are read for a question.
    fn tokens_read(&self, exam: &QaTest) -> usize {
        let tokens = exam.chunks.iter().map(Vec::len).sum();
        match self {
            Reader::Alone(_) => 0,
            Reader::Window(decoder) => match windowed(exam, decoder.seq_len()) {
                row if row == opened(exam) => 0,
                row => row.len() - end(exam).len(),
            },
            Reader::Replug(_) | Reader::Encoder(_) => tokens,
        }
    }

    /// As [`Reader::log_shares`], in batches.
    pub(super) fn answers(&self, exams: &[QaTest], device: &Device) -> Vec<Vec<f32>> {
        let tokens = |exam: &QaTest| exam.chunks.iter().map(Vec::len).sum::<usize>();
        let per_pass = (READING_TOKENS_PER_PASS / exams.first().map_or(1, tokens)).max(1);
        exams.chunks(per_pass).flat_map(|some| self.log_shares(some, device)).collect()
    }

    /// The logarithms of the probabilities of all tokens in the places of the right answer, each after what stands before
    /// it, one place after the other; for questions with as many chunks each and answers as long.
    fn log_shares(&self, exams: &[QaTest], device: &Device) -> Vec<Vec<f32>> {
        let places = exams[0].answer.len();
        match self {
            Reader::Alone(decoder) => {
                let rows = exams.iter().map(opened);
                rows_of(last_logs(decoder, hidden(decoder, &rows.collect::<Vec<_>>(), device), places))
            }
            Reader::Window(decoder) => {
                let rows = exams.iter().map(|exam| windowed(exam, decoder.seq_len()));
                rows_of(last_logs(decoder, hidden(decoder, &rows.collect::<Vec<_>>(), device), places))
            }
            Reader::Replug(decoder) => {
                let each = |exam: &QaTest| {
                    let rows: Vec<_> =
                        exam.chunks.iter().map(|chunk| [chunk.clone(), end(exam)].concat()).collect();
                    let at_once = (READING_TOKENS_PER_PASS / rows[0].len()).max(1);
                    let shares =
                        |rows: &[Vec<u32>]| last_logs(decoder, hidden(decoder, rows, device), places).exp();
                    let shares = Tensor::cat(rows.chunks(at_once).map(shares).collect(), 0); // [k, n v]
                    rows_of(shares.mean_dim(0).log()).remove(0)
                };
                exams.iter().map(each).collect()
            }
            Reader::Encoder(model) => {
                let rows: Vec<Vec<u32>> = exams.iter().map(opened).collect();
                let chunks = chunk_tensors(&chunks_of(exams), exams.len(), device);
                let (hidden, _) = model.hidden(ids(&rows, device), Some(chunks), ForwardContext::new());
                rows_of(last_logs(&model.decoder, hidden, places))
            }
        }
    }
}

/// The question and its answer, but for the last token of it.
fn end(exam: &QaTest) -> Vec<u32> {
    let (_, answer) = exam.answer.split_last().expect("an answer has a token");
    [&exam.question, answer].concat()
}

/// The question by itself.
fn opened(exam: &QaTest) -> Vec<u32> {
    [&exam.chunks[0][..1], &end(exam)].concat()
}

/// The last chunks that fit into a window together with the question.
fn windowed(exam: &QaTest, window: usize) -> Vec<u32> {
    let room = window.saturating_sub(end(exam).len()) / exam.chunks[0].len();
    match exam.chunks.len().min(room) {
        0 => opened(exam),
        n => [exam.chunks[exam.chunks.len() - n..].concat(), end(exam)].concat(),
    }
}

fn chunks_of(exams: &[QaTest]) -> ChunkBatch {
    let mut batch = ChunkBatch::new(exams[0].chunks.len(), exams[0].chunks[0].len());
    for chunk in exams.iter().flat_map(|exam| &exam.chunks) {
        batch.push(chunk, chunk.len());
    }
    batch
}

fn ids(rows: &[Vec<u32>], device: &Device) -> Tensor<2, Int> {
    let flat: Vec<i32> = rows.iter().flatten().map(|&id| id as i32).collect();
    Tensor::from_data(TensorData::new(flat, [rows.len(), rows[0].len()]), device)
}

fn hidden(decoder: &Decoder, rows: &[Vec<u32>], device: &Device) -> Tensor<3> {
    decoder.hidden(ids(rows, device), &mut ForwardContext::new())
}

/// Logarithms of probabilities behind each of the last `n` tokens of each row, `[b, t, d] -> [b, n v]`.
fn last_logs(decoder: &Decoder, hidden: Tensor<3>, n: usize) -> Tensor<2> {
    let [b, t, _] = hidden.dims();
    let last = hidden.narrow(1, t - n, n).flatten::<2>(0, 1); // [b n, d]
    let logs = log_softmax(last.matmul(decoder.head_weight().transpose()), 1); // [b n, v]
    let [_, v] = logs.dims();
    logs.reshape([b, n * v])
}

fn rows_of(x: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, v] = x.dims();
    let values: Vec<f32> = x.into_data().iter::<f32>().collect();
    values.chunks(v).map(<[f32]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataConfig, ReadingConfig};
    use crate::model::context::ContextModel;
    use crate::model::{CrossAttentionInit, EncoderConfig, EncoderTraining, ModelConfig, variants};

    /// Sums of a few dozen products, in two different orders.
    const ROUNDING: f32 = 1e-4;

    fn exams(n: u64, chunks: u64) -> (DataConfig, Dataset, Vec<QaTest>) {
        let config =
            DataConfig::Reading(ReadingConfig { biographies: 2, questions: 2, ..Default::default() });
        let data = config.open(3, 1).unwrap();
        let exams = (0..n).map(|i| data.reading().unwrap().exam(i, chunks, i % chunks)).collect();
        (config, data, exams)
    }

    fn model(data: &DataConfig, device: &Device) -> (ModelConfig, Decoder) {
        let config = variants::base();
        let decoder = config.init(data.vocab_size().unwrap(), data.seq_len(), 1, device);
        (config, decoder)
    }

    #[test]
    fn with_one_chunk_replug_is_the_window() {
        let device = crate::device::open("cpu").unwrap();
        let (data, _, exams) = exams(3, 1);
        let (_, decoder) = model(&data, &device);
        let (window, replug) = (
            Reader::Window(&decoder).log_shares(&exams, &device).concat(),
            Reader::Replug(&decoder).log_shares(&exams, &device).concat(),
        );
        assert!(window.iter().zip(&replug).all(|(a, b)| (a - b).abs() < ROUNDING));
        let sum: f32 = window[..window.len() / 3].iter().map(|log| log.exp()).sum();
        assert!((sum - 1.0).abs() < ROUNDING, "{sum}");
    }

    #[test]
    fn a_window_holds_the_last_chunks_that_fit() {
        let (_, _, exams) = exams(1, 3);
        assert_eq!(
            windowed(&exams[0], 44),
            [exams[0].chunks[1..].concat(), exams[0].question.clone()].concat()
        );
        assert_eq!(windowed(&exams[0], 37), windowed(&exams[0], 21));
        assert_eq!(windowed(&exams[0], 20), opened(&exams[0]));
    }

    #[test]
    fn only_chunks_that_are_read_count_as_read() {
        let device = crate::device::open("cpu").unwrap();
        let (data, _, exams) = exams(1, 30);
        let (_, decoder) = model(&data, &device);
        let chunk = exams[0].chunks[0].len();
        assert_eq!(Reader::Alone(&decoder).tokens_read(&exams[0]), 0);
        assert_eq!(Reader::Replug(&decoder).tokens_read(&exams[0]), 30 * chunk);
        let window = Reader::Window(&decoder).tokens_read(&exams[0]);
        assert_eq!(window, (decoder.seq_len() - exams[0].question.len()) / chunk * chunk);
    }

    #[test]
    fn an_encoder_that_is_not_read_yet_changes_nothing_and_rows_do_not_touch_each_other() {
        let device = crate::device::open("cpu").unwrap();
        let (data, dataset, exams) = exams(3, 2);
        let (config, decoder) = model(&data, &device);
        let sizes = EncoderConfig { width: 0.3, depth: 0.5 };
        let join = |output| {
            let encoder = sizes.model(&config).init_encoder(dataset.vocab_size(), 17, 2, &device);
            ContextModel::join(&config, decoder.clone(), encoder, output, EncoderTraining::Trained, 2)
                .unwrap()
        };
        let close = |a: Vec<Vec<f32>>, b: Vec<Vec<f32>>| {
            a.concat().iter().zip(b.concat()).all(|(a, b)| (a - b).abs() < ROUNDING)
        };
        let zero = Reader::Encoder(&join(CrossAttentionInit::Zero)).log_shares(&exams, &device);
        let alone = Reader::Alone(&decoder).log_shares(&exams, &device);
        assert!(close(zero, alone.clone()));
        let model = join(CrossAttentionInit::Copy);
        let together = Reader::Encoder(&model).log_shares(&exams, &device);
        let apart = exams
            .iter()
            .flat_map(|exam| Reader::Encoder(&model).log_shares(std::slice::from_ref(exam), &device));
        assert!(close(together.clone(), apart.collect()));
        assert!(!close(together, alone));
    }

    #[test]
    fn an_encoder_is_measured_against_its_decoder_where_the_chunks_fit_its_window() {
        let device = crate::device::open("cpu").unwrap();
        let (data, dataset, _) = exams(1, 1);
        let (config, decoder) = model(&data, &device);
        let encoder = EncoderConfig { width: 0.3, depth: 0.5 };
        let encoder = encoder.model(&config).init_encoder(dataset.vocab_size(), 17, 2, &device);
        let output = CrossAttentionInit::Zero;
        let joined =
            ContextModel::join(&config, decoder.clone(), encoder, output, EncoderTraining::Trained, 2)
                .unwrap();
        let exam = QaTestConfig { questions: 12, most_chunks: 4, judged_by: 4 };
        let answers = |reader| measure(reader, &dataset, &exam, AnswerForm::Value, &device).unwrap();
        let read = answers(Reader::Encoder(&joined));
        let nats: Vec<_> = read.points.iter().map(|point| point.teacher_nats).collect();
        assert!(nats[0].unwrap() > 0.0 && nats[1].unwrap() > 0.0, "{nats:?}");
        assert_eq!(nats[2], None, "4 chunks of 17 in a window of 44");
        assert_eq!(answers(Reader::Window(&decoder)).points[0].teacher_nats, None);
        let reading = dataset.reading().unwrap();
        let two: Vec<QaTest> = (0..5).map(|i| reading.exam(i, 2, 0)).collect();
        let window = Reader::Window(&decoder);
        assert_eq!(mean_divergence(window, &two, &window.answers(&two, &device), &device), 0.0);
    }

    #[test]
    fn a_divergence_is_the_mean_over_questions() {
        let device = crate::device::open("cpu").unwrap();
        let (data, _, exams) = exams(2, 1);
        let (_, decoder) = model(&data, &device);
        let taught = Reader::Window(&decoder).answers(&exams, &device);
        let v = taught[0].len() as f32;
        let uniform = vec![vec![-v.ln(); v as usize]; 2];
        let expected = |logs: &[f32]| logs.iter().map(|p| p.exp() * (p + v.ln())).sum::<f32>();
        let expected = (expected(&taught[0]) + expected(&taught[1])) / 2.0;
        let found = mean_divergence(Reader::Window(&decoder), &exams, &uniform, &device);
        assert!((found as f32 - expected).abs() < ROUNDING && expected > ROUNDING);
    }

    #[test]
    fn a_model_that_knows_nothing_is_right_by_chance() {
        let device = crate::device::open("cpu").unwrap();
        let (data, dataset, _) = exams(1, 1);
        let (_, decoder) = model(&data, &device);
        let config = QaTestConfig { questions: 64, most_chunks: 8, judged_by: 4 };
        let answers =
            measure(Reader::Window(&decoder), &dataset, &config, AnswerForm::Value, &device).unwrap();
        assert_eq!(answers.points.iter().map(|point| point.chunks).collect::<Vec<_>>(), [1, 2, 4, 8]);
        assert!(answers.accuracy < 0.2);
        assert_eq!(
            answers.points.iter().map(|point| point.by_quarter.len()).collect::<Vec<_>>(),
            [0, 0, 4, 4]
        );
        assert_eq!(answers.points[3].tokens, 8 * 17);
        assert_eq!(answers.relevant.iter().map(|point| point.relevant).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(answers.documents.iter().map(|point| point.chunks).collect::<Vec<_>>(), [1, 2, 4, 8]);
        let uniform = (dataset.vocab_size() as f64).ln();
        assert!(answers.documents.iter().all(|point| (point.nats_per_token - uniform).abs() < 0.5));
        let asked = |data: DataConfig| {
            let data = data.open(0, 1).unwrap();
            measure(Reader::Alone(&decoder), &data, &config, AnswerForm::Value, &device)
        };
        assert_eq!(asked(DataConfig::default()), None);
        let silent = ReadingConfig { questions: 0, ..ReadingConfig::default() };
        assert!(asked(DataConfig::Reading(silent)).unwrap().documents.is_empty());
    }

    #[test]
    fn an_answer_of_several_tokens_is_read_as_one_token_after_the_other() {
        let device = crate::device::open("cpu").unwrap();
        let (data, dataset, _) = exams(1, 1);
        let (config, decoder) = model(&data, &device);
        let encoder = EncoderConfig { width: 0.3, depth: 0.5 };
        let encoder = encoder.model(&config).init_encoder(dataset.vocab_size(), 17, 2, &device);
        let output = CrossAttentionInit::Copy;
        let joined =
            ContextModel::join(&config, decoder.clone(), encoder, output, EncoderTraining::Trained, 2)
                .unwrap();
        let whole = dataset.reading().unwrap().exam(4, 1, 0).answered(AnswerForm::Sentence);
        let readers = [
            Reader::Alone(&decoder),
            Reader::Window(&decoder),
            Reader::Replug(&decoder),
            Reader::Encoder(&joined),
        ];
        for reader in readers {
            let logs = reader.answers(std::slice::from_ref(&whole), &device).remove(0);
            for place in 0..5 {
                let (before, after) = whole.answer.split_at(place);
                let question = [&whole.question, before].concat();
                let one = QaTest { question, answer: after[..1].to_vec(), ..whole.clone() };
                let apart = reader.answers(&[one], &device).remove(0);
                let together = in_place(&logs, place, 5);
                assert!(together.iter().zip(&apart).all(|(a, b)| (a - b).abs() < ROUNDING), "{reader:?}");
            }
        }
    }

    #[test]
    fn what_is_said_is_the_most_probable_token_after_what_was_said_before() {
        let device = crate::device::open("cpu").unwrap();
        let (data, dataset, _) = exams(1, 1);
        let (_, decoder) = model(&data, &device);
        let (reader, reading) = (Reader::Window(&decoder), dataset.reading().unwrap());
        let (config, form) =
            (QaTestConfig { questions: 3, most_chunks: 1, judged_by: 1 }, AnswerForm::Sentence);
        let tester = QaTester { reader, reading, config: &config, form, device: &device };
        let exams = tester.exams(|index| reading.exam(index, 1, 0));
        let said = tester.said(&exams, &reader.answers(&exams, &device));
        for (said, exam) in said.iter().zip(&exams) {
            assert_ne!(said.answer, exam.answer, "an untrained decoder knows no answer");
            let mut question = exam.question.clone();
            for &token in &said.answer {
                let one = QaTest { question: question.clone(), answer: vec![0], ..exam.clone() };
                assert_eq!(most_probable(&reader.answers(&[one], &device)[0]), token);
                question.push(token);
            }
        }
    }

    #[test]
    fn an_answer_can_be_right_without_its_form_and_in_form_without_being_right() {
        let device = crate::device::open("cpu").unwrap();
        let (data, dataset, _) = exams(1, 1);
        let (_, decoder) = model(&data, &device);
        let (reader, reading) = (Reader::Window(&decoder), dataset.reading().unwrap());
        let config = QaTestConfig { questions: 1, most_chunks: 1, judged_by: 1 };
        let tester =
            QaTester { reader, reading, config: &config, form: AnswerForm::Sentence, device: &device };
        let exam = reading.exam(0, 1, 0).answered(AnswerForm::Sentence);
        let (right, v) = (exam.answer.clone(), dataset.vocab_size());
        let other = if right[3] as usize == v - 1 { right[3] - 1 } else { right[3] + 1 };
        let judged = |said: [u32; 5]| {
            let said = QaTest { answer: said.to_vec(), ..exam.clone() };
            (tester.is_right(&said, &exam), tester.is_in_form(&said, &exam))
        };
        let [n1, n2, a, value, end] = right[..] else { panic!("a sentence and end-of-text") };
        assert_eq!(judged([n1, n2, a, value, end]), (true, true));
        assert_eq!(judged([n1, n2, a, other, end]), (false, true));
        assert_eq!(judged([value, 1, n1, n2, a]), (true, false), "as text answers");
        assert_eq!(judged([n1, n2, a, value, other]), (true, false));
        assert_eq!(judged([n2, n2, a, value, end]), (true, false));
        assert_eq!(judged([n1, n2, a, a, end]), (false, false));
    }
}
