//! The training loop, metrics, optimizers, runs and fleets of runs.
