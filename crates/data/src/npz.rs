//! The NPZ format of NumPy: a ZIP archive of [NPY](crate::npy) files, stored or deflated.
//!
//! All members of an archive together may expand to 64 times the size of the archive, or to 16 MiB
//! ([`ExpansionBudget`]); an archive that exceeds this is refused while it is read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Write};
use std::path::Path;

use tinsmith_foundation::{ExpansionBudget, files};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::array::Array;
use crate::error::{DataError, Result};
use crate::input::Input;
use crate::npy::{self, Decoded};

/// Reads the arrays of an archive by name (without `.npy`). Other members are ignored.
///
/// # Errors
/// [`DataError::Read`] if the file cannot be opened; [`DataError::Malformed`] if it is no archive, an array in it is
/// broken or no array of numbers, or the arrays exceed the bound. For an array, its name in brackets follows the path.
pub fn read(path: &Path) -> Result<BTreeMap<String, Array>> {
    let numbers = |(name, content): (String, Decoded)| {
        let origin = format!("{}[{name}]", path.display());
        Ok((name, content.into_numbers(Path::new(&origin))?))
    };
    read_any(path)?.into_iter().map(numbers).collect()
}

/// Reads arrays of numbers and of text.
pub(crate) fn read_any(path: &Path) -> Result<BTreeMap<String, Decoded>> {
    let file = File::open(path).map_err(DataError::read(path))?;
    let budget = ExpansionBudget::for_compressed(file.metadata().map_err(DataError::read(path))?.len());
    let broken = |e: zip::result::ZipError| DataError::malformed(path, format!("is no NPZ archive: {e}"));
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let mut arrays = BTreeMap::new();
    for number in 0..archive.len() {
        let member = archive.by_index(number).map_err(broken)?;
        let name = member.name().map_err(broken)?.into_owned();
        let Some(array) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        let origin = format!("{}[{array}]", path.display());
        let input = Input::Stream(Box::new(budget.reader(&name, member)));
        arrays.insert(array, npy::decode_input(input, Path::new(&origin))?);
    }
    Ok(arrays)
}

/// Writes an archive, deflated. It is whole or absent; equal arrays give equal bytes.
///
/// # Errors
/// [`DataError::Foundation`] if it cannot be made or written.
pub fn write(path: &Path, arrays: &BTreeMap<String, Array>) -> Result<()> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let failed = |e: zip::result::ZipError| DataError::write(path)(e.into());
    for (name, array) in arrays {
        writer.start_file(format!("{name}.npy"), options).map_err(failed)?;
        writer.write_all(&npy::encode(array)).map_err(DataError::write(path))?;
    }
    let bytes = writer.finish().map_err(failed)?.into_inner();
    Ok(files::write_atomic(path, &bytes)?)
}
