//! Images with a border of zeros, so that windows may extend beyond the edge.

use std::ops::Range;

use super::shape::ConvShape;
use crate::scratch;

/// The part of an image that windows touch, with its border.
#[derive(Debug, Clone, Copy)]
pub(super) struct Border {
    /// Size of the image: height, width, channels.
    image: (usize, usize, usize),
    /// Lines and pixels of zeros before the image.
    before: (usize, usize),
    /// Size with the border: height, width.
    whole: (usize, usize),
}

impl Border {
    /// Places an `image` (height, width, channels) after `before` lines and pixels of zeros, within a size of
    /// `whole`.
    pub(super) const fn new(
        image: (usize, usize, usize),
        before: (usize, usize),
        whole: (usize, usize),
    ) -> Self {
        Self { image, before, whole }
    }

    /// The region of the input that the windows of a convolution touch.
    pub(super) const fn of_input(shape: &ConvShape) -> Self {
        let height = (shape.out_h - 1) * shape.stride.0 + (shape.kernel_h - 1) * shape.dilation.0 + 1;
        let width = (shape.out_w - 1) * shape.stride.1 + (shape.kernel_w - 1) * shape.dilation.1 + 1;
        Self::new((shape.in_h, shape.in_w, shape.in_c), shape.pad, (height, width))
    }

    /// Tells if the image is read in place.
    const fn is_none(&self) -> bool {
        self.before.0 == 0
            && self.before.1 == 0
            && self.whole.0 <= self.image.0
            && self.whole.1 <= self.image.1
    }

    /// Stride between lines of the images that [`for_samples`](Self::for_samples) passes.
    pub(super) const fn line(&self) -> usize {
        if self.is_none() { self.image.1 * self.image.2 } else { self.whole.1 * self.image.2 }
    }

    /// Stride between samples of the images that [`for_samples`](Self::for_samples) passes.
    pub(super) const fn sample(&self) -> usize {
        if self.is_none() { self.image.0 * self.line() } else { self.whole.0 * self.line() }
    }

    /// Calls `body(first, count, images, images to prefetch)` for `samples` images of `x` with their border, at most
    /// `at_once` at a time.
    pub(super) fn for_samples(
        &self,
        x: &[f32],
        samples: usize,
        at_once: usize,
        mut body: impl FnMut(usize, usize, &[f32], &[f32]),
    ) {
        let at_once = at_once.clamp(1, samples.max(1));
        let image = self.image.0 * self.image.1 * self.image.2;
        let x = &x[..samples * image];
        let next = |end: usize| &x[end * image..(end + at_once).min(samples) * image];
        let groups = (0..samples).step_by(at_once).map(|first| (first, at_once.min(samples - first)));
        if self.is_none() {
            return groups.for_each(|(first, count)| {
                body(first, count, &x[first * image..][..count * image], next(first + count));
            });
        }
        scratch::with(at_once * self.sample(), |copy| {
            // Only the image is overwritten below, so the border stays zero.
            copy.fill(0.0);
            for (first, count) in groups {
                for (x, copy) in x[first * image..]
                    .chunks_exact(image)
                    .zip(copy.chunks_exact_mut(self.sample()).take(count))
                {
                    self.for_lines(|to, from| copy[to..][..from.len()].copy_from_slice(&x[from]));
                }
                body(first, count, &copy[..count * self.sample()], next(first + count));
            }
        });
    }

    /// Calls `body(offset in the copy, elements of the image)` for each line of the image that windows touch.
    pub(super) fn for_lines(&self, mut body: impl FnMut(usize, Range<usize>)) {
        let (height, width, channels) = self.image;
        let lines = height.min(self.whole.0.saturating_sub(self.before.0));
        let len = width.min(self.whole.1.saturating_sub(self.before.1)) * channels;
        let from = self.before.0 * self.line() + self.before.1 * channels;
        for y in 0..if len == 0 { 0 } else { lines } {
            let at = y * width * channels;
            body(from + y * self.line(), at..at + len);
        }
    }
}
