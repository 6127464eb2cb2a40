//! One C function for each step.

use super::product;
use super::rodata::ReadOnly;
use super::text::{Text, comment, float};
use crate::network::{Element, Network, Operation, Step, Windows, Work};
use crate::pointwise::Pointwise;

/// The type of an element.
pub(super) const fn c_name(element: Element) -> &'static str {
    match element {
        Element::Float => "float",
        Element::Code { low, high, .. } if low >= -128 && high <= 127 => "int8_t",
        Element::Code { low, high, .. } if low >= 0 && high <= 255 => "uint8_t",
        Element::Code { low, high, .. } if low >= -32_768 && high <= 32_767 => "int16_t",
        Element::Code { .. } => "uint16_t",
    }
}

/// The value of an element as a float.
pub(super) fn value(element: Element, expression: &str) -> String {
    match element {
        Element::Float => expression.to_owned(),
        Element::Code { unit: 1.0, .. } => format!("(float){expression}"),
        Element::Code { unit, .. } => format!("(float){expression} * {}", float(unit)),
    }
}

/// What a step's function is written with.
pub(super) struct Writer<'a> {
    pub(super) out: &'a mut Text,
    pub(super) data: &'a mut ReadOnly,
    pub(super) number: usize,
    pub(super) step: &'a Step,
    /// Elements of its inputs, and of its output.
    pub(super) inputs: Vec<Element>,
    pub(super) output: Element,
    /// Elements that it writes.
    pub(super) count: usize,
}

/// Writes the function of a step.
pub(super) fn step(out: &mut Text, data: &mut ReadOnly, network: &Network, number: usize, step: &Step) {
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
    /// The functions that are done element by element as results come, and those after a softmax.
    pub(super) fn pointwise(&self) -> (&[Pointwise], Option<usize>, &[Pointwise]) {
        let all = self.step.pointwise.as_slice();
        let place = all.iter().position(|p| matches!(p, Pointwise::Softmax { .. }));
        match place {
            Some(k) => match all[k] {
                Pointwise::Softmax { row } => (&all[..k], Some(row), &all[k + 1..]),
                _ => (all, None, &[]),
            },
            None => (all, None, &[]),
        }
    }

    /// Writes what is done to `float v`, element number `o`, until it lies in `y[o]`.
    pub(super) fn finish(&mut self) {
        let functions = self.pointwise().0.to_vec();
        self.apply(&functions, "fused");
        self.store(&functions);
    }

    /// Puts `v` into `y[o]`; a quantizer at the end has left its code in `v` where codes are held.
    fn store(&mut self, functions: &[Pointwise]) {
        let kind = c_name(self.output);
        match (self.output, functions.last()) {
            (Element::Float, _) => self.out.line("y[o] = v;"),
            (Element::Code { .. }, Some(Pointwise::Quantize(_))) => {
                self.out.line(&format!("y[o] = ({kind})v;"));
            }
            (Element::Code { unit, .. }, _) => {
                self.out.line(&format!("y[o] = ({kind})rintf(v * {});", float(1.0 / unit)));
            }
        }
    }

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

    /// Opens the loops over the elements under a window at output (`oy`, `ox`), with `iy` and `ix` inside the
    /// input; to be closed with [`Writer::close_taps`].
    pub(super) fn open_taps(&mut self, windows: &Windows) {
        if windows.is_point() {
            return;
        }
        for (axis, (tap, place, out)) in [("ky", "iy", "oy"), ("kx", "ix", "ox")].into_iter().enumerate() {
            self.out.count(tap, windows.size[axis]);
            let (stride, dilation, pad) = (windows.stride[axis], windows.dilation[axis], windows.pad[axis]);
            self.out.line(&format!("const int32_t {place} = {out} * {stride} + {tap} * {dilation} - {pad};"));
            let reach = (windows.output[axis] - 1) * stride + (windows.size[axis] - 1) * dilation;
            if pad > 0 || reach >= windows.input[axis] + pad {
                self.out.block(&format!("if ({place} < 0 || {place} >= {})", windows.input[axis]));
                self.out.line("continue;");
                self.out.close();
            }
        }
    }

    pub(super) fn close_taps(&mut self, windows: &Windows) {
        if !windows.is_point() {
            self.out.close();
            self.out.close();
        }
    }

    /// Opens the loops over output positions; to be closed with [`Writer::close_positions`].
    pub(super) fn open_positions(&mut self, windows: &Windows) {
        if !windows.is_point() {
            self.out.count("oy", windows.output[0]);
            self.out.count("ox", windows.output[1]);
        }
    }

    pub(super) fn close_positions(&mut self, windows: &Windows) {
        self.close_taps(windows);
    }

    /// Writes the number `o` of the output's element `channel` at the position.
    pub(super) fn number(&mut self, windows: &Windows, channels: usize, channel: &str) {
        if windows.is_point() {
            self.out.line(&format!("const int32_t o = {channel};"));
        } else {
            let width = windows.output[1];
            self.out.line(&format!("const int32_t o = (oy * {width} + ox) * {channels} + {channel};"));
        }
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
