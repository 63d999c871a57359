//! The board of published results: for each claim that an ablation names, what was published and what was found here.
//!
//! A claim is a table `[about.published.ARM]` with the number of a `result`. It is set against the newest comparison of
//! that arm at each profile and model size, made by [`compare`](super::compare()) like every report, from the runs of a
//! store or read from the `report.json` of a finished report.

use serde::Serialize;

use super::compare::verdict_of;
use super::comparison::{ArmResult, Comparison, Verdict};
use super::evidence::{Basis, Published};
use super::gather::published;
use crate::plan::About;
use crate::statistics::Estimate;

/// A published result with everything that was found here about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoardEntry {
    /// Its number in the source.
    pub result: u32,
    /// The ablation that asks for it.
    pub ablation: String,
    /// The arm that it is about.
    pub arm: String,
    /// What is asked.
    pub question: String,
    /// What was published.
    pub published: Published,
    /// What was measured, smallest models first; empty if nothing was.
    pub measured: Vec<Measured>,
    /// The command that measures it.
    pub command: String,
}

/// What one comparison says about a claim.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// The profile.
    pub profile: String,
    /// Parameters of the arm.
    pub params: Option<u64>,
    /// What the numbers are.
    pub quantity: Quantity,
    /// The mean over seeds with its interval; none if the arm has no number.
    pub estimate: Option<Estimate>,
    /// How it stands to the claim.
    pub verdict: Verdict,
    /// The command that makes it again.
    pub command: String,
    /// When its last run ended.
    pub finished: String,
    /// Its runs, by fingerprint.
    pub runs: Vec<String>,
}

/// What a claim gives a number for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Bits per parameter over those of the control.
    Ratio,
    /// Bits per parameter.
    BitsPerParam,
}

impl Quantity {
    /// For the end of a number.
    pub fn unit(self) -> &'static str {
        match self {
            Quantity::Ratio => "x control",
            Quantity::BitsPerParam => "bits/param",
        }
    }
}

/// The claims of an ablation, without anything measured.
pub fn entries(ablation: &str, about: &About) -> Vec<BoardEntry> {
    let numbered = about.published.iter().filter_map(|(arm, claim)| Some((arm, claim, claim.result?)));
    let entry = |(arm, claim, result): (&String, &crate::plan::Published, u32)| BoardEntry {
        result,
        ablation: ablation.to_string(),
        arm: arm.clone(),
        question: about.question.clone(),
        published: published(claim),
        measured: Vec::new(),
        command: format!("zoo run {ablation}"),
    };
    numbered.map(entry).collect()
}

/// Puts what the comparisons say beside the claims; of one profile and size the newest counts.
pub fn fill(entries: &mut [BoardEntry], comparisons: &[Comparison]) {
    for entry in entries.iter_mut() {
        let of_entry = comparisons.iter().filter(|comparison| comparison.name == entry.ablation);
        let found: Vec<Measured> = of_entry.filter_map(|comparison| measured(entry, comparison)).collect();
        for new in found {
            let same = |other: &&mut Measured| (&other.profile, other.params) == (&new.profile, new.params);
            match entry.measured.iter_mut().find(same) {
                Some(older) if older.finished < new.finished => *older = new,
                Some(_) => {}
                None => entry.measured.push(new),
            }
        }
        entry.measured.sort_by(|a, b| (a.params, &a.profile).cmp(&(b.params, &b.profile)));
    }
    entries.sort_by(|a, b| (a.result, &a.ablation, &a.arm).cmp(&(b.result, &b.ablation, &b.arm)));
}

/// What a comparison says about a claim; `None` if its arm has no run there.
fn measured(entry: &BoardEntry, comparison: &Comparison) -> Option<Measured> {
    let is_it = |arm: &&ArmResult| arm.arm == entry.arm && arm.basis == Basis::Primary && arm.n_runs > 0;
    let arm = comparison.arms.iter().find(is_it)?;
    let is_control = arm.arm == comparison.control;
    let in_bits = is_control || entry.published.bits_per_param.is_some();
    let (quantity, estimate) = match arm.ratio().filter(|_| !in_bits) {
        Some(ratio) => (Quantity::Ratio, Some(ratio.clone())),
        None => (Quantity::BitsPerParam, arm.bits_per_param.clone()),
    };
    Some(Measured {
        profile: comparison.profile.clone(),
        params: arm.params,
        quantity,
        verdict: verdict_of(Some(&entry.published), arm)?,
        estimate,
        command: comparison.command.clone(),
        finished: arm.runs.iter().map(|run| run.finished.clone()).max()?,
        runs: arm.runs.iter().map(|run| run.fingerprint.clone()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{compare, fake};
    use super::*;
    use crate::plan::{self, PresetKind, Presets};

    fn about() -> About {
        let claim = plan::Published {
            text: "1.3x fewer".to_string(),
            ratio: Some(plan::Claim::About(plan::Bound { value: 0.77 })),
            min_params: Some(100_000),
            result: Some(6),
            ..Default::default()
        };
        let unnumbered = plan::Published { result: None, ..claim.clone() };
        let published = [("gated".to_string(), claim), ("none".to_string(), unnumbered)].into();
        About { question: "What does the MLP do?".to_string(), published, ..About::default() }
    }

    #[test]
    fn a_claim_stands_beside_the_newest_comparison_of_its_arm() {
        let comparison = compare(&fake::evidence()).unwrap();
        let mut board = entries("mlp", &about());
        assert_eq!(board.len(), 1, "only numbered claims are results");
        let mut newer = comparison.clone();
        for arm in &mut newer.arms {
            arm.runs.iter_mut().for_each(|run| run.finished = "9999".to_string());
            arm.compared.iter_mut().for_each(|ratio| ratio.estimate.mean = 0.5);
        }
        fill(&mut board, &[comparison.clone(), newer, comparison]);
        let [measured] = &board[0].measured[..] else { panic!("{:?}", board[0].measured) };
        assert_eq!((measured.quantity, measured.estimate.as_ref().unwrap().mean), (Quantity::Ratio, 0.5));
        assert_eq!((measured.verdict.clone(), measured.runs.len()), (Verdict::Disagrees, 3));
    }

    #[test]
    fn what_was_not_run_stays_on_the_board_and_other_ablations_do_not_answer() {
        let mut board = entries("another", &about());
        fill(&mut board, &[compare(&fake::evidence()).unwrap()]);
        assert!(board[0].measured.is_empty());
        assert_eq!(board[0].command, "zoo run another");
    }

    #[test]
    fn the_ablations_of_the_zoo_ask_for_the_published_results() {
        let presets = Presets::at("/nowhere");
        let mut board = Vec::new();
        for (name, _) in PresetKind::Ablations.built_in() {
            board.extend(entries(name, &plan::Ablation::load(&presets, name, None, &[]).unwrap().about));
        }
        fill(&mut board, &[]);
        let mut results: Vec<u32> = board.iter().map(|entry| entry.result).collect();
        results.dedup();
        assert_eq!(results, (1..=LAST).collect::<Vec<u32>>());
    }

    /// Results that an ablation asks for.
    const LAST: u32 = 12;
}
