//! Tables.

use std::io::Write;
use std::path::Path;

use proptest::prelude::*;
use tinsmith_data::{
    ColumnRole, Dataset, Missing, Splits, TableOptions, TargetChoice, Targets, load, load_with, table,
};
use tinsmith_foundation::config;

#[track_caller]
fn read(text: &str, options: &TableOptions) -> tinsmith_data::Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowers.csv");
    std::fs::write(&path, text).unwrap();
    table::read(&path, options)
}

/// Reads with default options.
#[track_caller]
fn plain(text: &str) -> Dataset {
    read(text, &TableOptions::default()).unwrap()
}

/// `rows` lines of two features and the target that `target` gives for the row.
fn rows(header: &str, rows: usize, target: impl Fn(usize) -> String) -> String {
    let line = |row: usize| format!("{},{},{}\n", row as f64 * 0.37 % 5.0, (row * row) % 7, target(row));
    header.to_owned() + "\n" + &(0..rows).map(line).collect::<String>()
}

fn is_values(data: &Dataset) -> bool {
    matches!(data.targets(), Targets::Arrays { .. })
}

fn role(data: &Dataset, column: &str) -> ColumnRole {
    data.notes().columns.iter().find(|note| note.name == column).unwrap().role
}

#[track_caller]
fn says(lines: &[String], part: &str) {
    assert!(lines.iter().any(|line| line.contains(part)), "`{part}` is not in {lines:?}");
}

const FLOWERS: &str =
    "length,width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n\"6.3\", 3.3 ,virginica\n5.0,3.0,setosa\n";

#[test]
fn text_targets_are_classes_by_name() {
    let data = plain(FLOWERS);
    assert_eq!((data.name(), data.sample_shape()), ("flowers", [2].as_slice()));
    assert_eq!(data.class_names(), ["setosa", "versicolor", "virginica"]);
    assert_eq!(data.labels().unwrap(), [0, 1, 2, 0]);
    assert_eq!(data.sample(2), [6.3, 3.3]);
    assert_eq!(role(&data, "species"), ColumnRole::Target);
    assert!(data.notes().to_text().contains("feature    length, width: numbers"));
}

#[test]
fn labels_with_gaps_are_renumbered_and_keep_their_names() {
    let data = plain(&rows("a,b,class", 30, |row| (row % 3 + 1).to_string()));
    assert_eq!(
        (data.class_names(), data.class_counts()),
        (["1", "2", "3"].map(str::to_owned).as_slice(), vec![10; 3])
    );
    says(&data.notes().decisions, "labels 1, 2, 3 are numbered 0 to 2");
    let data = plain("class,a\n11,1\n2,2\n0,3\n");
    assert_eq!(
        (data.labels().unwrap(), data.class_names()),
        ([2, 1, 0].as_slice(), ["0", "2", "11"].map(str::to_owned).as_slice())
    );
    let data = plain(&rows("a,b,class", 30, |row| (row % 3).to_string()));
    assert!(data.notes().decisions.is_empty(), "{:?}", data.notes().decisions);
}

#[test]
fn numbers_are_classes_or_values_by_the_documented_rule() {
    for (header, count, target) in [
        ("a,b,class", 30, (|row| format!("{}.0", row % 3)) as fn(usize) -> String),
        ("a,b,outcome", 30, |row| format!("{}.0", row % 3)),
        ("a,b,y", 30, |row| if row % 2 == 0 { "-1".to_owned() } else { "1".to_owned() }),
        ("a,b,class", 60, |row| format!("{}.5", row % 3)),
    ] {
        let data = plain(&rows(header, count, target));
        assert!(data.labels().is_some(), "{header} {}", target(1));
    }
    for (header, count, target) in [
        ("a,b,age", 300, (|row| (row * 37 % 100).to_string()) as fn(usize) -> String),
        ("a,b,label", 300, |row| (row * 37 % 100).to_string()),
        ("a,b,outcome", 60, |row| format!("{}.5", row % 3)),
        ("a,b,price", 30, |row| (row * 1000).to_string()),
    ] {
        let text = rows(header, count, target);
        let data = plain(&text);
        assert!(is_values(&data), "{header} {}", target(1));
        let classes = TableOptions { targets: TargetChoice::Classes, ..TableOptions::default() };
        assert!(read(&text, &classes).unwrap().labels().is_some());
    }
    let values = TableOptions { targets: TargetChoice::Values, ..TableOptions::default() };
    assert_eq!(read("a,b\n1,4\n2,7\n", &values).unwrap().target(1), [7.0]);
    let data = plain("a,b\n1,0.5\n2,-3\n");
    assert_eq!((data.target(0), data.target(1)), ([0.5].as_slice(), [-3.0].as_slice()));
    let classes = TableOptions { targets: TargetChoice::Classes, ..TableOptions::default() };
    assert_eq!(read("a,b\n1,0.5\n2,-3\n", &classes).unwrap().class_names(), ["-3", "0.5"]);
}

#[test]
fn several_targets_never_become_features() {
    let data = plain("a,y1,b,y2\n1,0.5,2,7\n2,1.5,3,8\n");
    assert_eq!((data.sample_shape(), data.target_shape()), ([2].as_slice(), vec![2]));
    assert_eq!((data.sample(1), data.target(1)), ([2.0, 3.0].as_slice(), [1.5, 8.0].as_slice()));
    let hot = plain("a,class_red,class_blue\n1,1.0,0\n2,0,1\n3,1,0\n");
    assert_eq!((hot.labels().unwrap(), hot.sample_shape()), ([0, 1, 0].as_slice(), [1].as_slice()));
    assert_eq!(hot.class_names(), ["red", "blue"]);
    let picked = TableOptions { target: vec!["b".to_owned(), "a".to_owned()], ..TableOptions::default() };
    assert_eq!(read("a,b,c\n1,2.5,3\n4,5,6\n", &picked).unwrap().target(0), [2.5, 1.0]);
    let error = read("a,class,target\n1,0,0\n2,1,1\n", &TableOptions::default()).unwrap_err().to_string();
    assert!(
        error.contains("several columns that are named as targets: class, target; name one by `label`"),
        "{error}"
    );
    let error = read("a,y_mean,y_peak\n1,0.2,3\n2,1,1\n", &TableOptions::default()).unwrap_err().to_string();
    assert!(error.contains("y_mean, y_peak; they are not one-hot"), "{error}");
    let data = plain("a,target,target_name\n1,0,cat\n2,1,dog\n");
    assert_eq!((data.sample_shape(), role(&data, "target_name")), ([1].as_slice(), ColumnRole::Dropped));
}

#[test]
fn row_numbers_are_dropped_and_row_counters_reported() {
    let data = plain(",a,b,class\n0,5,6,0\n1,7,8,1\n2,9,1,0\n");
    assert_eq!((data.sample_shape(), data.sample(0)), ([2].as_slice(), [5.0, 6.0].as_slice()));
    says(&data.notes().decisions, "column `` is dropped");
    let data = plain("id,a,class\nx7,5,0\nx9,7,1\n");
    assert_eq!((data.sample_shape(), role(&data, "id")), ([1].as_slice(), ColumnRole::Dropped));
    let data = plain("id,a,class\n3,5,0\n3,7,1\n");
    assert_eq!(data.sample_shape(), [2]);
    says(&data.notes().warnings, "column `id`");
    let counted: String = (0..20).map(|row| format!("{},{},{}\n", row + 100, row % 3, row % 2)).collect();
    says(&plain(&("t,a,class\n".to_owned() + &counted)).notes().warnings, "column `t` counts the rows");
}

#[test]
fn values_that_f32_cannot_distinguish_are_reported() {
    let text: String =
        (0..50).map(|row| format!("{},{}\n", 1_700_000_000_000_u64 + row * row, row % 2)).collect();
    says(
        &plain(&("stamp,class\n".to_owned() + &text)).notes().warnings,
        "column `stamp` has values that are equal",
    );
    let text: String = (0..50).map(|row| format!("0.{},{}\n", row * 7919 + 1, row % 2)).collect();
    assert!(plain(&("x,class\n".to_owned() + &text)).notes().warnings.is_empty());
}

#[test]
fn first_lines_of_numbers_are_data() {
    let data = plain("3.5,-1.2,bird\n2.0,0.1,dog\n0.1,0.7,bird\n");
    assert_eq!(
        (data.len(), data.sample(0), data.class_names()[0].as_str()),
        (3, [3.5, -1.2].as_slice(), "bird")
    );
    says(&data.notes().decisions, "the first line holds numbers and is data");
    assert_eq!(plain("1,2,0\n3,4,1\n").len(), 2);
    assert_eq!(plain("0,1,2,label\n3,4,5,1\n3,4,4,0\n").len(), 2);
    let header = TableOptions { header: Some(true), ..TableOptions::default() };
    assert_eq!(read("1,2,0\n3,4,1\n5,6,0\n", &header).unwrap().len(), 2);
}

#[test]
fn separators_decimal_commas_and_encodings_are_recognized() {
    let want = plain("a,b,class\n3.5,-1.25,0\n2.0,0.5,1\n").checksum();
    for text in [
        "a;b;class\n3,5;-1,25;0\n2,0;0,5;1\n",
        "a;b;class\n3.5;-1.25;0\n2.0;0.5;1\n",
        "a\tb\tclass\n3,5\t-1,25\t0\n2,0\t0,5\t1\n",
        "a|b|class\n3.5|-1.25|0\n2.0|0.5|1\n",
        "\u{feff}a,b,class\r\n3.5,-1.25,0\r\n\r\n2.0,0.5,1\r\n",
        "\"a\",\"b\",\"class\"\n\"3.5\",\"-1.25\",\"0\"\n\"2.0\",\"0.5\",\"1\"\n",
    ] {
        assert_eq!(plain(text).checksum(), want, "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let latin = folder.path().join("latin.csv");
    std::fs::write(&latin, b"a,kind\n1,gr\xfcn\n2,rot\n").unwrap();
    let data = table::read(&latin, &TableOptions::default()).unwrap();
    assert_eq!(data.class_names(), ["grün", "rot"]);
    says(&data.notes().decisions, "Latin-1");
    std::fs::write(&latin, b"\xff\xfea\0,\0").unwrap();
    let error = table::read(&latin, &TableOptions::default()).unwrap_err().to_string();
    assert!(error.contains("UTF-16"), "{error}");
}

#[test]
fn compressed_tables_are_read_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let gzip = |name: &str, bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        std::fs::write(folder.path().join(name), encoder.finish().unwrap()).unwrap();
        folder.path().join(name)
    };
    let path = gzip("flowers.csv.gz", FLOWERS.as_bytes());
    let data = table::read(&path, &TableOptions::default()).unwrap();
    assert_eq!((data.name(), data.checksum()), ("flowers", plain(FLOWERS).checksum()));
    let bomb = gzip("bomb.tsv.gz", &vec![b' '; 17 << 20]);
    let error = table::read(&bomb, &TableOptions::default()).unwrap_err().to_string();
    assert!(error.contains("`bomb.tsv.gz` expands beyond 16777216 bytes"), "{error}");
}

#[test]
fn missing_values_are_refused_dropped_or_filled() {
    for gap in ["", "NA", "nan", "?", "-", "inf", "N/A", "null"] {
        let text = format!("a,b,class\n1,2,0\n3,{gap},1\n5,8,0\n7,4,1\n");
        let error = read(&text, &TableOptions::default()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("line 3, column `b`: `{gap}`, want")) && error.contains("missing: drop"),
            "{error}"
        );
        let drop =
            read(&text, &TableOptions { missing: Some(Missing::Drop), ..TableOptions::default() }).unwrap();
        assert_eq!((drop.len(), drop.sample(1)), (3, [5.0, 8.0].as_slice()));
        says(&drop.notes().decisions, "1 of 4 rows");
        let fill =
            read(&text, &TableOptions { missing: Some(Missing::Fill), ..TableOptions::default() }).unwrap();
        assert_eq!((fill.len(), fill.sample(1)), (4, [3.0, 4.0].as_slice()));
    }
    let text = "a,class\n1,x\n2,\n3,y\n";
    assert!(read(text, &TableOptions::default()).unwrap_err().to_string().contains("line 3, column `class`"));
    let fill = read(text, &TableOptions { missing: Some(Missing::Fill), ..TableOptions::default() }).unwrap();
    assert_eq!((fill.len(), fill.class_count()), (2, 2));
}

#[test]
fn text_features_become_columns_of_zeros_and_ones() {
    let data = plain("color,sex,x,class\nred,m,1,0\nblue,f,2,1\ngreen,f,3,0\nred,m,4,1\n");
    assert_eq!(data.sample_shape(), [5]);
    assert_eq!(
        (data.sample(0), data.sample(1)),
        ([0.0, 0.0, 1.0, 1.0, 1.0].as_slice(), [1.0, 0.0, 0.0, 0.0, 2.0].as_slice())
    );
    says(&data.notes().decisions, "column `sex` is text: 0 for `f`, 1 for `m`");
    let many: String = (0..120).map(|row| format!("name{row},{row},{}\n", row % 2)).collect();
    let error =
        read(&("who,x,class\n".to_owned() + &many), &TableOptions::default()).unwrap_err().to_string();
    assert!(
        error.contains("column `who`: `name0`, want a finite number, or text with at most 50"),
        "{error}"
    );
}

#[test]
fn columns_are_groups_or_left_out_as_set() {
    let text = "id;subjects;room;x;label;note\n1;ann;7;0.5;0;ok\n2;bob;7;1.5;1;bad\n3;ann;8;2.5;0;ok\n";
    let options = TableOptions {
        group: vec!["room".to_owned()],
        ignore: vec!["id".to_owned(), "note".to_owned()],
        delimiter: Some(';'),
        ..TableOptions::default()
    };
    let data = read(text, &options).unwrap();
    assert_eq!(data.sample_shape(), [1]);
    assert_eq!(data.labels().unwrap(), [0, 1, 0]);
    assert_eq!(data.group("subjects").unwrap(), [0, 1, 0]);
    assert_eq!(data.group("room").unwrap(), [7, 7, 8]);
}

#[test]
fn settings_come_from_a_file_beside_the_table_and_options_go_before() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("t.csv", "x,kind,age\n1,a,30\n2,b,41\n?,a,50\n4,b,60\n");
    put("t.yaml", "label: kind\nignore: age\nmissing: drop\n");
    let path = folder.path().join("t.csv");
    let data = table::read(&path, &TableOptions::default()).unwrap();
    assert_eq!((data.len(), data.class_names()), (3, ["a", "b"].map(str::to_owned).as_slice()));
    let own = TableOptions {
        targets: TargetChoice::Column("age".to_owned()),
        ignore: vec!["kind".to_owned()],
        ..TableOptions::default()
    };
    assert!(is_values(&table::read(&path, &own).unwrap()));
    for (text, want) in [
        ("labl: kind\n", "t.yaml:1:1: "),
        ("label: kind\ntarget: [age]\n", "`target` is given beside `label`"),
        ("delimiter: x\n", "t.yaml:1:12: `delimiter` is `x`"),
        ("targets: clases\n", "want auto, classes, values, samples or column:NAME"),
        ("decimal: \";\"\n", "`decimal` is `;`"),
    ] {
        put("t.yaml", text);
        let error = table::read(&path, &TableOptions::default()).unwrap_err().to_string();
        assert!(error.contains(want), "{error}: want `{want}`");
    }
    let options =
        TableOptions { label: Some("kind".into()), group: vec!["s".into()], ..TableOptions::default() };
    let yaml = config::to_yaml("options", &options).unwrap();
    assert_eq!(config::from_str::<TableOptions>(&yaml, "t.yaml", TableOptions::check).unwrap(), options);
    let schema = serde_json::to_string(&schemars::schema_for!(TableOptions)).unwrap();
    for key in ["targets", "label", "target", "ignore", "group", "delimiter", "decimal", "header", "missing"]
    {
        assert!(schema.contains(&format!("\"{key}\"")), "{key}");
    }
}

#[test]
fn autoencoders_are_a_choice_of_targets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, rows("a,b,class", 20, |_| "0".to_owned())).unwrap();
    let samples = TableOptions { targets: TargetChoice::Samples, ..TableOptions::default() };
    let splits = load_with(path.to_str().unwrap(), None, &samples).unwrap();
    assert!(matches!(splits.train.targets(), Targets::Samples));
    assert_eq!(splits.train.sample_shape(), [2]);
    let digits = load_with("digits8x8", None, &samples).unwrap();
    assert_eq!(digits.train.target_shape(), [8, 8, 1]);
    let error = load_with("digits8x8", None, &TableOptions { header: Some(true), ..samples })
        .unwrap_err()
        .to_string();
    assert!(error.contains("`digits8x8` is no table, so it cannot be read with header"), "{error}");
    let values = TableOptions { targets: TargetChoice::Values, ..TableOptions::default() };
    let digits = load_with("digits8x8", None, &values).unwrap();
    assert_eq!((digits.train.target_shape(), digits.train.target(0)), (vec![1], [0.0].as_slice()));
}

fn load_text(folder: &Path, text: &str) -> tinsmith_data::Result<Splits> {
    let path = folder.join("t.csv");
    std::fs::write(&path, text).unwrap();
    load(path.to_str().unwrap())
}

#[test]
fn single_classes_are_refused_and_empty_ones_reported() {
    let folder = tempfile::tempdir().unwrap();
    let error = load_text(folder.path(), &rows("a,b,class", 30, |_| "0".to_owned())).unwrap_err().to_string();
    assert!(
        error.contains("all 24 training rows of `t` have the class `0`, so there is nothing to learn"),
        "{error}"
    );
    // A class of one row cannot be in both parts.
    let rare = load_text(
        folder.path(),
        &rows("a,b,class", 30, |row| if row == 7 { "2" } else { ["0", "1"][row % 2] }.to_owned()),
    );
    assert_eq!(rare.unwrap().warnings(), ["class 2 has no test row"]);
    let rare = load_text(
        folder.path(),
        &rows("a,b,class", 60, |row| if row < 2 { "2" } else { ["0", "1"][row % 2] }.to_owned()),
    );
    assert_eq!(rare.unwrap().test.class_counts()[2], 1);
}

#[test]
fn a_pair_is_numbered_alike_and_a_single_table_is_split() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("train.csv", "x,subjects,kind\n1,m,b\n2,n,c\n");
    put("test.csv", "x,subjects,kind\n3,k,a\n");
    let splits = load(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(splits.train.class_names(), ["a", "b", "c"]);
    assert_eq!(
        splits.warnings(),
        ["class 0 `a` has no training row", "classes 1 `b`, 2 `c` have no test row"]
    );
    assert_eq!(
        (splits.train.labels().unwrap(), splits.test.labels().unwrap()),
        ([1, 2].as_slice(), [0].as_slice())
    );
    assert_eq!(
        (splits.train.group("subjects").unwrap(), splits.test.group("subjects").unwrap()),
        ([1, 2].as_slice(), [0].as_slice())
    );
    put("test.csv", "x,kind\n3,a\n");
    let error = load(folder.path().to_str().unwrap()).unwrap_err().to_string();
    assert!(
        error.contains("test.csv: has columns [\"x\", \"kind\"], want those of the training part"),
        "{error}"
    );

    let rows: Vec<String> = (0..50).map(|i| format!("{},{}", i * 3, i % 2)).collect();
    put("all.csv", &format!("x,y\n{}\n", rows.join("\n")));
    let path = folder.path().join("all.csv");
    let splits = load(path.to_str().unwrap()).unwrap();
    assert_eq!((splits.train.len(), splits.test.len(), splits.test.class_counts()), (40, 10, vec![5, 5]));
    assert_eq!(splits.checksum(), load(path.to_str().unwrap()).unwrap().checksum());
    says(splits.decisions(), "there is no test part: 10 of 50 rows");
}

#[test]
fn wrong_tables_are_told_where() {
    let default = TableOptions::default();
    let refused = |text: &str, options: &TableOptions, want: &str| {
        let error = read(text, options).unwrap_err().to_string();
        assert!(error.contains(want), "{error}: want `{want}`");
    };
    refused("a,b,label\n1,2,0\n1,x,0\n", &default, "line 3, column `b`: `x`, want a finite number");
    refused("a,b,label\n1,nan,0\n", &default, "line 2, column `b`: `nan`, want a finite number");
    refused("a,b,label\n1,,0\n", &default, "line 2, column `b`: ``, want a value");
    refused("a,b,label\n1,2\n", &default, "found record with 2 fields");
    refused("a,label\n", &default, "has no rows");
    refused("label\n1\n", &default, "has no features beside the targets");
    refused("a,label,label\n1,1,1\n", &default, "has two columns `label`");
    let label = TableOptions { label: Some("kind".to_owned()), ..TableOptions::default() };
    refused("a,label\n1,1\n", &label, "has no column `kind`, want one of a, label");
    let odd = TableOptions { delimiter: Some('→'), ..TableOptions::default() };
    refused("a,label\n1,1\n", &odd, "`delimiter` is `→`, want one ASCII character");
    let values = TableOptions { targets: TargetChoice::Values, ..TableOptions::default() };
    refused("a,label\n1,red\n", &values, "line 2, column `label`: `red`, want a finite number");
    refused("", &default, "is empty, want a line of column names");
    let long = "x".repeat(100_000);
    let error = read(&format!("a,b,label\n1,2,0\n{long},2,0\n"), &default).unwrap_err().to_string();
    assert!(error.len() < 300, "{}", error.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_the_reader_panic(
        header in "[a-c](,y[12]?|,id|,class(_[ab])?|,x){0,4}\n",
        body in "([0-3?x.\"-]{0,2}[,;\t]){1,4}[01a]?\n[0-9a-z,;.?\"\n-]{0,60}",
        policy in 0_usize..3,
        choice in 0_usize..4,
        named: bool,
    ) {
        let missing = [Missing::Refuse, Missing::Drop, Missing::Fill][policy];
        let targets =
            [TargetChoice::Auto, TargetChoice::Classes, TargetChoice::Values, TargetChoice::Samples][choice].clone();
        let options = TableOptions { missing: Some(missing), targets, ..TableOptions::default() };
        let text = if named { header + &body } else { body };
        if let Ok(data) = read(&text, &options) {
            prop_assert!(!data.is_empty());
            prop_assert!((0..data.len()).all(|row| data.sample(row).iter().all(|x| x.is_finite())), "{text:?}");
            let _ = (data.describe().to_text(), data.notes().to_text());
        }
    }

    #[test]
    fn tables_of_one_width_are_read_or_refused(
        cells in prop::collection::vec("[0-9]{1,2}|[a-c]|\\?|[0-9]\\.[0-9]", 4..60),
        width in 1_usize..5,
        policy in 0_usize..3,
    ) {
        let lines: Vec<String> = cells.chunks_exact(width).map(|row| row.join(",")).collect();
        let missing = [Missing::Refuse, Missing::Drop, Missing::Fill][policy];
        let options = TableOptions { missing: Some(missing), ..TableOptions::default() };
        if let Ok(data) = read(&lines.join("\n"), &options) {
            prop_assert!((0..data.len()).all(|row| data.sample(row).iter().all(|x| x.is_finite())));
            prop_assert!(data.len() <= lines.len());
        }
    }
}
