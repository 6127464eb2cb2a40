//! Data of a project: data set, held-out fraction, and checksum.

use serde::{Deserialize, Serialize};
use tinsmith_data::Parts;
use tinsmith_foundation::Seed;

use crate::error::{FleetError, Result};

/// The data set of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// Name of a built-in data set, or an absolute path.
    pub name: String,
    /// SHA-256 over the training and test parts.
    pub checksum: String,
    /// Fraction of training rows held out for validation; the same rows for every run.
    pub validation: f64,
}

impl DataSource {
    /// Describes a data set in its present state. A path is made absolute because runs start in other
    /// folders.
    ///
    /// # Errors
    /// [`FleetError::Data`] if it cannot be loaded.
    pub fn of(name: &str, validation: f64) -> Result<Self> {
        let splits = tinsmith_data::load(name)?;
        let is_builtin = tinsmith_data::BUILTIN.contains(&name);
        let name = if is_builtin {
            name.to_owned()
        } else {
            let path = std::path::absolute(name).map_err(FleetError::read(name.as_ref()))?;
            path.display().to_string()
        };
        Ok(Self { name, checksum: splits.checksum(), validation })
    }

    /// Loads the data and splits them.
    ///
    /// # Errors
    /// [`FleetError::OtherData`] if the data have changed since the project was created, [`FleetError::Data`]
    /// if they cannot be loaded.
    pub fn load(&self, seed: Seed) -> Result<Parts> {
        let splits = tinsmith_data::load(&self.name)?;
        let found = splits.checksum();
        if found != self.checksum {
            return Err(FleetError::OtherData {
                name: self.name.clone(),
                found,
                wanted: self.checksum.clone(),
            });
        }
        Ok(splits.parts(self.validation, seed)?)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
