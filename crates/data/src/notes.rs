//! Decisions made while a data set was read: the role of each column, the reading of the targets, warnings.

use serde::Serialize;

/// Record of the decisions behind a data set. It is carried by all views and does not count towards the checksum.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Notes {
    /// One entry per column of a table, in the order of the file; empty for arrays.
    pub columns: Vec<ColumnNote>,
    /// Choices that another reader might make differently, each with its reason and the option that overrides it.
    pub decisions: Vec<String>,
    /// Properties of the data that are probably mistakes.
    pub warnings: Vec<String>,
}

impl Notes {
    /// Formats the roles of the columns and the decisions as lines for a terminal; empty if there are none. Columns of the
    /// same role and reason share a line.
    #[must_use]
    pub fn to_text(&self) -> String {
        const MOST_NAMES: usize = 8;
        let mut lines: Vec<(ColumnRole, &str, Vec<&str>)> = Vec::new();
        for ColumnNote { name, role, reason } in &self.columns {
            match lines.iter_mut().find(|(r, why, _)| r == role && why == reason) {
                Some((_, _, names)) => names.push(name),
                None => lines.push((*role, reason, vec![name])),
            }
        }
        let mut text = String::new();
        for (role, reason, names) in lines {
            let more = names.len().saturating_sub(MOST_NAMES);
            let shown = names[..names.len() - more].join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            text += &format!("{:<10} {shown}{more}: {reason}\n", role.name());
        }
        for decision in &self.decisions {
            text += &format!("{:<10} {decision}\n", "decision");
        }
        text
    }
}

/// The role of one column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnNote {
    /// Name of the column.
    pub name: String,
    /// Its role.
    pub role: ColumnRole,
    /// Reason for the role.
    pub reason: String,
}

/// Use of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnRole {
    /// An input of the network.
    Feature,
    /// A class or a value to predict.
    Target,
    /// A group column; rows of equal value are never separated by a split.
    Group,
    /// Not used.
    Dropped,
}

impl ColumnRole {
    /// Name as in descriptions, for example `feature`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Feature => "feature",
            Self::Target => "target",
            Self::Group => "group",
            Self::Dropped => "dropped",
        }
    }
}
