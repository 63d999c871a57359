//! What a perfect model would have to store: `N (log2(N0/N) + log2 S0) + K D log2(T^L/D)` bits.
//!
//! The terms of Proposition 2.3 and Definitions 4.1 and 4.3 of arXiv 2404.05405, apart, so that a measurement
//! can subtract from each the loss that belongs to it.

use serde::Serialize;

/// The information in the facts of a dataset of people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Information {
    /// N, how many people there are.
    pub people: u64,
    /// log2 N0, the bits of one name drawn from the whole name space.
    pub name_bits: f64,
    /// The attributes that count, in the order of [`Fact::Value`](super::Fact::Value).
    pub attributes: Vec<Attribute>,
    /// The sets that values are drawn from, where these have to be learned too; `None` where they are taken
    /// as known.
    pub diversity: Option<Diversity>,
}

/// One attribute of a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attribute {
    /// What it is called, for instance `birth city`.
    pub name: String,
    /// log2 of the number of values that it can have.
    pub bits: f64,
}

/// Sets of values that have to be learned: `K` attributes, each with `D` strings of `L` symbols out of `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Diversity {
    /// K, attributes.
    pub attributes: u64,
    /// C, chunks in a value.
    pub chunks: u64,
    /// D, distinct strings that a chunk of an attribute is drawn from.
    pub distinct: u64,
    /// L, symbols in a string.
    pub length: u64,
    /// T, symbols to choose from.
    pub alphabet: u64,
}

impl Information {
    /// log2 S0: the bits of all values of one person.
    pub fn value_bits(&self) -> f64 {
        self.attributes.iter().map(|attribute| attribute.bits).sum()
    }

    /// log2(N0/N) + log2 S0: the bits of one person, whose name is one of N that are known to exist.
    pub fn bits_per_person(&self) -> f64 {
        self.name_bits - (self.people as f64).log2() + self.value_bits()
    }

    /// The bits of everything.
    pub fn total_bits(&self) -> f64 {
        self.people as f64 * self.bits_per_person() + self.diversity.map_or(0.0, |diversity| diversity.bits())
    }
}

impl Diversity {
    /// log2(T^L/D): the bits of one string of one set.
    pub fn bits_per_string(&self) -> f64 {
        self.length as f64 * (self.alphabet as f64).log2() - (self.distinct as f64).log2()
    }

    /// K D log2(T^L/D): the bits of all sets.
    pub fn bits(&self) -> f64 {
        (self.attributes * self.distinct) as f64 * self.bits_per_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_add_up_to_the_formula() {
        let diversity = Diversity { attributes: 3, chunks: 2, distinct: 4, length: 5, alphabet: 8 };
        let attribute = |name: &str| Attribute { name: name.into(), bits: 4.0 };
        let attributes = ["a", "b", "c"].map(attribute).to_vec();
        let information = Information { people: 16, name_bits: 10.0, attributes, diversity: Some(diversity) };
        assert_eq!(information.bits_per_person(), 10.0 - 4.0 + 12.0);
        assert_eq!(information.total_bits(), 16.0 * 18.0 + 3.0 * 4.0 * (5.0 * 3.0 - 2.0));
    }
}
