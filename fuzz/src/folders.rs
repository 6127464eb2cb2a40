//! Folders: of a run and of a fleet. One input holds several files, each after a line `=== PATH`.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tinsmith_fleet::{Project, Status, Sweep};
use tinsmith_trainer::{Run, RunResult};

thread_local! {
    /// One folder per thread, emptied before each use.
    static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// Calls `body` with an empty folder.
fn with_folder(body: impl FnOnce(&Path)) {
    FOLDER.with_borrow_mut(|kept| {
        // A new folder where a panic has left files behind.
        let folder = match kept.take() {
            Some(folder) => folder,
            None => match TempDir::new() {
                Ok(folder) => folder,
                Err(_) => return,
            },
        };
        body(folder.path());
        let emptied = fs::remove_dir_all(folder.path()).and_then(|()| fs::create_dir(folder.path()));
        *kept = emptied.ok().map(|()| folder);
    });
}

/// Calls `body` with the path of a file called `name` that holds `data`.
pub(crate) fn with_file(data: &[u8], name: &str, body: impl FnOnce(&Path)) {
    with_folder(|folder| {
        let path = folder.join(name);
        if fs::write(&path, data).is_ok() {
            body(&path);
        }
    });
}

/// Writes the files of an input. Names that leave the folder are skipped: they are not what is tested here.
fn unpack(data: &[u8], folder: &Path) {
    let mut rest = data;
    let mut file: Option<(String, Vec<u8>)> = None;
    let store = |file: Option<(String, Vec<u8>)>| {
        if let Some((name, content)) = file {
            let path = folder.join(&name);
            let _ = path.parent().map(fs::create_dir_all);
            let _ = fs::write(path, content);
        }
    };
    while !rest.is_empty() {
        let end = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |n| n + 1);
        let (line, after) = rest.split_at(end);
        rest = after;
        if let Some(name) = line.strip_prefix(b"=== ") {
            store(file.take());
            let name = String::from_utf8_lossy(name).trim_end().to_owned();
            let plain = |part: &str| !part.is_empty() && part != ".." && !part.contains('\0');
            file = name.split('/').all(plain).then(|| (name, Vec::new()));
        } else if let Some((_, content)) = &mut file {
            content.extend_from_slice(line);
        }
    }
    store(file);
}

/// The folder of a run. Results are also read without the checksum, which a change would not survive.
pub(crate) fn run_folder(data: &[u8]) {
    with_folder(|folder| {
        unpack(data, folder);
        let run = Run::new(folder);
        let _ = (run.result(), run.epochs(), run.failure());
        if let Ok(text) = fs::read_to_string(folder.join("result.json"))
            && let Ok(result) = serde_json::from_str::<RunResult>(&text)
        {
            assert!(!result.is_better_than(&result));
        }
    });
}

/// The folder of a fleet.
pub(crate) fn fleet_folder(data: &[u8]) {
    with_folder(|folder| {
        unpack(data, folder);
        let Ok(project) = Project::open(folder) else { return };
        let _ = (project.slurm(), project.program());
        if let Ok(plan) = project.plan()
            && let Ok(status) = Status::of(&project, &plan)
        {
            assert_eq!(status.runs.len(), plan.runs.len());
        }
    });
}

/// Sweeps: what is accepted has a bounded number of points.
pub(crate) fn sweep(data: &[u8]) {
    with_file(data, "sweep.yaml", |path| drop(Sweep::load(path)));
}
