//! Thread team: helper threads that receive work from a caller in about a microsecond.
//!
//! Every thread that calls a kernel with more than one thread owns a team, started at the first such call and ended
//! with the thread. Helpers poll for work for some 200 microseconds (yielding if more threads are active than there
//! are processors) and then park. The caller works too and takes over pieces that no helper has started, so a helper
//! that is not scheduled delays nobody.
//!
//! Protocol of a call, whose work is divided into pieces, and these into one queue per thread:
//!
//! 1. The caller checks that the previous job is finished: every drawn piece was reported in `done`. Only then does
//!    it write `job`, reset `done`, and publish one ticket per queue with a release store. A ticket holds the job's
//!    number and the pieces left in the queue.
//! 2. The caller publishes `call` (job number and number of helpers) and wakes the helpers that are parked.
//! 3. A helper or the caller draws a piece by decrementing a queue's ticket with a compare-exchange (acquire). Success
//!    proves that the ticket belongs to the current job and that the piece is unfinished, so `job` cannot change: it
//!    may be read and its closure called. The job number in the ticket makes a stale helper's compare-exchange fail.
//! 4. After a piece, a helper increments `done` (release). A thread that has finished its own queue continues with the
//!    others.
//! 5. The caller returns when `done` (acquire) equals the pieces that it did not do itself. From then on nobody holds
//!    the closure, which may borrow from the caller's stack.
//!
//! Parking: a helper first stores `asleep`, then reads `call`; the caller first stores `call`, then reads `asleep`.
//! All four are sequentially consistent, so at least one side sees the other and no wake-up is lost.
#![expect(
    unsafe_code,
    reason = "work borrowed from the caller's stack is passed to threads that outlive the call"
)]

use std::any::Any;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::dispatch::InstructionSet;

/// Time for which a helper without work polls before it parks.
const POLL_TIME: Duration = Duration::from_micros(200);

/// Iterations of a waiting loop (some 50 ns each) after which the thread yields its processor in each iteration.
const SPINS_BEFORE_YIELD: u32 = 100;

/// Bits of a ticket that hold the number of pieces.
const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Maximum number of helpers per team; the low bits of `call` hold the number of helpers wanted.
const MAX_HELPERS: usize = 255;
const WANTED_MASK: u64 = 255;

/// Value of `call` that ends a team. Job numbers count up from 0, so no other call has all bits set.
const END: u64 = u64::MAX;

thread_local! {
    static TEAM: RefCell<Option<Team>> = const { RefCell::new(None) };
    /// True while this thread works for a call. Nested calls then run on the thread alone.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Number of threads of this process that work in teams or poll for work.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);

/// Calls `work(i)` for every `i` below `count` on up to `threads` threads, including the caller, and returns when all
/// calls have finished. If `work` panics, this function panics too, after the other pieces. Helpers keep the caller's
/// limit of the [`InstructionSet`]. Nested calls run on their thread alone.
pub(crate) fn run(threads: usize, count: usize, work: &(dyn Fn(usize) + Sync)) {
    let threads = threads.min(count).min(MAX_HELPERS + 1);
    if threads > 1 && !BUSY.get() {
        // Without thread-local storage (the thread is ending) the caller does the work alone.
        let ran = TEAM.try_with(|team| {
            let mut team = team.borrow_mut();
            if team.as_ref().is_none_or(|team| team.size < threads) {
                *team = Some(Team::start(threads));
            }
            team.as_mut().is_some_and(|team| team.run(threads, count, work))
        });
        if ran == Ok(true) {
            return;
        }
    }
    (0..count).for_each(work);
}

/// Pads a value to two cache lines, so that writes of other threads do not invalidate it.
#[repr(align(128))]
struct CachePadded<T>(T);

type Work = dyn Fn(usize) + Sync + 'static;

#[derive(Clone, Copy)]
struct Job {
    /// Borrowed from the caller's stack. May be called only for a piece that is drawn and not yet reported.
    work: *const Work,
    count: usize,
    pieces: usize,
    queues: usize,
    set: InstructionSet,
}

/// State shared by a caller and its helpers.
struct Shared {
    /// Number of the job, and in the low bits the number of helpers that it wants.
    call: CachePadded<AtomicU64>,
    /// Per queue: the number of the job and its pieces that are left.
    tickets: Box<[CachePadded<AtomicU64>]>,
    /// Pieces of this job that helpers have finished.
    done: CachePadded<AtomicUsize>,
    asleep: Box<[AtomicBool]>,
    /// Written by the caller when all pieces of the previous job are finished; read by threads that have drawn a
    /// piece.
    job: UnsafeCell<Job>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is the only field that is not `Sync` or `Send` by itself. The caller writes it while no piece is
// drawn and unfinished. A helper reads it between drawing a ticket (which acquires what the caller released with the
// ticket) and reporting the piece (which the caller acquires before it writes again).
unsafe impl Sync for Shared {}
// SAFETY: as above; the closure behind the pointer is `Sync`.
unsafe impl Send for Shared {}

impl Shared {
    /// Draws the queue's next piece, if one is left.
    fn draw(&self, queue: usize) -> Option<(Job, usize)> {
        let ticket = &self.tickets[queue].0;
        let mut seen = ticket.load(Relaxed);
        loop {
            let left = (seen & COUNT_MASK) as usize;
            if left == 0 {
                return None;
            }
            match ticket.compare_exchange_weak(seen, seen - 1, AcqRel, Relaxed) {
                Ok(_) => {
                    // SAFETY: the piece is drawn and unfinished, so the caller does not write.
                    let job = unsafe { *self.job.get() };
                    return Some((job, (queue + 1) * job.pieces / job.queues - left));
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Does pieces of its own queue and then of the others until none is left. Returns their number.
    fn work(&self, queue: usize, report: bool) -> usize {
        let mut done = 0;
        let queues = self.tickets.len();
        for step in 0..queues {
            while let Some((job, piece)) = self.draw((queue + step) % queues) {
                let items = piece * job.count / job.pieces..(piece + 1) * job.count / job.pieces;
                // SAFETY: the caller keeps the closure alive until every drawn piece is reported.
                let work = unsafe { &*job.work };
                let result = catch_unwind(AssertUnwindSafe(|| job.set.limit(|| items.for_each(work))));
                if let Err(payload) = result {
                    self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
                }
                done += 1;
                if report {
                    self.done.0.fetch_add(1, Release);
                }
            }
        }
        done
    }

    /// Waits until `call` differs from `seen`.
    fn next_call(&self, helper: usize, seen: u64) -> u64 {
        let mut turns = 0;
        let mut since = None;
        loop {
            let call = self.call.0.load(Acquire);
            if call != seen {
                return call;
            }
            pause(&mut turns);
            if turns % 16 == 0 && since.get_or_insert_with(Instant::now).elapsed() > POLL_TIME {
                ACTIVE.fetch_sub(1, Relaxed);
                // Both sides write before they read, with sequential consistency: either this thread sees the call,
                // or the caller sees it asleep.
                self.asleep[helper].store(true, SeqCst);
                while self.call.0.load(SeqCst) == seen {
                    std::thread::park();
                    self.asleep[helper].store(true, SeqCst);
                }
                self.asleep[helper].store(false, SeqCst);
                ACTIVE.fetch_add(1, Relaxed);
            }
        }
    }

    fn help(&self, helper: usize) {
        BUSY.set(true);
        ACTIVE.fetch_add(1, Relaxed);
        let mut seen = 0;
        loop {
            seen = self.next_call(helper, seen);
            if seen == END {
                break;
            }
            if helper < (seen & WANTED_MASK) as usize {
                self.work(helper + 1, true);
            }
        }
        ACTIVE.fetch_sub(1, Relaxed);
    }
}

/// One iteration of a waiting loop.
fn pause(turns: &mut u32) {
    *turns = turns.wrapping_add(1);
    if *turns < SPINS_BEFORE_YIELD && ACTIVE.load(Relaxed) <= processors() {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// A caller's handle to its helpers.
struct Team {
    shared: Arc<Shared>,
    helpers: Vec<Thread>,
    /// Number of threads requested; fewer may have started.
    size: usize,
    jobs: u64,
}

impl Team {
    fn start(size: usize) -> Self {
        let padded = |_| CachePadded(AtomicU64::new(0));
        let nothing: &Work = &|_| {};
        let shared = Arc::new(Shared {
            call: CachePadded(AtomicU64::new(0)),
            tickets: (0..size).map(padded).collect(),
            done: CachePadded(AtomicUsize::new(0)),
            asleep: (1..size).map(|_| AtomicBool::new(false)).collect(),
            job: UnsafeCell::new(Job {
                work: nothing,
                count: 0,
                pieces: 0,
                queues: 1,
                set: InstructionSet::Portable,
            }),
            panic: Mutex::new(None),
        });
        let start = |helper| {
            let shared = Arc::clone(&shared);
            let builder = std::thread::Builder::new().name("tinsmith-kernels".to_owned());
            Some(builder.spawn(move || shared.help(helper)).ok()?.thread().clone())
        };
        let helpers = (0..size - 1).map_while(start).collect();
        ACTIVE.fetch_add(1, Relaxed);
        Self { shared, helpers, size, jobs: 0 }
    }

    /// Runs a job. Returns false, with nothing done, if there is no helper.
    fn run(&mut self, threads: usize, count: usize, work: &(dyn Fn(usize) + Sync)) -> bool {
        struct Idle;
        impl Drop for Idle {
            fn drop(&mut self) {
                BUSY.set(false);
            }
        }
        let wanted = self.helpers.len().min(threads - 1);
        if wanted == 0 {
            return false;
        }
        let shared = &*self.shared;
        let queues = wanted + 1;
        // Several pieces per thread, so that others can take over from a thread that falls behind.
        let pieces = count.min(4 * queues);
        // SAFETY: only the lifetime is erased. No piece of the previous job is unfinished, so nobody reads `job`.
        // This function returns only when all pieces of this job are finished, so `work` outlives its use.
        unsafe {
            let work = std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const Work>(work);
            *shared.job.get() = Job { work, count, pieces, queues, set: InstructionSet::current() };
        }
        shared.done.0.store(0, Relaxed);
        self.jobs = (self.jobs + 1) & ((1 << (64 - COUNT_BITS)) - 1);
        for (queue, ticket) in shared.tickets[..queues].iter().enumerate() {
            let left = (queue + 1) * pieces / queues - queue * pieces / queues;
            ticket.0.store(self.jobs << COUNT_BITS | left as u64, Release);
        }
        shared.call.0.store(self.jobs << 8 | wanted as u64, SeqCst);
        for (helper, asleep) in self.helpers[..wanted].iter().zip(&shared.asleep) {
            if asleep.load(SeqCst) && asleep.swap(false, SeqCst) {
                helper.unpark();
            }
        }
        BUSY.set(true);
        let idle = Idle;
        let mine = shared.work(0, false);
        let mut turns = 0;
        while shared.done.0.load(Acquire) != pieces - mine {
            pause(&mut turns);
        }
        drop(idle);
        let payload = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(payload) = payload {
            resume_unwind(payload);
        }
        true
    }
}

impl Drop for Team {
    /// Tells the helpers to end. They are not joined: they hold nothing of this thread.
    fn drop(&mut self) {
        self.shared.call.0.store(END, SeqCst);
        for helper in &self.helpers {
            helper.unpark();
        }
        ACTIVE.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `calls` calls of one to seven items and counts the items.
    fn count(threads: usize, calls: usize) -> usize {
        let done = AtomicUsize::new(0);
        for call in 0..calls {
            run(threads, call % 7 + 1, &|i| {
                done.fetch_add(i + 1, Relaxed);
            });
        }
        done.into_inner()
    }

    fn expected(calls: usize) -> usize {
        (0..calls).map(|call| (1..=call % 7 + 1).sum::<usize>()).sum()
    }

    #[test]
    fn every_item_is_done_once_in_many_small_calls() {
        for threads in [1, 2, 3, 5] {
            assert_eq!(count(threads, 3000), expected(3000), "{threads} threads");
        }
        for items in [0, 1, 2, 1000] {
            let hits: Vec<AtomicUsize> = (0..items).map(|_| AtomicUsize::new(0)).collect();
            run(3, items, &|i| {
                hits[i].fetch_add(1, Relaxed);
            });
            assert!(hits.iter().all(|hit| hit.load(Relaxed) == 1));
        }
    }

    #[test]
    fn helpers_that_sleep_wake_up_again() {
        for _ in 0..5 {
            assert_eq!(count(3, 20), expected(20));
            std::thread::sleep(4 * POLL_TIME);
        }
    }

    #[test]
    fn calls_within_calls_run_on_their_thread() {
        let done = AtomicUsize::new(0);
        run(3, 8, &|_| {
            let outer = std::thread::current().id();
            run(3, 5, &|_| {
                assert_eq!(std::thread::current().id(), outer);
                done.fetch_add(1, Relaxed);
            });
        });
        assert_eq!(done.into_inner(), 40);
    }

    #[test]
    fn a_panic_reaches_the_caller_after_the_other_items() {
        for culprit in 0..6 {
            let done = AtomicUsize::new(0);
            let result = catch_unwind(AssertUnwindSafe(|| {
                run(2, 6, &|i| {
                    assert!(i != culprit, "item {i}");
                    done.fetch_add(1, Relaxed);
                });
            }));
            let payload = result.unwrap_err();
            assert_eq!(payload.downcast_ref::<String>().unwrap(), &format!("item {culprit}"));
            assert_eq!(done.into_inner(), 5);
            assert_eq!(count(2, 50), expected(50), "the team continues");
        }
    }

    #[test]
    fn helpers_keep_the_limit_of_the_caller() {
        InstructionSet::Portable.limit(|| {
            run(4, 64, &|_| assert_eq!(InstructionSet::current(), InstructionSet::Portable));
        });
        run(4, 64, &|_| assert_eq!(InstructionSet::current(), InstructionSet::detect()));
    }

    #[test]
    fn teams_end_with_their_threads() {
        for _ in 0..100 {
            std::thread::scope(|scope| {
                for _ in 0..10 {
                    scope.spawn(|| assert_eq!(count(2, 5), expected(5)));
                }
            });
        }
    }

    #[test]
    fn several_owners_work_side_by_side() {
        std::thread::scope(|scope| {
            for threads in [2, 3, 2, 4] {
                scope.spawn(move || assert_eq!(count(threads, 2000), expected(2000)));
            }
        });
    }
}
