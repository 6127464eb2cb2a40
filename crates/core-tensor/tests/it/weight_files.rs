//! Safetensors.

use std::collections::BTreeMap;

use tinsmith_core_tensor::io::safetensors::{load, read, save};
use tinsmith_core_tensor::{DType, Device, Tensor, TensorError};

use crate::reference::{normal_tensor, values};

fn contents() -> (BTreeMap<String, Tensor>, BTreeMap<String, String>) {
    let tensors = BTreeMap::from([
        ("a.kernel".to_owned(), normal_tensor(1, &[3, 4])),
        ("b".to_owned(), normal_tensor(2, &[4, 3]).t().unwrap()),
        ("scalar".to_owned(), Tensor::new(1.5_f32, &Device::Cpu).unwrap()),
        ("z".to_owned(), Tensor::new(&[f32::NAN, -0.0, f32::INFINITY], &Device::Cpu).unwrap()),
    ]);
    let metadata = BTreeMap::from([
        ("format".to_owned(), "pt".to_owned()),
        ("note \"x\"".to_owned(), "line\nbreak \\ and ü".to_owned()),
    ]);
    (tensors, metadata)
}

#[test]
fn saved_tensors_load_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/weights.safetensors");
    let (tensors, metadata) = contents();
    save(&path, &tensors, &metadata).unwrap();
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.metadata, metadata);
    assert!(loaded.tensors.keys().eq(tensors.keys()));
    for (name, tensor) in &tensors {
        assert_eq!(loaded.tensors[name].dims(), tensor.dims());
        let bits = |t: &Tensor| values(t).iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&loaded.tensors[name]), bits(tensor), "{name}");
    }
    // candle reads the file too, so the data offsets in the header are right.
    let theirs = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    assert_eq!(values(&theirs["a.kernel"]), values(&tensors["a.kernel"]));
    let first = std::fs::read(&path).unwrap();
    save(&path, &tensors, &metadata).unwrap();
    assert_eq!(first, std::fs::read(&path).unwrap(), "equal contents give equal bytes");
    assert_eq!(u64::from_le_bytes(first[..8].try_into().unwrap()) % 8, 0);
    save(&path, &BTreeMap::new(), &metadata).unwrap();
    assert_eq!(load(&path).unwrap().metadata, metadata);
    save(&path, &tensors, &BTreeMap::new()).unwrap();
    assert!(load(&path).unwrap().metadata.is_empty());
}

#[test]
fn other_float_types_are_read_as_f32() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    for dtype in [DType::F64, DType::F16, DType::BF16] {
        let tensor = Tensor::new(&[1.5_f32, -2.0], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        tensor.save_safetensors("x", &path).unwrap();
        assert_eq!(values(&load(&path).unwrap().tensors["x"]), [1.5, -2.0]);
    }
    Tensor::new(&[1_u32], &Device::Cpu).unwrap().save_safetensors("x", &path).unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("U32"));
}

#[test]
fn errors_name_file_tensor_and_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let (tensors, metadata) = contents();
    save(&path, &tensors, &metadata).unwrap();
    let loaded = load(&path).unwrap();
    let message = loaded.tensor(&path, "a.kernel", &[4, 3]).unwrap_err().to_string();
    for part in ["w.safetensors", "a.kernel", "[3, 4]", "[4, 3]"] {
        assert!(message.contains(part), "{message}");
    }
    let message = loaded.tensor(&path, "c", &[1]).unwrap_err().to_string();
    assert!(message.contains("\"c\"") && message.contains("a.kernel, b, scalar, z"), "{message}");
    assert!(matches!(load(&folder.path().join("none")), Err(TensorError::File(_))));
    let doubles = BTreeMap::from([("d".to_owned(), Tensor::new(1.0_f64, &Device::Cpu).unwrap())]);
    assert!(matches!(save(&path, &doubles, &metadata), Err(TensorError::DType { .. })));
}

#[test]
fn truncated_and_invalid_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let (tensors, metadata) = contents();
    save(&path, &tensors, &metadata).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for end in (0..bytes.len()).step_by(7) {
        assert!(read(&path, &bytes[..end]).is_err(), "the first {end} bytes were taken");
    }
    let mut lying = bytes;
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(read(&path, &lying).is_err());
    // Changed bytes anywhere in the header give an error or other contents, never a panic.
    let whole = std::fs::read(&path).unwrap();
    for i in 8..whole.len().min(400) {
        let mut changed = whole.clone();
        changed[i] ^= 0x15;
        drop(read(&path, &changed));
    }
}
