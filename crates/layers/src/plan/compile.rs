//! From a specification to the steps of a plan.

use std::collections::BTreeSet;

use candle_core::Device;
use smallvec::SmallVec;
use tinsmith_core_tensor::Params;
use tinsmith_foundation::Seed;
use tinsmith_kernels::gate::Gate;
use tinsmith_network::{Graph, ModelSpec, Op};

use super::blocks::Blocks;
use super::operator::{Part, Pieces, Start};
use super::pointwise::Gated;
use super::segment::Segments;
use super::step::{Sink, Step, Value};
use super::translate::{Draft, Source, translate};
use super::{Custom, Ends, Memory, Plan, PlanOptions, Site, memory};
use crate::error::{LayersError, Result};
use crate::layer::Blueprint;
use crate::model::Wiring;

/// What is compiled.
struct Compiler<'a> {
    spec: &'a ModelSpec,
    graph: &'a Graph,
    options: &'a PlanOptions,
    values: Vec<Value>,
    steps: Vec<Step>,
    blocks: Blocks,
    starts: Vec<Start>,
    /// The value that each layer puts out.
    value_of: Vec<Option<usize>>,
    /// How many layers of the plan (and its end) read each layer's value.
    readers: Vec<usize>,
}

pub(super) fn compile(
    spec: &ModelSpec,
    seed: Seed,
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
        // An input's own quantizer is part of the plan; what a layer in the middle computes is not, where the plan begins there.
        if is_begin && !matches!(spec.layers[i].op, Op::Input(_)) {
            continue;
        }
        let keeps_logits = options.logits && ends.contains(&i);
        compiler
            .layer(i, &wiring.sources[i], keeps_logits, &mut *customize)
            .map_err(|e| e.of_layer(&spec.layers[i].name))?;
    }
    let outputs: Vec<usize> = ends.iter().filter_map(|&i| compiler.value_of[i]).collect();
    compiler.finish(seed, inputs, outputs, &begins, &ends)
}

/// The layers called so, or others where no name is given.
fn named(spec: &ModelSpec, names: &[String], others: &[usize]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok(others.to_vec());
    }
    let find = |name: &String| {
        spec.layers.iter().position(|l| l.name == *name).ok_or_else(|| {
            let known: Vec<&str> = spec.layers.iter().map(|l| l.name.as_str()).collect();
            LayersError::Unsupported {
                layer: name.clone(),
                what: format!("is no layer; layers are {}", known.join(", ")),
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
        if matches!(spec.layers[i].op, Op::Input(_)) {
            let names: Vec<&str> = begins.iter().map(|&b| spec.layers[b].name.as_str()).collect();
            return Err(LayersError::Unsupported {
                layer: spec.layers[i].name.clone(),
                what: format!(
                    "is needed by the layers that the plan ends at, want it among those that it begins at ({})",
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
        self.values.push(Value {
            len: sample.iter().product(),
            channels: sample.last().copied().unwrap_or(1),
            range: 0..0,
            repeated: 0..0,
            gradient: 0..0,
            bits: 0..0,
            closes_itself: false,
            is_part: [false; 3],
        });
        self.values.len() - 1
    }

    fn layer(
        &mut self,
        i: usize,
        sources: &[usize],
        keeps_logits: bool,
        customize: &mut dyn FnMut(&Site<'_>) -> Result<Option<Part>>,
    ) -> Result<()> {
        let (spec, graph) = (self.spec, self.graph);
        let layer = &spec.layers[i];
        let shapes: Vec<&[usize]> = if sources.is_empty() {
            vec![graph.shape(i)]
        } else {
            sources.iter().map(|&k| graph.shape(k)).collect()
        };
        let inputs: Pieces<(usize, usize)> = if sources.is_empty() {
            self.value_of[i].into_iter().map(|v| (v, graph.shape(i).last().copied().unwrap_or(1))).collect()
        } else {
            let values = sources.iter().zip(&shapes);
            values
                .filter_map(|(&k, shape)| Some((self.value_of[k]?, shape.last().copied().unwrap_or(1))))
                .collect()
        };
        let site = Site { layer, inputs: &shapes, output: graph.shape(i) };
        if let Some(part) = customize(&site)? {
            let output = self.value(graph.shape(i));
            self.step(&layer.name, part, inputs, output);
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
                Draft::Alias => last,
                Draft::Gate(gate) => {
                    let fusable = n > 0 || may_fuse_into_source;
                    let Some(value) = last else { continue };
                    if fusable && self.fuse(value, gate) {
                        Some(value)
                    } else {
                        let channels = graph.shape(i).last().copied().unwrap_or(1);
                        let output = self.value(graph.shape(i));
                        let part = Part::new(Gated::new(gate, channels));
                        self.step(&layer.name, part, SmallVec::from_slice(&[(value, channels)]), output);
                        Some(output)
                    }
                }
                Draft::Step { part, source, sample } => {
                    let from = match (source, last) {
                        (Source::Inputs, _) => inputs.clone(),
                        (Source::Last, Some(value)) => {
                            SmallVec::from_slice(&[(value, self.values[value].channels)])
                        }
                        (Source::Last, None) => SmallVec::new(),
                    };
                    let output = self.value(&sample);
                    self.step(&layer.name, part, from, output);
                    Some(output)
                }
            };
        }
        self.value_of[i] = last;
        Ok(())
    }

    /// Hands `gate` to the step that makes `value`, if it takes it.
    fn fuse(&mut self, value: usize, gate: Gate) -> bool {
        self.steps.iter_mut().any(|s| s.output == value && s.operator.fuse(gate))
    }

    fn step(&mut self, layer: &str, part: Part, inputs: Pieces<(usize, usize)>, output: usize) {
        let mut distinct: Pieces<(usize, usize)> = SmallVec::new();
        for (value, channels) in inputs {
            // A value that is read twice has two gradients to add: the second reading gets a copy.
            if distinct.iter().any(|&(v, _)| v == value) {
                let len = self.values[value].len;
                let copy = self.value(&[len / channels.max(1), channels]);
                let part = Part::new(Gated::new(Gate::LINEAR, channels));
                self.step(layer, part, SmallVec::from_slice(&[(value, channels)]), copy);
                distinct.push((copy, channels));
            } else {
                distinct.push((value, channels));
            }
        }
        let (mut weights, mut state) = (SmallVec::new(), SmallVec::new());
        for spec in part.blocks {
            let is_trainable = spec.trainable;
            self.starts.push(spec.start.clone());
            let number = self.blocks.add(spec);
            if is_trainable { weights.push(number) } else { state.push(number) }
        }
        self.steps.push(Step {
            layer: layer.to_owned(),
            operator: part.operator,
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
        seed: Seed,
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
        let weights = |step: &Step| step.weights.iter().map(|&b| self.blocks.list[b].len()).sum();
        let weights: Vec<usize> = self.steps.iter().map(weights).collect();
        let segments = Segments::new(&self.steps, &self.values, &weights, &outputs, options);
        let ends = Ends { inputs, outputs, input_names: names(begins), output_names: names(ends) };
        let (shared, own_floats) =
            memory::lay_out(&mut self.values, &mut self.steps, &segments, &ends, options);
        let memory = Memory {
            shared,
            own: own_floats,
            slots: options.threads.count().min(segments.most_shares()),
            bits,
            kept: if options.training { memory::lay_out_kept(&mut self.steps, rows) } else { 0 },
            sums: memory::lay_out_sums(&mut self.steps, &segments),
            operators: own,
        };
        let bytes = memory.bytes() + self.blocks.lay_out_gradients(&self.steps, &segments) * size_of::<f32>();
        if let Some(limit) = options.memory_limit.filter(|&limit| bytes > limit) {
            return Err(LayersError::Memory { bytes, limit, rows });
        }
        self.blocks.lay_out(&self.starts, seed, options.training)?;
        Ok(Plan::new(self.values, self.steps, segments, self.blocks, ends, memory, options))
    }

    /// Which steps have a backward pass, who gives what to which gradient, and who closes gates.
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
        // Values whose gradient something has been given to already; a loss gives the first to the outputs.
        let mut given = vec![false; self.values.len()];
        outputs.iter().for_each(|&v| given[v] = wants[v]);
        let mut last_giver: Vec<Option<(usize, usize)>> = vec![None; self.values.len()];
        for s in (0..self.steps.len()).rev() {
            let output = self.steps[s].output;
            if !(wants[output] && given[output]) {
                continue;
            }
            let mut sinks: Pieces<Option<Sink>> = SmallVec::new();
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
                let same = seen == own || (seen.is_multiple_of(16) && own.is_multiple_of(16));
                if let Some(Some(sink)) = self.steps[giver].sinks.as_mut().map(|sinks| &mut sinks[k]) {
                    sink.closes_gate = same;
                }
                same
            });
            self.values[value].closes_itself = !closed;
            // The place is found later; that it is not empty says that bits are kept.
            self.values[value].bits = 0..1;
        }
        for (value, wants) in self.values.iter_mut().zip(wants) {
            if wants {
                value.gradient = 0..1;
            }
        }
    }
}
