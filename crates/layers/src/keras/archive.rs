//! The `.keras` archive: `metadata.json`, `config.json`, `model.weights.h5`.

use std::io::{Cursor, Read, Write};

use tinsmith_foundation::ExpansionBudget;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::document::{self, Document};

/// Contents of a `.keras` archive.
pub(super) struct Archive {
    pub(super) config: String,
    pub(super) weights: Vec<u8>,
}

/// Reads the three members. Their sum may expand to what `budget` allows.
pub(super) fn read(bytes: &[u8], budget: &ExpansionBudget) -> Result<Archive, String> {
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("is not a zip archive: {e}"))?;
    let mut member = |name: &str| -> Result<Vec<u8>, String> {
        let wrong = |e: &dyn std::fmt::Display| format!("member `{name}`: {e}");
        let member = archive.by_name(name).map_err(|e| wrong(&e))?;
        let mut data = Vec::new();
        budget.reader(name, member).read_to_end(&mut data).map_err(|e| wrong(&e))?;
        Ok(data)
    };
    let text = |name: &str, data: Vec<u8>| {
        String::from_utf8(data).map_err(|_| format!("member `{name}` is not UTF-8"))
    };
    let config = text("config.json", member("config.json")?)?;
    let metadata = text("metadata.json", member("metadata.json")?)?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).map_err(|e| format!("member `metadata.json`: {e}"))?;
    let version = metadata.get("keras_version").and_then(serde_json::Value::as_str);
    let weights = member("model.weights.h5")?;
    Ok(Archive { config: document::with_version(&config, version)?, weights })
}

pub(super) fn write(document: &Document, weights: &[u8]) -> Result<Vec<u8>, String> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let metadata = format!("{{\"keras_version\": \"{}\"}}", document::VERSION);
    let members: [(&str, &[u8]); 3] = [
        ("metadata.json", metadata.as_bytes()),
        ("config.json", &document.json().into_bytes()),
        ("model.weights.h5", weights),
    ];
    for (name, data) in members {
        writer.start_file(name, options).map_err(|e| e.to_string())?;
        writer.write_all(data).map_err(|e| e.to_string())?;
    }
    Ok(writer.finish().map_err(|e| e.to_string())?.into_inner())
}
