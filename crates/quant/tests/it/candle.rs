//! Quantizers on candle's graph.

use candle_core::{DType, Device, Tensor, Var};
use tinsmith_foundation::Seed;
use tinsmith_quant::Mode;

use crate::codes::{KINDS, op};

fn inputs(n: usize) -> Vec<f32> {
    let mut rng = Seed::new(11).rng();
    (0..n).map(|_| rng.normal() as f32 * 1.5).collect()
}

#[test]
fn tensors_agree_with_slices_and_gradients_are_scaled_by_what_comes_back() {
    let (xs, shape) = (inputs(24), [4, 3, 2]);
    let weights: Vec<f32> = (0..24).map(|i| i as f32 / 8.0 - 1.0).collect();
    for text in KINDS {
        for mode in [Mode::Inference, Mode::Training(Seed::new(4))] {
            let op = op(text);
            let (mut values, mut slopes) = (vec![0.0; 24], vec![0.0; 24]);
            op.apply_slice(&xs, &shape, &mut values, Some(&mut slopes), mode).unwrap();
            let x = Var::from_slice(&xs, &shape, &Device::Cpu).unwrap();
            let y = op.apply(&x, mode).unwrap();
            assert_eq!(y.dims(), shape);
            assert_eq!(y.flatten_all().unwrap().to_vec1::<f32>().unwrap(), values, "{text}");
            let weighted = (y * Tensor::from_slice(&weights, &shape, &Device::Cpu).unwrap()).unwrap();
            let grads = weighted.sum_all().unwrap().backward().unwrap();
            let got = grads.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let want: Vec<f32> = slopes.iter().zip(&weights).map(|(s, w)| s * w).collect();
            assert_eq!(got, want, "{text} {mode:?}");
        }
    }
}

#[test]
fn strided_inputs_and_other_types_are_quantized_too() {
    let op = op("quantized_bits(4,1,alpha='auto')");
    let x = Tensor::from_vec(inputs(12), (3, 4), &Device::Cpu).unwrap();
    let turned = x.t().unwrap();
    let want = op.apply(&turned.contiguous().unwrap(), Mode::Inference).unwrap();
    let got = op.apply(&turned, Mode::Inference).unwrap();
    assert_eq!(got.to_vec2::<f32>().unwrap(), want.to_vec2::<f32>().unwrap());
    let double = op.apply(&turned.to_dtype(DType::F64).unwrap(), Mode::Inference).unwrap();
    assert_eq!(double.dtype(), DType::F64);
    assert_eq!(
        double.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap(),
        want.to_vec2::<f32>().unwrap()
    );
    let part = x.narrow(0, 1, 2).unwrap();
    let want = op.apply(&part.copy().unwrap(), Mode::Inference).unwrap();
    assert_eq!(
        op.apply(&part, Mode::Inference).unwrap().to_vec2::<f32>().unwrap(),
        want.to_vec2::<f32>().unwrap()
    );
}

#[test]
fn nan_is_not_hidden() {
    for text in KINDS {
        let quantized = op(text).quantize(&[0.5, f32::NAN], &[2, 1], Mode::Inference).unwrap().0;
        assert!(quantized[1].is_nan(), "{text}: {quantized:?}");
    }
}
