//! Codes decode to the quantizer's output, for every kind.

use proptest::prelude::*;
use tinsmith_network::Quantizer;
use tinsmith_quant::{Codes, Mode, QuantError, QuantizerOp, Scale};

/// One of every kind and of every variant with its own arithmetic.
pub(crate) const KINDS: &[&str] = &[
    "quantized_bits(4,0,alpha=1.0)",
    "quantized_bits(6,2,True,alpha=0.3)",
    "quantized_bits(1,0,alpha=0.5)",
    "quantized_bits(1,1,keep_negative=False)",
    "quantized_bits(5,1,keep_negative=False)",
    "quantized_bits(32,4)",
    "quantized_bits(4,0,alpha='auto')",
    "quantized_bits(8,2,alpha='auto_po2')",
    "quantized_bits(4,0,keep_negative=False,alpha='auto')",
    "quantized_bits(4,0,alpha='auto',scale_axis=0)",
    "quantized_bits(4,0,alpha='auto_po2',scale_axis=1)",
    "quantized_relu(4,0)",
    "quantized_relu(8,4)",
    "quantized_relu(6,1,relu_upper_bound=1.3,is_quantized_clip=False)",
    "quantized_relu(4,1,is_quantized_clip=False)",
    "quantized_relu(4,2,True)",
    "quantized_relu(6,2,negative_slope=0.25)",
    "quantized_relu(1,0,negative_slope=0.5)",
    "quantized_relu(3,0,negative_slope=0.125)",
    "quantized_relu(6,2,True,negative_slope=0.25)",
    "quantized_relu(2,1,True,negative_slope=0.5)",
    "quantized_tanh(4)",
    "quantized_tanh(5,symmetric=True,use_real_tanh=True)",
    "quantized_sigmoid(4)",
    "quantized_sigmoid(6,symmetric=True,use_real_sigmoid=True)",
    "quantized_ulaw(4,0)",
    "quantized_ulaw(6,1,True,u=15.0)",
    "quantized_hswish(6,2)",
    "quantized_hswish(6,1,alpha='auto')",
    "quantized_hswish(1,1)",
    "quantized_po2(4)",
    "quantized_po2(4,0.5)",
    "quantized_po2(5,4,quadratic_approximation=True)",
    "quantized_po2(4,log2_rounding='floor')",
    "quantized_relu_po2(4,2)",
    "quantized_relu_po2(4,negative_slope=0.25)",
    "binary()",
    "binary(True,alpha=2.0)",
    "binary(alpha='auto')",
    "binary(True,alpha='auto_po2')",
    "ternary()",
    "ternary(alpha=0.5,threshold=0.25)",
    "ternary(alpha='auto')",
    "ternary(alpha='auto_po2')",
    "stochastic_binary(alpha='auto')",
    "stochastic_ternary(alpha='auto_po2')",
    "stochastic_ternary(alpha=0.7)",
    "bernoulli(alpha=0.5)",
    "bernoulli(alpha='auto')",
];

pub(crate) fn op(text: &str) -> QuantizerOp {
    let quantizer: Quantizer = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    QuantizerOp::new(&quantizer).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[track_caller]
fn check_round_trip(text: &str, xs: &[f32], shape: &[usize]) {
    let op = op(text);
    let (values, scale) = op.quantize(xs, shape, Mode::Inference).unwrap();
    let codes = op.encode(xs, shape).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(bits(&codes.decode()), bits(&values), "{text}: {xs:?}");
    assert_eq!(codes.scale(), &scale, "{text}");
    let format = codes.format();
    assert!(codes.values().iter().all(|c| format.has_code(*c)), "{text}: {:?} of {format}", codes.values());
    if !op.has_chosen_scale() {
        let (low, high) = op.range().unwrap();
        assert!(
            values.iter().all(|v| (low..=high).contains(v)),
            "{text}: {values:?} outside of {low}..={high}"
        );
    }
    let again = Codes::new(codes.values().to_vec(), shape.to_vec(), scale, *format).unwrap();
    assert_eq!(again, codes);
}

#[test]
fn special_values_round_trip() {
    let special = [
        0.0, -0.0, 1e-30, -1e-30, 5e-8, -5e-8, 0.33, -0.33, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 3.9, -4.1, 1e6,
        -1e6, 3e30, -3e30, 0.7072, -0.7072, 16.0, -16.0,
    ];
    for text in KINDS {
        check_round_trip(text, &special, &[4, 3, 2]);
        check_round_trip(text, &[0.0; 6], &[3, 2]);
        check_round_trip(text, &[], &[0, 2]);
        if !text.contains("scale_axis=1") {
            check_round_trip(text, &special, &[24]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn decode_of_encode_is_apply(xs in proptest::collection::vec(-6.0_f32..6.0, 30), scale in -12..12_i32) {
        let xs: Vec<f32> = xs.iter().map(|x| x * (scale as f32).exp2()).collect();
        for text in KINDS {
            check_round_trip(text, &xs, &[5, 2, 3]);
        }
    }

    #[test]
    fn quantizing_twice_changes_nothing(xs in proptest::collection::vec(-6.0_f32..6.0, 16)) {
        for text in ["quantized_bits(4,0,alpha=1.0)", "quantized_bits(7,2,True)", "quantized_relu(6,2)",
            "quantized_po2(4)", "quantized_relu_po2(4,2)", "binary(alpha=1.0)", "quantized_tanh(4)"] {
            let op = op(text);
            let (once, _) = op.quantize(&xs, &[16], Mode::Inference).unwrap();
            let (twice, _) = op.quantize(&once, &[16], Mode::Inference).unwrap();
            prop_assert_eq!(once, twice, "{}", text);
        }
    }

    #[test]
    fn rounding_is_within_half_a_step_and_monotonic(xs in proptest::collection::vec(-7.9_f32..7.8, 16)) {
        let op = op("quantized_bits(8,3,alpha=1.0)");
        let mut xs = xs;
        xs.sort_by(f32::total_cmp);
        let (ys, _) = op.quantize(&xs, &[16], Mode::Inference).unwrap();
        prop_assert!(xs.iter().zip(&ys).all(|(x, y)| (x - y).abs() <= 0.03125));
        prop_assert!(ys.windows(2).all(|w| w[0] <= w[1]));
    }
}

#[test]
fn formats_say_bits_range_and_zero() {
    for (text, format, bits, low, high, zero) in [
        ("quantized_bits(4,0,alpha=1.0)", "fixed<4,0>", 4, -1.0, 0.875, Some(0)),
        ("quantized_bits(6,2,True)", "fixed<6,2>", 6, -3.875, 3.875, Some(0)),
        ("quantized_bits(4,1,keep_negative=False)", "ufixed<4,1>", 4, 0.0, 1.875, Some(0)),
        ("quantized_bits(1,0,alpha=0.5)", "binary", 1, -0.5, 0.5, None),
        ("quantized_bits(4,0,alpha='auto')", "fixed<4,0>", 4, -0.875, 0.875, Some(0)),
        ("quantized_relu(8,4)", "ufixed<8,4>", 8, 0.0, 15.9375, Some(0)),
        (
            "quantized_relu(6,3,relu_upper_bound=6,is_quantized_clip=False)",
            "ufixed<6,3>",
            6,
            0.0,
            6.0,
            Some(0),
        ),
        ("quantized_relu(6,2,negative_slope=0.25)", "fixed<6,2>", 6, -1.0, 3.875, Some(0)),
        ("quantized_tanh(4)", "fixed<4,0>", 4, -1.0, 0.875, Some(0)),
        ("quantized_sigmoid(4,symmetric=True)", "ufixed<4,0>", 4, 0.0625, 0.9375, None),
        ("quantized_ulaw(4,0)", "ulaw<4,0>", 4, -1.0, 0.875, Some(4)),
        ("quantized_po2(4)", "po2<4,-4,3>", 4, -8.0, 8.0, None),
        ("quantized_relu_po2(4,1)", "upo2<4,-16,15>", 4, 1.0 / 65_536.0, 32_768.0, None),
        ("binary(alpha=0.25)", "binary", 1, -0.25, 0.25, None),
        ("binary(True)", "binary01", 1, 0.0, 1.0, Some(0)),
        ("ternary()", "ternary", 2, -1.0, 1.0, Some(0)),
        ("bernoulli()", "binary01", 1, 0.0, 1.0, Some(0)),
    ] {
        let op = op(text);
        let found = op.format().unwrap();
        assert_eq!(found.to_string(), format, "{text}");
        assert_eq!(found.storage_bits(), bits, "{text}");
        assert_eq!(op.range().unwrap(), (low, high), "{text}");
        assert_eq!(found.zero_code(), zero, "{text}");
        if let Some(zero) = zero {
            assert_eq!(found.level(zero), 0.0);
        }
    }
}

#[test]
fn what_has_no_codes_says_so() {
    for text in ["quantized_bits(6,1,qnoise_factor=0.5)", "quantized_relu(32,0)", "quantized_sigmoid(32)"] {
        let error = op(text).encode(&[0.5], &[1]).unwrap_err();
        assert!(matches!(error, QuantError::NoCodes { .. }), "{error}");
    }
    let error = op("quantized_bits(4,0)").encode(&[0.5, f32::NAN], &[2]).unwrap_err();
    assert_eq!(error.to_string(), "element 1 is NaN, want a number to encode");
    let format = op("quantized_bits(4,0)").format().unwrap();
    let error = Codes::new(vec![7, 8], vec![2], Scale::Uniform(1.0), format).unwrap_err();
    assert_eq!(error.to_string(), "code 8 at 1 is outside of -8..=7, the codes of fixed<4,0>");
    let scale = Scale::PerChannel { axis: 1, values: vec![1.0] };
    assert!(Codes::new(vec![0, 0], vec![1, 2], scale, format).is_err());
    let scale = Scale::PerChannel { axis: 2, values: vec![1.0] };
    assert!(Codes::new(vec![0, 0], vec![1, 2], scale, format).is_err());
}

#[test]
fn parameters_without_meaning_are_refused() {
    for (text, word) in [
        ("quantized_bits(0,0)", "bits"),
        ("quantized_bits(33,0)", "bits"),
        ("quantized_bits(4,200)", "integer"),
        ("quantized_bits(1,0,alpha='auto')", "one bit"),
        ("quantized_bits(4,0,qnoise_factor=1.5)", "qnoise_factor"),
        ("quantized_relu(4,0,negative_slope=0.3)", "negative_slope"),
        ("quantized_relu(4,0,relu_upper_bound=-1.0)", "relu_upper_bound"),
        ("quantized_po2(1)", "exponent"),
        ("quantized_po2(4,-1.0)", "max_value"),
        ("quantized_ulaw(4,0,u=0.0)", "u is"),
        ("quantized_hswish(4,0,relu_shift=0.0)", "relu_shift"),
        ("ternary(alpha='auto',threshold=0.5)", "threshold"),
        ("ternary(alpha=1.0,use_stochastic_rounding=True)", "use_stochastic_rounding"),
        ("ternary(alpha='auto',number_of_unrolls=0)", "number_of_unrolls"),
        ("stochastic_binary(temperature=0.0)", "temperature"),
    ] {
        let quantizer: Quantizer = text.parse().unwrap();
        let error = QuantizerOp::new(&quantizer).unwrap_err().to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
    let mut out = [0.0; 3];
    let error = op("binary()").apply_slice(&[0.0; 4], &[2, 2], &mut out, None, Mode::Inference).unwrap_err();
    assert_eq!(error.to_string(), "quantize into: want 4 elements for shape [2, 2], got 3");
    let error =
        op("quantized_bits(4,0,alpha='auto',scale_axis=2)").quantize(&[0.0; 4], &[2, 2], Mode::Inference);
    assert!(matches!(error, Err(QuantError::Axis { axis: 2, rank: 2, .. })));
}
