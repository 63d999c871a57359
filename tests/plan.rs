//! The reading commands in an empty folder, and laws of plans.

use ablation_zoo::model::ModelConfig;
use ablation_zoo::plan::{
    Ablation, Fingerprint, Plan, PresetKind, Presets, Request, resolve, resolve_model, resolve_single,
};
use ablation_zoo::training::ScheduleConfig;
use ablation_zoo::training::config::ConstantConfig;
use proptest::prelude::*;

use crate::program::Folder;

#[test]
fn an_empty_folder_has_every_preset() {
    let folder = Folder::new();
    let items = folder.json(&["list", "--json"]);
    for kind in PresetKind::ALL {
        for (name, _) in kind.built_in() {
            let is_it = |item: &&serde_json::Value| item["name"] == *name && item["kind"] == kind.noun();
            let found = items.as_array().unwrap().iter().find(is_it).unwrap();
            assert!(found["note"].as_str().unwrap().len() > 10, "{name}");
        }
    }
    let text = folder.ask(&["list"]);
    assert!(text.contains("gpt2") && text.contains("What does the MLP do for knowledge?"));
    assert!(!text.contains("[this folder]"));
}

#[test]
fn a_file_of_the_folder_wins_and_is_marked() {
    let folder = Folder::new();
    folder.write("models/gpt2.toml", "# mine\n[model]\nd_model = 8\n");
    assert!(folder.ask(&["list"]).contains("mine [this folder]"));
    assert!(folder.ask(&["show", "gpt2"]).contains("models/gpt2.toml:3"));
}

#[test]
fn show_says_where_each_key_comes_from_and_is_toml() {
    let folder = Folder::new();
    let text = folder.ask(&["show", "mlp:gated", "--set", "training.batch=8"]);
    assert!(text.lines().any(|line| line.starts_with("batch = 8") && line.ends_with("# --set:1")), "{text}");
    assert!(
        text.lines().any(|l| l.starts_with("d_model = 48") && l.contains("models/gpt2.toml (built in)")),
        "{text}"
    );
    assert!(
        text.lines().any(|line| line.starts_with("paraphrases") && line.ends_with("# default")),
        "{text}"
    );
    let read = Plan::from_toml("shown", &text).unwrap();
    assert_eq!(read.training.batch, 8);
    let sizes = folder.json(&["show", "gpt2", "--json"]);
    let row = sizes["sizes"].as_array().unwrap().iter().find(|row| row["size"] == "2-2").unwrap();
    assert_eq!(
        row["params"]["total"].as_u64().unwrap() - row["params"]["embedding"].as_u64().unwrap(),
        396_800
    );
}

#[test]
fn what_would_have_no_effect_on_a_subject_is_refused() {
    let folder = Folder::new();
    for (args, key) in [
        (&["gpt2", "--set", "model.norm=rms"][..], "--set: gpt2 is a model"),
        (&["gpt2", "--profile", "smoke"], "--profile: gpt2 is a model"),
        (&["gpt2", "--dtype", "bf16"], "--dtype: gpt2 is a model"),
        (&["biod", "--profile", "smoke"], "--profile: biod is a dataset"),
        (&["biod:tiny"], "tiny: biod is a dataset"),
    ] {
        let said = folder.zoo(&[&["show"], args].concat());
        assert!(said.code == 2 && said.err.contains(key), "{args:?}: {}", said.err);
    }
    let text = folder.ask(&["show", "biod", "--set", "data.people=77"]);
    assert!(text.lines().any(|line| line.starts_with("people = 77") && line.contains("--set")), "{text}");
}

#[test]
fn diff_names_choices() {
    let found = Folder::new().json(&["diff", "gpt2", "llama", "--json"]);
    let keys: Vec<&str> =
        found["differences"].as_array().unwrap().iter().map(|d| d["key"].as_str().unwrap()).collect();
    assert!(keys.contains(&"model.norm") && keys.contains(&"model.block.feed_forward"), "{keys:?}");
    let same = Folder::new().ask(&["diff", "mlp", "mlp:control"]);
    assert_eq!(same, "mlp and mlp:control are the same\n");
}

#[test]
fn plan_lists_every_run_with_its_cost() {
    let plan = Folder::new().json(&["plan", "mlp", "--profile", "smoke", "--json"]);
    let runs = plan["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 4 * 3 + 4 * 3 + 3 * 3);
    for run in runs {
        for key in
            ["arm", "size", "seed", "params", "tokens", "flops", "peak_bytes", "seconds", "fingerprint"]
        {
            assert!(!run[key].is_null(), "{key}");
        }
        let flops = run["tokens"].as_f64().unwrap() * run["params"]["active"].as_f64().unwrap() * 6.0;
        let ratio = run["flops"].as_f64().unwrap() / flops;
        assert!((0.8..1.6).contains(&ratio), "{ratio} of 6 N D");
    }
    let text = Folder::new().ask(&["plan", "mlp", "--profile", "smoke"]);
    assert!(text.contains("a grid grows where its best value is at an edge"), "{text}");
    assert!(text.contains("24 to 33 runs"), "{text}");
    assert!(Folder::new().ask(&["plan", "mlp"]).contains("16 to 32 runs"));
}

/// A model at one of its sizes.
fn model(name: &str, size: &str) -> ModelConfig {
    resolve_model(&Presets::at("/nowhere"), name, Some(size)).unwrap().plan.model
}

#[test]
fn every_model_is_possible_at_every_size() {
    let presets = Presets::at("/nowhere");
    for (name, _) in PresetKind::Models.built_in() {
        let sizes = resolve::sizes(&presets, name).unwrap();
        for small in ["micro", "mini", "tiny"] {
            assert!(sizes.iter().any(|size| size == small), "{name} has no size {small}");
        }
        for size in sizes {
            assert_eq!(model(name, &size).check(512), Vec::new(), "{name}:{size}");
        }
    }
}

#[test]
fn sizes_have_the_parameters_that_the_paper_plots() {
    let published = [
        ("gpt2", "2-2", 816_000),
        ("gpt2", "4-2", 1_212_544),
        ("gpt2", "2-3", 1_518_912),
        ("gpt2", "6-4", 5_577_472),
        ("gpt2", "12-12", 87_571_200),
    ];
    let noted =
        [("gpt2-quarter", "2-2", 618_624), ("gpt2-none", "2-2", 552_064), ("gpt2-moe", "2-2", 2_674_304)];
    for (name, size, params) in published.into_iter().chain(noted) {
        assert_eq!(model(name, size).num_params(3275, 512).total, params, "{name}:{size}");
    }
    assert_eq!(model("gpt2-moe", "2-2").num_params(3275, 512).active, 626_816);
}

/// With the vocabulary and, for GPT-2, the row that they were published with.
#[test]
fn published_models_have_their_published_parameters() {
    let published = [
        ("gpt2-learned", "124m", 50_257, 124_439_808),
        ("gpt2-learned", "355m", 50_257, 354_823_168),
        ("gpt2-learned", "774m", 50_257, 774_030_080),
        ("gpt2-learned", "1.5b", 50_257, 1_557_611_200),
        ("llama", "7b", 32_000, 6_738_415_616),
        ("llama", "13b", 32_000, 13_015_864_320),
        ("llama", "33b", 32_000, 32_528_943_616),
        ("llama", "65b", 32_000, 65_285_660_672),
        ("llama-3", "8b", 128_256, 8_030_261_248),
        ("llama-3", "70b", 128_256, 70_553_706_496),
        ("llama-3", "405b", 128_256, 405_853_388_800),
        ("mistral", "7b", 32_000, 7_241_732_096),
        ("mixtral", "8x7b", 32_000, 46_702_792_704),
        ("mixtral", "8x22b", 32_000, 140_620_634_112),
        ("gpt-neox", "160m", 50_304, 162_322_944),
        ("gpt-neox", "20b", 50_432, 20_554_567_680),
        ("qwen3-like", "0.6b", 151_936, 596_049_920),
        ("qwen3-like", "4b", 151_936, 4_022_468_096),
        ("qwen3-like", "1.7b", 151_936, 1_720_574_976),
        ("qwen3-like", "8b", 151_936, 8_190_735_360),
        ("qwen3-like", "14b", 151_936, 14_768_307_200),
        ("olmo-2-like", "1b", 100_352, 1_484_916_736),
        ("olmo-2-like", "7b", 100_352, 7_298_617_344),
        ("olmo-2-like", "13b", 100_352, 13_716_198_400),
        ("olmo-2-like", "32b", 100_352, 32_234_279_936),
    ];
    for (name, size, vocab_size, params) in published {
        assert_eq!(model(name, size).num_params(vocab_size, 1024).total, params, "{name}:{size}");
    }
}

/// The parameters of a built model.
fn built(plan: &Plan, vocab_size: usize) -> u64 {
    let device = ablation_zoo::device::open("cpu").unwrap();
    let model = plan.model.init(vocab_size, plan.data.seq_len(), 0, &device);
    let shapes = ablation_zoo::model::parameter::shapes(&model);
    shapes.iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
}

/// Models without an MLP of their own whose width could be set.
const NO_PLAIN_MLP: &[&str] = &["gpt2-moe", "gpt2-none", "mixtral"];

/// Models whose key-value heads are a number of their own, which half as many heads may fall below.
const FIXED_KEYS: &[&str] = &["llama-3", "mixtral", "qwen3-like"];

/// Those, and models with LayerNorm, whose mean silent units move.
const MOVED_BY_WIDTH: &[&str] = &[
    "gpt-neox",
    "gpt2",
    "gpt2-learned",
    "gpt2-moe",
    "gpt2-none",
    "gpt2-quarter",
    "llama-3",
    "mixtral",
    "qwen3-like",
];

/// Arms that change a setting which some models do not have: an MLP's of an absent one or of experts, the offset of an
/// RMSNorm, the angles of learned positions, the input of an absent MLP; arms that ask for what some cannot do, an encoder
/// of experts with room for few, or growth in width; and one expert of eight where the gate weighs two against each other.
const NOT_FOR: [(&str, &[&str]); 25] = [
    ("activation-position:gelu+none", NO_PLAIN_MLP),
    ("activation-position:relu+rope", NO_PLAIN_MLP),
    ("activation-position:relu+none", NO_PLAIN_MLP),
    ("activation-position:silu+rope", NO_PLAIN_MLP),
    ("activation-position:silu+none", NO_PLAIN_MLP),
    ("architecture-1000:quarter", NO_PLAIN_MLP),
    ("capacity-1000:deep", NO_PLAIN_MLP),
    ("capacity-1000:shallow", NO_PLAIN_MLP),
    ("cepe:control", &["gpt2-moe", "gpt2-none"]),
    ("cepe:none", &["gpt2-none"]),
    ("cepe:window", &["gpt2-none"]),
    ("cepe:linear", &["gpt2-learned", "gpt2-none"]),
    ("cepe:yarn", &["gpt2-learned", "gpt2-none"]),
    ("cepe:replug", &["gpt2-none"]),
    ("cepe:ceped", &["gpt2-moe", "gpt2-none"]),
    ("gate:silu", NO_PLAIN_MLP),
    ("gstack-width:stack", FIXED_KEYS),
    ("gstack-width:zero", MOVED_BY_WIDTH),
    ("gstack-width:random", MOVED_BY_WIDTH),
    ("gstack-width:learn", &["gpt2-moe", "llama-3", "mixtral", "qwen3-like"]),
    ("heads:single-wide", NO_PLAIN_MLP),
    ("mlp:quarter", NO_PLAIN_MLP),
    ("moe:experts-8", &["mixtral"]),
    ("moe:experts-32", &["mixtral"]),
    ("norm:no-offset", &["llama", "llama-3", "mistral", "mixtral", "olmo-2-like", "qwen3-like"]),
];

#[test]
fn every_model_goes_with_every_ablation_and_counts_right() {
    let presets = Presets::at("/nowhere");
    let mut refused = Vec::new();
    for (ablation, text) in PresetKind::Ablations.built_in() {
        if text.contains("\n[one_at_a_time]") {
            continue;
        }
        let arms = Ablation::load(&presets, ablation, Some("smoke"), &[]).unwrap().arms;
        for arm in arms {
            for (model, _) in PresetKind::Models.built_in() {
                let request = Request {
                    model: Some(model),
                    size: Some("micro"),
                    with: Some((ablation, &arm.name)),
                    profile: Some("smoke"),
                    ..Request::default()
                };
                match resolve_single(&presets, &request) {
                    Ok(resolved) => {
                        let vocab_size = resolved.plan.data.vocab_size().unwrap();
                        let seq_len = resolved.plan.data.seq_len();
                        let counted = resolved.plan.model.num_params(vocab_size, seq_len).total;
                        assert_eq!(
                            counted,
                            built(&resolved.plan, vocab_size),
                            "{model} with {ablation}:{}",
                            arm.name
                        );
                    }
                    Err(error) => {
                        assert_eq!(error.exit_code(), 2);
                        refused.push((format!("{ablation}:{}", arm.name), *model));
                    }
                }
            }
        }
    }
    let expected =
        NOT_FOR.iter().flat_map(|(arm, models)| models.iter().map(|model| (arm.to_string(), *model)));
    assert_eq!(refused, expected.collect::<Vec<_>>());
}

/// But for one expert of many, whose gate and number need each other.
#[test]
fn every_two_models_have_a_walk_between_them() {
    let folder = Folder::new();
    let presets = Presets::at(folder.path());
    let walk = "[control]\ndataset = \"biod\"\nsize = \"micro\"\n[one_at_a_time]\nmatch_on = \"nothing\"\n";
    folder.write("ablations/between.toml", walk);
    let mut impossible = Vec::new();
    let models: Vec<&str> = PresetKind::Models.built_in().iter().map(|(name, _)| *name).collect();
    for from in &models {
        for to in models.iter().filter(|to| *to != from) {
            let sets = [format!("one_at_a_time.from={from}"), format!("one_at_a_time.to={to}")];
            match Ablation::load(&presets, "between", None, &sets) {
                Ok(ablation) => assert_eq!(ablation.arms.len(), 2 + 2 * ablation.walks[0].steps.len()),
                Err(error) => impossible.push(format!("{from} to {to}: {error}")),
            }
        }
    }
    let together = "make one step of both: one_at_a_time.together.NAME = [\"model.block.feed_forward";
    assert_eq!(impossible.len(), 2, "{impossible:#?}");
    for (said, between) in impossible.iter().zip(["gpt2-moe to mixtral", "mixtral to gpt2-moe"]) {
        assert!(said.starts_with(between) && said.contains(together), "{said}");
    }
}

/// Biderman et al. 2023 (arXiv 2304.01373), Table 1.
#[test]
fn gpt_neox_has_the_parameters_of_pythia_outside_its_tables() {
    let published = [
        ("70m", 18_915_328),
        ("160m", 85_056_000),
        ("410m", 302_311_424),
        ("1b", 805_736_448),
        ("1.4b", 1_208_602_624),
        ("2.8b", 2_517_652_480),
        ("6.9b", 6_444_163_072),
        ("12b", 11_327_027_200),
    ];
    for (size, params) in published {
        assert_eq!(model("gpt-neox", size).num_params(50_304, 2048).non_embedding(), params, "{size}");
    }
}

#[test]
fn key_value_heads_of_mistral_follow_the_paper() {
    for (size, heads) in [("2-2", 2), ("2-3", 1), ("4-4", 4), ("4-6", 2), ("20-16", 4)] {
        let plan = resolve_model(&Presets::at("/nowhere"), "mistral", Some(size)).unwrap().plan;
        let text = plan.to_toml();
        assert!(text.contains(&format!("n_kv_heads = {heads}")), "{size}: {text}");
    }
}

#[test]
fn every_dataset_and_model_go_together() {
    let presets = Presets::at("/nowhere");
    for (model, _) in PresetKind::Models.built_in() {
        for dataset in ["bios", "biod"] {
            let request = Request {
                model: Some(model),
                dataset: Some(dataset),
                size: Some("tiny"),
                seed: 3,
                ..Request::default()
            };
            let plan = resolve_single(&presets, &request).unwrap().plan;
            assert_eq!(plan.seed, 3);
            assert!(plan.steps().unwrap() > 1000);
        }
    }
}

#[test]
fn the_last_word_has_set_then_profile_then_arm_then_common() {
    let folder = Folder::new();
    let file = "[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = \"tiny\"\n[common.training]\nbatch = 2\npeak_lr = 0.02\n\
                [arms.x]\nmatch_on = \"parameters\"\ntraining = { batch = 3, peak_lr = 0.03 }\n\
                [profiles.quick.training]\nbatch = 4\n";
    folder.write("ablations/mine.toml", file);
    let presets = Presets::at(folder.path());
    let batches = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let ablation = Ablation::load(&presets, "mine", None, &sets).unwrap();
        let training = |i: usize| ablation.arms[i].resolved.plan.training;
        [(training(0).batch, training(0).peak_lr), (training(1).batch, training(1).peak_lr)]
    };
    assert_eq!(batches(&[]), [(4, 0.02), (4, 0.03)]);
    assert_eq!(batches(&["training.batch=5", "training.batch=6"]), [(6, 0.02), (6, 0.03)]);
}

#[test]
fn a_tuned_whole_number_stays_one() {
    let folder = Folder::new();
    let control = "[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = \"tiny\"\n";
    folder.write("ablations/mine.toml", &format!("{control}[tune]\n\"training.batch\" = [8, 16.0]\n"));
    let ablation = Ablation::load(&Presets::at(folder.path()), "mine", None, &[]).unwrap();
    let batches: Vec<usize> = ablation.forecast().certain.iter().map(|run| run.plan.training.batch).collect();
    assert_eq!(batches, [8, 16, 8, 16, 8, 8, 8], "two values on two seeds, and three reports");
}

#[test]
fn a_tuned_key_is_set_nowhere_else() {
    let folder = Folder::new();
    let file = |of_arm: &str| {
        format!(
            "[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = \"tiny\"\n[common.training]\npeak_lr = 0.02\n\
             [arms.x]\nmatch_on = \"nothing\"\nmodel.norm = \"rms\"\n{of_arm}\n[tune]\n\"training.peak_lr\" = [1e-3, 2e-3]\n"
        )
    };
    let load = |of_arm: &str, sets: &[&str]| {
        folder.write("ablations/mine.toml", &file(of_arm));
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        Ablation::load(&Presets::at(folder.path()), "mine", None, &sets).map_err(|error| error.to_string())
    };
    assert!(load("", &[]).is_ok(), "what all arms have is a default");
    assert!(load("training.peak_lr = 0.02", &[]).is_ok());
    let of_arm = load("training.peak_lr = 0.03", &[]).unwrap_err();
    assert!(of_arm.contains("0.03 for a key that is tuned for every arm"), "{of_arm}");
    let of_set = load("", &["training.peak_lr=0.04"]).unwrap_err();
    assert!(of_set.contains("set tune.training.peak_lr=[0.04] instead"), "{of_set}");
    assert!(load("", &["tune.training.peak_lr=[0.04]"]).is_ok());
}

#[test]
fn equal_rmax_needs_people() {
    let folder = Folder::new();
    folder.write("words/a.txt", "some words to learn, and some more of them to hold out");
    let path = folder.path().join("words");
    folder.write(
        "datasets/words.toml",
        &format!("[data]\nkind = \"text\"\ntokenizer = \"bytes\"\nseq_len = 8\npath = {path:?}\n"),
    );
    let arm = "[arms.none]\nmatch_on = \"nothing\"\nmodel.block.feed_forward = \"none\"\n";
    let control = "[control]\nmodel = \"gpt2\"\ndataset = \"words\"\nsize = \"tiny\"\n";
    let common = "[common]\ntraining.length = { kind = \"steps\", count = 2000 }\n";
    folder.write("ablations/mine.toml", &format!("{control}{common}{arm}[compare]\nequal-rmax = \"run\"\n"));
    let said = folder.zoo(&["plan", "mine"]);
    assert!(
        said.code == 2 && said.err.contains("compare.equal-rmax: the dataset has no people"),
        "{}",
        said.err
    );
    assert_eq!(folder.zoo(&["plan", "mine", "--set", "compare.equal-rmax=skip"]).code, 0);
}

#[test]
fn a_kind_replaces_what_was_set_before_it() {
    let sets = ["training.schedule.floor=0.5".to_string(), "training.schedule=constant".to_string()];
    let request = Request {
        model: Some("gpt2"),
        dataset: Some("biod"),
        size: Some("tiny"),
        sets: &sets,
        ..Request::default()
    };
    let plan = resolve_single(&Presets::at("/nowhere"), &request).unwrap().plan;
    assert_eq!(plan.training.schedule, ScheduleConfig::Constant(ConstantConfig { warmup_steps: 1000 }));
}

#[test]
fn defaults_written_out_do_not_change_the_fingerprint() {
    let folder = Folder::new();
    let file =
        |more: &str| format!("[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = \"tiny\"\n{more}");
    folder.write("ablations/short.toml", &file(""));
    folder.write(
        "ablations/long.toml",
        &file("[common.training]\nschedule = { kind = \"cosine\", warmup_steps = 1000 }\n"),
    );
    let presets = Presets::at(folder.path());
    let of = |name: &str| {
        let ablation = Ablation::load(&presets, name, None, &[]).unwrap();
        Fingerprint::of(&ablation.arms[0].resolved.plan).unwrap()
    };
    assert_eq!(of("short"), of("long"));
}

/// Overrides that make many different plans.
fn overrides() -> impl Strategy<Value = Vec<String>> {
    let number =
        |key: &'static str, range: std::ops::Range<u32>| range.prop_map(move |n| format!("{key}={n}"));
    let one = prop_oneof![
        number("model.n_layers", 1..5),
        number("training.batch", 1..99),
        number("data.people", 1000..9999), // with any batch above more steps than the warm-up has
        number("measure.paraphrases", 1..9),
        (1e-5..1.0).prop_map(|lr| format!("training.peak_lr={lr:?}")),
        (0.001..0.999).prop_map(|share| format!("training.schedule={{ kind = \"cosine\", floor = {share:?} }}")),
        prop::sample::select(vec![
            "model.norm=rms",
            "model.norm={ kind = \"layer\", eps = 1e-6, bias = \"without\" }",
            "model.block.feed_forward=none",
            "model.block.feed_forward={ kind = \"gated-mlp\", multiple_of = 8, activation = \"relu-squared\" }",
            "model.block.mixer.position=none",
            "model.block.mixer.n_kv_heads=1",
            "model.embedding.head=untied",
            "model.init=gpt2",
            "training.clip=none",
            "training.length={ kind = \"steps\", count = 2000 }",
            "training.schedule={ kind = \"constant\" }",
            "measure.people={ kind = \"sample\", count = 7 }",
            "data={ kind = \"bio-d\", attributes = 2, chunks = 1, diversity = 8, alphabet = 9 }",
        ])
        .prop_map(str::to_string),
    ];
    let short_warm_up = |mut sets: Vec<String>| {
        sets.push("training.schedule.warmup_steps=1".to_string());
        sets
    };
    prop::collection::vec(one, 0..6).prop_map(short_warm_up)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_written_as_toml_is_read_back_the_same(sets in overrides(), seed in any::<u64>()) {
        let presets = Presets::at("/nowhere");
        let request = Request {
            model: Some("gpt2"), dataset: Some("biod"), size: Some("tiny"), sets: &sets, seed, ..Request::default()
        };
        let plan = resolve_single(&presets, &request).unwrap().plan;
        let read = Plan::from_toml("written", &plan.to_toml()).unwrap();
        prop_assert_eq!(&read, &plan);
        let of = |plan: &Plan| Fingerprint::of(plan).unwrap();
        prop_assert_eq!(of(&read), of(&plan));
    }
}

#[test]
fn a_profile_with_the_last_word_over_an_arm_says_so() {
    let folder = Folder::new();
    let question = "[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = \"micro\"\n[arms.deep]\nmatch_on = \"nothing\"\n\
        model.n_layers = 3\n[profiles.quick]\nmodel.n_layers = 1\n[profiles.other]\ndata.people = 512\n";
    folder.write("q.toml", question);
    let warnings =
        |profile: &str| folder.json(&["plan", "q.toml", "--profile", profile, "--json"])["warnings"].clone();
    assert_eq!(
        warnings("quick"),
        serde_json::json!([
            "profile quick sets model.n_layers = 1 over the 3 of arm deep",
            "arms.deep: identical to control",
        ])
    );
    assert_eq!(warnings("other"), serde_json::json!([]));
    assert!(folder.ask(&["plan", "q.toml"]).contains("  warning: profile quick sets"));
}

#[test]
fn a_name_of_two_kinds_says_which_is_shown() {
    let folder = Folder::new();
    let shown = folder.ask(&["show", "mixture"]);
    assert!(
        shown.contains("# this is the dataset; of the ablation of that name: zoo show ablation/mixture"),
        "{shown}"
    );
    assert_eq!(folder.json(&["show", "mixture", "--json"])["kind"], "dataset");
    assert_eq!(folder.json(&["show", "ablation/mixture", "--json"])["kind"], "ablation");
    assert!(!folder.ask(&["show", "llama"]).contains("this is the"));
}

#[test]
fn an_unknown_profile_is_the_only_thing_that_is_said() {
    let folder = Folder::new();
    for command in ["plan", "run", "report"] {
        let said = folder.zoo(&[command, "capacity-1000", "--profile", "quik"]);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.starts_with("error: unknown profile \"quik\""), "{}", said.err);
        assert_eq!(said.err.matches("error: ").count(), 1, "{}", said.err);
    }
}

/// A small ablation with these lines at its end.
fn small(lines: &str) -> Folder {
    let folder = Folder::new();
    let head = "[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = \"micro\"\n[common]\ntraining.length.count = 10\n";
    folder.write("ablations/mine.toml", &format!("{head}{lines}\n"));
    folder
}

#[test]
fn a_product_of_factors_makes_an_arm_of_every_cell_but_the_controls_and_equal_cells_once() {
    let factors =
        "[factors]\nactivation = [\"gelu\", \"relu\", \"silu\"]\nnorm_placement = [\"pre\", \"post\"]";
    let planned = small(factors).json(&["plan", "mine", "--json"]);
    let names: Vec<&str> =
        planned["arms"].as_array().unwrap().iter().map(|arm| arm["arm"].as_str().unwrap()).collect();
    assert_eq!(names, ["control", "gelu+post", "relu+pre", "relu+post", "silu+pre", "silu+post"]);
    let folder = small(factors);
    let fewer = ["plan", "mine", "--set", "factors.activation=[\"gelu\", \"relu\"]", "--json"];
    assert_eq!(folder.json(&fewer)["arms"].as_array().unwrap().len(), 4);
    // The first two levels are one plan: theta is said, or left to its default.
    let twice = "[factors]\nactivation = [\"gelu\", \"relu\"]\nposition = [{ kind = \"rope\", theta = 10000.0, \
                 rotary_fraction = 0.25 }, { kind = \"rope\", rotary_fraction = 0.25 }, \"none\"]";
    let planned = small(twice).json(&["plan", "mine", "--json"]);
    assert_eq!(planned["arms"].as_array().unwrap().len(), 4, "six cells, two of them twice");
}

#[test]
fn factors_that_make_no_factorial_are_refused_with_their_place() {
    for (lines, says) in [
        ("[factors]\nactivation = [\"gelu\"]", "two levels or more"),
        ("[factors]\nactivation = \"gelu\"", "an array of levels"),
        ("[factors]\nactivation = [\"gelu\", \"relu\", \"gelu\"]", "level \"gelu\" a second time"),
        ("[factors]\nactivation = [\"relu\", \"silu\"]", "no cell of the product is the control"),
        ("[factors]\n\"training.btach\" = [16, 32]", "btach"),
        (
            "[factors]\nactivation = [\"gelu\", \"relu\"]\n[arms.x]\nmatch_on = \"nothing\"\ntraining.batch = 4",
            "beside [factors]",
        ),
        ("[factors]", "a setting with two levels or more"),
    ] {
        let error = small(lines).refuses(&["plan", "mine"], 2);
        assert!(error.contains(says) && error.contains("mine.toml"), "{lines}: {error}");
    }
    let many: Vec<String> = (1..=65).map(|n| n.to_string()).collect();
    let error = small(&format!("[factors]\n\"training.batch\" = [{}]", many.join(", ")))
        .refuses(&["plan", "mine"], 2);
    assert!(error.contains("65 cells") && error.contains("at most 64"), "{error}");
    // 2^64 cells are no cells to whoever counts in 64 bits.
    let many: String = (1..=64).map(|n| format!("\"training.k{n}\" = [1, 2]\n")).collect();
    let error = small(&format!("[factors]\n{many}")).refuses(&["plan", "mine"], 2);
    assert!(error.contains("very many cells"), "{error}");
    let twice = "[factors]\nactivation = [\"gelu\", \"relu\"]\n\"model.block.feed_forward.activation\" = [\"gelu\", \"silu\"]";
    let error = small(twice).refuses(&["plan", "mine"], 2);
    assert!(error.contains("a second time, after activation"), "{error}");
}

#[test]
fn a_range_of_seeds_is_planned_from_to_and_a_wrong_one_is_refused_with_its_key() {
    let arms =
        "[arms.none]\nmatch_on = \"nothing\"\nlabel = \"no MLP\"\nmodel.block.feed_forward = \"none\"\n";
    let with = |lines: &str| small(&format!("{arms}{lines}"));
    let folder = with("[repeat]\nseeds = { at_least = 4, at_most = 16, within = 0.1 }");
    let planned = folder.json(&["plan", "mine", "--json"]);
    assert_eq!(planned["looks"], serde_json::json!([4, 6, 8, 12, 16]));
    let certain = planned["runs"].as_array().unwrap().iter().filter(|run| run["certain"] == true).count();
    assert_eq!((certain, planned["runs"].as_array().unwrap().len()), (8, 32));
    assert!(folder.ask(&["plan", "mine"]).contains("8 to 32 runs"));
    assert_eq!(
        folder.json(&["plan", "mine", "--set", "repeat.seeds=5", "--json"])["looks"],
        serde_json::json!([5])
    );
    for (lines, key) in [
        ("[repeat]\nseeds = { within = 0.0 }", "repeat.seeds.within"),
        ("[repeat]\nseeds = { within = 1.5 }", "repeat.seeds.within"),
        ("[repeat]\nseeds = { at_least = 8, at_most = 4 }", "repeat.seeds.at_most"),
        ("[repeat]\nseeds = { at_least = 2 }", "repeat.seeds.at_least"),
        ("[repeat]\nseeds = { least = 2 }", "repeat.seeds"),
        ("[repeat]\nseeds = -1", "repeat.seeds"),
        ("[repeat]\nseeds = 0", "repeat.seeds"),
        ("[compare]\nmargin = 1.0", "compare.margin"),
    ] {
        let error = with(lines).refuses(&["plan", "mine"], 2);
        assert!(error.contains(key) && error.contains("mine.toml"), "{lines}: {error}");
    }
    let twice = format!("{arms}[arms.other]\nmatch_on = \"nothing\"\nlabel = \"no MLP\"\ntraining.batch = 4");
    let error = small(&twice).refuses(&["plan", "mine"], 2);
    assert!(error.contains("the label \"no MLP\" a second time, after arm none"), "{error}");
}

#[test]
fn a_kind_that_drops_a_setting_of_the_control_is_named_before_it_runs() {
    let arm = |bias: &str| {
        small(&format!(
            "[arms.gated]\nmatch_on = \"nothing\"\nmodel.block.feed_forward = {{ kind = \"gated-mlp\", activation = \
             \"gelu\"{bias} }}"
        ))
    };
    let text = arm("").ask(&["plan", "mine"]);
    let says =
        "arm gated has model.block.feed_forward.bias = \"without\" by default where the control has \"with\"";
    assert!(text.contains(says), "{text}");
    assert!(!arm(", bias = \"with\"").ask(&["plan", "mine"]).contains("feed_forward.bias"));
}

#[test]
fn a_second_tuned_key_makes_a_product_of_trials_and_a_third_is_refused_with_its_place() {
    let tune = "[arms.none]\nmatch_on = \"nothing\"\nmodel.block.feed_forward = \"none\"\n[tune]\n\"training.peak_lr\" = \
                [1e-3, 2e-3]\ntraining.optimizer.weight_decay = [0.01, 0.1, 1.0]\n";
    let folder = small(tune);
    let planned = folder.json(&["plan", "mine", "--json"]);
    assert_eq!(planned["tune"]["second"]["grid"], serde_json::json!([0.01, 0.1, 1.0]));
    let trials: Vec<_> =
        planned["runs"].as_array().unwrap().iter().filter(|run| run["role"] == "tune").collect();
    assert_eq!(trials.len(), 2 * (6 + 3), "six values on one seed, three of them on a second");
    assert!(trials.iter().all(|run| run["second_value"].is_number()));
    let text = folder.ask(&["plan", "mine"]);
    assert!(text.contains("training.optimizer.weight_decay over 1e-2, 1e-1, 1e0"), "{text}");
    for (lines, says) in [
        ("training.batch = [8, 16]", "tune.training.batch"),
        (
            "training.batch = [8, 16]",
            "a third key beside training.peak_lr and training.optimizer.weight_decay",
        ),
    ] {
        let error = small(&format!("{tune}{lines}")).refuses(&["plan", "mine"], 2);
        assert!(error.contains(says) && error.contains("mine.toml"), "{error}");
    }
    let wrong = tune.replace("[0.01, 0.1, 1.0]", "[0.01, 7.0]");
    let error = small(&wrong).refuses(&["plan", "mine"], 2);
    assert!(error.contains("weight_decay") && error.contains("mine.toml:12"), "{error}");
}

#[test]
fn a_time_chooses_the_largest_size_and_seeds_that_fit_as_overrides_which_find_the_same_runs() {
    let folder = small("[arms.none]\nmatch_on = \"nothing\"\nmodel.block.feed_forward = \"none\"");
    let prints = |args: &[&str]| -> Vec<String> {
        let planned = folder.json(&[&["plan", "mine", "--json"][..], args].concat());
        let runs = planned["runs"].as_array().unwrap().iter();
        runs.map(|run| run["fingerprint"].as_str().unwrap().to_string()).collect()
    };
    let chosen = |time: &str| -> (String, f64, u64) {
        let planned = folder.json(&["plan", "mine", "--json", "--for", time]);
        let params = planned["arms"][0]["params"]["total"].as_u64().unwrap();
        (planned["chosen"].as_str().unwrap().to_string(), planned["seconds"][1].as_f64().unwrap(), params)
    };
    let ((said, short, few), (_, long, many)) = (chosen("2m"), chosen("1h"));
    assert!(short <= 120.0 && long <= 3600.0 && long > short && many > few, "{short} {long} {few} {many}");
    assert!(said.contains("fits 2 min") && said.contains("data.people="), "{said}");
    // What is said between quotes are the overrides.
    let sets: Vec<&str> = said.split('\'').skip(1).step_by(2).flat_map(|set| ["--set", set]).collect();
    assert_eq!(prints(&sets), prints(&["--for", "2m"]));
    let kept = folder.json(&["plan", "mine", "--json", "--for", "1h", "--set", "size=mini"]);
    assert_eq!(kept["arms"][0]["size"], "mini", "a size that is asked for stays");
    let error = folder.refuses(&["plan", "mine", "--for", "1ms"], 2);
    assert!(error.contains("--for"), "{error}");
    let error = folder.refuses(&["plan", "mine", "--for", "0.0001s"], 2);
    assert!(error.contains("or more: the smallest choice on the fewest seeds"), "{error}");
}
