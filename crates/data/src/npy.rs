//! The NPY format of NumPy: a magic string, a version, a Python dictionary with type, order and shape, the values.
//!
//! Supported are booleans, integers of 1 to 8 bytes and floats of 2, 4 and 8 bytes, of either byte order, in row-major or
//! column-major order. Types without a counterpart become the next larger one of [`Values`]. Text of fixed width is read
//! for labels in data sets. Refused are structured types, pickled objects, complex numbers, and bytes after the last
//! value.
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
//! Source: `numpy.lib.format`; reads versions 1.0 to 3.0, writes 1.0.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use tinsmith_foundation::files;

use crate::array::{Array, ElementType, MAX_RANK, Values};
use crate::error::{DataError, Result};
use crate::idx::numbers;
use crate::input::{Input, with_file};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest header that is read, in bytes. The header of an array of numbers has about a hundred.
const MAX_HEADER: usize = 10_000;

/// Reads a file. It is mapped into memory for the time of reading if the system allows it. Memory grows with the size of
/// the file, never with the shape that its header claims.
///
/// # Errors
/// [`DataError::Read`] if it cannot be opened, [`DataError::Malformed`] if it is not a whole NPY file of numbers.
pub fn read(path: &Path) -> Result<Array> {
    read_any(path)?.into_numbers(path)
}

/// Reads a file of numbers or text.
pub(crate) fn read_any(path: &Path) -> Result<Decoded> {
    with_file(path, |input, _| decode_input(input, path))
}

/// Decodes an NPY file in memory; `origin` names it in errors.
///
/// # Errors
/// [`DataError::Malformed`] if it is not a whole NPY file of numbers.
pub fn decode(bytes: &[u8], origin: &Path) -> Result<Array> {
    decode_input(Input::Bytes(bytes), origin)?.into_numbers(origin)
}

/// Encodes an array as an NPY file, little-endian, in row-major order.
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
    // The format aligns the values to 64 bytes and ends the header with a newline.
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

/// Writes a file atomically.
///
/// # Errors
/// [`DataError::Foundation`] if it cannot be written.
pub fn write(path: &Path, array: &Array) -> Result<()> {
    Ok(files::write_atomic(path, &encode(array))?)
}

/// Contents of an NPY file.
#[derive(Debug, Clone)]
pub(crate) enum Decoded {
    Numbers(Array),
    Text { shape: Vec<usize>, values: Vec<String> },
}

impl Decoded {
    pub(crate) fn into_numbers(self, path: &Path) -> Result<Array> {
        match self {
            Self::Numbers(array) => Ok(array),
            Self::Text { .. } => Err(DataError::malformed(path, "holds text, want numbers")),
        }
    }

    /// Appends the rows of an array of the same type and row shape.
    pub(crate) fn append(&mut self, other: Self) -> Result<(), String> {
        match (self, other) {
            (Self::Numbers(own), Self::Numbers(other)) => own.append(other),
            (Self::Text { shape, values }, Self::Text { shape: more, values: other })
                if shape[1..] == more[1..] =>
            {
                shape[0] += more[0];
                values.extend(other);
                Ok(())
            }
            _ => Err("holds text in one part and numbers in another, or rows of another shape".to_owned()),
        }
    }
}

pub(crate) fn decode_input(mut input: Input<'_>, path: &Path) -> Result<Decoded> {
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
        let word = header.kind.word_size();
        bytes.to_mut().chunks_exact_mut(word).for_each(<[u8]>::reverse);
    }
    if header.columns_first {
        bytes = rows_first(&bytes, &shape, item).into();
    }
    // NumPy's scalars have no dimension; here they are arrays of one value.
    let shape = if shape.is_empty() { vec![1] } else { shape };
    if let Some(values) = header.kind.texts(&bytes) {
        return Ok(Decoded::Text { shape, values });
    }
    let values = header.kind.values(bytes).map_err(|reason| DataError::malformed(path, reason))?;
    Ok(Decoded::Numbers(Array::new(shape, values)?))
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

/// Element types that are read.
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
    F16,
    F32,
    F64,
    /// Text of this many bytes.
    Bytes(usize),
    /// Text of this many characters of four bytes each.
    Unicode(usize),
}

impl Kind {
    const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Bytes(length) => length,
            Self::Unicode(length) => 4 * length,
        }
    }

    /// Bytes that a change of byte order reverses.
    const fn word_size(self) -> usize {
        match self {
            Self::Bytes(_) => 1,
            Self::Unicode(_) => 4,
            kind => kind.size(),
        }
    }

    /// Text of little-endian bytes without the padding of zeros; `None` for numbers.
    fn texts(self, bytes: &[u8]) -> Option<Vec<String>> {
        let trimmed = |text: String| text.trim_end_matches('\0').to_owned();
        match self {
            Self::Bytes(length) => {
                let text = |item: &[u8]| trimmed(String::from_utf8_lossy(item).into_owned());
                Some(bytes.chunks_exact(length).map(text).collect())
            }
            Self::Unicode(length) => {
                let character = |word: u32| char::from_u32(word).unwrap_or(char::REPLACEMENT_CHARACTER);
                let text = |item: &[u8]| {
                    trimmed(numbers(item, u32::from_le_bytes).into_iter().map(character).collect())
                };
                Some(bytes.chunks_exact(4 * length).map(text).collect())
            }
            _ => None,
        }
    }

    /// Values of little-endian bytes.
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
            Self::F16 => Values::F32(numbers(&bytes, |b| half(u16::from_le_bytes(b)))),
            Self::F32 => Values::F32(numbers(&bytes, f32::from_le_bytes)),
            Self::F64 => Values::F64(numbers(&bytes, f64::from_le_bytes)),
            Self::Bytes(_) | Self::Unicode(_) => return Err("holds text, want numbers".to_owned()),
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
    /// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, keys in any order.
    fn parse(text: &str) -> Result<Self, String> {
        let odd =
            || format!("has a header that is no dictionary of type, order and shape: `{}`", text.trim());
        let mut rest =
            text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(odd)?.trim();
        let (mut descr, mut order, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, value) = rest.split_once(':').ok_or_else(odd)?;
            let value = value.trim_start();
            // A value ends at a comma, a shape at its closing parenthesis; structured types are refused.
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
        let unknown = || {
            let hint = if descr.ends_with('O') {
                " (Python objects: convert them to numbers or to str_)"
            } else {
                ""
            };
            format!("holds values of type `{descr}`{hint}, want b1, i1 to i8, u1 to u8, f2, f4, f8 or text")
        };
        // An empty text has no bytes, so any claimed number of them would be believed.
        let length = |digits: &str| digits.parse().ok().filter(|length| (1..=MAX_HEADER).contains(length));
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
            "f2" => Kind::F16,
            "f4" => Kind::F32,
            "f8" => Kind::F64,
            _ => match name.split_at_checked(1) {
                Some(("S", digits)) => Kind::Bytes(length(digits).ok_or_else(unknown)?),
                Some(("U", digits)) => Kind::Unicode(length(digits).ok_or_else(unknown)?),
                _ => return Err(unknown()),
            },
        };
        if !["<", ">", "|", "="].contains(&byte_order) {
            return Err(unknown());
        }
        Ok(Self { kind, big_endian: byte_order == ">", columns_first, shape })
    }
}

/// Value of a 16-bit float: 1 sign bit, 5 exponent bits, 10 fraction bits. Exact.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2.0_f32.powi(-24),
        31 if bits & 1023 == 0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + fraction) * 2.0_f32.powi(exponent - 25),
    }
}

/// Converts column-major to row-major order.
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
