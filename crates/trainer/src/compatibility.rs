//! Checks before the first step that model, data, loss and metrics fit together.

use tinsmith_data::Dataset;
use tinsmith_foundation::Faults;
use tinsmith_layers::Model;
use tinsmith_network::Activation;

use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::loss::Loss;
use crate::metric::{Applies, Metric};
use crate::targets::{are_distributions, final_activation};

/// Batches up to this size are laid out in full, even if the data have fewer rows.
pub(crate) const LARGE_BATCH: usize = 4096;

/// Largest overshoot of a target over the range of the head.
const RANGE_TOLERANCE: f32 = 1e-3;

/// Checks that a training can start: shapes, loss, metrics and class weights fit the model and the data.
///
/// [`fit`](crate::fit) calls it before the first step. Call it earlier to refuse a network before its training is queued.
///
/// # Errors
/// [`TrainError::Empty`], [`TrainError::Mismatch`], [`TrainError::LossMismatch`], [`TrainError::NoMetric`] and
/// [`TrainError::Config`].
pub fn check_compatibility(
    model: &Model,
    train: &Dataset,
    validation: Option<&Dataset>,
    config: &TrainConfig,
) -> Result<()> {
    for data in std::iter::once(train).chain(validation) {
        check_shapes(model, data, config.loss)?;
    }
    // Only the training split is checked by value: held-out rows may lie slightly outside the range that a normalizer
    // was fitted to.
    check_loss(model, train, config.loss)?;
    for metric in config.metrics.iter().chain([&config.early_stopping.monitor]) {
        check_metric(model, train, *metric)?;
    }
    check_batch_size(train, config)?;
    check_class_weights(train, config)
}

fn output_shape(model: &Model) -> &[usize] {
    let graph = model.graph();
    graph.outputs.first().map_or(&[][..], |&i| graph.shape(i))
}

fn check_shapes(model: &Model, data: &Dataset, loss: Loss) -> Result<()> {
    if data.is_empty() {
        return Err(TrainError::Empty { data: data.name().to_owned(), purpose: "training" });
    }
    let mismatch = |what, network: &[usize], found: Vec<usize>| TrainError::Mismatch {
        what,
        network: network.to_vec(),
        data: data.name().to_owned(),
        found,
    };
    let graph = model.graph();
    let input = graph.inputs.first().map_or(&[][..], |&i| graph.shape(i));
    if input != data.sample_shape() {
        return Err(mismatch("takes samples of shape", input, data.sample_shape().to_vec()));
    }
    let (output, wanted) = (output_shape(model), data.target_shape());
    // One probability is enough for two classes.
    let binary = matches!(loss, Loss::BinaryCrossEntropy { .. }) && data.class_count() == 2 && output == [1];
    if output != wanted && !binary {
        return Err(mismatch("puts out", output, wanted));
    }
    Ok(())
}

fn check_loss(model: &Model, data: &Dataset, loss: Loss) -> Result<()> {
    let output = output_shape(model);
    let width = output.last().copied().unwrap_or(1);
    let activation = final_activation(model).unwrap_or(&Activation::Linear);
    let refuse = |targets: String, wanted: &'static str| {
        Err(TrainError::LossMismatch {
            loss: loss.name(),
            data: data.name().to_owned(),
            targets,
            output: format!("{output:?} with activation {activation}"),
            wanted,
        })
    };
    let values = "`mean_squared_error: {}`, `mean_absolute_error: {}` or `huber: {}`";
    if data.labels().is_some() {
        let is_constant = matches!(loss, Loss::CrossEntropy { .. }) && width < 2;
        return match is_constant {
            true => refuse("labels of one class".to_owned(), "data with at least two classes"),
            false => Ok(()),
        };
    }
    let (low, high) = target_range(data);
    let described = format!("arrays with values from {low:?} to {high:?}");
    match loss {
        Loss::CrossEntropy { .. } if !are_distributions(data) => refuse(described, values),
        Loss::BinaryCrossEntropy { .. } if low < -RANGE_TOLERANCE || high > 1.0 + RANGE_TOLERANCE => {
            refuse(described, values)
        }
        Loss::CrossEntropy { .. } | Loss::BinaryCrossEntropy { .. } => Ok(()),
        Loss::MeanSquaredError {} | Loss::MeanAbsoluteError {} | Loss::Huber { .. } => {
            let is_constant = matches!(activation, Activation::Softmax) && width < 2;
            let (least, most) = match activation {
                Activation::Softmax | Activation::Sigmoid | Activation::HardSigmoid => (0.0, 1.0),
                Activation::Tanh => (-1.0, 1.0),
                _ => (f32::NEG_INFINITY, f32::INFINITY),
            };
            let is_out_of_range = low < least - RANGE_TOLERANCE || high > most + RANGE_TOLERANCE;
            if is_constant || is_out_of_range {
                return refuse(described, "a head that reaches these values, such as a linear one");
            }
            Ok(())
        }
    }
}

/// Smallest and largest element of the target arrays.
fn target_range(data: &Dataset) -> (f32, f32) {
    (0..data.len())
        .flat_map(|row| data.target(row))
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &t| (low.min(t), high.max(t)))
}

fn check_metric(model: &Model, data: &Dataset, metric: Metric) -> Result<()> {
    let has_classes = data.labels().is_some();
    let reason = match metric.applies_to() {
        Applies::Classes if !has_classes => {
            "its targets are arrays; want mean_absolute_error, mean_squared_error, r2, psnr or loss"
        }
        Applies::Arrays if has_classes => {
            "its targets are classes; want accuracy, top_k, precision, recall, f1 or loss"
        }
        _ if matches!(metric, Metric::TopK { .. }) && output_shape(model) == [1] => {
            "the network has one output, so there are no scores to rank; want accuracy"
        }
        _ => return Ok(()),
    };
    Err(TrainError::NoMetric { metric: metric.name(), data: data.name().to_owned(), reason })
}

/// Refuses batches of more rows than the data set has, beyond a size that is always affordable: memory must follow the
/// data, not a number in a configuration.
fn check_batch_size(train: &Dataset, config: &TrainConfig) -> Result<()> {
    let most = train.len().max(LARGE_BATCH);
    if config.batch_size.min(config.epoch_samples) <= most {
        return Ok(());
    }
    let mut faults = Faults::new();
    faults.add("batch_size", format!("is {}, want at most {most} for this data set", config.batch_size));
    Ok(faults.into_result("training configuration")?)
}

fn check_class_weights(train: &Dataset, config: &TrainConfig) -> Result<()> {
    let (count, classes) = (config.class_weights.len(), train.class_count());
    if count == 0 || count == classes {
        return Ok(());
    }
    let mut faults = Faults::new();
    faults.add("class_weights", format!("has {count} weights, want {classes}: one for each class"));
    Ok(faults.into_result("training configuration")?)
}
