//! `--for TIME`: the largest size of an ablation, and the most seeds, that fit a time by the forecast.

use std::time::Duration;

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Problem};
use ablation_zoo::plan::{Ablation, Calibration, Presets, forecast, resolve, stages};
use clap::Args;

use super::laws::profiles;
use super::{Overrides, execute, output};

/// Seeds at which a comparison may end, the most first; the first two are tried at every size before a smaller size is.
const MOST_SEEDS: [u64; 5] = [16, 12, 8, 6, 4];

/// Fewer seeds than this are taken only where no size has as many.
const ENOUGH: u64 = 6;

/// The time that all runs may take.
#[derive(Debug, Args)]
pub struct BudgetArgs {
    /// Choose the size and the seeds that fit a time by the forecast: 90s, 20m, 2h
    #[arg(long = "for", value_name = "TIME", value_parser = execute::time)]
    time: Option<Duration>,
}

/// What was chosen.
struct Choice {
    sets: Vec<String>,
    seconds: f64,
}

impl BudgetArgs {
    /// The ablation as it is asked for, or in the form that fits the time; with the overrides that make it, and what was
    /// chosen in words.
    ///
    /// # Errors
    /// As [`Ablation::load`], or if nothing fits.
    pub fn load(
        &self,
        name: &str,
        overrides: &Overrides,
        speed: impl FnOnce() -> Calibration,
    ) -> Result<(Ablation, Vec<String>, Option<String>)> {
        let asked = overrides.sets.all();
        let load = |sets: &[String]| {
            let sets = [&asked, sets].concat();
            Ablation::load(&Presets::here(), name, overrides.profile.as_deref(), &sets)
        };
        let base = load(&[])?;
        let Some(time) = self.time else { return Ok((base, asked, None)) };
        let speed = speed();
        let chosen = choose(&base, &asked, time.as_secs_f64(), &speed, &load)?;
        let sets = chosen.sets.iter().map(|set| format!(" --set '{set}'")).collect::<String>();
        let [takes, time] = [chosen.seconds, time.as_secs_f64()].map(output::duration);
        let nearest = nearest(name, chosen.seconds, &speed)?;
        let said = format!("{takes} at most fits {time}{nearest}:{sets}");
        Ok((load(&chosen.sets)?, [asked, chosen.sets].concat(), Some(said)))
    }
}

/// The profile that takes about as long, by ratio: `, about as profile quick (6 min)`.
fn nearest(name: &str, seconds: f64, speed: &Calibration) -> Result<String> {
    let presets = Presets::here();
    let of_profile = |profile: String| {
        // One whose data is not here takes no time that could be told.
        let ablation = Ablation::load(&presets, name, Some(&profile), &[]).ok()?;
        Some((self::seconds(&ablation, speed).ok()?, profile))
    };
    let far = |(other, _): &(f64, String)| (other / seconds).ln().abs();
    let all = profiles(&presets, name)?.into_iter().filter_map(of_profile);
    let nearest = all.min_by(|a, b| far(a).total_cmp(&far(b)));
    let said = |(seconds, profile)| format!(", about as profile {profile} ({})", output::duration(seconds));
    Ok(nearest.map_or_else(String::new, said))
}

/// Whether the command line sets a key itself, which is then left alone.
fn is_set(asked: &[String], key: &str) -> bool {
    asked.iter().any(|set| set.split('=').next().is_some_and(|set| set.trim() == key))
}

fn choose(
    base: &Ablation,
    asked: &[String],
    time: f64,
    speed: &Calibration,
    load: &dyn Fn(&[String]) -> Result<Ablation>,
) -> Result<Choice> {
    let (mut best, mut least): (Option<(u64, Choice)>, f64) = (None, f64::INFINITY);
    for size in sizes(base, asked, load)? {
        let of = |seeds: u64| -> Result<Choice> {
            let seeds = format!(
                "repeat.seeds={{ at_least = 4, at_most = {seeds}, within = {} }}",
                base.repeat.within
            );
            let seeds = (!is_set(asked, "repeat.seeds")).then_some(seeds);
            let sets: Vec<String> = size.iter().cloned().chain(seeds).collect();
            let seconds = seconds(&load(&sets)?, speed)?;
            Ok(Choice { sets, seconds })
        };
        let Ok(fewest) = of(MOST_SEEDS[MOST_SEEDS.len() - 1]) else { continue };
        least = least.min(fewest.seconds);
        if fewest.seconds > time {
            continue;
        }
        for seeds in MOST_SEEDS {
            let choice = of(seeds)?;
            if choice.seconds <= time {
                // Sizes rise: a larger one wins unless it would cost the seeds that decide.
                if seeds >= ENOUGH || best.as_ref().is_none_or(|(known, _)| *known < ENOUGH) {
                    best = Some((seeds, choice));
                }
                break;
            }
        }
    }
    best.map(|(_, choice)| choice).ok_or_else(|| {
        let problem = Problem::new(output::duration(time)).key("--for");
        let problem = problem.expected(format!(
            "{} or more: the smallest choice on the fewest seeds",
            output::duration(least)
        ));
        Error::config(problem.help("or `--profile smoke`, which shows that every step works"))
    })
}

/// The overrides of every size that the ablation can take, fewest parameters first; people grow with the parameters, so that
/// the load stays. One that names no size has its own only; so has one that compares sizes, or whose size is asked for.
fn sizes(
    base: &Ablation,
    asked: &[String],
    load: &dyn Fn(&[String]) -> Result<Ablation>,
) -> Result<Vec<Vec<String>>> {
    let own = base.control(base.sizes()[0]);
    let is_asked = ["size", "control.size"].iter().any(|key| is_set(asked, key));
    if own.size.is_empty() || base.sizes().len() > 1 || is_asked {
        return Ok(vec![Vec::new()]);
    }
    let params = |ablation: &Ablation| ablation.control(ablation.sizes()[0]).params;
    let is_given = is_set(asked, "data.people");
    let people = own
        .resolved
        .plan
        .data
        .documents_per_exposure()
        .ok()
        .filter(|_| own.resolved.plan.data.has_people() && !is_given);
    let mut found = Vec::new();
    for name in resolve::sizes(&Presets::here(), &base.model)? {
        let size = format!("size={name:?}");
        let Ok(sized) = load(std::slice::from_ref(&size)) else { continue };
        let ratio = params(&sized).total as f64 / own.params.total as f64;
        let load = people.map(|people| format!("data.people={}", (people as f64 * ratio).round().max(1.0)));
        found.push((params(&sized).total, std::iter::once(size).chain(load).collect::<Vec<String>>()));
    }
    found.sort_by_key(|(params, _)| *params);
    Ok(found.into_iter().map(|(_, sets)| sets).collect())
}

/// Seconds until all that may be is done.
fn seconds(ablation: &Ablation, speed: &Calibration) -> Result<f64> {
    let known = ablation.forecast();
    let all = [&known.certain[..], &known.likely[..]].concat();
    forecast::seconds(&stages(&known.certain)?, &all, speed)
}
