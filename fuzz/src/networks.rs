//! Networks: quantizers, specifications, files of Keras, weight files, corpora.

use std::path::Path;

use tinsmith_layers::{BuildOptions, keras as keras_files};
use tinsmith_network::quantizer::{GrammarError, LearnedQuantizer};
use tinsmith_network::{ModelSpec, Quantizer};
use tinsmith_quant::{LearnedBits, Mode, QuantizerOp};

use crate::folders::with_file;

/// The textual form of quantizers.
pub(crate) fn quantizer(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Quantizer>() {
        Ok(quantizer) => {
            let printed = quantizer.to_string();
            assert_eq!(printed.parse::<Quantizer>().map(|q| q.to_string()), Ok(printed));
            if let Ok(op) = QuantizerOp::new(&quantizer) {
                let xs = [-3.0, -0.4, 0.0, 0.3, 1e30, f32::NAN];
                let _ = op.quantize(&xs, &[3, 2], Mode::Inference);
                if let Ok(codes) = op.encode(&xs[..4], &[2, 2]) {
                    assert_eq!(codes.decode().len(), 4);
                }
            }
        }
        Err(error) => points_into(&error, text),
    }
    match text.parse::<LearnedQuantizer>() {
        Ok(quantizer) => {
            let printed = quantizer.to_string();
            assert_eq!(printed.parse::<LearnedQuantizer>().map(|q| q.to_string()), Ok(printed));
            if let LearnedQuantizer::LearnedBits(settings) = quantizer
                && let Ok(bits) = LearnedBits::new(&settings)
                && let Ok(fractional) = bits.initial(&[3, 2])
            {
                let _ = bits.encode(&[0.5, -0.25, 0.0, 3.0, 1e9, -1e-9], &[3, 2], &fractional);
            }
        }
        Err(error) => points_into(&error, text),
    }
}

/// An error names a character of the text, or the end.
fn points_into(error: &GrammarError, text: &str) {
    let at = match error {
        GrammarError::Syntax { at, .. }
        | GrammarError::Kind { at, .. }
        | GrammarError::Parameter { at, .. }
        | GrammarError::Argument { at, .. } => *at,
        _ => return,
    };
    assert!(at <= text.chars().count(), "{error}: {text:?}");
}

/// Specifications as YAML and JSON.
pub(crate) fn specification(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(spec) = ModelSpec::parse(text, "fuzz") else { return };
    let Ok(yaml) = spec.to_yaml() else { return };
    let again = ModelSpec::parse(&yaml, "fuzz").map(|spec| spec.to_yaml().ok());
    assert_eq!(again.ok().flatten(), Some(yaml));
    let _ = (spec.structural_hash(), spec.summary(), tinsmith_keras::write_json(&spec));
}

/// Keras' model JSON.
pub(crate) fn keras_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(spec) = tinsmith_keras::read_json(text, "fuzz") else { return };
    if let Ok(json) = tinsmith_keras::write_json(&spec) {
        assert!(tinsmith_keras::read_json(&json, "fuzz").is_ok(), "{json}");
    }
}

/// Keras' files: archives and HDF5 of every layout.
pub(crate) fn keras_file(data: &[u8]) {
    let _ = keras_files::load_bytes(data, Path::new("fuzz"), &BuildOptions::default());
}

/// Safetensors: the tensors, and the network in the metadata.
pub(crate) fn safetensors(data: &[u8]) {
    if tinsmith_core_tensor::io::safetensors::read(Path::new("fuzz"), data).is_ok() {
        with_file(data, "weights.safetensors", |path| drop(tinsmith_layers::load_model(path)));
    }
}

/// Corpora of networks, compressed or not.
pub(crate) fn corpus(data: &[u8]) {
    with_file(data, "corpus.jsonl", |path| {
        if let Ok(models) = tinsmith_modelgen::load_models(path) {
            // A fault is the error of its network; one that repeats would fill the time.
            for record in models.take(1000).flatten() {
                let _ = record.spec.structural_hash();
            }
        }
    });
}
