//! No word makes expansion panic or grow without bound, and errors name a place in the word.

use builder::dockerfile::words::{Expander, MAX_LENGTH};

fn lookup(name: &str) -> Option<String> {
    match name {
        "EMPTY" => Some(String::new()),
        "LONG" => Some("ab/".repeat(4_096)),
        _ if name.len().is_multiple_of(2) => Some(format!("*{name}?\\")),
        _ => None,
    }
}

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let word = &*String::from_utf8_lossy(bytes);
    for escape in ['\\', '`'] {
        let expander = Expander::new(escape, &lookup);
        for result in [expander.expand(word), expander.expand_heredoc(word), expander.expand_display(word)] {
            match result {
                Ok(expanded) => assert!(expanded.text.len() <= MAX_LENGTH),
                Err(error) => assert!(word.is_char_boundary(error.offset())),
            }
        }
        if let Err(error) = expander.expand_words(word) {
            assert!(word.is_char_boundary(error.offset()));
        }
    }
}
