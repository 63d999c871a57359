//! The race on real curves: LLaMA-1 (Touvron et al. 2023, figure 1). Skipped when the files are absent.

use super::*;
use crate::laws::bootstrap::Bootstrap;
use crate::laws::measured_data;
use crate::laws::scaling::{BESIROGLU, HOFFMANN};

/// Name, parameters, tokens per second and device.
const RUNS: [(&str, f64, f64); 4] =
    [("7B", 6.7e9, 3384.3), ("13B", 13.0e9, 2063.9), ("33B", 32.5e9, 730.5), ("65B", 65.2e9, 379.0)];

fn llama() -> Option<Vec<Curve>> {
    let folder = measured_data("llama-curves")?;
    let read = |(name, _, _): &(&str, f64, f64)| {
        let path = folder.join(format!("llama1-{name}.tsv"));
        let text = std::fs::read_to_string(&path).unwrap();
        // Read off a figure: the path of the pen goes back by a few hours now and then.
        assert!(Records::parse("llama", &text, Rows::InOrder).unwrap_err().to_string().contains("goes back"));
        Records::parse("llama", &text, Rows::AnyOrder).unwrap().curve(name, Axis::Hours, Stage::Raw).unwrap()
    };
    Some(RUNS.iter().map(read).collect())
}

fn config() -> CrossingConfig {
    CrossingConfig {
        bootstrap: Bootstrap { replicates: 100, ..Bootstrap::default() },
        ..CrossingConfig::default()
    }
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..4).flat_map(|i| (i + 1..4).map(move |j| (i, j)))
}

#[test]
fn on_hours_only_the_two_smallest_cross_and_their_last_touch_is_unresolved() {
    let Some(curves) = llama() else { return };
    for (i, j) in pairs() {
        let found = crossings(&curves[i], &curves[j], &config()).unwrap();
        println!("{found}");
        if (i, j) != (0, 1) {
            assert!(
                found.crossings.is_empty() && found.leads.iter().all(|lead| lead.side == Side::First),
                "{found}"
            );
            continue;
        }
        let at: Vec<f64> = found.crossings.iter().map(|crossing| crossing.at.estimate).collect();
        assert_eq!(at.len(), 2, "{found}");
        assert!((at[0] / 2.2e4 - 1.0).abs() < 0.1 && (at[1] / 5.9e4 - 1.0).abs() < 0.1, "{found}");
        assert_eq!((found.crossings[0].ahead, found.crossings[1].ahead), (Side::Second, Side::First));
        let last = found.touches.last().unwrap();
        assert!(last.to > 8.1e4 && last.difference < 1e-3, "{found}");
    }
}

#[test]
fn on_flops_none_cross() {
    let Some(curves) = llama() else { return };
    let flops: Vec<Curve> = curves
        .iter()
        .zip(RUNS)
        .map(|(curve, (_, params, speed))| curve.on(Axis::Flops, &Throughput::of_params(params, speed)))
        .collect();
    for (i, j) in pairs() {
        let found = crossings(&flops[i], &flops[j], &config()).unwrap();
        println!("{found}");
        assert!(found.crossings.is_empty(), "{found}");
    }
}

#[test]
fn the_small_models_line_is_absurd_at_the_large_models_hours() {
    let Some(curves) = llama() else { return };
    let to = curves[3].range().1;
    for law in [HOFFMANN, BESIROGLU] {
        let answers = extrapolate(&curves[0], 6.7e9, &Throughput::of_params(6.7e9, 3384.3), &law, to);
        println!("{answers:#?}");
        assert_eq!(answers[0].verdict, ExtrapolationVerdict::Negative);
        // Both laws are of another corpus and tokenizer; moved onto the curve they are plausible.
        assert!(matches!(answers[1].verdict, ExtrapolationVerdict::AboveMeasured { .. }));
        assert_eq!(answers[2].verdict, ExtrapolationVerdict::Plausible);
    }
}
