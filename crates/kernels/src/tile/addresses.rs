//! Start and epilogue of a product by address, as the tiles use them.

use super::layout::TileEpilogue;
use crate::gate::{Gate, GateFunction};

/// Address and row stride of the initial values (null: none), and the prefetch that runs along with the sums.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawStart {
    pub(crate) from: *const f32,
    pub(crate) row: usize,
    /// Address of the cache line that the next term prefetches, and elements to the line of the term after it.
    pub(crate) upcoming: *const f32,
    pub(crate) upcoming_step: usize,
}

impl RawStart {
    /// Advances the address of the initial values by `elements` elements.
    pub(crate) fn skip(self, elements: usize) -> Self {
        let from = if self.from.is_null() { self.from } else { self.from.wrapping_add(elements) };
        Self { from, ..self }
    }
}

/// [`TileEpilogue`] by address. Null `bits` record nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RawEpilogue {
    Store,
    /// `max(x, floor)`; the gradient passes above `open`. Fused into the tile because rectifiers are common.
    Floor {
        floor: f32,
        open: f32,
        bits: *mut u16,
        row: usize,
    },
    /// Any other function, applied after the tile was stored.
    Gate {
        gate: Gate,
        bits: *mut u16,
        row: usize,
    },
    Close {
        bits: *const u16,
        row: usize,
    },
}

impl RawEpilogue {
    pub(crate) fn new(end: TileEpilogue<'_>) -> Self {
        match end {
            TileEpilogue::Gate { gate, bits, row } => {
                let bits = if bits.is_empty() { std::ptr::null_mut() } else { bits.as_mut_ptr() };
                match gate.function {
                    GateFunction::Linear if bits.is_null() => Self::Store,
                    GateFunction::Clip { low: floor, high: f32::INFINITY }
                        if !bits.is_null() && gate.open.1 == f32::INFINITY =>
                    {
                        Self::Floor { floor, open: gate.open.0, bits, row }
                    }
                    _ => Self::Gate { gate, bits, row },
                }
            }
            TileEpilogue::Close { bits, row } if !bits.is_empty() => Self::Close { bits: bits.as_ptr(), row },
            TileEpilogue::Store | TileEpilogue::Close { .. } => Self::Store,
        }
    }

    /// Advances the address of the gate bits by `line` words, `first` rows and `word` words.
    pub(crate) fn at(self, line: usize, first: usize, word: usize) -> Self {
        let on = |bits: *mut u16, row: usize| {
            if bits.is_null() { bits } else { bits.wrapping_add(line + first * row + word) }
        };
        match self {
            Self::Store => self,
            Self::Floor { floor, open, bits, row } => Self::Floor { floor, open, bits: on(bits, row), row },
            Self::Gate { gate, bits, row } => Self::Gate { gate, bits: on(bits, row), row },
            Self::Close { bits, row } => {
                Self::Close { bits: bits.wrapping_add(line + first * row + word), row }
            }
        }
    }
}
