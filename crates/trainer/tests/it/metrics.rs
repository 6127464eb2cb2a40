//! Metrics against scikit-learn.

use serde_json::Value;
use tinsmith_trainer::metric::{Confusion, Quality, top_k_accuracy};

use crate::{floats, golden};

fn integers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

#[track_caller]
fn near(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-12, "{what}: {found} for {expected}");
}

fn check_quality(found: Quality, expected: &Value, what: &str) {
    near(found.precision, &expected["precision"], what);
    near(found.recall, &expected["recall"], what);
    near(found.f1, &expected["f1"], what);
}

#[test]
fn golden_metrics_are_scikit_learns() {
    let file = golden("metrics/classification.json");
    let cases = file["cases"].as_array().unwrap();
    for case in cases {
        let (truth, predicted) = (integers(&case["y_true"]), integers(&case["y_pred"]));
        let classes = case["classes"].as_u64().unwrap() as usize;
        let mut confusion = Confusion::new(classes);
        for (&t, &p) in truth.iter().zip(&predicted) {
            confusion.add(t as usize, p as usize);
        }
        near(confusion.accuracy(), &case["accuracy"], "accuracy");
        let all = &case["labels_all"];
        check_quality(confusion.macro_average(), &all["macro"], "macro");
        check_quality(confusion.weighted_average(), &all["weighted"], "weighted");
        for (class, q) in confusion.per_class().iter().enumerate() {
            near(q.f1, &case["per_class"]["f1"][class], "f1 of a class");
        }
        if let Some(top) = case["top_k"].as_object() {
            let scores: Vec<f32> = floats(&case["scores"]["data"]).iter().map(|&v| v as f32).collect();
            for (k, expected) in top.iter().filter(|(_, v)| !v.is_null()) {
                near(top_k_accuracy(&scores, classes, &truth, k.parse().unwrap()), expected, "top k");
            }
        }
    }
    println!("{} classifications met", cases.len());
    assert!(!cases.is_empty());
}
