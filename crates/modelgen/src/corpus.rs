//! Corpora: many networks with a manifest, the same bytes for any number of workers.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_cost::{Limits, Target};
use tinsmith_foundation::{CancelToken, Faults, Progress, Seed, WorkerScope, files};
use tinsmith_network::StructuralHash;

use crate::budget::{Candidate, Tally, unsatisfiable};
use crate::config::GeneratorConfig;
use crate::corpus_files::{
    CorpusFiles, FileEntry, FileSegment, file_names, folder_of, manifest_path, write_error,
};
use crate::error::{ModelgenError, Result};
use crate::exportable;
use crate::format::Format;
use crate::generator::ModelGenerator;
use crate::record::{CostLine, RecordRef};

/// Networks that one worker draws in a row. It shapes the members of a compressed corpus and must therefore not depend
/// on the number of workers.
const BLOCK: u64 = 256;
/// Blocks between two writes.
const WAVE: u64 = 64;

/// Treatment of a network with the structure of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// Drop and count it, and draw another.
    #[default]
    Drop,
    /// Keep and count it.
    Count,
}

/// Configuration of a corpus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CorpusConfig {
    /// Number of networks. Default 1000.
    pub count: u64,
    /// Number of files over which the networks are spread evenly, in order. Default 1.
    pub files: u64,
    /// Seed of the corpus. Default 0.
    #[schemars(with = "u64")]
    pub seed: Seed,
    /// File format. Default records.
    pub format: Format,
    /// Treatment of duplicates. Default drop.
    pub duplicates: Duplicates,
    /// Upper limits of a network's cost. Default none.
    pub limits: Limits,
    /// Target of the costs. Default `mcu-int8`.
    pub target: Target,
    /// Family of the networks.
    pub family: GeneratorConfig,
}

impl Default for CorpusConfig {
    fn default() -> Self {
        Self {
            count: 1000,
            files: 1,
            seed: Seed::new(0),
            format: Format::Records,
            duplicates: Duplicates::Drop,
            limits: Limits::default(),
            target: Target::builtin("mcu-packed").expect("invariant: `mcu-packed` is built in"),
            family: GeneratorConfig::default(),
        }
    }
}

impl CorpusConfig {
    /// Notes every invalid value, by path.
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

/// Description of a corpus, written beside it as `<name>.manifest.json`. It is written last, so a corpus with a manifest
/// is complete.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorpusManifest {
    /// Version of the manifest format.
    pub schema: u32,
    /// Version of this crate.
    pub version: &'static str,
    /// Configuration with all defaults.
    pub config: CorpusConfig,
    /// Number of networks written.
    pub written: u64,
    /// Draws and rejections by reason, up to the last network written.
    pub tally: Tally,
    /// Files, in order.
    pub files: Vec<FileEntry>,
}

/// Writes a corpus of `config.count` networks in the format `config.format` to `out`, compressed by gzip if the name ends
/// in `.gz`, and its manifest beside it. Each file appears only when it is complete.
///
/// Every network is drawn from its own seed, `config.seed.derive("model", index)`, so its line depends only on the
/// configuration: neither on the number of workers nor on other networks, except that duplicates are dropped in order.
/// Keras formats hold the networks alone; costs and hashes are part of records only.
///
/// # Errors
/// [`ModelgenError::Config`], which also names what the family can draw but a Keras format cannot hold;
/// [`ModelgenError::Unsatisfiable`] after `max_tries` consecutive rejections; [`ModelgenError::File`] if writing fails;
/// [`ModelgenError::Cancelled`], checked before every draw.
pub fn generate(
    config: &CorpusConfig,
    out: &Path,
    scope: WorkerScope,
    cancel: &CancelToken,
    progress: &dyn Progress,
) -> Result<CorpusManifest> {
    let mut faults = Faults::new();
    config.check(&mut faults);
    faults.into_result("corpus")?;
    let generator = ModelGenerator::new(config.family.clone())?;
    let names = file_names(out, config.files);
    let folder = folder_of(out);
    std::fs::create_dir_all(folder).map_err(write_error(folder))?;
    let mut writer = CorpusFiles::new(config.count, config.format, folder, &names);
    let mut filter =
        DuplicateFilter { config, seen: BTreeSet::new(), tally: Tally::default(), written: 0, repeats: 0 };
    progress.begin("generate", Some(config.count));
    let mut next_block = 0;
    while filter.written < config.count {
        let missing = (config.count - filter.written).div_ceil(BLOCK).min(WAVE);
        let blocks: Vec<u64> = (next_block..next_block + missing).collect();
        next_block += missing;
        let drawing =
            BlockDrawing { generator: &generator, config, cancel, failed: AtomicU64::new(u64::MAX) };
        let drawn = scope.map(blocks, |_, block| drawing.draw(block));
        if cancel.is_cancelled() {
            return Err(ModelgenError::Cancelled { written: filter.written, wanted: config.count });
        }
        // Filtering is sequential and in order, which keeps the bytes independent of the number of workers.
        let mut segments = Vec::with_capacity(drawn.len());
        for block in drawn {
            filter.take(&block?, &writer, &mut segments)?;
        }
        let packed = scope.map(segments, |_, segment| writer.pack(segment));
        for segment in packed {
            let segment = segment.map_err(write_error(out))?;
            writer.write(&segment)?;
        }
        progress.step("generate", filter.written, format!("{} draws", filter.tally.draws));
    }
    let files = writer.finish()?;
    let manifest = CorpusManifest {
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

/// Lines of one block of networks.
struct Block {
    text: Vec<u8>,
    lines: Vec<Line>,
    /// Tally of the first network that could not be drawn, which ends the block early.
    failure: Option<Box<Tally>>,
}

struct Line {
    text: Range<usize>,
    hash: StructuralHash,
    /// Draws and rejections, if the network took more than one draw.
    tally: Option<Box<Tally>>,
}

/// Draws the blocks of one wave, concurrently.
///
/// A network that exhausts its tries ends the corpus, and the blocks of a wave are consumed in order up to the first
/// failed one. So `failed` holds the smallest index of a failed block, and every later block stops at once: its result
/// is never looked at. Earlier blocks run to their end, which keeps the error independent of the number of workers.
/// The order of the atomic accesses does not matter, since a stale value only costs a few more draws.
struct BlockDrawing<'a> {
    generator: &'a ModelGenerator,
    config: &'a CorpusConfig,
    cancel: &'a CancelToken,
    failed: AtomicU64,
}

impl BlockDrawing<'_> {
    fn draw(&self, block: u64) -> Result<Block> {
        let poll = || {
            if self.cancel.is_cancelled() || self.failed.load(Ordering::Relaxed) < block {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let mut found = Block { text: Vec::new(), lines: Vec::new(), failure: None };
        if poll().is_break() {
            return Ok(found);
        }
        found.text.reserve(1 << 18);
        found.lines.reserve(BLOCK as usize);
        let CorpusConfig { seed, limits, target, format, .. } = self.config;
        for index in block * BLOCK..(block + 1) * BLOCK {
            let seed = seed.derive("model", index);
            let mut tally = Tally::default();
            let candidate = self.generator.first_within(seed, &mut 0, limits, target, &mut tally, poll)?;
            let Some(Candidate { spec, cost, hash }) = candidate else {
                if poll().is_continue() {
                    self.failed.fetch_min(block, Ordering::Relaxed);
                }
                found.failure = Some(Box::new(tally));
                break;
            };
            let start = found.text.len();
            let record = RecordRef { index, hash, cost: CostLine::from(&cost), spec: &spec };
            format.push(&mut found.text, &record)?;
            // Most networks take one draw, so their tally is implied.
            let tally = (tally.draws > 1).then(|| Box::new(tally));
            found.lines.push(Line { text: start..found.text.len(), hash, tally });
        }
        Ok(found)
    }
}

/// Takes as many lines as the corpus needs, in order, and drops duplicates.
struct DuplicateFilter<'a> {
    config: &'a CorpusConfig,
    seen: BTreeSet<StructuralHash>,
    tally: Tally,
    written: u64,
    /// Consecutive duplicates.
    repeats: u64,
}

impl DuplicateFilter<'_> {
    fn take(
        &mut self,
        block: &Block,
        files: &CorpusFiles<'_>,
        segments: &mut Vec<FileSegment>,
    ) -> Result<()> {
        let format = self.config.format;
        let mut segment = FileSegment { file: 0, text: Vec::with_capacity(block.text.len()) };
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
            let (file, networks) = files.file_of(self.written);
            if file != segment.file && !segment.text.is_empty() {
                segments.push(FileSegment { file: segment.file, text: std::mem::take(&mut segment.text) });
            }
            segment.file = file;
            segment.text.extend_from_slice(format.before(self.written == networks.start));
            segment.text.extend_from_slice(&block.text[line.text.clone()]);
            self.written += 1;
            if self.written == networks.end {
                segment.text.extend_from_slice(format.end());
            }
        }
        if !segment.text.is_empty() {
            segments.push(segment);
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
