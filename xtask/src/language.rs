//! Counts of the documentation's language: sentence openers, relative words, plain comments.
//!
//! The rules behind the counts are in CONTRIBUTING.md under "Language". Only the openers are enforced (by `tidy`); the
//! other two are printed by `cargo xtask language`, since a good text may exceed them in places.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// First words of a documentation block that hide its subject.
const OPENERS: [&str; 5] = ["what", "where", "how", "who", "whether"];

/// Words that chain clauses. Reference documentation needs few of them.
const RELATIVE: [&str; 7] = ["what", "where", "who", "whom", "whose", "whether", "whatever"];

/// Largest tolerated fraction of documentation blocks that begin with one of [`OPENERS`].
pub(crate) const MOST_OPENERS: f64 = 0.04;

/// Counts over some Rust files.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counts {
    /// Documentation blocks: runs of adjacent `///` or `//!` lines.
    pub(crate) blocks: usize,
    /// Blocks that begin with a word of [`OPENERS`], as `line number: text`.
    pub(crate) openers: Vec<String>,
    words: usize,
    relative_words: usize,
    code_lines: usize,
    comment_lines: usize,
}

impl Counts {
    /// Fraction of blocks with a bad opener, 0 to 1.
    pub(crate) fn opener_fraction(&self) -> f64 {
        self.openers.len() as f64 / self.blocks.max(1) as f64
    }

    /// Reads one source text; `name` labels its findings.
    pub(crate) fn read(&mut self, name: &str, text: &str) {
        let mut previous_is_doc = false;
        let mut is_example = false;
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            self.code_lines += usize::from(!line.is_empty());
            let Some(doc) = documentation(line) else {
                self.comment_lines += usize::from(line.starts_with("//"));
                previous_is_doc = false;
                continue;
            };
            if !previous_is_doc {
                is_example = false;
                self.blocks += 1;
                let opener = doc.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
                if OPENERS.contains(&opener.to_lowercase().as_str()) {
                    self.openers.push(format!("{name}:{}: {doc}", i + 1));
                }
            }
            previous_is_doc = true;
            if doc.starts_with("```") {
                is_example = !is_example;
            } else if !is_example {
                let words = || doc.split(|c: char| !c.is_alphabetic()).filter(|w| !w.is_empty());
                self.words += words().count();
                self.relative_words +=
                    words().filter(|w| RELATIVE.contains(&w.to_lowercase().as_str())).count();
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.openers.extend(other.openers.iter().cloned());
        self.words += other.words;
        self.relative_words += other.relative_words;
        self.code_lines += other.code_lines;
        self.comment_lines += other.comment_lines;
    }
}

/// The text of a documentation line, without its marker.
fn documentation(line: &str) -> Option<&str> {
    let text = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"))?;
    // Four slashes are a plain comment.
    if text.starts_with('/') { None } else { Some(text.trim()) }
}

/// Counts per package folder (`crates/NAME`, `xtask`, ...) over `files`, which are relative to `root`.
pub(crate) fn count(root: &Path, files: &[PathBuf]) -> Result<BTreeMap<String, Counts>> {
    let mut packages = BTreeMap::<String, Counts>::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "rs")) {
        let mut parts = file.components().map(|c| c.as_os_str().to_string_lossy());
        let mut package = parts.next().unwrap_or_default().into_owned();
        if package == "crates" {
            package = format!("crates/{}", parts.next().unwrap_or_default());
        }
        let text = fs::read_to_string(root.join(file)).with_context(|| file.display().to_string())?;
        packages.entry(package).or_default().read(&file.display().to_string(), &text);
    }
    Ok(packages)
}

/// The sum over all packages.
pub(crate) fn total(packages: &BTreeMap<String, Counts>) -> Counts {
    let mut sum = Counts::default();
    for counts in packages.values() {
        sum.add(counts);
    }
    sum
}

/// A table with a row for each package and one for all.
pub(crate) fn table(packages: &BTreeMap<String, Counts>) -> String {
    let mut rows: Vec<(&str, Counts)> = packages.iter().map(|(n, c)| (n.as_str(), c.clone())).collect();
    rows.push(("all", total(packages)));
    let percent = |a: usize, b: usize| 100.0 * a as f64 / b.max(1) as f64;
    let mut text = format!(
        "{:<22}{:>8}{:>10}{:>22}{:>18}\n",
        "package", "blocks", "openers", "relative words / 100", "comment lines"
    );
    for (name, c) in rows {
        text += &format!(
            "{name:<22}{:>8}{:>8.1} %{:>22.1}{:>16.1} %\n",
            c.blocks,
            100.0 * c.opener_fraction(),
            percent(c.relative_words, c.words),
            percent(c.comment_lines, c.code_lines),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openers_relative_words_and_comments_are_counted() {
        let mut counts = Counts::default();
        counts.read("a.rs", "//! What a file holds.\n\n/// Returns a sum.\n/// Where it wraps, an error.\nfn f() {}\n// Why.\n//// How\n");
        assert_eq!(counts.blocks, 2);
        assert_eq!(counts.openers, ["a.rs:1: What a file holds."]);
        assert_eq!((counts.relative_words, counts.words), (2, 12));
        assert_eq!((counts.comment_lines, counts.code_lines), (2, 6));
    }

    #[test]
    fn examples_hold_no_words() {
        let mut counts = Counts::default();
        counts.read("a.rs", "/// Adds.\n///\n/// ```\n/// let who = what;\n/// ```\n/// Ends.\nfn f() {}\n");
        assert_eq!((counts.words, counts.relative_words, counts.blocks), (2, 0, 1));
    }
}
