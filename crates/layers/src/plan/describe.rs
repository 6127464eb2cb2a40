//! A textual description of a plan: memory, segments, steps, tensors and parameter blocks.

use std::fmt;
use std::ops::Range;

use super::Plan;
use super::segment::Segment;
use super::step::PlanTensor;

/// Description of a [`Plan`], for logs and snapshot tests. Made by [`Plan::describe`].
///
/// Tensors are `t0`, `t1`, ..., steps `s0`, `s1`, ..., blocks `b0`, `b1`, ... Ranges are offsets in elements of their
/// arena; for buffers of a single chunk they are those of the first thread.
#[derive(Debug, Clone, Copy)]
pub struct PlanDescription<'a> {
    plan: &'a Plan,
}

impl Plan {
    /// Describes the plan: steps in execution order with their kernels, tensors with their lengths and arena offsets,
    /// parameter blocks, segments with their shards and chunks, and the memory in bytes.
    #[must_use]
    pub const fn describe(&self) -> PlanDescription<'_> {
        PlanDescription { plan: self }
    }
}

impl fmt::Display for PlanDescription<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { values, steps, segments, blocks, ends, memory, .. } = self.plan;
        let kind = if self.plan.is_training { "training" } else { "inference" };
        writeln!(f, "plan for {kind}, batches of up to {} rows", self.plan.most_rows)?;
        writeln!(
            f,
            "memory {} bytes: {} shared floats, {} floats for each of {} threads, {} gate words, {} saved bytes, {} sums, \
             {} bytes of operators",
            memory.bytes(),
            memory.shared,
            memory.own,
            memory.slots,
            memory.bits,
            memory.kept,
            memory.sums,
            memory.operators,
        )?;
        for (title, names, tensors) in
            [("inputs", &ends.input_names, &ends.inputs), ("outputs", &ends.output_names, &ends.outputs)]
        {
            let list: Vec<String> =
                names.iter().zip(tensors).map(|(name, t)| format!("{name} t{t}")).collect();
            writeln!(f, "{title} {}", list.join(", "))?;
        }
        for (title, list) in [("forward", &segments.forward), ("backward", &segments.backward)] {
            writeln!(f, "\n{title} segments")?;
            for segment in list {
                writeln!(f, "  {}", line_of(segment))?;
            }
        }
        writeln!(f, "\nsteps")?;
        for (s, step) in steps.iter().enumerate() {
            write!(f, "  s{s} {}: {}", step.layer, step.operator.kernel())?;
            if !step.operator.gate().is_always_open() {
                write!(f, " + gate")?;
            }
            write!(f, ", {} -> t{}", ids("t", step.inputs.iter().map(|&(t, _)| t)), step.output)?;
            let parameters = step.weights.iter().chain(&step.state).copied();
            if !(step.weights.is_empty() && step.state.is_empty()) {
                write!(f, ", blocks {}", ids("b", parameters))?;
            }
            for (name, range) in [
                ("forward scratch", &step.scratch.0),
                ("backward scratch", &step.scratch.1),
                ("saved", &step.kept),
            ] {
                if !range.is_empty() {
                    write!(f, ", {name} {}", Offsets(range))?;
                }
            }
            writeln!(f, "{}", if step.sinks.is_some() { ", backward" } else { "" })?;
        }
        writeln!(f, "\ntensors")?;
        for (t, tensor) in values.iter().enumerate() {
            writeln!(f, "  t{t} {}", line_of_tensor(tensor))?;
        }
        writeln!(f, "\nblocks")?;
        for (b, block) in blocks.list.iter().enumerate() {
            let role = match (block.is_trainable(), block.takes_updates()) {
                (true, true) => "trained",
                (true, false) => "frozen",
                (false, _) => "state",
            };
            write!(f, "  b{b} {} {:?} {role} {}", block.name(), block.dims(), Offsets(&block.range))?;
            if let Some(quantizer) = &block.quantizer {
                write!(f, ", {} {}", quantizer.description(), Offsets(&quantizer.range))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn line_of(segment: &Segment) -> String {
    let mut line = ids("s", segment.steps.iter().copied());
    if segment.alone().is_some() {
        line.push_str(": whole batch");
    } else {
        line.push_str(&format!(": {} shards, chunks of {} rows", segment.shards, segment.rows));
    }
    if let Some(s) = segment.gathers {
        line.push_str(&format!(", gathers for s{s}"));
    }
    for (recomputed, reader) in &segment.repeats {
        line.push_str(&format!(", recomputes s{recomputed} before s{reader}"));
    }
    line
}

fn line_of_tensor(tensor: &PlanTensor) -> String {
    let mut line = format!("{} per row, {} channels", tensor.len, tensor.channels);
    let buffers =
        [("values", &tensor.range), ("recomputed", &tensor.repeated), ("gradient", &tensor.gradient)];
    for ((name, range), is_chunk) in buffers.into_iter().zip(tensor.is_chunk) {
        if !range.is_empty() {
            line.push_str(&format!(", {name} {}{}", Offsets(range), if is_chunk { " (chunk)" } else { "" }));
        }
    }
    if !tensor.bits.is_empty() {
        line.push_str(&format!(", gate bits {}", Offsets(&tensor.bits)));
    }
    line
}

fn ids(letter: &str, numbers: impl Iterator<Item = usize>) -> String {
    numbers.map(|n| format!("{letter}{n}")).collect::<Vec<_>>().join(" ")
}

/// A range as `start..end`.
struct Offsets<'a>(&'a Range<usize>);

impl fmt::Display for Offsets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.0.start, self.0.end)
    }
}
