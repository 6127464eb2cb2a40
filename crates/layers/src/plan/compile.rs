//! Compiles a specification into the steps of a plan.

use std::collections::BTreeSet;

use candle_core::Device;
use smallvec::SmallVec;
use tinsmith_core_tensor::Params;
use tinsmith_foundation::Seed;
use tinsmith_kernels::gate::Gate;
use tinsmith_network::{Graph, ModelSpec};

use super::blocks::Blocks;
use super::operator::{BlockInit, LayerOperator, ShortList};
use super::pointwise::Gated;
use super::segment::Segments;
use super::step::{PlanStep, PlanTensor, Sink};
use super::translate::{StepDraft, StepSource, translate};
use super::{Custom, Memory, Plan, PlanEnds, PlanOptions, Site, memory};
use crate::error::{LayersError, Result};
use crate::layer::Blueprint;
use crate::model::Wiring;

/// State of a compilation.
struct Compiler<'a> {
    spec: &'a ModelSpec,
    graph: &'a Graph,
    options: &'a PlanOptions,
    values: Vec<PlanTensor>,
    steps: Vec<PlanStep>,
    blocks: Blocks,
    starts: Vec<BlockInit>,
    /// Tensor holding each layer's output.
    value_of: Vec<Option<usize>>,
    /// Number of readers of each layer's output within the plan, its end included.
    readers: Vec<usize>,
}

/// Compiles `spec`. Without a seed the blocks are left at 0, for a caller that copies all of them from a model.
pub(super) fn compile(
    spec: &ModelSpec,
    seed: Option<Seed>,
    options: &PlanOptions,
    customize: Custom<'_>,
) -> Result<Plan> {
    let graph = spec.graph()?;
    let ends = named(spec, &options.to, &graph.outputs)?;
    let begins = named(spec, &options.from, &graph.inputs)?;
    let wiring = Wiring::new(spec, &graph);
    let needed = needed(spec, &wiring, &begins, &ends)?;
    let mut readers = vec![0; spec.layers.len()];
    for &i in needed.difference(&begins.iter().copied().collect()) {
        for &source in &wiring.sources[i] {
            readers[source] += 1;
        }
    }
    for &end in &ends {
        readers[end] += 1;
    }
    let mut compiler = Compiler {
        spec,
        graph: &graph,
        options,
        values: Vec::new(),
        steps: Vec::new(),
        blocks: Blocks::default(),
        starts: Vec::new(),
        value_of: vec![None; spec.layers.len()],
        readers,
    };
    let mut inputs = Vec::new();
    for &begin in &begins {
        let value = compiler.value(graph.shape(begin));
        inputs.push(value);
        compiler.value_of[begin] = Some(value);
    }
    for &i in graph.order.iter().filter(|i| needed.contains(i)) {
        let is_begin = begins.contains(&i);
        // An input's own quantizer is part of the plan. If the plan starts at an inner layer, the caller supplies
        // that layer's output, and the layer itself is not computed.
        if is_begin && !spec.layers[i].op.is_input() {
            continue;
        }
        let keeps_logits = options.logits && ends.contains(&i);
        compiler
            .layer(i, &wiring.sources[i], keeps_logits, &mut *customize)
            .map_err(|e| e.of_layer(&spec.layers[i].name))?;
    }
    let outputs: Vec<usize> = ends
        .iter()
        .map(|&i| compiler.value_of[i].expect("invariant: every layer that the plan ends at was compiled"))
        .collect();
    compiler.finish(seed, inputs, outputs, &begins, &ends)
}

/// Layers with the given names, or `default` if none are given.
fn named(spec: &ModelSpec, names: &[String], others: &[usize]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok(others.to_vec());
    }
    let find = |name: &String| {
        spec.layers.iter().position(|l| l.name == *name).ok_or_else(|| {
            let known: Vec<&str> = spec.layers.iter().map(|l| l.name.as_str()).collect();
            LayersError::Unsupported {
                layer: name.clone(),
                what: format!("is not a layer; layers are {}", known.join(", ")),
            }
        })
    };
    names.iter().map(find).collect()
}

/// All layers between `begins` and `ends`, both included.
fn needed(spec: &ModelSpec, wiring: &Wiring, begins: &[usize], ends: &[usize]) -> Result<BTreeSet<usize>> {
    let mut needed: BTreeSet<usize> = begins.iter().copied().collect();
    let mut open: Vec<usize> = ends.to_vec();
    while let Some(i) = open.pop() {
        if !needed.insert(i) {
            continue;
        }
        if spec.layers[i].op.is_input() {
            let names: Vec<&str> = begins.iter().map(|&b| spec.layers[b].name.as_str()).collect();
            return Err(LayersError::Unsupported {
                layer: spec.layers[i].name.clone(),
                what: format!(
                    "is an input of the layers that the plan ends at; add it to the layers that the plan starts from ({})",
                    names.join(", ")
                ),
            });
        }
        open.extend(&wiring.sources[i]);
    }
    Ok(needed)
}

impl Compiler<'_> {
    fn value(&mut self, sample: &[usize]) -> usize {
        self.values.push(PlanTensor {
            len: sample.iter().product(),
            channels: sample.last().copied().unwrap_or(1),
            range: 0..0,
            repeated: 0..0,
            gradient: 0..0,
            bits: 0..0,
            closes_itself: false,
            is_chunk: [false; 3],
        });
        self.values.len() - 1
    }

    fn layer(
        &mut self,
        i: usize,
        sources: &[usize],
        keeps_logits: bool,
        customize: &mut dyn FnMut(&Site<'_>) -> Result<Option<LayerOperator>>,
    ) -> Result<()> {
        let (spec, graph) = (self.spec, self.graph);
        let layer = &spec.layers[i];
        let shapes: Vec<&[usize]> = if sources.is_empty() {
            vec![graph.shape(i)]
        } else {
            sources.iter().map(|&k| graph.shape(k)).collect()
        };
        let inputs: ShortList<(usize, usize)> = if sources.is_empty() {
            let value = self.value_of[i].expect("invariant: a layer without sources is an input of the plan");
            SmallVec::from_slice(&[(value, graph.shape(i).last().copied().unwrap_or(1))])
        } else {
            let values = sources.iter().zip(&shapes);
            values
                .map(|(&k, shape)| {
                    let value =
                        self.value_of[k].expect("invariant: sources are compiled before their readers");
                    (value, shape.last().copied().unwrap_or(1))
                })
                .collect()
        };
        let site = Site { layer, inputs: &shapes, output: graph.shape(i) };
        if let Some(layer_operator) = customize(&site)? {
            let output = self.value(graph.shape(i));
            self.step(&layer.name, layer_operator, inputs, output);
            self.value_of[i] = Some(output);
            return Ok(());
        }
        let params = Params::new();
        let blueprint = Blueprint { layers: &spec.layers, graph, params: &params, device: &Device::Cpu };
        let drafts = translate(&blueprint, i, &shapes, keeps_logits)?;
        let may_fuse_into_source = sources.len() == 1 && self.readers[sources[0]] == 1;
        let mut last = inputs.first().map(|&(value, _)| value);
        for (n, draft) in drafts.into_iter().enumerate() {
            last = match draft {
                StepDraft::Alias => last,
                StepDraft::Gate(gate) => {
                    let fusable = n > 0 || may_fuse_into_source;
                    let value = last.expect("invariant: a gate follows a value");
                    if fusable && self.fuse(value, gate) {
                        Some(value)
                    } else {
                        let channels = graph.shape(i).last().copied().unwrap_or(1);
                        let output = self.value(graph.shape(i));
                        let layer_operator = LayerOperator::new(Gated::new(gate, channels));
                        self.step(
                            &layer.name,
                            layer_operator,
                            SmallVec::from_slice(&[(value, channels)]),
                            output,
                        );
                        Some(output)
                    }
                }
                StepDraft::Step { layer_operator, source, sample } => {
                    let from = match source {
                        StepSource::Inputs => inputs.clone(),
                        StepSource::Last => {
                            let value =
                                last.expect("invariant: a step that reads the last value follows one");
                            SmallVec::from_slice(&[(value, self.values[value].channels)])
                        }
                    };
                    let output = self.value(&sample);
                    self.step(&layer.name, layer_operator, from, output);
                    Some(output)
                }
            };
        }
        self.value_of[i] = last;
        Ok(())
    }

    /// Fuses `gate` into the step that produces `value`, if that step accepts it.
    fn fuse(&mut self, value: usize, gate: Gate) -> bool {
        self.steps.iter_mut().any(|s| s.output == value && s.operator.fuse(gate))
    }

    fn step(
        &mut self,
        layer: &str,
        layer_operator: LayerOperator,
        inputs: ShortList<(usize, usize)>,
        output: usize,
    ) {
        let mut distinct: ShortList<(usize, usize)> = SmallVec::new();
        for (value, channels) in inputs {
            // A value read twice by one step has two gradients to add, so the second read gets a copy.
            if distinct.iter().any(|&(v, _)| v == value) {
                let len = self.values[value].len;
                let copy = self.value(&[len / channels.max(1), channels]);
                let layer_operator = LayerOperator::new(Gated::new(Gate::LINEAR, channels));
                self.step(layer, layer_operator, SmallVec::from_slice(&[(value, channels)]), copy);
                distinct.push((copy, channels));
            } else {
                distinct.push((value, channels));
            }
        }
        let (mut weights, mut state) = (SmallVec::new(), SmallVec::new());
        for spec in layer_operator.blocks {
            let is_trainable = spec.trainable;
            self.starts.push(spec.start.clone());
            let number = self.blocks.add(spec);
            if is_trainable { weights.push(number) } else { state.push(number) }
        }
        self.steps.push(PlanStep {
            layer: layer.to_owned(),
            operator: layer_operator.operator,
            inputs: distinct,
            output,
            weights,
            state,
            scratch: (0..0, 0..0),
            sums: 0..0,
            kept: 0..0,
            sinks: None,
        });
    }

    fn finish(
        mut self,
        seed: Option<Seed>,
        inputs: Vec<usize>,
        outputs: Vec<usize>,
        begins: &[usize],
        ends: &[usize],
    ) -> Result<Plan> {
        let options = self.options;
        for name in &options.frozen {
            let number = self.blocks.find(name)?;
            self.blocks.list[number].frozen = true;
        }
        if options.training {
            self.plan_backward(&inputs, &outputs);
        }
        let rows = options.rows.max(1);
        let mut own = 0;
        for step in &mut self.steps {
            own += step.operator.prepare(rows, options.training);
        }
        let bits = memory::lay_out_bits(&mut self.values, rows);
        let names = |layers: &[usize]| layers.iter().map(|&i| self.spec.layers[i].name.clone()).collect();
        let weights = |step: &PlanStep| step.weights.iter().map(|&b| self.blocks.list[b].len()).sum();
        let weights: Vec<usize> = self.steps.iter().map(weights).collect();
        let segments = Segments::new(&self.steps, &self.values, &weights, &outputs, options);
        let ends = PlanEnds { inputs, outputs, input_names: names(begins), output_names: names(ends) };
        let (shared, own_floats) =
            memory::lay_out(&mut self.values, &mut self.steps, &segments, &ends, options);
        let memory = Memory {
            shared,
            own: own_floats,
            slots: options.threads.count().min(segments.max_shards()),
            bits,
            kept: if options.training { memory::lay_out_kept(&mut self.steps, rows) } else { 0 },
            sums: memory::lay_out_sums(&mut self.steps, &segments),
            operators: own,
        };
        // Checked before any of it is allocated.
        let bytes = memory.bytes() + self.blocks.lay_out_gradients(&self.steps, &segments) * size_of::<f32>();
        if let Some(limit) = options.memory_limit.filter(|&limit| bytes > limit) {
            return Err(LayersError::Memory { bytes, limit, rows });
        }
        self.blocks.allocate(options.training);
        if let Some(seed) = seed {
            self.blocks.initialize(&self.starts, seed)?;
        }
        Ok(Plan::new(self.values, self.steps, segments, self.blocks, ends, memory, options))
    }

    /// Decides which steps have a backward pass, which writes or adds to each gradient, and which applies the gates.
    fn plan_backward(&mut self, inputs: &[usize], outputs: &[usize]) {
        let options = self.options;
        let mut wants = vec![false; self.values.len()];
        if options.input_gradients {
            inputs.iter().for_each(|&v| wants[v] = true);
        }
        for step in &self.steps {
            let trains = step.weights.iter().any(|&b| self.blocks.list[b].takes_updates());
            wants[step.output] = trains || step.inputs.iter().any(|&(v, _)| wants[v]);
        }
        // Steps are visited in reverse execution order, as in the backward pass: the first visitor that gives a
        // gradient to a tensor overwrites the buffer, all later ones add to it. The last one (`last_giver`) finds the
        // complete sum, so it also applies the gate of the tensor's producer. Tensors whose gradient has been written
        // already. The loss writes first to the outputs.
        let mut given = vec![false; self.values.len()];
        outputs.iter().for_each(|&v| given[v] = wants[v]);
        let mut last_giver: Vec<Option<(usize, usize)>> = vec![None; self.values.len()];
        for s in (0..self.steps.len()).rev() {
            let output = self.steps[s].output;
            if !(wants[output] && given[output]) {
                continue;
            }
            let mut sinks: ShortList<Option<Sink>> = SmallVec::new();
            for (k, &(v, _)) in self.steps[s].inputs.iter().enumerate() {
                sinks.push(wants[v].then_some(Sink { accumulate: given[v], closes_gate: false }));
                if wants[v] {
                    given[v] = true;
                    last_giver[v] = Some((s, k));
                }
            }
            self.steps[s].sinks = Some(sinks);
        }
        for s in 0..self.steps.len() {
            let value = self.steps[s].output;
            let gate = self.steps[s].operator.gate();
            if gate.is_always_open() || self.steps[s].sinks.is_none() {
                continue;
            }
            let own = self.values[value].channels;
            let closed = last_giver[value].is_some_and(|(giver, k)| {
                let seen = self.steps[giver].inputs[k].1;
                // Gate bits come in words of 16 channels: reader and producer must cut the rows in the same way.
                let same = seen == own || (seen.is_multiple_of(16) && own.is_multiple_of(16));
                if let Some(Some(sink)) = self.steps[giver].sinks.as_mut().map(|sinks| &mut sinks[k]) {
                    sink.closes_gate = same;
                }
                same
            });
            self.values[value].closes_itself = !closed;
            // The range is assigned later. A non-empty one marks that bits are kept.
            self.values[value].bits = 0..1;
        }
        for (value, wants) in self.values.iter_mut().zip(wants) {
            if wants {
                value.gradient = 0..1;
            }
        }
    }
}
