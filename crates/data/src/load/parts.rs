//! From named arrays to a data set, with every misfit named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::array::Array;
use crate::dataset::{Dataset, Splits, Targets};
use crate::error::{DataError, Result};

/// An array and where it came from, for messages: a file, or an archive with the array's name.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) array: Array,
}

/// The arrays of one part by word: `images` or `data`, `labels` or `targets`, anything else a group column.
pub(super) struct Part {
    /// `train`, `test` or `t10k`.
    pub(super) prefix: String,
    /// The folder or archive.
    pub(super) place: PathBuf,
    pub(super) words: BTreeMap<String, Source>,
}

impl Part {
    /// The word of the samples: it says whether three dimensions are images without channels or series with them.
    fn sample_word(&self) -> Result<&'static str> {
        match (self.words.contains_key("images"), self.words.contains_key("data")) {
            (true, false) => Ok("images"),
            (false, true) => Ok("data"),
            (true, true) => {
                let reason = format!("has both {0}-images and {0}-data, want one of them", self.prefix);
                Err(DataError::layout(&self.place, reason))
            }
            (false, false) => {
                let reason = format!(
                    "has no samples for {0}, want {0}-images-idx3-ubyte or {0}-data-idx2-float32 (or .npy)",
                    self.prefix
                );
                Err(DataError::layout(&self.place, reason))
            }
        }
    }

    fn samples(&self) -> Result<&Source> {
        Ok(&self.words[self.sample_word()?])
    }

    /// A rank-1 array of integers, one per sample.
    fn column(&self, source: &Source) -> Result<Vec<i64>> {
        let samples = self.samples()?;
        let rows = samples.array.shape()[0];
        if source.array.shape() != [rows] {
            let reason = format!(
                "has shape {:?}, want [{rows}]: one value for each sample of {}",
                source.array.shape(),
                file_name(&samples.path)
            );
            return Err(DataError::layout(&source.path, reason));
        }
        source.array.values().to_integers().ok_or_else(|| {
            let reason = format!("holds {} values, want integers", source.array.element().name());
            DataError::layout(&source.path, reason)
        })
    }

    fn labels(&self) -> Result<Option<Vec<u32>>> {
        let Some(source) = self.words.get("labels") else { return Ok(None) };
        let label = |(row, &value): (usize, &i64)| {
            u32::try_from(value).ok().filter(|&label| label < MAX_CLASSES).ok_or_else(|| {
                let reason =
                    format!("label {value} of sample {row} is no class, want 0 to {}", MAX_CLASSES - 1);
                DataError::layout(&source.path, reason)
            })
        };
        self.column(source)?.iter().enumerate().map(label).collect::<Result<_>>().map(Some)
    }

    fn into_dataset(self, name: &str, labels: Option<Vec<u32>>, classes: &[String]) -> Result<Dataset> {
        let Source { path, array } = self.samples()?;
        let shape = sample_shape(self.sample_word()?, array.shape(), path)?;
        let rows = array.shape()[0];
        let samples = array.values().to_f32();
        check_finite(&samples, rows, path)?;
        let targets = match (labels, self.words.get("targets")) {
            (Some(labels), None) => Targets::Labels { labels: labels.into(), names: classes.into() },
            (None, Some(targets)) => arrays(targets, rows)?,
            (Some(_), Some(_)) => {
                let reason = format!("has both {0}-labels and {0}-targets, want one of them", self.prefix);
                return Err(DataError::layout(&self.place, reason));
            }
            (None, None) => {
                let (samples, prefix) = (file_name(path), &self.prefix);
                let reason =
                    format!("has no labels beside {samples}, want {prefix}-labels-idx1-ubyte (or .gz, .npy)");
                return Err(DataError::layout(&self.place, reason));
            }
        };
        let mut dataset = Dataset::new(name, shape, samples, targets)?.with_element(array.element());
        let own = ["images", "data", "labels", "targets"];
        for (column, source) in self.words.iter().filter(|(word, _)| !own.contains(&word.as_str())) {
            dataset = dataset.with_group(column, self.column(source)?)?;
        }
        Ok(dataset)
    }
}

/// Labels above this are taken for a mistake (identifiers, values of a regression), not for classes.
pub(crate) const MAX_CLASSES: u32 = 65_536;

/// Both parts as data sets that fit each other. `names` are the classes', with the file they come from.
pub(super) fn assemble(
    name: &str,
    train: Part,
    test: Part,
    names: Option<(&Path, Vec<String>)>,
) -> Result<Splits> {
    let (train_labels, test_labels) = (train.labels()?, test.labels()?);
    let highest = train_labels.iter().chain(&test_labels).flatten().max();
    let classes = highest.map_or(0, |&label| label as usize + 1);
    let names = match names {
        Some((path, names)) if names.len() < classes => {
            let reason = format!("names {} classes, but labels go up to {}", names.len(), classes - 1);
            return Err(DataError::layout(path, reason));
        }
        Some((_, names)) => names,
        None => (0..classes).map(|class| class.to_string()).collect(),
    };
    let place = train.place.clone();
    let (train_path, test_path) = (train.samples()?.path.clone(), test.samples()?.path.clone());
    let train = train.into_dataset(name, train_labels, &names)?;
    let test = test.into_dataset(name, test_labels, &names)?;
    let differ = |what: &str, train: &[usize], test: &[usize]| {
        let (a, b) = (file_name(&train_path), file_name(&test_path));
        DataError::layout(&place, format!("{what} differ: {train:?} in {a}, {test:?} in {b}"))
    };
    if train.sample_shape() != test.sample_shape() {
        return Err(differ("sample shapes", train.sample_shape(), test.sample_shape()));
    }
    if train.target_shape() != test.target_shape() {
        return Err(differ("target shapes beside them", &train.target_shape(), &test.target_shape()));
    }
    Ok(Splits { train, test })
}

fn arrays(targets: &Source, rows: usize) -> Result<Targets> {
    let Source { path, array } = targets;
    let count = array.shape()[0];
    if count != rows {
        let reason = format!("has {count} targets, want {rows}: one for each sample");
        return Err(DataError::layout(path, reason));
    }
    let values = array.values().to_f32();
    check_finite(&values, rows, path)?;
    let shape = if array.shape().len() == 1 { vec![1] } else { array.shape()[1..].to_vec() };
    Ok(Targets::Arrays { shape, values })
}

fn sample_shape(word: &str, shape: &[usize], path: &Path) -> Result<Vec<usize>> {
    if shape.contains(&0) {
        return Err(DataError::layout(
            path,
            format!("has shape {shape:?}, want at least one sample and no empty one"),
        ));
    }
    match *shape {
        [_] => Ok(vec![1]),
        [_, features] => Ok(vec![features]),
        [_, height, width] if word == "images" => Ok(vec![height, width, 1]),
        [_, steps, channels] => Ok(vec![steps, channels]),
        [_, height, width, channels] => Ok(vec![height, width, channels]),
        _ => {
            let reason = format!("has {} dimensions, want 1 to 4 with the samples as the first", shape.len());
            Err(DataError::layout(path, reason))
        }
    }
}

fn check_finite(values: &[f32], rows: usize, path: &Path) -> Result<()> {
    let Some(at) = values.iter().position(|x| !x.is_finite()) else { return Ok(()) };
    let size = values.len() / rows.max(1);
    let (row, place) = (at / size.max(1), at % size.max(1));
    let reason = format!("value {place} of sample {row} is {}, want finite numbers", values[at]);
    Err(DataError::layout(path, reason))
}

pub(super) fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|n| n.to_str()).unwrap_or("a file")
}
