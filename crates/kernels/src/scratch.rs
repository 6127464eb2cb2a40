//! Scratch memory that a thread keeps from call to call, so that steps after the first do not ask the system for it.

use std::cell::RefCell;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// The most elements that a thread keeps (16 MiB).
pub(crate) const KEPT: usize = 1 << 22;

/// Elements of a cache line, on whose bounds buffers start.
const LINE: usize = 16;

/// Lends `len` elements of unspecified value, from the start of a cache line, to `work`. Calls may nest.
pub(crate) fn with<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = FREE.with_borrow_mut(|free| take(free, len + LINE));
    if buffer.len() < len + LINE {
        // Nothing is worth copying to where the longer buffer lies.
        buffer.clear();
        buffer.resize(len + LINE, 0.0);
    }
    let start = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    let result = work(&mut buffer[start..start + len]);
    if buffer.len() <= KEPT + LINE {
        FREE.with_borrow_mut(|free| free.push(buffer));
    }
    result
}

/// The shortest buffer that is long enough, else the longest.
fn take(free: &mut Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let best = free.iter().enumerate().min_by_key(|(_, buffer)| {
        let missing = len.saturating_sub(buffer.len());
        (missing, buffer.len())
    });
    best.map(|(i, _)| i).map_or_else(Vec::new, |i| free.swap_remove(i))
}
