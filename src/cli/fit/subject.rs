//! What a fit is about: files, runs of the store, or everything that an ablation has finished.

use std::path::{Path, PathBuf};

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Kind, Problem};
use ablation_zoo::laws::bootstrap::Bootstrap;
use ablation_zoo::laws::table::{self, Table};
use ablation_zoo::plan::{Ablation, PresetKind, Presets};
use ablation_zoo::report::fit::Measured;
use ablation_zoo::run::Site;
use clap::Args;

use super::super::execute::DTYPE;
use super::super::store::StoreArgs;
use super::super::{Format, Overrides};

/// What is read, and where the answer goes.
#[derive(Debug, Args)]
pub struct FitArgs {
    /// Files of numbers, finished runs (names, beginnings of them, or folders), or one ablation
    #[arg(required = true, value_name = "FILE|RUN|ABLATION")]
    subjects: Vec<String>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    store: StoreArgs,
    /// The kind of device whose runs are read
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Folder for figures and numbers [default: none are written]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Bootstrap replicates for intervals
    #[arg(long, value_name = "N", default_value_t = Bootstrap::default().replicates, value_parser = clap::value_parser!(u64).range(20..=100_000))]
    replicates: u64,
    #[command(flatten)]
    pub format: Format,
}

/// A file as it was read.
#[derive(Debug)]
pub struct File {
    /// Its path, to print.
    pub path: String,
    /// Its name without folder and ending.
    pub stem: String,
    /// Its text.
    pub text: String,
}

/// What was named.
#[derive(Debug)]
pub struct Subjects {
    /// Files.
    pub files: Vec<File>,
    /// Finished runs.
    pub runs: Vec<Measured>,
}

impl FitArgs {
    /// How intervals are made.
    pub fn bootstrap(&self) -> Bootstrap {
        Bootstrap { replicates: self.replicates, ..Bootstrap::default() }
    }

    /// Reads everything that is named.
    pub fn read(&self) -> Result<Subjects> {
        let (files, names): (Vec<&String>, Vec<&String>) =
            self.subjects.iter().partition(|subject| is_file(subject));
        let files = files.into_iter().map(|path| File::read(path)).collect::<Result<Vec<File>>>()?;
        let runs = match (names.as_slice(), files.is_empty()) {
            ([], _) => Vec::new(),
            ([name], true) if !self.is_run(name) => self.ablation(name)?,
            _ => self.runs(&names)?,
        };
        Ok(Subjects { files, runs })
    }

    /// A run by whatever names it; the name of an ablation may begin that of a run.
    fn is_run(&self, name: &str) -> bool {
        Presets::here().load(PresetKind::Ablations, name).is_err() && self.store.run(name).is_ok()
    }

    fn ablation(&self, name: &str) -> Result<Vec<Measured>> {
        let profile = self.overrides.profile.as_deref();
        let ablation = Ablation::load(&Presets::here(), name, profile, &self.overrides.sets.all())?;
        let runs = Measured::of_ablation(&ablation, &self.store.open()?, &Site::of(&self.device, DTYPE))?;
        if runs.is_empty() {
            let command = super::super::report::command(name, &self.overrides);
            let problem = Problem::new(format!("no finished run of {name}"));
            return Err(Error::new(Kind::Data, problem.help(format!("run `{command}` first"))));
        }
        Ok(runs)
    }

    fn runs(&self, names: &[&String]) -> Result<Vec<Measured>> {
        names.iter().map(|name| Measured::of_run(&self.store.run(name)?)).collect()
    }
}

/// A path to a table; what is no path is the name of a run or an ablation.
fn is_file(subject: &str) -> bool {
    let path = Path::new(subject);
    let table = path
        .extension()
        .is_some_and(|ending| ["tsv", "csv", "txt"].iter().any(|known| ending.eq_ignore_ascii_case(known)));
    table || (path.exists() && !path.is_dir() && path.extension().is_none_or(|ending| ending != "toml"))
}

impl Subjects {
    /// The table of the one file that was named; none where runs were.
    ///
    /// # Errors
    /// Several files, files beside runs, or a file that is no table.
    pub fn one_table(&self) -> Result<Option<Table>> {
        match (self.files.as_slice(), self.runs.as_slice()) {
            ([file], []) => Table::parse(&file.path, &file.text).map(Some),
            ([], _) => Ok(None),
            (files, runs) => {
                let found = format!("{} files and {} runs", files.len(), runs.len());
                Err(Error::config(Problem::new(found).expected("one file, or runs")))
            }
        }
    }
}

impl File {
    fn read(path: &str) -> Result<Self> {
        let bytes = ablation_zoo::input::read(path).map_err(|error| Error::io("read", path, error))?;
        let text = table::text(path, bytes)?;
        let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(File { path: path.to_string(), stem, text })
    }
}
