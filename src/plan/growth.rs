//! `[growth]`: one run trains a small model, grows it, and trains on.
//!
//! `training.length` says the budget, as if the big model did all of it; what the small one costs in FLOPs is taken off
//! the big one's steps, so that arms with and without growth cost the same. The small model's own run follows from the
//! plan (`GrowthConfig::small_plan`): same data, order and seed, a constant rate after the warm-up. Arms that differ in
//! operator or order alone begin from the same small run.

use serde::{Deserialize, Serialize};

use super::Plan;
use crate::error::{Problem, Result};
use crate::model::ModelConfig;
use crate::model::growth::{Carry, Direction, Growth, LayerOrder, Operator, Promise, Recipe};
use crate::training::config::ConstantConfig;
use crate::training::growth::{Growing, Resume, Timing};
use crate::training::{AdaptConfig, Count, DocumentOrder, Length, ScheduleConfig};

/// How and when the model of a run is grown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrowthConfig {
    /// What new layers and units start from.
    pub operator: Operator,
    /// The dimension that grows: depth or width.
    pub direction: Direction,
    /// How many times the layers, or the width; absent: 4 times the layers, 2 times the width, or what the order says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<usize>,
    /// The order: which layer of the small model each layer of the big one comes from.
    pub order: LayerOrder,
    /// The point of the run at which the model grows.
    pub at: GrowthTime,
    /// The number of growth steps: each hop grows by `factor`, and `at` is divided equally among the models before the last hop.
    pub hops: u64,
    /// What the optimizer's moments of the grown model start from.
    pub optimizer: Carry,
    /// The learning-rate schedule of the big model.
    pub schedule: Resume,
    /// The small model's learning rate; absent: `training.peak_lr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub small_lr: Option<f64>,
}

/// When a model is grown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrowthTime {
    /// After this fraction of the FLOPs of the whole run.
    FlopsShare(FlopsShare),
    /// After so many tokens.
    Tokens(Count),
    /// After so many steps of the small model.
    Steps(Count),
}

/// A fraction of the FLOPs of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlopsShare {
    /// The fraction of the FLOPs, from 0 to 1.
    pub share: f64,
}

impl Default for FlopsShare {
    fn default() -> Self {
        FlopsShare { share: 0.1 }
    }
}

impl Default for GrowthConfig {
    fn default() -> Self {
        GrowthConfig {
            operator: Operator::default(),
            direction: Direction::default(),
            factor: None,
            order: LayerOrder::default(),
            at: GrowthTime::FlopsShare(FlopsShare::default()),
            hops: 1,
            optimizer: Carry::default(),
            schedule: Resume::default(),
            small_lr: None,
        }
    }
}

/// The largest number of hops that is accepted.
const MAX_HOPS: u64 = 16;

impl GrowthConfig {
    /// How a model is grown.
    pub fn recipe(&self) -> Recipe {
        let (operator, direction) = (self.operator, self.direction);
        Recipe { operator, direction, factor: self.factor, order: self.order.clone() }
    }

    /// The models before the last hop, the largest first.
    fn smaller(&self, big: &ModelConfig) -> Result<Vec<ModelConfig>> {
        let recipe = self.recipe();
        let mut models = Vec::new();
        for _ in 0..self.hops {
            models.push(recipe.small(models.last().unwrap_or(big))?);
        }
        Ok(models)
    }

    /// The steps of the run of `plan`, whose growth this is.
    fn timing(&self, plan: &Plan) -> Result<Timing> {
        let budget = plan.budget_steps()?;
        let flops_of = |model: &ModelConfig| -> Result<f64> {
            let plan = Plan { model: model.clone(), growth: None, adapt: AdaptConfig::None, ..plan.clone() };
            Ok(plan.flops_per_token()?.exact as f64)
        };
        let small: Vec<f64> = self.smaller(&plan.model)?.iter().map(flops_of).collect::<Result<_>>()?;
        let ratio = small.iter().sum::<f64>() / small.len() as f64 / flops_of(&plan.model)?;
        let small = match self.at {
            GrowthTime::FlopsShare(FlopsShare { share }) => (share * budget as f64 / ratio).round() as u64,
            GrowthTime::Tokens(Count { count }) => (count as f64 / plan.tokens_per_step()).round() as u64,
            GrowthTime::Steps(Count { count }) => count,
        };
        let learning = match self.operator {
            Operator::Learn(config) => config.steps,
            Operator::Stack(_) | Operator::Zero | Operator::Random(_) => 0,
        };
        let spared = (small as f64 * ratio).ceil() as u64;
        Ok(Timing { budget, small, learning, spared, resume: self.schedule })
    }

    /// The run of the small model, or nothing when the model is grown before it is trained.
    fn small_plan(&self, plan: &Plan, timing: &Timing) -> Result<Option<Plan>> {
        if timing.small == 0 {
            return Ok(None);
        }
        let mut small = Plan { model: self.recipe().small(&plan.model)?, growth: None, ..plan.clone() };
        let warmup_steps = plan.training.schedule.warmup_steps();
        small.training.schedule = ScheduleConfig::Constant(ConstantConfig { warmup_steps });
        small.training.peak_lr = self.small_lr.unwrap_or(plan.training.peak_lr);
        small.training.length = Length::Steps(Count { count: timing.small });
        if self.hops > 1 {
            let before = timing.small * (self.hops - 1) / self.hops;
            let growth = GrowthConfig { hops: self.hops - 1, at: after(before), ..self.clone() };
            let own = Timing { small: before, ..growth.timing(&Plan { growth: None, ..small.clone() })? };
            let count = timing.small - before + own.spared;
            small.training.length = Length::Steps(Count { count });
            small.growth = Some(growth);
        }
        Ok(Some(small))
    }

    /// Checks the growth in `plan`, whose other tables are possible; keys are those of the plan.
    pub(super) fn check(&self, plan: &Plan) -> Vec<Problem> {
        let within = |problem: Problem| {
            let key = problem.key.as_ref().map_or("growth".to_string(), |key| format!("growth.{key}"));
            problem.key(key)
        };
        let mut problems = self.check_settings();
        problems.extend(self.recipe().check_model(&plan.model));
        if problems.is_empty() {
            problems = match self.check_in(plan) {
                Ok(problems) => problems,
                Err(error) => error.problems,
            };
        }
        problems.into_iter().map(within).collect()
    }

    fn check_settings(&self) -> Vec<Problem> {
        let mut problems = self.recipe().check();
        if !(1..=MAX_HOPS).contains(&self.hops) {
            let problem = Problem::new(self.hops.to_string()).key("hops");
            problems.push(problem.expected(format!("1 to {MAX_HOPS}")));
        }
        if let GrowthTime::FlopsShare(FlopsShare { share }) = self.at
            && !(0.0..1.0).contains(&share)
        {
            let problem = Problem::new(share.to_string()).key("at.share");
            problems.push(problem.expected("a share from 0 to below 1: growth within the run"));
        }
        if self.small_lr.is_some_and(|lr| !(lr > 0.0 && lr <= 10.0)) {
            let found = self.small_lr.unwrap_or_default().to_string();
            problems.push(Problem::new(found).key("small_lr").expected("a rate above 0 and at most 10"));
        }
        if let (Operator::Learn(_), Carry::Copy) = (self.operator, self.optimizer) {
            let problem = Problem::new("moments of mixtures are unknown").key("optimizer");
            problems.push(problem.help("say optimizer = \"fresh\""));
        }
        problems
    }

    fn check_in(&self, plan: &Plan) -> Result<Vec<Problem>> {
        let timing = self.timing(plan)?;
        let mut problems = Vec::new();
        if timing.own() == 0 || timing.budget < timing.spared + timing.learning {
            let found = format!("{} steps before growth, of {} in all", timing.small, timing.budget);
            let problem = Problem::new(found).key("at").expected("growth within the run");
            problems.push(problem.help("grow earlier, or set training.length higher"));
            return Ok(problems);
        }
        let warmup = plan.training.schedule.warmup_steps();
        let shortest = timing.small / self.hops.max(1);
        if timing.small > 0 && shortest < warmup || self.hops > 1 && timing.small == 0 {
            let found = format!("{shortest} steps of a small model, {warmup} of them warm-up");
            problems.push(
                Problem::new(found).key("at").expected(format!("at least {warmup} steps before growth")),
            );
        }
        if timing.own() < warmup && self.schedule == Resume::Restart {
            let found = format!("{} steps after growth, {warmup} of them warm-up", timing.own());
            problems.push(Problem::new(found).key("at").help("grow earlier, or say schedule = \"continue\""));
        }
        if timing.small > 0 && plan.training.order == DocumentOrder::Global {
            let problem = Problem::new("training.order is global").key("at").expected("epochs");
            problems.push(problem.help("the big model reads on where the small one stopped"));
        }
        if let Operator::Random(ramp) = self.operator
            && ramp.ramp_steps > timing.own()
        {
            let problem = Problem::new(ramp.ramp_steps.to_string()).key("operator.ramp_steps");
            problems.push(problem.expected(format!("at most the {} steps after growth", timing.own())));
        }
        let small = self.recipe().small(&plan.model)?;
        if let Promise::Broken(reasons) = Growth::new(&self.recipe(), &small)?.promise() {
            let found =
                format!("{} would not keep the function: {}", self.operator.name(), reasons.join("; "));
            problems.push(Problem::new(found).key("operator").help("choose \"stack\", or another model"));
        }
        Ok(problems)
    }
}

impl Plan {
    /// The growth of the run's model, if it has one.
    ///
    /// # Errors
    /// If the data is impossible or cannot be read, or the growth does not fit the model.
    pub fn growing(&self) -> Result<Option<Growing>> {
        let Some(config) = &self.growth else { return Ok(None) };
        let recipe = config.recipe();
        let growth = Growth::new(&recipe, &recipe.small(&self.model)?)?;
        Ok(Some(Growing { growth, optimizer: config.optimizer, timing: config.timing(self)? }))
    }

    /// The run of the small model that this one grows.
    pub(super) fn small(&self) -> Result<Option<Plan>> {
        match &self.growth {
            Some(config) => config.small_plan(self, &config.timing(self)?),
            None => Ok(None),
        }
    }

    /// The steps of a grown run.
    pub(super) fn grown_timing(&self) -> Result<Option<Timing>> {
        self.growth.as_ref().map(|config| config.timing(self)).transpose()
    }

    /// The run that a cooldown begins from: the same small run, grown at the same step, with a constant rate.
    pub(super) fn grown_trunk(&self, timing: &Timing) -> Option<Plan> {
        let count = timing.trunk_budget(&self.training.schedule)?;
        let mut plan = self.clone();
        let warmup_steps = self.training.schedule.warmup_steps();
        plan.training.schedule = ScheduleConfig::Constant(ConstantConfig { warmup_steps });
        plan.training.length = Length::Steps(Count { count });
        plan.growth.iter_mut().for_each(|growth| growth.at = after(timing.small));
        Some(plan)
    }

    fn tokens_per_step(&self) -> f64 {
        (self.training.batch * self.data.seq_len()) as f64
    }
}

fn after(steps: u64) -> GrowthTime {
    GrowthTime::Steps(Count { count: steps })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LayerOverride;
    use crate::model::growth::{LearnConfig, RampConfig};
    use crate::model::norm_placement::NormPlacement;
    use crate::plan::Part;
    use crate::training::config::WsdConfig;

    fn plan(change: impl FnOnce(&mut GrowthConfig)) -> Plan {
        let mut plan = Plan { seed: 3, ..Plan::default() };
        (plan.model.d_model, plan.model.n_layers, plan.model.n_heads) = (32, 8, 4);
        plan.training.length = Length::Steps(Count { count: 400 });
        plan.training.order = DocumentOrder::Epochs;
        plan.training.schedule = ScheduleConfig::Constant(ConstantConfig { warmup_steps: 10 });
        let mut growth = GrowthConfig {
            factor: Some(4),
            at: GrowthTime::FlopsShare(FlopsShare { share: 0.25 }),
            ..GrowthConfig::default()
        };
        change(&mut growth);
        plan.growth = Some(growth);
        plan
    }

    /// FLOPs of the run and of those that it begins from.
    fn flops(plan: &Plan) -> f64 {
        let parents: f64 = plan.parents().unwrap().iter().map(|parent| flops(&parent.plan)).sum();
        parents + plan.cost(&crate::plan::Calibration::default()).unwrap().flops
    }

    #[test]
    fn all_arms_cost_what_the_big_model_would_alone() {
        let scratch = Plan { growth: None, ..plan(|_| {}) };
        let step = flops(&scratch) / 400.0;
        for change in [
            (|_| {}) as fn(&mut GrowthConfig),
            |g| g.operator = Operator::Learn(LearnConfig { steps: 30, lr: 1e-3 }),
            |g| (g.hops, g.factor) = (3, Some(2)),
            |g| (g.direction, g.factor) = (Direction::Width, Some(2)),
            |g| g.at = GrowthTime::FlopsShare(FlopsShare { share: 0.0 }),
        ] {
            let plan = plan(change);
            assert_eq!(plan.growth.as_ref().unwrap().check(&plan), []);
            assert!((flops(&plan) - flops(&scratch)).abs() < 3.0 * step, "{:?}", plan.growth);
        }
    }

    #[test]
    fn the_small_run_is_shared_and_follows_from_the_plan() {
        let parent = |change: fn(&mut GrowthConfig)| {
            let parents = plan(change).parents().unwrap();
            assert_eq!((parents.len(), parents[0].part), (1, Part::Small));
            parents[0].plan.clone()
        };
        let small = parent(|_| {});
        assert_eq!((small.model.n_layers, small.model.d_model, small.seed), (2, 32, 3));
        assert_eq!(small.growth, None);
        assert_eq!(small.steps().unwrap(), plan(|_| {}).first_step().unwrap());
        assert_eq!(parent(|g| g.order = LayerOrder::Interleave), small);
        assert_eq!(parent(|g| g.operator = Operator::Zero), small);
        assert_eq!(parent(|g| g.optimizer = Carry::Copy), small);
        assert_eq!(parent(|g| g.small_lr = Some(5e-3)).training.peak_lr, 5e-3);
        let none = plan(|g| g.at = GrowthTime::FlopsShare(FlopsShare { share: 0.0 }));
        assert!(none.parents().unwrap().is_empty() && none.steps().unwrap() == 400);
    }

    #[test]
    fn hops_are_growth_after_growth() {
        let gradual = plan(|g| (g.hops, g.factor) = (2, Some(2)));
        let middle = &gradual.parents().unwrap()[0].plan;
        assert_eq!((middle.model.n_layers, middle.growth.as_ref().unwrap().hops), (4, 1));
        assert_eq!(middle.growth.as_ref().unwrap().check(middle), []);
        let first = &middle.parents().unwrap()[0].plan;
        assert_eq!((first.model.n_layers, &first.growth), (2, &None));
        assert_eq!(gradual.first_step().unwrap(), middle.steps().unwrap());
        assert!(first.steps().unwrap().abs_diff(middle.steps().unwrap() / 2) <= 1);
    }

    #[test]
    fn cooldowns_of_a_grown_run_share_trunk_and_small_run() {
        let wsd = |steps: u64| {
            let mut plan = plan(|g| g.at = GrowthTime::Tokens(Count { count: 100 * 16 * 16 }));
            plan.training.length = Length::Steps(Count { count: steps });
            plan.training.schedule =
                ScheduleConfig::Wsd(WsdConfig { warmup_steps: 10, cooldown: 0.2, ..WsdConfig::default() });
            plan
        };
        let trunk = |steps| wsd(steps).parents().unwrap().remove(0);
        let (short, long) = (trunk(200), trunk(400));
        assert_eq!((short.part, long.part), (Part::Trunk, Part::Trunk));
        assert_eq!(short.plan.trunk(), long.plan.trunk());
        assert_eq!(short.plan.parents().unwrap(), long.plan.parents().unwrap());
        assert_eq!(short.plan.parents().unwrap()[0].part, Part::Small);
        assert_eq!(wsd(200).first_step().unwrap(), short.plan.steps().unwrap());
        assert!(short.plan.steps().unwrap() < wsd(200).steps().unwrap());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_key() {
        let keys = |change: &dyn Fn(&mut Plan)| -> Vec<String> {
            let mut plan = plan(|_| {});
            change(&mut plan);
            let problems = plan.growth.as_ref().unwrap().check(&plan);
            problems.into_iter().map(|problem| problem.key.unwrap()).collect()
        };
        let with = |change: fn(&mut GrowthConfig)| keys(&|plan| change(plan.growth.as_mut().unwrap()));
        assert_eq!(with(|_| {}), [""; 0]);
        assert_eq!(with(|g| g.factor = Some(3)), ["growth.factor"]);
        assert_eq!(with(|g| (g.order, g.factor) = ("12-3*7".parse().unwrap(), None)), ["growth.order"]);
        assert_eq!(with(|g| (g.direction, g.factor) = (Direction::Width, Some(8))), ["growth.factor"]);
        assert_eq!(with(|g| g.hops = 0), ["growth.hops"]);
        assert_eq!(with(|g| g.hops = 2), ["growth.factor"], "8 layers are not 16 times a number");
        assert_eq!(with(|g| g.small_lr = Some(-1.0)), ["growth.small_lr"]);
        assert_eq!(with(|g| g.at = GrowthTime::FlopsShare(FlopsShare { share: 1.0 })), ["growth.at.share"]);
        assert_eq!(with(|g| g.at = GrowthTime::Tokens(Count { count: 1_000_000_000 })), ["growth.at"]);
        assert_eq!(with(|g| g.at = GrowthTime::Tokens(Count { count: 512 })), ["growth.at"], "all warm-up");
        assert_eq!(
            with(|g| g.operator = Operator::Random(RampConfig { ramp_steps: 1000 })),
            ["growth.operator.ramp_steps"]
        );
        assert_eq!(
            with(|g| (g.operator, g.optimizer) = (Operator::Learn(LearnConfig::default()), Carry::Copy)),
            ["growth.optimizer"]
        );
        let zero = |plan: &mut Plan| plan.growth.as_mut().unwrap().operator = Operator::Zero;
        assert_eq!(
            keys(&|plan| {
                zero(plan);
                plan.model.block.norm_placement = NormPlacement::Post;
            }),
            ["growth.operator"]
        );
        assert_eq!(
            keys(&|plan| {
                zero(plan);
                let growth = plan.growth.as_mut().unwrap();
                (growth.direction, growth.factor) = (Direction::Width, Some(2));
            }),
            ["growth.operator"],
            "LayerNorm"
        );
        assert_eq!(keys(&|plan| plan.training.order = DocumentOrder::Global), ["growth.at"]);
        let mixer = Some(plan(|_| {}).model.block.mixer);
        assert_eq!(
            keys(&|plan| {
                plan.model.layers = vec![LayerOverride { at: vec![7], mixer, feed_forward: None }];
                let growth = plan.growth.as_mut().unwrap();
                growth.operator = Operator::Learn(LearnConfig::default());
            }),
            ["growth.operator"]
        );
    }
}
