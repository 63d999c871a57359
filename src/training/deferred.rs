//! Losses and norms that are still on the device: a few steps are read in one go, because each read makes a device beside
//! the CPU stand still until all that was asked of it is done.

use std::time::Instant;

use burn::tensor::Tensor;

/// Steps that wait at most.
const MOST: usize = 16;
/// Seconds that they wait at most, about: so late are progress and a request to stop seen.
const LONGEST: f64 = 0.1;

/// A step that was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRead {
    /// Its number, from 1.
    pub step: u64,
    /// Its loss in nats per token.
    pub loss: f64,
    /// What sublayers added to it of their own.
    pub auxiliary: Option<f64>,
    /// The norm of its gradients, before clipping.
    pub grad_norm: f64,
}

/// The steps that wait.
#[derive(Debug)]
pub struct DeferredMetrics {
    waiting: Vec<Waiting>,
    /// So many wait, by how long the last ones took.
    limit: usize,
    most: usize,
    longest: f64,
    since: Instant,
}

#[derive(Debug)]
struct Waiting {
    step: u64,
    /// Of each part of the step, `[parts]`: they add up.
    losses: Tensor<1>,
    /// Likewise.
    auxiliary: Option<Tensor<1>>,
    /// `[1]`.
    grad_norm: Tensor<1>,
}

impl DeferredMetrics {
    /// Nothing waits; the first step is read at once, and tells how long one takes.
    pub fn new() -> Self {
        DeferredMetrics { waiting: Vec::new(), limit: 1, most: MOST, longest: LONGEST, since: Instant::now() }
    }

    /// So many wait, however long they take.
    #[cfg(test)]
    pub fn fixed(limit: usize) -> Self {
        DeferredMetrics { limit, most: limit, longest: f64::INFINITY, ..DeferredMetrics::new() }
    }

    /// A step that is under way.
    pub fn push(&mut self, step: u64, losses: Tensor<1>, auxiliary: Option<Tensor<1>>, grad_norm: Tensor<1>) {
        self.waiting.push(Waiting { step, losses, auxiliary, grad_norm });
    }

    /// Whether it is time to read.
    pub fn is_due(&self) -> bool {
        self.waiting.len() >= self.limit
    }

    /// All that wait, first to last.
    pub fn read(&mut self) -> Vec<StepRead> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Vec::new();
        }
        let sizes = |w: &Waiting| (w.step, w.losses.dims()[0], w.auxiliary.as_ref().map(|it| it.dims()[0]));
        let parts: Vec<(u64, usize, Option<usize>)> = waiting.iter().map(sizes).collect();
        let all = |w: Waiting| [Some(w.losses), w.auxiliary, Some(w.grad_norm)].into_iter().flatten();
        let all = waiting.into_iter().flat_map(all).collect();
        let all: Vec<f64> = Tensor::cat(all, 0).into_data().iter::<f32>().map(f64::from).collect();
        let mut rest = all.as_slice();
        let mut sum = |parts: usize| {
            let (now, after) = rest.split_at(parts);
            rest = after;
            now.iter().sum::<f64>()
        };
        let read = |&(step, parts, auxiliary): &(u64, usize, Option<usize>)| StepRead {
            step,
            loss: sum(parts),
            auxiliary: auxiliary.map(&mut sum),
            grad_norm: sum(1),
        };
        let read: Vec<StepRead> = parts.iter().map(read).collect();
        self.limit = self.limit_at(self.since.elapsed().as_secs_f64() / read.len() as f64);
        self.since = Instant::now();
        read
    }

    /// How many wait when each takes so long.
    fn limit_at(&self, seconds: f64) -> usize {
        ((self.longest / seconds) as usize).clamp(1, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<const N: usize>(values: [f32; N]) -> Tensor<1> {
        Tensor::from_floats(values, &crate::device::open("cpu").unwrap())
    }

    #[test]
    fn steps_are_read_in_order_and_parts_add_up() {
        let mut deferred = DeferredMetrics::new();
        assert!(deferred.read().is_empty() && !deferred.is_due());
        deferred.push(7, row([0.5]), None, row([3.0]));
        assert!(deferred.is_due(), "the first is read at once");
        deferred.push(8, row([1.0, 0.25]), Some(row([0.5, 0.125])), row([f32::INFINITY]));
        let [seventh, eighth] = deferred.read()[..] else { panic!("two waited") };
        assert_eq!(seventh, StepRead { step: 7, loss: 0.5, auxiliary: None, grad_norm: 3.0 });
        let auxiliary = Some(0.625);
        assert_eq!(eighth, StepRead { step: 8, loss: 1.25, auxiliary, grad_norm: f64::INFINITY });
        assert!(deferred.read().is_empty());
    }

    #[test]
    fn quick_steps_wait_for_each_other_and_slow_ones_do_not() {
        let deferred = DeferredMetrics::new();
        assert_eq!([10.0, 0.1, 0.03, 1e-3, 0.0].map(|seconds| deferred.limit_at(seconds)), [1, 1, 3, 16, 16]);
    }
}
