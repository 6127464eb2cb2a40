//! Parameters: named variables with masks.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};

use crate::error::{Result, TensorError, first_names};

/// A named variable of a model.
///
/// A **prune mask** (0 or 1 per element) keeps elements at zero; an **update mask** keeps them at their value. Both
/// mask the gradient, and [`Param::apply_mask`] zeroes pruned elements after an update. A **frozen** parameter
/// receives no updates for now. A parameter that is not **trainable**, such as the moving statistics of a
/// normalization, never does.
#[derive(Debug, Clone)]
pub struct Param {
    name: String,
    var: Var,
    prune_mask: Option<Tensor>,
    update_mask: Option<Tensor>,
    frozen: bool,
    trainable: bool,
}

impl Param {
    /// Creates a trainable parameter from a copy of `value`.
    ///
    /// # Errors
    /// [`TensorError::DType`] if `value` is not `f32`, [`TensorError::Candle`] if it cannot be copied.
    pub fn new(name: impl Into<String>, value: &Tensor) -> Result<Self> {
        if value.dtype() != DType::F32 {
            return Err(TensorError::DType { op: "param", got: value.dtype(), want: "f32" });
        }
        // A copy, so that no other variable shares its memory.
        let var = Var::from_tensor(&value.detach().copy()?.contiguous()?)?;
        Ok(Self {
            name: name.into(),
            var,
            prune_mask: None,
            update_mask: None,
            frozen: false,
            trainable: true,
        })
    }

    /// Turns this into a parameter that training never changes.
    #[must_use]
    pub fn fixed(mut self) -> Self {
        self.trainable = false;
        self
    }

    /// Name, such as `block1.conv.kernel`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The variable to which operations are applied.
    #[must_use]
    pub const fn var(&self) -> &Var {
        &self.var
    }

    /// The variable as a tensor that candle tracks.
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        self.var.as_tensor()
    }

    /// Dimensions.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        self.var.dims()
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.var.elem_count()
    }

    /// Tells if there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values in row-major order.
    ///
    /// # Errors
    /// [`TensorError::Candle`] if the device fails.
    pub fn values(&self) -> Result<Vec<f32>> {
        Ok(self.var.flatten_all()?.to_vec1()?)
    }

    /// Sets new values; pruned elements stay zero.
    ///
    /// # Errors
    /// [`TensorError::ParamShape`] and [`TensorError::DType`] if `value` does not fit.
    pub fn set(&self, value: &Tensor) -> Result<()> {
        if value.dtype() != DType::F32 {
            return Err(TensorError::DType { op: "param", got: value.dtype(), want: "f32" });
        }
        self.check_shape("the value", value.dims())?;
        let value = value.detach().to_device(self.var.device())?;
        match &self.prune_mask {
            Some(mask) => self.var.set(&masked(&value, mask)?)?,
            None => self.var.set(&value.copy()?)?,
        }
        Ok(())
    }

    /// The prune mask, if any.
    #[must_use]
    pub const fn prune_mask(&self) -> Option<&Tensor> {
        self.prune_mask.as_ref()
    }

    /// Sets the prune mask and zeroes the elements that it prunes; `None` removes the mask.
    ///
    /// # Errors
    /// [`TensorError::ParamShape`], [`TensorError::DType`] and [`TensorError::MaskValue`] if the mask does not fit.
    pub fn set_prune_mask(&mut self, mask: Option<Tensor>) -> Result<()> {
        if let Some(mask) = &mask {
            self.check_mask("the prune mask", mask)?;
        }
        self.prune_mask = mask;
        self.apply_mask()
    }

    /// The update mask, if any.
    #[must_use]
    pub const fn update_mask(&self) -> Option<&Tensor> {
        self.update_mask.as_ref()
    }

    /// Sets the update mask: elements at which it is 0 receive no updates. `None` removes the mask.
    ///
    /// # Errors
    /// [`TensorError::ParamShape`], [`TensorError::DType`] and [`TensorError::MaskValue`] if the mask does not fit.
    pub fn set_update_mask(&mut self, mask: Option<Tensor>) -> Result<()> {
        if let Some(mask) = &mask {
            self.check_mask("the update mask", mask)?;
        }
        self.update_mask = mask;
        Ok(())
    }

    /// Tells if the parameter receives no updates for now.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Freezes or unfreezes the parameter.
    pub const fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// Tells if training may ever change the parameter.
    #[must_use]
    pub const fn is_trainable(&self) -> bool {
        self.trainable
    }

    /// Tells if an optimizer should update the parameter now: it is trainable and not frozen.
    #[must_use]
    pub const fn takes_updates(&self) -> bool {
        self.trainable && !self.frozen
    }

    /// Applies both masks to a gradient, for use by an optimizer.
    ///
    /// # Errors
    /// [`TensorError::ParamShape`] if `gradient` has another shape.
    pub fn gate(&self, gradient: &Tensor) -> Result<Tensor> {
        self.check_shape("the gradient", gradient.dims())?;
        let mut gradient = gradient.clone();
        for mask in [&self.prune_mask, &self.update_mask].into_iter().flatten() {
            gradient = masked(&gradient, mask)?;
        }
        Ok(gradient)
    }

    /// Sets pruned elements to zero.
    ///
    /// # Errors
    /// [`TensorError::Candle`] if the device fails.
    pub fn apply_mask(&self) -> Result<()> {
        if let Some(mask) = &self.prune_mask {
            self.var.set(&masked(&self.var.as_detached_tensor(), mask)?)?;
        }
        Ok(())
    }

    /// Number of nonzero elements.
    ///
    /// # Errors
    /// [`TensorError::Candle`] if the device fails.
    pub fn nonzeros(&self) -> Result<usize> {
        Ok(self.values()?.iter().filter(|&&v| v != 0.0).count())
    }

    fn check_shape(&self, what: &'static str, got: &[usize]) -> Result<()> {
        if got == self.dims() {
            return Ok(());
        }
        Err(TensorError::ParamShape {
            name: self.name.clone(),
            what,
            got: got.to_vec(),
            want: self.dims().to_vec(),
        })
    }

    fn check_mask(&self, what: &'static str, mask: &Tensor) -> Result<()> {
        if mask.dtype() != DType::F32 {
            return Err(TensorError::DType { op: "param", got: mask.dtype(), want: "f32" });
        }
        self.check_shape(what, mask.dims())?;
        let values: Vec<f32> = mask.flatten_all()?.to_vec1()?;
        match values.into_iter().find(|&v| v != 0.0 && v != 1.0) {
            Some(value) => Err(TensorError::MaskValue { name: self.name.clone(), what, value }),
            None => Ok(()),
        }
    }
}

/// `x` for elements at which `mask` is 1, otherwise zero. Unlike a product, this also removes infinities and NaN.
fn masked(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let keep = mask.ne(0.0_f32)?;
    Ok(keep.where_cond(x, &x.zeros_like()?)?)
}

/// The parameters of a model, in order of insertion and by name.
#[derive(Debug, Clone, Default)]
pub struct Params {
    list: Vec<Param>,
    index: BTreeMap<String, usize>,
}

impl Params {
    /// Creates an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `param`.
    ///
    /// # Errors
    /// [`TensorError::DuplicateParam`] if the name exists already.
    pub fn insert(&mut self, param: Param) -> Result<()> {
        if self.index.contains_key(param.name()) {
            return Err(TensorError::DuplicateParam { name: param.name().to_owned() });
        }
        self.index.insert(param.name().to_owned(), self.list.len());
        self.list.push(param);
        Ok(())
    }

    /// The parameter with this name, if any.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Param> {
        self.index.get(name).and_then(|&i| self.list.get(i))
    }

    /// The parameter with this name.
    ///
    /// # Errors
    /// [`TensorError::UnknownParam`] if there is none.
    pub fn get(&self, name: &str) -> Result<&Param> {
        self.find(name).ok_or_else(|| self.unknown(name))
    }

    /// The parameter with this name, mutably, to set its masks.
    ///
    /// # Errors
    /// [`TensorError::UnknownParam`] if there is none.
    pub fn get_mut(&mut self, name: &str) -> Result<&mut Param> {
        match self.index.get(name) {
            Some(&i) => Ok(&mut self.list[i]),
            None => Err(self.unknown(name)),
        }
    }

    /// Sets new values of the parameter with this name.
    ///
    /// # Errors
    /// [`TensorError::UnknownParam`] if there is none; otherwise as [`Param::set`].
    pub fn set(&self, name: &str, value: &Tensor) -> Result<()> {
        self.get(name)?.set(value)
    }

    /// All parameters, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Param> {
        self.list.iter()
    }

    /// All parameters, in order and mutably, to set their masks.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Param> {
        self.list.iter_mut()
    }

    /// The parameters that an optimizer should update now.
    pub fn updatable(&self) -> impl Iterator<Item = &Param> {
        self.list.iter().filter(|p| p.takes_updates())
    }

    /// Number of parameters (tensors).
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Tells if there are no parameters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Number of elements of all parameters.
    #[must_use]
    pub fn element_count(&self) -> usize {
        self.list.iter().map(Param::len).sum()
    }

    /// Number of elements of trainable parameters, frozen or not.
    #[must_use]
    pub fn trainable_count(&self) -> usize {
        self.list.iter().filter(|p| p.is_trainable()).map(Param::len).sum()
    }

    /// Number of nonzero elements.
    ///
    /// # Errors
    /// [`TensorError::Candle`] if the device fails.
    pub fn nonzeros(&self) -> Result<usize> {
        self.list.iter().map(Param::nonzeros).sum()
    }

    /// Zeroes all pruned elements.
    ///
    /// # Errors
    /// [`TensorError::Candle`] if the device fails.
    pub fn apply_masks(&self) -> Result<()> {
        self.list.iter().try_for_each(Param::apply_mask)
    }

    /// Copies all parameters to `device`, into new variables with the same masks and flags.
    ///
    /// # Errors
    /// [`TensorError::Candle`] if the device fails.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let moved = |mask: &Option<Tensor>| mask.as_ref().map(|m| m.to_device(device)).transpose();
        let list: Result<Vec<Param>> = self
            .list
            .iter()
            .map(|p| {
                let value = p.var.as_detached_tensor().to_device(device)?;
                let fresh = Param::new(p.name.clone(), &value)?;
                Ok(Param {
                    prune_mask: moved(&p.prune_mask)?,
                    update_mask: moved(&p.update_mask)?,
                    frozen: p.frozen,
                    trainable: p.trainable,
                    ..fresh
                })
            })
            .collect();
        Ok(Self { list: list?, index: self.index.clone() })
    }

    /// Copies all values by name, detached from the variables, for a checkpoint.
    ///
    /// # Errors
    /// [`TensorError::Candle`] if the device fails.
    pub fn snapshot(&self) -> Result<BTreeMap<String, Tensor>> {
        self.list.iter().map(|p| Ok((p.name.clone(), p.var.as_detached_tensor().copy()?))).collect()
    }

    /// Gives every parameter the value of its name in `values`; other names in `values` are refused, so that nothing
    /// is lost unnoticed. Nothing is set unless everything fits.
    ///
    /// # Errors
    /// [`TensorError::UnknownParam`] where a name on either side has no partner, [`TensorError::ParamShape`] where a
    /// shape differs.
    pub fn restore(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        for (name, value) in values {
            self.get(name)?.check_shape("the value", value.dims())?;
        }
        if let Some(missing) = self.list.iter().find(|p| !values.contains_key(p.name())) {
            let known = first_names(values.keys().map(String::as_str));
            return Err(TensorError::UnknownParam { name: missing.name.clone(), known });
        }
        values.iter().try_for_each(|(name, value)| self.set(name, value))
    }

    fn unknown(&self, name: &str) -> TensorError {
        let known = first_names(self.list.iter().map(Param::name));
        TensorError::UnknownParam { name: name.to_owned(), known }
    }
}

impl<'a> IntoIterator for &'a Params {
    type Item = &'a Param;
    type IntoIter = std::slice::Iter<'a, Param>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
