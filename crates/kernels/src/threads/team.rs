//! Helpers of a thread: a call hands them pieces of work in about a microsecond.
//!
//! Every thread that calls a kernel with more than one thread has a team of its own, started at the first such call
//! and ended with the thread. Helpers look for the next piece of work for some 200 microseconds (giving way to others
//! where the processor is wanted) and then sleep. The caller works too, and takes over what no helper has begun, so a
//! helper that the system does not run delays nobody.
#![expect(
    unsafe_code,
    reason = "work borrowed from the caller's stack is handed to threads that outlive the call"
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

/// How long a helper without work stays awake.
const AWAKE: Duration = Duration::from_micros(200);

/// Turns of a waiting loop (some 50 ns each) before the thread offers its processor to others at each turn.
const PATIENCE: u32 = 100;

/// Bits of a ticket that count pieces.
const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// The most helpers of one team; the low bits of a call say how many are wanted.
const MOST_HELPERS: usize = 255;
const WANTED_MASK: u64 = 255;

/// The call that ends a team. No other is all ones, as calls count up from 0.
const END: u64 = u64::MAX;

thread_local! {
    static TEAM: RefCell<Option<Team>> = const { RefCell::new(None) };
    /// Whether this thread is at work for a call: a call within it is carried out by the thread alone.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Threads of this process that work in teams or look for work.
static LIVELY: AtomicUsize = AtomicUsize::new(0);

/// `work(i)` for every `i` below `count`, on up to `threads` threads, the caller's among them. Returns when all is
/// done; where `work` panics, so does this call, after the other pieces. Helpers keep the caller's limit of the
/// [`InstructionSet`]. A call from within `work` runs on its thread alone.
pub(crate) fn run(threads: usize, count: usize, work: &(dyn Fn(usize) + Sync)) {
    let threads = threads.min(count).min(MOST_HELPERS + 1);
    if threads > 1 && !BUSY.get() {
        // Without the thread's own storage (it is ending) the caller does the work alone.
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

/// Memory that no other thread's writes slow down.
#[repr(align(128))]
struct Apart<T>(T);

type Work = dyn Fn(usize) + Sync + 'static;

#[derive(Clone, Copy)]
struct Job {
    /// Borrowed from the caller's stack: may be called only for a piece whose ticket was drawn and not yet reported.
    work: *const Work,
    count: usize,
    pieces: usize,
    lanes: usize,
    set: InstructionSet,
}

/// What a caller and its helpers share.
struct Shared {
    /// Changes with every job: its number, and in the low bits how many helpers it wants.
    call: Apart<AtomicU64>,
    /// For each lane: the number of the job and how many of its pieces are left.
    tickets: Box<[Apart<AtomicU64>]>,
    /// Pieces that helpers have done of this job.
    done: Apart<AtomicUsize>,
    asleep: Box<[AtomicBool]>,
    /// Written by the caller when every piece of the job before is done, read by those who have drawn a piece.
    job: UnsafeCell<Job>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is the only field that is not `Sync` or `Send` by itself. The caller writes it when no piece is drawn
// and undone; a helper reads it between drawing a ticket (which acquires what the caller released with the ticket)
// and reporting the piece as done (which the caller acquires before it writes again).
unsafe impl Sync for Shared {}
// SAFETY: as above; the closure behind the pointer is `Sync`.
unsafe impl Send for Shared {}

impl Shared {
    /// The lane's next piece, if one is left.
    fn draw(&self, lane: usize) -> Option<(Job, usize)> {
        let ticket = &self.tickets[lane].0;
        let mut seen = ticket.load(Relaxed);
        loop {
            let left = (seen & COUNT_MASK) as usize;
            if left == 0 {
                return None;
            }
            match ticket.compare_exchange_weak(seen, seen - 1, AcqRel, Relaxed) {
                Ok(_) => {
                    // SAFETY: the piece is drawn and not yet done, so the caller does not write.
                    let job = unsafe { *self.job.get() };
                    return Some((job, (lane + 1) * job.pieces / job.lanes - left));
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Does pieces of the own lane and then of the others until none is left. Returns how many.
    fn work(&self, lane: usize, report: bool) -> usize {
        let mut done = 0;
        let lanes = self.tickets.len();
        for step in 0..lanes {
            while let Some((job, piece)) = self.draw((lane + step) % lanes) {
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

    /// Waits for a call other than `seen`.
    fn next_call(&self, helper: usize, seen: u64) -> u64 {
        let mut turns = 0;
        let mut since = None;
        loop {
            let call = self.call.0.load(Acquire);
            if call != seen {
                return call;
            }
            pause(&mut turns);
            if turns % 16 == 0 && since.get_or_insert_with(Instant::now).elapsed() > AWAKE {
                LIVELY.fetch_sub(1, Relaxed);
                // Both sides write before they read, in one order for all: either this thread sees the call, or the
                // caller sees it asleep.
                self.asleep[helper].store(true, SeqCst);
                while self.call.0.load(SeqCst) == seen {
                    std::thread::park();
                    self.asleep[helper].store(true, SeqCst);
                }
                self.asleep[helper].store(false, SeqCst);
                LIVELY.fetch_add(1, Relaxed);
            }
        }
    }

    fn help(&self, helper: usize) {
        BUSY.set(true);
        LIVELY.fetch_add(1, Relaxed);
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
        LIVELY.fetch_sub(1, Relaxed);
    }
}

/// One turn of a waiting loop.
fn pause(turns: &mut u32) {
    *turns = turns.wrapping_add(1);
    if *turns < PATIENCE && LIVELY.load(Relaxed) <= processors() {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// A caller's hold on its helpers.
struct Team {
    shared: Arc<Shared>,
    helpers: Vec<Thread>,
    /// How many threads were asked for; fewer may have started.
    size: usize,
    jobs: u64,
}

impl Team {
    fn start(size: usize) -> Self {
        let apart = |_| Apart(AtomicU64::new(0));
        let nothing: &Work = &|_| {};
        let shared = Arc::new(Shared {
            call: Apart(AtomicU64::new(0)),
            tickets: (0..size).map(apart).collect(),
            done: Apart(AtomicUsize::new(0)),
            asleep: (1..size).map(|_| AtomicBool::new(false)).collect(),
            job: UnsafeCell::new(Job {
                work: nothing,
                count: 0,
                pieces: 0,
                lanes: 1,
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
        LIVELY.fetch_add(1, Relaxed);
        Self { shared, helpers, size, jobs: 0 }
    }

    /// Whether there was a helper; else nothing is done.
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
        let lanes = wanted + 1;
        // Several pieces for each thread, so that one who falls behind is helped out.
        let pieces = count.min(4 * lanes);
        // SAFETY: only the lifetime is erased. No piece of the job before is undone, so nobody reads; this call
        // returns only when every piece of this job is done, so `work` outlives its use.
        unsafe {
            let work = std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const Work>(work);
            *shared.job.get() = Job { work, count, pieces, lanes, set: InstructionSet::current() };
        }
        shared.done.0.store(0, Relaxed);
        self.jobs = (self.jobs + 1) & ((1 << (64 - COUNT_BITS)) - 1);
        for (lane, ticket) in shared.tickets[..lanes].iter().enumerate() {
            let left = (lane + 1) * pieces / lanes - lane * pieces / lanes;
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
    /// Tells the helpers to end. They are not waited for: they hold nothing of this thread's.
    fn drop(&mut self) {
        self.shared.call.0.store(END, SeqCst);
        for helper in &self.helpers {
            helper.unpark();
        }
        LIVELY.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `calls` calls of one to seven items and counts what was done.
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
            std::thread::sleep(4 * AWAKE);
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
            assert_eq!(count(2, 50), expected(50), "the team goes on");
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
