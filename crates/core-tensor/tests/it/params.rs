//! Parameters and their masks.

use std::collections::BTreeMap;

use tinsmith_core_tensor::{Device, Param, Params, Tensor};

use crate::reference::{normal_tensor, values};

fn vector(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, values.len(), &Device::Cpu).unwrap()
}

fn two() -> Params {
    let mut params = Params::new();
    params.insert(Param::new("conv.kernel", &vector(&[1.0, -2.0, 3.0])).unwrap()).unwrap();
    params.insert(Param::new("bn.moving_mean", &vector(&[0.0, 5.0])).unwrap().fixed()).unwrap();
    params
}

#[test]
fn names_and_counts() {
    let params = two();
    assert_eq!(params.iter().map(Param::name).collect::<Vec<_>>(), ["conv.kernel", "bn.moving_mean"]);
    assert_eq!((params.len(), params.element_count(), params.trainable_count()), (2, 5, 3));
    assert_eq!(params.nonzeros().unwrap(), 4);
    assert_eq!(params.updatable().count(), 1);
    let error = params.get("conv.bias").unwrap_err().to_string();
    assert!(error.contains("conv.bias") && error.contains("conv.kernel, bn.moving_mean"), "{error}");
    let mut params = params;
    assert!(params.insert(Param::new("conv.kernel", &vector(&[1.0])).unwrap()).is_err());
}

#[test]
fn pruned_values_stay_zero() {
    let mut params = two();
    let param = params.get_mut("conv.kernel").unwrap();
    param.set_prune_mask(Some(vector(&[1.0, 0.0, 1.0]))).unwrap();
    assert_eq!(param.values().unwrap(), [1.0, 0.0, 3.0]);
    param.set(&vector(&[7.0, f32::NAN, 9.0])).unwrap();
    assert_eq!(param.values().unwrap(), [7.0, 0.0, 9.0]);
    param.set_update_mask(Some(vector(&[0.0, 1.0, 1.0]))).unwrap();
    assert_eq!(values(&param.gate(&vector(&[1.0, f32::INFINITY, 3.0])).unwrap()), [0.0, 0.0, 3.0]);
    param.var().set(&vector(&[1.0, 1.0, 1.0])).unwrap();
    params.apply_masks().unwrap();
    assert_eq!(params.get("conv.kernel").unwrap().values().unwrap(), [1.0, 0.0, 1.0]);
    let param = params.get_mut("conv.kernel").unwrap();
    param.set_frozen(true);
    assert!(!param.takes_updates() && param.is_trainable());
    let copy = params.to_device(&Device::Cpu).unwrap();
    let copied = copy.get("conv.kernel").unwrap();
    assert!(copied.is_frozen() && copied.prune_mask().is_some() && copied.update_mask().is_some());
    copied.set(&vector(&[4.0, 4.0, 4.0])).unwrap();
    assert_eq!(params.get("conv.kernel").unwrap().values().unwrap(), [1.0, 0.0, 1.0]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut params = two();
    let error = params.set("conv.kernel", &vector(&[1.0])).unwrap_err().to_string();
    assert!(error.contains("conv.kernel") && error.contains("[1]") && error.contains("[3]"), "{error}");
    let param = params.get_mut("conv.kernel").unwrap();
    assert!(param.set_prune_mask(Some(vector(&[1.0, 0.0]))).is_err());
    let error = param.set_prune_mask(Some(vector(&[1.0, 0.5, 0.0]))).unwrap_err().to_string();
    assert!(error.contains("0.5"), "{error}");
    assert!(param.prune_mask().is_none());
    assert!(param.gate(&vector(&[1.0])).is_err());
}

#[test]
fn a_snapshot_restores_and_shares_no_memory() {
    let params = two();
    let snapshot = params.snapshot().unwrap();
    params.set("conv.kernel", &normal_tensor(1, &[3])).unwrap();
    params.restore(&snapshot).unwrap();
    assert_eq!(params.get("conv.kernel").unwrap().values().unwrap(), [1.0, -2.0, 3.0]);
    let mut partial: BTreeMap<String, Tensor> = snapshot.clone();
    partial.remove("bn.moving_mean");
    assert!(params.restore(&partial).unwrap_err().to_string().contains("bn.moving_mean"));
    let mut extra = snapshot;
    extra.insert("other".to_owned(), vector(&[1.0]));
    assert!(params.restore(&extra).unwrap_err().to_string().contains("other"));
}
