//! Space-filling corpora: networks at the sampled points of a chain space, with a manifest and the coverage of the axes.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_cost::Target;
use tinsmith_foundation::{CancelToken, Faults, Progress, config, files};

use crate::chain_space::{ChainAxis, ChainSpace, SamplingPlan};
use crate::corpus_files::{folder_of, manifest_path, persist, with_suffix, write_error};
use crate::coverage::Coverage;
use crate::error::{ModelgenError, Result};
use crate::format::{Format, Sink};

/// Networks between two progress reports.
const STEP: usize = 1000;

/// Configuration of a space-filling corpus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpaceFillingConfig {
    /// Chain of layers and its axes.
    pub structure: ChainSpace,
    /// Choice of points on the axes. Default every combination.
    pub design: SamplingPlan,
    /// File format. Default records.
    pub format: Format,
    /// Target of the costs. Default `mcu-packed`.
    pub target: Target,
}

impl Default for SpaceFillingConfig {
    fn default() -> Self {
        Self {
            structure: ChainSpace::default(),
            design: SamplingPlan::Cartesian {},
            format: Format::Records,
            target: Target::builtin("mcu-packed").expect("invariant: `mcu-packed` is built in"),
        }
    }
}

impl SpaceFillingConfig {
    /// Notes every invalid value, by path.
    pub fn check(&self, faults: &mut Faults) {
        faults.within("structure", |faults| self.structure.check(faults));
        faults.within("target", |faults| self.target.check(faults));
    }
}

/// Description of a space-filling corpus and its coverage, written beside it as `<name>.manifest.json`. It is written
/// last, so a corpus with a manifest is complete.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpaceFillingManifest {
    /// Version of the manifest format.
    pub schema: u32,
    /// Version of this crate.
    pub version: &'static str,
    /// Configuration with all defaults.
    pub config: SpaceFillingConfig,
    /// Axes with more than one value.
    pub axes: Vec<ChainAxis>,
    /// Number of combinations of the axes; absent above 2^64.
    pub cardinality: Option<u64>,
    /// Number of networks written.
    pub written: u64,
    /// For each network, the index of its value on each axis.
    pub points: Vec<Vec<usize>>,
    /// Coverage of the axes.
    pub coverage: Coverage,
}

/// Returns the path of the coverage plot of the corpus `out`.
#[must_use]
pub fn coverage_path(out: &Path) -> PathBuf {
    with_suffix(out, "coverage.svg")
}

/// Writes the networks chosen by `config.design` to `out`, compressed by gzip if the name ends in `.gz`, then a plot of
/// their coverage and the manifest. Each file appears only when it is complete.
///
/// ```
/// use tinsmith_foundation::{CancelToken, Silent, config};
/// use tinsmith_modelgen::{SpaceFillingConfig, coverage_path, generate_space_filling, load_models};
///
/// let text = "
/// structure:
///   input: [{lb: 16, ub: 64}]
///   layers: [{size: {lb: 8, ub: 64}}, {size: {lb: 8, ub: 64}, activations: [relu, tanh]}]
///   bit_widths: [4, 8]
/// design: {latin_hypercube: {points: 24, swaps: 200, seed: 1}}
/// ";
/// let corpus: SpaceFillingConfig = config::from_str(text, "corpus.yaml", SpaceFillingConfig::check)?;
/// let folder = tempfile::tempdir()?;
/// let out = folder.path().join("lhs.jsonl");
/// let manifest = generate_space_filling(&corpus, &out, &CancelToken::new(), &Silent)?;
/// assert_eq!((manifest.written, manifest.cardinality), (24, Some(3 * 4 * 4 * 2 * 2)));
/// assert!(manifest.coverage.joint.fill < 1.0 && coverage_path(&out).exists());
/// assert_eq!(load_models(&out)?.count(), 24);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`ChainSpace::sample`] and [`Sink::write`]; [`ModelgenError::File`] if writing fails;
/// [`ModelgenError::Cancelled`].
pub fn generate_space_filling(
    corpus: &SpaceFillingConfig,
    out: &Path,
    cancel: &CancelToken,
    progress: &dyn Progress,
) -> Result<SpaceFillingManifest> {
    let mut faults = Faults::new();
    corpus.check(&mut faults);
    faults.into_result("corpus")?;
    let realized = corpus.structure.sample(corpus.design)?;
    let wanted = realized.points.len() as u64;
    let refused = |source| write_error(out)(source);
    let folder = folder_of(out);
    std::fs::create_dir_all(folder).map_err(refused)?;
    let file = tempfile::Builder::new().prefix(".part-").tempfile_in(folder).map_err(refused)?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    progress.begin("generate", Some(wanted));
    let write_all = |out: &mut dyn Write| -> Result<u64> {
        let mut sink = Sink::new(out, corpus.format).on(corpus.target.clone());
        for (i, point) in realized.points.iter().enumerate() {
            if i % STEP == 0 {
                progress.step("generate", i as u64, "");
                if cancel.is_cancelled() {
                    return Err(ModelgenError::Cancelled { written: i as u64, wanted });
                }
            }
            sink.write(&corpus.structure.network(point)?)?;
        }
        sink.finish()
    };
    let written = if out.extension().is_some_and(|e| e == "gz") {
        let mut encoder = flate2::GzBuilder::new().write(&mut file, flate2::Compression::default());
        let written = write_all(&mut encoder)?;
        encoder.finish().map_err(refused)?;
        written
    } else {
        write_all(&mut file)?
    };
    let file = file.into_inner().map_err(|e| refused(e.into_error()))?;
    persist(file, out)?;
    let coverage = Coverage::of_points(&realized);
    files::write_atomic(&coverage_path(out), coverage.to_svg().as_bytes())?;
    let manifest = SpaceFillingManifest {
        schema: 1,
        version: env!("CARGO_PKG_VERSION"),
        config: corpus.clone(),
        axes: realized.axes,
        cardinality: corpus.structure.cardinality(),
        written,
        points: realized.points,
        coverage,
    };
    files::write_atomic(&manifest_path(out), config::to_json("manifest", &manifest)?.as_bytes())?;
    progress.end("generate", format!("{written} networks"));
    Ok(manifest)
}
