//! Replay of a journal: the effect of each record on studies and trials.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::distribution::{external_value, from_distribution, is_compatible};
use super::{Journal, JournalState, JournalStudy, JournalTrial, MARK, NUMBER, number, quote_literals};
use crate::parameter::{Domain, ParamValue};

type Fault<T> = Result<T, String>;

/// One line. The fields of a record depend on its code; readers ignore all others.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record {
    op_code: Option<i64>,
    study_name: Option<String>,
    directions: Option<Vec<u8>>,
    study_id: Option<u64>,
    trial_id: Option<u64>,
    user_attr: Option<Map<String, Value>>,
    system_attr: Option<Map<String, Value>>,
    datetime_start: Option<String>,
    datetime_complete: Option<String>,
    state: Option<i64>,
    value: Option<Value>,
    values: Option<Vec<Value>>,
    params: Option<Map<String, Value>>,
    distributions: Option<Map<String, Value>>,
    user_attrs: Option<Map<String, Value>>,
    system_attrs: Option<Map<String, Value>>,
    intermediate_values: Option<Map<String, Value>>,
    param_name: Option<String>,
    param_value_internal: Option<Value>,
    distribution: Option<String>,
    step: Option<i64>,
    intermediate_value: Option<Value>,
}

#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Studies by id; `None` once deleted.
    studies: Vec<Option<JournalStudy>>,
    /// Study id and number of each trial, by trial id.
    trials: Vec<(u64, u64)>,
    /// Domain of a name in a study, from the first trial that used it.
    domains: BTreeMap<(u64, String), Domain>,
}

impl Replay {
    pub(super) fn finish(self) -> Journal {
        Journal { created: self.studies.len() as u64, studies: self.studies.into_iter().flatten().collect() }
    }

    pub(super) fn apply(&mut self, line: &str) -> Fault<()> {
        let record: Record =
            serde_json::from_str(&quote_literals(line)).map_err(|e| format!("is not a record: {e}"))?;
        match want(record.op_code, "op_code")? {
            0 => self.create_study(record),
            1 => {
                let id = want(record.study_id, "study_id")?;
                if let Some(study) = usize::try_from(id).ok().and_then(|i| self.studies.get_mut(i)) {
                    *study = None;
                }
                Ok(())
            }
            2 => {
                let attributes = want(record.user_attr, "user_attr")?;
                self.with_study(record.study_id, |study| study.user_attributes.extend(attributes))
            }
            3 => {
                let attributes = want(record.system_attr, "system_attr")?;
                self.with_study(record.study_id, |study| study.system_attributes.extend(attributes))
            }
            4 => self.create_trial(record),
            5 => self.set_param(record),
            6 => self.set_state(record),
            7 => {
                let step = want(record.step, "step")?;
                let value = want(record.intermediate_value.as_ref().and_then(number), "intermediate_value")?;
                self.with_trial(record.trial_id, |trial| {
                    trial.intermediate_values.insert(step, value);
                })
            }
            8 => {
                let attributes = want(record.user_attr, "user_attr")?;
                self.with_trial(record.trial_id, |trial| trial.user_attributes.extend(attributes))
            }
            9 => {
                let attributes = want(record.system_attr, "system_attr")?;
                self.with_trial(record.trial_id, |trial| trial.system_attributes.extend(attributes))
            }
            // Rustuna's own code, which Optuna 5 skips.
            10 => Ok(()),
            code => Err(format!("op_code {code} is unknown, want 0 to 10")),
        }
    }

    fn create_study(&mut self, record: Record) -> Fault<()> {
        let name = want(record.study_name, "study_name")?;
        let directions = want(record.directions, "directions")?;
        if self.studies.iter().flatten().any(|s| s.name == name) {
            return Ok(());
        }
        self.studies.push(Some(JournalStudy {
            id: self.studies.len() as u64,
            name,
            directions,
            user_attributes: BTreeMap::new(),
            system_attributes: BTreeMap::new(),
            trials: Vec::new(),
        }));
        Ok(())
    }

    fn with_study(&mut self, id: Option<u64>, change: impl FnOnce(&mut JournalStudy)) -> Fault<()> {
        let id = want(id, "study_id")?;
        if let Some(study) =
            usize::try_from(id).ok().and_then(|i| self.studies.get_mut(i)).and_then(Option::as_mut)
        {
            change(study);
        }
        Ok(())
    }

    /// Changes a trial that exists and is unfinished. Others are skipped, as Optuna's readers do.
    fn with_trial(&mut self, id: Option<u64>, change: impl FnOnce(&mut JournalTrial)) -> Fault<()> {
        let id = want(id, "trial_id")?;
        let Some(&(study, number)) = usize::try_from(id).ok().and_then(|i| self.trials.get(i)) else {
            return Ok(());
        };
        self.with_study(Some(study), |study| {
            if let Some(trial) = study.trials.get_mut(number as usize).filter(|t| !t.state.is_finished()) {
                change(trial);
            }
        })
    }

    fn create_trial(&mut self, record: Record) -> Fault<()> {
        let study_id = want(record.study_id, "study_id")?;
        let id = self.trials.len() as u64;
        let Some(study) =
            usize::try_from(study_id).ok().and_then(|i| self.studies.get_mut(i)).and_then(Option::as_mut)
        else {
            return Ok(());
        };
        let due = study.trials.len() as u64;
        if study.user_attributes.contains_key(MARK) {
            check_number(record.user_attrs.as_ref().and_then(|a| a.get(NUMBER)), due)?;
        }
        let mut trial = JournalTrial {
            id,
            number: due,
            state: record.state.map_or(Ok(JournalState::Running), state)?,
            values: None,
            params: crate::Params::default(),
            domains: BTreeMap::new(),
            intermediate_values: BTreeMap::new(),
            user_attributes: record.user_attrs.unwrap_or_default().into_iter().collect(),
            system_attributes: record.system_attrs.unwrap_or_default().into_iter().collect(),
            start: record.datetime_start,
            complete: record.datetime_complete,
        };
        trial.values = match (record.values, record.value) {
            (Some(values), _) => Some(numbers(&values)?),
            (None, Some(value)) if !value.is_null() => Some(numbers(&[value])?),
            _ => None,
        };
        let distributions = record.distributions.unwrap_or_default();
        for (name, internal) in record.params.unwrap_or_default() {
            let text = distributions.get(&name).and_then(Value::as_str);
            let domain = from_distribution(want(text, &format!("distributions[{name}]"))?)?;
            trial.params.0.insert(name.clone(), external_value(&domain, &internal)?);
            self.domains.entry((study_id, name.clone())).or_insert_with(|| domain.clone());
            trial.domains.insert(name, domain);
        }
        for (step, value) in record.intermediate_values.unwrap_or_default() {
            let step = step.parse().map_err(|_| format!("step `{step}` is not an integer"))?;
            trial.intermediate_values.insert(step, want(number(&value), "intermediate_values")?);
        }
        self.trials.push((study_id, trial.number));
        study.trials.push(trial);
        Ok(())
    }

    fn set_param(&mut self, record: Record) -> Fault<()> {
        let name = want(record.param_name, "param_name")?;
        let domain = from_distribution(&want(record.distribution, "distribution")?)?;
        let value: ParamValue =
            external_value(&domain, &want(record.param_value_internal, "param_value_internal")?)?;
        let id = want(record.trial_id, "trial_id")?;
        let Some(&(study, _)) = usize::try_from(id).ok().and_then(|i| self.trials.get(i)) else {
            return Ok(());
        };
        let known = self.domains.entry((study, name.clone())).or_insert_with(|| domain.clone());
        if !is_compatible(known, &domain) {
            return Ok(());
        }
        self.with_trial(Some(id), |trial| {
            trial.params.0.insert(name.clone(), value);
            trial.domains.insert(name, domain);
        })
    }

    fn set_state(&mut self, record: Record) -> Fault<()> {
        let next = state(want(record.state, "state")?)?;
        let values = record.values.as_deref().map(numbers).transpose()?;
        self.with_trial(record.trial_id, |trial| {
            if next == JournalState::Running && trial.state == JournalState::Running {
                return;
            }
            trial.state = next;
            if values.is_some() {
                trial.values = values;
            }
            if next == JournalState::Running {
                trial.start = record.datetime_start;
            } else if next.is_finished() {
                trial.complete = record.datetime_complete;
            }
        })
    }
}

/// Refuses a trial whose recorded number is not its position. Journals from before numbers were recorded have none.
fn check_number(recorded: Option<&Value>, due: u64) -> Fault<()> {
    match recorded.map(|n| n.as_u64().ok_or(n)) {
        None => Ok(()),
        Some(Ok(found)) if found == due => Ok(()),
        Some(Ok(found)) if found < due => Err(format!(
            "is trial {found} again; this line repeats an earlier one, delete it if both are equal"
        )),
        Some(Ok(found)) => Err(format!(
            "is trial {found}, want trial {due}; the lines between them are lost, restore them from a copy"
        )),
        Some(Err(found)) => Err(format!("has trial number {found}, want {due}")),
    }
}

fn want<T>(field: Option<T>, name: &str) -> Fault<T> {
    field.ok_or_else(|| format!("has no usable `{name}`"))
}

fn numbers(values: &[Value]) -> Fault<Vec<f64>> {
    values.iter().map(|v| number(v).ok_or_else(|| format!("value {v} is not a number"))).collect()
}

fn state(code: i64) -> Fault<JournalState> {
    Ok(match code {
        0 => JournalState::Running,
        1 => JournalState::Complete,
        2 => JournalState::Pruned,
        3 => JournalState::Failed,
        4 => JournalState::Waiting,
        _ => return Err(format!("state {code} is unknown, want 0 to 4")),
    })
}
