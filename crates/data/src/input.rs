//! Sources of a format's bytes: memory, a mapped file, a stream.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::error::{DataError, Result};

/// Bytes to be read from the front. Bytes in memory are borrowed, not copied.
pub(crate) enum Input<'a> {
    Bytes(&'a [u8]),
    Stream(Box<dyn Read + 'a>),
}

impl<'a> Input<'a> {
    /// Reads the rest, up to `most` bytes.
    pub(crate) fn rest(self, most: u64) -> io::Result<Cow<'a, [u8]>> {
        match self {
            Self::Bytes(bytes) => {
                let end = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Cow::Borrowed(&bytes[..end]))
            }
            Self::Stream(stream) => {
                let mut bytes = Vec::new();
                stream.take(most).read_to_end(&mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => bytes.read(buffer),
            Self::Stream(stream) => stream.read(buffer),
        }
    }
}

/// Passes a file's bytes and, if known, their number to `decode`. A regular file that is not empty is mapped into memory if
/// its file system supports locks, otherwise it is read as a stream.
pub(crate) fn with_file<R>(
    path: &Path,
    decode: impl FnOnce(Input<'_>, Option<u64>) -> Result<R>,
) -> Result<R> {
    let file = File::open(path).map_err(DataError::read(path))?;
    let meta = file.metadata().map_err(DataError::read(path))?;
    if meta.is_file()
        && let Ok(mapped) = mmap_guard::map_file(path)
    {
        return decode(Input::Bytes(&mapped), Some(mapped.len() as u64));
    }
    let length = meta.is_file().then_some(meta.len());
    decode(Input::Stream(Box::new(BufReader::new(file))), length)
}
