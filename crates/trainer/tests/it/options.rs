//! Every option of a configuration has an effect.

use tinsmith_data::{Dataset, Targets};
use tinsmith_foundation::{CancelToken, Grant, Seed};
use tinsmith_layers::{BuildOptions, Model};
use tinsmith_network::ModelSpec;
use tinsmith_trainer::{
    Averaging, Context, Distillation, EarlyStopping, History, Loss, Metric, OptimizerConfig, Result, Rule,
    Schedule, Stopped, TrainConfig, Undisturbed, evaluate, fit,
};

use crate::fitting::{config, digits, spec};

fn train(
    spec: &ModelSpec,
    train: &Dataset,
    validation: Option<&Dataset>,
    config: &TrainConfig,
) -> (Model, History) {
    try_train(spec, train, validation, config).unwrap()
}

fn try_train(
    spec: &ModelSpec,
    train: &Dataset,
    validation: Option<&Dataset>,
    config: &TrainConfig,
) -> Result<(Model, History)> {
    let mut model = Model::build(spec, Seed::new(3), &BuildOptions::default())?;
    let cancel = CancelToken::new();
    let context = Context { seed: Seed::new(4), grant: Grant::ONE, cancel: &cancel };
    let history = fit(&mut model, train, validation, config, &context, &mut Undisturbed)?;
    Ok((model, history))
}

fn weights(model: &Model) -> Vec<f32> {
    model.params().iter().flat_map(|p| p.values().unwrap()).collect()
}

fn network(units: usize, activation: &str) -> ModelSpec {
    let text = format!(
        "layers:\n- {{name: x, input: {{shape: [8, 8, 1]}}}}\n- {{name: f, flatten: {{}}}}\n\
         - {{name: h, dense: {{units: 24, activation: relu}}}}\n\
         - {{name: y, dense: {{units: {units}, activation: {activation}}}}}\n"
    );
    ModelSpec::parse(&text, "network").unwrap()
}

#[test]
fn every_loss_learns_classes() {
    let (data, validation) = digits();
    for (loss, activation) in [
        (Loss::CrossEntropy { label_smoothing: 0.1 }, "softmax"),
        (Loss::BinaryCrossEntropy { label_smoothing: 0.0 }, "sigmoid"),
        (Loss::BinaryCrossEntropy { label_smoothing: 0.1 }, "linear"),
        (Loss::MeanSquaredError {}, "softmax"),
        (Loss::Huber { delta: 0.5 }, "linear"),
    ] {
        let (model, history) =
            train(&network(10, activation), &data, Some(&validation), &TrainConfig { loss, ..config(8) });
        let found = evaluate(&model, &validation, loss, Grant::ONE).unwrap();
        assert_eq!(found.loss, history.epochs[history.kept as usize - 1].val_loss.unwrap());
        let (accuracy, top) = (found.accuracy().unwrap(), found.metric(Metric::TopK { k: 3 }).unwrap());
        assert!(accuracy > 0.7 && top > accuracy, "{loss:?} {activation}: {accuracy}, {top}");
    }
}

#[test]
fn two_classes_need_one_output() {
    let (data, validation) = digits();
    let pair = |data: &Dataset| data.renumbered(&[3, 8]).unwrap();
    let (data, validation) = (pair(&data), pair(&validation));
    let loss = Loss::BinaryCrossEntropy { label_smoothing: 0.0 };
    for activation in ["sigmoid", "linear"] {
        let (model, _) =
            train(&network(1, activation), &data, Some(&validation), &TrainConfig { loss, ..config(8) });
        let accuracy = evaluate(&model, &validation, loss, Grant::ONE).unwrap().accuracy().unwrap();
        assert!(accuracy > 0.9, "{accuracy}");
    }
}

#[test]
fn arrays_are_learned_and_measured() {
    let (data, validation) = digits();
    let own =
        |data: &Dataset| data.clone().reshaped(vec![64]).unwrap().with_targets(Targets::Samples).unwrap();
    let (data, validation) = (own(&data), own(&validation));
    let spec = ModelSpec::parse(
        "layers:\n- {name: x, input: {shape: [64]}}\n- {name: h, dense: {units: 24, activation: relu}}\n\
         - {name: y, dense: {units: 64}}\n",
        "auto-encoder",
    )
    .unwrap();
    let monitor = Metric::Psnr;
    let config = TrainConfig {
        loss: Loss::MeanSquaredError {},
        metrics: vec![Metric::R2, Metric::Psnr],
        early_stopping: EarlyStopping { monitor, ..EarlyStopping::default() },
        ..config(6)
    };
    let (model, history) = train(&spec, &data, Some(&validation), &config);
    let found = evaluate(&model, &validation, config.loss, Grant::ONE).unwrap();
    let (mse, psnr) = (found.metric(Metric::MeanSquaredError).unwrap(), found.metric(Metric::Psnr).unwrap());
    assert!((mse - found.loss).abs() < 1e-6 && mse < 0.08, "{mse}, {}", found.loss);
    assert!((psnr - 10.0 * (1.0 / mse).log10()).abs() < 1e-9, "{psnr}");
    let best = history.epochs.iter().map(|e| e.metrics["psnr"]).fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(best, psnr);
    assert!(history.epochs[0].metrics["r2"] < history.epochs[5].metrics["r2"]);
    let absolute = TrainConfig { loss: Loss::MeanAbsoluteError {}, metrics: Vec::new(), ..config.clone() };
    let (model, history) = train(&spec, &data, Some(&validation), &absolute);
    let found = evaluate(&model, &validation, absolute.loss, Grant::ONE).unwrap();
    assert!((found.loss - found.metric(Metric::MeanAbsoluteError).unwrap()).abs() < 1e-6);
    assert!(found.loss < 0.7 * history.epochs[0].loss, "{history:?}");
    let error = try_train(
        &spec,
        &data,
        Some(&validation),
        &TrainConfig {
            early_stopping: EarlyStopping { monitor: Metric::Accuracy, ..config.early_stopping },
            ..config
        },
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.starts_with(
            "the metric `accuracy` does not apply to the data set `digits8x8`: its targets are arrays"
        ),
        "{error}"
    );
}

#[test]
fn gradients_add_up_to_those_of_a_larger_batch() {
    let (data, _) = digits();
    let rule = Rule::Sgd { momentum: 0.9, nesterov: false };
    let optimizer = OptimizerConfig { rule, learning_rate: 0.05, ..OptimizerConfig::default() };
    let base = TrainConfig { optimizer, ..config(2) };
    let large = TrainConfig { batch_size: 40, ..base.clone() };
    let (large, _) = train(&spec(), &data, None, &large);
    let (small, _) = train(&spec(), &data, None, &TrainConfig { batch_size: 8, accumulate: 5, ..base });
    for (a, b) in weights(&large).iter().zip(weights(&small)) {
        assert!((a - b).abs() < 1e-5, "{a} for {b}");
    }
}

#[test]
fn a_teacher_is_learned_from() {
    let (data, validation) = digits();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("teacher.safetensors");
    let (teacher, _) = train(&spec(), &data, Some(&validation), &config(12));
    teacher.save_weights(&path, &std::collections::BTreeMap::new()).unwrap();
    let teacher_text = path.display().to_string();
    let taught = |share| {
        let distillation = Distillation { teacher: teacher_text.clone(), share, ..Distillation::default() };
        TrainConfig { distillation, ..config(4) }
    };
    // The labels are constant, so everything learned comes from the teacher.
    let useless = |data: &Dataset| {
        let names = data.class_names().to_vec().into();
        data.clone().with_targets(Targets::Labels { labels: vec![0; data.len()].into(), names }).unwrap()
    };
    let (student, _) = train(&spec(), &useless(&data), None, &taught(1.0));
    let accuracy = evaluate(&student, &validation, Loss::default(), Grant::ONE).unwrap().accuracy().unwrap();
    assert!(accuracy > 0.7, "{accuracy}");
    // A teacher with fraction 0 has no effect.
    let (alone, _) = train(&spec(), &data, None, &taught(0.0));
    let (plain, _) = train(&spec(), &data, None, &config(4));
    assert_eq!(weights(&alone), weights(&plain));
    let error = try_train(
        &network(9, "linear"),
        &data.renumbered(&[0, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap(),
        None,
        &taught(0.5),
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("maps [[8, 8, 1]] to [[10]], the network [[8, 8, 1]] to [[9]]"), "{error}");
}

#[test]
fn classes_and_connections_and_penalties_have_their_weight() {
    let (data, validation) = digits();
    let recall = |config: &TrainConfig| {
        let (model, _) = train(&spec(), &data, None, config);
        let found = evaluate(&model, &validation, config.loss, Grant::ONE).unwrap();
        (found.confusion.unwrap().per_class()[8].recall, weights(&model))
    };
    let (plain, own) = recall(&config(2));
    let mut class_weights = vec![1.0; 10];
    class_weights[8] = 20.0;
    let (heavy, _) = recall(&TrainConfig { class_weights: class_weights.clone(), ..config(2) });
    assert!(heavy > plain, "{heavy}, {plain}");
    class_weights[8] = 1.0;
    let (_, same) = recall(&TrainConfig { class_weights, ..config(2) });
    assert!(own.iter().zip(&same).all(|(a, b)| (a - b).abs() < 1e-4));
    let (_, dropped) = recall(&TrainConfig { drop_connect: 0.3, ..config(2) });
    assert_ne!(own, dropped);
    let error = try_train(&spec(), &data, None, &TrainConfig { class_weights: vec![1.0; 3], ..config(1) });
    assert_eq!(
        error.unwrap_err().to_string(),
        "training configuration: `class_weights` has 3 weights, want 10: one for each class"
    );
    let size = |l1, l2| {
        let mut config = config(3);
        (config.optimizer.l1, config.optimizer.l2) = (l1, l2);
        recall(&config).1.iter().map(|w| w.abs()).sum::<f32>()
    };
    let plain = size(0.0, 0.0);
    assert!(size(1e-2, 0.0) < 0.7 * plain && size(0.0, 1e-2) < 0.9 * plain);
}

#[test]
fn means_of_weights_come_out() {
    let (data, validation) = digits();
    let plain = train(&spec(), &data, None, &config(4)).0;
    for averaging in [Averaging::Exponential { decay: 0.9 }, Averaging::Epochs { from: 0.5 }] {
        let mean = train(&spec(), &data, None, &TrainConfig { averaging, ..config(4) }).0;
        assert_ne!(weights(&mean), weights(&plain));
        let watched = train(&spec(), &data, Some(&validation), &TrainConfig { averaging, ..config(4) }).1;
        assert!(watched.epochs[3].val_accuracy.unwrap() > 0.7, "{watched:?}");
    }
    // The average over one epoch is the weights at its end.
    let last = TrainConfig { averaging: Averaging::Epochs { from: 0.75 }, ..config(4) };
    assert_eq!(weights(&train(&spec(), &data, None, &last).0), weights(&plain));
}

#[test]
fn a_plateau_lowers_the_rate_and_patience_ends_the_training() {
    let (data, validation) = digits();
    let schedule = Schedule::Plateau { factor: 0.5, patience: 2, min_delta: 1e9, floor: 0.2 };
    let (_, history) = train(&spec(), &data, Some(&validation), &TrainConfig { schedule, ..config(9) });
    let rates: Vec<f64> = history.epochs.iter().map(|e| e.learning_rate / 0.005).collect();
    assert_eq!(rates, [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2]);
    let early_stopping = EarlyStopping { patience: 3, min_delta: 1e9, ..EarlyStopping::default() };
    for validation in [Some(&validation), None] {
        let config = TrainConfig { early_stopping, ..config(9) };
        let history = train(&spec(), &data, validation, &config).1;
        assert_eq!((history.epochs.len(), history.stopped), (4, Stopped::Early));
        assert_eq!(history.kept, if validation.is_some() { 1 } else { 4 });
    }
}

#[test]
fn an_epoch_can_be_a_part_of_the_rows() {
    let (data, _) = digits();
    let part = TrainConfig { epoch_samples: 40, ..config(1) };
    let (few, _) = train(&spec(), &data, None, &part);
    // Two batches: of 32 and of 8 rows.
    let (all, _) = train(&spec(), &data, None, &TrainConfig { epoch_samples: data.len(), ..config(1) });
    let (plain, _) = train(&spec(), &data, None, &config(1));
    assert_eq!(weights(&all), weights(&plain));
    assert_ne!(weights(&few), weights(&plain));
}

#[test]
fn an_epoch_of_more_rows_than_there_are_has_several_passes() {
    let (data, _) = digits();
    let rows = 2 * data.len() + 10;
    let config = TrainConfig { epoch_samples: rows, ..config(1) };
    let (twice, _) = train(&spec(), &data, None, &config);
    let (once, _) = train(&spec(), &data, None, &TrainConfig { epoch_samples: 0, ..config });
    assert_ne!(weights(&twice), weights(&once));
    let mut batches =
        data.batches(32, Seed::new(1), 0, &tinsmith_data::Augment::default()).unwrap().taking(rows);
    let mut seen = vec![0; data.len()];
    let mut order = Vec::new();
    while let Some(batch) = batches.next_batch() {
        batch.rows.iter().for_each(|&row| seen[row] += 1);
        order.extend_from_slice(batch.rows);
    }
    assert_eq!(order.len(), rows);
    assert!(seen.iter().all(|&n| n == 2 || n == 3), "{seen:?}");
    assert_ne!(order[..data.len()], order[data.len()..2 * data.len()], "every pass has an order of its own");
    // A resumed epoch sees the same rows, also in a later pass.
    let mut rest = data
        .batches(32, Seed::new(1), 0, &tinsmith_data::Augment::default())
        .unwrap()
        .taking(rows)
        .starting_at(20);
    assert_eq!(rest.next_batch().unwrap().rows, &order[20 * 32..21 * 32]);
}

/// The digits with one real number to predict: the mean of the image, times a factor.
fn real_valued(factor: f32) -> Dataset {
    let (data, _) = digits();
    let values: Vec<f32> =
        (0..data.len()).map(|i| factor * data.sample(i).iter().sum::<f32>() / 64.0).collect();
    // Targets follow the storage, so the rows are copied into a data set of their own.
    let samples: Vec<f32> = (0..data.len()).flat_map(|i| data.sample(i).to_vec()).collect();
    let targets = Targets::Arrays { shape: vec![1], values: values.into() };
    Dataset::new("real", vec![8, 8, 1], samples, targets).unwrap()
}

#[test]
fn a_loss_that_does_not_fit_the_targets_is_refused() {
    let data = real_valued(10.0);
    let refused = |network: &ModelSpec, config: &TrainConfig| {
        try_train(network, &data, None, config).unwrap_err().to_string()
    };
    let error = refused(&network(1, "linear"), &config(1));
    assert!(
        error.starts_with("the loss `cross_entropy` does not fit: the targets of `real` are arrays"),
        "{error}"
    );
    assert!(
        error.contains("the network puts out [1]") && error.contains("want `mean_squared_error"),
        "{error}"
    );
    let binary = TrainConfig { loss: Loss::BinaryCrossEntropy { label_smoothing: 0.0 }, ..config(1) };
    assert!(refused(&network(1, "sigmoid"), &binary).contains("want `mean_squared_error"));
    let squared = TrainConfig { loss: Loss::for_targets(&data), ..config(1) };
    assert_eq!(squared.loss, Loss::MeanSquaredError {});
    assert!(refused(&network(1, "sigmoid"), &squared).contains("want a head that reaches these values"));
    let metric = TrainConfig { metrics: vec![Metric::F1Macro], ..squared.clone() };
    let error = refused(&network(1, "linear"), &metric);
    assert!(error.contains("`f1_macro` does not apply to the data set `real`"), "{error}");
    try_train(&network(1, "linear"), &data, None, &squared).unwrap();
    // Classes: the default, and metrics of arrays are refused.
    let (digits, _) = digits();
    assert_eq!(TrainConfig::for_data(&digits), TrainConfig::default());
    let metric = TrainConfig { metrics: vec![Metric::R2], ..config(1) };
    let error = try_train(&spec(), &digits, None, &metric).unwrap_err().to_string();
    assert!(error.contains("its targets are classes; want accuracy"), "{error}");
}

/// A network with learned steps, clips and bit widths.
const LEARNED: &str = "
layers:
  - {name: x, input: {shape: [8, 8, 1]}}
  - {name: c, conv2d: {filters: 6, kernel: 3, stride: 2, kernel_quantizer: 'learned_step(4,axis=-1)', activation: 'pact(4,0.5)'}}
  - {name: f, flatten: {}}
  - {name: h, dense: {units: 24, kernel_quantizer: learned_bits(5.0), activation: 'learned_step(4,signed=False)'}}
  - {name: y, dense: {units: 10, kernel_quantizer: learned_step(4), activation: softmax}}
";

#[test]
fn learned_quantizers_are_trained_by_both_engines() {
    let (data, validation) = digits();
    let spec = ModelSpec::parse(LEARNED, "network").unwrap();
    let before = Model::build(&spec, Seed::new(3), &BuildOptions::default()).unwrap();
    for drop_connect in [0.0, 0.01] {
        // Dropped connections run on candle's graph.
        let config = TrainConfig { drop_connect, ..config(8) };
        let (model, history) = train(&spec, &data, Some(&validation), &config);
        let losses: Vec<f64> = history.epochs.iter().map(|e| e.loss).collect();
        assert!(losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");
        let found = evaluate(&model, &validation, config.loss, Grant::ONE).unwrap();
        assert!(found.accuracy().unwrap() > 0.8, "{:?}", found.accuracy());
        for name in [
            "c.kernel_step",
            "c.activation_upper",
            "h.kernel_fractional_bits",
            "h.activation_step",
            "y.kernel_step",
        ] {
            let values = |model: &Model| model.params().get(name).unwrap().values().unwrap();
            assert_ne!(values(&model), values(&before), "{name}");
            assert!(values(&model).iter().all(|v| v.is_finite()), "{name}");
        }
    }
}

/// Activations a hundred times as large as a standard normal variable: small initial steps clip nearly all of them.
#[test]
fn learned_steps_begin_by_the_first_batch_whatever_its_scale() {
    let (data, _) = digits();
    let spec = ModelSpec::parse(
        "
layers:
  - {name: x, input: {shape: [8, 8, 1]}}
  - {name: f, flatten: {}}
  - {name: h, dense: {units: 16, kernel_initializer: {random_normal: 20.0}, activation: 'learned_step(4,signed=False)'}}
  - {name: y, dense: {units: 10, activation: softmax}}
",
        "network",
    )
    .unwrap();
    // The learning rate is tiny, so the steps keep their initial values.
    let mut config = config(1);
    config.optimizer.learning_rate = 1e-9;
    for drop_connect in [0.0, 1e-9] {
        let (model, _) = train(&spec, &data, None, &TrainConfig { drop_connect, ..config.clone() });
        let step = model.params().get("h.activation_step").unwrap().values().unwrap()[0];
        let start = Model::build(&spec, Seed::new(3), &BuildOptions::default()).unwrap();
        let assumed = start.params().get("h.activation_step").unwrap().values().unwrap()[0];
        assert!(step > 10.0 * assumed, "{step}, assumed {assumed}");
        // A calibrated network keeps its steps when it is trained further.
        let mut again = model;
        let cancel = CancelToken::new();
        let context = Context { seed: Seed::new(9), grant: Grant::ONE, cancel: &cancel };
        let config = TrainConfig { drop_connect, ..config.clone() };
        fit(&mut again, &data, None, &config, &context, &mut Undisturbed).unwrap();
        let kept = again.params().get("h.activation_step").unwrap().values().unwrap()[0];
        assert!((kept / step - 1.0).abs() < 1e-4, "{kept} after {step}");
    }
}

#[test]
fn a_price_on_bit_operations_narrows_learned_widths_in_both_engines() {
    let (data, validation) = digits();
    let spec = ModelSpec::parse(LEARNED, "network").unwrap();
    for drop_connect in [0.0, 0.01] {
        let bits = |ebops: f64| {
            let (model, _) =
                train(&spec, &data, Some(&validation), &TrainConfig { drop_connect, ebops, ..config(8) });
            let accuracy =
                evaluate(&model, &validation, Loss::default(), Grant::ONE).unwrap().accuracy().unwrap();
            assert!(accuracy > 0.7, "{ebops}: {accuracy}");
            model.facts().unwrap().layer("h").unwrap().facts[0].total_bits.unwrap()
        };
        let (free, dear) = (bits(0.0), bits(1e-3));
        assert!(dear < free * 9 / 10, "{dear} bits with a price, {free} without");
    }
    let fault = TrainConfig { ebops: -1.0, ..config(1) }.validate().unwrap_err().to_string();
    assert!(fault.contains("`ebops` is -1, want 0 or more"), "{fault}");
}
