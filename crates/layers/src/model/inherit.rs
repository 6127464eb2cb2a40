//! Weights carried over from another network.

use candle_core::Tensor;
use tinsmith_core_tensor::Param;

use super::Model;
use crate::error::Result;

/// What one parameter took from its namesake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inherited {
    /// All of it: the shapes were equal.
    Whole,
    /// The part that both have, from the origin on: this shape. The rest keeps its own values.
    Part(Vec<usize>),
    /// Nothing: there is no namesake, or its number of axes is another.
    Nothing,
}

/// What was carried over, parameter by parameter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inheritance {
    /// Names in the order of the parameters, and what each took.
    pub params: Vec<(String, Inherited)>,
}

impl Inheritance {
    /// How many parameters took something.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.params.iter().filter(|(_, what)| *what != Inherited::Nothing).count()
    }
}

impl Model {
    /// Takes over the values of `other`'s parameters of the same names: whole where the shapes are equal, the common
    /// part (from index 0 along each axis) where one is wider or narrower. What `other` does not have keeps its
    /// initial values.
    ///
    /// # Errors
    /// [`crate::LayersError::Tensor`] and [`crate::LayersError::Candle`] where the device fails.
    pub fn inherit(&self, other: &Self) -> Result<Inheritance> {
        let mut report = Inheritance::default();
        for param in &self.params {
            let what = match other.params.find(param.name()) {
                Some(from) => take(param, from)?,
                None => Inherited::Nothing,
            };
            report.params.push((param.name().to_owned(), what));
        }
        Ok(report)
    }
}

fn take(param: &Param, from: &Param) -> Result<Inherited> {
    if param.dims() == from.dims() {
        param.set(&from.tensor().detach())?;
        return Ok(Inherited::Whole);
    }
    if param.dims().len() != from.dims().len() {
        return Ok(Inherited::Nothing);
    }
    let common: Vec<usize> = param.dims().iter().zip(from.dims()).map(|(&a, &b)| a.min(b)).collect();
    let mut values = param.values()?;
    let theirs = from.values()?;
    let count: usize = common.iter().product();
    for k in 0..count {
        let (mut rest, mut to, mut at) = (k, 0, 0);
        let (mut to_stride, mut at_stride) = (1, 1);
        for axis in (0..common.len()).rev() {
            let i = rest % common[axis];
            rest /= common[axis];
            to += i * to_stride;
            at += i * at_stride;
            to_stride *= param.dims()[axis];
            at_stride *= from.dims()[axis];
        }
        values[to] = theirs[at];
    }
    param.set(&Tensor::from_vec(values, param.dims(), param.tensor().device())?)?;
    Ok(Inherited::Part(common))
}
