//! Weights carried over between specifications.

use tinsmith_core_tensor::Param;
use tinsmith_layers::Inherited;

use crate::build::model;

#[test]
fn equal_shapes_whole_others_in_part() {
    let small = model(
        "{layers: [{name: x, input: {shape: [3]}}, {name: a, dense: {units: 2}}, {name: b, dense: {units: 4}}, {name: o, dense: {units: 1}}]}",
    );
    let wide = model(
        "{layers: [{name: x, input: {shape: [3]}}, {name: a, dense: {units: 5}}, {name: new, dense: {units: 5}}, {name: b, dense: {units: 3}}, {name: o, dense: {units: 1}}]}",
    );
    for param in small.params() {
        let data: Vec<f32> = (0..param.len()).map(|i| 100.0 + i as f32).collect();
        let value = candle_core::Tensor::from_vec(data, param.dims(), small.device()).expect("a tensor");
        param.set(&value).expect("a value");
    }
    let own = wide.params().get("a.kernel").and_then(Param::values).expect("values");
    let report = wide.inherit(&small).expect("a report");
    let what = |name: &str| &report.params.iter().find(|(n, _)| n == name).expect("a parameter").1;
    assert_eq!(what("a.kernel"), &Inherited::Part(vec![3, 2]));
    assert_eq!(what("b.kernel"), &Inherited::Part(vec![2, 3]));
    assert_eq!(what("o.bias"), &Inherited::Whole);
    assert_eq!(what("new.kernel"), &Inherited::Nothing);
    assert_eq!(report.taken(), 6);
    let now = wide.params().get("a.kernel").and_then(Param::values).expect("values");
    for row in 0..3 {
        assert_eq!(now[row * 5..row * 5 + 2], [100.0 + 2.0 * row as f32, 101.0 + 2.0 * row as f32]);
        assert_eq!(now[row * 5 + 2..row * 5 + 5], own[row * 5 + 2..row * 5 + 5]);
    }
}
