//! One C function for each step.

use super::product;
use super::rodata::ReadOnly;
use super::text::{Text, comment, float};
use crate::network::{Element, Network, Step, Windows, Work};
use crate::pointwise::{Pointwise, Quantization, Rounding, Squash};

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
        Work::Add => writer.add(),
        Work::Concat { times, runs } => writer.concat(*times, runs),
    }
    writer.softmax();
    writer.out.close();
}

impl Writer<'_> {
    /// The functions that are done element by element as results come, and those after a softmax.
    fn pointwise(&self) -> (&[Pointwise], Option<usize>, &[Pointwise]) {
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

    fn apply(&mut self, functions: &[Pointwise], purpose: &str) {
        for (k, function) in functions.iter().enumerate() {
            match function {
                Pointwise::Relu => self.out.line("v = v > 0.0f ? v : 0.0f;"),
                Pointwise::Clip { low, high } => self.limit(*low, *high),
                Pointwise::LeakyRelu { slope } => {
                    self.out.line(&format!("v = v > 0.0f ? v : v * {};", float(*slope)));
                }
                Pointwise::Elu { alpha } => {
                    self.out.line(&format!("v = v > 0.0f ? v : {} * expm1f(v);", float(*alpha)));
                }
                Pointwise::Tanh => self.out.line("v = tanhf(v);"),
                Pointwise::Sigmoid => self.out.line("v = 1.0f / (1.0f + expf(-v));"),
                Pointwise::HardSigmoid => {
                    self.out.line("v = 0.2f * v + 0.5f;");
                    self.limit(0.0, 1.0);
                }
                Pointwise::HardSwish => {
                    let sixth = float(1.0 / 6.0);
                    self.out.line("{");
                    self.out.line("    const float g = v + 3.0f;");
                    self.out.line(&format!("    v = v * (g < 0.0f ? 0.0f : g > 6.0f ? 6.0f : g) * {sixth};"));
                    self.out.line("}");
                }
                Pointwise::Multiply(factor) => self.out.line(&format!("v = v * {};", float(*factor))),
                Pointwise::Affine { scale, shift } => {
                    let name = format!("{purpose}{}_{k}", self.number);
                    let index = format!("o % {}", scale.len());
                    let a = self.data.floats(&format!("{name}_scale"), scale).at(&index);
                    let b = self.data.floats(&format!("{name}_shift"), shift).at(&index);
                    self.out.line(&format!("v = v * {a} + {b};"));
                }
                Pointwise::Quantize(q) => {
                    let is_last = k + 1 == functions.len();
                    let stays_code = is_last && self.output != Element::Float;
                    self.quantize(q, stays_code);
                }
                Pointwise::Softmax { .. } => {}
            }
        }
    }

    fn limit(&mut self, low: f32, high: f32) {
        self.out.line(&format!("v = v < {} ? {} : v;", float(low), float(low)));
        self.out.line(&format!("v = v > {} ? {} : v;", float(high), float(high)));
    }

    fn quantize(&mut self, q: &Quantization, stays_code: bool) {
        match q.squash {
            Squash::None => {}
            Squash::HardTanh | Squash::HardSigmoid => {
                self.out.line("v = 0.5f * v + 0.5f;");
                self.limit(0.0, 1.0);
                if q.squash == Squash::HardTanh {
                    self.out.line("v = 2.0f * v - 1.0f;");
                }
            }
            Squash::Tanh => self.out.line("v = tanhf(v);"),
            Squash::Sigmoid => self.out.line("v = 1.0f / (1.0f + expf(-v));"),
            Squash::HardSwish { shift, bound } => {
                let (shift, bound) = (float(shift), float(bound));
                self.out.line("{");
                self.out.line(&format!("    const float g = v + {shift};"));
                self.out
                    .line(&format!("    v = v * (g < 0.0f ? 0.0f : g > {bound} ? {bound} : g) / {bound};"));
                self.out.line("}");
            }
        }
        match q.rounding {
            Rounding::Nearest { unit } => {
                // A power of two, so that the reciprocal is exact.
                self.out.line(&format!("v = rintf(v * {});", float(1.0 / unit)));
                if stays_code {
                    // What is no number becomes the lowest code: no other conversion of it is defined.
                    let (low, high) = (float(q.low as f32), float(q.high as f32));
                    self.out.line(&format!("v = v > {high} ? {high} : v;"));
                    self.out.line(&format!("v = v >= {low} ? v : {low};"));
                } else {
                    self.limit(q.low as f32, q.high as f32);
                }
            }
            Rounding::Sign => self.out.line("v = v < 0.0f ? -1.0f : 1.0f;"),
            Rounding::Bit => self.out.line("v = v < 0.0f ? 0.0f : 1.0f;"),
            Rounding::Ternary { threshold } => {
                let t = float(threshold);
                self.out
                    .line(&format!("v = fabsf(v) < {t} ? 0.0f : v < 0.0f ? -1.0f : v > 0.0f ? 1.0f : 0.0f;"));
            }
        }
        if stays_code {
            return;
        }
        if q.worth != 1.0 {
            self.out.line(&format!("v = v * {};", float(q.worth)));
        }
        if let Some(bound) = q.bound {
            self.out.line(&format!("v = v > {} ? {} : v;", float(bound), float(bound)));
        }
    }

    /// A softmax over rows of what was written, and what comes after it.
    fn softmax(&mut self) {
        let (_, Some(row), after) = self.pointwise() else { return };
        let after = after.to_vec();
        let rows = self.count / row.max(1);
        self.out.count("r", rows);
        self.out.line(&format!("float *z = y + r * {row};"));
        self.out.line("float most = z[0];");
        self.out.line("float sum = 0.0f;");
        self.out.count("i", row);
        self.out.line("most = z[i] > most ? z[i] : most;");
        self.out.close();
        self.out.count("i", row);
        self.out.line("z[i] = expf(z[i] - most);");
        self.out.line("sum += z[i];");
        self.out.close();
        self.out.count("i", row);
        self.out.line("z[i] /= sum;");
        self.out.close();
        self.out.close();
        if !after.is_empty() {
            self.out.count("o", self.count);
            self.out.line("float v = y[o];");
            self.apply(&after, "after");
            self.out.line("y[o] = v;");
            self.out.close();
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

    fn add(&mut self) {
        self.out.count("o", self.count);
        let terms: Vec<String> =
            self.inputs.iter().enumerate().map(|(k, element)| value(*element, &format!("x{k}[o]"))).collect();
        self.out.line(&format!("float v = {};", terms.join(" + ")));
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
