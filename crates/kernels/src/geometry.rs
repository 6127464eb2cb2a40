//! Geometry of convolutions and pooling: strides, dilations, padding and groups, resolved and checked against shapes.

use crate::conv::ConvShape;
use crate::error::{Result, ShapeError};
use crate::pool::PoolShape;

/// Padding along one axis, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Padding {
    /// Elements before the first one.
    pub before: usize,
    /// Elements after the last one.
    pub after: usize,
}

impl Padding {
    /// No padding: "valid".
    pub const NONE: Self = Self { before: 0, after: 0 };

    /// Keras' "same" for `n` elements, kernel `k`, stride `s` and dilation `d`: `ceil(n / s)` outputs. The total
    /// padding is `max((out - 1) s + (k - 1) d + 1 - n, 0)`, with the smaller half in front. No padding if any
    /// argument is 0.
    #[must_use]
    pub const fn same(n: usize, k: usize, s: usize, d: usize) -> Self {
        if n == 0 || k == 0 || s == 0 || d == 0 {
            return Self::NONE;
        }
        let total = ((n.div_ceil(s) - 1) * s + (k - 1) * d + 1).saturating_sub(n);
        Self { before: total / 2, after: total - total / 2 }
    }

    /// Keras' "causal": all `(k - 1) d` elements in front, so that no output depends on a later input.
    #[must_use]
    pub const fn causal(k: usize, d: usize) -> Self {
        Self { before: k.saturating_sub(1) * d, after: 0 }
    }

    const fn total(self) -> usize {
        self.before + self.after
    }
}

/// Geometry of a two-dimensional convolution; pairs are (height, width).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dGeometry {
    /// Stride of the window. Default (1, 1).
    pub stride: (usize, usize),
    /// Dilation of the kernel. Default (1, 1).
    pub dilation: (usize, usize),
    /// Padding of height and width. Default none.
    pub padding: (Padding, Padding),
    /// Number of independent groups of channels. Default 1.
    pub groups: usize,
    /// Computes every product of the definition in the forward pass, so that sums of few-bit numbers have no rounding
    /// error. Quantized networks need this. Otherwise Winograd's algorithms may be used: they have a rounding error
    /// of the same order, and spread an infinite input as NaN over its tile. Gradients may always use them. Default
    /// false.
    pub exact: bool,
}

impl Default for Conv2dGeometry {
    fn default() -> Self {
        let padding = (Padding::NONE, Padding::NONE);
        Self { stride: (1, 1), dilation: (1, 1), padding, groups: 1, exact: false }
    }
}

impl Conv2dGeometry {
    /// Sets Keras' "same" padding for inputs and kernels of these sizes, (height, width).
    #[must_use]
    pub const fn same(self, input: (usize, usize), kernel: (usize, usize)) -> Self {
        let (s, d) = (self.stride, self.dilation);
        let padding =
            (Padding::same(input.0, kernel.0, s.0, d.0), Padding::same(input.1, kernel.1, s.1, d.1));
        Self { padding, ..self }
    }

    /// Resolves the shape of a convolution of `x` (batch, height, width, channels) with `w` (kernel height, kernel
    /// width, channels / groups, filters).
    ///
    /// # Errors
    /// [`ShapeError`] if the shapes do not fit each other.
    pub fn resolve(&self, op: &'static str, x: &[usize], w: &[usize]) -> Result<ConvShape> {
        let (&[batch, in_h, in_w, in_c], &[kernel_h, kernel_w, group_in, out_c]) = (x, w) else {
            let want =
                "input (batch, height, width, channels), kernel (height, width, channels/groups, filters)";
            return Err(shape_error(op, &[x, w], want));
        };
        self.check(op, x, w)?;
        if group_in * self.groups != in_c || out_c % self.groups != 0 {
            let want = format!(
                "a kernel over {in_c} input channels in {} groups, with a number of filters that is a multiple of the groups",
                self.groups
            );
            return Err(shape_error(op, &[x, w], want));
        }
        self.shape(op, (batch, in_h, in_w, in_c), (kernel_h, kernel_w), out_c, self.groups)
    }

    /// Resolves the shape of a depthwise convolution of `x` (batch, height, width, channels) with `w` (kernel height,
    /// kernel width, channels, multiplier).
    ///
    /// # Errors
    /// [`ShapeError`] if the shapes do not fit each other.
    pub fn resolve_depthwise(&self, op: &'static str, x: &[usize], w: &[usize]) -> Result<ConvShape> {
        let (&[batch, in_h, in_w, in_c], &[kernel_h, kernel_w, channels, multiplier]) = (x, w) else {
            let want = "input (batch, height, width, channels), kernel (height, width, channels, multiplier)";
            return Err(shape_error(op, &[x, w], want));
        };
        self.check(op, x, w)?;
        if channels != in_c {
            return Err(shape_error(op, &[x, w], format!("a kernel of {in_c} channels")));
        }
        if self.groups != 1 {
            return Err(geometry_error(op, "groups", self.groups, "1: each channel is its own group"));
        }
        self.shape(op, (batch, in_h, in_w, in_c), (kernel_h, kernel_w), in_c * multiplier, in_c)
    }

    fn check(&self, op: &'static str, x: &[usize], w: &[usize]) -> Result<()> {
        if x.contains(&0) || w.contains(&0) {
            return Err(shape_error(op, &[x, w], "no dimension of size 0"));
        }
        positive(op, "stride", self.stride)?;
        positive(op, "dilation", self.dilation)?;
        if self.groups == 0 {
            return Err(geometry_error(op, "groups", 0, "at least 1"));
        }
        Ok(())
    }

    fn shape(
        &self,
        op: &'static str,
        (batch, in_h, in_w, in_c): (usize, usize, usize, usize),
        (kernel_h, kernel_w): (usize, usize),
        out_c: usize,
        groups: usize,
    ) -> Result<ConvShape> {
        let (pad_h, pad_w) = self.padding;
        let out_h = windows(op, "kernel height", in_h, kernel_h, self.stride.0, self.dilation.0, pad_h)?;
        let out_w = windows(op, "kernel width", in_w, kernel_w, self.stride.1, self.dilation.1, pad_w)?;
        Ok(ConvShape {
            batch,
            in_h,
            in_w,
            in_c,
            out_h,
            out_w,
            out_c,
            kernel_h,
            kernel_w,
            stride: self.stride,
            dilation: self.dilation,
            pad: (pad_h.before, pad_w.before),
            groups,
            exact: self.exact,
        })
    }
}

/// Geometry of a one-dimensional convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv1dGeometry {
    /// Stride of the window. Default 1.
    pub stride: usize,
    /// Dilation of the kernel. Default 1.
    pub dilation: usize,
    /// Padding. Default none.
    pub padding: Padding,
    /// Number of independent groups of channels. Default 1.
    pub groups: usize,
    /// As [`Conv2dGeometry::exact`]. Default false.
    pub exact: bool,
}

impl Default for Conv1dGeometry {
    fn default() -> Self {
        Self { stride: 1, dilation: 1, padding: Padding::NONE, groups: 1, exact: false }
    }
}

impl From<Conv1dGeometry> for Conv2dGeometry {
    /// Converts to two dimensions with a height of 1.
    fn from(g: Conv1dGeometry) -> Self {
        Self {
            stride: (1, g.stride),
            dilation: (1, g.dilation),
            padding: (Padding::NONE, g.padding),
            groups: g.groups,
            exact: g.exact,
        }
    }
}

/// Geometry of two-dimensional pooling; pairs are (height, width).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2dGeometry {
    /// Size of the window.
    pub window: (usize, usize),
    /// Stride of the window.
    pub stride: (usize, usize),
    /// Padding of height and width.
    pub padding: (Padding, Padding),
}

impl Pool2dGeometry {
    /// Adjacent windows without padding.
    #[must_use]
    pub const fn new(window: (usize, usize)) -> Self {
        Self { window, stride: window, padding: (Padding::NONE, Padding::NONE) }
    }

    /// Sets Keras' "same" padding for inputs of size `input`, (height, width).
    #[must_use]
    pub const fn same(self, input: (usize, usize)) -> Self {
        let (k, s) = (self.window, self.stride);
        Self { padding: (Padding::same(input.0, k.0, s.0, 1), Padding::same(input.1, k.1, s.1, 1)), ..self }
    }

    /// Resolves the shape of pooling over `x` (batch, height, width, channels).
    ///
    /// # Errors
    /// [`ShapeError`] if the window does not fit.
    pub fn resolve(&self, op: &'static str, x: &[usize]) -> Result<PoolShape> {
        let &[batch, in_h, in_w, channels] = x else {
            return Err(shape_error(op, &[x], "input (batch, height, width, channels)"));
        };
        if x.contains(&0) {
            return Err(shape_error(op, &[x], "no dimension of size 0"));
        }
        positive(op, "window", self.window)?;
        positive(op, "stride", self.stride)?;
        let (pad_h, pad_w) = self.padding;
        for (pad, window) in [(pad_h, self.window.0), (pad_w, self.window.1)] {
            if pad.before.max(pad.after) >= window {
                let want =
                    format!("less than the window of {window}, so that each window overlaps the input");
                return Err(geometry_error(op, "padding", pad.before.max(pad.after), want));
            }
        }
        let out_h = windows(op, "window height", in_h, self.window.0, self.stride.0, 1, pad_h)?;
        let out_w = windows(op, "window width", in_w, self.window.1, self.stride.1, 1, pad_w)?;
        Ok(PoolShape {
            batch,
            in_h,
            in_w,
            channels,
            out_h,
            out_w,
            window: self.window,
            stride: self.stride,
            pad: (pad_h.before, pad_w.before),
        })
    }
}

/// Geometry of one-dimensional pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool1dGeometry {
    /// Size of the window.
    pub window: usize,
    /// Stride of the window.
    pub stride: usize,
    /// Padding.
    pub padding: Padding,
}

impl From<Pool1dGeometry> for Pool2dGeometry {
    /// Converts to two dimensions with a height of 1.
    fn from(g: Pool1dGeometry) -> Self {
        Self { window: (1, g.window), stride: (1, g.stride), padding: (Padding::NONE, g.padding) }
    }
}

/// Geometry of a transposed convolution; pairs are (height, width). As in Keras, "valid" gives `n s + max((k - 1) d +
/// 1 - s, 0)` outputs and "same" gives `n s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvTransposeGeometry {
    /// Stride of the output window. Default (1, 1).
    pub stride: (usize, usize),
    /// Dilation of the kernel. Default (1, 1).
    pub dilation: (usize, usize),
    /// Uses "same" padding instead of "valid". Default false.
    pub same: bool,
}

impl Default for ConvTransposeGeometry {
    fn default() -> Self {
        Self { stride: (1, 1), dilation: (1, 1), same: false }
    }
}

impl ConvTransposeGeometry {
    /// Resolves the shape of the convolution that this one transposes, which is always exact: its input is the output
    /// here, and vice versa. `x` is (batch, height, width, channels), `w` is (kernel height, kernel width, filters,
    /// channels).
    ///
    /// # Errors
    /// [`ShapeError`] if the shapes do not fit each other.
    pub fn resolve(&self, op: &'static str, x: &[usize], w: &[usize]) -> Result<ConvShape> {
        let (&[batch, h, w_, channels], &[kernel_h, kernel_w, filters, w_channels]) = (x, w) else {
            let want = "input (batch, height, width, channels), kernel (height, width, filters, channels)";
            return Err(shape_error(op, &[x, w], want));
        };
        if x.contains(&0) || w.contains(&0) {
            return Err(shape_error(op, &[x, w], "no dimension of size 0"));
        }
        positive(op, "stride", self.stride)?;
        positive(op, "dilation", self.dilation)?;
        if channels != w_channels {
            return Err(shape_error(
                op,
                &[x, w],
                format!("a kernel of {channels} channels in its last axis"),
            ));
        }
        let axis = |n: usize, k: usize, s: usize, d: usize| {
            let span = (k - 1) * d + 1;
            if self.same {
                (n * s, Padding::same(n * s, k, s, d))
            } else {
                (n * s + span.saturating_sub(s), Padding::NONE)
            }
        };
        let (out_h, pad_h) = axis(h, kernel_h, self.stride.0, self.dilation.0);
        let (out_w, pad_w) = axis(w_, kernel_w, self.stride.1, self.dilation.1);
        Ok(ConvShape {
            batch,
            in_h: out_h,
            in_w: out_w,
            in_c: filters,
            out_h: h,
            out_w: w_,
            out_c: channels,
            kernel_h,
            kernel_w,
            stride: self.stride,
            dilation: self.dilation,
            pad: (pad_h.before, pad_w.before),
            groups: 1,
            exact: true,
        })
    }
}

/// Number of windows that fit, or an error if none does.
fn windows(
    op: &'static str,
    what: &'static str,
    n: usize,
    k: usize,
    s: usize,
    d: usize,
    padding: Padding,
) -> Result<usize> {
    let (span, padded) = ((k - 1) * d + 1, n + padding.total());
    if span > padded {
        let want = format!("at most {padded}, the padded input (dilation {d} counted)");
        return Err(geometry_error(op, what, span, want));
    }
    Ok((padded - span) / s + 1)
}

fn positive(op: &'static str, what: &'static str, (h, w): (usize, usize)) -> Result<()> {
    if h == 0 || w == 0 { Err(geometry_error(op, what, 0, "at least 1")) } else { Ok(()) }
}

fn shape_error(op: &'static str, shapes: &[&[usize]], want: impl Into<String>) -> ShapeError {
    ShapeError::Mismatch { op, shapes: shapes.iter().map(|s| s.to_vec()).collect(), want: want.into() }
}

fn geometry_error(op: &'static str, what: &'static str, value: usize, want: impl Into<String>) -> ShapeError {
    ShapeError::OutOfRange { op, what, value, want: want.into() }
}
