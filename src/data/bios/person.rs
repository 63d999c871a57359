//! Who the people are: every fact of person number `i` from one stream of draws, nothing stored.

use super::pieces::Pieces;
use super::pools::{DAYS, MONTHS};
use crate::data::permutation::Permutation;
use crate::data::random::Streams;

/// The facts of one person, as indices into the pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Person {
    /// First, middle and last.
    pub name: [usize; 3],
    /// Month, day and year.
    pub birth_date: [usize; 3],
    pub birth_city: usize,
    pub university: usize,
    pub major: usize,
    pub employer: usize,
    /// Into the pronouns; independent of the name.
    pub gender: usize,
}

/// All people of a seed; the first N of them make up a dataset, so that a larger one contains a smaller one.
#[derive(Debug)]
pub(super) struct People {
    facts: Streams,
    names: Permutation,
    n_names: u64,
}

impl People {
    pub fn new(seed: u64, name_space: u64) -> Self {
        let names = Permutation::new(name_space, &mut Streams::new(seed, "bio-s names").at(0));
        People { facts: Streams::new(seed, "bio-s people"), names, n_names: name_space }
    }

    /// How many there can be.
    pub fn n_names(&self) -> u64 {
        self.n_names
    }

    /// Person number `i`. Names are drawn without replacement: place `i` of a permutation of all full names.
    pub fn get(&self, i: u64, pieces: &Pieces) -> Person {
        let mut draws = self.facts.at(i);
        let mut below = |n: usize| draws.below(n as u64) as usize;
        let name = self.names.apply(i, 0) as usize;
        let (middle_names, last_names) = (pieces.middle_names.len(), pieces.last_names.len());
        Person {
            name: [name / last_names / middle_names, name / last_names % middle_names, name % last_names],
            birth_date: [below(MONTHS.len()), below(DAYS as usize), below(pieces.years.len())],
            birth_city: below(pieces.cities.len()),
            university: below(pieces.universities.len()),
            major: below(pieces.majors.len()),
            employer: below(pieces.employers.len()),
            gender: below(pieces.pronouns.len()),
        }
    }
}

impl Person {
    /// The tokens of the full name, in three parts.
    pub fn name<'a>(&self, pieces: &'a Pieces) -> [&'a [u32]; 3] {
        let [first, middle, last] = self.name;
        [pieces.first_names.get(first), pieces.middle_names.get(middle), pieces.last_names.get(last)]
    }

    /// The tokens of the value that sentence `sentence` states, in up to three parts.
    pub fn value<'a>(&self, sentence: usize, pieces: &'a Pieces) -> [&'a [u32]; 3] {
        let one = |run: &'a [u32]| [run, &[], &[]];
        match sentence {
            0 => {
                let [month, day, year] = self.birth_date;
                [pieces.months.get(month), pieces.days.get(day), pieces.years.get(year)]
            }
            1 => one(pieces.cities.get(self.birth_city)),
            2 => one(pieces.universities.get(self.university)),
            3 => one(pieces.majors.get(self.major)),
            super::render::EMPLOYER => one(pieces.employers.get(self.employer)),
            super::render::WORKING_CITY => one(pieces.headquarters.get(self.employer)),
            _ => unreachable!("a biography has six sentences"),
        }
    }
}
