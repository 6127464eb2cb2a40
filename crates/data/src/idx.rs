//! The IDX format: two zero bytes, a type code, the number of dimensions, each dimension as a big-endian 32-bit
//! number, then the values, big-endian, last dimension fastest. Files whose names end in `.gz` are gzip streams.
//!
//! ```
//! use tinsmith_data::idx::{Idx, Values};
//! # fn main() -> tinsmith_data::Result<()> {
//! let array = Idx::new(vec![2, 3], Values::U8(vec![1, 2, 3, 4, 5, 6]))?;
//! let back = Idx::decode(&array.encode(), "in memory".as_ref())?;
//! assert_eq!(back, array);
//! # Ok(())
//! # }
//! ```
//!
//! Source: the description by Y. `LeCun`, C. Cortes and C. Burges at the end of the MNIST page. Deliberately strict:
//! bytes after the last value, no dimensions, or more than [`MAX_RANK`] are refused, since a file with them is
//! damaged or is not meant to be one.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tinsmith_foundation::files;

use crate::error::{DataError, Result};

/// The most dimensions that are read. The format allows 255; nothing real has more than five.
pub const MAX_RANK: usize = 32;

/// What the values of a file are, before they become `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementType {
    /// Unsigned bytes, type code 0x08.
    U8,
    /// Signed bytes, 0x09.
    I8,
    /// 16-bit integers, 0x0B.
    I16,
    /// 32-bit integers, 0x0C.
    I32,
    /// 32-bit floats, 0x0D.
    F32,
    /// 64-bit floats, 0x0E.
    F64,
}

impl ElementType {
    /// The type of a type code, if it is one.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0x08 => Some(Self::U8),
            0x09 => Some(Self::I8),
            0x0B => Some(Self::I16),
            0x0C => Some(Self::I32),
            0x0D => Some(Self::F32),
            0x0E => Some(Self::F64),
            _ => None,
        }
    }

    /// The type code in a file's header.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::U8 => 0x08,
            Self::I8 => 0x09,
            Self::I16 => 0x0B,
            Self::I32 => 0x0C,
            Self::F32 => 0x0D,
            Self::F64 => 0x0E,
        }
    }

    /// Bytes per value.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The name as in a file's name and in messages, for example `u8`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

/// The values of an array, in the type they are stored in.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Unsigned bytes.
    U8(Vec<u8>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// 16-bit integers.
    I16(Vec<i16>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
}

impl Values {
    /// How many values there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their type.
    #[must_use]
    pub const fn element(&self) -> ElementType {
        match self {
            Self::U8(_) => ElementType::U8,
            Self::I8(_) => ElementType::I8,
            Self::I16(_) => ElementType::I16,
            Self::I32(_) => ElementType::I32,
            Self::F32(_) => ElementType::F32,
            Self::F64(_) => ElementType::F64,
        }
    }

    /// All values as `f32`, rounded to nearest where they do not fit exactly.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::U8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Self::I8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Self::I16(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Self::I32(v) => v.iter().map(|&x| x as f32).collect(),
            Self::F32(v) => v.clone(),
            Self::F64(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }

    /// All values as integers; none where the type is a float.
    #[must_use]
    pub fn to_integers(&self) -> Option<Vec<i64>> {
        match self {
            Self::U8(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
            Self::I8(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
            Self::I16(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
            Self::I32(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
            Self::F32(_) | Self::F64(_) => None,
        }
    }
}

/// An array as an IDX file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Idx {
    shape: Vec<usize>,
    values: Values,
}

impl Idx {
    /// An array of `shape`, last dimension fastest.
    ///
    /// # Errors
    /// [`DataError::Count`] where the number of values is not the product of the shape, where the shape has no
    /// dimension or more than [`MAX_RANK`], or one that does not fit 32 bits.
    pub fn new(shape: Vec<usize>, values: Values) -> Result<Self> {
        if shape.is_empty() || shape.len() > MAX_RANK {
            let what = format!("dimensions of an IDX array (1 to {MAX_RANK})");
            return Err(DataError::Count { what, got: shape.len(), want: shape.len().clamp(1, MAX_RANK) });
        }
        if let Some(&big) = shape.iter().find(|&&d| u32::try_from(d).is_err()) {
            let what = "largest dimension of an IDX array".to_owned();
            return Err(DataError::Count { what, got: big, want: u32::MAX as usize });
        }
        let want = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
        if want != values.len() {
            let what = format!("values of an IDX array of shape {shape:?}");
            return Err(DataError::Count { what, got: values.len(), want });
        }
        Ok(Self { shape, values })
    }

    /// The dimensions.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, last dimension fastest.
    #[must_use]
    pub const fn values(&self) -> &Values {
        &self.values
    }

    /// Reads a file, through gzip where its name ends in `.gz`.
    ///
    /// Memory grows with what the file holds, never with what its header claims.
    ///
    /// # Errors
    /// [`DataError::Read`] where it cannot be opened, [`DataError::Malformed`] where it is not a whole IDX file.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(DataError::read(path))?;
        let meta = file.metadata().map_err(DataError::read(path))?;
        if is_gzip_name(path) {
            decode(MultiGzDecoder::new(BufReader::new(file)), None, path)
        } else {
            let length = meta.is_file().then_some(meta.len());
            decode(BufReader::new(file), length, path)
        }
    }

    /// Reads an uncompressed IDX file that is in memory already; `origin` names it in errors.
    ///
    /// # Errors
    /// [`DataError::Malformed`] where it is not a whole IDX file.
    pub fn decode(bytes: &[u8], origin: &Path) -> Result<Self> {
        decode(bytes, Some(bytes.len() as u64), origin)
    }

    /// The array as the bytes of an uncompressed IDX file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let element = self.values.element();
        let mut out = Vec::with_capacity(4 + 4 * self.shape.len() + element.size() * self.values.len());
        out.extend([0, 0, element.code(), self.shape.len() as u8]);
        for &d in &self.shape {
            out.extend((d as u32).to_be_bytes());
        }
        match &self.values {
            Values::U8(v) => out.extend(v),
            Values::I8(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
            Values::I16(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
            Values::I32(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
            Values::F32(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
            Values::F64(v) => out.extend(v.iter().flat_map(|x| x.to_be_bytes())),
        }
        out
    }

    /// Writes a file, as gzip where its name ends in `.gz`; it is whole or absent.
    ///
    /// # Errors
    /// [`DataError::Foundation`] where it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut bytes = self.encode();
        if is_gzip_name(path) {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&bytes).map_err(DataError::read(path))?;
            bytes = encoder.finish().map_err(DataError::read(path))?;
        }
        Ok(files::write_atomic(path, &bytes)?)
    }
}

pub(crate) fn is_gzip_name(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"))
}

/// `length`: of the whole stream, where it is known beforehand.
fn decode(mut reader: impl Read, length: Option<u64>, path: &Path) -> Result<Idx> {
    let (element, shape) = decode_header(&mut reader, path)?;
    let claimed = shape.iter().try_fold(element.size() as u64, |n, &d| n.checked_mul(d as u64));
    // Two less than the largest, so that one more than claimed can be asked for.
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
    // A stream of unknown length is read as far as it goes; one byte more than claimed shows that it is too long.
    let mut bytes = Vec::new();
    reader.take(claimed + 1).read_to_end(&mut bytes).map_err(|e| unreadable(path, "values", &e))?;
    if bytes.len() as u64 > claimed {
        return Err(differs(claimed, "more than "));
    }
    if (bytes.len() as u64) < claimed {
        return Err(differs(bytes.len() as u64, "only "));
    }
    let values = match element {
        ElementType::U8 => Values::U8(bytes),
        ElementType::I8 => Values::I8(bytes.into_iter().map(|b| i8::from_be_bytes([b])).collect()),
        ElementType::I16 => Values::I16(numbers(&bytes, i16::from_be_bytes)),
        ElementType::I32 => Values::I32(numbers(&bytes, i32::from_be_bytes)),
        ElementType::F32 => Values::F32(numbers(&bytes, f32::from_be_bytes)),
        ElementType::F64 => Values::F64(numbers(&bytes, f64::from_be_bytes)),
    };
    Ok(Idx { shape, values })
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
    let element = ElementType::from_code(code).ok_or_else(|| {
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

fn numbers<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect()
}

/// Reads until `buffer` is full or the stream ends, and says how far it came.
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
