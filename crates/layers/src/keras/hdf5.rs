//! Bounded reader for the HDF5 subset that Keras uses: groups, texts and numeric arrays.

use candle_core::{Device, Tensor};
use hdf5_pure::{DType, File, Group};
use tinsmith_foundation::ExpansionBudget;

/// An open file. Its arrays draw on a budget before memory for them is allocated, so the bound holds for their sum.
pub(super) struct Hdf5 {
    file: File,
    budget: ExpansionBudget,
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
    /// Opens a file. `budget` is that of the archive which holds it, or of the file itself.
    pub(super) fn open(bytes: Vec<u8>, budget: ExpansionBudget) -> Result<Self, String> {
        let file = File::from_bytes(bytes).map_err(|e| format!("is not an HDF5 file: {e}"))?;
        Ok(Self { file, budget })
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
        let dtype = dataset.dtype().map_err(wrong)?;
        if !is_number(&dtype) {
            // Elements of other types can be of any size.
            return Err(format!("array `{name}` is {dtype}, want numbers"));
        }
        let elements = |sizes: &[u64]| sizes.iter().fold(1_u64, |n, &d| n.saturating_mul(d));
        let count = elements(&shape);
        self.budget.claim(name, count.saturating_mul(4)).map_err(|e| format!("array {e}"))?;
        // A chunk is decompressed whole, also where it reaches beyond the array.
        let chunk = dataset.chunk_shape().map_err(wrong)?.map_or(0, |sizes| elements(&sizes));
        if chunk.saturating_mul(4) > self.budget.limit() {
            let limit = self.budget.limit();
            return Err(format!(
                "array `{name}` claims chunks of {chunk} elements, beyond the bound of {limit} bytes"
            ));
        }
        let values = dataset.read_f32().map_err(wrong)?;
        if values.len() as u64 != count {
            return Err(format!("array `{name}` has {} values, want {count} for {shape:?}", values.len()));
        }
        let dims: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
        Tensor::from_vec(values, dims, &Device::Cpu).map_err(|e| format!("array `{name}`: {e}"))
    }
}

const fn is_number(dtype: &DType) -> bool {
    matches!(
        dtype,
        DType::F32
            | DType::F64
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
    )
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
