//! Where the boxes of a network are, and on which ways its connections go.

use tinsmith_network::Graph;

pub(super) const BOX_WIDTH: f64 = 336.0;
const TALL: f64 = 52.0;
const SLIM: f64 = 28.0;
const ROW_GAP: f64 = 20.0;
const COLUMN_GAP: f64 = 28.0;
const LANE: f64 = 14.0;
/// Lanes side by side; where more are wanted they share, since nobody could follow that many.
const MOST_LANES: f64 = 24.0;

/// Where a box is, from the corner of the drawing's inner part.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    row: usize,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) height: f64,
}

impl Place {
    pub(super) fn middle(&self) -> f64 {
        self.x + BOX_WIDTH / 2.0
    }
}

/// A connection; `around` is the vertical line on which it passes the layers that it jumps over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) around: Option<f64>,
}

/// Where everything is.
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    pub(super) edges: Vec<Edge>,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Layout {
    pub(super) fn of(graph: &Graph, is_slim: impl Fn(usize) -> bool) -> Self {
        let mut places = vec![Place::default(); graph.nodes.len()];
        let mut rows: Vec<Vec<usize>> = Vec::new();
        for &i in &graph.order {
            let row = graph.nodes[i].inputs.iter().map(|&k| places[k].row + 1).max().unwrap_or(0);
            places[i].row = row;
            places[i].height = if is_slim(i) { SLIM } else { TALL };
            if rows.len() <= row {
                rows.resize(row + 1, Vec::new());
            }
            rows[row].push(i);
        }
        let mut y = 0.0;
        for row in &mut rows {
            // Each layer as near as may be below those that feed it.
            let wish = |i: usize| {
                let inputs = &graph.nodes[i].inputs;
                let sum: f64 = inputs.iter().map(|&k| places[k].x).sum();
                sum / inputs.len().max(1) as f64
            };
            row.sort_by(|&a, &b| wish(a).total_cmp(&wish(b)).then(a.cmp(&b)));
            let step = BOX_WIDTH + COLUMN_GAP;
            let start = -(row.len() as f64 * step - COLUMN_GAP) / 2.0;
            let tallest = row.iter().map(|&i| places[i].height).fold(0.0, f64::max);
            for (column, &i) in row.iter().enumerate() {
                places[i].x = start + column as f64 * step;
                places[i].y = y + (tallest - places[i].height) / 2.0;
            }
            y += tallest + ROW_GAP;
        }
        let mut layout = Self { places, edges: Vec::new(), width: 0.0, height: y - ROW_GAP };
        layout.route(graph, &rows);
        layout.shift_to_origin();
        layout
    }

    /// Gives every connection that jumps over rows a lane beside them: short ones near the boxes, long ones
    /// outside.
    fn route(&mut self, graph: &Graph, rows: &[Vec<usize>]) {
        let mut jumps = Vec::new();
        for (to, node) in graph.nodes.iter().enumerate() {
            let mut inputs = node.inputs.clone();
            inputs.sort_unstable();
            inputs.dedup();
            for from in inputs {
                if self.places[to].row == self.places[from].row + 1 {
                    self.edges.push(Edge { from, to, around: None });
                } else {
                    jumps.push((self.places[to].row - self.places[from].row, from, to));
                }
            }
        }
        jumps.sort_unstable();
        // (side, rows, distance) of the lanes that are taken.
        let mut taken: Vec<(bool, usize, usize, f64)> = Vec::new();
        for (_, from, to) in jumps {
            let (a, b) = (&self.places[from], &self.places[to]);
            let is_left = a.middle() + b.middle() < -1.0;
            let (first, last) = (a.row, b.row);
            let widest = rows[first..=last]
                .iter()
                .flatten()
                .map(|&i| if is_left { -self.places[i].x } else { self.places[i].x + BOX_WIDTH });
            let nearest = widest.fold(0.0, f64::max) + LANE;
            let meets =
                |lane: &&(bool, usize, usize, f64)| lane.0 == is_left && lane.1 < last && first < lane.2;
            let mut near: Vec<f64> = taken.iter().filter(meets).map(|lane| lane.3).collect();
            near.sort_by(f64::total_cmp);
            let mut distance = nearest;
            for lane in near {
                if (lane - distance).abs() < LANE * 0.9 {
                    distance = lane + LANE * 0.9;
                }
            }
            if distance > nearest + MOST_LANES * LANE {
                distance = nearest;
            }
            taken.push((is_left, first, last, distance));
            let around = Some(if is_left { -distance } else { distance });
            self.edges.push(Edge { from, to, around });
        }
    }

    fn shift_to_origin(&mut self) {
        let lanes = || self.edges.iter().filter_map(|e| e.around);
        let left = self.places.iter().map(|p| p.x).chain(lanes()).fold(0.0, f64::min);
        let right = self.places.iter().map(|p| p.x + BOX_WIDTH).chain(lanes()).fold(0.0, f64::max);
        self.width = right - left;
        for place in &mut self.places {
            place.x -= left;
        }
        for edge in &mut self.edges {
            edge.around = edge.around.map(|x| x - left);
        }
    }
}
