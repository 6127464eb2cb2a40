//! Fleets on a real Slurm: a private cluster on this machine, started by the scripts of the fleet crate.
//!
//! If Slurm is missing and cannot be installed, the test prints that it is skipped; with `TINSMITH_REQUIRE_SLURM` set it
//! fails instead. Scenarios run side by side, because they mostly wait.

mod cluster;
mod scenarios;

use std::panic::AssertUnwindSafe;

use self::cluster::Cluster;

type Scenario = (&'static str, fn(&Cluster));

fn all(cluster: &Cluster, scenarios: &[Scenario]) -> Vec<String> {
    std::thread::scope(|threads| {
        let started: Vec<_> = scenarios
            .iter()
            .map(|(name, scenario)| {
                let run = move || {
                    let begin = std::time::Instant::now();
                    let end = std::panic::catch_unwind(AssertUnwindSafe(|| scenario(cluster)));
                    println!("{name}: {} s", begin.elapsed().as_secs());
                    end.err().map(|panic| {
                        let text = panic.downcast_ref::<String>().cloned();
                        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                        format!("{name}: {}", text.unwrap_or_default())
                    })
                };
                threads.spawn(run)
            })
            .collect();
        started.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn fleets_on_a_real_slurm() {
    let plain = [("SLURM_TEST_CPUS", "6"), ("SLURM_TEST_EXTRA", "MaxArraySize=11")];
    let Some(plain) = Cluster::start(&plain) else { return };
    let small = [("SLURM_TEST_NODES", "2"), ("SLURM_TEST_MIN_JOB_AGE", "2")];
    let accounts = [("SLURM_TEST_ACCT", "1"), ("SLURM_TEST_EXTRA", "AccountingStorageEnforce=limits")];
    let Some(accounts) = Cluster::start(&[&small[..], &accounts].concat()) else { return };
    let few_jobs = [&small[..], &[("SLURM_TEST_EXTRA", "MaxJobCount=8")]].concat();
    let Some(few_jobs) = Cluster::start(&few_jobs) else { return };
    let cgroups = Cluster::has_cgroups()
        .then(|| Cluster::start(&[("SLURM_TEST_CGROUP", "1"), ("SLURM_TEST_NODES", "2")]));
    // Measured before the scenarios share the cores.
    cluster::epochs(1.0);
    let mut faults = Vec::new();
    std::thread::scope(|threads| {
        let more = [
            threads.spawn(|| all(&accounts, scenarios::WITH_ACCOUNTS)),
            threads.spawn(|| all(&few_jobs, scenarios::WITH_FEW_JOBS)),
        ];
        let memory = cgroups.flatten().map(|c| threads.spawn(move || all(&c, scenarios::WITH_CGROUPS)));
        faults.extend(all(&plain, scenarios::PLAIN));
        faults.extend(more.into_iter().chain(memory).flat_map(|thread| thread.join().unwrap()));
    });
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
