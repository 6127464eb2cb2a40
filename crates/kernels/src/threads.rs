//! How many threads an operation may keep busy.

pub(crate) mod team;

use crate::split;

/// The threads that a kernel may use, at least one. Results do not depend on it: kernels split their work by
/// shape alone and add partial sums in a fixed order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads(usize);

impl Threads {
    /// One thread, the caller's own.
    pub const ONE: Self = Self(1);

    /// `count` threads; one where `count` is 0.
    #[must_use]
    pub const fn new(count: usize) -> Self {
        Self(if count == 0 { 1 } else { count })
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0
    }

    /// As many of them as so many multiplications keep busy for longer than it takes to hand them over.
    #[must_use]
    pub fn for_work(self, multiplications: usize) -> Self {
        Self(split::useful(self.0, multiplications))
    }

    /// `work(i)` for every `i` below `count`; returns when all are done. Kernels called from within `work` use its thread
    /// alone.
    ///
    /// # Panics
    /// If `work` does, after the other calls.
    pub fn each(self, count: usize, work: impl Fn(usize) + Sync) {
        split::run(self.0, count, work);
    }

    /// `work(i, chunk i)` for every chunk of `chunk` elements of `out`, the last of which may be shorter; likewise.
    ///
    /// # Panics
    /// If `work` does, after the other chunks.
    pub fn for_chunks<T: Send>(self, out: &mut [T], chunk: usize, work: impl Fn(usize, &mut [T]) + Sync) {
        split::for_chunks(self.0, out, chunk, work);
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::ONE
    }
}
