//! How one of our tensors lies in theirs.
//!
//! A linear layer of ours is `[in, out]`, theirs is `[out, in]`; GPT-2 alone writes it as we do. Ours packs queries, keys
//! and values side by side, and the experts of a mixture one below the other.

use crate::kernels::Heads;

/// How one of our tensors lies in theirs. A vector has its only axis as `out`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Layout {
    /// As it is.
    Same,
    /// Rows and columns change places.
    Transposed,
    /// One tensor for each group of so many output channels, transposed.
    Beside(Vec<usize>),
    /// One tensor for each of so many equal groups of input channels, transposed.
    Below(usize),
    /// Transposed, with query, key and value of a head together: head by head instead of role by role.
    ByHead(Heads),
}

impl Layout {
    /// How many tensors of theirs it takes.
    pub fn parts(&self) -> usize {
        match self {
            Layout::Same | Layout::Transposed | Layout::ByHead(_) => 1,
            Layout::Beside(widths) => widths.len(),
            Layout::Below(n) => *n,
        }
    }

    /// The shape of part `j` of theirs, for ours of `shape`.
    pub fn shape(&self, shape: &[usize], j: usize) -> Vec<usize> {
        match (self, shape) {
            (Layout::Same, shape) => shape.to_vec(),
            (Layout::Beside(widths), [_]) => vec![widths[j]],
            (Layout::Beside(widths), [d_in, ..]) => vec![widths[j], *d_in],
            (Layout::Below(n), [d_in, d_out]) => vec![*d_out, d_in / n],
            (Layout::Transposed | Layout::ByHead(_), [d_in, d_out]) => vec![*d_out, *d_in],
            (_, shape) => shape.to_vec(),
        }
    }

    /// The element of ours, of `shape`, that is element `at` of part `j` of theirs.
    pub fn position(&self, shape: &[usize], j: usize, at: usize) -> usize {
        let &[d_in, d_out] = shape else { return self.channel(j, at) };
        if *self == Layout::Same {
            return at;
        }
        let (columns, above) = match self {
            Layout::Below(n) => (d_in / n, j * d_in / n),
            Layout::Same | Layout::Transposed | Layout::Beside(_) | Layout::ByHead(_) => (d_in, 0),
        };
        (above + at % columns) * d_out + self.channel(j, at / columns)
    }

    /// The output channel of ours that is channel `at` of part `j` of theirs.
    fn channel(&self, j: usize, at: usize) -> usize {
        match self {
            Layout::Same | Layout::Transposed | Layout::Below(_) => at,
            Layout::Beside(widths) => widths[..j].iter().sum::<usize>() + at,
            Layout::ByHead(Heads { n_heads, d_head, .. }) => {
                let (head, role, channel) = (at / (3 * d_head), at / d_head % 3, at % d_head);
                (role * n_heads + head) * d_head + channel
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_their_names_say() {
        let ours: Vec<usize> = (0..24).collect(); // [4, 6]: element = 6 * row + column
        let part = |layout: &Layout, j: usize| -> Vec<usize> {
            let n: usize = layout.shape(&[4, 6], j).iter().product();
            (0..n).map(|at| ours[layout.position(&[4, 6], j, at)]).collect()
        };
        assert_eq!(part(&Layout::Transposed, 0)[..6], [0, 6, 12, 18, 1, 7]);
        let beside = Layout::Beside(vec![4, 2]);
        assert_eq!(
            (beside.shape(&[4, 6], 1), part(&beside, 1)),
            (vec![2, 4], vec![4, 10, 16, 22, 5, 11, 17, 23])
        );
        let below = Layout::Below(2);
        assert_eq!(
            (below.shape(&[4, 6], 1), part(&below, 1)[..4].to_vec()),
            (vec![6, 2], vec![12, 18, 13, 19])
        );
        let by_head = Layout::ByHead(Heads { n_heads: 2, n_kv_heads: 2, d_head: 1 });
        assert_eq!(
            part(&by_head, 0)[..12],
            [0, 6, 12, 18, 2, 8, 14, 20, 4, 10, 16, 22],
            "q k v of the first head"
        );
    }

    #[test]
    fn every_element_has_one_place() {
        let heads = Heads { n_heads: 2, n_kv_heads: 2, d_head: 5 };
        let layouts = [
            Layout::Same,
            Layout::Transposed,
            Layout::Beside(vec![10, 7, 13]),
            Layout::Below(3),
            Layout::ByHead(heads),
        ];
        for layout in layouts {
            for shape in [vec![6, 30], vec![30]] {
                let mut places: Vec<usize> = (0..layout.parts())
                    .filter(|j| shape.len() == 2 || *j == 0 || matches!(layout, Layout::Beside(_)))
                    .flat_map(|j| {
                        let n: usize = layout.shape(&shape, j).iter().product();
                        (0..n).map(|at| layout.position(&shape, j, at)).collect::<Vec<_>>()
                    })
                    .collect();
                places.sort_unstable();
                assert!(places.into_iter().eq(0..shape.iter().product()), "{layout:?} of {shape:?}");
            }
        }
    }
}
