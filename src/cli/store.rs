//! The options that say where runs are, shared by every command that reads or writes them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Problem};
use ablation_zoo::model::weights::NonFinite;
use ablation_zoo::plan::{Ablation, Calibration, PlannedRun, Presets, Rate, Role, reader};
use ablation_zoo::run::folder::{CONFIG, PLAN};
use ablation_zoo::run::{Answers, Run, Site, Standing, State, Store, Trained, calibration, store};
use burn::tensor::Device;
use clap::Args;

use super::laws::profiles;
use super::{problems, subject};

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

    /// A run by its name or id, the beginning of one, the path of its folder, or as `ABLATION:ARM`.
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
            None => match subject::split(name) {
                (ablation, Some(arm)) => self.reported(ablation, arm),
                (name, None) => self.open()?.named(name),
            },
        }
    }

    /// The run on the first seed that a report of the ablation stands on for this arm: in the profile that is used when none
    /// is named, else in the first that has one.
    fn reported(&self, ablation: &str, arm: &str) -> Result<Run> {
        let (presets, store) = (Presets::here(), self.open()?);
        let named = profiles(&presets, ablation)?.into_iter().map(Some);
        let sites: BTreeSet<(String, String)> =
            store.runs()?.iter().map(|run| (run.site().device.clone(), run.site().dtype.clone())).collect();
        for profile in std::iter::once(None).chain(named) {
            let loaded = Ablation::load(&presets, ablation, profile.as_deref(), &[])?;
            if loaded.arms.iter().all(|known| known.name != arm) {
                let names: Vec<&str> = loaded.arms.iter().map(|arm| arm.name.as_str()).collect();
                if profile.is_none() {
                    return Err(Error::config(reader::unknown("arm", arm, &names).key(ablation)));
                }
                continue;
            }
            for (device, dtype) in &sites {
                let site = Site { device: device.clone(), dtype: dtype.clone() };
                let standing = Answers::new(&loaded, site).standing(&store)?;
                let is_it = |of: &Standing| {
                    let PlannedRun { arm: of_arm, role, rate, .. } = &of.planned;
                    of_arm == arm && *role == Role::Report && *rate == Rate::Own
                };
                let found = standing.into_iter().filter(|of| is_it(of) && of.state == State::Finished);
                if let Some(run) = found.min_by_key(|of| of.planned.seed).and_then(|of| of.run) {
                    return Ok(run);
                }
            }
        }
        let problem = Problem::new(format!("no finished run of arm {arm} of {ablation}")).key("run");
        Err(Error::config(
            problem.help(format!("`zoo run {ablation}` makes some; `zoo runs` lists what there is")),
        ))
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
