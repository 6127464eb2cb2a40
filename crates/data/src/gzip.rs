//! Gzip streams of one or more members, with zero padding at the end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;
use tinsmith_foundation::ExpansionBudget;

use crate::error::{DataError, Result};

/// Decodes all members of a gzip stream as one. Zeros after the last member are padding, as tape and block devices
/// leave it, and are ignored.
pub(crate) struct GzipReader<R> {
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> GzipReader<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { member: Some(GzDecoder::new(stream)) }
    }
}

impl<R: BufRead> Read for GzipReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let got = member.read(buffer)?;
            if got > 0 || buffer.is_empty() {
                return Ok(got);
            }
            // The member's checksum was verified; another member or padding may follow.
            let mut stream = self.member.take().expect("invariant: the loop holds a member").into_inner();
            if !ends_in_zeros(&mut stream)? {
                self.member = Some(GzDecoder::new(stream));
            }
        }
        Ok(0)
    }
}

/// Skips zeros; returns true if nothing follows them.
fn ends_in_zeros(stream: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = stream.fill_buf()?;
        let (zeros, all) = (bytes.iter().take_while(|&&byte| byte == 0).count(), bytes.len());
        stream.consume(zeros);
        if all == 0 || zeros < all {
            return Ok(all == 0);
        }
    }
}

/// Opens a gzip file; the budget bounds its decompressed size.
pub(crate) fn open(path: &Path) -> Result<(GzipReader<BufReader<File>>, ExpansionBudget)> {
    let file = File::open(path).map_err(DataError::read(path))?;
    let length = file.metadata().map_err(DataError::read(path))?.len();
    Ok((GzipReader::new(BufReader::new(file)), ExpansionBudget::for_compressed(length)))
}

pub(crate) fn is_gzip_name(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"))
}
