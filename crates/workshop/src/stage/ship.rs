//! Stage 6: the winner as C sources, if its layers have a C form.

use tinsmith_deploy::{DeployError, ExportOptions, export_c};
use tinsmith_foundation::{Progress, files};
use tinsmith_trainer::run::load_model;

use crate::error::Result;
use crate::folder::DesignFolder;

pub(crate) fn run(folder: &DesignFolder, progress: &dyn Progress) -> Result<()> {
    let model = load_model(&folder.weights())?;
    let options = ExportOptions { name: "winner".to_owned(), ..ExportOptions::default() };
    match export_c(&model, &options) {
        Ok(sources) => {
            for (name, text) in &sources.files {
                files::write_atomic(&folder.c_sources().join(name), text.as_bytes())?;
            }
        }
        Err(error @ DeployError::Unsupported { .. }) => progress.note(format!("no C sources: {error}")),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
