//! Products of bytes, summed in 32-bit integers: four multiplications a lane (AVX-512 VNNI).

use std::arch::x86_64::{
    __m512i, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_si512,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512,
};

use super::avx512::Avx512;
use super::registers::{GROUP, GROUPS, for_rows};
use super::simd::Simd;
use super::{Cut, PANEL};

/// Bytes whose products a lane adds up at once.
pub(crate) const QUAD: usize = 4;

/// Columns of a vector.
const LANES: usize = 16;

/// Where the operands of a product of bytes lie. The sum runs over `segments` of `quads` times four bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteLayout {
    /// Rows of the left operand and of the product, for each of `lines`.
    pub(crate) rows: usize,
    /// At most [`PANEL`].
    pub(crate) columns: usize,
    /// Bytes from row to row of the left operand.
    pub(crate) row: usize,
    /// Elements from row to row of the product.
    pub(crate) c_row: usize,
    pub(crate) quads: usize,
    /// How many, and bytes from one to the next in the left operand.
    pub(crate) segments: (usize, usize),
    /// How many products, bytes of the left operand and elements of the product from one to the next.
    pub(crate) lines: (usize, usize, usize),
}

impl ByteLayout {
    /// Columns of the right operand and of what sums start from: whole vectors.
    pub(crate) const fn padded(columns: usize) -> usize {
        columns.next_multiple_of(LANES)
    }

    /// Bytes of the left operand up to the last that is read, of the right operand, and elements of the product.
    const fn extents(&self) -> (usize, usize, usize) {
        let lines = self.lines.0 - 1;
        let a = lines * self.lines.1
            + (self.rows - 1) * self.row
            + (self.segments.0 - 1) * self.segments.1
            + self.quads * QUAD;
        let b = self.segments.0 * self.quads * QUAD * Self::padded(self.columns);
        (a, b, lines * self.lines.2 + (self.rows - 1) * self.c_row + self.columns)
    }
}

/// Whether this processor has the instructions and this thread may use them.
pub(crate) fn is_available() -> bool {
    use crate::dispatch::InstructionSet;
    InstructionSet::current() >= InstructionSet::Avx512 && is_x86_feature_detected!("avx512vnni")
}

/// `c = unit (start + a b) + bias`: `a` of bytes from 0 to 255, `b` (quad of the sum, column, byte of the quad) signed, `start`
/// and `bias` one value a column.
///
/// # Panics
/// If the layout leaves a slice, or the instructions are not [available](is_available).
pub(crate) fn product(
    layout: &ByteLayout,
    (a, b): (&[u8], &[i8]),
    c: &mut [f32],
    (start, unit, bias): (&[i32], f32, &[f32]),
) {
    if layout.rows == 0 || layout.columns == 0 || layout.lines.0 == 0 {
        return;
    }
    let (a_len, b_len, c_len) = layout.extents();
    assert!(a_len <= a.len() && b_len <= b.len() && c_len <= c.len(), "the product lies within its slices");
    let columns = layout.columns;
    assert!(columns <= PANEL && ByteLayout::padded(columns) <= start.len(), "one start a column");
    assert!(bias.is_empty() || columns <= bias.len(), "one bias a column");
    assert!(is_available(), "the processor multiplies bytes");
    let tiles = if columns > LANES { &TWO } else { &ONE };
    let cut = Cut::new(layout.rows, tiles.len());
    for line in 0..layout.lines.0 {
        let mut first = 0;
        for i in 0..cut.tiles {
            let rows = cut.rows + usize::from(i < cut.longer);
            let values = Values {
                start: start.as_ptr(),
                unit,
                bias: if bias.is_empty() { std::ptr::null() } else { bias.as_ptr() },
            };
            // SAFETY: the processor was asked for the instructions; rows first..first + rows lie within the layout,
            // whose extents were checked against the slices.
            unsafe {
                let a = a.as_ptr().add(line * layout.lines.1 + first * layout.row);
                let c = c.as_mut_ptr().add(line * layout.lines.2 + first * layout.c_row);
                tiles[rows - 1](a, b.as_ptr(), c, values, layout);
            }
            first += rows;
        }
    }
}

/// What belongs to the columns of a tile; the bias may be null.
#[derive(Clone, Copy)]
struct Values {
    start: *const i32,
    unit: f32,
    bias: *const f32,
}

type Tile = unsafe fn(*const u8, *const i8, *mut f32, Values, &ByteLayout);

macro_rules! tiles {
    ($v:literal) => {
        tiles!(@ $v, 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
    (@ $v:literal, $($r:literal)*) => { [$(tile::<$r, $v>),*] };
}

/// Tiles of one and of two vectors, by their rows less one.
static ONE: [Tile; 14] = tiles!(1);
static TWO: [Tile; 14] = tiles!(2);

/// One tile of `R` rows and `V` vectors.
///
/// # Safety
/// The processor has the instructions; the operands from here on are valid for `R` rows of the layout.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile<const R: usize, const V: usize>(
    a: *const u8,
    b: *const i8,
    c: *mut f32,
    values: Values,
    layout: &ByteLayout,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); V]; R];
        for_rows!(r < R => {
            for (v, sum) in sums[r].iter_mut().enumerate() {
                *sum = _mm512_loadu_si512(values.start.add(v * LANES).cast());
            }
        });
        let (mut row, mut rows_3) = (layout.row, 3 * layout.row);
        let mut b = b;
        for segment in 0..layout.segments.0 {
            let a = a.wrapping_add(segment * layout.segments.1).cast::<f32>();
            let mut groups = [a; GROUPS];
            for_rows!(i < GROUPS => {
                groups[i] = a.wrapping_byte_add(i * GROUP * layout.row);
            });
            for _ in 0..layout.quads {
                let columns: [__m512i; V] =
                    std::array::from_fn(|v| _mm512_loadu_si512(b.add(v * LANES * QUAD).cast()));
                // As in the tile of numbers: hidden, lest each row has a pointer of its own.
                for_rows!(i < GROUPS => {
                    groups[i] = Avx512::hide_pointer(groups[i]);
                });
                (row, rows_3) = (Avx512::hide(row), Avx512::hide(rows_3));
                let rows = [0, row, 2 * row, rows_3, 4 * row];
                for_rows!(r < R => {
                    let quad = groups[r / GROUP].wrapping_byte_add(rows[r % GROUP]).cast::<i32>();
                    let x = _mm512_set1_epi32(quad.read_unaligned());
                    for (sum, &column) in sums[r].iter_mut().zip(&columns) {
                        *sum = _mm512_dpbusd_epi32(*sum, x, column);
                    }
                });
                for_rows!(i < GROUPS => {
                    groups[i] = groups[i].wrapping_byte_add(QUAD);
                });
                b = b.wrapping_add(V * LANES * QUAD);
            }
        }
        let unit = _mm512_set1_ps(values.unit);
        let last = Avx512::lanes(layout.columns - (V - 1) * LANES);
        let lanes: [_; V] = std::array::from_fn(|v| if v + 1 < V { Avx512::lanes(LANES) } else { last });
        let bias: [_; V] = std::array::from_fn(|v| {
            if values.bias.is_null() {
                _mm512_set1_ps(0.0)
            } else {
                _mm512_maskz_loadu_ps(lanes[v], values.bias.add(v * LANES))
            }
        });
        for_rows!(r < R => {
            for (v, &sum) in sums[r].iter().enumerate() {
                let sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), unit, bias[v]);
                _mm512_mask_storeu_ps(c.add(r * layout.c_row + v * LANES), lanes[v], sum);
            }
        });
    }
}
