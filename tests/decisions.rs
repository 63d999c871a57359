//! What is claimed of several arms is true as often as it says.

#[path = "../benches/decisions/simulation.rs"]
mod simulation;

use ablation_zoo::statistics::Design;
use simulation::{Scatter, Setting, simulate};

const ABLATIONS: usize = 500;

/// Three standard errors of 500 ablations of which 95 in 100 are right.
const ERROR: f64 = 0.03;

#[test]
fn intervals_of_all_arms_at_all_looks_hold_together_and_effects_are_seldom_invented() {
    for design in [Design::fixed(3), Design::fixed(6), Design::sequential(4, 16, 0.1)] {
        for (arms, sd) in [(1, [0.1, 0.1]), (3, [0.037, 0.116]), (8, [0.1, 0.1])] {
            let setting = Setting { scatter: Scatter::Normal, sd, arms, effect: 0.0 };
            let found = simulate(setting, &design, ABLATIONS, 7);
            assert!(found.coverage >= 0.95 - ERROR, "{found:?} of {setting:?}, {design:?}");
            assert!(found.false_effects <= 0.05 + ERROR, "{found:?} of {setting:?}, {design:?}");
        }
    }
}

/// What is said of skewed and heavy-tailed scatter in docs/answers.md.
#[test]
fn heavy_tails_and_skewness_invent_no_more_effects() {
    for scatter in [Scatter::HeavyTails, Scatter::Skewed] {
        let setting = Setting { scatter, sd: [0.1, 0.1], arms: 3, effect: 0.0 };
        let found = simulate(setting, &Design::sequential(4, 16, 0.1), ABLATIONS, 7);
        assert!(found.false_effects <= 0.05 + ERROR, "{found:?} of {setting:?}");
    }
}

#[test]
fn looks_save_seeds_where_the_effect_is_clear_and_settle_what_three_seeds_leave_open() {
    let setting = |effect| Setting { scatter: Scatter::Normal, sd: [0.1, 0.1], arms: 3, effect };
    let [fixed, looks] = [Design::fixed(3), Design::sequential(4, 16, 0.1)];
    let clear = simulate(setting(-0.7), &looks, ABLATIONS, 7);
    assert!(clear.seeds < 6.0 && clear.settled > 0.99, "{clear:?}");
    let (three, until) =
        (simulate(setting(0.18), &fixed, ABLATIONS, 7), simulate(setting(0.18), &looks, ABLATIONS, 7));
    assert!(three.settled < 0.3 && until.settled > 0.9, "{three:?} {until:?}");
}
