//! Timing in blocks, like `peers/common.py`: wall time and CPU time of the whole process.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use tinsmith_kernels::dense::dense;

/// Start of a measurement of wall time and CPU time.
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

/// Pins the process to the first core if `count` is 1, like the peers' scripts.
pub(crate) fn limit_cores(count: usize) {
    if count == 1
        && let Some(first) = core_affinity::get_core_ids().and_then(|cores| cores.first().copied())
    {
        core_affinity::set_for_current(first);
    }
}

/// Measures seven blocks and returns their seconds per step as (wall, CPU), and the steps per block. `run(n)` runs n
/// steps. A block takes about 0.4 s and follows a warm-up of 0.8 CPU seconds.
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

/// Returns the median.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Returns the multiply-adds per second of one core in a product with all operands in the L1 cache, the reference for
/// complete steps. The arithmetic units alone could do slightly more.
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
