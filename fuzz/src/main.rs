//! Runs one target over changed copies of its seeds: `tinsmith-fuzz TARGET MINUTES [SEED [AT]]`.
//!
//! A panic, 10 seconds or 256 MiB for one input end the process with code 1; the input is then in
//! `target/fuzz-found/`. With AT, only that execution is made, after its input has been written.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command")]

use std::alloc::System;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tinsmith_fuzz::{TARGETS, Target, input, seeds};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MEMORY: usize = 256 << 20;
const TIME: Duration = Duration::from_secs(10);
const FOUND: &str = "target/fuzz-found";

/// The execution under way, which the watch looks at.
struct Current {
    round: u64,
    data: Vec<u8>,
    since: Instant,
    memory: usize,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match fuzz(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn fuzz(words: &[String]) -> Result<(), String> {
    let usage = || format!("usage: tinsmith-fuzz {} MINUTES [SEED [AT]]", TARGETS.map(|t| t.name).join("|"));
    let name = words.first().ok_or_else(usage)?;
    let target = *TARGETS.iter().find(|t| t.name == name).ok_or_else(usage)?;
    let number = |place: usize| words.get(place).map(|word| word.parse::<u64>().map_err(|_| usage()));
    let minutes = number(1).ok_or_else(usage)??;
    let seed = number(2).transpose()?.unwrap_or(17);
    let seeds = seeds(target.name).map_err(|e| e.to_string())?;
    std::fs::create_dir_all(FOUND).map_err(|e| format!("{FOUND}: {e}"))?;
    if let Some(at) = number(3).transpose()? {
        let data = input(target.name, &seeds, seed, at);
        save(target, at, &data);
        (target.body)(&data);
        return Ok(());
    }

    let current =
        Arc::new(Mutex::new(Current { round: 0, data: Vec::new(), since: Instant::now(), memory: live() }));
    watch(target, Arc::clone(&current));
    let start = Instant::now();
    let mut round = 0;
    // The number of the execution outlives the process, also where that dies without a word.
    let progress = Path::new(FOUND).join(format!("{}.at", target.name));
    let wrong = |e: std::io::Error| format!("{}: {e}", progress.display());
    let mut file = File::create(&progress).map_err(wrong)?;
    while start.elapsed() < Duration::from_secs(60 * minutes) {
        let data = input(target.name, &seeds, seed, round);
        // Overwritten in place: the numbers never get shorter.
        file.rewind().and_then(|()| write!(file, "{seed} {round}")).map_err(wrong)?;
        {
            let mut now = current.lock().unwrap_or_else(PoisonError::into_inner);
            *now = Current { round, data: data.clone(), since: Instant::now(), memory: live() };
        }
        if std::panic::catch_unwind(|| (target.body)(&data)).is_err() {
            return Err(save(target, round, &data) + ": panic");
        }
        round += 1;
    }
    let _ = std::fs::remove_file(progress);
    println!(
        "{}: {round} executions in {:.0} s, none with a fault",
        target.name,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Bytes allocated at present.
fn live() -> usize {
    let stats = GLOBAL.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// Starts a thread that ends the process once an execution exceeds a limit.
fn watch(target: Target, current: Arc<Mutex<Current>>) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(1));
            let now = current.lock().unwrap_or_else(PoisonError::into_inner);
            let memory = live().saturating_sub(now.memory);
            if memory > MEMORY || now.since.elapsed() > TIME {
                let path = save(target, now.round, &now.data);
                eprintln!("{path}: {} MiB, {:.1} s", memory >> 20, now.since.elapsed().as_secs_f64());
                #[expect(clippy::exit, reason = "the execution cannot be stopped otherwise")]
                std::process::exit(1);
            }
        }
    });
}

fn save(target: Target, round: u64, data: &[u8]) -> String {
    let path = Path::new(FOUND).join(format!("{}-{round}", target.name));
    match std::fs::write(&path, data) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("execution {round}, which cannot be written to {}: {error}", path.display()),
    }
}
