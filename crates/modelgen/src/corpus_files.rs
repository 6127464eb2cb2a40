//! Files of a corpus: their names, and writing them so that each appears only when it is complete.

use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tinsmith_foundation::{FoundationError, files};

use crate::error::Result;
use crate::format::Format;

/// One file of a corpus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// Name within the manifest's folder.
    pub name: String,
    /// Number of networks in the file.
    pub networks: u64,
}

/// Returns the file names of a corpus: that of `out`, or several, numbered before the extension.
pub(crate) fn file_names(out: &Path, files: u64) -> Vec<String> {
    let name = file_name(out);
    if files == 1 {
        return vec![name];
    }
    let (stem, ending) = split_name(&name);
    let digits = (files - 1).to_string().len().max(3);
    (0..files).map(|i| format!("{stem}-{i:0digits$}{ending}")).collect()
}

fn file_name(out: &Path) -> String {
    out.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Splits `corpus.jsonl.gz` into `corpus` and `.jsonl.gz`.
fn split_name(name: &str) -> (&str, &str) {
    let bare = name.strip_suffix(".gz").unwrap_or(name);
    let stem = bare.rfind('.').filter(|&dot| dot > 0).map_or(bare, |dot| &bare[..dot]);
    (stem, &name[stem.len()..])
}

/// Returns the folder of `out`, `.` for a bare name.
pub(crate) fn folder_of(out: &Path) -> &Path {
    out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the path of the manifest of the corpus `out`.
#[must_use]
pub fn manifest_path(out: &Path) -> PathBuf {
    with_suffix(out, "manifest.json")
}

/// Replaces the extension of the corpus `out`, `.gz` included.
pub(crate) fn with_suffix(out: &Path, suffix: &str) -> PathBuf {
    out.with_file_name(format!("{}.{suffix}", split_name(&file_name(out)).0))
}

/// Consecutive networks of one file, as text.
pub(crate) struct FileSegment {
    pub(crate) file: usize,
    pub(crate) text: Vec<u8>,
}

/// Files of a corpus, written one after the other.
pub(crate) struct CorpusFiles<'a> {
    folder: &'a Path,
    names: &'a [String],
    /// Number of networks up to the end of each file.
    ends: Vec<u64>,
    is_gzip: bool,
    format: Format,
    open: Option<(usize, BufWriter<tempfile::NamedTempFile>)>,
    done: usize,
}

impl<'a> CorpusFiles<'a> {
    pub(crate) fn new(count: u64, format: Format, folder: &'a Path, names: &'a [String]) -> Self {
        // 128 bits, since the product of count and file index may exceed 64.
        let files = names.len() as u128;
        let end = |i: usize| (u128::from(count) * i as u128 / files) as u64;
        Self {
            folder,
            names,
            ends: (1..=names.len()).map(end).collect(),
            is_gzip: names.first().is_some_and(|n| n.ends_with(".gz")),
            format,
            open: None,
            done: 0,
        }
    }

    /// Returns the file that holds `network`, and the range of networks of that file.
    pub(crate) fn file_of(&self, network: u64) -> (usize, Range<u64>) {
        let file = self.ends.partition_point(|&end| end <= network);
        let start = if file == 0 { 0 } else { self.ends[file - 1] };
        (file, start..self.ends[file])
    }

    /// Compresses a segment of a gzip file. Each segment becomes a gzip member of its own, so that segments can be
    /// compressed concurrently.
    pub(crate) fn pack(&self, segment: FileSegment) -> std::io::Result<FileSegment> {
        if !self.is_gzip {
            return Ok(segment);
        }
        let mut encoder = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::default());
        encoder.write_all(&segment.text)?;
        Ok(FileSegment { file: segment.file, text: encoder.finish()? })
    }

    pub(crate) fn write(&mut self, segment: &FileSegment) -> Result<()> {
        if self.open.as_ref().is_some_and(|(file, _)| *file != segment.file) {
            self.close()?;
        }
        let path = self.folder.join(&self.names[segment.file]);
        let (_, file) = match &mut self.open {
            Some(open) => open,
            None => {
                let file = tempfile::Builder::new()
                    .prefix(".part-")
                    .tempfile_in(self.folder)
                    .map_err(write_error(&path))?;
                self.open.insert((segment.file, BufWriter::with_capacity(1 << 20, file)))
            }
        };
        file.write_all(&segment.text).map_err(write_error(&path))?;
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let Some((file, writer)) = self.open.take() else { return Ok(()) };
        let path = self.folder.join(&self.names[file]);
        let file = writer.into_inner().map_err(|e| write_error(&path)(e.into_error()))?;
        persist(file, &path)?;
        self.done += 1;
        Ok(())
    }

    /// Completes the last file and lists all of them.
    pub(crate) fn finish(mut self) -> Result<Vec<FileEntry>> {
        self.close()?;
        if self.done == 0 {
            let empty = self.pack(FileSegment { file: 0, text: self.format.empty().to_vec() });
            let path = self.folder.join(&self.names[0]);
            files::write_atomic(&path, &empty.map_err(write_error(&path))?.text)?;
        }
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let sizes = self.ends.iter().zip(starts).map(|(end, start)| end - start);
        Ok(self
            .names
            .iter()
            .zip(sizes)
            .map(|(name, networks)| FileEntry { name: name.clone(), networks })
            .collect())
    }
}

/// Moves a complete temporary file to its final path.
pub(crate) fn persist(file: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        // Temporary files are readable by their owner alone; a corpus gets the usual permissions.
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(mode).map_err(write_error(path))?;
    }
    file.as_file().sync_all().map_err(write_error(path))?;
    file.persist(path).map_err(|e| write_error(path)(e.error))?;
    Ok(())
}

pub(crate) fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> FoundationError + '_ {
    move |source| FoundationError::Write { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_before_their_extensions() {
        let names = |out: &str, n| file_names(Path::new(out), n);
        assert_eq!(names("a/corpus.jsonl.gz", 1), ["corpus.jsonl.gz"]);
        assert_eq!(names("corpus.jsonl.gz", 2), ["corpus-000.jsonl.gz", "corpus-001.jsonl.gz"]);
        assert_eq!(names("corpus", 2), ["corpus-000", "corpus-001"]);
        assert_eq!(manifest_path(Path::new("a/corpus.jsonl.gz")), Path::new("a/corpus.manifest.json"));
    }
}
