//! Points with several objectives: dominance, fronts, crowding, hypervolume. All objectives are minimized;
//! negate those to maximize (as [`crate::History::losses`] does).
//!
//! Sources: K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002
//! (non-dominated sort, crowding distance, constrained dominance); L. While et al., "A faster algorithm for
//! calculating hypervolume", 2006 (hypervolume by slicing objectives).

use std::cmp::Ordering;

/// Returns true if `a` is nowhere worse than `b` and better in at least one objective. Points of different
/// lengths and points with NaN dominate nothing.
#[must_use]
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x <= y) && a.iter().zip(b).any(|(x, y)| x < y)
}

/// Sorts points into fronts: the first is not dominated by any point, the second only by the first, and so
/// on. Indices are in ascending order within a front.
///
/// ```
/// let points = [vec![1.0, 4.0], vec![2.0, 2.0], vec![3.0, 3.0]];
/// assert_eq!(tinsmith_study::pareto::fronts(&points), [vec![0, 1], vec![2]]);
/// ```
#[must_use]
pub fn fronts(points: &[Vec<f64>]) -> Vec<Vec<usize>> {
    if points.iter().all(|p| p.len() == 2 && p.iter().all(|x| !x.is_nan())) {
        return fronts_of_two(points);
    }
    layers(points.len(), |a, b| dominates(&points[a], &points[b]))
}

/// Sorts constrained points into [`fronts`]. Each point has a violation (0 if feasible): a smaller violation
/// dominates a greater one, and equal ones compare by objectives.
#[must_use]
pub fn constrained_fronts(points: &[Vec<f64>], violations: &[f64]) -> Vec<Vec<usize>> {
    let violation = |i: usize| violations.get(i).copied().unwrap_or(0.0);
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| violation(a).total_cmp(&violation(b)).then(a.cmp(&b)));
    let mut all = Vec::new();
    for group in order.chunk_by(|&a, &b| violation(a).total_cmp(&violation(b)).is_eq()) {
        let members: Vec<Vec<f64>> = group.iter().map(|&i| points[i].clone()).collect();
        all.extend(fronts(&members).into_iter().map(|front| front.into_iter().map(|i| group[i]).collect()));
    }
    all
}

/// Computes [`fronts`] of two objectives in n log n. In the order of the first objective, a point belongs to
/// the first front whose last member does not dominate it; the second objectives of the last members descend
/// from front to front, which allows a binary search.
fn fronts_of_two(points: &[Vec<f64>]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| points[a].partial_cmp(&points[b]).unwrap_or(Ordering::Equal).then(a.cmp(&b)));
    let mut fronts: Vec<Vec<usize>> = Vec::new();
    for i in order {
        let place =
            fronts.partition_point(|front| front.last().is_some_and(|&j| dominates(&points[j], &points[i])));
        match fronts.get_mut(place) {
            Some(front) => front.push(i),
            None => fronts.push(vec![i]),
        }
    }
    for front in &mut fronts {
        front.sort_unstable();
    }
    fronts
}

fn layers(count: usize, dominates: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut above = vec![0_usize; count];
    for a in 0..count {
        for b in a + 1..count {
            if dominates(a, b) {
                below[a].push(b);
                above[b] += 1;
            } else if dominates(b, a) {
                below[b].push(a);
                above[a] += 1;
            }
        }
    }
    let mut fronts = Vec::new();
    let mut front: Vec<usize> = (0..count).filter(|&i| above[i] == 0).collect();
    while !front.is_empty() {
        let mut next = Vec::new();
        for &a in &front {
            for &b in &below[a] {
                above[b] -= 1;
                if above[b] == 0 {
                    next.push(b);
                }
            }
        }
        next.sort_unstable();
        fronts.push(std::mem::replace(&mut front, next));
    }
    fronts
}

/// Returns the crowding distance of each point of a front: the sum over objectives of the distance between
/// its two neighbors, divided by the front's extent; infinite at both ends of any objective. In the order of
/// `front`.
#[must_use]
pub fn crowding_distance(points: &[Vec<f64>], front: &[usize]) -> Vec<f64> {
    let mut distance = vec![0.0; front.len()];
    let objectives = front.first().map_or(0, |&i| points[i].len());
    for objective in 0..objectives {
        let value = |place: usize| points.get(front[place]).map_or(f64::NAN, |p| p[objective]);
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)).then(a.cmp(&b)));
        let (Some(&first), Some(&last)) = (order.first(), order.last()) else { continue };
        distance[first] = f64::INFINITY;
        distance[last] = f64::INFINITY;
        let width = value(last) - value(first);
        if width > 0.0 {
            for three in order.windows(3) {
                distance[three[1]] += (value(three[2]) - value(three[0])) / width;
            }
        }
    }
    distance
}

/// Returns all points from best to worst: by violation, then front, then descending crowding distance, then
/// index. With one objective, by violation, value and index.
#[must_use]
pub fn ranking(points: &[Vec<f64>], violations: &[f64]) -> Vec<usize> {
    if points.iter().all(|p| p.len() == 1) {
        let violation = |i: usize| violations.get(i).copied().unwrap_or(0.0);
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|&a, &b| {
            let by_value = points[a][0].total_cmp(&points[b][0]);
            violation(a).total_cmp(&violation(b)).then(by_value).then(a.cmp(&b))
        });
        return order;
    }
    let mut order = Vec::with_capacity(points.len());
    for front in constrained_fronts(points, violations) {
        let distance = crowding_distance(points, &front);
        let mut places: Vec<usize> = (0..front.len()).collect();
        places.sort_by(|&a, &b| distance[b].total_cmp(&distance[a]).then(a.cmp(&b)));
        order.extend(places.into_iter().map(|p| front[p]));
    }
    order
}

/// Returns the volume that `points` dominate up to `reference`; exact for any number of objectives. Points
/// that do not dominate the reference add nothing. Time grows as n^(objectives - 1).
///
/// ```
/// let area = tinsmith_study::pareto::hypervolume(&[vec![1.0, 2.0], vec![2.0, 1.0]], &[3.0, 3.0]);
/// assert_eq!(area, 3.0);
/// ```
#[must_use]
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let inside: Vec<&[f64]> = points
        .iter()
        .map(Vec::as_slice)
        .filter(|p| p.len() == reference.len() && p.iter().zip(reference).all(|(x, r)| x < r))
        .collect();
    volume(inside, reference)
}

fn volume(mut points: Vec<&[f64]>, reference: &[f64]) -> f64 {
    let Some((&limit, lower)) = reference.split_last() else { return 0.0 };
    if lower.is_empty() {
        let best = points.iter().map(|p| p[0]).fold(limit, f64::min);
        return limit - best;
    }
    let last = lower.len();
    points.sort_by(|a, b| a[last].total_cmp(&b[last]));
    if last == 1 {
        let (mut area, mut best) = (0.0, lower[0]);
        for point in points.iter().filter(|p| p[1] < limit) {
            if point[0] < best {
                area += (best - point[0]) * (limit - point[1]);
                best = point[0];
            }
        }
        return area;
    }
    let mut total = 0.0;
    for i in 0..points.len() {
        let top = points.get(i + 1).map_or(limit, |next| next[last]);
        let depth = top - points[i][last];
        if depth > 0.0 {
            total += depth * volume(points[..=i].to_vec(), lower);
        }
    }
    total
}
