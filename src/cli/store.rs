//! The options that say where runs are, shared by every command that reads or writes them.

use std::path::{Path, PathBuf};

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Problem};
use ablation_zoo::model::weights::NonFinite;
use ablation_zoo::plan::Calibration;
use ablation_zoo::run::folder::{CONFIG, PLAN};
use ablation_zoo::run::{Run, Site, Store, Trained, calibration, store};
use burn::tensor::Device;
use clap::Args;

use super::problems;

/// Where runs are kept.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// Folder of runs
    #[arg(long, value_name = "DIR", env = store::VARIABLE, default_value = store::DEFAULT)]
    pub store: PathBuf,
}

impl StoreArgs {
    /// The store, which must exist.
    pub fn open(&self) -> Result<Store> {
        Store::open(&self.store)
    }

    /// How fast this machine trains, by the runs of the store if there are any.
    pub fn calibration(&self, site: &Site) -> Calibration {
        let measured = self.open().and_then(|store| calibration::measured(&store, site));
        measured.unwrap_or_else(|_| calibration::unmeasured())
    }

    /// The store, made if there is none.
    pub fn create(&self) -> Result<Store> {
        Store::create(&self.store)
    }

    /// A run by its name, the beginning of it, or the path of its folder.
    pub fn run(&self, name: &str) -> Result<Run> {
        match folder(name) {
            Some(folder) if is_model(folder) => {
                let problem =
                    Problem::new(format!("{} is an imported or grown model", folder.display())).key("run");
                let problem = problem.expected("a finished run, which has a plan and data");
                Err(Error::config(
                    problem.help("`zoo generate` and `zoo export` take models; `zoo runs` lists runs"),
                ))
            }
            Some(folder) => Store::holding(folder),
            None => self.open()?.named(name),
        }
    }

    /// The model of a finished run, by whatever names it, or of a folder that is no run.
    pub fn model(&self, name: &str, device: &Device, choice: NonFinite) -> Result<(Trained, Option<Run>)> {
        let (trained, run) = match folder(name).filter(|folder| is_model(folder)) {
            Some(folder) => (Trained::of_folder(folder, device, choice)?, None),
            None => {
                let run = self.run(name)?;
                (Trained::of_run(&run, device, choice)?, Some(run))
            }
        };
        problems::warn(&trained.non_finite);
        Ok((trained, run))
    }
}

/// Whether a folder holds a model that is no run's: an imported one, a grown one, or one of `transformers`.
fn is_model(folder: &Path) -> bool {
    !folder.join(PLAN).exists() && folder.join(CONFIG).exists()
}

/// The path that `name` is, if it is one rather than a name.
fn folder(name: &str) -> Option<&Path> {
    (name.contains(['/', '\\']) || Path::new(name).join(CONFIG).is_file()).then(|| Path::new(name))
}

/// `137.24 KiB`.
pub fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
