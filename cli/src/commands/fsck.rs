//! `lbuild fsck`.

use super::{Scene, print};
use crate::engine;
use crate::exit::Exit;
use crate::report::Failure;
use crate::ui::visible;

/// Checks the store: says what is wrong, a line each; 125 if anything is.
pub fn run(scene: &Scene) -> Result<Exit, Failure> {
    let wrong = engine::check(&scene.root, &scene.cancel)?;
    let lines: String = wrong.iter().map(|line| format!("{}\n", visible(line))).collect();
    print(if wrong.is_empty() { "clean\n" } else { &lines })?;
    Ok(if wrong.is_empty() { Exit::Success } else { Exit::Lbuild })
}
