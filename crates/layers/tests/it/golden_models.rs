//! Whole models of Keras and QKeras: outputs and every layer's activations.

use std::path::Path;

use candle_core::Tensor;
use tinsmith_foundation::Seed;
use tinsmith_keras::read_json;
use tinsmith_layers::{Activations, BuildOptions, Mode, Model};

use crate::data::{self, Score};

/// The model of a golden folder with its weights.
pub(crate) fn load(folder: &Path) -> Model {
    let path = folder.join("architecture.json");
    let text = std::fs::read_to_string(&path).expect("an architecture");
    let spec = read_json(&text, &path.display().to_string()).unwrap_or_else(|e| panic!("{e}"));
    let model = Model::build(&spec, Seed::new(1), &BuildOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    model.load_weights(&folder.join("weights.npz")).unwrap_or_else(|e| panic!("{e}"));
    model
}

/// A folded layer of QKeras is several of ours; the last holds its output.
fn find<'a>(activations: &'a Activations, layer: &str) -> &'a Tensor {
    ["_activation", "_batch_norm", ""]
        .iter()
        .filter(|_| activations.find(layer).is_none())
        .chain([&""])
        .find_map(|suffix| activations.find(&format!("{layer}{suffix}")))
        .unwrap_or_else(|| panic!("no layer {layer}"))
}

#[test]
fn golden_models_give_the_outputs_of_keras() {
    for folder in data::models() {
        let model = load(&folder);
        let io = data::json(&folder.join("io.json"));
        let x = data::tensor(&io["input"]);
        let name = folder.display().to_string();
        let mut score = Score::default();
        let output = model.forward(&x, Mode::Infer).unwrap_or_else(|e| panic!("{name}: {e}"));
        score.compare("output", &output, &data::tensor(&io["output"]), 1e-4);
        let few = x.narrow(0, 0, 2).and_then(|x| x.contiguous()).expect("two rows");
        let activations = model.activations(&few).unwrap_or_else(|e| panic!("{name}: {e}"));
        for (layer, theirs) in data::npz(&folder.join("activations.npz")) {
            score.compare(&layer, find(&activations, &layer), &theirs, 1e-4);
        }
        score.check(&name);
    }
}

#[test]
fn golden_models_are_finite_and_do_not_depend_on_threads() {
    for folder in data::models() {
        let mut model = load(&folder);
        let x = data::tensor(&data::json(&folder.join("io.json"))["input"]);
        assert_eq!(model.first_non_finite(&[&x], None).expect("a run"), None);
        let one = model.forward(&x, Mode::Infer).expect("a run");
        model.set_threads(tinsmith_kernels::Threads::new(2));
        let two = model.forward(&x, Mode::Infer).expect("a run");
        assert_eq!(data::values(&one), data::values(&two));
    }
}
