//! `[b, t]` token ids, the ids that follow them, and how much each counts.

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
