//! Gradients through candle's backward pass against central differences.

use tinsmith_core_tensor::{Result, Tensor, Var};

use crate::reference::{normal_tensor, values};

/// Checks the gradient of `f` for each of `inputs`, on a random projection of its output, against differences with
/// this `step`. `f` should be smooth over a step.
#[track_caller]
pub(crate) fn check(what: &str, inputs: &[Tensor], step: f32, f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    const TOLERANCE: f64 = 4e-3;
    let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
    let tracked: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&tracked).unwrap();
    let projection = normal_tensor(99, y.dims());
    let gradients = (&y * &projection).unwrap().sum_all().unwrap().backward().unwrap();
    let projection = values(&projection);
    let loss = |inputs: &[Tensor]| -> f64 {
        let y = values(&f(inputs).unwrap());
        y.iter().zip(&projection).map(|(y, p)| f64::from(*y) * f64::from(*p)).sum()
    };
    for (i, (var, input)) in vars.iter().zip(inputs).enumerate() {
        let gradient = gradients.get(var).unwrap_or_else(|| panic!("{what}: input {i} has no gradient"));
        assert_eq!(gradient.dims(), input.dims(), "{what}: shape of gradient {i}");
        let gradient = values(gradient);
        let data = values(input);
        let scale = gradient.iter().fold(1.0_f64, |a, g| a.max(f64::from(g.abs())));
        // About twenty elements, spread over the tensor.
        for e in (0..data.len()).step_by(data.len().div_ceil(20)) {
            let moved = |by: f32| {
                let mut data = data.clone();
                data[e] += by;
                let exact = f64::from(data[e]);
                let mut inputs = inputs.to_vec();
                inputs[i] = Tensor::from_vec(data, input.dims(), input.device()).unwrap();
                (loss(&inputs), exact)
            };
            let ((above, a), (below, b)) = (moved(step), moved(-step));
            let want = (above - below) / (a - b);
            let got = f64::from(gradient[e]);
            assert!(
                (got - want).abs() <= TOLERANCE * scale,
                "{what}: input {i}, element {e}: {got} for {want}"
            );
        }
    }
}
