//! The same in JSON, as files of a run have it.

use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::Word::{self, Flag, Text};
use super::{RENAMED, ROOT, Renamed, Way};

/// Reads a plan or a part of one, where the kind of a choice is the key of its settings.
///
/// # Errors
/// It is not what is read.
pub(crate) fn of_json<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
    let mut json = Json::deserialize(deserializer)?;
    rename_json(&mut json, &mut vec![ROOT.to_string()]);
    T::deserialize(json).map_err(de::Error::custom)
}

fn rename_json(json: &mut Json, path: &mut Vec<String>) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(|item| rename_json(item, path)),
        Json::Object(object) => {
            for (key, mut value) in std::mem::take(object) {
                path.push(key);
                let of_kind = |known: &&Renamed| {
                    let settings = path.len().saturating_sub(2);
                    known.is_at(&[&path[..settings], &path[settings + 1..]].concat(), Way::ToNow)
                };
                let known = RENAMED.iter().find(|known| known.is_at(path, Way::ToNow) || of_kind(known));
                if let Some(known) = known {
                    rename_json_value(&mut value, known.values);
                    path.pop();
                    path.push(known.now.to_string());
                }
                rename_json(&mut value, path);
                object.extend(path.pop().map(|key| (key, value)));
            }
        }
        _ => {}
    }
}

fn rename_json_value(json: &mut Json, values: &[(Word, Word)]) {
    for (before, now) in values {
        match (&mut *json, before, now) {
            (Json::String(text), Text(before), _) if text == before => {
                *json = match now {
                    Text(now) => Json::from(*now),
                    Flag(now) => Json::from(*now),
                };
                return;
            }
            (Json::Object(object), Text(before), Text(now)) => {
                let settings = object.remove(*before);
                object.extend(settings.map(|settings| (now.to_string(), settings)));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_the_first_format_has_the_plan_of_todays() {
        let [before, now] = [
            r#"{"attention": {"reach": {"window": {"size": 3}}, "score_cap": "none"}}"#,
            r#"{"attention": {"mask": {"sliding-window": {"size": 3}}, "logit_softcap": "none"}}"#,
        ];
        let moe = [
            r#"{"moe": {"gate": "normalised", "balance": 0.5}}"#,
            r#"{"moe": {"norm_topk_prob": true, "load_balance_coef": 0.5}}"#,
        ];
        let plan = |block: [&str; 2], mixer: &str, moe: &str| {
            format!(
                r#"{{"model": {{"block": {{"{}": "{}", "mixer": {mixer}, "feed_forward": {moe}}}}}}}"#,
                block[0], block[1]
            )
        };
        let read = |text: String| {
            let mut json = serde_json::from_str(&text).unwrap();
            rename_json(&mut json, &mut vec![ROOT.to_string()]);
            json
        };
        let today = plan(["norm_placement", "post"], now, moe[1]);
        assert_eq!(read(plan(["arrangement", "post-norm"], before, moe[0])), read(today.clone()));
        assert_eq!(read(today.clone()), serde_json::from_str::<Json>(&today).unwrap());
    }
}
