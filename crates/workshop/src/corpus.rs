//! Corpora of random networks, none written over another.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use tinsmith_foundation::{ConfigErrors, Faults, WorkerScope};
use tinsmith_modelgen::{
    CorpusConfig, SpaceFillingConfig, SpaceFillingManifest, GeneratorConfig, CorpusManifest, generate, generate_space_filling,
    manifest_path,
};

use crate::bench::Session;
use crate::error::{Result, WorkshopError};
use crate::identity::{as_stored, listed, read_json, setting_differences, to_value};

/// Result of a request for a corpus.
#[derive(Debug)]
pub enum CorpusStatus<M> {
    /// The corpus was written.
    Written(M),
    /// An equal corpus was there already; nothing was written.
    Present {
        /// Number of its networks.
        written: u64,
    },
}

/// Returns a family for samples of shape `input` and a number of classes, if given.
///
/// The default family becomes the family of small classifiers for that shape, for 10 classes unless told otherwise. A family
/// that somebody described keeps its other settings.
#[must_use]
pub fn fit_family(
    family: GeneratorConfig,
    input: Option<&[usize]>,
    classes: Option<usize>,
) -> GeneratorConfig {
    let mut family = match input {
        Some(input) if family == GeneratorConfig::default() => {
            GeneratorConfig::for_task(input, classes.unwrap_or(10))
        }
        Some(input) => GeneratorConfig { input: Some(input.to_vec()), ..family },
        None => family,
    };
    family.classes = classes.or(family.classes);
    family
}

/// Writes a corpus to `out` and its manifest beside it, unless the same corpus is there already.
///
/// # Errors
/// [`WorkshopError::FileExists`] if another corpus or another file is there; as [`generate`] otherwise.
pub fn generate_corpus(
    config: &CorpusConfig,
    out: &Path,
    scope: WorkerScope,
    session: &Session<'_>,
) -> Result<CorpusStatus<CorpusManifest>> {
    validated(|faults| config.check(faults))?;
    if let Some(written) = present(config, out)? {
        return Ok(CorpusStatus::Present { written });
    }
    Ok(CorpusStatus::Written(generate(config, out, scope, &session.cancel, session.progress)?))
}

/// Writes a structured set to `out`, its manifest and its coverage beside it, unless the same set is there already.
///
/// # Errors
/// [`WorkshopError::FileExists`] if another corpus or another file is there; as [`generate_space_filling`] otherwise.
pub fn generate_space_filling_corpus(
    config: &SpaceFillingConfig,
    out: &Path,
    session: &Session<'_>,
) -> Result<CorpusStatus<SpaceFillingManifest>> {
    validated(|faults| config.check(faults))?;
    if let Some(written) = present(config, out)? {
        return Ok(CorpusStatus::Present { written });
    }
    Ok(CorpusStatus::Written(generate_space_filling(config, out, &session.cancel, session.progress)?))
}

fn validated(check: impl FnOnce(&mut Faults)) -> Result<(), ConfigErrors> {
    let mut faults = Faults::new();
    check(&mut faults);
    faults.into_result("corpus")
}

/// Returns the number of networks if `out` and its manifest are those of `config`.
fn present<C: Serialize>(config: &C, out: &Path) -> Result<Option<u64>> {
    let manifest = manifest_path(out);
    if !manifest.is_file() {
        if out.exists() {
            let reason = "has no manifest beside it".to_owned();
            return Err(WorkshopError::FileExists { path: out.to_owned(), reason });
        }
        return Ok(None);
    }
    let found: Value = read_json(&manifest)?;
    let exists = |reason: String| WorkshopError::FileExists { path: manifest.clone(), reason };
    let then = found.get("config").ok_or_else(|| exists("is not the manifest of a corpus".to_owned()))?;
    let differences = setting_differences(then, &as_stored(&to_value("corpus", config)?)?);
    if !differences.is_empty() {
        return Err(exists(format!("describes another corpus: {}", listed(differences))));
    }
    // The manifest's name lacks the ending of the corpus, so `a.jsonl` and `a.txt` share one manifest.
    let names = found.get("files").and_then(Value::as_array).into_iter().flatten();
    let mut names: Vec<&str> = names.filter_map(|file| file.get("name")?.as_str()).collect();
    let own_name = out.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if names.is_empty() {
        names.push(own_name);
    }
    let ending = own_name.find('.').map_or("", |dot| &own_name[dot..]);
    if let Some(other) = names.iter().find(|name| !name.ends_with(ending)) {
        return Err(exists(format!("describes {other}")));
    }
    let folder = out.parent().unwrap_or(Path::new(""));
    if let Some(missing) = names.iter().find(|name| !folder.join(name).is_file()) {
        return Err(exists(format!("names {missing}, which does not exist")));
    }
    Ok(found.get("written").and_then(Value::as_u64))
}
