//! Descriptions of a data set: counts, ranges, balance, columns, as figures and as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::dataset::{Dataset, Targets};
use crate::notes::Notes;

/// Figures of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// Name.
    pub name: String,
    /// Number of rows.
    pub rows: usize,
    /// Shape of one sample, channels last.
    pub sample_shape: Vec<usize>,
    /// Element type of the file, for example `u8`.
    pub element: String,
    /// Smallest value; 0 without rows.
    pub min: f32,
    /// Largest value; 0 without rows.
    pub max: f32,
    /// Mean of all values; 0 without rows.
    pub mean: f64,
    /// Population standard deviation of all values; 0 without rows.
    pub deviation: f64,
    /// `labels`, `arrays` or `samples`.
    pub targets: String,
    /// Shape of one target (one-hot for labels).
    pub target_shape: Vec<usize>,
    /// Number of rows of every class; empty if the targets are no labels.
    pub classes: Vec<ClassCount>,
    /// Number of rows of every value, by group column.
    pub groups: BTreeMap<String, BTreeMap<i64, usize>>,
    /// As [`Dataset::checksum`].
    pub checksum: String,
    /// Role of each column, decisions and warnings of reading.
    pub notes: Notes,
}

/// Number of rows of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// Class index.
    pub label: u32,
    /// Name.
    pub name: String,
    /// Number of rows.
    pub rows: usize,
}

impl Dataset {
    /// Computes the figures of this data set.
    ///
    /// ```
    /// # fn main() -> tinsmith_data::Result<()> {
    /// let description = tinsmith_data::load("digits8x8")?.train.describe();
    /// assert_eq!((description.min, description.max), (0.0, 16.0));
    /// assert_eq!(description.classes[0].rows, 143);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn describe(&self) -> Description {
        let values = || (0..self.len()).flat_map(|row| self.sample(row)).copied();
        let count = (self.len() * self.sample_size()).max(1) as f64;
        let mean = values().map(f64::from).sum::<f64>() / count;
        let variance = values().map(|x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        let counts = self.class_counts();
        let classes = self.class_names().iter().zip(counts).zip(0..);
        let group = |name: &str| {
            let mut rows = BTreeMap::new();
            for &value in self.group(name).unwrap_or_default() {
                *rows.entry(value).or_insert(0) += 1;
            }
            (name.to_owned(), rows)
        };
        Description {
            name: self.name().to_owned(),
            rows: self.len(),
            sample_shape: self.sample_shape().to_vec(),
            element: self.element().name().to_owned(),
            min: values().reduce(f32::min).unwrap_or(0.0),
            max: values().reduce(f32::max).unwrap_or(0.0),
            mean,
            deviation: variance.sqrt(),
            targets: match self.targets() {
                Targets::Labels { .. } => "labels",
                Targets::Arrays { .. } => "arrays",
                Targets::Samples => "samples",
            }
            .to_owned(),
            target_shape: self.target_shape(),
            classes: classes
                .map(|((name, rows), label)| ClassCount { label, name: name.clone(), rows })
                .collect(),
            groups: self.group_names().map(group).collect(),
            checksum: self.checksum(),
            notes: self.notes().clone(),
        }
    }
}

impl Description {
    /// Formats the figures as lines for a terminal. The bars of the classes are in proportion to the largest class. Notes
    /// are formatted by [`Notes::to_text`].
    #[must_use]
    pub fn to_text(&self) -> String {
        const BAR: usize = 30;
        const MOST_VALUES: usize = 12;
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            writeln!(text, "{name:<10} {value}").expect("invariant: writing to a string succeeds");
        };
        line("name", self.name.clone());
        line("rows", self.rows.to_string());
        line("sample", format!("{:?} of {}", self.sample_shape, self.element));
        line(
            "values",
            format!("{} to {}, mean {:.4}, deviation {:.4}", self.min, self.max, self.mean, self.deviation),
        );
        if self.classes.is_empty() {
            line("targets", format!("{}, {:?}", self.targets, self.target_shape));
        } else {
            line("classes", self.classes.len().to_string());
        }
        let most = self.classes.iter().map(|class| class.rows).max().unwrap_or(0).max(1);
        let widest = self.classes.iter().map(|class| class.name.chars().count()).max().unwrap_or(0);
        for class in &self.classes {
            let bar = "#".repeat((class.rows * BAR).div_ceil(most));
            let percent = 100.0 * class.rows as f64 / self.rows.max(1) as f64;
            let name = format!("{:>3} {:<widest$}", class.label, class.name);
            line("", format!("{name} {:>7} {percent:>5.1} % {bar}", class.rows));
        }
        for (name, values) in &self.groups {
            let shown: Vec<String> =
                values.iter().take(MOST_VALUES).map(|(value, rows)| format!("{value}: {rows}")).collect();
            let more = if values.len() > MOST_VALUES { ", …" } else { "" };
            line("group", format!("{name}, {} values ({}{more})", values.len(), shown.join(", ")));
        }
        line("SHA-256", self.checksum.clone());
        text
    }
}
