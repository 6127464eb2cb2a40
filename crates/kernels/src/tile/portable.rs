//! Plain arrays, for any processor. Products are rounded before they are added: without an FMA instruction `mul_add`
//! would compile to a call of a slow library function.
#![expect(unsafe_code, reason = "vector instructions")]

use super::simd::{Simd, compress_lanes};

/// Any processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn zip(a: [f32; 16], b: [f32; 16], f: impl Fn(f32, f32) -> f32) -> [f32; 16] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Simd for Portable {
    type Vector = [f32; 16];
    type Lanes = usize;
    type Mask = [bool; 16];

    const HAS_FAST_MASKS: bool = false;
    const MAX_DENSITY: f64 = 0.8;

    #[inline(always)]
    unsafe fn lanes(count: usize) -> usize {
        count
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 16] {
        [x; 16]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 16] {
        // SAFETY: guaranteed by the caller.
        unsafe { from.cast::<[f32; 16]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_lanes(from: *const f32, lanes: usize) -> [f32; 16] {
        if lanes == 16 {
            // SAFETY: guaranteed by the caller.
            return unsafe { Self::load(from) };
        }
        let mut x = [0.0; 16];
        for (i, x) in x.iter_mut().enumerate().take(lanes) {
            // SAFETY: guaranteed by the caller; only the given lanes are read.
            *x = unsafe { *from.add(i) };
        }
        x
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: [f32; 16]) {
        // SAFETY: guaranteed by the caller.
        unsafe { to.cast::<[f32; 16]>().write_unaligned(x) }
    }

    #[inline(always)]
    unsafe fn store_lanes(to: *mut f32, lanes: usize, x: [f32; 16]) {
        if lanes == 16 {
            // SAFETY: guaranteed by the caller.
            return unsafe { Self::store(to, x) };
        }
        for (i, x) in x.into_iter().enumerate().take(lanes) {
            // SAFETY: guaranteed by the caller; only the given lanes are written.
            unsafe { *to.add(i) = x };
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: [f32; 16], b: [f32; 16], c: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    unsafe fn add(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn subtract(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn multiply(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn at_most(x: [f32; 16], bound: [f32; 16]) -> [f32; 16] {
        zip(x, bound, |x, bound| if bound < x { bound } else { x })
    }

    #[inline(always)]
    unsafe fn at_least(x: [f32; 16], bound: [f32; 16]) -> [f32; 16] {
        zip(x, bound, |x, bound| if bound > x { bound } else { x })
    }

    #[inline(always)]
    unsafe fn round(x: [f32; 16]) -> [f32; 16] {
        x.map(f32::round_ties_even)
    }

    #[inline(always)]
    unsafe fn greater(a: [f32; 16], b: [f32; 16], lanes: usize) -> u16 {
        (0..lanes).fold(0, |bits, i| bits | u16::from(a[i] > b[i]) << i)
    }

    #[inline(always)]
    unsafe fn nonzero(x: [f32; 16]) -> u16 {
        (0..16).fold(0, |bits, i| bits | u16::from(x[i] != 0.0) << i)
    }

    #[inline(always)]
    unsafe fn compress(to: *mut f32, x: [f32; 16], bits: u16) {
        // SAFETY: guaranteed by the caller.
        unsafe { compress_lanes(to, x.as_ptr(), bits, |x| x) }
    }

    #[inline(always)]
    unsafe fn compress_halves(to: *mut u16, from: *const u32, bits: u16) {
        // SAFETY: guaranteed by the caller.
        unsafe { compress_lanes(to, from, bits, |x| x as u16) }
    }

    #[inline(always)]
    unsafe fn keep(x: [f32; 16], bits: u16) -> [f32; 16] {
        std::array::from_fn(|i| if bits >> i & 1 == 1 { x[i] } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn gather(from: *const f32, stride: usize, count: usize) -> [f32; 16] {
        // SAFETY: guaranteed by the caller; only the given lanes are read.
        std::array::from_fn(|i| if i < count { unsafe { *from.add(i * stride) } } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn scatter(to: *mut f32, stride: usize, count: usize, x: [f32; 16]) {
        for (i, x) in x.into_iter().enumerate().take(count) {
            // SAFETY: guaranteed by the caller; only the given lanes are written.
            unsafe { *to.add(i * stride) = x };
        }
    }

    #[inline(always)]
    unsafe fn exceeds_or_first_nan(x: [f32; 16], greatest: [f32; 16]) -> [bool; 16] {
        std::array::from_fn(|i| x[i] > greatest[i] || x[i].is_nan() && !greatest[i].is_nan())
    }

    #[inline(always)]
    unsafe fn equal(a: [f32; 16], b: [f32; 16]) -> [bool; 16] {
        std::array::from_fn(|i| a[i] == b[i])
    }

    #[inline(always)]
    unsafe fn select(mask: [bool; 16], a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|i| if mask[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8, count: usize) -> [f32; 16] {
        // SAFETY: guaranteed by the caller; only the given lanes are read.
        std::array::from_fn(|i| if i < count { f32::from(unsafe { *from.add(i) }) } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, count: usize, x: [f32; 16]) {
        for (i, x) in x.into_iter().enumerate().take(count) {
            // SAFETY: guaranteed by the caller; only the given lanes are written.
            unsafe { *to.add(i) = x as u8 };
        }
    }

    #[inline(always)]
    unsafe fn transpose(rows: [[f32; 16]; 16]) -> [[f32; 16]; 16] {
        std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
    }

    #[inline(always)]
    fn opaque(x: usize) -> usize {
        x
    }

    #[inline(always)]
    fn opaque_pointer(x: *const f32) -> *const f32 {
        x
    }
}

super::instantiate::kernels!(Portable, [1 2 3], [1 2 3], [1]);
