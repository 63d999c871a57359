//! Chronicles of invented villagers: facts, lists and songs that come back long after they were stated.
//!
//! A document opens with its cast: each person has a trade, a town, a thing and its colour, a pack of four goods; the
//! village has a song of eight words. Then events follow in any order: some are new each time (who met whom, where, in
//! what weather), some repeat what was stated anywhere before (the trade, the town, the colour, the pack, the song), and
//! some change it (a move to another town, a new pack), so that the last statement counts. Words say what they say in
//! every document; who has what is drawn afresh, so that only the context tells.

use serde::{Deserialize, Serialize};

use crate::data::check_range;
use crate::data::random::Draws;
use crate::error::Result;

/// Chronicles of invented villagers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChronicleConfig {
    /// People in a document, 2 to 32: how much there is to remember.
    pub cast: u64,
}

impl Default for ChronicleConfig {
    fn default() -> Self {
        ChronicleConfig { cast: 4 }
    }
}

impl ChronicleConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_range("language.cast", self.cast, 2..=NAMES.len() as u64)
    }
}

const NAMES: [&str; 32] = [
    "Alda", "Bero", "Cilia", "Doran", "Elke", "Fenn", "Gisla", "Harro", "Imke", "Joris", "Kaia", "Lorin",
    "Maren", "Nils", "Oda", "Piet", "Quina", "Ruven", "Silka", "Tarek", "Ulla", "Veit", "Wanda", "Xaver",
    "Ylva", "Zeno", "Arvid", "Brida", "Corvin", "Dagny", "Egon", "Frida",
];
const TOWNS: [&str; 16] = [
    "Althafen",
    "Birkenau",
    "Clarfeld",
    "Dornbach",
    "Erlensee",
    "Felsing",
    "Grauburg",
    "Hohenmoor",
    "Ilmenau",
    "Karlsruh",
    "Lindow",
    "Marbach",
    "Norden",
    "Ostheim",
    "Pfalzau",
    "Rosenthal",
];
const TRADES: [&str; 16] = [
    "baker",
    "carpenter",
    "dyer",
    "fisher",
    "glazier",
    "hunter",
    "joiner",
    "mason",
    "miller",
    "potter",
    "roofer",
    "saddler",
    "smith",
    "tailor",
    "weaver",
    "wheelwright",
];
const COLOURS: [&str; 8] = ["black", "blue", "brown", "green", "grey", "red", "white", "yellow"];
const THINGS: [&str; 16] = [
    "anvil", "basket", "boat", "cart", "clock", "cloak", "drum", "flute", "kettle", "ladder", "lantern",
    "mirror", "plough", "saddle", "sledge", "wheel",
];
const GOODS: [&str; 24] = [
    "apples", "barley", "butter", "candles", "cheese", "cloth", "coal", "corn", "eggs", "flour", "herbs",
    "honey", "iron", "leather", "milk", "nails", "oil", "onions", "paper", "rope", "salt", "soap", "wine",
    "wool",
];
const TONES: [&str; 16] =
    ["la", "lo", "na", "ne", "dum", "da", "ho", "hey", "ri", "ra", "tum", "ti", "fa", "fol", "di", "do"];
const PLACES: [&str; 8] = ["bridge", "chapel", "ford", "gate", "inn", "market", "mill", "well"];
const WEATHERS: [&str; 8] = ["bright", "cold", "dry", "foggy", "hot", "rainy", "still", "windy"];

/// The opening of a document: one sentence a person, and the song.
const CAST: &str = "{name} the {trade} lives in {town} , owns a {colour} {thing} and packs {pack} .";
const SONG: &str = "the song goes {song} .";

/// What happens: the first half is new or changes something, the second repeats what was stated.
const EVENTS: [(Event, &str); 14] = [
    (Event::Nothing, "on a {weather} morning {name} met {other} at the {place} ."),
    (Event::Nothing, "{name} waited for {other} at the {place} all through a {weather} night ."),
    (Event::Nothing, "it was a {weather} day , and {name} walked to the {place} ."),
    (Event::Nothing, "{other} saw {name} at the {place} ."),
    (Event::Move, "{name} moved to {town} ."),
    (Event::Pack, "{name} went to the market and now packs {pack} ."),
    (Event::Nothing, "in the evening {name} went home to {town} ."),
    (Event::Nothing, "{other} asked {name} the {trade} for help ."),
    (Event::Nothing, "{name} lent {other} the {colour} {thing} ."),
    (Event::Nothing, "the {colour} {thing} of {name} was the talk of the {place} ."),
    (Event::Nothing, "{name} opened the pack and showed {pack} ."),
    (Event::Nothing, "{other} wrote a letter to {name} the {trade} in {town} ."),
    (Event::Nothing, "at the {place} they sang {song} ."),
    (Event::Nothing, "{name} hummed {song} ."),
];

/// What an event changes about the one it is about.
#[derive(Debug, Clone, Copy)]
enum Event {
    Nothing,
    Move,
    Pack,
}

/// A hole in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Name,
    Other,
    Trade,
    Town,
    Colour,
    Thing,
    Pack,
    Song,
    Place,
    Weather,
}

#[derive(Debug, Clone, Copy)]
enum Piece {
    Word(u32),
    Slot(Slot),
}

type Sentence = Vec<Piece>;

const SLOTS: [(&str, Slot); 10] = [
    ("{name}", Slot::Name),
    ("{other}", Slot::Other),
    ("{trade}", Slot::Trade),
    ("{town}", Slot::Town),
    ("{colour}", Slot::Colour),
    ("{thing}", Slot::Thing),
    ("{pack}", Slot::Pack),
    ("{song}", Slot::Song),
    ("{place}", Slot::Place),
    ("{weather}", Slot::Weather),
];

/// All pools, one after the other in the numbers of words.
const POOLS: [&[&str]; 9] = [&NAMES, &TOWNS, &TRADES, &COLOURS, &THINGS, &GOODS, &TONES, &PLACES, &WEATHERS];

/// Where each pool begins.
#[derive(Debug, Clone, Copy)]
enum Pool {
    Names,
    Towns,
    Trades,
    Colours,
    Things,
    Goods,
    Tones,
    Places,
    Weathers,
}

impl Pool {
    /// One of its words.
    fn draw(self, draws: &mut Draws) -> u32 {
        self.first() + draws.below(POOLS[self as usize].len() as u64) as u32
    }

    /// `n` of its words, no two alike.
    fn draw_distinct(self, n: usize, draws: &mut Draws) -> Vec<u32> {
        let mut words: Vec<u32> = (0..POOLS[self as usize].len() as u32).map(|i| self.first() + i).collect();
        draws.shuffle(&mut words);
        words.truncate(n);
        words
    }

    fn first(self) -> u32 {
        POOLS[..self as usize].iter().map(|pool| pool.len() as u32).sum()
    }
}

/// The words of all pools, then those of the sentences.
pub(super) fn words() -> Vec<String> {
    let mut words: Vec<String> =
        POOLS.iter().flat_map(|pool| pool.iter()).map(|word| word.to_string()).collect();
    for word in texts().flat_map(str::split_whitespace).chain(["and", ","]) {
        if !word.starts_with('{') && !words.iter().any(|known| known == word) {
            words.push(word.to_string());
        }
    }
    words
}

fn texts() -> impl Iterator<Item = &'static str> {
    [CAST, SONG].into_iter().chain(EVENTS.iter().map(|(_, text)| *text))
}

/// Sentences, ready to be filled.
#[derive(Debug)]
pub(super) struct Chronicle {
    cast: usize,
    opening: Sentence,
    song: Sentence,
    events: Vec<(Event, Sentence)>,
    comma: u32,
    and: u32,
}

/// Who somebody is in one document.
#[derive(Debug)]
struct Person {
    name: u32,
    trade: u32,
    town: u32,
    colour: u32,
    thing: u32,
    pack: Vec<u32>,
}

impl Person {
    fn draw(name: u32, draws: &mut Draws) -> Self {
        Person {
            name,
            trade: Pool::Trades.draw(draws),
            town: Pool::Towns.draw(draws),
            colour: Pool::Colours.draw(draws),
            thing: Pool::Things.draw(draws),
            pack: Pool::Goods.draw_distinct(4, draws),
        }
    }

    fn change(&mut self, event: Event, draws: &mut Draws) {
        match event {
            Event::Nothing => {}
            Event::Move => self.town = Pool::Towns.draw(draws),
            Event::Pack => self.pack = Pool::Goods.draw_distinct(4, draws),
        }
    }
}

impl Chronicle {
    pub fn new(config: &ChronicleConfig) -> Self {
        let words = words();
        let number = |word: &str| {
            let found = words.iter().position(|known| known == word);
            found.expect("every word of a sentence was collected") as u32
        };
        let piece = |word: &str| match SLOTS.iter().find(|(slot, _)| *slot == word) {
            Some((_, slot)) => Piece::Slot(*slot),
            None => Piece::Word(number(word)),
        };
        let sentence = |text: &str| text.split_whitespace().map(piece).collect::<Sentence>();
        Chronicle {
            cast: config.cast as usize,
            opening: sentence(CAST),
            song: sentence(SONG),
            events: EVENTS.iter().map(|(event, text)| (*event, sentence(text))).collect(),
            comma: number(","),
            and: number("and"),
        }
    }

    pub fn write(&self, draws: &mut Draws, length: usize, out: &mut Vec<u32>) {
        let end = out.len() + length;
        let names = Pool::Names.draw_distinct(self.cast, draws);
        let mut cast: Vec<Person> = names.into_iter().map(|name| Person::draw(name, draws)).collect();
        let song: Vec<u32> = (0..8).map(|_| Pool::Tones.draw(draws)).collect();
        for person in &cast {
            self.fill(&self.opening, person, person.name, &song, draws, out);
        }
        self.fill(&self.song, &cast[0], cast[0].name, &song, draws, out);
        while out.len() < end {
            let (event, sentence) = &self.events[draws.below(self.events.len() as u64) as usize];
            let who = draws.below(cast.len() as u64) as usize;
            let other = (who + 1 + draws.below(cast.len() as u64 - 1) as usize) % cast.len();
            cast[who].change(*event, draws);
            self.fill(sentence, &cast[who], cast[other].name, &song, draws, out);
        }
    }

    fn fill(
        &self,
        sentence: &Sentence,
        person: &Person,
        other: u32,
        song: &[u32],
        draws: &mut Draws,
        out: &mut Vec<u32>,
    ) {
        for piece in sentence {
            match piece {
                Piece::Word(word) => out.push(*word),
                Piece::Slot(Slot::Name) => out.push(person.name),
                Piece::Slot(Slot::Other) => out.push(other),
                Piece::Slot(Slot::Trade) => out.push(person.trade),
                Piece::Slot(Slot::Town) => out.push(person.town),
                Piece::Slot(Slot::Colour) => out.push(person.colour),
                Piece::Slot(Slot::Thing) => out.push(person.thing),
                Piece::Slot(Slot::Pack) => self.list(&person.pack, out),
                Piece::Slot(Slot::Song) => out.extend(song),
                Piece::Slot(Slot::Place) => out.push(Pool::Places.draw(draws)),
                Piece::Slot(Slot::Weather) => out.push(Pool::Weathers.draw(draws)),
            }
        }
    }

    /// `a , b , c and d`.
    fn list(&self, goods: &[u32], out: &mut Vec<u32>) {
        for (place, good) in goods.iter().enumerate() {
            match goods.len() - place {
                _ if place == 0 => {}
                1 => out.push(self.and),
                _ => out.push(self.comma),
            }
            out.push(*good);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::Streams;
    use std::collections::{HashMap, HashSet};

    fn document(index: u64, length: usize) -> String {
        let mut out = Vec::new();
        Chronicle::new(&ChronicleConfig::default()).write(
            &mut Streams::new(8, "test").at(index),
            length,
            &mut out,
        );
        let words = words();
        out.iter().map(|word| words[*word as usize].as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn no_word_stands_twice_in_the_vocabulary() {
        let words = words();
        assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
        assert!(words.len() < 256, "{} words", words.len());
    }

    #[test]
    fn what_is_repeated_is_what_was_stated_last() {
        let mut repeats = 0;
        for index in 0..20 {
            let text = document(index, 2000);
            let mut towns = HashMap::new();
            let mut trades = HashMap::new();
            let mut song = None;
            for sentence in text.split(" .") {
                let words: Vec<&str> = sentence.split_whitespace().collect();
                match &words[..] {
                    [name, "the", trade, "lives", "in", town, ..] => {
                        towns.insert(*name, *town);
                        trades.insert(*name, *trade);
                    }
                    [name, "moved", "to", town] => drop(towns.insert(*name, *town)),
                    ["in", "the", "evening", name, "went", "home", "to", town] => {
                        assert_eq!(towns[name], *town, "{sentence}");
                        repeats += 1;
                    }
                    [_, "asked", name, "the", trade, "for", "help"] => assert_eq!(trades[name], *trade),
                    ["the", "song", "goes", tones @ ..] => song = Some(tones.to_vec()),
                    [_, "hummed", tones @ ..] => assert_eq!(song.as_deref(), Some(tones)),
                    _ => {}
                }
            }
        }
        assert!(repeats > 100, "{repeats}");
    }

    #[test]
    fn facts_come_back_from_far_away() {
        let text = document(3, 4000);
        let words: Vec<&str> = text.split(' ').collect();
        let stated = words.windows(3).position(|w| w[1] == "song" && w[2] == "goes").unwrap();
        let hummed = words.iter().rposition(|word| *word == "hummed").unwrap();
        assert!(hummed - stated > 2000, "{}", hummed - stated);
    }
}
