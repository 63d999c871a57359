//! Buffers: uninitialised outputs, scratch that a thread keeps, and a pointer that threads share.

use std::cell::Cell;
use std::thread::LocalKey;

/// An output of `n` numbers that `write` fills; the numbers start undefined.
pub fn filled(n: usize, write: impl FnOnce(&mut [f32])) -> Vec<f32> {
    let mut buffer = Vec::with_capacity(n);
    // SAFETY: every bit pattern is an f32, the capacity is n, and every kernel writes each number before it reads
    // it. Zeroing first would cost a pass over memory for every output.
    #[allow(clippy::uninit_vec)]
    unsafe {
        buffer.set_len(n)
    };
    write(&mut buffer);
    buffer
}

/// A cache line, so that scratch starts on one.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    static SCRATCH: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
    static SCRATCH_OF_LEFT: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Calls `work` with `n` numbers of this thread's scratch, of any value; calls may nest.
pub fn scratch<T>(n: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    scratch_in(&SCRATCH, n, work)
}

/// A second scratch of this thread, for what is rounded while the first is in use.
pub fn scratch_of_left<T>(n: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    scratch_in(&SCRATCH_OF_LEFT, n, work)
}

fn scratch_in<T>(
    kept: &'static LocalKey<Cell<Vec<Line>>>,
    n: usize,
    work: impl FnOnce(&mut [f32]) -> T,
) -> T {
    let mut lines = kept.take();
    if lines.len() * 16 < n {
        lines.resize(n.div_ceil(16), Line([0.0; 16]));
    }
    // SAFETY: a line is sixteen f32 without padding, and there are enough lines.
    let numbers = unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast::<f32>(), n) };
    let result = work(numbers);
    kept.set(lines);
    result
}

/// The same in pieces of so many numbers, each starting on a cache line.
pub fn scratch_pieces<const N: usize, T>(sizes: [usize; N], work: impl FnOnce([&mut [f32]; N]) -> T) -> T {
    let whole = |n: usize| n.next_multiple_of(16);
    scratch(sizes.into_iter().map(whole).sum(), |mut rest| {
        work(sizes.map(|n| {
            let (piece, after) = std::mem::take(&mut rest).split_at_mut(whole(n));
            rest = after;
            &mut piece[..n]
        }))
    })
}

/// An output of which each thread writes its own part.
#[derive(Clone, Copy)]
pub struct Shared {
    start: *mut f32,
    n: usize,
}

// SAFETY: only an address; whoever writes through it answers for the parts being disjoint.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// All of `x`, which must not be touched otherwise until the threads are done.
    pub fn new(x: &mut [f32]) -> Self {
        Shared { start: x.as_mut_ptr(), n: x.len() }
    }

    /// How many numbers there are.
    pub fn len(self) -> usize {
        self.n
    }

    /// The output from element `i` on.
    pub fn from(self, i: usize) -> Self {
        assert!(i <= self.n, "a part begins within its output");
        Shared { start: self.start.wrapping_add(i), n: self.n - i }
    }

    /// The address of element `i`.
    ///
    /// # Safety
    /// `i` must lie within the output.
    #[inline(always)]
    pub unsafe fn at(self, i: usize) -> *mut f32 {
        // SAFETY: as promised by the caller.
        unsafe { self.start.add(i) }
    }

    /// The `n` numbers from `i`.
    ///
    /// # Safety
    /// Nobody else may touch them meanwhile.
    #[inline(always)]
    pub unsafe fn part<'a>(self, i: usize, n: usize) -> &'a mut [f32] {
        let part = self.from(i);
        assert!(n <= part.n, "a part ends within its output");
        // SAFETY: within the output; the rest as promised by the caller.
        unsafe { std::slice::from_raw_parts_mut(part.start, n) }
    }
}
