//! Interface of a tile to an instruction set: vectors of 16 lanes, in as many registers as it takes.
#![expect(unsafe_code, reason = "vector instructions")]

/// Vectors of 16 single-precision numbers. All functions are inlined into callers that are compiled for the
/// instruction set, and may run only there.
///
/// # Safety
/// The processor must support the instruction set. Pointers must be valid for the lanes that are read or written;
/// they need no alignment.
pub(crate) trait Simd: Copy {
    /// 16 numbers.
    type Vector: Copy;
    /// A mask of the first lanes of a vector.
    type Lanes: Copy;
    /// One Boolean per lane.
    type Mask: Copy;

    /// Tells if masked loads are as fast as full ones.
    const HAS_FAST_MASKS: bool;
    /// Maximum density at which the sparse kernel still beats the dense one, including the time to compress rows.
    const MAX_DENSITY: f64;

    /// The mask of the first `count` lanes, 1 to 16.
    unsafe fn lanes(count: usize) -> Self::Lanes;
    unsafe fn splat(x: f32) -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    /// Loads the lanes of the mask; others are 0 and not read.
    unsafe fn load_lanes(from: *const f32, lanes: Self::Lanes) -> Self::Vector;
    unsafe fn store(to: *mut f32, x: Self::Vector);
    unsafe fn store_lanes(to: *mut f32, lanes: Self::Lanes, x: Self::Vector);
    /// `a b + c`, fused if the instruction set has FMA.
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn multiply(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller; `x` if it is NaN.
    unsafe fn at_most(x: Self::Vector, bound: Self::Vector) -> Self::Vector;
    /// The larger; `x` if it is NaN.
    unsafe fn at_least(x: Self::Vector, bound: Self::Vector) -> Self::Vector;
    /// Rounds to the nearest integer, halves to even.
    unsafe fn round(x: Self::Vector) -> Self::Vector;
    /// Bit `i` is set if lane `i` of `a` is greater than that of `b`; 0 beyond `lanes`.
    unsafe fn greater(a: Self::Vector, b: Self::Vector, lanes: Self::Lanes) -> u16;
    /// Bit `i` is set if lane `i` is not 0. NaN counts as nonzero.
    unsafe fn nonzero(x: Self::Vector) -> u16;
    /// Stores the lanes whose bit is set, contiguously. The remaining elements of the 16 written are unspecified.
    unsafe fn compress(to: *mut f32, x: Self::Vector, bits: u16);
    /// Stores the low halves of the 32-bit words at `from` whose bit is set, contiguously.
    unsafe fn compress_halves(to: *mut u16, from: *const u32, bits: u16);
    /// Zeroes lanes whose bit is 0.
    unsafe fn keep(x: Self::Vector, bits: u16) -> Self::Vector;
    /// Loads lane `i` from element `i * stride`, for the first `count` lanes; the others are 0 and not read.
    unsafe fn gather(from: *const f32, stride: usize, count: usize) -> Self::Vector;
    /// Stores lane `i` to element `i * stride`, for the first `count` lanes.
    unsafe fn scatter(to: *mut f32, stride: usize, count: usize, x: Self::Vector);
    /// True for lanes of `x` that exceed `greatest` or are the first NaN: the update rule of a running maximum.
    unsafe fn exceeds_or_first_nan(x: Self::Vector, greatest: Self::Vector) -> Self::Mask;
    unsafe fn equal(a: Self::Vector, b: Self::Vector) -> Self::Mask;
    /// `a` in lanes in which the mask is true, `b` in the others.
    unsafe fn select(mask: Self::Mask, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Loads bytes as numbers; lanes from `count` on are 0 and not read.
    unsafe fn load_bytes(from: *const u8, count: usize) -> Self::Vector;
    /// Stores the first `count` lanes, integers from 0 to 255, as bytes.
    unsafe fn store_bytes(to: *mut u8, count: usize, x: Self::Vector);
    /// Transposes 16 rows of 16.
    unsafe fn transpose(rows: [Self::Vector; 16]) -> [Self::Vector; 16];
    /// Returns `x` in a form that is opaque to the compiler. Addresses computed from it stay independent instead of
    /// becoming one chain of additions.
    fn opaque(x: usize) -> usize;
    /// [`opaque`](Self::opaque) for a pointer.
    fn opaque_pointer(x: *const f32) -> *const f32;
}

/// [`Simd::compress`] of lanes in memory, converted by `of`.
///
/// # Safety
/// `to` must be valid for as many elements as bits are set, `from` for 16.
#[inline(always)]
pub(super) unsafe fn compress_lanes<T: Copy, U>(
    to: *mut U,
    from: *const T,
    mut bits: u16,
    of: impl Fn(T) -> U,
) {
    let mut count = 0;
    while bits != 0 {
        // SAFETY: guaranteed by the caller.
        unsafe { to.add(count).write(of(*from.add(bits.trailing_zeros() as usize))) };
        bits &= bits - 1;
        count += 1;
    }
}
