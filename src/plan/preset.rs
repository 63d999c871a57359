//! The files that plans are made from: models/, datasets/ and ablations/.
//!
//! All of them are compiled in, so that an installed `zoo` works in an empty folder. A file of the same name in the
//! working folder wins, and a path (something with a slash, or that ends in `.toml`) always works.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reader;
use super::tree::Source;
use crate::error::{Error, Problem, Result};
use crate::input;

/// The largest file that is read as a preset, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The kind of a preset: one of the three folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresetKind {
    /// `models/`: what is built.
    Models,
    /// `datasets/`: what is learned.
    Datasets,
    /// `ablations/`: what is compared.
    Ablations,
}

/// Where files are looked for before the compiled-in ones.
#[derive(Debug, Clone)]
pub struct Presets {
    root: PathBuf,
}

macro_rules! built_in {
    ($folder:literal: $($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../", $folder, "/", $name, ".toml")))),*]
    };
}

impl PresetKind {
    /// All three kinds.
    pub const ALL: [PresetKind; 3] = [PresetKind::Models, PresetKind::Datasets, PresetKind::Ablations];

    /// The name of the folder of this kind.
    pub fn folder(self) -> &'static str {
        match self {
            PresetKind::Models => "models",
            PresetKind::Datasets => "datasets",
            PresetKind::Ablations => "ablations",
        }
    }

    /// The noun for one file of this kind.
    pub fn noun(self) -> &'static str {
        match self {
            PresetKind::Models => "model",
            PresetKind::Datasets => "dataset",
            PresetKind::Ablations => "ablation",
        }
    }

    /// The names and texts of the presets that are compiled in.
    pub fn built_in(self) -> &'static [(&'static str, &'static str)] {
        match self {
            PresetKind::Models => built_in!("models":
                "gpt-neox" "gpt2" "gpt2-learned" "gpt2-moe" "gpt2-none" "gpt2-quarter" "llama" "llama-3" "mistral"
                "mixtral" "olmo-2-like" "qwen3-like"),
            PresetKind::Datasets => {
                built_in!("datasets": "biod" "bior" "bios" "corpus" "junk" "mixture" "reading" "text")
            }
            PresetKind::Ablations => built_in!("ablations":
                "activation-position" "architecture-1000" "biod-grid" "bios-variants" "capacity-100" "capacity-1000" "cepe"
                "cosine-stretch" "extraction" "gate" "gstack" "gstack-annealed" "gstack-factor" "gstack-knowledge"
                "gstack-timing" "gstack-width" "heads" "iso-flop" "junk" "ladder" "llama-to-gpt2" "mixture" "mlp" "moe"
                "norm" "position" "quantization" "race" "repeat"),
        }
    }
}

impl Presets {
    /// Presets where files of the working folder take precedence.
    pub fn here() -> Self {
        Presets::at(".")
    }

    /// Presets where files of `root` take precedence.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Presets { root: root.into() }
    }

    /// The names of all presets of a kind, in order.
    pub fn names(&self, kind: PresetKind) -> Vec<String> {
        let mut names: Vec<String> = kind.built_in().iter().map(|(name, _)| name.to_string()).collect();
        let local = std::fs::read_dir(self.root.join(kind.folder())).into_iter().flatten().flatten();
        names.extend(local.filter_map(|entry| {
            let path = entry.path();
            let is_toml = path.extension().is_some_and(|extension| extension == "toml");
            is_toml.then(|| path.file_stem()?.to_str().map(str::to_string))?
        }));
        names.sort();
        names.dedup();
        names
    }

    /// The text behind a name or path.
    ///
    /// # Errors
    /// If there is no such file, or it cannot be read.
    pub fn load(&self, kind: PresetKind, name: &str) -> Result<Arc<Source>> {
        let name = match kind_in(name) {
            Some((own, name)) if own == kind => name,
            _ => name,
        };
        if is_path(name) {
            return read(Path::new(name), name);
        }
        let file = format!("{}/{name}.toml", kind.folder());
        let local = self.root.join(&file);
        if local.exists() {
            return read(&local, &file);
        }
        match kind.built_in().iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Ok(Source::new(format!("{file} (built in)"), *text)),
            None => Err(Error::config(self.unknown(kind, name))),
        }
    }

    /// The kind that a name or path is of, by its content if it is a path. `dataset/NAME` names the kind itself.
    ///
    /// # Errors
    /// If no kind has it.
    pub fn find(&self, name: &str) -> Result<(PresetKind, Arc<Source>)> {
        if let Some((kind, name)) = kind_in(name) {
            return Ok((kind, self.load(kind, name)?));
        }
        if is_path(name) {
            let source = read(Path::new(name), name)?;
            return Ok((kind_of(&source.text), source));
        }
        let found =
            PresetKind::ALL.into_iter().find(|kind| self.names(*kind).iter().any(|known| known == name));
        match found {
            Some(kind) => Ok((kind, self.load(kind, name)?)),
            None => {
                let names: Vec<String> = PresetKind::ALL.iter().flat_map(|kind| self.names(*kind)).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                Err(Error::config(reader::unknown("name", name, &names)))
            }
        }
    }

    /// The other kinds that have this name too.
    pub fn elsewhere(&self, kind: PresetKind, name: &str) -> Vec<PresetKind> {
        let has = |other: &PresetKind| *other != kind && self.names(*other).iter().any(|known| known == name);
        if is_path(name) { Vec::new() } else { PresetKind::ALL.into_iter().filter(has).collect() }
    }

    /// Whether a name is the path of a file; `dataset/NAME` is none.
    pub fn is_path(name: &str) -> bool {
        is_path(name) && kind_in(name).is_none()
    }

    fn unknown(&self, kind: PresetKind, name: &str) -> Problem {
        let names = self.names(kind);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let problem = reader::unknown(kind.noun(), name, &names);
        let elsewhere = PresetKind::ALL.into_iter().filter(|other| *other != kind);
        let other = elsewhere.into_iter().find(|other| self.names(*other).iter().any(|known| known == name));
        match (&problem.help, other) {
            (None, Some(other)) => problem.help(format!("{name:?} is one of the {}", other.folder())),
            _ => problem,
        }
    }
}

/// The first sentence of the comment that a file opens with.
pub fn note(text: &str) -> String {
    let comment = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
    let paragraph: Vec<&str> =
        comment.take_while(|line| !line.is_empty() && !line.starts_with("zoo ")).collect();
    let paragraph = paragraph.join(" ");
    let sentence = paragraph.split_once(". ").map_or(paragraph.as_str(), |(sentence, _)| sentence);
    sentence.strip_suffix('.').unwrap_or(sentence).to_string()
}

/// `dataset/mixture`: the kind and the name on it.
fn kind_in(name: &str) -> Option<(PresetKind, &str)> {
    let (noun, name) = name.split_once('/')?;
    let kind = PresetKind::ALL.into_iter().find(|kind| kind.noun() == noun)?;
    (!is_path(name)).then_some((kind, name))
}

fn is_path(name: &str) -> bool {
    name.contains(['/', '\\']) || name.ends_with(".toml")
}

/// By the tables that only one kind has.
fn kind_of(text: &str) -> PresetKind {
    let opens = |table: &str| text.lines().any(|line| line.trim_start().starts_with(table));
    match (opens("[control]") || opens("[arms"), opens("[data")) {
        (true, _) => PresetKind::Ablations,
        (false, true) => PresetKind::Datasets,
        (false, false) => PresetKind::Models,
    }
}

fn read(path: &Path, name: &str) -> Result<Arc<Source>> {
    let bytes = input::read_at_most(path, MAX_BYTES).map_err(|source| Error::io("read", path, source))?;
    let bad = |_| Error::config(Problem::new(format!("{name}: not a text in UTF-8")));
    let text = String::from_utf8(bytes).map_err(bad)?;
    Ok(Source::new(name, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_three_folders_is_compiled_in_and_opens_with_a_note() {
        for kind in PresetKind::ALL {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind.folder());
            let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
            let mut files: Vec<&str> =
                files.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
            files.sort();
            let mut built_in: Vec<&str> = kind.built_in().iter().map(|(name, _)| *name).collect();
            built_in.sort();
            assert_eq!(files, built_in, "{}", kind.folder());
            for (name, text) in kind.built_in() {
                assert!(note(text).len() > 10, "{name} opens without a note");
            }
        }
    }

    #[test]
    fn a_file_of_the_working_folder_wins_over_the_one_compiled_in() {
        let folder = tempfile::tempdir().unwrap();
        let presets = Presets::at(folder.path());
        assert_eq!(presets.load(PresetKind::Models, "gpt2").unwrap().name, "models/gpt2.toml (built in)");
        std::fs::create_dir(folder.path().join("models")).unwrap();
        std::fs::write(folder.path().join("models/gpt2.toml"), "# mine\n[model]").unwrap();
        std::fs::write(folder.path().join("models/new.toml"), "# new").unwrap();
        let source = presets.load(PresetKind::Models, "gpt2").unwrap();
        assert_eq!((source.name.as_str(), note(&source.text).as_str()), ("models/gpt2.toml", "mine"));
        let names = presets.names(PresetKind::Models);
        assert_eq!(names.len(), PresetKind::Models.built_in().len() + 1);
        assert!(names.is_sorted() && names.contains(&"new".to_string()), "{names:?}");
    }

    #[test]
    fn a_name_of_two_shelves_is_told_apart_by_its_shelf() {
        let presets = Presets::at("/nowhere");
        let found = |name: &str| presets.find(name).unwrap().0;
        assert_eq!(
            (found("dataset/mixture"), found("ablation/mixture")),
            (PresetKind::Datasets, PresetKind::Ablations)
        );
        assert_eq!(found("mixture"), PresetKind::Datasets);
        assert_eq!(presets.elsewhere(PresetKind::Datasets, "mixture"), [PresetKind::Ablations]);
        assert!(presets.elsewhere(PresetKind::Models, "llama").is_empty());
        let error = presets.find("model/mixture").unwrap_err();
        assert!(error.to_string().contains("unknown model \"mixture\""), "{error}");
    }

    #[test]
    fn an_unknown_name_lists_what_there_is() {
        let error = Presets::at("/nowhere").load(PresetKind::Models, "lama").unwrap_err();
        let names: Vec<&str> = PresetKind::Models.built_in().iter().map(|(name, _)| *name).collect();
        let expected = format!("expected one of {}; did you mean \"llama\"?", names.join(", "));
        assert_eq!(error.to_string(), format!("unknown model \"lama\", {expected}"));
        let error = Presets::at("/nowhere").load(PresetKind::Models, "mlp").unwrap_err();
        assert!(error.to_string().ends_with("\"mlp\" is one of the ablations"), "{error}");
    }

    #[test]
    fn a_missing_file_an_endless_file_and_a_binary_are_errors() {
        let presets = Presets::here();
        assert_eq!(presets.load(PresetKind::Models, "./nowhere.toml").unwrap_err().exit_code(), 74);
        if cfg!(target_os = "linux") {
            assert_eq!(presets.load(PresetKind::Models, "/dev/zero").unwrap_err().exit_code(), 74);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        let error = presets.load(PresetKind::Models, path.to_str().unwrap()).unwrap_err();
        assert!(error.to_string().ends_with("not a text in UTF-8"));
    }
}
