//! [`Budget`]: how much work one word may cost.

/// Work that is left: bytes copied and states of patterns advanced. It bounds what `lookup` and patterns can be made
/// to do by a short word over long values, to about a tenth of a second.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

/// The budget is used up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Budget {
    /// Returns the budget of one word.
    pub(super) fn new() -> Self {
        Self { left: 16 << 20 }
    }

    /// Spends `amount`.
    ///
    /// # Errors
    /// [`Exhausted`] if less is left.
    pub(super) fn spend(&mut self, amount: usize) -> Result<(), Exhausted> {
        self.left = self.left.checked_sub(amount).ok_or(Exhausted)?;
        Ok(())
    }
}
