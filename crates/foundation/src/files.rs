//! Durable files: atomic replacement, exclusive creation, append-only logs. A file is complete or absent, even if the
//! process dies while it writes.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{FoundationError, Result};

/// Replaces `path` by `bytes`: writes a temporary file beside it, syncs it, renames it over `path`. A reader sees the
/// old file or the new one, never a part. Creates missing folders.
///
/// # Errors
/// [`FoundationError::Write`] if the folder or the file cannot be written.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = folder_of(path)?;
    let mut file = tempfile::Builder::new()
        .prefix(".part-")
        .tempfile_in(folder)
        .map_err(FoundationError::write(path))?;
    #[cfg(unix)]
    {
        // Temporary files are created with mode 0600; results have the usual mode.
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(mode).map_err(FoundationError::write(path))?;
    }
    file.write_all(bytes).map_err(FoundationError::write(path))?;
    file.as_file().sync_all().map_err(FoundationError::write(path))?;
    file.persist(path).map_err(|e| FoundationError::Write { path: path.to_owned(), source: e.error })?;
    sync_folder(folder);
    Ok(())
}

/// Reads a text file.
///
/// # Errors
/// [`FoundationError::Read`] if it is missing, unreadable or not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(FoundationError::read(path))
}

/// Creates `path` with `content` unless it exists; returns true if this call created it.
///
/// Exclusive creation is atomic on shared file systems too, including NFS, so processes on several machines claim a run
/// this way.
///
/// # Errors
/// [`FoundationError::Write`] if the file does not exist and cannot be created.
pub fn claim(path: &Path, content: &[u8]) -> Result<bool> {
    folder_of(path)?;
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            file.write_all(content).map_err(FoundationError::write(path))?;
            file.sync_all().map_err(FoundationError::write(path))?;
            Ok(true)
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(FoundationError::Write { path: path.to_owned(), source }),
    }
}

/// An append-only file of lines. A process that dies while it writes leaves an incomplete last line, which the next
/// opening removes.
#[derive(Debug)]
pub struct LineLog {
    path: PathBuf,
    file: File,
}

impl LineLog {
    /// Opens or creates the log and returns its complete lines.
    ///
    /// # Errors
    /// [`FoundationError::Read`] or [`FoundationError::Write`] if the file cannot be read or truncated.
    pub fn open(path: &Path) -> Result<(Self, Vec<String>)> {
        folder_of(path)?;
        // Append mode: lines that another process adds in the meantime are not overwritten.
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(FoundationError::write(path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(FoundationError::read(path))?;
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(FoundationError::write(path))?;
        }
        let text = std::str::from_utf8(&bytes[..whole]).map_err(|e| FoundationError::Read {
            path: path.to_owned(),
            source: std::io::Error::new(ErrorKind::InvalidData, e),
        })?;
        let lines = text.lines().map(str::to_owned).collect();
        Ok((Self { path: path.to_owned(), file }, lines))
    }

    /// Appends `lines` in one write and syncs the file: they survive a power failure after this returns.
    ///
    /// # Errors
    /// [`FoundationError::Write`] if they cannot be written.
    pub fn append(&mut self, lines: &[String]) -> Result<()> {
        let mut text = lines.join("\n");
        if text.is_empty() {
            return Ok(());
        }
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(FoundationError::write(&self.path))?;
        self.file.sync_data().map_err(FoundationError::write(&self.path))
    }
}

fn folder_of(path: &Path) -> Result<&Path> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(FoundationError::write(folder))?;
    Ok(folder)
}

/// Makes a rename durable. File systems that cannot sync a folder order renames themselves, so errors are ignored.
fn sync_folder(folder: &Path) {
    if let Ok(file) = File::open(folder) {
        drop(file.sync_all());
    }
}
