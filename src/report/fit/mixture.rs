//! `L_i(r, s)` of files and runs: the law of the own share beside its rivals, on mixtures that it has not seen, and the
//! mixture that it holds for the best.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::race_curve::labels;
use crate::error::{Error, Kind, Problem, Result};
use crate::laws::mixture::{
    AtZero, FAR, Folds, Form, MixtureLaw, MixturePrediction, Mixtures, Observation, Predictions, Score,
    closed_optimum, extrapolate_steps, fit, held_out_predictions, numeric_optimum,
};
use crate::laws::table::{Demand, Table};
use crate::plan::OPTIMUM;
use crate::report::number;

/// Measured mixtures with their names.
#[derive(Debug, Clone, PartialEq)]
pub struct MixtureData {
    /// Shares, times and losses.
    pub mixtures: Mixtures,
    /// Names of the domains, in the order of the shares.
    pub domains: Vec<String>,
    /// Names of the mixtures, in the order of the measurements; empty for a table.
    pub names: Vec<String>,
}

/// How laws of mixtures are fitted and judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixtureConfig {
    /// How mixtures are left out.
    pub folds: Folds,
    /// What the own-share law does where a share is zero.
    pub at_zero: AtZero,
}

/// Laws of one set of mixtures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MixtureFit {
    /// Mixtures that were measured.
    pub mixtures: usize,
    /// How they were left out, in words.
    pub folds: String,
    /// The laws, the own-share law first.
    pub laws: Vec<Judged>,
    /// What the rivals are worth beside the own-share law, in sentences.
    pub verdicts: Vec<String>,
    /// Domains of which only one mixture has so little: nothing that has not seen it is scored there. In sentences.
    pub cautions: Vec<String>,
    /// Later times, predicted from earlier ones, if there are several.
    pub later: Option<Later>,
    /// The best shares by each law that has them.
    pub optima: Vec<Best>,
    /// The predicted optimum, trained.
    pub test: Option<Tested>,
}

/// A law on mixtures that it has not seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// Why it could not be fitted; the rest is empty then.
    pub refused: Option<String>,
    /// Mean of R2 of log losses over domains, the median over shufflings.
    pub r2: Option<f64>,
    /// The lowest and the highest over shufflings.
    pub r2_range: Option<(f64, f64)>,
    /// Mean relative error over domains.
    pub mean_relative_error: Option<f64>,
    /// By domain.
    pub domains: Vec<(String, Score)>,
    /// Its constants, from all measurements.
    pub law: Option<MixtureLaw>,
    /// What it predicted by shuffling and domain, for a figure.
    #[serde(skip)]
    pub predictions: Vec<Predictions>,
}

/// Times that the fit has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Later {
    /// From this time on.
    pub steps: f64,
    /// Mean relative error.
    pub mean_relative_error: f64,
}

/// The best shares by one law.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Best {
    /// The law.
    pub law: String,
    /// Share by domain.
    pub shares: Vec<(String, f64)>,
    /// Mean loss over domains there.
    pub loss: f64,
    /// Mean loss of equal shares, by the same law.
    pub uniform: f64,
    /// By how much a numeric solver's mean loss differs from the closed form's; nothing where there is no closed form.
    pub numeric_difference: Option<f64>,
}

/// A predicted optimum that was trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tested {
    /// Mean loss over domains of the shares that were trained, by the first law, which has not seen them.
    pub predicted: f64,
    /// Measured, the mean over seeds.
    pub measured: f64,
    /// Measured with equal shares, if they were trained.
    pub uniform: Option<f64>,
    /// The best of the mixtures that the law was fitted to, with its name.
    pub best: Option<(String, f64)>,
}

impl MixtureData {
    /// From one table with shares and losses, or two that share an `index`: columns `share_X` (or `train_X`), `loss_X`
    /// (or `metric/X_val_loss`), and `steps` if there are several times.
    ///
    /// # Errors
    /// A column twice, a loss of a domain without share, a row of one table that the other lacks, shares that do not add
    /// up to 1, a loss that is not positive.
    pub fn of_tables(tables: &[Table]) -> Result<Self> {
        let pick = |patterns: Patterns, what: &str| {
            let of = |table| Ok((table, columns(table, patterns)?));
            let all = tables.iter().map(of).collect::<Result<Vec<(&Table, Vec<(usize, String)>)>>>()?;
            all.into_iter().find(|(_, found)| !found.is_empty()).ok_or_else(|| tables[0].missing(what))
        };
        let (left, shares) = pick(&[("share_", ""), ("train_", "")], "share_X for every domain X")?;
        let (right, losses) = pick(&[("loss_", ""), ("metric/", "_val_loss")], "loss_X for every domain X")?;
        let domains: Vec<String> = shares.iter().map(|(_, name)| name.clone()).collect();
        let target = |(_, name): &(usize, String)| {
            domains.iter().position(|domain| domain == name).ok_or_else(|| {
                let problem = Problem::new(format!("a loss of {name}, which has no share"));
                Error::data(problem.expected(format!("one of {}", domains.join(", "))))
            })
        };
        let targets = losses.iter().map(target).collect::<Result<Vec<usize>>>()?;
        let is_one = std::ptr::eq(left, right);
        let late = left.find(&["steps"])?.map(|column| (left, column));
        let steps = match late {
            None if !is_one => right.find(&["steps"])?.map(|column| (right, column)),
            late => late,
        };
        let numbers = |table: &Table, columns: &[(usize, String)]| {
            let mut wanted: Vec<_> = columns.iter().map(|(column, _)| (*column, Demand::Finite)).collect();
            let steps = steps.filter(|(other, _)| std::ptr::eq(*other, table));
            wanted.extend(steps.map(|(_, column)| (column, Demand::Positive)));
            table.numbers(&wanted)
        };
        let (left_rows, right_rows) = (numbers(left, &shares)?, numbers(right, &losses)?);
        let partners = if is_one { (0..left.len()).collect() } else { partners(left, right)? };
        let observation = |(row, &partner): (&Vec<f64>, &usize)| {
            let other = &right_rows[partner];
            let steps = row.get(shares.len()).or(other.get(losses.len())).copied().unwrap_or(1.0);
            Observation {
                shares: row[..shares.len()].to_vec(),
                steps,
                losses: other[..losses.len()].to_vec(),
            }
        };
        let observations = left_rows.iter().zip(&partners).map(observation).collect();
        let domains = labels(&domains);
        let mixtures = Mixtures::new(targets, observations)?.named(domains.clone());
        Ok(MixtureData { mixtures, domains, names: Vec::new() })
    }

    /// The same without the mixtures of this name, and those alone.
    pub fn split(&self, name: &str) -> (Self, Vec<Observation>) {
        let named = |index: usize| self.names.get(index).is_some_and(|other| other == name);
        let all = self.mixtures.observations().iter().enumerate();
        let (these, others): (Vec<_>, Vec<_>) = all.partition(|(index, _)| named(*index));
        let observations = others.iter().map(|(_, o)| (*o).clone()).collect();
        let mixtures = Mixtures::new(self.mixtures.targets().to_vec(), observations);
        let mixtures = mixtures.map(|mixtures| mixtures.named(self.domains.clone()));
        let names = self.names.iter().filter(|other| *other != name).cloned().collect();
        let rest = mixtures.map(|mixtures| MixtureData { mixtures, domains: self.domains.clone(), names });
        (rest.unwrap_or_else(|_| self.clone()), these.into_iter().map(|(_, o)| o.clone()).collect())
    }

    /// How many different mixtures there are.
    pub fn distinct(&self) -> usize {
        let all = self.mixtures.observations();
        (0..all.len()).filter(|&k| all[..k].iter().all(|other| other.shares != all[k].shares)).count()
    }

    fn times(&self) -> Vec<f64> {
        let mut times: Vec<f64> = self.mixtures.observations().iter().map(|o| o.steps).collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        times
    }

    /// Domains of which only one mixture has so little, or none.
    fn lonely(&self) -> Vec<String> {
        let all = self.mixtures.observations();
        let sentence = |(domain, name): (usize, &String)| {
            let share = |k: &usize| all[*k].shares[domain];
            let least = (0..all.len()).min_by(|a, b| share(a).total_cmp(&share(b)))?;
            let others = (0..all.len()).filter(|k| all[*k].shares != all[least].shares);
            let lowest = others.map(|k| share(&k)).fold(f64::INFINITY, f64::min);
            let has = if share(&least) == 0.0 {
                "no".to_string()
            } else {
                format!("as little as {} of", share(&least))
            };
            (share(&least) < FAR * lowest && lowest.is_finite()).then(|| {
                let mixture = self.mixture(least);
                format!(
                    "Only one mixture has {has} {name}, {mixture}: what laws that have not seen it say of {name} there is not scored."
                )
            })
        };
        self.domains.iter().enumerate().filter_map(sentence).collect()
    }

    /// A mixture in words: its name, or its place and largest shares.
    fn mixture(&self, index: usize) -> String {
        if let Some(name) = self.names.get(index) {
            return name.clone();
        }
        let shares = &self.mixtures.observations()[index].shares;
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by(|a, b| shares[*b].total_cmp(&shares[*a]));
        let share = |&k: &usize| format!("{} {:.3}", self.domains[k], shares[k]);
        let shares: Vec<String> = order.iter().take(MAX_SHARES).map(share).collect();
        let more = if order.len() > MAX_SHARES { ", ..." } else { "" };
        format!("number {} ({}{more})", index + 1, shares.join(", "))
    }

    /// Name of a loss's domain.
    fn target(&self, target: usize) -> &str {
        &self.domains[self.mixtures.targets()[target]]
    }
}

/// Shares of a mixture that are named.
const MAX_SHARES: usize = 5;

/// What stands before and after the name of a domain.
type Patterns = &'static [(&'static str, &'static str)];

/// Table named `{before}{domain}{after}` by any of the patterns, with the domain.
fn columns(table: &Table, patterns: Patterns) -> Result<Vec<(usize, String)>> {
    let domain = |name: &String| {
        let name = name.to_lowercase().replace(' ', "_");
        patterns
            .iter()
            .find_map(|(before, after)| name.strip_prefix(before)?.strip_suffix(after).map(str::to_string))
    };
    let mut found: Vec<(usize, String)> = Vec::new();
    for (column, name) in table.names().iter().enumerate().filter_map(|(k, name)| Some((k, domain(name)?))) {
        if let Some((first, _)) = found.iter().find(|(_, other)| *other == name) {
            return Err(table.twice(&name, *first, column));
        }
        found.push((column, name));
    }
    Ok(found)
}

/// For every row of one table that of the other with the same `index`.
fn partners(left: &Table, right: &Table) -> Result<Vec<usize>> {
    let (key, other) = (left.need(&["index"])?, right.need(&["index"])?);
    // Some programs write 1 as 1.0.
    let index =
        |cell: &str| cell.parse::<f64>().map_or_else(|_| cell.to_string(), |number| number.to_string());
    let mut rows = HashMap::new();
    for row in 0..right.len() {
        if rows.insert(index(right.cell(row, other)), row).is_some() {
            return Err(Error::data(right.wrong(row, other, "each index once")));
        }
    }
    let partner = |row: usize| {
        rows.get(&index(left.cell(row, key))).copied().ok_or_else(|| {
            let cell = left.cell(row, key);
            let found = format!("{} has no row of index {cell}, which is in {}", right.file, left.file);
            Error::data(Problem::new(found).at(left.place(row, key)))
        })
    };
    (0..left.len()).map(partner).collect()
}

/// Fits the laws and judges them.
///
/// # Errors
/// No law can be fitted.
pub fn mixture(data: &MixtureData, config: &MixtureConfig) -> Result<MixtureFit> {
    let (seen, trained) = data.split(OPTIMUM);
    let times = seen.times();
    let own = match times.len() {
        1 => ("own share", Form::OwnShare(config.at_zero)),
        _ => ("own share and time", Form::Bimix(config.at_zero)),
    };
    let rivals = [("exponential", Form::Exponential)];
    let forms = std::iter::once(own).chain(rivals);
    let laws: Vec<Judged> = forms.map(|(name, form)| Judged::of(&seen, name, form, config.folds)).collect();
    if laws.iter().all(|law| law.refused.is_some()) {
        let why = laws.iter().filter_map(|law| Some(format!("{}: {}", law.name, law.refused.as_ref()?)));
        return Err(Error::new(
            Kind::Data,
            Problem::new("no law fits these mixtures").help(why.collect::<Vec<_>>().join("; ")),
        ));
    }
    let last = times[times.len() - 1];
    let later = (times.len() > 2).then(|| extrapolate_steps(&seen.mixtures, own.1, last).ok()).flatten();
    let later = later.map(|scores| Later { steps: last, mean_relative_error: Score::means(&scores).1 });
    let optima: Vec<Best> = laws.iter().filter_map(|law| Best::of(&seen, law, last)).collect();
    let law = laws.iter().find_map(|law| law.law.as_ref());
    let test = law.and_then(|law| Tested::of(&seen, &trained, law, last));
    let count = |folds| match folds {
        Folds::LeaveOneMixtureOut => "each mixture left out in turn".to_string(),
        Folds::Shuffled { count, repeats, .. } => {
            format!("{count} folds of mixtures, shuffled {}", number::plural(repeats as usize, "time"))
        }
    };
    Ok(MixtureFit {
        mixtures: seen.distinct(),
        folds: count(config.folds),
        verdicts: verdicts(&seen, &laws),
        cautions: seen.lonely(),
        laws,
        later,
        optima,
        test,
    })
}

impl Judged {
    fn of(data: &MixtureData, name: &str, form: Form, folds: Folds) -> Self {
        let judged = held_out_predictions(&data.mixtures, form, folds);
        match judged.and_then(|predictions| Ok((predictions, fit(&data.mixtures, form)?))) {
            Ok((predictions, law)) => {
                let targets = 0..data.mixtures.targets().len();
                let score = |target: usize| {
                    let scores = predictions.iter().map(|all| Score::of_predictions(&all[target]));
                    (data.target(target).to_string(), Score::over(&scores.collect::<Vec<Score>>()))
                };
                let means = predictions.iter().map(|all| means(all, None));
                let mean =
                    |(r2, error)| Score { r2, r2_range: (r2, r2), mean_relative_error: error, points: 0 };
                let over = Score::over(&means.map(mean).collect::<Vec<Score>>());
                Judged {
                    name: name.to_string(),
                    refused: None,
                    r2: Some(over.r2),
                    r2_range: Some(over.r2_range),
                    mean_relative_error: Some(over.mean_relative_error),
                    domains: targets.map(score).collect(),
                    law: Some(law),
                    predictions,
                }
            }
            Err(error) => Judged {
                name: name.to_string(),
                refused: Some(error.problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")),
                r2: None,
                r2_range: None,
                mean_relative_error: None,
                domains: Vec::new(),
                law: None,
                predictions: Vec::new(),
            },
        }
    }
}

/// The means over domains of one shuffling, without a mixture.
fn means(predictions: &Predictions, without: Option<usize>) -> (f64, f64) {
    let score = |all: &Vec<MixturePrediction>| {
        Score::of_predictions(all.iter().filter(|p| Some(p.mixture) != without))
    };
    Score::means(&predictions.iter().map(score).collect::<Vec<Score>>())
}

/// Each rival beside the first law: who explains more, if that is so however the mixtures are shuffled and whichever of
/// them is left out.
fn verdicts(data: &MixtureData, laws: &[Judged]) -> Vec<String> {
    let (own, rivals) = (&laws[0], &laws[1..]);
    let numbers: BTreeSet<usize> = own.predictions.iter().flatten().flatten().map(|p| p.mixture).collect();
    let verdict = |rival: &Judged| {
        let (r2, own_r2) = (rival.r2?, own.r2?);
        let (error, own_error) = (rival.mean_relative_error?, own.mean_relative_error?);
        let better =
            own.domains.iter().zip(&rival.domains).filter(|(own, rival)| rival.1.r2 > own.1.r2).count();
        // By how much the rival explains more, in each shuffling.
        let leads = |without: Option<usize>| {
            let pairs = rival.predictions.iter().zip(&own.predictions);
            pairs
                .map(move |(rival, own)| means(rival, without).0 - means(own, without).0)
                .collect::<Vec<f64>>()
        };
        let ahead = |leads: &[f64]| leads.iter().filter(|lead| **lead > 0.0).count();
        let all = leads(None);
        let is_ahead = 2 * ahead(&all) > all.len();
        let decisive = numbers.iter().find(|&&number| {
            let rest = leads(Some(number));
            (2 * ahead(&rest) > rest.len()) != is_ahead
        });
        let (rival_name, own_name) = (&rival.name, &own.name);
        let says = match (ahead(&all), decisive) {
            (count, _) if count > 0 && count < all.len() => {
                format!(
                    "Neither the {rival_name} nor the {own_name} law explains more however the mixtures are shuffled"
                )
            }
            (_, Some(&number)) => format!(
                "Neither the {rival_name} nor the {own_name} law explains more for sure, one mixture alone decides, {}",
                data.mixture(number)
            ),
            (count, None) => {
                let more = if count > 0 { "more" } else { "less" };
                format!("The {rival_name} law explains {more} than the {own_name} law")
            }
        };
        Some(format!(
            "{says}: R2 {}{r2:.3} against {own_r2:.3} in the mean, more for {better} of {} domains; its mean relative \
             error is {:.2} % against {:.2} %.",
            if says.starts_with("The") { String::new() } else { format!("of the {rival_name} law ") },
            own.domains.len(),
            100.0 * error,
            100.0 * own_error
        ))
    };
    rivals.iter().filter_map(verdict).collect()
}

impl Best {
    fn of(data: &MixtureData, judged: &Judged, steps: f64) -> Option<Self> {
        let law = judged.law.as_ref()?;
        let (targets, domains) = (law.targets.len(), data.domains.len());
        let weights = vec![1.0 / targets as f64; targets];
        let numeric = numeric_optimum(law, &weights, domains, steps).ok()?;
        let closed = closed_optimum(law, &weights, domains, steps).ok();
        let best = closed.as_ref().unwrap_or(&numeric);
        let equal = vec![1.0 / domains as f64; domains];
        let uniform =
            (0..targets).map(|target| law.loss(target, &equal, steps)).sum::<f64>() / targets as f64;
        Some(Best {
            law: judged.name.clone(),
            shares: data.domains.iter().cloned().zip(best.shares.iter().copied()).collect(),
            loss: best.loss,
            uniform,
            numeric_difference: closed.as_ref().map(|closed| numeric.loss - closed.loss),
        })
    }
}

impl Tested {
    fn of(data: &MixtureData, trained: &[Observation], law: &MixtureLaw, steps: f64) -> Option<Self> {
        let mean = |o: &Observation| o.losses.iter().sum::<f64>() / o.losses.len() as f64;
        let over = |all: Vec<f64>| (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64);
        let trained = || trained.iter().filter(|o| o.steps == steps);
        let measured = over(trained().map(mean).collect())?;
        let by_law = |o: &Observation| {
            let targets = law.targets.len();
            (0..targets).map(|target| law.loss(target, &o.shares, steps)).sum::<f64>() / targets as f64
        };
        let last = || data.mixtures.observations().iter().enumerate().filter(|(_, o)| o.steps == steps);
        let equal = 1.0 / data.domains.len() as f64;
        let is_uniform = |o: &Observation| o.shares.iter().all(|share| (share - equal).abs() < 1e-3);
        let mut by_name: Vec<(String, Vec<f64>)> = Vec::new();
        for (index, observation) in last() {
            let name = data.names.get(index).cloned().unwrap_or_default();
            match by_name.iter_mut().find(|(other, _)| *other == name) {
                Some((_, losses)) => losses.push(mean(observation)),
                None => by_name.push((name, vec![mean(observation)])),
            }
        }
        let means = by_name.into_iter().filter_map(|(name, losses)| Some((name, over(losses)?)));
        Some(Tested {
            predicted: over(trained().map(by_law).collect())?,
            measured,
            uniform: over(last().filter(|(_, o)| is_uniform(o)).map(|(_, o)| mean(o)).collect()),
            best: means.min_by(|a, b| a.1.total_cmp(&b.1)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seven mixtures of three domains whose losses obey `2 / r^alpha`.
    fn table(shares: &[[f64; 3]]) -> Table {
        let mut text = "share_a,share_b,share_c,loss_a,loss_b,loss_c\n".to_string();
        for r in shares {
            let loss = |k: usize, alpha: f64| 2.0 * r[k].powf(-alpha);
            text.push_str(&format!(
                "{},{},{},{},{},{}\n",
                r[0],
                r[1],
                r[2],
                loss(0, 0.1),
                loss(1, 0.2),
                loss(2, 0.05)
            ));
        }
        Table::parse("m.csv", &text).unwrap()
    }

    const SHARES: [[f64; 3]; 7] = [
        [0.2, 0.3, 0.5],
        [0.5, 0.3, 0.2],
        [0.1, 0.8, 0.1],
        [0.3, 0.1, 0.6],
        [0.6, 0.2, 0.2],
        [0.4, 0.5, 0.1],
        [0.25, 0.5, 0.25],
    ];

    fn config() -> MixtureConfig {
        MixtureConfig { folds: Folds::LeaveOneMixtureOut, at_zero: AtZero::Drop }
    }

    #[test]
    fn the_true_law_predicts_unseen_mixtures_and_its_optimum_is_that_of_the_solver() {
        let data = MixtureData::of_tables(&[table(&SHARES)]).unwrap();
        let found = mixture(&data, &config()).unwrap();
        assert!(found.laws[0].r2.unwrap() > 0.9999, "{:?}", found.laws[0].r2);
        let best = &found.optima[0];
        assert!(best.numeric_difference.unwrap().abs() < 1e-6 && best.loss < best.uniform, "{best:?}");
        assert!(best.shares[1].1 > best.shares[0].1 && best.shares[0].1 > best.shares[2].1, "{best:?}");
        assert!(found.test.is_none());
    }

    #[test]
    fn a_trained_optimum_is_no_part_of_the_fit_that_it_tests() {
        let mut data = MixtureData::of_tables(&[table(&SHARES)]).unwrap();
        data.names = (0..6).map(|k| format!("m{k}")).chain(["optimum".to_string()]).collect();
        let found = mixture(&data, &config()).unwrap();
        assert_eq!(found.mixtures, 6);
        let test = found.test.unwrap();
        // These are not the shares that the law holds for the best, and it is true of them as well.
        assert!((test.predicted - test.measured).abs() < 1e-3, "{test:?}");
        assert!(test.uniform.is_none() && test.best.is_some(), "{test:?}");
        assert!(found.optima[0].loss < test.predicted - 1e-3, "{test:?}");
    }

    #[test]
    fn impossible_mixtures_are_refused_by_name() {
        let off = MixtureData::of_tables(&[table(&[[0.2, 0.2, 0.2]])]).unwrap_err();
        assert!(off.exit_code() == 65 && off.to_string().contains("a sum of 1"), "{off}");
        let stranger = Table::parse("m.csv", "share_a,loss_b\n1,2\n").unwrap();
        let error = MixtureData::of_tables(&[stranger]).unwrap_err().to_string();
        assert!(error.contains("a loss of b, which has no share"), "{error}");
        let shares = Table::parse("s.csv", "index,share_a\n1,1\n2,1\n").unwrap();
        let losses = Table::parse("l.csv", "index,loss_a\n1,3\n").unwrap();
        let error = MixtureData::of_tables(&[shares, losses]).unwrap_err().to_string();
        assert!(error.contains("l.csv has no row of index 2"), "{error}");
    }
}
