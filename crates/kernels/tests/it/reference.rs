//! Naive loops in double precision, seeded inputs and comparisons.

use tinsmith_foundation::Seed;
use tinsmith_kernels::conv::ConvShape;
use tinsmith_kernels::dispatch::InstructionSet;
use tinsmith_kernels::pool::PoolShape;

/// Standard normal values that depend on the seed only.
pub(crate) fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = Seed::new(seed).rng();
    (0..count).map(|_| rng.normal() as f32).collect()
}

/// Asserts that `got` equals `want` within `tolerance`, relative to the largest value.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    let scale = want.iter().fold(1.0_f64, |a, b| a.max(b.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(*g) - w).abs() <= tolerance * scale, "{what}[{i}]: {g} for {w}");
    }
}

/// Runs `body` once per instruction set of this processor.
pub(crate) fn on_every_path(mut body: impl FnMut(InstructionSet)) {
    for set in [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512] {
        if set <= InstructionSet::detect() {
            set.limit(|| body(set));
        }
    }
}

/// Calls `body(output index, input index, kernel index)` for every multiplication of a convolution.
pub(crate) fn for_products(s: &ConvShape, mut body: impl FnMut(usize, usize, usize)) {
    let (cg, fg) = (s.in_c / s.groups, s.out_c / s.groups);
    for n in 0..s.batch {
        for oy in 0..s.out_h {
            for ox in 0..s.out_w {
                for f in 0..s.out_c {
                    for ky in 0..s.kernel_h {
                        for kx in 0..s.kernel_w {
                            for c in 0..cg {
                                let iy = (oy * s.stride.0 + ky * s.dilation.0) as isize - s.pad.0 as isize;
                                let ix = (ox * s.stride.1 + kx * s.dilation.1) as isize - s.pad.1 as isize;
                                if iy < 0 || ix < 0 || iy >= s.in_h as isize || ix >= s.in_w as isize {
                                    continue;
                                }
                                let channel = f / fg * cg + c;
                                let input =
                                    ((n * s.in_h + iy as usize) * s.in_w + ix as usize) * s.in_c + channel;
                                let out = ((n * s.out_h + oy) * s.out_w + ox) * s.out_c + f;
                                body(out, input, ((ky * s.kernel_w + kx) * cg + c) * s.out_c + f);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Also for depthwise convolutions: their kernel (height, width, channels, multiplier) has the memory layout of a
/// grouped one (height, width, 1, channels * multiplier).
pub(crate) fn conv(s: &ConvShape, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f64> {
    let mut out: Vec<f64> =
        (0..s.output_len()).map(|i| bias.map_or(0.0, |b| f64::from(b[i % s.out_c]))).collect();
    for_products(s, |o, i, k| out[o] += f64::from(x[i]) * f64::from(w[k]));
    out
}

pub(crate) fn conv_input_gradient(s: &ConvShape, dy: &[f32], w: &[f32]) -> Vec<f64> {
    let mut dx = vec![0.0; s.input_len()];
    for_products(s, |o, i, k| dx[i] += f64::from(dy[o]) * f64::from(w[k]));
    dx
}

pub(crate) fn conv_weight_gradient(s: &ConvShape, x: &[f32], dy: &[f32]) -> Vec<f64> {
    let mut dw = vec![0.0; s.kernel_len()];
    for_products(s, |o, i, k| dw[k] += f64::from(dy[o]) * f64::from(x[i]));
    dw
}

/// The input indices within each window, in order, for every output of a pooling.
pub(crate) fn windows(s: &PoolShape) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    for n in 0..s.batch {
        for oy in 0..s.out_h {
            for ox in 0..s.out_w {
                for c in 0..s.channels {
                    let mut window = Vec::new();
                    for ky in 0..s.window.0 {
                        for kx in 0..s.window.1 {
                            let iy = (oy * s.stride.0 + ky) as isize - s.pad.0 as isize;
                            let ix = (ox * s.stride.1 + kx) as isize - s.pad.1 as isize;
                            if (0..s.in_h as isize).contains(&iy) && (0..s.in_w as isize).contains(&ix) {
                                let pixel = (n * s.in_h + iy as usize) * s.in_w + ix as usize;
                                window.push(pixel * s.channels + c);
                            }
                        }
                    }
                    all.push(window);
                }
            }
        }
    }
    all
}
