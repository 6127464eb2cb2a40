//! The number of threads that an operation may use.

pub(crate) mod team;

use crate::split;

/// Number of threads that a kernel may use, at least one. Results do not depend on it: kernels split work by shape
/// only, and add partial sums in a fixed order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads(usize);

impl Threads {
    /// The calling thread only.
    pub const ONE: Self = Self(1);

    /// `count` threads, or one if `count` is 0.
    #[must_use]
    pub const fn new(count: usize) -> Self {
        Self(if count == 0 { 1 } else { count })
    }

    /// The number of threads.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0
    }

    /// Limits the number of threads to those that pay for this amount of work, given the cost of passing work to them.
    #[must_use]
    pub fn for_work(self, multiplications: usize) -> Self {
        Self(split::useful(self.0, multiplications))
    }

    /// Calls `work(i)` for every `i` below `count` and returns when all calls have finished. Kernels called from
    /// within `work` use only its thread.
    ///
    /// # Panics
    /// If `work` panics, after the other calls.
    pub fn each(self, count: usize, work: impl Fn(usize) + Sync) {
        split::run(self.0, count, work);
    }

    /// Calls `work(i, chunk i)` for every chunk of `chunk` elements of `out`; the last may be shorter. Otherwise like
    /// [`each`](Self::each).
    ///
    /// # Panics
    /// If `work` panics, after the other chunks.
    pub fn for_chunks<T: Send>(self, out: &mut [T], chunk: usize, work: impl Fn(usize, &mut [T]) + Sync) {
        split::for_chunks(self.0, out, chunk, work);
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::ONE
    }
}
