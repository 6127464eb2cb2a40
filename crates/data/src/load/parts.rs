//! From named arrays to data sets; every mismatch is an error that names the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::array::{Array, ElementType};
use crate::dataset::{Dataset, Targets};
use crate::error::{DataError, Result};
use crate::inspect::array_warnings;
use crate::labels::{
    MAX_CLASSES, NameHint, NumericClasses, distinct, one_hot_labels, place_of, rare_label_warning,
};
use crate::load::names::PartName;
use crate::notes::Notes;
use crate::npy::Decoded;

/// An array and its origin for messages: a file, or an archive with the array's name.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) content: Decoded,
}

/// The arrays of one part by word: `images` or `data`; `labels`, `targets` or `y`; any other word is a group column.
pub(super) struct ArrayPart {
    pub(super) part: PartName,
    /// The folder or archive.
    pub(super) place: PathBuf,
    pub(super) words: BTreeMap<String, Source>,
}

/// Words of the samples and the targets.
const OWN_WORDS: [&str; 5] = ["images", "data", "labels", "targets", "y"];

impl ArrayPart {
    /// Adds an array. The word `x` becomes `images` for bytes of three dimensions and `data` otherwise.
    pub(super) fn insert(&mut self, word: &str, source: Source) -> Result<()> {
        let is_image = match &source.content {
            Decoded::Numbers(array) => array.shape().len() == 3 && array.element() == ElementType::U8,
            Decoded::Text { .. } => false,
        };
        let word = match word {
            "x" if is_image => "images",
            "x" => "data",
            word => word,
        };
        if let Some(other) = self.words.get(word) {
            let reason = format!("holds the same as {}, want one of them", file_name(&other.path));
            return Err(DataError::layout(&source.path, reason));
        }
        self.words.insert(word.to_owned(), source);
        Ok(())
    }

    /// Appends the rows of another part, which must have the same arrays.
    pub(super) fn append(&mut self, other: Self) -> Result<()> {
        for (word, source) in other.words {
            let Some(own) = self.words.get_mut(&word) else {
                let reason = format!("has no counterpart in the {} part", self.part.name());
                return Err(DataError::layout(&source.path, reason));
            };
            own.content.append(source.content).map_err(|reason| DataError::layout(&source.path, reason))?;
        }
        Ok(())
    }

    /// The samples, with the word that says if three dimensions are images without channels or series with them.
    fn samples(&self) -> Result<(&'static str, &Source, &Array)> {
        let (word, source) = match (self.words.get("images"), self.words.get("data")) {
            (Some(images), None) => ("images", images),
            (None, Some(data)) => ("data", data),
            (Some(_), Some(_)) => return Err(self.both("images", "data")),
            (None, None) => {
                let name = self.part.name();
                let reason = format!(
                    "has no samples for {name}, want {name}-images-idx3-ubyte or {name}-data-idx2-float32 (or .npy)"
                );
                return Err(DataError::layout(&self.place, reason));
            }
        };
        match &source.content {
            Decoded::Numbers(array) => Ok((word, source, array)),
            Decoded::Text { .. } => {
                Err(DataError::layout(&source.path, "holds text, want numbers as samples"))
            }
        }
    }

    fn rows(&self) -> Result<usize> {
        let (_, source, array) = self.samples()?;
        sample_shape("data", array.shape(), &source.path)?;
        Ok(array.shape()[0])
    }

    /// The targets, by the word they are named with.
    fn targets(&self) -> Result<(&'static str, &Source)> {
        let found: Vec<(&'static str, &Source)> = ["labels", "targets", "y"]
            .into_iter()
            .filter_map(|word| Some((word, self.words.get(word)?)))
            .collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => {
                let (samples, name) = (file_name(&self.samples()?.1.path), self.part.name());
                let reason =
                    format!("has no labels beside {samples}, want {name}-labels-idx1-ubyte (or .gz, .npy)");
                Err(DataError::layout(&self.place, reason))
            }
            [(a, _), (b, _), ..] => Err(self.both(a, b)),
        }
    }

    fn both(&self, a: &str, b: &str) -> DataError {
        let name = self.part.name();
        DataError::layout(&self.place, format!("has both {name}-{a} and {name}-{b}, want one of them"))
    }

    /// Values of a group column.
    fn group(&self, source: &Source) -> Result<Vec<i64>> {
        let (rows, samples) = (self.rows()?, self.samples()?.1);
        let Decoded::Numbers(array) = &source.content else {
            return Err(DataError::layout(&source.path, "holds text, want integers as groups"));
        };
        if !is_column(array.shape(), rows) {
            return Err(not_a_column(source, array.shape(), rows, samples));
        }
        array.values().to_integers().ok_or_else(|| {
            let reason = format!("holds {} values, want integers", array.element().name());
            DataError::layout(&source.path, reason)
        })
    }

    fn into_dataset(self, name: &str, targets: Targets, notes: &Notes) -> Result<Dataset> {
        let (word, Source { path, .. }, array) = self.samples()?;
        let shape = sample_shape(word, array.shape(), path)?;
        let samples = array.values().to_f32();
        check_finite(&samples, array.shape()[0], path)?;
        let mut notes = notes.clone();
        notes.warnings.extend(array_warnings(file_name(path), array, &shape));
        if let ("data", [steps, channels]) = (word, shape.as_slice())
            && steps == channels
            && array.element().is_integer()
        {
            notes.decisions.push(format!(
                "samples of {} are series of {steps} steps and {channels} channels; call the array images if they are",
                file_name(path)
            ));
        }
        let mut dataset = Dataset::new(name, shape, samples, targets)?.with_element(array.element());
        for (column, source) in self.words.iter().filter(|(word, _)| !OWN_WORDS.contains(&word.as_str())) {
            dataset = dataset.with_group(column, self.group(source)?)?;
        }
        Ok(dataset.with_notes(notes))
    }
}

/// Data sets of parts that fit each other. `names` are the class names with the file they come from.
pub(super) fn assemble(
    name: &str,
    parts: Vec<ArrayPart>,
    names: Option<(&Path, Vec<String>)>,
    mut notes: Notes,
) -> Result<Vec<Dataset>> {
    let place = parts[0].place.clone();
    let files =
        parts.iter().map(|part| Ok(part.samples()?.1.path.clone())).collect::<Result<Vec<PathBuf>>>()?;
    let targets = targets(&parts, names, &mut notes)?;
    let mut datasets = Vec::new();
    for (part, targets) in parts.into_iter().zip(targets) {
        datasets.push(part.into_dataset(name, targets, &notes)?);
    }
    let first = &datasets[0];
    for (other, file) in datasets.iter().zip(&files).skip(1) {
        let differ = |what: &str, a: &[usize], b: &[usize]| {
            let (train, test) = (file_name(&files[0]), file_name(file));
            DataError::layout(&place, format!("{what} differ: {a:?} in {train}, {b:?} in {test}"))
        };
        if first.sample_shape() != other.sample_shape() {
            return Err(differ("sample shapes", first.sample_shape(), other.sample_shape()));
        }
        if first.target_shape() != other.target_shape() {
            return Err(differ("target shapes beside them", &first.target_shape(), &other.target_shape()));
        }
    }
    Ok(datasets)
}

/// Targets as files hold them.
enum RawTargets {
    Text(Vec<String>),
    /// One number per sample.
    Numbers(Vec<f64>),
    OneHot {
        labels: Vec<u32>,
        classes: usize,
    },
    Arrays,
}

fn targets(
    parts: &[ArrayPart],
    names: Option<(&Path, Vec<String>)>,
    notes: &mut Notes,
) -> Result<Vec<Targets>> {
    let sources = parts.iter().map(ArrayPart::targets).collect::<Result<Vec<_>>>()?;
    let raw = parts.iter().zip(&sources).map(|(part, (word, source))| raw_targets(part, word, source));
    let raw = raw.collect::<Result<Vec<RawTargets>>>()?;
    let rows: usize = parts.iter().map(ArrayPart::rows).sum::<Result<usize>>()?;
    let (word, first) = sources[0];

    if let Some(texts) = all(&raw, |raw| if let RawTargets::Text(texts) = raw { Some(texts) } else { None }) {
        let classes = distinct(texts.iter().copied().flatten().map(String::as_str));
        notes.decisions.push(format!(
            "{} holds text: {} classes in alphabetical order",
            file_name(&first.path),
            classes.len()
        ));
        check_count(classes.len(), rows, &first.path, notes)?;
        let labels = |texts: &Vec<String>| texts.iter().map(|text| place_of(&classes, text)).collect();
        let classes: Arc<[String]> = classes.clone().into();
        return Ok(texts
            .into_iter()
            .map(|t| Targets::Labels { labels: labels(t), names: Arc::clone(&classes) })
            .collect());
    }
    if let RawTargets::OneHot { classes: width, .. } = raw[0]
        && let Some(labels) = one_hot_of_width(&raw, width)
    {
        notes.decisions.push(format!("{} is one-hot: {width} classes", file_name(&first.path)));
        let classes = class_names(names, width)?;
        let targets = |labels: &Vec<u32>| Targets::Labels {
            labels: labels.as_slice().into(),
            names: Arc::clone(&classes),
        };
        return Ok(labels.into_iter().map(targets).collect());
    }
    if let Some(numbers) = all(&raw, |raw| if let RawTargets::Numbers(n) = raw { Some(n) } else { None })
        && word != "targets"
    {
        let classes = NumericClasses::of(numbers.iter().copied().flatten().copied());
        let as_classes = if word == "labels" {
            check_whole(&sources, &numbers)?;
            true
        } else {
            let (as_classes, reason) = classes.are_classes(rows, NameHint::Neutral);
            // Whole numbers from 0 are what most files hold; anything else is worth a line.
            if !as_classes || classes.renumbering().is_some() {
                notes.decisions.push(format!("{}: {reason}", file_name(&first.path)));
            }
            as_classes
        };
        if as_classes {
            check_count(classes.count(), rows, &first.path, notes)?;
            if names.is_some() {
                return named_labels(&sources, &numbers, names);
            }
            notes.decisions.extend(classes.renumbering());
            let class_names: Arc<[String]> = classes.names().into();
            let labels = |numbers: &Vec<f64>| numbers.iter().map(|&x| classes.label(x)).collect();
            let targets = |n| Targets::Labels { labels: labels(n), names: Arc::clone(&class_names) };
            return Ok(numbers.into_iter().map(targets).collect());
        }
    }
    if word == "labels" {
        notes.decisions.push(format!(
            "{} has several values per sample and is no one-hot code: values to predict",
            file_name(&first.path)
        ));
    }
    parts.iter().zip(&sources).map(|(part, (_, source))| arrays(source, part.rows()?)).collect()
}

/// The labels of all parts if each is one-hot over `width` classes.
fn one_hot_of_width(raw: &[RawTargets], width: usize) -> Option<Vec<&Vec<u32>>> {
    all(raw, |raw| match raw {
        RawTargets::OneHot { labels, classes } if *classes == width => Some(labels),
        _ => None,
    })
}

/// The values that `pick` finds in all items, or `None` if it finds none in one of them.
fn all<'a, T, U>(items: &'a [T], pick: impl Fn(&'a T) -> Option<&'a U>) -> Option<Vec<&'a U>> {
    items.iter().map(pick).collect()
}

fn raw_targets(part: &ArrayPart, word: &str, source: &Source) -> Result<RawTargets> {
    let (rows, samples) = (part.rows()?, part.samples()?.1);
    match &source.content {
        Decoded::Text { shape, values } => {
            if !is_column(shape, rows) {
                return Err(not_a_column(source, shape, rows, samples));
            }
            Ok(RawTargets::Text(values.clone()))
        }
        Decoded::Numbers(array) if is_column(array.shape(), rows) => {
            let values = array.values().to_f64();
            match values.iter().position(|x| !x.is_finite()) {
                Some(row) => {
                    let reason = format!("value of sample {row} is {}, want finite numbers", values[row]);
                    Err(DataError::layout(&source.path, reason))
                }
                None => Ok(RawTargets::Numbers(values)),
            }
        }
        Decoded::Numbers(array) => match *array.shape() {
            [count, width] if word != "targets" && count == rows => {
                let labels = one_hot_labels(&array.values().to_f32(), width);
                Ok(labels.map_or(RawTargets::Arrays, |labels| RawTargets::OneHot { labels, classes: width }))
            }
            [count, ..] if word == "targets" || count == rows => Ok(RawTargets::Arrays),
            _ => Err(not_a_column(source, array.shape(), rows, samples)),
        },
    }
}

fn is_column(shape: &[usize], rows: usize) -> bool {
    matches!(*shape, [count] | [count, 1] if count == rows)
}

fn not_a_column(source: &Source, shape: &[usize], rows: usize, samples: &Source) -> DataError {
    let reason = format!(
        "has shape {shape:?}, want [{rows}]: one value for each sample of {}",
        file_name(&samples.path)
    );
    DataError::layout(&source.path, reason)
}

fn check_whole(sources: &[(&'static str, &Source)], numbers: &[&Vec<f64>]) -> Result<()> {
    for ((_, source), numbers) in sources.iter().zip(numbers) {
        if let Some(row) = numbers.iter().position(|x| x.fract().abs() > 0.0) {
            let reason = format!("label of sample {row} is {}, want whole numbers", numbers[row]);
            return Err(DataError::layout(&source.path, reason));
        }
    }
    Ok(())
}

fn check_count(classes: usize, rows: usize, path: &Path, notes: &mut Notes) -> Result<()> {
    if classes > MAX_CLASSES {
        let reason = format!("has {classes} different labels, want at most {MAX_CLASSES} classes");
        return Err(DataError::layout(path, reason));
    }
    notes.warnings.extend(rare_label_warning(classes, rows));
    Ok(())
}

/// Names by number from a file, or the numbers themselves.
fn class_names(names: Option<(&Path, Vec<String>)>, classes: usize) -> Result<Arc<[String]>> {
    match names {
        Some((path, names)) if names.len() < classes => {
            let highest = classes.saturating_sub(1);
            let reason = format!("names {} classes, but labels go up to {highest}", names.len());
            Err(DataError::layout(path, reason))
        }
        Some((_, names)) => Ok(names.into()),
        None => Ok((0..classes).map(|class| class.to_string()).collect()),
    }
}

/// Labels that number the lines of a file of names.
fn named_labels(
    sources: &[(&'static str, &Source)],
    numbers: &[&Vec<f64>],
    names: Option<(&Path, Vec<String>)>,
) -> Result<Vec<Targets>> {
    let highest = numbers.iter().copied().flatten().copied().fold(-1.0, f64::max);
    let names = class_names(names, (highest.min(MAX_CLASSES as f64 * 2.0) + 1.0) as usize)?;
    let mut targets = Vec::new();
    for ((_, source), numbers) in sources.iter().zip(numbers) {
        if let Some(row) = numbers.iter().position(|&x| x < 0.0) {
            let last = names.len() - 1;
            let reason = format!("label {} of sample {row} is no class, want 0 to {last}", numbers[row]);
            return Err(DataError::layout(&source.path, reason));
        }
        let labels = numbers.iter().map(|&x| x as u32).collect();
        targets.push(Targets::Labels { labels, names: Arc::clone(&names) });
    }
    Ok(targets)
}

fn arrays(source: &Source, rows: usize) -> Result<Targets> {
    let Decoded::Numbers(array) = &source.content else {
        return Err(DataError::layout(&source.path, "holds text, want numbers in both parts"));
    };
    let count = array.shape()[0];
    if count != rows {
        let reason = format!("has {count} targets, want {rows}: one for each sample");
        return Err(DataError::layout(&source.path, reason));
    }
    let values = array.values().to_f32();
    check_finite(&values, rows, &source.path)?;
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
