//! A bound on what a file may become in memory: a small multiple of its size, or a small absolute size, whichever is
//! larger. Readers draw all members of a file from one [`ExpansionBudget`], so that the bound holds for their sum.
//! Decompressed streams draw while they are read ([`ExpansionBudget::reader`]); arrays whose size a header claims draw
//! before memory is allocated ([`ExpansionBudget::claim`]).
//!
//! ```
//! use std::io::Read;
//! use tinsmith_foundation::expansion::ExpansionBudget;
//!
//! // A file of 100 compressed bytes may expand to 16 MiB.
//! let budget = ExpansionBudget::for_compressed(100);
//! let mut member = budget.reader("weights.npy", std::io::repeat(0));
//! let error = member.read_to_end(&mut Vec::new()).unwrap_err();
//! assert!(error.to_string().starts_with("`weights.npy` expands beyond 16777216 bytes"));
//! ```

use std::cell::Cell;
use std::io::{self, ErrorKind, Read};

use crate::quote::{QUOTE_LIMIT, quote};

/// Decompressed bytes that a file of any size may have: 16 MiB.
pub const FLOOR: u64 = 16 << 20;

/// Decompressed bytes allowed for each compressed byte. DEFLATE reaches about 1,030; real data stay below 30.
pub const FACTOR: u64 = 64;

/// The decompressed bytes that the members of one compressed file may still produce.
///
/// The limit is the larger of [`FLOOR`] and [`FACTOR`] times the compressed size.
#[derive(Debug)]
pub struct ExpansionBudget {
    compressed: u64,
    limit: u64,
    left: Cell<u64>,
}

impl ExpansionBudget {
    /// The budget of a file that has `compressed` bytes on disk.
    #[must_use]
    pub fn for_compressed(compressed: u64) -> Self {
        let limit = FLOOR.max(compressed.saturating_mul(FACTOR));
        Self { compressed, limit, left: Cell::new(limit) }
    }

    /// Decompressed bytes that all members together may have.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Draws the `bytes` that a header claims for `member`, before they are allocated.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`], naming `member` and the bound, if the claims so far exceed the budget.
    pub fn claim(&self, member: &str, bytes: u64) -> io::Result<()> {
        let Some(left) = self.left.get().checked_sub(bytes) else {
            let subject =
                format!("`{}` claims {bytes} bytes, which brings the file", quote(member, QUOTE_LIMIT));
            return Err(self.exceeded(&subject, ""));
        };
        self.left.set(left);
        Ok(())
    }

    fn exceeded(&self, subject: &str, advice: &str) -> io::Error {
        let Self { compressed, limit, .. } = self;
        let text = format!(
            "{subject} beyond {limit} bytes, the bound for a file of {compressed} bytes ({FACTOR} times its size, at \
             least {} MiB){advice}",
            FLOOR >> 20
        );
        io::Error::new(ErrorKind::InvalidData, text)
    }

    /// Wraps the decompressed stream of one member. Reading fails with [`ErrorKind::InvalidData`], naming `member` and
    /// the bound, once the members read so far exceed the budget.
    pub fn reader<R: Read>(&self, member: &str, inner: R) -> BoundedReader<'_, R> {
        BoundedReader { budget: self, member: quote(member, QUOTE_LIMIT), inner }
    }
}

/// A decompressed stream that draws on an [`ExpansionBudget`].
#[derive(Debug)]
pub struct BoundedReader<'a, R> {
    budget: &'a ExpansionBudget,
    member: String,
    inner: R,
}

impl<R: Read> Read for BoundedReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.budget.left.get();
        if left == 0 && !buffer.is_empty() {
            // The budget is spent exactly: this is an error only if the stream has more.
            let mut probe = [0_u8; 1];
            return match self.inner.read(&mut probe)? {
                0 => Ok(0),
                _ => Err(self.exceeded()),
            };
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.inner.read(&mut buffer[..most])?;
        self.budget.left.set(left.saturating_sub(got as u64));
        Ok(got)
    }
}

impl<R> BoundedReader<'_, R> {
    fn exceeded(&self) -> io::Error {
        self.budget.exceeded(&format!("`{}` expands", self.member), "; decompress it first if it is meant to")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_for_the_sum_of_all_members() {
        let budget = ExpansionBudget::for_compressed(1 << 20);
        assert_eq!(budget.limit(), 64 << 20);
        let mut first = budget.reader("a", io::repeat(1).take(40 << 20));
        assert_eq!(io::copy(&mut first, &mut io::sink()).unwrap(), 40 << 20);
        let mut second = budget.reader("b", io::repeat(1).take(25 << 20));
        let error = io::copy(&mut second, &mut io::sink()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().starts_with("`b` expands beyond 67108864 bytes"), "{error}");
    }

    #[test]
    fn claims_and_streams_draw_on_the_same_budget() {
        let budget = ExpansionBudget::for_compressed(0);
        budget.claim("a", FLOOR - 10).unwrap();
        let error = budget.claim("b", 11).unwrap_err();
        let text = "`b` claims 11 bytes, which brings the file beyond 16777216 bytes, the bound for a file of 0 bytes";
        assert!(error.to_string().starts_with(text), "{error}");
        assert!(budget.claim("c", u64::MAX).is_err());
        budget.claim("d", 10).unwrap();
        assert!(io::copy(&mut budget.reader("e", &b"x"[..]), &mut io::sink()).is_err());
    }

    #[test]
    fn a_stream_that_ends_at_the_bound_is_whole() {
        let budget = ExpansionBudget::for_compressed(0);
        let mut exact = budget.reader("a", io::repeat(1).take(FLOOR));
        assert_eq!(io::copy(&mut exact, &mut io::sink()).unwrap(), FLOOR);
    }
}
