//! Right factors in panels: what a tile reads, one row after the other.

use std::ops::Range;

use super::super::simd::{lanes, simd, transpose};
use super::{View, blocks, pairs};
use crate::kernels::Precision;

/// Numbers of a row of panels of so many columns.
pub fn padded(columns: usize) -> usize {
    columns.next_multiple_of(lanes())
}

/// Columns of a right factor, two vectors to a panel (one, where the last needs no more), one panel after the other.
#[derive(Clone, Copy)]
pub struct Panels<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Rows of a panel, of which a product may use fewer.
    pub height: usize,
    /// Columns in all panels.
    pub columns: usize,
    /// Whether they hold numbers, or pairs of bf16 in half as many rows.
    pub precision: Precision,
}

/// Copies a block of B into panels as high as `depth`, the last padded with zeros, in the precision of B.
pub fn pack(b: View, depth: Range<usize>, columns: Range<usize>, panels: &mut [f32]) {
    match b.precision {
        Precision::F32 => pack_numbers(b, depth, columns, panels),
        Precision::Bf16 => pairs::pack(b, depth, columns, panels),
    }
}

simd! {
    /// Copies a block of B into panels as it is.
    pub(super) fn pack_numbers<S>(s, b: View, depth: Range<usize>, columns: Range<usize>, panels: &mut [f32]) {
        let height = depth.len();
        for (panel, columns) in blocks(columns, 2 * S::LANES).enumerate() {
            let width = columns.len().next_multiple_of(S::LANES);
            let panel = &mut panels[panel * height * 2 * S::LANES..][..height * width];
            if b.column == 1 && columns.len() == width {
                for (p, row) in depth.clone().zip(panel.chunks_exact_mut(width)) {
                    let from = &b.data[p * b.row + columns.start..][..width];
                    for i in (0..width).step_by(S::LANES) {
                        s.set(row, i, s.get(from, i));
                    }
                }
            } else {
                pack_any(b, depth.clone(), columns, panel, width);
            }
        }
    }
}

/// One panel of any strides, four by four where the depth runs along memory.
#[inline(always)]
fn pack_any(b: View, depth: Range<usize>, columns: Range<usize>, panel: &mut [f32], width: usize) {
    let (height, n) = (depth.len(), columns.len());
    if n < width {
        panel.fill(0.0);
    }
    let (even_height, even_n) = if b.row == 1 { (height & !3, n & !3) } else { (0, 0) };
    for j in (0..even_n).step_by(4) {
        for p in (0..even_height).step_by(4) {
            transpose(
                &b.data[(columns.start + j) * b.column + depth.start + p..],
                b.column,
                &mut panel[p * width + j..],
                width,
            );
        }
    }
    for p in 0..height {
        let from = if p < even_height { even_n } else { 0 };
        for j in from..n {
            panel[p * width + j] = b.data[(depth.start + p) * b.row + (columns.start + j) * b.column];
        }
    }
}
