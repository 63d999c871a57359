//! What it costs to read: tokens per second and memory of one question behind a long context, by three ways of reading.
//!
//! Random weights and tokens, forward only. A decoder's own window holds the context and the question; an encoder reads
//! chunks and the decoder reads the encoder beside the question (CEPE, arXiv 2402.16617); RePlug (arXiv 2301.12652) reads
//! each chunk with the question behind it.

use std::time::{Duration, Instant};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::answers::Reader;
use crate::data::reading::QaTest;
use crate::error::{Error, Problem, Result};
use crate::layers::mixer::{AttentionConfig, MixerConfig};
use crate::layers::position::{PositionConfig, RopeConfig};
use crate::model::{ContextModel, CrossAttentionInit, Decoder, EncoderConfig, EncoderTraining, ModelConfig};

/// Tokens of a chunk, and of the question.
pub const CHUNK: usize = 256;
/// Tokens that the models know.
const VOCAB: usize = 2048;
/// The most tokens of context.
const MOST: usize = 1 << 20;

/// How a context is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// By a decoder whose window holds all of it.
    Window,
    /// Through an encoder.
    Encoder,
    /// Chunk by chunk.
    Replug,
}

/// All of them.
pub const WAYS: [Way; 3] = [Way::Window, Way::Encoder, Way::Replug];

/// What was measured in one process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadingSpeed {
    /// How it was read.
    pub way: Way,
    /// Tokens of context.
    pub context: usize,
    /// Tokens of context per second.
    pub tokens_per_second: f64,
    /// Largest resident memory of the process less what it was with the models built, in bytes; none where the system
    /// does not tell.
    pub reading_bytes: Option<u64>,
    /// Largest resident memory of the process in bytes.
    pub peak_bytes: Option<u64>,
}

impl Way {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Way::Window => "window",
            Way::Encoder => "encoder",
            Way::Replug => "replug",
        }
    }

    /// The way of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Way> {
        WAYS.into_iter().find(|way| way.name() == name).ok_or_else(|| {
            let problem = Problem::new(format!("no way of reading \"{name}\"")).key("--way");
            Error::config(problem.expected(format!("one of {}", WAYS.map(Way::name).join(", "))))
        })
    }
}

/// Lengths of context to measure at, powers of two from four chunks to `most` tokens.
///
/// # Errors
/// `most` is below four chunks or above 2^20.
pub fn lengths(most: usize) -> Result<Vec<usize>> {
    if !(4 * CHUNK..=MOST).contains(&most) {
        let problem = Problem::new(most.to_string()).key("--context");
        return Err(Error::config(problem.expected(format!("{} to {MOST} tokens", 4 * CHUNK))));
    }
    Ok((0..).map(|i| (4 * CHUNK) << i).take_while(|&tokens| tokens <= most).collect())
}

/// Four blocks of width 128 with rotary positions.
fn decoder() -> ModelConfig {
    let position = PositionConfig::Rope(RopeConfig::default());
    let mut model = ModelConfig { d_model: 128, n_layers: 4, n_heads: 4, ..ModelConfig::default() };
    model.block.mixer = MixerConfig::Attention(AttentionConfig { position, ..AttentionConfig::default() });
    model
}

/// A decoder by itself, or with an encoder of half its width and depth.
enum Built {
    Decoder(Box<Decoder>),
    Joined(Box<ContextModel>),
}

impl Built {
    fn new(way: Way, context: usize, device: &Device) -> Result<Self> {
        let config = decoder();
        let window = match way {
            Way::Window => context + CHUNK,
            Way::Encoder | Way::Replug => 2 * CHUNK,
        };
        let decoder = config.init(VOCAB, window, 0, device);
        Ok(match way {
            Way::Window | Way::Replug => Built::Decoder(Box::new(decoder)),
            Way::Encoder => {
                let sizes = EncoderConfig { width: 0.5, depth: 0.5 };
                let encoder = sizes.model(&config).init_encoder(VOCAB, CHUNK, 0, device);
                let (output, training) = (CrossAttentionInit::Normal, EncoderTraining::Frozen);
                let joined = ContextModel::join(&config, decoder, encoder, output, training, 0)?;
                Built::Joined(Box::new(joined))
            }
        })
    }

    fn reader(&self, way: Way) -> Reader<'_> {
        match (self, way) {
            (Built::Joined(model), _) => Reader::Encoder(model),
            (Built::Decoder(decoder), Way::Replug) => Reader::Replug(decoder),
            (Built::Decoder(decoder), Way::Window | Way::Encoder) => Reader::Window(decoder),
        }
    }
}

/// Chunks and a question of `CHUNK` tokens each, from a fixed generator.
fn exam(context: usize) -> QaTest {
    let mut state = 1u64;
    let mut token = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) % VOCAB as u64) as u32
    };
    let mut tokens = |n: usize| (0..n).map(|_| token()).collect::<Vec<u32>>();
    let chunks = (0..context / CHUNK).map(|_| tokens(CHUNK)).collect();
    QaTest { chunks, question: tokens(CHUNK), answer: vec![0] }
}

/// Reads a context of so many tokens in this process, once without a clock and then for about `budget`, at least once.
/// `peak_bytes` tells the largest resident memory of the process so far.
///
/// # Errors
/// The models cannot be built.
pub fn measure(
    way: Way,
    context: usize,
    device: &Device,
    budget: Duration,
    peak_bytes: impl Fn() -> Option<u64>,
) -> Result<ReadingSpeed> {
    let (built, exam) = (Built::new(way, context, device)?, [exam(context)]);
    let reader = built.reader(way);
    let before = peak_bytes();
    reader.answers(&exam, device);
    let (start, mut times) = (Instant::now(), 0);
    while times == 0 || start.elapsed() < budget {
        reader.answers(&exam, device);
        times += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let peak = peak_bytes();
    Ok(ReadingSpeed {
        way,
        context,
        tokens_per_second: (times * context) as f64 / seconds,
        reading_bytes: peak.zip(before).map(|(peak, before)| peak - before),
        peak_bytes: peak,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_reads_all_of_the_context() {
        let device = crate::device::open("cpu").unwrap();
        let mut answers = Vec::new();
        for way in WAYS {
            assert_eq!(Way::named(way.name()).unwrap(), way);
            let built = Built::new(way, 4 * CHUNK, &device).unwrap();
            let read = |exam| built.reader(way).answers(&[exam], &device).remove(0);
            let whole = read(exam(4 * CHUNK));
            for chunk in 0..4 {
                let mut other = exam(4 * CHUNK);
                other.chunks[chunk][CHUNK / 2] = 7;
                assert_ne!(read(other), whole, "{way:?} does not read chunk {chunk}");
            }
            answers.push(whole);
        }
        assert!(answers[0] != answers[1] && answers[1] != answers[2]);
    }

    #[test]
    fn a_measurement_reads_at_least_once_and_lengths_are_powers_of_two() {
        let device = crate::device::open("cpu").unwrap();
        let memory = std::cell::Cell::new(100);
        let peak_bytes = || Some(memory.replace(250));
        let speed = measure(Way::Replug, 4 * CHUNK, &device, Duration::ZERO, peak_bytes).unwrap();
        assert!(speed.tokens_per_second > 0.0);
        assert_eq!((speed.reading_bytes, speed.peak_bytes), (Some(150), Some(250)));
        assert_eq!(lengths(5000).unwrap(), [1024, 2048, 4096]);
        assert!(lengths(1000).unwrap_err().to_string().starts_with("--context: 1000"));
        assert!(Way::named("x").unwrap_err().to_string().contains("one of window, encoder, replug"));
    }
}
