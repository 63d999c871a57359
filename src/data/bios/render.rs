//! Facts to tokens: six sentences laid end to end from pieces, with the place of each fact noted on the way.

use super::person::{People, Person};
use super::pieces::{Pieces, Pronoun, Sentence};
use super::{BioSConfig, Names, Rendering, SentenceOrder, Sentences, pieces};
use crate::data::opening::Opening;
use crate::data::questions::Form;
use crate::data::random::Streams;
use crate::data::stream::{ExposureOrder, PackedIndex};
use crate::data::tokenizer::Tokenizer;
use crate::data::{Batch, Document, Fact, Span, Texts};
use crate::error::Result;

/// Sentences by number: 0 birth date, 1 birth city, 2 university, 3 major and these two.
pub(super) const EMPLOYER: usize = 4;
/// Its value follows from the employer and is not counted.
pub(super) const WORKING_CITY: usize = 5;
/// The attributes that can be asked for: all that count but the gender, which no sentence is about.
pub(in crate::data) const ASKABLE: usize = 5;
/// The fact that comes after those of the first five sentences.
const GENDER: usize = 5;

/// Biographies, opened.
#[derive(Debug)]
pub(in crate::data) struct BioS {
    pieces: Pieces,
    people: People,
    n_people: u64,
    first_person: u64,
    marker: Option<u32>,
    rendering: Rendering,
    seq_len: usize,
    order: ExposureOrder,
    index: PackedIndex,
    wording: Wording,
}

/// Where the choices of templates and order come from.
#[derive(Debug)]
struct Wording {
    training: Streams,
    measurement: Streams,
    single: Streams,
}

/// One biography before it is written out.
struct Draft {
    person: Person,
    /// Sentence numbers in the order of the text.
    order: [usize; 6],
    /// The template of each sentence, by sentence number.
    templates: [usize; 6],
}

impl BioS {
    pub fn new(config: &BioSConfig, opening: &Opening) -> Result<Self> {
        let &Opening { seed, exposures, first_person, seq_len, .. } = opening;
        let pools = config.pools.load()?;
        let name_space = pools.name_space()?;
        if config.people > name_space {
            return Err(pieces::too_few_names(config.people, name_space));
        }
        let pieces = Pieces::new(&pools, &config.tokenizer)?;
        Ok(BioS {
            marker: opening.marker_token(pieces.tokenizer.vocab_size()),
            pieces,
            people: People::new(seed, name_space),
            n_people: config.people,
            first_person,
            rendering: config.rendering,
            seq_len,
            order: ExposureOrder::new(seed, config.people, exposures)?,
            index: PackedIndex::new(),
            wording: Wording {
                training: Streams::new(seed, "bio-s wording"),
                measurement: Streams::new(seed, "bio-s measurement"),
                single: Streams::new(seed, "bio-s single wording"),
            },
        })
    }

    /// Those who are trained on.
    pub fn n_people(&self) -> u64 {
        self.n_people
    }

    /// People that the names are enough for, those of other parts of a mixture left out.
    pub fn n_names(&self) -> u64 {
        self.people.n_names() - self.first_person
    }

    /// End-of-text, name and the words before the value, and the value, of one of the first [`ASKABLE`] attributes.
    pub fn question(&self, person: u64, attribute: usize, form: Form) -> (Vec<u32>, Vec<u32>) {
        assert!(attribute < ASKABLE, "attribute {attribute} cannot be asked for");
        let pieces = &self.pieces;
        let person = self.people.get(self.first_person + person, pieces);
        let silent = |sentence: &&Sentence| !matches!(sentence.pronoun, Pronoun::Before(_));
        let sentences = &pieces.sentences[attribute];
        let sentence = sentences.iter().find(silent).unwrap_or(&sentences[0]);
        let mut opening = vec![pieces.tokenizer.end_of_text()];
        opening.extend(self.marker);
        let prompt = form.prompt(&opening, &person.name(pieces).concat(), &sentence.before[person.gender]);
        (prompt, person.value(attribute, pieces).concat())
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.pieces.tokenizer
    }

    /// Mean tokens of a name and of the value of each sentence.
    pub fn mean_tokens(&self) -> [(&'static str, f64); 7] {
        let [date, birth_city, university, major, employer, working_city] = self.pieces.mean_values();
        [
            ("name", self.pieces.mean_name()),
            ("birth date", date),
            ("birth city", birth_city),
            ("university", university),
            ("major", major),
            ("employer", employer),
            ("working city", working_city),
        ]
    }

    pub fn rows(&self, first: u64, count: usize) -> Batch {
        let n = count * self.seq_len;
        let (mut document, skip) = self
            .index
            .locate(first * self.seq_len as u64, |document| self.training_draft(document).len(self));
        let skip = skip as usize;
        let mut written =
            Document { tokens: Vec::with_capacity(skip + n + 128), spans: Vec::with_capacity(7) };
        while written.tokens.len() < skip + n + 1 {
            written.spans.clear();
            self.training_draft(document).write(self, &mut written);
            document += 1;
        }
        Batch::from_run(&written.tokens[skip..skip + n + 1], count, self.seq_len)
    }

    pub fn document(&self, person: u64, exposure: u64) -> Document {
        self.finished(self.draft(person, &self.wording.training, exposure))
    }

    pub fn measurement_document(&self, person: u64, rendering: u64, texts: Texts) -> Document {
        let mut draft = self.draft(person, &self.wording.measurement, rendering);
        if texts == Texts::Unprompted {
            draft.put_employer_first();
        }
        self.finished(draft)
    }

    fn finished(&self, draft: Draft) -> Document {
        let mut document = Document::default();
        draft.write(self, &mut document);
        document
    }

    fn training_draft(&self, document: u64) -> Draft {
        let (person, exposure) = self.order.pair(document);
        self.draft(person, &self.wording.training, exposure)
    }

    fn draft(&self, person: u64, wording: &Streams, turn: u64) -> Draft {
        let person = self.first_person + person;
        let mut draws = wording.at_turn(person, turn);
        let mut order = [0, 1, 2, 3, EMPLOYER, WORKING_CITY];
        match self.rendering.order {
            SentenceOrder::Permuted => draws.shuffle(&mut order),
            SentenceOrder::Fixed => {}
        }
        let mut wording = match self.rendering.sentences {
            Sentences::Multi => draws,
            Sentences::Single => self.wording.single.at(person),
        };
        let templates =
            self.pieces.sentences.each_ref().map(|choices| wording.below(choices.len() as u64) as usize);
        Draft { person: self.people.get(person, &self.pieces), order, templates }
    }
}

impl Draft {
    /// Puts the employer before the city that tells it, which leaves the order uniform among those that do
    /// so.
    fn put_employer_first(&mut self) {
        let place = |sentence| self.order.iter().position(|&other| other == sentence);
        if let (Some(employer), Some(city)) = (place(EMPLOYER), place(WORKING_CITY))
            && city < employer
        {
            self.order.swap(employer, city);
        }
    }

    fn sentence<'a>(&self, number: usize, pieces: &'a Pieces) -> &'a Sentence {
        &pieces.sentences[number][self.templates[number]]
    }

    /// The number of tokens that [`Draft::write`] would write.
    fn len(&self, bios: &BioS) -> u64 {
        let (pieces, gender) = (&bios.pieces, self.person.gender);
        let size = |parts: [&[u32]; 3]| parts.iter().map(|part| part.len()).sum::<usize>();
        let subjects = match bios.rendering.names {
            Names::FirstSentence => size(self.person.name(pieces)) + 5 * pieces.pronouns.get(gender).len(),
            Names::EverySentence => 6 * size(self.person.name(pieces)),
        };
        let sentences = (0..6).map(|number| {
            let sentence = self.sentence(number, pieces);
            sentence.before[gender].len()
                + size(self.person.value(number, pieces))
                + sentence.after[gender].len()
        });
        (1 + bios.marker.iter().len() + subjects + sentences.sum::<usize>()) as u64
    }

    /// Appends the tokens, and the spans of what counts.
    fn write(&self, bios: &BioS, out: &mut Document) {
        let start = out.tokens.len();
        out.tokens.push(bios.pieces.tokenizer.end_of_text());
        out.tokens.extend(bios.marker);
        for (place, &number) in self.order.iter().enumerate() {
            self.write_subject(bios, place, out);
            self.write_predicate(bios, number, out);
        }
        for span in &mut out.spans {
            *span = Span::whole(span.fact, span.range.start - start..span.range.end - start);
        }
    }

    fn write_subject(&self, bios: &BioS, place: usize, out: &mut Document) {
        let start = out.tokens.len();
        if place == 0 || bios.rendering.names == Names::EverySentence {
            out.extend(self.person.name(&bios.pieces));
        } else {
            out.tokens.extend_from_slice(bios.pieces.pronouns.get(self.person.gender));
        }
        let range = start..out.tokens.len();
        match (place, bios.rendering.names) {
            (0, _) => out.spans.push(Span::whole(Fact::Name, range)),
            (_, Names::FirstSentence) => out.note_gender(range),
            (_, Names::EverySentence) => {}
        }
    }

    fn write_predicate(&self, bios: &BioS, number: usize, out: &mut Document) {
        let sentence = self.sentence(number, &bios.pieces);
        let gender = self.person.gender;
        let before = out.tokens.len();
        out.tokens.extend_from_slice(&sentence.before[gender]);
        let value = out.tokens.len();
        out.extend(self.person.value(number, &bios.pieces));
        let after = out.tokens.len();
        out.tokens.extend_from_slice(&sentence.after[gender]);
        let counts_gender = bios.rendering.names == Names::FirstSentence;
        let shifted = |range: &std::ops::Range<usize>, by: usize| range.start + by..range.end + by;
        if let (true, Pronoun::Before(ranges)) = (counts_gender, &sentence.pronoun) {
            out.note_gender(shifted(&ranges[gender], before));
        }
        if number != WORKING_CITY {
            out.spans.push(Span::whole(Fact::Value(number), value..after));
        }
        if let (true, Pronoun::After(ranges)) = (counts_gender, &sentence.pronoun) {
            out.note_gender(shifted(&ranges[gender], after));
        }
    }
}

impl Document {
    fn extend(&mut self, parts: [&[u32]; 3]) {
        parts.into_iter().for_each(|part| self.tokens.extend_from_slice(part));
    }

    /// The gender counts where it is printed first.
    fn note_gender(&mut self, range: std::ops::Range<usize>) {
        if self.spans.iter().all(|span| span.fact != Fact::Value(GENDER)) {
            self.spans.push(Span::whole(Fact::Value(GENDER), range));
        }
    }
}
