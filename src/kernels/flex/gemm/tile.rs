//! Tiles of a product: sums that stay in registers.

use std::hint::black_box;
use std::ops::Range;

use super::super::simd::{MAX_LANES, Simd, simd};
use super::{Output, Panels, Start, View, blocks, pairs};
use crate::kernels::Precision;

/// Rows that go past one panel before the next.
pub(super) const ROWS: usize = 96;
/// Rows of the tallest tile.
pub const MAX_ROWS: usize = 12;
/// Columns of the widest panel.
pub const MAX_WIDTH: usize = 2 * MAX_LANES;

/// The part of C = start + A B in `rows` and `columns`, over the first `depth` columns of A and rows of the panels,
/// which hold these columns, in the precision of the panels.
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
    assert!(
        rows.end <= a.rows && depth <= a.columns && depth <= panels.height,
        "a product has all its factors"
    );
    assert!(c.holds(rows.end, columns.end), "a product lies within its output");
    match panels.precision {
        Precision::F32 => multiply_numbers(a, panels, depth, c, start, rows, columns),
        Precision::Bf16 => pairs::multiply(a, panels, depth, c, start, rows, columns),
    }
}

simd! {
    fn multiply_numbers<S>(s, a: View, panels: Panels, depth: usize, c: Output, start: Start, rows: Range<usize>,
                           columns: Range<usize>) {
        for rows in blocks(rows, ROWS) {
            let left = Left { from: a.at(rows.start, 0), row: a.row, column: a.column };
            let size = Size { depth, height: panels.height };
            // SAFETY: the rows of A and the panels are as deep as `depth`; the part lies within C.
            unsafe { across::<S, false>(s, left, panels, size, c, start, rows, columns.clone()) };
        }
    }
}

/// The depth of a product and the rows of its panels, in numbers or in pairs.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub depth: usize,
    pub height: usize,
}

/// Some rows of a product, panel by panel; with `PAIRS` both factors are pairs of bf16.
///
/// # Safety
/// `left` has these rows to this depth, and the part lies within C.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn across<S: Simd, const PAIRS: bool>(
    s: S,
    left: Left,
    panels: Panels,
    Size { depth, height }: Size,
    c: Output,
    start: Start,
    rows: Range<usize>,
    columns: Range<usize>,
) {
    for (panel, columns) in blocks(columns, 2 * S::LANES).enumerate() {
        let place =
            Place { row: rows.start, rows: rows.len(), column: columns.start, columns: columns.len() };
        let from = panel * 2 * S::LANES;
        let width = (2 * S::LANES).min(panels.columns.next_multiple_of(S::LANES) - from);
        assert!(columns.len() <= width, "the panels hold the columns of a product");
        let right = Right { panel: &panels.data[height * from..][..depth * width], width };
        // SAFETY: as promised by the caller.
        unsafe {
            if columns.len() > S::LANES {
                down::<S, 2, PAIRS>(s, left, right, depth, c, start, place);
            } else {
                down::<S, 1, PAIRS>(s, left, right, depth, c, start, place);
            }
        }
    }
}

/// Where a part lies in C.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    rows: usize,
    column: usize,
    columns: usize,
}

/// All tiles below each other in one panel of V vectors.
#[inline(always)]
unsafe fn down<S: Simd, const V: usize, const PAIRS: bool>(
    s: S,
    left: Left,
    right: Right,
    depth: usize,
    c: Output,
    start: Start,
    place: Place,
) {
    for rows in blocks(place.row..place.row + place.rows, S::ROWS) {
        let from = left.from.wrapping_add((rows.start - place.row) * left.row);
        let (left, place) = (Left { from, ..left }, Place { row: rows.start, rows: rows.len(), ..place });
        // SAFETY: as promised by the caller.
        unsafe {
            match rows.len() {
                1 => tile::<S, 1, V, PAIRS>(s, depth, left, right).write(s, c, start, place),
                2 => tile::<S, 2, V, PAIRS>(s, depth, left, right).write(s, c, start, place),
                3 => tile::<S, 3, V, PAIRS>(s, depth, left, right).write(s, c, start, place),
                4 => tile::<S, 4, V, PAIRS>(s, depth, left, right).write(s, c, start, place),
                5 => tile::<S, 5, V, PAIRS>(s, depth, left, right).write(s, c, start, place),
                6 => tile::<S, 6, V, PAIRS>(s, depth, left, right).write(s, c, start, place),
                7 => tile::<S, 7, V, PAIRS>(s, depth, left, right).write(s, c, start, place),
                8 => tile::<S, 8, V, PAIRS>(s, depth, left, right).write(s, c, start, place),
                9 => tile::<S, 9, V, PAIRS>(s, depth, left, right).write(s, c, start, place),
                10 => tile::<S, 10, V, PAIRS>(s, depth, left, right).write(s, c, start, place),
                11 => tile::<S, 11, V, PAIRS>(s, depth, left, right).write(s, c, start, place),
                _ => tile::<S, 12, V, PAIRS>(s, depth, left, right).write(s, c, start, place),
            }
        }
    }
}

/// Rows of A from an address on.
#[derive(Clone, Copy)]
pub(super) struct Left {
    pub from: *const f32,
    pub row: usize,
    pub column: usize,
}

/// A panel, `width` numbers to a row, of which a tile may take fewer.
#[derive(Clone, Copy)]
struct Right<'a> {
    panel: &'a [f32],
    width: usize,
}

/// Sums of products, M rows of V vectors.
struct Tile<S: Simd, const M: usize, const V: usize>([[S::V; V]; M]);

/// The product of M rows of A and a panel.
#[inline(always)]
unsafe fn tile<S: Simd, const M: usize, const V: usize, const PAIRS: bool>(
    s: S,
    depth: usize,
    a: Left,
    b: Right,
) -> Tile<S, M, V> {
    let mut sums = [[s.splat(0.0); V]; M];
    // Three rows share a base, so that the addresses of twelve rows fit in the general registers. The compiler must not
    // see that one base follows from another, or it walks from row to row in a chain of additions.
    let mut bases: [*const f32; 4] = std::array::from_fn(|i| black_box(a.from.wrapping_add(3 * i * a.row)));
    let mut row = b.panel.as_ptr();
    for _ in 0..depth {
        // SAFETY: the caller promises rows and panel of this depth.
        unsafe {
            let right: [S::V; V] = std::array::from_fn(|v| s.load(row.add(v * S::LANES)));
            for i in 0..M {
                let x = s.splat(*bases[i / 3].wrapping_add(i % 3 * a.row));
                for v in 0..V {
                    sums[i][v] = match PAIRS {
                        true => s.dot(x, right[v], sums[i][v]),
                        false => s.fma(x, right[v], sums[i][v]),
                    };
                }
            }
        }
        for base in &mut bases {
            *base = base.wrapping_add(a.column);
        }
        row = row.wrapping_add(b.width);
    }
    Tile(sums)
}

impl<S: Simd, const M: usize, const V: usize> Tile<S, M, V> {
    #[inline(always)]
    unsafe fn write(self, s: S, c: Output, start: Start, place: Place) {
        // SAFETY: the caller promises that the tile lies within C; a narrow one goes through a buffer.
        unsafe {
            if place.columns == V * S::LANES {
                let from = place.row * c.stride + place.column;
                self.write_whole(s, c.c.at(from), c.stride, start, place);
            } else {
                let mut buffer = [0.0f32; MAX_ROWS * MAX_WIDTH];
                Tile(self.0).write_whole(s, buffer.as_mut_ptr(), MAX_WIDTH, Start::Zero, place);
                for i in 0..M {
                    let from = (place.row + i) * c.stride + place.column;
                    let c = std::slice::from_raw_parts_mut(c.c.at(from), place.columns);
                    for (j, c) in c.iter_mut().enumerate() {
                        let sum = buffer[i * MAX_WIDTH + j];
                        *c = match start {
                            Start::Zero => sum,
                            Start::Itself => *c + sum,
                            Start::With { bias, residual } => {
                                let sum = bias.map_or(sum, |bias| bias[place.column + j] + sum);
                                residual.map_or(sum, |residual| residual[from + j] + sum)
                            }
                        };
                    }
                }
            }
        }
    }

    /// Writes a tile of whole vectors to `c`, rows `stride` apart.
    #[inline(always)]
    unsafe fn write_whole(mut self, s: S, c: *mut f32, stride: usize, start: Start, place: Place) {
        // SAFETY: the caller promises M rows of V vectors at `c`, and that the tile lies within C.
        unsafe {
            match start {
                Start::Zero => {}
                Start::Itself => self.add(s, c, stride),
                Start::With { bias, residual } => {
                    if let Some(bias) = bias {
                        self.add(s, bias[place.column..].as_ptr(), 0);
                    }
                    if let Some(residual) = residual {
                        self.add(s, residual[place.row * stride + place.column..].as_ptr(), stride);
                    }
                }
            }
            for i in 0..M {
                for v in 0..V {
                    s.store(c.add(i * stride + v * S::LANES), self.0[i][v]);
                }
            }
        }
    }

    /// Adds M rows of V vectors, `stride` apart.
    #[inline(always)]
    unsafe fn add(&mut self, s: S, from: *const f32, stride: usize) {
        for i in 0..M {
            for v in 0..V {
                // SAFETY: the caller promises them.
                self.0[i][v] = s.add(unsafe { s.load(from.add(i * stride + v * S::LANES)) }, self.0[i][v]);
            }
        }
    }
}
