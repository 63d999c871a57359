//! Threads, only where the work repays them.

use std::ops::Range;

use rayon::prelude::*;

/// How many parts to cut work into that is worth `worth` threads; 1 when the pool has one thread.
pub fn parts(worth: usize) -> usize {
    if worth < 2 { 1 } else { rayon::current_num_threads().min(worth) }
}

/// Calls `work` for every part, on the pool unless there is but one.
pub fn each(parts: usize, work: impl Fn(usize) + Send + Sync) {
    match parts {
        1 => work(0),
        _ => (0..parts).into_par_iter().for_each(work),
    }
}

/// Fills `sum` with the sum of what `add` adds to zeros for each part of `n` items, `size` at a time, in order. The
/// parts are the same for any number of threads.
pub fn sum_in_parts(
    n: usize,
    size: usize,
    sum: &mut [f32],
    add: impl Fn(Range<usize>, &mut [f32]) + Send + Sync,
) {
    let range = |part: usize| part * size..((part + 1) * size).min(n);
    let parts = n.div_ceil(size);
    sum.fill(0.0);
    if parts <= 1 {
        return add(0..n, sum);
    }
    let width = sum.len();
    let mut sums = vec![0.0; parts * width];
    let fill = |(part, sum): (usize, &mut [f32])| add(range(part), sum);
    if rayon::current_num_threads() == 1 {
        sums.chunks_exact_mut(width).enumerate().for_each(fill);
    } else {
        sums.par_chunks_exact_mut(width).enumerate().for_each(fill);
    }
    for part in sums.chunks_exact(width) {
        sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
}
