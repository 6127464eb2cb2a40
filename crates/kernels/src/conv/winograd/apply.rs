//! Gathers tiles and kernels, transforms them and stores the result, one vector of channels at a time; and the
//! reverse.
#![expect(unsafe_code, reason = "vector instructions")]

use super::layout::{Algorithm, PointLayout, Tiles, kernel_points, stride};
use super::transform::{F23, F43, F45, Filter, Nested};
use crate::lanes::{LANES, by_lanes};
use crate::tile::panels;
use crate::tile::simd::Simd;

/// Calls `$call` for the instruction set `$S` with the filter of an algorithm and its numbers of points, results and
/// taps.
macro_rules! by_algorithm {
    ($algorithm:expr, $call:ident::<$S:ty>($($arg:expr),*)) => {
        match $algorithm {
            Algorithm::Square2 => $call::<$S, Nested<F23>, 16, 4, 9>($($arg),*),
            Algorithm::Square4 => $call::<$S, Nested<F43>, 36, 16, 9>($($arg),*),
            Algorithm::Line3 => $call::<$S, F43, 6, 4, 3>($($arg),*),
            Algorithm::Line5 => $call::<$S, F45, 8, 4, 5>($($arg),*),
        }
    };
}

/// The operand that is transformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    Input,
    Gradient,
}

by_lanes! {
    /// Transforms a range of tiles of the images `x.0`; `x.1` holds zeros for every channel.
    pub(super) fn transform<S>(algorithm: Algorithm, source: Operand, to: &mut [f32], x: (&[f32], &[f32]), tiles: &Tiles, points: PointLayout) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            match source {
                Operand::Input => by_algorithm!(algorithm, transform_input::<S>(to, x, tiles, points)),
                Operand::Gradient => by_algorithm!(algorithm, transform_gradient::<S>(to, x, tiles, points)),
            }
        }
    }
}

/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn transform_input<S: Simd, F: Filter<P, M, R>, const P: usize, const M: usize, const R: usize>(
    to: &mut [f32],
    x: (&[f32], &[f32]),
    tiles: &Tiles,
    points: PointLayout,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        transform_as::<S, P, P>(
            to,
            x,
            tiles,
            points,
            F::PLACES,
            #[inline(always)]
            |d| F::input::<S>(d),
        );
    }
}

/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn transform_gradient<S: Simd, F: Filter<P, M, R>, const P: usize, const M: usize, const R: usize>(
    to: &mut [f32],
    x: (&[f32], &[f32]),
    tiles: &Tiles,
    points: PointLayout,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        transform_as::<S, M, P>(
            to,
            x,
            tiles,
            points,
            F::RESULTS,
            #[inline(always)]
            |y| F::output_gradient::<S>(y),
        );
    }
}

/// Transforms tiles of `N` places. Places outside the image are 0.
///
/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn transform_as<S: Simd, const N: usize, const P: usize>(
    to: &mut [f32],
    (x, zeros): (&[f32], &[f32]),
    tiles: &Tiles,
    points: PointLayout,
    (height, width): (usize, usize),
    transform: impl Fn([S::Vector; N]) -> [S::Vector; P],
) {
    let (image_h, image_w, channels) = tiles.image;
    let last = tiles.at(points.first + points.count - 1).0;
    assert!((last + 1) * tiles.sample() <= x.len(), "the images hold all samples");
    assert!(points.len(P, channels) <= to.len(), "points fit their buffer");
    assert!(channels.is_multiple_of(LANES) && points.width.is_multiple_of(LANES), "vectors are whole");
    assert!(channels <= zeros.len(), "the zeros cover every channel");
    for i in 0..points.count {
        let (sample, y, x0) = tiles.at(points.first + i);
        let image = x[sample * tiles.sample()..].as_ptr();
        // Every place of the tile has a pointer, into the image or to the zeros. The loop over channels then needs no
        // branches.
        let mut places = [zeros.as_ptr(); N];
        for row in 0..height {
            let y = y + row as isize;
            let line = image.wrapping_offset(y * (image_w * channels) as isize);
            for column in 0..width {
                let x = x0 + column as isize;
                if (0..image_h as isize).contains(&y) && (0..image_w as isize).contains(&x) {
                    places[row * width + column] = line.wrapping_add(x as usize * channels);
                }
            }
        }
        for channel in (0..channels).step_by(LANES) {
            let panel = channel / points.width * points.width;
            let row = points.width.min(channels - panel);
            let at = points.panel(P, panel) + i * row + channel - panel;
            // SAFETY: guaranteed by the caller. Every place is either within the image, whose channels are whole
            // vectors, or the zeros; destinations lie within their buffer. Both follow from the sizes checked above.
            unsafe {
                let mut d = [S::splat(0.0); N];
                for (d, place) in d.iter_mut().zip(&places) {
                    *d = S::load(place.add(channel));
                }
                let mut to = to.as_mut_ptr().add(at);
                for point in transform(d) {
                    S::store(to, point);
                    to = to.wrapping_add(points.stride(channels, panel));
                }
            }
        }
    }
}

/// Epilogue of an output tile. Gate bits, if any, are those of the whole output.
pub(super) enum WinogradEpilogue<'a> {
    /// Adds a bias, unless it is empty.
    Store { bias: &'a [f32] },
    /// Then computes `max(x, floor)`, and records the lanes above `open` unless `bits` is empty.
    Floor { bias: &'a [f32], floor: f32, open: f32, bits: &'a mut [u16] },
    /// Adds the previous content if `accumulate`, then closes the gate unless it is empty.
    Sink { gate: &'a [u16], accumulate: bool },
}

by_lanes! {
    /// Transforms products `from` (point, tile, filter) into output tiles, for the panel of filters that starts at
    /// `filter` and is as wide as `points`.
    pub(super) fn inverse_transform<S>(algorithm: Algorithm, out: &mut [f32], from: &[f32], tiles: &Tiles, points: PointLayout, filter: usize, end: &mut WinogradEpilogue<'_>) {
        // SAFETY: guaranteed by the caller.
        unsafe { by_algorithm!(algorithm, inverse_transform_as::<S>(out, from, tiles, points, filter, end)) }
    }
}

/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn inverse_transform_as<
    S: Simd,
    F: Filter<P, M, R>,
    const P: usize,
    const M: usize,
    const R: usize,
>(
    out: &mut [f32],
    from: &[f32],
    tiles: &Tiles,
    points: PointLayout,
    filter: usize,
    end: &mut WinogradEpilogue<'_>,
) {
    let (image_h, image_w, channels) = tiles.image;
    let (height, width) = F::RESULTS;
    let words = channels / LANES;
    let last = tiles.at(points.first + points.count - 1).0;
    assert!((last + 1) * tiles.sample() <= out.len(), "the images hold all samples");
    assert!(points.len(P, points.width) <= from.len(), "all points are there");
    assert!(
        filter + points.width <= channels && points.width.is_multiple_of(LANES),
        "the panel lies within the filters"
    );
    let (bias, bits) = match end {
        WinogradEpilogue::Store { bias } => (*bias, 0),
        WinogradEpilogue::Floor { bias, bits, .. } => (*bias, bits.len()),
        WinogradEpilogue::Sink { gate, .. } => (&[][..], gate.len()),
    };
    assert!(bias.is_empty() || bias.len() >= channels, "one bias per filter");
    assert!(bits == 0 || bits * LANES >= (last + 1) * tiles.sample(), "gate bits hold all");
    for i in 0..points.count {
        let (sample, y, x) = tiles.at(points.first + i);
        let (y, x) = (y as usize, x as usize);
        let (height, used) = (height.min(image_h - y), width.min(image_w - x));
        let pixel = (sample * image_h + y) * image_w + x;
        for v in 0..points.width / LANES {
            let channel = filter + v * LANES;
            // SAFETY: guaranteed by the caller; points, pixels and words lie within their slices by the sizes checked
            // above.
            unsafe {
                let mut m = [S::splat(0.0); P];
                let mut at = from.as_ptr().add(i * points.width + v * LANES);
                for m in &mut m {
                    *m = S::load(at);
                    at = at.wrapping_add(points.stride(points.width, 0));
                }
                let results = F::output::<S>(m);
                let bias = if bias.is_empty() { S::splat(0.0) } else { S::load(bias.as_ptr().add(channel)) };
                for (place, &result) in results.iter().enumerate() {
                    let (row, column) = (place / width, place % width);
                    if row >= height || column >= used {
                        continue;
                    }
                    let pixel = pixel + row * image_w + column;
                    let word = pixel * words + channel / LANES;
                    let to = out.as_mut_ptr().add(pixel * channels + channel);
                    let value = match end {
                        WinogradEpilogue::Store { .. } => S::add(result, bias),
                        WinogradEpilogue::Floor { floor, open, bits, .. } => {
                            let x = S::add(result, bias);
                            if let Some(word) = bits.get_mut(word) {
                                *word = S::greater(x, S::splat(*open), S::lanes(LANES));
                            }
                            S::at_least(x, S::splat(*floor))
                        }
                        WinogradEpilogue::Sink { gate, accumulate } => {
                            let x = if *accumulate { S::add(result, S::load(to)) } else { result };
                            gate.get(word).map_or(x, |&word| S::keep(x, word))
                        }
                    };
                    S::store(to, value);
                }
            }
        }
    }
}

by_lanes! {
    /// Transforms the kernel `w` (tap, channel, filter) into panels of filters, each with one (channel, filter)
    /// matrix per point.
    pub(super) fn transform_kernel<S>(algorithm: Algorithm, to: &mut [f32], w: &[f32], sizes: (usize, usize)) {
        // SAFETY: guaranteed by the caller.
        unsafe { by_algorithm!(algorithm, transform_kernel_as::<S>(to, w, sizes)) }
    }
}

/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn transform_kernel_as<S: Simd, F: Filter<P, M, R>, const P: usize, const M: usize, const R: usize>(
    to: &mut [f32],
    w: &[f32],
    (channels, filters): (usize, usize),
) {
    assert!(R * channels * filters <= w.len(), "the kernel is complete");
    let points = kernel_points(channels);
    assert!(points.len(P, filters) <= to.len(), "points fit their buffer");
    assert!(filters.is_multiple_of(LANES), "vectors are whole");
    for (first, width) in panels(filters) {
        for channel in 0..channels {
            for filter in (0..width).step_by(LANES) {
                // SAFETY: guaranteed by the caller, and by the sizes checked above.
                unsafe {
                    let mut g = [S::splat(0.0); R];
                    for (tap, g) in g.iter_mut().enumerate() {
                        *g = S::load(w.as_ptr().add((tap * channels + channel) * filters + first + filter));
                    }
                    let mut to = to.as_mut_ptr().add(points.panel(P, first) + channel * width + filter);
                    for point in F::kernel::<S>(g) {
                        S::store(to, point);
                        to = to.wrapping_add(points.stride(filters, first));
                    }
                }
            }
        }
    }
}

by_lanes! {
    /// Transforms the gradient of a transformed kernel (point, channel, filter) into that of the kernel (tap,
    /// channel, filter).
    pub(super) fn transform_kernel_gradient<S>(algorithm: Algorithm, dw: &mut [f32], from: &[f32], matrix: usize, accumulate: bool) {
        // SAFETY: guaranteed by the caller.
        unsafe { by_algorithm!(algorithm, transform_kernel_gradient_as::<S>(dw, from, matrix, accumulate)) }
    }
}

/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn transform_kernel_gradient_as<
    S: Simd,
    F: Filter<P, M, R>,
    const P: usize,
    const M: usize,
    const R: usize,
>(
    dw: &mut [f32],
    from: &[f32],
    matrix: usize,
    accumulate: bool,
) {
    assert!(R * matrix <= dw.len() && P * stride(matrix) <= from.len(), "kernels are complete");
    assert!(matrix.is_multiple_of(LANES), "vectors are whole");
    for at in (0..matrix).step_by(LANES) {
        // SAFETY: guaranteed by the caller, and by the sizes checked above.
        unsafe {
            let mut u = [S::splat(0.0); P];
            for (point, u) in u.iter_mut().enumerate() {
                *u = S::load(from.as_ptr().add(point * stride(matrix) + at));
            }
            for (tap, g) in F::kernel_gradient::<S>(u).into_iter().enumerate() {
                let to = dw.as_mut_ptr().add(tap * matrix + at);
                S::store(to, if accumulate { S::add(S::load(to), g) } else { g });
            }
        }
    }
}
