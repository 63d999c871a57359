//! The name of a run: a hash of everything that can change its numbers, and of nothing else.
//!
//! What is hashed is the plan with every field equal to its default left out, keys in the order of the alphabet, the
//! contents of data files, and [`NUMERICS`]. So a new option changes no fingerprint as long as its
//! default is what was done before, and moving a field in the source changes none either; a renamed one is hashed under
//! its first name. The device is not hashed.

use std::fmt;

use super::tree::{KIND, Node, Table, Value};
use super::{Plan, reader, renamed, writer};
use crate::Result;
use crate::data::ExternalFile;

/// Raised by hand when the same plan would give other numbers, for instance when a default changes.
pub const NUMERICS: u32 = 1;

/// Raised likewise for plans alone that minimise something beside the cross-entropy (mixtures of experts, a teacher).
///
/// 2: the loss that is logged is the cross-entropy, and what is minimised beside it is logged apart.
const NUMERICS_AUXILIARY: u32 = 2;

/// Raised likewise for plans alone that compute in bf16.
///
/// 2: on a CPU products round their operands alone, where they rounded their results too.
const NUMERICS_BF16: u32 = 2;

/// What the parts of a plan began with, which no hash names.
const NUMERICS_BEFORE: u32 = 1;

/// Stands in every hash, also where a plan computes in bf16: `training.precision` is hashed with the plan.
const HEADER: &str = "precision \"f32\"";

/// The name of a run; prints as its first 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(blake3::Hash);

/// A plan without its seed, hashed once for all seeds.
#[derive(Debug, Clone)]
pub struct Unseeded(blake3::Hasher);

impl Fingerprint {
    /// The fingerprint of a plan.
    ///
    /// # Errors
    /// If a data file that the plan names cannot be read.
    pub fn of(plan: &Plan) -> Result<Self> {
        Ok(Fingerprint::with(plan, &plan.data.external_files()?))
    }

    /// The fingerprint of a plan whose data files are `files`.
    pub fn with(plan: &Plan, files: &[ExternalFile]) -> Self {
        Unseeded::of(plan, files).seed(plan.seed)
    }

    /// The fingerprint that a plan whose data files are `files` had in earlier versions: it still names finished runs.
    pub fn before(plan: &Plan, files: &[ExternalFile]) -> Self {
        Unseeded::hashed(plan, files, NUMERICS_BEFORE).seed(plan.seed)
    }

    /// All 64 hex digits.
    pub fn full(&self) -> String {
        self.0.to_hex().to_string()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex()[..16])
    }
}

impl Unseeded {
    /// Hashes all of the plan but its seed, and `files`, the data files that it names.
    pub fn of(plan: &Plan, files: &[ExternalFile]) -> Self {
        Unseeded::hashed(plan, files, NUMERICS_AUXILIARY)
    }

    fn hashed(plan: &Plan, files: &[ExternalFile], auxiliary: u32) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("ablation-zoo plan");
        hasher.update(format!("numerics {NUMERICS}\n{HEADER}\n").as_bytes());
        hasher.update(canonical(&Plan { seed: 0, ..plan.clone() }).as_bytes());
        if auxiliary != NUMERICS_BEFORE && plan.has_auxiliary_loss() {
            hasher.update(format!("\nauxiliary {auxiliary}").as_bytes());
        }
        if auxiliary != NUMERICS_BEFORE && !plan.training.precision.is_f32() {
            hasher.update(format!("\nbf16 {NUMERICS_BF16}").as_bytes());
        }
        for file in files {
            hasher.update(format!("\nfile {}", file.blake3).as_bytes());
        }
        Unseeded(hasher)
    }

    /// The fingerprint with a seed.
    pub fn seed(&self, seed: u64) -> Fingerprint {
        let mut hasher = self.0.clone();
        hasher.update(format!("\nseed {seed}").as_bytes());
        Fingerprint(hasher.finalize())
    }
}

/// The plan with every field equal to its default left out, in one line.
fn canonical(plan: &Plan) -> String {
    let mut tree = writer::write(plan);
    prune(&mut tree, &mut Vec::new(), plan);
    renamed::to_before(&mut tree);
    sort(&mut tree);
    writer::inline(&tree)
}

/// Leaves out whatever reads back the same without it: whole tables first, then what is in them.
fn prune(tree: &mut Node, path: &mut Vec<String>, plan: &Plan) {
    let (keys, kept): (Vec<String>, bool) = match tree.get(path.as_slice()).map(|node| &node.value) {
        Some(Value::Table(table)) => (table.iter().map(|entry| entry.key.clone()).collect(), false),
        Some(Value::Array(items)) => ((0..items.len()).map(|index| index.to_string()).collect(), true),
        _ => return,
    };
    for key in keys.into_iter().filter(|key| key != KIND) {
        path.push(key);
        let mut without = tree.clone();
        without.remove(path.as_slice());
        match reader::read::<Plan>(&without, &[]) {
            Ok(read) if !kept && read == *plan => *tree = without,
            _ => prune(tree, path, plan),
        }
        path.pop();
    }
}

/// Keys in the order of the alphabet; a kind that lost all its settings becomes a bare string.
fn sort(node: &mut Node) {
    if let Value::Array(items) = &mut node.value {
        items.iter_mut().for_each(sort);
    }
    if let Value::Table(table) = &mut node.value {
        let mut sorted: Table = std::mem::take(table);
        sorted.sort();
        sorted.nodes_mut().for_each(sort);
        *table = sorted;
    }
    let lone_kind = match node.as_table() {
        Some(table) if table.iter().count() == 1 => table.get(KIND).cloned(),
        _ => None,
    };
    if let Some(kind) = lone_kind {
        *node = kind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::feed_forward::{FeedForwardConfig, GatedMlpConfig};
    use crate::layers::norm::{NormConfig, RmsNormConfig};
    use crate::training::{Clip, ScheduleConfig};

    fn gated() -> Plan {
        let mut plan = Plan { seed: 7, ..Plan::default() };
        plan.model.d_model = 64;
        plan.model.norm = NormConfig::Rms(RmsNormConfig::default());
        plan.model.block.feed_forward = FeedForwardConfig::GatedMlp(GatedMlpConfig::default());
        plan.training.clip = Clip::None;
        plan.training.peak_lr = 5e-4;
        plan
    }

    #[test]
    fn only_what_differs_from_the_defaults_is_hashed() {
        assert_eq!(canonical(&Plan::default()), "{}");
        assert_eq!(
            canonical(&Plan { seed: 0, ..gated() }),
            "{ model = { block = { feed_forward = \"gated-mlp\" }, d_model = 64, norm = \"rms\" }, \
             training = { clip = \"none\", peak_lr = 0.0005 } }"
        );
        let mut warm = gated();
        if let ScheduleConfig::Cosine(cosine) = &mut warm.training.schedule {
            cosine.warmup_steps = 1;
        }
        assert!(canonical(&warm).contains("schedule = { kind = \"cosine\", warmup_steps = 1 }"));
    }

    #[test]
    fn fingerprints_stay_what_they_were() {
        let of = |plan: &Plan| Fingerprint::of(plan).unwrap().to_string();
        assert_eq!(of(&Plan::default()), "9df907aeabac6505");
        assert_eq!(of(&gated()), "d6d423b29b97aac2");
    }

    #[test]
    fn every_change_of_a_plan_changes_its_fingerprint() {
        let of = |plan: &Plan| Fingerprint::of(plan).unwrap().full();
        let mut seen = vec![of(&gated())];
        let mut changed = |change: fn(&mut Plan)| {
            let mut plan = gated();
            change(&mut plan);
            let fingerprint = of(&plan);
            assert!(!seen.contains(&fingerprint));
            seen.push(fingerprint);
        };
        changed(|plan| plan.seed = 8);
        changed(|plan| plan.model.n_layers = 2);
        changed(|plan| plan.training.peak_lr = 1e-3);
        changed(|plan| plan.training.batch = 3);
        changed(|plan| plan.measure.paraphrases = 1);
        changed(|plan| plan.measure.texts = crate::data::Texts::AsTrained);
        changed(|plan| plan.model.block.feed_forward = FeedForwardConfig::None);
    }

    #[test]
    fn one_hash_serves_all_seeds() {
        let plan = gated();
        let unseeded = Unseeded::of(&plan, &[]);
        assert_eq!(unseeded.seed(7), Fingerprint::of(&plan).unwrap());
    }
}
