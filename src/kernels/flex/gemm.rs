//! Matrix products C = start + A B of any strides, in f32.
//!
//! B is copied into panels two vectors wide; a tile of C, up to [`Simd::ROWS`] rows of one panel, stays in registers
//! while it goes down the depth. Each number of C is the same chain of multiply-adds wherever its tile lies and
//! whichever thread works on it: the depth is cut at fixed places, so bits depend neither on threads nor on
//! neighbours.

use std::ops::Range;

use super::memory::{Shared, filled, scratch};
use super::parallel;
use super::simd::{MAX_LANES, Simd, lanes, simd};

/// Depth of a block: its panel of B and tile of A fit in the first cache.
const DEPTH: usize = 256;
/// Columns of a block: its panels fit in the second cache.
const COLUMNS: usize = 512;
/// Rows that go past one panel before the next.
const ROWS: usize = 96;
/// Multiply-adds that repay waking another thread.
const WORTH_A_THREAD: usize = 1 << 21;
/// Rows of the tallest tile, numbers of the widest panel.
const MAX_ROWS: usize = 12;
const MAX_WIDTH: usize = 2 * MAX_LANES;

/// A matrix of any strides.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row: usize,
    column: usize,
}

impl<'a> View<'a> {
    /// Row-major.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        View::strided(data, rows, columns, columns)
    }

    /// Row-major, with `stride` numbers from one row to the next.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(rows == 0 || data.len() >= (rows - 1) * stride + columns, "a matrix lies within its buffer");
        View { data, rows, columns, row: stride, column: 1 }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        View { rows: self.columns, columns: self.rows, row: self.column, column: self.row, ..self }
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
    /// All rows that are written must lie within the buffer, and be this thread's.
    pub unsafe fn shared(c: Shared, from: usize, stride: usize) -> Self {
        // SAFETY: as promised by the caller.
        Output { c: unsafe { c.from(from) }, stride }
    }

    /// The first `n` numbers of a row.
    ///
    /// # Safety
    /// They must lie within the buffer, and be this thread's.
    #[inline(always)]
    pub unsafe fn row<'a>(self, row: usize, n: usize) -> &'a mut [f32] {
        // SAFETY: as promised by the caller.
        unsafe { self.c.part(row * self.stride, n) }
    }
}

/// C = start + A B for row-major C. Runs on this thread's pool where it is worth it.
pub fn gemm(a: View, b: View, c: &mut [f32], start: Start) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(b.rows, k, "the factors of a product share the depth");
    assert_eq!(c.len(), m * n, "a product fills its output");
    if let Start::With { bias, residual } = start {
        assert!(bias.is_none_or(|bias| bias.len() == n), "a bias has a number per column");
        assert!(
            residual.is_none_or(|residual| residual.len() == m * n),
            "a residual has the shape of the output"
        );
    }
    let c = Output::new(c, n);
    // Parts of whole panels or of whole tiles, along the longer side.
    let (length, unit) = if n > m { (n, MAX_WIDTH) } else { (m, MAX_ROWS) };
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
                let panels = Panels { data: panels, height: depth.len(), columns: columns.len() };
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
}

impl Packed {
    /// Copies `b`.
    pub fn new(b: View) -> Self {
        let width = padded(b.columns);
        let panels = filled(b.rows * width, |panels| {
            for depth in blocks(0..b.rows, DEPTH) {
                pack(b, depth.clone(), 0..b.columns, &mut panels[depth.start * width..depth.end * width]);
            }
        });
        Packed { panels, rows: b.rows, columns: b.columns }
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
}

simd! {
    /// Copies a block of B into panels as high as `depth`, the last padded with zeros.
    pub fn pack<S>(s, b: View, depth: Range<usize>, columns: Range<usize>, panels: &mut [f32]) {
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

/// Four rows of four, `stride` apart, become four columns, `to_stride` apart.
#[inline(always)]
fn transpose(from: &[f32], stride: usize, to: &mut [f32], to_stride: usize) {
    let row = |i: usize| -> [f32; 4] { std::array::from_fn(|j| from[i * stride..][..4][j]) };
    let rows = [row(0), row(1), row(2), row(3)];
    for j in 0..4 {
        to[j * to_stride..][..4].copy_from_slice(&[rows[0][j], rows[1][j], rows[2][j], rows[3][j]]);
    }
}

simd! {
    /// The part of C = start + A B in `rows` and `columns`, over the first `depth` columns of A and rows of the panels,
    /// which hold these columns.
    pub fn multiply<S>(s, a: View, panels: Panels, depth: usize, c: Output, start: Start, rows: Range<usize>,
                       columns: Range<usize>) {
        assert!(rows.end <= a.rows && depth <= a.columns && depth <= panels.height, "a product has all its factors");
        for rows in blocks(rows, ROWS) {
            for (panel, columns) in blocks(columns.clone(), 2 * S::LANES).enumerate() {
                let place = Place { row: rows.start, rows: rows.len(), column: columns.start, columns: columns.len() };
                let from = panel * 2 * S::LANES;
                let width = (2 * S::LANES).min(panels.columns.next_multiple_of(S::LANES) - from);
                assert!(columns.len() <= width, "the panels hold the columns of a product");
                let right = Right { panel: &panels.data[panels.height * from..][..depth * width], width };
                // SAFETY: rows of A and the panel are as deep as `depth`; the place lies within C.
                unsafe {
                    if columns.len() > S::LANES {
                        down::<S, 2>(s, a, right, depth, c, start, place);
                    } else {
                        down::<S, 1>(s, a, right, depth, c, start, place);
                    }
                }
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
unsafe fn down<S: Simd, const V: usize>(
    s: S,
    a: View,
    right: Right,
    depth: usize,
    c: Output,
    start: Start,
    place: Place,
) {
    for rows in blocks(place.row..place.row + place.rows, S::ROWS) {
        let place = Place { row: rows.start, rows: rows.len(), ..place };
        let left = Left { from: a.at(rows.start, 0), row: a.row, column: a.column };
        // SAFETY: as promised by the caller.
        unsafe {
            match rows.len() {
                1 => tile::<S, 1, V>(s, depth, left, right).write(s, c, start, place),
                2 => tile::<S, 2, V>(s, depth, left, right).write(s, c, start, place),
                3 => tile::<S, 3, V>(s, depth, left, right).write(s, c, start, place),
                4 => tile::<S, 4, V>(s, depth, left, right).write(s, c, start, place),
                5 => tile::<S, 5, V>(s, depth, left, right).write(s, c, start, place),
                6 => tile::<S, 6, V>(s, depth, left, right).write(s, c, start, place),
                7 => tile::<S, 7, V>(s, depth, left, right).write(s, c, start, place),
                8 => tile::<S, 8, V>(s, depth, left, right).write(s, c, start, place),
                9 => tile::<S, 9, V>(s, depth, left, right).write(s, c, start, place),
                10 => tile::<S, 10, V>(s, depth, left, right).write(s, c, start, place),
                11 => tile::<S, 11, V>(s, depth, left, right).write(s, c, start, place),
                _ => tile::<S, 12, V>(s, depth, left, right).write(s, c, start, place),
            }
        }
    }
}

/// Rows of A from an address on.
#[derive(Clone, Copy)]
struct Left {
    from: *const f32,
    row: usize,
    column: usize,
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
unsafe fn tile<S: Simd, const M: usize, const V: usize>(
    s: S,
    depth: usize,
    a: Left,
    b: Right,
) -> Tile<S, M, V> {
    let mut sums = [[s.splat(0.0); V]; M];
    // Three rows share a base, so that the addresses of twelve rows fit in the general registers.
    let mut bases: [*const f32; 4] = std::array::from_fn(|i| a.from.wrapping_add(3 * i * a.row));
    let mut row = b.panel.as_ptr();
    for _ in 0..depth {
        // SAFETY: the caller promises rows and panel of this depth.
        unsafe {
            let right: [S::V; V] = std::array::from_fn(|v| s.load(row.add(v * S::LANES)));
            for i in 0..M {
                let x = s.splat(*bases[i / 3].wrapping_add(i % 3 * a.row));
                for v in 0..V {
                    sums[i][v] = s.fma(x, right[v], sums[i][v]);
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
        let whole = place.columns == V * S::LANES;
        for (i, sums) in self.0.into_iter().enumerate() {
            let from = (place.row + i) * c.stride + place.column;
            // SAFETY: the caller promises that the tile lies within C; a narrow one goes through a buffer.
            unsafe {
                let own = c.c.at(from);
                let (add, bias, residual) = match start {
                    Start::Zero => (None, None, None),
                    Start::Itself => (Some(own.cast_const()), None, None),
                    Start::With { bias, residual } => {
                        let bias = bias.map(|x| x[place.column..].as_ptr());
                        (None, bias, residual.map(|x| x[from..].as_ptr()))
                    }
                };
                let added = [add, bias, residual];
                if whole {
                    write_row(s, own, sums, added);
                } else {
                    let mut buffers = [[0.0f32; MAX_WIDTH]; 4];
                    let [result, copies @ ..] = &mut buffers;
                    let mut copies = copies.iter_mut();
                    let added = added.map(|from| {
                        let copy = copies.next()?.as_mut_ptr();
                        std::ptr::copy_nonoverlapping(from?, copy, place.columns);
                        Some(copy.cast_const())
                    });
                    write_row(s, result.as_mut_ptr(), sums, added);
                    std::ptr::copy_nonoverlapping(result.as_ptr(), own, place.columns);
                }
            }
        }
    }
}

/// Writes one row of a tile and what is added to it.
#[inline(always)]
unsafe fn write_row<S: Simd, const V: usize>(
    s: S,
    c: *mut f32,
    sums: [S::V; V],
    added: [Option<*const f32>; 3],
) {
    for (v, mut sum) in sums.into_iter().enumerate() {
        // SAFETY: the caller promises V vectors at each pointer.
        unsafe {
            for from in added.into_iter().flatten() {
                sum = s.add(s.load(from.add(v * S::LANES)), sum);
            }
            s.store(c.add(v * S::LANES), sum);
        }
    }
}
