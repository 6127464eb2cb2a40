//! Maps each channel of the new network to a unit of the old one.

use tinsmith_foundation::Seed;
use tinsmith_network::{Merging, Op, OpFamily, ProductKind, Role};

use super::identity;
use crate::error::Result;
use crate::layer::param_name;
use crate::model::Model;

/// Channels of a layer's output as units of the old network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Channels {
    /// Number of old units.
    pub(super) old: usize,
    /// Old unit of each channel, with its fraction of the old unit's contribution. The fractions of repetitions sum
    /// to 1.
    pub(super) sources: Vec<(usize, f32)>,
}

impl Channels {
    fn same(count: usize) -> Self {
        Self { old: count, sources: (0..count).map(|c| (c, 1.0)).collect() }
    }

    fn is_same(&self) -> bool {
        *self == Self::same(self.old)
    }
}

/// Channels that are chosen together because they are added up somewhere.
#[derive(Debug, Clone, Default)]
struct Group {
    /// Number of channels in the new and in the old network.
    sizes: Option<(usize, usize)>,
    /// True if the channels must stay as they are: network inputs and outputs, and channels that cannot be matched.
    is_fixed: bool,
    /// Layers that produce these channels, each with the old layer of the same name.
    makers: Vec<(usize, usize)>,
}

/// Derivation of a layer's channels from those of other layers.
#[derive(Debug, Clone)]
enum Origin {
    /// Channels of a group.
    Group(usize),
    /// Channels of layer `of`, repeated once per place.
    Flat { of: usize, places: usize },
    /// Channels of layer `of`, each with this many copies.
    Multiplied { of: usize, copies: usize },
    /// Channels of several layers, concatenated.
    Joined(Vec<usize>),
    /// As many as layer `of` has, if those are unchanged.
    Shuffled { of: usize },
    /// New channels without a counterpart.
    Unknown,
}

/// The channels of all layers.
#[derive(Debug)]
pub(super) struct Routes {
    channels: Vec<Option<Channels>>,
    identities: Vec<bool>,
}

impl Routes {
    pub(super) fn new(new: &Model, old: &Model) -> Result<Self> {
        let mut draft = RouteDraft { new, old, groups: Vec::new(), parents: Vec::new() };
        let count = new.spec.layers.len();
        let mut origins = vec![Origin::Unknown; count];
        let mut identities = vec![false; count];
        for &i in &new.graph.order {
            identities[i] = namesake(new, old, i).is_none() && identity::is_possible(new, i);
            origins[i] = draft.origin(i, &origins, identities[i]);
        }
        for &output in &new.graph.outputs {
            if let Origin::Group(group) = origins[output] {
                let root = draft.root(group);
                draft.groups[root].is_fixed = true;
            }
        }
        let mut chosen = Vec::with_capacity(draft.groups.len());
        for group in 0..draft.groups.len() {
            let root = draft.root(group);
            chosen.push(if root == group { draft.choose(group)? } else { None });
        }
        let mut channels: Vec<Option<Channels>> = vec![None; count];
        for &i in &new.graph.order {
            channels[i] = match &origins[i] {
                Origin::Group(group) => chosen[draft.root(*group)].clone(),
                Origin::Unknown => None,
                Origin::Flat { of, places } => channels[*of].as_ref().map(|inner| Channels {
                    old: inner.old * places,
                    sources: (0..*places)
                        .flat_map(|p| {
                            inner.sources.iter().map(move |&(c, fraction)| (p * inner.old + c, fraction))
                        })
                        .collect(),
                }),
                Origin::Multiplied { of, copies } => channels[*of].as_ref().map(|inner| Channels {
                    old: inner.old * copies,
                    sources: (inner.sources.iter())
                        .flat_map(|&(c, fraction)| (0..*copies).map(move |j| (c * copies + j, fraction)))
                        .collect(),
                }),
                Origin::Joined(parts) => {
                    let parts: Option<Vec<&Channels>> = parts.iter().map(|&k| channels[k].as_ref()).collect();
                    parts.map(|parts| {
                        let mut joined = Channels { old: 0, sources: Vec::new() };
                        for part in parts {
                            let moved = part.sources.iter().map(|&(c, fraction)| (joined.old + c, fraction));
                            joined.sources.extend(moved);
                            joined.old += part.old;
                        }
                        joined
                    })
                }
                Origin::Shuffled { of } => {
                    let is_same = channels[*of].as_ref().is_some_and(Channels::is_same);
                    let own = new.graph.shape(i).last().copied();
                    own.filter(|_| is_same).map(Channels::same)
                }
            };
        }
        Ok(Self { channels, identities })
    }

    /// Channels of a layer's output, if they can be matched.
    pub(super) fn of(&self, layer: usize) -> Option<&Channels> {
        self.channels[layer].as_ref()
    }

    /// True if a new layer starts as the identity.
    pub(super) fn is_identity(&self, layer: usize) -> bool {
        self.identities[layer]
    }
}

/// The old layer of the same name and kind.
pub(super) fn namesake(new: &Model, old: &Model, layer: usize) -> Option<usize> {
    let own = &new.spec.layers[layer];
    let found = old.spec.layers.iter().position(|l| l.name == own.name)?;
    (old.spec.layers[found].op.name() == own.op.name()).then_some(found)
}

struct RouteDraft<'a> {
    new: &'a Model,
    old: &'a Model,
    groups: Vec<Group>,
    /// Union-find parent of each group.
    parents: Vec<usize>,
}

impl RouteDraft<'_> {
    fn root(&self, mut group: usize) -> usize {
        while self.parents[group] != group {
            group = self.parents[group];
        }
        group
    }

    fn add(&mut self, group: Group) -> Origin {
        self.groups.push(group);
        self.parents.push(self.parents.len());
        Origin::Group(self.parents.len() - 1)
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return;
        }
        let other = std::mem::take(&mut self.groups[b]);
        self.parents[b] = a;
        let group = &mut self.groups[a];
        group.is_fixed |= other.is_fixed;
        group.makers.extend(other.makers);
        if group.sizes != other.sizes {
            group.sizes = None;
        }
    }

    fn origin(&mut self, i: usize, origins: &[Origin], is_identity: bool) -> Origin {
        let node = &self.new.graph.nodes[i];
        let count = node.shape.last().copied().unwrap_or_default();
        let Some(&first) = node.inputs.first() else {
            return self.add(Group { sizes: Some((count, count)), is_fixed: true, makers: Vec::new() });
        };
        let inner = self.new.graph.shape(first);
        let op = &self.new.spec.layers[i].op;
        match op.product() {
            Some(product) if product.kind == ProductKind::Depthwise && product.depth_multiplier != 1 => {
                return Origin::Multiplied { of: first, copies: product.depth_multiplier };
            }
            Some(product) if product.kind == ProductKind::Depthwise => {}
            Some(product) => {
                return match namesake(self.new, self.old, i) {
                    Some(old) => {
                        let before = self.old.graph.shape(old).last().copied().unwrap_or_default();
                        let is_fixed = product.groups > 1;
                        self.add(Group { sizes: Some((count, before)), is_fixed, makers: vec![(i, old)] })
                    }
                    None if is_identity => origins[first].clone(),
                    None => Origin::Unknown,
                };
            }
            None => {}
        }
        match op.merging() {
            Some(Merging::Concatenation(_)) => return Origin::Joined(node.inputs.clone()),
            Some(_) => return self.merged(&node.inputs, origins),
            None => {}
        }
        match op {
            Op::Flatten(_) => {
                let own = inner.last().copied().unwrap_or_default().max(1);
                Origin::Flat { of: first, places: inner.iter().product::<usize>() / own }
            }
            _ if op.family() == OpFamily::Reordering => Origin::Shuffled { of: first },
            _ => match origins[first] {
                Origin::Group(group) => Origin::Group(group),
                // These layers work per channel.
                Origin::Unknown => Origin::Unknown,
                _ => Origin::Flat { of: first, places: 1 },
            },
        }
    }

    /// Operands of a sum have the same units, so their groups are united.
    fn merged(&mut self, inputs: &[usize], origins: &[Origin]) -> Origin {
        let groups: Vec<Option<usize>> = inputs
            .iter()
            .map(|&k| if let Origin::Group(group) = origins[k] { Some(group) } else { None })
            .collect();
        let mut known = groups.iter().flatten().copied();
        let Some(first) = known.next() else { return Origin::Shuffled { of: inputs[0] } };
        let rest: Vec<usize> = known.collect();
        for group in rest {
            self.unite(first, group);
        }
        if groups.contains(&None) {
            let root = self.root(first);
            self.groups[root].is_fixed = true;
        }
        Origin::Group(first)
    }

    /// Chooses the old unit of each channel of a group.
    fn choose(&self, group: usize) -> Result<Option<Channels>> {
        let Group { sizes: Some((new, old)), is_fixed, makers } = &self.groups[group] else {
            return Ok(None);
        };
        let (new, old) = (*new, *old);
        if new == old {
            return Ok(Some(Channels::same(old)));
        }
        if *is_fixed || makers.is_empty() || new == 0 || old == 0 {
            return Ok(None);
        }
        if new > old {
            let name = &self.new.spec.layers[makers[0].0].name;
            return Ok(Some(repeated(old, new, Seed::new(0).derive(name, 0))));
        }
        let norms = self.norms(makers, old)?;
        let mut kept: Vec<usize> = (0..old).collect();
        kept.sort_by(|&a, &b| norms[b].total_cmp(&norms[a]).then(a.cmp(&b)));
        kept.truncate(new);
        kept.sort_unstable();
        Ok(Some(Channels { old, sources: kept.into_iter().map(|c| (c, 1.0)).collect() }))
    }

    /// Squared norm of the weights leading into each unit, over all layers that produce it.
    fn norms(&self, makers: &[(usize, usize)], count: usize) -> Result<Vec<f64>> {
        let mut norms = vec![0.0_f64; count];
        for &(_, old) in makers {
            let layer = &self.old.spec.layers[old];
            let shapes = self.old.graph.input_shapes(old);
            let weights = shapes.first().map(|input| layer.op.weights(input)).unwrap_or_default();
            // The outputs of the last kernel are the units.
            let Some(kernel) = weights.iter().rfind(|w| w.role == Role::Kernel) else { continue };
            let param = self.old.params.get(&param_name(&layer.name, kernel.name))?;
            let is_transposed = layer.op.product().is_some_and(|p| p.kind == ProductKind::Transposed);
            let inner = if is_transposed { param.dims().last().copied().unwrap_or(1) } else { 1 };
            for (k, value) in param.values()?.into_iter().enumerate() {
                norms[k / inner.max(1) % count] += f64::from(value) * f64::from(value);
            }
        }
        Ok(norms)
    }
}

/// Maps `new` channels to `old` units: each once, then repetitions with uneven fractions.
fn repeated(old: usize, new: usize, seed: Seed) -> Channels {
    let mut rng = seed.rng();
    let mut index: Vec<usize> = (0..old).collect();
    // Whole rounds over all units in random order, so that no unit is repeated much more often than another.
    while index.len() < new {
        let round = rng.permutation(old);
        index.extend(round.into_iter().take(new - index.len()));
    }
    // Uneven fractions break the symmetry: copies with equal outgoing weights would get equal gradients for ever.
    let weights: Vec<f64> = index.iter().map(|_| rng.uniform_in(0.8, 1.2)).collect();
    let mut sums = vec![0.0; old];
    index.iter().zip(&weights).for_each(|(&c, weight)| sums[c] += weight);
    let fraction = |(&c, weight): (&usize, &f64)| (c, (weight / sums[c]) as f32);
    let mut sources: Vec<(usize, f32)> = index.iter().zip(&weights).map(fraction).collect();
    for source in &mut sources {
        if index.iter().filter(|&&c| c == source.0).count() == 1 {
            source.1 = 1.0;
        }
    }
    Channels { old, sources }
}
