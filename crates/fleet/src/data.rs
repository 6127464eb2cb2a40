//! The data of a project: which set, which part is held out to decide by, and whether they are still the same.

use serde::{Deserialize, Serialize};
use tinsmith_data::Parts;
use tinsmith_foundation::Seed;

use crate::error::{FleetError, Result};

/// Which data a project trains on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// A built-in data set's name, or an absolute path.
    pub name: String,
    /// SHA-256 of the content of the training and the test part.
    pub checksum: String,
    /// Share of the training rows that is held out, the same rows for every run.
    pub validation: f64,
}

impl DataSource {
    /// The source of a data set as it is now. A path is made absolute: runs start elsewhere.
    ///
    /// # Errors
    /// [`FleetError::Data`] where it cannot be loaded.
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
    /// [`FleetError::OtherData`] where they are not what they were; [`FleetError::Data`] where they cannot be loaded.
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
