//! Charts of a study.

use std::sync::Arc;

use tinsmith_study::{Direction, Trial, TrialState, pareto};

use crate::scale::Axis;
use crate::scatter::{Marks, Scatter, ScatterSeries};

/// Plots two scores of finished trials with their Pareto front. Feasible, complete trials are discs and make the front;
/// trials that were stopped early or exceed a limit are circles. `x` and `y` are names of scores with their axes; x is a
/// cost to be minimized, and `better_y` is the direction of y. Trials without both scores are omitted.
#[must_use]
pub fn pareto_scatter<C>(
    title: &str,
    trials: &[Arc<Trial<C>>],
    x: (&str, Axis),
    y: (&str, Axis),
    better_y: Direction,
) -> Scatter {
    let names = ["trials", "stopped early", "over a limit"];
    let mut groups = [Vec::new(), Vec::new(), Vec::new()];
    for trial in trials {
        let (Some(&cost), Some(&value)) = (trial.scores.get(x.0), trial.scores.get(y.0)) else { continue };
        let group = match trial.state {
            TrialState::Complete if trial.is_feasible() => 0,
            TrialState::Pruned if trial.is_feasible() => 1,
            TrialState::Failed => continue,
            _ => 2,
        };
        groups[group].push((cost, value));
    }
    let losses: Vec<Vec<f64>> = groups[0].iter().map(|p| vec![p.0, better_y.loss(p.1)]).collect();
    let first = pareto::fronts(&losses).into_iter().next().unwrap_or_default();
    let mut front: Vec<(f64, f64)> = first.into_iter().map(|i| groups[0][i]).collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    front.dedup();
    let series = names
        .into_iter()
        .zip(groups)
        .filter(|(_, points)| !points.is_empty())
        .map(|(name, points)| {
            let marks = if name == names[0] { Marks::Filled } else { Marks::Hollow };
            ScatterSeries { name: name.to_owned(), points, marks }
        })
        .collect();
    Scatter { title: title.to_owned(), x: x.1, y: y.1, series, front: Some(front), limit_x: None }
}
