//! Data of a project: data set, held-out fraction, and checksum.

use serde::{Deserialize, Serialize};
use tinsmith_data::{Parts, TableOptions};
use tinsmith_foundation::{Progress, Seed};

use crate::error::{FleetError, Result};

/// The data set of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// Name of a built-in data set, or an absolute path.
    pub name: String,
    /// Options for the targets and columns; absent if none is given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub table: TableOptions,
    /// SHA-256 over the training and test parts.
    pub checksum: String,
    /// Fraction of training rows held out for validation; the same rows for every run. 0 trains on all rows.
    pub validation: f64,
}

impl DataSource {
    /// Describes a data set in its present state, and reports probable mistakes in it. A path is made absolute because
    /// runs start in other folders.
    ///
    /// # Errors
    /// [`FleetError::Data`] if it cannot be loaded.
    pub fn of(name: &str, table: TableOptions, validation: f64, progress: &dyn Progress) -> Result<Self> {
        let splits = tinsmith_data::load_with(name, None, &table)?;
        for warning in splits.warnings() {
            progress.warn(format!("{name}: {warning}"));
        }
        let is_builtin = tinsmith_data::BUILTIN.contains(&name);
        let name = if is_builtin {
            name.to_owned()
        } else {
            let path = std::path::absolute(name).map_err(FleetError::read(name.as_ref()))?;
            path.display().to_string()
        };
        Ok(Self { name, table, checksum: splits.checksum(), validation })
    }

    /// Loads the data and splits them.
    ///
    /// # Errors
    /// [`FleetError::OtherData`] if the data have changed since the project was created, [`FleetError::Data`]
    /// if they cannot be loaded.
    pub fn load(&self, seed: Seed) -> Result<Parts> {
        let splits = tinsmith_data::load_with(&self.name, None, &self.table)?;
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

fn is_default(table: &TableOptions) -> bool {
    *table == TableOptions::default()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
