//! Listings of a [`Stack`]: the sorted ranges of its layers, merged.

use crate::index::LayerIndex;
use crate::path::TreePath;
use crate::stack::{Found, Stack, View};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

/// A change in one layer, ordered for the heap: the smallest path comes out first, of one path the highest layer.
type Cursor<'a> = Reverse<(&'a TreePath, Reverse<usize>)>;

impl Stack {
    /// Returns the names in the directory `path` with what they are, sorted by name; empty if it is no directory.
    pub fn children(&self, path: &TreePath) -> Vec<(Box<[u8]>, Found<'_>)> {
        let Some(floor) = self.floor(path) else {
            return Vec::new();
        };
        let mut named: Vec<(&[u8], Reverse<usize>, usize)> = Vec::new();
        for (number, layer) in self.layers.iter().enumerate().skip(floor) {
            push_children(layer, path, |at| named.push((layer.changes[at].path.name(), Reverse(number), at)));
        }
        named.sort_unstable();
        let groups = named.chunk_by(|a, b| a.0 == b.0);
        let seen = groups.filter_map(|group| {
            let mut view = View::default();
            for (_, Reverse(number), at) in group {
                let layer = &self.layers[*number];
                view.take(*number, layer, &layer.changes[*at]);
            }
            Some((group[0].0.into(), view.found?))
        });
        seen.collect()
    }

    /// Returns everything at and below `top`, sorted by path, no link followed; empty if nothing stands there.
    pub fn walk(&self, top: &TreePath) -> Vec<(TreePath, Found<'_>)> {
        let mut seen: Vec<_> = self.lookup(top).map(|found| (top.clone(), found)).into_iter().collect();
        if let Some(floor) = self.floor(top) {
            Walk::new(self, top, floor).run(&mut seen);
        }
        seen
    }

    /// Returns the lowest layer that is seen in the directory `path`; nothing if it is no directory. The root is one
    /// even if no layer states it.
    fn floor(&self, path: &TreePath) -> Option<usize> {
        let view = self.view(path);
        let is_directory = view.found.is_some_and(|found| found.metadata.is_directory());
        (is_directory || path.is_root()).then_some(view.floor)
    }
}

/// Calls `child` with the place of every change directly in `directory`, jumping over what lies deeper.
fn push_children(layer: &LayerIndex, directory: &TreePath, mut child: impl FnMut(usize)) {
    let skip = if directory.is_root() { 0 } else { directory.as_bytes().len() + 1 };
    let Range { start: mut at, end } = layer.below(directory);
    while at < end {
        let below = &layer.changes[at].path.as_bytes()[skip..];
        match below.iter().position(|&byte| byte == b'/') {
            None => {
                child(at);
                at += 1;
            }
            Some(slash) => {
                let name = TreePath::normalize(&layer.changes[at].path.as_bytes()[..skip + slash]);
                at = layer.changes.partition_point(|path| path.cmp_below(&name).is_le());
            }
        }
    }
}

struct Walk<'a> {
    stack: &'a Stack,
    /// What is still to come of each layer.
    ranges: Vec<Range<usize>>,
    heap: BinaryHeap<Cursor<'a>>,
    /// Lowest layer that is seen below a path, where that is another one than below its parent.
    floors: HashMap<&'a [u8], usize>,
    floor: usize,
}

impl<'a> Walk<'a> {
    fn new(stack: &'a Stack, top: &TreePath, floor: usize) -> Self {
        let numbered = stack.layers.iter().enumerate();
        let ranges = numbered.map(|(number, layer)| if number < floor { 0..0 } else { layer.below(top) }).collect();
        let mut walk = Self { stack, ranges, heap: BinaryHeap::new(), floors: HashMap::new(), floor };
        (floor..stack.layers.len()).for_each(|number| walk.push(number));
        walk
    }

    fn push(&mut self, number: usize) {
        let range = &self.ranges[number];
        if !range.is_empty() {
            self.heap.push(Reverse((&self.stack.layers[number].changes[range.start].path, Reverse(number))));
        }
    }

    fn run(mut self, seen: &mut Vec<(TreePath, Found<'a>)>) {
        while let Some(Reverse((path, _))) = self.heap.peek() {
            let path = *path;
            let inherited = self.floor_above(path);
            let view = self.group(path, inherited);
            if view.floor > inherited {
                self.floors.insert(path.as_bytes(), view.floor);
            }
            seen.extend(view.found.map(|found| (path.clone(), found)));
        }
    }

    /// Takes all changes of `path` off the heap.
    fn group(&mut self, path: &'a TreePath, floor: usize) -> View<'a> {
        let stack: &'a Stack = self.stack;
        let mut view = View { floor, ..View::default() };
        let mut lower = false;
        while let Some(&Reverse((next, Reverse(number)))) = self.heap.peek() {
            if next != path {
                break;
            }
            self.heap.pop();
            let layer = &stack.layers[number];
            lower |= view.closed;
            if number >= floor {
                view.take(number, layer, &layer.changes[self.ranges[number].start]);
            }
            self.ranges[number].start += 1;
            self.push(number);
        }
        // Where no lower layer has the path, it has nothing below it, and there is nothing to be hidden.
        if !lower {
            view.floor = floor;
        }
        view
    }

    fn floor_above(&self, path: &TreePath) -> usize {
        if self.floors.is_empty() {
            return self.floor;
        }
        let mut above = path.as_bytes();
        while let Some(slash) = above.iter().rposition(|&byte| byte == b'/') {
            above = &above[..slash];
            if let Some(floor) = self.floors.get(above) {
                return *floor;
            }
        }
        self.floor
    }
}
