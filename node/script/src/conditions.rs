//! Nesting of OP_IF. Only whether all branches are taken can be observed, so a depth and the first branch not taken are
//! enough, and hostile nesting costs nothing (Core: `ConditionStack`).

/// The branches that are open.
#[derive(Debug, Default)]
pub struct Conditions {
    depth: usize,
    first_false: Option<usize>,
}

impl Conditions {
    /// Whether no branch is open.
    pub fn is_empty(&self) -> bool {
        self.depth == 0
    }

    /// Whether instructions are executed here.
    pub fn all_true(&self) -> bool {
        self.first_false.is_none()
    }

    /// Opens a branch.
    pub fn push(&mut self, taken: bool) {
        if !taken && self.first_false.is_none() {
            self.first_false = Some(self.depth);
        }
        self.depth += 1;
    }

    /// Turns the innermost branch over; `false` when there is none.
    pub fn toggle(&mut self) -> bool {
        let Some(top) = self.depth.checked_sub(1) else { return false };
        match self.first_false {
            None => self.first_false = Some(top),
            Some(first) if first == top => self.first_false = None,
            Some(_) => {}
        }
        true
    }

    /// Closes the innermost branch; `false` when there is none.
    pub fn pop(&mut self) -> bool {
        let Some(top) = self.depth.checked_sub(1) else { return false };
        self.depth = top;
        if self.first_false == Some(top) {
            self.first_false = None;
        }
        true
    }
}
