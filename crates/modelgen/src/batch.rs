//! Corpora: many networks to JSON Lines, the same bytes for any number of workers, with a manifest.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_cost::{Limits, Target};
use tinsmith_foundation::{CancelToken, Faults, FoundationError, Progress, Seed, WorkerScope, files};
use tinsmith_network::StructuralHash;

use crate::budget::{Candidate, Tally, unsatisfiable};
use crate::config::GeneratorConfig;
use crate::error::{ModelgenError, Result};
use crate::exportable;
use crate::format::Format;
use crate::generator::ModelGenerator;
use crate::record::{CostLine, RecordRef};

/// Networks that one worker draws at a stretch. Part of what a compressed corpus looks like, so it never depends on
/// the number of workers.
const BLOCK: u64 = 256;
/// Blocks between two writes.
const WAVE: u64 = 64;

/// What becomes of a network that has the structure of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// It is dropped and counted, and another is drawn.
    #[default]
    Drop,
    /// It is kept and counted.
    Count,
}

/// A corpus to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Number of networks. Default 1000.
    pub count: u64,
    /// Number of files that they are spread over evenly, in order. Default 1.
    pub files: u64,
    /// The seed of the corpus. Default 0.
    #[schemars(with = "u64")]
    pub seed: Seed,
    /// The form of the files. Default records.
    pub format: Format,
    /// What becomes of duplicates. Default drop.
    pub duplicates: Duplicates,
    /// What a network may cost at most. Default no limit.
    pub limits: Limits,
    /// What costs are counted for. Default `mcu-int8`.
    pub target: Target,
    /// The family.
    pub family: GeneratorConfig,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            count: 1000,
            files: 1,
            seed: Seed::new(0),
            format: Format::Records,
            duplicates: Duplicates::Drop,
            limits: Limits::default(),
            target: Target::default(),
            family: GeneratorConfig::default(),
        }
    }
}

impl BatchConfig {
    /// Notes every value that cannot be used, by path.
    pub fn check(&self, faults: &mut Faults) {
        if self.files == 0 || self.files > self.count.max(1) {
            faults.add("files", format!("is {}, want 1 to count, {}", self.files, self.count));
        }
        faults.within("limits", |faults| self.limits.check_config(faults));
        faults.within("target", |faults| self.target.check(faults));
        faults.within("family", |faults| {
            self.family.check(faults);
            if self.format.is_keras() {
                exportable::check(&self.family, faults);
            }
        });
    }
}

/// What a corpus is and how it came about; written beside it as `<name>.manifest.json`, last of all, so that a corpus
/// with a manifest is whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Manifest {
    /// Version of this format.
    pub schema: u32,
    /// Version of this crate.
    pub version: &'static str,
    /// The configuration, defaults written out.
    pub config: BatchConfig,
    /// Networks written.
    pub written: u64,
    /// Draws and rejects by reason, up to the last network written.
    pub tally: Tally,
    /// The files in order.
    pub files: Vec<FileEntry>,
}

/// One file of a corpus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// Its name, in the manifest's folder.
    pub name: String,
    /// Networks in it.
    pub networks: u64,
}

/// The names of the files of a corpus: `out` itself, or `out` numbered before its ending.
fn file_names(out: &Path, files: u64) -> Vec<String> {
    let name = out.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    if files == 1 {
        return vec![name];
    }
    let (stem, ending) = split_name(&name);
    let digits = (files - 1).to_string().len().max(3);
    (0..files).map(|i| format!("{stem}-{i:0digits$}{ending}")).collect()
}

/// `corpus.jsonl.gz` as `corpus` and `.jsonl.gz`.
pub(crate) fn split_name(name: &str) -> (&str, &str) {
    let bare = name.strip_suffix(".gz").unwrap_or(name);
    let stem = bare.rfind('.').filter(|&dot| dot > 0).map_or(bare, |dot| &bare[..dot]);
    (stem, &name[stem.len()..])
}

/// Writes a corpus of `config.count` networks to `out` (gzip where its name ends in `.gz`) in the form `config.format`,
/// and its manifest beside it. Files appear when they are whole.
///
/// Every network is drawn from its own seed, `config.seed.derive("model", index)`, so lines depend on nothing but the
/// configuration: not on the number of workers, nor on the networks before, except that duplicates are dropped in order.
/// Keras formats hold the networks alone: costs and hashes stand in records.
///
/// # Errors
/// [`ModelgenError::Config`], which names what a family can draw and a Keras format cannot hold;
/// [`ModelgenError::Unsatisfiable`] where `max_tries` draws in a row were rejected;
/// [`ModelgenError::File`] where the disk refuses; [`ModelgenError::Cancelled`].
pub fn generate(
    config: &BatchConfig,
    out: &Path,
    scope: WorkerScope,
    cancel: &CancelToken,
    progress: &dyn Progress,
) -> Result<Manifest> {
    let mut faults = Faults::new();
    config.check(&mut faults);
    faults.into_result("corpus")?;
    let generator = ModelGenerator::new(config.family.clone())?;
    let names = file_names(out, config.files);
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(write_error(folder))?;
    let mut writer = Files::new(config, folder, &names);
    let mut filter =
        Filter { config, seen: BTreeSet::new(), tally: Tally::default(), written: 0, repeats: 0 };
    progress.begin("generate", Some(config.count));
    let mut next_block = 0;
    while filter.written < config.count {
        if cancel.is_cancelled() {
            return Err(ModelgenError::Cancelled { written: filter.written, wanted: config.count });
        }
        let missing = (config.count - filter.written).div_ceil(BLOCK).min(WAVE);
        let blocks: Vec<u64> = (next_block..next_block + missing).collect();
        next_block += missing;
        let drawn = scope.map(blocks, |_, block| draw_block(&generator, config, block));
        let mut parts = Vec::with_capacity(drawn.len());
        for block in drawn {
            filter.take(&block?, &writer, &mut parts)?;
        }
        let packed = scope.map(parts, |_, part| writer.pack(part));
        for part in packed {
            let part = part.map_err(write_error(out))?;
            writer.write(&part)?;
        }
        progress.step("generate", filter.written, format!("{} draws", filter.tally.draws));
    }
    let files = writer.finish()?;
    let manifest = Manifest {
        schema: 1,
        version: env!("CARGO_PKG_VERSION"),
        config: config.clone(),
        written: filter.written,
        tally: filter.tally,
        files,
    };
    let text = tinsmith_foundation::config::to_json("manifest", &manifest)?;
    files::write_atomic(&manifest_path(out), text.as_bytes())?;
    progress.end("generate", format!("{} networks in {} draws", manifest.written, manifest.tally.draws));
    Ok(manifest)
}

/// Where the manifest of the corpus `out` lies.
#[must_use]
pub fn manifest_path(out: &Path) -> PathBuf {
    let name = out.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    out.with_file_name(format!("{}.manifest.json", split_name(&name).0))
}

/// Networks of a block, as lines.
struct Block {
    text: Vec<u8>,
    lines: Vec<Line>,
    /// Why the block ends early: the first network that could not be drawn.
    failure: Option<Box<Tally>>,
}

struct Line {
    text: Range<usize>,
    hash: StructuralHash,
    /// Draws and rejects, where there was more than one draw.
    tally: Option<Box<Tally>>,
}

fn draw_block(generator: &ModelGenerator, config: &BatchConfig, block: u64) -> Result<Block> {
    let mut found =
        Block { text: Vec::with_capacity(1 << 18), lines: Vec::with_capacity(BLOCK as usize), failure: None };
    for index in block * BLOCK..(block + 1) * BLOCK {
        let seed = config.seed.derive("model", index);
        let mut tally = Tally::default();
        let candidate = generator.first_within(seed, &mut 0, &config.limits, &config.target, &mut tally)?;
        let Some(candidate) = candidate else {
            found.failure = Some(Box::new(tally));
            break;
        };
        let start = found.text.len();
        let Candidate { spec, cost, hash } = &candidate;
        let record = RecordRef { index, hash: *hash, cost: CostLine::from(cost), spec };
        config.format.push(&mut found.text, &record)?;
        let hash = *hash;
        let tally = (tally.draws > 1).then(|| Box::new(tally));
        found.lines.push(Line { text: start..found.text.len(), hash, tally });
    }
    Ok(found)
}

/// Takes lines in order, as many as are wanted, without what is repeated.
struct Filter<'a> {
    config: &'a BatchConfig,
    seen: BTreeSet<StructuralHash>,
    tally: Tally,
    written: u64,
    /// Duplicates in a row.
    repeats: u64,
}

/// Lines of one block that go to one file.
struct Part {
    file: usize,
    text: Vec<u8>,
}

impl Filter<'_> {
    fn take(&mut self, block: &Block, files: &Files<'_>, parts: &mut Vec<Part>) -> Result<()> {
        let mut part = Part { file: 0, text: Vec::with_capacity(block.text.len()) };
        for line in &block.lines {
            if self.written == self.config.count {
                break;
            }
            match &line.tally {
                Some(tally) => self.tally.merge(tally),
                None => self.tally.draws += 1,
            }
            if !self.seen.insert(line.hash) {
                self.tally.duplicates += 1;
                if self.config.duplicates == Duplicates::Drop {
                    self.repeats += 1;
                    if self.repeats >= self.config.family.max_tries {
                        return Err(self.unsatisfiable());
                    }
                    continue;
                }
            }
            self.repeats = 0;
            let file = files.ends.partition_point(|&end| end <= self.written);
            let start = if file == 0 { 0 } else { files.ends[file - 1] };
            if file != part.file && !part.text.is_empty() {
                parts.push(Part { file: part.file, text: std::mem::take(&mut part.text) });
            }
            part.file = file;
            part.text.extend_from_slice(self.config.format.before(self.written == start));
            part.text.extend_from_slice(&block.text[line.text.clone()]);
            self.written += 1;
            if self.written == files.ends[file] {
                part.text.extend_from_slice(self.config.format.end());
            }
        }
        if !part.text.is_empty() {
            parts.push(part);
        }
        match &block.failure {
            Some(tally) if self.written < self.config.count => {
                self.tally.merge(tally);
                Err(self.unsatisfiable())
            }
            _ => Ok(()),
        }
    }

    fn unsatisfiable(&self) -> ModelgenError {
        unsatisfiable(self.written as usize, self.config.count as usize, &self.tally)
    }
}

/// The files of a corpus while they are written, one after the other.
struct Files<'a> {
    folder: &'a Path,
    names: &'a [String],
    /// Number of networks up to the end of each file.
    ends: Vec<u64>,
    is_gzip: bool,
    format: Format,
    open: Option<(usize, BufWriter<tempfile::NamedTempFile>)>,
    done: usize,
}

impl<'a> Files<'a> {
    fn new(config: &BatchConfig, folder: &'a Path, names: &'a [String]) -> Self {
        let share = |i: u64| (u128::from(config.count) * u128::from(i) / u128::from(config.files)) as u64;
        Self {
            folder,
            names,
            ends: (1..=config.files).map(share).collect(),
            is_gzip: names.first().is_some_and(|n| n.ends_with(".gz")),
            format: config.format,
            open: None,
            done: 0,
        }
    }

    /// A part as it stands in its file. Each is a member of its own of a gzip file, so that parts are compressed
    /// side by side.
    fn pack(&self, part: Part) -> std::io::Result<Part> {
        if !self.is_gzip {
            return Ok(part);
        }
        let mut encoder = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::default());
        encoder.write_all(&part.text)?;
        Ok(Part { file: part.file, text: encoder.finish()? })
    }

    fn write(&mut self, part: &Part) -> Result<()> {
        if self.open.as_ref().is_some_and(|(file, _)| *file != part.file) {
            self.close()?;
        }
        let path = self.folder.join(&self.names[part.file]);
        let (_, file) = match &mut self.open {
            Some(open) => open,
            None => {
                let file = tempfile::Builder::new()
                    .prefix(".part-")
                    .tempfile_in(self.folder)
                    .map_err(write_error(&path))?;
                self.open.insert((part.file, BufWriter::with_capacity(1 << 20, file)))
            }
        };
        file.write_all(&part.text).map_err(write_error(&path))?;
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let Some((file, writer)) = self.open.take() else { return Ok(()) };
        let path = self.folder.join(&self.names[file]);
        let file = writer.into_inner().map_err(|e| write_error(&path)(e.into_error()))?;
        persist(file, &path)?;
        self.done += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<FileEntry>> {
        self.close()?;
        if self.done == 0 {
            let empty = self.pack(Part { file: 0, text: self.format.empty().to_vec() });
            let path = self.folder.join(&self.names[0]);
            files::write_atomic(&path, &empty.map_err(write_error(&path))?.text)?;
        }
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let sizes = self.ends.iter().zip(starts).map(|(end, start)| end - start);
        Ok(self
            .names
            .iter()
            .zip(sizes)
            .map(|(name, networks)| FileEntry { name: name.clone(), networks })
            .collect())
    }
}

/// Gives a file that is whole its name.
pub(crate) fn persist(file: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        // A temporary file is readable by its owner alone; a corpus is a file like any other.
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(mode).map_err(write_error(path))?;
    }
    file.as_file().sync_all().map_err(write_error(path))?;
    file.persist(path).map_err(|e| write_error(path)(e.error))?;
    Ok(())
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> FoundationError + '_ {
    move |source| FoundationError::Write { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_before_their_endings() {
        let names = |out: &str, n| file_names(Path::new(out), n);
        assert_eq!(names("a/corpus.jsonl.gz", 1), ["corpus.jsonl.gz"]);
        assert_eq!(names("corpus.jsonl.gz", 2), ["corpus-000.jsonl.gz", "corpus-001.jsonl.gz"]);
        assert_eq!(names("corpus", 2), ["corpus-000", "corpus-001"]);
        assert_eq!(manifest_path(Path::new("a/corpus.jsonl.gz")), Path::new("a/corpus.manifest.json"));
    }
}
