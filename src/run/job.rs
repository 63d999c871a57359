//! What a worker does with a run: train, measure, keep the weights.

use burn::module::Module;
use burn::tensor::Device;
use serde_json::json;

use super::folder::{CHECKPOINTS, CONFIG, METRICS, MODEL};
use super::metrics;
use super::record::TrainingSummary;
use super::stages::Stage;
use super::worker::{Outcome, Results, Task, Watch};
use crate::data::Dataset;
use crate::device;
use crate::error::{Error, Result};
use crate::measure::record::Sample;
use crate::measure::{MeasureConfig, Measurements, People, QuantizeConfig, capacity, loss};
use crate::model::Decoder;
use crate::plan::growth::no_small_run;
use crate::plan::{Part, Plan};
use crate::training::{
    Beginning, Control, Grown, Job, Metrics, Observer, Progress, fit_from, manifest, weights,
};

/// People whose biographies are read for a probe during training.
const PROBED: u64 = 256;

/// Trains and measures the run of `task`; `watch` keeps metrics and checkpoints and hears requests to stop.
///
/// # Errors
/// Whatever data, device and files cause; a loss that is not finite is an outcome.
pub fn run(task: &Task, watch: &mut Watch) -> Result<Outcome> {
    let plan = &task.plan;
    let device = device::open(&task.device)?;
    let job = job(plan);
    let params = plan.model.num_params(plan.data.vocab_size()?, plan.data.seq_len());
    let mut probing = Probing { watch, params: params.total, device: device.clone() };
    let checkpoints = task.run.file(CHECKPOINTS);
    let outcome = match plan.growing()? {
        Some(growing) => {
            let grown = Grown::new(job, growing, &device)?;
            let begin = || begin_grown(task, &grown, &device);
            fit_from(&grown, &device, &checkpoints, begin, &mut probing)
        }
        None => fit_from(&job, &device, &checkpoints, || begin(task), &mut probing),
    };
    let trained = match outcome {
        Ok(crate::training::Outcome::Finished(trained)) => trained,
        Ok(crate::training::Outcome::Stopped) => return Ok(Outcome::Stopped),
        Err(error) if error.kind == crate::error::Kind::Diverged => {
            return Ok(Outcome::Diverged { cause: error.to_string() });
        }
        Err(error) => return Err(error),
    };
    watch.measures()?;
    let measurements = measure(&trained.model, &trained.data, plan, params.total, &device)?;
    keep(task, &trained.model)?;
    let training = TrainingSummary {
        steps: trained.steps,
        tokens: trained.meters.tokens,
        flops: trained.meters.flops,
        seconds: trained.meters.seconds,
        final_loss: trained.meters.tail.value(),
        peak_bytes: 0,
    };
    Ok(Outcome::Finished(Box::new(Results { params, training, measurements })))
}

/// What `plan` trains.
fn job(plan: &Plan) -> Job<'_> {
    Job { model: &plan.model, data: &plan.data, training: &plan.training, seed: plan.seed }
}

/// The state that the run goes on from: of all trunks the one that has come furthest.
fn begin(task: &Task) -> Result<Option<Beginning>> {
    let mut furthest: Option<(Beginning, &Stage)> = None;
    for stage in &task.stages {
        match stage.part {
            Part::Trunk => {
                let beginning = Beginning::read(&stage.run.file(CHECKPOINTS))?;
                let best = furthest.as_ref().map_or(0, |(beginning, _)| beginning.step);
                if let Some(beginning) = beginning.filter(|beginning| beginning.step > best) {
                    furthest = Some((beginning, stage));
                }
            }
            Part::Small => {}
        }
    }
    let Some((beginning, stage)) = furthest else { return Ok(None) };
    metrics::inherit(&stage.run.file(METRICS), &task.run.file(METRICS))?;
    Ok(Some(beginning))
}

/// A trunk that was grown already; or the small model, grown now, which may never have been trained.
fn begin_grown(task: &Task, grown: &Grown, device: &Device) -> Result<Option<Beginning>> {
    let trunk = begin(task)?;
    if trunk.is_some() {
        return Ok(trunk);
    }
    let small = match task.stages.iter().find(|stage| stage.part == Part::Small) {
        Some(stage) => {
            metrics::inherit(&stage.run.file(METRICS), &task.run.file(METRICS))?;
            Beginning::read(&stage.run.file(CHECKPOINTS))?
        }
        None => None,
    };
    if small.is_none() && grown.growing.timing.small > 0 {
        return Err(no_small_run());
    }
    grown.growing.begin(&grown.job, small, device).map(Some)
}

/// Everything that `plan` wants measured on a trained model, its weights rounded first if the plan says so.
///
/// # Errors
/// Whatever the data cannot render.
pub fn measure(
    model: &Decoder,
    data: &Dataset,
    plan: &Plan,
    params: u64,
    device: &Device,
) -> Result<Measurements> {
    let quantized = plan.measure.quantize.apply(model, data, plan.data.seq_len(), device)?;
    let model = quantized.as_ref().map_or(model, |quantized| &quantized.model);
    let domains = loss::domains(model, data, plan.data.seq_len(), device);
    let held_out = loss::measure(model, data, plan.data.seq_len(), device);
    Ok(Measurements {
        capacity: capacity::measure(model, data, &plan.measure, params, device)?,
        held_out: held_out.or_else(|| loss::over_domains(&domains)),
        domains,
        quantized: quantized.map(|quantized| quantized.storage),
    })
}

/// Measures the model of a finished run from the weights in its folder, as `task.plan` wants it.
///
/// # Errors
/// The run is not finished or damaged, or its weights do not fit its plan.
pub fn measure_again(task: &Task, device: &Device) -> Result<Measurements> {
    task.run.verify()?;
    let plan = &task.plan;
    let job = job(plan);
    let vocab_size = plan.data.vocab_size()?;
    let path = task.run.file(MODEL);
    let empty = plan.model.init(vocab_size, plan.data.seq_len(), plan.seed, device);
    let model = weights::put(empty, weights::read(&path)?.0, &path.display().to_string())?;
    let params = plan.model.num_params(vocab_size, plan.data.seq_len()).total;
    measure(&model, &job.open_data()?, plan, params, device)
}

/// The weights, and what is needed to build a model around them.
fn keep(task: &Task, model: &Decoder) -> Result<()> {
    let plan = &task.plan;
    weights::write(&task.run.file(MODEL), &weights::of(model), &[])?;
    let config = json!({
        "format": 1,
        "model": plan.model,
        "vocab_size": plan.data.vocab_size()?,
        "seq_len": plan.data.seq_len(),
    });
    manifest::write_json(&task.run.file(CONFIG), &config)
}

/// The worker's watch, and a look at what the model knows so far.
struct Probing<'a> {
    watch: &'a mut Watch,
    params: u64,
    device: Device,
}

impl Observer for Probing<'_> {
    fn starts(&mut self, step: u64, steps: u64) -> Result<()> {
        self.watch.starts(step, steps)
    }

    fn stepped(&mut self, progress: &Progress) -> Result<Control> {
        self.watch.stepped(progress)
    }

    fn metrics(&mut self, metrics: &Metrics) -> Result<()> {
        self.watch.metrics(metrics)
    }

    fn looks(&mut self, model: &Decoder, data: &Dataset) -> Result<Option<f64>> {
        let few = MeasureConfig {
            renderings: 1,
            people: People::Sample(Sample { count: PROBED }),
            quantize: QuantizeConfig::None,
        };
        let capacity = capacity::measure(&model.valid(), data, &few, self.params, &self.device)?;
        Ok(capacity.map(|capacity| capacity.bits_per_param))
    }

    fn commits(&mut self, step: u64) -> Result<()> {
        self.watch.commits(step)
    }

    fn warns(&mut self, error: &Error) {
        self.watch.warns(error);
    }
}
