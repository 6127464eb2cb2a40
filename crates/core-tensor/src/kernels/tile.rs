//! Matrix products over operands that lie where they are: one register tile for dense layers and convolutions, forward
//! and backward, without gathering windows.
//!
//! `c[m, n] (+)= sum over blocks, segments, k of a[m row + block + segment + k step] b[block + segment + k step + n]`.
//! The columns `n` fill vectors, the rows `m` are read one number at a time and spread over the lanes. A tile of up to
//! 14 rows by 2 vectors (AVX-512) stays in registers over the whole sum. What lies where is told by [`Layout`]: for a
//! forward convolution rows are output pixels and segments the lines of its kernel; for a weight gradient rows are
//! the places of a window and segments the output lines.
#![expect(unsafe_code, reason = "vector instructions and operands addressed by strides")]

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod portable;
pub(super) mod simd;

use self::simd::Simd;
use super::dispatch::InstructionSet;
use super::epilogue::{Function, Gate};

/// Where the operands of a product lie within their slices, in elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'a> {
    /// Rows of `a` and of the product.
    pub(super) rows: usize,
    /// Columns of `b` and of the product.
    pub(super) columns: usize,
    /// From row to row of `a`.
    pub(super) row: usize,
    /// From row to row of the product.
    pub(super) c_row: usize,
    /// Length of the innermost sum, and its steps in `a` and `b`.
    pub(super) sum: Axis,
    /// The sum around it.
    pub(super) segments: Axis,
    /// The outermost sum.
    pub(super) blocks: Axis,
    /// Products of the same kernel one after the other.
    pub(super) lines: Lines,
    /// What is read next: asked for meanwhile, since memory is slow where nobody waits ahead of it.
    pub(super) ahead: [&'a [f32]; 2],
}

/// Several products that differ in where `a`, the product and its gate bits start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    pub(super) count: usize,
    pub(super) a: usize,
    pub(super) c: usize,
    pub(super) bits: usize,
}

impl Lines {
    /// One product.
    pub(super) const ONE: Self = Self { count: 1, a: 0, c: 0, bits: 0 };
}

/// One axis of a sum: how many terms, and how far apart they lie in `a` and in `b`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) count: usize,
    pub(super) a: usize,
    pub(super) b: usize,
}

impl Axis {
    /// One term.
    pub(super) const ONE: Self = Self { count: 1, a: 0, b: 0 };

    pub(super) const fn new(count: usize, a: usize, b: usize) -> Self {
        Self { count, a, b }
    }
}

/// What the sums are added to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start<'a> {
    Zero,
    /// One value a column.
    Bias(&'a [f32]),
    /// What the product's place holds.
    Old,
}

/// What becomes of the sums.
#[derive(Debug)]
pub(super) enum End<'a> {
    Store,
    /// A function, and words of gate bits unless empty.
    Gate {
        gate: Gate,
        bits: &'a mut [u16],
        row: usize,
    },
    /// Gate bits that close on the sums.
    Close {
        bits: &'a [u16],
        row: usize,
    },
}

impl Layout<'_> {
    fn terms(&self) -> usize {
        self.sum.count * self.segments.count * self.blocks.count
    }

    /// Elements of `a`, `b` and `c` up to the last that the product touches.
    fn extents(&self) -> (usize, usize, usize) {
        let axes = [self.sum, self.segments, self.blocks];
        let reach = |step: fn(&Axis) -> usize| -> usize {
            axes.iter().map(|axis| axis.count.saturating_sub(1) * step(axis)).sum()
        };
        let (rows, columns) = (self.rows.saturating_sub(1), self.columns);
        let lines = self.lines.count.saturating_sub(1);
        let c = lines * self.lines.c + rows * self.c_row + columns;
        if self.terms() == 0 {
            return (0, 0, c);
        }
        let a = lines * self.lines.a + rows * self.row + reach(|axis| axis.a) + 1;
        (a, reach(|axis| axis.b) + columns, c)
    }

    /// Words of gate bits up to the last, for rows of `row` words; none where there are none.
    fn fits_bits(&self, len: usize, row: usize) -> bool {
        let lines = self.lines.count.saturating_sub(1);
        len == 0 || lines * self.lines.bits + (self.rows - 1) * row + self.columns.div_ceil(16) <= len
    }
}

/// Rows cut into tiles as even as can be: the first `longer` have one more than the rest.
#[derive(Debug, Clone, Copy)]
struct Cut {
    tiles: usize,
    rows: usize,
    longer: usize,
}

impl Cut {
    const fn new(rows: usize, most: usize) -> Self {
        let tiles = rows.div_ceil(most);
        Self { tiles, rows: rows / tiles, longer: rows % tiles }
    }
}

/// The product of `a` and `b` as `layout` says, from `start`, stored into `c` by way of `end`.
///
/// # Panics
/// Where the layout leaves a slice, or rows of the product overlap.
pub(super) fn product(
    kernels: &Kernels,
    layout: &Layout<'_>,
    (a, b): (&[f32], &[f32]),
    c: &mut [f32],
    start: Start<'_>,
    end: End<'_>,
) {
    let &Layout { rows, columns, row, c_row, lines, .. } = layout;
    if rows == 0 || columns == 0 || lines.count == 0 {
        return;
    }
    let (a_len, b_len, c_len) = layout.extents();
    assert!(a_len <= a.len() && b_len <= b.len() && c_len <= c.len(), "the product lies within its slices");
    let (start, start_row, start_line) = match start {
        Start::Zero => (std::ptr::null(), 0, 0),
        Start::Bias(bias) => {
            assert!(columns <= bias.len(), "one bias a column");
            (bias.as_ptr(), 0, 0)
        }
        Start::Old => (c.as_ptr(), c_row, lines.c),
    };
    match &end {
        End::Store => {}
        End::Gate { bits, row, .. } => assert!(layout.fits_bits(bits.len(), *row), "gate bits hold all rows"),
        End::Close { bits, row } => assert!(layout.fits_bits(bits.len(), *row), "gate bits hold all rows"),
    }
    let end = RawEnd::new(end);
    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    let tiles = if row == 1 { &kernels.unit } else { &kernels.strided };
    let cuts = [0, 1].map(|i| Cut::new(rows, tiles[i].len()));
    let mut ahead = Ahead::new(layout, cuts[usize::from(columns > 16)].tiles);
    for line in 0..lines.count {
        for (column, width) in panels(columns) {
            let vectors = width.div_ceil(16);
            let (tiles, cut) = (tiles[vectors - 1], cuts[vectors - 1]);
            let mut first = 0;
            for i in 0..cut.tiles {
                let tile_rows = cut.rows + usize::from(i < cut.longer);
                ahead.step();
                // SAFETY: rows first..first + tile_rows and columns column..column + width are within the layout,
                // whose extents were checked against the slices, as were those of the bias and the gate bits. The
                // table is that of an instruction set of this processor; it has a tile of each number of rows up to
                // its length.
                unsafe {
                    let c = c.add(line * lines.c + first * c_row + column);
                    let from = line * start_line + first * start_row + column;
                    let start =
                        Begin { from: if start.is_null() { start } else { start.add(from) }, row: start_row };
                    let a = a.wrapping_add(line * lines.a + first * row);
                    let b = b.wrapping_add(column);
                    let end = end.at(line * lines.bits, first, column / 16);
                    tiles[tile_rows - 1](a, b, c, start, &end, width - (vectors - 1) * 16, layout);
                    if let RawEnd::Gate { gate, bits, row } = end {
                        (kernels.finish)(c, c_row, (tile_rows, width), gate, bits, row);
                    }
                }
                first += tile_rows;
            }
        }
    }
}

/// Part `i` of `count` of a slice.
pub(super) fn part(slice: &[f32], i: usize, count: usize) -> &[f32] {
    &slice[i * slice.len() / count..(i + 1) * slice.len() / count]
}

/// What is asked for in advance, in shares for each tile.
struct Ahead<'a> {
    slices: [&'a [f32]; 2],
    shares: [usize; 2],
}

impl<'a> Ahead<'a> {
    fn new(layout: &Layout<'a>, tiles: usize) -> Self {
        let tiles = layout.lines.count * layout.columns.div_ceil(PANEL) * tiles;
        let shares = layout.ahead.map(|slice| slice.len().div_ceil(tiles * LINE) * LINE);
        Self { slices: layout.ahead, shares }
    }

    #[inline(always)]
    fn step(&mut self) {
        for (slice, &share) in self.slices.iter_mut().zip(&self.shares) {
            let (now, rest) = slice.split_at(share.min(slice.len()));
            for at in now.iter().step_by(LINE) {
                prefetch(at);
            }
            *slice = rest;
        }
    }
}

/// Asks for the line of the cache that holds `at`.
#[inline(always)]
fn prefetch(at: &f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this architecture has the instruction, which reads nothing.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(std::ptr::from_ref(at).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Elements of a line of the cache.
const LINE: usize = 16;

/// Where lies what the sums of a tile are added to; null: nowhere.
#[derive(Debug, Clone, Copy)]
struct Begin {
    from: *const f32,
    row: usize,
}

/// [`End`] at a tile. Bits are null where none are recorded.
#[derive(Debug, Clone, Copy)]
enum RawEnd {
    Store,
    /// `max(x, floor)`, with a gate above `open`.
    Floor {
        floor: f32,
        open: f32,
        bits: *mut u16,
        row: usize,
    },
    /// Any other function: applied after the tile was stored.
    Gate {
        gate: Gate,
        bits: *mut u16,
        row: usize,
    },
    Close {
        bits: *const u16,
        row: usize,
    },
}

impl RawEnd {
    fn new(end: End<'_>) -> Self {
        match end {
            End::Gate { gate, bits, row } => {
                let bits = if bits.is_empty() { std::ptr::null_mut() } else { bits.as_mut_ptr() };
                match gate.function {
                    Function::Linear if bits.is_null() => Self::Store,
                    Function::Clip { low: floor, high: f32::INFINITY }
                        if !bits.is_null() && gate.open.1 == f32::INFINITY =>
                    {
                        Self::Floor { floor, open: gate.open.0, bits, row }
                    }
                    _ => Self::Gate { gate, bits, row },
                }
            }
            End::Close { bits, row } if !bits.is_empty() => Self::Close { bits: bits.as_ptr(), row },
            End::Store | End::Close { .. } => Self::Store,
        }
    }

    /// From word `line`, row `first` and word `word` on.
    fn at(self, line: usize, first: usize, word: usize) -> Self {
        let on = |bits: *mut u16, row: usize| {
            if bits.is_null() { bits } else { bits.wrapping_add(line + first * row + word) }
        };
        match self {
            Self::Store => self,
            Self::Floor { floor, open, bits, row } => Self::Floor { floor, open, bits: on(bits, row), row },
            Self::Gate { gate, bits, row } => Self::Gate { gate, bits: on(bits, row), row },
            Self::Close { bits, row } => {
                Self::Close { bits: bits.wrapping_add(line + first * row + word), row }
            }
        }
    }
}

type Tile = unsafe fn(*const f32, *const f32, *mut f32, Begin, &RawEnd, usize, &Layout<'_>);
type Close = unsafe fn(*mut f32, usize, (usize, usize), *const u16, usize);
type Finish = unsafe fn(*mut f32, usize, (usize, usize), Gate, *mut u16, usize);

/// The kernels of one instruction set.
#[derive(Debug)]
pub(super) struct Kernels {
    /// Tiles of 1 and of 2 vectors; each by its rows less one.
    strided: [&'static [Tile]; 2],
    /// The same for rows that follow each other element by element.
    unit: [&'static [Tile]; 2],
    finish: Finish,
    close: Close,
    sums: unsafe fn(*mut f32, *const f32, (usize, usize)),
}

impl Kernels {
    /// Those of the widest instruction set that this thread may use.
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

/// Adds the sums of the columns of row-major `x` to `out`.
///
/// # Panics
/// Where rows are not whole.
pub(super) fn add_column_sums(kernels: &Kernels, out: &mut [f32], x: &[f32]) {
    if x.is_empty() {
        return;
    }
    assert!(x.len().is_multiple_of(out.len()), "rows are whole");
    // SAFETY: `x` holds so many rows of as many columns as `out`; the table is that of an instruction set of this
    // processor.
    unsafe { (kernels.sums)(out.as_mut_ptr(), x.as_ptr(), (x.len() / out.len(), out.len())) }
}

/// [`add_column_sums`] of `rows` rows of `columns` columns.
///
/// # Safety
/// The processor has the instruction set; the pointers are valid for that many elements.
#[inline(always)]
unsafe fn sums<S: Simd>(out: *mut f32, x: *const f32, (rows, columns): (usize, usize)) {
    /// Sums that run side by side, since an addition takes several cycles.
    const CHAINS: usize = 8;
    // SAFETY: the caller's.
    unsafe {
        for column in (0..columns).step_by(16) {
            let lanes = S::lanes((columns - column).min(16));
            let mut chains = [S::splat(0.0); CHAINS];
            let mut at = x.add(column);
            for _ in 0..rows / CHAINS {
                for (i, chain) in chains.iter_mut().enumerate() {
                    *chain = S::add(*chain, S::load_lanes(at.wrapping_add(i * columns), lanes));
                }
                at = at.wrapping_add(CHAINS * columns);
            }
            for i in 0..rows % CHAINS {
                chains[0] = S::add(chains[0], S::load_lanes(at.wrapping_add(i * columns), lanes));
            }
            let mut sum = S::load_lanes(out.add(column), lanes);
            for chain in chains {
                sum = S::add(sum, chain);
            }
            S::store_lanes(out.add(column), lanes, sum);
        }
    }
}

/// The body once for each row below `R`, which is at most 28, spelled out: a loop that the compiler chose not to unroll
/// would keep the sums in memory.
macro_rules! for_rows {
    ($r:ident < $rows:ident => $body:block) => {
        for_rows!(@ $r $rows $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27)
    };
    (@ $r:ident $rows:ident $body:block $($i:literal)*) => {
        $({
            let $r: usize = $i;
            if $r < $rows $body
        })*
    };
}

/// Rows that share a pointer: what two index registers (one and three rows) reach by their scales of 1, 2 and 4.
const GROUP: usize = 5;

/// Pointers for all rows.
const GROUPS: usize = 6;

/// One tile of `R` rows and `V` vectors, the last of which has `lanes` columns.
///
/// # Safety
/// The processor has the instruction set; the layout's elements from `a`, `b`, `c` and `start` on are valid for `R` rows.
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize, const UNIT: bool>(
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    start: Begin,
    end: &RawEnd,
    lanes: usize,
    layout: &Layout<'_>,
) {
    // SAFETY: the caller's.
    unsafe {
        let last = S::lanes(lanes);
        let load = |from: *const f32, v: usize| {
            if v + 1 < V { S::load(from.add(v * 16)) } else { S::load_lanes(from.add(v * 16), last) }
        };
        let mut sums = [[S::splat(0.0); V]; R];
        let &Layout { sum, segments, blocks, .. } = layout;
        // Addresses are hidden from the compiler in every step: it would keep one pointer for each row.
        let (mut row, mut rows_3) = (layout.row * size_of::<f32>(), 3 * layout.row * size_of::<f32>());
        for block in 0..blocks.count {
            for segment in 0..segments.count {
                let a = a.wrapping_add(block * blocks.a + segment * segments.a);
                let group = |first: usize| a.wrapping_add(first * if UNIT { 1 } else { layout.row });
                let mut groups = [a; GROUPS];
                for_rows!(i < GROUPS => {
                    groups[i] = group(i * GROUP);
                });
                let mut b = b.wrapping_add(block * blocks.b + segment * segments.b);
                for _ in 0..sum.count {
                    let columns: [S::Vector; V] = std::array::from_fn(|v| load(b, v));
                    if !UNIT {
                        for_rows!(i < GROUPS => {
                            groups[i] = S::hide_pointer(groups[i]);
                        });
                        (row, rows_3) = (S::hide(row), S::hide(rows_3));
                    }
                    let rows = if UNIT { [0, 4, 8, 12, 16] } else { [0, row, 2 * row, rows_3, 4 * row] };
                    for_rows!(r < R => {
                        let x = S::splat(*groups[r / GROUP].wrapping_byte_add(rows[r % GROUP]));
                        for v in 0..V {
                            sums[r][v] = S::multiply_add(x, columns[v], sums[r][v]);
                        }
                    });
                    for_rows!(i < GROUPS => {
                        groups[i] = groups[i].wrapping_add(sum.a);
                    });
                    b = b.wrapping_add(sum.b);
                }
            }
        }
        // Added last, so that a sum over many blocks is one of their sums, not one long chain.
        if !start.from.is_null() {
            for_rows!(r < R => {
                for v in 0..V {
                    sums[r][v] = S::add(sums[r][v], load(start.from.add(r * start.row), v));
                }
            });
        }
        match *end {
            RawEnd::Store | RawEnd::Gate { .. } => {}
            RawEnd::Floor { floor, open, bits, row } => {
                let (floor, open) = (S::splat(floor), S::splat(open));
                for_rows!(r < R => {
                    for v in 0..V {
                        let lanes = if v + 1 < V { S::lanes(16) } else { last };
                        *bits.add(r * row + v) = S::greater(sums[r][v], open, lanes);
                        sums[r][v] = S::at_least(sums[r][v], floor);
                    }
                });
            }
            RawEnd::Close { bits, row } => {
                for_rows!(r < R => {
                    for v in 0..V {
                        sums[r][v] = S::keep(sums[r][v], *bits.add(r * row + v));
                    }
                });
            }
        }
        for_rows!(r < R => {
            for v in 0..V {
                let to = c.add(r * layout.c_row + v * 16);
                if v + 1 < V { S::store(to, sums[r][v]) } else { S::store_lanes(to, last, sums[r][v]) }
            }
        });
    }
}

/// The function of a tile that was just stored: `rows` rows of `columns` columns (at most 32).
///
/// # Safety
/// The processor has the instruction set; `c` and the gate bits, unless null, are valid for all rows.
#[inline(always)]
unsafe fn finish<S: Simd>(
    c: *mut f32,
    c_row: usize,
    size: (usize, usize),
    gate: Gate,
    bits: *mut u16,
    row: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let record = Record::<S> {
            bits,
            row,
            open: S::splat(gate.open.0),
            closed: if gate.open.1 < f32::INFINITY { Some(S::splat(gate.open.1)) } else { None },
        };
        match gate.function {
            Function::Linear => for_vectors::<S>(
                c,
                c_row,
                size,
                #[inline(always)]
                |x, r, v, lanes| {
                    record.put(x, r, v, lanes);
                    x
                },
            ),
            Function::Clip { low, high } => {
                let (low, high) = (S::splat(low), S::splat(high));
                for_vectors::<S>(
                    c,
                    c_row,
                    size,
                    #[inline(always)]
                    |x, r, v, lanes| {
                        record.put(x, r, v, lanes);
                        S::at_most(S::at_least(x, low), high)
                    },
                );
            }
            Function::Levels { per_unit, unit, low, high, bound } => {
                let (per_unit, unit) = (S::splat(per_unit), S::splat(unit));
                let (low, high, bound) = (S::splat(low), S::splat(high), S::splat(bound));
                let zero = S::splat(0.0);
                for_vectors::<S>(
                    c,
                    c_row,
                    size,
                    #[inline(always)]
                    |x, r, v, lanes| {
                        record.put(x, r, v, lanes);
                        let level = S::round(S::multiply(x, per_unit));
                        let level = S::at_most(S::at_least(level, low), high);
                        S::add(S::at_most(S::multiply(unit, level), bound), zero)
                    },
                );
            }
        }
    }
}

/// Where the gate bits of a tile go; null: nowhere.
struct Record<S: Simd> {
    bits: *mut u16,
    row: usize,
    open: S::Vector,
    closed: Option<S::Vector>,
}

impl<S: Simd> Record<S> {
    /// Whether the gradient of `x`, vector `v` of row `r`, passes.
    ///
    /// # Safety
    /// As [`finish`].
    #[inline(always)]
    unsafe fn put(&self, x: S::Vector, r: usize, v: usize, lanes: S::Lanes) {
        if self.bits.is_null() {
            return;
        }
        // SAFETY: the caller's.
        unsafe {
            let mut word = S::greater(x, self.open, lanes);
            if let Some(closed) = self.closed {
                word &= S::greater(closed, x, lanes);
            }
            *self.bits.add(r * self.row + v) = word;
        }
    }
}

/// Closes gates on stored values: `rows` rows of `columns` columns (at most 32).
///
/// # Safety
/// The processor has the instruction set; `c` and the gate bits are valid for all rows.
#[inline(always)]
unsafe fn close<S: Simd>(c: *mut f32, c_row: usize, size: (usize, usize), bits: *const u16, row: usize) {
    // SAFETY: the caller's.
    unsafe {
        for_vectors::<S>(
            c,
            c_row,
            size,
            #[inline(always)]
            |x, r, v, _| S::keep(x, *bits.add(r * row + v)),
        );
    }
}

/// The function of `gate` over rows of `columns`, and its record unless `bits` is empty.
///
/// # Panics
/// Where rows are not whole or `bits` is neither empty nor long enough.
pub(super) fn apply_function(
    kernels: &Kernels,
    out: &mut [f32],
    columns: usize,
    gate: Gate,
    bits: &mut [u16],
) {
    if bits.is_empty() && columns != PANEL {
        // Without a record it does not matter where rows end.
        let (whole, rest) = out.split_at_mut(out.len() / PANEL * PANEL);
        apply_function(kernels, whole, PANEL, gate, &mut []);
        let columns = rest.len();
        return if columns > 0 {
            apply_rows(kernels, rest, columns, gate, &mut [])
        };
    }
    apply_rows(kernels, out, columns, gate, bits);
}

fn apply_rows(kernels: &Kernels, out: &mut [f32], columns: usize, gate: Gate, bits: &mut [u16]) {
    let (rows, words) = rows_and_words(out.len(), columns);
    assert!(bits.is_empty() || bits.len() == rows * words, "gate bits hold all rows");
    for (column, width) in panels(columns) {
        let bits =
            if bits.is_empty() { std::ptr::null_mut() } else { bits.as_mut_ptr().wrapping_add(column / 16) };
        // SAFETY: the panel lies within `out`, which has so many whole rows, and its words within `bits`; the table is
        // that of an instruction set of this processor.
        unsafe {
            (kernels.finish)(
                out.as_mut_ptr().wrapping_add(column),
                columns,
                (rows, width),
                gate,
                bits,
                words,
            );
        }
    }
}

/// Values of rows of `columns` whose gate bit is 0 become 0.
///
/// # Panics
/// Where rows are not whole or `bits` is too short.
pub(super) fn close_rows(kernels: &Kernels, dy: &mut [f32], columns: usize, bits: &[u16]) {
    let (rows, words) = rows_and_words(dy.len(), columns);
    assert!(rows * words <= bits.len(), "gate bits hold all rows");
    for (column, width) in panels(columns) {
        let bits = bits.as_ptr().wrapping_add(column / 16);
        // SAFETY: as for `apply_rows`.
        unsafe { (kernels.close)(dy.as_mut_ptr().wrapping_add(column), columns, (rows, width), bits, words) };
    }
}

fn rows_and_words(len: usize, columns: usize) -> (usize, usize) {
    let rows = len.checked_div(columns).unwrap_or(0);
    assert_eq!(rows * columns, len, "rows are whole");
    (rows, columns.div_ceil(16))
}

/// `x = f(x, row, vector, its lanes)` for all vectors of a stored tile.
///
/// # Safety
/// As [`finish`].
#[inline(always)]
unsafe fn for_vectors<S: Simd>(
    c: *mut f32,
    c_row: usize,
    (rows, columns): (usize, usize),
    f: impl Fn(S::Vector, usize, usize, S::Lanes) -> S::Vector,
) {
    // SAFETY: the caller's.
    unsafe {
        let vectors = columns.div_ceil(16);
        let (whole, last) = (S::lanes(16), S::lanes(columns - (vectors - 1) * 16));
        for r in 0..rows {
            let row = c.add(r * c_row);
            for v in 0..vectors - 1 {
                let at = row.add(v * 16);
                S::store(at, f(S::load(at), r, v, whole));
            }
            let at = row.add((vectors - 1) * 16);
            S::store_lanes(at, last, f(S::load_lanes(at, last), r, vectors - 1, last));
        }
    }
}

/// Columns that a tile covers, hence of a panel.
pub(super) const PANEL: usize = 32;

/// The panels of `columns` columns: first column and width.
pub(super) fn panels(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..columns).step_by(PANEL).map(move |first| (first, PANEL.min(columns - first)))
}

/// Row-major `from` (rows of `columns`) as panels one after the other, each row-major: a tile then reads neighbouring lines
/// of the cache, not every so many of them, which would leave most of it unused. Panel `p` starts at `p.0 * rows`.
pub(super) fn pack_panels(to: &mut [f32], from: &[f32], columns: usize) {
    let rows = from.len() / columns;
    for (first, width) in panels(columns) {
        let to = to[first * rows..][..width * rows].chunks_exact_mut(width);
        for (to, from) in to.zip(from.chunks_exact(columns)) {
            to.copy_from_slice(&from[first..first + width]);
        }
    }
}

/// `to[n, m] = from[m, n]` for `m` rows and `n` columns, the rows of `from` being `stride` apart.
pub(super) fn transpose(to: &mut [f32], from: &[f32], (m, n): (usize, usize), stride: usize) {
    for (column, to) in to.chunks_exact_mut(m).enumerate().take(n) {
        for (to, from) in to.iter_mut().zip(from[column..].iter().step_by(stride)) {
            *to = *from;
        }
    }
}

/// Defines `KERNELS` for an implementation of [`Simd`], compiled for the named features: tiles of the given numbers of
/// rows (1 and up) of 1 vector with strided rows, with adjacent rows, and of 2 vectors.
macro_rules! kernels {
    ($simd:ty, $($features:literal,)? [$($one:literal)*], [$($unit:literal)*], [$($two:literal)*]) => {
        $(#[target_feature(enable = $features)])?
        unsafe fn tile<const R: usize, const V: usize, const UNIT: bool>(
            a: *const f32,
            b: *const f32,
            c: *mut f32,
            start: super::Begin,
            end: &super::RawEnd,
            lanes: usize,
            layout: &super::Layout<'_>,
        ) {
            // SAFETY: the caller's.
            unsafe { super::tile::<$simd, R, V, UNIT>(a, b, c, start, end, lanes, layout) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn finish(
            c: *mut f32,
            c_row: usize,
            size: (usize, usize),
            gate: super::Gate,
            bits: *mut u16,
            row: usize,
        ) {
            // SAFETY: the caller's.
            unsafe { super::finish::<$simd>(c, c_row, size, gate, bits, row) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn close(c: *mut f32, c_row: usize, size: (usize, usize), bits: *const u16, row: usize) {
            // SAFETY: the caller's.
            unsafe { super::close::<$simd>(c, c_row, size, bits, row) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn sums(out: *mut f32, x: *const f32, size: (usize, usize)) {
            // SAFETY: the caller's.
            unsafe { super::sums::<$simd>(out, x, size) }
        }

        pub(super) static KERNELS: super::Kernels = super::Kernels {
            strided: [&[$(tile::<$one, 1, false>),*], &[$(tile::<$two, 2, false>),*]],
            unit: [&[$(tile::<$unit, 1, true>),*], &[$(tile::<$two, 2, true>),*]],
            finish,
            close,
            sums,
        };
    };
}
use kernels;
