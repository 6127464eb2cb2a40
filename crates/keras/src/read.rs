//! A whole model: its layers and who feeds whom.

use std::collections::BTreeMap;

use serde_json::Value;
use tinsmith_foundation::{ConfigErrors, Fault, Faults, Position, config};
use tinsmith_network::op::{Input, Op};
use tinsmith_network::{Graph, Layer, ModelSpec};

use crate::activation::Dialect;
use crate::error::Result;
use crate::fields::{Fields, Read, Wrong, brief};
use crate::layers::{self, Layers};

/// Reads the JSON of a Keras 2, QKeras or Keras 3 model; `origin` names the text in errors.
///
/// ```
/// let json = r#"{"class_name": "Sequential", "config": {"name": "m", "layers": [
///     {"class_name": "InputLayer", "config": {"batch_input_shape": [null, 16], "name": "x"}},
///     {"class_name": "QDense", "config": {"name": "d", "units": 4, "kernel_quantizer": "binary()"}}]}}"#;
/// let spec = tinsmith_keras::read_json(json, "model.json")?;
/// assert_eq!(spec.graph()?.shape(1), [4]);
/// # Ok::<(), tinsmith_keras::KerasError>(())
/// ```
///
/// # Errors
/// [`crate::KerasError::Invalid`] with line and column for malformed JSON, for layers and settings that are not
/// read (see [`crate`]), and for networks that cannot be.
pub fn read_json(text: &str, origin: &str) -> Result<ModelSpec> {
    let document: Value = serde_json::from_str(text).map_err(|error| ConfigErrors {
        origin: origin.to_owned(),
        faults: vec![Fault {
            path: String::new(),
            position: Some(Position { line: error.line() as u64, column: error.column() as u64 }),
            message: format!("is no JSON: {error}"),
        }],
    })?;
    let mut draft = Draft::default();
    let mut faults = Faults::new();
    if let Err(wrong) = draft.model(&document) {
        draft.wrong.push(wrong);
    }
    for wrong in &draft.wrong {
        faults.add(&wrong.path, wrong.message.as_str());
    }
    if faults.is_empty() {
        draft.check(&mut faults);
    }
    faults.into_result(origin).map_err(|errors| config::with_positions(errors, text))?;
    Ok(draft.spec)
}

/// The specification so far and where its parts stand in the document.
#[derive(Debug)]
struct Draft {
    spec: ModelSpec,
    /// For each layer of the specification its place in the document.
    places: Vec<String>,
    /// Axes of normalizations: number of the layer, axis.
    axes: Vec<(usize, i64)>,
    /// For each layer of the document the layer of the specification that has its output.
    outlets: BTreeMap<String, String>,
    wrong: Vec<Wrong>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            spec: ModelSpec::new("", Vec::new()),
            places: Vec::new(),
            axes: Vec::new(),
            outlets: BTreeMap::new(),
            wrong: Vec::new(),
        }
    }
}

impl Draft {
    fn model(&mut self, document: &Value) -> Read<()> {
        let mut fields = Fields::new(document, "")?;
        let class = fields.required_text("class_name")?;
        let version = fields.text("keras_version").ok().flatten();
        let config = fields.required("config")?;
        let is_third = version.map_or_else(|| is_of_third(config), |v| v.starts_with('3'));
        let dialect = if is_third { Dialect::Keras3 } else { Dialect::Keras2 };
        // The oldest Sequential form is a bare list.
        if let (Value::Array(layers), "Sequential") = (config, class) {
            return self.sequential(layers, "config", None, dialect);
        }
        let mut model = Fields::new(config, "config")?;
        self.spec.name = model.text("name")?.unwrap_or_default().to_owned();
        let Value::Array(list) = model.required("layers")? else {
            return Err(model.wrong("layers", "is no list"));
        };
        match class {
            "Sequential" => self.sequential(list, "config.layers", model.value("build_input_shape"), dialect),
            "Functional" | "Model" => {
                self.functional(list, dialect)?;
                self.ends(&mut model)
            }
            other => Err(fields.wrong("class_name", format!("is `{other}`, want Sequential or Functional"))),
        }
    }

    fn sequential(
        &mut self,
        list: &[Value],
        path: &str,
        built: Option<&Value>,
        dialect: Dialect,
    ) -> Read<()> {
        let shape_of = |value: &Value, path: String| {
            layers::sample_shape(value).map_err(|message| Wrong { path, message })
        };
        for (i, value) in list.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let config = value.get("config").unwrap_or(&Value::Null);
            let is_input = value.get("class_name").and_then(Value::as_str) == Some("InputLayer");
            if i == 0 && !is_input {
                let own = ["batch_input_shape", "batch_shape"]
                    .iter()
                    .find_map(|key| config.get(key).map(|shape| (shape, format!("{path}.config.{key}"))));
                let found = own.or_else(|| built.map(|shape| (shape, "config.build_input_shape".to_owned())));
                let Some((shape, place)) = found else {
                    let message = "is the first layer and says no input shape; want an InputLayer before it or a \
                                   batch_input_shape";
                    return Err(Wrong { path, message: message.to_owned() });
                };
                let shape = shape_of(shape, place)?;
                let name = config.get("name").and_then(Value::as_str).unwrap_or_default();
                let input = Op::Input(Input { shape, quantizer: None });
                self.push(Layer::new(format!("{name}_input"), input), &path);
            }
            let before = self.spec.layers.last().map(|layer| layer.name.clone());
            let inputs = before.filter(|_| !is_input).into_iter().collect();
            if let Err(wrong) = self.layer(value, &path, inputs, dialect) {
                self.wrong.push(wrong);
            }
        }
        Ok(())
    }

    fn functional(&mut self, list: &[Value], dialect: Dialect) -> Read<()> {
        for (i, value) in list.iter().enumerate() {
            let path = format!("config.layers[{i}]");
            let is_input = value.get("class_name").and_then(Value::as_str) == Some("InputLayer");
            let read = incoming(value, &path).and_then(|inputs| {
                if inputs.is_empty() && !is_input {
                    let message = "is fed by no layer; want inbound_nodes".to_owned();
                    return Err(Wrong { path: path.clone(), message });
                }
                self.layer(value, &path, inputs, dialect)
            });
            if let Err(wrong) = read {
                self.wrong.push(wrong);
            }
        }
        // The inputs were named as the document names them, and may stand before what feeds them.
        for i in 0..self.spec.layers.len() {
            // Within what one layer of the document became, the names are ours.
            if i > 0 && self.places[i] == self.places[i - 1] {
                continue;
            }
            let renamed = self.spec.layers[i].inputs.iter();
            let renamed = renamed.map(|name| self.outlets.get(name).unwrap_or(name).clone()).collect();
            self.spec.layers[i].inputs = renamed;
        }
        Ok(())
    }

    /// Adds what one layer of the document becomes, the first fed by `inputs`.
    fn layer(&mut self, value: &Value, path: &str, inputs: Vec<String>, dialect: Dialect) -> Read<()> {
        let mut fields = Fields::new(value, path)?;
        let class = fields.required_text("class_name")?;
        let mut config = Fields::new(fields.required("config")?, format!("{path}.config"))?;
        let name = match config.text("name")? {
            Some(name) => name,
            None => fields.required_text("name")?,
        };
        let Layers { ops, axes } = layers::read(class, &mut config, dialect, &fields.path("class_name"))?;
        let first = self.spec.layers.len();
        let mut inputs = inputs;
        for (suffix, op) in ops {
            let own = format!("{name}{suffix}");
            let layer = Layer { name: own.clone(), inputs, op, facts: Vec::new() };
            self.push(layer, path);
            inputs = vec![own];
        }
        let norm = (first..self.spec.layers.len())
            .find(|&i| matches!(self.spec.layers[i].op, Op::BatchNorm(_) | Op::LayerNorm(_)));
        self.axes.extend(norm.into_iter().flat_map(|i| axes.iter().map(move |&axis| (i, axis))));
        if let Some(outlet) = inputs.pop() {
            self.outlets.insert(name.to_owned(), outlet);
        }
        Ok(())
    }

    fn push(&mut self, layer: Layer, path: &str) {
        self.spec.layers.push(layer);
        self.places.push(path.to_owned());
    }

    /// The order of the inputs and the outputs of a functional model.
    fn ends(&mut self, model: &mut Fields<'_>) -> Read<()> {
        if let Some(value) = model.value("input_layers") {
            let mut names = Vec::new();
            tensors(value, "config.input_layers", &mut names)?;
            self.order_inputs(&names);
        }
        if let Some(value) = model.value("output_layers") {
            let mut names = Vec::new();
            tensors(value, "config.output_layers", &mut names)?;
            self.spec.outputs =
                names.into_iter().map(|name| self.outlets.get(&name).cloned().unwrap_or(name)).collect();
        }
        Ok(())
    }

    /// Puts the input layers into the order that the model takes them in.
    fn order_inputs(&mut self, names: &[String]) {
        let slots: Vec<usize> =
            (0..self.spec.layers.len()).filter(|&i| matches!(self.spec.layers[i].op, Op::Input(_))).collect();
        let wanted: Vec<usize> = names
            .iter()
            .filter_map(|name| slots.iter().copied().find(|&i| self.spec.layers[i].name == *name))
            .collect();
        let mut sorted = wanted.clone();
        sorted.sort_unstable();
        if sorted != slots || wanted == slots {
            return;
        }
        let taken: Vec<(Layer, String)> =
            wanted.iter().map(|&i| (self.spec.layers[i].clone(), self.places[i].clone())).collect();
        for (slot, (layer, place)) in slots.into_iter().zip(taken) {
            self.spec.layers[slot] = layer;
            self.places[slot] = place;
        }
    }

    /// Resolves the specification, with faults placed in the document.
    fn check(&mut self, faults: &mut Faults) {
        self.leave_out_the_obvious();
        let mut found = Faults::new();
        let graph = Graph::resolve(&self.spec, &mut found);
        if let Err(errors) = found.into_result("") {
            for fault in errors.faults {
                let (place, rest) = self.place(&fault.path);
                let what = if rest.is_empty() { String::new() } else { format!("read as `{rest}`, ") };
                faults.add(place, format!("{what}{}", fault.message));
            }
            return;
        }
        for &(i, axis) in &self.axes {
            let rank = i64::try_from(graph.shape(i).len()).unwrap_or(i64::MAX);
            if axis != -1 && axis != rank {
                faults.add(
                    &format!("{}.config.axis", self.places[i]),
                    format!("is {axis}, want the last axis, {rank} or -1"),
                );
            }
        }
    }

    /// Inputs and outputs that a specification need not say.
    fn leave_out_the_obvious(&mut self) {
        for i in 1..self.spec.layers.len() {
            if self.spec.layers[i].inputs == [self.spec.layers[i - 1].name.as_str()] {
                self.spec.layers[i].inputs.clear();
            }
        }
        let last = self.spec.layers.last().map(|layer| layer.name.as_str());
        if last.is_some_and(|last| self.spec.outputs == [last]) {
            self.spec.outputs.clear();
        }
    }

    /// The place in the document of `layers[i].rest`, and the rest.
    fn place<'p>(&'p self, path: &'p str) -> (&'p str, &'p str) {
        let Some((index, rest)) = path.strip_prefix("layers[").and_then(|p| p.split_once(']')) else {
            return ("config", path);
        };
        match index.parse::<usize>().ok().and_then(|i| self.places.get(i)) {
            Some(place) => (place, rest.trim_start_matches('.')),
            None => ("config", path),
        }
    }
}

/// Whether a model that does not say its version is one of Keras 3. Archives of Keras 2.12 and later name the module as
/// Keras 3 does, so it is told by its layers: an input has a `batch_shape`, and number types are policies.
fn is_of_third(model: &Value) -> bool {
    let layers = model.get("layers").or(Some(model)).and_then(Value::as_array);
    layers.into_iter().flatten().filter_map(|layer| layer.get("config")).any(|config| {
        let policy = config.pointer("/dtype/class_name").and_then(Value::as_str);
        config.get("batch_shape").is_some() || policy == Some("DTypePolicy")
    })
}

/// Names of the layers that feed a layer of a functional model.
fn incoming(value: &Value, path: &str) -> Read<Vec<String>> {
    let mut fields = Fields::new(value, path)?;
    let nodes = match fields.value("inbound_nodes") {
        None => return Ok(Vec::new()),
        Some(Value::Array(nodes)) => nodes,
        Some(other) => return Err(fields.wrong("inbound_nodes", format!("is {}, want a list", brief(other)))),
    };
    let place = fields.path("inbound_nodes");
    let mut names = Vec::new();
    match nodes.as_slice() {
        [] => {}
        [node] => tensors(node, &place, &mut names)?,
        several => {
            let message =
                format!("has {} entries: a layer that is used more than once is not read", several.len());
            return Err(Wrong { path: place, message });
        }
    }
    Ok(names)
}

/// Collects the layers of tensors: `[name, node, tensor, kwargs]` of Keras 2, `__keras_tensor__` of Keras 3, or lists of
/// them.
fn tensors(value: &Value, path: &str, names: &mut Vec<String>) -> Read<()> {
    let wrong = |message: String| Err(Wrong { path: path.to_owned(), message });
    match value {
        Value::Array(items) => match items.as_slice() {
            [Value::String(name), node, tensor, rest @ ..] => {
                let plain = node.as_u64() == Some(0) && tensor.as_u64() == Some(0);
                let bare =
                    rest.iter().all(|kwargs| kwargs.as_object().is_some_and(serde_json::Map::is_empty));
                if !plain {
                    return wrong(format!(
                        "takes a further output or a second use of `{name}`, which is not read"
                    ));
                }
                if !bare {
                    return wrong(format!(
                        "calls a layer on `{name}` with further arguments, which are not read"
                    ));
                }
                names.push(name.clone());
                Ok(())
            }
            several => several.iter().try_for_each(|item| tensors(item, path, names)),
        },
        Value::Object(map) if map.contains_key("args") => {
            let given = map.get("kwargs").and_then(Value::as_object).into_iter().flatten();
            if let Some((key, _)) = given.into_iter().find(|(_, value)| !value.is_null()) {
                return wrong(format!("calls a layer with the argument `{key}`, which is not read"));
            }
            tensors(&map["args"], path, names)
        }
        Value::Object(map) => match map.get("config").and_then(|config| config.get("keras_history")) {
            Some(history) => tensors(history, path, names),
            None => wrong(format!("is {}, want a tensor of a layer", brief(value))),
        },
        other => wrong(format!("is {}, want tensors of layers", brief(other))),
    }
}
