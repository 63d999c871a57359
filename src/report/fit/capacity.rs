//! How many bits a parameter can hold, from finished runs of many sizes and many people, by exposures.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::measured::Measured;
use crate::error::{Error, Problem, Result};
use crate::laws::bootstrap::{Bootstrap, Interval};
use crate::laws::capacity::{CapacityLaw, EXPONENTS, Growth, Known, SHARPNESS, fit, log_error, published};
use crate::laws::table::{self, Demand, Problems, Table};
use crate::plan::difference::between;
use crate::report::number;

/// What a law of capacity is fitted to.
#[derive(Debug, Clone, PartialEq)]
pub struct CapacityData {
    models: Vec<Model>,
    notes: Vec<String>,
}

/// A trained model.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Model {
    known: Known,
    /// How often it met each document, if its length says so.
    exposures: Option<u64>,
}

/// Laws of capacity, one for each number of exposures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Capacities {
    /// By growing exposures.
    pub groups: Vec<CapacityGroup>,
    /// Sentences about what was left out.
    pub notes: Vec<String>,
}

/// Models that met each document equally often.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CapacityGroup {
    /// How often; null where lengths are not told in exposures.
    pub exposures: Option<u64>,
    /// Sizes and loads, the smallest first, seeds averaged.
    pub loads: Vec<Load>,
    /// The law of these models.
    pub law: Option<Judgement>,
    /// Why there is no law.
    pub refused: Option<String>,
    /// The same law through the points of Figure 1 of arXiv 2404.05405, where it has some for these exposures.
    pub published: Option<Judgement>,
    /// Each model, for a figure.
    #[serde(skip)]
    pub models: Vec<Known>,
    /// The published models, for a figure.
    #[serde(skip)]
    pub published_models: Vec<Known>,
}

/// Models of one size that had the same to learn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Load {
    /// Parameters.
    pub params: f64,
    /// Bits of all that there is to know.
    pub max_bits: f64,
    /// The same per parameter, `R_max`.
    pub max_bits_per_param: f64,
    /// Bits per parameter that they know, mean over runs.
    pub bits_per_param: f64,
    /// How many.
    pub runs: usize,
    /// Whether no other load of this size left more: the envelope.
    pub is_peak: bool,
}

/// A law and how well it is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// Models it was fitted to.
    pub models: usize,
    /// Their smallest and largest number of parameters.
    pub sizes: (f64, f64),
    /// Bits per parameter that can be held, the same at every size.
    pub capacity: Interval,
    /// How sharp the bend is.
    pub sharpness: Interval,
    /// Root mean square of `ln R`, measured less fitted.
    pub log_error: f64,
    /// `a` where bits that can be held grow as `P^a`, from a fit of its own; null unless two sizes have more to learn
    /// than they hold.
    pub exponent: Option<Interval>,
    /// Root mean square of `ln R` of that fit.
    pub log_error_of_growth: Option<f64>,
    /// Constants at the bounds of their search, in sentences: the models do not tell them.
    pub doubts: Vec<String>,
    /// The law at one capacity for every size.
    #[serde(skip)]
    pub law: CapacityLaw,
}

/// Keys of plans that make the size of a model and what there is to know.
const SIZE_AND_LOAD: [&str; 5] =
    ["model.d_model", "model.n_layers", "model.n_heads", "model.n_kv_heads", "data.people"];

/// Columns in which runs of one kind may differ: names, noise, machines, and what was measured.
const NOT_SETTINGS: [&str; 18] = [
    "active_params",
    "device",
    "dtype",
    "final_loss",
    "fingerprint",
    "finished",
    "fully_known",
    "held_out_nats_per_token",
    "kernels",
    "measurement_error",
    "name",
    "peak_bytes",
    "processor",
    "right_answers",
    "run",
    "seed",
    "threads",
    "version",
];

/// Values of a column that are named.
const MAX_VALUES: usize = 4;

/// A model that knows less than this share of what there is to know is full.
const BEYOND_THE_BEND: f64 = 0.9;

impl CapacityData {
    /// From a table with `params`, `bits` and `max_bits` (or `max_bits_per_param`), and `exposures` if known, such as
    /// `zoo export --to csv` writes. Rows of runs of which nothing was measured are left out.
    ///
    /// # Errors
    /// A column is missing or there twice, or a number of parameters or bits to know is not positive.
    pub fn of_table(table: &Table) -> Result<Self> {
        let (params, bits) = (table.need(&["params"])?, table.need(&["bits"])?);
        let (most, per_param) = (table.find(&["max_bits"])?, table.find(&["max_bits_per_param"])?);
        let max_bits = most.or(per_param).ok_or_else(|| table.missing("max_bits"))?;
        let exposures = table.find(&["exposures"])?;
        let columns = [(params, Demand::Positive), (bits, Demand::Finite), (max_bits, Demand::Positive)];
        let file = &table.file;
        let (table, unmeasured) = table.measured(&[bits, max_bits]);
        let (mut models, mut problems) = (Vec::new(), Problems::default());
        for row in 0..table.len() {
            let Some(numbers) = table.row(row, &columns, &mut problems) else { continue };
            let [params, known, max_bits] = numbers[..] else { continue };
            let max_bits = if most.is_some() { max_bits } else { max_bits * params };
            // A number that was divided and multiplied again may have lost its last digit.
            if known > max_bits * (1.0 + 1e-9) {
                let found = format!("{known} of {max_bits} bits in {params} parameters");
                problems.push(|| {
                    Problem::new(found).at(table.place(row, bits)).expected("no more bits than there are")
                });
            }
            let exposures = exposures.filter(|column| !table.cell(row, *column).is_empty());
            let exposures =
                exposures.and_then(|column| table.row(row, &[(column, Demand::Positive)], &mut problems));
            let known = Known { params, bits: known, max_bits };
            models.push(Model { known, exposures: exposures.map(|count| count[0].round() as u64) });
        }
        let models = problems.finish(file, models)?;
        let mut notes = Vec::new();
        if unmeasured > 0 {
            let rows = number::plural(unmeasured, "row");
            notes.push(format!("Left out, as no bits were measured: {rows} of {file}."));
        }
        let used = [Some(params), Some(bits), Some(max_bits), per_param, exposures];
        let columns = (0..table.names().len()).filter(|column| !used.contains(&Some(*column)));
        let settings: Vec<String> = columns.filter_map(|column| setting(&table, column, &models)).collect();
        notes.extend(beyond(&settings));
        Ok(CapacityData::of(models, notes))
    }

    /// From finished runs on data with facts.
    pub fn of_runs(runs: &[Measured]) -> Self {
        let model = |run: &Measured| {
            let capacity = run.record.measurements.capacity.as_ref()?;
            let exposures = run.record.plan.training.length.exposures();
            let known =
                Known { params: capacity.params as f64, bits: capacity.bits, max_bits: capacity.max_bits };
            Some(Model { known, exposures })
        };
        let settings: BTreeSet<String> = runs
            .iter()
            .flat_map(|run| between(&runs[0].record.plan, &run.record.plan))
            .map(|difference| difference.key)
            .filter(|key| key.starts_with("model.") || key.starts_with("data."))
            .filter(|key| !SIZE_AND_LOAD.contains(&key.as_str()))
            .collect();
        let notes = beyond(&settings.into_iter().collect::<Vec<_>>());
        CapacityData::of(runs.iter().filter_map(model).collect(), notes.into_iter().collect())
    }

    /// Without models that know nothing, whose logarithm there is none of.
    fn of(models: Vec<Model>, mut notes: Vec<String>) -> Self {
        let (models, empty): (Vec<Model>, Vec<Model>) =
            models.into_iter().partition(|model| model.known.bits > 0.0);
        if !empty.is_empty() {
            notes.push(format!("Left out, as they know nothing: {}.", number::plural(empty.len(), "model")));
        }
        CapacityData { models, notes }
    }
}

/// That models differ in what the law knows nothing of.
fn beyond(settings: &[String]) -> Option<String> {
    (!settings.is_empty()).then(|| {
        format!(
            "The models differ in more than size and load, which the law takes for noise: {}.",
            settings.join(", ")
        )
    })
}

/// A column that tells models apart and is no measurement, with its values: words of which some come twice, or numbers of
/// which models of one size and load have several.
fn setting(table: &Table, column: usize, models: &[Model]) -> Option<String> {
    let name = &table.names()[column];
    if NOT_SETTINGS.contains(&name.to_lowercase().as_str()) {
        return None;
    }
    let cells: Vec<&str> = (0..table.len()).map(|row| table.cell(row, column)).collect();
    let values: BTreeSet<&str> = cells.iter().copied().filter(|cell| !cell.is_empty()).collect();
    if values.len() < 2 || values.len() == table.len() {
        return None;
    }
    let mut of_load = HashMap::new();
    let within_a_load = models.iter().zip(&cells).any(|(model, cell)| {
        let load = (model.known.params.to_bits(), model.known.max_bits.to_bits());
        *of_load.entry(load).or_insert(cell) != cell
    });
    if values.iter().all(|value| value.parse::<f64>().is_ok()) && !within_a_load {
        return None;
    }
    let mut shown: Vec<String> = values.iter().take(MAX_VALUES).map(|value| table::shown(value)).collect();
    if values.len() > MAX_VALUES {
        shown.push("...".to_string());
    }
    Some(format!("{} ({})", table::shown(name), shown.join(", ")))
}

/// Fits the models of each number of exposures.
///
/// # Errors
/// There are no models that know anything.
pub fn capacity(data: &CapacityData, bootstrap: &Bootstrap) -> Result<Capacities> {
    if data.models.is_empty() {
        let problem = Problem::new("no model that knows any facts");
        let problem = problem.expected("finished runs on biographies (biod, bios, bior)");
        return Err(Error::data(problem.help("train for longer, then `zoo fit capacity` again")));
    }
    let mut models = data.models.clone();
    models.sort_by_key(|model| model.exposures);
    let groups = models.chunk_by(|a, b| a.exposures == b.exposures);
    Ok(Capacities {
        groups: groups.map(|group| of_group(group, bootstrap)).collect(),
        notes: data.notes.clone(),
    })
}

fn of_group(group: &[Model], bootstrap: &Bootstrap) -> CapacityGroup {
    let exposures = group[0].exposures;
    let models: Vec<Known> = group.iter().map(|model| model.known).collect();
    let (law, refused) = match judge(&models, bootstrap) {
        Ok(law) => (Some(law), None),
        Err(error) => {
            (None, Some(error.problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")))
        }
    };
    let published_models = exposures.and_then(published).unwrap_or_default();
    let published = judge(&published_models, bootstrap).ok();
    CapacityGroup { exposures, loads: loads(&models), law, refused, published, models, published_models }
}

fn judge(models: &[Known], bootstrap: &Bootstrap) -> Result<Judgement> {
    let alike = fit(models, Growth::Linear, bootstrap)?;
    let growing = (sizes_beyond_the_bend(models) >= 2).then(|| fit(models, Growth::Fitted, bootstrap).ok());
    let growing = growing.flatten();
    let sizes = models.iter().map(|known| known.params);
    let sharpness = alike.interval(|law| law.sharpness);
    let exponent = growing.as_ref().map(|fitted| fitted.interval(|law| law.exponent));
    let constants = [
        ("the sharpness of the bend", Some(sharpness), SHARPNESS),
        ("the exponent of growth", exponent, EXPONENTS),
    ];
    Ok(Judgement {
        models: models.len(),
        sizes: (sizes.clone().fold(f64::INFINITY, f64::min), sizes.fold(0.0, f64::max)),
        capacity: alike.interval(|law| law.capacity),
        sharpness,
        log_error: log_error(&alike.law, models),
        exponent,
        log_error_of_growth: growing.as_ref().map(|fitted| log_error(&fitted.law, models)),
        doubts: constants.into_iter().filter_map(|(name, at, bounds)| at_bound(name, &at?, bounds)).collect(),
        law: alike.law,
    })
}

/// That a constant, or an end of its interval, is where its search ends.
fn at_bound(name: &str, at: &Interval, (low, high): (f64, f64)) -> Option<String> {
    let is = |value: f64, bound: f64| (value - bound).abs() <= 1e-6 * high;
    let bound =
        |values: &[f64]| [low, high].into_iter().find(|&end| values.iter().any(|value| is(*value, end)));
    match (bound(&[at.estimate]), bound(&[at.low, at.high])) {
        (Some(end), _) => {
            Some(format!("{name} stands at the bound of its search, {end}: these models do not tell it"))
        }
        (None, Some(end)) => Some(format!(
            "the interval of {name} ends at the bound of its search, {end}: these models do not limit it"
        )),
        (None, None) => None,
    }
}

/// Sizes of which some model has more to learn than it holds; the others do not say how much they could.
fn sizes_beyond_the_bend(models: &[Known]) -> usize {
    let beyond = models.iter().filter(|known| known.bits < BEYOND_THE_BEND * known.max_bits);
    let mut sizes: Vec<f64> = beyond.map(|known| known.params).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    sizes.len()
}

/// Sizes and loads, seeds averaged: seeds of one load differ in its bits by what their names happen to be.
fn loads(models: &[Known]) -> Vec<Load> {
    let mut sorted = models.to_vec();
    sorted.sort_by(|a, b| a.params.total_cmp(&b.params).then(a.max_bits.total_cmp(&b.max_bits)));
    let load = |seeds: &[Known]| {
        let mean = |of: fn(&Known) -> f64| seeds.iter().map(of).sum::<f64>() / seeds.len() as f64;
        Load {
            params: seeds[0].params,
            max_bits: mean(|known| known.max_bits),
            max_bits_per_param: mean(Known::max_bits_per_param),
            bits_per_param: mean(Known::bits_per_param),
            runs: seeds.len(),
            is_peak: false,
        }
    };
    let alike = |a: &Known, b: &Known| a.params == b.params && b.max_bits < 1.001 * a.max_bits;
    let mut loads: Vec<Load> = sorted.chunk_by(alike).map(load).collect();
    for size in loads.chunk_by_mut(|a, b| a.params == b.params) {
        if let Some(peak) = size.iter_mut().max_by(|a, b| a.bits_per_param.total_cmp(&b.bits_per_param)) {
            peak.is_peak = true;
        }
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: CapacityLaw = CapacityLaw { capacity: 1.6, sharpness: 4.0, exponent: 1.0, reference: 1e5 };

    fn table(exposures: &str) -> Table {
        let mut text = "params,bits,max_bits,exposures\n".to_string();
        for params in [3e4, 1e5] {
            for load in [0.7, 1.4, 2.0, 3.0] {
                for wobble in [0.99, 1.01] {
                    let bits = params * LAW.bits_per_param(params, load) * wobble;
                    text.push_str(&format!(
                        "{params},{},{},{exposures}\n",
                        bits.min(load * params),
                        load * params
                    ));
                }
            }
        }
        Table::parse("runs.csv", &text).unwrap()
    }

    fn found(table: &Table) -> Capacities {
        let bootstrap = Bootstrap { replicates: 100, ..Bootstrap::default() };
        capacity(&CapacityData::of_table(table).unwrap(), &bootstrap).unwrap()
    }

    #[test]
    fn the_capacity_is_found_and_the_published_one_stands_beside_it() {
        let found = found(&table("1000"));
        let group = &found.groups[0];
        let law = group.law.as_ref().unwrap();
        assert!(law.capacity.contains(1.6) && law.exponent.unwrap().contains(1.0), "{law:?}");
        assert!(group.published.as_ref().unwrap().capacity.estimate > 2.0);
        assert_eq!((group.loads.len(), group.loads[0].runs), (8, 2));
        let peaks: Vec<f64> =
            group.loads.iter().filter(|load| load.is_peak).map(|load| load.max_bits_per_param).collect();
        assert!(peaks.iter().all(|peak| (peak - 3.0).abs() < 1e-9) && peaks.len() == 2, "{peaks:?}");
    }

    #[test]
    fn exposures_are_never_mixed() {
        let text = "params,bits,max_bits,exposures\n1e5,1e5,2e5,100\n1e5,1.5e5,2e5,1000\n1e5,-3,2e5,100\n";
        let found = found(&Table::parse("few.csv", text).unwrap());
        let exposures: Vec<Option<u64>> = found.groups.iter().map(|group| group.exposures).collect();
        assert_eq!(exposures, [Some(100), Some(1000)]);
        assert!(found.groups[0].refused.as_ref().unwrap().starts_with("1 of the 3 models"), "{found:?}");
        assert_eq!(found.notes, ["Left out, as they know nothing: 1 model."]);
    }

    #[test]
    fn impossible_tables_are_refused_by_row() {
        let bad = Table::parse("bad.csv", "params,bits,max_bits\n1e5,3e5,2e5\n").unwrap();
        assert!(
            CapacityData::of_table(&bad)
                .unwrap_err()
                .to_string()
                .starts_with("bad.csv:2:5: 300000 of 200000 bits")
        );
        let missing = Table::parse("bad.csv", "params,bits\n1,1\n").unwrap();
        assert!(
            CapacityData::of_table(&missing).unwrap_err().to_string().contains("no column named max_bits")
        );
        let nothing = Table::parse("none.csv", "params,bits,max_bits\n1e5,-1,2e5\n").unwrap();
        let error = capacity(&CapacityData::of_table(&nothing).unwrap(), &Bootstrap::default()).unwrap_err();
        assert!(error.to_string().starts_with("no model that knows any facts"), "{error}");
    }
}
