//! What a tile needs of an instruction set: vectors of 16 lanes, however many registers they take.

/// Vectors of 16 single-precision numbers. All functions are inlined into ones that are compiled for the instruction
/// set, and only there they may run.
///
/// # Safety
/// Every function needs the processor to have the instruction set. Pointers must be valid for the lanes that are read
/// or written; no alignment is asked for.
pub(crate) trait Simd: Copy {
    /// 16 numbers.
    type Vector: Copy;
    /// The first lanes of a vector.
    type Lanes: Copy;
    /// A truth for each lane.
    type Mask: Copy;

    /// Whether some lanes are loaded as fast as all.
    const MASKED: bool;
    /// The part of a matrix that may be other than 0 for sums over lists to be faster than those over all: they have so much
    /// of the speed of a tile, and lists take time to be made.
    const MOST_NONZERO: f64;

    /// The first `count` lanes, 1 to 16.
    unsafe fn lanes(count: usize) -> Self::Lanes;
    unsafe fn splat(x: f32) -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    /// Lanes beyond `lanes` are 0 and not read.
    unsafe fn load_lanes(from: *const f32, lanes: Self::Lanes) -> Self::Vector;
    unsafe fn store(to: *mut f32, x: Self::Vector);
    unsafe fn store_lanes(to: *mut f32, lanes: Self::Lanes, x: Self::Vector);
    /// `a b + c`, fused where the instruction set can.
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn multiply(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller; `x` where it is NaN.
    unsafe fn at_most(x: Self::Vector, bound: Self::Vector) -> Self::Vector;
    /// The larger; `x` where it is NaN.
    unsafe fn at_least(x: Self::Vector, bound: Self::Vector) -> Self::Vector;
    /// To the nearest integer, halves to even.
    unsafe fn round(x: Self::Vector) -> Self::Vector;
    /// Bit `i` says that lane `i` of `a` is greater than that of `b`; 0 beyond `lanes`.
    unsafe fn greater(a: Self::Vector, b: Self::Vector, lanes: Self::Lanes) -> u16;
    /// Bit `i` says that lane `i` is not 0 (NaN is not).
    unsafe fn nonzero(x: Self::Vector) -> u16;
    /// Stores the lanes whose bit is 1 one after the other. Whatever else the 16 places hold is unspecified.
    unsafe fn pack(to: *mut f32, x: Self::Vector, bits: u16);
    /// The same of the lower halves of 16 numbers in memory.
    unsafe fn pack_halves(to: *mut u16, from: *const u32, bits: u16);
    /// Lanes whose bit is 0 become 0.
    unsafe fn keep(x: Self::Vector, bits: u16) -> Self::Vector;
    /// Lane `i` from element `i * stride`, for the first `count` lanes; the others are 0 and not read.
    unsafe fn gather(from: *const f32, stride: usize, count: usize) -> Self::Vector;
    /// Stores lane `i` to element `i * stride`, for the first `count` lanes.
    unsafe fn scatter(to: *mut f32, stride: usize, count: usize, x: Self::Vector);
    /// Whether `x` takes the place of the greatest so far: it is greater, or the first NaN.
    unsafe fn takes(x: Self::Vector, greatest: Self::Vector) -> Self::Mask;
    unsafe fn equal(a: Self::Vector, b: Self::Vector) -> Self::Mask;
    /// `a` where the mask is true, `b` elsewhere.
    unsafe fn choose(mask: Self::Mask, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Bytes as numbers; lanes beyond the first `count` are 0 and not read.
    unsafe fn load_bytes(from: *const u8, count: usize) -> Self::Vector;
    /// Stores the first `count` lanes, integers from 0 to 255, as bytes.
    unsafe fn store_bytes(to: *mut u8, count: usize, x: Self::Vector);
    /// The transpose of 16 rows of 16.
    unsafe fn turn(rows: [Self::Vector; 16]) -> [Self::Vector; 16];
    /// `x` itself, of which the compiler knows nothing: addresses made from it stay apart instead of becoming one chain
    /// of additions.
    fn hide(x: usize) -> usize;
    /// The same of a pointer.
    fn hide_pointer(x: *const f32) -> *const f32;
}

/// [`Simd::pack`] of lanes that lie in memory, as `of` makes them.
///
/// # Safety
/// `to` is valid for as many lanes as have bits, `from` for 16.
#[inline(always)]
pub(super) unsafe fn pack_lanes<T: Copy, U>(to: *mut U, from: *const T, mut bits: u16, of: impl Fn(T) -> U) {
    let mut count = 0;
    while bits != 0 {
        // SAFETY: guaranteed by the caller.
        unsafe { to.add(count).write(of(*from.add(bits.trailing_zeros() as usize))) };
        bits &= bits - 1;
        count += 1;
    }
}
