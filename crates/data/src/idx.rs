//! The IDX format: two zero bytes, a type code, the number of dimensions, each dimension as a big-endian 32-bit
//! number, then the values, big-endian, in row-major order. Files with names that end in `.gz` are gzip streams; these may
//! expand to 64 times their size, or to 16 MiB ([`ExpansionBudget`](tinsmith_foundation::ExpansionBudget)).
//!
//! ```
//! use tinsmith_data::{Array, Values, idx};
//! # fn main() -> tinsmith_data::Result<()> {
//! let array = Array::new(vec![2, 3], Values::U8(vec![1, 2, 3, 4, 5, 6]))?;
//! let back = idx::decode(&idx::encode(&array)?, "in memory".as_ref())?;
//! assert_eq!(back, array);
//! # Ok(())
//! # }
//! ```
//!
//! Source: the description by Y. `LeCun`, C. Cortes and C. Burges at the end of the MNIST page. Deliberately strict:
//! bytes after the last value, no dimensions, and more than [`MAX_RANK`] are refused, since such a file is damaged or of
//! another kind.

use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tinsmith_foundation::files;

use crate::array::{Array, ElementType, MAX_RANK, Values};
use crate::error::{DataError, Result};
use crate::gzip::{self, is_gzip_name};
use crate::input::{Input, with_file};

/// Reads a file, decompressed if its name ends in `.gz`. An uncompressed file is mapped into memory for the time of
/// reading if the system allows it.
///
/// Memory grows with the contents of the file, never with the shape that its header claims.
///
/// # Errors
/// [`DataError::Read`] if it cannot be opened; [`DataError::Malformed`] if it is not a whole IDX file or expands beyond
/// the bound.
pub fn read(path: &Path) -> Result<Array> {
    if is_gzip_name(path) {
        let (stream, budget) = gzip::open(path)?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        return decode_input(Input::Stream(Box::new(budget.reader(&name, stream))), None, path);
    }
    with_file(path, |input, length| decode_input(input, length, path))
}

/// Decodes an uncompressed IDX file in memory; `origin` names it in errors.
///
/// # Errors
/// [`DataError::Malformed`] if it is not a whole IDX file.
pub fn decode(bytes: &[u8], origin: &Path) -> Result<Array> {
    decode_input(Input::Bytes(bytes), Some(bytes.len() as u64), origin)
}

/// Encodes an array as an uncompressed IDX file.
///
/// # Errors
/// [`DataError::Impossible`] for 64-bit integers, which the format does not have, and for dimensions beyond 32 bits.
pub fn encode(array: &Array) -> Result<Vec<u8>> {
    let impossible = |reason| DataError::Impossible { operation: "write IDX", reason };
    let element = array.element();
    let Some(code) = code_of(element) else {
        return Err(impossible(format!("the format has no type for {} values", element.name())));
    };
    let mut out = Vec::with_capacity(4 + 4 * array.shape().len() + element.size() * array.values().len());
    out.extend([0, 0, code, array.shape().len() as u8]);
    for &d in array.shape() {
        let d = u32::try_from(d).map_err(|_| impossible(format!("dimension {d} does not fit 32 bits")))?;
        out.extend(d.to_be_bytes());
    }
    match array.values() {
        Values::U8(v) => out.extend(v),
        Values::I8(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
        Values::I16(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
        Values::I32(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
        Values::I64(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
        Values::F32(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
        Values::F64(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
    }
    Ok(out)
}

/// Writes a file atomically, compressed if its name ends in `.gz`.
///
/// # Errors
/// As [`encode`]; [`DataError::Foundation`] if it cannot be written.
pub fn write(path: &Path, array: &Array) -> Result<()> {
    let mut bytes = encode(array)?;
    if is_gzip_name(path) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&bytes).map_err(DataError::write(path))?;
        bytes = encoder.finish().map_err(DataError::write(path))?;
    }
    Ok(files::write_atomic(path, &bytes)?)
}

const fn type_of(code: u8) -> Option<ElementType> {
    match code {
        0x08 => Some(ElementType::U8),
        0x09 => Some(ElementType::I8),
        0x0B => Some(ElementType::I16),
        0x0C => Some(ElementType::I32),
        0x0D => Some(ElementType::F32),
        0x0E => Some(ElementType::F64),
        _ => None,
    }
}

const fn code_of(element: ElementType) -> Option<u8> {
    match element {
        ElementType::U8 => Some(0x08),
        ElementType::I8 => Some(0x09),
        ElementType::I16 => Some(0x0B),
        ElementType::I32 => Some(0x0C),
        ElementType::F32 => Some(0x0D),
        ElementType::F64 => Some(0x0E),
        ElementType::I64 => None,
    }
}

/// Decodes a stream of `length` bytes, if that is known.
fn decode_input(mut input: Input<'_>, length: Option<u64>, path: &Path) -> Result<Array> {
    let (element, shape) = decode_header(&mut input, path)?;
    let claimed = shape.iter().try_fold(element.size() as u64, |n, &d| n.checked_mul(d as u64));
    // One byte more than claimed is requested below; this must not overflow.
    let claimed = claimed.filter(|&n| n < u64::MAX - 1).ok_or_else(|| {
        let name = element.name();
        DataError::malformed(
            path,
            format!("header claims {name} values of shape {shape:?}: more than 64 bits count"),
        )
    })?;
    let header = 4 + 4 * shape.len() as u64;
    let differs = |got: u64, more: &str| {
        let name = element.name();
        let text =
            format!("has {more}{got} bytes of values, want {claimed} for {name} values of shape {shape:?}");
        DataError::malformed(path, text)
    };
    if let Some(length) = length
        && length.saturating_sub(header) != claimed
    {
        return Err(differs(length.saturating_sub(header), ""));
    }
    // One byte more than claimed shows that a stream of unknown length is too long.
    let bytes = input.rest(claimed + 1).map_err(|e| unreadable(path, "values", &e))?;
    if bytes.len() as u64 > claimed {
        return Err(differs(claimed, "more than "));
    }
    if (bytes.len() as u64) < claimed {
        return Err(differs(bytes.len() as u64, "only "));
    }
    let values = match element {
        ElementType::U8 => Values::U8(bytes.into_owned()),
        ElementType::I8 => Values::I8(bytes.iter().map(|&b| i8::from_be_bytes([b])).collect()),
        ElementType::I16 => Values::I16(numbers(&bytes, i16::from_be_bytes)),
        ElementType::I32 => Values::I32(numbers(&bytes, i32::from_be_bytes)),
        ElementType::I64 => Values::I64(numbers(&bytes, i64::from_be_bytes)),
        ElementType::F32 => Values::F32(numbers(&bytes, f32::from_be_bytes)),
        ElementType::F64 => Values::F64(numbers(&bytes, f64::from_be_bytes)),
    };
    Array::new(shape, values)
}

fn decode_header(reader: &mut impl Read, path: &Path) -> Result<(ElementType, Vec<usize>)> {
    let mut magic = [0_u8; 4];
    let got = fill(reader, &mut magic).map_err(|e| unreadable(path, "header", &e))?;
    if got < 4 {
        return Err(DataError::malformed(path, format!("has {got} bytes, want at least a header of 8")));
    }
    let [a, b, code, rank] = magic;
    if (a, b) == (0x1f, 0x8b) {
        return Err(DataError::malformed(path, "is compressed by gzip, want a name that ends in .gz"));
    }
    if (a, b) != (0, 0) {
        let text = format!("begins with bytes {a:02x} {b:02x}, want 00 00 (big-endian IDX)");
        return Err(DataError::malformed(path, text));
    }
    let element = type_of(code).ok_or_else(|| {
        let want = "08 (u8), 09 (i8), 0b (i16), 0c (i32), 0d (f32) or 0e (f64)";
        DataError::malformed(path, format!("has type code {code:02x}, want {want}"))
    })?;
    let rank = usize::from(rank);
    if rank == 0 || rank > MAX_RANK {
        return Err(DataError::malformed(path, format!("has {rank} dimensions, want 1 to {MAX_RANK}")));
    }
    let mut dimensions = vec![0_u8; 4 * rank];
    let got = fill(reader, &mut dimensions).map_err(|e| unreadable(path, "dimensions", &e))?;
    if got < dimensions.len() {
        let text = format!("ends after {} of {rank} dimensions", got / 4);
        return Err(DataError::malformed(path, text));
    }
    let shape = numbers(&dimensions, u32::from_be_bytes).into_iter().map(|d| d as usize).collect();
    Ok((element, shape))
}

pub(crate) fn numbers<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect()
}

/// Reads until `buffer` is full or the stream ends; returns the number of bytes read.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match reader.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

fn unreadable(path: &Path, part: &str, error: &std::io::Error) -> DataError {
    let gzip = if is_gzip_name(path) { " of a gzip stream" } else { "" };
    DataError::malformed(path, format!("cannot read the {part}{gzip}: {error}"))
}
