//! Closures of greatest weight, as minimum cuts (Picard 1976), by Dinic's algorithm.

use std::collections::VecDeque;

#[derive(Debug)]
struct Arc {
    to: usize,
    left: i128,
}

/// Nodes with weights, some of which require others.
#[derive(Debug)]
pub struct Network {
    nodes: usize,
    /// An arc and the one that takes it back are neighbours: 0 and 1, 2 and 3, ...
    arcs: Vec<Arc>,
    leaving: Vec<Vec<usize>>,
}

impl Network {
    /// Nodes `0..nodes` without weight.
    pub fn new(nodes: usize) -> Self {
        Self { nodes, arcs: Vec::new(), leaving: vec![Vec::new(); nodes + 2] }
    }

    fn connect(&mut self, from: usize, to: usize, capacity: i128) {
        for (from, to, left) in [(from, to, capacity), (to, from, 0)] {
            self.leaving[from].push(self.arcs.len());
            self.arcs.push(Arc { to, left });
        }
    }

    fn source(&self) -> usize {
        self.nodes
    }

    fn sink(&self) -> usize {
        self.nodes + 1
    }

    /// Gives a node its weight; once per node.
    pub fn weigh(&mut self, node: usize, weight: i128) {
        if weight > 0 {
            self.connect(self.source(), node, weight);
        } else if weight < 0 {
            self.connect(node, self.sink(), -weight);
        }
    }

    /// Who has `node` must have `needed`.
    pub fn require(&mut self, node: usize, needed: usize) {
        // Larger than all that can flow, and still far from overflow.
        self.connect(node, needed, i128::MAX / 4);
    }

    /// The smallest set that has all it requires and the greatest weight; empty if no such set has a positive weight.
    pub fn best_closure(&mut self) -> Vec<usize> {
        loop {
            let levels = self.levels();
            if levels[self.sink()] == usize::MAX {
                return (0..self.nodes).filter(|node| levels[*node] != usize::MAX).collect();
            }
            let mut tried = vec![0; self.leaving.len()];
            while self.push(self.source(), i128::MAX, &levels, &mut tried) > 0 {}
        }
    }

    /// Distance from the source over arcs with room; `usize::MAX` if there is no way.
    fn levels(&self) -> Vec<usize> {
        let mut levels = vec![usize::MAX; self.leaving.len()];
        let mut queue = VecDeque::from([self.source()]);
        levels[self.source()] = 0;
        while let Some(node) = queue.pop_front() {
            for arc in self.leaving[node].iter().map(|arc| &self.arcs[*arc]) {
                if arc.left > 0 && levels[arc.to] == usize::MAX {
                    levels[arc.to] = levels[node] + 1;
                    queue.push_back(arc.to);
                }
            }
        }
        levels
    }

    /// Sends up to `limit` from `node` to the sink, each arc one level down. Depth: the number of nodes.
    fn push(&mut self, node: usize, limit: i128, levels: &[usize], tried: &mut [usize]) -> i128 {
        if node == self.sink() {
            return limit;
        }
        while let Some(index) = self.leaving[node].get(tried[node]).copied() {
            let Arc { to, left } = self.arcs[index];
            if left > 0 && levels[to] == levels[node] + 1 {
                let sent = self.push(to, limit.min(left), levels, tried);
                if sent > 0 {
                    self.arcs[index].left -= sent;
                    self.arcs[index ^ 1].left += sent;
                    return sent;
                }
            }
            tried[node] += 1;
        }
        0
    }

    /// Strongly connected components of what is left of the network after [`Network::best_closure`].
    pub fn components(&self) -> Vec<Vec<usize>> {
        let mut components: Vec<Vec<usize>> = Vec::new();
        let reach: Vec<Vec<bool>> = (0..self.nodes).map(|node| self.reachable(node)).collect();
        let mut taken = vec![false; self.nodes];
        for node in 0..self.nodes {
            if !taken[node] {
                let component: Vec<usize> =
                    (node..self.nodes).filter(|other| reach[node][*other] && reach[*other][node]).collect();
                for member in &component {
                    taken[*member] = true;
                }
                components.push(component);
            }
        }
        components
    }

    fn reachable(&self, start: usize) -> Vec<bool> {
        let mut seen = vec![false; self.leaving.len()];
        // Ways through the source and the sink do not connect transactions.
        seen[self.source()] = true;
        seen[self.sink()] = true;
        seen[start] = true;
        let mut stack = vec![start];
        while let Some(node) = stack.pop() {
            for arc in self.leaving[node].iter().map(|arc| &self.arcs[*arc]) {
                if arc.left > 0 && !seen[arc.to] {
                    seen[arc.to] = true;
                    stack.push(arc.to);
                }
            }
        }
        seen
    }
}
