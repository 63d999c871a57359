//! Batches made by a thread of its own while a device computes. A batch is a function of its step, so that nothing
//! else changes.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::thread;

/// Batches that are ready at most, beside the one in use and the one in the making.
const READY: usize = 1;

/// Calls `f` with a function that gives the batch of each of `steps`, in their order, as `make` does. A panic of `make`
/// is one here.
pub fn prefetch<B: Send, R>(
    steps: Range<u64>,
    make: impl Fn(u64) -> B + Send,
    f: impl FnOnce(&mut dyn FnMut(u64) -> B) -> R,
) -> R {
    thread::scope(|scope| {
        let (give, take) = sync_channel(READY);
        let maker = scope.spawn(move || {
            // It ends when nobody takes any more.
            let _ = steps.map(|step| (step, make(step))).try_for_each(|batch| give.send(batch));
        });
        let mut maker = Some(maker);
        let mut next = move |step| match take.recv() {
            Ok((made, batch)) => {
                assert_eq!(made, step, "batches are asked for in order");
                batch
            }
            Err(_) => match maker.take().map(|maker| maker.join()) {
                Some(Err(panic)) => resume_unwind(panic),
                Some(Ok(())) | None => panic!("no batch was ordered for step {step}"),
            },
        };
        f(&mut next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn batches_come_in_order_and_the_maker_is_never_far_ahead() {
        let made = AtomicU64::new(0);
        let make = |step: u64| {
            made.fetch_add(1, Ordering::SeqCst);
            step * step
        };
        prefetch(3..1000, make, |next| {
            for step in 3..10 {
                assert_eq!(next(step), step * step);
            }
        });
        let made = made.into_inner();
        assert!((7..=10).contains(&made), "{made} batches for 7 steps");
    }

    #[test]
    fn a_maker_that_panics_panics_here_with_its_words() {
        let make = |step: u64| assert!(step < 1, "step {step} has no data");
        let run = || prefetch(0..3, make, |next| (0..2).for_each(next));
        let panic = std::panic::catch_unwind(run).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "step 1 has no data");
    }
}
