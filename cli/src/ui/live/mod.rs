//! The live view for terminals: one line per step, the last lines of the steps that run, bars of what is moved.
//!
//! ```text
//! Event -> State (rows, by steps) -> draw (a pure function of state, time and size) -> Tty (paints ten times a second)
//! ```

mod draw;
mod row;
mod state;
#[cfg(test)]
mod tests;
mod tty;

pub use draw::seconds;
pub use tty::Tty;
