//! What a run writes while it is under way: lines for programs, events for TensorBoard.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tinsmith_foundation::{FoundationError, files};
use tinsmith_layers::Model;
use tinsmith_study::{Decision, ParamValue};
use tinsmith_tensorboard::{EventWriter, SessionStatus};

use super::Plan;
use crate::callback::Callback;
use crate::error::{Result, TrainError};
use crate::fit::Epoch;

/// Writes each epoch as it ends.
pub(super) struct EpochLog {
    path: PathBuf,
    lines: files::LineLog,
    /// Lines so far.
    count: usize,
    events: EventWriter,
}

impl EpochLog {
    /// Opens both logs: anew, or, where the run `goes_on` from a checkpoint, behind what they have.
    pub(super) fn open(folder: &Path, plan: &Plan, goes_on: bool) -> Result<Self> {
        let path = folder.join("metrics.jsonl");
        if !goes_on {
            files::write_atomic(&path, b"")?;
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            for entry in entries.filter(|e| e.file_name().to_string_lossy().contains("tfevents")) {
                super::remove(&entry.path())?;
            }
        }
        let (lines, found) = files::LineLog::open(&path)?;
        let mut events = EventWriter::create(folder)?;
        let hyper = hyper_parameters(plan)?;
        events.session_start(hyper.iter().map(|(name, value)| (name.as_str(), value)), "")?;
        events.flush()?;
        Ok(Self { path, lines, count: found.len(), events })
    }

    /// Says how the run ended.
    pub(super) fn end(&mut self, status: SessionStatus) -> Result<()> {
        self.events.session_end(status)?;
        Ok(self.events.flush()?)
    }

    fn malformed(&self, wanted: &'static str, reason: String) -> TrainError {
        TrainError::Malformed { path: self.path.clone(), wanted, reason }
    }
}

impl Callback for EpochLog {
    fn after_epoch(&mut self, model: &mut Model, epoch: &Epoch) -> Result<Decision> {
        let line = serde_json::to_string(epoch).map_err(|e| self.malformed("a line", e.to_string()))?;
        self.lines.append(&[line])?;
        self.count += 1;
        let step = i64::from(epoch.epoch);
        let mut scalars =
            vec![("loss".to_owned(), epoch.loss), ("learning_rate".to_owned(), epoch.learning_rate)];
        scalars.extend(epoch.val_loss.map(|value| ("val_loss".to_owned(), value)));
        scalars.extend(epoch.val_accuracy.map(|value| ("val_accuracy".to_owned(), value)));
        scalars.extend(epoch.metrics.iter().map(|(name, value)| (format!("val_{name}"), *value)));
        for (tag, value) in scalars {
            self.events.scalar(&tag, step, value)?;
        }
        for param in model.params() {
            let values: Vec<f64> = param.values()?.into_iter().map(f64::from).collect();
            self.events.histogram(&param.name().replace('.', "/"), step, &values)?;
        }
        self.events.flush()?;
        Ok(Decision::Continue)
    }

    fn state(&self) -> Value {
        self.count.into()
    }

    /// Takes back the lines of epochs after the checkpoint.
    fn restore(&mut self, state: &Value) -> Result<()> {
        let wanted = state.as_u64().unwrap_or(0) as usize;
        let (_, lines) = files::LineLog::open(&self.path)?;
        if lines.len() < wanted {
            let reason = format!("it has {} lines, the checkpoint knows of {wanted}", lines.len());
            return Err(self.malformed("the log of this run", reason));
        }
        let text: String = lines[..wanted].iter().map(|line| format!("{line}\n")).collect();
        files::write_atomic(&self.path, text.as_bytes()).map_err(|error: FoundationError| error)?;
        self.lines = files::LineLog::open(&self.path)?.0;
        self.count = wanted;
        Ok(())
    }
}

/// Configuration, seed and attributes of a run under dotted names, each a number, a truth value or a text.
fn hyper_parameters(plan: &Plan) -> Result<BTreeMap<String, ParamValue>> {
    let config = serde_json::to_value(&plan.config).map_err(|e| TrainError::Malformed {
        path: PathBuf::from("run.yaml"),
        wanted: "a configuration",
        reason: e.to_string(),
    })?;
    let mut found = BTreeMap::new();
    flatten("", &config, &mut found);
    for (name, value) in &plan.attributes {
        flatten(name, value, &mut found);
    }
    found.insert("network".to_owned(), ParamValue::Str(plan.spec.name.clone()));
    // As text: 64 bits do not fit the plug-in's numbers.
    found.insert("seed".to_owned(), ParamValue::Str(plan.seed.value().to_string()));
    Ok(found)
}

fn flatten(name: &str, value: &Value, out: &mut BTreeMap<String, ParamValue>) {
    let value = match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, out);
            }
            return;
        }
        Value::Bool(value) => ParamValue::Bool(*value),
        Value::Number(value) => ParamValue::Float(value.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => ParamValue::Str(text.clone()),
        Value::Null | Value::Array(_) => ParamValue::Str(value.to_string()),
    };
    out.insert(name.to_owned(), value);
}
