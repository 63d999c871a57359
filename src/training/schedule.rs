//! The learning rate as a pure function of the step: nothing to save, nothing to resume.

use super::config::{ConstantConfig, Cooldown, CosineConfig, ScheduleConfig, WsdConfig};

impl ScheduleConfig {
    /// The rate of `step` (from 0) of `steps`, as a share of the peak.
    ///
    /// Warm-up rises linearly and reaches the peak at its last step. The cosine then falls to the floor at the last step
    /// of its horizon, which is that of the run unless it is stretched. A cooldown falls from the peak at its first step
    /// to one step short of the floor at its last.
    pub fn share(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup_steps() {
            return (step + 1) as f64 / self.warmup_steps() as f64;
        }
        match *self {
            ScheduleConfig::Constant(_) => 1.0,
            ScheduleConfig::Cosine(CosineConfig { warmup_steps, floor, stretch }) => {
                let horizon = (steps as f64 * stretch).round() as u64;
                let rest = horizon.saturating_sub(1 + warmup_steps).max(1) as f64;
                let progress = ((step - warmup_steps) as f64 / rest).min(1.0);
                floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            ScheduleConfig::Wsd(WsdConfig { cooldown, shape, floor, .. }) => {
                let trunk = trunk_steps(cooldown, steps);
                let progress = step.saturating_sub(trunk) as f64 / (steps - trunk).max(1) as f64;
                floor + (1.0 - floor) * shape.share(progress.min(1.0))
            }
        }
    }

    /// Steps from zero to the peak.
    pub fn warmup_steps(&self) -> u64 {
        match *self {
            ScheduleConfig::Cosine(CosineConfig { warmup_steps, .. })
            | ScheduleConfig::Constant(ConstantConfig { warmup_steps })
            | ScheduleConfig::Wsd(WsdConfig { warmup_steps, .. }) => warmup_steps,
        }
    }

    /// Steps before the cooldown, if there is one: what runs of all lengths have in common.
    pub fn trunk_steps(&self, steps: u64) -> Option<u64> {
        match *self {
            ScheduleConfig::Wsd(WsdConfig { cooldown, .. }) => Some(trunk_steps(cooldown, steps)),
            ScheduleConfig::Cosine(_) | ScheduleConfig::Constant(_) => None,
        }
    }
}

fn trunk_steps(cooldown: f64, steps: u64) -> u64 {
    (steps as f64 * (1.0 - cooldown)).round() as u64
}

impl Cooldown {
    fn share(self, progress: f64) -> f64 {
        match self {
            Cooldown::OneMinusSqrt => 1.0 - progress.sqrt(),
            Cooldown::Linear => 1.0 - progress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_rises_to_the_peak_and_ends_at_its_floor() {
        let schedule =
            ScheduleConfig::Cosine(CosineConfig { warmup_steps: 10, floor: 0.1, ..CosineConfig::default() });
        assert_eq!(schedule.share(0, 111), 0.1);
        assert_eq!(schedule.share(9, 111), 1.0);
        assert_eq!(schedule.share(10, 111), 1.0);
        assert!((schedule.share(60, 111) - 0.55).abs() < 1e-12);
        assert!((schedule.share(110, 111) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn a_stretched_cosine_is_the_beginning_of_a_longer_one_and_a_short_one_stays_at_its_floor() {
        let cosine = |stretch| ScheduleConfig::Cosine(CosineConfig { warmup_steps: 10, floor: 0.1, stretch });
        for step in [0, 10, 50, 99] {
            assert_eq!(cosine(1.5).share(step, 100), cosine(1.0).share(step, 150));
            assert_eq!(cosine(0.5).share(step.min(49), 100), cosine(1.0).share(step.min(49), 50));
        }
        assert!((cosine(0.5).share(75, 100) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn a_run_that_is_all_warm_up_does_not_divide_by_zero() {
        let schedule =
            ScheduleConfig::Cosine(CosineConfig { warmup_steps: 1, floor: 0.0, ..CosineConfig::default() });
        assert_eq!(schedule.share(0, 1), 1.0);
    }

    #[test]
    fn a_constant_schedule_stays_at_the_peak() {
        let schedule = ScheduleConfig::Constant(ConstantConfig { warmup_steps: 4 });
        let shares: Vec<f64> = (0..6).map(|step| schedule.share(step, 6)).collect();
        assert_eq!(shares, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_cooldown_leaves_the_trunk_as_it_was() {
        let constant = ScheduleConfig::Constant(ConstantConfig { warmup_steps: 4 });
        for shape in [Cooldown::OneMinusSqrt, Cooldown::Linear] {
            let config = WsdConfig { warmup_steps: 4, cooldown: 0.25, shape, floor: 0.0 };
            let schedule = ScheduleConfig::Wsd(config);
            assert_eq!(schedule.trunk_steps(100), Some(75));
            assert!((0..=75).all(|step| schedule.share(step, 100) == constant.share(step, 75)));
            assert!((75..99).all(|step| schedule.share(step + 1, 100) < schedule.share(step, 100)));
        }
        let linear = WsdConfig { warmup_steps: 4, cooldown: 0.25, shape: Cooldown::Linear, floor: 0.2 };
        let half = ScheduleConfig::Wsd(linear).share(75 + 10, 100);
        assert!((half - (0.2 + 0.8 * 0.6)).abs() < 1e-12);
    }
}
