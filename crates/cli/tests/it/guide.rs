//! The guide under `docs/guide`: its files are read and its commands run, page by page, each in a folder of its own.

use std::path::Path;
use std::process::Command;

const PAGES: [(&str, &str); 9] = [
    ("first-design", include_str!("../../../../docs/guide/src/first-design.md")),
    ("your-data", include_str!("../../../../docs/guide/src/your-data.md")),
    ("budgets", include_str!("../../../../docs/guide/src/budgets.md")),
    ("results", include_str!("../../../../docs/guide/src/results.md")),
    ("networks", include_str!("../../../../docs/guide/src/networks.md")),
    ("searching", include_str!("../../../../docs/guide/src/searching.md")),
    ("training", include_str!("../../../../docs/guide/src/training.md")),
    ("pruning", include_str!("../../../../docs/guide/src/pruning.md")),
    ("shipping", include_str!("../../../../docs/guide/src/shipping.md")),
];

/// Options that shorten a command, where the page does not give them itself.
const SHORT: [(&str, &[(&str, &str)]); 5] = [
    ("design", &[("--trials", "2"), ("--epochs", "1"), ("--seeds", "1")]),
    ("search", &[("--trials", "2"), ("--epochs", "1")]),
    ("quantize", &[("--trials", "2"), ("--epochs", "1")]),
    ("prune", &[("--epochs", "1")]),
    ("train", &[("--epochs", "1")]),
];

/// A file of the page, named by the comment before its block.
fn files(page: &str) -> Vec<(&str, &str)> {
    page.split("<!-- file: ")
        .skip(1)
        .map(|rest| {
            let (name, rest) = rest.split_once(" -->").unwrap();
            let body = rest.split_once("```").unwrap().1;
            let (_, body) = body.split_once('\n').unwrap();
            (name, body.split_once("```").unwrap().0)
        })
        .collect()
}

/// The command lines of the page's shell blocks.
fn commands(page: &str) -> Vec<&str> {
    page.split("```sh\n").skip(1).flat_map(|rest| rest.split("```").next().unwrap().lines()).collect()
}

fn shortened(line: &str) -> Vec<String> {
    let mut words: Vec<String> = line.split_whitespace().map(|w| w.trim_matches('"').to_owned()).collect();
    assert_eq!(words.remove(0), "tinsmith", "{line}");
    let options = SHORT.iter().find(|(name, _)| *name == words[0]).map_or(&[][..], |(_, options)| options);
    // A design that is resumed takes its options from its folder.
    if !words.iter().any(|w| w == "--resume") {
        for (option, value) in options.iter().filter(|(o, _)| !line.contains(o)) {
            words.extend([(*option).to_owned(), (*value).to_owned()]);
        }
    }
    words
}

fn run(page: &str, dir: &Path, line: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_tinsmith"))
        .args(shortened(line))
        .current_dir(dir)
        .env_remove("TINSMITH_DATA")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docs/guide/src/{page}.md: {line}\n{error}");
}

#[test]
fn every_page_works_in_an_empty_folder() {
    for (name, page) in PAGES {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in files(page) {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let lines = commands(page);
        assert!(!lines.is_empty(), "{name} shows no command");
        for line in lines {
            run(name, dir.path(), line);
        }
    }
}

#[test]
fn the_summary_lists_every_page() {
    let summary = include_str!("../../../../docs/guide/src/SUMMARY.md");
    for (name, _) in PAGES {
        assert!(summary.contains(&format!("({name}.md)")), "{name}");
    }
}
