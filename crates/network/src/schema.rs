//! The JSON schema of specifications, for editors.

use crate::model::ModelSpec;

/// Returns the JSON schema (draft 2020-12) of specification files, generated from the types that read them. Editors use it
/// to complete and check keys in YAML and JSON; shapes and connections are checked by [`ModelSpec::parse`] only.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(ModelSpec).to_value()
}
