//! Batches in an order that depends on seed and epoch alone, gathered into reused buffers, on request by a thread that
//! works ahead.

use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use tinsmith_foundation::Seed;

use crate::augment::{Augment, beta, row_rng};
use crate::dataset::{Dataset, Targets};
use crate::error::{DataError, Result};

/// Samples and targets of one training step; valid until the next batch is requested.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The samples, `[len, sample shape…]`.
    pub samples: &'a [f32],
    /// Classes, `[len]`; empty if the targets are no classes. With mix-up, the classes before mixing; `targets` holds the
    /// mixed ones.
    pub labels: &'a [u32],
    /// `[len, target shape…]`: target arrays, samples before augmentation, or with mix-up class probabilities; empty if
    /// `labels` are the targets.
    pub targets: &'a [f32],
    /// Row numbers within the data set.
    pub rows: &'a [usize],
    /// Number of samples; the last batch of an epoch may have fewer than the others.
    pub len: usize,
}

/// The batches of one epoch. Not an [`Iterator`], since all batches borrow the same buffers.
#[derive(Debug)]
pub struct Batches {
    maker: Maker,
    ahead: Option<Ahead>,
    current: Buffers,
}

/// State from which batches are made one after another.
#[derive(Debug)]
struct Maker {
    data: Dataset,
    augment: Augment,
    epoch: Seed,
    size: usize,
    rows: usize,
    order: Option<Vec<usize>>,
    /// Number of the pass over the rows that `order` is for; an epoch of more rows than the data set has several.
    pass: u64,
    next: usize,
}

/// A thread that makes batches before they are requested.
#[derive(Debug)]
struct Ahead {
    made: Receiver<Buffers>,
    used: Sender<Buffers>,
}

#[derive(Debug, Default)]
struct Buffers {
    samples: Vec<f32>,
    labels: Vec<u32>,
    targets: Vec<f32>,
    rows: Vec<usize>,
    scratch: Vec<f32>,
}

impl Dataset {
    /// Returns the batches of epoch number `epoch`, shuffled by `seed.derive("epoch", epoch)`; the last may be smaller.
    ///
    /// ```
    /// use tinsmith_data::{Augment, load};
    /// use tinsmith_foundation::Seed;
    /// # fn main() -> tinsmith_data::Result<()> {
    /// let digits = load("digits8x8")?;
    /// let mut seen = 0;
    /// let mut batches = digits.train.batches(64, Seed::new(1), 0, &Augment::default())?;
    /// while let Some(batch) = batches.next_batch() {
    ///     assert_eq!(batch.samples.len(), batch.len * 64);
    ///     assert_eq!(batch.labels.len(), batch.len);
    ///     seen += batch.len;
    /// }
    /// assert_eq!(seen, 1437);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DataError::Impossible`] for a size of 0; as [`Augment::fits`] for augmentation that the samples do not allow.
    pub fn batches(&self, size: usize, seed: Seed, epoch: u64, augment: &Augment) -> Result<Batches> {
        augment.fits(self.sample_shape())?;
        let epoch = seed.derive("epoch", epoch);
        let order = epoch.derive("order", 0).rng().permutation(self.len());
        Batches::new(self, size, epoch, Some(order), *augment)
    }

    /// Returns all rows in their order and without augmentation, for evaluation.
    ///
    /// # Errors
    /// [`DataError::Impossible`] for a size of 0.
    pub fn ordered_batches(&self, size: usize) -> Result<Batches> {
        Batches::new(self, size, Seed::new(0), None, Augment::default())
    }
}

impl Batches {
    fn new(
        data: &Dataset,
        size: usize,
        epoch: Seed,
        order: Option<Vec<usize>>,
        augment: Augment,
    ) -> Result<Self> {
        if size == 0 {
            let reason = "a batch of 0 rows requested, want at least 1".to_owned();
            return Err(DataError::Impossible { operation: "make batches", reason });
        }
        let maker =
            Maker { data: data.clone(), augment, epoch, size, rows: data.len(), order, pass: 0, next: 0 };
        Ok(Self { maker, ahead: None, current: Buffers::default() })
    }

    /// Leaves out a last batch that is not full.
    #[must_use]
    pub const fn drop_last(mut self) -> Self {
        self.maker.rows -= self.maker.rows % self.maker.size;
        self
    }

    /// Limits the epoch to `rows` rows of its order, another random subset of a shuffled data set in each epoch. More rows
    /// than the data set has are drawn in several passes, each in an order of its own; 0 means one pass over all rows.
    #[must_use]
    pub fn taking(mut self, rows: usize) -> Self {
        if rows > 0 {
            self.maker.rows = if self.maker.data.is_empty() { 0 } else { rows };
        }
        self
    }

    /// Starts at batch number `batch` without making the batches before it; resumes a run within an epoch.
    #[must_use]
    pub fn starting_at(mut self, batch: usize) -> Self {
        self.maker.next = batch.saturating_mul(self.maker.size).min(self.maker.rows);
        self
    }

    /// Makes the same batches on a separate thread, up to `depth` (at least 1) ahead of the consumer, for batches that are
    /// slow to make. The thread ends with the epoch, or when this is dropped. Call this after the methods above.
    #[must_use]
    pub fn prefetched(mut self, depth: usize) -> Self {
        let depth = depth.max(1);
        let (send, made) = sync_channel(depth);
        // The buffers circulate: `depth` are ready, one is being filled, one is in use. So the thread never allocates and
        // stops when it is `depth` batches ahead.
        let (used, free) = circulating_buffers(depth + 2);
        let mut maker = self.maker.continued();
        let work = move || {
            while let Ok(mut buffers) = free.recv() {
                if !maker.fill(&mut buffers) || send.send(buffers).is_err() {
                    break;
                }
            }
        };
        // If the system refuses a thread, `next_batch` makes the batches itself.
        if std::thread::Builder::new().name("batches".to_owned()).spawn(work).is_ok() {
            self.ahead = Some(Ahead { made, used });
        }
        self
    }

    /// Number of rows of the whole epoch.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.maker.rows
    }

    /// Number of batches of the whole epoch.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.maker.rows.div_ceil(self.maker.size)
    }

    /// Returns the next batch, or `None` at the end of the epoch.
    pub fn next_batch(&mut self) -> Option<Batch<'_>> {
        match &self.ahead {
            Some(ahead) => {
                // The thread ends after the last batch and closes the channel.
                let buffers = ahead.made.recv().ok()?;
                // An error means that the thread has ended and needs no more buffers.
                let _ = ahead.used.send(std::mem::replace(&mut self.current, buffers));
            }
            None if !self.maker.fill(&mut self.current) => return None,
            None => {}
        }
        let buffers = &self.current;
        Some(Batch {
            samples: &buffers.samples,
            labels: &buffers.labels,
            targets: &buffers.targets,
            rows: &buffers.rows,
            len: buffers.rows.len(),
        })
    }
}

/// A channel that holds `count` empty buffers.
fn circulating_buffers(count: usize) -> (Sender<Buffers>, Receiver<Buffers>) {
    let (used, free) = channel();
    for _ in 0..count {
        used.send(Buffers::default()).expect("invariant: this function holds the receiver");
    }
    (used, free)
}

impl Maker {
    /// Moves the state to another owner, at the same position.
    fn continued(&mut self) -> Self {
        Self { data: self.data.clone(), order: self.order.take(), ..*self }
    }

    fn seed_of_pass(&self) -> Seed {
        if self.pass == 0 { self.epoch } else { self.epoch.derive("pass", self.pass) }
    }

    /// Makes the next batch; false at the end of the epoch.
    fn fill(&mut self, buffers: &mut Buffers) -> bool {
        if self.next >= self.rows {
            return false;
        }
        let end = self.next.saturating_add(self.size).min(self.rows);
        buffers.samples.clear();
        buffers.labels.clear();
        buffers.targets.clear();
        buffers.rows.clear();
        let len = self.data.len();
        for place in self.next..end {
            let (pass, place) = ((place / len) as u64, place % len);
            if pass != self.pass {
                self.pass = pass;
                // The first pass keeps the seed of the epoch; later ones derive theirs from it.
                let seed = self.seed_of_pass();
                self.order = self.order.take().map(|_| seed.derive("order", 0).rng().permutation(len));
            }
            let row = self.order.as_ref().map_or(place, |order| order[place]);
            buffers.gather(&self.data, &self.augment, self.seed_of_pass(), row);
        }
        self.next = end;
        true
    }
}

impl Buffers {
    fn gather(&mut self, data: &Dataset, augment: &Augment, epoch: Seed, row: usize) {
        self.rows.push(row);
        let (start, target) = (self.samples.len(), self.targets.len());
        self.samples.extend_from_slice(data.sample(row));
        if let Some(&label) = data.labels().and_then(|labels| labels.get(row)) {
            self.labels.push(label);
            if augment.mix_up > 0.0 {
                push_one_hot(&mut self.targets, label, data.class_count());
            }
        } else {
            self.targets.extend_from_slice(data.target(row));
        }
        if augment.is_off() {
            return;
        }
        let mut rng = row_rng(epoch, row);
        let sample = &mut self.samples[start..];
        augment.change(sample, data.sample_shape(), &mut rng, &mut self.scratch);
        if augment.mix_up > 0.0 {
            let weight = beta(augment.mix_up, &mut rng) as f32;
            let other = rng.index(data.len());
            // The partner is augmented too, with draws that continue those of this row.
            let mut partner = data.sample(other).to_vec();
            augment.change(&mut partner, data.sample_shape(), &mut rng, &mut self.scratch);
            blend(sample, &partner, weight);
            let targets = &mut self.targets[target..];
            match data.targets() {
                Targets::Labels { labels, .. } => {
                    targets.iter_mut().for_each(|t| *t *= weight);
                    targets[labels[other] as usize] += 1.0 - weight;
                }
                Targets::Arrays { .. } | Targets::Samples => blend(targets, data.target(other), weight),
            }
        }
    }
}

fn blend(values: &mut [f32], other: &[f32], weight: f32) {
    values.iter_mut().zip(other).for_each(|(x, y)| *x = weight * *x + (1.0 - weight) * y);
}

fn push_one_hot(out: &mut Vec<f32>, label: u32, classes: usize) {
    let start = out.len();
    out.resize(start + classes, 0.0);
    out[start + label as usize] = 1.0;
}

/// Encodes classes as one-hot rows, `[len, classes]`.
///
/// # Errors
/// [`DataError::Class`] for a label that is not below `classes`.
pub fn one_hot(labels: &[u32], classes: usize) -> Result<Vec<f32>> {
    let mut out = Vec::with_capacity(labels.len() * classes);
    for (row, &label) in labels.iter().enumerate() {
        if label as usize >= classes {
            return Err(DataError::Class { what: format!("label of row {row}"), label, classes });
        }
        push_one_hot(&mut out, label, classes);
    }
    Ok(out)
}
