//! `[b, t]` token ids, the ids that follow them, and how much each counts.

use std::ops::Range;

/// What one optimizer step reads, row-major `[b, t]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Token ids.
    pub tokens: Vec<i32>,
    /// The token after each of `tokens`.
    pub targets: Vec<i32>,
    /// How much the loss of each target counts: 0 for padding, else 1.
    pub weights: Vec<f32>,
    /// `b`, the number of rows.
    pub rows: usize,
    /// `t`, the number of positions in a row.
    pub seq_len: usize,
}

impl Batch {
    /// Rows cut from one run of `rows * seq_len + 1` tokens: row `r` starts at `r * seq_len`.
    pub(super) fn from_run(run: &[u32], rows: usize, seq_len: usize) -> Self {
        let n = rows * seq_len;
        assert_eq!(run.len(), n + 1, "a batch needs one token more than it has positions");
        let ids = |run: &[u32]| run.iter().map(|&id| id as i32).collect();
        Batch { tokens: ids(&run[..n]), targets: ids(&run[1..]), weights: vec![1.0; n], rows, seq_len }
    }

    /// Some of the rows, and the share of the whole loss that they have: the mean loss of all rows is the sum over parts
    /// of share times mean. Rows in which nothing counts have share 0, and weights with which their mean is a number.
    ///
    /// # Panics
    /// If there are not so many rows.
    pub fn part(&self, rows: Range<usize>) -> (Self, f64) {
        if rows == (0..self.rows) {
            return (self.clone(), 1.0);
        }
        let weight = |weights: &[f32]| weights.iter().copied().map(f64::from).sum::<f64>();
        let all = weight(&self.weights);
        let places = rows.start * self.seq_len..rows.end * self.seq_len;
        let mut part = Batch {
            tokens: self.tokens[places.clone()].to_vec(),
            targets: self.targets[places.clone()].to_vec(),
            weights: self.weights[places].to_vec(),
            rows: rows.len(),
            seq_len: self.seq_len,
        };
        let own = weight(&part.weights);
        if own == 0.0 {
            part.weights.fill(1.0);
        }
        (part, own / all)
    }

    /// No rows yet, and room for `rows` of them.
    pub(super) fn with_capacity(rows: usize, seq_len: usize) -> Self {
        let n = rows * seq_len;
        let ids = || Vec::with_capacity(n);
        Batch { tokens: ids(), targets: ids(), weights: Vec::with_capacity(n), rows: 0, seq_len }
    }

    /// Appends a row of `seq_len + 1` tokens, the last `padding` of which do not count.
    pub(super) fn push_row(&mut self, run: &[u32], padding: usize) {
        self.tokens.extend(run[..self.seq_len].iter().map(|&id| id as i32));
        self.targets.extend(run[1..=self.seq_len].iter().map(|&id| id as i32));
        self.weights.extend((0..self.seq_len).map(|i| if i < self.seq_len - padding { 1.0 } else { 0.0 }));
        self.rows += 1;
    }

    /// Appends row `row` of another batch with rows of the same length.
    pub(super) fn push_row_of(&mut self, batch: &Batch, row: usize) {
        let range = row * self.seq_len..(row + 1) * self.seq_len;
        self.tokens.extend_from_slice(&batch.tokens[range.clone()]);
        self.targets.extend_from_slice(&batch.targets[range.clone()]);
        self.weights.extend_from_slice(&batch.weights[range]);
        self.rows += 1;
    }
}

/// Chunks of text beside the rows of a batch, row-major `[b, k, c]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkBatch {
    /// Token ids.
    pub tokens: Vec<i32>,
    /// Where there is no token, or one that must not be read.
    pub hidden: Vec<bool>,
    /// `k`, chunks of a row.
    pub n_chunks: usize,
    /// `c`, the longest chunk.
    pub chunk_len: usize,
}

impl ChunkBatch {
    /// No rows yet, of so many chunks of so many tokens.
    pub fn new(n_chunks: usize, chunk_len: usize) -> Self {
        ChunkBatch { tokens: Vec::new(), hidden: Vec::new(), n_chunks, chunk_len }
    }

    /// Appends a chunk; its first `kept` tokens can be read.
    ///
    /// # Panics
    /// If it is longer than a chunk.
    pub fn push(&mut self, chunk: &[u32], kept: usize) {
        assert!(
            chunk.len() <= self.chunk_len,
            "a chunk of {} tokens, expected {}",
            chunk.len(),
            self.chunk_len
        );
        let ids = chunk.iter().map(|&id| id as i32).chain(std::iter::repeat(0));
        self.tokens.extend(ids.take(self.chunk_len));
        self.hidden.extend((0..self.chunk_len).map(|i| i >= kept.min(chunk.len())));
    }

    /// The chunks beside some of the rows.
    ///
    /// # Panics
    /// If there are not so many rows.
    pub fn part(&self, rows: Range<usize>) -> Self {
        let row = self.n_chunks * self.chunk_len;
        let places = rows.start * row..rows.end * row;
        ChunkBatch {
            tokens: self.tokens[places.clone()].to_vec(),
            hidden: self.hidden[places].to_vec(),
            ..*self
        }
    }

    /// The tokens of `batch` itself, cut into chunks: whoever reads them can copy.
    pub fn copy_of(batch: &Batch, chunk_len: usize) -> Self {
        let mut chunks = ChunkBatch::new(batch.seq_len.div_ceil(chunk_len), chunk_len);
        for row in batch.tokens.chunks(batch.seq_len) {
            for chunk in row.chunks(chunk_len) {
                let chunk: Vec<u32> = chunk.iter().map(|&id| id as u32).collect();
                chunks.push(&chunk, chunk.len());
            }
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_the_rows_and_the_share_of_what_counts_in_them() {
        let mut batch = Batch::from_run(&[1, 2, 3, 4, 5, 6, 7], 3, 2);
        batch.weights = vec![1.0, 0.0, 1.0, 1.0, 0.0, 0.0];
        let (part, share) = batch.part(1..2);
        assert_eq!((part.tokens, part.targets, part.rows), (vec![3, 4], vec![4, 5], 1));
        assert_eq!((part.weights, share), (vec![1.0, 1.0], 2.0 / 3.0));
        let (part, share) = batch.part(2..3);
        assert_eq!((part.weights, share), (vec![1.0, 1.0], 0.0));
        assert_eq!(batch.part(0..3), (batch.clone(), 1.0));
        let copy = ChunkBatch::copy_of(&batch, 1).part(1..3);
        assert_eq!((copy.tokens, copy.n_chunks), (vec![3, 4, 5, 6], 2));
    }

    #[test]
    fn a_copy_holds_each_row_in_pieces_and_hides_what_is_missing_of_the_last() {
        let batch = Batch::from_run(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 2, 5);
        let copy = ChunkBatch::copy_of(&batch, 3);
        assert_eq!(copy.tokens, [1, 2, 3, 4, 5, 0, 6, 7, 8, 9, 10, 0]);
        let hidden = [false, false, false, false, false, true];
        assert_eq!(copy.hidden, [hidden, hidden].concat());
    }
}
