//! Data sets by name or path: the built-in one and folders of IDX files.
//!
//! A folder is laid out like those of MNIST:
//!
//! | file | holds |
//! | --- | --- |
//! | `train-images-idx3-ubyte`, `train-images-idx4-ubyte` | images (N, H, W) or (N, H, W, C) |
//! | `train-data-idx3-float32`, `train-data-idx2-float32` | series (N, T, C), rows of a table (N, F) |
//! | `train-labels-idx1-ubyte` | classes, counted from 0 |
//! | `train-targets-idx2-float32` | instead of labels: one array per sample |
//! | `train-subjects-idx1-ubyte`, any other word | group columns |
//! | `test-…` or `t10k-…` | the same for the held-back part |
//! | `classes.txt` | names of the classes, one per line; may be missing |
//!
//! Element types are free, each file may end in `.gz`, `.idx3-ubyte` is read like `-idx3-ubyte`, other files are
//! ignored.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, Splits, Targets};
use crate::error::{DataError, Result};
use crate::idx::{Idx, is_gzip_name};

/// The names that [`builtin`] knows.
pub const BUILTIN: &[&str] = &["digits8x8"];

/// Loads a data set: a built-in one by its name ([`BUILTIN`]), else a folder by its path. A folder that has a
/// built-in's name is meant by `./name`.
///
/// ```
/// # fn main() -> tinsmith_data::Result<()> {
/// let digits = tinsmith_data::load("digits8x8")?;
/// assert_eq!((digits.train.len(), digits.test.len()), (1437, 360));
/// assert_eq!(digits.train.sample_shape(), [8, 8, 1]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`DataError::UnknownName`] for neither; as [`load_folder`].
pub fn load(name_or_path: &str) -> Result<Splits> {
    if BUILTIN.contains(&name_or_path) {
        return builtin(name_or_path);
    }
    let path = Path::new(name_or_path);
    if !path.exists() {
        return Err(DataError::UnknownName { name: name_or_path.to_owned(), known: BUILTIN });
    }
    load_folder(path)
}

/// A data set that is part of this crate.
///
/// # Errors
/// [`DataError::UnknownName`], which lists those there are.
pub fn builtin(name: &str) -> Result<Splits> {
    macro_rules! digits {
        ($file:literal) => {
            Idx::decode(include_bytes!(concat!("../assets/digits8x8/", $file)), Path::new($file))
        };
    }
    match name {
        "digits8x8" => {
            let train = Part {
                samples: Some((Word::Images, digits!("train-images-idx3-ubyte")?)),
                labels: Some(digits!("train-labels-idx1-ubyte")?),
                ..Part::new("train", Path::new("digits8x8"))
            };
            let test = Part {
                samples: Some((Word::Images, digits!("test-images-idx3-ubyte")?)),
                labels: Some(digits!("test-labels-idx1-ubyte")?),
                ..Part::new("test", Path::new("digits8x8"))
            };
            assemble(name, train, test, None)
        }
        _ => Err(DataError::UnknownName { name: name.to_owned(), known: BUILTIN }),
    }
}

/// Loads a folder of IDX files; see the module's front page for the layout. The data set is named after the folder.
///
/// # Errors
/// [`DataError::Read`] where the folder or a file cannot be read, [`DataError::Malformed`] for a broken file,
/// [`DataError::Layout`] where files are missing, double, or do not fit each other.
pub fn load_folder(folder: &Path) -> Result<Splits> {
    let files = scan(folder)?;
    let prefixes: Vec<&str> = ["test", "t10k"].into_iter().filter(|p| files.contains_key(*p)).collect();
    let test_prefix = match prefixes.as_slice() {
        [one] => *one,
        [] => return Err(DataError::layout(folder, no_part(&files, "test", "test-images-… (or t10k-…)"))),
        _ => {
            let reason = "has both test-… and t10k-… files, want one held-back part";
            return Err(DataError::layout(folder, reason));
        }
    };
    if !files.contains_key("train") {
        return Err(DataError::layout(folder, no_part(&files, "train", "train-images-… or train-data-…")));
    }
    let train = Part::read("train", folder, &files["train"])?;
    let test = Part::read(test_prefix, folder, &files[test_prefix])?;
    let canonical = fs::canonicalize(folder).map_err(DataError::read(folder))?;
    let name = canonical.file_name().map_or_else(|| "data".into(), |n| n.to_string_lossy());
    assemble(&name, train, test, class_names(folder)?)
}

/// The files of a folder by prefix (`train`, `test`, `t10k`), then by word (`images`, `labels`, …).
type Files = BTreeMap<String, BTreeMap<String, PathBuf>>;

fn scan(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    let entries = fs::read_dir(folder).map_err(DataError::read(folder))?;
    for entry in entries {
        let path = entry.map_err(DataError::read(folder))?.path();
        let Some((prefix, word)) = path.file_name().and_then(|n| n.to_str()).and_then(split_name) else {
            continue;
        };
        let words = files.entry(prefix.to_owned()).or_default();
        if let Some(other) = words.get(word) {
            // Named in a fixed order, whatever order the system lists them in.
            let (a, b) = if *other < path {
                (other.as_path(), path.as_path())
            } else {
                (path.as_path(), other.as_path())
            };
            let reason = format!("{} holds the same as {}, want one of them", file_name(b), file_name(a));
            return Err(DataError::layout(folder, reason));
        }
        words.insert(word.to_owned(), path.clone());
    }
    Ok(files)
}

/// `train-images-idx3-ubyte.gz` into `train` and `images`; none for names that are not of this form.
fn split_name(name: &str) -> Option<(&str, &str)> {
    let name = if is_gzip_name(Path::new(name)) { &name[..name.len() - 3] } else { name };
    let (prefix, rest) = name.split_once('-')?;
    if !["train", "test", "t10k"].contains(&prefix) {
        return None;
    }
    let at = rest.rfind("idx").filter(|&at| at > 1 && matches!(rest.as_bytes()[at - 1], b'-' | b'.'))?;
    let rank = rest[at + 3..].split(['-', '.']).next()?;
    (!rank.is_empty() && rank.bytes().all(|b| b.is_ascii_digit())).then(|| (prefix, &rest[..at - 1]))
}

fn no_part(files: &Files, part: &str, example: &str) -> String {
    let found: Vec<String> = files
        .iter()
        .flat_map(|(prefix, words)| words.keys().map(move |word| format!("{prefix}-{word}")))
        .collect();
    let found = if found.is_empty() { "no IDX files".to_owned() } else { found.join(", ") };
    format!("has no {part} part, want {example} and labels beside it as IDX files; found {found}")
}

fn class_names(folder: &Path) -> Result<Option<Vec<String>>> {
    let path = folder.join("classes.txt");
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(DataError::read(&path))?;
    Ok(Some(text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()))
}

/// What the word in a file's name says about samples of three dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Images,
    Data,
}

/// The arrays of one part, each still with the shape its file has.
struct Part {
    prefix: String,
    folder: PathBuf,
    paths: BTreeMap<String, PathBuf>,
    samples: Option<(Word, Idx)>,
    labels: Option<Idx>,
    targets: Option<Idx>,
    groups: BTreeMap<String, Idx>,
}

impl Part {
    fn new(prefix: &str, folder: &Path) -> Self {
        Self {
            prefix: prefix.to_owned(),
            folder: folder.to_owned(),
            paths: BTreeMap::new(),
            samples: None,
            labels: None,
            targets: None,
            groups: BTreeMap::new(),
        }
    }

    fn read(prefix: &str, folder: &Path, paths: &BTreeMap<String, PathBuf>) -> Result<Self> {
        let mut part = Self { paths: paths.clone(), ..Self::new(prefix, folder) };
        for (word, path) in paths {
            let array = Idx::read(path)?;
            match word.as_str() {
                "images" | "data" if part.samples.is_some() => {
                    let reason = format!("has both {prefix}-images-… and {prefix}-data-…, want one of them");
                    return Err(DataError::layout(folder, reason));
                }
                "images" => part.samples = Some((Word::Images, array)),
                "data" => part.samples = Some((Word::Data, array)),
                "labels" => part.labels = Some(array),
                "targets" => part.targets = Some(array),
                _ => drop(part.groups.insert(word.clone(), array)),
            }
        }
        Ok(part)
    }

    /// The path of the file with `word`, for messages.
    fn path(&self, word: &str) -> PathBuf {
        let name = || self.folder.join(format!("{}-{word}", self.prefix));
        self.paths.get(word).cloned().unwrap_or_else(name)
    }

    /// A rank-1 array of integers, one per sample.
    fn column(&self, word: &str, array: &Idx, rows: usize) -> Result<Vec<i64>> {
        if array.shape() != [rows] {
            let samples = file_name(&self.path(self.sample_word())).to_owned();
            let reason = format!(
                "has shape {:?}, want [{rows}]: one value for each sample of {samples}",
                array.shape()
            );
            return Err(DataError::layout(&self.path(word), reason));
        }
        array.values().to_integers().ok_or_else(|| {
            let reason = format!("holds {} values, want integers", array.values().element().name());
            DataError::layout(&self.path(word), reason)
        })
    }

    fn sample_word(&self) -> &'static str {
        match &self.samples {
            Some((Word::Data, _)) => "data",
            Some((Word::Images, _)) | None => "images",
        }
    }

    fn labels(&self, rows: usize) -> Result<Option<Vec<u32>>> {
        let Some(array) = &self.labels else { return Ok(None) };
        let column = self.column("labels", array, rows)?;
        let label = |(row, &value): (usize, &i64)| {
            u32::try_from(value).ok().filter(|&label| label < MAX_CLASSES).ok_or_else(|| {
                let reason =
                    format!("label {value} of sample {row} is no class, want 0 to {}", MAX_CLASSES - 1);
                DataError::layout(&self.path("labels"), reason)
            })
        };
        column.iter().enumerate().map(label).collect::<Result<_>>().map(Some)
    }

    fn into_dataset(self, name: &str, labels: Option<Vec<u32>>, classes: &[String]) -> Result<Dataset> {
        let Some((word, array)) = &self.samples else { return Err(self.no_samples()) };
        let path = self.path(self.sample_word());
        let shape = sample_shape(*word, array.shape(), &path)?;
        let rows = array.shape()[0];
        let samples = array.values().to_f32();
        check_finite(&samples, rows, &path)?;
        let targets = match (labels, &self.targets) {
            (Some(labels), None) => Targets::Labels { labels: labels.into(), names: classes.into() },
            (None, Some(targets)) => self.arrays(targets, rows)?,
            (Some(_), Some(_)) => {
                let reason =
                    format!("has both {0}-labels-… and {0}-targets-…, want one of them", self.prefix);
                return Err(DataError::layout(&self.folder, reason));
            }
            (None, None) => {
                let reason = format!(
                    "has no labels beside {}, want {}-labels-idx1-ubyte (or .gz)",
                    file_name(&path),
                    self.prefix
                );
                return Err(DataError::layout(&self.folder, reason));
            }
        };
        let element = array.values().element();
        let mut dataset = Dataset::new(name, shape, samples, targets)?.with_element(element);
        for (column, array) in &self.groups {
            dataset = dataset.with_group(column, self.column(column, array, rows)?)?;
        }
        Ok(dataset)
    }

    fn arrays(&self, targets: &Idx, rows: usize) -> Result<Targets> {
        let path = self.path("targets");
        let [count, shape @ ..] = targets.shape() else { return Err(self.no_samples()) };
        if *count != rows {
            let reason = format!("has {count} targets, want {rows}: one for each sample");
            return Err(DataError::layout(&path, reason));
        }
        let values = targets.values().to_f32();
        check_finite(&values, rows, &path)?;
        let shape = if shape.is_empty() { vec![1] } else { shape.to_vec() };
        Ok(Targets::Arrays { shape, values: values.into() })
    }

    fn no_samples(&self) -> DataError {
        let reason = format!(
            "has no samples for {0}, want {0}-images-idx3-ubyte or {0}-data-idx2-float32",
            self.prefix
        );
        DataError::layout(&self.folder, reason)
    }
}

/// Labels above this are taken for a mistake (identifiers, values of a regression), not for classes.
const MAX_CLASSES: u32 = 65_536;

fn assemble(name: &str, train: Part, test: Part, names: Option<Vec<String>>) -> Result<Splits> {
    let rows = |part: &Part| match &part.samples {
        Some((_, array)) => Ok(array.shape()[0]),
        None => Err(part.no_samples()),
    };
    let train_labels = train.labels(rows(&train)?)?;
    let test_labels = test.labels(rows(&test)?)?;
    let highest = train_labels.iter().chain(&test_labels).flatten().max();
    let classes = highest.map_or(0, |&label| label as usize + 1);
    let names = match names {
        Some(names) if names.len() < classes && classes > 0 => {
            let reason = format!("names {} classes, but labels go up to {}", names.len(), classes - 1);
            return Err(DataError::layout(&train.folder.join("classes.txt"), reason));
        }
        Some(names) => names,
        None => (0..classes).map(|class| class.to_string()).collect(),
    };
    let folder = train.folder.clone();
    let (train_path, test_path) = (train.path(train.sample_word()), test.path(test.sample_word()));
    let train = train.into_dataset(name, train_labels, &names)?;
    let test = test.into_dataset(name, test_labels, &names)?;
    let differ = |what: &str, train: &[usize], test: &[usize]| {
        let (a, b) = (file_name(&train_path), file_name(&test_path));
        DataError::layout(&folder, format!("{what} differ: {train:?} in {a}, {test:?} in {b}"))
    };
    if train.sample_shape() != test.sample_shape() {
        return Err(differ("sample shapes", train.sample_shape(), test.sample_shape()));
    }
    if train.target_shape() != test.target_shape() {
        return Err(differ("target shapes beside them", &train.target_shape(), &test.target_shape()));
    }
    Ok(Splits { train, test })
}

fn sample_shape(word: Word, shape: &[usize], path: &Path) -> Result<Vec<usize>> {
    if shape.contains(&0) {
        return Err(DataError::layout(
            path,
            format!("has shape {shape:?}, want at least one sample and no empty one"),
        ));
    }
    match (word, shape) {
        (_, [_]) => Ok(vec![1]),
        (_, [_, features]) => Ok(vec![*features]),
        (Word::Images, [_, height, width]) => Ok(vec![*height, *width, 1]),
        (Word::Data, [_, steps, channels]) => Ok(vec![*steps, *channels]),
        (_, [_, height, width, channels]) => Ok(vec![*height, *width, *channels]),
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

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|n| n.to_str()).unwrap_or("a file")
}
