//! Any data give a well-formed drawing with coordinates in bounds.

use proptest::prelude::*;
use tinsmith_report::{
    Axis, Bars, Heatmap, LineSeries, Lines, Marks, Page, Scatter, ScatterSeries, Table, Unit, number,
};

use crate::xml::parse;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -1e3..1e3_f64,
        2 => any::<f64>(),
        1 => proptest::sample::select(vec![
            0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 5e-324, 1.0, 1e16
        ]),
    ]
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(value(), 0..20)
}

fn points() -> impl Strategy<Value = Vec<(f64, f64)>> {
    proptest::collection::vec((value(), value()), 0..20)
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter)
}

fn axis() -> impl Strategy<Value = Axis> {
    let unit = proptest::sample::select(vec![Unit::Plain, Unit::Percent, Unit::Bytes]);
    (text(), any::<bool>(), unit).prop_map(|(label, log, unit)| Axis { label, log, unit })
}

/// Checks that the drawing is well-formed and every number in it parses.
fn check(svg: &str) {
    let document = parse(svg);
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        for name in ["x", "y", "cx", "cy", "x1", "x2", "y1", "y2", "width", "height", "r"] {
            let Some(text) = node.attribute(name) else { continue };
            let number: f64 = text.parse().expect("coordinates are numbers");
            assert!((-2000.0..5000.0).contains(&number), "{name} is {text} in {node:?}");
        }
        let path = node.attribute("d").unwrap_or_default();
        assert!(!path.contains("NaN") && !path.contains("inf"), "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn points_and_curves(title in text(), x in axis(), y in axis(), a in points(), b in points(),
                         front in proptest::option::of(points()), limit in proptest::option::of(value())) {
        let limit_x = limit.filter(|l| l.is_finite() && (!x.log || *l > 0.0));
        let series = |name: &str, points: &[(f64, f64)], marks| {
            ScatterSeries { name: name.to_owned(), points: points.to_vec(), marks }
        };
        let scatter = Scatter {
            title: title.clone(), x: x.clone(), y: y.clone(), front, limit_x,
            series: vec![series(&title, &a, Marks::Star), series("b", &b, Marks::Hollow)],
        };
        check(&scatter.to_svg().unwrap());
        let curves = vec![
            LineSeries { name: title.clone(), points: a, dashed: true, color: None },
            LineSeries { name: String::new(), points: b, dashed: false, color: Some(9) },
        ];
        check(&Lines { title, x, y, series: curves }.to_svg().unwrap());
    }

    #[test]
    fn bars_and_cells(title in text(), a in values(), seed in values(), stacked in any::<bool>(),
                      show_numbers in any::<bool>(), rows in 1_usize..5) {
        let categories: Vec<String> = (0..a.len()).map(|i| format!("{title}{i}")).collect();
        let b: Vec<f64> = (0..a.len()).map(|i| seed.get(i).copied().unwrap_or(1.0)).collect();
        for y_unit in [Unit::Plain, Unit::Percent, Unit::Bytes] {
            let series = vec![(title.clone(), a.clone()), ("b".to_owned(), b.clone())];
            let bars = Bars {
                title: title.clone(), y_label: title.clone(), y_unit, categories: categories.clone(), series, stacked,
            };
            check(&bars.to_svg().unwrap());
        }
        let heatmap = Heatmap {
            title: title.clone(), row_title: title.clone(), column_title: String::new(),
            rows: vec![title; rows], values: a.repeat(rows), columns: categories, show_numbers,
        };
        check(&heatmap.to_svg().unwrap());
    }

    #[test]
    fn pages_of_any_text(title in text(), body in text(), rows in proptest::collection::vec(proptest::collection::vec(text(), 0..4), 0..4)) {
        let mut page = Page::new(title.clone(), body.clone());
        page.heading(&title).text(&body).details(&title, &body).chart(&title, &body);
        page.table(&Table { header: vec![title.clone()], rows, caption: body });
        parse(&page.to_html());
    }

    #[test]
    fn numbers_are_short(value in value(), decimals in 0_usize..6) {
        for text in [number::short(value), number::bytes(value), number::percent(value, decimals)] {
            prop_assert!(!text.is_empty() && text.len() < 26, "{}", text);
        }
    }
}
