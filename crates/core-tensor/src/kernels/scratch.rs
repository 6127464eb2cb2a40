//! Scratch memory that a thread keeps from call to call, so that steps after the first do not ask the system for it.

use std::cell::RefCell;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// The largest buffer, in elements, that a thread keeps (4 MiB).
const KEPT: usize = 1 << 20;

/// Lends `len` elements of unspecified value to `work`. Calls may nest.
pub(crate) fn with<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    let result = work(&mut buffer[..len]);
    if buffer.len() <= KEPT {
        FREE.with_borrow_mut(|free| free.push(buffer));
    }
    result
}
