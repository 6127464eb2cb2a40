//! Effective bit operations: cost of weights and inputs by bit width in hardware that unrolls every product.

use candle_core::Tensor;

use crate::error::Result;
use crate::learned_bits::LearnedBits;
use crate::operator::check_length;

/// Bits from the highest to the lowest set bit. Shifts are free, so a multiplier processes no others. 0 for 0.
#[must_use]
pub const fn effective_bits(code: i32) -> u32 {
    let magnitude = code.unsigned_abs();
    if magnitude == 0 { 0 } else { 32 - magnitude.leading_zeros() - magnitude.trailing_zeros() }
}

/// Effective bit operations of a linear layer: the sum over all products of weight bits times input bits.
///
/// # Shapes
/// `codes` are the kernel's integer codes in `shape`, with inputs and outputs on the last two axes. `input_bits` has
/// the bit width of each input channel. `positions` is the number of times the kernel is applied (1 for a dense
/// layer).
///
/// # Errors
/// [`crate::QuantError::Length`] if codes, shape and channels do not match.
///
/// # Source
/// Sun and others, arXiv 2405.00645, section III. Biases cost additions only and are not counted.
///
/// ```
/// use tinsmith_quant::ebops;
/// // 0b0110 has two effective bits, 0b0101 three, 0 none; inputs have 3 and 5 bits.
/// assert_eq!(ebops(&[6, 5, 0, -1], &[2, 2], &[3, 5], 1)?, (2 + 3) * 3 + (0 + 1) * 5);
/// # Ok::<(), tinsmith_quant::QuantError>(())
/// ```
pub fn ebops(codes: &[i32], shape: &[usize], input_bits: &[u32], positions: u64) -> Result<u64> {
    let (channels, outputs) = ends("ebops", shape, codes.len(), input_bits.len())?;
    let each = codes
        .iter()
        .enumerate()
        .map(|(i, &code)| u64::from(effective_bits(code)) * u64::from(input_bits[i / outputs % channels]));
    Ok(each.sum::<u64>() * positions)
}

/// Upper bound on the effective bit operations of a layer with learned bit widths, to be added to the loss, with its
/// gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct Penalty {
    /// The bound: bit widths in place of effective bits.
    pub value: f64,
    /// Gradient by the number of fractional bits of each weight group.
    pub fractional: Vec<f32>,
    /// Gradient by the bit width of each input channel.
    pub input_bits: Vec<f32>,
}

impl LearnedBits {
    /// Computes the bound for the kernel `xs` of shape `shape` with inputs of `input_bits`, applied at `positions`.
    ///
    /// The gradient of a bit width shared by n weights is divided by the square root of n: it grows with n, while
    /// that of the task's loss grows with the square root.
    ///
    /// # Errors
    /// Those of [`LearnedBits::widths`]; [`crate::QuantError::Length`] if the channels do not match.
    pub fn penalty_slice(
        &self,
        xs: &[f32],
        shape: &[usize],
        fractional: &[f32],
        input_bits: &[f32],
        positions: u64,
    ) -> Result<Penalty> {
        let widths = self.widths(xs, shape, fractional)?;
        let (channels, outputs) = ends("penalty", shape, xs.len(), input_bits.len())?;
        let (mut value, mut weight_sums) = (0.0_f64, vec![0.0_f64; widths.len()]);
        let mut input_sums = vec![0.0_f64; channels];
        let groups = self.groups(shape)?;
        let times = positions as f64;
        for i in 0..xs.len() {
            let (group, channel) = (i / groups.inner % groups.count, i / outputs % channels);
            let (width, bits) = (f64::from(widths[group]), f64::from(input_bits[channel]));
            value += times * width * bits;
            if width > 0.0 {
                weight_sums[group] += times * bits;
            }
            input_sums[channel] += times * width;
        }
        let share = (xs.len() / widths.len().max(1)).max(1) as f64;
        Ok(Penalty {
            value,
            fractional: weight_sums.into_iter().map(|sum| (sum / share.sqrt()) as f32).collect(),
            input_bits: input_sums.into_iter().map(|sum| sum as f32).collect(),
        })
    }

    /// The bound as a scalar on candle's graph; `fractional` and `input_bits` receive its gradients.
    ///
    /// # Shapes
    /// `xs` any shape of two axes or more, `fractional` and `input_bits` of rank 1; f32, on the CPU.
    ///
    /// # Errors
    /// Those of [`penalty_slice`](Self::penalty_slice), and candle's errors for the tensors.
    pub fn penalty(
        &self,
        xs: &Tensor,
        fractional: &Tensor,
        input_bits: &Tensor,
        positions: u64,
    ) -> Result<Tensor> {
        let values = xs.flatten_all()?.to_vec1::<f32>()?;
        let (f, bits) = (fractional.to_vec1::<f32>()?, input_bits.to_vec1::<f32>()?);
        let penalty = self.penalty_slice(&values, xs.dims(), &f, &bits, positions)?;
        // Sums with these gradients and the value 0.
        let slope = |tensor: &Tensor, gradients: Vec<f32>| -> Result<Tensor> {
            let sum = (tensor * Tensor::from_vec(gradients, tensor.dims(), tensor.device())?)?.sum_all()?;
            Ok((&sum - sum.detach())?)
        };
        let slopes = (slope(fractional, penalty.fractional)? + slope(input_bits, penalty.input_bits)?)?;
        Ok((slopes + penalty.value)?)
    }
}

/// Numbers of input channels and of outputs of a kernel.
fn ends(op: &'static str, shape: &[usize], got: usize, channels: usize) -> Result<(usize, usize)> {
    check_length(op, shape, got)?;
    let [.., inputs, outputs] = *shape else {
        return Err(crate::QuantError::Axis { op, axis: 1, rank: shape.len(), shape: shape.to_vec() });
    };
    check_length("bits of input channels", &[inputs], channels)?;
    Ok((inputs.max(1), outputs.max(1)))
}
