//! A cluster for tests, and projects on it.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fleet/tests/slurm");

/// Time after which a test gives up waiting.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);

/// A running cluster; stopped and deleted on drop.
pub(super) struct Cluster {
    folder: TempDir,
}

impl Cluster {
    /// Starts a cluster with these settings; `None` if Slurm is missing and cannot be installed.
    pub(super) fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("slurm-").tempdir().unwrap();
        let mut command = Command::new(format!("{SCRIPTS}/start-slurm"));
        command.arg(folder.path()).envs(settings.iter().copied()).stdin(Stdio::null());
        // Daemons that inherit our pipes would keep them open, so their output goes to a file.
        let log = std::fs::File::create(folder.path().join("start.log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let started = command.status().unwrap();
        if started.success() {
            return Some(Self { folder });
        }
        let said = std::fs::read_to_string(folder.path().join("start.log")).unwrap();
        let is_other = said.contains("another cluster with SLURM_TEST_CGROUP");
        let is_required = std::env::var_os("TINSMITH_REQUIRE_SLURM").is_some() && !is_other;
        assert!(!is_required, "Slurm does not start:\n{said}");
        println!("skipped: Slurm does not start here:\n{said}");
        None
    }

    /// Returns whether a cluster can limit the memory of jobs here. Two clusters would share one set of groups.
    pub(super) fn has_cgroups() -> bool {
        let root = Path::new("/sys/fs/cgroup");
        let is_writable = |name: &str| {
            let test = Command::new("test").arg("-w").arg(root.join(name)).status();
            test.is_ok_and(|s| s.success()) && !root.join(name).join("slurm_n1").exists()
        };
        let id = Command::new("id").arg("-u").output().unwrap();
        let found = id.stdout == b"0\n" && is_writable("freezer") && is_writable("memory");
        if !found {
            println!("skipped: jobs that run out of memory want root, and cgroups v1 that are free");
        }
        found
    }

    pub(super) fn conf(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    pub(super) fn call(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program).args(args).env("SLURM_CONF", self.conf()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// A folder of models and a project of `list` in it.
    pub(super) fn project(&self, list: &str, more: &[&str]) -> Site<'_> {
        let site =
            Site { cluster: self, folder: tempfile::tempdir().unwrap(), started: Cell::new(Instant::now()) };
        site.generate("project", list, more);
        site
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stop = Command::new(format!("{SCRIPTS}/stop-slurm"))
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !stop.is_ok_and(|s| s.success()) {
            println!("the cluster in {} did not stop", self.folder.path().display());
        }
    }
}

/// A project of a test.
pub(super) struct Site<'a> {
    pub(super) cluster: &'a Cluster,
    folder: TempDir,
    started: Cell<Instant>,
}

const MODELS: [(&str, &str); 3] = [
    ("flat/none", ""),
    ("classifier/small", "  - {name: h, dense: {units: 16, activation: relu}}\n"),
    // Weights, gradients and the optimizer's state are 24 MiB.
    ("classifier/large", "  - {name: h, dense: {units: 20000, activation: relu}}\n"),
];

/// Writes the models' specifications.
fn models(folder: &Path) {
    for (model, hidden) in MODELS {
        let path = folder.join("models").join(model).with_extension("yaml");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = format!(
            "layers:\n  - {{name: x, input: {{shape: [8, 8, 1]}}}}\n  - {{name: f, flatten: {{}}}}\n{hidden}  \
             - {{name: y, dense: {{units: 10}}}}\n"
        );
        std::fs::write(path, text).unwrap();
    }
}

impl Site<'_> {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn project(&self) -> PathBuf {
        self.path("project")
    }

    pub(super) fn generate(&self, name: &str, list: &str, more: &[&str]) {
        models(self.folder.path());
        let args = ["generate", "--models", list, "--output", name, "--no-copy", "--epochs", "1"];
        let args: Vec<&str> = args
            .into_iter()
            .filter(|a| !more.contains(&"--epochs") || !["--epochs", "1"].contains(a))
            .collect();
        self.ok(&[&args[..], more].concat());
    }

    pub(super) fn tinsmith(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tinsmith"))
            .arg("fleet")
            .args(args)
            .current_dir(self.folder.path())
            .env("SLURM_CONF", self.cluster.conf())
            .output()
            .unwrap()
    }

    #[track_caller]
    pub(super) fn ok(&self, args: &[&str]) -> String {
        let output = self.tinsmith(args);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// Writes the settings of the project; other work stays off the nodes that two scenarios break.
    pub(super) fn settings(&self, yaml: &str) {
        let text = if yaml.contains("extra") {
            yaml.to_owned()
        } else {
            format!("{yaml}\nextra: ['--exclude=n3,n4']\n")
        };
        std::fs::write(self.project().join("slurm.yaml"), text).unwrap();
    }

    /// Returns every run as `export` prints it.
    pub(super) fn runs(&self) -> Vec<Value> {
        self.ok(&["export", "project", "--format", "jsonl"])
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }

    /// Waits until `wanted` holds for the runs.
    #[track_caller]
    pub(super) fn until(&self, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        self.started.set(Instant::now());
        loop {
            let runs = self.runs();
            if wanted(&runs) {
                return runs;
            }
            if self.started.get().elapsed() > PATIENCE {
                let queue = self.cluster.call("squeue", &["-r", "-t", "all"]);
                let status = self.ok(&["status", "project", "--all"]);
                panic!("{what} did not come about:\n{status}\n{queue}\n{}", self.logs());
            }
            std::thread::sleep(Duration::from_millis(1500));
        }
    }

    /// Returns the output of all jobs.
    fn logs(&self) -> String {
        let entries = std::fs::read_dir(self.project().join("logs")).into_iter().flatten().flatten();
        let text = |path: PathBuf| {
            format!("{}:\n{}", path.display(), std::fs::read_to_string(&path).unwrap_or_default())
        };
        entries.map(|e| text(e.path())).collect()
    }

    /// Waits for a file of the project.
    #[track_caller]
    pub(super) fn until_file(&self, path: &str, wanted: impl Fn(&str) -> bool) {
        let begin = Instant::now();
        while !std::fs::read_to_string(self.project().join(path)).is_ok_and(|text| wanted(&text)) {
            if begin.elapsed() > PATIENCE {
                panic!(
                    "{path} is not as wanted:\n{}\n{}",
                    self.ok(&["status", "project", "--all"]),
                    self.logs()
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(super) fn json(&self, path: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.project().join(path)).unwrap()).unwrap()
    }

    /// Returns the checksums of the weights of all runs of a project.
    pub(super) fn weights(&self, project: &str, runs: u64) -> Vec<String> {
        let path = |i: u64| self.path(project).join(format!("runs/{:03}/{i:06}/result.json", i / 1000));
        let read = |path: PathBuf| {
            let result: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            let folder = result["weights"].as_str().unwrap();
            folder.to_owned()
        };
        (0..runs).map(path).map(read).collect()
    }

    /// Trains the same plan in this process, undisturbed, and returns the checksums of its weights.
    pub(super) fn twin(&self, list: &str, more: &[&str], runs: u64) -> Vec<String> {
        self.generate("twin", list, more);
        self.ok(&["run", "twin", "--quiet"]);
        self.weights("twin", runs)
    }
}

pub(super) fn state(run: &Value) -> &str {
    run["state"].as_str().unwrap()
}

pub(super) fn all_done(runs: &[Value]) -> bool {
    runs.iter().all(|r| state(r) == "done")
}

/// Returns the number of epochs of the small classifier that take about `seconds` on one core, so that scenarios do not depend
/// on the speed of the machine.
pub(super) fn epochs(seconds: f64) -> String {
    const PROBE: f64 = 500.0;
    static RATE: OnceLock<f64> = OnceLock::new();
    let rate = RATE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        models(folder.path());
        let tinsmith = |args: &[&str]| {
            let output = Command::new(env!("CARGO_BIN_EXE_tinsmith"))
                .args(args)
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let list = ["fleet", "generate", "--models", "classifier.small=3", "--output", "p", "--no-copy"];
        tinsmith(&[&list[..], &["--epochs", &PROBE.to_string()]].concat());
        tinsmith(&["fleet", "run", "p", "--jobs", "1", "--quiet"]);
        let seconds = |i: u64| {
            let text = std::fs::read_to_string(folder.path().join(format!("p/runs/000/{i:06}/result.json")));
            let result: Value = serde_json::from_str(&text.unwrap()).unwrap();
            result["seconds"].as_f64().unwrap()
        };
        // The fastest is the one that other work disturbed least.
        PROBE / (0..3).map(seconds).fold(f64::INFINITY, f64::min)
    });
    ((rate * seconds).ceil() as u64).to_string()
}

/// Kills a process at once; says whether there was one.
pub(super) fn kill(number: u64) -> bool {
    Command::new("kill")
        .args(["-9", &number.to_string()])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// The processes of attempts that are under way in a project.
pub(super) fn processes(project: &Path, runs: u64) -> Vec<u64> {
    let claim = |i: u64| {
        let folder = project.join(format!("runs/{:03}/{i:06}", i / 1000));
        if folder.join("result.json").exists() {
            return None;
        }
        let mut attempts: Vec<PathBuf> = std::fs::read_dir(folder)
            .ok()?
            .flatten()
            .map(|e| e.path().join("claim.json"))
            .filter(|p| p.is_file())
            .collect();
        attempts.sort();
        let claim: Value = serde_json::from_str(&std::fs::read_to_string(attempts.last()?).ok()?).ok()?;
        claim["process"]["number"].as_u64()
    };
    (0..runs).filter_map(claim).collect()
}
