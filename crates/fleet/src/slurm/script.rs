//! Batch script, rendered from a template that the user can edit. Unknown names in a template are errors.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use crate::error::{FleetError, Result};
use crate::slurm::SlurmConfig;

/// Built-in template; a project has its own copy in `batch.sh.j2`.
///
/// `sbatch` keeps the script as submitted; program and plan are read from the project, where they do not
/// change. The program replaces the shell by `exec` and so receives the signals itself; USR2 is ignored until
/// the program listens for it.
pub const TEMPLATE: &str = "#!/bin/bash
#SBATCH --job-name={{ name }}
#SBATCH --open-mode=append
{%- if requeue %}
#SBATCH --requeue
{%- else %}
#SBATCH --no-requeue
{%- endif %}
{%- if signal_before_limit_s > 0 %}
#SBATCH --signal=B:USR2@{{ signal_before_limit_s }}
{%- endif %}
{%- if partition %}
#SBATCH --partition={{ partition }}
{%- endif %}
{%- if account %}
#SBATCH --account={{ account }}
{%- endif %}
{%- if qos %}
#SBATCH --qos={{ qos }}
{%- endif %}
{%- if constraint %}
#SBATCH --constraint={{ constraint }}
{%- endif %}
{%- if time_minutes > 0 %}
#SBATCH --time={{ time_minutes }}
{%- endif %}
{%- if memory_mib > 0 %}
#SBATCH --mem={{ memory_mib }}M
{%- endif %}
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={{ cpus_per_task }}
{%- if gpus > 0 %}
#SBATCH --gres=gpu:{{ gpus }}
{%- endif %}
{%- for line in extra %}
#SBATCH {{ line }}
{%- endfor %}
trap '' USR2
{%- for line in setup %}
{{ line }}
{%- endfor %}
exec {{ command }}
";

/// Names available to a template besides the settings of `slurm.yaml`.
#[derive(Debug, Serialize)]
struct Names<'a> {
    name: &'a str,
    command: &'a str,
    #[serde(flatten)]
    config: &'a SlurmConfig,
}

/// Renders `template` with the settings, the job's name, and the command of its last line.
///
/// # Errors
/// [`FleetError::Template`] if the template is malformed or uses an unknown name.
pub fn render(template: &str, config: &SlurmConfig, name: &str, command: &str) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let fault = |e: minijinja::Error| FleetError::Template { reason: e.to_string() };
    // If the signal is due before the job starts, Slurm sends it at once after every start. It is therefore
    // sent no earlier than halfway through the time limit.
    let half = config.time_minutes.saturating_mul(30);
    let signal = if half > 0 { config.signal_before_limit_s.min(half) } else { config.signal_before_limit_s };
    let config = &SlurmConfig { signal_before_limit_s: signal, ..config.clone() };
    let text = environment.render_str(template, Serde(Names { name, command, config })).map_err(fault)?;
    Ok(text.trim_end().to_owned() + "\n")
}

/// Quotes a word for the shell.
#[must_use]
pub fn quote(word: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '=' | ':' | ',' | '+');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_has_what_was_asked_for_and_nothing_else() {
        let config = SlurmConfig {
            partition: "short".to_owned(),
            time_minutes: 30,
            gpus: 1,
            setup: vec!["module load cuda".to_owned()],
            extra: vec!["--exclude=n7".to_owned()],
            ..SlurmConfig::default()
        };
        let script = render(TEMPLATE, &config, "fleet-1", "true 'a b'").unwrap();
        for line in [
            "#SBATCH --job-name=fleet-1",
            "#SBATCH --partition=short",
            "#SBATCH --time=30",
            "#SBATCH --gres=gpu:1",
            "#SBATCH --exclude=n7",
            "#SBATCH --signal=B:USR2@90",
            "#SBATCH --requeue",
            "module load cuda",
            "exec true 'a b'",
        ] {
            assert!(script.lines().any(|l| l == line), "{line} in\n{script}");
        }
        assert!(
            !script.contains("--mem") && !script.contains("--account") && script.ends_with('\n'),
            "{script}"
        );
    }

    #[test]
    fn a_short_job_is_told_in_its_middle() {
        let config = SlurmConfig { time_minutes: 1, ..SlurmConfig::default() };
        let script = render(TEMPLATE, &config, "n", "c").unwrap();
        assert!(script.contains("--signal=B:USR2@30\n"), "{script}");
    }

    #[test]
    fn unknown_names_are_errors() {
        let error = render("{{ partiton }}", &SlurmConfig::default(), "n", "c").unwrap_err().to_string();
        assert!(error.contains("undefined"), "{error}");
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quote("/a/b-1.2"), "/a/b-1.2");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quote(""), "''");
    }
}
