//! Matrix products with operands in place: one register tile serves dense layers and convolutions, forward and
//! backward. No windows are gathered (there is no im2col buffer).
//!
//! `c[m, n] (+)= sum over blocks, segments, k of a[m row + block + segment + k step] b[block + segment + k step +
//! n]`.
//!
//! Columns `n` fill vectors; rows `m` are read one number at a time and broadcast to all lanes. A tile of up to 14
//! rows by 2 vectors (AVX-512) keeps its accumulators in registers over the whole sum. [`ProductLayout`] gives the
//! strides of all operands. In a forward convolution, rows are output pixels and segments are the lines of the
//! kernel. In a weight gradient, rows are positions within the window and segments are the lines of the output.

mod addresses;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
mod finish;
mod instantiate;
#[cfg(target_arch = "x86_64")]
pub(super) mod integer;
mod kernel_table;
mod layout;
mod panel;
pub(super) mod portable;
mod prefetch;
mod product;
mod registers;
pub(super) mod simd;
mod sizes;
mod sparse_rows;
mod sparse_sums;

pub(super) use self::finish::{add_columns, add_some_columns, apply_function, close_rows};
pub(super) use self::kernel_table::Kernels;
pub(super) use self::layout::{Lines, ProductLayout, Start, SumAxis, TileEpilogue};
pub(super) use self::panel::{
    pack_panels, pack_transposed_panels, pack_transposed_wide, pack_wide, part, transpose, transpose_strided,
};
pub(super) use self::prefetch::{LinePrefetch, StripePrefetch};
pub(super) use self::product::{OutputMatrix, product};
pub(super) use self::sizes::{LINE, PANEL, PANEL_STRIDE, SparseBlocking, panels};
pub(super) use self::sparse_rows::{LastBlock, SparseRows};
use super::dispatch::InstructionSet;

impl Kernels {
    /// The kernels of the widest instruction set that this thread may use.
    pub(super) fn current() -> &'static Self {
        match InstructionSet::current() {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => &avx512::KERNELS,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => &avx2::KERNELS,
            _ => &portable::KERNELS,
        }
    }
}
