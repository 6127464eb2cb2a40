//! Messages of event files, restricted to the fields that are written or read here. Others are skipped when
//! reading.

use tinsmith_study::{Direction, Domain, Objective, ParamValue, Space};

/// A record of an event file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// Unix seconds.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// The training step.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// `brain.Event:2`, in the first record.
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    /// The values.
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Summary>,
}

/// Values of one step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Summary {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<SummaryValue>,
}

/// One value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SummaryValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// A scalar in the form of TensorFlow 1; read, not written.
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
    /// The value.
    #[prost(message, optional, tag = "8")]
    pub tensor: Option<TensorProto>,
    /// The plug-in that displays it.
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<SummaryMetadata>,
}

/// Display of a value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SummaryMetadata {
    /// The plug-in and its data.
    #[prost(message, optional, tag = "1")]
    pub plugin_data: Option<PluginData>,
    /// A name for people.
    #[prost(string, tag = "2")]
    pub display_name: String,
    /// Description.
    #[prost(string, tag = "3")]
    pub summary_description: String,
}

/// A plug-in's own data.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PluginData {
    /// `scalars`, `histograms`, `hparams`.
    #[prost(string, tag = "1")]
    pub plugin_name: String,
    /// For `hparams` an [`HparamsData`].
    #[prost(bytes = "vec", tag = "2")]
    pub content: Vec<u8>,
}

/// A tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorProto {
    /// 1: 32-bit floats, 2: 64-bit floats.
    #[prost(int32, tag = "1")]
    pub dtype: i32,
    /// Its shape.
    #[prost(message, optional, tag = "2")]
    pub tensor_shape: Option<TensorShape>,
    /// The elements as little-endian bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub tensor_content: Vec<u8>,
    /// The elements, where they are 32-bit floats and not in `tensor_content`.
    #[prost(float, repeated, tag = "5")]
    pub float_val: Vec<f32>,
}

/// A tensor's shape.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorShape {
    /// Its dimensions.
    #[prost(message, repeated, tag = "2")]
    pub dim: Vec<TensorDim>,
}

/// A dimension.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct TensorDim {
    /// Its length.
    #[prost(int64, tag = "1")]
    pub size: i64,
}

/// Data stored by the `HParams` plug-in.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HparamsData {
    /// Format version, 0.
    #[prost(int32, tag = "1")]
    pub version: i32,
    /// One of three.
    #[prost(oneof = "hparams_data::Data", tags = "2, 3, 4")]
    pub data: Option<hparams_data::Data>,
}

/// The choice within [`HparamsData`].
pub mod hparams_data {
    /// Content of an [`HparamsData`](super::HparamsData).
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Data {
        /// Experiment, in the log folder.
        #[prost(message, tag = "2")]
        Experiment(super::Experiment),
        /// Start of a session, first in its folder.
        #[prost(message, tag = "3")]
        SessionStartInfo(super::SessionStartInfo),
        /// End of a session, last in its folder.
        #[prost(message, tag = "4")]
        SessionEndInfo(super::SessionEndInfo),
    }
}

/// Hyper-parameters and metrics of a search.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Experiment {
    /// Description.
    #[prost(string, tag = "1")]
    pub description: String,
    /// Owner.
    #[prost(string, tag = "2")]
    pub user: String,
    /// Unix seconds.
    #[prost(double, tag = "3")]
    pub time_created_secs: f64,
    /// The hyper-parameters, in the order of the columns.
    #[prost(message, repeated, tag = "4")]
    pub hparam_infos: Vec<HparamInfo>,
    /// The metrics, in the order of the columns.
    #[prost(message, repeated, tag = "5")]
    pub metric_infos: Vec<MetricInfo>,
    /// Name.
    #[prost(string, tag = "6")]
    pub name: String,
}

/// A hyper-parameter.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HparamInfo {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A name for people.
    #[prost(string, tag = "2")]
    pub display_name: String,
    /// Description.
    #[prost(string, tag = "3")]
    pub description: String,
    /// 1 string, 2 bool, 3 number.
    #[prost(int32, tag = "4")]
    pub r#type: i32,
    /// Domain.
    #[prost(oneof = "hparam_info::Domain", tags = "5, 6")]
    pub domain: Option<hparam_info::Domain>,
}

/// The choice within [`HparamInfo`].
pub mod hparam_info {
    /// Domain of a hyper-parameter.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Domain {
        /// A list of values.
        #[prost(message, tag = "5")]
        Discrete(super::ListValue),
        /// An interval.
        #[prost(message, tag = "6")]
        Interval(super::Interval),
    }
}

/// An interval, both ends included.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Interval {
    /// The lower end.
    #[prost(double, tag = "1")]
    pub min_value: f64,
    /// The upper end.
    #[prost(double, tag = "2")]
    pub max_value: f64,
}

/// A metric.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MetricInfo {
    /// Location of its scalars.
    #[prost(message, optional, tag = "1")]
    pub name: Option<MetricName>,
    /// A name for people.
    #[prost(string, tag = "3")]
    pub display_name: String,
    /// Description.
    #[prost(string, tag = "4")]
    pub description: String,
    /// 1 training, 2 validation.
    #[prost(int32, tag = "5")]
    pub dataset_type: i32,
}

/// Location of a metric's scalars.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MetricName {
    /// Folder within the session's folder; empty for the session's folder itself.
    #[prost(string, tag = "1")]
    pub group: String,
    /// Tag of the scalars.
    #[prost(string, tag = "2")]
    pub tag: String,
}

/// Start of a session. The hyper-parameters are a map on the wire; a list keeps their order.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionStartInfo {
    /// The hyper-parameters.
    #[prost(message, repeated, tag = "1")]
    pub hparams: Vec<NamedValue>,
    /// Address of the model.
    #[prost(string, tag = "2")]
    pub model_uri: String,
    /// Address of a monitoring page.
    #[prost(string, tag = "3")]
    pub monitor_url: String,
    /// Group name; sessions of one group are repetitions of one configuration.
    #[prost(string, tag = "4")]
    pub group_name: String,
    /// Unix seconds.
    #[prost(double, tag = "5")]
    pub start_time_secs: f64,
}

/// An entry of a map.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NamedValue {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<Value>,
}

/// End of a session.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct SessionEndInfo {
    /// 1 success, 2 failure, 3 running.
    #[prost(int32, tag = "1")]
    pub status: i32,
    /// Unix seconds.
    #[prost(double, tag = "2")]
    pub end_time_secs: f64,
}

/// A value, `google.protobuf.Value`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// One of three.
    #[prost(oneof = "value::Kind", tags = "2, 3, 4")]
    pub kind: Option<value::Kind>,
}

/// The choice within [`Value`].
pub mod value {
    /// Content of a [`Value`](super::Value).
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// A number; integers too.
        #[prost(double, tag = "2")]
        Number(f64),
        /// A string.
        #[prost(string, tag = "3")]
        String(String),
        /// A boolean.
        #[prost(bool, tag = "4")]
        Bool(bool),
    }
}

/// A list of values.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListValue {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

impl From<&ParamValue> for Value {
    /// Converts null to the string `null`, because the plug-in has no null.
    fn from(value: &ParamValue) -> Self {
        let kind = match value {
            ParamValue::Bool(b) => value::Kind::Bool(*b),
            ParamValue::Int(i) => value::Kind::Number(*i as f64),
            ParamValue::Float(x) => value::Kind::Number(*x),
            ParamValue::Null | ParamValue::Str(_) => value::Kind::String(value.to_string()),
        };
        Self { kind: Some(kind) }
    }
}

/// A metric to display.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metric {
    /// Tag of the scalars.
    pub tag: String,
    /// Folder within the session's folder; empty for the session's folder itself.
    pub group: String,
    /// Description.
    pub description: String,
}

impl Experiment {
    /// Returns the columns of a search over `space`.
    #[must_use]
    pub fn new(name: &str, space: &Space, metrics: &[Metric]) -> Self {
        Self {
            name: name.to_owned(),
            hparam_infos: space.parameters().iter().map(|(name, domain)| hparam(name, domain)).collect(),
            metric_infos: metrics
                .iter()
                .map(|metric| MetricInfo {
                    name: Some(MetricName { group: metric.group.clone(), tag: metric.tag.clone() }),
                    description: metric.description.clone(),
                    ..MetricInfo::default()
                })
                .collect(),
            ..Self::default()
        }
    }
}

impl From<&Objective> for Metric {
    fn from(objective: &Objective) -> Self {
        let description = match objective.direction {
            Direction::Minimize => "less is better",
            Direction::Maximize => "more is better",
        };
        Self { tag: objective.name.clone(), group: String::new(), description: description.to_owned() }
    }
}

/// Describes a parameter. Numbers between two ends become an interval, choices a list; choices of mixed kinds
/// are shown as strings.
fn hparam(name: &str, domain: &Domain) -> HparamInfo {
    const STRING: i32 = 1;
    const BOOL: i32 = 2;
    const NUMBER: i32 = 3;
    let interval = |min_value, max_value| hparam_info::Domain::Interval(Interval { min_value, max_value });
    let (kind, domain) = match domain {
        Domain::Float(d) => (NUMBER, interval(d.low, d.high)),
        Domain::Int(d) => (NUMBER, interval(d.low as f64, d.high as f64)),
        Domain::Categorical(d) => {
            let all = |is: fn(&ParamValue) -> bool| d.choices.iter().all(is);
            let kind = if all(|c| c.as_bool().is_some()) {
                BOOL
            } else if all(|c| c.as_f64().is_some()) {
                NUMBER
            } else {
                STRING
            };
            let word = |c: &ParamValue| Value { kind: Some(value::Kind::String(c.to_string())) };
            let values = d.choices.iter().map(|c| if kind == STRING { word(c) } else { c.into() });
            (kind, hparam_info::Domain::Discrete(ListValue { values: values.collect() }))
        }
    };
    HparamInfo { name: name.to_owned(), r#type: kind, domain: Some(domain), ..HparamInfo::default() }
}
