//! Coverage of axes by a set of networks, as numbers and as a plot.

use std::fmt::Write;

use serde::Serialize;
use tinsmith_network::ModelSpec;
use tinsmith_study::design::{SOBOL_DIMENSIONS, sobol};

use crate::chain_space::{ChainAxis, SampledPoints};
use crate::record::CostLine;

/// Histogram bins of an axis without listed values.
const BINS: usize = 20;
/// Upper limit of the coordinates compared for the joint fill distance: probes times points times axes.
const WORK: usize = 100_000_000;
const MOST_PROBES: usize = 4096;
/// Maximum number of points compared pairwise for the joint separation distance.
const MOST_PAIRED: usize = 4096;

/// An axis of the covered space.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoverageAxis {
    /// Name.
    pub name: String,
    /// Smallest value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
    /// Values that points can have, ascending; empty if there are too many to list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<f64>,
    /// Measures joint distances in the logarithm, as suits sizes with multiplicative steps.
    pub is_log: bool,
}

impl CoverageAxis {
    /// Creates an axis of listed values, ascending.
    #[must_use]
    pub fn listed(name: impl Into<String>, values: &[f64], is_log: bool) -> Self {
        let low = values.first().copied().unwrap_or(0.0);
        let high = values.last().copied().unwrap_or(0.0);
        let is_log = is_log && low > 0.0;
        Self { name: name.into(), low, high, values: values.to_vec(), is_log }
    }

    /// Creates an axis from the smallest to the largest value found.
    #[must_use]
    pub fn found(name: impl Into<String>, found: impl IntoIterator<Item = f64>, is_log: bool) -> Self {
        let (low, high) =
            found.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        let (low, high) = if low > high { (0.0, 0.0) } else { (low, high) };
        Self { name: name.into(), low, high, values: Vec::new(), is_log: is_log && low > 0.0 }
    }

    /// Maps a value to [0, 1], linearly or logarithmically.
    fn place(&self, x: f64, is_log: bool) -> f64 {
        let scale = |x: f64| if is_log { libm::log2(x) } else { x };
        let (low, high) = (scale(self.low), scale(self.high));
        if high > low { (scale(x) - low) / (high - low) } else { 0.5 }
    }
}

/// Distances of points in [0, 1] or in the unit cube, in the maximum norm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distances {
    /// Largest distance of any location to its nearest point.
    pub fill: f64,
    /// Smallest distance between two distinct points; 0 if there are fewer than two.
    pub separation: f64,
}

/// Coverage of one axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AxisCoverage {
    /// The axis.
    pub axis: CoverageAxis,
    /// Number of points per value, or in 20 equal bins of the axis (of its logarithm, if `is_log`).
    pub histogram: Vec<u64>,
    /// Distances on the linear scale.
    pub linear: Distances,
    /// Distances on the logarithmic scale; absent if the axis reaches 0 or below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log2: Option<Distances>,
}

/// Coverage of axes by a set of points.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// Number of points.
    pub points: usize,
    /// Number of distinct points.
    pub distinct: usize,
    /// Coverage of each axis.
    pub axes: Vec<AxisCoverage>,
    /// Joint distances over all axes. The fill distance is the largest one found at `probes` points of a Sobol sequence,
    /// hence a lower bound; the separation distance considers the first 4096 distinct points.
    pub joint: Distances,
    /// Axis that determines the joint fill distance.
    pub bottleneck: Option<String>,
    /// Number of locations probed for the joint fill distance.
    pub probes: usize,
}

impl Coverage {
    /// Computes the coverage of `points`, each with a coordinate per axis. Missing coordinates count as the smallest value.
    #[must_use]
    pub fn of(axes: &[CoverageAxis], points: &[Vec<f64>]) -> Self {
        let coordinate = |point: &[f64], i: usize| point.get(i).copied().unwrap_or(axes[i].low);
        let unit = |point: &Vec<f64>| -> Vec<f64> {
            axes.iter().enumerate().map(|(i, a)| a.place(coordinate(point, i), a.is_log)).collect()
        };
        let mut places: Vec<Vec<f64>> = points.iter().map(unit).collect();
        places.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        places.dedup();
        let covered = axes.iter().enumerate().map(|(i, axis)| {
            let column: Vec<f64> = points.iter().map(|p| coordinate(p, i)).collect();
            axis_coverage(axis, &column)
        });
        let (fill, bottleneck, probes) = joint_fill(axes.len(), &places);
        Self {
            points: points.len(),
            distinct: places.len(),
            axes: covered.collect(),
            joint: Distances { fill, separation: joint_separation(&places) },
            bottleneck: bottleneck.map(|i| axes[i].name.clone()),
            probes,
        }
    }

    /// Computes the coverage of a chain space's axes by sampled points.
    #[must_use]
    pub fn of_points(realized: &SampledPoints) -> Self {
        let axes: Vec<CoverageAxis> = realized
            .axes
            .iter()
            .map(|axis| {
                let values: Vec<f64> = axis.values.iter().map(|&v| v as f64).collect();
                let is_size = axis.name.ends_with("size") || axis.name.starts_with("input");
                CoverageAxis::listed(&axis.name, &values, is_size)
            })
            .collect();
        let value =
            |(axis, &place): (&ChainAxis, &usize)| axis.values.get(place).map_or(f64::NAN, |&v| v as f64);
        let points: Vec<Vec<f64>> = realized
            .points
            .iter()
            .map(|point| realized.axes.iter().zip(point).map(value).collect())
            .collect();
        Self::of(&axes, &points)
    }

    /// Computes the coverage of networks over weight layers, parameters, MACs, flash and RAM bytes. Each axis spans the
    /// values found.
    #[must_use]
    pub fn of_networks<'a>(networks: impl IntoIterator<Item = (&'a ModelSpec, CostLine)>) -> Self {
        let points: Vec<Vec<f64>> = networks
            .into_iter()
            .map(|(spec, cost)| {
                let layers =
                    spec.layers.iter().filter(|l| crate::weight_layer::is_weight_layer(&l.op)).count();
                vec![layers as f64, cost.params as f64, cost.macs as f64, cost.flash as f64, cost.ram as f64]
            })
            .collect();
        let names = [("layers", false), ("params", true), ("macs", true), ("flash", true), ("ram", true)];
        let axes: Vec<CoverageAxis> = names
            .into_iter()
            .enumerate()
            .map(|(i, (name, is_log))| CoverageAxis::found(name, points.iter().map(|p| p[i]), is_log))
            .collect();
        Self::of(&axes, &points)
    }

    /// Renders the marginal histograms as SVG.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let (width, height, gap) = (240, 90, 50);
        let total = (height + gap) * self.axes.len() + 10;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {total}\" font-family=\"sans-serif\" font-size=\"10\">\n",
            width + 40
        );
        for (i, axis) in self.axes.iter().enumerate() {
            let top = i * (height + gap) + 20;
            let most = axis.histogram.iter().copied().max().unwrap_or(0).max(1);
            let bars = axis.histogram.len().max(1);
            let step = width as f64 / bars as f64;
            let d = &axis.linear;
            // Writing to a string cannot fail.
            let _ = writeln!(
                svg,
                "<text x=\"20\" y=\"{}\">{} (fill {:.3}, separation {:.3})</text>",
                top - 5,
                escape(&axis.axis.name),
                d.fill,
                d.separation
            );
            for (k, &n) in axis.histogram.iter().enumerate() {
                let bar = height as f64 * n as f64 / most as f64;
                let (x, y) = (20.0 + k as f64 * step, (top + height) as f64 - bar);
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{bar:.1}\" fill=\"#4878a8\"><title>{n}</title></rect>",
                    step * 0.9
                );
            }
            let _ = writeln!(
                svg,
                "<text x=\"20\" y=\"{0}\">{1}</text><text x=\"{2}\" y=\"{0}\" text-anchor=\"end\">{3}</text>",
                top + height + 12,
                axis.axis.low,
                20 + width,
                axis.axis.high
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn axis_coverage(axis: &CoverageAxis, column: &[f64]) -> AxisCoverage {
    let histogram = if axis.values.is_empty() {
        let mut bars = vec![0; BINS];
        for &x in column {
            bars[((axis.place(x, axis.is_log) * BINS as f64) as usize).min(BINS - 1)] += 1;
        }
        bars
    } else {
        axis.values.iter().map(|v| column.iter().filter(|x| *x == v).count() as u64).collect()
    };
    let distances = |is_log: bool| {
        let mut places: Vec<f64> = column.iter().map(|&x| axis.place(x, is_log)).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        along(&places)
    };
    AxisCoverage {
        axis: axis.clone(),
        histogram,
        linear: distances(false),
        log2: (axis.low > 0.0).then(|| distances(true)),
    }
}

/// Returns the distances of distinct values in [0, 1], ascending.
fn along(places: &[f64]) -> Distances {
    let (Some(first), Some(last)) = (places.first(), places.last()) else {
        return Distances { fill: 1.0, separation: 0.0 };
    };
    let gaps = || places.windows(2).map(|pair| pair[1] - pair[0]);
    let widest = gaps().fold(0.0, f64::max);
    let narrowest = gaps().fold(f64::INFINITY, f64::min);
    Distances {
        fill: (widest / 2.0).max(*first).max(1.0 - last),
        separation: if narrowest.is_finite() { narrowest } else { 0.0 },
    }
}

/// Returns the largest distance of a probe to its nearest point, the axis of that distance, and the number of probes.
fn joint_fill(axes: usize, places: &[Vec<f64>]) -> (f64, Option<usize>, usize) {
    let dimensions = axes.min(SOBOL_DIMENSIONS);
    let probes = (WORK / (places.len() * axes).max(1)).clamp(64, MOST_PROBES);
    // The sequence has a limited number of dimensions; axes beyond them are probed at their center.
    let probes = sobol(probes, dimensions, None).expect("invariant: dimensions are capped");
    let mut worst = (0.0, None);
    for probe in &probes {
        let difference = |place: &Vec<f64>, i: usize| (place[i] - probe.get(i).copied().unwrap_or(0.5)).abs();
        let distance = |place: &Vec<f64>| (0..axes).map(|i| difference(place, i)).fold(0.0, f64::max);
        let nearest = places.iter().map(|p| (distance(p), p)).min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((far, place)) = nearest else { return (1.0, None, probes.len()) };
        if far > worst.0 {
            let axis = (0..axes).max_by(|&i, &k| difference(place, i).total_cmp(&difference(place, k)));
            worst = (far, axis);
        }
    }
    (worst.0, worst.1, probes.len())
}

fn joint_separation(places: &[Vec<f64>]) -> f64 {
    let places = &places[..places.len().min(MOST_PAIRED)];
    let mut least = f64::INFINITY;
    for (i, a) in places.iter().enumerate() {
        for b in &places[i + 1..] {
            // Sorted by the first coordinate: no later point is nearer.
            if a.first().zip(b.first()).is_some_and(|(a, b)| b - a > least) {
                break;
            }
            least = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max).min(least);
        }
    }
    if least.is_finite() { least } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_along_an_axis_are_exact() {
        let d = along(&[0.1, 0.2, 0.6]);
        assert!((d.fill - 0.4).abs() < 1e-12 && (d.separation - 0.1).abs() < 1e-12);
        assert_eq!(along(&[0.5]), Distances { fill: 0.5, separation: 0.0 });
        assert_eq!(along(&[]), Distances { fill: 1.0, separation: 0.0 });
    }

    #[test]
    fn a_full_grid_is_covered_evenly_and_a_corner_is_not() {
        let axes = [("a", [0.0, 1.0, 2.0]), ("b", [0.0, 2.0, 4.0])]
            .map(|(name, values)| CoverageAxis::listed(name, &values, false));
        let grid: Vec<Vec<f64>> = (0..9).map(|i| vec![f64::from(i / 3), f64::from(i % 3) * 2.0]).collect();
        let full = Coverage::of(&axes, &grid);
        assert!(full.joint.fill <= 0.25 && full.joint.fill > 0.24, "{}", full.joint.fill);
        assert!((full.joint.separation - 0.5).abs() < 1e-12);
        assert_eq!(full.axes[0].histogram, [3, 3, 3]);
        let corner = Coverage::of(&axes, &[vec![0.0, 0.0], vec![0.0, 4.0], vec![0.0, 0.0]]);
        assert_eq!((corner.points, corner.distinct), (3, 2));
        assert_eq!(corner.axes[0].histogram, [3, 0, 0]);
        assert_eq!(corner.axes[0].linear.fill, 1.0);
        assert!(corner.joint.fill > 0.99, "{}", corner.joint.fill);
        assert_eq!(corner.bottleneck.as_deref(), Some("a"));
    }
}
