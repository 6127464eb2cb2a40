//! Products of bytes, accumulated in 32-bit integers: four multiplications per lane and instruction (AVX-512 VNNI).
#![expect(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::{
    __m512i, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_si512,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512,
};

use super::avx512::Avx512;
use super::layout::RowTiling;
use super::registers::{POINTERS, ROWS_PER_POINTER, for_rows};
use super::simd::Simd;
use super::sizes::PANEL;

/// Bytes whose products one lane accumulates per instruction.
pub(crate) const QUAD: usize = 4;

/// Columns per vector.
const LANES: usize = 16;

/// Strides and extents of a product of bytes. The sum runs over `segments` segments of `quads` groups of four bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteLayout {
    /// Rows of `a` and of `c`, for each of `lines`.
    pub(crate) rows: usize,
    /// At most [`PANEL`].
    pub(crate) columns: usize,
    /// Bytes between rows of `a`.
    pub(crate) row: usize,
    /// Elements between rows of `c`.
    pub(crate) c_row: usize,
    pub(crate) quads: usize,
    /// Number of segments, and bytes between them in `a`.
    pub(crate) segments: (usize, usize),
    /// Number of products, and the strides between them: bytes in `a`, elements in `c`.
    pub(crate) lines: (usize, usize, usize),
}

impl ByteLayout {
    /// Columns of `b` and of the initial sums, padded to whole vectors.
    pub(crate) const fn padded(columns: usize) -> usize {
        columns.next_multiple_of(LANES)
    }

    /// Lengths that the product accesses: bytes of `a`, bytes of `b`, elements of `c`.
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

/// Tells if the processor has the instructions and this thread may use them.
pub(crate) fn is_available() -> bool {
    use crate::dispatch::InstructionSet;
    InstructionSet::current() >= InstructionSet::Avx512 && is_x86_feature_detected!("avx512vnni")
}

/// Computes `c = unit (start + a b) + bias`. `a` holds unsigned bytes, `b` signed bytes in the order (quad of the
/// sum, column, byte of the quad); `start` and `bias` have one value per column.
///
/// # Panics
/// If the layout exceeds a slice, or the instructions are not [available](is_available).
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
    assert!(columns <= PANEL && ByteLayout::padded(columns) <= start.len(), "one initial value per column");
    assert!(bias.is_empty() || columns <= bias.len(), "one bias per column");
    assert!(is_available(), "the processor has VNNI");
    let tiles = if columns > LANES { &TWO } else { &ONE };
    let tiling = RowTiling::new(layout.rows, tiles.len());
    for line in 0..layout.lines.0 {
        let mut first = 0;
        for i in 0..tiling.tiles {
            let rows = tiling.rows + usize::from(i < tiling.longer);
            let values = Values {
                start: start.as_ptr(),
                unit,
                bias: if bias.is_empty() { std::ptr::null() } else { bias.as_ptr() },
            };
            // SAFETY: the processor has the instructions; rows first..first + rows lie within the layout, and its
            // extents were checked against the slices.
            unsafe {
                let a = a.as_ptr().add(line * layout.lines.1 + first * layout.row);
                let c = c.as_mut_ptr().add(line * layout.lines.2 + first * layout.c_row);
                tiles[rows - 1](a, b.as_ptr(), c, values, layout);
            }
            first += rows;
        }
    }
}

/// Per-column values of a tile; the bias may be null.
#[derive(Clone, Copy)]
struct Values {
    start: *const i32,
    unit: f32,
    bias: *const f32,
}

type TileFn = unsafe fn(*const u8, *const i8, *mut f32, Values, &ByteLayout);

macro_rules! tiles {
    ($v:literal) => {
        tiles!(@ $v, 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
    (@ $v:literal, $($r:literal)*) => { [$(tile::<$r, $v>),*] };
}

/// Tiles of one and of two vectors, indexed by their number of rows less one.
static ONE: [TileFn; 14] = tiles!(1);
static TWO: [TileFn; 14] = tiles!(2);

/// Computes one tile of `R` rows and `V` vectors.
///
/// # Safety
/// The processor must have the instructions; the operands must be valid for `R` rows of the layout from these
/// addresses on.
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
        // `dpbusd` multiplies four unsigned bytes of `x` by four signed bytes of a lane and adds the products to the
        // lane's 32-bit sum. Sums start at `values.start`, which corrects the offset that made `a` unsigned.
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
            let mut groups = [a; POINTERS];
            for_rows!(i < POINTERS => {
                groups[i] = a.wrapping_byte_add(i * ROWS_PER_POINTER * layout.row);
            });
            for _ in 0..layout.quads {
                let columns: [__m512i; V] =
                    std::array::from_fn(|v| _mm512_loadu_si512(b.add(v * LANES * QUAD).cast()));
                // Opaque to the compiler, as in the float tile; otherwise it would keep one pointer per row.
                for_rows!(i < POINTERS => {
                    groups[i] = Avx512::opaque_pointer(groups[i]);
                });
                (row, rows_3) = (Avx512::opaque(row), Avx512::opaque(rows_3));
                let rows = [0, row, 2 * row, rows_3, 4 * row];
                for_rows!(r < R => {
                    let quad = groups[r / ROWS_PER_POINTER].wrapping_byte_add(rows[r % ROWS_PER_POINTER]).cast::<i32>();
                    let x = _mm512_set1_epi32(quad.read_unaligned());
                    for (sum, &column) in sums[r].iter_mut().zip(&columns) {
                        *sum = _mm512_dpbusd_epi32(*sum, x, column);
                    }
                });
                for_rows!(i < POINTERS => {
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
