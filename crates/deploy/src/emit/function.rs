//! C functions of the steps, one per step.

use super::product;
use super::rodata::ReadOnly;
use super::text::{Text, comment};
use super::writer::{Writer, c_name, value};
use crate::network::{Element, LoweredStep, Network, Operation, Windows, Work};

/// Writes the function of a step.
pub(super) fn step(
    out: &mut Text,
    data: &mut ReadOnly,
    network: &Network,
    number: usize,
    step: &LoweredStep,
) {
    let inputs: Vec<Element> = step.inputs.iter().map(|&t| network.tensors[t].element).collect();
    let tensor = &network.tensors[step.output];
    out.line(&format!("/* {}: {} */", comment(&step.layers.join(", ")), step.kind));
    let mut parameters: Vec<String> =
        inputs.iter().enumerate().map(|(k, element)| format!("const {} *x{k}", c_name(*element))).collect();
    parameters.push(format!("{} *y", c_name(tensor.element)));
    if let Work::Separable(_) = step.work {
        parameters.push("float *inner".to_owned());
    }
    out.open(&format!("static void step{number}({})", parameters.join(", ")));
    let count = tensor.elements();
    let mut writer = Writer { out, data, number, step, inputs, output: tensor.element, count };
    match &step.work {
        Work::Copy => writer.copy(),
        Work::Product(product) => product::product(&mut writer, product),
        Work::Separable(work) => product::separable(&mut writer, &work.depthwise, &work.pointwise),
        Work::Pool { windows, takes_mean } => writer.pool(windows, *takes_mean),
        Work::Merge(operation) => writer.merge(*operation),
        Work::Concat { times, runs } => writer.concat(*times, runs),
    }
    writer.softmax();
    writer.out.close();
}

impl Writer<'_> {
    fn copy(&mut self) {
        self.out.count("o", self.count);
        if self.step.pointwise.is_empty() && self.output == self.inputs[0] {
            self.out.line("y[o] = x0[o];");
        } else {
            self.out.line(&format!("float v = {};", value(self.inputs[0], "x0[o]")));
            self.finish();
        }
        self.out.close();
    }

    fn merge(&mut self, operation: Operation) {
        let operator = match operation {
            Operation::Add => " + ",
            Operation::Subtract => " - ",
            Operation::Multiply => " * ",
        };
        self.out.count("o", self.count);
        let terms: Vec<String> =
            self.inputs.iter().enumerate().map(|(k, element)| value(*element, &format!("x{k}[o]"))).collect();
        self.out.line(&format!("float v = {};", terms.join(operator)));
        self.finish();
        self.out.close();
    }

    fn concat(&mut self, times: usize, runs: &[usize]) {
        let row: usize = runs.iter().sum();
        let moves_codes = self.step.pointwise.is_empty() && self.inputs.iter().all(|e| *e == self.output);
        self.out.count("t", times);
        let mut start = 0;
        for (k, &run) in runs.iter().enumerate() {
            self.out.count("i", run);
            self.out.line(&format!("const int32_t o = t * {row} + {start} + i;"));
            let element = format!("x{k}[t * {run} + i]");
            if moves_codes {
                self.out.line(&format!("y[o] = {element};"));
            } else {
                self.out.line(&format!("float v = {};", value(self.inputs[k], &element)));
                self.finish();
            }
            self.out.close();
            start += run;
        }
        self.out.close();
    }

    fn pool(&mut self, windows: &Windows, takes_mean: bool) {
        let [_, width, channels] = windows.input;
        let element = self.inputs[0];
        let is_float = element == Element::Float;
        let kind = if is_float { "float" } else { "int32_t" };
        self.open_positions(windows);
        self.out.count("c", channels);
        self.number(windows, channels, "c");
        let zero = if is_float { "0.0f" } else { "0" };
        self.out.line(&format!("{kind} pooled = {zero};"));
        self.out.line("int32_t count = 0;");
        self.open_taps(windows);
        let index =
            if windows.is_point() { "c".to_owned() } else { format!("(iy * {width} + ix) * {channels} + c") };
        self.out.line(&format!("const {kind} x = x0[{index}];"));
        let update =
            if takes_mean { "pooled += x;" } else { "pooled = count == 0 || x > pooled ? x : pooled;" };
        self.out.line(update);
        self.out.line("++count;");
        self.close_taps(windows);
        if takes_mean {
            self.out.line(&format!("float v = {} * (1.0f / (float)count);", value(element, "pooled")));
            self.finish();
        } else if self.step.pointwise.is_empty() && self.output == element {
            self.out.line(&format!("y[o] = ({})pooled;", c_name(element)));
        } else {
            self.out.line(&format!("float v = {};", value(element, "pooled")));
            self.finish();
        }
        self.out.close();
        self.close_positions(windows);
    }
}
