//! One sentence with holes: `{name} began {his} career at {value}.`
//!
//! A sentence opens with its subject, because a model that has to guess how a sentence goes on before it
//! comes to the name or the gender would be charged for that guess.

/// Who is spoken of; printed as the pronoun.
pub(super) const PRONOUNS: [(&str, &str); 2] = [(" He", "his"), (" She", "her")];

/// The text before and after the value, each with the space before its first word and none after its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub before: Half,
    pub after: Half,
}

/// A stretch of text with at most one possessive pronoun in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Half {
    pub text: String,
    /// The text after the pronoun, if there is one.
    pub after_pronoun: Option<String>,
}

impl Template {
    /// Reads one line; else what was found and what was expected.
    pub fn parse(line: &str) -> Result<Self, (String, &'static str)> {
        let rest =
            line.strip_prefix("{name}").ok_or(("no {name} at the beginning".to_string(), "{name} first"))?;
        let (before, after) = rest.split_once("{value}").ok_or(("no {value}".to_string(), "{value} once"))?;
        let before = before.strip_suffix(' ').ok_or(("no space before {value}".to_string(), "a space"))?;
        if rest.matches("{his}").count() > 1 {
            return Err(("{his} more than once".to_string(), "{his} at most once"));
        }
        Ok(Template { before: Half::parse(before)?, after: Half::parse(after)? })
    }
}

impl Half {
    fn parse(text: &str) -> Result<Self, (String, &'static str)> {
        let (text, after_pronoun) = match text.split_once("{his}") {
            Some((text, rest)) => (
                text.strip_suffix(' ').ok_or(("no space before {his}".to_string(), "a space"))?,
                Some(rest.to_string()),
            ),
            None => (text, None),
        };
        if [Some(text), after_pronoun.as_deref()].into_iter().flatten().any(|text| text.contains(['{', '}']))
        {
            return Err((
                "an unknown or repeated {...}".to_string(),
                "{name}, {value} and perhaps {his}, each once",
            ));
        }
        Ok(Half { text: text.to_string(), after_pronoun })
    }

    /// The pieces of this half for a pronoun such as `his`, to be tokenised one by one.
    pub fn pieces(&self, pronoun: &str) -> Vec<String> {
        let mut pieces = vec![self.text.clone()];
        if let Some(rest) = &self.after_pronoun {
            pieces.extend([format!(" {pronoun}"), rest.clone()]);
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_cut_at_its_holes() {
        let template = Template::parse("{name} built {his} career at {value}, gladly.").unwrap();
        assert_eq!(template.before.pieces("her"), [" built", " her", " career at"]);
        assert_eq!(template.after.pieces("her"), [", gladly."]);
    }

    #[test]
    fn a_sentence_that_cannot_be_filled_is_refused() {
        for (line, found) in [
            ("It was {name} in {value}.", "no {name} at the beginning"),
            ("{name} was born.", "no {value}"),
            ("{name} was born in({value}).", "no space before {value}"),
            ("{name} saw {value} and {value}.", "an unknown or repeated {...}"),
            ("{name} lost {his} key and {his} job at {value}.", "{his} more than once"),
            ("{name} met {her} at {value}.", "an unknown or repeated {...}"),
        ] {
            assert_eq!(Template::parse(line).unwrap_err().0, found, "{line}");
        }
    }
}
