//! The NPY format of NumPy: a magic string, a version, a Python dictionary with type, order and shape, the values.
//!
//! Read are booleans and integers of 1 to 8 bytes and floats of 4 and 8, of either byte order, rows first or columns
//! first; types without a match become the next larger one ([`Values`]). Refused are structured types, pickled
//! objects, complex and half-precision numbers, and bytes after the last value.
//!
//! ```
//! use tinsmith_data::{Array, Values, npy};
//! # fn main() -> tinsmith_data::Result<()> {
//! let array = Array::new(vec![2, 2], Values::F32(vec![0.5, 1.0, 1.5, 2.0]))?;
//! assert_eq!(npy::decode(&npy::encode(&array), "in memory".as_ref())?, array);
//! # Ok(())
//! # }
//! ```
//!
//! Source: `numpy.lib.format`, versions 1.0 to 3.0; written is 1.0.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use tinsmith_foundation::files;

use crate::array::{Array, ElementType, MAX_RANK, Values};
use crate::error::{DataError, Result};
use crate::idx::numbers;
use crate::input::{Input, with_file};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longer headers are refused: one of an array of numbers has about a hundred bytes.
const MAX_HEADER: usize = 10_000;

/// Reads a file, mapped into memory meanwhile where the system allows it. Memory grows with what the file holds, never with what its header claims.
///
/// # Errors
/// [`DataError::Read`] where it cannot be opened, [`DataError::Malformed`] where it is not a whole NPY file of
/// numbers.
pub fn read(path: &Path) -> Result<Array> {
    with_file(path, |input, _| decode_input(input, path))
}

/// Reads an NPY file that is in memory already; `origin` names it in errors.
///
/// # Errors
/// [`DataError::Malformed`] where it is not a whole NPY file of numbers.
pub fn decode(bytes: &[u8], origin: &Path) -> Result<Array> {
    decode_input(Input::Bytes(bytes), origin)
}

/// An array as the bytes of an NPY file, little-endian, rows first.
#[must_use]
pub fn encode(array: &Array) -> Vec<u8> {
    let descr = match array.element() {
        ElementType::U8 => "|u1",
        ElementType::I8 => "|i1",
        ElementType::I16 => "<i2",
        ElementType::I32 => "<i4",
        ElementType::I64 => "<i8",
        ElementType::F32 => "<f4",
        ElementType::F64 => "<f8",
    };
    let shape: Vec<String> = array.shape().iter().map(|d| format!("{d},")).collect();
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", shape.join(" "));
    // The values begin at a multiple of 64 bytes, and the header ends in a newline.
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    match array.values() {
        Values::U8(v) => out.extend(v),
        Values::I8(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::I16(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::I32(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::I64(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::F32(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::F64(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
    }
    out
}

/// Writes a file; it is whole or absent.
///
/// # Errors
/// [`DataError::Foundation`] where it cannot be written.
pub fn write(path: &Path, array: &Array) -> Result<()> {
    Ok(files::write_atomic(path, &encode(array))?)
}

pub(crate) fn decode_input(mut input: Input<'_>, path: &Path) -> Result<Array> {
    let text = header_text(&mut input, path)?;
    let header = Header::parse(&text).map_err(|reason| DataError::malformed(path, reason))?;
    let shape = header.shape;
    let item = header.kind.size();
    let claimed =
        shape.iter().try_fold(item as u64, |n, &d| n.checked_mul(d as u64)).filter(|&n| n < u64::MAX - 1);
    let Some(claimed) = claimed else {
        return Err(DataError::malformed(
            path,
            format!("header claims shape {shape:?}: more than 64 bits count"),
        ));
    };
    let unreadable = |e: std::io::Error| DataError::malformed(path, format!("cannot read the values: {e}"));
    let mut bytes = input.rest(claimed + 1).map_err(unreadable)?;
    if bytes.len() as u64 != claimed {
        let got =
            if bytes.len() as u64 > claimed { "more".to_owned() } else { format!("only {}", bytes.len()) };
        let reason = format!("has {got} bytes of values, want {claimed} for shape {shape:?}");
        return Err(DataError::malformed(path, reason));
    }
    if header.big_endian {
        bytes.to_mut().chunks_exact_mut(item).for_each(<[u8]>::reverse);
    }
    if header.columns_first {
        bytes = rows_first(&bytes, &shape, item).into();
    }
    let values = header.kind.values(bytes).map_err(|reason| DataError::malformed(path, reason))?;
    // NumPy's scalars have no dimension; here they are arrays of one value.
    Array::new(if shape.is_empty() { vec![1] } else { shape }, values)
}

fn header_text(reader: &mut impl Read, path: &Path) -> Result<String> {
    let mut take = |count: usize| {
        let mut bytes = vec![0; count];
        let ends = |e: std::io::Error| DataError::malformed(path, format!("ends within its header: {e}"));
        reader.read_exact(&mut bytes).map(|()| bytes).map_err(ends)
    };
    let start = take(8)?;
    if start[..6] != *MAGIC {
        return Err(DataError::malformed(path, "does not begin with \\x93NUMPY, want an NPY file"));
    }
    let length = match start[6] {
        1 => take(2)?.iter().rev().fold(0, |n, &b| n << 8 | usize::from(b)),
        2 | 3 => take(4)?.iter().rev().fold(0, |n, &b| n << 8 | usize::from(b)),
        version => {
            return Err(DataError::malformed(path, format!("has format version {version}, want 1 to 3")));
        }
    };
    if length > MAX_HEADER {
        let reason = format!("claims a header of {length} bytes, want at most {MAX_HEADER}");
        return Err(DataError::malformed(path, reason));
    }
    String::from_utf8(take(length)?).map_err(|_| DataError::malformed(path, "has a header that is no text"))
}

/// The types that are read.
#[derive(Debug, Clone, Copy)]
enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Kind {
    const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Little-endian bytes as values.
    fn values(self, bytes: Cow<'_, [u8]>) -> Result<Values, String> {
        Ok(match self {
            Self::U8 => Values::U8(bytes.into_owned()),
            Self::I8 => Values::I8(bytes.iter().map(|&b| i8::from_le_bytes([b])).collect()),
            Self::U16 => Values::I32(numbers(&bytes, |b| i32::from(u16::from_le_bytes(b)))),
            Self::I16 => Values::I16(numbers(&bytes, i16::from_le_bytes)),
            Self::U32 => Values::I64(numbers(&bytes, |b| i64::from(u32::from_le_bytes(b)))),
            Self::I32 => Values::I32(numbers(&bytes, i32::from_le_bytes)),
            Self::U64 => {
                let small =
                    |x: u64| i64::try_from(x).map_err(|_| format!("value {x} does not fit a signed integer"));
                Values::I64(
                    numbers(&bytes, u64::from_le_bytes).into_iter().map(small).collect::<Result<_, _>>()?,
                )
            }
            Self::I64 => Values::I64(numbers(&bytes, i64::from_le_bytes)),
            Self::F32 => Values::F32(numbers(&bytes, f32::from_le_bytes)),
            Self::F64 => Values::F64(numbers(&bytes, f64::from_le_bytes)),
        })
    }
}

#[derive(Debug)]
struct Header {
    kind: Kind,
    big_endian: bool,
    columns_first: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, keys in any order.
    fn parse(text: &str) -> Result<Self, String> {
        let odd =
            || format!("has a header that is no dictionary of type, order and shape: `{}`", text.trim());
        let mut rest =
            text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(odd)?.trim();
        let (mut descr, mut order, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, value) = rest.split_once(':').ok_or_else(odd)?;
            let value = value.trim_start();
            // A value ends at a comma; that of the shape at its closing parenthesis, of a structured type nowhere.
            let end = match value.as_bytes().first() {
                Some(b'(') => value.find(')').ok_or_else(odd)? + 1,
                Some(b'[') => return Err("holds a structured type, want plain numbers".to_owned()),
                _ => value.find(',').unwrap_or(value.len()),
            };
            let item = value[..end].trim();
            match key.trim().trim_matches(['\'', '"']) {
                "descr" => descr = Some(item.trim_matches(['\'', '"'])),
                "fortran_order" => order = Some(item),
                "shape" => shape = Some(item),
                _ => return Err(odd()),
            }
            rest = value[end..].trim_start().trim_start_matches(',').trim_start();
        }
        let (Some(descr), Some(order), Some(shape)) = (descr, order, shape) else { return Err(odd()) };
        let columns_first = match order {
            "True" => true,
            "False" => false,
            _ => return Err(odd()),
        };
        let shape = shape.strip_prefix('(').and_then(|t| t.strip_suffix(')')).ok_or_else(odd)?;
        let dimensions = shape.split(',').map(str::trim).filter(|d| !d.is_empty());
        let shape: Vec<usize> = dimensions.map(str::parse).collect::<Result<_, _>>().map_err(|_| odd())?;
        if shape.len() > MAX_RANK {
            return Err(format!("has {} dimensions, want at most {MAX_RANK}", shape.len()));
        }
        let unknown = || format!("holds values of type `{descr}`, want b1, i1 to i8, u1 to u8, f4 or f8");
        let (byte_order, name) = descr.split_at_checked(1).ok_or_else(unknown)?;
        let kind = match name {
            "b1" | "u1" => Kind::U8,
            "i1" => Kind::I8,
            "u2" => Kind::U16,
            "i2" => Kind::I16,
            "u4" => Kind::U32,
            "i4" => Kind::I32,
            "u8" => Kind::U64,
            "i8" => Kind::I64,
            "f4" => Kind::F32,
            "f8" => Kind::F64,
            _ => return Err(unknown()),
        };
        if !["<", ">", "|", "="].contains(&byte_order) {
            return Err(unknown());
        }
        Ok(Self { kind, big_endian: byte_order == ">", columns_first, shape })
    }
}

/// From first dimension fastest to last dimension fastest.
fn rows_first(bytes: &[u8], shape: &[usize], item: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = vec![0_usize; shape.len()];
    for _ in 0..bytes.len() / item {
        let place = index.iter().zip(shape).rev().fold(0, |place, (&i, &d)| place * d + i);
        out.extend_from_slice(&bytes[place * item..(place + 1) * item]);
        for (i, &d) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < d {
                break;
            }
            *i = 0;
        }
    }
    out
}
