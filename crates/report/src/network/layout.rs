//! Positions of the boxes of a network, and routes of its connections.

use tinsmith_network::Graph;

pub(super) const BOX_WIDTH: f64 = 336.0;
const TALL: f64 = 52.0;
const SLIM: f64 = 28.0;
const ROW_GAP: f64 = 20.0;
const COLUMN_GAP: f64 = 28.0;
const LANE: f64 = 14.0;
/// Maximum number of parallel lanes. Further connections share lanes, since no reader could follow that many.
const MOST_LANES: f64 = 24.0;

/// Position of a box, relative to the corner of the drawing's inner area.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BoxPosition {
    row: usize,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) height: f64,
}

impl BoxPosition {
    pub(super) fn middle(&self) -> f64 {
        self.x + BOX_WIDTH / 2.0
    }
}

/// A connection. `around` is the x coordinate of the lane on which it passes the layers it skips.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoutedEdge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) around: Option<f64>,
}

/// Positions of all boxes and connections.
pub(super) struct GraphLayout {
    pub(super) boxes: Vec<BoxPosition>,
    pub(super) edges: Vec<RoutedEdge>,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl GraphLayout {
    pub(super) fn of(graph: &Graph, is_slim: impl Fn(usize) -> bool) -> Self {
        let mut boxes = vec![BoxPosition::default(); graph.nodes.len()];
        let mut rows: Vec<Vec<usize>> = Vec::new();
        for &i in &graph.order {
            let row = graph.nodes[i].inputs.iter().map(|&k| boxes[k].row + 1).max().unwrap_or(0);
            boxes[i].row = row;
            boxes[i].height = if is_slim(i) { SLIM } else { TALL };
            if rows.len() <= row {
                rows.resize(row + 1, Vec::new());
            }
            rows[row].push(i);
        }
        let mut y = 0.0;
        for row in &mut rows {
            // Orders each row so that layers lie as close as possible below their inputs.
            let wish = |i: usize| {
                let inputs = &graph.nodes[i].inputs;
                let sum: f64 = inputs.iter().map(|&k| boxes[k].x).sum();
                sum / inputs.len().max(1) as f64
            };
            row.sort_by(|&a, &b| wish(a).total_cmp(&wish(b)).then(a.cmp(&b)));
            let step = BOX_WIDTH + COLUMN_GAP;
            let start = -(row.len() as f64 * step - COLUMN_GAP) / 2.0;
            let tallest = row.iter().map(|&i| boxes[i].height).fold(0.0, f64::max);
            for (column, &i) in row.iter().enumerate() {
                boxes[i].x = start + column as f64 * step;
                boxes[i].y = y + (tallest - boxes[i].height) / 2.0;
            }
            y += tallest + ROW_GAP;
        }
        let mut layout = Self { boxes, edges: Vec::new(), width: 0.0, height: y - ROW_GAP };
        layout.route(graph, &rows);
        layout.shift_to_origin();
        layout
    }

    /// Assigns a lane beside the boxes to every connection that skips rows: inner lanes to short ones, outer lanes to
    /// long ones.
    fn route(&mut self, graph: &Graph, rows: &[Vec<usize>]) {
        let mut skips = Vec::new();
        for (to, node) in graph.nodes.iter().enumerate() {
            let mut inputs = node.inputs.clone();
            inputs.sort_unstable();
            inputs.dedup();
            for from in inputs {
                if self.boxes[to].row == self.boxes[from].row + 1 {
                    self.edges.push(RoutedEdge { from, to, around: None });
                } else {
                    skips.push((self.boxes[to].row - self.boxes[from].row, from, to));
                }
            }
        }
        // Shortest first, so that short connections get the inner lanes.
        skips.sort_unstable();
        // Occupied lanes: (left side, first row, last row, distance).
        let mut taken: Vec<(bool, usize, usize, f64)> = Vec::new();
        for (_, from, to) in skips {
            let (a, b) = (&self.boxes[from], &self.boxes[to]);
            let is_left = a.middle() + b.middle() < -1.0;
            let (first, last) = (a.row, b.row);
            let widest = rows[first..=last]
                .iter()
                .flatten()
                .map(|&i| if is_left { -self.boxes[i].x } else { self.boxes[i].x + BOX_WIDTH });
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
            self.edges.push(RoutedEdge { from, to, around });
        }
    }

    fn shift_to_origin(&mut self) {
        let lanes = || self.edges.iter().filter_map(|e| e.around);
        let left = self.boxes.iter().map(|p| p.x).chain(lanes()).fold(0.0, f64::min);
        let right = self.boxes.iter().map(|p| p.x + BOX_WIDTH).chain(lanes()).fold(0.0, f64::max);
        self.width = right - left;
        for place in &mut self.boxes {
            place.x -= left;
        }
        for edge in &mut self.edges {
            edge.around = edge.around.map(|x| x - left);
        }
    }
}
