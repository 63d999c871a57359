//! What `[adapt]` means for a plan: the run that it starts from, its parameters and FLOPs, and its checks.

use super::Plan;
use super::check::within;
use super::context::check_stage;
use super::stages::{Parent, Part};
use crate::Result;
use crate::error::{Error, Problem};
use crate::model::FlopCount;
use crate::training::{AdaptConfig, AnsweringAdapt, ContextConfig, Prediction, QuestionsAdapt, answering};

impl Plan {
    /// The run whose model is taught to answer.
    pub(super) fn adapted_parent(&self) -> Parent {
        Parent { part: Part::Base, plan: Plan { adapt: AdaptConfig::None, ..self.clone() } }
    }

    /// The largest length of a sequence of questions, in tokens.
    pub(super) fn question_len(&self) -> Result<usize> {
        let longest = self.data.question_len()?;
        longest.ok_or_else(|| {
            let problem =
                Problem::new(format!("\"{}\" has no people to ask questions about", self.data.kind()));
            Error::config(problem.key("data.kind").expected("bio-s, bio-d or a mixture with them"))
        })
    }

    /// FLOPs of a step of QA tuning per token of its sequences.
    pub(super) fn flops_of_question_tokens(
        &self,
        questions: &QuestionsAdapt,
        vocab_size: usize,
    ) -> Result<FlopCount> {
        let row = self.question_len()?;
        let own = self.model.flops_per_token(vocab_size, row);
        let rows = questions.training(&self.training).rows_at_once();
        let merging = questions.lora.flops_per_step(&self.model, vocab_size, self.data.seq_len());
        let exact = own.exact + merging.div_ceil((rows * row) as u64);
        Ok(FlopCount { exact, ..own })
    }
}

/// Checks the table; keys are those of the plan's TOML.
pub(super) fn check(plan: &Plan) -> Vec<Problem> {
    let mut problems = match &plan.adapt {
        AdaptConfig::None => return Vec::new(),
        AdaptConfig::Questions(questions) => within("adapt", questions.check(&plan.model)),
        AdaptConfig::Answering(answering) => check_answering(plan, answering),
    };
    let mut refuse = |refused: bool, key: &str, found: &str, expected: &str| {
        if refused {
            problems.push(Problem::new(found).key(key).expected(expected));
        }
    };
    let masked = plan.prediction != Prediction::NextToken;
    refuse(masked, "adapt", "questions to a model with masked prediction", "prediction = \"next-token\"");
    let rounded = !plan.measure.quantize.is_none();
    refuse(rounded, "measure.quantize", "a QA-tuned model is not quantized", "\"none\", or adapt = \"none\"");
    let AdaptConfig::Questions(questions) = &plan.adapt else { return problems };
    let context = plan.context != ContextConfig::None;
    refuse(
        context,
        "adapt",
        "questions to a model with a context",
        "context = \"none\", or adapt = \"answering\" or \"none\"",
    );
    if problems.is_empty() {
        match check_data(plan, questions) {
            Ok(found) => problems.extend(found),
            Err(error) => problems.extend(error.problems),
        }
    }
    problems
}

fn check_answering(plan: &Plan, config: &AnsweringAdapt) -> Vec<Problem> {
    match answering::row_len(&plan.data, config.form) {
        Ok(row) => within("adapt.training", check_stage(plan, &config.training, row)),
        Err(error) => error.problems,
    }
}

fn check_data(plan: &Plan, questions: &QuestionsAdapt) -> Result<Option<Problem>> {
    let (longest, row) = (plan.question_len()?, plan.data.seq_len());
    if longest > row {
        let problem =
            Problem::new(format!("questions of {longest} tokens in sequences of length {row}")).key("adapt");
        return Ok(Some(problem.expected("sequences that are as long").help("set data.seq_len higher")));
    }
    let people = plan.data.information()?.map_or(0, |information| information.people);
    let asked = questions.n_asked(people);
    let both = asked > 0 && asked < people;
    Ok((!both).then(|| {
        let problem = Problem::new(format!("{asked} of {people} people")).key("adapt.asked");
        problem.expected("people that QA tuning asks about, and held-out people")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{BioDConfig, CorpusConfig, DataConfig, ReadingConfig};
    use crate::plan::Fingerprint;
    use crate::plan::check::check;
    use crate::training::{Count, Length};

    fn asking() -> Plan {
        let adapt = AdaptConfig::Questions(QuestionsAdapt { steps: 7, ..QuestionsAdapt::default() });
        let mut plan = Plan { adapt, ..Plan::default() };
        (plan.model.d_model, plan.model.n_layers, plan.model.n_heads) = (32, 2, 2);
        plan
    }

    #[test]
    fn every_way_of_asking_begins_from_the_same_run() {
        let plan = asking();
        assert!(check(&plan).is_empty(), "{:?}", check(&plan));
        let base = Plan { adapt: AdaptConfig::None, ..plan.clone() };
        assert_eq!(plan.parents().unwrap(), [Parent { part: Part::Base, plan: base.clone() }]);
        let mut other = plan.clone();
        other.adapt = AdaptConfig::Questions(QuestionsAdapt { peak_lr: 0.5, ..QuestionsAdapt::default() });
        assert_eq!(other.parents().unwrap(), plan.parents().unwrap());
        let name = |plan: &Plan| Fingerprint::of(plan).unwrap();
        assert_ne!(name(&plan), name(&base));
        assert_ne!(name(&plan), name(&other));
        assert_eq!((plan.steps().unwrap(), plan.first_step().unwrap()), (7, 0));
        assert_eq!(plan.row_len().unwrap(), 7);
        assert_eq!(plan.num_params().unwrap(), base.num_params().unwrap(), "what it stores with is not more");
    }

    #[test]
    fn impossible_questions_are_refused_with_their_keys() {
        let keys = |change: &dyn Fn(&mut Plan, &mut QuestionsAdapt)| -> Vec<String> {
            let (mut plan, mut questions) = (asking(), QuestionsAdapt::default());
            change(&mut plan, &mut questions);
            plan.adapt = AdaptConfig::Questions(questions);
            check(&plan).into_iter().map(|problem| problem.key.unwrap_or_default()).collect()
        };
        assert_eq!(keys(&|_, _| {}), [""; 0]);
        assert_eq!(keys(&|_, questions| questions.lora.rank = 0), ["adapt.lora.rank"]);
        assert_eq!(keys(&|_, questions| questions.steps = 0), ["adapt.steps"]);
        assert_eq!(keys(&|plan, _| plan.data = DataConfig::Corpus(CorpusConfig::default())), ["data.kind"]);
        let few = |plan: &mut Plan, questions: &mut QuestionsAdapt| {
            plan.data = DataConfig::BioD(BioDConfig { people: 1000, ..BioDConfig::default() });
            questions.asked = 0.0001;
        };
        assert_eq!(keys(&few), ["adapt.asked"]);
        let rtn = crate::measure::QuantizeConfig::Rtn(Default::default());
        assert_eq!(keys(&|plan, _| plan.measure.quantize = rtn), ["measure.quantize"]);
        let masked = Plan { prediction: Prediction::Masked(Default::default()), ..asking() };
        assert!(super::check(&masked).iter().any(|problem| problem.key.as_deref() == Some("adapt")));
        let read = Plan { context: ContextConfig::Window, ..asking() };
        assert!(super::check(&read).iter().any(|problem| problem.key.as_deref() == Some("adapt")));
    }

    #[test]
    fn impossible_tuning_is_refused_with_their_keys() {
        let keys = |change: &dyn Fn(&mut ReadingConfig, &mut AnsweringAdapt)| -> Vec<String> {
            let (mut data, mut answering) = (ReadingConfig::default(), AnsweringAdapt::default());
            change(&mut data, &mut answering);
            let adapt = AdaptConfig::Answering(answering);
            let mut plan = Plan { data: DataConfig::Reading(data), adapt, ..asking() };
            plan.training.length = Length::Steps(Count { count: 10_000 });
            check(&plan).into_iter().map(|problem| problem.key.unwrap_or_default()).collect()
        };
        assert_eq!(keys(&|_, _| {}), [""; 0]);
        assert_eq!(keys(&|_, answering| answering.training.length = 0.0), ["adapt.training.length"]);
        assert_eq!(keys(&|_, answering| answering.training.batch = 0), ["adapt.training.batch"]);
        assert_eq!(keys(&|data, _| data.questions = 1), ["data.questions"]);
        let adapt = AdaptConfig::Answering(AnsweringAdapt::default());
        let other: Vec<_> =
            check(&Plan { adapt, ..asking() }).into_iter().map(|problem| problem.key).collect();
        assert_eq!(other, [Some("data.kind".to_string())]);
    }
}
