//! Measured documents, laid in sequences: each by itself, or end to end as training lays them.
//!
//! Where training cuts its sequences from a stream of documents, hardly any document begins one, and a model that is read
//! there shows less than it knows. So a packed sequence begins with another person's document, which is not scored and
//! whose beginning is left out where it does not fit, and goes on with documents that are. Nobody stands in a sequence
//! twice, and everybody is scored once.

use super::record::{MeasureConfig, MeasureContext};
use crate::data::{Dataset, Document, Span, Texts};

/// Tokens that are read at once, and the facts in them that are scored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sequence {
    /// Token ids, the first of them end-of-text unless the first document was cut.
    pub tokens: Vec<u32>,
    /// Of each scored document: the place of its person among those who are measured, and its facts by their place in
    /// the sequence.
    pub scored: Vec<(usize, Vec<Span>)>,
}

/// All sequences of one rendering.
#[derive(Debug)]
pub struct Sequences<'a> {
    data: &'a Dataset,
    people: &'a [u64],
    rendering: u64,
    texts: Texts,
    /// How many have been written.
    written: usize,
    /// The last of them, if it is not laid yet.
    ahead: Option<Document>,
    /// What stands before the next document; nothing where each stands alone.
    before: Option<Before>,
}

/// Another person's document, and the tokens of a sequence that it begins.
#[derive(Debug)]
struct Before {
    person: u64,
    tokens: Vec<u32>,
    room: usize,
}

/// The context in which `data` is read if `wanted` is: where each person has a row, or there is one person, nothing but
/// end-of-text ever stands before a document.
pub fn context_of(data: &Dataset, wanted: MeasureContext) -> MeasureContext {
    let several = data.information().is_some_and(|information| information.people > 1);
    match data.packed_row() {
        Some(_) if several => wanted,
        Some(_) | None => MeasureContext::Alone,
    }
}

/// Tokens that are read for each scored document, where so many are in a row and documents have this mean length.
pub fn tokens_per_document(row: usize, length: f64) -> f64 {
    let room = (row + 1) as f64;
    let scored = ((room - length / 2.0) / length).floor().max(1.0);
    room.min((scored + 1.0) * length) / scored
}

impl<'a> Sequences<'a> {
    /// Of these people of `data`, in their order.
    pub fn new(data: &'a Dataset, people: &'a [u64], rendering: u64, config: &MeasureConfig) -> Self {
        let mut sequences =
            Sequences { data, people, rendering, texts: config.texts, written: 0, ahead: None, before: None };
        if let (MeasureContext::Packed, Some(row)) = (context_of(data, config.context), data.packed_row()) {
            // One who is measured alone has a neighbour who is not.
            let everybody = data.information().map_or(1, |information| information.people);
            let person = match people {
                [.., last] if people.len() > 1 => *last,
                people => people.first().map_or(0, |person| (person + 1) % everybody),
            };
            let tokens = sequences.write(person).tokens;
            sequences.before = Some(Before { person, tokens, room: row + 1 });
        }
        sequences
    }

    fn write(&self, person: u64) -> Document {
        self.data.measurement_document(person, self.rendering, self.texts)
    }

    /// The next document, if there is one that fits; else it stays the next.
    fn next_if(&mut self, fits: impl Fn(u64, &Document) -> bool) -> Option<Document> {
        if self.ahead.is_none() {
            self.ahead = self.people.get(self.written).map(|&person| self.write(person));
            self.written += usize::from(self.ahead.is_some());
        }
        let document = self.ahead.take()?;
        if fits(self.people[self.written - 1], &document) {
            return Some(document);
        }
        self.ahead = Some(document);
        None
    }
}

impl Iterator for Sequences<'_> {
    type Item = Sequence;

    fn next(&mut self) -> Option<Sequence> {
        let mut documents = vec![self.next_if(|_, _| true)?];
        let first = self.written - 1;
        let Some(Before { person, mut tokens, room }) = self.before.take() else {
            return Some(Sequence::default().with(first, documents));
        };
        // More than one only where at least half of what stands before them fits, too.
        let half = tokens.len().div_ceil(2);
        let mut left = room.saturating_sub(documents[0].tokens.len());
        while let Some(document) =
            self.next_if(|next, document| next != person && document.tokens.len() + half <= left)
        {
            left -= document.tokens.len();
            documents.push(document);
        }
        let last = documents.len() - 1;
        let (person, end) = (self.people[first + last], documents[last].tokens.clone());
        self.before = Some(Before { person, tokens: end, room });
        tokens.drain(..tokens.len().saturating_sub(left));
        Some(Sequence { tokens, scored: Vec::new() }.with(first, documents))
    }
}

impl Sequence {
    /// The same and, behind it, documents of the people from `first` on.
    fn with(mut self, first: usize, documents: Vec<Document>) -> Self {
        for (index, document) in documents.into_iter().enumerate() {
            let by = self.tokens.len();
            self.tokens.extend(document.tokens);
            self.scored.push((first + index, document.spans.iter().map(|span| span.shifted(by)).collect()));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::data::{
        BioDConfig, BioRConfig, BioSConfig, DataConfig, Fact, Marker, MixtureConfig, SourceConfig,
    };
    use crate::measure::Capacity;
    use crate::measure::capacity::{self, Tally};
    use crate::model::{ModelConfig, variants};
    use crate::training::config::{CosineConfig, Count};
    use crate::training::{Job, Length, NoopObserver, Outcome, ScheduleConfig, TrainingConfig, fit};

    fn bios(people: u64, seq_len: usize) -> DataConfig {
        DataConfig::BioS(BioSConfig { people, seq_len, ..BioSConfig::default() })
    }

    fn biod(people: u64) -> DataConfig {
        DataConfig::BioD(BioDConfig { people, ..BioDConfig::default() })
    }

    fn mixture(seq_len: usize, marker: Marker) -> DataConfig {
        let source = |share, marker, data| SourceConfig { share, marker, data };
        let sources = [
            ("junk".to_string(), source(0.5, Marker::None, biod(500))),
            ("useful".to_string(), source(0.5, marker, biod(23))),
        ];
        let studied = Some("useful".to_string());
        DataConfig::Mixture(MixtureConfig { sources: sources.into(), studied, seq_len })
    }

    fn packed() -> MeasureConfig {
        MeasureConfig { context: MeasureContext::Packed, paraphrases: 2, ..MeasureConfig::default() }
    }

    fn people(data: &Dataset) -> Vec<u64> {
        (0..data.information().unwrap().people).collect()
    }

    /// Each person's facts as tokens.
    fn facts(sequences: Sequences) -> HashMap<usize, Vec<(Fact, Vec<u32>)>> {
        let mut facts = HashMap::new();
        for sequence in sequences {
            for (person, spans) in sequence.scored {
                let of = |span: &Span| (span.fact, sequence.tokens[span.range.clone()].to_vec());
                let before = facts.insert(person, spans.iter().map(of).collect());
                assert!(before.is_none(), "person {person} is scored twice");
            }
        }
        facts
    }

    fn packing() -> [Dataset; 6] {
        let bior = DataConfig::BioR(BioRConfig::default());
        let configs = [
            bios(31, 512),
            bios(31, 192),
            bios(31, 128),
            bior,
            mixture(64, Marker::None),
            mixture(64, Marker::Token),
        ];
        configs.map(|config| config.open(3, 4).unwrap())
    }

    #[test]
    fn everybody_is_scored_once_on_the_same_tokens_as_alone() {
        for data in packing() {
            let people = people(&data);
            for rendering in 0..2 {
                let packed = facts(Sequences::new(&data, &people, rendering, &packed()));
                assert_eq!(packed.len(), people.len());
                assert_eq!(
                    packed,
                    facts(Sequences::new(&data, &people, rendering, &MeasureConfig::default()))
                );
            }
        }
    }

    #[test]
    fn a_scored_document_stands_behind_another_persons_and_its_name_nowhere_before_it() {
        for data in packing() {
            let (people, row) = (people(&data), data.packed_row().unwrap());
            for sequence in Sequences::new(&data, &people, 0, &packed()) {
                assert!(sequence.tokens.len() <= row + 1, "{} tokens in {row}", sequence.tokens.len());
                for (person, spans) in &sequence.scored {
                    let name = spans.iter().find(|span| span.fact == Fact::Name).unwrap().range.clone();
                    let before = &sequence.tokens[..name.start];
                    let own = data.measurement_document(people[*person], 0, Texts::default()).tokens;
                    let begins = name.start
                        - own
                            .windows(name.len())
                            .position(|it| *it == sequence.tokens[name.clone()])
                            .unwrap();
                    assert!(begins > 0, "person {person} begins a sequence");
                    let name = &sequence.tokens[name];
                    assert!(
                        before.windows(name.len()).all(|words| words != name),
                        "person {person} is named before"
                    );
                }
            }
        }
    }

    #[test]
    fn sequences_are_filled_and_hold_half_of_what_stands_first_where_two_are_scored() {
        let data = bios(40, 512).open(3, 4).unwrap();
        let people = people(&data);
        let sequences: Vec<Sequence> = Sequences::new(&data, &people, 0, &packed()).collect();
        let scored: Vec<usize> = sequences.iter().map(|sequence| sequence.scored.len()).collect();
        assert!(scored[..scored.len() - 1].iter().all(|n| (5..=7).contains(n)), "{scored:?}");
        assert_eq!(sequences[0].tokens[0], data.end_of_text(), "there is room for a whole document");
        let short = bios(40, 128).open(3, 4).unwrap();
        let all = Sequences::new(&short, &people, 0, &packed());
        assert!(all.into_iter().all(|sequence| sequence.scored.len() == 1 && sequence.tokens.len() > 100));
        let tokens: usize = sequences.iter().map(|sequence| sequence.tokens.len()).sum();
        let expected = tokens_per_document(512, 73.3) * 40.0;
        assert!((tokens as f64 / expected - 1.0).abs() < 0.1, "{tokens} tokens, expected {expected}");
    }

    #[test]
    fn a_document_as_long_as_the_sequence_stands_behind_the_last_token_of_another() {
        let data = mixture(17, Marker::Token).open(3, 4).unwrap();
        assert_eq!((data.packed_row(), mixture(16, Marker::None).packed_row()), (None, None));
        let data = [data, mixture(18, Marker::Token).open(3, 4).unwrap()];
        let first = |data| Sequences::new(data, &[5, 6], 0, &packed()).next().unwrap();
        assert_eq!([first(&data[0]), first(&data[1])].map(|it| it.tokens.len()), [17, 19]);
        let longest = |config: DataConfig| config.open(3, 4).unwrap();
        let data = longest(bios(31, 128));
        let own = |person| data.measurement_document(person, 0, Texts::default()).tokens;
        let last = Sequences::new(&data, &[5, 6], 0, &packed()).next().unwrap();
        assert!(own(6).ends_with(&last.tokens[..last.tokens.len() - own(5).len()]));
    }

    #[test]
    fn two_people_never_stand_before_themselves_and_one_has_a_neighbour_who_is_not_measured() {
        let data = bios(31, 512).open(3, 4).unwrap();
        let scored = |people: &[u64]| -> Vec<usize> {
            Sequences::new(&data, people, 0, &packed()).map(|sequence| sequence.scored.len()).collect()
        };
        assert_eq!((scored(&[4, 9]), scored(&[4]), scored(&[])), (vec![1, 1], vec![1], vec![]));
        let alone = bios(1, 512).open(3, 4).unwrap();
        assert_eq!(context_of(&alone, MeasureContext::Packed), MeasureContext::Alone);
        assert_eq!(Sequences::new(&alone, &[0], 0, &packed()).count(), 1);
    }

    #[test]
    fn where_each_person_has_a_row_nothing_changes() {
        let data = biod(9).open(3, 4).unwrap();
        let all =
            |config: &MeasureConfig| Sequences::new(&data, &people(&data), 1, config).collect::<Vec<_>>();
        assert_eq!(all(&packed()), all(&MeasureConfig::default()));
        assert_eq!(context_of(&data, MeasureContext::Packed), MeasureContext::Alone);
    }

    /// What is counted of a model whose loss of a fact is this share of all that could be known of it.
    fn counted(data: &Dataset, unknown: f64) -> Capacity {
        let (information, people) = (data.information().unwrap(), people(data));
        let mut tally = Tally::new(people.len());
        for rendering in 0..2 {
            tally.begin(information.attributes.len());
            for sequence in Sequences::new(data, &people, rendering, &packed()) {
                let mut losses = vec![f32::NAN; sequence.tokens.len() - 1];
                for span in sequence.scored.iter().flat_map(|(_, spans)| spans) {
                    let bits = match span.fact {
                        Fact::Name => {
                            let guess = (information.people as f64).log2();
                            guess + unknown * (information.name_bits - guess)
                        }
                        Fact::Value(k) => unknown * information.attributes[k].bits,
                    };
                    let nats = bits * std::f64::consts::LN_2 / span.range.len() as f64;
                    losses[span.range.start - 1..span.range.end - 1].fill(nats as f32);
                }
                sequence.scored.iter().for_each(|(person, spans)| tally.add(*person, spans, &losses));
            }
        }
        capacity::capacity(information, &tally.finish(), 1000)
    }

    #[test]
    fn a_uniform_a_perfect_and_a_half_knowing_model_are_counted_as_such_where_documents_are_packed() {
        for data in packing().iter().take(4) {
            for (unknown, share) in [(1.0, 0.0), (0.5, 0.5), (0.0, 1.0)] {
                let capacity = counted(data, unknown);
                let (bits, most) = (capacity.bits, capacity.max_bits);
                assert!((bits - share * most).abs() < 1e-4 * most, "{bits} of {most}, expected {share}");
                assert!(bits <= most * (1.0 + 1e-6) && (capacity.fully_known == 1.0) == (share == 1.0));
            }
        }
    }

    fn read(data: &DataConfig, exposures: u64, seed: u64) -> [Capacity; 2] {
        let device = crate::device::open("cpu").unwrap();
        let training = TrainingConfig {
            length: Length::Exposures(Count { count: exposures }),
            batch: 4,
            peak_lr: 8e-3,
            schedule: ScheduleConfig::Cosine(CosineConfig { warmup_steps: 20, ..CosineConfig::default() }),
            ..TrainingConfig::default()
        };
        let model = ModelConfig { d_model: 16, n_layers: 1, n_heads: 2, ..variants::base() };
        let job = Job { model: &model, data, training: &training, seed };
        let folder = tempfile::tempdir().unwrap();
        let Outcome::Finished(trained) = fit(&job, &device, folder.path(), &mut NoopObserver).unwrap() else {
            panic!("nobody stops it")
        };
        [MeasureConfig { paraphrases: 2, ..MeasureConfig::default() }, packed()].map(|config| {
            capacity::measure(&trained.model, &trained.data, &config, 1000, &device).unwrap().unwrap()
        })
    }

    #[test]
    fn a_trained_model_shows_more_where_training_showed_it_and_the_same_where_each_person_has_a_row() {
        let bits = |capacity: &Capacity| capacity.bits / capacity.people as f64;
        let [alone, packed] = read(&bios(40, 128), 60, 1);
        assert!(bits(&packed) > bits(&alone) + 0.1, "{} alone, {} packed", bits(&alone), bits(&packed));
        assert!(packed.bits <= packed.max_bits);
        assert_eq!([alone.context, packed.context], [MeasureContext::Alone, MeasureContext::Packed]);
        let [alone, packed] = read(&biod(40), 20, 1);
        assert_eq!(alone, packed);
    }
}
