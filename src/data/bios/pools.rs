//! What biographies are made of: seven lists of words and six lists of sentence templates, ours or the
//! user's.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::template::Template;
use crate::data::list::{List, or_problems};
use crate::error::{Error, Problem, Result};

/// Where the pools come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolsConfig {
    /// The lists of `datasets/pools` and `datasets/templates`, which are part of the program.
    #[default]
    BuiltIn,
    /// The user's own lists.
    Folder(FolderConfig),
}

/// A folder with the seven lists of `datasets/pools` under the same names, and either a folder `templates`
/// with the six of `datasets/templates` or none, which means ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderConfig {
    /// The folder.
    pub path: PathBuf,
}

/// The lists and the sentences, each with the file and line that it came from.
#[derive(Debug)]
pub(super) struct Pools {
    pub first_names: List,
    pub middle_names: List,
    pub last_names: List,
    pub cities: List,
    pub universities: List,
    pub majors: List,
    pub employers: List,
    /// The city of each of `employers`.
    pub headquarters: Vec<String>,
    /// All ways to state each attribute, in the order of sentences that are not permuted.
    pub sentences: [Vec<Template>; 6],
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: u64 = 28;
pub(super) const YEARS: std::ops::Range<u64> = 1900..2100;

/// A file of the program: its name in the repository and its text.
macro_rules! built_in {
    ($folder:literal: $($name:literal),+) => {
        [$(($name, include_str!(concat!("../../../datasets/", $folder, "/", $name, ".txt")))),+]
    };
}

const POOLS: [(&str, &str); 7] = built_in!(
    "pools": "first_names", "middle_names", "last_names", "cities", "universities", "majors", "employers"
);

/// In the order of sentences that are not permuted: the employer before the city that tells it.
const TEMPLATES: [(&str, &str); 6] = built_in!(
    "templates": "birth_date", "birth_city", "university", "major", "employer", "working_city"
);

impl PoolsConfig {
    /// The files outside the program.
    pub(in crate::data) fn files(&self) -> Vec<PathBuf> {
        let PoolsConfig::Folder(FolderConfig { path }) = self else { return Vec::new() };
        let pools = POOLS.map(|(name, _)| path.join(name).with_extension("txt"));
        let templates = TEMPLATES.map(|(name, _)| path.join("templates").join(name).with_extension("txt"));
        let has_templates = path.join("templates").is_dir();
        let mut files: Vec<_> =
            pools.into_iter().chain(templates.into_iter().filter(|_| has_templates)).collect();
        files.sort();
        files
    }

    pub(super) fn check(&self) -> Result<()> {
        match self {
            PoolsConfig::BuiltIn => Ok(()),
            PoolsConfig::Folder(FolderConfig { path }) if path.is_dir() => Ok(()),
            PoolsConfig::Folder(FolderConfig { path }) => Err(Error::config(
                Problem::new(format!("no folder {:?}", path.display().to_string()))
                    .key("data.pools.path")
                    .expected(
                        "a folder with first_names.txt, employers.txt and the other lists of datasets/pools",
                    ),
            )),
        }
    }

    pub(super) fn load(&self) -> Result<Pools> {
        self.check()?;
        let folder = match self {
            PoolsConfig::BuiltIn => None,
            PoolsConfig::Folder(FolderConfig { path }) => Some(path.as_path()),
        };
        let own_templates = folder.map(|path| path.join("templates")).filter(|path| path.is_dir());
        let [first_names, middle_names, last_names, cities, universities, majors, employers] =
            load_all(folder, "pools", POOLS)?;
        let sentences = parse_all(load_all(own_templates.as_deref(), "templates", TEMPLATES)?)?;
        let (employers, headquarters) = split_employers(employers)?;
        Ok(Pools {
            first_names,
            middle_names,
            last_names,
            cities,
            universities,
            majors,
            employers,
            headquarters,
            sentences,
        })
    }
}

/// The lists `names`, from `folder` or else from the program.
fn load_all<const N: usize>(
    folder: Option<&Path>,
    ours: &str,
    names: [(&str, &str); N],
) -> Result<[List; N]> {
    let mut lists = Vec::with_capacity(N);
    let mut problems = Vec::new();
    for (name, text) in names {
        let list = match folder {
            Some(folder) => List::read(&folder.join(name).with_extension("txt")),
            None => List::parse(&format!("datasets/{ours}/{name}.txt (built in)"), text),
        };
        match list {
            Ok(list) => lists.push(list),
            Err(error) if error.kind == crate::error::Kind::Data => problems.extend(error.problems),
            Err(error) => return Err(error),
        }
    }
    let lists = or_problems(lists, problems)?;
    Ok(lists.try_into().expect("as many lists as names"))
}

/// The sentences of each list, or every line that is none.
fn parse_all<const N: usize>(lists: [List; N]) -> Result<[Vec<Template>; N]> {
    let mut problems = Vec::new();
    let templates = lists.map(|list| {
        let mut templates = Vec::with_capacity(list.len());
        for (i, line) in list.entries.iter().enumerate() {
            match Template::parse(line) {
                Ok(template) => templates.push(template),
                Err((found, expected)) => problems.push(list.problem(i, found).expected(expected)),
            }
        }
        templates
    });
    or_problems(templates, problems)
}

/// `name; city` in each line -> names (the lines stay the lines) and cities.
fn split_employers(mut list: List) -> Result<(List, Vec<String>)> {
    let mut cities = Vec::with_capacity(list.len());
    let mut names = Vec::with_capacity(list.len());
    let mut known = HashSet::new();
    let mut problems = Vec::new();
    for (i, entry) in list.entries.iter().enumerate() {
        match entry.split_once(';').map(|(name, city)| (name.trim(), city.trim())) {
            Some((name, city)) if !name.is_empty() && !city.is_empty() => {
                if !known.insert(name) {
                    problems.push(list.problem(i, format!("{name:?} has a city already")));
                }
                names.push(name.to_string());
                cities.push(city.to_string());
            }
            _ => problems.push(list.problem(i, "no city").expected("name; city of the headquarters")),
        }
    }
    or_problems((), problems)?;
    list.entries = names;
    Ok((list, cities))
}

impl Pools {
    /// N0, how many full names there are.
    pub fn name_space(&self) -> Result<u64> {
        let sizes = [&self.first_names, &self.middle_names, &self.last_names].map(|list| list.len() as u64);
        let space = sizes.into_iter().try_fold(1u64, u64::checked_mul).filter(|&space| space <= 1 << 63);
        space.ok_or_else(|| {
            Error::data(Problem::new("more than 2^63 full names").help("shorten the lists of names"))
        })
    }
}
