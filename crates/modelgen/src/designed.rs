//! Structured corpora: the networks of a design, written with their manifest and the coverage of their axes.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_cost::Target;
use tinsmith_foundation::{CancelToken, Faults, FoundationError, Progress, config, files};

use crate::batch::{manifest_path, split_name};
use crate::coverage::Coverage;
use crate::error::{ModelgenError, Result};
use crate::format::{Format, Sink};
use crate::structure::{Axis, Design, Structure};

/// Networks between two reports of progress.
const STEP: usize = 1000;

/// A structured corpus to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DesignedConfig {
    /// The chain of layers and its axes.
    pub structure: Structure,
    /// How points of the axes are chosen. Default every combination.
    pub design: Design,
    /// The form of the file. Default records.
    pub format: Format,
    /// What costs are counted for. Default `mcu-int8`.
    pub target: Target,
}

impl Default for DesignedConfig {
    fn default() -> Self {
        Self {
            structure: Structure::default(),
            design: Design::Cartesian {},
            format: Format::Records,
            target: Target::default(),
        }
    }
}

impl DesignedConfig {
    /// Notes every value that cannot be used, by path.
    pub fn check(&self, faults: &mut Faults) {
        faults.within("structure", |faults| self.structure.check(faults));
        faults.within("target", |faults| self.target.check(faults));
    }
}

/// What a structured corpus is and how well it covers its axes; written beside it as `<name>.manifest.json`, last of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DesignedManifest {
    /// Version of this format.
    pub schema: u32,
    /// Version of this crate.
    pub version: &'static str,
    /// The configuration, defaults written out.
    pub config: DesignedConfig,
    /// The axes with more than one value.
    pub axes: Vec<Axis>,
    /// How many networks the axes have; absent for more than 2^64.
    pub cardinality: Option<u64>,
    /// Networks written.
    pub written: u64,
    /// For each network the places of its values on the axes.
    pub points: Vec<Vec<usize>>,
    /// How the networks cover the axes.
    pub coverage: Coverage,
}

/// Where the picture of a structured corpus' coverage lies.
#[must_use]
pub fn coverage_path(out: &Path) -> PathBuf {
    let name = out.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    out.with_file_name(format!("{}.coverage.svg", split_name(&name).0))
}

/// Writes the networks that `config.design` chooses to `out` (gzip where its name ends in `.gz`), the picture of their
/// coverage and, last, their manifest. Files appear when they are whole.
///
/// ```
/// use tinsmith_foundation::{CancelToken, Silent, config};
/// use tinsmith_modelgen::{DesignedConfig, coverage_path, generate_designed, load_models};
///
/// let text = "
/// structure:
///   input: [{lb: 16, ub: 64}]
///   layers: [{size: {lb: 8, ub: 64}}, {size: {lb: 8, ub: 64}, activations: [relu, tanh]}]
///   bit_widths: [4, 8]
/// design: {latin_hypercube: {points: 24, swaps: 200, seed: 1}}
/// ";
/// let designed: DesignedConfig = config::from_str(text, "designed.yaml", DesignedConfig::check)?;
/// let folder = tempfile::tempdir()?;
/// let out = folder.path().join("lhs.jsonl");
/// let manifest = generate_designed(&designed, &out, &CancelToken::new(), &Silent)?;
/// assert_eq!((manifest.written, manifest.cardinality), (24, Some(3 * 4 * 4 * 2 * 2)));
/// assert!(manifest.coverage.joint.fill < 1.0 && coverage_path(&out).exists());
/// assert_eq!(load_models(&out)?.count(), 24);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ModelgenError::Config`] and [`ModelgenError::Design`] as [`Structure::realize`]; what [`Sink::write`] returns;
/// [`ModelgenError::File`] where the disk refuses; [`ModelgenError::Cancelled`].
pub fn generate_designed(
    designed: &DesignedConfig,
    out: &Path,
    cancel: &CancelToken,
    progress: &dyn Progress,
) -> Result<DesignedManifest> {
    let mut faults = Faults::new();
    designed.check(&mut faults);
    faults.into_result("corpus")?;
    let realized = designed.structure.realize(designed.design)?;
    let wanted = realized.points.len() as u64;
    let refused = |source| FoundationError::Write { path: out.to_owned(), source };
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(refused)?;
    let file = tempfile::Builder::new().prefix(".part-").tempfile_in(folder).map_err(refused)?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    progress.begin("generate", Some(wanted));
    let write_all = |out: &mut dyn Write| -> Result<u64> {
        let mut sink = Sink::new(out, designed.format).on(designed.target.clone());
        for (i, point) in realized.points.iter().enumerate() {
            if i % STEP == 0 {
                progress.step("generate", i as u64, "");
                if cancel.is_cancelled() {
                    return Err(ModelgenError::Cancelled { written: i as u64, wanted });
                }
            }
            sink.write(&designed.structure.network(point)?)?;
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
    crate::batch::persist(file, out)?;
    let coverage = Coverage::of_design(&realized);
    files::write_atomic(&coverage_path(out), coverage.to_svg().as_bytes())?;
    let manifest = DesignedManifest {
        schema: 1,
        version: env!("CARGO_PKG_VERSION"),
        config: designed.clone(),
        axes: realized.axes,
        cardinality: designed.structure.cardinality(),
        written,
        points: realized.points,
        coverage,
    };
    files::write_atomic(&manifest_path(out), config::to_json("manifest", &manifest)?.as_bytes())?;
    progress.end("generate", format!("{written} networks"));
    Ok(manifest)
}
