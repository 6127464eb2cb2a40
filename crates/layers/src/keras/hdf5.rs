//! Bounded reader for the HDF5 subset that Keras uses: groups, texts and numeric arrays.

use candle_core::{Device, Tensor};
use hdf5_pure::{File, Group};

/// Arrays with more elements than this and than [`ELEMENTS_PER_BYTE`] allows are refused before memory is allocated.
const ELEMENTS: u64 = 1 << 22;
/// Maximum elements per byte of the file. Keras does not compress; files compressed later rarely shrink further than
/// this.
const ELEMENTS_PER_BYTE: u64 = 16;

/// An open file.
pub(super) struct Hdf5 {
    file: File,
    length: u64,
}

/// Weight layout of a file, with the group that holds the weights.
pub(super) enum WeightLayout {
    /// Attribute `layer_names`, and one group per layer with an attribute `weight_names`.
    Legacy(Group),
    /// One group per layer, named after its class, with numbered arrays in a group `vars`.
    Checkpoint(Group),
    /// Neither of the two.
    Unknown,
}

impl Hdf5 {
    pub(super) fn open(bytes: Vec<u8>) -> Result<Self, String> {
        let length = bytes.len() as u64;
        let file = File::from_bytes(bytes).map_err(|e| format!("is not an HDF5 file: {e}"))?;
        Ok(Self { file, length })
    }

    pub(super) fn layout(&self) -> WeightLayout {
        let root = self.file.root();
        for legacy in [root.group("model_weights").ok(), Some(root.clone())].into_iter().flatten() {
            if matches!(texts(&legacy, "layer_names"), Ok(Some(_))) {
                return WeightLayout::Legacy(legacy);
            }
        }
        // Keras 2.12 and 2.13 use the second name.
        for name in ["layers", "_layer_checkpoint_dependencies"] {
            if let Ok(group) = root.group(name) {
                return WeightLayout::Checkpoint(group);
            }
        }
        WeightLayout::Unknown
    }

    /// A text attribute of the file's root.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        Ok(texts(&self.file.root(), name)?.and_then(|texts| texts.into_iter().next()))
    }

    /// Reads a numeric array as `f32` on the CPU.
    pub(super) fn tensor(&self, group: &Group, name: &str) -> Result<Tensor, String> {
        let wrong = |e: hdf5_pure::Error| format!("array `{name}`: {e}");
        let dataset = group.dataset(name).map_err(wrong)?;
        let shape = dataset.shape().map_err(wrong)?;
        let count = shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d));
        let most = ELEMENTS.max(self.length.saturating_mul(ELEMENTS_PER_BYTE));
        let count = count.filter(|&n| n <= most).ok_or_else(|| {
            format!(
                "array `{name}` claims shape {shape:?}, more than a file of {} bytes should hold",
                self.length
            )
        })?;
        let values = dataset.read_f32().map_err(wrong)?;
        if values.len() as u64 != count {
            return Err(format!("array `{name}` has {} values, want {count} for {shape:?}", values.len()));
        }
        let dims: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
        Tensor::from_vec(values, dims, &Device::Cpu).map_err(|e| format!("array `{name}`: {e}"))
    }
}

/// Reads a list of texts from one attribute, or from several (`name0`, `name1`, …) if it was too long for one. None
/// if the group has no such attribute.
pub(super) fn texts(group: &Group, name: &str) -> Result<Option<Vec<String>>, String> {
    let attributes = group.attrs().map_err(|e| format!("attribute `{name}`: {e}"))?;
    let list = |key: &str| {
        attributes.get(key).map(|value| match value.as_strings() {
            Some(texts) => Ok(texts.to_vec()),
            // NumPy gives an empty list the type float.
            None if value.to_f64s().is_some_and(|v| v.is_empty()) => Ok(Vec::new()),
            None => Err(format!("attribute `{key}` is {}, want texts", value.type_name())),
        })
    };
    if let Some(whole) = list(name) {
        return whole.map(Some);
    }
    let mut parts = Vec::new();
    for number in 0_usize.. {
        match list(&format!("{name}{number}")) {
            Some(part) => parts.extend(part?),
            None if number == 0 => return Ok(None),
            None => break,
        }
    }
    Ok(Some(parts))
}
