//! What the program says when it cannot do what is asked, word for word.

use ablation_zoo::plan::PresetKind;

use crate::program::Folder;

fn expect(folder: &Folder, args: &[&str], message: &str) {
    let said = folder.zoo(args);
    assert_eq!(said.err.trim_end(), message.trim_matches('\n'), "zoo {args:?}");
    assert_eq!(said.code, 2, "zoo {args:?}");
    assert_eq!(said.out, "", "zoo {args:?}");
}

/// An ablation of one arm whose common settings are these lines, which begin at line 6.
fn common(lines: &str) -> Folder {
    let folder = Folder::new();
    let control = "[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = \"tiny\"\n[common]\n";
    folder.write("ablations/mine.toml", &format!("{control}{lines}"));
    folder
}

#[test]
fn a_misspelt_key_is_shown_with_its_line_and_the_nearest_key() {
    expect(
        &common("training.clip.maxx = 2\n"),
        &["plan", "mine"],
        r#"
error: training.clip.maxx: unknown key "maxx"
 --> ablations/mine.toml:6:15
  |
6 | training.clip.maxx = 2
  |               ^^^^ expected max
  |
  = help: did you mean "max"?
"#,
    );
}

#[test]
fn a_wrong_type_and_an_unknown_kind_are_shown_together() {
    expect(
        &common("training.batch = \"wide\"\nmeasure.people = \"al\"\nmodel.block.mixer.bias = 1\n"),
        &["plan", "mine"],
        r#"
error: training.batch: the string "wide"
 --> ablations/mine.toml:6:18
  |
6 | training.batch = "wide"
  |                  ^^^^^^ expected a whole number from 0 up

error: measure.people: unknown kind "al"
 --> ablations/mine.toml:7:18
  |
7 | measure.people = "al"
  |                  ^^^^ expected one of all, sample
  |
  = help: did you mean "all"?

error: model.block.mixer.bias: the number 1
 --> ablations/mine.toml:8:26
  |
8 | model.block.mixer.bias = 1
  |                          ^ expected one of "with", "without"
"#,
    );
}

#[test]
fn errors_in_two_files_and_a_flag_are_shown_together() {
    let folder = Folder::new();
    folder.write("models/mine.toml", "[model]\nd_model = 8\nn_layers = 1\nn_heads = 2\nnorm.epss = 1e-6\n");
    folder.write("datasets/mine.toml", "[data]\nkind = \"bio-d\"\npeople = -1\n");
    folder.write("ablations/mine.toml", "[control]\nmodel = \"mine\"\ndataset = \"mine\"\n");
    expect(
        &folder,
        &["plan", "mine", "--set", "trainin.batch=3", "--set", "training.batch=many"],
        r#"
error: trainin: unknown key "trainin"
 --> --set:1:1
  |
1 | trainin.batch=3
  | ^^^^^^^ expected one of expect, size, dataset, arms, one_at_a_time, factors, repeat, tune, compare, then, model, data, training, prediction, context, growth, adapt, measure
  |
  = help: did you mean "training"?

error: training.batch: the string "many"
 --> --set:1:16
  |
1 | training.batch=many
  |                ^^^^ expected a whole number from 0 up

error: data.people: the number -1
 --> datasets/mine.toml:3:10
  |
3 | people = -1
  |          ^^ expected a whole number from 0 up

error: model.norm.epss: unknown key "epss"
 --> models/mine.toml:5:6
  |
5 | norm.epss = 1e-6
  |      ^^^^ expected one of eps, bias
  |
  = help: did you mean "eps"?
"#,
    );
}

#[test]
fn a_choice_without_kind_lists_the_kinds() {
    let folder = Folder::new();
    folder.write("ablations/mine.toml", "[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = \"tiny\"\n[about.published.x]\nratio = { value = 1.0 }\n[arms.x]\nmatch_on = \"nothing\"\n");
    expect(
        &folder,
        &["plan", "mine"],
        r#"
error: about.published.x.ratio: a table without kind
 --> ablations/mine.toml:6:9
  |
6 | ratio = { value = 1.0 }
  |         ^^^^^^^^^^^^^^^ expected kind = one of "about", "at-most", "at-least"
"#,
    );
}

#[test]
fn widths_and_depths_that_nobody_means_are_refused_before_anything_is_built() {
    let folder = Folder::new();
    expect(
        &folder,
        &["plan", "mlp", "--set", "model.d_model=1099511627776", "--set", "model.n_layers=1000000000"],
        r#"
error: model.d_model: 1099511627776
 --> --set:1:15
  |
1 | model.d_model=1099511627776
  |               ^^^^^^^^^^^^^ expected 1 to 1048576

error: model.n_layers: 1000000000
 --> --set:1:16
  |
1 | model.n_layers=1000000000
  |                ^^^^^^^^^^ expected 1 to 10000
"#,
    );
    expect(
        &folder,
        &["plan", "mlp", "--set", "model.d_model=786432", "--set", "model.n_layers=10000"],
        r#"
error: model.d_model: 10000 layers of width 786432
 --> --set:1:15
  |
1 | model.d_model=786432
  |               ^^^^^^ expected n_layers * d_model^2 up to 1e15
"#,
    );
}

#[test]
fn heads_that_do_not_divide_the_width_are_refused() {
    expect(
        &Folder::new(),
        &["plan", "mlp", "--set", "model.n_heads=7"],
        r#"
error: model.n_heads: 7
 --> --set:1:15
  |
1 | model.n_heads=7
  |               ^ expected a divisor of d_model = 48
"#,
    );
}

#[test]
fn a_trillion_runs_are_refused_at_once() {
    expect(
        &Folder::new(),
        &["plan", "mlp", "--set", "compare.equal-rmax=skip", "--set", "repeat.seeds=1000000000000"],
        r#"
error: 8000000000008 runs
 --> --set:1:14
  |
1 | repeat.seeds=1000000000000
  |              ^^^^^^^^^^^^^ expected at most 10000
  |
  = help: ask for fewer seeds, sizes or values
"#,
    );
}

#[test]
fn tables_nested_without_end_are_refused() {
    let folder = Folder::new();
    folder.write("deep.toml", &format!("[model]\n{} = 1\n", vec!["a"; 40].join(".")));
    let said = folder.zoo(&["show", "./deep.toml"]);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("tables within tables") && said.err.contains("at most 32 deep"),
        "{}",
        said.err
    );
    for deeper in
        [format!("y = 1\nx = {}", "[".repeat(50_000)), format!("y = 1\na{} = 1", ".a".repeat(100_000))]
    {
        folder.write("deeper.toml", &deeper);
        let said = folder.zoo(&["show", "./deeper.toml"]);
        assert_eq!(said.code, 2);
        assert!(said.err.contains("--> ./deeper.toml:2:") && said.err.len() < 1000, "{}", &said.err[..500]);
    }
}

#[test]
fn a_number_that_f32_does_not_tell_from_0_or_infinity_is_refused_with_its_key() {
    for (set, key) in [
        ("training.peak_lr=1e-320", "training.peak_lr"),
        ("training.optimizer.eps=1e-300", "training.optimizer.eps"),
        ("training.optimizer.beta2=0.999999999", "training.optimizer.beta2"),
        ("model.norm={kind='layer',eps=1e300}", "model.norm.eps"),
        ("model.block.mixer.position={kind='rope',theta=1e39}", "model.block.mixer.position.theta"),
    ] {
        let said = Folder::new().zoo(&["train", "gpt2:micro", "biod", "--set", set]);
        assert_eq!(said.code, 2, "{set}: {}", said.err);
        assert!(said.err.starts_with(&format!("error: {key}: the number")), "{set}: {}", said.err);
        assert!(said.err.contains("f32"), "{set}: {}", said.err);
    }
}

#[test]
fn a_value_that_nobody_wrote_is_said_to_be_a_default() {
    let length = "training.length={kind='steps',count=100}";
    let args = ["train", "gpt2:micro", "biod", "--set", length, "--set", "training.schedule=constant"];
    expect(
        &Folder::new(),
        &args,
        r#"
error: training.schedule.warmup_steps: 1000 steps of warm-up in a run of 100 (1000 is the default)
 |
 = note: expected at most 100
 = help: set training.schedule.warmup_steps
"#,
    );
    let said = Folder::new().zoo(&[&args[..], &["--set", "training.schedule.warmup_steps=101"]].concat());
    assert!(said.err.contains("--set") && !said.err.contains("default"), "{}", said.err);
}

#[test]
fn an_arm_that_is_its_control_or_another_arm_is_refused_or_said() {
    let same = "[arms.same]\nmatch_on = \"nothing\"\nmodel.block.feed_forward.expansion = 4.0\n";
    let wide = |name: &str| {
        format!("[arms.{name}]\nmatch_on = \"nothing\"\nmodel.block.feed_forward.expansion = 5.0\n")
    };
    for (arms, key, other) in
        [(same.to_string(), "arms.same", "control"), (wide("a") + &wide("b"), "arms.b", "a")]
    {
        let said = common(&arms).zoo(&["plan", "mine"]);
        assert_eq!(said.code, 2, "{}", said.err);
        let found = format!("error: {key}: identical to {other}");
        assert!(said.err.starts_with(&found) && said.err.contains("ablations/mine.toml:"), "{}", said.err);
    }
    let set = ["plan", "mine", "--json", "--set", "model.block.feed_forward.expansion=3"];
    let warnings = common(&wide("a")).json(&set)["warnings"].clone();
    assert_eq!(warnings, serde_json::json!(["arms.a: identical to control"]));
}

#[test]
fn a_variable_that_says_nothing_possible_is_named() {
    let refused = |variable: &str, value: &str| {
        let command =
            assert_cmd::Command::cargo_bin("zoo").unwrap().env(variable, value).arg("list").output().unwrap();
        let err = String::from_utf8(command.stderr).unwrap();
        assert_eq!(command.status.code(), Some(2), "{variable}={value}: {err}");
        assert!(err.starts_with(&format!("error: {variable}: ")) && command.stdout.is_empty(), "{err}");
    };
    for seconds in ["nan", "-1", "abc", "inf", "1e300", "1 s"] {
        refused("ZOO_CHECKPOINT_SECONDS", seconds);
    }
    refused("ABLATION_ZOO_KERNELS", "sse9");
    refused("ZOO_STORE", "");
    refused("ZOO_COMPLETE", "tcsh");
}

#[test]
fn a_set_without_a_value_and_a_set_that_is_no_toml_are_refused() {
    expect(
        &Folder::new(),
        &["plan", "mlp", "--set", "training.batch"],
        r#"
error: "training.batch"
 --> --set:1:1
  |
1 | training.batch
  | ^^^^^^^^^^^^^^ expected key=value
  |
  = help: for instance training.batch=32
"#,
    );
    let said = Folder::new().zoo(&["plan", "mlp", "--set", "model.norm=[1"]);
    assert!(said.code == 2 && said.err.contains("unclosed array"), "{}", said.err);
}

#[test]
fn a_key_of_another_table_is_found() {
    expect(
        &Folder::new(),
        &["plan", "mlp", "--set", "peak_lr=0.1"],
        r#"
error: peak_lr: unknown key "peak_lr"
 --> --set:1:1
  |
1 | peak_lr=0.1
  | ^^^^^^^ expected one of expect, size, dataset, arms, one_at_a_time, factors, repeat, tune, compare, then, model, data, training, prediction, context, growth, adapt, measure
  |
  = help: did you mean training.peak_lr?
"#,
    );
}

#[test]
fn unknown_names_list_what_there_is() {
    let more = PresetKind::Ablations.built_in().len() - 8;
    let message = format!(
        "error: unknown ablation \"mpl\"\n |\n = note: expected one of mlp, moe, cepe, gate, junk, norm, race, heads and {more} \
         more\n = help: did you mean \"mlp\"?"
    );
    expect(&Folder::new(), &["plan", "mpl"], &message);
    let profile = Folder::new().zoo(&["plan", "mlp", "--profile", "gpus"]);
    assert!(profile.code == 2 && profile.err.contains("did you mean \"gpu\"?"), "{}", profile.err);
    let size = Folder::new().zoo(&["plan", "mlp", "--set", "size=tinny"]);
    assert!(
        size.err.contains("control.size: unknown size \"tinny\"") && size.err.contains("\"tiny\"?"),
        "{}",
        size.err
    );
}

#[test]
fn an_arm_that_does_not_hold_what_it_says_is_shown_with_both_numbers() {
    let folder = Folder::new();
    let arm = "[arms.wide]\nmatch_on = \"parameters\"\nmodel.block.feed_forward.expansion = 5.0\n";
    let text = format!("[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = \"tiny\"\n{arm}");
    folder.write("ablations/mine.toml", &text);
    expect(
        &folder,
        &["plan", "mine"],
        r#"
error: arms.wide.match_on: 133312 parameters against 116800 of the control at size tiny, +14.1 %
 --> ablations/mine.toml:6:12
  |
6 | match_on = "parameters"
  |            ^^^^^^^^^^^^ expected a difference of at most 2 %
  |
  = help: change the arm's widths, let match = "expansion" do it, or say match_on = "nothing"
"#,
    );
}

#[test]
fn a_tuned_key_that_is_none_is_shown_where_it_was_written() {
    let folder = Folder::new();
    let text = "[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = \"tiny\"\n[tune]\n\"training.peek_lr\" = [1e-3, 2e-3]\n";
    folder.write("ablations/mine.toml", text);
    let said = folder.zoo(&["plan", "mine"]);
    assert!(said.code == 2 && said.err.contains("training.peek_lr: unknown key"), "{}", said.err);
    assert!(said.err.contains("ablations/mine.toml:6:"), "{}", said.err);
}

#[test]
fn an_unknown_flag_is_an_error_of_usage() {
    assert_eq!(Folder::new().zoo(&["plan", "mlp", "--profil", "gpu"]).code, 2);
}

#[test]
fn a_file_that_cannot_be_read_has_its_own_exit_code() {
    assert_eq!(Folder::new().zoo(&["show", "./nowhere.toml"]).code, 74);
}

#[test]
fn values_where_tables_belong_are_refused() {
    let folder = Folder::new();
    let control = "[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = [\"tiny\", \"tiny\"]\n";
    folder.write("ablations/mine.toml", &format!("arms = 3\n{control}"));
    expect(
        &folder,
        &["plan", "mine", "--set", "tune=4"],
        r#"
error: tune: 4
 --> --set:1:6
  |
1 | tune=4
  |      ^ expected a table

error: arms: 3
 --> ablations/mine.toml:1:8
  |
1 | arms = 3
  |        ^ expected a table
"#,
    );
}

#[test]
fn a_control_without_model_is_refused() {
    let folder = Folder::new();
    folder.write("ablations/mine.toml", "[control]\ndataset = \"biod\"\n");
    expect(
        &folder,
        &["plan", "mine"],
        r#"
error: control.model: no model
 --> ablations/mine.toml:1:1
  |
1 | [control]
  | ^^^^^^^^^ expected the name of a model
"#,
    );
}

#[test]
fn a_model_without_a_size_asks_for_one() {
    let folder = Folder::new();
    folder.write("ablations/mine.toml", "[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\n");
    let said = folder.zoo(&["plan", "mine"]);
    assert!(said.code == 2 && said.err.contains("name a size row with `size`"), "{}", said.err);
}

#[test]
fn a_walk_of_a_misspelt_model_or_with_arms_beside_it_is_refused() {
    let folder = Folder::new();
    let walk = "[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = \"tiny\"\n[one_at_a_time]\nfrom = \"llama\"\nto = \"gtp2\"\nmatch_on = \"parameter\"\n[arms.x]\nmatch_on = \"nothing\"\n";
    folder.write("ablations/mine.toml", walk);
    expect(
        &folder,
        &["plan", "mine"],
        r#"
error: control.model: a one-at-a-time path names its models itself
 --> ablations/mine.toml:2:9
  |
2 | model = "gpt2"
  |         ^^^^^^
  |
  = help: leave it out: the control is what one_at_a_time.from says

error: one_at_a_time.to: unknown model "gtp2"
 --> ablations/mine.toml:7:6
  |
7 | to = "gtp2"
  |      ^^^^^^ expected one of gpt-neox, gpt2, gpt2-learned, gpt2-moe, gpt2-none, gpt2-quarter, llama, llama-3, mistral, mixtral, olmo-2-like, qwen3-like
  |
  = help: did you mean "gpt2"?

error: one_at_a_time.match_on: unknown kind "parameter"
 --> ablations/mine.toml:8:12
  |
8 | match_on = "parameter"
  |            ^^^^^^^^^^^ expected one of parameters, active-flops, nothing
  |
  = help: did you mean "parameters"?

error: arms: arms beside a one-at-a-time path
 --> ablations/mine.toml:9:2
  |
9 | [arms.x]
  |  ^^^^ expected one of the two: the path makes its arms itself
"#,
    );
}

#[test]
fn a_width_of_weights_that_makes_no_sense_is_refused_before_the_run_is_looked_for() {
    let folder = Folder::new();
    expect(
        &folder,
        &["measure", "x", "--quantize", "int8,int16"],
        r#"
error: --quantize: "int16"
 |
 = note: expected int2 to int8
"#,
    );
    expect(
        &folder,
        &["measure", "x", "--quantize", "int4", "--scale", "group:0"],
        r#"
error: --scale: "group:0"
 |
 = note: expected tensor, channel, or group:SIZE from group:2 up
"#,
    );
    let said = folder.zoo(&["measure", "x", "--method", "gptq"]);
    assert!(said.code == 2 && said.err.contains("--quantize"), "{}", said.err);
    expect(
        &common("measure.quantize = { kind = \"gptq\", bits = 1 }\n"),
        &["plan", "mine"],
        r#"
error: measure.quantize.bits: 1
 --> ablations/mine.toml:6:44
  |
6 | measure.quantize = { kind = "gptq", bits = 1 }
  |                                            ^ expected 2 to 8
"#,
    );
}

#[test]
fn rows_that_cut_biographies_are_refused() {
    let said = Folder::new().zoo(&[
        "train",
        "gpt2:micro",
        "bios",
        "--set",
        "data.people=64",
        "--set",
        "data.seq_len=64",
    ]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(
        said.err.contains("data.seq_len: 64") && said.err.contains("the longest biography"),
        "{}",
        said.err
    );
}
