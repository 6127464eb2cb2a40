//! Computes the constants of a kernel from its description.

use super::{
    Alpha, Binary, BinaryDraw, BySign, ByThreshold, Chance, Exponents, FixedPoint, HardSwish, Kernel,
    LeakyRelu, Log2Rounding, Mix, MuLaw, PowerOfTwo, Quantizer, Relu, ReluPowerOfTwo, Scaled, SignBit,
    Squash, Squashed, Swished, Ternary, TernaryDraw, ThreeLevels, TwoLevels, spec,
};

/// Default threshold of QKeras.
const DEFAULT_THRESHOLD: f64 = 0.33;

/// Validates settings that the description's own check does not cover.
pub(super) fn check(quantizer: &Quantizer) -> Result<(), String> {
    quantizer.validate()?;
    let integer = match quantizer {
        Quantizer::QuantizedBits(q) => q.integer,
        Quantizer::QuantizedRelu(q) => q.integer,
        Quantizer::QuantizedUlaw(q) => q.integer,
        Quantizer::QuantizedHswish(q) => q.integer,
        _ => 0,
    };
    if !(-80..=80).contains(&integer) {
        return Err(format!("integer is {integer}, want -80..=80, the range of f32"));
    }
    let positive = |name: &str, value: f64| {
        if value.is_finite() && value > 0.0 {
            Ok(())
        } else {
            Err(format!("{name} is {value:?}, want a number above 0"))
        }
    };
    match quantizer {
        Quantizer::QuantizedRelu(q) => q.relu_upper_bound.map_or(Ok(()), |b| positive("relu_upper_bound", b)),
        Quantizer::QuantizedUlaw(q) => positive("u", q.u),
        Quantizer::QuantizedHswish(q) => {
            positive("relu_shift", q.relu_shift)?;
            positive("relu_upper_bound", q.relu_upper_bound)
        }
        Quantizer::StochasticBinary(q) => positive("temperature", q.temperature),
        Quantizer::StochasticTernary(q) => positive("temperature", q.temperature),
        Quantizer::Bernoulli(q) => positive("temperature", q.temperature),
        _ => Ok(()),
    }
}

/// Returns the kernel, its mix factor, and a flag for random rounding in training.
pub(super) fn kernel(quantizer: &Quantizer) -> Result<(Kernel, Mix, bool), String> {
    Ok(match quantizer {
        Quantizer::QuantizedBits(q) => {
            let mix = mix(q.qnoise_factor, q.use_ste)?;
            (fixed_point(q, None)?, mix, q.use_stochastic_rounding)
        }
        Quantizer::QuantizedHswish(q) => {
            let swish = HardSwish { shift: q.relu_shift as f32, bound: q.relu_upper_bound as f32 };
            let bits = spec::QuantizedBits {
                bits: q.bits,
                integer: q.integer,
                symmetric: q.symmetric,
                keep_negative: true,
                alpha: q.alpha,
                use_stochastic_rounding: q.use_stochastic_rounding,
                scale_axis: q.scale_axis,
                qnoise_factor: q.qnoise_factor,
                use_ste: q.use_ste,
            };
            let mix = mix(q.qnoise_factor, q.use_ste)?;
            (fixed_point(&bits, Some(swish))?, mix, q.use_stochastic_rounding)
        }
        Quantizer::QuantizedRelu(q) => {
            let mix = mix(q.qnoise_factor, q.use_ste)?;
            (relu(q), mix, q.use_stochastic_rounding)
        }
        Quantizer::QuantizedTanh(q) => {
            let levels = exp2(q.bits as i32 - 1);
            let squash = if q.use_real_tanh { Squash::Tanh } else { Squash::HardTanh };
            let low = -levels + one_if(q.symmetric);
            let squashed = Squashed { squash, levels, low, high: levels - 1.0 };
            (Kernel::Squashed(squashed), Mix::FULL, q.use_stochastic_rounding)
        }
        Quantizer::QuantizedSigmoid(q) => {
            let levels = exp2(q.bits as i32);
            let squash = if q.use_real_sigmoid { Squash::Sigmoid } else { Squash::HardSigmoid };
            let squashed = Squashed { squash, levels, low: one_if(q.symmetric), high: levels - 1.0 };
            (Kernel::Squashed(squashed), Mix::FULL, q.use_stochastic_rounding)
        }
        Quantizer::QuantizedUlaw(q) => {
            let levels = exp2(q.bits as i32 - 1);
            let ulaw = MuLaw {
                levels,
                span: exp2(q.integer),
                low: -1.0 + one_if(q.symmetric) / levels,
                high: 1.0 - 1.0 / levels,
                u: q.u as f32,
                log_1_u: libm::log(1.0 + q.u) as f32,
            };
            (Kernel::MuLaw(ulaw), Mix::FULL, false)
        }
        Quantizer::QuantizedPo2(q) => {
            let mix = mix(q.qnoise_factor, q.use_ste)?;
            let exponents =
                exponents(q.bits as i32 - 1, q.max_value, q.quadratic_approximation, q.log2_rounding)?;
            (Kernel::PowerOfTwo(PowerOfTwo { exponents }), mix, q.use_stochastic_rounding)
        }
        Quantizer::QuantizedReluPo2(q) => {
            let mix = mix(q.qnoise_factor, q.use_ste)?;
            let exponents =
                exponents(q.bits as i32, q.max_value, q.quadratic_approximation, q.log2_rounding)?;
            let relu = ReluPowerOfTwo { exponents, negative_slope: q.negative_slope as f32 };
            (Kernel::ReluPowerOfTwo(relu), mix, q.use_stochastic_rounding)
        }
        Quantizer::Binary(q) => {
            let draw = if q.use_stochastic_rounding { BinaryDraw::Rounded } else { BinaryDraw::Never };
            (binary(q.use_01, q.alpha, q.alpha == spec::Alpha::None, draw)?, Mix::FULL, false)
        }
        Quantizer::StochasticBinary(q) => {
            let draw = BinaryDraw::Training(chance(q.temperature, q.use_real_sigmoid));
            (binary(false, q.alpha, q.alpha == spec::Alpha::None, draw)?, Mix::FULL, false)
        }
        Quantizer::Bernoulli(q) => {
            let draw = BinaryDraw::Always(chance(q.temperature, q.use_real_sigmoid));
            (binary(true, q.alpha, false, draw)?, Mix::FULL, false)
        }
        Quantizer::Ternary(q) => {
            let draw = if q.use_stochastic_rounding { TernaryDraw::Rounded } else { TernaryDraw::Never };
            if q.use_stochastic_rounding && !matches!(q.alpha, spec::Alpha::Auto | spec::Alpha::AutoPo2) {
                return Err("use_stochastic_rounding wants alpha='auto' or 'auto_po2'".to_owned());
            }
            (ternary(q.alpha, q.threshold, q.number_of_unrolls, draw)?, Mix::FULL, false)
        }
        Quantizer::StochasticTernary(q) => {
            let draw = TernaryDraw::Training(chance(q.temperature, q.use_real_sigmoid));
            (ternary(q.alpha, q.threshold, q.number_of_unrolls, draw)?, Mix::FULL, false)
        }
        Quantizer::Learned(_) => {
            return Err("has learned parameters, want a quantizer without them, or LearnedOp".to_owned());
        }
        other => return Err(format!("{} has no arithmetic here", other.kind())),
    })
}

fn exp2(exponent: i32) -> f32 {
    crate::rounding::power_of_two(exponent as f32)
}

fn one_if(condition: bool) -> f32 {
    f32::from(u8::from(condition))
}

fn chance(temperature: f64, use_real_sigmoid: bool) -> Chance {
    Chance { temperature: temperature as f32, use_real_sigmoid }
}

fn mix(factor: f64, straight_through: bool) -> Result<Mix, String> {
    if (0.0..=1.0).contains(&factor) {
        Ok(Mix::new(factor, straight_through))
    } else {
        Err(format!("qnoise_factor is {factor:?}, want 0..=1"))
    }
}

fn fixed_scale(alpha: f64) -> Result<f32, String> {
    if alpha.is_finite() {
        Ok(alpha as f32)
    } else {
        Err(format!("alpha is {alpha:?}, want a finite number"))
    }
}

fn fixed_point(q: &spec::QuantizedBits, swish: Option<HardSwish>) -> Result<Kernel, String> {
    let unsigned_bits = q.bits as i32 - i32::from(q.keep_negative);
    let levels = exp2(unsigned_bits);
    let alpha = match q.alpha {
        spec::Alpha::None => 1.0,
        spec::Alpha::Value(alpha) => fixed_scale(alpha)?,
        spec::Alpha::Auto | spec::Alpha::AutoPo2 => {
            if q.bits < 2 {
                return Err("one bit has no level to fit a scale to, want bits of 2 or more, \
                            alpha=1.0, or binary(alpha='auto')"
                    .to_owned());
            }
            let scaled = Scaled {
                span: exp2(q.integer),
                levels,
                half: exp2(q.bits as i32 - 1) - 1.0,
                power_of_two: q.alpha == spec::Alpha::AutoPo2,
                axis: q.scale_axis,
            };
            return Ok(Kernel::Scaled(scaled, swish));
        }
    };
    if unsigned_bits == 0 {
        let sign = SignBit { alpha };
        return Ok(match swish {
            None => Kernel::SignBit(sign),
            Some(swish) => Kernel::SwishSign(Swished { swish, inner: sign }),
        });
    }
    let fixed = FixedPoint {
        unit: exp2(q.integer - unsigned_bits),
        per_unit: exp2(unsigned_bits - q.integer),
        low: if q.keep_negative { -levels + one_if(q.symmetric) } else { 0.0 },
        high: levels - 1.0,
        alpha,
    };
    Ok(match swish {
        None => Kernel::FixedPoint(fixed),
        Some(swish) => Kernel::SwishFixed(Swished { swish, inner: fixed }),
    })
}

fn relu(q: &spec::QuantizedRelu) -> Kernel {
    let slope = q.negative_slope as f32;
    let bits = q.bits as i32 - i32::from(slope != 0.0);
    let levels = exp2(bits);
    let span = exp2(q.integer);
    let user_bound = q.relu_upper_bound.filter(|_| !q.is_quantized_clip).map_or(f32::INFINITY, |b| b as f32);
    let top = if q.is_quantized_clip { span - exp2(q.integer - bits) } else { user_bound };
    if slope == 0.0 && !q.use_sigmoid {
        return Kernel::Relu(Relu {
            unit: exp2(q.integer - bits),
            per_unit: exp2(bits - q.integer),
            high: levels - 1.0,
            top,
            bound: user_bound,
        });
    }
    // The negative end, -2^integer slope, is a level even if the step size exceeds it.
    let unit = if slope == 0.0 { span / levels } else { (span / levels).min(span * slope) };
    Kernel::LeakyRelu(LeakyRelu {
        levels,
        span,
        negative_slope: slope,
        use_sigmoid: q.use_sigmoid,
        unit,
        per_unit: 1.0 / unit,
        top,
        bound: user_bound,
    })
}

/// `exponent_bits` includes the exponent's sign bit, which exists unless `max_value` is at most 1.
fn exponents(
    exponent_bits: i32,
    max_value: Option<f64>,
    quadratic: bool,
    rounding: Log2Rounding,
) -> Result<Exponents, String> {
    let sign_bit = i32::from(max_value.is_none_or(|v| v > 1.0));
    let bits = exponent_bits - sign_bit;
    if bits < 0 {
        return Err("no bit is left for the exponent, want one more, or a max_value of at most 1".to_owned());
    }
    // Exponents of 2^20 and more exceed every f32, so higher bit widths are equivalent.
    let limit = exp2(bits.min(20));
    let max = if quadratic { 2.0 * ((limit - 1.0) / 2.0).floor() } else { limit - 1.0 };
    Ok(Exponents {
        min: -limit,
        max,
        max_value: max_value.map_or(f32::INFINITY, |v| v as f32),
        quadratic,
        floor: rounding == Log2Rounding::Floor,
    })
}

fn alpha(alpha: spec::Alpha) -> Result<Alpha, String> {
    Ok(match alpha {
        spec::Alpha::None => Alpha::Fixed(1.0),
        spec::Alpha::Value(alpha) => Alpha::Fixed(fixed_scale(alpha)?),
        spec::Alpha::Auto => Alpha::Fitted { power_of_two: false },
        spec::Alpha::AutoPo2 => Alpha::Fitted { power_of_two: true },
    })
}

fn binary(zero_one: bool, scale: spec::Alpha, tanh_slope: bool, draw: BinaryDraw) -> Result<Kernel, String> {
    let alpha = alpha(scale)?;
    let fixed = match alpha {
        Alpha::Fixed(alpha) => alpha,
        Alpha::Fitted { .. } => 1.0,
    };
    let plain = TwoLevels { rule: BySign { zero_one }, alpha: fixed, tanh_slope };
    Ok(match (alpha, draw) {
        (Alpha::Fixed(_), BinaryDraw::Never) => Kernel::TwoLevels(plain),
        _ => Kernel::Binary(Binary { plain, alpha, draw }),
    })
}

fn ternary(
    scale: spec::Alpha,
    threshold: Option<f64>,
    unrolls: u32,
    draw: TernaryDraw,
) -> Result<Kernel, String> {
    let alpha = alpha(scale)?;
    if let Some(value) = threshold.filter(|t| !(t.is_finite() && *t >= 0.0)) {
        return Err(format!("threshold is {value:?}, want a number of 0 or more"));
    }
    let fixed = match alpha {
        Alpha::Fixed(alpha) => alpha,
        Alpha::Fitted { .. } if threshold.is_some() => {
            return Err(
                "a fitted scale sets the threshold, want no threshold or a number for alpha".to_owned()
            );
        }
        Alpha::Fitted { .. } if unrolls == 0 => {
            return Err("number_of_unrolls is 0, want 1 or more for a fitted scale".to_owned());
        }
        Alpha::Fitted { .. } => 1.0,
    };
    let threshold = threshold.unwrap_or(DEFAULT_THRESHOLD) as f32;
    let rule = ByThreshold { threshold };
    let plain = ThreeLevels { rule, alpha: fixed, tanh_slope: scale == spec::Alpha::None };
    Ok(match (alpha, draw) {
        (Alpha::Fixed(_), TernaryDraw::Never) => Kernel::ThreeLevels(plain),
        _ => Kernel::Ternary(Ternary { plain, alpha, unrolls, draw }),
    })
}
