//! Journal records of a study: writing trials, and recovering them.
//!
//! A finished trial is one line: a complete trial (op 4), so one sync. Optuna numbers trials by the order of
//! lines, so the journal receives trials in the order of their numbers. A trial that finishes before a
//! smaller number goes into a second log beside the journal (`<journal>.ahead`) at once, and into the journal
//! when its turn comes. Thus no finished trial can be lost, and trial k is line k for any number of workers. Each
//! record also carries its number as a user attribute, so replaying detects lost and repeated lines.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tinsmith_foundation::clock;
use tinsmith_foundation::files::{self, LineLog};

use crate::config::{Direction, StudyConfig};
use crate::error::{Result, StudyError};
use crate::evaluate::{Artifact, Budget, Scores};
use crate::journal::{
    Journal, JournalState, JournalStudy, JournalTrial, MARK, NUMBER, internal_value, to_distribution,
};
use crate::parameter::Parameter;
use crate::trial::{Proposal, Trial, TrialState, TrialTimes};

/// Journal of one study, open for appending.
#[derive(Debug)]
pub(super) struct Recorder {
    path: PathBuf,
    log: LineLog,
    ahead: Option<LineLog>,
    study_id: u64,
    objectives: usize,
    worker: String,
}

/// Trials and state recovered from a journal.
#[derive(Debug)]
pub(super) struct Recovered<C> {
    /// Trials 0, 1, 2 … without gaps.
    pub(super) trials: Vec<Arc<Trial<C>>>,
    /// Finished trials beyond a gap.
    pub(super) ahead: BTreeMap<u64, Arc<Trial<C>>>,
    /// Time limit that ended the study, if any.
    pub(super) ended_by_limit_s: Option<f64>,
    /// The journal does not contain this study yet.
    is_new: bool,
}

/// A finished trial as the journal stores it: op 4 with all its fields, in the order in which Optuna writes
/// them.
#[derive(Debug, Serialize)]
struct ReadyTrial<'a> {
    op_code: u8,
    worker_id: &'a str,
    study_id: u64,
    datetime_start: &'a str,
    datetime_complete: &'a str,
    state: u8,
    value: Option<f64>,
    values: Option<&'a [f64]>,
    params: BTreeMap<&'a str, Value>,
    distributions: BTreeMap<&'a str, String>,
    user_attrs: BTreeMap<&'static str, Value>,
    system_attrs: BTreeMap<&'static str, Value>,
    intermediate_values: BTreeMap<String, f64>,
}

/// A line of the second log.
#[derive(Debug, Deserialize)]
struct Ahead {
    number: u64,
    record: Value,
}

impl Recorder {
    /// Opens the journal for appending: cuts off a torn line, and adds missing header lines. The caller holds
    /// the lock.
    pub(super) fn open<C: DeserializeOwned>(
        config: &StudyConfig,
        path: &Path,
    ) -> Result<(Self, Recovered<C>)> {
        let (mut log, lines) = LineLog::open(path)?;
        let worker = format!("tinsmith-{}-{}", std::process::id(), clock::now());
        let (mut recovered, study_id, header) = recover(config, &lines, &worker, path)?;
        log.append(&header)?;
        let objectives = config.objectives.len();
        let mut recorder = Self { path: path.to_owned(), log, ahead: None, study_id, objectives, worker };
        let beside = ahead_path(path);
        if beside.exists() {
            let (log, lines) = LineLog::open(&beside)?;
            recorder.ahead = Some(log);
            if recovered.is_new {
                // Left by a journal that was deleted since.
                recorder.tidy()?;
            } else {
                recovered.ahead = recover_ahead(config, &lines, recovered.trials.len() as u64, &beside)?;
            }
        }
        Ok((recorder, recovered))
    }

    /// Appends finished trials whose turn has come: one write, one sync.
    pub(super) fn append<C: Serialize>(&mut self, trials: &[(Arc<Trial<C>>, Vec<Parameter>)]) -> Result<()> {
        let lines = trials.iter().map(|(t, p)| self.line(t, p)).collect::<Result<Vec<String>>>()?;
        Ok(self.log.append(&lines)?)
    }

    /// Stores a finished trial whose turn has not come.
    pub(super) fn keep<C: Serialize>(&mut self, trial: &Trial<C>, parameters: &[Parameter]) -> Result<()> {
        let record = self.line(trial, parameters)?;
        let line = format!("{{\"number\":{},\"record\":{record}}}", trial.number);
        let log = match self.ahead.take() {
            Some(log) => log,
            None => LineLog::open(&ahead_path(&self.path))?.0,
        };
        Ok(self.ahead.insert(log).append(&[line])?)
    }

    /// Records that the time limit ended the study after `trials` trials.
    pub(super) fn note_limit(&mut self, limit_s: f64, trials: u64) -> Result<()> {
        let ended = json!({"ended": {"time_limit_s": limit_s, "trials": trials}});
        Ok(self.log.append(&[attribute(2, self.study_id, &self.worker, &ended)])?)
    }

    /// Removes the second log once the journal holds all its trials.
    pub(super) fn tidy(&mut self) -> Result<()> {
        if self.ahead.take().is_some() {
            let path = ahead_path(&self.path);
            std::fs::remove_file(&path).map_err(|source| StudyError::Access { path, source })?;
        }
        Ok(())
    }

    fn line<C: Serialize>(&self, trial: &Trial<C>, parameters: &[Parameter]) -> Result<String> {
        let fault = |e: serde_json::Error| candidate(trial.number, &e);
        // With several objectives, Optuna's samplers reject a pruned trial that has intermediate values.
        let is_multi = self.objectives > 1;
        let values = trial.values.as_deref();
        let single = values.filter(|v| v.len() == 1).map(|v| v[0]);
        let proposal = &trial.proposal;
        let text = serde_json::to_string(&proposal.candidate).map_err(fault)?;
        let mut user = BTreeMap::from([("candidate", Value::String(text))]);
        let scores = serde_json::to_value(&trial.scores).map_err(fault)?;
        let artifact = trial.artifact.as_ref().map(|artifact| relative(artifact, &self.path));
        let optional = [
            ("artifact", artifact.as_ref().map(serde_json::to_value).transpose().map_err(fault)?),
            ("budget", proposal.budget.map(serde_json::to_value).transpose().map_err(fault)?),
            ("failed", trial.reason.clone().filter(|_| trial.state == TrialState::Failed).map(Value::from)),
            ("inherit", proposal.inherit.map(Value::from)),
            (NUMBER, Some(Value::from(trial.number))),
            ("proposal", (!proposal.attributes.is_empty()).then(|| json!(proposal.attributes))),
            ("refused", trial.reason.clone().filter(|_| trial.state == TrialState::Refused).map(Value::from)),
            ("reports", (is_multi && !trial.reports.is_empty()).then(|| json!(trial.reports))),
            ("resume", proposal.resume.map(Value::from)),
            ("scores", (!trial.scores.is_empty()).then_some(scores)),
            ("elapsed_s", Some(json!(trial.times.elapsed_s))),
        ];
        user.extend(optional.into_iter().filter_map(|(key, value)| Some((key, value?))));
        let mut system = BTreeMap::new();
        if !trial.constraints.is_empty() {
            system.insert("constraints", json!(trial.constraints));
        }
        let stored = |p: &Parameter| internal_value(&p.domain, &p.value);
        let record = ReadyTrial {
            op_code: 4,
            worker_id: &self.worker,
            study_id: self.study_id,
            datetime_start: &trial.times.start,
            datetime_complete: &trial.times.complete,
            state: match trial.state {
                TrialState::Complete => JournalState::Complete,
                TrialState::Pruned | TrialState::Refused => JournalState::Pruned,
                TrialState::Failed => JournalState::Failed,
            } as u8,
            value: single,
            values: values.filter(|v| v.len() != 1),
            params: parameters.iter().filter_map(|p| Some((p.name.as_str(), stored(p)?))).collect(),
            distributions: (parameters.iter().filter(|p| stored(p).is_some()))
                .map(|p| (p.name.as_str(), to_distribution(&p.domain)))
                .collect(),
            user_attrs: user,
            system_attrs: system,
            intermediate_values: (trial.reports.iter().filter(|_| !is_multi))
                .map(|(k, &v)| (k.to_string(), v))
                .collect(),
        };
        serde_json::to_string(&record).map_err(fault)
    }
}

/// Reads a journal while another run writes to it; changes nothing.
pub(super) fn look<C: DeserializeOwned>(config: &StudyConfig, path: &Path) -> Result<Recovered<C>> {
    let text = files::read_text(path)?;
    let (recovered, _, _) = recover(config, &whole_lines(&text), "", path)?;
    Ok(recovered)
}

fn whole_lines(text: &str) -> Vec<String> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

/// Returns the trials without gaps, the study's id, and the missing header lines.
fn recover<C: DeserializeOwned>(
    config: &StudyConfig,
    lines: &[String],
    worker: &str,
    path: &Path,
) -> Result<(Recovered<C>, u64, Vec<String>)> {
    let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    let journal = Journal::parse(&text, path)?;
    let created = journal.study(&config.name);
    let study_id = created.map_or(journal.created, |s| s.id);
    let header = header(config, study_id, worker, created, path)?;
    let stored = created.map_or(&[][..], |s| &s.trials);
    let trials = stored
        .iter()
        .map(|t| restore(config, t, t.number, path).map(Arc::new))
        .collect::<Result<Vec<_>>>()?;
    let ended_by_limit_s = created
        .and_then(|s| s.user_attributes.get("ended"))
        .filter(|e| e.get("trials").and_then(Value::as_u64) == Some(trials.len() as u64))
        .and_then(|e| e.get("time_limit_s").and_then(Value::as_f64));
    let is_new = created.is_none();
    Ok((Recovered { trials, ahead: BTreeMap::new(), ended_by_limit_s, is_new }, study_id, header))
}

/// Returns the trials of the second log that the journal does not hold yet.
fn recover_ahead<C: DeserializeOwned>(
    config: &StudyConfig,
    lines: &[String],
    from: u64,
    path: &Path,
) -> Result<BTreeMap<u64, Arc<Trial<C>>>> {
    let mut trials = BTreeMap::new();
    for (i, line) in lines.iter().enumerate() {
        let fault = |reason: String| StudyError::Journal { path: path.to_owned(), line: i + 1, reason };
        let ahead: Ahead = serde_json::from_str(line).map_err(|e| fault(e.to_string()))?;
        if ahead.number < from {
            continue;
        }
        // Replayed as the only trial of a study of its own, whose id the record must then contain.
        let mut record = ahead.record;
        if let Some(id) = record.get_mut("study_id") {
            *id = 0.into();
        }
        let study = json!({"op_code": 0, "worker_id": "", "study_name": "", "directions": []});
        let journal = Journal::parse(&format!("{study}\n{record}\n"), path)?;
        let trial = journal.studies.first().and_then(|s| s.trials.first());
        let trial = trial.ok_or_else(|| fault("contains no trial".to_owned()))?;
        trials.insert(ahead.number, Arc::new(restore(config, trial, ahead.number, path)?));
    }
    Ok(trials)
}

/// Acquires the right to write to a journal, which is created if missing, until the file is dropped. Only
/// this crate's runs respect the lock.
pub(super) fn lock(path: &Path) -> Result<File> {
    let fault = |source| StudyError::Access { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    let file = File::options().append(true).create(true).open(path).map_err(fault)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StudyError::Busy { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(fault(source)),
    }
}

fn ahead_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".ahead");
    name.into()
}

fn candidate(trial: u64, error: &serde_json::Error) -> StudyError {
    StudyError::Candidate { trial, reason: error.to_string() }
}

fn attribute(op_code: u8, study_id: u64, worker: &str, value: &Value) -> String {
    let field = if op_code == 2 { "user_attr" } else { "system_attr" };
    json!({"op_code": op_code, "worker_id": worker, "study_id": study_id, field: value}).to_string()
}

/// Returns the lines that define the study, without those that exist already.
fn header(
    config: &StudyConfig,
    study_id: u64,
    worker: &str,
    created: Option<&JournalStudy>,
    path: &Path,
) -> Result<Vec<String>> {
    let directions: Vec<u8> = config
        .objectives
        .iter()
        .map(|o| match o.direction {
            Direction::Minimize => 1,
            Direction::Maximize => 2,
        })
        .collect();
    let names: Vec<&str> = config.objectives.iter().map(|o| o.name.as_str()).collect();
    let system = json!({"study:metric_names": names});
    let mut users = vec![json!({MARK: {"schema": 1, "seed": config.seed, "window": config.window}})];
    if !config.constraints.is_empty() {
        users.push(json!({"constraint_names": config.constraints}));
    }
    let foreign = |reason: String| StudyError::Foreign { path: path.to_owned(), reason };
    let mut lines = Vec::new();
    match created {
        Some(study) if study.directions != directions => {
            return Err(foreign(format!(
                "it has directions {:?}, want {directions:?} (1 minimize, 2 maximize)",
                study.directions
            )));
        }
        Some(_) => {}
        None => lines.push(
            json!({"op_code": 0, "worker_id": worker, "study_name": config.name, "directions": directions})
                .to_string(),
        ),
    }
    for (op_code, wanted) in std::iter::once((3, &system)).chain(users.iter().map(|u| (2, u))) {
        let stored = created.map(|s| if op_code == 3 { &s.system_attributes } else { &s.user_attributes });
        for (key, value) in wanted.as_object().into_iter().flatten() {
            match stored.and_then(|s| s.get(key)) {
                Some(found) if found != value => {
                    return Err(foreign(format!("its `{key}` is {found}, want {value}")));
                }
                Some(_) => {}
                None => lines.push(attribute(op_code, study_id, worker, wanted)),
            }
        }
    }
    Ok(lines)
}

/// The artifact as the journal stores it: relative to the journal's folder where it lies below it, so that a study whose
/// folder is moved, or that is resumed from another working directory, finds its artifacts.
fn relative(artifact: &Artifact, journal: &Path) -> Artifact {
    let folder = journal.parent().unwrap_or(Path::new(""));
    let path = artifact.path.strip_prefix(folder).unwrap_or(&artifact.path);
    Artifact { path: path.to_owned() }
}

/// The artifact that a journal's entry names. Journals of earlier versions hold paths relative to the working directory.
fn absolute(artifact: Artifact, journal: &Path) -> Artifact {
    let below = journal.parent().unwrap_or(Path::new("")).join(&artifact.path);
    if below.exists() || !artifact.path.exists() { Artifact { path: below } } else { artifact }
}

/// Restores the trial that a record was written from.
fn restore<C: DeserializeOwned>(
    config: &StudyConfig,
    stored: &JournalTrial,
    number: u64,
    path: &Path,
) -> Result<Trial<C>> {
    let foreign = |reason: String| StudyError::Foreign {
        path: path.to_owned(),
        reason: format!("trial {number}: {reason}"),
    };
    let user = &stored.user_attributes;
    let text = user.get("candidate").and_then(Value::as_str).ok_or_else(|| {
        foreign("has no user attribute `candidate`, so another program added it".to_owned())
    })?;
    let refused = user.get("refused").and_then(Value::as_str);
    let state = match stored.state {
        JournalState::Complete => TrialState::Complete,
        JournalState::Pruned if refused.is_some() => TrialState::Refused,
        JournalState::Pruned => TrialState::Pruned,
        JournalState::Failed => TrialState::Failed,
        JournalState::Running | JournalState::Waiting => {
            return Err(foreign("is not finished, so another program added it".to_owned()));
        }
    };
    let broken = |key: &str, e: serde_json::Error| foreign(format!("user attribute `{key}`: {e}"));
    let budget = user.get("budget").cloned().map(serde_json::from_value::<Budget>).transpose();
    let scores = user.get("scores").cloned().map(serde_json::from_value::<Scores>).transpose();
    let artifact = user.get("artifact").cloned().map(serde_json::from_value::<Artifact>).transpose();
    let attributes = user.get("proposal").cloned().map(serde_json::from_value).transpose();
    let reports = user.get("reports").cloned().map(serde_json::from_value::<BTreeMap<u64, f64>>).transpose();
    let mut reports = reports.map_err(|e| broken("reports", e))?.unwrap_or_default();
    reports.extend(stored.intermediate_values.iter().map(|(&k, &v)| (k.max(0) as u64, v)));
    if stored.values.as_ref().is_some_and(|v| v.len() != config.objectives.len()) {
        return Err(foreign(format!("does not have {} values", config.objectives.len())));
    }
    Ok(Trial {
        number,
        proposal: Arc::new(Proposal {
            candidate: serde_json::from_str(text).map_err(|e| broken("candidate", e))?,
            budget: budget.map_err(|e| broken("budget", e))?,
            resume: user.get("resume").and_then(Value::as_u64),
            inherit: user.get("inherit").and_then(Value::as_u64),
            attributes: attributes.map_err(|e| broken("proposal", e))?.unwrap_or_default(),
        }),
        state,
        values: stored.values.clone(),
        constraints: stored.constraints(),
        scores: scores.map_err(|e| broken("scores", e))?.unwrap_or_default(),
        reports,
        artifact: artifact.map_err(|e| broken("artifact", e))?.map(|artifact| absolute(artifact, path)),
        reason: refused.or_else(|| user.get("failed").and_then(Value::as_str)).map(str::to_owned),
        times: TrialTimes {
            start: stored.start.clone().unwrap_or_default(),
            complete: stored.complete.clone().unwrap_or_default(),
            elapsed_s: user.get("elapsed_s").and_then(Value::as_f64).unwrap_or(0.0),
        },
    })
}
