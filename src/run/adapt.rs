//! What a worker does with a run whose model learns to answer questions, or to answer in another form.

use burn::tensor::Device;

use super::context::{Watching, exam, finished, paid, part};
use super::job::{job, keep, summary, train};
use super::worker::{Outcome, Task, Watch};
use crate::error::{Error, Problem, Result};
use crate::measure::answers::Reader;
use crate::measure::{Measurements, extraction};
use crate::plan::Part;
use crate::training::weights;
use crate::training::{Answering, AnsweringAdapt, Asking, InitialState, Job, Objective, QuestionsAdapt};

/// Teaches the trained model to answer about some people, and asks it about the others. What it has stored is what its
/// own run has measured: its weights are the same. The weights that are kept have the adapters added.
pub(super) fn questions(
    task: &Task,
    questions: &QuestionsAdapt,
    watch: &mut Watch,
    device: &Device,
) -> Result<Outcome> {
    let base = task.stages.iter().find(|stage| stage.part == Part::Base).ok_or_else(no_base)?;
    let objective = Asking {
        job: job(&task.plan),
        questions,
        training: task.plan.own_training()?,
        base: part(task, Part::Base)?,
    };
    let begin = || {
        let model = weights::of(&objective.start(device)?);
        Ok(Some(InitialState { model, moments: None, step: 0, meters: paid(task)? }))
    };
    let trained = match train(&objective, task, device, begin, &mut Watching(watch))? {
        Ok(trained) => trained,
        Err(outcome) => return Ok(outcome),
    };
    watch.measures()?;
    let extraction =
        extraction::measure(&trained.model, &trained.data, questions, &task.plan.measure, device);
    let stored = base.run.record()?.measurements;
    keep(task, watch, &trained.model.merged())?;
    finished(task, summary(&trained), Measurements { extraction, ..stored })
}

/// Teaches the trained decoder to answer in another form.
pub(super) fn answering(
    task: &Task,
    config: &AnsweringAdapt,
    watch: &mut Watch,
    device: &Device,
) -> Result<Outcome> {
    let training = task.plan.own_training()?;
    let job = Job { training: &training, ..job(&task.plan) };
    let objective =
        Answering { job, form: config.form, base: Some(part(task, Part::Base)?.ok_or_else(no_base)?) };
    let begin = || {
        let model = weights::of(&objective.start(device)?);
        Ok(Some(InitialState { model, moments: None, step: 0, meters: paid(task)? }))
    };
    let trained = match train(&objective, task, device, begin, &mut Watching(watch))? {
        Ok(trained) => trained,
        Err(outcome) => return Ok(outcome),
    };
    watch.measures()?;
    let answers = exam(&task.plan, Reader::Alone(&trained.model), &trained.data, device);
    keep(task, watch, &trained.model)?;
    finished(task, summary(&trained), Measurements { answers, ..Measurements::default() })
}

fn no_base() -> Error {
    let problem = Problem::new("there is no trained model to teach").key("adapt");
    Error::data(problem.help("`zoo run` and `zoo train` train it first"))
}

/// The adapters are a part of the weights that are kept, and the model without them is those of another run.
pub(super) fn measured_with_its_run() -> Error {
    let problem =
        Problem::new("a model that was taught to answer is measured once, with its run").key("adapt");
    Error::data(problem.help("see its measurements.json, or measure the run that it begins from"))
}
