//! Lines of pixels with borders of zeros.

use crate::conv::ConvShape;
use crate::lanes::copy;

/// Memory layout of one padded line: pixel `p` is number `p / stride` of phase `p % stride`.
#[derive(Debug, Clone, Copy)]
pub(super) struct PaddedLine {
    /// Number of real pixels, and of zeros in front of them.
    pub(super) width: usize,
    pub(super) before: usize,
    pub(super) stride: usize,
    /// Pixels per phase, enough for every tap.
    pub(super) phase: usize,
    /// Channels of a real pixel, and number of copies of each.
    pub(super) channels: usize,
    pub(super) copies: usize,
}

impl PaddedLine {
    /// Layout of input lines, for all taps of the forward pass.
    pub(super) const fn forward(shape: &ConvShape) -> Self {
        Self {
            width: shape.in_w,
            before: shape.pad.1,
            stride: shape.stride.1,
            phase: shape.out_w + (shape.kernel_w - 1) * shape.dilation.1 / shape.stride.1,
            channels: shape.in_c,
            copies: shape.out_c / shape.in_c,
        }
    }

    /// Layout of lines of the output gradient. Input pixel `ix` is reached through tap `kx` by output pixel `(ix +
    /// pad - kx dilation) / stride`, which may lie before the first or after the last.
    pub(super) fn backward(shape: &ConvShape) -> Self {
        let before = ((shape.kernel_w - 1) * shape.dilation.1).div_ceil(shape.stride.1);
        let last = (shape.in_w - 1 + shape.pad.1) / shape.stride.1;
        Self {
            width: shape.out_w,
            before,
            stride: 1,
            phase: before + (last + 1).max(shape.out_w),
            channels: shape.out_c,
            copies: 1,
        }
    }

    /// Elements per pixel.
    pub(super) const fn pixel(&self) -> usize {
        self.channels * self.copies
    }

    /// Elements per line.
    pub(super) const fn line(&self) -> usize {
        self.stride * self.phase * self.pixel()
    }

    /// Offset of pixel `p` of the padded line.
    pub(super) const fn place(&self, p: usize) -> usize {
        // Division is slow and rarely needed.
        let pixel = if self.stride == 1 { p } else { p % self.stride * self.phase + p / self.stride };
        pixel * self.pixel()
    }

    /// Copies a line of real pixels between its borders.
    #[inline(always)]
    pub(super) fn fill(&self, line: &mut [f32], pixels: &[f32]) {
        let n = self.pixel();
        if self.stride == 1 && self.copies == 1 {
            let real = self.width.min(self.phase.saturating_sub(self.before));
            let (from, to) = (self.before.min(self.phase) * n, (self.before + real).min(self.phase) * n);
            line[..from].fill(0.0);
            line[from..to].copy_from_slice(&pixels[..to - from]);
            line[to..self.phase * n].fill(0.0);
            return;
        }
        for (i, pixel) in line[..self.line()].chunks_exact_mut(n).enumerate() {
            let p = i % self.phase * self.stride + i / self.phase;
            let Some(from) = p.checked_sub(self.before).filter(|&p| p < self.width) else {
                pixel.fill(0.0);
                continue;
            };
            let from = &pixels[from * self.channels..][..self.channels];
            if self.copies == 1 {
                copy(pixel, from);
            } else {
                for (copies, &x) in pixel.chunks_exact_mut(self.copies).zip(from) {
                    copies.fill(x);
                }
            }
        }
    }
}
