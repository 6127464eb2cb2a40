//! Samples with their targets and group columns, in shared memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use crate::array::ElementType;
use crate::error::{DataError, Result};
use crate::notes::Notes;

/// Expected outputs of a network.
#[derive(Clone)]
pub enum Targets {
    /// One class per sample.
    Labels {
        /// Class indices, one per row.
        labels: Arc<[u32]>,
        /// Class names, one per class.
        names: Arc<[String]>,
    },
    /// One array per sample: regression, image to image.
    Arrays {
        /// Shape of one target, without the batch.
        shape: Vec<usize>,
        /// All targets, in the order of the samples' storage.
        values: Arc<[f32]>,
    },
    /// The sample itself, before augmentation: autoencoders, denoising.
    Samples,
}

/// Samples, their targets, and group columns that mark samples which belong together.
///
/// Clones and views ([`Dataset::subset`], splits, folds) share the memory of the samples. Channels are the last axis: an
/// 8 x 8 gray image has the shape `[8, 8, 1]`, a series of 128 steps and 6 channels `[128, 6]`, a row of a table `[n]`.
#[derive(Clone)]
pub struct Dataset {
    name: String,
    sample_shape: Vec<usize>,
    element: ElementType,
    storage: Arc<[f32]>,
    rows: Rows,
    targets: Targets,
    groups: BTreeMap<String, Arc<[i64]>>,
    notes: Arc<Notes>,
    /// Checksum of the contents, computed on first use and shared by clones. Methods that change the contents replace the
    /// cell by an empty one.
    checksum: Arc<OnceLock<String>>,
}

/// Rows of the storage that a data set shows.
#[derive(Clone)]
enum Rows {
    All(usize),
    Listed(Arc<[usize]>),
}

/// Training part and test part of a data set. The test part must not influence any decision before the end.
#[derive(Debug, Clone)]
pub struct Splits {
    /// Training part; validation rows are split off it.
    pub train: Dataset,
    /// Test part, held out.
    pub test: Dataset,
}

impl Splits {
    /// SHA-256 of the contents of both parts, as hexadecimal text; see [`Dataset::checksum`].
    #[must_use]
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.train.checksum());
        hash.update(self.test.checksum());
        hex(&hash.finalize())
    }

    /// Decisions made while the data set was read.
    #[must_use]
    pub fn decisions(&self) -> &[String] {
        &self.train.notes().decisions
    }

    /// Properties of the data that are probably mistakes: the warnings of reading, and classes without a training or a
    /// test row.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        const MOST: usize = 5;
        let mut warnings = self.train.notes().warnings.clone();
        for (part, data) in [("training", &self.train), ("test", &self.test)] {
            let counts = data.class_counts();
            let empty: Vec<usize> = (0..counts.len()).filter(|&class| counts[class] == 0).collect();
            let named = |&class: &usize| {
                let name = &data.class_names()[class];
                if *name == class.to_string() { name.clone() } else { format!("{class} `{name}`") }
            };
            let shown: Vec<String> = empty.iter().take(MOST).map(named).collect();
            match empty.len() {
                0 => {}
                1 => warnings.push(format!("class {} has no {part} row", shown[0])),
                count if count <= MOST => {
                    warnings.push(format!("classes {} have no {part} row", shown.join(", ")));
                }
                count => warnings.push(format!(
                    "classes {} and {} others have no {part} row",
                    shown.join(", "),
                    count - MOST
                )),
            }
        }
        warnings
    }
}

impl Dataset {
    /// Creates a data set of rows in memory, `samples` one after another.
    ///
    /// # Errors
    /// [`DataError::Shape`] if the sample shape has no dimension or a zero, [`DataError::Count`] if `samples` are no
    /// whole number of rows or not as many as the targets, [`DataError::Class`] for a label without a name.
    pub fn new(
        name: &str,
        sample_shape: Vec<usize>,
        samples: impl Into<Arc<[f32]>>,
        targets: Targets,
    ) -> Result<Self> {
        let samples = samples.into();
        let size = checked_size(&sample_shape).ok_or_else(|| DataError::Shape {
            what: "data set",
            got: sample_shape.clone(),
            want: "at least one dimension, none of them 0".to_owned(),
        })?;
        if !samples.len().is_multiple_of(size) {
            let what = format!("values of `{name}`, whose samples have {size} each");
            return Err(DataError::Count { what, got: samples.len(), want: samples.len() / size * size });
        }
        let rows = samples.len() / size;
        check_targets(name, rows, &targets)?;
        Ok(Self {
            name: name.to_owned(),
            sample_shape,
            element: ElementType::F32,
            storage: samples,
            rows: Rows::All(rows),
            targets,
            groups: BTreeMap::new(),
            notes: Arc::default(),
            checksum: Arc::default(),
        })
    }

    /// Creates a data set of labelled rows in memory; classes are named by their numbers, `0` to `classes - 1`.
    ///
    /// ```
    /// # fn main() -> tinsmith_data::Result<()> {
    /// let xor = tinsmith_data::Dataset::labelled("xor", vec![2], vec![0., 0., 0., 1., 1., 0., 1., 1.], vec![0, 1, 1, 0], 2)?;
    /// assert_eq!(xor.len(), 4);
    /// assert_eq!(xor.sample(2), [1.0, 0.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Dataset::new`].
    pub fn labelled(
        name: &str,
        sample_shape: Vec<usize>,
        samples: Vec<f32>,
        labels: Vec<u32>,
        classes: usize,
    ) -> Result<Self> {
        let names = (0..classes).map(|class| class.to_string()).collect();
        Self::new(name, sample_shape, samples, Targets::Labels { labels: labels.into(), names })
    }

    /// Adds a group column: rows of equal value belong together (a subject, a recording).
    ///
    /// # Errors
    /// [`DataError::Count`] if there are not as many values as rows.
    pub fn with_group(mut self, column: &str, values: Vec<i64>) -> Result<Self> {
        if values.len() != self.len() {
            let what = format!("values of group column `{column}` of `{}`", self.name);
            return Err(DataError::Count { what, got: values.len(), want: self.len() });
        }
        self.groups.insert(column.to_owned(), values.into());
        self.checksum = Arc::default();
        Ok(self)
    }

    /// Renames the classes; there may be more names than before.
    ///
    /// # Errors
    /// [`DataError::NoClasses`] without classes, [`DataError::Class`] if a label has no name left.
    pub fn with_class_names(mut self, names: Vec<String>) -> Result<Self> {
        let labels = self.shared_labels("naming classes")?;
        self.targets = Targets::Labels { labels, names: names.into() };
        self.checksum = Arc::default();
        check_targets(&self.name, self.len(), &self.targets)?;
        Ok(self)
    }

    /// Replaces the targets. Arrays are one per row of this view.
    ///
    /// # Errors
    /// As [`Dataset::new`].
    pub fn with_targets(self, targets: Targets) -> Result<Self> {
        check_targets(&self.name, self.len(), &targets)?;
        // Arrays are indexed like the storage; a view gets a storage of its own, so that both have the same order.
        let mut same = if matches!(targets, Targets::Arrays { .. }) { self.contiguous() } else { self };
        same.targets = targets;
        same.checksum = Arc::default();
        Ok(same)
    }

    /// Changes the sample shape, for example from flat rows `[784]` to series `[784, 1]`.
    ///
    /// # Errors
    /// [`DataError::Shape`] if the shape does not have as many values.
    pub fn reshaped(mut self, sample_shape: Vec<usize>) -> Result<Self> {
        if checked_size(&sample_shape) != Some(self.sample_size()) {
            let want = format!("as many values as {sample_shape:?}");
            return Err(DataError::Shape { what: "reshaping", got: self.sample_shape, want });
        }
        self.sample_shape = sample_shape;
        self.checksum = Arc::default();
        Ok(self)
    }

    /// Replaces the record of decisions.
    #[must_use]
    pub fn with_notes(mut self, notes: Notes) -> Self {
        self.notes = notes.into();
        self
    }

    /// Decisions made while the data set was read, and warnings.
    #[must_use]
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Renames the data set.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    pub(crate) fn with_element(mut self, element: ElementType) -> Self {
        self.element = element;
        self
    }

    /// Name for messages and reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::All(rows) => *rows,
            Rows::Listed(rows) => rows.len(),
        }
    }

    /// Returns true if there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape of one sample, channels last, without the batch.
    #[must_use]
    pub fn sample_shape(&self) -> &[usize] {
        &self.sample_shape
    }

    /// Number of values in a sample.
    #[must_use]
    pub fn sample_size(&self) -> usize {
        self.sample_shape.iter().product()
    }

    /// Element type of the file that the values came from; `f32` after normalization.
    #[must_use]
    pub const fn element(&self) -> ElementType {
        self.element
    }

    /// Values of one sample; empty for a row outside the data set.
    #[must_use]
    pub fn sample(&self, row: usize) -> &[f32] {
        let size = self.sample_size();
        self.storage_row(row).and_then(|at| self.storage.get(at * size..(at + 1) * size)).unwrap_or_default()
    }

    /// All samples one after another; `None` for a view, which has them scattered.
    #[must_use]
    pub fn as_slice(&self) -> Option<&[f32]> {
        matches!(self.rows, Rows::All(_)).then_some(&self.storage)
    }

    /// Targets of all rows.
    #[must_use]
    pub const fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Class of every row; `None` if the targets are no classes.
    #[must_use]
    pub fn labels(&self) -> Option<&[u32]> {
        match &self.targets {
            Targets::Labels { labels, .. } => Some(labels),
            Targets::Arrays { .. } | Targets::Samples => None,
        }
    }

    /// Class names; empty if the targets are no classes.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        match &self.targets {
            Targets::Labels { names, .. } => names,
            Targets::Arrays { .. } | Targets::Samples => &[],
        }
    }

    /// Number of classes; 0 if the targets are no classes.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.class_names().len()
    }

    /// Number of rows of each class.
    #[must_use]
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.class_count()];
        for &label in self.labels().unwrap_or_default() {
            counts[label as usize] += 1;
        }
        counts
    }

    /// Shape of one target, without the batch: `[classes]` (one-hot) for classes.
    #[must_use]
    pub fn target_shape(&self) -> Vec<usize> {
        match &self.targets {
            Targets::Labels { names, .. } => vec![names.len()],
            Targets::Arrays { shape, .. } => shape.clone(),
            Targets::Samples => self.sample_shape.clone(),
        }
    }

    /// Target array of one row, the sample itself for [`Targets::Samples`]; empty for classes.
    #[must_use]
    pub fn target(&self, row: usize) -> &[f32] {
        match &self.targets {
            Targets::Labels { .. } => &[],
            Targets::Samples => self.sample(row),
            Targets::Arrays { shape, values } => {
                let size: usize = shape.iter().product();
                self.storage_row(row)
                    .and_then(|at| values.get(at * size..(at + 1) * size))
                    .unwrap_or_default()
            }
        }
    }

    /// Names of the group columns.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// A group column, one value per row.
    ///
    /// # Errors
    /// [`DataError::UnknownGroup`], which lists the columns there are.
    pub fn group(&self, column: &str) -> Result<&[i64]> {
        self.groups.get(column).map(AsRef::as_ref).ok_or_else(|| DataError::UnknownGroup {
            name: column.to_owned(),
            known: self.groups.keys().cloned().collect(),
        })
    }

    /// Returns a view of the rows `indices`, in that order; a row may occur more than once.
    ///
    /// # Errors
    /// [`DataError::Row`] for an index outside the data set.
    pub fn subset(&self, indices: &[usize]) -> Result<Self> {
        if let Some(&row) = indices.iter().find(|&&row| row >= self.len()) {
            return Err(DataError::Row { row, rows: self.len() });
        }
        Ok(self.view(indices))
    }

    /// [`Dataset::subset`] for indices that are known to be valid.
    pub(crate) fn view(&self, indices: &[usize]) -> Self {
        let rows = match &self.rows {
            Rows::All(_) => indices.into(),
            Rows::Listed(rows) => indices.iter().map(|&i| rows[i]).collect(),
        };
        let targets = match &self.targets {
            Targets::Labels { labels, names } => Targets::Labels {
                labels: indices.iter().map(|&i| labels[i]).collect(),
                names: Arc::clone(names),
            },
            other @ (Targets::Arrays { .. } | Targets::Samples) => other.clone(),
        };
        let pick = |values: &Arc<[i64]>| indices.iter().map(|&i| values[i]).collect();
        Self {
            name: self.name.clone(),
            sample_shape: self.sample_shape.clone(),
            element: self.element,
            storage: Arc::clone(&self.storage),
            rows: Rows::Listed(rows),
            targets,
            groups: self.groups.iter().map(|(name, values)| (name.clone(), pick(values))).collect(),
            notes: Arc::clone(&self.notes),
            checksum: Arc::default(),
        }
    }

    /// Returns true if both data sets are views of the same memory.
    pub(crate) fn shares_storage(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.storage, &other.storage)
    }

    /// Copies a view into contiguous memory of its own; clones a data set that is contiguous.
    #[must_use]
    pub fn contiguous(&self) -> Self {
        if matches!(self.rows, Rows::All(_)) { self.clone() } else { self.map_samples(|_| {}) }
    }

    /// Copies the rows to new memory and applies `change` to all samples at once.
    pub(crate) fn map_samples(&self, change: impl FnOnce(&mut [f32])) -> Self {
        let size = self.sample_size();
        // Allocated once, without an intermediate vector: a data set may take half of the memory.
        let mut storage: Arc<[f32]> = std::iter::repeat_n(0.0, self.len() * size).collect();
        let samples = Arc::get_mut(&mut storage).expect("invariant: new memory has one owner");
        for (row, sample) in samples.chunks_exact_mut(size).enumerate() {
            sample.copy_from_slice(self.sample(row));
        }
        change(samples);
        let targets = match &self.targets {
            Targets::Arrays { shape, .. } => {
                let values = (0..self.len()).flat_map(|row| self.target(row)).copied().collect();
                Targets::Arrays { shape: shape.clone(), values }
            }
            other @ (Targets::Labels { .. } | Targets::Samples) => other.clone(),
        };
        Self { storage, rows: Rows::All(self.len()), targets, checksum: Arc::default(), ..self.clone() }
    }

    /// SHA-256 of the contents as hexadecimal text: sample shape, kind and shape of the targets (for labels the number of
    /// classes), rows, then all samples, labels or target arrays, and group columns by name, every number little-endian.
    /// File format, compression, and names of data set and classes do not count.
    #[must_use]
    pub fn checksum(&self) -> String {
        self.checksum.get_or_init(|| self.hashed()).clone()
    }

    fn hashed(&self) -> String {
        let mut hash = Sha256::new();
        let count = |hash: &mut Sha256, n: usize| hash.update((n as u64).to_le_bytes());
        let shape = |hash: &mut Sha256, dimensions: &[usize]| {
            count(hash, dimensions.len());
            dimensions.iter().for_each(|&d| count(hash, d));
        };
        shape(&mut hash, &self.sample_shape);
        hash.update([match self.targets {
            Targets::Labels { .. } => 0,
            Targets::Arrays { .. } => 1,
            Targets::Samples => 2,
        }]);
        shape(&mut hash, &self.target_shape());
        count(&mut hash, self.len());
        let mut bytes = Vec::new();
        for row in 0..self.len() {
            bytes.clear();
            bytes.extend(self.sample(row).iter().flat_map(|x| x.to_le_bytes()));
            if matches!(self.targets, Targets::Arrays { .. }) {
                bytes.extend(self.target(row).iter().flat_map(|x| x.to_le_bytes()));
            }
            hash.update(&bytes);
        }
        for label in self.labels().unwrap_or_default() {
            hash.update(label.to_le_bytes());
        }
        for (name, values) in &self.groups {
            count(&mut hash, name.len());
            hash.update(name);
            values.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        hex(&hash.finalize())
    }

    pub(crate) fn shared_labels(&self, operation: &'static str) -> Result<Arc<[u32]>> {
        match &self.targets {
            Targets::Labels { labels, .. } => Ok(Arc::clone(labels)),
            Targets::Arrays { .. } | Targets::Samples => {
                Err(DataError::NoClasses { operation, name: self.name.clone() })
            }
        }
    }

    pub(crate) fn storage_row(&self, row: usize) -> Option<usize> {
        match &self.rows {
            Rows::All(rows) => (row < *rows).then_some(row),
            Rows::Listed(rows) => rows.get(row).copied(),
        }
    }
}

/// Shows shapes and counts without the values.
impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("name", &self.name)
            .field("rows", &self.len())
            .field("sample_shape", &self.sample_shape)
            .field("element", &self.element)
            .field("targets", &self.targets)
            .field("groups", &self.groups.keys())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Labels { names, .. } => {
                f.debug_struct("Labels").field("names", names).finish_non_exhaustive()
            }
            Self::Arrays { shape, .. } => {
                f.debug_struct("Arrays").field("shape", shape).finish_non_exhaustive()
            }
            Self::Samples => f.write_str("Samples"),
        }
    }
}

fn check_targets(name: &str, rows: usize, targets: &Targets) -> Result<()> {
    let count = |what: &str, got: usize, want: usize| {
        if got == want {
            return Ok(());
        }
        Err(DataError::Count { what: format!("{what} of `{name}`"), got, want })
    };
    match targets {
        Targets::Labels { labels, names } => {
            count("labels", labels.len(), rows)?;
            let stray = labels.iter().enumerate().find(|(_, label)| **label as usize >= names.len());
            stray.map_or(Ok(()), |(row, &label)| {
                let what = format!("label of row {row} of `{name}`");
                Err(DataError::Class { what, label, classes: names.len() })
            })
        }
        Targets::Arrays { shape, values } => {
            let size = checked_size(shape).ok_or_else(|| DataError::Shape {
                what: "targets",
                got: shape.clone(),
                want: "at least one dimension, none of them 0".to_owned(),
            })?;
            count("target values", values.len(), rows * size)
        }
        Targets::Samples => Ok(()),
    }
}

/// Product of a shape; `None` if it has no dimension, a zero, or overflows.
fn checked_size(shape: &[usize]) -> Option<usize> {
    let size = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d))?;
    (!shape.is_empty() && size > 0).then_some(size)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("invariant: writing to a string succeeds");
        text
    })
}
