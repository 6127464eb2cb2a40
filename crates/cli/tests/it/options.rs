//! Every option of every command has an effect, and every option that `--help` lists is in these tables.
//!
//! Each row runs the command twice on tiny data, once without and once with the option, and names the difference to look for.

mod fleets;
mod interplay;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use self::Difference::{Code, File, Special, Stdout};

/// Two dense layers for the built-in digits.
const NETWORK: &str = "layers:
  - {name: x, input: {shape: [8, 8, 1]}}
  - {name: f, flatten: {}}
  - {name: h, dense: {units: 12, activation: relu}}
  - {name: y, dense: {units: 10}}
";

/// The difference that an option makes.
enum Difference {
    /// Standard output differs.
    Stdout,
    /// Standard error differs.
    Stderr,
    /// This file differs, or exists with the option only.
    File(&'static str),
    /// The value at a JSON pointer in a YAML or JSON file differs.
    Value(&'static str, &'static str),
    /// The exit code with the option, and a part of the message.
    Code(i32, &'static str),
    /// A check of its own, given the folder of the inputs and the command's base arguments.
    Special(fn(&Inputs, &[&str])),
}

struct Row {
    /// The option and its values; `@name` stands for an input file.
    option: &'static [&'static str],
    difference: Difference,
}

const fn row(option: &'static [&'static str], difference: Difference) -> Row {
    Row { option, difference }
}

/// Rows for the options of a data set's targets and columns, for a command whose data are no table. That tables are read
/// with them is the matter of `tinsmith data`; here they must reach the reader.
const fn table_rows(targets: Row) -> [Row; 8] {
    const fn refused(option: &'static [&'static str]) -> Row {
        row(option, Code(2, "is no table"))
    }
    [
        targets,
        refused(&["--label", "a"]),
        refused(&["--ignore", "a"]),
        refused(&["--group", "a"]),
        refused(&["--delimiter", ";"]),
        refused(&["--decimal", ","]),
        refused(&["--header", "false"]),
        refused(&["--missing", "drop"]),
    ]
}

/// The rows of a command that needs classes.
const CLASS_TABLE_ROWS: [Row; 8] = table_rows(row(&["--targets", "values"], Code(2, "has no class labels")));

/// Input files of the tables, made once.
struct Inputs {
    dir: tempfile::TempDir,
}

impl Inputs {
    fn get() -> &'static Self {
        static INPUTS: OnceLock<Inputs> = OnceLock::new();
        INPUTS.get_or_init(Self::make)
    }

    fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("net.yaml", NETWORK);
        write("other.yaml", &NETWORK.replace("units: 12", "units: 7"));
        write("training.yaml", "{epochs: 1, batch_size: 16, optimizer: {rule: sgd}}");
        write("design.yaml", "{generate: {candidates: 5}}");
        write("corpus.yaml", "{duplicates: count, family: {dense_ub: 32}}");
        write("family.yaml", "{dense_ub: 32}");
        write(
            "set.yaml",
            "{structure: {layers: [{size: {lb: 8, ub: 64}}]}, design: {sobol: {points: 4, seed: 1}}}",
        );
        let rows: String = (0..60).map(|i| format!("{i}.5,{}.25,{}\n", i * 7 % 11, i % 2)).collect();
        write("table.csv", &format!("a,b,label\n{rows}"));
        // Another class column, a group, a column without meaning, and one that has numbers and a missing value.
        let row = |i: usize| {
            let gap = if i == 7 { "NA".to_owned() } else { format!("{},5", i % 5) };
            format!("{i},5;{},25;{};{};{gap};{}\n", i * 7 % 11, i % 3, i / 6, i % 2)
        };
        write("rich.csv", &format!("a;b;kind;who;gap;label\n{}", (0..60).map(row).collect::<String>()));
        write("rich.yaml", "{missing: drop}");
        write("rich-normalizer.yaml", "{shift: [1, 1, 1, 1, 1], scale: [2, 2, 2, 2, 2]}");
        let dense = |inputs: usize, outputs: usize| {
            let text = NETWORK.replace("[8, 8, 1]", &format!("[{inputs}]"));
            text.replace("  - {name: f, flatten: {}}\n", "")
                .replace("units: 10", &format!("units: {outputs}"))
        };
        write("small.yaml", &dense(2, 2));
        write("rich-net.yaml", &dense(5, 2));
        let inputs = Self { dir };
        let net = inputs.path("net.yaml");
        let trained = ["train", &net, "--epochs", "2", "--quiet", "--out", "run"];
        let output = start(inputs.dir.path(), &trained).output().unwrap();
        assert!(output.status.success(), "{}", crate::stderr(&output));
        let table =
            ["train", "@rich-net.yaml", "--data", "@rich.csv", "--epochs", "1", "--quiet", "--out", "rich"];
        let output = start(inputs.dir.path(), &inputs.filled(&table)).output().unwrap();
        assert!(output.status.success(), "{}", crate::stderr(&output));
        inputs.projects();
        inputs
    }

    /// Two projects with two runs that succeed and three that fail, whose learning rate makes them diverge.
    fn projects(&self) {
        let write = |name: &str, text: &str| std::fs::write(self.dir.path().join(name), text).unwrap();
        for (folder, units) in [("models", "12"), ("others", "6")] {
            for class in ["c", "d"] {
                std::fs::create_dir_all(self.dir.path().join(folder).join(class)).unwrap();
                write(&format!("{folder}/{class}/a.yaml"), &NETWORK.replace("12", units));
            }
        }
        write("failing.yaml", "{epochs: 1, optimizer: {rule: sgd, learning_rate: 1e30}}");
        write(
            "sweep.yaml",
            "{design: {grid: {levels: 2}}, space: {batch_size: {categorical: {choices: [16, 32]}}}}",
        );
        write("slurm.yaml", "{partition: short}");
        write("batch.sh.j2", "#!/bin/bash\n{{ command }}\n");
        for project in ["open", "ended"] {
            let generate =
                ["fleet", "generate", "--models", "c.a=2", "--epochs", "1", "--no-copy", "--output", project];
            let add = ["fleet", "add", "--to", project, "--models", "d.a=3", "--training", "failing.yaml"];
            for args in [&generate[..], &add] {
                let output = start(self.dir.path(), args).output().unwrap();
                assert!(output.status.success(), "{}", crate::stderr(&output));
            }
        }
        start(self.dir.path(), &["fleet", "run", "ended", "--quiet"]).output().unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// A new folder to run a command in, with copies of the projects that its arguments name.
    fn folder(&self, args: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let is_fleet = args[0] == "fleet";
        for project in ["open", "ended"].iter().filter(|name| is_fleet && args.contains(name)) {
            let copy = Command::new("cp").arg("-r").arg(self.path(project)).arg(dir.path()).status();
            assert!(copy.unwrap().success());
        }
        dir
    }

    /// Replaces `@name` by the path of that input.
    fn filled(&self, args: &[&str]) -> Vec<String> {
        args.iter()
            .map(|arg| arg.strip_prefix('@').map_or((*arg).to_owned(), |name| self.path(name)))
            .collect()
    }
}

fn start(dir: &Path, args: &[impl AsRef<str>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinsmith"));
    command.args(args.iter().map(AsRef::as_ref)).current_dir(dir).env_remove("TINSMITH_DATA");
    command.stdin(Stdio::null());
    command
}

/// Output and folder of a command that ran in a folder of its own.
struct Ran {
    dir: tempfile::TempDir,
    output: Output,
}

impl Ran {
    fn of(inputs: &Inputs, args: &[&str]) -> Self {
        let dir = inputs.folder(args);
        let output = start(dir.path(), &inputs.filled(args)).output().unwrap();
        Self { dir, output }
    }

    #[track_caller]
    fn ok(self) -> Self {
        assert!(self.output.status.success(), "{}", crate::stderr(&self.output));
        self
    }

    fn file(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.dir.path().join(name)).ok()
    }

    fn value(&self, name: &str, pointer: &str) -> Option<serde_json::Value> {
        let text = std::fs::read_to_string(self.path(name)).ok()?;
        let value: serde_json::Value = tinsmith_foundation::config::from_str(&text, name, |_, _| {}).unwrap();
        value.pointer(pointer).cloned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// The base arguments without the option's name and values, if they have it, and with `option`.
fn with<'a>(base: &[&'a str], option: &[&'a str]) -> Vec<&'a str> {
    let mut args = Vec::new();
    let mut skips = false;
    for arg in base {
        if arg.starts_with("--") {
            skips = *arg == option[0];
        }
        if !skips {
            args.push(*arg);
        }
    }
    args.extend(option);
    args
}

/// Long options that the help of a command lists.
fn listed(command: &[&str]) -> BTreeSet<String> {
    let args: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
    let help = crate::stdout(&start(Path::new("."), &args).output().unwrap());
    let options = help.lines().filter_map(|line| {
        let line = line.trim_start();
        let long = line
            .strip_prefix("--")
            .or_else(|| line.split_once(", --").filter(|(s, _)| s.len() == 2)?.1.into())?;
        let name: String = long.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        (line.starts_with('-') && !["help", "version"].contains(&name.as_str())).then(|| format!("--{name}"))
    });
    options.collect()
}

/// Runs the table of a command, and compares its options with those of `--help`.
#[track_caller]
fn check(command: &[&str], base: &[&str], rows: &[Row]) {
    check_all(command, base, &[rows]);
}

/// As [`check`], with the rows in several tables.
#[track_caller]
fn check_all(command: &[&str], base: &[&str], tables: &[&[Row]]) {
    let rows = || tables.iter().copied().flatten();
    let inputs = Inputs::get();
    let base: Vec<&str> = command.iter().chain(base).copied().collect();
    let named: BTreeSet<String> = rows().map(|row| row.option[0].to_owned()).collect();
    assert_eq!(listed(command), named, "the options of {command:?} and the rows of its table");
    let plain = Ran::of(inputs, &base).ok();
    for Row { option, difference } in rows() {
        if let Special(check) = difference {
            check(inputs, &base);
            continue;
        }
        let args = with(&base, option);
        let ran = Ran::of(inputs, &args);
        let said = format!("{args:?}: {}{}", crate::stdout(&ran.output), crate::stderr(&ran.output));
        match difference {
            Stdout => {
                assert!(ran.output.status.success(), "{said}");
                assert_ne!(ran.output.stdout, plain.output.stdout, "{said}");
            }
            Difference::Stderr => {
                assert!(ran.output.status.success(), "{said}");
                assert_ne!(ran.output.stderr, plain.output.stderr, "{said}");
            }
            File(name) => {
                assert!(ran.output.status.success(), "{said}");
                assert!(ran.file(name).is_some(), "{said}");
                assert!(ran.file(name) != plain.file(name), "{name} is the same: {said}");
            }
            Difference::Value(name, pointer) => {
                assert!(ran.output.status.success(), "{said}");
                let value = ran.value(name, pointer);
                assert!(value.is_some() && value != plain.value(name, pointer), "{value:?}: {said}");
            }
            Code(code, text) => {
                assert_eq!(ran.output.status.code(), Some(*code), "{said}");
                assert!(said.contains(text), "{said}");
            }
            Special(_) => {}
        }
    }
}

/// Start and end of the trials in a journal.
fn times(journal: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(journal).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let time = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap().to_owned();
    lines
        .filter(|line| line["op_code"] == 4)
        .map(|line| (time(&line, "datetime_start"), time(&line, "datetime_complete")))
        .collect()
}

/// With `--jobs 2` trials overlap in time, with `--jobs 1` they do not, and the output is the same.
fn jobs_overlap(inputs: &Inputs, base: &[&str], journal: &str) {
    let overlap = |jobs: &'static str| {
        let ran = Ran::of(inputs, &with(base, &["--jobs", jobs])).ok();
        let times = times(&ran.path(journal));
        assert!(times.len() > 1);
        (times.windows(2).any(|pair| pair[1].0 < pair[0].1), ran.output.stdout)
    };
    let ((one, expected), (two, found)) = (overlap("1"), overlap("2"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert!(!one && (two || cores < 2), "overlap with one job: {one}, with two: {two}");
    assert_eq!(expected, found);
}

/// The most threads that a process had while `is_enough` was not reached.
fn most_threads(mut command: Command, is_enough: impl Fn(usize) -> bool) -> usize {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let tasks = format!("/proc/{}/task", child.id());
    let (mut most, begun) = (0, Instant::now());
    while child.try_wait().unwrap().is_none() && !is_enough(most) && begun.elapsed() < Duration::from_secs(60)
    {
        most = most.max(std::fs::read_dir(&tasks).map_or(0, Iterator::count));
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    child.wait().unwrap();
    most
}

/// With more cores the process has more threads.
fn more_threads(inputs: &Inputs, base: &[&str], option: &str) {
    if !cfg!(target_os = "linux") {
        return;
    }
    let threads = |cores: &str, enough: usize| {
        let args = with(base, &[option, cores]);
        let dir = inputs.folder(&args);
        most_threads(start(dir.path(), &inputs.filled(&args)), |most| most >= enough)
    };
    let one = threads("1", usize::MAX);
    assert!(threads("4", one + 1) > one, "no more threads than {one}");
}

#[test]
fn design() {
    let base = [
        "--flash", "3KiB", "--ram", "1KiB", "--trials", "2", "--seeds", "1", "--epochs", "1", "--jobs", "1",
        "--quiet",
    ];
    const RESULT: &str = "design-digits8x8/result.json";
    check_all(
        &["design"],
        &base,
        &[
            &CLASS_TABLE_ROWS,
            &[
                row(&["--data", "@table.csv"], File("design-table.csv/result.json")),
                row(&["--flash", "6KiB"], File(RESULT)),
                row(&["--ram", "16B"], Code(3, "keeps the limits")),
                row(&["--macs", "9"], Code(3, "keeps the limits")),
                row(&["--target", "float32"], File(RESULT)),
                row(&["--trials", "3"], File(RESULT)),
                row(&["--time", "0.0000001"], Code(3, "ended without a usable network")),
                row(&["--seed", "1"], File(RESULT)),
                row(&["--seeds", "2"], File(RESULT)),
                row(&["--epochs", "2"], File(RESULT)),
                row(
                    &["--jobs"],
                    Special(|inputs, base| jobs_overlap(inputs, base, "design-digits8x8/search/journal.log")),
                ),
                row(&["--out", "elsewhere"], File("elsewhere/result.json")),
                row(&["--config", "@design.yaml"], File(RESULT)),
                row(
                    &["--resume"],
                    Special(|inputs, base| {
                        let ran = Ran::of(inputs, base).ok();
                        let again = start(ran.dir.path(), &["design", "--resume", "design-digits8x8"])
                            .output()
                            .unwrap();
                        assert_eq!(
                            crate::stdout(&again),
                            crate::stdout(&ran.output),
                            "{}",
                            crate::stderr(&again)
                        );
                        let both =
                            start(ran.dir.path(), &["design", "--resume", "design-digits8x8", "--seed", "1"]);
                        assert_eq!({ both }.output().unwrap().status.code(), Some(2));
                    }),
                ),
                row(&["--quiet"], Special(quiet_hides_progress)),
            ],
        ],
    );
}

/// Without `--quiet` there is progress on standard error, with it there is none.
fn quiet_hides_progress(inputs: &Inputs, base: &[&str]) {
    let loud: Vec<&str> = base.iter().copied().filter(|arg| *arg != "--quiet").collect();
    assert!(!Ran::of(inputs, &loud).ok().output.stderr.is_empty());
    assert!(Ran::of(inputs, base).ok().output.stderr.is_empty());
}

#[test]
fn search() {
    let base = ["--trials", "3", "--epochs", "1", "--flash", "4KiB", "--jobs", "1", "--quiet"];
    check_all(
        &["search"],
        &base,
        &[
            &CLASS_TABLE_ROWS,
            &[
                row(&["--flash", "16B"], Code(3, "keeps the limits")),
                row(&["--ram", "16B"], Code(3, "keeps the limits")),
                row(&["--macs", "9"], Code(3, "keeps the limits")),
                row(&["--target", "float32"], Stdout),
                row(&["--data", "@table.csv"], File("search/normalizer.yaml")),
                row(&["--validation", "0.4"], Stdout),
                row(&["--seed", "1"], Stdout),
                row(&["--epochs", "2"], Stdout),
                row(&["--batch-size", "64"], Stdout),
                row(&["--learning-rate", "0.02"], Stdout),
                row(&["--training", "@training.yaml"], Stdout),
                row(&["--trials", "2"], Stdout),
                row(&["--from", "@net.yaml", "@other.yaml"], Stdout),
                row(&["--jobs"], Special(|inputs, base| jobs_overlap(inputs, base, "search/journal.log"))),
                row(&["--out", "elsewhere"], File("elsewhere/work.json")),
                row(&["--quiet"], Special(quiet_hides_progress)),
            ],
        ],
    );
}

#[test]
fn quantize() {
    let base = ["@run/weights.safetensors", "--trials", "3", "--epochs", "1", "--jobs", "1", "--quiet"];
    check_all(
        &["quantize"],
        &base,
        &[
            &CLASS_TABLE_ROWS,
            &[
                row(&["--flash", "16B"], Code(3, "keeps the limits")),
                row(&["--ram", "16B"], Code(3, "keeps the limits")),
                row(&["--macs", "9"], Code(3, "keeps the limits")),
                row(&["--target", "float32"], Stdout),
                row(&["--data", "@table.csv"], Code(2, "shape")),
                row(&["--validation", "0.4"], Stdout),
                row(&["--seed", "1"], File("quantize/weights.safetensors")),
                row(&["--epochs", "2"], Stdout),
                row(&["--batch-size", "64"], File("quantize/weights.safetensors")),
                row(&["--learning-rate", "0.02"], Stdout),
                row(&["--training", "@training.yaml"], File("quantize/weights.safetensors")),
                row(&["--trials", "2"], Stdout),
                row(&["--bits", "3,5"], Stdout),
                row(&["--jobs"], Special(|inputs, base| jobs_overlap(inputs, base, "quantize/journal.log"))),
                row(&["--out", "elsewhere"], File("elsewhere/spec.yaml")),
                row(&["--quiet"], Special(quiet_hides_progress)),
            ],
        ],
    );
}

#[test]
fn prune() {
    const WEIGHTS: &str = "pruned/weights.safetensors";
    let base =
        ["@run/weights.safetensors", "--sparsity", "0.5,0.6", "--epochs", "1", "--jobs", "1", "--quiet"];
    check_all(
        &["prune"],
        &base,
        &[
            &CLASS_TABLE_ROWS,
            &[
                row(&["--sparsity", "0.8"], Stdout),
                row(&["--per-layer"], File(WEIGHTS)),
                row(&["--exclude", "y.kernel"], Stdout),
                row(&["--flash", "16B"], Code(3, "flash")),
                row(&["--ram", "16B"], Code(3, "ram")),
                row(&["--macs", "9"], Code(3, "macs")),
                row(&["--target", "float32"], Stdout),
                row(&["--data", "@table.csv"], Code(2, "shape")),
                row(&["--validation", "0.4"], Stdout),
                row(&["--seed", "1"], File(WEIGHTS)),
                row(&["--epochs", "2"], File(WEIGHTS)),
                row(&["--batch-size", "64"], File(WEIGHTS)),
                row(&["--learning-rate", "0.02"], File(WEIGHTS)),
                row(&["--training", "@training.yaml"], File(WEIGHTS)),
                row(&["--jobs"], Special(|inputs, base| jobs_overlap(inputs, base, "pruned/journal.log"))),
                row(&["--out", "elsewhere"], File("elsewhere/spec.yaml")),
                row(&["--quiet"], Special(quiet_hides_progress)),
            ],
        ],
    );
}

#[test]
fn train() {
    let base = ["@net.yaml", "--epochs", "1", "--threads", "1", "--quiet"];
    check_all(
        &["train"],
        &base,
        &[
            &table_rows(row(&["--targets", "values"], Code(2, "puts out"))),
            &[
                row(&["--target", "a,b"], Code(2, "is no table")),
                row(&["--data", "@table.csv"], Code(2, "shape")),
                row(&["--validation", "0.4"], Stdout),
                row(&["--seed", "1"], Stdout),
                row(&["--epochs", "2"], Stdout),
                row(&["--batch-size", "64"], Stdout),
                row(&["--learning-rate", "0.02"], Stdout),
                row(&["--training", "@training.yaml"], Stdout),
                row(
                    &["--threads"],
                    Special(|inputs, base| {
                        // Large batches, so that there is work for more than one thread.
                        let long = with(&with(base, &["--epochs", "30"]), &["--batch-size", "1024"]);
                        more_threads(inputs, &long, "--threads");
                    }),
                ),
                row(&["--start", "@run/weights.safetensors"], Stdout),
                row(&["--folds", "2"], Stdout),
                row(
                    &["--checkpoint-steps"],
                    Special(|inputs, base| {
                        let checkpoint = |steps: &str| {
                            let dir = tempfile::tempdir().unwrap();
                            let args =
                                with(&with(base, &["--epochs", "400"]), &["--checkpoint-steps", steps]);
                            let mut child = start(dir.path(), &inputs.filled(&args))
                                .stdout(Stdio::null())
                                .spawn()
                                .unwrap();
                            let (path, begun) =
                                (dir.path().join("run/checkpoint.safetensors"), Instant::now());
                            while !path.exists()
                                && begun.elapsed() < Duration::from_secs(3)
                                && child.try_wait().unwrap().is_none()
                            {
                                std::thread::sleep(Duration::from_millis(2));
                            }
                            let _ = child.kill();
                            child.wait().unwrap();
                            path.exists()
                        };
                        assert!(checkpoint("1") && !checkpoint("0"));
                    }),
                ),
                row(&["--out", "elsewhere"], File("elsewhere/result.json")),
                row(&["--quiet"], Special(quiet_hides_progress)),
            ],
        ],
    );
}

#[test]
fn generate() {
    const OUT: &str = "networks.jsonl";
    check(
        &["generate"],
        &["--count", "20", "--jobs", "1", "--quiet"],
        &[
            row(&["--out", "n.jsonl.gz"], File("n.jsonl.gz")),
            row(&["--count", "30"], File(OUT)),
            row(&["--files", "2"], File("networks-000.jsonl")),
            row(
                &["--jobs"],
                Special(|inputs, base| more_threads(inputs, &with(base, &["--count", "5000"]), "--jobs")),
            ),
            row(&["--format", "keras-batch", "--input", "8,8,1"], File(OUT)),
            row(&["--duplicates", "count"], File("networks.manifest.json")),
            row(&["--seed", "1"], File(OUT)),
            row(&["--config", "@corpus.yaml"], File(OUT)),
            row(
                &["--design", "@set.yaml"],
                Special(|inputs, _| {
                    let base = ["generate", "--design", "@set.yaml", "--quiet"];
                    let plain = Ran::of(inputs, &base).ok();
                    assert!(crate::stdout(&plain.output).contains("fill distance"));
                    let other = Ran::of(inputs, &with(&base, &["--target", "float32"])).ok();
                    assert!(plain.file(OUT) != other.file(OUT));
                    for option in ["--count", "--files", "--jobs", "--seed", "--macs", "--classes"] {
                        let refused = Ran::of(inputs, &with(&base, &[option, "2"]));
                        assert_eq!(refused.output.status.code(), Some(2), "{option}");
                    }
                }),
            ),
            row(&["--family", "@family.yaml"], File(OUT)),
            row(&["--input", "8,8,1"], File(OUT)),
            row(&["--classes", "3"], File(OUT)),
            row(&["--params", "20000"], File(OUT)),
            row(&["--macs", "1000000"], File(OUT)),
            row(&["--flash", "100KiB"], File(OUT)),
            row(&["--ram", "4KiB"], File(OUT)),
            row(&["--target", "float32"], File(OUT)),
            row(&["--quiet"], Special(quiet_hides_progress)),
        ],
    );
}

#[test]
fn show() {
    check(
        &["show"],
        &["@net.yaml"],
        &[
            row(&["--keras"], Code(2, "is no JSON")),
            row(&["--yaml"], Stdout),
            row(&["--flash", "16B"], Code(3, "does not keep the limits")),
            row(&["--ram", "16B"], Code(3, "does not keep the limits")),
            row(&["--macs", "9"], Code(3, "does not keep the limits")),
            row(&["--target", "float32"], Stdout),
        ],
    );
}

#[test]
fn evaluate_and_predict() {
    let base = ["@rich/weights.safetensors", "--data", "@rich.csv", "--part", "all"];
    let shared = |difference: fn() -> Difference| {
        vec![
            row(&["--data", "@table.csv"], Code(2, "takes samples of shape [5]")),
            row(
                &["--targets", "values"],
                Code(2, "puts out [2], the data set `rich` has values of shape [1]"),
            ),
            row(&["--label", "kind"], Code(2, "class `2`, the network was trained for 0, 1")),
            row(&["--target", "a,b"], Code(2, "`rich` has [4]")),
            row(&["--ignore", "a"], Code(2, "`rich` has [4]")),
            row(&["--group", "who"], Code(2, "`rich` has [4]")),
            row(&["--delimiter", "|"], Code(1, "rich.csv")),
            row(&["--decimal", "."], Code(1, "rich.csv")),
            row(&["--header", "false"], Code(1, "rich.csv")),
            row(&["--missing", "fill"], difference()),
            row(&["--normalizer", "@rich-normalizer.yaml"], difference()),
            row(&["--part", "test"], difference()),
        ]
    };
    check_all(
        &["evaluate"],
        &base,
        &[&shared(|| Stdout), &[row(&["--json", "figures.json"], File("figures.json"))]],
    );
    let predictions = || File("predictions.csv");
    check_all(
        &["predict"],
        &base,
        &[&shared(predictions), &[row(&["--out", "other.csv"], File("other.csv"))]],
    );
}

#[test]
fn data_and_schema() {
    check(
        &["data"],
        &["@rich.csv"],
        &[
            row(&["--contact-sheet", "sheet.svg"], File("sheet.svg")),
            row(&["--targets", "values"], Stdout),
            row(&["--label", "kind"], Stdout),
            row(&["--target", "a,b"], Stdout),
            row(&["--ignore", "a"], Stdout),
            row(&["--group", "who"], Stdout),
            row(&["--delimiter", "|"], Code(1, "rich.csv")),
            row(&["--decimal", "."], Code(1, "rich.csv")),
            row(&["--header", "false"], Code(1, "rich.csv")),
            row(&["--missing", "fill"], Stdout),
        ],
    );
    check(&["schema"], &["training"], &[]);
}
