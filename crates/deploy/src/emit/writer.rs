//! The writer of a step's function: element types, loops over windows, the store of a result.

use super::rodata::ReadOnly;
use super::text::{Text, float};
use crate::network::{Element, LoweredStep, Windows};
use crate::pointwise::Pointwise;

/// Returns the C type of an element.
pub(super) const fn c_name(element: Element) -> &'static str {
    match element {
        Element::Float => "float",
        Element::Code { low, high, .. } if low >= -128 && high <= 127 => "int8_t",
        Element::Code { low, high, .. } if low >= 0 && high <= 255 => "uint8_t",
        Element::Code { low, high, .. } if low >= -32_768 && high <= 32_767 => "int16_t",
        Element::Code { .. } => "uint16_t",
    }
}

/// Returns the expression for the value of an element as a float.
pub(super) fn value(element: Element, expression: &str) -> String {
    match element {
        Element::Float => expression.to_owned(),
        Element::Code { unit: 1.0, .. } => format!("(float){expression}"),
        Element::Code { unit, .. } => format!("(float){expression} * {}", float(unit)),
    }
}

/// State while the function of a step is written.
pub(super) struct Writer<'a> {
    pub(super) out: &'a mut Text,
    pub(super) data: &'a mut ReadOnly,
    pub(super) number: usize,
    pub(super) step: &'a LoweredStep,
    /// Element formats of the inputs and of the output.
    pub(super) inputs: Vec<Element>,
    pub(super) output: Element,
    /// Number of elements of the output.
    pub(super) count: usize,
}

impl Writer<'_> {
    /// Returns the element-wise functions before a softmax, the row length of the softmax, and the functions after
    /// it.
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

    /// Writes the functions of `float v`, element number `o`, and the store to `y[o]`.
    pub(super) fn finish(&mut self) {
        let functions = self.pointwise().0.to_vec();
        self.apply(&functions, "fused");
        self.store(&functions);
    }

    /// Writes the store of `v` to `y[o]`. If codes are stored, a quantizer at the end has left its code in `v`.
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

    /// Opens the loops over the taps of a window at output (`oy`, `ox`), with `iy` and `ix` inside the input. Close
    /// them with [`Writer::close_taps`].
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

    /// Opens the loops over output positions. Close them with [`Writer::close_positions`].
    pub(super) fn open_positions(&mut self, windows: &Windows) {
        if !windows.is_point() {
            self.out.count("oy", windows.output[0]);
            self.out.count("ox", windows.output[1]);
        }
    }

    pub(super) fn close_positions(&mut self, windows: &Windows) {
        self.close_taps(windows);
    }

    /// Writes `o`, the index of the output element of `channel` at the position.
    pub(super) fn number(&mut self, windows: &Windows, channels: usize, channel: &str) {
        if windows.is_point() {
            self.out.line(&format!("const int32_t o = {channel};"));
        } else {
            let width = windows.output[1];
            self.out.line(&format!("const int32_t o = (oy * {width} + ox) * {channels} + {channel};"));
        }
    }
}
