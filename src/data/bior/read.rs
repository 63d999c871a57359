//! The file of people and texts, checked line by line.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::find::{composed, find_all};
use crate::data::Fact;
use crate::data::list::or_problems;
use crate::error::{Error, Place, Problem, Result};

/// Problems that are worth reading at once.
const MAX_PROBLEMS: usize = 20;

/// What a line says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    person: String,
    name: String,
    attributes: BTreeMap<String, String>,
    texts: Vec<String>,
}

impl Line {
    /// Without space around values, which no text could be cut at.
    fn trimmed(mut self) -> Self {
        self.name = self.name.trim().to_string();
        self.attributes.values_mut().for_each(|value| *value = value.trim().to_string());
        self
    }

    /// What is stated with no word at all.
    fn empty(&self) -> Option<&str> {
        let attributes = self.attributes.iter().map(|(attribute, value)| (attribute.as_str(), value));
        let all = std::iter::once(("name", &self.name)).chain(attributes);
        all.into_iter().find(|(_, value)| value.is_empty()).map(|(attribute, _)| attribute)
    }
}

/// An attribute of a person that some texts do not state in the words of its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The person, as the file calls them.
    pub person: String,
    /// The attribute, or `name`.
    pub attribute: String,
    /// Texts without it.
    pub texts: u64,
    /// Texts of the person.
    pub of: u64,
}

/// All people of a file.
#[derive(Debug)]
pub(super) struct Prose {
    pub people: Vec<Person>,
    /// How many values of each attribute occur.
    pub attributes: BTreeMap<String, u64>,
    pub missing: Vec<Missing>,
}

/// The texts about one person.
#[derive(Debug)]
pub(super) struct Person {
    pub training: Vec<Told>,
    pub measured: Told,
}

/// A text, with a space before it, and where its facts stand.
#[derive(Debug, Clone)]
pub(super) struct Told {
    text: String,
    /// In the order of the text.
    facts: Vec<(Fact, Range<usize>)>,
}

impl Told {
    /// Finds the name and the values of `line` in one of its texts.
    fn new(line: &Line, text: &str) -> Self {
        let text = format!(" {}", text.trim());
        let values: Vec<&str> =
            std::iter::once(&line.name).chain(line.attributes.values()).map(|value| value.as_str()).collect();
        let fact = |place: usize| place.checked_sub(1).map_or(Fact::Name, Fact::Value);
        let found = find_all(&text, &values).into_iter().enumerate();
        let mut facts: Vec<_> = found.filter_map(|(place, range)| Some((fact(place), range?))).collect();
        facts.sort_by_key(|(_, range)| range.start);
        Told { text, facts }
    }

    fn states(&self, fact: Fact) -> bool {
        self.facts.iter().any(|(stated, _)| *stated == fact)
    }

    /// Whether it states the name, and then everything.
    fn is_complete(&self, attributes: usize) -> bool {
        self.facts.len() == attributes + 1 && self.facts[0].0 == Fact::Name
    }

    /// The text cut at its facts, each piece with the space before it.
    pub fn pieces(&self) -> Vec<(&str, Option<Fact>)> {
        let mut pieces = Vec::with_capacity(2 * self.facts.len() + 1);
        let mut done = 0;
        for (fact, range) in &self.facts {
            let space = usize::from(self.text[..range.start].ends_with(' '));
            pieces.push((&self.text[done..range.start - space], None));
            pieces.push((&self.text[range.start - space..range.end], Some(*fact)));
            done = range.end;
        }
        pieces.push((&self.text[done..], None));
        pieces.retain(|(piece, _)| !piece.is_empty());
        pieces
    }
}

impl Prose {
    /// Reads the text of a file; `file` is the name to print.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let mut reading = Reading { file, problems: Vec::new(), missing: Vec::new() };
        let mut people = Vec::new();
        let mut seen = HashSet::new();
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (number, json) in text
            .trim_start_matches('\u{feff}')
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            let line = match serde_json::from_str::<Line>(json) {
                Ok(line) => line.trimmed(),
                Err(error) => {
                    reading.malformed(number, json, &error);
                    continue;
                }
            };
            if !seen.insert(line.person.clone()) {
                reading.problem(number, json, format!("person {:?} stands in the file already", line.person));
            }
            if !seen.insert(format!("name {}", composed(&line.name))) {
                reading.problem(number, json, format!("the name {:?} stands in the file already", line.name));
            }
            if !people.is_empty() && !line.attributes.keys().eq(values.keys()) {
                let known: Vec<&str> = values.keys().map(String::as_str).collect();
                reading.problem(number, json, format!("attributes other than {}", known.join(", ")));
                continue;
            }
            if let Some(attribute) = line.empty() {
                reading.problem(number, json, format!("{attribute} of {:?} is empty", line.person));
                continue;
            }
            people.extend(reading.person(number, json, &line));
            for (attribute, value) in line.attributes {
                values.entry(attribute).or_default().insert(composed(&value));
            }
        }
        reading.finish(people, values)
    }
}

/// What was found wrong and what was not found so far.
struct Reading<'a> {
    file: &'a str,
    problems: Vec<Problem>,
    missing: Vec<Missing>,
}

impl Reading<'_> {
    fn problem(&mut self, number: usize, json: &str, found: String) {
        self.problems.push(Problem::new(found).at(self.place(number, 1, json.chars().take(60).collect())));
    }

    /// A line that is not the JSON that it must be, marked where reading stopped.
    fn malformed(&mut self, number: usize, json: &str, error: &serde_json::Error) {
        let told = error.to_string();
        let told = told.rsplit_once(" at line ").map_or(told.as_str(), |(what, _)| what);
        let read = json.get(..error.column()).unwrap_or(json).chars().count();
        let text = json.chars().take(read + 40).collect();
        self.problems.push(Problem::new(told).at(self.place(number, read.max(1), text)));
    }

    fn place(&self, number: usize, column: usize, text: String) -> Place {
        Place { file: self.file.to_string(), line: number + 1, column, width: 1, text }
    }

    /// The texts about one person, if they can be learned from and measured on.
    fn person(&mut self, number: usize, json: &str, line: &Line) -> Option<Person> {
        let told: Vec<Told> = line.texts.iter().map(|text| Told::new(line, text)).collect();
        let names = std::iter::once("name").chain(line.attributes.keys().map(String::as_str));
        let facts = std::iter::once(Fact::Name).chain((0..line.attributes.len()).map(Fact::Value));
        let mut refused = false;
        for (attribute, fact) in names.zip(facts) {
            let without = told.iter().filter(|told| !told.states(fact)).count();
            if without == told.len() {
                let value = match fact {
                    Fact::Name => &line.name,
                    Fact::Value(_) => &line.attributes[attribute],
                };
                let found = format!("no text of {:?} states {attribute} {value:?}", line.person);
                self.problem(number, json, found);
                refused = true;
            } else if without > 0 {
                let (person, attribute) = (line.person.clone(), attribute.to_string());
                let (texts, of) = (without as u64, told.len() as u64);
                self.missing.push(Missing { person, attribute, texts, of });
            }
        }
        if refused {
            return None;
        }
        let Some(place) = told.iter().rposition(|told| told.is_complete(line.attributes.len())) else {
            let found = format!("no text of {:?} states the name and then every attribute", line.person);
            self.problem(number, json, found);
            return None;
        };
        let mut training = told;
        let measured = training[place].clone();
        if training.len() > 1 {
            training.remove(place);
        }
        let unlearned = (0..line.attributes.len())
            .find(|&attribute| training.iter().all(|told| !told.states(Fact::Value(attribute))));
        if let Some(attribute) = unlearned.and_then(|attribute| line.attributes.keys().nth(attribute)) {
            let found = format!("only the text of {:?} that is measured states {attribute}", line.person);
            self.problem(number, json, found);
            return None;
        }
        Some(Person { training, measured })
    }

    fn finish(mut self, people: Vec<Person>, values: BTreeMap<String, BTreeSet<String>>) -> Result<Prose> {
        if people.is_empty() && self.problems.is_empty() {
            let problem = Problem::new(format!("{} is empty", self.file));
            return Err(Error::data(problem.expected("one JSON object a line")));
        }
        let more = self.problems.len().saturating_sub(MAX_PROBLEMS);
        self.problems.truncate(MAX_PROBLEMS);
        if more > 0 {
            self.problems.push(Problem::new(format!("and {more} more")));
        }
        let attributes = values.into_iter().map(|(name, values)| (name, values.len() as u64)).collect();
        or_problems(Prose { people, attributes, missing: self.missing }, self.problems)
    }
}
