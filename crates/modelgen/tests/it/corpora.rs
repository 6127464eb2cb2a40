//! Writing corpora and reading them back.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use tinsmith_cost::{Cost, Limits};
use tinsmith_foundation::{CancelToken, Seed, Silent, WorkerScope};
use tinsmith_modelgen::{
    ActivationKind, CorpusConfig, CorpusManifest, DefaultKinds, Duplicates, Format, GeneratorConfig,
    LayerKind, ModelGenerator, ModelgenError, Record, Weights, generate, load_models, manifest_path,
};

fn make(config: &CorpusConfig, out: &Path, jobs: usize) -> Result<CorpusManifest, ModelgenError> {
    generate(config, out, WorkerScope::new(jobs), &CancelToken::new(), &Silent)
}

fn small(count: u64) -> CorpusConfig {
    CorpusConfig { count, seed: Seed::new(9), ..CorpusConfig::default() }
}

fn read(path: &Path) -> Vec<Record> {
    load_models(path).unwrap().map(|r| r.unwrap()).collect()
}

#[test]
fn a_corpus_is_the_same_bytes_for_any_number_of_jobs_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(700);
    let mut texts = BTreeSet::new();
    for jobs in [1, 2, 5] {
        for name in ["c.jsonl", "c.jsonl.gz"] {
            let out = folder.path().join(format!("{jobs}/{name}"));
            let manifest = make(&config, &out, jobs).unwrap();
            assert_eq!((manifest.written, manifest.files.len()), (700, 1));
            texts.insert((name, std::fs::read(&out).unwrap(), std::fs::read(manifest_path(&out)).unwrap()));
        }
    }
    assert_eq!(texts.len(), 2);
    let plain = read(&folder.path().join("1/c.jsonl"));
    assert_eq!(plain, read(&folder.path().join("2/c.jsonl.gz")));
    assert_eq!(plain.len(), 700);
    let generator = ModelGenerator::new(config.family).unwrap();
    for record in &plain {
        let cost = Cost::of(&record.spec, &config.target).unwrap();
        assert_eq!(record.hash, Some(record.spec.structural_hash().unwrap()));
        assert_eq!(record.cost.unwrap().flash, cost.total.flash_bytes);
        let again = generator.draw_any(config.seed.derive("model", record.index)).unwrap();
        assert_eq!(again, record.spec);
    }
}

#[test]
fn networks_are_spread_over_files_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one.jsonl");
    make(&small(500), &one, 2).unwrap();
    let config = CorpusConfig { files: 3, ..small(500) };
    let manifest = make(&config, &folder.path().join("three.jsonl.gz"), 2).unwrap();
    let sizes: Vec<u64> = manifest.files.iter().map(|f| f.networks).collect();
    assert_eq!(sizes, [166, 167, 167]);
    let mut all = Vec::new();
    for file in &manifest.files {
        let part = read(&folder.path().join(&file.name));
        assert_eq!(part.len() as u64, file.networks);
        all.extend(part);
    }
    assert_eq!(all, read(&one));
}

/// Few different networks, so that many repeat.
fn few() -> GeneratorConfig {
    GeneratorConfig {
        input: Some(vec![4]),
        q_chance: 0.0,
        min_layer_count: 2,
        max_layer_count: 2,
        dropout_chance: 0.0,
        ..GeneratorConfig::default()
    }
}

#[test]
fn duplicates_are_dropped_or_counted() {
    let folder = tempfile::tempdir().unwrap();
    let config = CorpusConfig { family: few(), ..small(1500) };
    let distinct = |records: &[Record]| {
        records.iter().map(|r| r.spec.structural_hash().unwrap()).collect::<BTreeSet<_>>().len()
    };
    let out = folder.path().join("dropped.jsonl");
    let manifest = make(&config, &out, 2).unwrap();
    let records = read(&out);
    assert_eq!((records.len(), distinct(&records)), (1500, 1500));
    assert_eq!(manifest.tally.draws, records.last().unwrap().index + 1);
    assert_eq!(manifest.tally.duplicates, manifest.tally.draws - 1500);

    let config = CorpusConfig { duplicates: Duplicates::Count, ..config };
    let out = folder.path().join("counted.jsonl");
    let manifest = make(&config, &out, 2).unwrap();
    let records = read(&out);
    assert_eq!((records.len(), manifest.tally.draws), (1500, 1500));
    assert_eq!(manifest.tally.duplicates, 1500 - distinct(&records) as u64);
    assert!(manifest.tally.duplicates > 100);
}

#[test]
fn limits_hold_and_rejects_are_counted_by_reason() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        params: Some(100_000),
        macs: Some(1_000_000),
        flash: Some(90_000),
        ram: Some(60_000),
        weight_bits: Some(700_000),
        bops: Some(60_000_000),
        ..Limits::default()
    };
    let config = CorpusConfig { limits, ..small(300) };
    let out = folder.path().join("c.jsonl");
    let manifest = make(&config, &out, 2).unwrap();
    for record in read(&out) {
        let cost = record.cost.unwrap();
        assert!(cost.params <= 100_000 && cost.macs <= 1_000_000 && cost.flash <= 90_000);
        assert!(cost.ram <= 60_000 && cost.weight_bits <= 700_000 && cost.bops <= 6e7);
    }
    let text = std::fs::read_to_string(manifest_path(&out)).unwrap();
    let stored: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(stored["tally"]["draws"], manifest.tally.draws);
    for what in ["params", "macs", "flash", "ram", "weight_bits", "bops"] {
        assert!(stored["tally"]["over"][what]["draws"].as_u64().unwrap() > 0, "{what}");
    }
    assert_eq!(stored["config"]["family"]["dense_ub"], 1024);

    let family = GeneratorConfig { max_tries: 30, ..GeneratorConfig::default() };
    let impossible = Limits { params: Some(3), ..Limits::default() };
    let config = CorpusConfig { limits: impossible, family, ..small(10) };
    let out = folder.path().join("none.jsonl");
    let error = make(&config, &out, 2).unwrap_err().to_string();
    assert!(
        error.contains("found 0 of 10") && error.contains("30 of 30 draws exceed the limit of params, 3"),
        "{error}"
    );
    assert!(!out.exists() && !manifest_path(&out).exists());
}

/// A hopeless family of many blocks: only the first one exhausts its tries, whatever the number of workers.
#[test]
fn a_hopeless_corpus_fails_after_the_first_exhausted_block() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("c.jsonl");
    let family = GeneratorConfig { max_tries: 2000, ..GeneratorConfig::default() };
    let limits = Limits { params: Some(3), ram: Some(100), ..Limits::default() };
    let config = CorpusConfig { limits, family, ..small(1_000_000) };
    let errors: BTreeSet<String> =
        [1, 3].into_iter().map(|jobs| make(&config, &out, jobs).unwrap_err().to_string()).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let error = errors.first().unwrap();
    assert!(
        error.starts_with("found 0 of 1000000 networks, then none: 2000 of 2000 draws exceed"),
        "{error}"
    );
    assert!(error.contains("limit of params, 3") && error.contains("limit of ram, 100"), "{error}");
}

#[test]
fn a_cancel_is_noticed_between_draws() {
    let folder = tempfile::tempdir().unwrap();
    let family = GeneratorConfig { max_tries: u64::MAX, ..GeneratorConfig::default() };
    let limits = Limits { params: Some(3), ..Limits::default() };
    let config = CorpusConfig { limits, family, ..small(10) };
    let cancel = CancelToken::new();
    let error = std::thread::scope(|threads| {
        let out = folder.path().join("c.jsonl");
        let (config, token) = (&config, cancel.clone());
        let run = threads.spawn(move || generate(config, &out, WorkerScope::new(1), &token, &Silent));
        std::thread::sleep(std::time::Duration::from_millis(50));
        cancel.cancel();
        run.join().unwrap().unwrap_err()
    });
    assert_eq!(error.to_string(), "cancelled after 0 of 10 networks");
}

#[test]
fn the_default_family_can_be_written_for_keras() {
    let folder = tempfile::tempdir().unwrap();
    for q_chance in [0.0, 0.5, 1.0] {
        let family = GeneratorConfig { q_chance, ..GeneratorConfig::default() };
        let config = CorpusConfig { format: Format::Keras, family, ..small(100) };
        let out = folder.path().join("c.txt");
        make(&config, &out, 1).unwrap();
        assert_eq!(read(&out).len(), 100);
    }
}

#[test]
fn a_cancelled_corpus_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = CancelToken::new();
    cancel.cancel();
    let out = folder.path().join("c.jsonl");
    let error = generate(&small(10), &out, WorkerScope::new(1), &cancel, &Silent).unwrap_err();
    assert_eq!(error.to_string(), "cancelled after 0 of 10 networks");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Every kind of block and layer that Keras can hold.
fn exportable() -> GeneratorConfig {
    GeneratorConfig {
        default_kinds: DefaultKinds::All,
        layers_blacklist: vec![LayerKind::QDepthwiseConv1d],
        batch_norm_chance: 0.3,
        residual_chance: 0.2,
        branch_chance: 0.2,
        global_pooling_chance: 0.2,
        ..GeneratorConfig::default()
    }
}

#[test]
fn keras_corpora_hold_the_same_networks_as_records_do() {
    let folder = tempfile::tempdir().unwrap();
    let config = CorpusConfig { family: exportable(), files: 3, ..small(400) };
    let mut found = Vec::new();
    for format in [Format::Records, Format::Keras, Format::KerasBatch] {
        let config = CorpusConfig { format, ..config.clone() };
        let mut bytes = BTreeSet::new();
        for (jobs, ending) in [(1, ""), (3, ""), (2, ".gz")] {
            let out = folder.path().join(format!("{format:?}-{jobs}{ending}"));
            let manifest = make(&config, &out, jobs).unwrap();
            let files: Vec<_> = manifest.files.iter().map(|f| folder.path().join(&f.name)).collect();
            let read: Vec<Record> = files.iter().flat_map(|path| read(path)).collect();
            assert_eq!((read.len(), manifest.files[1].networks), (400, 133));
            found.push(read.iter().map(|r| r.spec.structural_hash().unwrap()).collect::<Vec<_>>());
            if ending.is_empty() {
                bytes.insert(files.iter().flat_map(|path| std::fs::read(path).unwrap()).collect::<Vec<u8>>());
            }
        }
        assert_eq!(bytes.len(), 1, "{format:?} depends on the number of jobs");
    }
    assert!(found.iter().all(|hashes| *hashes == found[0]));
}

#[test]
fn kinds_without_a_keras_class_are_refused_by_name_before_anything_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("c.txt");
    let refuse = |family: GeneratorConfig, parts: &[&str]| {
        let config = CorpusConfig { format: Format::Keras, family, ..small(5) };
        let error = make(&config, &out, 1).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{error}");
        }
        assert!(!out.exists());
        make(&CorpusConfig { format: Format::Records, ..config }, &out, 1).unwrap();
        std::fs::remove_file(&out).unwrap();
    };
    refuse(
        GeneratorConfig { default_kinds: DefaultKinds::All, ..GeneratorConfig::default() },
        &[
            "`family.layers_blacklist` lacks QDepthwiseConv1D, which can be drawn but not written",
            "QKeras has no quantized DepthwiseConv1D",
        ],
    );
    let mut family = exportable();
    family.probs.activations = Weights::of([(ActivationKind::Hswish, 1.0), (ActivationKind::Relu, 1.0)]);
    refuse(family.clone(), &["`family.probs.activations` gives a weight to hswish, which cannot be written"]);
    // Its quantized form has a class.
    let config = CorpusConfig {
        format: Format::Keras,
        family: GeneratorConfig { q_chance: 1.0, ..family },
        ..small(5)
    };
    make(&config, &out, 1).unwrap();
}

#[test]
fn the_original_formats_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let family = GeneratorConfig { q_chance: 0.0, ..GeneratorConfig::default() };
    let generator = ModelGenerator::new(family).unwrap();
    let specs: Vec<_> = (0..5).map(|i| generator.draw(4, Seed::new(i)).unwrap()).collect();
    let texts: Vec<String> = specs.iter().map(|spec| tinsmith_keras::write_json(spec).unwrap()).collect();
    let expected: Vec<_> =
        texts.iter().map(|text| tinsmith_keras::read_json(text, "model").unwrap().layers).collect();
    let check = |name: &str, text: &str| {
        let path = folder.path().join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let layers: Vec<_> = read(&path).into_iter().map(|r| r.spec.layers).collect();
        assert_eq!(layers, expected, "{name}");
    };
    let compact: Vec<String> = texts
        .iter()
        .map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap().to_string())
        .collect();
    check("lines.txt", &compact.iter().map(|t| format!("{t}\n--------------\n")).collect::<String>());
    check("joined.txt", &compact.iter().map(|t| format!("{t}--------------")).collect::<Vec<_>>().join("\n"));
    check("indented.txt", &texts.iter().map(|t| format!("{t}\n--------------\n")).collect::<String>());
    let batch: std::collections::BTreeMap<String, &String> =
        texts.iter().enumerate().map(|(i, text)| (format!("model_{i}"), text)).collect();
    check("batch.json", &serde_json::to_string_pretty(&batch).unwrap());
    check("batch_in_a_line.json", &serde_json::to_string(&batch).unwrap());
    // Networks keep the order of the document, not of their names.
    let entry =
        |i: usize, name: &str| format!("{}: {}", serde_json::json!(name), serde_json::json!(texts[i]));
    let entries: Vec<String> = (0..5).map(|i| entry(i, &format!("m_{}", 12 - i))).collect();
    check("backwards.json", &format!("{{{}}}", entries.join(",\n")));
}

#[test]
fn a_fault_in_a_network_names_its_position() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    make(&small(2), &path, 1).unwrap();
    let text = std::fs::read_to_string(&path).unwrap().replacen("\"spec\"", "\"spek\"", 2);
    std::fs::write(&path, text).unwrap();
    let results: Vec<_> = load_models(&path).unwrap().collect();
    assert_eq!(results.len(), 2);
    let error = results[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("c.jsonl, line 2:1:") && error.contains("spek"), "{error}");
    assert!(load_models(&folder.path().join("none")).unwrap_err().to_string().contains("cannot read"));
}

#[test]
fn compressed_texts_expand_within_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.gz");
    let write = |start: &str| {
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        Write::write_all(&mut writer, start.as_bytes()).unwrap();
        Write::write_all(&mut writer, &vec![b' '; (16 << 20) + 1]).unwrap();
        writer.finish().unwrap();
    };
    for (start, want) in [
        ("{\"index\": ", "the network from line 1 on has more than 16777216 bytes"),
        ("{\n", "`the corpus` expands beyond 16777216 bytes"),
    ] {
        write(start);
        let error = load_models(&path).err().unwrap();
        let error = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
        let text: String = error.map(|e| e.to_string() + ": ").collect();
        assert!(text.contains(want), "{text}");
    }
    write("{\"index\": 0, \"spec\": {}}\n");
    let mut models = load_models(&path).unwrap();
    assert!(models.next().unwrap().is_err());
    let text = models.next().unwrap().unwrap_err();
    assert!(format!("{text:?}").contains("the network from line 2 on"), "{text:?}");
}
