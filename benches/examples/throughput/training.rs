//! Training and inference of one network.

use std::path::Path;
use std::sync::Barrier;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tinsmith_cost::{Cost, Target};
use tinsmith_foundation::{Rng, Seed};
use tinsmith_kernels::Threads;
use tinsmith_kernels::optimizer::{Adam, Terms, adam};
use tinsmith_kernels::softmax::{Targets, softmax_cross_entropy};
use tinsmith_layers::Mode;
use tinsmith_layers::plan::{Block, Plan, PlanOptions};
use tinsmith_network::ModelSpec;

use super::clock::{Clock, blocks, cached_multiply_adds, median};
use super::workload::Workload;

/// Rows gathered by a thread at a time.
const ROWS_AT_ONCE: usize = 64;

/// Multiplications that take as long as gathering one element of a row at a random address.
const ELEMENT: usize = 32;

/// Steps of a loss comparison.
const STEPS: usize = 200;

/// Trainings from perturbed rows, which show the effect of a difference in the last digit.
const PERTURBED: u64 = 6;

/// Resident rows and their labels.
struct Rows {
    samples: Vec<f32>,
    labels: Vec<u32>,
}

impl Rows {
    fn draw(workload: &Workload) -> Self {
        let size: usize = workload.shape.iter().product();
        let mut rng = Seed::new(0).rng();
        Self {
            samples: (0..workload.rows * size).map(|_| rng.normal() as f32).collect(),
            labels: (0..workload.rows).map(|_| rng.below(workload.classes as u64) as u32).collect(),
        }
    }
}

/// A network in training: its plan and its position in the rows.
struct Training<'a> {
    plan: Plan,
    rows: &'a Rows,
    workload: Workload,
    order: Vec<u32>,
    labels: Vec<u32>,
    rng: Option<Rng>,
    at: usize,
    steps: i32,
}

impl<'a> Training<'a> {
    /// Creates a training. `rng` shuffles the rows; without it they stay in order.
    fn new(plan: Plan, rows: &'a Rows, workload: Workload, rng: Option<Rng>) -> Self {
        let count = rows.labels.len() / workload.batch * workload.batch;
        let labels = vec![0; workload.batch];
        let mut plan = plan;
        plan.set_slots(2);
        let order = (0..count as u32).collect();
        Self { plan, rows, workload, order, labels, rng, at: usize::MAX, steps: 0 }
    }

    /// Runs one Adam step and returns the loss before it.
    fn step(&mut self, threads: usize) -> Result<f32> {
        let (batch, classes) = (self.workload.batch, self.workload.classes);
        if self.at + batch > self.order.len() || self.at == usize::MAX {
            self.at = 0;
            if let Some(rng) = &mut self.rng {
                rng.shuffle(&mut self.order);
            }
        }
        let chosen = &self.order[self.at..self.at + batch];
        self.at += batch;
        let input = self.plan.input_mut(0, batch)?;
        let size = input.len() / batch;
        let samples = &self.rows.samples;
        let gathering = Threads::new(threads).for_work(input.len() * ELEMENT);
        gathering.for_chunks(input, ROWS_AT_ONCE * size, |i, input| {
            let rows = input.chunks_exact_mut(size).zip(&chosen[i * ROWS_AT_ONCE..]);
            for (to, &row) in rows {
                to.copy_from_slice(&samples[row as usize * size..][..size]);
            }
        });
        for (label, &row) in self.labels.iter_mut().zip(chosen) {
            *label = self.rows.labels[row as usize];
        }
        self.steps += 1;
        self.plan.forward(batch, Mode::Train { seed: Seed::new(self.steps as u64) })?;
        let (logits, gradient) = self.plan.output_and_gradient(0);
        let targets = Targets::Classes(&self.labels);
        let loss = softmax_cross_entropy(gradient, logits, targets, 0.0, classes, threads);
        let (one, two) = (0.9_f64.powi(self.steps), 0.999_f64.powi(self.steps));
        let constants = Adam {
            rate: (1e-3 * (1.0 - two).sqrt() / (1.0 - one)) as f32,
            rest_1: 0.1,
            rest_2: 0.001,
            epsilon: 1e-7,
        };
        self.plan.backward_by_tiles(&|block| {
            let mut slots = block.slots.into_iter();
            let (m, v) = (slots.next().unwrap_or_default(), slots.next().unwrap_or_default());
            let (moments, threads) = ((m, v, &mut [][..]), block.threads.count());
            adam(block.values, block.gradient, moments, constants, &Terms::default(), threads);
        })?;
        Ok(loss)
    }
}

fn compile(spec: &ModelSpec, workload: &Workload, threads: usize, training: bool) -> Result<Plan> {
    let options = PlanOptions {
        rows: workload.batch,
        threads: Threads::new(threads),
        training,
        ..PlanOptions::default()
    };
    Ok(Plan::compile(spec, Seed::new(1), &options)?)
}

/// Returns the multiply-adds of a training step per sample: forward pass, weight gradients, and input gradients of all
/// layers but the first.
fn multiply_adds(spec: &ModelSpec) -> Result<u64> {
    let cost = Cost::of(spec, &Target::default())?;
    let macs: Vec<u64> = cost.layers.iter().map(|l| l.cost.macs).filter(|&m| m > 0).collect();
    Ok(macs.iter().sum::<u64>() * 3 - macs.first().copied().unwrap_or(0))
}

fn summary(
    workload: &Workload,
    quantized: bool,
    threads: usize,
    batch: usize,
    timed: &[(f64, f64)],
) -> Value {
    let rate = |seconds: f64| (batch as f64 / seconds).round();
    let wall = || timed.iter().map(|t| t.0);
    let cpu = || timed.iter().map(|t| t.1);
    let (slowest, fastest) = (wall().fold(0.0, f64::max), wall().fold(f64::INFINITY, f64::min));
    json!({
        "workload": workload.name,
        "framework": "tinsmith",
        "version": env!("CARGO_PKG_VERSION"),
        "threads": threads,
        "batch": workload.batch,
        "quantized": quantized,
        "samples_per_s": rate(median(wall())),
        "samples_per_s_min": rate(slowest),
        "samples_per_s_max": rate(fastest),
        "step_ms_median": median(wall()) * 1e3,
        "samples_per_cpu_s": rate(median(cpu())),
        "step_cpu_ms_median": median(cpu()) * 1e3,
        "cpu_share": cpu().sum::<f64>() / wall().sum::<f64>(),
    })
}

/// Measures training steps per second.
pub(crate) fn train(workload: &Workload, quantized: bool, threads: usize, jobs: usize) -> Result<Value> {
    let spec = workload.spec(quantized)?;
    let rows = Rows::draw(workload);
    let start = || -> Result<Training<'_>> {
        let plan = compile(&spec, workload, threads, true)?;
        Ok(Training::new(plan, &rows, *workload, Some(Seed::new(2).rng())))
    };
    let clock = Clock::start();
    let mut first = start()?;
    let ready = clock.read();
    first.step(threads)?;
    let stepped = clock.read();
    let params: usize = first.plan.blocks().iter().filter(|b| b.is_trainable()).map(Block::len).sum();
    let buffers = first.plan.buffer_bytes();
    let mut trainings = vec![first];
    for _ in 1..jobs {
        trainings.push(start()?);
    }
    let run = |trainings: &mut Vec<Training<'_>>, steps: usize| {
        if let [only] = trainings.as_mut_slice() {
            return (0..steps).try_for_each(|_| only.step(threads).map(drop));
        }
        let barrier = Barrier::new(trainings.len());
        std::thread::scope(|scope| {
            let workers: Vec<_> = trainings
                .iter_mut()
                .map(|training| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        (0..steps).try_for_each(|_| training.step(threads).map(drop))
                    })
                })
                .collect();
            workers
                .into_iter()
                .try_for_each(|w| w.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
        })
    };
    let mut outcome = Ok(());
    let (timed, steps) = blocks((threads * jobs) as f64, |n| {
        if outcome.is_ok() {
            outcome = run(&mut trainings, n);
        }
    });
    outcome?;
    let mut line = summary(workload, quantized, threads, workload.batch * jobs, &timed);
    let work = multiply_adds(&spec)? as f64 * (workload.batch * jobs) as f64;
    let cores = (threads * jobs) as f64;
    let peak = cached_multiply_adds();
    line["jobs"] = jobs.into();
    line["steps_per_block"] = steps.into();
    line["params"] = params.into();
    line["buffer_bytes"] = buffers.into();
    line["build_s"] = ready.0.into();
    line["build_to_first_step_s"] = stepped.0.into();
    line["gflops"] = (2e-9 * work / median(timed.iter().map(|t| t.0))).into();
    line["cached_gflops_of_a_core"] = (2e-9 * peak).into();
    line["share_of_cached"] = (work / median(timed.iter().map(|t| t.0)) / (peak * cores)).into();
    Ok(line)
}

/// Measures forward passes per second, without gradient buffers.
pub(crate) fn infer(workload: &Workload, quantized: bool, threads: usize) -> Result<Value> {
    let spec = workload.spec(quantized)?;
    let rows = Rows::draw(workload);
    let size: usize = workload.shape.iter().product();
    let mut plan = compile(&spec, workload, threads, false)?;
    let run = |plan: &mut Plan, count: usize, rows_each: usize| -> Result<()> {
        for _ in 0..count {
            plan.input_mut(0, rows_each)?.copy_from_slice(&rows.samples[..rows_each * size]);
            plan.forward(rows_each, Mode::Infer)?;
        }
        Ok(())
    };
    let mut outcome = Ok(());
    let mut timed = |rows_each: usize| {
        blocks(threads as f64, |n| {
            if outcome.is_ok() {
                outcome = run(&mut plan, n, rows_each);
            }
        })
        .0
    };
    let (batches, singles) = (timed(workload.batch), timed(1));
    outcome?;
    let mut line = summary(workload, quantized, threads, workload.batch, &batches);
    line["mode"] = "infer".into();
    line["buffer_bytes"] = plan.buffer_bytes().into();
    line["single_sample_us"] = (median(singles.iter().map(|t| t.0)) * 1e6).into();
    Ok(line)
}

/// Trains 200 steps from the rows, labels and initial weights in `file`, and returns the first loss, the loss after 20
/// steps and the mean of the last 20 losses. With quantizers it adds their ranges over trainings from rows perturbed in
/// the last digit: a weight rounded to another level diverges from there, so other frameworks must only match the range.
pub(crate) fn losses(workload: &Workload, quantized: bool, threads: usize, file: &Path) -> Result<Value> {
    let spec = workload.spec(quantized)?;
    let arrays = tinsmith_layers::npz::read(file)?;
    let values = |name: &str| -> Result<Vec<f32>> {
        let array = arrays.get(name).with_context(|| format!("{} has no array {name}", file.display()))?;
        Ok(array.flatten_all()?.to_vec1::<f32>()?)
    };
    let labels: Vec<u32> = values("y")?.into_iter().map(|y| y as u32).collect();
    let trained = |noise: Option<u64>| -> Result<[f32; 3]> {
        let mut rows = Rows { samples: values("x")?, labels: labels.clone() };
        if let Some(seed) = noise {
            let mut rng = Seed::new(seed).rng();
            rows.samples.iter_mut().for_each(|x| *x *= 1.0 + 1e-7 * rng.normal() as f32);
        }
        let mut plan = compile(&spec, workload, threads, true)?;
        // The file lists weights in the order of layer creation, like the blocks of a plan.
        let blocks: Vec<(String, Vec<usize>)> =
            plan.blocks().iter().map(|b| (b.name().to_owned(), b.dims().to_vec())).collect();
        for (i, (name, dims)) in blocks.iter().enumerate() {
            let key = format!("w{i:03}");
            let array = arrays.get(&key).with_context(|| format!("no array {key} for {name}"))?;
            ensure!(array.dims() == dims.as_slice(), "{key} has shape {:?}, {name} {dims:?}", array.dims());
            plan.set_block(name, &values(&key)?)?;
        }
        let mut training = Training::new(plan, &rows, *workload, None);
        let losses = (0..STEPS).map(|_| training.step(threads)).collect::<Result<Vec<f32>>>()?;
        Ok([losses[0], losses[20], losses[STEPS - 20..].iter().sum::<f32>() / 20.0])
    };
    let own = trained(None)?;
    let mut line = json!({
        "workload": workload.name,
        "quantized": quantized,
        "framework": "tinsmith",
        "steps": STEPS,
    });
    let others = (0..if quantized { PERTURBED } else { 0 }).map(|seed| trained(Some(seed)));
    let others = others.collect::<Result<Vec<_>>>()?;
    for (i, name) in ["first_loss", "loss_after_20", "final_loss"].into_iter().enumerate() {
        line[name] = own[i].into();
        let all = || others.iter().map(|losses| losses[i]).chain([own[i]]);
        line[format!("{name}_range")] =
            json!([all().fold(f32::INFINITY, f32::min), all().fold(0.0, f32::max)]);
    }
    Ok(line)
}
