//! Timing in blocks, as `peers/common.py` does it: wall clock and processor time of the whole process.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use tinsmith_kernels::dense::dense;

/// Seconds of wall clock and of processor time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall: Instant,
    cpu: ProcessTime,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: ProcessTime::now() }
    }

    pub(crate) fn read(&self) -> (f64, f64) {
        (self.wall.elapsed().as_secs_f64(), self.cpu.elapsed().as_secs_f64())
    }
}

/// Holds the process to the first `count` cores where that is one, as the peers' scripts do.
pub(crate) fn limit_cores(count: usize) {
    if count == 1
        && let Some(first) = core_affinity::get_core_ids().and_then(|cores| cores.first().copied())
    {
        core_affinity::set_for_current(first);
    }
}

/// Seconds per step of seven blocks, (wall, processor), and the steps of a block. `run(n)` does n steps; a warm-up of
/// 0.8 processor seconds comes first, and a block takes about 0.4.
pub(crate) fn blocks(cores: f64, mut run: impl FnMut(usize)) -> (Vec<(f64, f64)>, usize) {
    let clock = Clock::start();
    let (mut done, mut next) = (0, 1);
    let per_step = loop {
        run(next);
        done += next;
        let (wall, cpu) = clock.read();
        if cpu > 0.8 * cores || wall > 5.0 {
            break wall / done as f64;
        }
        next = (next * 2).min(256);
    };
    let steps = ((0.4 / per_step) as usize).max(3);
    let timed = (0..7).map(|_| {
        let clock = Clock::start();
        run(steps);
        let (wall, cpu) = clock.read();
        (wall / steps as f64, cpu / steps as f64)
    });
    (timed.collect(), steps)
}

/// The middle of some numbers.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Multiply-adds per second that one core reaches in a product whose operands stay in its first-level cache: what
/// whole steps are held against. The arithmetic units alone could do some tenths more.
pub(crate) fn cached_multiply_adds() -> f64 {
    let sizes = (28, 128, 32);
    let (rows, inputs, outputs) = sizes;
    let (x, w) = (vec![0.5; rows * inputs], vec![0.25; inputs * outputs]);
    let mut out = vec![0.0; rows * outputs];
    let mut best: f64 = 0.0;
    let until = Instant::now() + Duration::from_millis(60);
    while Instant::now() < until {
        let start = Instant::now();
        for _ in 0..100 {
            dense(&mut out, &x, &w, None, sizes, 1);
            std::hint::black_box(&mut out);
        }
        best = best.max((100 * rows * inputs * outputs) as f64 / start.elapsed().as_secs_f64());
    }
    best
}
