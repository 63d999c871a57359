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
