//! `zoo fit` as its users meet it: files of numbers in, an answer, figures and JSON out.

use crate::program::Folder;
use crate::schema::assert_fits;

/// Losses by hours at which the big model leads from 20 to 100 hours.
fn race() -> Folder {
    let table = |lead: &dyn Fn(f64) -> f64| {
        let row = |k: u32| {
            let x = f64::from(k);
            format!("{k},{}\n", 4.0 - 0.3 * x.ln() - lead(x))
        };
        "Hours,Loss\n".to_string() + &(1..=200).map(row).collect::<String>()
    };
    let folder = Folder::new();
    folder.write("net-1M.csv", &table(&|_| 0.0));
    folder.write("net-2M.csv", &table(&|x| (0.1 * (x / 20.0).ln() * (100.0 / x).ln()).max(-0.5)));
    folder
}

#[test]
fn a_race_finds_the_comeback_draws_it_and_says_so_in_json() {
    let folder = race();
    let said =
        folder.ask(&["fit", "race", "net-2M.csv", "net-1M.csv", "--replicates", "40", "--out", "figures"]);
    assert!(said.contains("yes, in 1 of 1 pair: 1M passes 2M again"), "{said}");
    for file in ["race.json", "race-time-raw.svg", "race-time-raw.png"] {
        assert!(folder.path().join("figures").join(file).is_file(), "{file}");
    }
    let json = folder.json(&["fit", "race", "net-1M.csv", "net-2M.csv", "--replicates", "40", "--json"]);
    assert_fits(&folder, "fit-race", &json);
    let crossings = json["heats"][0]["pairs"][0]["crossings"].as_array().unwrap();
    for (crossing, truth) in crossings.iter().zip([20.0, 100.0]) {
        let at = |key: &str| crossing["at"][key].as_f64().unwrap();
        assert!((at("estimate") / truth - 1.0).abs() < 0.02 && at("low") <= at("high"), "{crossing}");
    }
    assert_eq!(crossings.len(), 2);
    assert_eq!(json["answers"][0]["outcome"], "again");
}

#[test]
fn tokens_per_second_open_the_other_axes() {
    let folder = race();
    let sizes = ["--size", "1M:1e6:1000", "--size", "2M:2e6:400", "--replicates", "20", "--json"];
    let json = folder.json(&[&["fit", "race", "net-1M.csv", "net-2M.csv"], &sizes[..]].concat());
    let axes: Vec<&str> =
        json["heats"].as_array().unwrap().iter().map(|heat| heat["axis"].as_str().unwrap()).collect();
    assert_eq!(axes, ["hours", "six-nd", "tokens"]);
}

#[test]
fn bad_curves_are_refused_by_name() {
    let folder = race();
    folder.write("short.csv", "hours,loss\n1,3\n2,2\n3,1\n");
    folder.write("negative.csv", "hours,loss\n1,3\n2,2\n3,1\n4,-1\n");
    folder.write("nothing.csv", "hours,speed\n1,3\n");
    let refused = |args: &[&str], code: i32, message: &str| {
        let said = folder.zoo(&[&["fit", "race"], args].concat());
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{args:?}: {}", said.err);
        assert!(said.err.contains(message), "{args:?}: {}", said.err);
    };
    refused(&["net-1M.csv", "short.csv"], 65, "short.csv has 3 rows");
    refused(&["net-1M.csv", "negative.csv"], 65, "loss is \"-1\"");
    refused(&["net-1M.csv", "nothing.csv"], 65, "no column named loss");
    refused(&["net-1M.csv"], 2, "1 model in a race");
    refused(&["net-1M.csv", "absent.csv"], 74, "absent.csv");
    refused(&["net-1M.csv", "net-2M.csv", "--size", "3M:3e6"], 2, "is the size of no file");
    refused(&["net-1M.csv", "net-2M.csv", "--size", "1M:-1"], 2, "NAME:PARAMS");
    refused(&["net-1M.csv", "net-2M.csv", "--resolution", "0"], 2, "--resolution");
    refused(&["race-of-nobody"], 2, "race-of-nobody");
}

/// The curves of LLaMA-1 (Touvron et al. 2023, figure 1). Skipped when the files are absent.
#[test]
fn on_the_curves_of_llama_only_the_two_smallest_cross_and_only_in_hours() {
    let beside = || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let data = std::env::var_os("ABLATION_ZOO_DATA").map_or_else(beside, Into::into).join("llama-curves");
    if !data.is_dir() {
        eprintln!("skipped: no {}", data.display());
        return;
    }
    let files =
        ["7B", "13B", "33B", "65B"].map(|size| data.join(format!("llama1-{size}.tsv")).display().to_string());
    let args: Vec<&str> = ["fit", "race", "--json", "--replicates", "40"]
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .collect();
    let json = race().json(&args);
    for heat in json["heats"].as_array().unwrap().iter().filter(|heat| heat["axis"] != "tokens") {
        for pair in heat["pairs"].as_array().unwrap() {
            let at: Vec<f64> = pair["crossings"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["at"]["estimate"].as_f64().unwrap())
                .collect();
            if heat["axis"] == "hours" && pair["names"] == serde_json::json!(["7B", "13B"]) {
                assert!((at[0] / 2.2e4 - 1.0).abs() < 0.05 && (at[1] / 5.9e4 - 1.0).abs() < 0.05, "{at:?}");
                let touch = pair["touches"].as_array().unwrap().last().unwrap();
                assert!(
                    touch["to"].as_f64().unwrap() > 8.2e4 && touch["difference"].as_f64().unwrap() < 1e-3,
                    "{touch}"
                );
            } else {
                assert!(at.is_empty(), "{pair}");
            }
        }
    }
    let line = &json["extrapolations"][0]["answers"][0];
    assert!(line["loss"].as_f64().unwrap() < 0.0 && line["verdict"] == "negative", "{line}");
}

/// Losses of a known law at five budgets and nine sizes, as a table.
fn points() -> Folder {
    let (floor, a, b, alpha, beta) = (1.8172, 482.01, 2085.43, 0.3478, 0.3658);
    let mut text = "params,tokens,loss\n".to_string();
    for (budget, size) in (0..5).flat_map(|budget| (-4..=4).map(move |size| (budget, size))) {
        let flops = 1e18 * 10f64.powi(budget);
        let params = 0.55 * (flops / 6.0).powf(0.5) * 1.5f64.powi(size);
        let tokens = flops / 6.0 / params;
        let wobble = 1.0 + 2e-4 * f64::from((budget * 7 + size * 3) % 5 - 2);
        let loss = floor + a * params.powf(-alpha) + b * tokens.powf(-beta);
        text.push_str(&format!("{params},{tokens},{}\n", loss * wobble));
    }
    let folder = Folder::new();
    folder.write("points.csv", &text);
    folder
}

#[test]
fn a_scaling_law_is_found_again_and_says_what_it_cannot_know() {
    let folder = points();
    let args = ["fit", "scaling", "points.csv", "--replicates", "40", "--held-out", "1e21"];
    let json = folder.json(&[&args[..], &["--json", "--out", "figures"]].concat());
    assert_fits(&folder, "fit-scaling", &json);
    let approach = |name: &str| {
        json["approaches"]
            .as_array()
            .unwrap()
            .iter()
            .find(|approach| approach["name"].as_str().unwrap().starts_with(name))
            .unwrap()
            .clone()
    };
    for name in ["3: Huber", "3: projection"] {
        let constants = approach(name)["constants"].clone();
        let alpha = constants.as_array().unwrap().iter().find(|constant| constant[0] == "alpha").unwrap();
        assert!((alpha[1]["estimate"].as_f64().unwrap() - 0.3478).abs() < 0.02, "{constants}");
    }
    assert!((approach("2: iso-FLOP")["exponent"]["estimate"].as_f64().unwrap() - 0.5126).abs() < 0.05);
    assert!(approach("1: envelope")["refused"].as_str().unwrap().contains("no curve of any size"));
    assert!((approach("Hoffmann 2022")["exponent"]["estimate"].as_f64().unwrap() - 0.4565).abs() < 1e-3);
    assert!(json["held_out"]["mean_relative_error"].as_f64().unwrap() < 3e-3);
    assert!(folder.path().join("figures/iso-flop.svg").is_file());

    let header = "params,tokens,loss\n";
    let two: String =
        (1..=8).map(|k| format!("{},{k}e8,{}\n", 1 + k % 2, 3.0 + 1.0 / f64::from(k))).collect();
    folder.write("two.csv", &(header.to_string() + &two)).write("bad.csv", &format!("{header}1e6,1e8,-3\n"));
    let said = folder.zoo(&["fit", "scaling", "two.csv", "--replicates", "20"]);
    assert!((said.out + &said.err).contains("distinct values of parameters, its law needs 3"));
    let said = folder.zoo(&["fit", "scaling", "bad.csv"]);
    assert!(said.code == 65 && said.err.contains("bad.csv row 1"), "{}", said.err);
    let said = folder.zoo(&["fit", "scaling", "points.csv", "--budget", "-1"]);
    assert!(said.code == 2, "{}", said.err);
}

#[test]
fn a_law_of_mixtures_is_judged_on_mixtures_that_it_has_not_seen() {
    let shares = [
        [0.2, 0.3, 0.5],
        [0.5, 0.3, 0.2],
        [0.1, 0.8, 0.1],
        [0.3, 0.1, 0.6],
        [0.6, 0.2, 0.2],
        [0.4, 0.5, 0.1],
    ];
    let mut text = "share_a,share_b,share_c,loss_a,loss_b,loss_c\n".to_string();
    for r in shares {
        let loss = |k: usize, alpha: f64| 2.0 * f64::powf(r[k], -alpha);
        text.push_str(&format!(
            "{},{},{},{},{},{}\n",
            r[0],
            r[1],
            r[2],
            loss(0, 0.1),
            loss(1, 0.2),
            loss(2, 0.05)
        ));
    }
    let folder = Folder::new();
    folder.write("m.csv", &text).write("off.csv", &text.replace("0.2,0.3,0.5", "0.2,0.3,0.1"));
    folder.write("missing.csv", &text.replace("share_c", "part_c"));
    let json = folder.json(&["fit", "mixture", "m.csv", "--at-zero", "drop", "--json", "--out", "figures"]);
    assert_fits(&folder, "fit-mixture", &json);
    assert_eq!(json["laws"][0]["name"], "own share");
    assert!(json["laws"][0]["r2"].as_f64().unwrap() > 0.999);
    assert!(json["optima"][0]["numeric_difference"].as_f64().unwrap().abs() < 1e-6);
    assert!(folder.path().join("figures/predicted-own-share.svg").is_file());
    for (file, message) in [("off.csv", "a sum of 1"), ("missing.csv", "a loss of c, which has no share")] {
        let said = folder.zoo(&["fit", "mixture", file]);
        assert!(said.code == 65 && said.err.contains(message), "{file}: {}", said.err);
    }
}

#[test]
fn an_optimum_is_predicted_then_trained_in_one_command_and_never_twice() {
    let folder = Folder::new();
    let job = ["run", "mixture", "--profile", "smoke", "--set", "repeat.seeds=1", "--quiet"];
    let said = folder.ask(&job);
    assert!(said.contains("Predicted, then trained: mean loss"), "{said}");
    let fit = ["fit", "mixture", "mixture", "--profile", "smoke", "--set", "repeat.seeds=1", "--json"];
    let json = folder.json(&fit);
    assert_eq!(json["mixtures"], 10, "the optimum is no part of the fit");
    let shares = json["optima"][0]["shares"].as_array().unwrap();
    let sum: f64 = shares.iter().map(|share| share[1].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9 && shares.len() == 5, "{shares:?}");
    let test = &json["test"];
    let off = test["predicted"].as_f64().unwrap() / test["measured"].as_f64().unwrap();
    assert!((off - 1.0).abs() < 0.1 && test["uniform"].is_number(), "{test}");
    assert!(folder.ask(&job).starts_with("0 runs finished"));

    let same = ["mixture", "--profile", "smoke", "--set", "repeat.seeds=1"];
    let status = folder.ask(&[&["status"], &same[..]].concat());
    assert!(status.contains("optimum") && !status.contains("waiting"), "{status}");
    assert!(folder.ask(&[&["retry"], &same[..]].concat()).starts_with("0 runs finished"));
    let report = folder.json(&[&["report"], &same[..], &["--json"]].concat());
    assert_fits(&folder, "report", &report);
    assert!(report["arms"][0]["domains"][0]["loss"]["mean"].is_number(), "{report}");
}

#[test]
fn runs_race_by_every_axis_and_anneal_apart() {
    let folder = Folder::new();
    folder.ask(&["run", "race", "--profile", "smoke", "--quiet"]);
    let json = folder.json(&["fit", "race", "race", "--profile", "smoke", "--replicates", "20", "--json"]);
    assert_fits(&folder, "fit-race", &json);
    let heats = json["heats"].as_array().unwrap();
    for axis in ["hours", "flops", "six-nd", "tokens"] {
        for schedule in ["cosine", "wsd"] {
            let raw = |heat: &&serde_json::Value| {
                heat["axis"] == axis && heat["schedule"] == schedule && heat["stage"] == "raw"
            };
            assert_eq!(heats.iter().filter(raw).count(), 1, "{axis} {schedule}");
        }
    }
    let said =
        folder.ask(&["fit", "scaling", "race", "--profile", "smoke", "--replicates", "20", "--annealing"]);
    assert!(said.contains("distinct values of parameters, its law needs 3"), "{said}");
    let said = folder.zoo(&["fit", "mixture", "race", "--profile", "smoke"]);
    assert!(said.code == 65 && said.err.contains("expected runs on a mixture of sources"), "{}", said.err);
}

#[test]
fn the_capacity_of_models_is_fitted_and_drawn_beside_the_published_one() {
    let folder = Folder::new();
    let mut text = "params,bits,max_bits,exposures\n".to_string();
    for params in [3e4, 1e5] {
        for load in [0.8f64, 1.4, 2.0, 3.0, 4.0] {
            let known = params * (load.powf(-4.0) + 1.6f64.powf(-4.0)).powf(-0.25);
            text.push_str(&format!("{params},{known},{},1000\n", load * params));
        }
    }
    folder.write("models.csv", &text);
    let said = folder.ask(&["fit", "capacity", "models.csv", "--replicates", "40", "--out", "figures"]);
    assert!(said.contains("can hold 1.600 ") && said.contains("Figure 1 of arXiv 2404.05405"), "{said}");
    for file in ["capacity.json", "capacity-1000-exposures.svg", "capacity-1000-exposures.png"] {
        assert!(folder.path().join("figures").join(file).is_file(), "{file}");
    }
    let json = folder.json(&["fit", "capacity", "models.csv", "--replicates", "40", "--json"]);
    assert_fits(&folder, "fit-capacity", &json);
    assert!((json["groups"][0]["law"]["capacity"]["estimate"].as_f64().unwrap() - 1.6).abs() < 1e-3);
    folder.write("bad.csv", "params,bits,max_bits\n1e5,3e5,2e5\n");
    let said = folder.zoo(&["fit", "capacity", "bad.csv"]);
    assert!(said.code == 65 && said.err.contains("bad.csv row 1: 300000 of 200000 bits"), "{}", said.err);
}

#[test]
fn runs_with_facts_are_fitted_and_those_without_are_refused() {
    let folder = Folder::new();
    // Long enough to know something.
    let long = ["--profile", "smoke", "--set", "training.length.count=90", "--set", "repeat.seeds=1"];
    folder.ask(&[&["run", "mlp", "--set", "arms=[]", "--quiet"], &long[..]].concat());
    let json = folder.json(&[&["fit", "capacity", "mlp", "--set", "arms=[]", "--json"], &long[..]].concat());
    assert_fits(&folder, "fit-capacity", &json);
    let group = &json["groups"][0];
    assert_eq!((&group["exposures"], &group["loads"][0]["runs"]), (&90.into(), &1.into()), "{group}");
    assert!(group["refused"].as_str().unwrap().starts_with("1 of the 3 models"), "{group}");
    folder.ask(&["run", "race", "--profile", "smoke", "--quiet"]);
    let said = folder.zoo(&["fit", "capacity", "race", "--profile", "smoke"]);
    assert!(said.code == 65 && said.err.contains("expected finished runs on biographies"), "{}", said.err);
}
