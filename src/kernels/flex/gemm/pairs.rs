//! Products of factors rounded to bf16, summed in f32: two numbers that follow each other along the depth share a word,
//! so that one instruction (`vdpbf16ps`) multiplies and adds two pairs; without it the halves take a multiply-add each.
//!
//! A rounded factor has 8 bits of fraction and the exponent of f32. Tensors stay f32: B is rounded while it is packed,
//! A in blocks of rows before they go past the panels. A pair that the depth does not fill ends in zero.

use std::ops::Range;

use super::super::memory::scratch_of_left;
use super::super::simd::{Simd, simd};
use super::pack::pack_numbers;
use super::tile::{Left, ROWS, Size, across};
use super::{Output, Panels, Start, View, blocks};
use crate::kernels::Precision;

/// The bits of a number rounded to the nearest bf16, ties to even, in the high half of a word.
#[inline(always)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    if x.is_nan() { bits & 0xffff_0000 | 0x0040_0000 } else { rounded }
}

/// Two numbers in a word, the first in the low half.
#[inline(always)]
fn pair(first: f32, second: f32) -> f32 {
    f32::from_bits(round(first) >> 16 | round(second))
}

/// Rounds numbers that follow each other into words.
#[inline(always)]
fn pair_all(from: &[f32], words: &mut [f32]) {
    let (whole, odd) = (from.len() / 2, from.len() % 2);
    for (word, two) in words[..whole].iter_mut().zip(from.chunks_exact(2)) {
        *word = pair(two[0], two[1]);
    }
    if odd == 1 {
        words[whole] = pair(from[from.len() - 1], 0.0);
    }
}

/// Rounds two rows, or one and zeros, into words of a number of each.
#[inline(always)]
fn pair_rows(first: &[f32], second: Option<&[f32]>, words: &mut [f32]) {
    match second {
        Some(second) => {
            for ((word, &first), &second) in words.iter_mut().zip(first).zip(second) {
                *word = pair(first, second);
            }
        }
        None => words.iter_mut().zip(first).for_each(|(word, &first)| *word = pair(first, 0.0)),
    }
}

/// A word of a factor whose depth runs along its rows (`b`), of the rows from `p` on.
#[inline(always)]
fn word(at: impl Fn(usize) -> f32, p: usize, end: usize) -> f32 {
    pair(at(p), if p + 1 < end { at(p + 1) } else { 0.0 })
}

/// Copies a block of B into panels of words half as high as `depth`.
pub fn pack(b: View, depth: Range<usize>, columns: Range<usize>, panels: &mut [f32]) {
    let (height, n) = (depth.len().div_ceil(2), columns.len());
    // Words in the order of memory; then they are packed as numbers are.
    scratch_of_left(height * n, |words| {
        stage(b, depth, columns, words);
        let along_depth = b.row == 1 && b.column != 1;
        let (row, column) = if along_depth { (1, height) } else { (n, 1) };
        let staged = View { data: words, rows: height, columns: n, row, column, precision: Precision::F32 };
        pack_numbers(staged, 0..height, 0..n, panels);
    });
}

simd! {
    /// The words of a block of B, row by row, or column by column where the depth runs along memory.
    fn stage<S>(s, b: View, depth: Range<usize>, columns: Range<usize>, words: &mut [f32]) {
        let _ = s;
        let (height, n) = (depth.len().div_ceil(2), columns.len());
        if b.row == 1 && b.column != 1 {
            for (j, words) in columns.clone().zip(words.chunks_exact_mut(height)) {
                pair_all(&b.data[j * b.column + depth.start..][..depth.len()], words);
            }
            return;
        }
        for (p, words) in depth.clone().step_by(2).zip(words.chunks_exact_mut(n)) {
            let row = |p: usize| &b.data[p * b.row + columns.start * b.column..];
            if b.column == 1 {
                pair_rows(&row(p)[..n], (p + 1 < depth.end).then(|| &row(p + 1)[..n]), words);
            } else {
                for (j, w) in words.iter_mut().enumerate() {
                    *w = word(|p| row(p)[j * b.column], p, depth.end);
                }
            }
        }
    }
}

/// The part of a product of rounded factors; see [`super::multiply`].
#[allow(clippy::too_many_arguments)]
pub fn multiply(
    a: View,
    panels: Panels,
    depth: usize,
    c: Output,
    start: Start,
    rows: Range<usize>,
    columns: Range<usize>,
) {
    scratch_of_left(ROWS.min(rows.len()) * depth.div_ceil(2), |words| {
        #[cfg(target_arch = "x86_64")]
        if crate::kernels::level::has_bf16_dot() {
            // SAFETY: the processor was found to have the instructions.
            return unsafe { with_dot(a, panels, depth, c, start, rows, columns, words) };
        }
        with_multiply_adds(a, panels, depth, c, start, rows, columns, words);
    });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bf16,avx2,fma")]
#[allow(clippy::too_many_arguments)]
fn with_dot(
    a: View,
    panels: Panels,
    depth: usize,
    c: Output,
    start: Start,
    rows: Range<usize>,
    columns: Range<usize>,
    words: &mut [f32],
) {
    // SAFETY: this function is reached where the instructions were found.
    let s = unsafe { super::super::simd::Avx512Bf16::new() };
    by_blocks(s, a, panels, depth, c, start, rows, columns, words);
}

simd! {
    fn with_multiply_adds<S>(s, a: View, panels: Panels, depth: usize, c: Output, start: Start, rows: Range<usize>,
                             columns: Range<usize>, words: &mut [f32]) {
        by_blocks(s, a, panels, depth, c, start, rows, columns, words);
    }
}

/// Rounds A in blocks of rows, and takes each block past the panels.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn by_blocks<S: Simd>(
    s: S,
    a: View,
    panels: Panels,
    depth: usize,
    c: Output,
    start: Start,
    rows: Range<usize>,
    columns: Range<usize>,
    words: &mut [f32],
) {
    let size = Size { depth: depth.div_ceil(2), height: panels.height.div_ceil(2) };
    for rows in blocks(rows, ROWS) {
        let left = round_left(a, rows.clone(), depth, words);
        // SAFETY: `words` holds these rows to this depth; the caller has checked that the part lies within C.
        unsafe { across::<S, true>(s, left, panels, size, c, start, rows, columns.clone()) };
    }
}

/// The words of some rows of A: row by row where they lie so in memory, else pair by pair.
#[inline(always)]
fn round_left(a: View, rows: Range<usize>, depth: usize, words: &mut [f32]) -> Left {
    let (m, height) = (rows.len(), depth.div_ceil(2));
    let words = &mut words[..m * height];
    if a.column == 1 {
        for (i, words) in rows.zip(words.chunks_exact_mut(height)) {
            pair_all(&a.data[i * a.row..][..depth], words);
        }
        return Left { from: words.as_ptr(), row: height, column: 1 };
    }
    for (p, words) in (0..depth).step_by(2).zip(words.chunks_exact_mut(m)) {
        let column = |p: usize| &a.data[p * a.column + rows.start * a.row..];
        if a.row == 1 {
            pair_rows(&column(p)[..m], (p + 1 < depth).then(|| &column(p + 1)[..m]), words);
        } else {
            for (i, w) in words.iter_mut().enumerate() {
                *w = word(|p| column(p)[i * a.row], p, depth);
            }
        }
    }
    Left { from: words.as_ptr(), row: 1, column: m }
}
