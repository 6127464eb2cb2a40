//! The passes of a plan: segment by segment, part by part, step by step.

use tinsmith_core_tensor::kernels::epilogue::{GradientSink, close_gate};

use super::Plan;
use super::blocks::{Blocks, Update};
use super::compile::Step;
use super::operator::{Backward, Forward, Gather, InputGradient, Span};
use super::segment::Segment;
use crate::error::{LayersError, Result};
use crate::mode::Mode;

impl Plan {
    /// Computes the outputs of the `rows` samples that were written to the inputs.
    ///
    /// # Errors
    /// [`LayersError::Rows`], [`LayersError::NoTraining`] for a training pass of a plan for inference, and
    /// [`LayersError::Layer`] where a layer fails.
    pub fn forward(&mut self, rows: usize, mode: Mode) -> Result<()> {
        self.pass_forward(rows, mode, |_, _, _| true)?;
        self.last = Some((rows, mode));
        Ok(())
    }

    /// The first layer, in the order in which they run, whose values for the batch in the inputs hold a NaN or an
    /// infinity: what a loss that is not finite is to be traced with. The inputs have to be written anew before.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn find_non_finite(&mut self, rows: usize, mode: Mode) -> Result<Option<&str>> {
        let mut found = None;
        self.pass_forward(rows, mode, |plan, s, span| {
            let range = plan.values[plan.steps[s].output].rows(span);
            let is_bad = plan.arena.as_slice()[range].iter().any(|v| !v.is_finite());
            found = is_bad.then_some(s);
            !is_bad
        })?;
        Ok(found.map(|s| self.steps[s].layer.as_str()))
    }

    fn begin(&mut self, rows: usize, mode: Mode) -> Result<()> {
        self.check_rows(rows)?;
        if mode.is_training() && !self.is_training {
            return Err(LayersError::NoTraining);
        }
        self.last = None;
        self.blocks.refresh(mode, self.threads.count())
    }

    /// The forward pass, as long as `goes_on` says so of each step that is done.
    fn pass_forward(
        &mut self,
        rows: usize,
        mode: Mode,
        mut goes_on: impl FnMut(&Self, usize, Span) -> bool,
    ) -> Result<()> {
        self.begin(rows, mode)?;
        for segment in 0..self.segments.forward.len() {
            let mut first = 0;
            while first < rows {
                let Segment { steps, gathers, rows: part, .. } = &self.segments.forward[segment];
                let (count, gathers) = (steps.len(), *gathers);
                let span = Span { first, rows: (*part).min(rows - first), batch: rows };
                for i in 0..count {
                    let s = self.segments.forward[segment].steps[i];
                    self.forward_step(s, span, mode)?;
                    if !goes_on(self, s, span) {
                        return Ok(());
                    }
                }
                if let Some(s) = gathers.filter(|_| mode.is_training()) {
                    self.gather(s, span);
                }
                first += span.rows;
            }
        }
        Ok(())
    }

    fn gather(&mut self, s: usize, span: Span) {
        let Self { values, steps, arena, threads, .. } = self;
        let Step { operator, inputs, .. } = &mut steps[s];
        let arena = arena.as_slice();
        operator.gather(&Gather {
            span,
            inputs: inputs.iter().map(|&(v, _)| &arena[values[v].rows(span)]).collect(),
            d_output: &[],
            threads: *threads,
        });
    }

    fn forward_step(&mut self, s: usize, span: Span, mode: Mode) -> Result<()> {
        let Self { values, steps, blocks, arena, bits, threads, .. } = self;
        let Step { layer, operator, inputs, output, weights, state, scratch, .. } = &mut steps[s];
        let Blocks { list, values: params, used, .. } = blocks;
        let (mut arena, mut params) = (arena.carve(), params.carve());
        let used = used.as_slice();
        let output = &values[*output];
        let words = if mode.is_training() { output.bit_rows(span) } else { 0..0 };
        let mut io = Forward {
            span,
            inputs: inputs.iter().map(|&(v, _)| arena.read(values[v].rows(span))).collect(),
            output: arena.write(output.rows(span)),
            bits: &mut bits[words],
            weights: weights
                .iter()
                .map(|&b| match &list[b].quantizer {
                    Some(quantizer) => &used[quantizer.range.clone()],
                    None => params.read(list[b].range.clone()),
                })
                .collect(),
            state: state.iter().map(|&b| params.write(list[b].range.clone())).collect(),
            scratch: arena.write(scratch.0.clone()),
            mode,
            threads: *threads,
        };
        operator.forward(&mut io).map_err(|e| e.of_layer(layer))
    }

    /// Computes gradients from those that were written to the outputs, and hands each block that changes to `change`
    /// as soon as its gradient is complete and its values are no longer needed. A `change` that only looks leaves the
    /// gradients to [`change_all`](Self::change_all): for what needs all of them before the first weight changes, as a
    /// limit of their common norm does.
    ///
    /// # Errors
    /// [`LayersError::NoForward`] where no forward pass in training came before it, [`LayersError::Layer`] where a
    /// layer fails.
    pub fn backward(&mut self, change: &mut dyn FnMut(Update<'_>)) -> Result<()> {
        let Some((rows, mode)) = self.last.filter(|(_, mode)| self.is_training && mode.is_training()) else {
            return Err(LayersError::NoForward);
        };
        for segment in 0..self.segments.backward.len() {
            let mut first = 0;
            while first < rows {
                let Segment { steps, gathers, rows: part, .. } = &self.segments.backward[segment];
                let (count, gathers) = (steps.len(), *gathers);
                let span = Span { first, rows: (*part).min(rows - first), batch: rows };
                for i in 0..count {
                    self.backward_step(self.segments.backward[segment].steps[i], span, mode)?;
                }
                if let Some(s) = gathers {
                    self.gather_backward(s, span);
                }
                first += span.rows;
            }
            for &s in &self.segments.backward[segment].steps {
                for &block in &self.steps[s].weights {
                    if self.blocks.list[block].takes_updates() {
                        self.blocks.finish_gradient(block, mode)?;
                        self.blocks.update(block, change);
                    }
                }
            }
        }
        Ok(())
    }

    /// Hands every block that changes to `change`, with the gradient that the last backward pass left.
    pub fn change_all(&mut self, change: &mut dyn FnMut(Update<'_>)) {
        for s in (0..self.steps.len()).rev().filter(|&s| self.steps[s].sinks.is_some()) {
            for &block in &self.steps[s].weights {
                if self.blocks.list[block].takes_updates() {
                    self.blocks.update(block, change);
                }
            }
        }
    }

    fn gather_backward(&mut self, s: usize, span: Span) {
        let Self { values, steps, arena, bits, threads, .. } = self;
        let Step { operator, inputs, output, .. } = &mut steps[s];
        let value = &values[*output];
        if value.closes_itself {
            let d_output = &mut arena.as_mut_slice()[value.gradient_rows(span)];
            close_gate(d_output, &bits[value.bit_rows(span)], value.channels, threads.count());
        }
        let arena = arena.as_slice();
        let keeps = operator.keeps_inputs();
        operator.gather_backward(&Gather {
            span,
            inputs: inputs
                .iter()
                .map(|&(v, _)| if keeps { &arena[values[v].rows(span)] } else { &[] })
                .collect(),
            d_output: &arena[value.gradient_rows(span)],
            threads: *threads,
        });
    }

    fn backward_step(&mut self, s: usize, span: Span, mode: Mode) -> Result<()> {
        let Self { values, steps, blocks, arena, bits, threads, .. } = self;
        let Step { layer, operator, inputs, output, weights, scratch, sinks, .. } = &mut steps[s];
        let Some(sinks) = sinks else { return Ok(()) };
        let Blocks { list, values: params, used, gradients, .. } = blocks;
        let (mut arena, mut gradients) = (arena.carve(), gradients.carve());
        let (params, used) = (params.as_slice(), used.as_slice());
        let value = &values[*output];
        let d_output = arena.write(value.gradient_rows(span));
        if value.closes_itself {
            close_gate(d_output, &bits[value.bit_rows(span)], value.channels, threads.count());
        }
        let nothing = || 0..0;
        let mut io = Backward {
            span,
            inputs: inputs
                .iter()
                .map(|&(v, _)| {
                    arena.read(if operator.keeps_inputs() { values[v].rows(span) } else { nothing() })
                })
                .collect(),
            output: arena.read(if operator.keeps_output() { value.rows(span) } else { nothing() }),
            d_output,
            d_inputs: inputs
                .iter()
                .zip(sinks.iter())
                .map(|(&(v, channels), sink)| {
                    let sink = (*sink)?;
                    let gate: &[u16] = if sink.closes_gate { &bits[values[v].bit_rows(span)] } else { &[] };
                    Some(InputGradient {
                        values: arena.write(values[v].gradient_rows(span)),
                        sink: GradientSink { gate, accumulate: sink.accumulate },
                        channels,
                    })
                })
                .collect(),
            weights: weights
                .iter()
                .map(|&b| match &list[b].quantizer {
                    Some(quantizer) => &used[quantizer.range.clone()],
                    None => &params[list[b].range.clone()],
                })
                .collect(),
            gradients: weights
                .iter()
                .map(|&b| {
                    let takes = list[b].takes_updates();
                    gradients.write(if takes { list[b].range.clone() } else { nothing() })
                })
                .collect(),
            scratch: arena.write(scratch.1.clone()),
            mode,
            threads: *threads,
        };
        operator.backward(&mut io).map_err(|e| e.of_layer(layer))
    }
}
