//! G_zero: new layers and units are there, and add nothing until the first update; no logit changes.
//!
//! In depth a new layer is a copy whose two halves end in zeros: the linear layers onto the residual stream with their
//! biases, or the norms behind them (LEMON, Wang et al. 2023, arXiv 2310.07999). In width nothing old writes into a new
//! unit, `W' = [[W, 0], [A, C]]` with random `A` and `C`, and scales of norms are multiplied by `sqrt(d/D)`, which
//! undoes what silent units do to a mean square.

use super::take::{Entry, Take};
use super::trace::{Layer, Part, Role};

/// Copies with zeros at the gates; zeros from old to new units.
pub(super) fn take(entry: &Entry) -> Take {
    if entry.trace.layer == Layer::New && entry.trace.is_gate {
        return Take::Zero;
    }
    let (reads_new, writes_new) = (entry.is_new(Role::In), entry.is_new(Role::Out));
    match entry.trace.part {
        Part::Gain if writes_new => Take::Fresh(entry.dilution()),
        Part::Gain => Take::Old(entry.dilution()),
        Part::Map | Part::Head if reads_new => Take::Fresh(1.0),
        Part::Map | Part::Head | Part::Table | Part::Offset | Part::Kernel if writes_new => Take::Zero,
        Part::Map | Part::Head | Part::Table | Part::Offset | Part::Kernel => Take::Old(1.0),
    }
}
