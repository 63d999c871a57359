//! Causal attention by blocks of queries. The forward keeps the log-sum-exp of each row of scores; the backward
//! computes the shares P again from it: dV = P^T dO, dS = P (dO V^T - rowsum(dO O)), dQ = dS K, dK = dS^T Q
//! (Dao et al. 2022, arXiv 2205.14135). Scores of a whole sequence are never stored.

use std::ops::Range;

use burn::tensor::{Shape, Tensor};
use burn_flex::FlexTensor;

use super::gemm::{Output, Panels, Start, View, blocks, multiply, pack, padded};
use super::memory::{Shared, filled, scratch_pieces};
use super::rope::{Angles, Rows, Way, turn};
use super::simd::simd;
use super::tensor::{contiguous, numbers, output, tensor};
use super::{Operation, call_one, parallel};
use crate::kernels::{Heads, Precision, Rope};

/// [`crate::kernels::causal_attention`].
pub fn causal_attention(qkv: Tensor<3>, rope: Option<&Rope>, heads: Heads) -> Tensor<3> {
    let [b, t, _] = qkv.dims();
    let angles = rope.map(|rope| Angles::new(rope, t));
    call_one(Attention { heads, angles, b, t, precision: Precision::of_scope() }, qkv)
}

/// Queries of a block: a few tiles, so that little is computed beyond the diagonal.
const QUERIES: usize = 24;
/// The same in the backward, where a block is also the depth of two products.
const QUERIES_BACKWARD: usize = 48;
/// Multiply-adds that repay waking another thread.
const WORTH_A_THREAD: usize = 1 << 20;

#[derive(Debug, Clone)]
struct Attention {
    heads: Heads,
    angles: Option<Angles>,
    b: usize,
    t: usize,
    precision: Precision,
}

impl Operation<1> for Attention {
    /// The packed input, the output, and the log-sum-exp of each row `[b, h, t]`.
    type Saved = [FlexTensor; 3];

    fn forward_saving(self, [qkv]: [FlexTensor; 1]) -> (FlexTensor, Self::Saved) {
        let qkv = contiguous(qkv);
        let (rows, n) = (self.b * self.heads.n_heads * self.t, self.heads.d_queries());
        let mut y = Vec::new();
        let log_sums = filled(rows, |log_sums| {
            y = filled(self.b * self.t * n, |y| {
                let (y, log_sums) = (Shared::new(y), Shared::new(log_sums));
                self.over_groups(|group| self.forward_group(numbers(&qkv), group, y, log_sums));
            });
        });
        let y = tensor(y, Shape::new([self.b, self.t, n]));
        (y.clone(), [qkv, y, tensor(log_sums, Shape::new([rows]))])
    }

    fn backward(
        self,
        [qkv, y, log_sums]: Self::Saved,
        gradient: FlexTensor,
        _: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        let dy = contiguous(gradient);
        let forward =
            Forward { qkv: numbers(&qkv), y: numbers(&y), log_sums: numbers(&log_sums), dy: numbers(&dy) };
        [Some(output(qkv.layout().shape().clone(), |dqkv| {
            let dqkv = Shared::new(dqkv);
            self.over_groups(|group| self.backward_group(forward, group, dqkv));
        }))]
    }
}

/// What the backward reads.
#[derive(Clone, Copy)]
struct Forward<'a> {
    qkv: &'a [f32],
    y: &'a [f32],
    log_sums: &'a [f32],
    dy: &'a [f32],
}

impl Attention {
    /// Calls `work` for each key-value head of each sequence, with the heads that share it.
    fn over_groups(&self, work: impl Fn(Group) + Send + Sync) {
        let groups = self.b * self.heads.n_kv_heads;
        let worth = groups * self.t * self.t * self.heads.d_head * self.heads.n_sharing() / WORTH_A_THREAD;
        let each = groups.div_ceil(parallel::parts(worth));
        parallel::each(groups.div_ceil(each), |part| {
            for group in part * each..((part + 1) * each).min(groups) {
                let g = self.heads.n_kv_heads;
                work(Group { sequence: group / g, kv_head: group % g });
            }
        });
    }

    /// The query heads that read a key-value head.
    fn sharing(&self, kv_head: usize) -> Range<usize> {
        kv_head * self.heads.n_sharing()..(kv_head + 1) * self.heads.n_sharing()
    }

    /// The rows of head `head` of the packed projection, of the output (`width` channels), or of a gradient.
    fn rows<'a>(&self, x: &'a [f32], width: usize, sequence: usize, head: usize) -> Rows<'a> {
        Rows { data: &x[sequence * self.t * width + head * self.heads.d_head..], stride: width }
    }

    /// A right factor of a product.
    fn right<'a>(&self, view: View<'a>) -> View<'a> {
        view.rounded(self.precision)
    }

    /// 1 / sqrt(k).
    fn scale(&self) -> f32 {
        1.0 / (self.heads.d_head as f32).sqrt()
    }

    /// Numbers from one row of scores to the next: one line more than needed, so that rows of a power of two do not
    /// fall on the same lines of the cache.
    fn stride(&self) -> usize {
        padded(self.t) + 16
    }

    fn forward_group(&self, qkv: &[f32], Group { sequence, kv_head }: Group, y: Shared, log_sums: Shared) {
        let (t, k, stride) = (self.t, self.heads.d_head, self.stride());
        let (h, g) = (self.heads.n_heads, self.heads.n_kv_heads);
        let (packed, width) = (self.heads.d_packed(), self.heads.d_queries());
        let precision = self.precision;
        let sizes = [t * k, k * padded(t), t * padded(k), QUERIES.min(t) * stride];
        scratch_pieces(sizes, |[rows, keys, values, scores]| {
            let own = |rows: &mut [f32]| Output::new(rows, k);
            turn(
                self.rows(qkv, packed, sequence, h + kv_head),
                t,
                k,
                own(rows),
                &self.angles,
                1.0,
                Way::Forward,
            );
            pack(self.right(View::new(rows, t, k).t()), 0..k, 0..t, keys);
            pack(
                self.right(self.rows(qkv, packed, sequence, h + g + kv_head).view(t, k)),
                0..t,
                0..k,
                values,
            );
            let (keys, values) = (
                Panels { data: keys, height: k, columns: t, precision },
                Panels { data: values, height: t, columns: k, precision },
            );
            for head in self.sharing(kv_head) {
                let queries = self.rows(qkv, packed, sequence, head);
                turn(queries, t, k, own(rows), &self.angles, self.scale(), Way::Forward);
                for block in blocks(0..t, QUERIES) {
                    let (m, n) = (block.len(), block.end);
                    let queries = View::new(&rows[block.start * k..block.end * k], m, k);
                    multiply(queries, keys, k, Output::new(scores, stride), Start::Zero, 0..m, 0..n);
                    let row = (sequence * h + head) * t + block.start;
                    let at = (sequence * t + block.start) * width + head * k;
                    // SAFETY: rows and head are this thread's and lie within the outputs.
                    let (log_sums, c) = unsafe { (log_sums.part(row, m), Output::shared(y, at, width)) };
                    let mut inverses = [0.0; QUERIES];
                    exponentiate(scores, stride, block.clone(), log_sums, &mut inverses);
                    multiply(View::strided(scores, m, n, stride), values, n, c, Start::Zero, 0..m, 0..k);
                    scale_rows(c, k, &inverses[..m]);
                }
            }
        });
    }

    fn backward_group(&self, forward: Forward, Group { sequence, kv_head }: Group, dqkv: Shared) {
        let (t, k, stride) = (self.t, self.heads.d_head, self.stride());
        let (h, g) = (self.heads.n_heads, self.heads.n_kv_heads);
        let (packed, width) = (self.heads.d_packed(), self.heads.d_queries());
        let precision = self.precision;
        let most = QUERIES_BACKWARD.min(t);
        let (rows_size, panels_size, across, block_size) =
            (t * k, t * padded(k), k * padded(t), most * padded(k));
        let sizes = [
            rows_size,
            rows_size,
            rows_size,
            rows_size,
            across,
            across,
            panels_size,
            most * stride,
            most * stride,
            block_size,
            block_size,
        ];
        let into = |head: usize| {
            let at = sequence * t * packed + head * k;
            // SAFETY: the rows of this head are this thread's and lie within the gradient.
            unsafe { Output::shared(dqkv, at, packed) }
        };
        scratch_pieces(sizes, |pieces| {
            let [rows, dq, dk, dv, keys, values, key_rows, shares, dscores, query_rows, dy_rows] = pieces;
            turn(
                self.rows(forward.qkv, packed, sequence, h + kv_head),
                t,
                k,
                Output::new(rows, k),
                &self.angles,
                1.0,
                Way::Forward,
            );
            pack(self.right(View::new(rows, t, k).t()), 0..k, 0..t, keys);
            pack(self.right(View::new(rows, t, k)), 0..t, 0..k, key_rows);
            pack(
                self.right(self.rows(forward.qkv, packed, sequence, h + g + kv_head).view(t, k).t()),
                0..k,
                0..t,
                values,
            );
            let (keys, values) = (
                Panels { data: keys, height: k, columns: t, precision },
                Panels { data: values, height: k, columns: t, precision },
            );
            let key_rows = Panels { data: key_rows, height: t, columns: k, precision };
            // From the last block on: the first products reach every key and begin the sums.
            let mut start = Start::Zero;
            for head in self.sharing(kv_head) {
                let queries = self.rows(forward.qkv, packed, sequence, head);
                turn(queries, t, k, Output::new(rows, k), &self.angles, self.scale(), Way::Forward);
                let (y, dy) = (
                    self.rows(forward.y, width, sequence, head),
                    self.rows(forward.dy, width, sequence, head),
                );
                for block in blocks(0..t, QUERIES_BACKWARD).rev() {
                    let (m, n) = (block.len(), block.end);
                    let queries = View::new(&rows[block.start * k..block.end * k], m, k);
                    let (y, dy_block) = (y.from(block.start), dy.from(block.start));
                    let dy = dy_block.view(m, k);
                    multiply(queries, keys, k, Output::new(shares, stride), Start::Zero, 0..m, 0..n);
                    multiply(dy, values, k, Output::new(dscores, stride), Start::Zero, 0..m, 0..n);
                    let log_sums = &forward.log_sums[(sequence * h + head) * t..][block.clone()];
                    pull_back(shares, dscores, stride, block.clone(), log_sums, y, dy_block, k);
                    let (p, ds) = (View::strided(shares, m, n, stride), View::strided(dscores, m, n, stride));
                    let block_dq = Output::new(&mut dq[block.start * k..], k);
                    multiply(ds, key_rows, n, block_dq, Start::Zero, 0..m, 0..k);
                    pack(self.right(queries), 0..m, 0..k, query_rows);
                    pack(self.right(dy), 0..m, 0..k, dy_rows);
                    let (q, dy) = (
                        Panels { data: query_rows, height: m, columns: k, precision },
                        Panels { data: dy_rows, height: m, columns: k, precision },
                    );
                    multiply(ds.t(), q, m, Output::new(dk, k), start, 0..n, 0..k);
                    multiply(p.t(), dy, m, Output::new(dv, k), start, 0..n, 0..k);
                    start = Start::Itself;
                }
                turn(
                    Rows { data: dq, stride: k },
                    t,
                    k,
                    into(head),
                    &self.angles,
                    self.scale(),
                    Way::Backward,
                );
            }
            turn(Rows { data: dk, stride: k }, t, k, into(h + kv_head), &self.angles, 1.0, Way::Backward);
            turn(Rows { data: dv, stride: k }, t, k, into(h + g + kv_head), &None, 1.0, Way::Forward);
        });
    }
}

/// One key-value head of one sequence.
#[derive(Clone, Copy)]
struct Group {
    sequence: usize,
    kv_head: usize,
}

simd! {
    /// Turns the scores of the queries in `block`, a row each, into e^(score - largest) up to the query's own time and
    /// zeros up to the last of the block; gives the log-sum-exp and the inverse sum of each row.
    fn exponentiate<S>(s, scores: &mut [f32], stride: usize, block: Range<usize>, log_sums: &mut [f32],
                       inverses: &mut [f32]) {
        for (i, row) in scores.chunks_mut(stride).take(block.len()).enumerate() {
            let n = block.start + i + 1;
            // Whole vectors: a row of scores has room for them, and the lanes from n on are masked.
            let last = (n - 1) / S::LANES * S::LANES;
            let mut largest = s.below(last, n, s.get(row, last), f32::NEG_INFINITY);
            for j in (0..last).step_by(S::LANES) {
                largest = s.max(largest, s.get(row, j));
            }
            let largest = s.largest(largest);
            let largests = s.splat(largest);
            let e = s.exp(s.sub(s.get(row, last), largests));
            let mut sums = s.below(last, n, e, 0.0);
            s.set(row, last, sums);
            for j in (0..last).step_by(S::LANES) {
                let e = s.exp(s.sub(s.get(row, j), largests));
                s.set(row, j, e);
                sums = s.add(sums, e);
            }
            for j in (last + S::LANES..block.end).step_by(S::LANES) {
                s.set(row, j, s.splat(0.0));
            }
            let sum = s.sum(sums);
            log_sums[i] = largest + sum.ln();
            inverses[i] = 1.0 / sum;
        }
    }
}

simd! {
    /// Turns scores into shares P and the gradients of shares into those of scores, P (dP - rowsum(dO O)), for the
    /// queries in `block`; zeros beyond the query's own time.
    fn pull_back<S>(s, shares: &mut [f32], dscores: &mut [f32], stride: usize, block: Range<usize>, log_sums: &[f32],
                    y: Rows, dy: Rows, k: usize) {
        let rows = shares.chunks_mut(stride).zip(dscores.chunks_mut(stride)).zip(log_sums);
        for (i, ((p, ds), &log_sum)) in rows.enumerate() {
            let (y, dy) = (&y.data[i * y.stride..][..k], &dy.data[i * dy.stride..][..k]);
            let whole = k / S::LANES * S::LANES;
            let mut products = s.mul(s.get_tail(&y[whole..], 0.0), s.get_tail(&dy[whole..], 0.0));
            for c in (0..whole).step_by(S::LANES) {
                products = s.fma(s.get(y, c), s.get(dy, c), products);
            }
            let (mean, log_sum) = (s.splat(s.sum(products)), s.splat(log_sum));
            let n = block.start + i + 1;
            for j in (0..n).step_by(S::LANES) {
                let share = s.below(j, n, s.exp(s.sub(s.get(p, j), log_sum)), 0.0);
                s.set(p, j, share);
                let dscore = s.mul(share, s.sub(s.get(ds, j), mean));
                s.set(ds, j, s.below(j, n, dscore, 0.0));
            }
            for j in (n.next_multiple_of(S::LANES)..block.end).step_by(S::LANES) {
                s.set(p, j, s.splat(0.0));
                s.set(ds, j, s.splat(0.0));
            }
        }
    }
}

simd! {
    /// Multiplies row i, `k` wide, by factor i.
    fn scale_rows<S>(s, c: Output, k: usize, factors: &[f32]) {
        for (i, &factor) in factors.iter().enumerate() {
            // SAFETY: the caller promises that the rows are this thread's.
            let row = unsafe { c.row(i, k) };
            let factors = s.splat(factor);
            let whole = k / S::LANES * S::LANES;
            for c in (0..whole).step_by(S::LANES) {
                s.set(row, c, s.mul(s.get(row, c), factors));
            }
            row[whole..].iter_mut().for_each(|x| *x *= factor);
        }
    }
}
