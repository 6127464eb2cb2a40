//! Initializers against the statistics that Keras documents.

use std::path::PathBuf;

use serde_json::Value;
use tinsmith_core_tensor::{Fans, Initializer};
use tinsmith_foundation::Seed;

fn folder() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::env::var_os("TINSMITH_GOLDEN").map_or(own, PathBuf::from).join("init")
}

fn initializer(name: &str, case: &Value) -> Initializer {
    let number = |key: &str| case[key].as_f64().unwrap();
    match name {
        "GlorotUniform" => Initializer::GlorotUniform,
        "GlorotNormal" => Initializer::GlorotNormal,
        "HeUniform" => Initializer::HeUniform,
        "HeNormal" => Initializer::HeNormal,
        "LecunUniform" => Initializer::LecunUniform,
        "LecunNormal" => Initializer::LecunNormal,
        "RandomUniform" => Initializer::RandomUniform { low: -number("bound"), high: number("bound") },
        "RandomNormal" => Initializer::RandomNormal { mean: 0.0, std: number("std") },
        "TruncatedNormal" => Initializer::TruncatedNormal { mean: 0.0, std: number("untruncated_std") },
        other => panic!("no initializer is named {other}"),
    }
}

#[test]
fn golden_initializers_have_the_bounds_and_deviations_of_keras() {
    let text = std::fs::read_to_string(folder().join("initializers.json")).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let name = case["initializer"].as_str().unwrap();
        let dims: Vec<usize> =
            case["shape"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect();
        let fans = Fans::of_kernel(&dims);
        assert_eq!(fans.fan_in as u64, case["fan_in"].as_u64().unwrap(), "fan in of {dims:?}");
        assert_eq!(fans.fan_out as u64, case["fan_out"].as_u64().unwrap(), "fan out of {dims:?}");
        let count = 60_000;
        let seed = Seed::new(5).derive(name, case["id"].as_u64().unwrap());
        let values = initializer(name, case).values(count, fans, &mut seed.rng()).unwrap();
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count as f64;
        let std = (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count as f64).sqrt();
        let want = case["std"].as_f64().unwrap();
        let greatest = values.iter().fold(0.0_f64, |a, v| a.max(f64::from(v.abs())));
        // Four standard errors for the mean; slightly more than four for the deviation.
        assert!(mean.abs() < 4.0 * want / (count as f64).sqrt(), "{name} {dims:?}: mean {mean}");
        assert!((std / want - 1.0).abs() < 0.013, "{name} {dims:?}: deviation {std} for {want}");
        if let Some(bound) = case["bound"].as_f64() {
            assert!(greatest <= bound * (1.0 + 1e-6), "{name} {dims:?}: {greatest} beyond {bound}");
            assert!(greatest > 0.99 * bound, "{name} {dims:?}: {greatest} far from {bound}");
        }
    }
    println!("{} initializer cases", cases.len());
}

#[test]
fn constants_are_constant_and_bad_arguments_are_refused() {
    let mut rng = Seed::new(1).rng();
    let fans = Fans::of_kernel(&[3, 2]);
    for (initializer, value) in
        [(Initializer::Zeros, 0.0), (Initializer::Ones, 1.0), (Initializer::Constant(-2.5), -2.5)]
    {
        let tensor = initializer.tensor(&[3, 2], fans, &mut rng).unwrap();
        assert_eq!(tensor.to_vec2::<f32>().unwrap(), vec![vec![value; 2]; 3]);
    }
    for bad in [
        Initializer::RandomUniform { low: 1.0, high: 0.0 },
        Initializer::RandomUniform { low: 0.0, high: f64::INFINITY },
        Initializer::RandomNormal { mean: 0.0, std: -1.0 },
        Initializer::TruncatedNormal { mean: f64::NAN, std: 1.0 },
    ] {
        assert!(bad.values(3, fans, &mut rng).is_err(), "{bad:?}");
    }
    assert_eq!(Fans::of_kernel(&[]), Fans { fan_in: 1, fan_out: 1 });
    assert_eq!(Fans::of_kernel(&[7]), Fans { fan_in: 7, fan_out: 7 });
}
