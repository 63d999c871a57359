//! What each number of the page means and how it was counted.

use super::super::comparison::{Comparison, Measure};
use super::super::number;
use super::escape;
use super::sections::section;

const KNOWLEDGE: [(&str, &str); 5] = [
    (
        "Bit",
        "The unit of knowledge. A value out of 200 equally likely ones is worth log₂ 200 = 7.64 bits to somebody \
             who knows it; a model that gives it a probability of one half has all but one of them. Counted over the \
             names and the values of all people, from the loss of their tokens (arXiv 2404.05405, Definition 4.3).",
    ),
    (
        "Bits per parameter",
        "Bits stored, divided by all trainable parameters, token tables included, a tied table \
                            once.",
    ),
    (
        "R_max",
        "Bits per parameter of a model of that size that knows everything: what there was to learn, divided by \
               the parameters. A mean close to it measures the data, not the model.",
    ),
    (
        "Exposure",
        "One appearance of a person in the training text. A model at 100 exposures has seen every person \
                  about 100 times.",
    ),
    ("Fully known", "Share of people all of whose values are the likeliest token by token."),
];

const LOSS: [(&str, &str); 1] = [(
    "Held-out loss",
    "Mean of −ln p over the tokens of text that was not trained on, in nats per token; less is better. Losses are \
     compared by their difference.",
)];

const ANSWERS: [(&str, &str); 1] = [(
    "Right answers",
    "Share of questions to which the most probable token, at each place of the answer, is the right one: about strangers, \
     at the number of chunks that the plan names (all other numbers are in a figure); or about people whom nobody asked \
     about while the model was taught to answer. Shares are compared by their difference.",
)];

const ALWAYS: [(&str, &str); 5] = [
    (
        "Interval",
        "95 % Student t interval of the mean over seeds. A seed decides people, order and starting weights; \
                  with fewer than three seeds no interval is given.",
    ),
    (
        "Against the control",
        "Seed by seed, on seeds that both have. A ratio is the geometric mean, with the interval \
                             made on logarithms; an effect is claimed only when the interval excludes no effect.",
    ),
    (
        "p (Holm)",
        "Two-sided paired t test, after Holm's correction for all arms that are compared on the same basis.",
    ),
    (
        "FLOPs",
        "Floating-point operations of forward and backward by exact counting: no look-ups, the causal half of \
               attention, the head included.",
    ),
    ("Time", "Seconds of training on the machine named below, without start-up, measurement and pauses."),
];

/// The glossary of what this page uses, and the error of a single measurement.
pub fn section_for(comparison: &Comparison) -> String {
    let own: &[(&str, &str)] = match comparison.measure {
        Measure::BitsPerParam => &KNOWLEDGE,
        Measure::HeldOutLoss => &LOSS,
        Measure::Answers => &ANSWERS,
    };
    let entry =
        |(term, meaning): &(&str, &str)| format!("<dt>{}</dt><dd>{}</dd>", escape(term), escape(meaning));
    let mut entries: Vec<String> = own.iter().chain(&ALWAYS).map(entry).collect();
    let errors = comparison.primary_arms().filter_map(|arm| arm.measurement_error);
    if let Some(largest) = errors.reduce(f64::max) {
        let meaning = format!(
            "Up to {} bits per parameter for a single run: the standard error from the choice of renderings. The \
             interval over seeds holds it already.",
            number::three(largest)
        );
        entries.push(entry(&("Measurement error", &meaning)));
    }
    section("How each number is counted", &format!("<dl>\n{}\n</dl>", entries.join("\n")))
}
