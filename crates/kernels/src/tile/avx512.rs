//! AVX-512. A vector is one of the 32 registers, so a tile has at most 28 accumulators.
#![expect(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::{
    __m512, __m512i, __mmask16, _CMP_EQ_OQ, _CMP_GT_OQ, _CMP_NEQ_UQ, _CMP_NLE_UQ, _CMP_ORD_Q,
    _mm_mask_storeu_epi8, _mm_maskz_loadu_epi8, _mm256_storeu_si256, _mm512_add_ps, _mm512_cmp_ps_mask,
    _mm512_cvtepi32_epi8, _mm512_cvtepi32_epi16, _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32,
    _mm512_cvtps_epi32, _mm512_fmadd_ps, _mm512_loadu_epi32, _mm512_loadu_ps, _mm512_mask_blend_ps,
    _mm512_mask_cmp_ps_mask, _mm512_mask_i32gather_ps, _mm512_mask_i32scatter_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_compress_epi32, _mm512_maskz_compress_ps, _mm512_maskz_loadu_ps, _mm512_maskz_mov_ps,
    _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_mullo_epi32, _mm512_roundscale_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setr_epi32, _mm512_setzero_ps, _mm512_shuffle_f32x4, _mm512_shuffle_ps,
    _mm512_storeu_ps, _mm512_sub_ps, _mm512_unpackhi_ps, _mm512_unpacklo_ps,
};

use super::simd::Simd;

/// AVX-512 F, BW and VL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512;

impl Avx512 {
    /// Offsets of 16 elements that lie `stride` apart.
    ///
    /// # Safety
    /// The processor must support AVX-512 F.
    #[inline(always)]
    unsafe fn offsets(stride: usize) -> __m512i {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            _mm512_mullo_epi32(lanes, _mm512_set1_epi32(stride as i32))
        }
    }
}

impl Simd for Avx512 {
    type Vector = __m512;
    type Lanes = __mmask16;
    type Mask = __mmask16;

    const HAS_FAST_MASKS: bool = true;
    const MAX_DENSITY: f64 = 0.6;

    #[inline(always)]
    unsafe fn lanes(count: usize) -> __mmask16 {
        u16::MAX >> (16 - count)
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_lanes(from: *const f32, lanes: __mmask16) -> __m512 {
        // SAFETY: guaranteed by the caller; lanes that are masked out are not read.
        unsafe { _mm512_maskz_loadu_ps(lanes, from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m512) {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn store_lanes(to: *mut f32, lanes: __mmask16, x: __m512) {
        // SAFETY: guaranteed by the caller; lanes that are masked out are not written.
        unsafe { _mm512_mask_storeu_ps(to, lanes, x) }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn subtract(a: __m512, b: __m512) -> __m512 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn multiply(a: __m512, b: __m512) -> __m512 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn at_most(x: __m512, bound: __m512) -> __m512 {
        // SAFETY: guaranteed by the caller. The instruction returns its second operand where one is NaN.
        unsafe { _mm512_min_ps(bound, x) }
    }

    #[inline(always)]
    unsafe fn at_least(x: __m512, bound: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_max_ps(bound, x) }
    }

    #[inline(always)]
    unsafe fn round(x: __m512) -> __m512 {
        // SAFETY: guaranteed by the caller. 8: to the nearest, halves to even, no exceptions.
        unsafe { _mm512_roundscale_ps::<8>(x) }
    }

    #[inline(always)]
    unsafe fn greater(a: __m512, b: __m512, lanes: __mmask16) -> u16 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_mask_cmp_ps_mask::<_CMP_GT_OQ>(lanes, a, b) }
    }

    #[inline(always)]
    unsafe fn nonzero(x: __m512) -> u16 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(x, _mm512_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn compress(to: *mut f32, x: __m512, bits: u16) {
        // SAFETY: guaranteed by the caller. Compresses in a register and stores all 16 lanes: the compressing store
        // instruction is many times slower on some processors (Zen 4).
        unsafe { _mm512_storeu_ps(to, _mm512_maskz_compress_ps(bits, x)) }
    }

    #[inline(always)]
    unsafe fn compress_halves(to: *mut u16, from: *const u32, bits: u16) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let packed = _mm512_maskz_compress_epi32(bits, _mm512_loadu_epi32(from.cast()));
            _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(packed));
        }
    }

    #[inline(always)]
    unsafe fn keep(x: __m512, bits: u16) -> __m512 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_maskz_mov_ps(bits, x) }
    }

    #[inline(always)]
    unsafe fn gather(from: *const f32, stride: usize, count: usize) -> __m512 {
        // SAFETY: guaranteed by the caller; lanes that are masked out are not read.
        unsafe {
            let (lanes, offsets) = (u16::MAX >> (16 - count), Self::offsets(stride));
            _mm512_mask_i32gather_ps::<4>(_mm512_setzero_ps(), lanes, offsets, from)
        }
    }

    #[inline(always)]
    unsafe fn scatter(to: *mut f32, stride: usize, count: usize, x: __m512) {
        // SAFETY: guaranteed by the caller; lanes that are masked out are not written.
        unsafe { _mm512_mask_i32scatter_ps::<4>(to, u16::MAX >> (16 - count), Self::offsets(stride), x) }
    }

    #[inline(always)]
    unsafe fn exceeds_or_first_nan(x: __m512, greatest: __m512) -> __mmask16 {
        // SAFETY: guaranteed by the caller. Not less or equal: greater, or either is NaN.
        unsafe {
            let known = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(greatest, greatest);
            _mm512_mask_cmp_ps_mask::<_CMP_NLE_UQ>(known, x, greatest)
        }
    }

    #[inline(always)]
    unsafe fn equal(a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b) }
    }

    #[inline(always)]
    unsafe fn select(mask: __mmask16, a: __m512, b: __m512) -> __m512 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_mask_blend_ps(mask, b, a) }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8, count: usize) -> __m512 {
        // SAFETY: guaranteed by the caller; bytes that are masked out are not read.
        unsafe {
            let bytes = _mm_maskz_loadu_epi8(u16::MAX >> (16 - count), from.cast());
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, count: usize, x: __m512) {
        // SAFETY: guaranteed by the caller; bytes that are masked out are not written.
        unsafe {
            let bytes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x));
            _mm_mask_storeu_epi8(to.cast(), u16::MAX >> (16 - count), bytes);
        }
    }

    #[inline(always)]
    unsafe fn transpose(rows: [__m512; 16]) -> [__m512; 16] {
        // SAFETY: guaranteed by the caller. Pairs of rows by ones, of those by twos, then fours of lanes twice.
        unsafe {
            let ones: [__m512; 16] = std::array::from_fn(|i| {
                let (a, b) = (rows[i / 2 * 2], rows[i / 2 * 2 + 1]);
                if i % 2 == 0 { _mm512_unpacklo_ps(a, b) } else { _mm512_unpackhi_ps(a, b) }
            });
            // Element `4 q + c`: lane 4 k of rows 4 q to 4 q + 3, for column c of each group k of four columns.
            let twos: [__m512; 16] = std::array::from_fn(|i| {
                let (a, b) = (ones[i / 4 * 4 + i % 4 / 2], ones[i / 4 * 4 + i % 4 / 2 + 2]);
                if i % 2 == 0 {
                    _mm512_shuffle_ps::<0b01_00_01_00>(a, b)
                } else {
                    _mm512_shuffle_ps::<0b11_10_11_10>(a, b)
                }
            });
            // Groups 0 and 2 of columns (even), or 1 and 3 (odd), of eight rows.
            let eights: [__m512; 16] = std::array::from_fn(|i| {
                let (half, odd, c) = (i / 8, i / 4 % 2, i % 4);
                let (a, b) = (twos[half * 8 + c], twos[half * 8 + 4 + c]);
                if odd == 0 {
                    _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b)
                } else {
                    _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b)
                }
            });
            std::array::from_fn(|column| {
                let (four, c) = (column / 4, column % 4);
                let (a, b) = (eights[four % 2 * 4 + c], eights[8 + four % 2 * 4 + c]);
                if four < 2 {
                    _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b)
                } else {
                    _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b)
                }
            })
        }
    }

    #[inline(always)]
    fn opaque(mut x: usize) -> usize {
        // SAFETY: the empty assembly does nothing.
        unsafe { std::arch::asm!("/* {0} */", inout(reg) x, options(pure, nomem, nostack, preserves_flags)) };
        x
    }

    #[inline(always)]
    fn opaque_pointer(mut x: *const f32) -> *const f32 {
        // SAFETY: the empty assembly does nothing.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) x, options(pure, readonly, nostack, preserves_flags));
        }
        x
    }
}

super::instantiate::kernels!(Avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt", [1 2 3 4 5 6 7 8 9 10 11 12 13 14], [1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28], [1 2 3 4 5 6 7 8 9 10 11 12 13 14]);
