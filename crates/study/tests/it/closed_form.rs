//! Evaluations that need no training.

use std::time::Duration;

use tinsmith_study::{
    Decision, Domain, Evaluate, EvaluateError, Outcome, Params, Report, Request, Result, Space,
};

/// A small space with a parameter of every kind.
pub(crate) fn mixed_space() -> Result<Space> {
    Space::new([
        ("act", Domain::categorical(["relu", "tanh", "elu"])),
        ("bits", Domain::int(1, 8)),
        ("rate", Domain::log_float(1e-4, 1.0)),
        ("width", Domain::float(-2.0, 2.0)),
    ])
}

/// A bowl over [`mixed_space`] with its minimum at act tanh, bits 5, rate 0.01, width 0.5.
pub(crate) fn bowl(params: &Params) -> f64 {
    let act = if params.str("act") == Some("tanh") { 0.0 } else { 1.0 };
    let bits = params.f64("bits").unwrap_or(0.0) - 5.0;
    let rate = (params.f64("rate").unwrap_or(1.0) / 0.01).ln();
    let width = params.f64("width").unwrap_or(0.0) - 0.5;
    act + 0.1 * bits * bits + 0.2 * rate * rate + width * width
}

/// Evaluates [`bowl`] in three steps, taking a random time that depends on the trial's seed; widths above 1.8
/// fail. `size` is the second objective.
pub(crate) struct Bowl {
    /// Longest time of an evaluation.
    pub(crate) longest: Duration,
}

impl Evaluate<Params> for Bowl {
    fn evaluate(
        &self,
        request: Request<'_, Params>,
        report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError> {
        let mut rng = request.seed.rng();
        std::thread::sleep(self.longest.mul_f64(rng.uniform()));
        let width = request.candidate.f64("width").unwrap_or(0.0);
        if width > 1.8 {
            return Err(EvaluateError::Failed { reason: format!("width {width} is too wide") });
        }
        let noise = 0.01 * rng.normal();
        let mut loss = f64::INFINITY;
        for step in 1..=3_u64 {
            loss = bowl(request.candidate) + noise + 1.0 / step as f64;
            let scores = [("loss".to_owned(), loss)].into();
            if report(Report { step, scores }) == Decision::Stop {
                break;
            }
        }
        let size = request.candidate.f64("bits").unwrap_or(0.0);
        Ok(Outcome { scores: [("loss".to_owned(), loss), ("size".to_owned(), size)].into(), artifact: None })
    }
}
