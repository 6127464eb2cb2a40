//! Identity of processes and machines, and detection of dead processes.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process on a machine. Start time and boot id make it unique, because process numbers are reused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    /// Host name, for people.
    pub(crate) host: String,
    /// Boot id and process namespace of the machine. Empty if the system does not tell.
    pub(crate) machine: String,
    /// Number of the process.
    pub(crate) number: u32,
    /// Start time, in clock ticks since boot.
    pub(crate) began: u64,
}

impl Process {
    /// This process.
    #[must_use]
    pub(crate) fn current() -> Self {
        let number = std::process::id();
        Self {
            host: word("/proc/sys/kernel/hostname"),
            machine: machine(),
            number,
            began: began(number).unwrap_or(0),
        }
    }

    /// Returns true if the process is known dead. False if it lives, and if this machine cannot tell.
    #[must_use]
    pub(crate) fn is_gone(&self) -> bool {
        !self.machine.is_empty() && self.machine == machine() && began(self.number) != Some(self.began)
    }
}

fn word(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn machine() -> String {
    let boot = word("/proc/sys/kernel/random/boot_id");
    let space = fs::read_link("/proc/self/ns/pid").map(|p| p.display().to_string()).unwrap_or_default();
    if boot.is_empty() { String::new() } else { format!("{boot} {space}") }
}

/// Returns the start time of a live process: field 22 of its status line. Field 2 is a name that may contain
/// blanks, so fields are counted from the last parenthesis. A zombie counts as dead.
fn began(number: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let after_name = status.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_living_and_the_dead() {
        let me = Process::current();
        assert!(!me.is_gone());
        assert!(Process { began: me.began + 1, ..me.clone() }.is_gone());
        assert!(!Process { machine: "another".to_owned(), number: 1, ..me }.is_gone());
    }
}
