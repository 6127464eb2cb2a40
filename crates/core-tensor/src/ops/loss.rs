//! Loss functions as operations.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};

use super::access::{Floats, check, floats, last_axis, stored, tensor_like};
use crate::error::{Result, TensorError, shape_error};
use tinsmith_kernels::Threads;
use tinsmith_kernels::softmax::{self, Targets};

/// Softmax cross-entropy, averaged over rows: `-sum over c of t[c] ln softmax(z)[c]`. With `smoothing` s the targets
/// are `t (1 - s) + s / classes`, as in Keras. Targets receive no gradient.
///
/// # Shapes
/// `logits` (…, classes); `targets` are class indices (u32, u8 or i64) of shape (…), or `f32` distributions with the
/// shape of the logits. Returns a scalar.
///
/// # Errors
/// [`TensorError::Shape`] or [`TensorError::DType`] if the arguments do not fit, [`TensorError::Label`] if a label is
/// out of range, [`TensorError::Argument`] if `smoothing` is not within 0 to 1.
pub fn softmax_cross_entropy(
    logits: &Tensor,
    targets: &Tensor,
    smoothing: f32,
    threads: Threads,
) -> Result<Tensor> {
    check(NAME, &[logits])?;
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(TensorError::Argument {
            op: NAME,
            what: "smoothing",
            value: smoothing.into(),
            want: "0 to 1",
        });
    }
    let classes = last_axis(NAME, logits)?;
    let outer = &logits.dims()[..logits.rank() - 1];
    let targets = match targets.dtype() {
        DType::F32 if targets.dims() == logits.dims() => {
            Wanted::Distributions(targets.flatten_all()?.to_vec1()?)
        }
        DType::U32 | DType::I64 | DType::U8 if targets.dims() == outer => {
            Wanted::Classes(labels(targets, classes)?)
        }
        DType::F32 | DType::U32 | DType::I64 | DType::U8 => {
            let want = "class indices with one axis less than the logits, or distributions of their shape";
            return Err(shape_error(NAME, &[logits.dims(), targets.dims()], want));
        }
        got => {
            return Err(TensorError::DType {
                op: NAME,
                got,
                want: "u8, u32 or i64 labels or f32 distributions",
            });
        }
    };
    let keep = logits.track_op();
    let op = CrossEntropy { targets, smoothing, classes, threads, keep, gradient: OnceLock::new() };
    Ok(logits.contiguous()?.apply_op1(op)?)
}

const NAME: &str = "softmax_cross_entropy";

fn labels(targets: &Tensor, classes: usize) -> Result<Vec<u32>> {
    let labels: Vec<i64> = targets.flatten_all()?.to_dtype(DType::I64)?.to_vec1()?;
    let check = |(row, label): (usize, i64)| match u32::try_from(label) {
        Ok(class) if (class as usize) < classes => Ok(class),
        _ => Err(TensorError::Label { op: NAME, row, label, last: classes - 1 }),
    };
    labels.into_iter().enumerate().map(check).collect()
}

enum Wanted {
    Classes(Vec<u32>),
    Distributions(Vec<f32>),
}

struct CrossEntropy {
    targets: Wanted,
    smoothing: f32,
    classes: usize,
    threads: Threads,
    /// Keeps the gradient for the backward pass.
    keep: bool,
    gradient: OnceLock<Vec<f32>>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let logits = floats(NAME, logits, layout)?;
        let mut gradient = vec![0.0; if self.keep { logits.len() } else { 0 }];
        let targets = match &self.targets {
            Wanted::Classes(t) => Targets::Classes(t),
            Wanted::Distributions(t) => Targets::Distributions(t),
        };
        let threads = self.threads.count();
        let loss = softmax::softmax_cross_entropy(
            &mut gradient,
            logits,
            targets,
            self.smoothing,
            self.classes,
            threads,
        );
        self.gradient.get_or_init(|| gradient);
        Ok(stored(vec![loss], &[]))
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, d_loss: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let Some(gradient) = self.gradient.get() else {
            return Err(candle_core::Error::BackwardNotSupported { op: NAME });
        };
        let d_loss = d_loss.contiguous()?;
        let factor = Floats::of(NAME, &d_loss).slice()?[0];
        tensor_like(gradient.iter().map(|g| g * factor).collect(), logits).map(Some)
    }
}
