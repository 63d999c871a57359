//! Matrix products C = start + A B of any strides, in f32, or of factors rounded to bf16 ([`pairs`]).
//!
//! B is copied into panels two vectors wide; a tile of C, up to [`Simd::ROWS`](super::simd::Simd::ROWS) rows of one panel, stays in registers
//! while it goes down the depth. Each number of C is the same chain of multiply-adds wherever its tile lies and
//! whichever thread works on it: the depth is cut at fixed places, so bits depend neither on threads nor on
//! neighbours.

mod pack;
mod pairs;
mod tile;

use std::ops::Range;

use super::memory::{Shared, filled, scratch};
use super::parallel;
use crate::kernels::Precision;

pub use pack::{Panels, pack, padded};
pub use tile::multiply;

/// Depth of a block: its panel of B and tile of A fit in the first cache.
const DEPTH: usize = 256;
/// Columns of a block: its panels fit in the second cache.
const COLUMNS: usize = 512;
/// Multiply-adds that repay waking another thread.
const WORTH_A_THREAD: usize = 1 << 21;

/// A matrix of any strides.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row: usize,
    column: usize,
    precision: Precision,
}

impl<'a> View<'a> {
    /// Row-major.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        View::strided(data, rows, columns, columns)
    }

    /// Row-major, with `stride` numbers from one row to the next.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(rows == 0 || data.len() >= (rows - 1) * stride + columns, "a matrix lies within its buffer");
        View { data, rows, columns, row: stride, column: 1, precision: Precision::F32 }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        View { rows: self.columns, columns: self.rows, row: self.column, column: self.row, ..self }
    }

    /// The same numbers as a right factor of a product in this precision.
    pub fn rounded(self, precision: Precision) -> Self {
        View { precision, ..self }
    }

    /// The address of an element.
    #[inline(always)]
    fn at(&self, row: usize, column: usize) -> *const f32 {
        self.data[row * self.row + column * self.column..].as_ptr()
    }
}

/// What C begins with.
#[derive(Clone, Copy)]
pub enum Start<'a> {
    /// Nothing: C = A B.
    Zero,
    /// A row added to every row and a matrix of the shape of C, where there are: C = bias + residual + A B.
    With { bias: Option<&'a [f32]>, residual: Option<&'a [f32]> },
    /// Itself: C += A B.
    Itself,
}

/// Row-major C, `stride` numbers from one row to the next; threads write parts of it.
#[derive(Clone, Copy)]
pub struct Output {
    c: Shared,
    stride: usize,
}

impl Output {
    /// C in the numbers from the start of `c`.
    pub fn new(c: &mut [f32], stride: usize) -> Self {
        Output { c: Shared::new(c), stride }
    }

    /// C from element `from` of a shared buffer.
    ///
    /// # Safety
    /// All rows that are written must be this thread's.
    pub unsafe fn shared(c: Shared, from: usize, stride: usize) -> Self {
        Output { c: c.from(from), stride }
    }

    /// Whether so many rows and columns lie within the buffer.
    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0 || (rows - 1) * self.stride + columns <= self.c.len()
    }

    /// The first `n` numbers of a row.
    ///
    /// # Safety
    /// They must be this thread's.
    #[inline(always)]
    pub unsafe fn row<'a>(self, row: usize, n: usize) -> &'a mut [f32] {
        // SAFETY: as promised by the caller.
        unsafe { self.c.part(row * self.stride, n) }
    }
}

/// C = start + A B for row-major C, in the precision of B. Runs on this thread's pool where it is worth it.
pub fn gemm(a: View, b: View, c: &mut [f32], start: Start) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(b.rows, k, "the factors of a product share the depth");
    assert!(m * n * k > 0 && c.len() == m * n, "a product has a depth and fills its output");
    if let Start::With { bias, residual } = start {
        assert!(bias.is_none_or(|bias| bias.len() == n), "a bias has a number per column");
        assert!(
            residual.is_none_or(|residual| residual.len() == m * n),
            "a residual has the shape of the output"
        );
    }
    let c = Output::new(c, n);
    // Parts of whole panels or of whole tiles, along the longer side.
    let (length, unit) = if n > m { (n, tile::MAX_WIDTH) } else { (m, tile::MAX_ROWS) };
    let parts = parallel::parts(m * n * k / WORTH_A_THREAD);
    let each = length.div_ceil(parts).next_multiple_of(unit);
    parallel::each(length.div_ceil(each), |part| {
        let range = part * each..((part + 1) * each).min(length);
        let (rows, columns) = if n > m { (0..m, range) } else { (range, 0..n) };
        gemm_part(a, b, c, start, rows, columns);
    });
}

/// The rows and columns of C = start + A B that lie in `rows` and `columns`, on this thread alone.
pub fn gemm_part(a: View, b: View, c: Output, start: Start, rows: Range<usize>, columns: Range<usize>) {
    assert!(
        rows.end <= a.rows && columns.end <= b.columns && a.columns == b.rows,
        "a part lies within the product"
    );
    for depth in blocks(0..b.rows, DEPTH) {
        let start = if depth.start == 0 { start } else { Start::Itself };
        for columns in blocks(columns.clone(), COLUMNS) {
            scratch(depth.len() * padded(columns.len()), |panels| {
                pack(b, depth.clone(), columns.clone(), panels);
                let panels = Panels {
                    data: panels,
                    height: depth.len(),
                    columns: columns.len(),
                    precision: b.precision,
                };
                multiply(a.below(depth.start), panels, depth.len(), c, start, rows.clone(), columns.clone());
            });
        }
    }
}

/// A right factor copied into panels once, for many products.
pub struct Packed {
    panels: Vec<f32>,
    rows: usize,
    columns: usize,
    precision: Precision,
}

impl Packed {
    /// Copies `b`, rounded where its precision says so.
    pub fn new(b: View) -> Self {
        let width = padded(b.columns);
        let panels = filled(b.rows * width, |panels| {
            for depth in blocks(0..b.rows, DEPTH) {
                pack(b, depth.clone(), 0..b.columns, &mut panels[depth.start * width..depth.end * width]);
            }
        });
        Packed { panels, rows: b.rows, columns: b.columns, precision: b.precision }
    }

    /// C = A B on this thread alone.
    pub fn multiply(&self, a: View, c: Output) {
        assert_eq!(a.columns, self.rows, "the factors of a product share the depth");
        for depth in blocks(0..self.rows, DEPTH) {
            let start = if depth.start == 0 { Start::Zero } else { Start::Itself };
            let panels = Panels {
                data: &self.panels[depth.start * padded(self.columns)..],
                height: depth.len(),
                columns: self.columns,
                precision: self.precision,
            };
            multiply(a.below(depth.start), panels, depth.len(), c, start, 0..a.rows, 0..self.columns);
        }
    }
}

impl<'a> View<'a> {
    /// The columns from `column` on.
    fn below(self, column: usize) -> Self {
        let data = self.data.get(column * self.column..).unwrap_or_default();
        View { data, columns: self.columns - column, ..self }
    }
}

/// The parts of a range of at most `size` each.
pub fn blocks(
    range: Range<usize>,
    size: usize,
) -> impl DoubleEndedIterator<Item = Range<usize>> + ExactSizeIterator {
    let end = range.end;
    range.step_by(size).map(move |from| from..(from + size).min(end))
}
