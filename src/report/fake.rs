//! Made-up evidence for tests: invented numbers of plausible size, never a result.

use super::evidence::{
    ArmEvidence, Basis, Claim, CurvePoint, Evidence, MissingRun, Published, RunEvidence, TuningTrial,
};
use super::walk::{PathEffects, StepEffect};
use crate::measure::{AttributeBits, Capacity, Loss, MeasureContext, Measurements};
use crate::model::ParamCount;
use crate::plan::{Factor, Factorial, Plan};
use crate::run::{Environment, RunRecord, TrainingSummary};
use crate::statistics::Design;

const PEOPLE: f64 = 5120.0;

/// Four arms of three seeds: one stores fewer bits, one more, one cannot be told from the control.
pub fn evidence() -> Evidence {
    let arm = |name: &str, differs: &str, holds: &str, params, bits: [f64; 3], published| ArmEvidence {
        name: name.to_string(),
        label: None,
        differs: differs.to_string(),
        holds: holds.to_string(),
        published,
        basis: Basis::Primary,
        rate: 1e-3,
        runs: (1..).zip(bits).map(|(seed, bits)| run(seed, params, bits)).collect(),
    };
    let published = |text: &str, ratio| {
        let scale = "≥ 1 M parameters, 100 exposures".to_string();
        Some(Published {
            text: text.to_string(),
            ratio,
            bits_per_param: None,
            scale,
            min_params: Some(1_000_000),
            exposures: None,
        })
    };
    let fewer = published("more than 1.5× fewer", Some(Claim::AtMost(1.0 / 1.5)));
    Evidence {
        name: "mlp".to_string(),
        profile: "quick".to_string(),
        command: "zoo run mlp".to_string(),
        question: "What does the MLP do for knowledge?".to_string(),
        source: "arXiv 2404.05405, Results 5–7, Figures 3–5".to_string(),
        notes: vec![
            "People, order of the text, steps and starting weights are equal in all arms.".to_string(),
        ],
        control: "gpt2".to_string(),
        arms: vec![
            arm("gpt2", "", "", 116_000, [1.20, 1.17, 1.23], None),
            arm(
                "gated",
                "feed_forward = gated-mlp (silu, 8/3)",
                "parameters",
                116_400,
                [1.37, 1.35, 1.42],
                published("1.3× fewer", Some(Claim::About(1.0 / 1.3))),
            ),
            arm(
                "quarter",
                "feed_forward = mlp (expansion 1)",
                "nothing",
                66_800,
                [1.17, 1.21, 1.16],
                published("no visible loss", None),
            ),
            arm("none", "feed_forward = none", "nothing", 49_900, [0.57, 0.55, 0.58], fewer),
        ],
        tuning: tuning(),
        missing: Vec::new(),
        damaged: Vec::new(),
        walk: None,
        factorial: None,
        design: Design::fixed(3),
        parallel_runs: 2,
    }
}

/// The same as a walk of one step: "gated" adds it, "quarter" removes it, "none" is the other end.
pub fn evidence_of_walk() -> Evidence {
    let step = StepEffect {
        name: "feed-forward".to_string(),
        change: "feed_forward: gated-mlp → mlp".to_string(),
        added: "gated".to_string(),
        removed: "quarter".to_string(),
    };
    let (from, from_arm, to) = ("llama".to_string(), "gpt2".to_string(), "none".to_string());
    Evidence { walk: Some(PathEffects { from, from_arm, to, steps: vec![step] }), ..evidence() }
}

/// The same with an arm at the rate of the control, a run that failed and one that was not measured.
pub fn evidence_with_gaps() -> Evidence {
    let mut evidence = evidence();
    evidence.arms.push(ArmEvidence { basis: Basis::EqualRate, ..evidence.arms[3].clone() });
    evidence.arms[1].runs.truncate(2);
    evidence.arms[2].runs.clear();
    evidence.arms[3].runs[0].record.measurements = Measurements::default();
    evidence.missing = vec![
        MissingRun {
            arm: "gated".to_string(),
            seed: 3,
            cause: "loss is not a number at step 812".to_string(),
        },
        MissingRun { arm: "quarter".to_string(), seed: 1, cause: "not run yet".to_string() },
    ];
    evidence
}

/// The same of text without facts: held-out loss only.
pub fn evidence_of_text() -> Evidence {
    let mut evidence = evidence();
    for run in evidence.arms.iter_mut().flat_map(|arm| &mut arm.runs) {
        let bits = run.record.measurements.capacity.take().map_or(0.0, |capacity| capacity.bits_per_param);
        run.record.measurements.held_out = Some(Loss { nats_per_token: 4.0 - bits, tokens: 100_000 });
    }
    evidence.tuning.iter_mut().for_each(|trial| trial.value = 4.0 - trial.value);
    evidence
}

/// The four arms as the cells of two factors.
pub fn evidence_of_factorial() -> Evidence {
    let factor = |name: &str, levels: [&str; 2]| Factor {
        name: name.to_string(),
        levels: levels.map(str::to_string).to_vec(),
    };
    let factors = vec![factor("feed_forward", ["mlp", "none"]), factor("position", ["rope", "none"])];
    let cells = [([0, 0], "gpt2"), ([0, 1], "gated"), ([1, 0], "quarter"), ([1, 1], "none")];
    let cells = cells.map(|(cell, arm)| (cell.to_vec(), arm.to_string())).to_vec();
    Evidence { factorial: Some(Factorial { factors, cells }), ..evidence() }
}

fn tuning() -> Vec<TuningTrial> {
    let arms = [("gpt2", 1.2), ("gated", 1.36), ("quarter", 1.16), ("none", 0.56)];
    let rates = [(2.5e-4, 0.55), (5e-4, 0.86), (1e-3, 0.99), (2e-3, 0.7)];
    let all = arms.into_iter().flat_map(|arm| rates.map(|rate| (arm, rate)));
    all.flat_map(|((arm, best), (rate, share))| {
        [(101, 0.98), (102, 1.02)].map(|(seed, luck)| TuningTrial {
            arm: arm.to_string(),
            rate,
            values: Vec::new(),
            seed,
            value: best * share * luck,
        })
    })
    .collect()
}

fn run(seed: u64, params: u64, bits_per_param: f64) -> RunEvidence {
    let curve = curve(params as f64, bits_per_param, seed);
    let last = curve[curve.len() - 1];
    let record = RunRecord {
        format: 1,
        fingerprint: format!("{:016x}", seed.wrapping_mul(params).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        plan: Plan { seed, ..Plan::default() },
        environment: Environment {
            version: "0.1.0".to_string(),
            commit: Some("2458b29".to_string()),
            device: "cpu".to_string(),
            kernels: "avx512".to_string(),
            processor: "Made-up Processor 9000".to_string(),
            platform: "linux x86_64".to_string(),
            threads: 2,
            finished: format!("2026-11-21T1{seed}:00:00Z"),
            weights_of: None,
        },
        params: ParamCount { total: params, embedding: 16_704, active: params },
        training: TrainingSummary {
            steps: 32_000,
            tokens: last.tokens,
            flops: last.flops,
            seconds: last.seconds,
            final_loss: last.loss,
            elapsed: None,
            peak_bytes: 64 << 20,
        },
        measurements: Measurements {
            capacity: Some(capacity(params as f64, bits_per_param)),
            ..Measurements::default()
        },
    };
    RunEvidence { seed, record, curve }
}

fn capacity(params: f64, bits_per_param: f64) -> Capacity {
    let max_bits = PEOPLE * 53.0;
    let share = bits_per_param * params / max_bits;
    let attributes = [
        ("birth date", 16.04, 0.9),
        ("birth city", 7.64, 1.0),
        ("university", 8.23, 1.1),
        ("employer", 8.04, 1.2),
    ];
    Capacity {
        bits: bits_per_param * params,
        name_bits: PEOPLE * 5.0,
        value_bits: bits_per_param * params - PEOPLE * 5.0,
        diversity_bits: 0.0,
        max_bits,
        bits_per_param,
        max_bits_per_param: max_bits / params,
        params: params as u64,
        name_nats: 8.5,
        value_nats: 12.0,
        attributes: attributes
            .map(|(name, max_bits, ease)| AttributeBits {
                name: name.to_string(),
                bits: max_bits * (share * ease).min(1.0),
                max_bits,
            })
            .to_vec(),
        fully_known: share * share,
        measurement_error: 0.004,
        people: PEOPLE as u64,
        renderings: 4,
        context: MeasureContext::Alone,
        given_source: None,
    }
}

/// A plateau, a fall, and noise that depends on the seed alone.
fn curve(params: f64, bits_per_param: f64, seed: u64) -> Vec<CurvePoint> {
    let floor = 3.1 - 0.9 * bits_per_param;
    (1..=320u64)
        .map(|index| {
            let share = index as f64 / 320.0;
            let scattered =
                (index * 0x9e37_79b9 + seed * 0x85eb_ca6b).wrapping_mul(0xc2b2_ae3d_27d4_eb4f) >> 32;
            let noise = 0.12 * (scattered as f64 / u32::MAX as f64 - 0.5);
            let fall = 1.0 / (1.0 + (12.0 * (share - 0.35)).exp());
            CurvePoint {
                tokens: index * 25_600,
                flops: 6.0 * params * (index * 25_600) as f64,
                seconds: share * params / 1000.0,
                loss: floor + (3.3 - floor) * fall + 2.2 * (-share * 60.0).exp() + noise,
                lr: 1e-3 * (1.0 - 0.9 * share),
                bits_per_param: index.is_multiple_of(10).then_some(1.2 * (1.0 - fall) - 0.2),
            }
        })
        .collect()
}
