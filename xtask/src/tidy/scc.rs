//! Strongly connected components of a graph, which is given as the successors of each node.

use std::collections::VecDeque;

/// The components of more than one node, the largest first; members in ascending order.
pub(super) fn circles(graph: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut search =
        Search { graph, next: 0, order: vec![None; graph.len()], low: vec![0; graph.len()], open: Vec::new(), found: Vec::new() };
    for node in 0..graph.len() {
        if search.order[node].is_none() {
            search.visit(node);
        }
    }
    let mut circles = search.found;
    circles.sort_by_key(|circle| (usize::MAX - circle.len(), circle[0]));
    circles
}

/// Tarjan's algorithm.
struct Search<'a> {
    graph: &'a [Vec<usize>],
    next: usize,
    /// For each node, its number in the order of the search.
    order: Vec<Option<usize>>,
    /// For each node, the lowest number of an open node that is known to be reachable from it.
    low: Vec<usize>,
    /// The stack of the nodes whose component is not complete.
    open: Vec<usize>,
    found: Vec<Vec<usize>>,
}

impl Search<'_> {
    fn visit(&mut self, node: usize) {
        let own = self.next;
        self.next += 1;
        self.order[node] = Some(own);
        self.low[node] = own;
        self.open.push(node);
        for &successor in &self.graph[node] {
            match self.order[successor] {
                None => {
                    self.visit(successor);
                    self.low[node] = self.low[node].min(self.low[successor]);
                }
                Some(order) if self.open.contains(&successor) => self.low[node] = self.low[node].min(order),
                Some(_) => {}
            }
        }
        if self.low[node] == own {
            let begin = self.open.iter().position(|open| *open == node).expect("a node is open until its component is known");
            let mut component = self.open.split_off(begin);
            if component.len() > 1 {
                component.sort_unstable();
                self.found.push(component);
            }
        }
    }
}

/// One of the shortest cycles within a component.
pub(super) fn shortest_cycle(graph: &[Vec<usize>], circle: &[usize]) -> Vec<usize> {
    let cycles = circle.iter().filter_map(|start| cycle(graph, circle, *start));
    cycles.min_by_key(Vec::len).unwrap_or_default()
}

/// The shortest cycle within the component that contains `start`, found by a breadth-first search.
fn cycle(graph: &[Vec<usize>], circle: &[usize], start: usize) -> Option<Vec<usize>> {
    let mut before = vec![None; graph.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for &successor in &graph[node] {
            if successor == start {
                let mut way = vec![node];
                while let Some(node) = before[way[way.len() - 1]] {
                    way.push(node);
                }
                way.reverse();
                return Some(way);
            }
            if circle.contains(&successor) && before[successor].is_none() {
                before[successor] = Some(node);
                queue.push_back(successor);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_sorted_by_size() {
        // 0 <-> 1 -> 2 -> 3 -> 4 -> 2, 5 -> 0, 4 -> 3
        let graph = [vec![1], vec![0, 2], vec![3], vec![4], vec![2, 3], vec![0]];
        assert_eq!(circles(&graph), [vec![2, 3, 4], vec![0, 1]]);
        assert_eq!(shortest_cycle(&graph, &[2, 3, 4]), [3, 4]);
        assert_eq!(shortest_cycle(&graph, &[0, 1]), [0, 1]);
    }

    #[test]
    fn an_acyclic_graph_has_no_component() {
        assert!(circles(&[vec![1, 2], vec![2], vec![]]).is_empty());
        assert!(circles(&[]).is_empty());
    }
}
