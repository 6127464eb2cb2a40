//! Predictions of a trained network, row by row, as CSV.

use std::path::PathBuf;

use tinsmith_trainer::{Loss, predict_classes, predict_values};

use crate::bench::Session;
use crate::error::Result;
use crate::stage::inference::{InferenceInput, Loaded};

/// Predictions of a trained network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predictions {
    /// A CSV table with a header.
    pub csv: String,
    /// Number of rows.
    pub rows: usize,
    /// File of the normalization; none if the samples were used as they are.
    pub normalizer: Option<PathBuf>,
}

/// Predicts every row and returns a CSV table with a header. Rows are numbered from 0 within the part.
///
/// - Classes: `row,prediction,probability,target`, with the names of the classes.
/// - Values: `row,prediction,target`; for several values `prediction_0`, `target_0` and so on. Values of an autoencoder are
///   normalized ones.
///
/// Targets are left out if the data are read without them (`targets: samples` for a network of other outputs).
///
/// # Errors
/// As [`evaluate_network`](crate::evaluate_network).
pub fn predict_rows(input: &InferenceInput, session: &Session<'_>) -> Result<Predictions> {
    let loaded = input.load(session)?;
    let has_labels = loaded.data.labels().is_some();
    let without_targets = !loaded.has_targets
        && (loaded.classes.is_some()
            || matches!(loaded.loss, Loss::CrossEntropy { .. } | Loss::BinaryCrossEntropy { .. }));
    let csv = if has_labels || without_targets { classes(&loaded)? } else { values(&loaded)? };
    Ok(Predictions { csv, rows: loaded.data.len(), normalizer: loaded.normalizer })
}

fn classes(loaded: &Loaded) -> Result<String> {
    let names = loaded.classes.as_deref().unwrap_or_else(|| loaded.data.class_names());
    let name = |class: usize| names.get(class).map_or_else(|| class.to_string(), |name| quoted(name));
    let labels = loaded.data.labels();
    let mut text =
        header(["row", "prediction", "probability"].map(str::to_owned), labels.map(|_| "target".to_owned()));
    for (row, found) in predict_classes(&loaded.model, &loaded.data, loaded.loss)?.into_iter().enumerate() {
        text += &format!("{row},{},{:.6}", name(found.class), found.probability);
        if let Some(labels) = labels {
            text += &format!(",{}", name(labels[row] as usize));
        }
        text.push('\n');
    }
    Ok(text)
}

fn values(loaded: &Loaded) -> Result<String> {
    let outputs = predict_values(&loaded.model, &loaded.data)?;
    let width = (outputs.len() / loaded.data.len().max(1)).max(1);
    let columns = |name: &str| -> Vec<String> {
        if width == 1 { vec![name.to_owned()] } else { (0..width).map(|i| format!("{name}_{i}")).collect() }
    };
    let targets = if loaded.has_targets { columns("target") } else { Vec::new() };
    let mut text = header(std::iter::once("row".to_owned()).chain(columns("prediction")), targets);
    for (row, found) in outputs.chunks_exact(width).enumerate() {
        let targets = if loaded.has_targets { loaded.data.target(row) } else { &[] };
        let cells = found.iter().chain(targets).map(|value| format!(",{value}"));
        text += &format!("{row}{}\n", cells.collect::<String>());
    }
    Ok(text)
}

fn header(first: impl IntoIterator<Item = String>, then: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = first.into_iter().chain(then).collect();
    names.join(",") + "\n"
}

/// Quotes a cell that a reader of CSV would take apart.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_separators_are_quoted() {
        assert_eq!((quoted("plain").as_str(), quoted("a, \"b\"").as_str()), ("plain", "\"a, \"\"b\"\"\""));
    }
}
