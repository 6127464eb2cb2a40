//! The JSON schema of specifications, for editors.

use crate::model::ModelSpec;

/// The JSON schema (draft 2020-12) of specification files, made from the types that read them. An editor that knows it
/// completes keys and marks wrong ones in YAML and JSON; shapes and connections are checked by [`ModelSpec::parse`] only.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(ModelSpec).to_value()
}
