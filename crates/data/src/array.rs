//! Arrays as stored in files, before they become samples.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};

/// Largest number of dimensions that is read. The formats allow more; real data have at most five.
pub const MAX_RANK: usize = 32;

/// Element type of a file, before conversion to `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementType {
    /// Unsigned bytes.
    U8,
    /// Signed bytes.
    I8,
    /// 16-bit integers.
    I16,
    /// 32-bit integers.
    I32,
    /// 64-bit integers.
    I64,
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
}

impl ElementType {
    /// Bytes per value.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// Returns true for integer types.
    #[must_use]
    pub const fn is_integer(self) -> bool {
        !matches!(self, Self::F32 | Self::F64)
    }

    /// Name as in messages, for example `u8`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

/// Values of an array in their stored type.
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
    /// 64-bit integers.
    I64(Vec<i64>),
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
}

impl Values {
    /// Number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// Returns true if there are no values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type of the values.
    #[must_use]
    pub const fn element(&self) -> ElementType {
        match self {
            Self::U8(_) => ElementType::U8,
            Self::I8(_) => ElementType::I8,
            Self::I16(_) => ElementType::I16,
            Self::I32(_) => ElementType::I32,
            Self::I64(_) => ElementType::I64,
            Self::F32(_) => ElementType::F32,
            Self::F64(_) => ElementType::F64,
        }
    }

    /// Converts all values to `f32`, rounded to nearest.
    #[must_use]
    pub fn to_f32(&self) -> Arc<[f32]> {
        match self {
            Self::U8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Self::I8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Self::I16(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Self::I32(v) => v.iter().map(|&x| x as f32).collect(),
            Self::I64(v) => v.iter().map(|&x| x as f32).collect(),
            Self::F32(v) => v.as_slice().into(),
            Self::F64(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }

    /// Converts all values to `f64`; exact except for integers beyond 53 bits.
    pub(crate) fn to_f64(&self) -> Vec<f64> {
        match self {
            Self::U8(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::I8(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::I16(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::I32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::I64(v) => v.iter().map(|&x| x as f64).collect(),
            Self::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::F64(v) => v.clone(),
        }
    }

    /// Appends values of the same type; returns false, and changes nothing, if the types differ.
    fn append(&mut self, other: Self) -> bool {
        match (self, other) {
            (Self::U8(v), Self::U8(w)) => v.extend(w),
            (Self::I8(v), Self::I8(w)) => v.extend(w),
            (Self::I16(v), Self::I16(w)) => v.extend(w),
            (Self::I32(v), Self::I32(w)) => v.extend(w),
            (Self::I64(v), Self::I64(w)) => v.extend(w),
            (Self::F32(v), Self::F32(w)) => v.extend(w),
            (Self::F64(v), Self::F64(w)) => v.extend(w),
            _ => return false,
        }
        true
    }

    /// Converts all values to integers; `None` for float types.
    #[must_use]
    pub fn to_integers(&self) -> Option<Vec<i64>> {
        match self {
            Self::U8(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
            Self::I8(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
            Self::I16(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
            Self::I32(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
            Self::I64(v) => Some(v.clone()),
            Self::F32(_) | Self::F64(_) => None,
        }
    }
}

/// Values with a shape, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    values: Values,
}

impl Array {
    /// Creates an array of `shape` from values in row-major order.
    ///
    /// # Errors
    /// [`DataError::Count`] if the number of values is not the product of the shape, or if the shape has no dimension or
    /// more than [`MAX_RANK`].
    pub fn new(shape: Vec<usize>, values: Values) -> Result<Self> {
        if shape.is_empty() || shape.len() > MAX_RANK {
            let what = format!("dimensions of an array (1 to {MAX_RANK})");
            return Err(DataError::Count { what, got: shape.len(), want: shape.len().clamp(1, MAX_RANK) });
        }
        let want = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
        if want != values.len() {
            let what = format!("values of an array of shape {shape:?}");
            return Err(DataError::Count { what, got: values.len(), want });
        }
        Ok(Self { shape, values })
    }

    /// Appends the rows of an array with the same row shape and element type.
    pub(crate) fn append(&mut self, other: Self) -> Result<(), String> {
        if self.shape.len() != other.shape.len() || self.shape[1..] != other.shape[1..] {
            return Err(format!("has shape {:?}, want rows like those of {:?}", other.shape, self.shape));
        }
        let (own, got) = (self.element(), other.element());
        if !self.values.append(other.values) {
            return Err(format!("holds {} values, want {}", got.name(), own.name()));
        }
        self.shape[0] += other.shape[0];
        Ok(())
    }

    /// Dimensions.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values in row-major order.
    #[must_use]
    pub const fn values(&self) -> &Values {
        &self.values
    }

    /// Element type of the values.
    #[must_use]
    pub const fn element(&self) -> ElementType {
        self.values.element()
    }
}
