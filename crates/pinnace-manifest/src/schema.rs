//! The JSON Schema of the file, for editors, made from the table of keys.

use serde_json::{Map, Value, json};

use crate::keys::{self, Key, Section, Shape};

/// The schema, draft 2020-12.
pub fn json_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pinnace.toml",
        "type": "object",
        "additionalProperties": false,
        "required": ["system"],
        "properties": {
            "system": section(Section::System),
            "engines": section(Section::Engines),
            "context": { "type": "object", "additionalProperties": section(Section::Context) },
            "service": { "type": "object", "additionalProperties": section(Section::Service) },
        },
    })
}

fn section(section: Section) -> Value {
    let of_section = || keys::table().iter().filter(move |key| key.section == section);
    let properties: Map<String, Value> = of_section().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = of_section().filter(|key| key.required).map(|key| key.name).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

fn property(key: &Key) -> Value {
    let mut schema = shape(key.shape);
    if let Value::Object(schema) = &mut schema {
        let default = if key.default.is_empty() { String::new() } else { format!(" Default: {}.", key.default) };
        schema.insert("description".to_owned(), format!("{}.{default}", key.meaning).into());
    }
    schema
}

fn shape(shape: Shape) -> Value {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    match shape {
        Shape::Text => text,
        Shape::Texts => texts,
        Shape::TextOrTexts => json!({ "anyOf": [text, texts] }),
        Shape::Number(most) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::TextTable => json!({ "type": "object", "additionalProperties": text }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::Duration => json!({ "type": "string", "pattern": "^([0-9]+(d|h|m|s|ms))+$" }),
        Shape::Size => json!({ "type": "string", "pattern": "^[0-9]+(B|kB|KiB|MB|MiB|GB|GiB)$" }),
        Shape::Table(inner) => section(inner),
        Shape::Tables(inner) => json!({ "type": "array", "items": section(inner) }),
    }
}
