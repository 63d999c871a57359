//! Words with the space before them.

/// Cuts a text into runs of one class (letters, digits, other marks), each with the space before it.
pub(super) struct Words<'a>(pub &'a str);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Space,
    Mark,
}

fn class(c: char) -> Class {
    match c {
        c if c.is_alphabetic() => Class::Letter,
        c if c.is_numeric() => Class::Digit,
        c if c.is_whitespace() => Class::Space,
        _ => Class::Mark,
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let first = self.0.chars().next()?;
        let body = self
            .0
            .strip_prefix(' ')
            .filter(|rest| rest.starts_with(|c| class(c) != Class::Space))
            .unwrap_or(self.0);
        let kind = body.chars().next().map_or(class(first), class);
        let run = body.find(|c| class(c) != kind).unwrap_or(body.len());
        let mut end = self.0.len() - body.len() + run;
        // The last space of a longer run belongs to the word after it.
        if kind == Class::Space && end < self.0.len() && run > 1 && self.0[..end].ends_with(' ') {
            end -= 1;
        }
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_the_space_before_them() {
        let words: Vec<&str> = Words("Ada, 36  is\n here").collect();
        assert_eq!(words, ["Ada", ",", " 36", " ", " is", "\n", " here"]);
    }
}
