//! Bits and bytes of a deployed weight tensor.

use tinsmith_network::{Role, Storage, Weight, WeightFacts};

use crate::target::Target;

/// Size of one weight tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Elements.
    pub(crate) elements: u64,
    /// Elements that are multiplied: all, or those kept by sparse storage.
    pub(crate) kept: u64,
    /// Bits of one element; the mean, rounded up, if they vary.
    pub(crate) width: u32,
    /// Bits of the values, without indices.
    pub(crate) bits: u64,
    /// Bytes in flash with indices.
    pub(crate) bytes: u64,
}

/// The product of `sizes`, at most the largest number.
pub(crate) fn elements(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1, |n, &d| n.saturating_mul(d as u64))
}

fn width(weight: &Weight, target: &Target) -> u32 {
    let (default, is_fixed) = match weight.role {
        Role::Kernel | Role::Slope => (target.weight_bits, false),
        _ => (target.bias_bits, target.bias_is_accumulator),
    };
    weight.quantizer.filter(|_| target.use_quantizers && !is_fixed).map_or(default, |q| q.bits())
}

/// Size of `weight` on `target`, given the facts about it.
///
/// With `e` elements, `z` of them non-zero (all if unknown), widths `b`, rows the last axis
/// (output channels) and columns the other axes:
///
/// | storage | values | index |
/// | --- | --- | --- |
/// | dense | `e` | none |
/// | CSR | `z` | `z` columns, each the smallest of 1, 2, 4 bytes that holds the largest; `rows + 1` starts, 2 bytes, or 4 if `z` is 2^16 or more |
/// | bitmap | `z` | `e` bits |
/// | n of m | `ceil(e / m) n` | `ceil(log2 m)` bits for each value |
///
/// Values are packed as the target packs weights; index bits are always packed bit by bit. Total bits in the facts
/// replace `count * b`; a target that packs into bytes then uses their mean, rounded up, for all values.
pub(crate) fn stored(weight: &Weight, facts: Option<&WeightFacts>, target: &Target) -> Stored {
    let elements = elements(&weight.shape);
    let mut width = width(weight, target);
    let Some(facts) = facts else {
        let bits = elements.saturating_mul(u64::from(width));
        let bytes = target.weight_packing.bytes(elements, width);
        return Stored { elements, kept: elements, width, bits, bytes };
    };
    let non_zeros = facts.non_zeros.unwrap_or(elements).min(elements);
    let (kept, index_bytes) = match facts.storage {
        Storage::Dense => (elements, 0),
        Storage::Csr => {
            let rows = weight.shape.last().map_or(1, |&d| d as u64).max(1);
            let index = match elements / rows {
                0..=0x100 => 1,
                0x101..=0x1_0000 => 2,
                _ => 4,
            };
            let start = if non_zeros < 1 << 16 { 2 } else { 4 };
            (non_zeros, non_zeros.saturating_mul(index).saturating_add((rows + 1).saturating_mul(start)))
        }
        Storage::Bitmap => (non_zeros, elements.div_ceil(8)),
        Storage::NOfM { n, m } => {
            let m = (m as u64).max(1);
            let kept = elements.div_ceil(m).saturating_mul((n as u64).min(m));
            let index_bits = u64::from(m.next_power_of_two().trailing_zeros());
            (kept, kept.saturating_mul(index_bits).div_ceil(8))
        }
    };
    let mut bits = kept.saturating_mul(u64::from(width));
    let mut value_bytes = target.weight_packing.bytes(kept, width);
    if let Some(total) = facts.total_bits.filter(|_| target.use_quantizers) {
        bits = total;
        width = u32::try_from(total.div_ceil(kept.max(1))).unwrap_or(u32::MAX);
        value_bytes = match target.weight_packing {
            crate::target::Packing::Bits => total.div_ceil(8),
            crate::target::Packing::Bytes => target.weight_packing.bytes(kept, width),
        };
    }
    Stored { elements, kept, width, bits, bytes: value_bytes.saturating_add(index_bytes) }
}
