//! A held-out part: documents that training never reads, read once and in order.

use super::Batch;

/// Tokens that are kept from training.
#[derive(Debug)]
pub(super) struct HeldOut {
    pub tokens: Vec<u32>,
    pub seq_len: usize,
    pub end_of_text: u32,
}

impl HeldOut {
    /// Batch number `index`, or `None` past the end. The last window is padded with end-of-text of weight 0, the
    /// last batch may have fewer rows.
    pub fn batch(&self, index: u64, rows: usize) -> Option<Batch> {
        let targets = self.tokens.len().saturating_sub(1);
        let first = usize::try_from(index).ok()?.checked_mul(rows * self.seq_len)?;
        let starts = (first..targets).step_by(self.seq_len).take(rows);
        let mut batch = Batch::with_capacity(starts.len(), self.seq_len);
        for start in starts {
            let mut run = self.tokens[start..targets.min(start + self.seq_len) + 1].to_vec();
            let padding = self.seq_len + 1 - run.len();
            run.resize(self.seq_len + 1, self.end_of_text);
            batch.push_row(&run, padding);
        }
        (batch.rows > 0).then_some(batch)
    }
}
