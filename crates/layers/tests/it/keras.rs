//! Models of Keras and QKeras, in and out.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, LayersError, Mode, Model, keras};
use tinsmith_network::Op;

use crate::build::{input, model};
use crate::data::{self, Score, values};

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keras")
}

fn load(path: &Path) -> Model {
    keras::load(path, &BuildOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// The weights of `a` and `b` are equal bit for bit.
#[track_caller]
fn same_weights(a: &Model, b: &Model, what: &str) {
    assert_eq!(a.params().len(), b.params().len(), "{what}");
    for (a, b) in a.params().iter().zip(b.params()) {
        assert_eq!((a.name(), a.dims()), (b.name(), b.dims()), "{what}");
        assert_eq!(a.values().expect("values"), b.values().expect("values"), "{what}: {}", a.name());
    }
}

/// A network saved by Keras gives Keras' outputs, from the file and from its copies in every format.
#[track_caller]
fn check(path: &Path, io: &Path) {
    let what = path.display().to_string();
    let model = load(path);
    let io = data::npz(io);
    let inputs: Vec<&Tensor> = ["input", "side"].iter().filter_map(|name| io.get(*name)).collect();
    let outputs = model.forward_many(&inputs, Mode::Infer, false).unwrap_or_else(|e| panic!("{what}: {e}"));
    let mut score = Score::default();
    score.compare("output", &outputs[0], &io["output"], 1e-5);
    score.check(&what);
    copies(&model, &what);
}

/// Written files read back as the same network.
#[track_caller]
fn copies(model: &Model, what: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["copy.keras", "copy.h5"] {
        let path = folder.path().join(name);
        keras::save(model, &path).unwrap_or_else(|e| panic!("{what}: {e}"));
        let copy = load(&path);
        assert_eq!(
            copy.spec().structural_hash().expect("a hash"),
            model.spec().structural_hash().expect("a hash")
        );
        for param in model.params() {
            let other = copy.params().get(param.name()).expect("a parameter");
            assert_eq!(param.values().expect("values"), other.values().expect("values"), "{what} {name}");
        }
        let bytes = std::fs::read(&path).expect("bytes");
        keras::save(model, &path).expect("a file");
        assert_eq!(bytes, std::fs::read(&path).expect("bytes"), "{what}: equal networks, equal bytes");
    }
    for name in ["copy.weights.h5", "copy.h5", "copy.keras", "copy.npz", "copy.safetensors"] {
        let path = folder.path().join(name);
        model
            .save_weights(&path, &std::collections::BTreeMap::new())
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        let other = Model::build(model.spec(), Seed::new(77), &BuildOptions::default()).expect("a model");
        other.load_weights(&path).unwrap_or_else(|e| panic!("{what} {name}: {e}"));
        same_weights(model, &other, name);
    }
}

#[test]
fn keras_2_models_are_read_and_written() {
    for name in ["branches", "folded", "series"] {
        let io = folder().join(format!("{name}.io.npz"));
        for ending in ["keras", "h5"] {
            let path = folder().join(format!("{name}.{ending}"));
            if path.exists() {
                check(&path, &io);
            }
        }
    }
}

#[test]
fn keras_3_models_give_the_logits_of_their_training() {
    let digits = tinsmith_data::builtin("digits8x8").expect("digits");
    let rows: Vec<f32> = (0..100).flat_map(|i| digits.test.sample(i).to_vec()).map(|v| v / 16.0).collect();
    let x = Tensor::from_vec(rows, (100, 64), &Device::Cpu).expect("rows");
    let path = folder().join("digits_mlp_64_32_10.reference-logits-idx2-float32");
    let logits = tinsmith_data::idx::read(&path).expect("logits");
    let logits =
        Tensor::from_vec(logits.values().to_f32().to_vec(), logits.shape(), &Device::Cpu).expect("logits");
    for ending in ["keras", "h5"] {
        let model = load(&folder().join(format!("digits_mlp_64_32_10.{ending}")));
        let mut score = Score::default();
        score.compare("logits", &model.forward_logits(&x, Mode::Infer).expect("a run"), &logits, 1e-5);
        score.check(ending);
        copies(&model, ending);
    }
}

/// Every `.keras` and `.h5` below `TINSMITH_DATA`, if that is set.
#[test]
fn keras_files_of_the_data_folder_are_read() {
    let Some(root) = std::env::var_os("TINSMITH_DATA").map(PathBuf::from) else { return };
    let mut folders = vec![root.join("models")];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if keras::has_keras_extension(&path) {
                copies(&load(&path), &path.display().to_string());
                count += 1;
            }
        }
    }
    println!("{count} files of Keras read and written");
}

#[test]
fn golden_models_have_equal_weights_in_every_format() {
    let mut count = 0;
    for folder in data::models() {
        let reference = crate::golden_models::load(&folder);
        let io = data::json(&folder.join("io.json"));
        let x = data::tensor(&io["input"]);
        for name in ["weights.h5", "v3.weights.h5", "model.h5"] {
            let path = folder.join(name);
            if !path.exists() {
                continue;
            }
            count += 1;
            let model = if name == "model.h5" {
                load(&path)
            } else {
                let model =
                    Model::build(reference.spec(), Seed::new(5), &BuildOptions::default()).expect("a model");
                model.load_weights(&path).unwrap_or_else(|e| panic!("{e}"));
                model
            };
            same_weights(&reference, &model, &path.display().to_string());
            let mut score = Score::default();
            let output = model.forward(&x, Mode::Infer).expect("a run");
            score.compare("output", &output, &data::tensor(&io["output"]), 1e-4);
            score.check(&path.display().to_string());
        }
        copies(&reference, &folder.display().to_string());
    }
    assert!(count >= 6, "{count}");
}

#[test]
fn what_cannot_be_read_says_why() {
    let error = keras::load(&folder().join("lstm.keras"), &BuildOptions::default()).expect_err("a layer");
    assert!(matches!(error, LayersError::Architecture(_)));
    assert!(error.to_string().contains("`LSTM`, a layer that is not read"), "{error}");

    let error =
        keras::load(&folder().join("branches.weights.h5"), &BuildOptions::default()).expect_err("no spec");
    assert!(error.to_string().contains("weights without an architecture"), "{error}");

    let other = model("{layers: [{name: x, input: {shape: [3]}}, {name: a, dense: {units: 2}}]}");
    let error = other.load_weights(&folder().join("branches.weights.h5")).expect_err("another network");
    assert!(error.to_string().contains("has weights, and the architecture has no such layer"), "{error}");
    let error = other.load_weights(&folder().join("series.h5")).expect_err("another network");
    assert!(error.to_string().contains("has a weight `kernel` that the architecture lacks"), "{error}");

    let temporary = tempfile::tempdir().expect("a folder");
    let path = temporary.path().join("broken.keras");
    for bytes in [b"".as_slice(), b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"hello"] {
        std::fs::write(&path, bytes).expect("a file");
        let error = keras::load(&path, &BuildOptions::default()).expect_err("no model");
        assert!(matches!(error, LayersError::Keras { .. }), "{error}");
    }

    let without_class =
        model("{layers: [{name: x, input: {shape: [3]}}, {name: skip, drop_connect: {rate: 0.5}}]}");
    let error = keras::save(&without_class, &path).expect_err("no class");
    assert!(error.to_string().contains("skip"), "{error}");
    let error = keras::save(&other, &temporary.path().join("weights.bin")).expect_err("a kind");
    assert!(matches!(error, LayersError::FileKind { .. }));
}

/// Branches with layers in an order that Keras would not choose.
#[test]
fn layers_in_any_order_find_their_weights() {
    let model = model(
        "{name: net, layers: [{name: x, input: {shape: [4]}}, {name: far, dense: {units: 3}},
          {name: near, inputs: [x], dense: {units: 3}}, {name: mid, inputs: [far], dense: {units: 3}},
          {name: w, inputs: [near], dense: {units: 3}}, {name: v, inputs: [w], dense: {units: 3}},
          {name: s, inputs: [v, mid], add: {}}, {name: o, dense: {units: 3}}]}",
    );
    copies(&model, "branches");
    let x = input(&[2, 4]);
    let temporary = tempfile::tempdir().expect("a folder");
    let path = temporary.path().join("net.keras");
    keras::save(&model, &path).expect("a file");
    let (a, b) = (
        model.forward(&x, Mode::Infer).expect("a run"),
        load(&path).forward(&x, Mode::Infer).expect("a run"),
    );
    assert_eq!(values(&a), values(&b));
    let inputs = |m: &Model| m.spec().layers.iter().filter(|l| matches!(l.op, Op::Input(_))).count();
    assert_eq!(inputs(&model), inputs(&load(&path)));
}
