//! Models of Keras and QKeras, exported.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tinsmith_deploy::{Arithmetic, ExportOptions, IntegerModel, export_c};
use tinsmith_foundation::Seed;
use tinsmith_keras::read_json;
use tinsmith_layers::{BuildOptions, Model};
use tinsmith_network::{ModelSpec, Op, Quantizer};

use crate::compile::{compare, expected, has_compiler, inputs, run, values};

fn folders() -> Vec<PathBuf> {
    let root = std::env::var_os("TINSMITH_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from);
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root.join("models"))
        .expect("a folder of models")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("architecture.json").exists())
        .collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn load(folder: &Path, change: impl Fn(&mut ModelSpec)) -> Model {
    let path = folder.join("architecture.json");
    let mut spec = read_json(&text(&path), &path.display().to_string()).unwrap_or_else(|e| panic!("{e}"));
    change(&mut spec);
    let model = Model::build(&spec, Seed::new(1), &BuildOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    model.load_weights(&folder.join("weights.npz")).unwrap_or_else(|e| panic!("{e}"));
    model
}

fn floats(array: &Value) -> Vec<f32> {
    let data = array["data"].as_array().expect("data");
    data.iter().map(|v| v.as_f64().expect("a number") as f32).collect()
}

#[test]
fn golden_models_give_the_outputs_of_keras_in_c() {
    if !has_compiler() {
        return;
    }
    for folder in folders() {
        let name = folder.file_name().expect("a name").display().to_string();
        let model = load(&folder, |_| {});
        let io: Value = serde_json::from_str(&text(&folder.join("io.json"))).expect("JSON");
        for arithmetic in [Arithmetic::Float, Arithmetic::Integer] {
            let options = ExportOptions { arithmetic, ..ExportOptions::default() };
            let sources = export_c(&model, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
            let got = run(&sources, &floats(&io["input"]));
            let (equal, largest) = compare(&got, &floats(&io["output"]));
            println!(
                "{name} ({arithmetic:?}): {:.2} % equal to Keras, largest difference {largest:e}, {} bytes of \
                 constants, {} of arena ({} planned)",
                100.0 * equal,
                sources.flash_bytes,
                sources.ram_bytes,
                sources.planned_ram_bytes
            );
            assert!(largest <= 1e-4, "{name}: {largest}");
        }
    }
}

#[test]
fn golden_quantized_models_run_on_integers() {
    let mut count = 0;
    for folder in folders() {
        let name = folder.file_name().expect("a name").display().to_string();
        if !name.starts_with('q') {
            continue;
        }
        // These models take floats; integer inference needs a quantized input.
        let model = load(&folder, |spec| {
            for layer in &mut spec.layers {
                if let Op::Input(input) = &mut layer.op {
                    input.quantizer = Some(Quantizer::fixed(8, 2));
                }
            }
        });
        let integer = IntegerModel::new(&model).unwrap_or_else(|e| panic!("{name}: {e}"));
        let x = inputs(&model, 64, 5);
        let got = integer.run(&values(&x)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (equal, largest) = compare(&got, &expected(&model, &x));
        println!(
            "{name}: exact {}, {:.2} % equal, largest difference {largest:e}",
            integer.is_exact(),
            100.0 * equal
        );
        // Softmax in f32 may differ in the last place.
        assert!(largest <= if integer.is_exact() { 1e-6 } else { 0.05 }, "{name}: {largest}");
        count += 1;
    }
    assert!(count > 0);
}
