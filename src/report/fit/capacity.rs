//! How many bits a parameter can hold, from finished runs of many sizes and many people, by exposures.

use serde::Serialize;

use super::columns::Columns;
use super::measured::Measured;
use crate::error::{Error, Problem, Result};
use crate::laws::bootstrap::{Bootstrap, Interval};
use crate::laws::capacity::{CapacityLaw, Growth, Known, fit, log_error, published};
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
    /// The law at one capacity for every size.
    #[serde(skip)]
    pub law: CapacityLaw,
}

/// A model that knows less than this share of what there is to know is full.
const BEYOND_THE_BEND: f64 = 0.9;

impl CapacityData {
    /// From a table with `params`, `bits` and `max_bits`, and `exposures` if known.
    ///
    /// # Errors
    /// A column is missing, or a number of parameters or bits to know is not positive.
    pub fn of_table(table: &Columns) -> Result<Self> {
        let [params, bits, max_bits] = ["params", "bits", "max_bits"].map(|name| table.need(name));
        let (params, bits, max_bits) = (params?, bits?, max_bits?);
        let exposures = table.find("exposures");
        let mut models = Vec::new();
        for (index, row) in table.rows().iter().enumerate() {
            let known = Known { params: row[params], bits: row[bits], max_bits: row[max_bits] };
            if !(known.params > 0.0 && known.max_bits > 0.0 && known.bits <= known.max_bits) {
                let Known { params, bits, max_bits } = known;
                let got = format!(
                    "{} row {}: {bits} of {max_bits} bits in {params} parameters",
                    table.file,
                    index + 1
                );
                return Err(Error::data(
                    Problem::new(got).expected("positive numbers, and no more bits than there are"),
                ));
            }
            models.push(Model { known, exposures: exposures.map(|column| row[column] as u64) });
        }
        Ok(CapacityData::of(models))
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
        CapacityData::of(runs.iter().filter_map(model).collect())
    }

    /// Without models that know nothing, whose logarithm there is none of.
    fn of(models: Vec<Model>) -> Self {
        let (models, empty): (Vec<Model>, Vec<Model>) =
            models.into_iter().partition(|model| model.known.bits > 0.0);
        let note = format!("Left out, as they know nothing: {}.", number::plural(empty.len(), "model"));
        CapacityData { models, notes: if empty.is_empty() { Vec::new() } else { vec![note] } }
    }
}

/// Fits the models of each number of exposures.
///
/// # Errors
/// There are no models that know anything.
pub fn capacity(data: &CapacityData, bootstrap: &Bootstrap) -> Result<Capacities> {
    if data.models.is_empty() {
        let problem = Problem::new("no model that knows any facts");
        return Err(Error::data(problem.expected("finished runs on biographies (biod, bios, bior)")));
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
    Ok(Judgement {
        models: models.len(),
        sizes: (sizes.clone().fold(f64::INFINITY, f64::min), sizes.fold(0.0, f64::max)),
        capacity: alike.interval(|law| law.capacity),
        sharpness: alike.interval(|law| law.sharpness),
        log_error: log_error(&alike.law, models),
        exponent: growing.as_ref().map(|fitted| fitted.interval(|law| law.exponent)),
        log_error_of_growth: growing.as_ref().map(|fitted| log_error(&fitted.law, models)),
        law: alike.law,
    })
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

    fn table(exposures: &str) -> Columns {
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
        Columns::parse("runs.csv", &text).unwrap()
    }

    fn found(table: &Columns) -> Capacities {
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
        let found = found(&Columns::parse("few.csv", text).unwrap());
        let exposures: Vec<Option<u64>> = found.groups.iter().map(|group| group.exposures).collect();
        assert_eq!(exposures, [Some(100), Some(1000)]);
        assert!(found.groups[0].refused.as_ref().unwrap().starts_with("1 of the 3 models"), "{found:?}");
        assert_eq!(found.notes, ["Left out, as they know nothing: 1 model."]);
    }

    #[test]
    fn impossible_tables_are_refused_by_row() {
        let bad = Columns::parse("bad.csv", "params,bits,max_bits\n1e5,3e5,2e5\n").unwrap();
        assert!(CapacityData::of_table(&bad).unwrap_err().to_string().starts_with("bad.csv row 1: "));
        let missing = Columns::parse("bad.csv", "params,bits\n1,1\n").unwrap();
        assert!(CapacityData::of_table(&missing).unwrap_err().to_string().contains("has no column max_bits"));
        let nothing = Columns::parse("none.csv", "params,bits,max_bits\n1e5,-1,2e5\n").unwrap();
        let error = capacity(&CapacityData::of_table(&nothing).unwrap(), &Bootstrap::default()).unwrap_err();
        assert!(error.to_string().starts_with("no model that knows any facts"), "{error}");
    }
}
