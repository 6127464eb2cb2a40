//! The tile itself: sums that stay in registers from their first product to where they are stored.

use super::panel::prefetch;
use super::simd::Simd;
use super::{End, Layout};
use crate::gate::{Gate, GateFunction};

/// Where lies what the sums of a tile are added to (null: nowhere), and what it asks for meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begin {
    pub(super) from: *const f32,
    pub(super) row: usize,
    /// With each term of a sum a line of the cache, so many elements apart.
    pub(super) ahead: *const f32,
    pub(super) ahead_step: usize,
}

impl Begin {
    /// So many elements on.
    pub(super) fn skip(self, elements: usize) -> Self {
        let from = if self.from.is_null() { self.from } else { self.from.wrapping_add(elements) };
        Self { from, ..self }
    }
}

/// [`End`] at a tile. Bits are null where none are recorded.
#[derive(Debug, Clone, Copy)]
pub(super) enum RawEnd {
    Store,
    /// `max(x, floor)`, with a gate above `open`.
    Floor {
        floor: f32,
        open: f32,
        bits: *mut u16,
        row: usize,
    },
    /// Any other function: applied after the tile was stored.
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

impl RawEnd {
    pub(super) fn new(end: End<'_>) -> Self {
        match end {
            End::Gate { gate, bits, row } => {
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
            End::Close { bits, row } if !bits.is_empty() => Self::Close { bits: bits.as_ptr(), row },
            End::Store | End::Close { .. } => Self::Store,
        }
    }

    /// From word `line`, row `first` and word `word` on.
    pub(super) fn at(self, line: usize, first: usize, word: usize) -> Self {
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

/// The body once for each row below `R`, which is at most 28, spelled out: a loop that the compiler chose not to unroll
/// would keep the sums in memory.
macro_rules! for_rows {
    ($r:ident < $rows:ident => $body:block) => {
        for_rows!(@ $r $rows $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27)
    };
    (@ $r:ident $rows:ident $body:block $($i:literal)*) => {
        $({
            let $r: usize = $i;
            if $r < $rows $body
        })*
    };
}
pub(super) use for_rows;

/// Rows that share a pointer: what two index registers (one and three rows) reach by their scales of 1, 2 and 4.
pub(super) const GROUP: usize = 5;

/// Pointers for all rows.
pub(super) const GROUPS: usize = 6;

/// One tile of `R` rows and `V` vectors, the last of which has `lanes` columns.
///
/// # Safety
/// The processor must support the instruction set; the layout's elements from `a`, `b`, `c` and `start` on are valid for `R` rows.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, const R: usize, const V: usize, const UNIT: bool>(
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    start: Begin,
    end: &RawEnd,
    lanes: usize,
    layout: &Layout<'_>,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let last = S::lanes(lanes);
        // Two bodies, where to load some lanes takes longer than to load all.
        let sums = if S::MASKED || lanes < 16 {
            sums::<S, R, V, UNIT, false>(a, b, start, last, layout)
        } else {
            sums::<S, R, V, UNIT, true>(a, b, start, last, layout)
        };
        finish_sums::<S, R, V>(sums, (c, layout.c_row), start, end, last);
    }
}

/// The sums of a [`tile`], of whose last vector some lanes are read or the `WHOLE` of it.
///
/// # Safety
/// As above.
#[inline(always)]
unsafe fn sums<S: Simd, const R: usize, const V: usize, const UNIT: bool, const WHOLE: bool>(
    a: *const f32,
    b: *const f32,
    start: Begin,
    last: S::Lanes,
    layout: &Layout<'_>,
) -> [[S::Vector; V]; R] {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let mut sums = [[S::splat(0.0); V]; R];
        let mut ahead = start.ahead;
        let &Layout { sum, segments, blocks, .. } = layout;
        // Addresses are hidden from the compiler in every step: it would keep one pointer for each row.
        let (mut row, mut rows_3) = (layout.row * size_of::<f32>(), 3 * layout.row * size_of::<f32>());
        for block in 0..blocks.count {
            for segment in 0..segments.count {
                let a = a.wrapping_add(block * blocks.a + segment * segments.a);
                let group = |first: usize| a.wrapping_add(first * if UNIT { 1 } else { layout.row });
                let mut groups = [a; GROUPS];
                for_rows!(i < GROUPS => {
                    groups[i] = group(i * GROUP);
                });
                let mut b = b.wrapping_add(block * blocks.b + segment * segments.b);
                for _ in 0..sum.count {
                    let columns: [S::Vector; V] = std::array::from_fn(|v| {
                        let b = b.add(v * 16);
                        if WHOLE || v + 1 < V { S::load(b) } else { S::load_lanes(b, last) }
                    });
                    if V > 1 {
                        prefetch(ahead);
                        ahead = ahead.wrapping_add(start.ahead_step);
                    }
                    if !UNIT {
                        for_rows!(i < GROUPS => {
                            groups[i] = S::hide_pointer(groups[i]);
                        });
                        (row, rows_3) = (S::hide(row), S::hide(rows_3));
                    }
                    let rows = if UNIT { [0, 4, 8, 12, 16] } else { [0, row, 2 * row, rows_3, 4 * row] };
                    for_rows!(r < R => {
                        let x = S::splat(*groups[r / GROUP].wrapping_byte_add(rows[r % GROUP]));
                        for (sum, &column) in sums[r].iter_mut().zip(&columns) {
                            *sum = S::multiply_add(x, column, *sum);
                        }
                    });
                    for_rows!(i < GROUPS => {
                        groups[i] = groups[i].wrapping_add(sum.a);
                    });
                    b = b.wrapping_add(sum.b);
                }
            }
        }
        sums
    }
}

/// What becomes of a tile's sums: they are added to what lies at `start` and stored to rows of `c` by way of `end`.
///
/// # Safety
/// The processor must support the instruction set; the pointers are valid for `R` rows of `V` vectors, of the last of which so many
/// lanes.
#[inline(always)]
pub(super) unsafe fn finish_sums<S: Simd, const R: usize, const V: usize>(
    mut sums: [[S::Vector; V]; R],
    (c, c_row): (*mut f32, usize),
    start: Begin,
    end: &RawEnd,
    last: S::Lanes,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        // Added last, so that a sum over many blocks is one of their sums, not one long chain.
        if !start.from.is_null() {
            for_rows!(r < R => {
                for (v, sum) in sums[r].iter_mut().enumerate() {
                    let from = start.from.add(r * start.row + v * 16);
                    let old = if v + 1 < V { S::load(from) } else { S::load_lanes(from, last) };
                    *sum = S::add(*sum, old);
                }
            });
        }
        match *end {
            RawEnd::Store | RawEnd::Gate { .. } => {}
            RawEnd::Floor { floor, open, bits, row } => {
                let (floor, open) = (S::splat(floor), S::splat(open));
                for_rows!(r < R => {
                    for (v, sum) in sums[r].iter_mut().enumerate() {
                        let lanes = if v + 1 < V { S::lanes(16) } else { last };
                        *bits.add(r * row + v) = S::greater(*sum, open, lanes);
                        *sum = S::at_least(*sum, floor);
                    }
                });
            }
            RawEnd::Close { bits, row } => {
                for_rows!(r < R => {
                    for (v, sum) in sums[r].iter_mut().enumerate() {
                        *sum = S::keep(*sum, *bits.add(r * row + v));
                    }
                });
            }
        }
        for_rows!(r < R => {
            for (v, &sum) in sums[r].iter().enumerate() {
                let to = c.add(r * c_row + v * 16);
                if v + 1 < V { S::store(to, sum) } else { S::store_lanes(to, last, sum) }
            }
        });
    }
}
