//! The tables of kernels in the README name every public kernel, and nothing that does not exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules of kernels; the others hold types and memory.
const MODULES: [&str; 13] = [
    "activation",
    "batch_norm",
    "conv",
    "dense",
    "depthwise",
    "elementwise",
    "epilogue",
    "math",
    "optimizer",
    "pool",
    "rows",
    "softmax",
    "words",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Text of a module's file and of all files below it.
fn texts(path: &Path, texts: &mut Vec<String>) {
    if path.with_extension("rs").is_file() {
        texts.push(fs::read_to_string(path.with_extension("rs")).unwrap());
    }
    let Ok(folder) = fs::read_dir(path) else { return };
    for entry in folder {
        self::texts(&entry.unwrap().path().with_extension(""), texts);
    }
}

/// `module::name` of every public function that is not a method.
fn public_kernels() -> BTreeSet<String> {
    let mut kernels = BTreeSet::new();
    for module in MODULES {
        let mut all = Vec::new();
        texts(&source().join(module), &mut all);
        for text in all {
            // Methods have a receiver or return `Self`; kernels inside macros are indented like methods.
            let lines: Vec<&str> = text.lines().collect();
            let mut in_impl = false;
            for line in lines {
                if line.starts_with("impl") {
                    in_impl = true;
                } else if line.starts_with('}') {
                    in_impl = false;
                }
                let line = line.trim_start();
                let name = ["pub fn ", "pub const fn "].iter().find_map(|start| line.strip_prefix(start));
                if let Some(name) = name.filter(|_| !in_impl) {
                    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap();
                    kernels.insert(format!("{module}::{}", &name[..end]));
                }
            }
        }
    }
    kernels
}

/// Rows of the README's table with this heading, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let readme = fs::read_to_string(source().with_file_name("README.md")).unwrap();
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// Parts of a cell in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_public_kernel_is_listed() {
    let listed: BTreeSet<String> =
        table("Operations").iter().flat_map(|row| quoted(&row[0]).map(str::to_owned)).collect();
    let public = public_kernels();
    assert!(public.len() > 60, "{public:?}");
    assert_eq!(public.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the README");
    assert_eq!(listed.difference(&public).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the crate");
}

#[test]
fn sources_and_limits_of_implementations_exist() {
    let mut all = Vec::new();
    texts(&source(), &mut all);
    for row in table("Implementations") {
        let [name, sources, _, selected] = &row[..] else { panic!("four columns: {row:?}") };
        assert!(quoted(sources).count() > 0, "{name} has a source");
        for file in quoted(sources) {
            assert!(source().join(file).is_file(), "{name}: {file} does not exist");
        }
        for limit in quoted(selected) {
            let constant = format!("const {limit}:");
            assert!(all.iter().any(|text| text.contains(&constant)), "{name}: {limit} does not exist");
        }
    }
}
