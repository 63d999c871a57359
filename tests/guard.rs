//! What comes from outside: names that would command a terminal, files that are none, folders that cannot be written.

use std::path::Path;

use crate::program::{Folder, Said};

/// Two runs of no time; the second may fail.
fn two(arm: &str, change: &str) -> String {
    format!(
        r#"
[about]
question = "Does it arrive?"
[control]
model = "gpt2"
dataset = "biod"
size = "micro"
[common]
data.people = 16
training.length = {{ kind = "steps", count = 2 }}
training.schedule = {{ kind = "constant", warmup_steps = 0 }}
training.batch = 4
[arms."{arm}"]
match_on = "nothing"
{change}
[repeat]
seeds = 1
[profiles.quick]
[profiles.other]
training.batch = 8
"#
    )
}

const HALF: &str = "model.block.feed_forward.expansion = 2.0";
const FAILS: &str = r#"model.init = { kind = "normal", std = 1e30 }"#;
/// A title, C1, a direction, no width, DEL, a line end.
const BAD: &str = "\u{1b}]0;t\u{7}\u{9b}31m\u{202e}\u{200b}\u{7f}\nx";
const SHOWN: &str = r"\u001b]0;t\u0007\u009b31m\u202e\u200b\u007f\nx";

fn check_plain(what: &str, said: &Said) {
    let bad = |c: char| (c.is_control() && c != '\n') || ['\u{202e}', '\u{200b}'].contains(&c);
    for text in [&said.out, &said.err] {
        assert!(!text.contains(bad), "{what}: {text:?}");
        assert!(text.lines().all(|line| line != "x" && !line.starts_with("x ")), "{what}: {text}");
    }
}

#[test]
fn names_data_and_texts_reach_a_terminal_with_controls_shown() {
    let folder = Folder::new();
    let arm = r"\u001b]0;t\u0007\u009b31m\u202e\u200b\u007f\nx";
    folder.write("names.toml", &two(arm, HALF).replace("Does it", &format!("Does {arm}")));
    folder.write(&format!("ablations/{BAD}.toml"), &two("half", HALF));
    folder.write("text/a.txt", &format!("a line {BAD} of text\n").repeat(60));
    let shown = |args: &[&str]| {
        let said = folder.zoo(args);
        check_plain(args[0], &said);
        assert!((said.out + &said.err).contains(SHOWN), "{args:?}");
        said.code
    };
    for args in [
        &["plan", "names.toml"][..],
        &["run", "names.toml"],
        &["status", "names.toml"],
        &["runs", "--json"],
        &["report", "names.toml"],
        &["show", "names.toml"],
        &["list"],
        &["plan", BAD],
        &["data", "text", "--set", "data.path=text", "--set", "data.tokenizer=bytes"],
    ] {
        assert_eq!(shown(args), 0, "{args:?}");
    }
    for args in [
        &["plan", &format!("./{BAD}/x.toml")][..],
        &["fit", "scaling", &format!("{BAD}.csv")],
        &["runs", "--store", BAD],
    ] {
        assert_eq!(shown(args), 74, "{args:?}");
    }
    for args in [&["plan", "mlp", "--set", &format!("{BAD}=1")][..], &["runs", "--state", BAD], &[BAD]] {
        check_plain("flags", &folder.zoo(args));
    }
    // JSON says what it is, and is as harmless.
    let said = folder.zoo(&["plan", "names.toml", "--json"]);
    check_plain("json", &said);
    let plan: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(plan["arms"][1]["arm"], BAD);
    let page = std::fs::read_to_string(folder.path().join("reports/names-quick/report.html")).unwrap();
    assert!(page.contains(SHOWN) && !page.contains('\u{202e}'));
}

#[test]
fn what_a_model_says_reaches_a_terminal_with_controls_shown() {
    let folder = Folder::new();
    folder.write("text/a.txt", &"\u{1b}[2J\u{9b}31m\n".repeat(400));
    let short = [
        "data.path=text",
        "data.tokenizer=bytes",
        "data.seq_len=16",
        "training.length={kind=\"steps\",count=2}",
    ];
    let sets = short.iter().flat_map(|set| ["--set", set]).collect::<Vec<_>>();
    folder.ask(
        &[&["train", "gpt2:micro", "text"], &sets[..], &["--set", "training.schedule.warmup_steps=0"]]
            .concat(),
    );
    let said = folder.zoo(&["generate", "gpt2", "--prompt", "\u{1b}[2J", "--tokens", "8"]);
    check_plain("generate", &said);
    assert!(said.code == 0 && said.out.contains(r"\u001b[2J"), "{}{}", said.out, said.err);
}

#[test]
fn arms_that_look_alike_are_refused() {
    let folder = Folder::new();
    let with = |first: &str, second: &str| {
        let more = format!(
            "[arms.\"{second}\"]\nmatch_on = \"nothing\"\nmodel.block.feed_forward.expansion = 3.0\n[repeat]"
        );
        folder.write("x.toml", &two(first, HALF).replace("[repeat]", &more));
        folder.zoo(&["plan", "x.toml"])
    };
    for (first, second) in [
        (r"\u001bx", r"\\u001bx"),
        ("half", r"half\u200d"),
        ("half", "half "),
        (r"\u00e9", r"e\u0301"),
        ("a b", r"a\u00a0b"),
        ("half", "control "),
    ] {
        let said = with(first, second);
        assert!(said.code == 2 && said.err.contains("looks like"), "{first:?} {second:?}: {}", said.err);
    }
    for (first, second) in [("half", "Half"), (r"\u001bx", r"\u001by")] {
        assert_eq!(with(first, second).code, 0, "{first:?} {second:?}");
    }
}

#[test]
#[cfg(unix)]
fn a_pipe_a_device_or_a_folder_is_no_file() {
    let folder = Folder::new();
    folder.write("two.toml", &two("half", HALF)).write("text/a.txt", "text").write("hf/x", "");
    folder.ask(&["run", "two.toml", "--quiet"]);
    let path = |name: &str| folder.path().join(name);
    let fifo =
        |path: &Path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    for name in ["f.toml", "f.json", "text/f.txt", "hf/config.json"] {
        fifo(&path(name));
    }
    std::os::unix::fs::symlink("/dev/zero", path("zero.toml")).unwrap();
    std::fs::create_dir(path("folder.toml")).unwrap();
    std::fs::File::create(path("endless.toml")).unwrap().set_len(1 << 43).unwrap();
    let text = ["--set", "data.path=text", "--set", "data.tokenizer=bytes"];
    let bior = ["--set", "data.prose={kind=\"file\",path=\"f.json\"}"];
    let tokenizer = ["--set", "data.path=hf", "--set", "data.tokenizer={kind=\"file\",path=\"f.json\"}"];
    let mut refused = vec![
        vec!["import", "hf", "--out", "in"],
        [&["data", "text"][..], &text].concat(),
        [&["data", "bior"][..], &bior].concat(),
        [&["data", "text"][..], &tokenizer].concat(),
        vec!["bench", "--baseline", "f.json"],
    ];
    for name in ["f.toml", "zero.toml", "folder.toml", "endless.toml"] {
        for command in ["plan", "show", "run", "report", "data"] {
            refused.push(vec![command, name]);
        }
        refused.push(vec!["train", name, "biod"]);
        refused.push(vec!["train", "gpt2:micro", name]);
    }
    let check = |args: &[&str], codes: &[i32]| {
        let start = std::time::Instant::now();
        let said = folder.zoo(args);
        assert!(codes.contains(&said.code), "zoo {args:?}: {} {}", said.code, said.err);
        assert!(start.elapsed().as_secs() < 60, "zoo {args:?}");
    };
    refused.iter().for_each(|args| check(args, &[2, 74]));
    let runs = std::fs::read_dir(path("runs")).unwrap().map(|entry| entry.unwrap().path());
    let run = runs.into_iter().find(|path| path.join("metrics.jsonl").exists()).unwrap();
    for name in ["metrics.jsonl", "measurements.json", "run.toml", "manifest.json"] {
        let (file, kept) = (run.join(name), path("kept"));
        std::fs::rename(&file, &kept).unwrap();
        fifo(&file);
        check(&["runs", "--verify"], &[65, 74]);
        // A report may do without it, but does not wait for it.
        check(&["report", "two.toml"], &[0, 65, 74]);
        std::fs::remove_file(&file).unwrap();
        std::fs::rename(&kept, &file).unwrap();
    }
    folder.ask(&["runs", "--verify"]);
}

#[test]
fn the_answer_is_printed_where_no_page_can_be_written() {
    let folder = Folder::new();
    folder
        .write("two.toml", &two("half", HALF))
        .write("fails.toml", &two("fails", FAILS))
        .write("reports", "");
    for command in ["run", "report"] {
        let said = folder.zoo(&[command, "two.toml"]);
        assert!(said.code == 0 && said.out.contains("half"), "{}{}", said.out, said.err);
        assert!(
            said.err.contains("no page was written: ") && said.err.contains("--reports DIR"),
            "{}",
            said.err
        );
    }
    let said = folder.zoo(&["run", "fails.toml"]);
    assert!(said.code == 1 && said.err.contains("fails micro seed 1"), "{} {}", said.code, said.err);
    // Another place, and one that is named for the page itself.
    let said = folder.ask(&["report", "two.toml", "--reports", "elsewhere"]);
    assert!(said.contains("page: elsewhere/two-quick/report.html"), "{said}");
    folder.ask(&["run", "two.toml", "--reports", "runs-too"]);
    assert!(folder.path().join("runs-too/two-quick/report.html").exists());
    let said = folder.zoo(&["report", "two.toml", "--out", "reports"]);
    assert!(said.code == 74 && said.out.contains("half"), "{}", said.err);
}

#[test]
fn reports_of_other_settings_have_folders_of_their_own() {
    let folder = Folder::new();
    folder
        .write("two.toml", &two("half", HALF))
        .write("a/two.toml", &two("half", HALF))
        .write("b/two.toml", &two("half", HALF));
    folder.write("mlp.toml", &two("half", HALF));
    let mut pages = std::collections::HashSet::new();
    for args in [
        &["two.toml"][..],
        &["two.toml", "--profile", "other"],
        &["two.toml", "--set", "training.batch=8"],
        &["two.toml", "--set", "training.batch=2"],
        &["a/two.toml"],
        &["b/two.toml"],
        &["mlp.toml"],
    ] {
        let said = folder.ask(&[&["run", "--quiet"], args].concat());
        let page = said.lines().find_map(|line| line.strip_prefix("page: ")).unwrap().to_string();
        assert!(!page.contains(".toml") && page.starts_with("reports/"), "{page}");
        assert!(folder.ask(&[&["report"], args].concat()).contains(&page), "{page}");
        assert!(pages.insert(page), "{args:?}");
    }
    assert!(
        pages.contains("reports/two-quick/report.html") && pages.contains("reports/two-other/report.html")
    );
    assert!(!pages.contains("reports/mlp-quick/report.html"), "that is the built-in one's");
    // What is not ours in a folder of reports stays, and is not listed.
    folder.write("ablations/own.toml", &two("half", HALF)).write("site/own-quick/notes.html", "mine");
    folder.ask(&["run", "own", "--quiet"]);
    folder.ask(&["report", "--all", "--reports", "site"]);
    folder.ask(&["report", "--all", "--reports", "site"]);
    let index = std::fs::read_to_string(folder.path().join("site/index.html")).unwrap();
    assert!(index.contains("own-quick/report.html") && !index.contains("notes.html"), "{index}");
    assert!(folder.path().join("site/own-quick/notes.html").exists());
    folder.write("site/index.html", "mine");
    assert_eq!(folder.zoo(&["report", "--all", "--reports", "site"]).code, 2);
    assert_eq!(std::fs::read_to_string(folder.path().join("site/index.html")).unwrap(), "mine");
}
