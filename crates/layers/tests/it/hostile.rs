//! Files that claim more than they hold.

use std::io::Write;
use std::path::Path;

use hdf5_pure::{AttrValue, FileBuilder};
use tinsmith_core_tensor::io::safetensors;
use tinsmith_data::{Array, Values};
use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, LayersError, Model, keras, load_model};
use tinsmith_network::ModelSpec;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const TWO_DENSE: &str = "{name: net, layers: [{name: x, input: {shape: [2048]}}, {name: a, dense: {units: 1536}}, \
                         {name: b, dense: {units: 2048}}]}";

fn spec(text: &str) -> ModelSpec {
    ModelSpec::parse(text, "test").expect("a specification")
}

/// An HDF5 file of the legacy layout whose arrays are deflated zeros.
fn zeros_in_hdf5(path: &Path, arrays: &[(&str, &str, [u64; 2])]) {
    let texts = |texts: Vec<String>| AttrValue::VarLenAsciiStringArray(texts);
    let mut file = FileBuilder::new();
    file.set_attr("layer_names", texts(arrays.iter().map(|(layer, ..)| (*layer).to_owned()).collect()));
    for (layer, weight, shape) in arrays {
        let mut group = file.create_group(layer);
        group.set_attr("weight_names", texts(vec![(*weight).to_owned()]));
        let values = vec![0.0_f32; (shape[0] * shape[1]) as usize];
        group
            .create_dataset(weight)
            .with_f32_data(&values)
            .with_shape(shape)
            .with_chunks(shape)
            .with_deflate(9);
        file.add_group(group.finish());
    }
    std::fs::write(path, file.finish().expect("a file")).expect("written");
}

#[test]
fn the_bound_of_an_hdf5_file_holds_for_the_sum_of_its_arrays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("zeros.h5");
    zeros_in_hdf5(&path, &[("a", "kernel:0", [2048, 1536]), ("b", "kernel:0", [1536, 2048])]);
    assert!(std::fs::metadata(&path).expect("a file").len() < 1 << 17);
    let error = keras::load_weights(&path, &spec(TWO_DENSE)).expect_err("24 MiB").to_string();
    let want =
        "layer `b`: array `kernel:0` claims 12582912 bytes, which brings the file beyond 16777216 bytes";
    assert!(error.contains(want), "{error}");
}

#[test]
fn a_weight_that_the_architecture_lacks_is_refused_unread() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.h5");
    zeros_in_hdf5(&path, &[("a", "secret:0", [1, 1])]);
    let error = keras::load_weights(&path, &spec(TWO_DENSE)).expect_err("an unknown weight").to_string();
    assert!(error.ends_with("layer `a` has a weight `secret` that the architecture lacks"), "{error}");
}

#[test]
fn a_member_of_a_keras_archive_expands_within_the_bound() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bomb.keras");
    let mut writer = ZipWriter::new(std::fs::File::create(&path).expect("a file"));
    writer.start_file("config.json", SimpleFileOptions::default()).expect("a member");
    writer.write_all(&vec![b' '; (16 << 20) + 1]).expect("written");
    writer.finish().expect("an archive");
    let error = keras::load(&path, &BuildOptions::default()).expect_err("17 MiB").to_string();
    assert!(error.contains("member `config.json`") && error.contains("beyond 16777216 bytes"), "{error}");
}

#[test]
fn narrow_arrays_in_npz_count_with_their_size_in_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bytes.npz");
    let array = Array::new(vec![5 << 20], Values::U8(vec![0; 5 << 20])).expect("an array");
    tinsmith_data::npz::write(&path, &[("a/kernel".to_owned(), array)].into()).expect("a file");
    let error = tinsmith_layers::npz::read(&path).expect_err("20 MiB").to_string();
    assert!(error.contains("`a/kernel` claims 20971520 bytes"), "{error}");
}

#[test]
fn metadata_that_claim_more_weights_than_the_file_holds_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    let text = "{name: net, layers: [{name: x, input: {shape: [1]}}, {name: a, dense: {units: 4000000000}}]}";
    let metadata = [("spec".to_owned(), spec(text).to_json().expect("json"))].into();
    safetensors::save(&path, &[].into(), &metadata).expect("a file");
    let error = load_model(&path).expect_err("8e9 weights").to_string();
    assert!(error.contains("the architecture has 8000000000 weights, the file holds 0"), "{error}");
    let error = Model::build(&spec(text), Seed::new(0), &BuildOptions::default()).expect_err("8e9 weights");
    assert!(matches!(error, LayersError::TooManyWeights { count: 8_000_000_000, .. }), "{error}");
}
