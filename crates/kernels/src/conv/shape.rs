//! The sizes of a convolution.

/// Sizes of a convolution. Input (batch, `in_h`, `in_w`, `in_c`), output (batch, `out_h`, `out_w`, `out_c`), kernel
/// (`kernel_h`, `kernel_w`, `in_c` / groups, `out_c`); for depthwise kernels (…, `in_c`, `out_c` / `in_c`). Made by
/// `resolve` of the geometries, which checks that the sizes fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named in the summary")]
pub struct ConvShape {
    pub batch: usize,
    pub in_h: usize,
    pub in_w: usize,
    pub in_c: usize,
    pub out_h: usize,
    pub out_w: usize,
    pub out_c: usize,
    pub kernel_h: usize,
    pub kernel_w: usize,
    /// Stride of the window, (height, width).
    pub stride: (usize, usize),
    /// Dilation of the kernel, (height, width).
    pub dilation: (usize, usize),
    /// Zero padding above and to the left. Padding below and to the right follows from the output's size.
    pub pad: (usize, usize),
    pub groups: usize,
    /// Computes every product of the definition, so that sums of few-bit numbers have no rounding error.
    pub exact: bool,
}

impl ConvShape {
    /// This shape for a pass that may round its sums.
    #[must_use]
    pub const fn inexact(self) -> Self {
        Self { exact: false, ..self }
    }

    /// Number of elements of the input.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.batch * self.in_sample()
    }

    /// Number of elements of the output.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.batch * self.out_sample()
    }

    /// Number of elements of the kernel.
    #[must_use]
    pub const fn kernel_len(&self) -> usize {
        self.kernel_h * self.kernel_w * (self.in_c / self.groups) * self.out_c
    }

    pub(crate) const fn in_sample(&self) -> usize {
        self.in_h * self.in_w * self.in_c
    }

    pub(crate) const fn out_sample(&self) -> usize {
        self.out_h * self.out_w * self.out_c
    }

    /// Number of multiplications of one pass.
    pub(crate) const fn work(&self) -> usize {
        self.batch * self.out_h * self.out_w * self.kernel_len()
    }

    pub(super) const fn group_in(&self) -> usize {
        self.in_c / self.groups
    }

    pub(super) const fn group_out(&self) -> usize {
        self.out_c / self.groups
    }

    /// Tells if windows are single pixels, so that the convolution is a dense layer over all pixels.
    pub(super) const fn is_pointwise(&self) -> bool {
        self.kernel_h == 1
            && self.kernel_w == 1
            && self.groups == 1
            && self.stride.0 == 1
            && self.stride.1 == 1
            && self.pad.0 == 0
            && self.pad.1 == 0
            && self.in_h == self.out_h
            && self.in_w == self.out_w
    }

    /// Number of elements of a window.
    pub(super) const fn window(&self) -> usize {
        self.kernel_h * self.kernel_w * self.group_in()
    }

    /// Sizes of the equivalent dense layer, for a pointwise convolution: rows, inputs, outputs.
    pub(super) const fn dense_sizes(&self) -> (usize, usize, usize) {
        (self.batch * self.out_h * self.out_w, self.in_c, self.out_c)
    }

    /// Number of output lines that form one contiguous line, given the distance `step` of their input lines.
    pub(super) const fn merged_lines(&self, step: usize) -> usize {
        if self.out_w * self.stride.1 * self.in_c == step { self.out_h } else { 1 }
    }

    /// Tells if the elements of a kernel line are adjacent in the input, as they are in the kernel.
    pub(super) const fn is_compact(&self) -> bool {
        self.dilation.1 == 1 && self.groups == 1
    }
}
