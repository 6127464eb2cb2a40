//! The table of kernels that every instruction set provides.

use super::addresses::{RawEpilogue, RawStart};
use super::layout::ProductLayout;
use super::sizes::MAX_VECTORS;
use super::sparse_sums::{RawLastBlock, SparseArguments};
use crate::gate::Gate;

pub(crate) type TileFn =
    unsafe fn(*const f32, *const f32, *mut f32, RawStart, &RawEpilogue, usize, &ProductLayout<'_>);
pub(crate) type CloseFn = unsafe fn(*mut f32, usize, (usize, usize), *const u16, usize);
pub(crate) type TransposeFn = unsafe fn(*mut f32, usize, *const f32, usize, (usize, usize));
pub(crate) type FinishFn = unsafe fn(*mut f32, usize, (usize, usize), Gate, *mut u16, usize);

/// The kernels of one instruction set.
#[derive(Debug)]
pub(crate) struct Kernels {
    /// Tiles of 1 and of 2 vectors, each indexed by its number of rows less one.
    pub(crate) strided: [&'static [TileFn]; 2],
    /// Tiles for `a` with a row stride of 1, which need no address arithmetic for rows; indexed alike.
    pub(crate) unit: [&'static [TileFn]; 2],
    /// Sparse kernels of 1 and more vectors, indexed by their number of vectors less one.
    pub(crate) sparse: [unsafe fn(&SparseArguments<'_>, Option<&RawLastBlock>); MAX_VECTORS],
    /// Maximum density at which the sparse kernels still beat the dense tiles.
    pub(crate) max_density: f64,
    pub(crate) compress_row: unsafe fn(*const f32, usize, *mut f32, usize) -> usize,
    pub(crate) finish: FinishFn,
    pub(crate) close: CloseFn,
    pub(crate) sums: unsafe fn(*mut f32, *const f32, (usize, usize), usize),
    pub(crate) transpose: TransposeFn,
}
