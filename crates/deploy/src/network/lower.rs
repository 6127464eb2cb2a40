//! Lowering of a trained model to steps: normalizations folded, layers fused and ordered as in the cost model.

use std::collections::BTreeMap;

use tinsmith_cost::{Cost, Target};
use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, Model, fold_batch_norms};
use tinsmith_network::{Graph, Layer, ModelSpec, Op};

use super::work::Lowering;
use super::{Element, LoweredStep, Network, Tensor, Work};
use crate::config::Arithmetic;
use crate::error::Result;
use crate::kernel;
use crate::pointwise::{self, Pointwise, layer_ref};

/// Target of exported code: each value has the width it is stored in. The input belongs to the caller unless it is
/// rounded into the arena.
fn target(arithmetic: Arithmetic, input: &Op) -> Target {
    Target {
        name: "c".to_owned(),
        use_quantizers: arithmetic == Arithmetic::Integer,
        weight_bits: 32,
        activation_bits: 32,
        bias_bits: 32,
        bias_is_accumulator: true,
        input_counts: input.is_input() && input.output_quantizer().is_some(),
        ..Target::default()
    }
}

/// Folds `model` and derives its steps.
pub(crate) fn lower(model: &Model, arithmetic: Arithmetic) -> Result<Network> {
    let folded = fold_batch_norms(model)?;
    let model = Model::build(&folded.spec, Seed::new(0), &BuildOptions::default())?;
    model.set_weights(&folded.weights, "the folded network")?;
    let (spec, graph) = (model.spec(), model.graph());
    let mut builder = Builder { model: &model, arithmetic, tensors: Vec::new(), written: BTreeMap::new() };
    let mut steps = Vec::new();
    let input = single(spec, &graph.inputs, "input")?;
    let last = single(spec, &graph.outputs, "output")?;
    let cost = Cost::with_graph(spec, graph, &target(arithmetic, &spec.layers[input].op));
    steps.extend(builder.entrance(spec, graph, input)?);

    // Layers that the cost model counts with one writer are fused into one step.
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &i in &graph.order {
        groups.entry(cost.layers[i].written_by).or_default().push(i);
    }
    for writer in &cost.peak_ram.order {
        let members = groups.get(writer).expect("invariant: a writer writes its own layer at least");
        let head = &graph.nodes[members[0]];
        let inputs: Vec<usize> = head.inputs.iter().map(|&k| cost.layers[k].written_by).collect();
        steps.push(builder.step(members, *writer, &inputs)?);
    }
    let mut output = builder.tensor_of(cost.layers[last].written_by);
    if output == 0 {
        // No step computes anything, so the output is a copy of the input.
        let tensor = builder.tensors[0].clone();
        builder.tensors.push(tensor);
        output = builder.tensors.len() - 1;
        steps.push(LoweredStep {
            layers: vec!["output".to_owned()],
            kind: "input",
            inputs: vec![0],
            output,
            work: Work::Copy,
            pointwise: Vec::new(),
        });
    }
    let mut tensors = builder.tensors;
    // The caller gets floats.
    tensors[output].element = Element::Float;
    Ok(Network { name: spec.name.clone(), tensors, steps, output, cost })
}

/// Returns the only layer of `layers`.
fn single(spec: &ModelSpec, layers: &[usize], what: &str) -> Result<usize> {
    match *layers {
        [only] => Ok(only),
        [_, second, ..] => {
            let Layer { name, op, .. } = &spec.layers[second];
            Err(layer_ref(name, op).unsupported(format!("it is a second {what}; want networks with one")))
        }
        [] => {
            let (name, op) = spec.layers.first().map_or(("", None), |l| (l.name.as_str(), Some(&l.op)));
            let kind = op.map_or("input", Op::name);
            Err(pointwise::LayerRef { layer: name, kind }.unsupported(format!("the network has no {what}")))
        }
    }
}

struct Builder<'a> {
    model: &'a Model,
    arithmetic: Arithmetic,
    tensors: Vec<Tensor>,
    /// Tensor of each layer that writes one.
    written: BTreeMap<usize, usize>,
}

impl Builder<'_> {
    /// Adds the caller's input; returns the step that rounds it, if it is quantized.
    fn entrance(&mut self, spec: &ModelSpec, graph: &Graph, index: usize) -> Result<Option<LoweredStep>> {
        let layer = &spec.layers[index];
        let tensor = Tensor { shape: graph.shape(index).to_vec(), element: Element::Float };
        self.tensors.push(tensor.clone());
        self.written.insert(index, 0);
        let Some(quantizer) = layer.op.output_quantizer() else { return Ok(None) };
        let quantization = pointwise::of_quantizer(quantizer, layer_ref(&layer.name, &layer.op))?;
        let pointwise = vec![Pointwise::Quantize(quantization)];
        let element = self.element(&Work::Copy, &[0], &pointwise);
        self.tensors.push(Tensor { element, ..tensor });
        self.written.insert(index, 1);
        Ok(Some(LoweredStep {
            layers: vec![layer.name.clone()],
            kind: layer.op.name(),
            inputs: vec![0],
            output: 1,
            work: Work::Copy,
            pointwise,
        }))
    }

    /// Returns the tensor that a layer writes.
    fn tensor_of(&self, writer: usize) -> usize {
        let found = self.written.get(&writer);
        *found.expect("invariant: the plan's order puts writers before readers")
    }

    fn step(&mut self, members: &[usize], writer: usize, inputs: &[usize]) -> Result<LoweredStep> {
        let (spec, graph) = (self.model.spec(), self.model.graph());
        let mut work = Work::Copy;
        let mut pointwise = Vec::new();
        for (k, &i) in members.iter().enumerate() {
            let layer = &spec.layers[i];
            let place = layer_ref(&layer.name, &layer.op);
            let shapes = graph.input_shapes(i);
            if k == 0 {
                let lowering = Lowering {
                    model: self.model,
                    arithmetic: self.arithmetic,
                    place,
                    inputs: &shapes,
                    output: graph.shape(i),
                };
                (work, pointwise) = lowering.work(&layer.op)?;
            }
            if let Some(norm) = layer.op.batch_norm() {
                if norm.fold {
                    return Err(place.unsupported(
                        "it cannot be folded: the layer before it is an output of the network too",
                    ));
                }
                let vectors =
                    layer.op.weights(shapes.first().expect("invariant: a normalization has an input"));
                let values = vectors
                    .iter()
                    .map(|w| Ok((w.name, kernel::values(self.model, &layer.name, &vectors, w)?)))
                    .collect::<Result<Vec<_>>>()?;
                pointwise.push(pointwise::of_batch_norm(norm, &values));
            } else if let Some(activation) = layer.op.activation() {
                let row = graph.shape(i).last().copied().unwrap_or(1);
                pointwise.extend(pointwise::of_activation(activation, row, place)?);
            }
        }
        let inputs: Vec<usize> = inputs.iter().map(|&writer| self.tensor_of(writer)).collect();
        let element = self.element(&work, &inputs, &pointwise);
        let layers: Vec<String> = members.iter().map(|&i| spec.layers[i].name.clone()).collect();
        let (head, tail) = (members[0], members[members.len() - 1]);
        let (shape, kind) = (graph.shape(tail).to_vec(), spec.layers[head].op.name());
        self.tensors.push(Tensor { shape, element });
        let output = self.tensors.len() - 1;
        self.written.insert(writer, output);
        Ok(LoweredStep { layers, kind, inputs, output, work, pointwise })
    }

    /// Returns the element format of a step's result.
    fn element(&self, work: &Work, inputs: &[usize], pointwise: &[Pointwise]) -> Element {
        if self.arithmetic == Arithmetic::Float
            || pointwise.iter().any(|p| matches!(p, Pointwise::Softmax { .. }))
        {
            return Element::Float;
        }
        if let Some(Pointwise::Quantize(q)) = pointwise.last() {
            let is_uniform = q.is_uniform();
            return if is_uniform {
                Element::Code { low: q.low, high: q.high, unit: q.step_size }
            } else {
                Element::Float
            };
        }
        if let Some(mean) = self.exact_mean(work, inputs).filter(|_| pointwise.is_empty()) {
            return mean;
        }
        let moves = matches!(work, Work::Copy | Work::Concat { .. } | Work::Pool { takes_mean: false, .. });
        let first = inputs.first().map_or(Element::Float, |&i| self.tensors[i].element);
        let are_equal = inputs.iter().all(|&i| self.tensors[i].element == first);
        if moves && are_equal && pointwise.is_empty() { first } else { Element::Float }
    }

    /// Returns the format of means over windows of one size that is a power of two: exact sums in a smaller unit.
    fn exact_mean(&self, work: &Work, inputs: &[usize]) -> Option<Element> {
        let Work::Pool { windows, takes_mean: true } = work else { return None };
        let Element::Code { low, high, unit } = self.tensors[*inputs.first()?].element else { return None };
        let area = windows.size[0] * windows.size[1];
        let is_whole = (0..2).all(|axis| {
            let reach = (windows.output[axis] - 1) * windows.stride[axis] + windows.size[axis];
            windows.pad[axis] == 0 && reach <= windows.input[axis]
        });
        let times = i32::try_from(area).ok().filter(|n| is_whole && *n <= 256 && area.is_power_of_two())?;
        let (low, high) = (low.checked_mul(times)?, high.checked_mul(times)?);
        let fits = low >= -32_768 && high <= 32_767;
        fits.then_some(Element::Code { low, high, unit: unit / times as f32 })
    }
}
