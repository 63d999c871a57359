//! The options that say where runs are, shared by every command that reads or writes them.

use std::path::PathBuf;

use ablation_zoo::Result;
use ablation_zoo::plan::Calibration;
use ablation_zoo::run::{Site, Store, calibration, store};
use clap::Args;

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
}

/// `137.24 KiB`.
pub fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
