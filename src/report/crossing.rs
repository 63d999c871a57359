//! Whether an effect changes sides over sizes.
//!
//! A crossing is claimed only where the interval leaves out "no effect" on one side at one size and on the other side at
//! another; anything less is a trend that the seeds do not carry.

use super::answer::quoted;
use super::comparison::Comparison;
use super::number::{self, plural};
use crate::statistics::Finding;

/// One sentence per arm that was compared at several sizes.
pub fn crossings(comparisons: &[Comparison]) -> Vec<String> {
    let Some(first) = comparisons.first().filter(|_| comparisons.len() > 1) else { return Vec::new() };
    let names = first.primary_arms().map(|arm| arm.arm.as_str()).filter(|name| *name != first.control);
    names.filter_map(|name| sentence(name, comparisons)).collect()
}

/// Parameters at which an arm is above and below no effect, and how many sizes there are.
fn sentence(name: &str, comparisons: &[Comparison]) -> Option<String> {
    let (mut sizes, mut above, mut below) = (0, Vec::new(), Vec::new());
    for comparison in comparisons {
        let Some(arm) = comparison.primary_arms().find(|arm| arm.arm == name) else { continue };
        let Some((effect, params)) = arm.claim().zip(arm.params) else {
            continue;
        };
        sizes += 1;
        match effect.finding {
            Finding::Above => above.push(params),
            Finding::Below => below.push(params),
            Finding::Equivalent | Finding::Bounded | Finding::Open | Finding::TooFew => {}
        }
    }
    let (name, none) = (quoted(name), comparisons[0].measure.contrast().none());
    let (above_at, below_at) = (listed(&above), listed(&below));
    let over = plural(sizes, "size");
    (sizes > 1).then(|| match (above.is_empty(), below.is_empty()) {
        (false, false) => format!("{name} changes sides: above {none} at {above_at}, below at {below_at}."),
        (false, true) => {
            format!("{name} is above {none} at {above_at}, below at none of {over}: no crossing is shown.")
        }
        (true, false) => {
            format!("{name} is below {none} at {below_at}, above at none of {over}: no crossing is shown.")
        }
        (true, true) => {
            format!("{name}: the interval includes {none} at all of {over}: no crossing is shown.")
        }
    })
}

fn listed(params: &[u64]) -> String {
    let sizes: Vec<String> = params.iter().map(|&params| number::millions(params as f64)).collect();
    format!("{} parameters", number::list(&sizes))
}

#[cfg(test)]
mod tests {
    use super::super::{compare, fake};
    use super::*;

    #[test]
    fn a_crossing_needs_an_interval_on_both_sides() {
        let small = compare(&fake::evidence()).unwrap();
        let mut large = small.clone();
        for arm in &mut large.arms {
            arm.params = arm.params.map(|params| 10 * params);
            if let Some(effect) = arm.compared.as_mut().filter(|_| arm.arm == "gated") {
                effect.finding = Finding::Below;
            }
        }
        let said = crossings(&[small.clone(), large]);
        let find = |name: &str| said.iter().find(|sentence| sentence.starts_with(name)).unwrap().clone();
        assert_eq!(
            find("“gated”"),
            "“gated” changes sides: above 1 at 0.12 M parameters, below at 1.16 M parameters."
        );
        assert!(find("“none”").ends_with("above at none of 2 sizes: no crossing is shown."));
        assert!(find("“quarter”").contains("includes 1 at all of 2 sizes"));
        assert!(crossings(&[small]).is_empty(), "one size has no ladder");
    }
}
