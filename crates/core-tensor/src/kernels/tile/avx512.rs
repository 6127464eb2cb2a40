//! AVX-512: a vector is one register of 32, so that a tile has up to 28 sums.

use std::arch::x86_64::{
    __m512, __mmask16, _CMP_GT_OQ, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_cmp_ps_mask,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_maskz_mov_ps, _mm512_max_ps, _mm512_min_ps,
    _mm512_mul_ps, _mm512_roundscale_ps, _mm512_set1_ps, _mm512_storeu_ps,
};

use super::simd::Simd;

/// AVX-512 F.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Avx512;

impl Simd for Avx512 {
    type Vector = __m512;
    type Lanes = __mmask16;

    #[inline(always)]
    unsafe fn lanes(count: usize) -> __mmask16 {
        u16::MAX >> (16 - count)
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_lanes(from: *const f32, lanes: __mmask16) -> __m512 {
        // SAFETY: the caller's; lanes that are masked out are not read.
        unsafe { _mm512_maskz_loadu_ps(lanes, from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m512) {
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn store_lanes(to: *mut f32, lanes: __mmask16, x: __m512) {
        // SAFETY: the caller's; lanes that are masked out are not written.
        unsafe { _mm512_mask_storeu_ps(to, lanes, x) }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn multiply(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn at_most(x: __m512, bound: __m512) -> __m512 {
        // SAFETY: the caller's. The instruction returns its second operand where one is NaN.
        unsafe { _mm512_min_ps(bound, x) }
    }

    #[inline(always)]
    unsafe fn at_least(x: __m512, bound: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_max_ps(bound, x) }
    }

    #[inline(always)]
    unsafe fn round(x: __m512) -> __m512 {
        // SAFETY: the caller's. 8: to the nearest, halves to even, no exceptions.
        unsafe { _mm512_roundscale_ps::<8>(x) }
    }

    #[inline(always)]
    unsafe fn greater(a: __m512, b: __m512, lanes: __mmask16) -> u16 {
        // SAFETY: the caller's.
        unsafe { _mm512_mask_cmp_ps_mask::<_CMP_GT_OQ>(lanes, a, b) }
    }

    #[inline(always)]
    unsafe fn keep(x: __m512, bits: u16) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_maskz_mov_ps(bits, x) }
    }

    #[inline(always)]
    fn hide(mut x: usize) -> usize {
        // SAFETY: does nothing.
        unsafe { std::arch::asm!("/* {0} */", inout(reg) x, options(pure, nomem, nostack, preserves_flags)) };
        x
    }

    #[inline(always)]
    fn hide_pointer(mut x: *const f32) -> *const f32 {
        // SAFETY: does nothing.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) x, options(pure, readonly, nostack, preserves_flags));
        }
        x
    }
}

super::kernels!(Avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma", [1 2 3 4 5 6 7 8 9 10 11 12 13 14], [1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28], [1 2 3 4 5 6 7 8 9 10 11 12 13 14]);
