//! JSON schemas of fields that also take a plain word, see [`tinsmith_foundation::plain_word`].

use schemars::Schema;
use serde_json::json;

/// Lets a field's schema accept a plain word beside the form that its type demands.
pub(crate) fn or_word(schema: &mut Schema) {
    if let Some(reference) = schema.remove("$ref") {
        schema.insert("anyOf".to_owned(), json!([{ "$ref": reference }, { "type": "string" }]));
    }
}
