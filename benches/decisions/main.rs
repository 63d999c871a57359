//! How often the intervals of an ablation hold the truth, and how often an arm without an effect is said to have one:
//! 10,000 invented ablations of each kind. `cargo bench --bench decisions`

mod simulation;

use ablation_zoo::statistics::Design;
use simulation::{Scatter, Setting, simulate};

const ABLATIONS: usize = 10_000;

fn main() {
    println!(
        "| scatter | sd of control, arms | arms | seeds | true ratio | coverage | false effects | settled | mean seeds |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let designs = [
        ("3", Design::fixed(3)),
        ("6", Design::fixed(6)),
        ("16", Design::fixed(16)),
        ("4 to 16", Design::sequential(4, 16, 0.1)),
    ];
    for scatter in [Scatter::Normal, Scatter::HeavyTails, Scatter::Skewed] {
        for sd in [[0.1, 0.1], [0.037, 0.116]] {
            for arms in [1, 3, 8] {
                for (seeds, design) in &designs {
                    for ratio in [1.0f64, 1.2] {
                        let setting = Setting { scatter, sd, arms, effect: ratio.ln() };
                        let found = simulate(setting, design, ABLATIONS, 1);
                        println!(
                            "| {scatter:?} | {}, {} | {arms} | {seeds} | {ratio} | {:.3} | {:.3} | {:.2} | {:.1} |",
                            sd[0], sd[1], found.coverage, found.false_effects, found.settled, found.seeds
                        );
                    }
                }
            }
        }
    }
}
