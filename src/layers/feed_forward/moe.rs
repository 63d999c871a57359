//! Mixture of experts: `y = sum over the chosen k of e experts of gate_i(x) expert_i(x)`, plus shared experts.
//!
//! Shazeer et al. 2017 (arXiv 1701.06538); one expert per token: Switch, Fedus et al. 2021 (arXiv 2101.03961); shared
//! experts: DeepSeekMoE (arXiv 2401.06066). All experts work at once on `[e, c, d]`: each has `c` places. In training
//! the slots of an expert can be fewer than the tokens that choose it; those above are dropped, and pass by on the
//! residual stream alone. Who gets a place: `routing.rs`.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::FeedForwardConfig;
use super::expert::{ExpertConfig, Experts};
use super::router::{self, Router};
use super::routing::{self, Capacity, Routing};
use crate::error::Problem;
use crate::kernels::{self, Precision, upcast};
use crate::layers::linear::{Linear, LinearConfig};
use crate::layers::start::{Start, checked, over_tokens};
use crate::layers::{Bias, ForwardContext, Mode, within};

/// Settings of a mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MoeConfig {
    /// The feed-forward that each expert is.
    pub expert: ExpertConfig,
    /// Experts to choose from, `e`.
    pub n_experts: usize,
    /// Experts that each token goes through, `k`.
    pub top_k: usize,
    /// Further experts that every token goes through.
    pub n_shared: usize,
    /// How a token's scores come from its logits.
    pub router: Router,
    /// Whether the scores of a token's `k` experts are divided by their sum before they multiply the outputs.
    pub norm_topk_prob: bool,
    /// Expert capacity in training.
    pub capacity: Capacity,
    /// Expert capacity while measuring and generating; only `unlimited` makes a row independent of its batch.
    pub test_capacity: Capacity,
    /// Weight of the load-balance loss.
    pub load_balance_coef: f64,
    /// Weight of the z-loss, which keeps logits of the router small (Zoph et al. 2022, arXiv 2202.08906).
    pub z_loss: f64,
}

impl Default for MoeConfig {
    fn default() -> Self {
        MoeConfig {
            expert: ExpertConfig::default(),
            n_experts: 8,
            top_k: 1,
            n_shared: 0,
            router: Router::Softmax,
            norm_topk_prob: false,
            capacity: Capacity::Unlimited,
            test_capacity: Capacity::Unlimited,
            load_balance_coef: 0.01,
            z_loss: 0.0,
        }
    }
}

/// A mixture of experts.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let moe = MoeConfig { n_experts: 4, top_k: 2, ..MoeConfig::default() }.init(64, &device);
/// let x = Tensor::<3>::ones([2, 5, 64], &device);
/// let mut ctx = ForwardContext::training(); // for a training step, whose loss is joined by:
/// let y = moe.forward_with(x.clone(), &mut ctx);
/// let balance = ctx.take_auxiliary().expect("the load-balance loss");
/// assert_eq!((y.dims(), balance.dims()), (moe.forward(x).dims(), [1]));
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Moe {
    /// `[d, e]`.
    pub router: Linear,
    /// The experts that the router chooses from.
    pub experts: Experts,
    /// The shared experts, which every token goes through.
    pub shared: Option<Experts>,
    #[module(skip)]
    config: MoeConfig,
}

impl MoeConfig {
    fn router(&self, d_model: usize) -> LinearConfig {
        LinearConfig::new(d_model, self.n_experts, Bias::Without)
    }

    /// Draws the weights from N(0, 1 / fan_in); biases are zero.
    ///
    /// # Panics
    /// If [`MoeConfig::check`] finds a problem.
    pub fn init(&self, d_model: usize, device: &Device) -> Moe {
        checked(self.check(d_model), || self.build(d_model, Start::Drawn, device))
    }

    pub(crate) fn build(&self, d_model: usize, start: Start, device: &Device) -> Moe {
        let experts = |n: usize| self.expert.build(d_model, n, start, device);
        Moe {
            router: self.router(d_model).build(start, device),
            experts: experts(self.n_experts),
            shared: (self.n_shared > 0).then(|| experts(self.n_shared)),
            config: *self,
        }
    }

    /// What is impossible about it at this width.
    pub fn check(&self, d_model: usize) -> Vec<Problem> {
        let mut problems = within("expert", FeedForwardConfig::from(self.expert).check(d_model));
        problems.iter_mut().for_each(|problem| problem.help = None); // an expert cannot be left out
        let mut refuse = |possible: bool, found: String, key: &str, expected: String| {
            if !possible {
                problems.push(Problem::new(found).key(key).expected(expected));
            }
        };
        let (e, k) = (self.n_experts, self.top_k);
        refuse((1..=MAX_EXPERTS).contains(&e), e.to_string(), "n_experts", format!("1 to {MAX_EXPERTS}"));
        refuse((1..=e.max(1)).contains(&k), k.to_string(), "top_k", format!("1 to n_experts = {e}"));
        let shared = self.n_shared;
        refuse(shared <= MAX_EXPERTS, shared.to_string(), "n_shared", format!("0 to {MAX_EXPERTS}"));
        for (key, weight) in [("load_balance_coef", self.load_balance_coef), ("z_loss", self.z_loss)] {
            let possible = weight.is_finite() && weight >= 0.0;
            refuse(possible, weight.to_string(), key, "a number from 0 up".to_string());
        }
        if self.norm_topk_prob && k == 1 && e > 1 {
            let found = "the normalised score of one expert is always 1, and the router would learn nothing";
            problems.push(
                Problem::new(found).key("norm_topk_prob").help("say norm_topk_prob = false, or top_k = 2"),
            );
        }
        problems.extend(within("capacity", self.capacity.check()));
        problems.extend(within("test_capacity", self.test_capacity.check()));
        problems
    }

    /// Parameters of the router and of `chosen` experts, and of all shared ones.
    fn params_of(&self, d_model: usize, chosen: usize) -> u64 {
        let expert = FeedForwardConfig::from(self.expert).num_params(d_model);
        self.router(d_model).num_params() + (chosen + self.n_shared) as u64 * expert
    }

    /// Parameters of all experts and the router.
    pub fn num_params(&self, d_model: usize) -> u64 {
        self.params_of(d_model, self.n_experts)
    }

    /// Parameters that work on any one token.
    pub fn active_params(&self, d_model: usize) -> u64 {
        self.params_of(d_model, self.top_k)
    }

    /// Forward FLOPs per token that has its places; places left empty are not counted.
    pub fn flops_per_token(&self, d_model: usize) -> u64 {
        let n_active = (self.top_k + self.n_shared) as u64;
        self.router(d_model).flops_per_token()
            + n_active * FeedForwardConfig::from(self.expert).flops_per_token(d_model)
    }
}

/// The largest number of experts that is taken for meant.
const MAX_EXPERTS: usize = 4096;

impl Moe {
    /// Sends each token through the experts that its router chooses, whatever the rank, as when measured: no token is
    /// dropped unless `test_capacity` says so. In training, [`Moe::forward_with`] gives the losses that keep the
    /// experts in use.
    ///
    /// # Shapes
    /// `[.., d] -> [.., d]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        over_tokens(x, |x| self.forward_with(x, &mut ForwardContext::new()))
    }

    /// The same inside a model: [`ForwardContext::training`] collects the auxiliary losses
    /// ([`ForwardContext::take_auxiliary`]) and limits each expert to its `capacity`.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward_with(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        let [b, t, d] = x.dims();
        let (n, e) = (b * t, self.config.n_experts);
        // Who goes where is decided in f32 (Fedus et al. 2021, arXiv 2101.03961, section 2.4).
        let logits = Precision::F32.scope(|| self.router.forward_with(x.clone(), ctx)).reshape([n, e]); // [n, e]
        let scores = self.config.router.scores(logits.clone()); // [n, e]
        let capacity = match ctx.mode() {
            Mode::Train => self.config.capacity,
            Mode::Eval => self.config.test_capacity,
        };
        let plan = routing::dispatch(scores.clone(), self.config.top_k, capacity);
        if ctx.mode() == Mode::Train {
            self.add_losses(logits, scores.clone(), &plan.routing, ctx);
        }
        let x = x.reshape([n, d]); // [n, d]
        let inputs = kernels::embedding(x.clone(), plan.token_of_place); // [e, c, d]
        let mut apart = ctx.apart();
        let outputs = self.experts.forward_with(inputs, &mut apart).reshape([-1, d as i32]); // [e c, d]
        ctx.join(apart, || plan.routing.empty_slots());
        let chosen = kernels::embedding(upcast(outputs), plan.place_of_choice.clone()); // [k, n, d]
        let gates =
            router::gates(scores, plan.choices, self.config.norm_topk_prob).mask_fill(plan.dropped, 0.0); // [k, n]
        let mut y = (chosen * gates.unsqueeze_dim::<3>(2)).sum_dim(0); // [1, n, d]
        if let Some(shared) = &self.shared {
            let copies = x.unsqueeze::<3>().expand([self.config.n_shared, n, d]);
            let mut apart = ctx.apart();
            y = y + upcast(shared.forward_with(copies, &mut apart)).sum_dim(0);
            ctx.join(apart, || Tensor::zeros([self.config.n_shared, n, 1], &y.device()));
        }
        ctx.add_routing(plan.routing);
        y.reshape([b, t, d]) // [b, t, d]
    }

    fn add_losses(&self, logits: Tensor<2>, scores: Tensor<2>, routing: &Routing, ctx: &mut ForwardContext) {
        let MoeConfig { load_balance_coef, z_loss, .. } = self.config;
        if load_balance_coef > 0.0 {
            ctx.add_auxiliary(router::balance_loss(scores, &routing.load) * load_balance_coef);
        }
        if z_loss > 0.0 {
            ctx.add_auxiliary(router::z_loss(logits) * z_loss);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CapacityConfig, GatedMlpConfig, MlpConfig};
    use super::*;
    use crate::model::weights;
    use burn::tensor::{Distribution, activation::softmax};

    const D: usize = 8;
    /// Sums of a few dozen products, in two different orders.
    const ROUNDING: f32 = 1e-5;

    fn device() -> Device {
        crate::device::open("cpu").unwrap()
    }

    fn moe(config: MoeConfig) -> Moe {
        config.init(D, &device())
    }

    fn input(b: usize) -> Tensor<3> {
        Tensor::random([b, 5, 8], Distribution::Uniform(-1.0, 1.0), &device())
    }

    #[test]
    fn one_expert_is_the_feed_forward_itself_to_the_bit() {
        let experts = [
            ExpertConfig::Mlp(MlpConfig { bias: Bias::With, ..MlpConfig::default() }),
            ExpertConfig::GatedMlp(GatedMlpConfig::default()),
        ];
        for expert in experts {
            let one = moe(MoeConfig { n_experts: 1, expert, ..MoeConfig::default() });
            let inner = FeedForwardConfig::from(expert).init(D, &device()).unwrap();
            let inner = weights::put(inner, weights::of(&one.experts), "the expert").unwrap();
            let x = input(2);
            let (y, z) = (one.forward(x.clone()), inner.forward(x));
            assert_eq!(y.into_data(), z.into_data(), "{expert:?}");
        }
    }

    #[test]
    fn all_experts_together_are_the_weighted_sum_of_each() {
        let config = MoeConfig { n_experts: 3, top_k: 3, ..MoeConfig::default() };
        let all = moe(config);
        let x = input(2);
        let y = all.forward(x.clone());
        let scores = softmax(all.router.forward(x.clone()), 2); // [b, t, e]
        let copies = x.clone().reshape([1, 10, 8]).expand([3, 10, 8]);
        let each = all.experts.forward(copies); // [e, n, d]
        let sum = (0..3).map(|i| {
            each.clone().narrow(0, i, 1).reshape([2, 5, 8]) * scores.clone().narrow(2, i, 1) // [b, t, d]
        });
        let difference = (y - sum.reduce(|a, b| a + b).unwrap()).abs().max().into_scalar::<f32>();
        assert!(difference < ROUNDING, "off by {difference}");
    }

    #[test]
    fn a_row_reads_the_same_alone_and_beside_others() {
        let config = MoeConfig {
            n_experts: 4,
            top_k: 2,
            capacity: Capacity::Factor(CapacityConfig { factor: 0.5 }),
            ..MoeConfig::default()
        };
        let (moe, x) = (moe(config), input(7));
        let mut ctx = ForwardContext::new();
        let together = moe.forward_with(x.clone(), &mut ctx);
        assert_eq!(ctx.take_routings()[0].expert_load().dropped, 0.0);
        assert!(ctx.take_auxiliary().is_none(), "reading has no losses of its own");
        for row in 0..7 {
            let alone = moe.forward(x.clone().narrow(0, row, 1));
            let difference = (together.clone().narrow(0, row, 1) - alone).abs().max().into_scalar::<f32>();
            assert!(difference < ROUNDING, "row {row} is off by {difference}");
        }
    }

    #[test]
    fn a_dropped_token_adds_nothing_and_is_counted() {
        let capacity = Capacity::Factor(CapacityConfig { factor: 0.2 }); // ceil(0.2 * 10 / 2) = 1 place
        let moe = moe(MoeConfig { n_experts: 2, capacity, ..MoeConfig::default() });
        let mut ctx = ForwardContext::training();
        let y = moe.forward_with(input(2), &mut ctx);
        let zero_rows = y.abs().sum_dim(2).reshape([10]).equal_elem(0.0).int().sum().into_scalar::<i32>();
        let used = ctx.take_routings()[0].expert_load();
        let kept = used.shares.iter().filter(|share| **share > 0.0).count() as i32;
        assert_eq!(zero_rows, 10 - kept, "each expert that was chosen has one place");
        assert!((used.dropped - zero_rows as f64 / 10.0).abs() < 1e-12);
    }

    #[test]
    fn the_balance_loss_is_its_weight_when_all_are_used_alike_and_e_times_it_when_one_is() {
        let loss = |tokens: [f32; 4]| {
            let mut moe = moe(MoeConfig { n_experts: 2, load_balance_coef: 0.5, ..MoeConfig::default() });
            let weight = Tensor::<1>::from_floats([9.0, -9.0], &device()).reshape([1, 2]).repeat_dim(0, 8);
            moe.router.weight = burn::module::Param::from_tensor(weight);
            let x = Tensor::<1>::from_floats(tokens, &device()).reshape([1, 4, 1]).expand([1, 4, 8]);
            let mut ctx = ForwardContext::training();
            moe.forward_with(x, &mut ctx);
            ctx.take_auxiliary().unwrap().into_scalar::<f32>()
        };
        let (even, uneven) = (loss([1.0, -1.0, 1.0, -1.0]), loss([1.0; 4]));
        assert!((even - 0.5).abs() < ROUNDING && (uneven - 1.0).abs() < ROUNDING, "{even} {uneven}");
    }

    #[test]
    fn impossible_mixtures_are_refused_with_their_keys() {
        let keys = |config: MoeConfig| -> Vec<String> {
            config.check(D).into_iter().map(|problem| problem.key.unwrap_or_default()).collect()
        };
        let default = MoeConfig::default();
        assert_eq!(keys(MoeConfig { top_k: 9, ..default }), ["top_k"]);
        assert_eq!(keys(MoeConfig { n_experts: 0, ..default }), ["n_experts"]);
        assert_eq!(keys(MoeConfig { norm_topk_prob: true, ..default }), ["norm_topk_prob"]);
        assert_eq!(
            keys(MoeConfig { load_balance_coef: -1.0, z_loss: f64::NAN, ..default }),
            ["load_balance_coef", "z_loss"]
        );
        let capacity = Capacity::Factor(CapacityConfig { factor: 0.0 });
        assert_eq!(keys(MoeConfig { capacity, ..default }), ["capacity.factor"]);
        let expert = ExpertConfig::Mlp(MlpConfig { expansion: 0.0, ..MlpConfig::default() });
        assert_eq!(keys(MoeConfig { expert, ..default }), ["expert.expansion"]);
        assert_eq!(MoeConfig { expert, ..default }.check(D)[0].help, None, "\"none\" is no expert");
    }
}
