//! Event files: framing, messages, torn files.

use std::fs;

use prost::Message;
use tinsmith_foundation::Seed;
use tinsmith_study::{Domain, ParamValue, Space};
use tinsmith_tensorboard::message::{Event, HparamsData, NamedValue, SessionStartInfo, hparams_data, value};
use tinsmith_tensorboard::{EventWriter, Experiment, Metric, SessionStatus, read_events};

/// Three records that TensorBoard 2.21.0 loads: file version, begin of a session, a scalar.
const RECORDS: &str = "1800000000000000a37f4b220900000040fc54d9411a0d627261696e2e4576656e743a32eced8f9d\
8500000000000000e98acc590900000040fc54d9412a7a0a780a1c5f68706172616d735f2f73657373696f6e5f73746172745f696e666f\
4a500a4e0a0768706172616d7312431a410a110a046269747312091100000000000000400a0d0a0361637412061a0472656c750a0b0a05\
7072756e65120220012207747269616c2d302900000040fc54d94142060801120212005951f362\
2d000000000000003c418afb0900004040fc54d94110012a200a1e0a036163634a0b0a090a077363616c617273420a080112002a046666\
663fc5c829b5";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn hparams(event: &Event) -> hparams_data::Data {
    let value = &event.summary.as_ref().unwrap().value[0];
    let plugin = value.metadata.as_ref().unwrap().plugin_data.as_ref().unwrap();
    assert_eq!(plugin.plugin_name, "hparams");
    HparamsData::decode(plugin.content.as_slice()).unwrap().data.unwrap()
}

fn words(start: &SessionStartInfo) -> Vec<(&str, value::Kind)> {
    let kind = |v: &NamedValue| v.value.clone().unwrap().kind.unwrap();
    start.hparams.iter().map(|v| (v.key.as_str(), kind(v))).collect()
}

#[test]
fn known_records_are_read_and_written_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    fs::write(&path, bytes(RECORDS)).unwrap();
    let known = read_events(&path).unwrap();
    assert_eq!(known.len(), 3);

    // The same records by the writer; only the times differ, and the order of fields within a value.
    let mut writer = EventWriter::create(folder.path()).unwrap();
    let hparams_ = [("bits", 2_i64.into()), ("act", "relu".into()), ("prune", ParamValue::Bool(true))];
    writer.session_start(hparams_.iter().map(|(n, v)| (*n, v)), "trial-0").unwrap();
    writer.scalar("acc", 1, 0.9).unwrap();
    writer.flush().unwrap();
    let mut ours = read_events(writer.path()).unwrap();
    assert_eq!(ours.len(), 3);
    let (hparams_data::Data::SessionStartInfo(a), hparams_data::Data::SessionStartInfo(b)) =
        (hparams(&known[1]), hparams(&ours[1]))
    else {
        panic!("no begin of a session");
    };
    assert_eq!(words(&a), words(&b));
    assert_eq!((a.group_name.as_str(), b.group_name.as_str()), ("trial-0", "trial-0"));
    for (ours, known) in ours.iter_mut().zip(&known) {
        assert!(ours.wall_time > known.wall_time);
        ours.wall_time = known.wall_time;
    }
    assert_eq!(ours[0], known[0]);
    assert_eq!(ours[2], known[2]);
    // The first record has one order of fields only, so it is the same byte for byte.
    assert_eq!(ours[0].encode_to_vec(), bytes(RECORDS)[12..36]);
}

#[test]
fn a_file_cut_anywhere_is_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(folder.path()).unwrap();
    writer.scalar("a", 1, 0.5).unwrap();
    writer.scalar("a", 2, 0.25).unwrap();
    writer.flush().unwrap();
    let whole = fs::read(writer.path()).unwrap();
    let path = folder.path().join("cut");
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let before = read_events(&path).unwrap();
        let mut writer = EventWriter::append(&path).unwrap();
        writer.scalar("b", 3, 1.0).unwrap();
        writer.flush().unwrap();
        let after = read_events(&path).unwrap();
        assert_eq!(after[..before.len()], before);
        assert_eq!(after.len(), before.len() + 1);
    }
    // A damaged byte is reported with its position.
    let mut damaged = whole;
    damaged[20] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let error = read_events(&path).unwrap_err().to_string();
    assert!(error.ends_with("byte 0: the checksum of a record's data is wrong"), "{error}");
    assert!(EventWriter::append(&path).is_err());
}

#[test]
fn histograms_count_every_value() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(folder.path()).unwrap();
    let values: Vec<f64> = (0..100).map(|i| f64::from(i) * 0.01).chain([f64::NAN]).collect();
    writer.histogram("w", 0, &values).unwrap();
    writer.histogram("w", 1, &[2.0; 5]).unwrap();
    writer.histogram("w", 2, &[]).unwrap();
    writer.flush().unwrap();
    let events = read_events(writer.path()).unwrap();
    let tensor = |i: usize| events[i].summary.as_ref().unwrap().value[0].tensor.clone().unwrap();
    let numbers = |i: usize| -> Vec<f64> {
        let content = tensor(i).tensor_content;
        content.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let rows = numbers(1);
    assert_eq!(rows.len(), 90);
    assert!((rows.chunks(3).map(|r| r[2]).sum::<f64>() - 100.0).abs() < 1e-12);
    assert!((rows[0] - 0.0).abs() < 1e-12 && (rows[88] - 0.99).abs() < 1e-12);
    assert_eq!(numbers(2), [1.5, 2.5, 5.0]);
    assert_eq!(tensor(3).tensor_shape.unwrap().dim.iter().map(|d| d.size).collect::<Vec<_>>(), [0, 3]);
}

#[test]
fn experiments_name_domains_and_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let space = Space::new([
        ("act", Domain::categorical(["relu", "tanh"])),
        ("bits", Domain::int(2, 8)),
        ("prune", Domain::categorical([true, false])),
    ])
    .unwrap();
    let metrics = [Metric { tag: "acc".to_owned(), ..Metric::default() }];
    let mut writer = EventWriter::create(folder.path()).unwrap();
    writer.experiment(Experiment::new("study", &space, &metrics)).unwrap();
    writer.session_end(SessionStatus::Failure).unwrap();
    drop(writer);
    let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
    let events = read_events(&file.path()).unwrap();
    let hparams_data::Data::Experiment(experiment) = hparams(&events[1]) else { panic!("no experiment") };
    let kinds: Vec<_> = experiment.hparam_infos.iter().map(|i| (i.name.as_str(), i.r#type)).collect();
    assert_eq!(kinds, [("act", 1), ("bits", 3), ("prune", 2)]);
    assert_eq!(experiment.metric_infos[0].name.as_ref().unwrap().tag, "acc");
    let hparams_data::Data::SessionEndInfo(end) = hparams(&events[2]) else { panic!("no end") };
    assert_eq!(end.status, 2);
}

/// Writes a log folder for `tests/python/read_back.py`, kept if `TINSMITH_TENSORBOARD_KEEP` names a folder.
#[test]
fn sessions_are_written_for_others() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("TINSMITH_TENSORBOARD_KEEP")
        .map_or_else(|| temporary.path().to_owned(), std::path::PathBuf::from);
    let space = Space::new([
        ("act", Domain::categorical(["relu", "tanh", "elu"])),
        ("bits", Domain::int(1, 8)),
        ("rate", Domain::log_float(1e-4, 1.0)),
    ])
    .unwrap();
    let metrics = [Metric { tag: "loss".to_owned(), ..Metric::default() }];
    let mut root = EventWriter::create(&folder.join("events")).unwrap();
    root.experiment(Experiment::new("bowl", &space, &metrics)).unwrap();
    root.flush().unwrap();
    let mut rng = Seed::new(3).rng();
    let mut trials = Vec::new();
    for number in 0..5 {
        let params = space.sample(&mut rng);
        let losses: Vec<f64> = (0..number).map(|_| rng.uniform()).collect();
        let mut writer = EventWriter::create(&folder.join(format!("events/trial-{number}"))).unwrap();
        writer.session_start(params.0.iter().map(|(k, v)| (k.as_str(), v)), "").unwrap();
        for (step, &loss) in (1..).zip(&losses) {
            writer.scalar("loss", step, loss).unwrap();
        }
        writer.histogram("reports", 1, &losses).unwrap();
        writer.session_end(SessionStatus::Success).unwrap();
        writer.flush().unwrap();
        assert_eq!(read_events(writer.path()).unwrap().len(), losses.len() + 4);
        trials.push(serde_json::json!({"params": params, "losses": losses}));
    }
    fs::write(folder.join("trials.json"), serde_json::to_string(&trials).unwrap()).unwrap();
}
