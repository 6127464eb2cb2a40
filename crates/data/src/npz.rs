//! The NPZ format of NumPy: a ZIP archive of [NPY](crate::npy) files, stored or deflated.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Write};
use std::path::Path;

use tinsmith_foundation::files;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::array::Array;
use crate::error::{DataError, Result};
use crate::input::Input;
use crate::npy;

/// The arrays of an archive by name (without `.npy`); other members are ignored.
///
/// # Errors
/// [`DataError::Read`] where the file cannot be opened, [`DataError::Malformed`] where it is no archive or an array in
/// it is broken; then the path is followed by the array's name in brackets.
pub fn read(path: &Path) -> Result<BTreeMap<String, Array>> {
    let file = File::open(path).map_err(DataError::read(path))?;
    let broken = |e: zip::result::ZipError| DataError::malformed(path, format!("is no NPZ archive: {e}"));
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let mut arrays = BTreeMap::new();
    for number in 0..archive.len() {
        let member = archive.by_index(number).map_err(broken)?;
        let name = member.name().map_err(broken)?.into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        let origin = format!("{}[{name}]", path.display());
        let array = npy::decode_input(Input::Stream(Box::new(member)), Path::new(&origin))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

/// Writes an archive, deflated; it is whole or absent, and the same arrays give the same bytes.
///
/// # Errors
/// [`DataError::Foundation`] where it cannot be made or written.
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
