//! The files of a run folder, and of what is exported from them.

use serde_json::Value as Json;

use super::shape::*;
use super::{Documented, documented};

/// All of them; a TOML file is described as the JSON of the same tables.
pub(super) const ALL: [Documented; 12] = [
    documented("store.json", "What makes a folder a store of runs", layout),
    documented(
        "calibration.json",
        "How fast steps are on the machines of a store; may be deleted",
        calibration,
    ),
    documented("run.toml", "The names of a run", names),
    documented("plan.toml", "The resolved plan of a run; docs/zoo.md lists the choices", plan),
    documented("environment.toml", "Where and with what a run ran", environment_file),
    documented("status.json", "Where a run stands; only manifest.json says that it is finished", status),
    documented("metrics.jsonl", "A line of the metrics of a run; the first line is {\"format\": 1}", metrics),
    documented("measurements.json", "A finished run: plan, environment, cost, measurements", record),
    documented("config.json", "How to build the model that model.safetensors belongs to", config),
    documented("manifest.json", "Sizes and hashes of the files of a finished run, written last", manifest),
    documented("export-runs", "A row of runs.jsonl and runs.csv of `zoo export`", exported_run),
    documented("export-metrics", "A row of metrics.jsonl and metrics.csv of `zoo export`", exported_metrics),
];

fn layout() -> Json {
    object(&[("format", count())])
}

fn calibration() -> Json {
    let timing = object(&[
        ("environment", environment()),
        ("kind", about(plan(), "the plan without its length, rate, schedule and seed")),
        ("flops_per_step", number()),
        ("flops_per_second", about(number(), "of one run, with as many beside it as run at a time")),
    ]);
    object(&[("format", count()), ("timings", list(timing))])
}

fn role() -> Json {
    word(&["tune", "stage", "report"])
}

fn names() -> Json {
    object(&[
        ("format", count()),
        ("fingerprint", about(text(), "hash of the plan, 64 digits")),
        ("name", text()),
        ("arm", text()),
        ("label", text()),
        ("role", role()),
        ("trunk?", about(text(), "a shorter trunk (hash of its plan) that this run may go on from")),
        (
            "weights?",
            about(text(), "a run (hash of its plan) that differs in `measure` alone and was trained"),
        ),
    ])
}

fn plan() -> Json {
    let tables = ["model", "data", "training", "measure"].map(|name| (name, table_of(anything())));
    let optional = ["prediction?", "context?", "growth?", "adapt?"].map(|name| (name, anything()));
    also(object(&tables), &[&optional[..], &[("seed", count())]].concat())
}

pub(super) fn environment() -> Json {
    object(&[
        ("version", text()),
        ("commit?", or_null(text())),
        ("device", about(text(), "cpu, cuda, ...")),
        ("kernels", about(text(), "avx512, avx2, neon, portable or reference")),
        ("processor", text()),
        ("platform", text()),
        ("threads", count()),
        ("finished", about(text(), "when it ended (or, of a run that goes on, began), UTC, RFC 3339")),
        ("weights_of?", about(text(), "the run that was trained, where its weights were measured anew")),
    ])
}

fn environment_file() -> Json {
    also(environment(), &[("format", count())])
}

pub(super) fn state() -> Json {
    object(&[
        ("state", word(&["waiting", "running", "stopped", "failed", "diverged", "finished"])),
        ("cause?", about(text(), "of failed and diverged")),
    ])
}

fn status() -> Json {
    also(state(), &[("format", count())])
}

fn metrics() -> Json {
    object(&[
        ("step", about(count(), "steps done")),
        ("tokens", about(count(), "tokens read, those of the runs it began from included")),
        ("flops", about(number(), "of forward and backward, exact counting")),
        ("seconds", about(number(), "of training, without evaluation and pauses")),
        ("lr", about(number(), "learning rate of the last step")),
        ("loss", about(number(), "cross-entropy in nats per token, mean since the last line")),
        ("auxiliary?", about(number(), "auxiliary losses: load balancing of experts, distillation")),
        ("grad_norm", about(number(), "of the last step, before clipping")),
        ("probe?", about(number(), "at every tenth line: bits per parameter on at most 256 people")),
    ])
}

pub(super) fn params() -> Json {
    object(&[("total", count()), ("embedding", count()), ("active", count())])
}

fn loss() -> Json {
    object(&[("nats_per_token", number()), ("tokens", count())])
}

fn capacity() -> Json {
    let number = number();
    let bits = [
        "bits",
        "name_bits",
        "value_bits",
        "diversity_bits",
        "max_bits",
        "bits_per_param",
        "max_bits_per_param",
        "name_nats",
        "value_nats",
        "fully_known",
        "measurement_error",
    ];
    let attribute = object(&[("name", text()), ("bits", number.clone()), ("max_bits", number.clone())]);
    let given = ["source_bits", "name_bits", "bits", "bits_per_param"].map(|name| (name, number.clone()));
    also(
        object(&bits.map(|name| (name, number.clone()))),
        &[
            ("params", count()),
            ("attributes", list(attribute)),
            ("people", count()),
            ("renderings", count()),
            ("context?", about(word(&["packed"]), "read behind others' biographies; absent: alone")),
            ("given_source?", object(&given)),
        ],
    )
}

pub(super) fn measurements() -> Json {
    let domain = also(loss(), &[("name", text())]);
    object(&[
        ("capacity", or_null(capacity())),
        ("held_out", or_null(loss())),
        ("domains?", list(domain)),
        ("quantized?", about(table_of(anything()), "how the weights would be stored, if they were rounded")),
        (
            "answers?",
            about(table_of(anything()), "the QA test: right answers, where the data asks questions"),
        ),
        ("extraction?", about(extraction(), "fractions of right answers of a QA-tuned model")),
    ])
}

fn extraction() -> Json {
    let shares = ["accuracy", "asked_accuracy", "recited"].map(|name| (name, number()));
    let attribute = also(object(&shares), &[("name", text())]);
    also(
        object(&shares),
        &[("people", count()), ("trained_params", count()), ("attributes", list(attribute))],
    )
}

fn record() -> Json {
    let training = object(&[
        ("steps", count()),
        ("tokens", count()),
        ("flops", number()),
        ("seconds", number()),
        ("final_loss", about(number(), "nats per token, mean of the last 5 % of steps")),
        ("elapsed?", about(number(), "seconds of the whole run, where one process did all of it")),
        ("peak_bytes", about(count(), "largest resident memory")),
    ]);
    object(&[
        ("format", count()),
        ("fingerprint", text()),
        ("plan", plan()),
        ("environment", environment()),
        ("params", params()),
        ("training", training),
        ("measurements", measurements()),
    ])
}

fn config() -> Json {
    object(&[
        ("format", count()),
        ("model", table_of(anything())),
        ("vocab_size", count()),
        ("seq_len", count()),
        ("prediction?", anything()),
        ("context?", anything()),
    ])
}

fn manifest() -> Json {
    let file = object(&[("name", text()), ("bytes", count()), ("blake3", text())]);
    object(&[("format", count()), ("files", list(file))])
}

fn exported_run() -> Json {
    let maybe = |shape: Json| or_null(shape);
    let texts =
        ["run", "name", "arm", "role", "state", "fingerprint", "device", "dtype"].map(|name| (name, text()));
    let counts = ["exposures", "params", "active_params", "steps", "tokens", "peak_bytes", "threads"]
        .map(|name| (name, maybe(count())));
    let numbers = [
        "peak_lr",
        "flops",
        "seconds",
        "final_loss",
        "bits",
        "max_bits",
        "bits_per_param",
        "max_bits_per_param",
        "fully_known",
        "measurement_error",
        "held_out_nats_per_token",
        "right_answers",
    ]
    .map(|name| (name, maybe(number())));
    let places = ["kernels", "processor", "version", "finished"].map(|name| (name, maybe(text())));
    let seed = [("seed", count())];
    object(&[&texts[..], &seed[..], &counts[..], &numbers[..], &places[..]].concat())
}

fn exported_metrics() -> Json {
    let numbers = ["flops", "seconds", "lr", "loss", "grad_norm"].map(|name| (name, number()));
    let more = [
        ("run", text()),
        ("step", count()),
        ("tokens", count()),
        ("auxiliary", or_null(number())),
        ("bits_per_param", or_null(number())),
    ];
    object(&[&more[..], &numbers[..]].concat())
}
