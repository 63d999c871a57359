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
    let crossings = json["rounds"][0]["pairs"][0]["crossings"].as_array().unwrap();
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
        json["rounds"].as_array().unwrap().iter().map(|heat| heat["axis"].as_str().unwrap()).collect();
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

#[test]
fn tables_are_read_as_programs_write_them() {
    let folder = race();
    let texts =
        ["net-1M.csv", "net-2M.csv"].map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap());
    let rows = |text: &str, row: &dyn Fn(usize, &str, &str) -> String| -> String {
        let row = |(k, line): (usize, &str)| line.split_once(',').map(|(x, y)| row(k, x, y)).unwrap();
        text.lines().enumerate().map(row).collect()
    };
    // Quotes around all names and cells, beside names of rows, as R writes them; Excel's byte order mark, line ends,
    // semicolons and empty rows; tabs; texts with commas, quotes and line breaks.
    let written: [&dyn Fn(&str) -> String; 4] = [
        &|text| {
            rows(text, &|k, x, y| {
                format!("\"{}\",\"{x}\",\"{y}\"\n", if k == 0 { String::new() } else { k.to_string() })
            })
        },
        &|text| format!("\u{feff}{}\r\n;;\r\n", rows(text, &|_, x, y| format!("{x};{y};\r\n")).trim_end()),
        &|text| rows(text, &|_, x, y| format!("{y}\t {x} \n\n")),
        &|text| {
            rows(text, &|k, x, y| format!("{x},\"a \"\"b\"\", c\nd{k}\",{y},{}\n", ["note", "é"][k.min(1)]))
        },
    ];
    for (index, write) in written.iter().enumerate() {
        for (name, text) in ["1M.csv", "2M.csv"].iter().zip(&texts) {
            folder.write(&format!("as-{index}-{name}"), &write(text));
        }
        let [small, big] = ["1M", "2M"].map(|name| format!("as-{index}-{name}.csv"));
        let said = folder.ask(&["fit", "race", &small, &big, "--replicates", "20"]);
        assert!(said.contains("yes, in 1 of 1 pair"), "{index}: {said}");
    }
    // A file of several runs, as `zoo export` writes metrics.
    let both = rows(&texts[0], &|k, x, y| format!("{},{x},{y}\n", if k == 0 { "run" } else { "net-1M" }))
        + &rows(texts[1].split_once('\n').unwrap().1, &|_, x, y| format!("net-2M,{x},{y}\n"));
    folder.write("both.csv", &both);
    let said = folder.ask(&["fit", "race", "both.csv", "--replicates", "20"]);
    assert!(said.contains("yes, in 1 of 1 pair"), "{said}");
}

#[test]
fn what_is_wrong_with_a_table_is_said_in_the_order_in_which_it_matters() {
    let folder = points();
    let good = std::fs::read_to_string(folder.path().join("points.csv")).unwrap();
    let (header, rows) = good.split_once('\n').unwrap();
    let first = |file: &str, bytes: &[u8], message: &str| {
        std::fs::write(folder.path().join(file), bytes).unwrap();
        let said = folder.zoo(&["fit", "scaling", file, "--replicates", "20"]);
        assert_eq!((said.code, said.out.as_str()), (65, ""), "{file}: {}", said.err);
        let title = said.err.lines().next().unwrap();
        assert!(title.contains(message), "{file}: {}", said.err);
        assert!(
            said.err.len() < 3000 && said.err.lines().all(|line| line.len() < 400),
            "{file}: {}",
            said.err
        );
        said.err
    };
    let coloured: String = rows.lines().map(|row| format!("red,{row}\n")).collect();
    let names = first(
        "names.csv",
        format!("colour,model size,tokens,loss\n{coloured}").as_bytes(),
        "no column named params",
    );
    assert!(names.contains("here it names colour, model size, tokens, loss"), "{names}");
    for twice in ["loss,params,tokens,loss", "Loss ,params,tokens,loss", "\" LOSS\",params,tokens,loss"] {
        let text = format!("{twice}\n{}", coloured.replace("red", "9.9"));
        let said = first("twice.csv", text.as_bytes(), "two columns of loss");
        assert!(said.contains("remove or rename"), "{said}");
    }
    first("empty.csv", b"\n", "empty.csv is empty");
    first("header.csv", b"params,tokens,loss\n", "header.csv has no rows");
    first("ragged.csv", format!("{good}1e6,1e8\n").as_bytes(), "2 cells");
    first("latin.csv", b"params,tokens,loss\n1e6,1e8,3\xe9\n", "line 2 of latin.csv is not in UTF-8");
    let wide: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    first("wide.csv", &[&[0xff, 0xfe], &wide[..]].concat(), "wide.csv is in UTF-16");
    first("open.csv", format!("note,{header}\n\"a,{rows}").as_bytes(), "a quote that is never closed");
    let long = format!("{header}\n{}", format!("{},1e8,3\n", "x".repeat(20_000)).repeat(500));
    assert!(first("long.csv", long.as_bytes(), "params is \"xxx").contains("and 494 more"));
    let comma = format!("{}\n{}", header.replace(',', ";"), rows.replace(',', ";").replace('.', ","));
    let said = first("comma.csv", comma.as_bytes(), "params is ");
    assert!(said.contains("write decimals with a point"), "{said}");
}

#[test]
fn columns_that_nothing_needs_are_passed_over() {
    let folder = points();
    let good = std::fs::read_to_string(folder.path().join("points.csv")).unwrap();
    let row = |(k, row): (usize, &str)| match k {
        0 => format!("colour,{row},note,note\n"),
        _ => format!("red,{row},read off a plot,\n"),
    };
    folder.write("text.csv", &good.lines().enumerate().map(row).collect::<String>());
    let fit = |file| folder.ask(&["fit", "scaling", file, "--replicates", "20"]);
    assert_eq!(fit("text.csv").replace("text.csv", "points.csv"), fit("points.csv"));
}

#[test]
fn what_equal_losses_cannot_tell_is_said_in_words() {
    let folder = Folder::new();
    let rows: String = (0..25).map(|k| format!("{}e6,{}e7,2.0\n", 1 + k / 5, 1 + 3 * (k % 5))).collect();
    folder.write("constant.csv", &format!("params,tokens,loss\n{rows}"));
    let said = folder.ask(&["fit", "scaling", "constant.csv", "--replicates", "20"]);
    assert!(said.contains("not bounded") && !said.contains("inf]") && !said.contains("-inf"), "{said}");
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
    for heat in json["rounds"].as_array().unwrap().iter().filter(|heat| heat["axis"] != "tokens") {
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
    assert!(said.code == 65 && said.err.contains("bad.csv:2:9"), "{}", said.err);
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

/// Mixtures of five domains that obey `c (r + r0)^-alpha`, the last of which alone has no web.
fn one_without_web() -> Vec<String> {
    let laws = [(2.6, 0.08, 0.01), (1.3, 0.11, 0.03), (2.4, 0.08, 0.02), (2.2, 0.1, 0.02), (1.7, 0.09, 0.03)];
    let mut state = 7u64;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut row = |k: usize| {
        let mut shares: Vec<f64> = (0..5).map(|_| 0.05 - draw().max(1e-6).ln()).collect();
        if k == 25 {
            shares[0] = 0.0;
        }
        let sum: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= sum);
        let losses = shares
            .iter()
            .zip(laws)
            .map(|(r, (c, alpha, r0))| c * f64::powf(r + r0, -alpha) * (1.0 + 0.01 * (draw() - 0.5)));
        let losses: Vec<f64> = losses.collect();
        shares.iter().chain(&losses).map(f64::to_string).collect::<Vec<_>>().join(",")
    };
    (0..26).map(&mut row).collect()
}

#[test]
fn one_mixture_without_a_domain_decides_nothing_however_mixtures_are_shuffled() {
    let folder = Folder::new();
    let names = ["web", "code", "books", "talk", "maths"];
    let header: Vec<String> =
        ["share", "loss"].iter().flat_map(|what| names.map(|name| format!("{what}_{name}"))).collect();
    let mut rows = one_without_web();
    let table = |rows: &[String]| format!("{}\n{}\n", header.join(","), rows.join("\n"));
    folder.write("m.csv", &table(&rows));
    rows.reverse();
    folder.write("reversed.csv", &table(&rows));
    for folds in ["2", "3", "5", "8", "26"] {
        let said = folder.ask(&["fit", "mixture", "m.csv", "--folds", folds]);
        assert!(said.contains("The exponential law explains less than the own share law"), "{folds}: {said}");
        assert!(said.contains("Only one mixture has no web"), "{folds}: {said}");
        let turned = folder.ask(&["fit", "mixture", "reversed.csv", "--folds", folds]);
        let verdict =
            |text: &str| text.lines().find(|line| line.contains("law explains")).unwrap().to_string();
        assert_eq!(verdict(&said), verdict(&turned));
    }
    let json = folder.json(&["fit", "mixture", "m.csv", "--json"]);
    assert_fits(&folder, "fit-mixture", &json);
    let web = &json["laws"][0]["domains"][0][1];
    assert!(web["r2"].as_f64().unwrap() > 0.9 && web["r2_range"][0].as_f64().unwrap() > 0.8, "{web}");
    assert_eq!(web["points"], 25);
    folder.write("few.csv", &table(&rows[..2]));
    let said = folder.zoo(&["fit", "mixture", "few.csv"]);
    assert!(said.code == 65 && said.err.contains("web: 1 measurement for a law"), "{}", said.err);
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
    assert!(folder.ask(&job).contains(" runs were finished before\n"));

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
    let heats = json["rounds"].as_array().unwrap();
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
    assert!(
        said.code == 65 && said.err.contains("300000 of 200000 bits") && said.err.contains("bad.csv:2:5"),
        "{}",
        said.err
    );
}

#[test]
fn a_constant_at_its_bound_and_what_else_tells_models_apart_are_said() {
    let folder = Folder::new();
    // The sharpest bend that there can be, and models of two kinds.
    let mut text = "kind,params,bits,max_bits\n".to_string();
    for (kind, capacity) in [("wide", 1.6f64), ("deep", 1.2)] {
        for (params, load) in
            [3e4, 1e5].iter().flat_map(|params| [0.8, 1.1, 2.0, 4.0].map(|load| (params, load)))
        {
            text.push_str(&format!("{kind},{params},{},{}\n", params * capacity.min(load), load * params));
        }
    }
    folder.write("two.csv", &text);
    folder.write(
        "one.csv",
        &text
            .lines()
            .filter(|row| !row.starts_with("deep"))
            .map(|row| format!("{row}\n"))
            .collect::<String>(),
    );
    let fit = |file| folder.ask(&["fit", "capacity", file, "--replicates", "40"]);
    assert!(
        fit("two.csv")
            .contains("differ in more than size and load, which the law takes for noise: kind (deep, wide)")
    );
    let one = fit("one.csv");
    assert!(one.contains("the sharpness of the bend stands at the bound of its search, 30"), "{one}");
    assert!(!one.contains("more than size and load"), "{one}");
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
