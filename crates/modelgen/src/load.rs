//! Reading of corpora, one network at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use tinsmith_foundation::{ExpansionBudget, FoundationError, config};

use crate::error::{ModelgenError, Result};
use crate::format::SEPARATOR;
use crate::record::Record;

/// Maximum bytes of one network's text: 16 MiB. Texts of networks have some kilobytes, so a longer one is no network,
/// or a compressed file made to fill the memory.
const TEXT: u64 = 16 << 20;

/// Iterator over the networks of a file, in order; see [`load_models`].
pub struct Models {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    form: CorpusForm,
    index: u64,
    line: u64,
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Models").field("path", &self.path).field("line", &self.line).finish_non_exhaustive()
    }
}

enum CorpusForm {
    /// One [`Record`] per line.
    Lines,
    /// Keras JSON texts with separators.
    Separated,
    /// An object of name to Keras JSON as a string.
    Batch(std::vec::IntoIter<(String, String)>),
}

/// A JSON object of name to text, in document order.
struct Batch(Vec<(String, String)>);

struct BatchVisitor;

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = Batch;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of name to model JSON as a string")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Batch, A::Error> {
        let mut models = Vec::new();
        while let Some(model) = map.next_entry()? {
            models.push(model);
        }
        Ok(Batch(models))
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BatchVisitor)
    }
}

/// Streams the networks of a corpus, compressed by gzip or not. The content determines the format, one of
/// [`crate::Format`]: records, one per line; Keras JSON texts, each followed by a line of 14 hyphens; or one JSON object of
/// name to Keras JSON as a string. Objects and texts indented over several lines are read into memory as a whole,
/// everything else line by line.
///
/// A text that is read line by line may have 16 MiB. A compressed object may expand to 64 times the size of the file, or
/// to 16 MiB ([`ExpansionBudget`]).
///
/// # Errors
/// [`ModelgenError::File`] if the file cannot be read or exceeds a bound. A fault in a single network is the error of its
/// item.
pub fn load_models(path: &Path) -> Result<Models> {
    let failed = |source| FoundationError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let budget = ExpansionBudget::for_compressed(file.metadata().map_err(failed)?.len());
    let mut raw = BufReader::with_capacity(1 << 18, file);
    let is_gzip = raw.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    let mut input: Box<dyn BufRead + Send> = if is_gzip {
        Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(raw)))
    } else {
        Box::new(raw)
    };
    let mut first = String::new();
    read_bounded_line(&mut input, &mut first, TEXT, 1).map_err(failed)?;
    let looks_like = FirstLine::of(&first);
    // Put the classified line back in front of the rest.
    let mut input: Box<dyn BufRead + Send> = Box::new(std::io::Cursor::new(first).chain(input));
    let form = match looks_like {
        FirstLine::Record => CorpusForm::Lines,
        FirstLine::Keras => CorpusForm::Separated,
        FirstLine::Unknown => {
            let mut text = String::new();
            if is_gzip {
                budget.reader("the corpus", input).read_to_string(&mut text).map_err(failed)?;
            } else {
                input.read_to_string(&mut text).map_err(failed)?;
            }
            let batch = serde_json::from_str::<Batch>(&text);
            // If it is no batch either, the reader of separated texts reports the fault and its position.
            input = Box::new(std::io::Cursor::new(text));
            batch.map_or(CorpusForm::Separated, |batch| CorpusForm::Batch(batch.0.into_iter()))
        }
    };
    Ok(Models { path: path.to_owned(), input, form, index: 0, line: 0 })
}

/// Reads a line of at most `most` bytes. `number` is that of the line, for the error.
fn read_bounded_line(
    input: &mut impl BufRead,
    line: &mut String,
    most: u64,
    number: u64,
) -> std::io::Result<usize> {
    let read = input.by_ref().take(most + 1).read_line(line)?;
    if read as u64 > most { Err(too_long(number)) } else { Ok(read) }
}

fn too_long(line: u64) -> std::io::Error {
    let text = format!("the network from line {line} on has more than {TEXT} bytes, the bound for one text");
    std::io::Error::new(std::io::ErrorKind::InvalidData, text)
}

/// Classification of the first line of a file.
enum FirstLine {
    Record,
    Keras,
    Unknown,
}

impl FirstLine {
    fn of(line: &str) -> Self {
        #[derive(serde::Deserialize)]
        struct Whole {
            spec: Option<IgnoredAny>,
            class_name: Option<IgnoredAny>,
        }
        let text = line.trim();
        match serde_json::from_str(text.strip_suffix(SEPARATOR).unwrap_or(text)) {
            Ok(Whole { spec: Some(_), .. }) => return Self::Record,
            Ok(Whole { class_name: Some(_), .. }) => return Self::Keras,
            _ => {}
        }
        // A malformed line is classified by its first key, so that the right reader reports the fault.
        let start = text.strip_prefix('{').map_or("", str::trim_start);
        if ["\"index\"", "\"hash\"", "\"cost\"", "\"spec\""].iter().any(|key| start.starts_with(key)) {
            Self::Record
        } else if start.starts_with("\"class_name\"") {
            Self::Keras
        } else {
            Self::Unknown
        }
    }
}

impl Models {
    fn read_line(&mut self, line: &mut String) -> Result<bool> {
        line.clear();
        let read = read_bounded_line(&mut self.input, line, TEXT, self.line + 1);
        let read = read.map_err(|source| FoundationError::Read { path: self.path.clone(), source })?;
        self.line += 1;
        Ok(read > 0)
    }

    fn next_line(&mut self) -> Option<Result<Record>> {
        let mut line = String::new();
        loop {
            match self.read_line(&mut line) {
                Ok(false) => return None,
                Ok(true) if line.trim().is_empty() => {}
                Ok(true) => break,
                Err(error) => return Some(Err(error)),
            }
        }
        // Fast parser first; the slow one is for its precise messages only.
        let record = serde_json::from_str::<Record>(&line).or_else(|_| {
            let origin = format!("{}, line {}", self.path.display(), self.line);
            config::from_str(&line, &origin, |_: &Record, _| {}).map_err(ModelgenError::from)
        });
        Some(record)
    }

    fn next_separated(&mut self) -> Option<Result<Record>> {
        let (mut text, mut line) = (String::new(), String::new());
        let mut start = self.line + 1;
        loop {
            let more = match self.read_line(&mut line) {
                Ok(more) => more,
                Err(error) => return Some(Err(error)),
            };
            // Texts may end without a line break, so that the hyphens follow on the same line.
            let end = line.trim_end().strip_suffix(SEPARATOR);
            if (text.len() + line.len()) as u64 > TEXT {
                let source = too_long(start);
                return Some(Err(FoundationError::Read { path: self.path.clone(), source }.into()));
            }
            text.push_str(end.unwrap_or(&line));
            if end.is_none() && more {
                continue;
            }
            if !text.trim().is_empty() {
                let origin = format!("{}, line {start}", self.path.display());
                return Some(self.keras(&text, &origin));
            }
            if !more {
                return None;
            }
            text.clear();
            start = self.line + 1;
        }
    }

    fn keras(&mut self, text: &str, origin: &str) -> Result<Record> {
        let index = self.index;
        self.index += 1;
        let spec = tinsmith_keras::read_json(text, origin)?;
        Ok(Record { index, hash: None, cost: None, spec })
    }
}

impl Iterator for Models {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.form {
            CorpusForm::Lines => self.next_line(),
            CorpusForm::Separated => self.next_separated(),
            CorpusForm::Batch(batch) => {
                let (name, text) = batch.next()?;
                let origin = format!("{}, {name}", self.path.display());
                let mut record = self.keras(&text, &origin);
                if let Ok(record) = &mut record {
                    record.spec.name = name;
                }
                Some(record)
            }
        }
    }
}
