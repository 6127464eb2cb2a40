//! Stage 6: the winner as C sources, where its layers have a C form.

use tinsmith_deploy::{DeployError, ExportOptions, export_c};
use tinsmith_foundation::files;
use tinsmith_layers::load_model;

use crate::error::Result;
use crate::pipeline::Bench;

pub(crate) fn run(bench: &Bench<'_>) -> Result<()> {
    let model = load_model(&bench.folder.weights())?;
    let options = ExportOptions { name: "winner".to_owned(), ..ExportOptions::default() };
    match export_c(&model, &options) {
        Ok(sources) => {
            for (name, text) in &sources.files {
                files::write_atomic(&bench.folder.c_sources().join(name), text.as_bytes())?;
            }
        }
        Err(error @ DeployError::Unsupported { .. }) => bench.progress.note(format!("no C sources: {error}")),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
