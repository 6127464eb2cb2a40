//! Normalization.

use tinsmith_data::{Dataset, Normalization, Normalizer, ScaleRule, Targets};

fn series(values: &[f32]) -> Dataset {
    Dataset::new("series", vec![2, 2], values.to_vec(), Targets::Samples).unwrap()
}

#[test]
fn bytes_are_divided_by_their_range_and_floats_standardized_by_channel() {
    let digits = tinsmith_data::builtin("digits8x8").unwrap();
    let fitted = Normalizer::fit(&digits.train, Normalization::Auto).unwrap();
    assert_eq!((fitted.shift.as_slice(), fitted.scale.as_slice()), ([0.0].as_slice(), [16.0].as_slice()));

    let train = series(&[1.0, 5.0, 3.0, 5.0, 1.0, 5.0, 3.0, 5.0]);
    let fitted = Normalizer::fit(&train, Normalization::Auto).unwrap();
    assert_eq!(
        (fitted.shift.as_slice(), fitted.scale.as_slice()),
        ([2.0, 5.0].as_slice(), [1.0, 1.0].as_slice())
    );
    let applied = fitted.apply(&series(&[4.0, 6.0, 0.0, 5.0])).unwrap();
    assert_eq!(applied.sample(0), [2.0, 1.0, -2.0, 0.0]);
    assert_eq!(applied.target(0), applied.sample(0));
    let mut raw = [4.0, 6.0];
    fitted.apply_in_place(&mut raw).unwrap();
    assert_eq!(raw, [2.0, 1.0]);

    let off = Normalizer::fit(&train, Normalization::Off).unwrap();
    assert_eq!(off.apply(&train).unwrap().as_slice(), train.as_slice());
}

#[test]
fn standardized_training_data_have_mean_zero_and_deviation_one() {
    let values: Vec<f32> =
        (0..4000).map(|i| (i as f32 * 0.71).sin() * (1 + i % 2) as f32 + 100.0 * (i % 2) as f32).collect();
    let data = series(&values);
    let normal = Normalizer::fit(&data, Normalization::Standardize).unwrap().apply(&data).unwrap();
    for channel in 0..2 {
        let values = || normal.as_slice().unwrap().iter().skip(channel).step_by(2).map(|&x| f64::from(x));
        let mean = values().sum::<f64>() / 2000.0;
        let variance = values().map(|x| (x - mean).powi(2)).sum::<f64>() / 2000.0;
        assert!(mean.abs() < 1e-5, "{mean}");
        assert!((variance - 1.0).abs() < 1e-4, "{variance}");
    }
}

#[test]
fn only_the_rows_given_are_looked_at_and_views_stay_views() {
    let data = Dataset::new("line", vec![1], vec![0.0, 10.0, 1000.0], Targets::Samples).unwrap();
    let view = data.subset(&[1, 0]).unwrap();
    let fitted = Normalizer::fit(&view, Normalization::Range).unwrap();
    assert_eq!(fitted.apply(&view).unwrap().as_slice().unwrap(), [1.0, 0.0]);
    assert_eq!(fitted.apply(&data).unwrap().as_slice().unwrap(), [0.0, 1.0, 100.0]);
}

#[test]
fn tables_are_normalized_column_by_column() {
    // A light column, a heavy one with outliers, a binary one.
    let row = |i: i32| [(i % 7) as f32, if i % 500 == 0 { 13_000.0 } else { (i % 5) as f32 }, (i % 2) as f32];
    let values: Vec<f32> = (0..2000).flat_map(row).collect();
    let data = Dataset::new("table", vec![3], values, Targets::Samples).unwrap();
    let fitted = Normalizer::fit(&data, Normalization::Auto).unwrap();
    assert_eq!(fitted.rules, [ScaleRule::Deviation, ScaleRule::ClippedDeviation, ScaleRule::Range]);
    assert_eq!(
        fitted.summary(),
        "each of 3 columns by itself: 1 by range, 1 by deviation, 1 by clipped deviation"
    );
    let plain = Normalizer::fit(&data, Normalization::Standardize).unwrap();
    assert_eq!(
        (fitted.shift[0].to_bits(), fitted.scale[0].to_bits()),
        (plain.shift[0].to_bits(), plain.scale[0].to_bits())
    );
    assert!(fitted.scale[1] < 0.4 * plain.scale[1], "{} {}", fitted.scale[1], plain.scale[1]);
    let normal = fitted.apply(&data).unwrap();
    assert!(normal.as_slice().unwrap().iter().all(|x| x.abs() < 65.0));
    let text = serde_json::to_string(&fitted).unwrap();
    assert!(text.contains(r#""rules":["deviation","clipped_deviation","range"]"#), "{text}");
    // Flattened pixels keep one range.
    let pixels: Vec<f32> = (0..640).map(|i| (i % 256) as f32).collect();
    let pixels = Dataset::new("pixels", vec![64], pixels, Targets::Samples).unwrap();
    assert_eq!(Normalizer::fit(&pixels, Normalization::Auto).unwrap().scale, [255.0]);
}

#[test]
fn it_is_stored_and_read_back() {
    let fitted = Normalizer { shift: vec![0.1, -7.25], scale: vec![1.0 / 3.0, 2.0], rules: Vec::new() };
    let text = serde_json::to_string(&fitted).unwrap();
    assert_eq!(text, r#"{"shift":[0.1,-7.25],"scale":[0.33333334,2.0]}"#);
    assert_eq!(serde_json::from_str::<Normalizer>(&text).unwrap(), fitted);
    assert!(serde_json::from_str::<Normalizer>(r#"{"shift": [0], "scale": [1], "kind": 1}"#).is_err());
    assert_eq!(serde_json::to_string(&Normalization::default()).unwrap(), "\"auto\"");
}

#[test]
fn what_cannot_be_normalized_is_refused() {
    let fitted = Normalizer { shift: vec![0.0; 3], scale: vec![1.0; 3], rules: Vec::new() };
    let error = fitted.apply(&series(&[0.0; 4])).unwrap_err().to_string();
    assert_eq!(error, "normalization: sample shape is [2, 2], want 3 channels on the last axis");
    assert!(fitted.apply_in_place(&mut [0.0; 4]).is_err());
    let zero = Normalizer { shift: vec![0.0], scale: vec![0.0], rules: Vec::new() };
    assert!(zero.apply(&series(&[0.0; 4])).unwrap_err().to_string().contains("a scale is 0"));
    let short = Normalizer { shift: vec![0.0, 1.0], scale: vec![1.0], rules: Vec::new() };
    assert!(short.apply(&series(&[0.0; 4])).unwrap_err().to_string().contains("got 1, want 2"));
    for kind in [Normalization::Range, Normalization::Standardize] {
        let error = Normalizer::fit(&series(&[0.0, f32::NAN, 1.0, 2.0]), kind).unwrap_err().to_string();
        assert!(error.contains("not finite"), "{error}");
        let error = Normalizer::fit(&series(&[]), kind).unwrap_err().to_string();
        assert!(error.contains("has no rows"), "{error}");
        // A constant stays finite.
        let constant = series(&[0.1; 400]);
        let normal = Normalizer::fit(&constant, kind).unwrap().apply(&constant).unwrap();
        assert!(normal.as_slice().unwrap().iter().all(|x| x.abs() < 1e-6));
    }
}
