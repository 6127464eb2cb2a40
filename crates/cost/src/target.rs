//! Targets as data: word widths, packing, and the memory that counts.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_foundation::{Faults, config};
use tinsmith_network::Op;

use crate::error::Result;

/// Layout of elements that are narrower than a machine word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// Each element takes the smallest of 1, 2, 4 or 8 bytes that holds it.
    #[default]
    Bytes,
    /// Packed bit by bit; a whole tensor is rounded up to bytes.
    Bits,
}

impl Packing {
    /// Bytes of `count` elements of `bits` bits.
    #[must_use]
    pub const fn bytes(self, count: u64, bits: u32) -> u64 {
        match self {
            Self::Bytes => count.saturating_mul(word_bytes(bits)),
            Self::Bits => count.saturating_mul(bits as u64).div_ceil(8),
        }
    }
}

/// The smallest of 1, 2, 4 and 8 bytes that holds `bits` bits; 0 for none.
const fn word_bytes(bits: u32) -> u64 {
    match bits {
        0 => 0,
        1..=8 => 1,
        9..=16 => 2,
        17..=32 => 4,
        _ => 8,
    }
}

/// Working memory of a convolution beyond its input and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Scratch {
    /// None: every output is accumulated in a register.
    #[default]
    None,
    /// `columns` unrolled windows at a time, `bytes` per element: `columns * bytes * C_in / groups * k^2`.
    /// CMSIS-NN's 8-bit convolution has 2 and 2. Depthwise and dense layers need none.
    Im2col {
        /// Windows unrolled at a time.
        columns: u64,
        /// Bytes of an unrolled element.
        bytes: u64,
    },
}

/// A device, as the cost model knows it. A custom target is a YAML file with the fields that differ from the defaults,
/// which are those of `mcu-int8`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// Name.
    pub name: String,
    /// Stores values in the widths of their quantizers. If false, all values have the default widths below.
    pub use_quantizers: bool,
    /// Bits of a weight without a quantizer.
    pub weight_bits: u32,
    /// Bits of an activation without a quantizer.
    pub activation_bits: u32,
    /// Bits of a bias without a quantizer, and of the scale and shift of a normalization that is not folded.
    pub bias_bits: u32,
    /// Stores biases in `bias_bits` even if a quantizer gives them fewer, since they initialize an accumulator.
    pub bias_is_accumulator: bool,
    /// Packing of weights in flash.
    pub weight_packing: Packing,
    /// Packing of activations in RAM.
    pub activation_packing: Packing,
    /// Flash bytes of the factor that rescales an accumulator to the width of the output (multiplier and shift): one per
    /// output channel if scales differ by channel, else one per layer.
    pub scale_bytes: u64,
    /// Flash bytes per remaining layer beyond its weights, such as a descriptor and a call.
    pub layer_overhead_bytes: u64,
    /// RAM bytes per live tensor beyond its elements, such as alignment and a descriptor.
    pub tensor_overhead_bytes: u64,
    /// Counts the memory of the input.
    pub input_counts: bool,
    /// Reuses the memory of an input after its last reader. If false, an input that counts is live until the end.
    pub reuse_input: bool,
    /// Kinds of layers that can overwrite an input, if nothing else needs it and it is no smaller than the output.
    pub in_place: Vec<String>,
    /// Working memory of convolutions.
    pub scratch: Scratch,
}

impl Default for Target {
    fn default() -> Self {
        let in_place = ["activation", "batch_norm", "layer_norm", "add", "subtract", "multiply"];
        Self {
            name: "mcu-int8".to_owned(),
            use_quantizers: true,
            weight_bits: 8,
            activation_bits: 8,
            bias_bits: 32,
            bias_is_accumulator: true,
            weight_packing: Packing::Bytes,
            activation_packing: Packing::Bytes,
            scale_bytes: 8,
            layer_overhead_bytes: 0,
            tensor_overhead_bytes: 0,
            input_counts: true,
            reuse_input: true,
            in_place: in_place.map(str::to_owned).to_vec(),
            scratch: Scratch::None,
        }
    }
}

impl Target {
    /// Names of the built-in targets.
    pub const BUILTIN: &'static [&'static str] = &["mcu-int8", "mcu-packed", "fpga", "float32"];

    /// Returns a built-in target; None for an unknown name.
    ///
    /// | name | weights | biases | activations | scales |
    /// | --- | --- | --- | --- | --- |
    /// | `mcu-int8` | whole bytes, 8 bits if not quantized | int32 | whole bytes, 8 bits if not quantized | 8 bytes (int32 multiplier and shift, as CMSIS-NN has them) |
    /// | `mcu-packed` | packed bit by bit, unpacked on use; else as `mcu-int8` | int32 | as `mcu-int8` | 8 bytes |
    /// | `fpga` | packed bit by bit, 16 if not quantized (hls4ml's default) | as weights | as weights | none (scales are wiring) |
    /// | `float32` | 4 bytes, regardless of quantizers | 4 bytes | 4 bytes | none |
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let int8 = Self::default();
        let target = match name {
            "mcu-int8" => int8,
            "mcu-packed" => Self { weight_packing: Packing::Bits, ..int8 },
            "fpga" => Self {
                weight_bits: 16,
                activation_bits: 16,
                bias_bits: 16,
                bias_is_accumulator: false,
                weight_packing: Packing::Bits,
                activation_packing: Packing::Bits,
                scale_bytes: 0,
                ..int8
            },
            "float32" => {
                Self { use_quantizers: false, weight_bits: 32, activation_bits: 32, scale_bytes: 0, ..int8 }
            }
            _ => return None,
        };
        Some(Self { name: name.to_owned(), ..target })
    }

    /// Reads a target from YAML or JSON; `origin` names the text in errors.
    ///
    /// # Errors
    /// [`crate::CostError::Invalid`] with line and column.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        Ok(config::from_str(text, origin, Self::check)?)
    }

    /// Returns a built-in target by its name, or a custom one from the path of a YAML or JSON file.
    ///
    /// # Errors
    /// [`crate::CostError::Invalid`] with line and column, [`crate::CostError::File`] if the file does not
    /// exist.
    pub fn load(name_or_path: &str) -> Result<Self> {
        match Self::builtin(name_or_path) {
            Some(target) => Ok(target),
            None => Ok(config::load(Path::new(name_or_path), Self::check)?),
        }
    }

    /// Adds a fault for each impossible setting.
    pub fn check(&self, faults: &mut Faults) {
        let widths = [
            ("weight_bits", self.weight_bits),
            ("activation_bits", self.activation_bits),
            ("bias_bits", self.bias_bits),
        ];
        for (field, bits) in widths {
            if !(1..=64).contains(&bits) {
                faults.add(field, format!("is {bits}, want 1..=64"));
            }
        }
        for (i, kind) in self.in_place.iter().enumerate() {
            if !Op::NAMES.contains(&kind.as_str()) {
                let known = Op::NAMES.join(", ");
                faults.add(&format!("in_place[{i}]"), format!("is `{kind}`, want a kind of layer: {known}"));
            }
        }
    }

    /// True if layers of this kind can overwrite their input.
    #[must_use]
    pub fn works_in_place(&self, op: &Op) -> bool {
        self.in_place.iter().any(|kind| kind == op.name())
    }

    /// RAM bytes of a tensor of `elements` elements of `bits` bits.
    #[must_use]
    pub const fn activation_bytes(&self, elements: u64, bits: u32) -> u64 {
        self.activation_packing.bytes(elements, bits).saturating_add(self.tensor_overhead_bytes)
    }
}
