//! Element-wise functions in C, and the softmax of rows.

use super::text::float;
use super::writer::Writer;
use crate::network::Element;
use crate::pointwise::{Pointwise, Quantization, Rounding, Squash};

impl Writer<'_> {
    /// Writes `functions` applied to `v`; arrays are named after `purpose`.
    pub(super) fn apply(&mut self, functions: &[Pointwise], purpose: &str) {
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
                // `unit` is a power of two, so its reciprocal is exact.
                self.out.line(&format!("v = rintf(v * {});", float(1.0 / unit)));
                if stays_code {
                    // C defines no conversion of NaN to an integer. The comparison is written so that NaN becomes the
                    // lowest code.
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
        if q.step_size != 1.0 {
            self.out.line(&format!("v = v * {};", float(q.step_size)));
        }
        if let Some(bound) = q.bound {
            self.out.line(&format!("v = v > {} ? {} : v;", float(bound), float(bound)));
        }
    }

    /// Writes a softmax over rows of the output, and the functions after it.
    pub(super) fn softmax(&mut self) {
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
}
