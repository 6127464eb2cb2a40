//! TensorBoard event files with the `HParams` plug-in: scalars, histograms, hyper-parameters.
//!
//! One folder holds the events of one run; TensorBoard names the run by the folder's path below the log
//! folder. The log folder itself contains the [`Experiment`]. Each session (a trial) starts its folder with
//! [`EventWriter::session_start`], writes its scalars, and ends with [`EventWriter::session_end`]. Metrics
//! with a group go into a folder of that name within the session's folder.
//!
//! Format: `TFRecord` framing with masked CRC-32C; messages as in `tensorflow/core/util/event.proto`,
//! `tensorboard/plugins/hparams/{plugin_data,api}.proto` and the summaries of TensorFlow 2, of TensorBoard
//! 2.21. Event files contain times and are therefore not reproducible.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use tinsmith_study::ParamValue;

use crate::error::{EventError, Result};
use crate::message::{
    Event, Experiment, HparamsData, NamedValue, PluginData, SessionEndInfo, SessionStartInfo, Summary,
    SummaryMetadata, SummaryValue, TensorDim, TensorProto, TensorShape, hparams_data,
};
use crate::record;

const DT_FLOAT: i32 = 1;
const DT_DOUBLE: i32 = 2;

/// Status of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStatus {
    /// Ended with a result.
    Success = 1,
    /// Ended without a result.
    Failure = 2,
    /// In progress.
    Running = 3,
}

/// Writes one event file.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventWriter {
    /// Creates a file in `folder`, which is created if missing, named `events.out.tfevents.<unix
    /// seconds>.tinsmith.<process>.<n>`.
    ///
    /// # Errors
    /// [`EventError::Access`] if the folder or the file cannot be created.
    pub fn create(folder: &Path) -> Result<Self> {
        static FILES: AtomicU64 = AtomicU64::new(0);
        let fault = |path: &Path| {
            let path = path.to_owned();
            |source| EventError::Access { path, source }
        };
        fs::create_dir_all(folder).map_err(fault(folder))?;
        let wall_time = now();
        let n = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("events.out.tfevents.{}.tinsmith.{}.{n}", wall_time as u64, std::process::id());
        let path = folder.join(name);
        let file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(fault(&path))?;
        let mut writer = Self { path, file: BufWriter::new(file) };
        let version = Some("brain.Event:2".to_owned());
        writer.write(&Event { wall_time, file_version: version, ..Event::default() })?;
        Ok(writer)
    }

    /// Resumes an existing file; a torn last record is cut off.
    ///
    /// # Errors
    /// [`EventError::Access`] if the file cannot be read or written, [`EventError::Damaged`] if a record
    /// before the end is damaged.
    pub fn append(path: &Path) -> Result<Self> {
        let fault = |source| EventError::Access { path: path.to_owned(), source };
        let bytes = fs::read(path).map_err(fault)?;
        let whole = record::whole(&bytes).map_err(|(offset, reason)| events(path, offset, reason))?;
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(fault)?;
        file.set_len(whole as u64).map_err(fault)?;
        drop(file);
        let file = OpenOptions::new().append(true).open(path).map_err(fault)?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Returns the file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes any event.
    ///
    /// # Errors
    /// [`EventError::Access`] if the system refuses.
    pub fn write(&mut self, event: &Event) -> Result<()> {
        let bytes = record::frame(&event.encode_to_vec());
        self.file.write_all(&bytes).map_err(|source| EventError::Access { path: self.path.clone(), source })
    }

    /// Writes a point of a curve. TensorBoard keeps it as a 32-bit float; `HParams` shows the last point of a
    /// tag.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn scalar(&mut self, tag: &str, step: i64, value: f64) -> Result<()> {
        let tensor = TensorProto {
            dtype: DT_FLOAT,
            tensor_shape: Some(TensorShape::default()),
            float_val: vec![value as f32],
            ..TensorProto::default()
        };
        self.summary(step, tag, "scalars", Vec::new(), tensor)
    }

    /// Writes the distribution of `values` in 30 buckets of equal width between their extremes. Non-finite
    /// values are omitted.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn histogram(&mut self, tag: &str, step: i64, values: &[f64]) -> Result<()> {
        let buckets = buckets(values);
        let dim = |size| TensorDim { size };
        let tensor = TensorProto {
            dtype: DT_DOUBLE,
            tensor_shape: Some(TensorShape { dim: vec![dim(buckets.len() as i64), dim(3)] }),
            tensor_content: buckets.iter().flatten().flat_map(|x| x.to_le_bytes()).collect(),
            ..TensorProto::default()
        };
        self.summary(step, tag, "histograms", Vec::new(), tensor)
    }

    /// Writes the hyper-parameters and metrics of an experiment; once, in the log folder.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn experiment(&mut self, experiment: Experiment) -> Result<()> {
        self.hparams("_hparams_/experiment", hparams_data::Data::Experiment(experiment))
    }

    /// Begins a session with its hyper-parameters. Sessions with the same `group` are repetitions of one
    /// configuration; an empty group is the session's own name.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn session_start<'a>(
        &mut self,
        hparams: impl IntoIterator<Item = (&'a str, &'a ParamValue)>,
        group: &str,
    ) -> Result<()> {
        let hparams = hparams
            .into_iter()
            .map(|(key, value)| NamedValue { key: key.to_owned(), value: Some(value.into()) });
        let info = SessionStartInfo {
            hparams: hparams.collect(),
            group_name: group.to_owned(),
            start_time_secs: now(),
            ..SessionStartInfo::default()
        };
        self.hparams("_hparams_/session_start_info", hparams_data::Data::SessionStartInfo(info))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn session_end(&mut self, status: SessionStatus) -> Result<()> {
        let info = SessionEndInfo { status: status as i32, end_time_secs: now() };
        self.hparams("_hparams_/session_end_info", hparams_data::Data::SessionEndInfo(info))
    }

    /// Passes everything written so far to the system. Dropping the writer does so too, but ignores errors.
    ///
    /// # Errors
    /// [`EventError::Access`] if the system refuses.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|source| EventError::Access { path: self.path.clone(), source })
    }

    fn hparams(&mut self, tag: &str, data: hparams_data::Data) -> Result<()> {
        let content = HparamsData { data: Some(data), ..HparamsData::default() }.encode_to_vec();
        let null = TensorProto {
            dtype: DT_FLOAT,
            tensor_shape: Some(TensorShape { dim: vec![TensorDim { size: 0 }] }),
            ..TensorProto::default()
        };
        self.summary(0, tag, "hparams", content, null)
    }

    fn summary(
        &mut self,
        step: i64,
        tag: &str,
        plugin: &str,
        content: Vec<u8>,
        tensor: TensorProto,
    ) -> Result<()> {
        let plugin_data = PluginData { plugin_name: plugin.to_owned(), content };
        let metadata = SummaryMetadata { plugin_data: Some(plugin_data), ..SummaryMetadata::default() };
        let value = SummaryValue {
            tag: tag.to_owned(),
            tensor: Some(tensor),
            metadata: Some(metadata),
            ..SummaryValue::default()
        };
        let summary = Some(Summary { value: vec![value] });
        self.write(&Event { wall_time: now(), step, summary, ..Event::default() })
    }
}

/// Reads all events of a file. A torn last record is not an error.
///
/// # Errors
/// [`EventError::Access`] if the file cannot be read, [`EventError::Damaged`] if a record is damaged or is not
/// an event.
pub fn read_events(path: &Path) -> Result<Vec<Event>> {
    let bytes = fs::read(path).map_err(|source| EventError::Access { path: path.to_owned(), source })?;
    let mut list = Vec::new();
    let mut offset = 0;
    while let Some(data) = record::next(&bytes[offset..]).map_err(|reason| events(path, offset, reason))? {
        list.push(Event::decode(data).map_err(|e| events(path, offset, e.to_string()))?);
        offset += record::FRAME + data.len();
    }
    Ok(list)
}

fn events(path: &Path, offset: usize, reason: String) -> EventError {
    EventError::Damaged { path: path.to_owned(), offset: offset as u64, reason }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Returns left edge, right edge and count of each bucket: one bucket of width 1 if all values are equal,
/// none if there are no values (TensorFlow's `summary.histogram`).
fn buckets(values: &[f64]) -> Vec<[f64; 3]> {
    const COUNT: usize = 30;
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let low = finite.iter().copied().fold(f64::INFINITY, f64::min);
    let high = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if finite.is_empty() {
        return Vec::new();
    }
    let width = (high - low) / COUNT as f64;
    if width <= 0.0 || !width.is_finite() {
        return vec![[low - 0.5, high + 0.5, finite.len() as f64]];
    }
    let mut counts = [0.0; COUNT];
    for value in finite {
        counts[(((value - low) / width) as usize).min(COUNT - 1)] += 1.0;
    }
    let edge = |i: usize| if i == COUNT { high } else { low + i as f64 * width };
    counts.iter().enumerate().map(|(i, &count)| [edge(i), edge(i + 1), count]).collect()
}
