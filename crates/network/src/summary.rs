//! Summary table of a network, like Keras' `summary()`.

use std::fmt;

use crate::error::Result;
use crate::graph::Graph;
use crate::model::ModelSpec;
use crate::op::Op;

/// Table of a network's layers. Displays as text as wide as its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    name: String,
    columns: Vec<Column>,
    trainable: usize,
    fixed: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    title: String,
    is_number: bool,
    cells: Vec<String>,
}

impl ModelSpec {
    /// Returns a table of the layers: name and kind, output shape, parameters and inputs.
    ///
    /// # Errors
    /// [`crate::NetworkError::Invalid`] if the specification is no network.
    pub fn summary(&self) -> Result<Summary> {
        let graph = self.graph()?;
        let (mut trainable, mut fixed) = (0, 0);
        let mut params = Vec::with_capacity(self.layers.len());
        for (layer, node) in self.layers.iter().zip(&graph.nodes) {
            let input = node.inputs.first().map_or(&[][..], |&i| graph.shape(i));
            let mut own = 0;
            for weight in layer.op.weights(input) {
                own += weight.len();
                *(if weight.role.is_trainable() { &mut trainable } else { &mut fixed }) += weight.len();
            }
            params.push(thousands(own));
        }
        let text = |title: &str, cells| Column { title: title.to_owned(), is_number: false, cells };
        let layers = self.layers.iter().map(|layer| format!("{} ({})", layer.name, kind(&layer.op)));
        let shapes = graph.nodes.iter().map(|node| format!("{:?}", node.shape));
        let columns = vec![
            text("Layer (kind)", layers.collect()),
            text("Output shape", shapes.collect()),
            Column { title: "Params".to_owned(), is_number: true, cells: params },
            text("Connected to", connections(self, &graph)),
        ];
        Ok(Summary { name: self.name.clone(), columns, trainable, fixed })
    }
}

/// Kind of the layer, or function of an activation layer.
fn kind(op: &Op) -> String {
    match op {
        Op::Activation(activation) => activation.to_string(),
        other => other.name().to_owned(),
    }
}

impl Op {
    /// Kind with window size and activation in a few words: `conv2d 3×3, relu`; an activation layer is its function.
    #[must_use]
    pub fn description(&self) -> String {
        if let (true, Some(activation)) = (self.is_activation(), self.activation()) {
            return activation.name().to_owned();
        }
        let window = self.product().map(|product| (product.spatial_axes, product.window.size));
        let window =
            window.or_else(|| self.pooling().and_then(|pool| Some((pool.spatial_axes, pool.window?.size))));
        let size = match window {
            None | Some((0, _)) => String::new(),
            Some((1, size)) => format!(" {}", size.width),
            Some((_, size)) => format!(" {}×{}", size.height, size.width),
        };
        let activation = self.activation().filter(|a| self.product().is_some() && !a.is_linear());
        let activation = activation.map_or_else(String::new, |a| format!(", {}", a.name()));
        format!("{}{size}{activation}", self.name())
    }
}

fn connections(spec: &ModelSpec, graph: &Graph) -> Vec<String> {
    let names = |inputs: &[usize]| {
        let names: Vec<&str> = inputs.iter().map(|&i| spec.layers[i].name.as_str()).collect();
        names.join(", ")
    };
    graph.nodes.iter().map(|node| names(&node.inputs)).collect()
}

impl Summary {
    /// Returns the table with a further numeric column before the last, for example the cost of each layer: a title and
    /// one cell per layer, in the order of declaration. Missing cells are empty.
    #[must_use]
    pub fn with_column<S: Into<String>>(
        mut self,
        title: impl Into<String>,
        cells: impl IntoIterator<Item = S>,
    ) -> Self {
        let rows = self.columns.first().map_or(0, |column| column.cells.len());
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).take(rows).collect();
        cells.resize(rows, String::new());
        let last = self.columns.len().saturating_sub(1);
        self.columns.insert(last, Column { title: title.into(), is_number: true, cells });
        self
    }

    /// Number of trainable parameters.
    #[must_use]
    pub const fn trainable_params(&self) -> usize {
        self.trainable
    }

    /// Number of parameters that are not trained: moving statistics.
    #[must_use]
    pub const fn non_trainable_params(&self) -> usize {
        self.fixed
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |text: &String| text.chars().count();
        let widths: Vec<usize> = self
            .columns
            .iter()
            .map(|column| column.cells.iter().map(length).max().unwrap_or(0).max(length(&column.title)))
            .collect();
        let line = |cells: Vec<&String>| {
            let mut text = String::new();
            for ((cell, column), width) in cells.into_iter().zip(&self.columns).zip(&widths) {
                let padded =
                    if column.is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
                text.push_str(&padded);
                text.push_str("  ");
            }
            text.trim_end().to_owned()
        };
        let rule = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        if !self.name.is_empty() {
            writeln!(f, "Model: {}", self.name)?;
        }
        writeln!(f, "{}", line(self.columns.iter().map(|column| &column.title).collect()))?;
        writeln!(f, "{}", "=".repeat(rule))?;
        let rows = self.columns.first().map_or(0, |column| column.cells.len());
        for row in 0..rows {
            writeln!(f, "{}", line(self.columns.iter().map(|column| &column.cells[row]).collect()))?;
        }
        writeln!(f, "{}", "=".repeat(rule))?;
        writeln!(f, "Total params: {}", thousands(self.trainable + self.fixed))?;
        writeln!(f, "Trainable params: {}", thousands(self.trainable))?;
        writeln!(f, "Non-trainable params: {}", thousands(self.fixed))
    }
}

/// Formats `n` with a comma between groups of three digits.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
