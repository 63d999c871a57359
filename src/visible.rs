//! Text as it is shown: what would command a terminal, or hide from a reader, is written out as `\u001b`.
//!
//! That is how JSON and TOML write it too, so that what is printed in these formats stays what it was.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_normalization::UnicodeNormalization;

/// A text of several lines; line ends and tabs stay.
pub fn text(text: &str) -> Cow<'_, str> {
    shown(text, |c| is_hidden(c) && !matches!(c, '\n' | '\t'))
}

/// A name, a path or a sentence, which stands on one line.
pub fn line(text: &str) -> Cow<'_, str> {
    shown(text, is_hidden)
}

/// What two names have in common that a reader takes for one: as shown, without what has no width or no ink.
pub fn look(name: &str) -> String {
    let has_ink = |c: char| !matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
    let name: String = line(name).chars().filter(|&c| has_ink(c)).nfkc().collect();
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Controls (C0, DEL, C1), line separators, directions of writing, and what has no width; joiners, which some scripts
/// are written with, stay.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

fn shown(text: &str, is_hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if !is_hidden(c) => shown.push(c),
            '\n' | '\r' | '\t' => shown.extend(c.escape_default()),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(shown, "\\u{unit:04x}");
            }),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_commands_a_terminal_or_hides() {
        assert_eq!(line("a\u{1b}]0;t\u{7}\u{9b}31m\u{7f}"), "a\\u001b]0;t\\u0007\\u009b31m\\u007f");
        assert_eq!(line("\u{202e}\u{2066}\u{200e}\u{61c}\u{200b}"), "\\u202e\\u2066\\u200e\\u061c\\u200b");
        assert_eq!((line("a\n\tb\r"), text("a\n\tb\r")), ("a\\n\\tb\\r".into(), "a\n\tb\\r".into()));
        assert_eq!(line("\u{e0041}"), "\\udb40\\udc41");
        for plain in ["größer — ÷ 日本 👩‍💻 می‌خواهم", "C:\\new"] {
            assert!(matches!((line(plain), text(plain)), (Cow::Borrowed(_), Cow::Borrowed(_))), "{plain}");
        }
    }

    #[test]
    fn json_stays_what_it_was() {
        let value = serde_json::json!({"a\u{9b}": "\u{202e}\u{7f}\u{e0041}\n\u{1b}"});
        let printed = text(&format!("{value:#}")).into_owned();
        assert!(printed.is_ascii() && !printed.contains('\u{7f}'), "{printed}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }

    #[test]
    fn names_that_look_alike_have_one_look() {
        for alike in ["a b", "a  b ", "a\u{a0}b", "a\u{200d} b", "ａ b"] {
            assert_eq!(look(alike), "a b", "{alike:?}");
        }
        assert_eq!((look("\u{1b}x"), look("é")), (look("\\u001bx"), look("e\u{301}")));
        assert_ne!(look("a"), look("A"));
    }
}
