//! Operations that multiply by a kernel and add a bias: dense layers and all convolutions.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor};

use super::access::{Floats, check, floats, stored, tensor_like};
use crate::error::{Result, shape_error};
use tinsmith_kernels::Threads;
use tinsmith_kernels::conv::{ConvShape, bias_gradient, conv2d_input_gradient, conv2d_weight_gradient};
use tinsmith_kernels::depthwise::{depthwise, depthwise_input_gradient, depthwise_weight_gradient};
use tinsmith_kernels::{Conv1dGeometry, Conv2dGeometry, ConvTransposeGeometry};
use tinsmith_kernels::{conv, dense, rows};

/// Dense layer over the last axis: `y = x w + bias`.
///
/// # Shapes
/// `x` (…, inputs) of rank 2 or more, `w` (inputs, outputs), `bias` (outputs). Returns (…, outputs).
///
/// # Errors
/// [`TensorError::Shape`](crate::TensorError::Shape) or [`TensorError::DType`](crate::TensorError::DType) if the
/// arguments do not fit.
pub fn dense(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, threads: Threads) -> Result<Tensor> {
    let (&[ref outer @ .., inputs], &[w_inputs, outputs]) = (x.dims(), w.dims()) else {
        return Err(shape_error(
            "dense",
            &[x.dims(), w.dims()],
            "input (…, inputs), weights (inputs, outputs)",
        ));
    };
    if inputs != w_inputs || outer.is_empty() {
        let want = format!("an input of rank 2 or more whose last axis has {w_inputs} elements");
        return Err(shape_error("dense", &[x.dims(), w.dims()], want));
    }
    let dims = [outer, &[outputs]].concat();
    let batch = outer.iter().product();
    apply(Affine { product: Product::Dense { sizes: (batch, inputs, outputs) }, dims, threads }, x, w, bias)
}

/// Two-dimensional convolution.
///
/// # Shapes
/// `x` (batch, height, width, channels), `w` (kernel height, kernel width, channels / groups, filters), `bias`
/// (filters). Returns (batch, height', width', filters).
///
/// # Errors
/// [`TensorError::Shape`](crate::TensorError::Shape) or [`TensorError::DType`](crate::TensorError::DType) if the
/// arguments do not fit.
pub fn conv2d(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    geometry: &Conv2dGeometry,
    threads: Threads,
) -> Result<Tensor> {
    let shape = geometry.resolve("conv2d", x.dims(), w.dims())?;
    let dims = vec![shape.batch, shape.out_h, shape.out_w, shape.out_c];
    apply(Affine { product: Product::Conv { name: "conv2d", shape }, dims, threads }, x, w, bias)
}

/// One-dimensional convolution.
///
/// # Shapes
/// `x` (batch, length, channels), `w` (kernel, channels / groups, filters), `bias` (filters). Returns (batch,
/// length', filters).
///
/// # Errors
/// As [`conv2d`].
pub fn conv1d(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    geometry: &Conv1dGeometry,
    threads: Threads,
) -> Result<Tensor> {
    let (&[n, l, c], &[k, cg, f]) = (x.dims(), w.dims()) else {
        let want = "input (batch, length, channels), kernel (length, channels/groups, filters)";
        return Err(shape_error("conv1d", &[x.dims(), w.dims()], want));
    };
    let shape = Conv2dGeometry::from(*geometry).resolve("conv1d", &[n, 1, l, c], &[1, k, cg, f])?;
    let dims = vec![shape.batch, shape.out_w, shape.out_c];
    apply(Affine { product: Product::Conv { name: "conv1d", shape }, dims, threads }, x, w, bias)
}

/// Two-dimensional depthwise convolution. Every channel has `multiplier` kernels of its own; kernel `j` of a channel
/// gives output channel `channel * multiplier + j`. The geometry's `groups` must be 1.
///
/// # Shapes
/// `x` (batch, height, width, channels), `w` (kernel height, kernel width, channels, multiplier), `bias` (channels *
/// multiplier). Returns (batch, height', width', channels * multiplier).
///
/// # Errors
/// As [`conv2d`].
pub fn depthwise_conv2d(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    geometry: &Conv2dGeometry,
    threads: Threads,
) -> Result<Tensor> {
    let shape = geometry.resolve_depthwise("depthwise_conv2d", x.dims(), w.dims())?;
    let dims = vec![shape.batch, shape.out_h, shape.out_w, shape.out_c];
    apply(
        Affine { product: Product::Depthwise { name: "depthwise_conv2d", shape }, dims, threads },
        x,
        w,
        bias,
    )
}

/// One-dimensional depthwise convolution.
///
/// # Shapes
/// `x` (batch, length, channels), `w` (kernel, channels, multiplier), `bias` (channels * multiplier). Returns (batch,
/// length', channels * multiplier).
///
/// # Errors
/// As [`conv2d`].
pub fn depthwise_conv1d(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    geometry: &Conv1dGeometry,
    threads: Threads,
) -> Result<Tensor> {
    let (&[n, l, c], &[k, wc, m]) = (x.dims(), w.dims()) else {
        let want = "input (batch, length, channels), kernel (length, channels, multiplier)";
        return Err(shape_error("depthwise_conv1d", &[x.dims(), w.dims()], want));
    };
    let geometry = Conv2dGeometry::from(*geometry);
    let shape = geometry.resolve_depthwise("depthwise_conv1d", &[n, 1, l, c], &[1, k, wc, m])?;
    let dims = vec![shape.batch, shape.out_w, shape.out_c];
    apply(
        Affine { product: Product::Depthwise { name: "depthwise_conv1d", shape }, dims, threads },
        x,
        w,
        bias,
    )
}

/// Two-dimensional transposed convolution, with output sizes as in Keras (see [`ConvTransposeGeometry`]).
///
/// # Shapes
/// `x` (batch, height, width, channels), `w` (kernel height, kernel width, filters, channels), `bias` (filters).
/// Returns (batch, height', width', filters).
///
/// # Errors
/// As [`conv2d`].
pub fn conv2d_transpose(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    geometry: &ConvTransposeGeometry,
    threads: Threads,
) -> Result<Tensor> {
    let shape = geometry.resolve("conv2d_transpose", x.dims(), w.dims())?;
    let dims = vec![shape.batch, shape.in_h, shape.in_w, shape.in_c];
    apply(Affine { product: Product::ConvTranspose { shape }, dims, threads }, x, w, bias)
}

/// A product of an input and a kernel, linear in both.
enum Product {
    Dense {
        /// Batch, inputs, outputs.
        sizes: (usize, usize, usize),
    },
    Conv {
        name: &'static str,
        shape: ConvShape,
    },
    Depthwise {
        name: &'static str,
        shape: ConvShape,
    },
    ConvTranspose {
        /// Shape of the convolution that this one transposes.
        shape: ConvShape,
    },
}

/// A product and a bias as a candle operation.
struct Affine {
    product: Product,
    dims: Vec<usize>,
    threads: Threads,
}

fn apply(op: Affine, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let name = op.name();
    check(name, &[x, w])?;
    let (x, w) = (x.contiguous()?, w.contiguous()?);
    let Some(bias) = bias else {
        return Ok(x.apply_op2(&w, op)?);
    };
    check(name, &[bias])?;
    let outputs = *op.dims.last().expect("invariant: the result of a product has an axis of outputs");
    if bias.dims() != [outputs] {
        return Err(shape_error(
            name,
            &[x.dims(), w.dims(), bias.dims()],
            format!("a bias of {outputs} elements"),
        ));
    }
    Ok(x.apply_op3(&w, &bias.contiguous()?, op)?)
}

impl Affine {
    fn name(&self) -> &'static str {
        match &self.product {
            Product::Dense { .. } => "dense",
            Product::Conv { name, .. } | Product::Depthwise { name, .. } => name,
            Product::ConvTranspose { .. } => "conv2d_transpose",
        }
    }

    fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> (CpuStorage, Shape) {
        let threads = self.threads.count();
        let mut out = vec![0.0; self.dims.iter().product()];
        match &self.product {
            Product::Dense { sizes } => dense::dense(&mut out, x, w, bias, *sizes, threads),
            Product::Conv { shape, .. } => conv::conv2d(&mut out, x, w, bias, shape, threads),
            Product::Depthwise { shape, .. } => depthwise(&mut out, x, w, bias, shape, threads),
            Product::ConvTranspose { shape } => {
                conv2d_input_gradient(&mut out, x, w, shape, threads);
                if let Some(bias) = bias {
                    rows::add_to_rows(&mut out, bias);
                }
            }
        }
        stored(out, &self.dims)
    }

    fn input_gradient(&self, x: &Tensor, w: &[f32], dy: &[f32]) -> candle_core::Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let threads = self.threads.count();
        let mut dx = vec![0.0; x.elem_count()];
        match &self.product {
            Product::Dense { sizes } => dense::dense_input_gradient(&mut dx, dy, w, *sizes, threads),
            Product::Conv { shape, .. } => conv2d_input_gradient(&mut dx, dy, w, &shape.inexact(), threads),
            Product::Depthwise { shape, .. } => depthwise_input_gradient(&mut dx, dy, w, shape, threads),
            Product::ConvTranspose { shape } => {
                conv::conv2d(&mut dx, dy, w, None, &shape.inexact(), threads);
            }
        }
        tensor_like(dx, x).map(Some)
    }

    fn weight_gradient(&self, w: &Tensor, x: &[f32], dy: &[f32]) -> candle_core::Result<Option<Tensor>> {
        if !w.track_op() {
            return Ok(None);
        }
        let threads = self.threads.count();
        let mut dw = vec![0.0; w.elem_count()];
        match &self.product {
            Product::Dense { sizes } => dense::dense_weight_gradient(&mut dw, x, dy, *sizes, threads),
            Product::Conv { shape, .. } => conv2d_weight_gradient(&mut dw, x, dy, &shape.inexact(), threads),
            Product::Depthwise { shape, .. } => depthwise_weight_gradient(&mut dw, x, dy, shape, threads),
            Product::ConvTranspose { shape } => {
                conv2d_weight_gradient(&mut dw, dy, x, &shape.inexact(), threads);
            }
        }
        tensor_like(dw, w).map(Some)
    }

    fn gradients(
        &self,
        x: &Tensor,
        w: &Tensor,
        bias: Option<&Tensor>,
        dy: &Tensor,
    ) -> candle_core::Result<[Option<Tensor>; 3]> {
        let name = self.name();
        let dy = dy.contiguous()?;
        let (xs, ws, dys) = (Floats::of(name, x), Floats::of(name, w), Floats::of(name, &dy));
        let dy = dys.slice()?;
        let db = match bias {
            Some(bias) if bias.track_op() => {
                let mut db = vec![0.0; bias.elem_count()];
                bias_gradient(&mut db, dy, self.threads.count());
                Some(tensor_like(db, bias)?)
            }
            _ => None,
        };
        Ok([self.input_gradient(x, ws.slice()?, dy)?, self.weight_gradient(w, xs.slice()?, dy)?, db])
    }
}

impl CustomOp2 for Affine {
    fn name(&self) -> &'static str {
        self.name()
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let name = self.name();
        Ok(self.forward(floats(name, x, x_layout)?, floats(name, w, w_layout)?, None))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, _] = self.gradients(x, w, None, dy)?;
        Ok((dx, dw))
    }
}

impl CustomOp3 for Affine {
    fn name(&self) -> &'static str {
        self.name()
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let name = self.name();
        let bias = floats(name, bias, bias_layout)?;
        Ok(self.forward(floats(name, x, x_layout)?, floats(name, w, w_layout)?, Some(bias)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, db] = self.gradients(x, w, Some(bias), dy)?;
        Ok((dx, dw, db))
    }
}
