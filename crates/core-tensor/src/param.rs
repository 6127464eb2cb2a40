//! Parameters: named variables with masks.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};

use crate::error::{Result, TensorError, first_names};

/// A named variable of a model.
///
/// A **prune mask** (0 or 1 per element) holds values at zero, an **update mask** holds them as they are: both gate
/// the gradient, and [`Param::apply_mask`] sets pruned values to zero after an update. A **frozen** parameter takes
/// no update for now; one that is not **trainable** never does (the moving statistics of a normalization).
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
    /// A trainable parameter with `value` copied into a variable of its own.
    ///
    /// # Errors
    /// [`TensorError::DType`] where `value` is not `f32`, [`TensorError::Candle`] where it cannot be copied.
    pub fn new(name: impl Into<String>, value: &Tensor) -> Result<Self> {
        if value.dtype() != DType::F32 {
            return Err(TensorError::DType { op: "param", got: value.dtype(), want: "f32" });
        }
        // A copy, so that no other variable shares the memory.
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

    /// This parameter as one that training never changes.
    #[must_use]
    pub fn fixed(mut self) -> Self {
        self.trainable = false;
        self
    }

    /// Its name, such as `block1.conv.kernel`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The variable: what operations are applied to.
    #[must_use]
    pub const fn var(&self) -> &Var {
        &self.var
    }

    /// The variable as a tensor that candle tracks.
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        self.var.as_tensor()
    }

    /// Its dimensions.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        self.var.dims()
    }

    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.var.elem_count()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its values, row-major.
    ///
    /// # Errors
    /// [`TensorError::Candle`] where the device fails.
    pub fn values(&self) -> Result<Vec<f32>> {
        Ok(self.var.flatten_all()?.to_vec1()?)
    }

    /// Gives it new values; pruned elements stay zero.
    ///
    /// # Errors
    /// [`TensorError::ParamShape`] and [`TensorError::DType`] where `value` does not fit.
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

    /// The prune mask, if there is one.
    #[must_use]
    pub const fn prune_mask(&self) -> Option<&Tensor> {
        self.prune_mask.as_ref()
    }

    /// Sets (or with None lifts) the prune mask and zeroes what it prunes.
    ///
    /// # Errors
    /// [`TensorError::ParamShape`], [`TensorError::DType`] and [`TensorError::MaskValue`] where the mask does not fit.
    pub fn set_prune_mask(&mut self, mask: Option<Tensor>) -> Result<()> {
        if let Some(mask) = &mask {
            self.check_mask("the prune mask", mask)?;
        }
        self.prune_mask = mask;
        self.apply_mask()
    }

    /// The update mask, if there is one.
    #[must_use]
    pub const fn update_mask(&self) -> Option<&Tensor> {
        self.update_mask.as_ref()
    }

    /// Sets (or with None lifts) the update mask: where it is 0 the value takes no update.
    ///
    /// # Errors
    /// [`TensorError::ParamShape`], [`TensorError::DType`] and [`TensorError::MaskValue`] where the mask does not fit.
    pub fn set_update_mask(&mut self, mask: Option<Tensor>) -> Result<()> {
        if let Some(mask) = &mask {
            self.check_mask("the update mask", mask)?;
        }
        self.update_mask = mask;
        Ok(())
    }

    /// Whether it takes no update for now.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Freezes or thaws it.
    pub const fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// Whether training may ever change it.
    #[must_use]
    pub const fn is_trainable(&self) -> bool {
        self.trainable
    }

    /// Whether an optimizer should update it now: trainable and not frozen.
    #[must_use]
    pub const fn takes_updates(&self) -> bool {
        self.trainable && !self.frozen
    }

    /// `gradient` with both masks applied: what an optimizer should see.
    ///
    /// # Errors
    /// [`TensorError::ParamShape`] where `gradient` has another shape.
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
    /// [`TensorError::Candle`] where the device fails.
    pub fn apply_mask(&self) -> Result<()> {
        if let Some(mask) = &self.prune_mask {
            self.var.set(&masked(&self.var.as_detached_tensor(), mask)?)?;
        }
        Ok(())
    }

    /// How many elements are not zero.
    ///
    /// # Errors
    /// [`TensorError::Candle`] where the device fails.
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

/// `x` where `mask` is 1, else zero (also for infinities and NaN, which a product would keep).
fn masked(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let keep = mask.ne(0.0_f32)?;
    Ok(keep.where_cond(x, &x.zeros_like()?)?)
}

/// The parameters of a model in the order in which they were added, found by name.
#[derive(Debug, Clone, Default)]
pub struct Params {
    list: Vec<Param>,
    places: BTreeMap<String, usize>,
}

impl Params {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `param` at the end.
    ///
    /// # Errors
    /// [`TensorError::DuplicateParam`] where its name is taken.
    pub fn insert(&mut self, param: Param) -> Result<()> {
        if self.places.contains_key(param.name()) {
            return Err(TensorError::DuplicateParam { name: param.name().to_owned() });
        }
        self.places.insert(param.name().to_owned(), self.list.len());
        self.list.push(param);
        Ok(())
    }

    /// The parameter of this name, if there is one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Param> {
        self.places.get(name).and_then(|&i| self.list.get(i))
    }

    /// The parameter of this name.
    ///
    /// # Errors
    /// [`TensorError::UnknownParam`] where there is none.
    pub fn get(&self, name: &str) -> Result<&Param> {
        self.find(name).ok_or_else(|| self.unknown(name))
    }

    /// The parameter of this name, to set its masks.
    ///
    /// # Errors
    /// [`TensorError::UnknownParam`] where there is none.
    pub fn get_mut(&mut self, name: &str) -> Result<&mut Param> {
        match self.places.get(name) {
            Some(&i) => Ok(&mut self.list[i]),
            None => Err(self.unknown(name)),
        }
    }

    /// Gives the parameter of this name new values.
    ///
    /// # Errors
    /// [`TensorError::UnknownParam`], or as [`Param::set`].
    pub fn set(&self, name: &str, value: &Tensor) -> Result<()> {
        self.get(name)?.set(value)
    }

    /// All, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Param> {
        self.list.iter()
    }

    /// All, in order, to set their masks.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Param> {
        self.list.iter_mut()
    }

    /// Those that an optimizer should update now.
    pub fn updatable(&self) -> impl Iterator<Item = &Param> {
        self.list.iter().filter(|p| p.takes_updates())
    }

    /// How many parameters (tensors) there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many elements all parameters have.
    #[must_use]
    pub fn element_count(&self) -> usize {
        self.list.iter().map(Param::len).sum()
    }

    /// How many elements the trainable parameters have, frozen or not.
    #[must_use]
    pub fn trainable_count(&self) -> usize {
        self.list.iter().filter(|p| p.is_trainable()).map(Param::len).sum()
    }

    /// How many elements are not zero.
    ///
    /// # Errors
    /// [`TensorError::Candle`] where the device fails.
    pub fn nonzeros(&self) -> Result<usize> {
        self.list.iter().map(Param::nonzeros).sum()
    }

    /// Sets all pruned elements to zero.
    ///
    /// # Errors
    /// [`TensorError::Candle`] where the device fails.
    pub fn apply_masks(&self) -> Result<()> {
        self.list.iter().try_for_each(Param::apply_mask)
    }

    /// A copy on `device`, with variables of its own; masks and flags stay.
    ///
    /// # Errors
    /// [`TensorError::Candle`] where the device fails.
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
        Ok(Self { list: list?, places: self.places.clone() })
    }

    /// A copy of all values by name, detached from the variables: what a checkpoint stores.
    ///
    /// # Errors
    /// [`TensorError::Candle`] where the device fails.
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
