//! CSV tables.

use tinsmith_data::{Dataset, TableConfig, TableTargets, Targets, load, table};

#[track_caller]
fn read(text: &str, config: &TableConfig) -> tinsmith_data::Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowers.csv");
    std::fs::write(&path, text).unwrap();
    table::read(&path, config)
}

const FLOWERS: &str =
    "length,width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n\"6.3\", 3.3 ,virginica\n5.0,3.0,setosa\n";

#[test]
fn text_answers_are_classes_by_name() {
    let data = read(FLOWERS, &TableConfig::default()).unwrap();
    assert_eq!((data.name(), data.sample_shape()), ("flowers", [2].as_slice()));
    assert_eq!(data.class_names(), ["setosa", "versicolor", "virginica"]);
    assert_eq!(data.labels().unwrap(), [0, 1, 2, 0]);
    assert_eq!(data.sample(2), [6.3, 3.3]);
}

#[test]
fn whole_numbers_are_classes_and_fractions_values() {
    let data = read("class,a\n11,1\n2,2\n0,3\n", &TableConfig::default()).unwrap();
    assert_eq!((data.labels().unwrap(), data.class_count()), ([11, 2, 0].as_slice(), 12));
    let data = read("a,b\n1,0.5\n2,-3\n", &TableConfig::default()).unwrap();
    assert!(matches!(data.targets(), Targets::Arrays { .. }));
    assert_eq!((data.target(0), data.target(1)), ([0.5].as_slice(), [-3.0].as_slice()));
    let values = TableConfig { targets: TableTargets::Values, ..TableConfig::default() };
    let data = read("a,b\n1,4\n2,7\n", &values).unwrap();
    assert_eq!(data.target(1), [7.0]);
    let classes = TableConfig { targets: TableTargets::Classes, ..TableConfig::default() };
    let data = read("a,b\n1,0.5\n2,-3\n", &classes).unwrap();
    assert_eq!(data.class_names(), ["-3", "0.5"]);
}

#[test]
fn columns_are_groups_or_left_out_as_asked() {
    let text = "id;subjects;room;x;label;note\n1;ann;7;0.5;0;ok\n2;bob;7;1.5;1;bad\n3;ann;8;2.5;0;ok\n";
    let config = TableConfig {
        groups: vec!["room".to_owned()],
        ignore: vec!["id".to_owned(), "note".to_owned()],
        delimiter: ';',
        ..TableConfig::default()
    };
    let data = read(text, &config).unwrap();
    assert_eq!(data.sample_shape(), [1]);
    assert_eq!(data.labels().unwrap(), [0, 1, 0]);
    assert_eq!(data.group("subjects").unwrap(), [0, 1, 0]);
    assert_eq!(data.group("room").unwrap(), [7, 7, 8]);
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

    let rows: Vec<String> = (0..50).map(|i| format!("{i},{}", i % 2)).collect();
    put("all.csv", &format!("x,y\n{}\n", rows.join("\n")));
    let path = folder.path().join("all.csv");
    let splits = load(path.to_str().unwrap()).unwrap();
    assert_eq!((splits.train.len(), splits.test.len(), splits.test.class_counts()), (40, 10, vec![5, 5]));
    assert_eq!(splits.checksum(), load(path.to_str().unwrap()).unwrap().checksum());
}

#[test]
fn wrong_tables_are_told_where() {
    let default = TableConfig::default();
    let refused = |text: &str, config: &TableConfig, want: &str| {
        let error = read(text, config).unwrap_err().to_string();
        assert!(error.contains("flowers.csv: ") && error.contains(want), "{error}: want `{want}`");
    };
    refused("a,b,label\n1,2,0\n1,x,0\n", &default, "line 3, column `b`: `x`, want a finite number");
    refused("a,b,label\n1,nan,0\n", &default, "line 2, column `b`: `nan`, want a finite number");
    refused("a,b,label\n1,,0\n", &default, "line 2, column `b`: ``, want a value");
    refused("a,b,label\n1,2\n", &default, "found record with 2 fields");
    refused("1,2,0\n3,4,1\n", &default, "line 1 holds no names of columns");
    refused("a,label\n", &default, "has no rows");
    refused("label\n1\n", &default, "has 1 columns of answers and 0 of features");
    refused("a,label,label\n1,1,1\n", &default, "has 2 columns of answers");
    refused("a,label\n1,70000\n", &default, "too many classes");
    let label = TableConfig { label: "kind".to_owned(), ..TableConfig::default() };
    refused("a,label\n1,1\n", &label, "has no column `kind`, want one of a, label");
    let odd = TableConfig { delimiter: '→', ..TableConfig::default() };
    refused("a,label\n1,1\n", &odd, "delimiter is `→`, want one ASCII character");
    let values = TableConfig { targets: TableTargets::Values, ..TableConfig::default() };
    refused("a,label\n1,red\n", &values, "line 2: answer `red`, want a finite number");
    refused("", &default, "line 1 holds no names");
}
