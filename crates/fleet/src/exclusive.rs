//! Operations that exactly one of several concurrent callers completes, on any machines that share the file
//! system. They need no server, and no locks that a killed process could leave behind.

use std::fs;
use std::io::ErrorKind;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{FleetError, Result};

/// Writes `bytes` to `path` unless the file exists. Returns true if this call created it. The file is
/// complete as soon as it is visible: it is written under a temporary name, synced, then renamed without
/// overwriting.
pub(crate) fn publish(path: &Path, bytes: &[u8]) -> Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut draft =
        tempfile::Builder::new().prefix(".draft-").tempfile_in(folder).map_err(FleetError::write(path))?;
    draft.write_all(bytes).map_err(FleetError::write(path))?;
    readable(draft.as_file(), path)?;
    draft.as_file().sync_all().map_err(FleetError::write(path))?;
    match draft.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(e) if e.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(FleetError::write(path)(e.error)),
    }
}

/// Makes a temporary file, private to its owner by default, as readable as any other result.
#[cfg(unix)]
fn readable(file: &fs::File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644)).map_err(FleetError::write(path))
}

#[cfg(not(unix))]
fn readable(_file: &fs::File, _path: &Path) -> Result<()> {
    Ok(())
}

/// Creates the folder `parent/NNNN` with the lowest free number above all existing ones, counting from 1.
/// `fill` writes its content before the folder becomes visible. Renaming onto a folder that is not empty
/// fails, so two callers never get the same number.
pub(crate) fn numbered_folder(
    parent: &Path,
    fill: impl Fn(&Path, u32) -> Result<()>,
) -> Result<(u32, PathBuf)> {
    fs::create_dir_all(parent).map_err(FleetError::write(parent))?;
    let mut number = numbers(parent)?.last().copied().unwrap_or(0) + 1;
    loop {
        let path = parent.join(format!("{number:04}"));
        let draft = draft_folder(parent)?;
        fill(draft.path(), number)?;
        match fs::rename(draft.path(), &path) {
            Ok(()) => {
                // The folder has its final name now, so the guard has nothing to delete.
                let _ = draft.keep();
                return Ok((number, path));
            }
            Err(_) if path.exists() => number += 1,
            Err(source) => return Err(FleetError::write(&path)(source)),
        }
    }
}

/// Creates a temporary folder beside its final place, as readable as any other folder.
pub(crate) fn draft_folder(parent: &Path) -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".draft-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o755));
    }
    builder.tempdir_in(parent).map_err(FleetError::write(parent))
}

/// Returns the numbers of the folders created by [`numbered_folder`], in ascending order; empty if `parent`
/// does not exist.
pub(crate) fn numbers(parent: &Path) -> Result<Vec<u32>> {
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(FleetError::read(parent)(source)),
    };
    let mut found: Vec<u32> =
        entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many_publishes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.json");
        let won = std::thread::scope(|s| {
            let threads: Vec<_> = (0..4)
                .map(|i| {
                    let path = &path;
                    s.spawn(move || publish(path, &[b'0' + i]).unwrap())
                })
                .collect();
            threads.into_iter().map(|t| u32::from(t.join().unwrap())).sum::<u32>()
        });
        assert_eq!(won, 1);
        assert_eq!(fs::read(&path).unwrap().len(), 1);
    }

    #[test]
    fn numbers_are_never_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let fill = |folder: &Path, n: u32| {
            fs::write(folder.join("n"), n.to_string()).unwrap();
            Ok(())
        };
        for wanted in 1..=3 {
            let (n, path) = numbered_folder(dir.path(), fill).unwrap();
            assert_eq!((n, fs::read_to_string(path.join("n")).unwrap()), (wanted, wanted.to_string()));
        }
        assert_eq!(numbers(dir.path()).unwrap(), [1, 2, 3]);
    }
}
