//! AVX2 and FMA. A vector takes two of the 16 registers, so a tile has at most 6 accumulators.
#![expect(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _CMP_EQ_OQ, _CMP_GT_OQ, _CMP_NEQ_UQ, _CMP_NLE_UQ, _CMP_ORD_Q, _mm_loadl_epi64,
    _mm_packus_epi16, _mm_storeu_si128, _mm256_add_ps, _mm256_and_ps, _mm256_blendv_ps, _mm256_castsi256_ps,
    _mm256_castsi256_si128, _mm256_cmp_ps, _mm256_cmpeq_epi32, _mm256_cmpgt_epi32, _mm256_cvtepi32_ps,
    _mm256_cvtepu8_epi32, _mm256_cvtps_epi32, _mm256_extracti128_si256, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_mask_i32gather_ps, _mm256_maskload_ps, _mm256_maskstore_ps, _mm256_max_ps, _mm256_min_ps,
    _mm256_movemask_ps, _mm256_mul_ps, _mm256_mullo_epi32, _mm256_packs_epi32, _mm256_permute2f128_ps,
    _mm256_permute4x64_epi64, _mm256_round_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32,
    _mm256_setzero_ps, _mm256_shuffle_ps, _mm256_storeu_ps, _mm256_sub_ps, _mm256_unpackhi_ps,
    _mm256_unpacklo_ps,
};

use super::simd::{Simd, compress_lanes};

/// AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2;

impl Simd for Avx2 {
    type Vector = [__m256; 2];
    type Lanes = [__m256i; 2];
    type Mask = [__m256; 2];

    const HAS_FAST_MASKS: bool = false;
    const MAX_DENSITY: f64 = 0.8;

    #[inline(always)]
    unsafe fn lanes(count: usize) -> [__m256i; 2] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let count = _mm256_set1_epi32(count as i32);
            [
                _mm256_cmpgt_epi32(count, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
                _mm256_cmpgt_epi32(count, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm256_set1_ps(x); 2] }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn load_lanes(from: *const f32, lanes: [__m256i; 2]) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller; masked lanes are not read. The address of the second half may lie beyond
        // the allocation, hence `wrapping_add`.
        unsafe { [_mm256_maskload_ps(from, lanes[0]), _mm256_maskload_ps(from.wrapping_add(8), lanes[1])] }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: [__m256; 2]) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            _mm256_storeu_ps(to, x[0]);
            _mm256_storeu_ps(to.add(8), x[1]);
        }
    }

    #[inline(always)]
    unsafe fn store_lanes(to: *mut f32, lanes: [__m256i; 2], x: [__m256; 2]) {
        // SAFETY: as above.
        unsafe {
            _mm256_maskstore_ps(to, lanes[0], x[0]);
            _mm256_maskstore_ps(to.wrapping_add(8), lanes[1], x[1]);
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    unsafe fn add(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    unsafe fn subtract(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    unsafe fn multiply(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    unsafe fn at_most(x: [__m256; 2], bound: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller. The instruction returns its second operand where one is NaN.
        unsafe { [_mm256_min_ps(bound[0], x[0]), _mm256_min_ps(bound[1], x[1])] }
    }

    #[inline(always)]
    unsafe fn at_least(x: [__m256; 2], bound: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: as above.
        unsafe { [_mm256_max_ps(bound[0], x[0]), _mm256_max_ps(bound[1], x[1])] }
    }

    #[inline(always)]
    unsafe fn round(x: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller. 8: to the nearest, halves to even, no exceptions.
        unsafe { [_mm256_round_ps::<8>(x[0]), _mm256_round_ps::<8>(x[1])] }
    }

    #[inline(always)]
    unsafe fn greater(a: [__m256; 2], b: [__m256; 2], lanes: [__m256i; 2]) -> u16 {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let half = |i: usize| {
                let greater = _mm256_cmp_ps::<_CMP_GT_OQ>(a[i], b[i]);
                _mm256_movemask_ps(_mm256_and_ps(greater, _mm256_castsi256_ps(lanes[i])))
            };
            (half(0) | half(1) << 8) as u16
        }
    }

    #[inline(always)]
    unsafe fn nonzero(x: [__m256; 2]) -> u16 {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let half = |x| _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(x, _mm256_setzero_ps()));
            (half(x[0]) | half(x[1]) << 8) as u16
        }
    }

    #[inline(always)]
    unsafe fn compress(to: *mut f32, x: [__m256; 2], bits: u16) {
        // SAFETY: guaranteed by the caller.
        unsafe { compress_lanes(to, (&raw const x).cast(), bits, |x: f32| x) }
    }

    #[inline(always)]
    unsafe fn compress_halves(to: *mut u16, from: *const u32, bits: u16) {
        // SAFETY: guaranteed by the caller.
        unsafe { compress_lanes(to, from, bits, |x| x as u16) }
    }

    #[inline(always)]
    unsafe fn keep(x: [__m256; 2], bits: u16) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let half = |x: __m256, bits: u16| {
                let offsets = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
                let bits = std::arch::x86_64::_mm256_and_si256(_mm256_set1_epi32(i32::from(bits)), offsets);
                _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_cmpeq_epi32(bits, offsets)))
            };
            [half(x[0], bits), half(x[1], bits >> 8)]
        }
    }

    #[inline(always)]
    unsafe fn gather(from: *const f32, stride: usize, count: usize) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller; lanes that are masked out are not read.
        unsafe {
            let lanes = Self::lanes(count);
            let steps = _mm256_set1_epi32(stride as i32);
            let half = |first: usize| {
                let offsets = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), steps);
                let from = from.wrapping_add(first * 8 * stride);
                let lanes = _mm256_castsi256_ps(lanes[first]);
                _mm256_mask_i32gather_ps::<4>(_mm256_setzero_ps(), from, offsets, lanes)
            };
            [half(0), half(1)]
        }
    }

    #[inline(always)]
    unsafe fn scatter(to: *mut f32, stride: usize, count: usize, x: [__m256; 2]) {
        // SAFETY: guaranteed by the caller; only the given lanes are written.
        unsafe {
            let x = std::mem::transmute::<[__m256; 2], [f32; 16]>(x);
            for (i, x) in x.into_iter().enumerate().take(count) {
                *to.add(i * stride) = x;
            }
        }
    }

    #[inline(always)]
    unsafe fn exceeds_or_first_nan(x: [__m256; 2], greatest: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller. Not less or equal: greater, or either is NaN.
        unsafe {
            let half = |x: __m256, greatest: __m256| {
                let known = _mm256_cmp_ps::<_CMP_ORD_Q>(greatest, greatest);
                _mm256_and_ps(known, _mm256_cmp_ps::<_CMP_NLE_UQ>(x, greatest))
            };
            [half(x[0], greatest[0]), half(x[1], greatest[1])]
        }
    }

    #[inline(always)]
    unsafe fn equal(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm256_cmp_ps::<_CMP_EQ_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_EQ_OQ>(a[1], b[1])] }
    }

    #[inline(always)]
    unsafe fn select(mask: [__m256; 2], a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm256_blendv_ps(b[0], a[0], mask[0]), _mm256_blendv_ps(b[1], a[1], mask[1])] }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8, count: usize) -> [__m256; 2] {
        // SAFETY: guaranteed by the caller; only the given bytes are read.
        unsafe {
            let mut bytes = [0_u8; 16];
            if count == 16 {
                bytes = from.cast::<[u8; 16]>().read();
            } else {
                std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), count);
            }
            let half = |i: usize| {
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes.as_ptr().add(i * 8).cast())))
            };
            [half(0), half(1)]
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, count: usize, x: [__m256; 2]) {
        // SAFETY: guaranteed by the caller; only the given bytes are written. The pack instruction works on each
        // 128-bit half separately, hence the permutation of quads in between.
        unsafe {
            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            if count == 16 {
                _mm_storeu_si128(to.cast(), bytes);
            } else {
                let bytes = std::mem::transmute::<__m128i, [u8; 16]>(bytes);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, count);
            }
        }
    }

    #[inline(always)]
    unsafe fn transpose(rows: [[__m256; 2]; 16]) -> [[__m256; 2]; 16] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let block = |row: usize, half: usize| transpose_8x8(std::array::from_fn(|i| rows[row + i][half]));
            let (a, b, c, d) = (block(0, 0), block(8, 0), block(0, 1), block(8, 1));
            std::array::from_fn(|i| if i < 8 { [a[i], b[i]] } else { [c[i - 8], d[i - 8]] })
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

/// Transposes 8 rows of 8: interleaves single elements of row pairs, then pairs of elements, then halves.
///
/// # Safety
/// The processor must support AVX.
#[inline(always)]
unsafe fn transpose_8x8(rows: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let ones: [__m256; 8] = std::array::from_fn(|i| {
            let (a, b) = (rows[i / 2 * 2], rows[i / 2 * 2 + 1]);
            if i % 2 == 0 { _mm256_unpacklo_ps(a, b) } else { _mm256_unpackhi_ps(a, b) }
        });
        let twos: [__m256; 8] = std::array::from_fn(|i| {
            let (a, b) = (ones[i / 4 * 4 + i % 4 / 2], ones[i / 4 * 4 + i % 4 / 2 + 2]);
            if i % 2 == 0 {
                _mm256_shuffle_ps::<0b01_00_01_00>(a, b)
            } else {
                _mm256_shuffle_ps::<0b11_10_11_10>(a, b)
            }
        });
        std::array::from_fn(|i| {
            let (a, b) = (twos[i % 4], twos[i % 4 + 4]);
            if i < 4 { _mm256_permute2f128_ps::<0x20>(a, b) } else { _mm256_permute2f128_ps::<0x31>(a, b) }
        })
    }
}

super::instantiate::kernels!(Avx2, "avx2,fma,popcnt", [1 2 3 4 5 6], [1 2 3 4 5 6], [1 2]);
