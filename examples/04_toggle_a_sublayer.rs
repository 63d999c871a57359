//! Lesson 4: toggle a sublayer by three lines of TOML, and compare the two arms.
//!
//! An arm is the control with a few keys laid over it. Here the control has an MLP in every block, and the arm has none
//! in the second. Prints what differs as choices, what that costs, and what both know after the same people were read
//! as often: everything else is equal, even the starting weights that both have. Beside the bits stands `R_max`, what a
//! model that knew everybody would have: there must be more people than the control can learn, or the smaller arm wins
//! by its smaller size alone. `lesson-04.svg` shows both losses. Takes half a minute. One seed decides nothing: `zoo run
//! mlp` asks with tuned rates, seeds and intervals.
//!
//! ```text
//! cargo run --release --example 04_toggle_a_sublayer
//! ```
//!
//! Exercise: set `people = 64`, and `count` to 1000. Which arm wins now, and what is the most that it can win by? The
//! solution is at the end of the file.

mod figure;

use ablation_zoo::measure::{Capacity, capacity};
use ablation_zoo::plan::{Plan, difference};
use ablation_zoo::training::{Job, Metrics, Observer, Outcome, fit};
use ablation_zoo::{Result, device};

const CONTROL: &str = r#"
[model]
d_model = 32
n_layers = 2
n_heads = 2
init = { kind = "width-scaled", factor = 0.6 }

[data]
kind = "bio-d"
people = 1024

[training]
length = { kind = "exposures", count = 100 }
batch = 8
peak_lr = 2e-3
schedule = { kind = "cosine", warmup_steps = 100, floor = 0.1 }
"#;
const ARM: &str = r#"
[[model.layers]]
at = [1]
feed_forward = "none"
"#;

fn main() -> Result<()> {
    let control = Plan::from_toml("the control", CONTROL)?;
    let arm = Plan::from_toml("the arm", &format!("{CONTROL}{ARM}"))?;
    for difference in difference::between(&control, &arm) {
        println!("{}", difference.phrase());
    }
    let mut bits = Vec::new();
    let mut curves = Vec::new();
    for (name, plan) in [("control", &control), ("arm", &arm)] {
        let (params, flops) = (plan.num_params()?.total, plan.flops_per_token()?.exact);
        let (known, curve) = train(plan)?;
        println!(
            "{name:<8} {params:>6} parameters {flops:>7} FLOPs per token {:>6.2} bits per parameter of R_max {:.2}",
            known.bits_per_param, known.max_bits_per_param
        );
        bits.push(known.bits_per_param);
        curves.push((name.to_string(), curve));
    }
    println!("ratio of bits per parameter: {:.2}", bits[1] / bits[0]);
    figure::draw(4, ["tokens", "loss (nats per token)"], figure::Spacing::Logarithmic, &curves)
}

/// Keeps the loss by tokens.
#[derive(Default)]
struct Losses(Vec<(f64, f64)>);

impl<M, D> Observer<M, D> for Losses {
    fn metrics(&mut self, line: &Metrics) -> Result<()> {
        self.0.push((line.tokens as f64, line.loss));
        Ok(())
    }
}

/// Trains the plan and measures what its model knows.
fn train(plan: &Plan) -> Result<(Capacity, Vec<(f64, f64)>)> {
    let device = device::open("cpu")?;
    let job = Job { model: &plan.model, data: &plan.data, training: &plan.training, seed: plan.seed };
    let folder = std::env::temp_dir().join(format!("ablation-zoo-lesson-4-{}", std::process::id()));
    let mut losses = Losses::default();
    let outcome = fit(&job, &device, &folder, &mut losses);
    std::fs::remove_dir_all(&folder).ok();
    let Outcome::Finished(trained) = outcome? else { unreachable!("nobody asks it to stop") };
    let params = plan.num_params()?.total;
    let known = capacity::measure(&trained.model, &trained.data, &plan.measure, params, &device)?;
    Ok((known.expect("invented people have facts"), losses.0))
}

// Solution: the arm wins, by at most 33,248 / 24,992 = 1.33. Of 64 people both can know everything, the same bits, and the
// arm divides them by fewer parameters: the ratio is then that of the two `R_max` and says nothing of the MLP.
