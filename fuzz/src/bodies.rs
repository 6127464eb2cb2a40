//! What each reader of files and texts must bear: any bytes. It may refuse them; it must not panic, and what it takes
//! must survive being written and read again.
//!
//! The targets below `fuzz_targets/` call these functions, and so do the tests of `tinsmith-layers`, over the committed
//! corpora and changes of them.

use std::path::Path;

use tinsmith_layers::{BuildOptions, keras as keras_files, npz as npz_files};
use tinsmith_network::quantizer::{GrammarError, LearnedQuantizer};
use tinsmith_network::{ModelSpec, Quantizer};
use tinsmith_quant::{LearnedBits, Mode, QuantizerOp};

/// The textual form of quantizers.
pub fn quantizer(data: &[u8]) {
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
pub fn specification(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(spec) = ModelSpec::parse(text, "fuzz") else { return };
    let Ok(yaml) = spec.to_yaml() else { return };
    let again = ModelSpec::parse(&yaml, "fuzz").map(|spec| spec.to_yaml().ok());
    assert_eq!(again.ok().flatten(), Some(yaml));
    let _ = (spec.structural_hash(), spec.summary(), tinsmith_keras::write_json(&spec));
}

/// Keras' model JSON.
pub fn keras_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(spec) = tinsmith_keras::read_json(text, "fuzz") else { return };
    if let Ok(json) = tinsmith_keras::write_json(&spec) {
        assert!(tinsmith_keras::read_json(&json, "fuzz").is_ok(), "{json}");
    }
}

/// Keras' files: archives and HDF5 of every layout.
pub fn keras_file(data: &[u8]) {
    let _ = keras_files::load_bytes(data, Path::new("fuzz"), &BuildOptions::default());
}

/// NumPy's archives.
pub fn npz(data: &[u8]) {
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    if std::fs::write(file.path(), data).is_ok() {
        let _ = npz_files::read(file.path());
    }
}

/// Safetensors.
pub fn safetensors(data: &[u8]) {
    let _ = tinsmith_core_tensor::io::safetensors::read(Path::new("fuzz"), data);
}
