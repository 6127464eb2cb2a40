//! The training loop: one for plain, quantized and masked models.

mod session;

use tinsmith_data::Dataset;
use tinsmith_layers::Model;

use self::session::Session;
use crate::callback::Callback;
use crate::checkpoint::Checkpoints;
use crate::compatibility::check_compatibility;
use crate::config::TrainConfig;
use crate::context::Context;
use crate::error::Result;
use crate::history::History;

/// Trains `model` on `train` and validates on `validation`. `callback` observes, and may change, the model around
/// each epoch.
///
/// With `restore_best` and a validation split the model ends with the weights of the best epoch by
/// `early_stopping.monitor`, among the epochs that the callback lets count; otherwise with the last weights.
///
/// # Errors
/// [`TrainError`](crate::TrainError), before the first step: `TrainError::Config`, `TrainError::Empty`, and `TrainError::Mismatch`,
/// `TrainError::LossMismatch` or `TrainError::NoMetric` if model, data, loss and metrics do not fit together.
/// During training: `TrainError::NonFinite` and `TrainError::Cancelled`; the model then has the weights of the
/// last complete epoch, or its initial ones.
pub fn fit(
    model: &mut Model,
    train: &Dataset,
    validation: Option<&Dataset>,
    config: &TrainConfig,
    context: &Context<'_>,
    callback: &mut dyn Callback,
) -> Result<History> {
    fit_resumable(model, train, validation, config, context, callback, None)
}

/// Trains as [`fit`] with checkpoints. If the file exists, the training resumes from it, also within an epoch, and
/// ends with the same weights and history, byte for byte. The caller removes the file once the result is safe
/// ([`Checkpoints::clear`]).
///
/// # Errors
/// As [`fit`]; `TrainError::Checkpoint` if the checkpoint belongs to another training; `TrainError::Malformed`
/// and `TrainError::Tensor` if it is damaged or cannot be read or written. A cancelled training has written one.
pub fn fit_resumable(
    model: &mut Model,
    train: &Dataset,
    validation: Option<&Dataset>,
    config: &TrainConfig,
    context: &Context<'_>,
    callback: &mut dyn Callback,
    checkpoints: Option<&Checkpoints>,
) -> Result<History> {
    config.validate()?;
    check_compatibility(model, train, validation, config)?;
    Session::new(model, train, validation, config, context)?.run(callback, checkpoints)
}
