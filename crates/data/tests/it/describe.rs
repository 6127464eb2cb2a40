//! Descriptions and contact sheets.

use tinsmith_data::{Dataset, Targets};

#[test]
fn figures_are_those_of_the_rows_shown() {
    let samples = vec![1.0, 3.0, 5.0, 7.0, 100.0, 100.0];
    let data = Dataset::labelled("pairs", vec![2], samples, vec![0, 2, 1], 3).unwrap();
    let data = data.with_group("subjects", vec![4, 4, 9]).unwrap();
    let names = ["still", "walk", "run"].map(str::to_owned).to_vec();
    let data = data.with_class_names(names).unwrap().subset(&[0, 1]).unwrap();
    let description = data.describe();
    assert_eq!((description.rows, description.min, description.max), (2, 1.0, 7.0));
    assert!((description.mean - 4.0).abs() < 1e-12);
    assert!((description.deviation - 5.0_f64.sqrt()).abs() < 1e-12);
    let rows: Vec<usize> = description.classes.iter().map(|class| class.rows).collect();
    assert_eq!(rows, [1, 0, 1]);
    assert_eq!(description.groups["subjects"].iter().collect::<Vec<_>>(), [(&4, &2)]);
    let text = description.to_text();
    for part in
        ["pairs", "[2] of f32", "1 to 7, mean 4.0000", "still       1  50.0 %", "subjects, 1 values (4: 2)"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(serde_json::to_string(&description).unwrap().contains("\"checksum\""));
}

#[test]
fn data_without_rows_or_classes_are_described_too() {
    let empty = Dataset::new("none", vec![3], vec![], Targets::Samples).unwrap().describe();
    assert_eq!((empty.rows, empty.min, empty.max), (0, 0.0, 0.0));
    assert!(empty.to_text().contains("samples, [3]"));
}

#[test]
fn data_sets_cross_threads_and_are_short_in_debug_output() {
    fn shared<T: Send + Sync>(_: &T) {}
    let digits = tinsmith_data::builtin("digits8x8").unwrap();
    shared(&digits);
    let text = format!("{:?}", digits.train);
    assert!(text.contains("rows: 1437, sample_shape: [8, 8, 1], element: U8"), "{text}");
    assert!(text.len() < 300, "{text}");
}

#[test]
fn contact_sheets_show_images_series_and_rows() {
    let digits = tinsmith_data::builtin("digits8x8").unwrap().train;
    let sheet = digits.contact_sheet(6);
    assert_eq!(sheet.matches("<text").count(), 10);
    assert_eq!(sheet.matches("<g transform=\"translate").count(), 60);
    assert_eq!(sheet.matches("<g").count(), sheet.matches("</g>").count());
    let series = Dataset::labelled("a<b", vec![4, 3], vec![0.5; 24], vec![0, 1], 2).unwrap();
    let series = series.with_class_names(vec!["a<b".to_owned(), "c".to_owned()]).unwrap();
    let sheet = series.contact_sheet(2);
    assert_eq!(sheet.matches("<polyline").count(), 6);
    assert!(sheet.contains("a&lt;b"));
    let flat = Dataset::new("flat", vec![5], vec![1.0, 2.0, 3.0, 4.0, 5.0], Targets::Samples).unwrap();
    assert!(flat.contact_sheet(1).contains("fill=\"#fff\""));
    let empty = Dataset::new("none", vec![5], vec![], Targets::Samples).unwrap();
    assert!(empty.contact_sheet(1).ends_with("</svg>\n"));
}
