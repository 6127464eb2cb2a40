//! The JSON schema agrees with the reader.

use serde_json::{Value, json};
use tinsmith_network::{ModelSpec, json_schema};

use crate::kind_examples;

/// Whether `value` is valid, for the keywords that the schema uses; it stops at any other keyword.
fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let schema = match schema {
        Value::Bool(all) => return *all,
        other => other.as_object().unwrap(),
    };
    schema.iter().all(|(keyword, wanted)| {
        let list = |key: &Value| key.as_array().unwrap().clone();
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
            "$ref" => {
                let path = wanted.as_str().unwrap().trim_start_matches('#');
                is_valid(root, root.pointer(path).unwrap(), value)
            }
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    "number" => value.is_number(),
                    "integer" => value.is_i64() || value.is_u64(),
                    other => unreachable!("type {other}"),
                };
                wanted.as_array().map_or_else(|| is(wanted), |names| names.iter().any(is))
            }
            "const" => value == wanted,
            "enum" => list(wanted).contains(value),
            "oneOf" => list(wanted).iter().filter(|s| is_valid(root, s, value)).count() == 1,
            "anyOf" => list(wanted).iter().any(|s| is_valid(root, s, value)),
            "properties" => {
                let each = wanted.as_object().unwrap();
                each.iter().all(|(key, s)| value.get(key).is_none_or(|v| is_valid(root, s, v)))
            }
            "additionalProperties" => {
                assert_eq!(*wanted, json!(false));
                let known = schema.get("properties").and_then(Value::as_object);
                value
                    .as_object()
                    .is_none_or(|map| map.keys().all(|k| known.is_some_and(|p| p.contains_key(k))))
            }
            "required" => value
                .as_object()
                .is_none_or(|map| list(wanted).iter().all(|k| map.contains_key(k.as_str().unwrap()))),
            "items" => value.as_array().is_none_or(|items| items.iter().all(|v| is_valid(root, wanted, v))),
            "minimum" => value.as_f64().is_none_or(|v| v >= wanted.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|v| v.len() as u64 >= wanted.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|v| v.len() as u64 <= wanted.as_u64().unwrap()),
            "minProperties" => value.as_object().is_none_or(|v| v.len() as u64 >= wanted.as_u64().unwrap()),
            "maxProperties" => value.as_object().is_none_or(|v| v.len() as u64 <= wanted.as_u64().unwrap()),
            // The only pattern is that of quantizers: a name of the list, and parentheses.
            "pattern" => value.as_str().is_none_or(|text| {
                let (name, rest) = text.split_once('(').unwrap_or((text, ")"));
                wanted.as_str().unwrap().contains(name) && rest.ends_with(')')
            }),
            other => unreachable!("keyword {other}: {wanted}"),
        }
    })
}

#[test]
fn what_is_read_and_written_is_valid() {
    let schema = json_schema();
    for (kind, spec) in kind_examples::all() {
        let written: Value = serde_json::from_str(&spec.to_json().unwrap()).unwrap();
        assert!(is_valid(&schema, &schema, &written), "{kind}: {written}");
    }
}

#[test]
fn what_is_refused_is_not_valid() {
    let schema = json_schema();
    let good = json!({ "layers": [{ "name": "x", "input": { "shape": [4] } }, { "name": "d", "dense": { "units": 2 } }] });
    assert!(is_valid(&schema, &schema, &good));
    for (path, key, value) in [
        ("", "layer", json!([])),
        ("/layers/1", "kind", json!("dense")),
        ("/layers/1", "conv2d", json!({ "filters": 2, "kernel": 3 })),
        ("/layers/1", "dense", json!({})),
        ("/layers/1", "dense", json!({ "units": 2, "unit": 3 })),
        ("/layers/1", "dense", json!({ "units": "two" })),
        ("/layers/1", "dense", json!({ "units": 2, "activation": "rely" })),
        ("/layers/1", "dense", json!({ "units": 2, "kernel_quantizer": "quantised_bits(4)" })),
        ("/layers/1", "dense", json!({ "units": 2, "kernel_initializer": "zero" })),
        ("/layers/0", "name", json!(["x"])),
        ("/layers/0", "input", json!({ "shape": [-4] })),
    ] {
        let mut bad = good.clone();
        let place = bad.pointer_mut(path).unwrap().as_object_mut().unwrap();
        place.insert(key.to_owned(), value);
        assert!(ModelSpec::parse(&bad.to_string(), "m").is_err(), "{bad}");
        assert!(!is_valid(&schema, &schema, &bad), "{bad}");
    }
}
