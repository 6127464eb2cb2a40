//! The linear transforms of the algorithms, for inputs, kernels and products, each with its adjoint.
//!
//! `F(m, r)` computes `m` results of a filter with `r` taps from `p = m + r - 1` products, one for each point at
//! which the polynomials of data and filter are evaluated (Winograd, 1980; Lavin and Gray, 2015, arXiv 1509.09308).
#![expect(unsafe_code, reason = "vector instructions")]

use std::marker::PhantomData;

use crate::tile::simd::Simd;

/// The transforms of one algorithm with `P` points, `M` results and `R` taps.
///
/// # Safety
/// The processor must support the instruction set of `S`.
pub(super) trait Filter<const P: usize, const M: usize, const R: usize> {
    /// Height and width of the input tile: a line, except for [`Nested`].
    const PLACES: (usize, usize) = (1, P);
    /// Height and width of the output tile.
    const RESULTS: (usize, usize) = (1, M);

    /// Transforms an input tile.
    unsafe fn input<S: Simd>(d: [S::Vector; P]) -> [S::Vector; P];
    /// Transforms products into results.
    unsafe fn output<S: Simd>(m: [S::Vector; P]) -> [S::Vector; M];
    /// The adjoint of [`output`](Self::output).
    unsafe fn output_gradient<S: Simd>(y: [S::Vector; M]) -> [S::Vector; P];
    /// Transforms the taps of a kernel.
    unsafe fn kernel<S: Simd>(g: [S::Vector; R]) -> [S::Vector; P];
    /// The adjoint of [`kernel`](Self::kernel).
    unsafe fn kernel_gradient<S: Simd>(u: [S::Vector; P]) -> [S::Vector; R];
}

/// `factor a`
///
/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn times<S: Simd>(factor: f32, a: S::Vector) -> S::Vector {
    // SAFETY: guaranteed by the caller.
    unsafe { S::multiply(S::splat(factor), a) }
}

/// `factor a + b`
///
/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn more<S: Simd>(factor: f32, a: S::Vector, b: S::Vector) -> S::Vector {
    // SAFETY: guaranteed by the caller.
    unsafe { S::multiply_add(S::splat(factor), a, b) }
}

/// `F(2, 3)`: the points 0, 1, -1 and infinity.
pub(super) struct F23;

impl Filter<4, 2, 3> for F23 {
    #[inline(always)]
    unsafe fn input<S: Simd>(d: [S::Vector; 4]) -> [S::Vector; 4] {
        // SAFETY: guaranteed by the caller, as in all transforms.
        unsafe {
            [S::subtract(d[0], d[2]), S::add(d[1], d[2]), S::subtract(d[2], d[1]), S::subtract(d[1], d[3])]
        }
    }

    #[inline(always)]
    unsafe fn output<S: Simd>(m: [S::Vector; 4]) -> [S::Vector; 2] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let (even, odd) = (S::add(m[1], m[2]), S::subtract(m[1], m[2]));
            [S::add(m[0], even), S::subtract(odd, m[3])]
        }
    }

    #[inline(always)]
    unsafe fn output_gradient<S: Simd>(y: [S::Vector; 2]) -> [S::Vector; 4] {
        // SAFETY: guaranteed by the caller.
        unsafe { [y[0], S::add(y[0], y[1]), S::subtract(y[0], y[1]), times::<S>(-1.0, y[1])] }
    }

    #[inline(always)]
    unsafe fn kernel<S: Simd>(g: [S::Vector; 3]) -> [S::Vector; 4] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let even = times::<S>(0.5, S::add(g[0], g[2]));
            [g[0], more::<S>(0.5, g[1], even), more::<S>(-0.5, g[1], even), g[2]]
        }
    }

    #[inline(always)]
    unsafe fn kernel_gradient<S: Simd>(u: [S::Vector; 4]) -> [S::Vector; 3] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let (even, odd) = (S::add(u[1], u[2]), S::subtract(u[1], u[2]));
            [more::<S>(0.5, even, u[0]), times::<S>(0.5, odd), more::<S>(0.5, even, u[3])]
        }
    }
}

/// `F(4, 3)`: the points 0, 1, -1, 2, -2 and infinity.
pub(super) struct F43;

impl Filter<6, 4, 3> for F43 {
    #[inline(always)]
    unsafe fn input<S: Simd>(d: [S::Vector; 6]) -> [S::Vector; 6] {
        // SAFETY: guaranteed by the caller, as in all transforms.
        unsafe {
            let (even, odd) = (more::<S>(-4.0, d[2], d[4]), more::<S>(-4.0, d[1], d[3]));
            let (even_2, odd_2) = (S::subtract(d[4], d[2]), S::subtract(d[3], d[1]));
            [
                more::<S>(4.0, d[0], more::<S>(-5.0, d[2], d[4])),
                S::add(even, odd),
                S::subtract(even, odd),
                more::<S>(2.0, odd_2, even_2),
                more::<S>(-2.0, odd_2, even_2),
                more::<S>(4.0, d[1], more::<S>(-5.0, d[3], d[5])),
            ]
        }
    }

    #[inline(always)]
    unsafe fn output<S: Simd>(m: [S::Vector; 6]) -> [S::Vector; 4] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let (even, odd) = (S::add(m[1], m[2]), S::subtract(m[1], m[2]));
            let (even_2, odd_2) = (S::add(m[3], m[4]), S::subtract(m[3], m[4]));
            [
                S::add(S::add(m[0], even), even_2),
                more::<S>(2.0, odd_2, odd),
                more::<S>(4.0, even_2, even),
                S::add(more::<S>(8.0, odd_2, odd), m[5]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn output_gradient<S: Simd>(y: [S::Vector; 4]) -> [S::Vector; 6] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let (even, odd) = (S::add(y[0], y[2]), S::add(y[1], y[3]));
            let even_2 = more::<S>(4.0, y[2], y[0]);
            let odd_2 = more::<S>(4.0, y[3], y[1]);
            [
                y[0],
                S::add(even, odd),
                S::subtract(even, odd),
                more::<S>(2.0, odd_2, even_2),
                more::<S>(-2.0, odd_2, even_2),
                y[3],
            ]
        }
    }

    #[inline(always)]
    unsafe fn kernel<S: Simd>(g: [S::Vector; 3]) -> [S::Vector; 6] {
        const SIXTH: f32 = 1.0 / 6.0;
        // SAFETY: guaranteed by the caller.
        unsafe {
            let even = times::<S>(-SIXTH, S::add(g[0], g[2]));
            let even_2 = times::<S>(SIXTH, more::<S>(0.25, g[0], g[2]));
            [
                times::<S>(0.25, g[0]),
                more::<S>(-SIXTH, g[1], even),
                more::<S>(SIXTH, g[1], even),
                more::<S>(0.5 * SIXTH, g[1], even_2),
                more::<S>(-0.5 * SIXTH, g[1], even_2),
                g[2],
            ]
        }
    }

    #[inline(always)]
    unsafe fn kernel_gradient<S: Simd>(u: [S::Vector; 6]) -> [S::Vector; 3] {
        const SIXTH: f32 = 1.0 / 6.0;
        // SAFETY: guaranteed by the caller.
        unsafe {
            let (even, odd) = (S::add(u[1], u[2]), S::subtract(u[1], u[2]));
            let (even_2, odd_2) = (S::add(u[3], u[4]), S::subtract(u[3], u[4]));
            let first = more::<S>(-SIXTH, even, times::<S>(0.25, u[0]));
            [
                more::<S>(0.25 * SIXTH, even_2, first),
                times::<S>(SIXTH, more::<S>(0.5, odd_2, times::<S>(-1.0, odd))),
                more::<S>(SIXTH, S::subtract(even_2, even), u[5]),
            ]
        }
    }
}

/// `F(4, 5)`: the points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity.
pub(super) struct F45;

/// Inverse products of the distances between a point and all others, for the points 1, 2 and 1/2.
const ONE: f32 = -2.0 / 9.0;
const TWO: f32 = 1.0 / 90.0;
const HALF: f32 = 32.0 / 45.0;

impl Filter<8, 4, 5> for F45 {
    #[inline(always)]
    unsafe fn input<S: Simd>(d: [S::Vector; 8]) -> [S::Vector; 8] {
        // SAFETY: guaranteed by the caller, as in all transforms.
        unsafe {
            let even = more::<S>(-4.25, d[4], S::add(d[2], d[6]));
            let odd = more::<S>(-4.25, d[3], S::add(d[1], d[5]));
            let even_2 = more::<S>(0.25, d[2], more::<S>(-1.25, d[4], d[6]));
            let odd_2 = more::<S>(0.25, d[1], more::<S>(-1.25, d[3], d[5]));
            let even_half = more::<S>(4.0, d[2], more::<S>(-5.0, d[4], d[6]));
            let odd_half = more::<S>(4.0, d[1], more::<S>(-5.0, d[3], d[5]));
            [
                more::<S>(5.25, S::subtract(d[4], d[2]), S::subtract(d[0], d[6])),
                S::add(even, odd),
                S::subtract(even, odd),
                more::<S>(2.0, odd_2, even_2),
                more::<S>(-2.0, odd_2, even_2),
                more::<S>(0.5, odd_half, even_half),
                more::<S>(-0.5, odd_half, even_half),
                more::<S>(5.25, S::subtract(d[3], d[5]), S::subtract(d[7], d[1])),
            ]
        }
    }

    #[inline(always)]
    unsafe fn output<S: Simd>(m: [S::Vector; 8]) -> [S::Vector; 4] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let (even, odd) = (S::add(m[1], m[2]), S::subtract(m[1], m[2]));
            let (even_2, odd_2) = (S::add(m[3], m[4]), S::subtract(m[3], m[4]));
            let (even_half, odd_half) = (S::add(m[5], m[6]), S::subtract(m[5], m[6]));
            [
                S::add(S::add(m[0], even), S::add(even_2, even_half)),
                more::<S>(2.0, odd_2, more::<S>(0.5, odd_half, odd)),
                more::<S>(4.0, even_2, more::<S>(0.25, even_half, even)),
                more::<S>(8.0, odd_2, more::<S>(0.125, odd_half, S::add(odd, m[7]))),
            ]
        }
    }

    #[inline(always)]
    unsafe fn output_gradient<S: Simd>(y: [S::Vector; 4]) -> [S::Vector; 8] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let (even, odd) = (S::add(y[0], y[2]), S::add(y[1], y[3]));
            let (even_2, odd_2) = (more::<S>(4.0, y[2], y[0]), more::<S>(4.0, y[3], y[1]));
            let (even_half, odd_half) = (more::<S>(0.25, y[2], y[0]), more::<S>(0.25, y[3], y[1]));
            [
                y[0],
                S::add(even, odd),
                S::subtract(even, odd),
                more::<S>(2.0, odd_2, even_2),
                more::<S>(-2.0, odd_2, even_2),
                more::<S>(0.5, odd_half, even_half),
                more::<S>(-0.5, odd_half, even_half),
                y[3],
            ]
        }
    }

    #[inline(always)]
    unsafe fn kernel<S: Simd>(g: [S::Vector; 5]) -> [S::Vector; 8] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let even = times::<S>(ONE, S::add(S::add(g[0], g[2]), g[4]));
            let odd = times::<S>(ONE, S::add(g[1], g[3]));
            let even_2 = times::<S>(TWO, more::<S>(16.0, g[4], more::<S>(4.0, g[2], g[0])));
            let odd_2 = times::<S>(2.0 * TWO, more::<S>(4.0, g[3], g[1]));
            let even_half = times::<S>(HALF, more::<S>(0.0625, g[4], more::<S>(0.25, g[2], g[0])));
            let odd_half = times::<S>(0.5 * HALF, more::<S>(0.25, g[3], g[1]));
            [
                g[0],
                S::add(even, odd),
                S::subtract(even, odd),
                S::add(even_2, odd_2),
                S::subtract(even_2, odd_2),
                S::add(even_half, odd_half),
                S::subtract(even_half, odd_half),
                g[4],
            ]
        }
    }

    #[inline(always)]
    unsafe fn kernel_gradient<S: Simd>(u: [S::Vector; 8]) -> [S::Vector; 5] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let (even, odd) = (times::<S>(ONE, S::add(u[1], u[2])), times::<S>(ONE, S::subtract(u[1], u[2])));
            let (even_2, odd_2) =
                (times::<S>(TWO, S::add(u[3], u[4])), times::<S>(TWO, S::subtract(u[3], u[4])));
            let even_half = times::<S>(HALF, S::add(u[5], u[6]));
            let odd_half = times::<S>(HALF, S::subtract(u[5], u[6]));
            [
                S::add(S::add(u[0], even), S::add(even_2, even_half)),
                more::<S>(2.0, odd_2, more::<S>(0.5, odd_half, odd)),
                more::<S>(4.0, even_2, more::<S>(0.25, even_half, even)),
                more::<S>(8.0, odd_2, more::<S>(0.125, odd_half, odd)),
                more::<S>(16.0, even_2, more::<S>(0.0625, even_half, S::add(even, u[7]))),
            ]
        }
    }
}

/// A one-dimensional algorithm nested in itself, for squares.
pub(super) struct Nested<L>(PhantomData<L>);

/// Implements [`Filter`] for `Nested<$line>`: the transform of columns, then of rows.
macro_rules! nested {
    ($line:ty, $p:literal $m:literal $r:literal) => {
        impl Filter<{ $p * $p }, { $m * $m }, { $r * $r }> for Nested<$line> {
            const PLACES: (usize, usize) = ($p, $p);
            const RESULTS: (usize, usize) = ($m, $m);

            nested!(@ $line, input, $p, $p);
            nested!(@ $line, output, $p, $m);
            nested!(@ $line, output_gradient, $m, $p);
            nested!(@ $line, kernel, $r, $p);
            nested!(@ $line, kernel_gradient, $p, $r);
        }
    };
    (@ $line:ty, $map:ident, $from:literal, $to:literal) => {
        #[inline(always)]
        unsafe fn $map<S: Simd>(x: [S::Vector; $from * $from]) -> [S::Vector; $to * $to] {
            // SAFETY: guaranteed by the caller.
            unsafe {
                let mut half = [S::splat(0.0); $to * $from];
                for column in 0..$from {
                    let mut line = [x[column]; $from];
                    for (i, place) in line.iter_mut().enumerate() {
                        *place = x[i * $from + column];
                    }
                    for (i, y) in <$line>::$map::<S>(line).into_iter().enumerate() {
                        half[i * $from + column] = y;
                    }
                }
                let mut whole = [S::splat(0.0); $to * $to];
                for row in 0..$to {
                    let mut line = [half[0]; $from];
                    for (i, place) in line.iter_mut().enumerate() {
                        *place = half[row * $from + i];
                    }
                    for (i, y) in <$line>::$map::<S>(line).into_iter().enumerate() {
                        whole[row * $to + i] = y;
                    }
                }
                whole
            }
        }
    };
}

nested!(F23, 4 2 3);
nested!(F43, 6 4 3);
