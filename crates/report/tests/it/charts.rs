//! Scatter charts, curves, bars and heat maps.

use tinsmith_report::{
    Axis, Bars, Heatmap, LineSeries, Lines, Marks, ReportError, Scatter, ScatterSeries, Unit,
};

use crate::xml::{elements, number, parse, seen, tooltips};

fn scatter() -> Scatter {
    Scatter {
        title: "accuracy against flash".to_owned(),
        x: Axis::log("flash").with_unit(Unit::Bytes),
        y: Axis::linear("accuracy").with_unit(Unit::Percent),
        series: vec![
            ScatterSeries {
                name: "trials".to_owned(),
                points: vec![(4096.0, 0.9), (16384.0, 0.95), (8192.0, f64::NAN), (0.0, 0.5)],
                marks: Marks::Filled,
            },
            ScatterSeries { name: "winner".to_owned(), points: vec![(16384.0, 0.96)], marks: Marks::Star },
        ],
        front: Some(vec![(16384.0, 0.96), (4096.0, 0.9)]),
        limit_x: Some(32768.0),
    }
}

fn curve(points: Vec<(f64, f64)>) -> Lines {
    let series = LineSeries { name: "loss".to_owned(), points, ..LineSeries::default() };
    Lines { series: vec![series], ..Lines::default() }
}

fn bars(stacked: bool) -> Bars {
    Bars {
        title: "flash".to_owned(),
        y_label: "flash".to_owned(),
        y_unit: Unit::Bytes,
        categories: vec!["c1".to_owned(), "d".to_owned()],
        series: vec![("weights".to_owned(), vec![300.0, 100.0]), ("scales".to_owned(), vec![100.0, 50.0])],
        stacked,
    }
}

/// Rectangles with a tooltip: the bars or cells.
fn rects(svg: &str) -> Vec<[f64; 4]> {
    let document = parse(svg);
    elements(&document, "rect")
        .into_iter()
        .filter(roxmltree::Node::has_children)
        .map(|n| ["x", "y", "width", "height"].map(|a| number(&n, a)))
        .collect()
}

#[test]
fn points_lie_where_their_values_are_and_tell_them() {
    let svg = scatter().to_svg().unwrap();
    let document = parse(&svg);
    let circles: Vec<_> =
        elements(&document, "circle").into_iter().filter(roxmltree::Node::has_children).collect();
    assert_eq!(circles.len(), 2, "two of four points can be shown");
    assert!(number(&circles[0], "cx") < number(&circles[1], "cx"));
    assert!(number(&circles[0], "cy") > number(&circles[1], "cy"), "more is higher");
    let tips = tooltips(&document);
    assert!(tips.contains(&"trials\nflash: 4 KiB\naccuracy: 90.00%".to_owned()), "{tips:?}");
}

#[test]
fn omitted_values_are_counted_in_the_legend() {
    let svg = scatter().to_svg().unwrap();
    assert!(seen(&parse(&svg)).contains(&"trials (2 left out)".to_owned()));
    let svg = curve(vec![(0.0, 1.0), (1.0, f64::INFINITY), (2.0, 0.5)]).to_svg().unwrap();
    assert!(seen(&parse(&svg)).contains(&"loss (1 left out)".to_owned()));
}

#[test]
fn ticks_have_the_unit_of_their_axis() {
    let texts = seen(&parse(&scatter().to_svg().unwrap()));
    for want in ["8 KiB", "limit 32 KiB", "90%", "96%"] {
        assert!(texts.contains(&want.to_owned()), "{want} is not among {texts:?}");
    }
}

#[test]
fn a_front_is_a_staircase_in_the_order_of_cost() {
    let svg = scatter().to_svg().unwrap();
    let document = parse(&svg);
    let paths = elements(&document, "path");
    let front = paths.iter().find(|n| n.attribute("class") == Some("front")).expect("there is a front");
    let letters: String = front.attribute("d").unwrap().chars().filter(char::is_ascii_alphabetic).collect();
    assert_eq!(letters, "MHVH");
}

#[test]
fn a_limit_without_a_place_is_an_error() {
    for (limit, want) in [(f64::NAN, "want a finite number above 0"), (0.0, "the limit is 0")] {
        let error = Scatter { limit_x: Some(limit), ..scatter() }.to_svg().unwrap_err();
        assert!(matches!(error, ReportError::Limit { .. }));
        assert!(error.to_string().contains(want), "{error}");
    }
}

#[test]
fn a_gap_in_a_curve_is_not_bridged() {
    let points = vec![(0.0, 1.0), (1.0, 0.8), (2.0, f64::NAN), (3.0, 0.5), (4.0, 0.4), (5.0, 0.3)];
    let svg = curve(points).to_svg().unwrap();
    let document = parse(&svg);
    let runs: Vec<usize> = elements(&document, "path")
        .into_iter()
        .filter(roxmltree::Node::has_children)
        .map(|n| n.attribute("d").unwrap().matches(['M', 'L']).count())
        .collect();
    assert_eq!(runs, [2, 3]);
}

#[test]
fn only_dashed_curves_are_dashed() {
    let mut lines = curve(vec![(0.0, 1.0), (1.0, 2.0)]);
    assert!(!lines.to_svg().unwrap().contains("stroke-dasharray=\""));
    lines.series[0].dashed = true;
    assert!(lines.to_svg().unwrap().contains("stroke-dasharray=\""));
}

#[test]
fn curves_of_many_points_stay_small() {
    let many: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i), f64::from(i).sqrt())).collect();
    let svg = curve(many).to_svg().unwrap();
    assert!(svg.len() < 60_000, "{} bytes", svg.len());
}

#[test]
fn grouped_bars_stand_side_by_side_on_one_line() {
    let found = rects(&bars(false).to_svg().unwrap());
    assert_eq!(found.len(), 4);
    let [a, b] = [found[0], found[2]];
    assert!((a[3] / b[3] - 3.0).abs() < 0.01, "300 is three times as high as 100");
    assert!((a[1] + a[3] - b[1] - b[3]).abs() < 0.02, "both stand on 0");
    assert!(a[0] + a[2] <= b[0] + 0.02, "they do not overlap");
}

#[test]
fn stacked_bars_stand_on_each_other() {
    let found = rects(&bars(true).to_svg().unwrap());
    let [a, b] = [found[0], found[2]];
    assert_eq!(a[0], b[0]);
    assert!((b[1] + b[3] - a[1]).abs() < 0.02, "the second ends where the first begins");
}

#[test]
fn a_series_of_another_length_is_an_error() {
    let mut chart = bars(false);
    chart.series[1].1.pop();
    let error = chart.to_svg().unwrap_err();
    assert_eq!(error.to_string(), "chart `flash`: series `scales` has 1 values, want 2, one per category");
    let heatmap = Heatmap { rows: vec!["a".to_owned()], columns: vec!["b".to_owned()], ..Heatmap::default() };
    assert!(matches!(heatmap.to_svg(), Err(ReportError::Length { got: 0, want: 1, .. })));
}

#[test]
fn many_categories_get_room() {
    let names: Vec<String> = (0..80).map(|i| format!("block{i}_conv")).collect();
    let chart = Bars { series: vec![("x".to_owned(), vec![1.0; 80])], categories: names, ..Bars::default() };
    let found = rects(&chart.to_svg().unwrap());
    assert!(found.iter().all(|r| r[2] > 8.0), "every bar can be seen");
}

#[test]
fn a_heatmap_is_stronger_where_values_are_larger() {
    let heatmap = Heatmap {
        title: "confusion".to_owned(),
        row_title: "truth".to_owned(),
        column_title: "predicted".to_owned(),
        rows: vec!["cat".to_owned(), "dog".to_owned()],
        columns: vec!["cat".to_owned(), "dog".to_owned()],
        values: vec![100.0, 1.0, f64::NAN, 49.0],
        show_numbers: true,
    };
    let svg = heatmap.to_svg().unwrap();
    let document = parse(&svg);
    let cells: Vec<_> =
        elements(&document, "rect").into_iter().filter(roxmltree::Node::has_children).collect();
    let strength: Vec<f64> = cells.iter().map(|n| number(n, "fill-opacity")).collect();
    assert_eq!(strength, [1.0, 0.1, 0.0, 0.7]);
    let texts = seen(&document);
    for want in ["100", "1", "–", "49", "1 of 4 values is not finite and left out"] {
        assert!(texts.contains(&want.to_owned()), "{want} is not among {texts:?}");
    }
    assert!(number(&cells[1], "x") > number(&cells[0], "x"), "columns go to the right");
    assert!(tooltips(&document).contains(&"truth cat\npredicted dog\n1".to_owned()));
    let silent = Heatmap { show_numbers: false, ..heatmap }.to_svg().unwrap();
    assert!(!seen(&parse(&silent)).contains(&"100".to_owned()));
}

#[test]
fn nothing_to_show_is_said() {
    let nothing = [f64::NAN, f64::NEG_INFINITY];
    let series = ScatterSeries { points: vec![(1.0, f64::NAN)], ..ScatterSeries::default() };
    let drawings = [
        Scatter::default().to_svg(),
        Scatter { series: vec![series], limit_x: Some(1.0), ..Scatter::default() }.to_svg(),
        Lines::default().to_svg(),
        curve(vec![(f64::NAN, 1.0)]).to_svg(),
        Bars::default().to_svg(),
        Bars {
            categories: vec![String::new(); 2],
            series: vec![("a".to_owned(), nothing.to_vec())],
            ..Bars::default()
        }
        .to_svg(),
        Heatmap::default().to_svg(),
    ];
    for svg in drawings {
        let svg = svg.unwrap();
        assert!(seen(&parse(&svg)).contains(&"no data".to_owned()), "{svg}");
    }
}

#[test]
fn text_is_escaped_everywhere() {
    let nasty = "</text><script>alert(\"1\")</script>&\u{1}'";
    let label = || nasty.to_owned();
    let axis = || Axis::linear(nasty);
    let points = vec![(1.0, 2.0), (3.0, 4.0)];
    let drawings = [
        Scatter {
            title: label(),
            x: axis(),
            y: axis(),
            series: vec![ScatterSeries { name: label(), points: points.clone(), ..Default::default() }],
            ..Scatter::default()
        }
        .to_svg(),
        Lines {
            title: label(),
            x: axis(),
            y: axis(),
            series: vec![LineSeries { name: label(), points, ..Default::default() }],
        }
        .to_svg(),
        Bars {
            title: label(),
            y_label: label(),
            categories: vec![label()],
            series: vec![(label(), vec![1.0]), (label(), vec![2.0])],
            ..Bars::default()
        }
        .to_svg(),
        Heatmap {
            title: label(),
            row_title: label(),
            column_title: label(),
            rows: vec![label()],
            columns: vec![label()],
            values: vec![1.0],
            show_numbers: true,
        }
        .to_svg(),
    ];
    for svg in drawings {
        let svg = svg.unwrap();
        let document = parse(&svg);
        assert!(elements(&document, "script").is_empty());
        assert!(svg.contains("&lt;script&gt;"));
    }
}

#[test]
fn the_same_chart_is_the_same_bytes() {
    assert_eq!(scatter().to_svg().unwrap(), scatter().to_svg().unwrap());
    assert_eq!(bars(true).to_svg().unwrap(), bars(true).to_svg().unwrap());
}
