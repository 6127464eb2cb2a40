//! Memory of execution plans: allocations from which disjoint pieces are lent to several threads at a time.
//!
//! Protocol: an [`Arena`] owns the memory. [`Arena::lend`] borrows it mutably and returns a [`Lender`], which holds
//! only a pointer. A [`Loan`] takes slices out of lenders; before it returns one, it records the address range in the
//! [`Ledger`], under the ledger's lock, and panics if the range overlaps another piece of which either is written.
//! The record stays until the loan is dropped, and slices cannot outlive their loan. No two slices therefore alias
//! while one of them is mutable, on any thread.
#![expect(unsafe_code, reason = "disjoint pieces of one allocation are lent at the same time")]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Elements of a cache line of `f32`. Ranges of an arena that start on a multiple of it start on a cache line.
pub const LINE: usize = 16;

/// Bytes of a cache line.
const LINE_BYTES: usize = LINE * size_of::<f32>();

/// Element types of an arena: numbers for which every bit pattern is valid.
pub trait Plain: Copy + Default + Send + Sync + private::Sealed {}

mod private {
    pub trait Sealed {}
}

macro_rules! plain {
    ($($number:ty)*) => {$(
        impl private::Sealed for $number {}
        impl Plain for $number {}
    )*};
}
plain!(f32 f64 u8 u16);

/// An allocation that starts on a cache line. The operating system provides its pages when they are first written.
#[derive(Debug, Default)]
pub struct Arena<T = f32> {
    memory: Vec<T>,
    /// Index of the first element on a cache line.
    start: usize,
    len: usize,
}

impl<T: Plain> Arena<T> {
    /// Allocates `len` zeros.
    #[must_use]
    pub fn new(len: usize) -> Self {
        if len == 0 {
            return Self::default();
        }
        let line = LINE_BYTES / size_of::<T>();
        let memory = vec![T::default(); len + line];
        let start = memory.as_ptr().align_offset(LINE_BYTES).min(line);
        Self { memory, start, len }
    }

    /// Number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Tells if there are no elements.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All elements.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.memory[self.start..self.start + self.len]
    }

    /// All elements, mutably.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.memory[self.start..self.start + self.len]
    }

    /// Starts to lend pieces, recorded in `ledger`.
    pub fn lend<'a>(&'a mut self, ledger: &'a Ledger) -> Lender<'a, T> {
        let all = self.as_mut_slice();
        Lender { base: all.as_mut_ptr(), len: all.len(), ledger, lifetime: PhantomData }
    }
}

impl<T: Plain> Clone for Arena<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.len);
        copy.as_mut_slice().copy_from_slice(self.as_slice());
        copy
    }
}

/// A piece that is lent: its address range, its access, and the loan that it belongs to.
#[derive(Debug, Clone, Copy)]
struct Piece {
    from: usize,
    to: usize,
    to_write: bool,
    loan: u64,
}

#[derive(Debug, Default)]
struct Book {
    pieces: Vec<Piece>,
    loans: u64,
}

/// Records the pieces of arenas that are lent, so that no written piece overlaps another.
#[derive(Debug, Default)]
pub struct Ledger {
    book: Mutex<Book>,
}

impl Ledger {
    /// Opens a loan. Other threads wait until the loan is [sealed](Loan::seal) or dropped.
    #[must_use]
    pub fn open(&self) -> Loan<'_> {
        let mut book = self.lock();
        book.loans += 1;
        Loan { ledger: self, number: book.loans, book: RefCell::new(Some(book)) }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // A panic in `take` leaves the records unchanged.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle to an arena, from which loans take pieces; made by [`Arena::lend`].
#[derive(Debug, Clone, Copy)]
pub struct Lender<'a, T> {
    base: *mut T,
    len: usize,
    ledger: &'a Ledger,
    lifetime: PhantomData<&'a mut [T]>,
}

/// A range of memory to prefetch. It grants no access.
#[derive(Debug, Clone, Copy)]
pub struct PrefetchHint {
    pub(crate) from: *const f32,
    pub(crate) len: usize,
}

impl PrefetchHint {
    /// An empty range.
    pub const NONE: Self = Self { from: std::ptr::null(), len: 0 };

    pub(crate) const fn of(slice: &[f32]) -> Self {
        Self { from: slice.as_ptr(), len: slice.len() }
    }

    /// At most `len` elements from element `first` on.
    pub(crate) fn part(self, first: usize, len: usize) -> Self {
        let first = first.min(self.len);
        Self { from: self.from.wrapping_add(first), len: len.min(self.len - first) }
    }
}

impl Lender<'_, f32> {
    /// The address range of a piece, for prefetching, even while the piece is lent.
    #[must_use]
    pub fn hint(&self, range: Range<usize>) -> PrefetchHint {
        PrefetchHint { from: self.base, len: self.len }.part(range.start, range.len())
    }
}

// SAFETY: the pointer is only used to lend pieces. The ledger, which locks, ensures that a written piece overlaps no
// other.
unsafe impl<T: Plain> Sync for Lender<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Send for Lender<'_, T> {}

/// Pieces that are lent together and returned together, when the loan is dropped.
#[derive(Debug)]
pub struct Loan<'l> {
    ledger: &'l Ledger,
    number: u64,
    book: RefCell<Option<MutexGuard<'l, Book>>>,
}

impl Loan<'_> {
    /// Takes a piece for reading. Pieces for reading may overlap each other.
    ///
    /// # Panics
    /// If the range exceeds the arena, overlaps a piece that is lent for writing, or the arena lends through another
    /// ledger.
    pub fn read<'p, T: Plain>(&'p self, of: &'p Lender<'_, T>, range: Range<usize>) -> &'p [T] {
        self.take(of, &range, false);
        // SAFETY: the range lies within the allocation (`take` checked), which the lender borrows. No written piece
        // overlaps it, now (`take` checked) or until this loan ends (`take` recorded it), and the slice does not
        // outlive the loan.
        unsafe { std::slice::from_raw_parts(of.base.add(range.start), range.len()) }
    }

    /// Takes a piece for writing.
    ///
    /// # Panics
    /// If the range exceeds the arena, overlaps any piece that is lent, or the arena lends through another ledger.
    #[expect(clippy::mut_from_ref, reason = "the ledger ensures that the piece overlaps no other")]
    pub fn write<'p, T: Plain>(&'p self, of: &'p Lender<'_, T>, range: Range<usize>) -> &'p mut [T] {
        self.take(of, &range, true);
        // SAFETY: the range lies within the allocation (`take` checked), which the lender borrows mutably. No other
        // piece overlaps it, now (`take` checked) or until this loan ends (`take` recorded it), and the slice does
        // not outlive the loan.
        unsafe { std::slice::from_raw_parts_mut(of.base.add(range.start), range.len()) }
    }

    /// Releases the ledger's lock, so that other loans can proceed. Later pieces of this loan lock it again.
    pub fn seal(&self) {
        *self.book.borrow_mut() = None;
    }

    fn take<T: Plain>(&self, of: &Lender<'_, T>, range: &Range<usize>, to_write: bool) {
        let Range { start, end } = *range;
        assert!(start <= end && end <= of.len, "{start}..{end} lies within the arena of {}", of.len);
        assert!(std::ptr::eq(self.ledger, of.ledger), "the arena lends through this ledger");
        if start == end {
            return;
        }
        let (from, to) = (of.base as usize + start * size_of::<T>(), of.base as usize + end * size_of::<T>());
        let mut book = self.book.borrow_mut();
        let book = book.get_or_insert_with(|| self.ledger.lock());
        let overlaps = book.pieces.iter().any(|p| (to_write || p.to_write) && p.from < to && from < p.to);
        assert!(!overlaps, "{start}..{end} overlaps a piece that is lent");
        book.pieces.push(Piece { from, to, to_write, loan: self.number });
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut book = self.book.take().unwrap_or_else(|| self.ledger.lock());
        book.pieces.retain(|piece| piece.loan != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_at_their_offsets() {
        let mut arena = Arena::new(100);
        for (i, x) in arena.as_mut_slice().iter_mut().enumerate() {
            *x = i as f32;
        }
        assert_eq!(arena.as_slice().as_ptr().align_offset(64), 0);
        assert_eq!(arena.clone().as_slice(), arena.as_slice());
        let ledger = Ledger::default();
        let lender = arena.lend(&ledger);
        {
            let loan = ledger.open();
            let (a, b) = (loan.read(&lender, 0..10), loan.read(&lender, 5..20));
            let c = loan.write(&lender, 20..22);
            c[1] = -1.0;
            assert_eq!((a[9], b[0], c[0]), (9.0, 5.0, 20.0));
        }
        assert_eq!(arena.as_slice()[21], -1.0);
    }

    #[test]
    fn returned_pieces_are_lent_again() {
        let (mut numbers, mut bytes) = (Arena::<f32>::new(64), Arena::<u8>::new(64));
        let ledger = Ledger::default();
        let (numbers, bytes) = (numbers.lend(&ledger), bytes.lend(&ledger));
        for _ in 0..3 {
            let loan = ledger.open();
            loan.write(&numbers, 0..64).fill(1.0);
            loan.write(&bytes, 0..64).fill(1);
        }
        let loan = ledger.open();
        assert_eq!(loan.read(&numbers, 3..4), [1.0]);
    }

    #[test]
    fn threads_write_their_own_pieces() {
        let mut arena = Arena::<u16>::new(1000);
        let ledger = Ledger::default();
        let lender = arena.lend(&ledger);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (ledger, lender) = (&ledger, &lender);
                scope.spawn(move || {
                    for i in 0..250 {
                        let at = 4 * i + thread;
                        let loan = ledger.open();
                        let piece = loan.write(lender, at..at + 1);
                        loan.seal();
                        piece[0] = at as u16;
                    }
                });
            }
        });
        assert!(arena.as_slice().iter().enumerate().all(|(i, &x)| usize::from(x) == i));
    }

    fn refused(ask: impl Fn(&Loan<'_>, &Lender<'_, f32>)) -> bool {
        let mut arena = Arena::new(8);
        let ledger = Ledger::default();
        let lender = arena.lend(&ledger);
        let loan = ledger.open();
        let _ = loan.write(&lender, 0..4);
        loan.seal();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ask(&loan, &lender))).is_err()
    }

    #[test]
    fn written_pieces_do_not_overlap() {
        assert!(refused(|loan, lender| _ = loan.read(lender, 3..5).len()));
        assert!(refused(|loan, lender| _ = loan.write(lender, 3..5).len()));
        assert!(!refused(|loan, lender| _ = loan.write(lender, 4..5).len()));
        // Another loan waits until this one is sealed, and is then refused too.
        assert!(refused(|loan, lender| {
            loan.seal();
            let _ = loan.ledger.open().read(lender, 0..1);
        }));
        assert!(refused(|_, lender| _ = Ledger::default().open().read(lender, 6..7).len()));
        assert!(refused(|loan, lender| _ = loan.write(lender, 4..9).len()), "a piece ends with the arena");
    }
}
