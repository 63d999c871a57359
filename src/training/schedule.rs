//! The learning rate as a pure function of the step: nothing to save, nothing to resume.

use super::config::{ConstantConfig, CosineConfig, ScheduleConfig};

impl ScheduleConfig {
    /// The rate of `step` (from 0) of `steps`, as a share of the peak.
    ///
    /// Warm-up rises linearly and reaches the peak at its last step; the cosine then falls to the floor at the last
    /// step of all.
    pub fn share(&self, step: u64, steps: u64) -> f64 {
        match *self {
            ScheduleConfig::Cosine(CosineConfig { warmup_steps, floor }) => warmup(step, warmup_steps)
                .unwrap_or_else(|| {
                    let rest = (steps - 1).saturating_sub(warmup_steps).max(1) as f64;
                    let progress = ((step - warmup_steps) as f64 / rest).min(1.0);
                    floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
                }),
            ScheduleConfig::Constant(ConstantConfig { warmup_steps }) => {
                warmup(step, warmup_steps).unwrap_or(1.0)
            }
        }
    }
}

fn warmup(step: u64, warmup_steps: u64) -> Option<f64> {
    (step < warmup_steps).then(|| (step + 1) as f64 / warmup_steps as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_rises_to_the_peak_and_ends_at_its_floor() {
        let schedule = ScheduleConfig::Cosine(CosineConfig { warmup_steps: 10, floor: 0.1 });
        assert_eq!(schedule.share(0, 111), 0.1);
        assert_eq!(schedule.share(9, 111), 1.0);
        assert_eq!(schedule.share(10, 111), 1.0);
        assert!((schedule.share(60, 111) - 0.55).abs() < 1e-12);
        assert!((schedule.share(110, 111) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn a_run_that_is_all_warm_up_does_not_divide_by_zero() {
        let schedule = ScheduleConfig::Cosine(CosineConfig { warmup_steps: 1, floor: 0.0 });
        assert_eq!(schedule.share(0, 1), 1.0);
    }

    #[test]
    fn a_constant_schedule_stays_at_the_peak() {
        let schedule = ScheduleConfig::Constant(ConstantConfig { warmup_steps: 4 });
        let shares: Vec<f64> = (0..6).map(|step| schedule.share(step, 6)).collect();
        assert_eq!(shares, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }
}
