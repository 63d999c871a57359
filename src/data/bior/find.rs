//! Where a value stands in a text: as it is written, as whole words, and not inside of another fact.

use std::ops::Range;

/// Finds each of `values` in `text`, longer ones first, each at the first place that is free.
pub(super) fn find_all(text: &str, values: &[&str]) -> Vec<Option<Range<usize>>> {
    let mut found: Vec<Option<Range<usize>>> = vec![None; values.len()];
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(values[i].len()));
    for i in order {
        let free = |range: &Range<usize>| {
            found.iter().flatten().all(|taken| range.end <= taken.start || taken.end <= range.start)
        };
        let places = text.match_indices(values[i]).map(|(start, value)| start..start + value.len());
        let place = places.filter(|range| is_whole(text, range)).find(free);
        found[i] = place;
    }
    found
}

/// Whether neither neighbour would make a longer word of it.
fn is_whole(text: &str, range: &Range<usize>) -> bool {
    let value = &text[range.clone()];
    let joins = |outside: Option<char>, inside: Option<char>| {
        outside.is_some_and(char::is_alphanumeric) && inside.is_some_and(char::is_alphanumeric)
    };
    !joins(text[..range.start].chars().next_back(), value.chars().next())
        && !joins(text[range.end..].chars().next(), value.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_whole_words_and_do_not_overlap() {
        let text = "A lawyer of Princeton Foods, she read Law at Princeton.";
        let found = find_all(text, &["Law", "Princeton", "Princeton Foods", "law"]);
        assert_eq!(found[0].clone().map(|range| range.start), text.find("Law at"));
        assert_eq!(found[1].clone().map(|range| range.start), text.rfind("Princeton"));
        assert_eq!(found[2].clone().map(|range| range.start), text.find("Princeton Foods"));
        assert_eq!(found[3], None);
    }
}
