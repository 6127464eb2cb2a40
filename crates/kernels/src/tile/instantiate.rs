//! Instantiation of all kernels for one instruction set.

/// Defines `KERNELS` for an implementation of [`Simd`](super::simd::Simd), compiled for the named features. The lists give the numbers
/// of rows for tiles of 1 vector with strided rows, of 1 vector with adjacent rows, and of 2 vectors. Each must count
/// up from 1, because tables are indexed by the number of rows.
macro_rules! kernels {
    ($simd:ty, $($features:literal,)? [$($one:literal)*], [$($unit:literal)*], [$($two:literal)*]) => {
        $(#[target_feature(enable = $features)])?
        unsafe fn tile<const R: usize, const V: usize, const UNIT: bool>(
            a: *const f32,
            b: *const f32,
            c: *mut f32,
            start: super::addresses::RawStart,
            end: &super::addresses::RawEpilogue,
            lanes: usize,
            layout: &super::layout::ProductLayout<'_>,
        ) {
            // SAFETY: guaranteed by the caller.
            unsafe { super::registers::tile::<$simd, R, V, UNIT>(a, b, c, start, end, lanes, layout) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn sparse<const V: usize>(
            run: &super::sparse_sums::SparseArguments<'_>,
            last: Option<&super::sparse_sums::RawLastBlock>,
        ) {
            // SAFETY: guaranteed by the caller.
            unsafe { super::sparse_sums::multiply_rows::<$simd, V>(run, last) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn compress_row(row: *const f32, terms: usize, list: *mut f32, to_values: usize) -> usize {
            // SAFETY: guaranteed by the caller.
            unsafe { super::sparse_sums::compress_row::<$simd>(row, terms, list, to_values) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn finish(
            c: *mut f32,
            c_row: usize,
            size: (usize, usize),
            gate: crate::gate::Gate,
            bits: *mut u16,
            row: usize,
        ) {
            // SAFETY: guaranteed by the caller.
            unsafe { super::finish::finish::<$simd>(c, c_row, size, gate, bits, row) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn close(c: *mut f32, c_row: usize, size: (usize, usize), bits: *const u16, row: usize) {
            // SAFETY: guaranteed by the caller.
            unsafe { super::finish::close::<$simd>(c, c_row, size, bits, row) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn sums(out: *mut f32, x: *const f32, size: (usize, usize), stride: usize) {
            // SAFETY: guaranteed by the caller.
            unsafe { super::finish::sums::<$simd>(out, x, size, stride) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn transpose(to: *mut f32, to_row: usize, from: *const f32, from_row: usize, size: (usize, usize)) {
            // SAFETY: guaranteed by the caller.
            unsafe { super::panel::transpose_blocks::<$simd>(to, to_row, from, from_row, size) }
        }

        pub(crate) static KERNELS: super::kernel_table::Kernels = super::kernel_table::Kernels {
            strided: [&[$(tile::<$one, 1, false>),*], &[$(tile::<$two, 2, false>),*]],
            unit: [&[$(tile::<$unit, 1, true>),*], &[$(tile::<$two, 2, true>),*]],
            sparse: [
                sparse::<1>, sparse::<2>, sparse::<3>, sparse::<4>, sparse::<5>, sparse::<6>, sparse::<7>,
            ],
            max_density: <$simd as super::simd::Simd>::MAX_DENSITY,
            compress_row,
            finish,
            close,
            sums,
            transpose,
        };
    };
}
pub(crate) use kernels;
