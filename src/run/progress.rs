//! What is shown while runs run: one line per run and one for the whole on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

use super::store::WantedRun;
use super::worker::Event;
use crate::plan::Extent;
use crate::visible;

/// Time between two plain lines about the whole.
const PLAIN: Duration = Duration::from_secs(10);
/// One style for all lines: what matters most comes first, and narrow terminals cut the rest.
const STYLE: &str = "{percent:>3} % {bar:12.cyan/dim} {wide_msg}";
/// Steps of the line of the whole.
const PARTS: f64 = 1000.0;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Progress bars that are redrawn.
    Bars,
    /// A plain line now and then.
    Lines,
    /// Every event, a line of JSON each, on standard output.
    Json,
    /// No progress is shown.
    Nothing,
}

impl Show {
    /// Bars on a terminal, else lines.
    pub fn for_stderr() -> Self {
        if std::io::stderr().is_terminal() { Show::Bars } else { Show::Lines }
    }
}

/// The state of all runs of one call, and its picture.
pub(super) struct Display {
    show: Show,
    board: Board,
    screen: MultiProgress,
    total: Option<ProgressBar>,
    bars: HashMap<usize, ProgressBar>,
    told: Instant,
}

impl Display {
    pub(super) fn new(show: Show, left: Extent) -> Self {
        let (board, screen) = (Board::new(left, Instant::now()), MultiProgress::new());
        Display { show, board, screen, total: None, bars: HashMap::new(), told: Instant::now() }
    }

    pub(super) fn plans(&mut self, flops: f64) {
        self.board.wanted += 1;
        self.board.work += weight(flops);
    }

    pub(super) fn starts(&mut self, id: usize, wanted: &WantedRun) {
        self.board.lines.insert(id, Line::new(wanted));
        match self.show {
            Show::Bars => {
                let total = self.total.get_or_insert_with(|| self.screen.add(bar(PARTS as u64)));
                self.bars.insert(id, self.screen.insert_before(total, bar(1)));
            }
            Show::Lines => tell(&format!("started  {}", wanted.label)),
            Show::Json | Show::Nothing => {}
        }
        self.draw(id);
    }

    pub(super) fn hears(&mut self, id: usize, event: &Event) {
        if let Event::Warning { message } = event {
            let label = self.board.lines.get(&id).map_or_else(String::new, |line| line.label.clone());
            // Who wants no progress still wants to know what weakens a result.
            let text = format!("{label}: {}", message.replace('\n', "; "));
            match self.show {
                Show::Bars | Show::Lines => self.says(&text),
                Show::Json => {}
                Show::Nothing => tell(&text),
            }
        }
        if let Some(line) = self.board.lines.get_mut(&id) {
            line.hears(event);
            let is_end = event.is_end();
            if self.show == Show::Json && !is_end {
                say(&OfRun { run: &line.label, event });
            }
        }
        self.draw(id);
    }

    /// A run is no longer on this machine.
    pub(super) fn leaves(&mut self, id: usize) {
        if let Some(line) = self.board.lines.remove(&id) {
            self.board.past += line.done_here();
        }
        if let Some(bar) = self.bars.remove(&id) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
    }

    pub(super) fn ends(&mut self, wanted: &WantedRun, how: &str, cause: Option<&str>) {
        self.board.ended += 1;
        self.board.ended_work += weight(wanted.flops);
        if self.show == Show::Json {
            return say(&Told::Ended { run: &wanted.label, how, cause });
        }
        let cause = cause.map_or_else(String::new, |cause| format!(": {}", cause.replace('\n', "; ")));
        self.says(&format!("{how:<8} {}{cause}", wanted.label));
    }

    pub(super) fn says(&mut self, text: &str) {
        match self.show {
            Show::Bars => self.screen.suspend(|| tell(text)),
            Show::Lines => tell(text),
            Show::Json => say(&Told::Note { text }),
            Show::Nothing => {}
        }
    }

    pub(super) fn tick(&mut self) {
        match self.show {
            Show::Bars => {
                if let Some(total) = &self.total {
                    total.set_position((self.board.share() * PARTS) as u64);
                    total.set_message(self.board.text(Instant::now()));
                }
            }
            Show::Lines if self.told.elapsed() >= PLAIN && !self.board.lines.is_empty() => {
                self.told = Instant::now();
                tell(&self.board.text(self.told));
                let mut lines: Vec<_> = self.board.lines.iter().collect();
                lines.sort_unstable_by_key(|(id, _)| **id);
                lines.iter().for_each(|(_, line)| {
                    tell(&format!("  {:>3.0} % {}", 100.0 * line.share(), line.text()))
                });
            }
            Show::Json if self.told.elapsed() >= PLAIN && !self.board.lines.is_empty() => {
                self.told = Instant::now();
                say(&self.board.told(self.told));
            }
            Show::Lines | Show::Json | Show::Nothing => {}
        }
    }

    pub(super) fn end(&mut self) {
        self.total.take().into_iter().for_each(|total| total.finish_and_clear());
    }

    fn draw(&self, id: usize) {
        if let (Some(bar), Some(line)) = (self.bars.get(&id), self.board.lines.get(&id)) {
            bar.set_length(line.steps.max(1));
            bar.set_position(line.step);
            bar.set_message(line.text());
        }
    }
}

/// What a line of JSON tells beside what a run says itself.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Told<'a> {
    /// A run has ended.
    Ended { run: &'a str, how: &'a str, cause: Option<&'a str> },
    /// Where all of it stands.
    Total { ended: usize, runs: [usize; 2], running: usize, seconds_left: Option<[f64; 2]> },
    /// A sentence.
    Note { text: &'a str },
}

/// What a run says, with its name.
#[derive(Serialize)]
struct OfRun<'a> {
    run: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

/// A line of JSON on standard output; nobody there to read it is no reason to end.
fn say(told: &impl Serialize) {
    let line = serde_json::to_string(told).expect("strings and finite numbers");
    let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", visible::text(&line)));
}

/// A line on the error stream; nobody there to read it is no reason to end.
fn tell(text: &str) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", visible::line(text)));
}

fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(STYLE).expect("the template is ours");
    ProgressBar::new(length).with_style(style.progress_chars("━╸─"))
}

/// How much a run counts in the whole.
fn weight(flops: f64) -> f64 {
    if flops.is_finite() && flops > 0.0 { flops } else { 1.0 }
}

/// The runs of one call, as numbers.
#[derive(Debug)]
struct Board {
    since: Instant,
    /// What was left at the start, of which only a part is wanted yet.
    left: Extent,
    wanted: usize,
    ended: usize,
    /// FLOPs of all wanted runs.
    work: f64,
    /// FLOPs of those that have ended.
    ended_work: f64,
    /// FLOPs that were done in this call, in runs that have left.
    past: f64,
    lines: HashMap<usize, Line>,
}

impl Board {
    fn new(left: Extent, since: Instant) -> Self {
        Board {
            since,
            left,
            wanted: 0,
            ended: 0,
            work: 0.0,
            ended_work: 0.0,
            past: 0.0,
            lines: HashMap::new(),
        }
    }

    fn done(&self) -> f64 {
        self.ended_work + self.lines.values().map(|line| line.share() * line.work).sum::<f64>()
    }

    /// FLOPs of all that is known to come, and of all that may.
    fn whole(&self) -> [f64; 2] {
        self.left.flops.map(|flops| flops.max(self.work))
    }

    /// Runs that are known to come, and that may.
    fn runs(&self) -> [usize; 2] {
        self.left.runs.map(|runs| runs.max(self.wanted))
    }

    fn share(&self) -> f64 {
        let [least, _] = self.whole();
        if least > 0.0 { (self.done() / least).min(1.0) } else { 0.0 }
    }

    /// Seconds left at least and at most, from the FLOPs per second of this call; what earlier calls did counts as done,
    /// not as speed.
    fn seconds_left(&self, now: Instant) -> Option<[f64; 2]> {
        let here = self.past + self.lines.values().map(Line::done_here).sum::<f64>();
        let seconds = (now - self.since).as_secs_f64();
        let left = |whole: f64| (whole - self.done()).max(0.0) * seconds / here;
        (here > 0.0 && seconds > 0.0).then(|| self.whole().map(left))
    }

    fn text(&self, now: Instant) -> String {
        let range =
            |[least, most]: [String; 2]| if least == most { least } else { format!("{least} to {most}") };
        let runs = range(self.runs().map(|runs| runs.to_string()));
        let mut text = format!("{} of {runs} runs, {} running", self.ended, self.lines.len());
        if let Some(left) = self.seconds_left(now) {
            let _ = write!(text, ", about {} left", range(left.map(duration)));
        }
        text
    }

    fn told(&self, now: Instant) -> Told<'static> {
        let (runs, running) = (self.runs(), self.lines.len());
        Told::Total { ended: self.ended, runs, running, seconds_left: self.seconds_left(now) }
    }
}

/// A running run, as numbers.
#[derive(Debug)]
struct Line {
    label: String,
    work: f64,
    /// Steps done before this session.
    begun: u64,
    step: u64,
    steps: u64,
    tokens: u64,
    seconds: f64,
    /// Step, tokens and seconds at the first word of this session: earlier ones may have had less of the machine.
    first: Option<(u64, u64, f64)>,
    loss: Option<f64>,
    bits_per_param: Option<f64>,
    phase: &'static str,
}

impl Line {
    fn new(wanted: &WantedRun) -> Self {
        Line {
            label: visible::line(&wanted.label).into_owned(),
            work: weight(wanted.flops),
            begun: 0,
            step: 0,
            steps: 0,
            tokens: 0,
            seconds: 0.0,
            first: None,
            loss: None,
            bits_per_param: None,
            phase: "starting",
        }
    }

    fn hears(&mut self, event: &Event) {
        match event {
            Event::Started { step, steps } => {
                (self.step, self.steps, self.phase) = (*step, *steps, "training");
                self.begun = *step;
            }
            Event::Progress { step, steps, tokens, seconds, loss, bits_per_param } => {
                (self.step, self.steps, self.tokens, self.seconds, self.loss) =
                    (*step, *steps, *tokens, *seconds, *loss);
                self.bits_per_param = *bits_per_param;
                self.first.get_or_insert((*step, *tokens, *seconds));
            }
            Event::Measuring => self.phase = "measuring",
            Event::Checkpoint { .. } | Event::Warning { .. } => {}
            Event::Finished | Event::Stopped | Event::Held { .. } => {}
            Event::Diverged { .. } | Event::Failed { .. } => {}
        }
    }

    fn share(&self) -> f64 {
        if self.steps > 0 { (self.step as f64 / self.steps as f64).min(1.0) } else { 0.0 }
    }

    /// FLOPs done since this session began.
    fn done_here(&self) -> f64 {
        self.work * self.step.saturating_sub(self.begun) as f64 / self.steps.max(1) as f64
    }

    /// Steps, tokens and seconds by which speed is judged: those since the first word of this session, which itself has
    /// only those of all sessions to go by.
    fn lately(&self) -> (u64, u64, f64) {
        match self.first {
            Some((step, tokens, seconds)) if self.step > step && self.seconds > seconds => {
                (self.step - step, self.tokens - tokens, self.seconds - seconds)
            }
            _ => (self.step, self.tokens, self.seconds),
        }
    }

    /// Seconds left.
    fn left(&self) -> Option<f64> {
        let (steps, _, seconds) = self.lately();
        let known = steps > 0 && seconds > 0.0 && self.step < self.steps;
        known.then(|| seconds / steps as f64 * (self.steps - self.step) as f64)
    }

    fn text(&self) -> String {
        let mut text = self.label.clone();
        if self.phase != "training" || self.seconds == 0.0 {
            let _ = write!(text, "  {}", self.phase);
            return text;
        }
        if let Some(left) = self.left() {
            let _ = write!(text, "  {} left", duration(left));
        }
        if let Some(loss) = self.loss {
            let _ = write!(text, "  loss {loss:.3}");
        }
        if let Some(bits) = self.bits_per_param {
            let _ = write!(text, "  {bits:.2} bits/parameter");
        }
        let (_, tokens, seconds) = self.lately();
        let _ = write!(text, "  {} tokens/s", count(tokens as f64 / seconds));
        text
    }
}

/// `7s`, `1m 20s`, `2h 05m`, `3d 04h`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.clamp(0.0, 1e12).round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m {:02}s", s / 60, s % 60),
        3600..86400 => format!("{}h {:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d {:02}h", s / 86400, s % 86400 / 3600),
    }
}

/// `950`, `12.3k`, `4.56M`: three digits.
pub fn count(value: f64) -> String {
    let (mut scaled, mut unit) = (value, 0);
    while scaled >= 999.5 && unit < 4 {
        (scaled, unit) = (scaled / 1000.0, unit + 1);
    }
    let digits = if unit == 0 || scaled >= 99.95 { 0 } else { usize::from(scaled < 9.995) + 1 };
    format!("{scaled:.digits$}{}", ["", "k", "M", "G", "T"][unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::run::Role;

    fn line(flops: f64) -> Line {
        let name = "gated".to_string();
        let (arm, label, fingerprint) = (name.clone(), name.clone(), "0".repeat(16));
        Line::new(&WantedRun {
            name,
            arm,
            label,
            role: Role::Report,
            plan: Plan::default(),
            fingerprint,
            flops,
            peak_bytes: 0,
            trunk: None,
            weights: None,
        })
    }

    fn progress(step: u64, seconds: f64) -> Event {
        Event::Progress {
            step,
            steps: 100,
            tokens: step * 1000,
            seconds,
            loss: Some(2.5),
            bits_per_param: None,
        }
    }

    #[test]
    fn a_resumed_run_has_an_eta_at_its_first_word() {
        let mut line = line(1e9);
        line.hears(&Event::Started { step: 75, steps: 100 });
        assert_eq!(line.text(), "gated  training");
        line.hears(&progress(76, 152.0));
        assert_eq!(line.text(), "gated  48s left  loss 2.500  500 tokens/s");
        let Event::Progress { step, steps, tokens, seconds, loss, .. } = progress(76, 152.0) else {
            unreachable!()
        };
        line.hears(&Event::Progress { step, steps, tokens, seconds, loss, bits_per_param: Some(0.517) });
        assert_eq!(line.text(), "gated  48s left  loss 2.500  0.52 bits/parameter  500 tokens/s");
        // Four steps in a second now, where two seconds a step were needed before.
        line.hears(&progress(80, 153.0));
        assert_eq!(line.text(), "gated  5s left  loss 2.500  4.00k tokens/s");
    }

    #[test]
    fn the_eta_of_the_whole_counts_only_what_this_call_did_as_speed() {
        let start = Instant::now();
        let mut board = Board::new(Extent::default(), start);
        (board.wanted, board.work) = (4, 400.0);
        let mut resumed = line(100.0);
        resumed.hears(&Event::Started { step: 50, steps: 100 });
        resumed.hears(&progress(75, 9.0));
        board.lines.insert(0, resumed);
        // 25 of 100 FLOPs in 10 s; 325 are left.
        let text = board.text(start + Duration::from_secs(10));
        assert_eq!(text, "0 of 4 runs, 1 running, about 2m 10s left");
        assert_eq!(board.share(), 75.0 / 400.0);
        // More may follow than is wanted yet.
        board.left = Extent { runs: [4, 8], flops: [500.0, 800.0] };
        let text = board.text(start + Duration::from_secs(10));
        assert_eq!(text, "0 of 4 to 8 runs, 1 running, about 2m 50s to 4m 50s left");
        assert_eq!(board.share(), 75.0 / 500.0);
        let told = serde_json::to_string(&board.told(start + Duration::from_secs(10))).unwrap();
        let expected = r#"{"event":"total","ended":0,"runs":[4,8],"running":1,"seconds_left":[170.0,290.0]}"#;
        assert_eq!(told, expected);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.4, 59.6, 80.0, 7500.0, 1e5].map(duration),
            ["0s", "1m 00s", "1m 20s", "2h 05m", "1d 03h"]
        );
        assert_eq!(
            [7.0, 999.4, 999.6, 12_340.0, 123_456.0, 4.56e6].map(count),
            ["7", "999", "1.00k", "12.3k", "123k", "4.56M"]
        );
    }
}
