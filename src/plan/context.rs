//! What `[context]` means for a plan: the runs that it starts from, its parameters and FLOPs, and its checks.

use super::Plan;
use super::data_size::DataSize;
use super::stages::{Parent, Part};
use crate::Result;
use crate::data::{DataConfig, ReadingConfig};
use crate::error::Problem;
use crate::layers::position::PositionConfig;
use crate::measure::MeasureConfig;
use crate::model::context::cross_attention;
use crate::model::{FlopCount, ParamCount};
use crate::training::context::{
    ContextConfig, DistillConfig, EncoderContext, Pretraining, Stage, StageTraining, StretchedConfig,
};
use crate::training::reading::{chunk_len, flops_per_row, row_len};
use crate::training::{AdaptConfig, LengthUnits, Prediction, TrainingConfig, answering};

impl Plan {
    /// How this run is trained; `[training]` is the decoder's own where an encoder is trained beside it.
    ///
    /// # Errors
    /// If the data is impossible or cannot be read.
    pub fn own_training(&self) -> Result<TrainingConfig> {
        match (&self.context, &self.adapt) {
            (ContextConfig::Encoder(context), _) => self.beside(&context.training),
            (ContextConfig::Window | ContextConfig::Stretched(_) | ContextConfig::Replug, _)
            | (ContextConfig::None, AdaptConfig::None) => Ok(self.training),
            (ContextConfig::None, AdaptConfig::Questions(questions)) => {
                Ok(questions.training(&self.training))
            }
            (ContextConfig::None, AdaptConfig::Answering(answering)) => self.beside(&answering.training),
        }
    }

    /// Optimizer steps as if the model did all of them.
    pub(super) fn budget_steps(&self) -> Result<u64> {
        Ok(self.training.steps(&self.length_units()?))
    }

    /// A training stage other than that of the decoder.
    fn beside(&self, stage: &StageTraining) -> Result<TrainingConfig> {
        Ok(stage.beside(&self.training, self.budget_steps()?))
    }

    /// The units that convert lengths of the decoder's own training.
    fn length_units(&self) -> Result<LengthUnits> {
        let DataSize { vocab_size, tokens_per_exposure, .. } = DataSize::of(&self.data)?;
        let seq_len = self.data.seq_len();
        let flops = self.model.flops_per_token(vocab_size + self.n_masks(), seq_len).exact;
        Ok(LengthUnits { seq_len, tokens_per_exposure, flops_per_token: flops as f64 })
    }

    /// The length of a training sequence of this run, in tokens.
    ///
    /// # Errors
    /// The data has no chunks, which a context needs, or no people to ask about.
    pub fn row_len(&self) -> Result<usize> {
        match (&self.context, &self.adapt) {
            (ContextConfig::Encoder(context), _) => row_len(&self.data, context.stage),
            (ContextConfig::Window | ContextConfig::Stretched(_) | ContextConfig::Replug, _)
            | (ContextConfig::None, AdaptConfig::None) => Ok(self.data.seq_len()),
            (ContextConfig::None, AdaptConfig::Questions(_)) => self.question_len(),
            (ContextConfig::None, AdaptConfig::Answering(answering)) => {
                answering::row_len(&self.data, answering.form)
            }
        }
    }

    /// Parameters of the model, of its encoder and of what reads it.
    ///
    /// # Errors
    /// If the data is impossible or cannot be read.
    pub fn num_params(&self) -> Result<ParamCount> {
        let (vocab_size, seq_len) = (self.vocab_size()?, self.data.seq_len());
        let own = self.model.num_params(vocab_size, seq_len);
        let ContextConfig::Encoder(context) = &self.context else { return Ok(own) };
        let encoder = context.encoder.model(&self.model).num_params(vocab_size + 1, chunk_len(&self.data)?);
        let widths = self.model.widths(seq_len);
        let sublayers = cross_attention(&self.model, context.encoder.d_model(&self.model));
        let reading: u64 = sublayers.iter().map(|sublayer| sublayer.num_params(&widths)).sum();
        Ok(ParamCount {
            total: own.total + encoder.total + reading,
            embedding: own.embedding + encoder.embedding,
            active: own.active + encoder.active + reading,
        })
    }

    /// FLOPs of a training step per token of its sequences; those of chunks beside them are divided among these tokens.
    ///
    /// # Errors
    /// If the data is impossible or cannot be read.
    pub fn flops_per_token(&self) -> Result<FlopCount> {
        let vocab_size = self.vocab_size()?;
        let own = self.model.flops_per_token(vocab_size, self.data.seq_len());
        let context = match (&self.context, &self.adapt) {
            (ContextConfig::Encoder(context), _) => context,
            (ContextConfig::Window | ContextConfig::Stretched(_) | ContextConfig::Replug, _)
            | (ContextConfig::None, AdaptConfig::None) => return Ok(own),
            (ContextConfig::None, AdaptConfig::Questions(questions)) => {
                return self.flops_of_question_tokens(questions, vocab_size);
            }
            (ContextConfig::None, AdaptConfig::Answering(_)) => {
                return Ok(self.model.flops_per_token(vocab_size, self.row_len()?));
            }
        };
        let (t, c) = (self.row_len()?, chunk_len(&self.data)?);
        let chunks = match context.stage {
            Stage::Read => (1 + context.chunks as usize).div_ceil(2),
            Stage::Copy => t.div_ceil(c),
        };
        let window = self.data.seq_len();
        let exact = flops_per_row(&self.model, context, vocab_size, [t, chunks, c], window) / t as u64;
        Ok(FlopCount { exact, chinchilla: exact, ..own })
    }

    /// Optimizer steps, those of a small model before growth counted: a function of the plan alone, the same for every
    /// seed; none where nothing is trained.
    ///
    /// # Errors
    /// If the data is impossible or cannot be read.
    pub fn steps(&self) -> Result<u64> {
        match (&self.context, &self.adapt) {
            (ContextConfig::Window | ContextConfig::Stretched(_) | ContextConfig::Replug, _) => Ok(0),
            (ContextConfig::None, AdaptConfig::None) => match self.grown_timing()? {
                Some(timing) => Ok(timing.steps()),
                None => self.budget_steps(),
            },
            (ContextConfig::None, AdaptConfig::Questions(questions)) => Ok(questions.steps),
            (ContextConfig::Encoder(_), _) | (ContextConfig::None, AdaptConfig::Answering(_)) => {
                Ok(self.own_training()?.steps(&self.length_units()?))
            }
        }
    }

    /// Tokens of chunks that are read to answer questions.
    pub(super) fn exam_tokens(&self) -> Result<f64> {
        let window = match &self.context {
            ContextConfig::None => return Ok(0.0),
            ContextConfig::Window => self.data.seq_len() as f64,
            ContextConfig::Stretched(config) => self.data.seq_len() as f64 * config.factor(),
            ContextConfig::Replug | ContextConfig::Encoder(_) => f64::INFINITY,
        };
        let (exam, chunk) = (&self.measure.qa_test, chunk_len(&self.data)? as f64);
        let of_each: f64 = exam.chunks_read().map(|chunks| (chunks as f64 * chunk).min(window)).sum();
        Ok(of_each * exam.questions as f64)
    }

    /// Tokens that the model knows: those of the data, and the mask of an encoder.
    pub(crate) fn vocab_size(&self) -> Result<usize> {
        Ok(DataSize::of(&self.data)?.vocab_size + self.n_masks())
    }

    fn n_masks(&self) -> usize {
        match self.prediction {
            Prediction::NextToken => 0,
            Prediction::Masked(_) => 1,
        }
    }

    /// The runs that a plan with a context starts from.
    pub(super) fn context_parents(&self) -> Result<Vec<Parent>> {
        let decoder =
            || Parent { part: Part::Decoder, plan: Plan { context: ContextConfig::None, ..self.clone() } };
        Ok(match &self.context {
            ContextConfig::None => Vec::new(),
            ContextConfig::Window | ContextConfig::Stretched(_) | ContextConfig::Replug => vec![decoder()],
            ContextConfig::Encoder(context) => match context.warm_up() {
                Some(warm_up) => {
                    let plan = Plan { context: ContextConfig::Encoder(warm_up), ..self.clone() };
                    vec![Parent { part: Part::WarmUp, plan }]
                }
                None => std::iter::once(decoder()).chain(self.encoder(context)?).collect(),
            },
        })
    }

    /// The run that trains the encoder by itself, on single chunks.
    fn encoder(&self, context: &EncoderContext) -> Result<Option<Parent>> {
        let (Pretraining::Masked(pretraining), DataConfig::Reading(data)) = (context.pretraining, &self.data)
        else {
            return Ok(None);
        };
        let plan = Plan {
            model: context.encoder.model(&self.model),
            data: DataConfig::Reading(data.chunks()),
            training: self.beside(&pretraining.training)?,
            prediction: Prediction::Masked(pretraining.masked),
            context: ContextConfig::None,
            growth: None,
            adapt: AdaptConfig::None,
            measure: MeasureConfig::default(),
            seed: self.seed,
        };
        Ok(Some(Parent { part: Part::Encoder, plan }))
    }
}

/// Checks the context of a plan; keys are those of its TOML.
pub(super) fn check(plan: &Plan) -> Vec<Problem> {
    if plan.context == ContextConfig::None {
        return Vec::new();
    }
    let mut problems = Vec::new();
    if let Err(error) = chunk_len(&plan.data) {
        return error.problems;
    }
    if plan.prediction != Prediction::NextToken {
        let problem = Problem::new("an encoder beside a model with masked prediction").key("context");
        problems.push(problem.expected("prediction = \"next-token\", or context = \"none\""));
    }
    if !plan.measure.quantize.is_none() {
        let problem = Problem::new("a model with a context is not quantized").key("measure.quantize");
        problems.push(problem.expected("\"none\", or context = \"none\""));
    }
    problems.extend(super::check::within(
        "context",
        match &plan.context {
            ContextConfig::Encoder(context) => check_encoder(plan, context),
            ContextConfig::Stretched(stretched) => check_stretched(plan, stretched),
            ContextConfig::None | ContextConfig::Window | ContextConfig::Replug => Vec::new(),
        },
    ));
    problems
}

fn check_encoder(plan: &Plan, context: &EncoderContext) -> Vec<Problem> {
    let mut problems = context.check();
    problems.extend(super::check::within("encoder", context.encoder.check()));
    let DataConfig::Reading(data) = &plan.data else { return problems };
    if !problems.is_empty() {
        return problems;
    }
    let config = context.encoder.model(&plan.model);
    problems.extend(super::check::within("encoder", config.check_encoder(data.chunk_len())));
    if context.chunks > data.max_chunks() {
        let expected = format!("at most {}, the names that are kept", data.max_chunks());
        problems.push(Problem::new(context.chunks.to_string()).key("chunks").expected(expected));
    }
    if data.questions == 0 {
        problems.push(Problem::new("sequences without questions need no context").key("kind"));
    }
    problems.extend(check_teacher(data, context));
    let mut stages = vec![("training", context.training)];
    if let Some(warm_up) = context.warm_up() {
        stages.push(("warm_up.training", warm_up.training));
    }
    if let Pretraining::Masked(pretraining) = context.pretraining {
        stages.push(("pretraining.training", pretraining.training));
    }
    for (key, training) in stages {
        problems.extend(super::check::within(key, check_stage(plan, &training, data.chunk_len())));
    }
    problems
}

/// Checks a stage whose sequences have this length.
pub(super) fn check_stage(plan: &Plan, stage: &StageTraining, seq_len: usize) -> Vec<Problem> {
    let wrong = stage.check();
    match plan.beside(stage) {
        Ok(training) if wrong.is_empty() => {
            training.check(&LengthUnits { seq_len, tokens_per_exposure: 1.0, flops_per_token: 1.0 })
        }
        _ => wrong,
    }
}

/// Whoever teaches has read all chunks and at least one question.
fn check_teacher(data: &ReadingConfig, context: &EncoderContext) -> Option<Problem> {
    let DistillConfig::Teacher(_) = context.distill else { return None };
    let room = data.chunks_before_a_question();
    (context.chunks > room).then(|| {
        let found = format!("{} chunks for a teacher that reads in its own window", context.chunks);
        let expected = format!("at most {room}, which leave room for a question");
        Problem::new(found).key("chunks").expected(expected).help("raise data.biographies or data.questions")
    })
}

fn check_stretched(plan: &Plan, stretched: &StretchedConfig) -> Vec<Problem> {
    let mut problems = super::check::within("scaling", stretched.scaling.check());
    if !matches!(plan.model.block.mixer.position(), PositionConfig::Rope(_)) {
        let problem = Problem::new("a window is stretched by its rotary positions").key("scaling");
        problems.push(problem.expected("model.block.mixer.position = \"rope\""));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::check::check;
    use crate::plan::fingerprint::Fingerprint;
    use crate::plan::{Presets, Request, resolve_single};
    use crate::training::context::TeacherConfig;

    fn cepe(arm: &str) -> Plan {
        let request =
            Request { with: Some(("cepe", arm)), profile: Some("smoke"), seed: 2, ..Request::default() };
        resolve_single(&Presets::here(), &request).unwrap().plan
    }

    fn encoder(plan: &mut Plan) -> &mut EncoderContext {
        match &mut plan.context {
            ContextConfig::Encoder(context) => context,
            other => panic!("the control has an encoder, not {other:?}"),
        }
    }

    /// The parts and plans of all runs that a plan begins from, nearest first.
    fn ancestors(plan: &Plan) -> Vec<Parent> {
        let parents = plan.parents().unwrap();
        let elders: Vec<Parent> = parents.iter().flat_map(|parent| ancestors(&parent.plan)).collect();
        parents.into_iter().chain(elders).collect()
    }

    #[test]
    fn a_decoder_with_an_encoder_begins_from_warm_up_decoder_and_encoder() {
        let control = cepe("control");
        let stages = ancestors(&control);
        assert_eq!(
            stages.iter().map(|stage| stage.part).collect::<Vec<_>>(),
            [Part::WarmUp, Part::Decoder, Part::Encoder]
        );
        let steps = |plan: &Plan| plan.steps().unwrap();
        assert_eq!(stages.iter().map(|stage| steps(&stage.plan)).collect::<Vec<_>>(), [10, 20, 10]);
        assert_eq!(steps(&control), 80);
        assert!(stages.iter().all(|stage| check(&stage.plan).is_empty()), "every stage is a possible plan");
        let encoder = &stages[2].plan;
        assert_eq!(encoder.data.seq_len(), 9, "the encoder's window is a chunk");
        let tokens = |plan: &Plan| plan.data.vocab_size().unwrap();
        assert_eq!(tokens(encoder), tokens(&stages[1].plan), "and its tokens are the decoder's");
    }

    #[test]
    fn every_way_of_reading_shares_the_decoder_of_the_arm_without_a_context() {
        let none = cepe("none");
        assert_eq!(none.parents().unwrap(), []);
        for arm in ["window", "linear", "yarn", "replug"] {
            let plan = cepe(arm);
            assert_eq!(
                plan.parents().unwrap(),
                [Parent { part: Part::Decoder, plan: none.clone() }],
                "{arm}"
            );
            assert_eq!(plan.steps().unwrap(), 0);
        }
        assert_eq!(ancestors(&cepe("control"))[1].plan, none);
    }

    #[test]
    fn without_a_warm_up_the_last_stage_begins_from_decoder_and_encoder() {
        let mut plan = cepe("control");
        let warm = plan.clone();
        encoder(&mut plan).warm_up = crate::training::context::WarmUp::None;
        let parts = |plan: &Plan| ancestors(plan).into_iter().map(|stage| stage.part).collect::<Vec<_>>();
        assert_eq!(parts(&plan), [Part::Decoder, Part::Encoder]);
        encoder(&mut plan).pretraining = Pretraining::None;
        assert_eq!(parts(&plan), [Part::Decoder]);
        let mut dropped = warm.clone();
        encoder(&mut dropped).chunk_dropout = 0.5;
        assert_eq!(
            dropped.parents().unwrap(),
            warm.parents().unwrap(),
            "what only the last stage needs is not repeated"
        );
    }

    #[test]
    fn a_teacher_changes_the_last_stage_alone_and_what_it_costs() {
        let (mut plain, mut taught) = (cepe("control"), cepe("control"));
        encoder(&mut plain).chunks = 4;
        encoder(&mut taught).chunks = 4;
        encoder(&mut taught).distill = DistillConfig::Teacher(TeacherConfig::default());
        assert_eq!(plain.parents().unwrap(), taught.parents().unwrap());
        let fingerprint = |plan: &Plan| Fingerprint::of(plan).unwrap().full();
        assert_ne!(fingerprint(&plain), fingerprint(&taught));
        let flops = |plan: &Plan| plan.flops_per_token().unwrap().exact;
        assert!(flops(&taught) > flops(&plain));
    }

    #[test]
    fn a_decoder_that_answers_in_another_form_is_tuned_before_it_reads_and_once_for_every_way_of_reading() {
        let answering = |plan: Plan| Plan { adapt: AdaptConfig::Answering(Default::default()), ..plan };
        let (plain, tuned) = (cepe("control"), answering(cepe("control")));
        assert!(check(&tuned).is_empty(), "{:?}", check(&tuned));
        let stages = ancestors(&tuned);
        let parts: Vec<Part> = stages.iter().map(|stage| stage.part).collect();
        assert_eq!(parts, [Part::WarmUp, Part::Decoder, Part::Encoder, Part::Base]);
        let old = ancestors(&plain);
        assert_eq!(stages[3].plan, old[1].plan, "the decoder is that of plans without tuning");
        assert_eq!(stages[2].plan, old[2].plan, "and so is the encoder");
        let decoder = &stages[1].plan;
        assert_eq!((decoder.steps().unwrap(), decoder.first_step().unwrap()), (10, 0));
        assert_eq!(decoder.row_len().unwrap(), 2 * 9 + 5 * 6 - 1);
        assert!(stages.iter().all(|stage| check(&stage.plan).is_empty()), "every stage is a possible plan");
        assert_eq!(answering(cepe("window")).parents().unwrap()[0].plan, *decoder);
        let fingerprint = |plan: &Plan| Fingerprint::of(plan).unwrap().full();
        assert_ne!(fingerprint(&tuned), fingerprint(&plain));
        assert_ne!(fingerprint(decoder), fingerprint(&old[1].plan));
    }

    #[test]
    fn impossible_contexts_are_refused_with_their_keys() {
        let keys = |change: &dyn Fn(&mut Plan)| -> Vec<String> {
            let mut plan = cepe("control");
            change(&mut plan);
            check(&plan).into_iter().map(|problem| problem.key.unwrap_or_default()).collect()
        };
        assert_eq!(keys(&|_| {}), [""; 0]);
        assert_eq!(keys(&|plan| plan.data = DataConfig::default()), ["data.kind"]);
        assert_eq!(keys(&|plan| encoder(plan).encoder.width = 0.0), ["context.encoder.width"]);
        assert_eq!(keys(&|plan| encoder(plan).chunks = 0), ["context.chunks"]);
        assert_eq!(keys(&|plan| encoder(plan).chunks = 100_000), ["context.chunks"]);
        assert_eq!(keys(&|plan| encoder(plan).chunk_dropout = 1.5), ["context.chunk_dropout"]);
        assert_eq!(keys(&|plan| encoder(plan).training.length = 0.0), ["context.training.length"]);
        assert_eq!(keys(&|plan| encoder(plan).training.peak_lr = 0.0), ["context.training.peak_lr"]);
        assert_eq!(keys(&|plan| plan.measure.qa_test.most_chunks = 1000), ["measure.qa_test.most_chunks"]);
        let taught = |chunks: u64, weight: f64, top_k: usize| {
            keys(&|plan| {
                encoder(plan).chunks = chunks;
                encoder(plan).distill = DistillConfig::Teacher(TeacherConfig { weight, top_k });
            })
        };
        assert_eq!(taught(4, 2.0, 50), [""; 0]);
        assert_eq!(taught(5, 2.0, 50), ["context.chunks"], "4 chunks of 9 and a question of 5 in 48");
        assert_eq!(taught(4, f64::NAN, 50), ["context.distill.weight"]);
        assert_eq!(taught(4, -1.0, 0), ["context.distill.weight", "context.distill.top_k"]);
        let masked = Prediction::Masked(Default::default());
        assert_eq!(keys(&|plan| plan.prediction = masked), ["model.block.mixer"]);
        let average = crate::layers::mixer::MixerConfig::Average(Default::default());
        assert_eq!(keys(&|plan| plan.model.block.mixer = average), ["context.encoder.block.mixer"]);
        let stretched = ContextConfig::Stretched(StretchedConfig::default());
        assert_eq!(
            keys(&|plan| {
                plan.context = stretched;
                plan.model.block.mixer = average;
            }),
            ["context.scaling"]
        );
    }

    #[test]
    fn counts_of_the_plan_are_those_of_the_built_model() {
        let plan = cepe("control");
        let ContextConfig::Encoder(context) = &plan.context else { panic!("the control has an encoder") };
        let job =
            crate::training::Job { model: &plan.model, data: &plan.data, training: &plan.training, seed: 1 };
        let training = plan.own_training().unwrap();
        let objective = crate::training::Reading { job, context, training, decoder: None, encoder: None };
        use crate::training::Objective;
        let model = objective.start(&crate::device::open("cpu").unwrap()).unwrap();
        let shapes = crate::model::parameter::shapes(&model);
        let built: usize = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        assert_eq!(plan.num_params().unwrap().total, built as u64);
    }
}
