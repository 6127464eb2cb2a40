//! Every kind of layer: read, inferred, written, read again.

use tinsmith_network::{ModelSpec, Op, json_schema};

use crate::kind_examples::{KINDS, all, text};

#[test]
fn every_kind_is_read_inferred_and_written() {
    let names: Vec<&str> = KINDS.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(names, Op::NAMES);
    for (i, (name, spec)) in all().into_iter().enumerate() {
        for written in [spec.to_yaml().unwrap(), spec.to_json().unwrap()] {
            assert_eq!(ModelSpec::parse(&written, name).unwrap(), spec, "{written}");
        }
        let graph = spec.graph().unwrap();
        let last = spec.layers.len() - 1;
        if let Some((kind, .., shape)) = KINDS.get(i) {
            assert_eq!(spec.layers[last].op.name(), *kind);
            assert_eq!(graph.shape(last), *shape, "{kind}");
        }
    }
}

/// Each required field is required, and no unknown field is taken, in every kind.
#[test]
fn every_kind_refuses_unknown_fields() {
    for (kind, layer, input, _) in KINDS {
        if *kind == "activation" {
            continue;
        }
        let with = |extra: &str| layer.replacen(&format!("{kind}: {{"), &format!("{kind}: {{{extra}"), 1);
        let empty = format!("{kind}: {{}}");
        let extra = if layer.contains(&empty) { "colour: 3" } else { "colour: 3, " };
        let error = ModelSpec::parse(&text(&with(extra), input), "m").unwrap_err().to_string();
        assert!(error.contains("colour"), "{kind}: {error}");
    }
    assert!(json_schema().to_string().contains("additionalProperties"));
}
