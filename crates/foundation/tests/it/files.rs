//! Torn writes, claims and replacement.

use tinsmith_foundation::files::{self, LineLog};

#[test]
fn a_torn_line_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/log.jsonl");
    let (mut log, lines) = LineLog::open(&path).unwrap();
    assert!(lines.is_empty());
    log.append(&["one".into(), "two".into()]).unwrap();
    drop(log);
    std::fs::write(&path, "one\ntwo\nthr").unwrap();
    let (mut log, lines) = LineLog::open(&path).unwrap();
    assert_eq!(lines, ["one", "two"]);
    log.append(&["three".into()]).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
}

#[test]
fn a_claim_is_granted_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("claim");
    assert!(files::claim(&path, b"me").unwrap());
    assert!(!files::claim(&path, b"you").unwrap());
    assert_eq!(files::read_text(&path).unwrap(), "me");
}

#[test]
fn replacement_leaves_no_rubbish() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/result.json");
    files::write_atomic(&path, b"1").unwrap();
    files::write_atomic(&path, b"2").unwrap();
    assert_eq!(files::read_text(&path).unwrap(), "2");
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    let missing = dir.path().join("none");
    let error = files::read_text(&missing).unwrap_err().to_string();
    assert!(error.contains("none"), "{error}");
}
