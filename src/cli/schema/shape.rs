//! JSON Schema in few words. Objects may get more keys in later versions, so that none of them is closed.

use serde_json::{Map, Value as Json, json};

/// An object of these keys; one that ends in a question mark may be absent.
pub fn object(fields: &[(&str, Json)]) -> Json {
    let name = |field: &str| field.trim_end_matches('?').to_string();
    let properties: Map<String, Json> =
        fields.iter().map(|(field, shape)| (name(field), shape.clone())).collect();
    let required: Vec<&str> =
        fields.iter().map(|(field, _)| *field).filter(|field| !field.ends_with('?')).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// The keys of one object and then those of another.
pub fn also(mut base: Json, more: &[(&str, Json)]) -> Json {
    let more = object(more);
    for key in ["properties", "required"] {
        match (&mut base[key], &more[key]) {
            (Json::Object(base), Json::Object(more)) => {
                base.extend(more.iter().map(|(k, v)| (k.clone(), v.clone())))
            }
            (Json::Array(base), Json::Array(more)) => base.extend(more.iter().cloned()),
            _ => {}
        }
    }
    base
}

/// The shape, with a sentence about it.
pub fn about(mut shape: Json, sentence: &str) -> Json {
    shape["description"] = json!(sentence);
    shape
}

/// A text.
pub fn text() -> Json {
    json!({"type": "string"})
}

/// One of these texts.
pub fn word(words: &[&str]) -> Json {
    json!({"enum": words})
}

/// A number.
pub fn number() -> Json {
    json!({"type": "number"})
}

/// A whole number, not negative.
pub fn count() -> Json {
    json!({"type": "integer", "minimum": 0})
}

/// True or false.
pub fn flag() -> Json {
    json!({"type": "boolean"})
}

/// Whatever it is.
pub fn anything() -> Json {
    json!({})
}

/// An array of these.
pub fn list(items: Json) -> Json {
    json!({"type": "array", "items": items})
}

/// An array of exactly these.
pub fn row(items: &[Json]) -> Json {
    json!({"type": "array", "prefixItems": items, "minItems": items.len(), "maxItems": items.len()})
}

/// One of several shapes.
pub fn either(shapes: &[Json]) -> Json {
    json!({"anyOf": shapes})
}

/// That, or null.
pub fn or_null(shape: Json) -> Json {
    either(&[shape, json!({"type": "null"})])
}

/// An object with keys of any name.
pub fn table_of(values: Json) -> Json {
    json!({"type": "object", "additionalProperties": values})
}
