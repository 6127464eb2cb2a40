//! Scratch memory that a thread keeps between calls, so that steps after the first do not allocate.

use std::cell::RefCell;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Maximum number of elements of a buffer that a thread keeps (16 MiB).
pub(crate) const MAX_KEPT: usize = 1 << 22;

/// Elements of a cache line, to which buffers are aligned.
const LINE: usize = 16;

/// Calls `work` with `len` elements of unspecified value, aligned to a cache line. Calls may be nested.
pub(crate) fn with<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = FREE.with_borrow_mut(|free| take(free, len + LINE));
    if buffer.len() < len + LINE {
        // Clearing first avoids copying the old content into the longer buffer.
        buffer.clear();
        buffer.resize(len + LINE, 0.0);
    }
    let start = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    let result = work(&mut buffer[start..start + len]);
    if buffer.len() <= MAX_KEPT + LINE {
        FREE.with_borrow_mut(|free| free.push(buffer));
    }
    result
}

/// Takes the shortest buffer that is long enough, or else the longest.
fn take(free: &mut Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let best = free.iter().enumerate().min_by_key(|(_, buffer)| {
        let missing = len.saturating_sub(buffer.len());
        (missing, buffer.len())
    });
    best.map(|(i, _)| i).map_or_else(Vec::new, |i| free.swap_remove(i))
}
