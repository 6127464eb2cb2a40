//! Integer codes, as stored and computed with by a deployed network.

use crate::error::{QuantError, Result};
use crate::format::Format;
use crate::operator::{Mode, QuantizerOp, check_length};
use crate::scale::Scale;

/// A quantized tensor as integers: `value = scale * format.level(code)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    values: Vec<i32>,
    shape: Vec<usize>,
    scale: Scale,
    format: Format,
}

impl Codes {
    /// Builds codes from another source, such as a file.
    ///
    /// # Errors
    /// [`QuantError::Length`] and [`QuantError::Axis`] if codes, shape and scale do not match;
    /// [`QuantError::CodeRange`] if a code is outside of the format.
    pub fn new(values: Vec<i32>, shape: Vec<usize>, scale: Scale, format: Format) -> Result<Self> {
        check_length("codes", &shape, values.len())?;
        let factors = match &scale {
            Scale::Uniform(_) => 1,
            Scale::PerElement(_) => values.len(),
            Scale::PerChannel { axis, .. } => *shape.get(*axis).ok_or_else(|| QuantError::Axis {
                op: "scale of codes",
                axis: *axis,
                rank: shape.len(),
                shape: shape.clone(),
            })?,
        };
        if scale.values().len() != factors {
            let got = scale.values().len();
            return Err(QuantError::Length { op: "scale of codes", shape, want: factors, got });
        }
        if let Some(index) = values.iter().position(|code| !format.has_code(*code)) {
            let (min, max) = (format.min_code(), format.max_code());
            return Err(QuantError::CodeRange {
                index,
                code: values[index],
                min,
                max,
                format: format.to_string(),
            });
        }
        Ok(Self { values, shape, scale, format })
    }

    /// The codes, row-major.
    #[must_use]
    pub fn values(&self) -> &[i32] {
        &self.values
    }

    /// The tensor's shape.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Factors of the levels.
    #[must_use]
    pub const fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Number format of the codes.
    #[must_use]
    pub const fn format(&self) -> &Format {
        &self.format
    }

    /// Total bits of all codes, scales not included.
    #[must_use]
    pub fn storage_bits(&self) -> u64 {
        u64::from(self.format.storage_bits()) * self.values.len() as u64
    }

    /// Decodes to exactly the values that the quantizer gives in inference.
    #[must_use]
    pub fn decode(&self) -> Vec<f32> {
        let levels: Vec<f32> = self.values.iter().map(|&code| self.format.level(code)).collect();
        let mut out = vec![0.0; levels.len()];
        let scales = self.scale.values();
        self.scale.channels(&self.shape).zip(&levels, &mut out, |channel, level, y| {
            // Adding +0.0 makes -0.0 positive, as everywhere in this crate.
            *y = scales[channel] * level + 0.0;
        });
        out
    }
}

impl QuantizerOp {
    /// Quantizes the elements `xs` of a tensor of shape `shape` (in inference) to integer codes. [`Codes::decode`]
    /// gives bit for bit the result of [`apply_slice`](Self::apply_slice).
    ///
    /// # Errors
    /// [`QuantError::NoCodes`] as for [`format`](Self::format); [`QuantError::NotANumber`] for values that are or
    /// become NaN; [`QuantError::Length`] and [`QuantError::Axis`] if slice, shape and `scale_axis` do not match.
    pub fn encode(&self, xs: &[f32], shape: &[usize]) -> Result<Codes> {
        let format = self.format()?;
        check_length("encode", shape, xs.len())?;
        let mut codes = vec![0.0; xs.len()];
        let scale = if self.pointwise_codes(xs, &mut codes) {
            Scale::Uniform(self.fixed_alpha())
        } else {
            self.levels(xs, shape, &mut codes, None, Mode::Inference)?
        };
        if let Some(index) = codes.iter().position(|code| code.is_nan()) {
            return Err(QuantError::NotANumber { index, value: xs[index] });
        }
        // Integers within the format's range. 2^31 becomes the largest i32, whose f32 is 2^31 again.
        let values = codes.iter().map(|&code| (code as i32).min(format.max_code())).collect();
        Ok(Codes { values, shape: shape.to_vec(), scale, format })
    }
}
