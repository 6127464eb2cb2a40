//! Import of a whole model: its layers and connections.

use std::collections::{BTreeMap, BTreeSet};

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

/// The specification under construction, with the paths of its parts in the document.
#[derive(Debug)]
struct Draft {
    spec: ModelSpec,
    /// Path in the document of each layer of the specification.
    places: Vec<String>,
    /// Axes of normalizations: number of the layer, axis.
    axes: Vec<(usize, i64)>,
    /// For each layer of the model being read, by its name in the document, the layer of the specification that has its
    /// output.
    outlets: BTreeMap<String, String>,
    /// Put before the names of layers: empty, or the names of the models around a nested one.
    prefix: String,
    wrong: Vec<Wrong>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            spec: ModelSpec::new("", Vec::new()),
            places: Vec::new(),
            axes: Vec::new(),
            outlets: BTreeMap::new(),
            prefix: String::new(),
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
            return self.sequential(layers, "config", None, None, dialect);
        }
        let mut model = Fields::new(config, "config")?;
        self.spec.name = model.text("name")?.unwrap_or_default().to_owned();
        let Value::Array(list) = model.required("layers")? else {
            return Err(model.wrong("layers", "is no list"));
        };
        match class {
            "Sequential" => {
                self.sequential(list, "config.layers", model.value("build_input_shape"), None, dialect)
            }
            "Functional" | "Model" => {
                self.functional(list, "config.layers", dialect)?;
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
        feed: Option<&str>,
        dialect: Dialect,
    ) -> Read<()> {
        let mut before = feed.map(str::to_owned);
        let shape_of = |value: &Value, path: String| {
            layers::sample_shape(value).map_err(|message| Wrong { path, message })
        };
        for (i, value) in list.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let config = value.get("config").unwrap_or(&Value::Null);
            let is_input = class_name(value) == Some("InputLayer");
            if feed.is_some() && is_input {
                continue;
            }
            if i == 0 && !is_input && feed.is_none() {
                let own = own_shape(config, format!("{path}.config"));
                let found = own.or_else(|| built.map(|shape| (shape, "config.build_input_shape".to_owned())));
                let Some((shape, place)) = found else {
                    let message = "is the first layer and has no input shape; want an InputLayer before it or a \
                                   batch_input_shape";
                    return Err(Wrong { path, message: message.to_owned() });
                };
                let shape = shape_of(shape, place)?;
                let name = config.get("name").and_then(Value::as_str).unwrap_or_default();
                let input = Op::Input(Input { shape, quantizer: None });
                self.push(Layer::new(format!("{name}_input"), input), &path);
                before = Some(format!("{name}_input"));
            }
            let inputs = before.take().filter(|_| !is_input).into_iter().collect();
            match self.layer(value, &path, inputs, dialect) {
                Ok(outlet) => before = Some(outlet),
                Err(wrong) => self.wrong.push(wrong),
            }
        }
        Ok(())
    }

    /// Reads the layers of a functional model. Inputs whose names are known already are those of a nested model, which
    /// the model around it feeds.
    fn functional(&mut self, list: &[Value], path: &str, dialect: Dialect) -> Read<()> {
        let first = self.spec.layers.len();
        let nested: BTreeSet<&str> = list
            .iter()
            .filter(|value| class_name(value).is_some_and(|class| MODELS.contains(&class)))
            .filter_map(|value| value.get("name").or(value.pointer("/config/name")).and_then(Value::as_str))
            .collect();
        for (i, value) in list.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let is_input = class_name(value) == Some("InputLayer");
            let name = value.get("name").or(value.pointer("/config/name")).and_then(Value::as_str);
            if is_input && name.is_some_and(|name| self.outlets.contains_key(name)) {
                continue;
            }
            let read = incoming(value, &path, &nested).and_then(|inputs| {
                if inputs.is_empty() && !is_input {
                    let message = "has no input; want inbound_nodes".to_owned();
                    return Err(Wrong { path: path.clone(), message });
                }
                self.layer(value, &path, inputs, dialect)
            });
            if let Err(wrong) = read {
                self.wrong.push(wrong);
            }
        }
        // Inputs have the document's names until here, since a layer may be declared before the ones that feed it.
        for i in first..self.spec.layers.len() {
            // The names within the expansion of one layer of the document are those of the specification already.
            if i > first && self.places[i] == self.places[i - 1] {
                continue;
            }
            let renamed = self.spec.layers[i].inputs.iter();
            let renamed = renamed.map(|name| self.outlets.get(name).unwrap_or(name).clone()).collect();
            self.spec.layers[i].inputs = renamed;
        }
        Ok(())
    }

    /// Adds the layers that one layer of the document expands to, the first fed by `inputs`, and returns the name of
    /// the last.
    fn layer(&mut self, value: &Value, path: &str, inputs: Vec<String>, dialect: Dialect) -> Read<String> {
        let mut fields = Fields::new(value, path)?;
        let class = fields.required_text("class_name")?;
        let mut config = Fields::new(fields.required("config")?, format!("{path}.config"))?;
        if MODELS.contains(&class) {
            return self.nested(class, &mut config, path, &inputs, dialect);
        }
        let name = match config.text("name")? {
            Some(name) => name,
            None => fields.required_text("name")?,
        };
        let Layers { ops, axes } = layers::read(class, &mut config, dialect, &fields.path("class_name"))?;
        let first = self.spec.layers.len();
        let mut inputs = inputs;
        for (suffix, op) in ops {
            let own = format!("{}{name}{suffix}", self.prefix);
            let layer = Layer { name: own.clone(), inputs, op, facts: Vec::new() };
            self.push(layer, path);
            inputs = vec![own];
        }
        let norm = (first..self.spec.layers.len())
            .find(|&i| matches!(self.spec.layers[i].op, Op::BatchNorm(_) | Op::LayerNorm(_)));
        self.axes.extend(norm.into_iter().flat_map(|i| axes.iter().map(move |&axis| (i, axis))));
        let outlet = inputs.pop().expect("invariant: a layer expands to at least one");
        self.outlets.insert(name.to_owned(), outlet.clone());
        Ok(outlet)
    }

    /// Adds the layers of a model that stands in another, fed by `feeds`; their names have the model's before them.
    fn nested(
        &mut self,
        class: &str,
        model: &mut Fields<'_>,
        path: &str,
        feeds: &[String],
        dialect: Dialect,
    ) -> Read<String> {
        let name = model.required_text("name")?.to_owned();
        let list = model.required("layers")?.as_array().ok_or_else(|| model.wrong("layers", "is no list"))?;
        let list_path = format!("{path}.config.layers");
        let prefix = format!("{}{name}_", self.prefix);
        let (outer_prefix, mut outer) =
            (std::mem::replace(&mut self.prefix, prefix), std::mem::take(&mut self.outlets));
        let outlet = self.inline(class, model, list, &list_path, feeds, dialect);
        self.prefix = outer_prefix;
        std::mem::swap(&mut self.outlets, &mut outer);
        let outlet = outlet?;
        self.outlets.insert(name, outlet.clone());
        Ok(outlet)
    }

    fn inline(
        &mut self,
        class: &str,
        model: &mut Fields<'_>,
        list: &[Value],
        path: &str,
        feeds: &[String],
        dialect: Dialect,
    ) -> Read<String> {
        let first = self.spec.layers.len();
        let several = |count: usize, what: &str| Wrong {
            path: path.to_owned(),
            message: format!("belong to a nested model with {count} {what}, which is not read; want one"),
        };
        if class == "Sequential" {
            let [feed] = feeds else { return Err(several(feeds.len(), "inputs")) };
            self.sequential(list, path, None, Some(feed), dialect)?;
            let last = self.spec.layers.get(first..).and_then(|layers| layers.last());
            return last.map(|layer| layer.name.clone()).ok_or_else(|| several(0, "layers"));
        }
        let mut inputs = Vec::new();
        tensors(model.required("input_layers")?, "input_layers", &BTreeSet::new(), &mut inputs)?;
        if inputs.len() != feeds.len() {
            return Err(several(inputs.len(), "inputs"));
        }
        self.outlets.extend(inputs.into_iter().zip(feeds.iter().cloned()));
        self.functional(list, path, dialect)?;
        let nested = self.outlets.keys().cloned().collect::<Vec<_>>();
        let nested = nested.iter().map(String::as_str).collect();
        let mut outputs = Vec::new();
        tensors(model.required("output_layers")?, "output_layers", &nested, &mut outputs)?;
        let [output] = outputs.as_slice() else { return Err(several(outputs.len(), "outputs")) };
        Ok(self.outlets.get(output).unwrap_or(output).clone())
    }

    fn push(&mut self, layer: Layer, path: &str) {
        self.spec.layers.push(layer);
        self.places.push(path.to_owned());
    }

    /// Reads the order of the inputs and the outputs of a functional model.
    fn ends(&mut self, model: &mut Fields<'_>) -> Read<()> {
        if let Some(value) = model.value("input_layers") {
            let mut names = Vec::new();
            tensors(value, "config.input_layers", &BTreeSet::new(), &mut names)?;
            self.order_inputs(&names);
        }
        if let Some(value) = model.value("output_layers") {
            let mut names = Vec::new();
            let nested = self.outlets.keys().map(String::as_str).collect();
            tensors(value, "config.output_layers", &nested, &mut names)?;
            self.spec.outputs =
                names.into_iter().map(|name| self.outlets.get(&name).cloned().unwrap_or(name)).collect();
        }
        Ok(())
    }

    /// Sorts the input layers by the order of the model's inputs.
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

    /// Resolves the specification and maps its faults to paths in the document.
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

    /// Omits inputs and outputs that equal their defaults.
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

    /// Path in the document of `layers[i].rest`, and the rest.
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

/// True for a Keras 3 model, if the document has no version. Archives of Keras 2.12 and later name modules as Keras 3
/// does, so the layers decide: in Keras 3 inputs have a `batch_shape` and number types are policies.
fn is_of_third(model: &Value) -> bool {
    let layers = model.get("layers").or(Some(model)).and_then(Value::as_array);
    layers.into_iter().flatten().filter_map(|layer| layer.get("config")).any(|config| {
        let policy = config.pointer("/dtype/class_name").and_then(Value::as_str);
        config.get("batch_shape").is_some() || policy == Some("DTypePolicy")
    })
}

/// Classes of models, which may stand among the layers of another model.
const MODELS: [&str; 3] = ["Sequential", "Functional", "Model"];

fn class_name(value: &Value) -> Option<&str> {
    value.get("class_name").and_then(Value::as_str)
}

/// The input shape in a layer's configuration, or in that of a nested model's first layer, with its path.
fn own_shape(config: &Value, path: String) -> Option<(&Value, String)> {
    let own = ["batch_input_shape", "batch_shape"]
        .iter()
        .find_map(|key| config.get(key).map(|shape| (shape, format!("{path}.{key}"))));
    own.or_else(|| own_shape(config.pointer("/layers/0/config")?, format!("{path}.layers[0].config")))
}

/// Names of the layers that feed a layer of a functional model; `nested` are the models among them.
fn incoming(value: &Value, path: &str, nested: &BTreeSet<&str>) -> Read<Vec<String>> {
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
        [node] => tensors(node, &place, nested, &mut names)?,
        several => {
            let message =
                format!("has {} entries: a layer that is used more than once is not read", several.len());
            return Err(Wrong { path: place, message });
        }
    }
    Ok(names)
}

/// Collects the layers of tensors: `[name, node, tensor, kwargs]` of Keras 2, `__keras_tensor__` of Keras 3, or lists of
/// them. Node 0 of a nested model is the model as it was defined; its first use here is node 1.
fn tensors(value: &Value, path: &str, nested: &BTreeSet<&str>, names: &mut Vec<String>) -> Read<()> {
    let wrong = |message: String| Err(Wrong { path: path.to_owned(), message });
    match value {
        Value::Array(items) => match items.as_slice() {
            [Value::String(name), node, tensor, rest @ ..] => {
                let first_use = if nested.contains(name.as_str()) { 0..=1 } else { 0..=0 };
                let plain =
                    node.as_u64().is_some_and(|node| first_use.contains(&node)) && tensor.as_u64() == Some(0);
                let bare =
                    rest.iter().all(|kwargs| kwargs.as_object().is_some_and(serde_json::Map::is_empty));
                if !plain {
                    return wrong(format!(
                        "takes another output or a second use of `{name}`, which is not read"
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
            several => several.iter().try_for_each(|item| tensors(item, path, nested, names)),
        },
        Value::Object(map) if map.contains_key("args") => {
            let given = map.get("kwargs").and_then(Value::as_object).into_iter().flatten();
            if let Some((key, _)) = given.into_iter().find(|(_, value)| !value.is_null()) {
                return wrong(format!("calls a layer with the argument `{key}`, which is not read"));
            }
            tensors(&map["args"], path, nested, names)
        }
        Value::Object(map) => match map.get("config").and_then(|config| config.get("keras_history")) {
            Some(history) => tensors(history, path, nested, names),
            None => wrong(format!("is {}, want a tensor of a layer", brief(value))),
        },
        other => wrong(format!("is {}, want tensors of layers", brief(other))),
    }
}
