//! Invented ablations with a known truth, and how often what is said of them is true.

use ablation_zoo::statistics::{Compared, Contrast, Design, compare_at, decide_at};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How the logarithm of a run's measure scatters between seeds.
#[derive(Debug, Clone, Copy)]
pub enum Scatter {
    /// Normal.
    Normal,
    /// Student t with three degrees of freedom: now and then a run far off.
    HeavyTails,
    /// Minus an exponential: most runs learn early, some late (the skewness of this is -2).
    Skewed,
}

/// One kind of ablation.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The scatter of every arm.
    pub scatter: Scatter,
    /// Standard deviation of the control and of the other arms.
    pub sd: [f64; 2],
    /// The number of arms beside the control.
    pub arms: usize,
    /// The true logarithm of every arm's ratio.
    pub effect: f64,
}

/// What came of many ablations of one kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Found {
    /// The share of ablations all of whose intervals hold the truth.
    pub coverage: f64,
    /// The share of ablations in which some arm without an effect is said to have one.
    pub false_effects: f64,
    /// The share of arms that are decided, equivalent or bounded.
    pub settled: f64,
    /// The mean number of seeds at which they ended.
    pub seeds: f64,
}

/// Draws `ablations` of a kind and decides each as the program does, look by look.
pub fn simulate(setting: Setting, design: &Design, ablations: usize, seed: u64) -> Found {
    let mut draws = Draws(ChaCha8Rng::seed_from_u64(seed));
    let levels = design.levels(setting.arms);
    let mut found = Found::default();
    for _ in 0..ablations {
        let most = design.most() as usize;
        let values = |sd: f64, mean: f64, draws: &mut Draws| -> Vec<f64> {
            (0..most).map(|_| (mean + sd * draws.standard(setting.scatter)).exp()).collect()
        };
        let control = values(setting.sd[0], 0.0, &mut draws);
        let arms: Vec<Vec<f64>> =
            (0..setting.arms).map(|_| values(setting.sd[1], setting.effect, &mut draws)).collect();
        let mut look = 0;
        let until = |look: usize| design.looks[look] as usize;
        let cut = |look: usize| arms.iter().map(|arm| arm[..until(look)].to_vec()).collect::<Vec<_>>();
        while look + 1 < design.looks.len()
            && !decide_at(levels[look], Contrast::Ratio, &control[..until(look)], &cut(look), design)
        {
            look += 1;
        }
        let said: Vec<Compared> = cut(look)
            .iter()
            .map(|arm| compare_at(levels[look], Contrast::Ratio, arm, &control[..until(look)], design))
            .collect::<Result<_, _>>()
            .expect("all values are above zero");
        let truth = setting.effect.exp();
        let wrong = |said: &Compared| said.estimate.excludes(truth) == Some(true);
        let count = ablations as f64;
        found.coverage += f64::from(u8::from(!said.iter().any(wrong))) / count;
        let is_false = setting.effect == 0.0 && said.iter().any(|said| said.finding.is_effect());
        found.false_effects += f64::from(u8::from(is_false)) / count;
        let settled = said.iter().filter(|said| said.finding.is_settled()).count();
        found.settled += settled as f64 / setting.arms as f64 / count;
        found.seeds += design.looks[look] as f64 / count;
    }
    found
}

struct Draws(ChaCha8Rng);

impl Draws {
    /// Above 0, at most 1.
    fn unit(&mut self) -> f64 {
        1.0 - (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Mean 0 and variance 1.
    fn standard(&mut self, scatter: Scatter) -> f64 {
        match scatter {
            Scatter::Normal => self.normal(),
            Scatter::HeavyTails => {
                let squares: f64 = (0..3).map(|_| self.normal().powi(2)).sum();
                // A t variable of three degrees of freedom has variance 3.
                self.normal() / (squares / 3.0).sqrt() / 3f64.sqrt()
            }
            Scatter::Skewed => 1.0 + self.unit().ln(),
        }
    }
}
