//! Where a value stands in a text: as it is written, as whole words, and not inside of another fact. A letter with its
//! marks is the same letter whether it is written as one or as several (NFC and NFD of Unicode).

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

/// Finds each of `values` in `text`, longer ones first, each at the first place that is free.
pub(super) fn find_all(text: &str, values: &[&str]) -> Vec<Option<Range<usize>>> {
    let mut found: Vec<Option<Range<usize>>> = vec![None; values.len()];
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(values[i].len()));
    for i in order {
        let free = |range: &Range<usize>| {
            found.iter().flatten().all(|taken| range.end <= taken.start || taken.end <= range.start)
        };
        let place = |value: &str| {
            let places = text.match_indices(value).map(|(start, value)| start..start + value.len());
            places.filter(|range| is_whole(text, range)).find(free)
        };
        let other = || [composed(values[i]), decomposed(values[i])].iter().find_map(|value| place(value));
        found[i] = place(values[i]).or_else(|| if values[i].is_ascii() { None } else { other() });
    }
    found
}

/// A text whose letters with marks are one each, where they can be.
pub(super) fn composed(text: &str) -> String {
    text.nfc().collect()
}

fn decomposed(text: &str) -> String {
    text.nfd().collect()
}

/// Whether a letter is a mark of the letter before it (the blocks of combining diacritical marks).
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Whether neither neighbour would make a longer word of it.
fn is_whole(text: &str, range: &Range<usize>) -> bool {
    let value = &text[range.clone()];
    let joins = |outside: Option<char>, inside: Option<char>| {
        outside.is_some_and(char::is_alphanumeric) && inside.is_some_and(char::is_alphanumeric)
    };
    !text[range.end..].starts_with(is_mark)
        && !joins(text[..range.start].chars().next_back(), value.chars().next())
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

    #[test]
    fn a_letter_is_the_same_however_its_marks_are_written_and_not_without_them() {
        let (one, several) = ("Jos\u{e9} N\u{fa}\u{f1}ez", "Jose\u{301} Nu\u{301}n\u{303}ez");
        for (name, told) in [(one, several), (several, one), (one, one), (several, several)] {
            let text = format!(" Here is {told}.");
            assert_eq!(find_all(&text, &[name]), [Some(9..9 + told.len())]);
        }
        assert_eq!(find_all(&format!(" {several}."), &["Jose"]), [None]);
        assert_eq!(find_all(" Jose, Jose\u{301}", &["Jos\u{e9}"]), [Some(7..13)]);
    }
}
