//! The report of a finished design.

use tinsmith_cost::Cost;
use tinsmith_foundation::config;
use tinsmith_network::ModelSpec;
use tinsmith_report::{
    Axis, Bars, Heatmap, LineSeries, Lines, Marks, NetworkDrawing, Page, Scatter, ScatterSeries, Table, Unit,
    number,
};
use tinsmith_study::{Trial, pareto};
use tinsmith_trainer::{Epoch, Run};

use crate::config::DesignConfig;
use crate::error::Result;
use crate::figures::{Figures, LayerBits};
use crate::pipeline::{DesignRun, Findings};
use crate::result::DesignResult;

pub(crate) fn write(
    run: &DesignRun<'_>,
    result: &DesignResult,
    spec: &ModelSpec,
    found: &Findings,
) -> Result<()> {
    let (winner, baseline) = (&result.winner, &result.baseline);
    let title = format!("A network for {}", result.data);
    let subtitle = format!(
        "{} test accuracy in {} of flash and {} of RAM ({}), {} bits a weight",
        number::percent(winner.mean, 2),
        number::bytes(winner.flash_bytes as f64),
        number::bytes(winner.ram_bytes as f64),
        winner.target,
        number::short(winner.bits_per_weight),
    );
    let mut page = Page::new(title, subtitle);
    page.heading("Result");
    page.table(&figures(winner, baseline));
    page.chart(
        "All trained trials: validation accuracy against flash. The line is the Pareto front. Trials are trained briefly, \
         so their accuracy is below that of the final trainings.",
        &accuracy_against_flash(run, found).to_svg()?,
    );
    page.heading("The network");
    let cost = Cost::of(spec, &run.bench.target)?;
    page.chart(
        "Layers, shapes, bit widths and cost.",
        &NetworkDrawing::new("The winner", spec, &cost).to_svg()?,
    );
    page.chart_row([
        ("Flash by layer.".to_owned(), flash_by_layer(spec, run)?.to_svg()?),
        ("Bits by layer.".to_owned(), bits_by_layer(result).to_svg()?),
    ]);
    page.table(&layers(result));
    page.heading("Training");
    let (losses, accuracies) = curves(run)?;
    let mut charts =
        vec![("Loss. The winner starts from the weights of the baseline and is pruned.", losses.to_svg()?)];
    if accuracies.series.iter().any(|s| !s.points.is_empty()) {
        charts.push(("Validation accuracy.", accuracies.to_svg()?));
    }
    page.chart_row(charts);
    page.heading("Test rows");
    page.chart(
        "Confusion matrix of the shipped weights: true class (row) against predicted class (column).",
        &confusion(result).to_svg()?,
    );
    page.heading("Search history");
    page.text(&story(result));
    page.details("Specification", &spec.to_yaml()?);
    page.details("Configuration", &config::to_yaml("configuration", &without_place(run))?);
    Ok(page.save(&run.folder.report())?)
}

/// Returns the configuration without the fields that results do not depend on, so that equal designs have equal reports.
fn without_place(run: &DesignRun<'_>) -> DesignConfig {
    DesignConfig { out: None, jobs: 0, quiet: false, ..run.plan.as_config() }
}

fn figures(winner: &Figures, baseline: &Figures) -> Table {
    let row = |name: &str, f: &dyn Fn(&Figures) -> String| vec![name.to_owned(), f(winner), f(baseline)];
    Table {
        header: ["", "winner", "baseline"].map(str::to_owned).to_vec(),
        rows: vec![
            row("test accuracy, mean", &|f| number::percent(f.mean, 2)),
            row("standard deviation over the seeds", &|f| number::percent(f.deviation, 2)),
            row("seeds", &|f| f.test_accuracy.len().to_string()),
            row("parameters", &|f| f.params.to_string()),
            row("nonzero weights", &|f| f.non_zeros.to_string()),
            row("MACs", &|f| f.macs.to_string()),
            row("flash, bytes", &|f| f.flash_bytes.to_string()),
            row("peak RAM, bytes", &|f| f.ram_bytes.to_string()),
            row("bits per weight", &|f| number::short(f.bits_per_weight)),
            row("target", &|f| f.target.clone()),
        ],
        caption: "The winner, quantized and pruned, beside the same network in float32.".to_owned(),
    }
}

fn points<C>(trials: &[std::sync::Arc<Trial<C>>]) -> Vec<(f64, f64)> {
    let found = |t: &Trial<C>, name: &str| t.scores.get(name).copied();
    trials
        .iter()
        .filter(|t| t.is_feasible() && t.values.is_some())
        .filter_map(|t| Some((found(t, "flash_bytes")?, found(t, "val_accuracy")?)))
        .collect()
}

fn accuracy_against_flash(run: &DesignRun<'_>, found: &Findings) -> Scatter {
    let groups = [
        ("architectures", points(found.search.study.trials()), Marks::Hollow),
        ("quantized", points(found.quantized.study.trials()), Marks::Filled),
        ("quantized and pruned", points(found.pruned.study.trials()), Marks::Star),
    ];
    let all: Vec<(f64, f64)> = groups.iter().flat_map(|(_, points, _)| points.iter().copied()).collect();
    let losses: Vec<Vec<f64>> = all.iter().map(|(flash, accuracy)| vec![*flash, -accuracy]).collect();
    let mut front: Vec<(f64, f64)> =
        pareto::fronts(&losses).into_iter().next().unwrap_or_default().into_iter().map(|i| all[i]).collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    Scatter {
        title: "Accuracy against flash".to_owned(),
        x: Axis::log("flash").with_unit(Unit::Bytes),
        y: Axis::linear("validation accuracy").with_unit(Unit::Percent),
        series: groups
            .into_iter()
            .map(|(name, points, marks)| ScatterSeries { name: name.to_owned(), points, marks })
            .collect(),
        front: Some(front),
        limit_x: Some(run.plan.flash.0 as f64),
    }
}

fn flash_by_layer(spec: &ModelSpec, run: &DesignRun<'_>) -> Result<Bars> {
    let cost = Cost::of(spec, &run.bench.target)?;
    let layers: Vec<_> = cost.layers.iter().filter(|l| l.cost.flash_bytes > 0).collect();
    Ok(Bars {
        title: "Flash by layer".to_owned(),
        y_label: "flash".to_owned(),
        y_unit: Unit::Bytes,
        categories: layers.iter().map(|l| l.name.clone()).collect(),
        series: vec![("flash".to_owned(), layers.iter().map(|l| l.cost.flash_bytes as f64).collect())],
        stacked: false,
    })
}

fn bits_by_layer(result: &DesignResult) -> Bars {
    let of = |f: &dyn Fn(&LayerBits) -> u32| result.layers.iter().map(|l| f64::from(f(l))).collect();
    Bars {
        title: "Bits by layer".to_owned(),
        y_label: "bits".to_owned(),
        y_unit: Unit::Plain,
        categories: result.layers.iter().map(|l| l.layer.clone()).collect(),
        series: vec![
            ("weights".to_owned(), of(&|l| l.weight_bits)),
            ("outputs".to_owned(), of(&|l| l.output_bits)),
        ],
        stacked: false,
    }
}

fn layers(result: &DesignResult) -> Table {
    Table {
        header: ["layer", "kind", "weights", "nonzero", "bits per weight", "bits per output"]
            .map(str::to_owned)
            .to_vec(),
        rows: result
            .layers
            .iter()
            .map(|l| {
                vec![
                    l.layer.clone(),
                    l.kind.clone(),
                    l.weights.to_string(),
                    number::percent(l.non_zeros as f64 / l.weights.max(1) as f64, 1),
                    l.weight_bits.to_string(),
                    l.output_bits.to_string(),
                ]
            })
            .collect(),
        caption: "Layers with weights.".to_owned(),
    }
}

fn curves(run: &DesignRun<'_>) -> Result<(Lines, Lines)> {
    let (mut losses, mut accuracies) = (Vec::new(), Vec::new());
    for (color, kind) in ["winner", "baseline"].into_iter().enumerate() {
        for i in 0..run.plan.seeds {
            let name = format!("{kind}-{i}");
            let epochs = Run::new(run.folder.train().join(&name)).epochs()?;
            let series = |value: &dyn Fn(&Epoch) -> Option<f64>| LineSeries {
                name: name.clone(),
                points: epochs.iter().filter_map(|e| Some((f64::from(e.epoch), value(e)?))).collect(),
                dashed: kind == "baseline",
                color: Some(color),
            };
            losses.push(series(&|e| e.val_loss.or(Some(e.loss))));
            accuracies.push(series(&|e| e.val_accuracy));
        }
    }
    let epochs = Axis::linear("epoch");
    let loss = Lines { title: "Loss".to_owned(), x: epochs.clone(), y: Axis::log("loss"), series: losses };
    let accuracy = Lines {
        title: "Validation accuracy".to_owned(),
        x: epochs,
        y: Axis::linear("accuracy").with_unit(Unit::Percent),
        series: accuracies,
    };
    Ok((loss, accuracy))
}

fn confusion(result: &DesignResult) -> Heatmap {
    Heatmap {
        title: "Confusion".to_owned(),
        row_title: "truth".to_owned(),
        column_title: "predicted".to_owned(),
        rows: result.classes.clone(),
        columns: result.classes.clone(),
        values: result.confusion.counts.iter().map(|&n| n as f64).collect(),
        show_numbers: true,
    }
}

fn story(result: &DesignResult) -> String {
    let counts = &result.counts;
    let mut text = format!(
        "A search of {1} architectures started from {0} random networks within the limits; {2} were refused before \
         training. {3} assignments of bit widths and {4} sparsities were tried on the chosen network. All decisions were \
         made on validation rows; the test rows were used once.",
        counts.candidates, counts.search, counts.refused, counts.quantize, counts.prune
    );
    if !counts.ended_by_time.is_empty() {
        text.push_str(&format!(" The time limit ended: {}.", counts.ended_by_time.join(", ")));
    }
    text
}
