//! Index: the results of many runs in few files. It is only a cache and can be deleted at any time; missing
//! entries are read from the runs' folders.

use std::fs;

use tinsmith_foundation::{WorkerScope, files};

use crate::attempt::RunFolder;
use crate::error::{FleetError, Result};
use crate::layout::{Layout, SHARD};
use crate::outcome::Outcome;

/// Number of results missing from a shard's file that triggers rewriting it. A shard that becomes complete is
/// rewritten too.
const ENOUGH: usize = 100;

/// Returns the results of the runs `0..total`, by index.
pub(crate) fn outcomes(layout: &Layout, total: u64) -> Result<Vec<Option<Outcome>>> {
    let shards: Vec<u64> = (0..total.div_ceil(SHARD)).collect();
    let found = WorkerScope::available().map(shards, |_, shard| read_shard(layout, shard, total, ENOUGH));
    let mut all = Vec::with_capacity(usize::try_from(total).unwrap_or(0));
    for shard in found {
        all.extend(shard?);
    }
    Ok(all)
}

/// Writes every existing result into the index.
pub(crate) fn fold(layout: &Layout, total: u64) -> Result<Vec<Option<Outcome>>> {
    let mut all = Vec::new();
    for shard in 0..total.div_ceil(SHARD) {
        all.extend(read_shard(layout, shard, total, 1)?);
    }
    Ok(all)
}

/// Deletes the index; the next read rebuilds it from the runs' folders.
pub(crate) fn forget(layout: &Layout) -> Result<()> {
    match fs::remove_dir_all(layout.indexes()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(FleetError::write(&layout.indexes())(source)),
    }
}

fn read_shard(layout: &Layout, shard: u64, total: u64, enough: usize) -> Result<Vec<Option<Outcome>>> {
    let first = shard * SHARD;
    let count = usize::try_from(SHARD.min(total - first)).unwrap_or(0);
    let mut found: Vec<Option<Outcome>> = vec![None; count];
    if let Ok(text) = fs::read_to_string(layout.index(shard)) {
        for outcome in text.lines().filter_map(|line| serde_json::from_str::<Outcome>(line).ok()) {
            // The index is only a cache: a damaged line is replaced by the run's own file.
            if outcome.check(outcome.index).is_err() {
                continue;
            }
            let place = outcome.index.checked_sub(first).and_then(|i| usize::try_from(i).ok());
            if let Some(slot) = place.and_then(|i| found.get_mut(i)) {
                *slot = Some(outcome);
            }
        }
    }
    let mut new = 0;
    for (i, slot) in found.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
        let index = first + i as u64;
        *slot = RunFolder(layout.run(index)).outcome(index)?;
        new += usize::from(slot.is_some());
    }
    let is_full = found.iter().all(Option::is_some);
    if new > 0 && (new >= enough || (is_full && count as u64 == SHARD)) {
        let lines: Vec<String> = found
            .iter()
            .flatten()
            .map(|o| serde_json::to_string(o).expect("invariant: a checked outcome has a JSON form"))
            .collect();
        // A user without write access to the project still gets an answer.
        let _ = files::write_atomic(&layout.index(shard), (lines.join("\n") + "\n").as_bytes());
    }
    Ok(found)
}
