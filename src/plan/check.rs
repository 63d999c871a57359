//! The checks of a plan: everything that is impossible about it, at once and before anything runs.

use super::Plan;
use super::data_size::DataSize;
use crate::data::DataConfig;
use crate::error::Problem;
use crate::measure::{MeasureContext, People};
use crate::training::{LengthUnits, Prediction};

/// The largest model that is accepted, in parameters.
const MAX_PARAMS: u64 = 10_000_000_000_000;

/// The largest `n_layers * d_model^2` whose parameters can be counted in 64 bits, whatever the expansion.
const MAX_SQUARES: f64 = 1e15;

/// The largest number of paraphrases that is accepted.
const MAX_PARAPHRASES: u64 = 10_000;

/// The largest number of questions that is accepted.
const MAX_QUESTIONS: u64 = 1 << 20;

/// Everything that is impossible about a plan; keys are those of its TOML.
pub fn check(plan: &Plan) -> Vec<Problem> {
    let mut problems = within(
        "model",
        match plan.prediction {
            Prediction::NextToken => plan.model.check(plan.data.seq_len()),
            Prediction::Masked(_) => plan.model.check_encoder(plan.data.seq_len()),
        },
    );
    if let Prediction::Masked(masked) = plan.prediction {
        problems.extend(within("prediction", masked.check().into_iter().collect()));
    }
    if problems.is_empty() {
        problems.extend(check_size(plan));
    }
    match plan.data.check().and_then(|()| DataSize::of(&plan.data)) {
        Ok(size) => {
            // An impossible model has no FLOPs to count.
            let flops =
                if problems.is_empty() { plan.flops_per_token().map_or(1, |count| count.exact) } else { 1 };
            let training = plan.training.check(&LengthUnits {
                seq_len: plan.data.seq_len(),
                tokens_per_exposure: size.tokens_per_exposure,
                flops_per_token: flops as f64,
            });
            problems.extend(within("training", training));
        }
        Err(error) => problems.extend(error.problems),
    }
    problems.extend(within("measure", check_measure(plan)));
    if problems.is_empty() {
        problems.extend(super::context::check(plan));
    }
    if problems.is_empty() {
        problems.extend(super::adapt::check(plan));
    }
    if problems.is_empty() {
        problems.extend(check_params(plan));
    }
    if problems.is_empty() {
        problems.extend(plan.growth.iter().flat_map(|growth| growth.check(plan)));
    }
    problems
}

pub(super) fn within(table: &str, problems: Vec<Problem>) -> Vec<Problem> {
    let prefix = |problem: Problem| {
        let key = problem.key.as_ref().map_or(table.to_string(), |key| format!("{table}.{key}"));
        problem.key(key)
    };
    problems.into_iter().map(prefix).collect()
}

/// Widths that no 64-bit count survives are refused before anything is counted.
fn check_size(plan: &Plan) -> Option<Problem> {
    let squares = plan.model.n_layers as f64 * (plan.model.d_model as f64).powi(2);
    (squares > MAX_SQUARES).then(|| {
        let found = format!("{} layers of width {}", plan.model.n_layers, plan.model.d_model);
        Problem::new(found)
            .key("model.d_model")
            .expected(format!("n_layers * d_model^2 up to {MAX_SQUARES:e}"))
    })
}

fn check_params(plan: &Plan) -> Option<Problem> {
    let total = match plan.num_params() {
        Ok(params) => params.total,
        Err(error) => return error.problems.into_iter().next(),
    };
    (total > MAX_PARAMS).then(|| {
        let found = format!("{total} parameters");
        Problem::new(found).key("model.d_model").expected(format!("at most {MAX_PARAMS}"))
    })
}

fn check_measure(plan: &Plan) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !(1..=MAX_PARAPHRASES).contains(&plan.measure.paraphrases) {
        let found = plan.measure.paraphrases.to_string();
        problems.push(Problem::new(found).key("paraphrases").expected(format!("1 to {MAX_PARAPHRASES}")));
    }
    if let DataConfig::Reading(data) = &plan.data {
        let exam = plan.measure.qa_test;
        let most = data.max_chunks();
        for (key, value, most) in [
            ("qa_test.questions", exam.questions, MAX_QUESTIONS),
            ("qa_test.most_chunks", exam.most_chunks, most),
            ("qa_test.judged_by", exam.judged_by, most),
        ] {
            if !(1..=most).contains(&value) {
                problems.push(Problem::new(value.to_string()).key(key).expected(format!("1 to {most}")));
            }
        }
    }
    if plan.measure.context == MeasureContext::Packed && plan.data.studied().is_none() {
        let problem = Problem::new(format!("\"packed\" with data without people, \"{}\"", plan.data.kind()));
        let problem = problem.key("context").expected("\"alone\"");
        problems
            .push(problem.help("nobody's biography is read; leave it out, or take bio-s, bio-d or bio-r"));
    }
    match plan.measure.people {
        People::Sample(sample) if sample.count == 0 => {
            problems.push(Problem::new("0").key("people.count").expected("at least 1"));
        }
        People::Sample(_) | People::All => {}
    }
    problems.extend(within("quantize", plan.measure.quantize.check()));
    problems
}
