//! What the reading commands print with `--json`.

use serde_json::Value as Json;

use super::files::{environment, measurements, params, state};
use super::shape::*;
use super::{Documented, documented};

/// All of them.
pub(super) const ALL: [Documented; 24] = [
    documented("list", "zoo show --json", listing),
    documented("show", "zoo show NAME --json", shown),
    documented("diff", "zoo diff A B --json, of models, datasets or arms", differing),
    documented("diff-runs", "zoo diff RUN RUN --json", differing_runs),
    documented("plan", "zoo plan NAME --json", planned),
    documented("train", "zoo train MODEL DATASET --json", trained),
    documented("status", "zoo status NAME --json", standing),
    documented(
        "report",
        "zoo report NAME --json, and report.json; an array where there are several sizes",
        report,
    ),
    documented("challenge", "zoo challenge NAME --json, and challenge.json", challenge),
    documented("laws", "zoo laws --json", laws),
    documented("runs", "zoo runs --json", runs),
    documented("gc", "zoo gc --json", garbage),
    documented("measure", "zoo measure RUN --json", measured),
    documented("generate", "zoo generate RUN --json", generated),
    documented("grow", "zoo grow RUN --json", grown),
    documented("export", "zoo export RUN --json, zoo import DIR --json", exported),
    documented("data", "zoo data NAME --json", described),
    documented("devices", "zoo devices --json", devices),
    documented("doctor", "zoo doctor --json", findings),
    documented(
        "bench",
        "zoo bench --json; of a subject its arms, with --shape one shape, with --context the lengths and ways of reading",
        bench,
    ),
    documented("fit-capacity", "zoo fit capacity --json", capacity),
    documented("fit-race", "zoo fit race --json", race),
    documented("fit-scaling", "zoo fit scaling --json", scaling),
    documented("fit-mixture", "zoo fit mixture --json", mixture),
];

fn kind() -> Json {
    word(&["model", "dataset", "ablation"])
}

fn numbers<const N: usize>(names: [&'static str; N]) -> Json {
    object(&names.map(|name| (name, number())))
}

fn listing() -> Json {
    list(object(&[("kind", kind()), ("name", text()), ("note", text()), ("file", text())]))
}

fn shown() -> Json {
    let size = object(&[
        ("size", text()),
        ("params", params()),
        ("flops_per_token", object(&[("exact", count()), ("six_n", count()), ("chinchilla", count())])),
    ]);
    object(&[
        ("kind", kind()),
        ("name", text()),
        ("part", or_null(text())),
        ("file", text()),
        ("plan", about(table_of(anything()), "the resolved tables; a choice has its kind")),
        ("sizes?", about(list(size), "of a model")),
    ])
}

fn difference() -> Json {
    object(&[("key", text()), ("a", anything()), ("b", anything())])
}

fn differing() -> Json {
    object(&[("a", text()), ("b", text()), ("differences", list(difference()))])
}

fn differing_runs() -> Json {
    let measured =
        about(list(difference()), "numbers of measurements.json; environment and timing are left out");
    let curve = object(&[
        ("first_step", about(count(), "the first line of metrics.jsonl that differs or is missing in one")),
        ("lines", about(count(), "lines of both at the same step")),
        ("largest_loss_difference", about(number(), "nats per token, of those")),
    ]);
    also(
        differing(),
        &[
            ("measured", measured),
            ("curve", or_null(curve)),
            ("weights", word(&["same", "different"])),
            ("equal", about(flag(), "nothing but environment and timing differs")),
        ],
    )
}

fn planned() -> Json {
    let arm = object(&[
        ("arm", text()),
        ("size", text()),
        ("holds", word(&["parameters", "active-flops", "nothing"])),
        ("params", params()),
        ("flops_per_token", count()),
        ("relative_params", number()),
        ("relative_flops", number()),
    ]);
    let run = object(&[
        ("arm", text()),
        ("size", text()),
        ("seed", count()),
        ("role", word(&["tune", "stage", "report"])),
        ("rate", word(&["own", "control"])),
        ("value", or_null(number())),
        ("second_value?", number()),
        ("certain", flag()),
        ("fingerprint", text()),
        ("params", params()),
        ("steps", count()),
        ("tokens", count()),
        ("flops", number()),
        ("peak_bytes", count()),
        ("seconds", number()),
    ]);
    let second = object(&[("key", text()), ("grid", list(number()))]);
    let tune = object(&[("key", text()), ("grid", list(number())), ("seeds", count()), ("second?", second)]);
    let power =
        object(&[("seeds", count()), ("spread", number()), ("pairs", count()), ("detectable", number())]);
    let on = object(&[
        ("device", text()),
        ("peak_flops", about(number(), "FLOPs per second of the data sheet, float32")),
        ("peak_bf16", or_null(about(number(), "the same in bfloat16, dense, if it has that"))),
        ("utilisation", about(number(), "the fraction of it that is assumed")),
        ("memory_bytes", count()),
        ("source", text()),
        ("seconds", about(number(), "of all runs, one after the other")),
        ("fits", about(flag(), "whether the largest run fits its memory")),
        ("rows_at_once", or_null(about(count(), "the largest micro-batch of that run that would fit"))),
    ]);
    object(&[
        ("ablation", text()),
        ("profile", or_null(text())),
        ("question", text()),
        ("model", text()),
        ("dataset", text()),
        ("expect", or_null(text())),
        ("seconds", about(list(number()), "until all that is certain is done, and all that may be")),
        ("seeds", count()),
        ("looks", list(count())),
        ("tune", or_null(tune)),
        ("arms", list(arm)),
        ("runs", list(run)),
        ("power", or_null(power)),
        ("warnings", about(list(text()), "what a reader must know before it runs")),
        ("chosen", about(or_null(text()), "what `--for` chose")),
        ("on", or_null(on)),
    ])
}

fn trained() -> Json {
    object(&[("run", text()), ("record", about(table_of(anything()), "zoo schema measurements.json"))])
}

fn standing() -> Json {
    let training = object(&[
        ("step", count()),
        ("steps", count()),
        ("loss", about(number(), "nats per token over the last stretch of steps")),
        ("bits_per_param", or_null(number())),
        ("tokens_per_second", number()),
        ("seconds_left", number()),
    ]);
    let training = about(or_null(training), "of a run under way or stopped, by its metrics");
    list(object(&[("run", text()), ("state", state()), ("training", training)]))
}

fn estimate() -> Json {
    object(&[
        ("mean", number()),
        ("low", about(or_null(number()), "of the 95 % interval over seeds; null below three")),
        ("high", or_null(number())),
        ("n", count()),
        ("reason", about(or_null(text()), "why there is no interval")),
    ])
}

fn effect() -> Json {
    also(
        estimate(),
        &[
            ("seeds", list(count())),
            ("p", or_null(number())),
            ("p_holm", or_null(number())),
            ("detectable", or_null(number())),
        ],
    )
}

fn compared() -> Json {
    also(
        estimate(),
        &[
            ("contrast", word(&["ratio", "difference"])),
            ("n_control", count()),
            ("p", about(or_null(number()), "below 0.05 exactly where the interval excludes no effect")),
            ("finding", word(&["above", "below", "equivalent", "bounded", "open", "too-few"])),
            (
                "settles_at?",
                about(count(), "seeds that would settle it, if spread and effect are what they seem"),
            ),
        ],
    )
}

fn verdict() -> Json {
    let told = ["undecided", "not-comparable"].map(|name| object(&[(name, text())]));
    either(&[&[word(&["agrees", "disagrees"])], &told[..]].concat())
}

fn claim() -> Json {
    or_null(either(&["about", "at-most", "at-least"].map(|name| object(&[(name, number())]))))
}

fn published() -> Json {
    object(&[
        ("text", text()),
        ("ratio", claim()),
        ("bits_per_param?", claim()),
        ("scale", text()),
        ("min_params", or_null(count())),
        ("exposures?", count()),
    ])
}

fn arm() -> Json {
    let run = object(&[
        ("seed", count()),
        ("fingerprint", text()),
        ("value", about(number(), "the measure of the comparison")),
        ("seconds", number()),
        ("finished", text()),
    ]);
    let attribute = object(&[("name", text()), ("bits", estimate()), ("max_bits", number())]);
    let teacher = object(&[("chunks", count()), ("nats", estimate())]);
    let document = object(&[("chunks", count()), ("perplexity", estimate())]);
    let documents =
        about(list(document), "ends of long documents, by how many of the chunks before them are read");
    let exam = object(&[("format_percent", estimate()), ("teacher?", teacher), ("documents?", documents)]);
    let extraction =
        object(&[("name", text()), ("accuracy", estimate()), ("asked", estimate()), ("recited", estimate())]);
    let apart = object(&[
        ("names", estimate()),
        ("values", estimate()),
        ("given_source", estimate()),
        ("source_bits", number()),
        ("ratio_of_values?", effect()),
        ("ratio_given_source?", effect()),
    ]);
    let domain = object(&[("name", text()), ("loss", estimate())]);
    object(&[
        ("arm", text()),
        ("label?", text()),
        ("basis", word(&["primary", "equal-rate", "equal-rmax"])),
        ("differs", text()),
        ("holds", text()),
        ("rate", number()),
        ("n_runs", count()),
        ("runs", list(run)),
        ("params", or_null(count())),
        ("non_embedding_params", or_null(count())),
        ("active_params", or_null(count())),
        ("exposures?", count()),
        ("context?", about(word(&["packed"]), "facts were read behind others' biographies; absent: alone")),
        ("bits_per_param", or_null(estimate())),
        ("max_bits_per_param", or_null(number())),
        ("held_out_loss", or_null(estimate())),
        ("answers?", or_null(estimate())),
        ("exam?", exam),
        ("extraction?", about(list(extraction), "over all attributes, then each")),
        ("compared?", about(compared(), "with all arms and looks together: what the report claims")),
        ("not_claimed?", about(text(), "why nothing is claimed, and what to run instead")),
        ("ratio_to_control", about(or_null(effect()), "paired by seed, of this arm by itself")),
        ("difference_to_control", or_null(effect())),
        ("no_ratio", or_null(text())),
        ("published", or_null(published())),
        ("verdict", or_null(verdict())),
        ("attributes", list(attribute)),
        ("apart?", about(apart, "of mixtures, bits per parameter")),
        ("domains?", about(list(domain), "of mixtures, nats per token")),
        ("fully_known", or_null(estimate())),
        ("final_loss", or_null(estimate())),
        ("seconds", or_null(estimate())),
        ("tokens", or_null(number())),
        ("flops", or_null(number())),
        ("measurement_error", or_null(number())),
    ])
}

fn challenge() -> Json {
    let case = object(&[
        ("nuisance", about(text(), "what is changed")),
        ("factor", about(number(), "by what it is multiplied")),
        ("sets", list(text())),
        ("compared", or_null(compared())),
        ("why_not", about(or_null(text()), "why there is no comparison")),
        ("outcome", word(&["holds", "weaker", "leans", "turns", "no-answer"])),
    ]);
    let arm = object(&[
        ("arm", text()),
        ("label", text()),
        ("reference", about(or_null(compared()), "as it was asked")),
        ("cases", list(case)),
    ]);
    object(&[
        ("name", text()),
        ("profile", text()),
        ("command", text()),
        ("question", text()),
        ("arms", list(arm)),
    ])
}

fn report() -> Json {
    let step = object(&[
        ("name", text()),
        ("change", text()),
        ("added", or_null(compared())),
        ("removed", or_null(compared())),
    ]);
    let walk =
        object(&[("from", text()), ("to", text()), ("steps", list(step)), ("whole", or_null(compared()))]);
    let part = object(&[("factor", text()), ("level", text()), ("base", text())]);
    let effect = object(&[("parts", list(part)), ("compared", compared())]);
    let factorial = object(&[
        ("effects", about(list(effect), "main effects, then two-way interactions")),
        ("holes", about(list(text()), "cells with too few results")),
    ]);
    let trial = object(&[
        ("arm", text()),
        ("rate", number()),
        ("values?", about(list(number()), "of the tuned keys, where there are two")),
        ("seed", count()),
        ("value", or_null(number())),
    ]);
    let missing = object(&[("arm", text()), ("seed", count()), ("cause", text())]);
    let design = object(&[
        ("looks", about(list(count()), "numbers of seeds after which the arms are compared")),
        ("within", about(number(), "half-width of an interval that is precise enough")),
        ("margin", about(number(), "the factor from 1 that counts as no difference")),
        ("planned", word(&["before", "by-hand"])),
    ]);
    let one = object(&[
        ("format", count()),
        ("name", text()),
        ("profile", text()),
        ("command", text()),
        ("question", text()),
        ("source", text()),
        ("notes", list(text())),
        ("control", text()),
        ("measure", word(&["bits-per-param", "held-out-loss", "answers"])),
        ("answer", about(list(text()), "the headline, then sentences")),
        ("design?", design),
        ("next?", about(text(), "what to do next, and its cost")),
        ("cautions", list(text())),
        ("arms", list(arm())),
        ("walk?", walk),
        ("factorial?", factorial),
        ("speedups?", list(table_of(anything()))),
        ("tuning", list(trial)),
        ("missing", list(missing)),
        ("environments", list(environment())),
    ]);
    either(&[one.clone(), list(one)])
}

fn laws() -> Json {
    let measured = object(&[
        ("profile", text()),
        ("params", or_null(count())),
        ("quantity", word(&["ratio", "bits-per-param"])),
        ("estimate", or_null(estimate())),
        ("verdict", or_null(verdict())),
        ("command", text()),
        ("finished", text()),
        ("runs", list(text())),
    ]);
    list(object(&[
        ("result", or_null(count())),
        ("ablation", text()),
        ("arm", text()),
        ("question", text()),
        ("published", published()),
        ("measured", list(measured)),
        ("command", text()),
    ]))
}

fn runs() -> Json {
    list(object(&[
        ("run", text()),
        ("id", about(text(), "the shortest digits that name it in this store")),
        ("arm", text()),
        ("role", word(&["tune", "stage", "report"])),
        ("state", text()),
        ("cause", or_null(text())),
        ("device", text()),
        ("dtype", text()),
        ("bytes", count()),
        ("bits_per_param", or_null(number())),
        ("final_loss", or_null(number())),
    ]))
}

fn garbage() -> Json {
    let piece = object(&[("path", text()), ("bytes", count()), ("why", text())]);
    object(&[("garbage", list(piece)), ("deleted_bytes", or_null(count()))])
}

fn measured() -> Json {
    let rounded = also(measurements(), &[("quantize", anything())]);
    also(measurements(), &[("rounded?", about(list(rounded), "with --quantize, one for each rounding"))])
}

fn generated() -> Json {
    object(&[("prompt_tokens", list(count())), ("tokens", list(count())), ("text", text())])
}

fn grown() -> Json {
    let growth = object(&[
        ("run", text()),
        ("operator", text()),
        ("layers", list(count())),
        ("connection_rate", number()),
        ("promise", text()),
        ("function_gap", or_null(number())),
        ("probe_tokens", count()),
        ("before", params()),
        ("after", params()),
    ]);
    object(&[("folder", text()), ("growth", growth)])
}

fn exported() -> Json {
    object(&[
        ("class?", about(text(), "of transformers")),
        ("folder", text()),
        ("params?", params()),
        ("seq_len?", count()),
        ("runs?", about(count(), "how many runs the tables or event files are of")),
        ("files?", list(text())),
    ])
}

fn description() -> Json {
    let bits = object(&[("name", text()), ("bits", number())]);
    let information = object(&[
        ("people", count()),
        ("name_bits", number()),
        ("attributes", list(bits)),
        (
            "diversity",
            or_null(object(
                &["attributes", "chunks", "distinct", "length", "alphabet"].map(|n| (n, count())),
            )),
        ),
    ]);
    let missing = object(&[("person", text()), ("attribute", text()), ("texts", count()), ("of", count())]);
    object(&[
        ("kind", text()),
        ("vocab_size", count()),
        ("seq_len", count()),
        ("documents", count()),
        ("tokens_per_document", number()),
        ("tokens", list(object(&[("what", text()), ("tokens", number())]))),
        ("bits_per_person", or_null(number())),
        ("total_bits", or_null(number())),
        ("information", or_null(information)),
        ("samples", list(text())),
        ("entropy?", anything()),
        ("missing?", about(list(missing), "facts that texts of the prose do not state")),
    ])
}

fn described() -> Json {
    let proxies = also(
        numbers(["shannon", "conditional", "joint", "von_neumann"]),
        &[("name", text()), ("tokens", count())],
    );
    let source = object(&[
        ("name", text()),
        ("share", number()),
        ("marker", anything()),
        ("description", description()),
    ]);
    also(
        description(),
        &[("entropies", about(list(proxies), "in nats")), ("studied?", text()), ("sources?", list(source))],
    )
}

fn devices() -> Json {
    let device = object(&[("name", text()), ("description", text())]);
    object(&[("devices", list(device)), ("kernels", text())])
}

fn findings() -> Json {
    list(object(&[("what", text()), ("found", text()), ("ok", flag())]))
}

fn bench() -> Json {
    let shape = also(
        numbers([
            "tokens_per_second",
            "gflops",
            "peak_gflops",
            "share_of_peak",
            "tokens_per_second_one_run_on_all_cores",
            "tokens_per_second_one_run_per_core",
            "tokens_per_second_all_cores",
        ]),
        &[
            ("shape", table_of(anything())),
            ("device", text()),
            ("dtype", text()),
            ("kernels", text()),
            ("threads", count()),
            ("peak_bytes", or_null(count())),
            ("cores", count()),
            ("ratio_to_baseline?", or_null(number())),
        ],
    );
    let arm = object(&[
        ("arm", text()),
        ("size", text()),
        ("device", text()),
        ("runs", count()),
        ("threads?", count()),
        ("tokens_per_second?", number()),
        ("tokens_per_second_all_cores?", number()),
        ("gflops?", number()),
        ("peak_gflops?", number()),
        ("share_of_peak?", number()),
        ("peak_bytes?", or_null(count())),
        ("ratio_to_baseline?", or_null(number())),
    ]);
    let reading = also(
        numbers(["tokens_per_second"]),
        &[
            ("way", word(&["window", "encoder", "replug"])),
            ("context", count()),
            ("reading_bytes", or_null(count())),
            ("peak_bytes", or_null(count())),
        ],
    );
    let reading = object(&[("device", text()), ("reading", list(reading))]);
    let (shapes, arms) = (object(&[("shapes", list(shape.clone()))]), object(&[("arms", list(arm))]));
    either(&[shapes, shape, arms, reading])
}

/// What is known of a number, with an end that the data do not set being null.
fn interval() -> Json {
    object(&[("estimate", number()), ("low", or_null(number())), ("high", or_null(number()))])
}

fn race() -> Json {
    let place = [("axis", text()), ("stage", text())];
    let names = row(&[text(), text()]);
    let crossing = object(&[("at", interval()), ("ahead", text()), ("support", or_null(number()))]);
    let lead = object(&[("side", text()), ("from", number()), ("to", number()), ("most", number())]);
    let pair = also(
        object(&place),
        &[
            ("names", names.clone()),
            ("overlap", row(&[number(), number()])),
            ("crossings", list(crossing)),
            ("touches", list(numbers(["from", "to", "difference"]))),
            ("leads", list(lead)),
            ("config", table_of(anything())),
        ],
    );
    let owner = also(numbers(["from", "to"]), &[("name", text())]);
    let round = also(
        object(&place),
        &[
            ("schedule", text()),
            ("pairs", list(pair)),
            ("apart", list(object(&[("names", names)]))),
            ("envelope", list(owner)),
        ],
    );
    let outcome = word(&["again", "overtaken", "behind", "never", "apart"]);
    let answer = also(object(&place), &[("schedule", text()), ("outcome", outcome), ("text", text())]);
    let drawn = object(&[
        ("name", text()),
        ("to", text()),
        ("axis", text()),
        ("law", text()),
        ("loss_of_largest", number()),
        ("answers", list(table_of(anything()))),
    ]);
    object(&[
        ("answers", list(answer)),
        ("rounds", list(round)),
        ("extrapolations", list(drawn)),
        ("notes", list(text())),
    ])
}

fn capacity() -> Json {
    let load = also(
        numbers(["params", "max_bits", "max_bits_per_param", "bits_per_param"]),
        &[("runs", count()), ("is_peak", flag())],
    );
    let judgement = object(&[
        ("models", count()),
        ("sizes", row(&[number(), number()])),
        ("capacity", interval()),
        ("sharpness", interval()),
        ("log_error", number()),
        ("exponent", or_null(interval())),
        ("log_error_of_growth", or_null(number())),
        ("doubts", list(text())),
    ]);
    let group = object(&[
        ("exposures", or_null(count())),
        ("loads", list(load)),
        ("law", or_null(judgement.clone())),
        ("refused", or_null(text())),
        ("published", or_null(judgement)),
    ]);
    object(&[("groups", list(group)), ("notes", list(text()))])
}

fn scaling() -> Json {
    let approach = object(&[
        ("name", text()),
        ("refused", or_null(text())),
        ("exponent", or_null(interval())),
        ("params", or_null(interval())),
        ("tokens", or_null(interval())),
        ("constants", list(row(&[text(), interval()]))),
        ("log_error", or_null(number())),
    ]);
    let held_out =
        also(numbers(["flops", "mean_relative_error"]), &[("points", count()), ("within", count())]);
    let annealing = object(&[("c", interval()), ("pairs", count()), ("with", count()), ("without", count())]);
    object(&[
        ("note", text()),
        ("budget", number()),
        ("approaches", list(approach)),
        ("doubts", list(text())),
        ("held_out", or_null(held_out)),
        ("annealing", or_null(annealing)),
    ])
}

fn mixture() -> Json {
    let range = row(&[or_null(number()), or_null(number())]);
    let score = object(&[
        ("r2", or_null(number())),
        ("r2_range", range.clone()),
        ("mean_relative_error", or_null(number())),
        ("points", count()),
    ]);
    let law = object(&[
        ("name", text()),
        ("refused", or_null(text())),
        ("r2", or_null(number())),
        ("r2_range", or_null(range)),
        ("mean_relative_error", or_null(number())),
        ("domains", list(row(&[text(), score]))),
        ("law", anything()),
    ]);
    let optimum = object(&[
        ("law", text()),
        ("shares", list(row(&[text(), number()]))),
        ("loss", number()),
        ("uniform", number()),
        ("numeric_difference", or_null(number())),
    ]);
    let test = object(&[
        ("predicted", number()),
        ("measured", number()),
        ("uniform", or_null(number())),
        ("best", or_null(row(&[text(), number()]))),
    ]);
    object(&[
        ("mixtures", count()),
        ("folds", text()),
        ("laws", list(law)),
        ("verdicts", list(text())),
        ("cautions", list(text())),
        ("later", or_null(numbers(["steps", "mean_relative_error"]))),
        ("optima", list(optimum)),
        ("test", or_null(test)),
    ])
}
