//! Operations on vectors that are written once for all instruction sets, and the application of gates.
#![expect(unsafe_code, reason = "vector instructions")]

use super::gate::{Gate, GateFunction};
use super::tile::simd::Simd;

/// Lanes per vector.
pub(super) const LANES: usize = 16;

/// Defines a function whose body is compiled once per instruction set, with `$S` naming its [`Simd`] implementation.
/// Calls dispatch to the set that this thread may use. The body may call the functions of `$S`.
macro_rules! by_lanes {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$S:ident>($($arg:ident : $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) {
            /// # Safety
            /// The processor must support the instruction set of `$S`.
            #[inline(always)]
            unsafe fn body<$S: $crate::tile::simd::Simd>($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
            fn avx512($($arg: $ty),*) {
                // SAFETY: this function is called only if the processor has the set.
                unsafe { body::<$crate::tile::avx512::Avx512>($($arg),*) }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,popcnt")]
            fn avx2($($arg: $ty),*) {
                // SAFETY: as above.
                unsafe { body::<$crate::tile::avx2::Avx2>($($arg),*) }
            }

            match $crate::dispatch::InstructionSet::current() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `current` names only sets that the processor has.
                $crate::dispatch::InstructionSet::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::dispatch::InstructionSet::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: every processor can run it.
                _ => unsafe { body::<$crate::tile::portable::Portable>($($arg),*) },
            }
        }
    };
}
pub(super) use by_lanes;

/// Loads a vector; only its `lanes` unless it is `WHOLE`.
///
/// # Safety
/// The processor must support the instruction set; the lanes must be valid for reads.
#[inline(always)]
pub(super) unsafe fn load<S: Simd, const WHOLE: bool>(from: *const f32, lanes: S::Lanes) -> S::Vector {
    // SAFETY: guaranteed by the caller.
    unsafe { if WHOLE { S::load(from) } else { S::load_lanes(from, lanes) } }
}

/// Stores a vector; only its `lanes` unless it is `WHOLE`.
///
/// # Safety
/// The processor must support the instruction set; the lanes must be valid for writes.
#[inline(always)]
pub(super) unsafe fn store<S: Simd, const WHOLE: bool>(to: *mut f32, lanes: S::Lanes, x: S::Vector) {
    // SAFETY: guaranteed by the caller.
    unsafe { if WHOLE { S::store(to, x) } else { S::store_lanes(to, lanes, x) } }
}

by_lanes! {
    /// Adds the bias, if any, to rows of `channels` values and applies the gate's function. Records gate bits unless
    /// `bits` is empty.
    pub(super) fn apply<S>(rows: &mut [f32], bias: Option<&[f32]>, gate: &Gate, bits: &mut [u16], channels: usize) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            match gate.function {
                GateFunction::Linear => apply_as::<S>(rows, bias, gate, #[inline(always)] |x| x, bits, channels),
                GateFunction::Clip { low, high } => {
                    let (low, high) = (S::splat(low), S::splat(high));
                    apply_as::<S>(
                        rows, bias, gate, #[inline(always)] |x| S::at_most(S::at_least(x, low), high), bits, channels,
                    );
                }
                GateFunction::Levels { per_unit, unit, low, high, bound } => {
                    let (per_unit, unit, zero) = (S::splat(per_unit), S::splat(unit), S::splat(0.0));
                    let (low, high, bound) = (S::splat(low), S::splat(high), S::splat(bound));
                    apply_as::<S>(
                        rows, bias, gate, #[inline(always)] |x| {
                            let level = S::at_most(S::at_least(S::round(S::multiply(x, per_unit)), low), high);
                            // Turns minus zero into zero.
                            S::add(S::at_most(S::multiply(unit, level), bound), zero)
                        },
                        bits, channels,
                    );
                }
            }
        }
    }
}

/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn apply_as<S: Simd>(
    rows: &mut [f32],
    bias: Option<&[f32]>,
    gate: &Gate,
    function: impl Fn(S::Vector) -> S::Vector,
    bits: &mut [u16],
    channels: usize,
) {
    if let Some(bias) = bias {
        assert!(bias.len() == channels, "one bias per channel");
        for row in rows.chunks_exact_mut(channels) {
            row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
        }
    }
    let mut words = Words::new(bits, channels);
    let (groups, rest) = rows.as_chunks_mut::<LANES>();
    // SAFETY: guaranteed by the caller; lanes lie within the group.
    unsafe {
        let (open, closed) = (S::splat(gate.open.0), S::splat(gate.open.1));
        let whole = S::lanes(LANES);
        if words.words.is_empty() {
            for group in groups {
                S::store(group.as_mut_ptr(), function(S::load(group.as_ptr())));
            }
        } else if channels.is_multiple_of(LANES) {
            for (group, word) in groups.iter_mut().zip(words.words.iter_mut()) {
                let x = S::load(group.as_ptr());
                *word = S::greater(x, open, whole) & S::greater(closed, x, whole);
                S::store(group.as_mut_ptr(), function(x));
            }
        } else {
            for group in groups {
                let x = S::load(group.as_ptr());
                words.put(S::greater(x, open, whole) & S::greater(closed, x, whole), LANES);
                S::store(group.as_mut_ptr(), function(x));
            }
        }
        if !rest.is_empty() {
            let lanes = S::lanes(rest.len());
            let x = S::load_lanes(rest.as_ptr(), lanes);
            words.put(S::greater(x, open, lanes) & S::greater(closed, x, lanes), rest.len());
            S::store_lanes(rest.as_mut_ptr(), lanes, function(x));
        }
    }
}

by_lanes! {
    /// Zeroes values whose gate bit is 0, over rows of `channels` values.
    pub(super) fn close<S>(rows: &mut [f32], bits: &[u16], channels: usize) {
        assert!(rows.len().div_ceil(channels) * channels.div_ceil(LANES) <= bits.len(), "bits for every value");
        let (at, len, whole) = (rows.as_mut_ptr(), rows.len(), rows.len() / LANES);
        let mut bits = Bits { words: bits, channels, left: channels, stream: 0, count: 0 };
        // SAFETY: guaranteed by the caller; groups lie within the slice.
        unsafe {
            if channels.is_multiple_of(LANES) {
                for (group, &word) in bits.words.iter().enumerate().take(whole) {
                    let at = at.add(group * LANES);
                    S::store(at, S::keep(S::load(at), word));
                }
            } else {
                for group in 0..whole {
                    let (at, word) = (at.add(group * LANES), bits.take(LANES));
                    S::store(at, S::keep(S::load(at), word));
                }
                let rest = len - whole * LANES;
                if rest > 0 {
                    let (at, lanes, word) = (at.add(whole * LANES), S::lanes(rest), bits.take(rest));
                    S::store_lanes(at, lanes, S::keep(S::load_lanes(at, lanes), word));
                }
            }
        }
    }
}

/// Reads gate bits as one stream. Words start anew with every row, so the unused bits at a row's end are skipped.
struct Bits<'a> {
    words: &'a [u16],
    channels: usize,
    /// Bits of the current row that are still in `words`.
    left: usize,
    stream: u64,
    count: usize,
}

impl Bits<'_> {
    /// Takes the next `count` bits, at most 16.
    #[inline(always)]
    fn take(&mut self, count: usize) -> u16 {
        while self.count < count {
            let (more, (&word, words)) = (
                self.left.min(LANES),
                self.words.split_first().expect("invariant: words hold a bit for every value"),
            );
            self.words = words;
            self.stream |= (u64::from(word) & ((1 << more) - 1)) << self.count;
            self.count += more;
            self.left = if self.left == more { self.channels } else { self.left - more };
        }
        let taken = self.stream as u16;
        self.stream >>= count;
        self.count -= count;
        taken
    }
}

/// Writes a stream of bits as words that start anew with every row.
struct Words<'a> {
    words: &'a mut [u16],
    channels: usize,
    /// Bits of the current row that are not yet in `words`.
    left: usize,
    next: usize,
    stream: u64,
    count: usize,
}

impl<'a> Words<'a> {
    #[inline(always)]
    const fn new(words: &'a mut [u16], channels: usize) -> Self {
        Self { words, channels, left: channels, next: 0, stream: 0, count: 0 }
    }

    /// Appends `count` bits, at most 16.
    #[inline(always)]
    fn put(&mut self, bits: u16, count: usize) {
        self.stream |= u64::from(bits) << self.count;
        self.count += count;
        while let Some(word) = self.words.get_mut(self.next) {
            let want = self.left.min(LANES);
            if self.count < want {
                break;
            }
            *word = (self.stream & ((1 << want) - 1)) as u16;
            self.stream >>= want;
            self.count -= want;
            self.next += 1;
            self.left = if self.left == want { self.channels } else { self.left - want };
        }
    }
}

/// Copies a slice without a call of `memcpy`, for a few values.
#[inline(always)]
pub(super) fn copy(to: &mut [f32], from: &[f32]) {
    let (to, to_rest) = to.as_chunks_mut::<LANES>();
    let (from, from_rest) = from.as_chunks::<LANES>();
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        *to = *from;
    }
}
