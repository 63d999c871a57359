//! Bits of knowledge: `N log2(N0 / e^p1) + N log2(S0 / e^p2)`, the part of the facts that the model does not have to
//! guess any more.
//!
//! Allen-Zhu and Li 2024 (arXiv 2404.05405), Definitions 4.1 (bioD) and 4.3 (bioS). `p1` is the loss of a name and
//! `p2` the loss of all values of a person, in nats, summed over their tokens and averaged over people and renderings
//! as losses, never as probabilities. Partial knowledge counts: who knows the year but not the day has stored the year.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::TOKENS_PER_PASS;
use super::record::{AttributeBits, Capacity, GivenSource, MeasureConfig, MeasureContext, People};
use super::sequences::{self, Sequence, Sequences};
use crate::data::{Dataset, Fact, Information, Span};
use crate::error::Result;
use crate::kernels;
use crate::layers::ForwardContext;
use crate::model::Decoder;

/// Losses of one rendering of everybody's biography, in nats, summed over people.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RenderingLosses {
    /// Of names.
    pub names: f64,
    /// Of values, per attribute.
    pub values: Vec<f64>,
    /// Of first chunks of values, all attributes together (bioD's diversity term).
    pub first_chunks: f64,
}

/// Losses of all renderings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Losses {
    /// People that were read.
    pub people: u64,
    /// One entry per rendering.
    pub renderings: Vec<RenderingLosses>,
    /// People each of whose values has a probability above one half in every rendering.
    pub fully_known: u64,
    /// Variance between people of the loss of all facts together, in nats squared; matters only for a sample.
    pub variance_between_people: f64,
}

/// Reads the people of `data` with `model` and counts the bits that it has stored; `None` for data without facts.
///
/// `params` is what bits are divided by: all trainable parameters, a tied table once.
///
/// # Errors
/// Whatever the data cannot render.
pub fn measure(
    model: &Decoder,
    data: &Dataset,
    config: &MeasureConfig,
    params: u64,
    device: &Device,
) -> Result<Option<Capacity>> {
    let Some(information) = data.information() else { return Ok(None) };
    let people = chosen(information.people, config.people);
    let mut tally = Tally::new(people.len());
    for rendering in 0..config.paraphrases {
        tally.begin(information.attributes.len());
        let mut rest = Sequences::new(data, &people, rendering, config).peekable();
        while rest.peek().is_some() {
            let mut group: Vec<Sequence> = Vec::new();
            let mut longest = 0;
            while let Some(sequence) = rest.next_if(|sequence| {
                let longest = longest.max(sequence.tokens.len());
                group.is_empty() || longest * (group.len() + 1) <= TOKENS_PER_PASS
            }) {
                longest = longest.max(sequence.tokens.len());
                group.push(sequence);
            }
            let losses = token_losses(model, &group, longest, device);
            for (sequence, losses) in group.iter().zip(losses.chunks(longest - 1)) {
                sequence.scored.iter().for_each(|(person, spans)| tally.add(*person, spans, losses));
            }
        }
    }
    let context = sequences::context_of(data, config.context);
    let capacity = Capacity { context, ..capacity(information, &tally.finish(), params) };
    // Whose sequence it is, is told by those who stand before.
    let source_bits = match context {
        MeasureContext::Alone => data.source_bits(),
        MeasureContext::Packed => 0.0,
    };
    Ok(Some(Capacity { given_source: given_source(&capacity, information, source_bits), ..capacity }))
}

/// Everybody, or an evenly spread sample.
pub(super) fn chosen(people: u64, which: People) -> Vec<u64> {
    match which {
        People::Sample(sample) if sample.count < people => {
            (0..sample.count).map(|i| (i as u128 * people as u128 / sample.count as u128) as u64).collect()
        }
        People::Sample(_) | People::All => (0..people).collect(),
    }
}

/// The loss of each token given those before it, `longest - 1` per sequence, padding included.
fn token_losses(model: &Decoder, group: &[Sequence], longest: usize, device: &Device) -> Vec<f32> {
    let (b, t) = (group.len(), longest - 1);
    let mut tokens = vec![0; b * t];
    let mut targets = vec![0; b * t];
    for (row, sequence) in group.iter().enumerate() {
        for (i, pair) in sequence.tokens.windows(2).enumerate() {
            tokens[row * t + i] = pair[0] as i32;
            targets[row * t + i] = pair[1] as i32;
        }
    }
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [b, t]), device);
    let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [b * t]), device);
    let hidden = model.hidden(tokens, &mut ForwardContext::new()).flatten::<2>(0, 1); // [n, d]
    let weights = Tensor::ones([b * t], device);
    let (_, losses) = kernels::linear_cross_entropy(hidden, model.head_weight(), targets, weights);
    losses.into_data().try_into_vec().expect("losses are f32")
}

/// Collects losses person by person.
pub(super) struct Tally {
    renderings: Vec<RenderingLosses>,
    /// Per person: loss of all facts, summed over renderings.
    persons: Vec<f64>,
    known: Vec<bool>,
}

impl Tally {
    pub fn new(people: usize) -> Self {
        Tally { renderings: Vec::new(), persons: vec![0.0; people], known: vec![true; people] }
    }

    /// Another rendering begins.
    pub fn begin(&mut self, attributes: usize) {
        self.renderings.push(RenderingLosses { values: vec![0.0; attributes], ..Default::default() });
    }

    /// `losses[i]` is the loss of token `i + 1`.
    pub fn add(&mut self, person: usize, spans: &[Span], losses: &[f32]) {
        let sum =
            |range: &std::ops::Range<usize>| -> f64 { range.clone().map(|i| losses[i - 1] as f64).sum() };
        let rendering = self.renderings.last_mut().expect("a rendering is under way");
        for span in spans {
            let nats = sum(&span.range);
            self.persons[person] += nats;
            match span.fact {
                Fact::Name => rendering.names += nats,
                Fact::Value(attribute) => {
                    rendering.values[attribute] += nats;
                    rendering.first_chunks += sum(&span.first_chunk);
                    self.known[person] &= nats < std::f64::consts::LN_2;
                }
            }
        }
    }

    pub fn finish(self) -> Losses {
        let (n, r) = (self.persons.len() as f64, self.renderings.len() as f64);
        let mean = self.persons.iter().sum::<f64>() / n / r;
        let square = |loss: &f64| (loss / r - mean) * (loss / r - mean);
        Losses {
            people: self.persons.len() as u64,
            fully_known: self.known.iter().filter(|known| **known).count() as u64,
            variance_between_people: self.persons.iter().map(square).sum::<f64>() / (n - 1.0).max(1.0),
            renderings: self.renderings,
        }
    }
}

/// Bits from losses: the formula, without a model.
pub fn capacity(information: &Information, losses: &Losses, params: u64) -> Capacity {
    let per_rendering: Vec<Bits> = losses
        .renderings
        .iter()
        .map(|rendering| Bits::of(information, &Mean::of(std::slice::from_ref(rendering), losses.people)))
        .collect();
    let mean = Mean::of(&losses.renderings, losses.people);
    let bits = Bits::of(information, &mean);
    let most = Bits::of(information, &Mean::perfect(information));
    let p = params as f64;
    let rendering_error = standard_error(&per_rendering.iter().map(Bits::total).collect::<Vec<_>>());
    let attributes = information.attributes.iter().zip(&mean.values).map(|(attribute, nats)| AttributeBits {
        name: attribute.name.clone(),
        bits: attribute.bits - nats / std::f64::consts::LN_2,
        max_bits: attribute.bits,
    });
    Capacity {
        bits: bits.total(),
        name_bits: bits.names,
        value_bits: bits.values,
        diversity_bits: bits.diversity,
        max_bits: most.total(),
        bits_per_param: bits.total() / p,
        max_bits_per_param: most.total() / p,
        params,
        name_nats: mean.names,
        value_nats: mean.values.iter().sum(),
        attributes: attributes.collect(),
        fully_known: losses.fully_known as f64 / losses.people as f64,
        measurement_error: rendering_error.hypot(sampling_error(information, losses)) / p,
        people: losses.people,
        renderings: losses.renderings.len() as u64,
        context: MeasureContext::default(),
        given_source: None,
    }
}

/// The bits with those given back that guessing the source costs; `None` where it costs nothing.
fn given_source(capacity: &Capacity, information: &Information, source_bits: f64) -> Option<GivenSource> {
    (source_bits > 0.0).then(|| {
        let given = information.people as f64 * source_bits;
        let bits = capacity.bits + given;
        GivenSource {
            source_bits,
            name_bits: capacity.name_bits + given,
            bits,
            bits_per_param: bits / capacity.params as f64,
        }
    })
}

/// Mean losses per person, in nats.
struct Mean {
    names: f64,
    values: Vec<f64>,
    /// Per person and attribute.
    first_chunk: f64,
}

impl Mean {
    fn of(renderings: &[RenderingLosses], people: u64) -> Self {
        let n = people as f64 * renderings.len() as f64;
        let attributes = renderings[0].values.len();
        let total = |f: &dyn Fn(&RenderingLosses) -> f64| renderings.iter().map(f).sum::<f64>();
        Mean {
            names: total(&|r| r.names) / n,
            values: (0..attributes).map(|k| total(&|r| r.values[k]) / n).collect(),
            first_chunk: total(&|r| r.first_chunks) / n / attributes as f64,
        }
    }

    /// A model that knows everything guesses only whose biography comes next.
    fn perfect(information: &Information) -> Self {
        Mean {
            names: (information.people as f64).ln(),
            values: vec![0.0; information.attributes.len()],
            first_chunk: 0.0,
        }
    }
}

/// Bits stored, by kind.
struct Bits {
    names: f64,
    values: f64,
    diversity: f64,
}

impl Bits {
    fn of(information: &Information, mean: &Mean) -> Self {
        let bits = |nats: f64| nats / std::f64::consts::LN_2;
        let n = information.people as f64;
        let known: f64 =
            information.attributes.iter().zip(&mean.values).map(|(a, nats)| a.bits - bits(*nats)).sum();
        let diversity = information.diversity.as_ref().map_or(0.0, |sets| {
            (sets.attributes * sets.distinct) as f64 * (sets.bits_per_string() - bits(mean.first_chunk))
        });
        Bits { names: n * (information.name_bits - bits(mean.names)), values: n * known, diversity }
    }

    fn total(&self) -> f64 {
        self.names + self.values + self.diversity
    }
}

fn standard_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0) / n).sqrt()
}

/// What a sample of people adds, in bits: nothing when everybody was read.
fn sampling_error(information: &Information, losses: &Losses) -> f64 {
    let (all, read) = (information.people as f64, losses.people as f64);
    let unread = (1.0 - read / all).max(0.0);
    all * (losses.variance_between_people / read * unread).sqrt() / std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::information::{Attribute, Diversity};
    use std::f64::consts::LN_2;

    const N: u64 = 512;

    fn information(diversity: Option<Diversity>) -> Information {
        let attribute = |name: &str, bits: f64| Attribute { name: name.into(), bits };
        let attributes = vec![attribute("city", 7.0), attribute("year", 5.0)];
        Information { people: N, name_bits: 20.0, attributes, diversity }
    }

    /// A model that gives every name, value and first chunk so many bits of surprise, in one rendering or more.
    fn losses(name: f64, values: [f64; 2], first_chunk: f64, renderings: usize) -> Losses {
        let n = N as f64 * LN_2;
        let rendering = RenderingLosses {
            names: n * name,
            values: values.map(|bits| n * bits).to_vec(),
            first_chunks: 2.0 * n * first_chunk,
        };
        let renderings = vec![rendering; renderings];
        Losses { people: N, renderings, fully_known: 0, variance_between_people: 1.0 }
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{found} is not {expected}");
    }

    #[test]
    fn a_model_that_guesses_uniformly_has_stored_nothing() {
        let capacity = capacity(&information(None), &losses(20.0, [7.0, 5.0], 0.0, 1), 1000);
        close(capacity.bits, 0.0);
        close(capacity.max_bits, 512.0 * (20.0 - 9.0 + 12.0));
    }

    #[test]
    fn a_perfect_model_has_stored_all_there_is() {
        let perfect = capacity(&information(None), &losses(9.0, [0.0, 0.0], 0.0, 3), 1000);
        close(perfect.bits, perfect.max_bits);
        close(perfect.bits_per_param, perfect.max_bits_per_param);
        close(perfect.bits_per_param, 512.0 * 23.0 / 1000.0);
    }

    #[test]
    fn a_model_that_knows_half_of_each_value_has_stored_half_of_the_values() {
        let half = capacity(&information(None), &losses(20.0, [3.5, 2.5], 0.0, 2), 1000);
        close(half.name_bits, 0.0);
        close(half.value_bits, 512.0 * 6.0);
        close(half.attributes[0].bits, 3.5);
        close(half.measurement_error, 0.0);
    }

    #[test]
    fn the_diversity_term_costs_a_model_that_does_not_know_the_sets() {
        let sets = Diversity { attributes: 2, chunks: 1, distinct: 32, length: 1, alphabet: 32 };
        let blind = capacity(&information(Some(sets)), &losses(9.0, [0.0, 0.0], 5.0, 1), 1000);
        close(blind.diversity_bits, -(2.0 * 32.0 * 5.0));
        let wide = Diversity { alphabet: 64, ..sets };
        let sees = capacity(&information(Some(wide)), &losses(9.0, [0.0, 0.0], 0.0, 1), 1000);
        close(sees.diversity_bits, 2.0 * 32.0);
        close(sees.bits, sees.max_bits);
    }

    #[test]
    fn the_choice_of_renderings_and_of_people_adds_to_the_measurement_error() {
        let mut two = losses(9.0, [0.0, 0.0], 0.0, 2);
        two.renderings[1].values[0] += N as f64 * LN_2;
        let all = capacity(&information(None), &two, 1000);
        close(all.measurement_error, 512.0 * 0.5 / 1000.0);
        let sample = Losses { people: N / 2, ..losses(9.0, [0.0, 0.0], 0.0, 1) };
        assert!(capacity(&information(None), &sample, 1000).measurement_error > 0.0);
    }

    #[test]
    fn a_perfect_model_among_junk_is_perfect_once_the_source_is_given() {
        let one_in_eight = capacity(&information(None), &losses(9.0 + 3.0, [0.0, 0.0], 0.0, 1), 1000);
        let given = given_source(&one_in_eight, &information(None), 3.0).unwrap();
        close(one_in_eight.max_bits - one_in_eight.bits, 512.0 * 3.0);
        close(given.bits, one_in_eight.max_bits);
        close(given.bits_per_param, one_in_eight.max_bits_per_param);
        close(given.name_bits + one_in_eight.value_bits, given.bits);
        assert_eq!(given_source(&one_in_eight, &information(None), 0.0), None);
    }

    #[test]
    fn a_sample_is_spread_over_everybody() {
        let sample = People::Sample(super::super::record::Sample { count: 4 });
        assert_eq!(chosen(10, sample), [0, 2, 5, 7]);
        assert_eq!(chosen(3, sample), [0, 1, 2]);
    }
}
