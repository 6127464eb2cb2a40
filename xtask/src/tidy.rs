//! Rules of the repository that the compiler does not check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::ci::say;
use crate::language;

/// Largest number of lines of a file; [`LONG`] names the exceptions.
const MOST_LINES: usize = 800;
const LONG: [&str; 0] = [];

/// File names that say nothing about the content.
const VAGUE: [&str; 7] = ["utils", "util", "helpers", "common", "misc", "base", "types"];

/// Allowed dependencies between crates, dev-dependencies aside. The order is from the ground up: an entry names only crates
/// above it. Every edge listed here exists.
const EDGES: [(&str, &[&str]); 21] = [
    ("foundation", &[]),
    ("network", &["foundation"]),
    ("cost", &["foundation", "network"]),
    ("keras", &["foundation", "network"]),
    ("study", &["foundation"]),
    ("tensorboard", &["study"]),
    ("data", &["foundation"]),
    ("kernels", &[]),
    ("core-tensor", &["foundation", "kernels"]),
    ("quant", &["foundation", "network", "kernels"]),
    ("layers", &["foundation", "network", "keras", "data", "kernels", "core-tensor", "quant"]),
    (
        "trainer",
        &["foundation", "network", "study", "tensorboard", "data", "kernels", "core-tensor", "layers"],
    ),
    ("fleet", &["foundation", "network", "study", "data", "layers", "trainer"]),
    ("modelgen", &["foundation", "network", "cost", "keras", "study"]),
    ("nas", &["foundation", "network", "cost", "study"]),
    ("autoq", &["foundation", "network", "cost", "study"]),
    (
        "sparse",
        &["foundation", "network", "cost", "study", "data", "kernels", "core-tensor", "layers", "trainer"],
    ),
    ("deploy", &["foundation", "network", "cost", "core-tensor", "quant", "layers"]),
    ("report", &["foundation", "network", "cost", "study"]),
    (
        "workshop",
        &[
            "foundation",
            "network",
            "cost",
            "keras",
            "study",
            "data",
            "layers",
            "trainer",
            "modelgen",
            "nas",
            "autoq",
            "sparse",
            "deploy",
            "report",
        ],
    ),
    (
        "cli",
        &[
            "foundation",
            "network",
            "cost",
            "keras",
            "study",
            "data",
            "core-tensor",
            "trainer",
            "fleet",
            "modelgen",
            "nas",
            "autoq",
            "sparse",
            "workshop",
        ],
    ),
];

/// Crates that must build without a tensor library, and the packages that count as one.
const TENSOR_FREE: [&str; 12] = [
    "foundation",
    "network",
    "cost",
    "keras",
    "study",
    "tensorboard",
    "data",
    "kernels",
    "modelgen",
    "nas",
    "autoq",
    "report",
];
const TENSOR_LIBRARIES: [&str; 6] =
    ["candle-core", "candle-nn", "gemm", "ndarray", "nalgebra", "tinsmith-core-tensor"];

/// Accepted licenses of dependencies.
const LICENSES: [&str; 16] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "Zlib",
    "0BSD",
    "CC0-1.0",
    "Unlicense",
    "Unicode-3.0",
    "MPL-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT-0",
    "Unicode-DFS-2016",
    "bzip2-1.0.6",
];

pub(crate) fn run(root: &Path) -> Result<()> {
    let mut faults = Vec::new();
    let files = tracked(root)?;
    for file in &files {
        check_file(root, file, &mut faults);
    }
    check_manifests(root, &files, &mut faults)?;
    check_dependencies(root, &mut faults)?;
    let language = language::total(&language::count(root, &files)?);
    if language.opener_fraction() > language::MOST_OPENERS {
        faults.push(format!(
            "{:.1} % of the documentation begins with What, Where, How, Who or Whether, want at most {:.0} %; \
             `cargo xtask language --list` lists the places",
            100.0 * language.opener_fraction(),
            100.0 * language::MOST_OPENERS
        ));
    }
    let changelog = fs::read_to_string(root.join("CHANGELOG.md")).context("CHANGELOG.md")?;
    if !changelog.contains("## Unreleased") {
        faults.push("CHANGELOG.md has no section `## Unreleased`".to_owned());
    }
    if !faults.is_empty() {
        bail!("{} faults:\n{}", faults.len(), faults.join("\n"));
    }
    Ok(())
}

/// Prints the counts of [`mod@language`], and the places behind them.
pub(crate) fn language(root: &Path, list: bool) -> Result<()> {
    let packages = language::count(root, &tracked(root)?)?;
    if list {
        for opener in &language::total(&packages).openers {
            say(opener);
        }
    }
    say(language::table(&packages).trim_end());
    Ok(())
}

/// The files that git tracks or would track.
fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let out = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    let text = String::from_utf8(out.stdout)?;
    Ok(text.lines().map(PathBuf::from).filter(|f| root.join(f).is_file()).collect())
}

fn check_file(root: &Path, file: &Path, faults: &mut Vec<String>) {
    let name = file.display();
    let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if !matches!(extension, "rs" | "toml" | "md" | "yml" | "yaml")
        || file.components().any(|c| c.as_os_str() == "golden")
    {
        return;
    }
    let Ok(text) = fs::read_to_string(root.join(file)) else { return };
    if let Some(line) = text.lines().position(|l| l.ends_with([' ', '\t'])) {
        faults.push(format!("{name}:{}: blanks at the end of the line", line + 1));
    }
    if extension != "rs" {
        return;
    }
    if !text.starts_with("//!") {
        faults.push(format!("{name}:1: want a line `//! ...` that names the content of the file"));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES && !LONG.iter().any(|long| file == Path::new(long)) {
        faults.push(format!("{name}: {lines} lines, want at most {MOST_LINES}"));
    }
    let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if VAGUE.contains(&stem) || stem == "mod" {
        faults.push(format!("{name}: a file's name says what it holds, `{stem}` does not"));
    }
    if text.contains("#[ignore") && stem != "tidy" {
        faults.push(format!("{name}: a test that is ignored tests nothing"));
    }
}

fn check_manifests(root: &Path, files: &[PathBuf], faults: &mut Vec<String>) -> Result<()> {
    let manifests =
        files.iter().filter(|f| f.ends_with("Cargo.toml") && f.as_path() != Path::new("Cargo.toml"));
    for file in manifests {
        let text = fs::read_to_string(root.join(file))?;
        for wanted in ["edition.workspace = true", "license.workspace = true", "[lints]\nworkspace = true"] {
            if !text.contains(wanted) {
                faults.push(format!("{}: want `{}`", file.display(), wanted.replace('\n', " ")));
            }
        }
        let folder = file.parent().unwrap_or(Path::new(""));
        if folder.starts_with("crates") && !root.join(folder).join("README.md").is_file() {
            faults.push(format!("{}: has no README.md", folder.display()));
        }
    }
    Ok(())
}

/// Packages by name, each with its license and the names it depends on, normal dependencies only.
struct Metadata {
    packages: BTreeMap<String, (String, BTreeSet<String>)>,
}

fn metadata(root: &Path) -> Result<Metadata> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    anyhow::ensure!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    let value: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    let mut packages = BTreeMap::new();
    for package in value["packages"].as_array().context("packages")? {
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        let license = package["license"].as_str().unwrap_or_default().to_owned();
        let dependencies = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|d| d["kind"].is_null() && d["optional"] == false)
            .filter_map(|d| d["name"].as_str().map(str::to_owned))
            .collect();
        packages.insert(name, (license, dependencies));
    }
    Ok(Metadata { packages })
}

fn check_dependencies(root: &Path, faults: &mut Vec<String>) -> Result<()> {
    let metadata = metadata(root)?;
    let ours: Vec<&str> = metadata.packages.keys().filter_map(|n| n.strip_prefix("tinsmith-")).collect();
    for name in ours {
        if matches!(name, "examples" | "benches" | "fuzz") {
            continue;
        }
        let Some((_, allowed)) = EDGES.iter().find(|(n, _)| *n == name) else {
            faults.push(format!("crate {name} has no line in xtask's table of edges"));
            continue;
        };
        let (_, found) = &metadata.packages[&format!("tinsmith-{name}")];
        for edge in found.iter().filter_map(|d| d.strip_prefix("tinsmith-")) {
            if !allowed.contains(&edge) {
                faults.push(format!("crate {name} may not depend on {edge}"));
            }
        }
        for edge in allowed.iter().filter(|edge| !found.contains(&format!("tinsmith-{edge}"))) {
            faults
                .push(format!("crate {name} does not depend on {edge}: delete the edge from xtask's table"));
        }
    }
    for name in TENSOR_FREE {
        let reached = closure(&metadata, &format!("tinsmith-{name}"));
        for library in TENSOR_LIBRARIES.iter().filter(|l| reached.contains(**l)) {
            faults.push(format!("crate {name} reaches {library}, but is to build without a tensor library"));
        }
    }
    for (name, (license, _)) in &metadata.packages {
        let fits = license.replace('/', " OR ").split(" OR ").any(|choice| {
            choice.split(" AND ").all(|l| LICENSES.contains(&l.trim().trim_matches(['(', ')'])))
        });
        if !fits {
            faults
                .push(format!("dependency {name}: license `{license}` is not in the list of accepted ones"));
        }
    }
    Ok(())
}

fn closure(metadata: &Metadata, start: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start.to_owned()];
    while let Some(name) = open.pop() {
        if let Some((_, dependencies)) = metadata.packages.get(&name)
            && reached.insert(name)
        {
            open.extend(dependencies.iter().cloned());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        if let Err(error) = run(&crate::root()) {
            panic!("{error:#}");
        }
    }

    #[test]
    fn the_table_points_down_only() {
        for (i, (name, edges)) in EDGES.iter().enumerate() {
            for edge in *edges {
                assert!(EDGES[..i].iter().any(|(below, _)| below == edge), "{name} -> {edge}");
            }
        }
    }
}
