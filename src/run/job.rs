//! What a worker does with a run: train, measure, keep the weights.

use burn::module::Module;
use burn::tensor::Device;
use serde_json::json;

use super::folder::{CHECKPOINTS, CONFIG, METRICS, MODEL, Run};
use super::record::{RunRecord, TrainingSummary};
use super::stages::Stage;
use super::worker::{Outcome, Results, Task, Watch};
use super::{adapt, context, metrics};
use crate::data::Dataset;
use crate::device;
use crate::error::{Error, Problem, Result};
use crate::input;
use crate::measure::record::Sample;
use crate::measure::{MeasureConfig, MeasureContext, Measurements, People, answers, capacity, loss};
use crate::model::Decoder;
use crate::plan::{Part, Plan};
use crate::training::checkpoint::Checkpoints;
use crate::training::{
    self, AdaptConfig, ContextConfig, Control, Grown, InitialState, Job, Metrics, Objective, Observer,
    Prediction, Progress, Trained, fit_from, manifest, weights,
};

/// People whose biographies are read for a probe during training.
const PROBED: u64 = 256;

/// Trains and measures the run of `task`; `watch` keeps metrics and checkpoints and hears requests to stop.
///
/// # Errors
/// Whatever data, device and files cause; a loss that is not finite is an outcome.
pub fn run(task: &Task, watch: &mut Watch) -> Result<Outcome> {
    let device = device::open(&task.device)?;
    let outcome = run_on(&device, task, watch);
    // What the device keeps at hand for tensors of these sizes is in the way of the next run of this process.
    device.memory_cleanup();
    outcome
}

fn run_on(device: &Device, task: &Task, watch: &mut Watch) -> Result<Outcome> {
    if let Some(trained) = &task.weights {
        return read_again(task, trained, watch, device);
    }
    match (&task.plan.prediction, &task.plan.context) {
        (Prediction::NextToken, ContextConfig::None) => match &task.plan.adapt {
            AdaptConfig::None => next_token(task, watch, device),
            AdaptConfig::Questions(questions) => adapt::questions(task, questions, watch, device),
            AdaptConfig::Answering(answering) => adapt::answering(task, answering, watch, device),
        },
        (Prediction::Masked(config), _) => context::masked(task, *config, watch, device),
        (_, ContextConfig::Encoder(config)) => context::encoder(task, config, watch, device),
        (_, ContextConfig::Window | ContextConfig::Stretched(_) | ContextConfig::Replug) => {
            context::untrained(task, watch, device)
        }
    }
}

fn next_token(task: &Task, watch: &mut Watch, device: &Device) -> Result<Outcome> {
    let plan = &task.plan;
    let job = job(plan);
    let params = plan.num_params()?;
    let context = plan.measure.context;
    let mut probing = Probing { watch, params: params.total, context, device: device.clone() };
    let trained = match plan.growing()? {
        Some(growing) => {
            let grown = Grown::new(job, growing, device)?;
            let begin = || begin_grown(task, &grown, device);
            train(&grown, task, device, begin, &mut probing)?
        }
        None => train(&job, task, device, || begin(task, device), &mut probing)?,
    };
    let trained = match trained {
        Ok(trained) => trained,
        Err(outcome) => return Ok(outcome),
    };
    watch.measures()?;
    let measurements = measure(&trained.model, &trained.data, plan, params.total, device)?;
    keep(task, watch, &trained.model)?;
    let training = summary(&trained);
    Ok(Outcome::Finished(Box::new(Results { params, training, measurements })))
}

/// The training config of `plan`, or the decoder's own part of it.
pub(super) fn job(plan: &Plan) -> Job<'_> {
    Job { model: &plan.model, data: &plan.data, training: &plan.training, seed: plan.seed }
}

/// Trains, or says how else it ended.
#[allow(clippy::type_complexity)] // an objective's own model and data
pub(super) fn train<O: Objective>(
    objective: &O,
    task: &Task,
    device: &Device,
    initial: impl FnOnce() -> Result<Option<InitialState>>,
    observer: &mut impl Observer<O::Model, O::Data>,
) -> Result<std::result::Result<Box<Trained<O::Model, O::Data>>, Outcome>> {
    let (folder, run) = (task.run.file(CHECKPOINTS), task.run.header()?.fingerprint);
    let checkpoints = Checkpoints { folder: &folder, run: Some(&run) };
    match fit_from(objective, device, checkpoints, initial, observer) {
        Ok(training::Outcome::Finished(trained)) => Ok(Ok(trained)),
        Ok(training::Outcome::Stopped) => Ok(Err(Outcome::Stopped)),
        Err(error) if error.kind == crate::error::Kind::Diverged => {
            Ok(Err(Outcome::Diverged { cause: error.to_string() }))
        }
        Err(error) => Err(error),
    }
}

/// The cost of training.
pub(super) fn summary<M, D>(trained: &Trained<M, D>) -> TrainingSummary {
    TrainingSummary {
        steps: trained.steps,
        tokens: trained.meters.tokens,
        flops: trained.meters.flops,
        seconds: trained.meters.seconds,
        final_loss: trained.meters.tail.value(),
        elapsed: None,
        peak_bytes: 0,
    }
}

/// The state that the run goes on from: of all trunks the one that has come furthest.
fn begin(task: &Task, device: &Device) -> Result<Option<InitialState>> {
    let mut furthest: Option<(InitialState, &Stage)> = None;
    for stage in &task.stages {
        match stage.part {
            Part::Trunk => {
                let initial = state_of(&stage.run, device)?;
                let best = furthest.as_ref().map_or(0, |(initial, _)| initial.step);
                if let Some(initial) = initial.filter(|initial| initial.step > best) {
                    furthest = Some((initial, stage));
                }
            }
            Part::Small | Part::Decoder | Part::Encoder | Part::WarmUp | Part::Base => {}
        }
    }
    let Some((initial, stage)) = furthest else { return Ok(None) };
    metrics::inherit(&stage.run.file(METRICS), &task.run.file(METRICS))?;
    Ok(Some(initial))
}

/// Where another run stands.
fn state_of(run: &Run, device: &Device) -> Result<Option<InitialState>> {
    let (folder, name) = (run.file(CHECKPOINTS), run.header()?.fingerprint);
    InitialState::read(Checkpoints { folder: &folder, run: Some(&name) }, device)
}

/// A trunk that was grown already; or the small model, grown now, which may never have been trained.
fn begin_grown(task: &Task, grown: &Grown, device: &Device) -> Result<Option<InitialState>> {
    let trunk = begin(task, device)?;
    if trunk.is_some() {
        return Ok(trunk);
    }
    let small = match task.stages.iter().find(|stage| stage.part == Part::Small) {
        Some(stage) => {
            metrics::inherit(&stage.run.file(METRICS), &task.run.file(METRICS))?;
            state_of(&stage.run, device)?
        }
        None => None,
    };
    if small.is_none() && grown.growing.timing.small > 0 {
        return Err(no_small_state(task));
    }
    grown.growing.begin(&grown.job, small, device).map(Some)
}

/// Weights alone are not enough: a grown run takes over moments and meters too.
fn no_small_state(task: &Task) -> Error {
    let Some(stage) = task.stages.first() else {
        let problem = Problem::new("the run of the small model is not there").key("growth");
        return Error::data(problem.help("`zoo run` and `zoo train` do it first"));
    };
    let run = stage.run.path().display();
    let problem = Problem::new(format!("no checkpoint in {run}, which this run begins from")).key("growth");
    Error::data(problem.help(format!("delete {run}; the same command does it again")))
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
        answers: context::exam(plan, answers::Reader::Alone(model), data, device),
        extraction: None,
        quantized: quantized.map(|quantized| quantized.storage),
    })
}

/// Measures the model of another run as this one wants it; what that has cost and written is this run's too.
fn read_again(task: &Task, trained: &Run, watch: &mut Watch, device: &Device) -> Result<Outcome> {
    let RunRecord { training, params, .. } = trained.record()?;
    metrics::inherit(&trained.file(METRICS), &task.run.file(METRICS))?;
    watch.starts(training.steps, training.steps)?;
    watch.measures()?;
    let measurements = measure_again(trained, &task.plan, device)?;
    watch.owns()?;
    for name in [MODEL, CONFIG] {
        let (from, to) = (trained.file(name), task.run.file(name));
        let content = input::read(&from).map_err(|e| Error::io("read", &from, e))?;
        manifest::write_atomically(&to, &content)?;
    }
    Ok(Outcome::Finished(Box::new(Results { params, training, measurements })))
}

/// Measures the model of a finished run from the weights in its folder, as `plan` wants it.
///
/// # Errors
/// The run is not finished or damaged, or its weights do not fit its plan.
pub fn measure_again(run: &Run, plan: &Plan, device: &Device) -> Result<Measurements> {
    run.verify()?;
    if let AdaptConfig::Questions(_) = plan.adapt {
        return Err(adapt::measured_with_its_run());
    }
    let path = run.file(MODEL);
    let trained = weights::read_finite(&path)?;
    if plan.prediction != Prediction::NextToken
        || plan.context != ContextConfig::None
        || plan.adapt != AdaptConfig::None
    {
        return context::measure(plan, trained, device);
    }
    let empty = plan.model.init(plan.data.vocab_size()?, plan.data.seq_len(), plan.seed, device);
    let model = weights::put(empty, trained, &path.display().to_string())?;
    measure(&model, &job(plan).open_data()?, plan, plan.num_params()?.total, device)
}

/// The weights, and what is needed to build a model around them; a run that is no longer ours is left as it is.
pub(super) fn keep<M: Module>(task: &Task, watch: &Watch, model: &M) -> Result<()> {
    watch.owns()?;
    let plan = &task.plan;
    weights::write(&task.run.file(MODEL), &weights::of(model), &[])?;
    let mut config = json!({
        "format": 1,
        "model": plan.model,
        "vocab_size": plan.data.vocab_size()?,
        "seq_len": plan.data.seq_len(),
    });
    if plan.prediction != Prediction::NextToken {
        config["prediction"] = json!(plan.prediction);
    }
    if plan.context != ContextConfig::None {
        config["context"] = json!(plan.context);
    }
    manifest::write_json(&task.run.file(CONFIG), &config)
}

/// The worker's watch, and a look at what the model knows so far.
struct Probing<'a> {
    watch: &'a mut Watch,
    params: u64,
    context: MeasureContext,
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
            paraphrases: 1,
            people: People::Sample(Sample { count: PROBED }),
            context: self.context,
            ..Default::default()
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
