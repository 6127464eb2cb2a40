//! Saving and loading weights.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, LayersError, Mode, Model};

use crate::build::{input, model};
use crate::data::values;

const NET: &str = "{name: net, layers: [{name: x, input: {shape: [3]}}, {name: a, dense: {units: 2}}, {name: n, batch_norm: {}}]}";

#[test]
fn safetensors_go_out_and_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    let written = model(NET);
    let note = BTreeMap::from([("epoch".to_owned(), "3".to_owned())]);
    written.save_weights(&path, &note).expect("a file");
    let read = Model::build(written.spec(), Seed::new(99), &BuildOptions::default()).expect("a model");
    let metadata = read.load_weights(&path).expect("weights");
    assert_eq!(metadata["epoch"], "3");
    assert_eq!(metadata["model"], "net");
    assert_eq!(metadata["spec"], written.spec().to_json().expect("json"));
    for (a, b) in written.params().iter().zip(read.params()) {
        assert_eq!(a.values().expect("values"), b.values().expect("values"), "{}", a.name());
    }
    let bytes = std::fs::read(&path).expect("bytes");
    written.save_weights(&path, &note).expect("a file");
    assert_eq!(bytes, std::fs::read(&path).expect("bytes"));
}

#[test]
fn what_does_not_fit_is_named_and_changes_nothing() {
    let model = model(NET);
    let before = values(model.params().get("a.kernel").expect("a kernel").tensor());
    let zeros = |dims: &[usize]| Tensor::zeros(dims, candle_core::DType::F32, &Device::Cpu).expect("zeros");
    let weights = BTreeMap::from([
        ("a/kernel".to_owned(), zeros(&[3, 2])),
        ("a.bias".to_owned(), zeros(&[3])),
        ("b.kernel".to_owned(), zeros(&[1])),
        ("n.gamma".to_owned(), zeros(&[2])),
        ("n.moving_mean".to_owned(), zeros(&[2])),
        ("n.moving_variance".to_owned(), zeros(&[2])),
    ]);
    let error = model.set_weights(&weights, "old.npz").expect_err("faults");
    assert!(matches!(error, LayersError::Mismatch { .. }));
    assert_eq!(
        error.to_string(),
        "old.npz does not fit the network: \"a.bias\" has shape [3], want [2]; \"b.kernel\" is no parameter; \
         \"n.beta\" is missing"
    );
    assert_eq!(before, values(model.params().get("a.kernel").expect("a kernel").tensor()));
    let error = model.load_weights(std::path::Path::new("weights.bin")).expect_err("a kind");
    assert!(error.to_string().contains(".safetensors, .npz, .h5 or .keras"), "{error}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.npz");
    std::fs::write(&path, b"no archive").expect("a file");
    assert!(matches!(model.load_weights(&path), Err(LayersError::Npz { .. })));
}

#[test]
fn a_state_brings_weights_and_statistics_back() {
    let model = model(NET);
    let state = model.state().expect("a state");
    let x = input(&[4, 3]);
    let before = values(&model.forward(&x, Mode::Infer).expect("a run"));
    model.forward(&x, Mode::Train { seed: Seed::new(1) }).expect("a run");
    let doubled =
        (model.params().get("a.kernel").expect("a kernel").tensor().detach() * 2.0).expect("a tensor");
    model.params().set("a.kernel", &doubled).expect("a value");
    assert_ne!(before, values(&model.forward(&x, Mode::Infer).expect("a run")));
    model.restore(&state).expect("the state");
    assert_eq!(before, values(&model.forward(&x, Mode::Infer).expect("a run")));
    assert_eq!(state.values().len(), model.params().len());
}
