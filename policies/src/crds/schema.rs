//! From a type's JSON schema to a structural schema as the API server takes it.
//!
//! Facts: "Specifying a structural schema" in the Kubernetes manual. References are inlined; `null` is no value of its
//! own (an absent field is); an enum is a list of words; a closed object is closed by its properties alone; integers have
//! the two formats that OpenAPI knows.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// The schema of a type.
pub(super) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    structural(&mut schema);
    schema
}

/// Takes every default away: what programs write, they write whole.
pub(super) fn without_defaults(schema: &mut Value) {
    each(schema, &mut |fields| drop(fields.remove("default")));
}

/// Lets every object keep fields that this version does not know.
pub(super) fn open(schema: &mut Value) {
    each(schema, &mut |fields| {
        if fields.contains_key("properties") {
            fields.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
        }
    });
}

fn structural(schema: &mut Value) {
    each(schema, &mut |fields| {
        for word in ["$schema", "title"] {
            fields.remove(word);
        }
        if fields.get("additionalProperties") == Some(&json!(false)) {
            fields.remove("additionalProperties");
        }
        drop_null(fields);
        words(fields);
        integer(fields);
        if fields.get("default").is_some_and(|d| d.is_null() || d.is_object() || d.is_array()) {
            fields.remove("default");
        }
        if let Some(Value::String(text)) = fields.get_mut("description") {
            *text = prose(text);
        }
    });
}

/// Applies a change to a schema and to all schemas in it, outer ones first.
fn each(schema: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    let Some(fields) = schema.as_object_mut() else { return };
    change(fields);
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(|property| each(property, change));
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(inner) {
            each(inner, change);
        }
    }
}

/// `["string", "null"]` and `anyOf: [X, null]` are an optional X, whose absence the parent's `required` tells.
fn drop_null(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = fields.get("type") {
        let first = types.iter().find(|t| *t != "null").cloned();
        fields.insert("type".to_owned(), first.unwrap_or_default());
    }
    if let Some(Value::Array(options)) = fields.remove("anyOf") {
        let some = options.into_iter().find(|option| option.get("type") != Some(&json!("null")));
        if let Some(Value::Object(some)) = some {
            for (key, value) in some {
                fields.entry(key).or_insert(value);
            }
        }
    }
}

/// `oneOf` of constants, each with its description, is an enum whose description lists them.
fn words(fields: &mut Map<String, Value>) {
    let Some(Value::Array(options)) = fields.remove("oneOf") else { return };
    let mut description = text(fields.get("description"));
    let mut all = Vec::new();
    for option in &options {
        let (word, says) = (option.get("const"), prose(&text(option.get("description"))));
        // Variants without a description come as one option with an enum.
        let listed = option.get("enum").and_then(Value::as_array).into_iter().flatten();
        all.extend(word.into_iter().chain(listed).cloned());
        if let Some(Value::String(word)) = word
            && !says.is_empty()
        {
            description.push_str(&format!("\n- {word}: {says}"));
        }
    }
    fields.insert("type".to_owned(), json!("string"));
    fields.insert("enum".to_owned(), Value::Array(all));
    fields.insert("description".to_owned(), Value::String(description.trim().to_owned()));
}

/// Unsigned numbers are signed ones that begin at 0.
fn integer(fields: &mut Map<String, Value>) {
    if matches!(fields.get("format").and_then(Value::as_str), Some("uint64" | "uint32")) {
        fields.insert("format".to_owned(), json!("int64"));
        fields.insert("minimum".to_owned(), json!(0));
    }
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Documentation comments as people read them outside the code: no links, lines joined, the list of words kept.
fn prose(text: &str) -> String {
    text.replace("[`", "`")
        .replace("`]", "`")
        .replace("::", ".")
        .replace("\n- ", "\u{0}")
        .replace('\n', " ")
        .replace('\u{0}', "\n- ")
}
