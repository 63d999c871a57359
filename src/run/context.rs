//! What a worker does with a run that has an encoder, or reads more than its window in another way.

use burn::tensor::Device;

use super::folder::MODEL;
use super::job::{job, keep, summary, train};
use super::record::TrainingSummary;
use super::worker::{Outcome, Results, Task, Watch};
use crate::data::Dataset;
use crate::error::{Error, Problem, Result};
use crate::layers::mixer::MixerConfig;
use crate::layers::position::PositionConfig;
use crate::measure::answers::{self, Reader};
use crate::measure::{Answers, Measurements};
use crate::model::{Decoder, ModelConfig};
use crate::plan::{Part, Plan};
use crate::training::context::{ContextConfig, EncoderContext, StretchedConfig};
use crate::training::manifest;
use crate::training::weights::{self, Weights};
use crate::training::{
    Control, InitialState, Masked, MaskedConfig, Meters, Metrics, Objective, Observer, Prediction, Progress,
    Reading,
};

/// An encoder by itself; nothing is measured but its loss.
pub(super) fn masked(
    task: &Task,
    config: MaskedConfig,
    watch: &mut Watch,
    device: &Device,
) -> Result<Outcome> {
    let objective = Masked { job: job(&task.plan), config };
    let trained = match train(&objective, task, device, || Ok(None), &mut Watching(watch))? {
        Ok(trained) => trained,
        Err(outcome) => return Ok(outcome),
    };
    watch.measures()?;
    keep(task, watch, &trained.model)?;
    finished(task, summary(&trained), Measurements::default())
}

/// A stage of training with an encoder beside the decoder.
pub(super) fn encoder(
    task: &Task,
    config: &EncoderContext,
    watch: &mut Watch,
    device: &Device,
) -> Result<Outcome> {
    let objective = Reading {
        job: job(&task.plan),
        context: config,
        training: task.plan.own_training()?,
        decoder: part(task, Part::Decoder)?,
        encoder: part(task, Part::Encoder)?,
    };
    let begin = || {
        let model = match part(task, Part::WarmUp)? {
            Some(warm) => warm,
            None => weights::of(&objective.start(device)?),
        };
        Ok(Some(InitialState { model, moments: None, step: 0, meters: paid(task)? }))
    };
    let trained = match train(&objective, task, device, begin, &mut Watching(watch))? {
        Ok(trained) => trained,
        Err(outcome) => return Ok(outcome),
    };
    watch.measures()?;
    let answers = exam(&task.plan, Reader::Encoder(&trained.model), &trained.data, device);
    let measurements = Measurements { answers, ..Measurements::default() };
    keep(task, watch, &trained.model)?;
    finished(task, summary(&trained), measurements)
}

/// A decoder that reads in another way than it was trained to: nothing is trained, its cost is that of the decoder.
pub(super) fn untrained(task: &Task, watch: &mut Watch, device: &Device) -> Result<Outcome> {
    let decoder = part(task, Part::Decoder)?.ok_or_else(|| {
        let problem = Problem::new("there is no trained decoder to read with").key("context");
        Error::data(problem.help("`zoo run` and `zoo train` train it first"))
    })?;
    watch.starts(0, 0)?;
    watch.measures()?;
    let measurements = measure(&task.plan, decoder.clone(), device)?;
    keep(task, watch, &rebuilt(&task.plan, decoder, device)?)?;
    let training = TrainingSummary { steps: 0, peak_bytes: 0, ..cost_of_decoder(task)? };
    finished(task, training, measurements)
}

/// What `plan` wants measured on the weights of its run.
pub(super) fn measure(plan: &Plan, trained: Weights, device: &Device) -> Result<Measurements> {
    let data = job(plan).open_data()?;
    let exam = |reader: Reader| exam(plan, reader, &data, device);
    let answers = match (&plan.prediction, &plan.context) {
        (Prediction::Masked(_), _) => None,
        (_, ContextConfig::Encoder(config)) => {
            let objective = Reading {
                job: job(plan),
                context: config,
                training: plan.own_training()?,
                decoder: None,
                encoder: None,
            };
            exam(Reader::Encoder(&weights::put(objective.start(device)?, trained, "the run")?))
        }
        (_, ContextConfig::None) => exam(Reader::Alone(&rebuilt(plan, trained, device)?)),
        (_, ContextConfig::Replug) => exam(Reader::Replug(&rebuilt(plan, trained, device)?)),
        (_, ContextConfig::Window | ContextConfig::Stretched(_)) => {
            exam(Reader::Window(&rebuilt(plan, trained, device)?))
        }
    };
    Ok(Measurements { answers, ..Measurements::default() })
}

/// What `reader` answers, in the form that it was taught.
pub(super) fn exam(plan: &Plan, reader: Reader, data: &Dataset, device: &Device) -> Option<Answers> {
    answers::measure(reader, data, &plan.measure.qa_test, plan.adapt.form(), device)
}

/// The decoder, with the positions and the window that it reads with.
fn rebuilt(plan: &Plan, trained: Weights, device: &Device) -> Result<Decoder> {
    let (vocab_size, seq_len) = (plan.data.vocab_size()?, plan.data.seq_len());
    let (model, seq_len) = match &plan.context {
        ContextConfig::Stretched(config) => {
            (stretched(&plan.model, config), (seq_len as f64 * config.factor()).round() as usize)
        }
        ContextConfig::None | ContextConfig::Window | ContextConfig::Replug | ContextConfig::Encoder(_) => {
            (plan.model.clone(), seq_len)
        }
    };
    weights::put(model.init(vocab_size, seq_len, plan.seed, device), trained, "the decoder's run")
}

fn stretched(model: &ModelConfig, config: &StretchedConfig) -> ModelConfig {
    let mut model = model.clone();
    let stretch = |mixer: &mut MixerConfig| {
        if let MixerConfig::Attention(attention) = mixer
            && let PositionConfig::Rope(rope) = &mut attention.position
        {
            rope.scaling = config.scaling;
        }
    };
    stretch(&mut model.block.mixer);
    model.layers.iter_mut().filter_map(|layer| layer.mixer.as_mut()).for_each(stretch);
    model
}

/// The weights of the run that plays `part`, as they were when it ended.
pub(super) fn part(task: &Task, part: Part) -> Result<Option<Weights>> {
    let Some(stage) = task.stages.iter().find(|stage| stage.part == part) else { return Ok(None) };
    manifest::verify_file(stage.run.path(), MODEL)?;
    Ok(Some(weights::read_finite(&stage.run.file(MODEL))?))
}

/// What the decoder has cost.
fn cost_of_decoder(task: &Task) -> Result<TrainingSummary> {
    let stage = task.stages.iter().find(|stage| stage.part == Part::Decoder);
    Ok(stage.expect("its weights were read").run.record()?.training)
}

/// What the runs that this one begins from have cost.
pub(super) fn paid(task: &Task) -> Result<Meters> {
    let mut meters = Meters::default();
    for stage in &task.stages {
        let training = stage.run.record()?.training;
        meters.tokens += training.tokens;
        meters.flops += training.flops;
        meters.seconds += training.seconds;
    }
    Ok(meters)
}

pub(super) fn finished(
    task: &Task,
    training: TrainingSummary,
    measurements: Measurements,
) -> Result<Outcome> {
    let params = task.plan.num_params()?;
    Ok(Outcome::Finished(Box::new(Results { params, training, measurements })))
}

/// The worker's watch, for any model.
pub(super) struct Watching<'a>(pub(super) &'a mut Watch);

impl<M, D> Observer<M, D> for Watching<'_> {
    fn starts(&mut self, step: u64, steps: u64) -> Result<()> {
        self.0.starts(step, steps)
    }

    fn stepped(&mut self, progress: &Progress) -> Result<Control> {
        self.0.stepped(progress)
    }

    fn metrics(&mut self, metrics: &Metrics) -> Result<()> {
        self.0.metrics(metrics)
    }

    fn commits(&mut self, step: u64) -> Result<()> {
        self.0.commits(step)
    }

    fn warns(&mut self, error: &Error) {
        self.0.warns(error);
    }
}
