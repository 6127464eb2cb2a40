//! Losses: values and gradients over plain slices, the same for every engine.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::Faults;
use tinsmith_kernels::Threads;
use tinsmith_kernels::softmax;

/// Distance of probabilities from 0 and 1, as in Keras.
const EPSILON: f32 = 1e-7;

/// Loss to minimize: the mean over samples of a function of outputs and targets. Values and gradients equal
/// `tf.keras.losses` 2.15. For arrays the mean over the elements is taken (for cross-entropy over all but the last
/// axis). Class targets are one-hot for all losses but cross-entropy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// Categorical cross-entropy `-sum t ln softmax(z)` of labels or distributions; it includes a softmax at the end
    /// of the network. Needs at least two outputs.
    CrossEntropy {
        /// Fraction of the target that is spread evenly over all classes, 0 to below 1. Default 0.
        #[serde(default)]
        label_smoothing: f64,
    },
    /// Binary cross-entropy `-t ln p - (1 - t) ln(1 - p)` of each element, for targets from 0 to 1. If the network
    /// ends in a sigmoid (or another activation), its values are kept 1e-7 away from 0 and 1; otherwise `p` is the
    /// sigmoid of its output. One output for two classes is the probability of class 1.
    BinaryCrossEntropy {
        /// Targets become `t (1 - label_smoothing) + label_smoothing / 2`, 0 to below 1. Default 0.
        #[serde(default)]
        label_smoothing: f64,
    },
    /// `(y - t)^2`.
    MeanSquaredError {},
    /// `|y - t|`.
    MeanAbsoluteError {},
    /// `(y - t)^2 / 2` up to a difference of `delta`, beyond it `delta (|y - t| - delta / 2)`.
    Huber {
        /// Difference above which the loss is linear, above 0. Default 1.
        #[serde(default = "one")]
        delta: f64,
    },
}

fn one() -> f64 {
    1.0
}

impl Default for Loss {
    fn default() -> Self {
        Self::CrossEntropy { label_smoothing: 0.0 }
    }
}

impl Loss {
    /// Returns the name in configurations: `cross_entropy`, `mean_squared_error`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CrossEntropy { .. } => "cross_entropy",
            Self::BinaryCrossEntropy { .. } => "binary_cross_entropy",
            Self::MeanSquaredError {} => "mean_squared_error",
            Self::MeanAbsoluteError {} => "mean_absolute_error",
            Self::Huber { .. } => "huber",
        }
    }

    /// Adds every unusable value to `faults`.
    pub fn check(&self, faults: &mut Faults) {
        match *self {
            Self::CrossEntropy { label_smoothing } if !(0.0..1.0).contains(&label_smoothing) => {
                faults
                    .add("cross_entropy.label_smoothing", format!("is {label_smoothing}, want 0 to below 1"));
            }
            Self::BinaryCrossEntropy { label_smoothing } if !(0.0..1.0).contains(&label_smoothing) => {
                faults.add(
                    "binary_cross_entropy.label_smoothing",
                    format!("is {label_smoothing}, want 0 to below 1"),
                );
            }
            Self::Huber { delta } if !(delta > 0.0 && delta.is_finite()) => {
                faults.add("huber.delta", format!("is {delta}, want a number above 0"));
            }
            _ => {}
        }
    }
}

/// Kind of the outputs, which decides how a loss reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// Numbers or logits.
    Values,
    /// Probabilities: the network ends in an activation.
    Probabilities,
}

/// Targets of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Targets<'a> {
    /// One class per row.
    Classes(&'a [u32]),
    /// One array per row, as long as the row of outputs.
    Arrays(&'a [f32]),
}

/// Teacher outputs as soft targets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Soft<'a> {
    /// Logits of the teacher, as many as the outputs.
    pub(crate) logits: &'a [f32],
    /// Divisor of the logits of both networks.
    pub(crate) temperature: f32,
    /// Fraction of the loss that comes from the teacher, 0 to 1.
    pub(crate) share: f32,
}

/// Outputs and targets of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LossInput<'a> {
    /// Outputs of the network, `[rows, …]`.
    pub(crate) outputs: &'a [f32],
    pub(crate) rows: usize,
    /// Length of the last axis of the outputs.
    pub(crate) width: usize,
    pub(crate) head: Head,
    pub(crate) targets: Targets<'a>,
    pub(crate) soft: Option<Soft<'a>>,
    /// Weight of each row; empty if all are 1.
    pub(crate) weights: &'a [f32],
}

impl LossInput<'_> {
    /// Returns the weighted sum of the loss over rows. `gradient` receives the gradient of that sum divided by
    /// `divisor`; pass an empty slice for the value alone.
    pub(crate) fn loss(&self, loss: Loss, divisor: f32, gradient: &mut [f32], threads: Threads) -> f64 {
        let mut sum = if self.weights.is_empty() {
            self.target_loss(loss, divisor, gradient, threads)
        } else {
            let each = self.outputs.len() / self.rows.max(1);
            let mut sum = 0.0;
            for (row, &weight) in self.weights.iter().enumerate().take(self.rows) {
                let gradient = if gradient.is_empty() {
                    &mut [][..]
                } else {
                    &mut gradient[row * each..(row + 1) * each]
                };
                sum += f64::from(weight)
                    * self.row(row, each).target_loss(loss, divisor, gradient, Threads::ONE);
                // Scaling after the kernel keeps it free of per-row weights.
                gradient.iter_mut().for_each(|g| *g *= weight);
            }
            sum
        };
        if let Some(soft) = self.soft.filter(|s| s.share > 0.0) {
            gradient.iter_mut().for_each(|g| *g *= 1.0 - soft.share);
            let taught = self.distillation(&soft, divisor, gradient);
            sum = f64::from(1.0 - soft.share) * sum + f64::from(soft.share) * taught;
        }
        sum
    }

    /// Returns one row, without weight and teacher.
    fn row(&self, row: usize, each: usize) -> Self {
        let range = row * each..(row + 1) * each;
        Self {
            outputs: &self.outputs[range.clone()],
            rows: 1,
            targets: match self.targets {
                Targets::Classes(t) => Targets::Classes(&t[row..=row]),
                Targets::Arrays(t) => Targets::Arrays(&t[range]),
            },
            soft: None,
            weights: &[],
            ..*self
        }
    }

    /// Returns the sum of the loss against the targets.
    fn target_loss(&self, loss: Loss, divisor: f32, gradient: &mut [f32], threads: Threads) -> f64 {
        if self.outputs.is_empty() {
            return 0.0;
        }
        if let Loss::CrossEntropy { label_smoothing } = loss {
            let targets = match self.targets {
                Targets::Classes(t) => softmax::Targets::Classes(t),
                Targets::Arrays(t) => softmax::Targets::Distributions(t),
            };
            let mean = softmax::softmax_cross_entropy(
                gradient,
                self.outputs,
                targets,
                label_smoothing as f32,
                self.width,
                threads.count(),
            );
            let rows = self.rows as f32;
            // The kernel divides by the rows of the batch; several batches may share an update.
            if rows != divisor {
                gradient.iter_mut().for_each(|g| *g *= rows / divisor);
            }
            return f64::from(mean) * f64::from(rows);
        }
        let each = self.outputs.len() / self.rows.max(1);
        let scale = 1.0 / (each as f32 * divisor);
        let classes;
        let targets = match self.targets {
            Targets::Arrays(t) => t,
            Targets::Classes(labels) => {
                classes = one_hot(labels, each);
                &classes
            }
        };
        let sum = |of: &dyn Fn(f32, f32) -> (f32, f32), gradient: &mut [f32]| {
            let mut sum = 0.0;
            for (i, (&y, &t)) in self.outputs.iter().zip(targets).enumerate() {
                let (value, slope) = of(y, t);
                sum += f64::from(value);
                if let Some(g) = gradient.get_mut(i) {
                    *g = slope * scale;
                }
            }
            sum / each as f64
        };
        match loss {
            Loss::MeanSquaredError {} => sum(&|y, t| ((y - t) * (y - t), 2.0 * (y - t)), gradient),
            Loss::MeanAbsoluteError {} => sum(&|y, t| ((y - t).abs(), sign(y - t)), gradient),
            Loss::Huber { delta } => {
                let delta = delta as f32;
                let huber = |y: f32, t: f32| {
                    let off = y - t;
                    if off.abs() <= delta {
                        (0.5 * off * off, off)
                    } else {
                        (delta * (off.abs() - 0.5 * delta), delta * sign(off))
                    }
                };
                sum(&huber, gradient)
            }
            Loss::BinaryCrossEntropy { label_smoothing } | Loss::CrossEntropy { label_smoothing } => {
                let smoothing = label_smoothing as f32;
                let smooth = move |t: f32| t * (1.0 - smoothing) + 0.5 * smoothing;
                match self.head {
                    Head::Values => sum(&|z, t| binary_of_logit(z, smooth(t)), gradient),
                    Head::Probabilities => sum(&|p, t| binary_of_probability(p, smooth(t)), gradient),
                }
            }
        }
    }

    /// Returns the distillation term: `temperature^2` times the divergence of the softened outputs from the teacher's
    /// (Hinton et al., arXiv 1503.02531), summed over rows. Adds its gradient, times the teacher's fraction.
    fn distillation(&self, soft: &Soft<'_>, divisor: f32, gradient: &mut [f32]) -> f64 {
        let each = self.outputs.len() / self.rows.max(1);
        let places = (each / self.width.max(1)) as f32;
        let (mut student, mut teacher) = (vec![0.0; self.width], vec![0.0; self.width]);
        let mut sum = 0.0;
        let rows = self.outputs.chunks_exact(self.width).zip(soft.logits.chunks_exact(self.width));
        for (i, (own, wanted)) in rows.enumerate() {
            let weight = self.weights.get(i * self.width / each).copied().unwrap_or(1.0);
            softened(own, soft.temperature, &mut student);
            softened(wanted, soft.temperature, &mut teacher);
            let mut divergence = 0.0;
            for (&p, &q) in teacher.iter().zip(&student) {
                // Both are log-probabilities; a probability of 0 contributes 0, not 0 times minus infinity.
                let share = p.exp();
                divergence += if share > 0.0 { f64::from(share * (p - q)) } else { 0.0 };
            }
            sum += f64::from(weight * soft.temperature * soft.temperature) * divergence / f64::from(places);
            if let Some(gradient) = gradient.get_mut(i * self.width..(i + 1) * self.width) {
                let scale = soft.share * weight * soft.temperature / (places * divisor);
                for ((g, &p), &q) in gradient.iter_mut().zip(&teacher).zip(&student) {
                    *g += scale * (q.exp() - p.exp());
                }
            }
        }
        sum
    }
}

/// Writes the logarithm of the softmax of `logits / temperature`.
fn softened(logits: &[f32], temperature: f32, out: &mut [f32]) {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b.is_nan() || b > a { b } else { a });
    for (o, &z) in out.iter_mut().zip(logits) {
        *o = (z - top) / temperature;
    }
    let total: f32 = out.iter().map(|z| z.exp()).sum();
    let log = total.ln();
    out.iter_mut().for_each(|z| *z -= log);
}

/// Returns labels as one-hot rows; for a single output the label itself.
fn one_hot(labels: &[u32], width: usize) -> Vec<f32> {
    if width == 1 {
        return labels.iter().map(|&label| label as f32).collect();
    }
    let mut out = vec![0.0; labels.len() * width];
    for (row, &label) in out.chunks_exact_mut(width).zip(labels) {
        if let Some(one) = row.get_mut(label as usize) {
            *one = 1.0;
        }
    }
    out
}

/// Sign with 0 at 0, unlike `f32::signum`; NaN stays NaN.
fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

/// Returns `max(z, 0) - z t + ln(1 + e^-|z|)` and its slope `sigmoid(z) - t`; this form does not overflow.
fn binary_of_logit(z: f32, t: f32) -> (f32, f32) {
    let small = (-z.abs()).exp();
    let sigmoid = if z >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) };
    // A comparison, not `max`, which would turn NaN into 0.
    let above = if z < 0.0 { 0.0 } else { z };
    (above - z * t + small.ln_1p(), sigmoid - t)
}

fn binary_of_probability(p: f32, t: f32) -> (f32, f32) {
    // Keras clips the probability, then adds the bound once more inside the logarithm.
    let kept = p.clamp(EPSILON, 1.0 - EPSILON);
    let (of_one, of_zero) = (kept + EPSILON, 1.0 - kept + EPSILON);
    let value = -(t * of_one.ln() + (1.0 - t) * of_zero.ln());
    let is_inside = (EPSILON..=1.0 - EPSILON).contains(&p);
    let slope = if is_inside { (1.0 - t) / of_zero - t / of_one } else { 0.0 };
    (value, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUTS: [f32; 6] = [0.3, -1.2, 0.8, 0.1, 0.4, -0.5];
    const ARRAYS: [f32; 6] = [0.2, 0.5, 0.3, 0.0, 1.0, 0.0];
    const TEACHER: [f32; 6] = [1.0, 0.0, -1.0, 0.5, 2.0, 0.1];

    fn judged<'a>(outputs: &'a [f32], targets: Targets<'a>, head: Head) -> LossInput<'a> {
        LossInput { outputs, rows: 2, width: 3, head, targets, soft: None, weights: &[] }
    }

    /// The gradient against central differences of the value.
    #[track_caller]
    fn check(loss: Loss, outputs: [f32; 6], make: impl Fn(&[f32; 6]) -> LossInput<'_>) {
        let mut gradient = [0.0; 6];
        let sum = make(&outputs).loss(loss, 4.0, &mut gradient, Threads::ONE);
        assert!((sum - make(&outputs).loss(loss, 1.0, &mut [], Threads::ONE)).abs() < 1e-6);
        for i in 0..6 {
            let value = |step: f32| {
                let mut moved = outputs;
                moved[i] += step;
                make(&moved).loss(loss, 1.0, &mut [], Threads::ONE)
            };
            let expected = (value(1e-2) - value(-1e-2)) / 2e-2 / 4.0;
            assert!(
                (f64::from(gradient[i]) - expected).abs() < 2e-3,
                "{loss:?}: {i}: {gradient:?}, {expected}"
            );
        }
    }

    #[test]
    fn gradients_are_slopes_of_values() {
        let smoothed = [0.0, 0.2];
        for label_smoothing in smoothed {
            for loss in [Loss::CrossEntropy { label_smoothing }, Loss::BinaryCrossEntropy { label_smoothing }]
            {
                check(loss, OUTPUTS, |o| judged(o, Targets::Arrays(&ARRAYS), Head::Values));
                check(loss, OUTPUTS, |o| judged(o, Targets::Classes(&[2, 1]), Head::Values));
                check(loss, OUTPUTS, |o| LossInput {
                    weights: &[0.5, 3.0],
                    soft: Some(Soft { logits: &TEACHER, temperature: 2.0, share: 0.3 }),
                    ..judged(o, Targets::Classes(&[2, 1]), Head::Values)
                });
            }
        }
        let probabilities = [0.2, 0.9, 0.4, 0.5, 0.7, 0.1];
        let binary = Loss::BinaryCrossEntropy { label_smoothing: 0.1 };
        check(binary, probabilities, |o| judged(o, Targets::Arrays(&ARRAYS), Head::Probabilities));
        for loss in [Loss::MeanSquaredError {}, Loss::MeanAbsoluteError {}, Loss::Huber { delta: 0.4 }] {
            check(loss, OUTPUTS, |o| judged(o, Targets::Arrays(&ARRAYS), Head::Values));
            check(loss, OUTPUTS, |o| judged(o, Targets::Classes(&[0, 2]), Head::Values));
        }
    }

    #[test]
    fn golden_losses_are_kerass() {
        // The files made by this project are beside the others, wherever those are looked for.
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let text = std::fs::read_to_string(root.join("losses/losses.json")).expect("a file");
        let file: serde_json::Value = serde_json::from_str(&text).expect("json");
        let floats = |value: &serde_json::Value| -> Vec<f32> {
            serde_json::from_value(value.clone()).expect("numbers")
        };
        let size = |key: &str| file[key].as_u64().expect("a size") as usize;
        let (rows, width) = (size("rows"), size("width"));
        let cases = file["cases"].as_array().expect("cases");
        for case in cases {
            let loss: Loss = serde_json::from_value(case["loss"].clone()).expect("a loss");
            let (outputs, targets, weights) =
                (floats(&case["outputs"]), floats(&case["targets"]), floats(&case["weights"]));
            let head = if case["head"] == "values" { Head::Values } else { Head::Probabilities };
            let judged = LossInput {
                outputs: &outputs,
                rows,
                width,
                head,
                targets: Targets::Arrays(&targets),
                soft: None,
                weights: &weights,
            };
            let mut gradient = vec![0.0; outputs.len()];
            let found = judged.loss(loss, rows as f32, &mut gradient, Threads::ONE) / rows as f64;
            let expected = case["value"].as_f64().expect("a number");
            assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{case}: {found}");
            for (a, b) in gradient.iter().zip(floats(&case["gradient"])) {
                assert!((a - b).abs() < 1e-5 * (1.0 + b.abs()), "{case}: {a} for {b}");
            }
        }
        println!("{} losses met", cases.len());
        assert!(cases.len() >= 24);
    }

    #[test]
    fn values_are_the_formulas() {
        let binary = Loss::BinaryCrossEntropy { label_smoothing: 0.0 };
        let one = |loss, y: f32, t: f32, head| {
            LossInput { rows: 1, width: 1, ..judged(&[y], Targets::Arrays(&[t]), head) }.loss(
                loss,
                1.0,
                &mut [],
                Threads::ONE,
            )
        };
        assert!((one(binary, 0.0, 1.0, Head::Values) - std::f64::consts::LN_2).abs() < 1e-7);
        assert!((one(binary, 0.5, 0.0, Head::Probabilities) - std::f64::consts::LN_2).abs() < 1e-6);
        assert!((one(Loss::Huber { delta: 1.0 }, 3.0, 0.0, Head::Values) - 2.5).abs() < 1e-7);
        assert!((one(Loss::MeanSquaredError {}, 3.0, 1.0, Head::Values) - 4.0).abs() < 1e-7);
        assert!(one(binary, f32::NAN, 1.0, Head::Values).is_nan());
        // A student equal to its teacher has nothing to learn.
        let soft = Some(Soft { logits: &OUTPUTS, temperature: 3.0, share: 1.0 });
        let mut gradient = [1.0; 6];
        let equal = LossInput { soft, ..judged(&OUTPUTS, Targets::Classes(&[0, 1]), Head::Values) };
        let sum = equal.loss(Loss::default(), 2.0, &mut gradient, Threads::ONE);
        assert!(sum.abs() < 1e-6 && gradient.iter().all(|g| g.abs() < 1e-6), "{sum}, {gradient:?}");
    }
}
