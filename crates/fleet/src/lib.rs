//! Many trainings: plans, executors, states.

mod pool;

pub use pool::{Member, Pool, PoolContext};
