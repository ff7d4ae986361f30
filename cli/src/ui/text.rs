//! Text for a terminal.

use unicode_width::UnicodeWidthChar;

/// Returns `text` with every control character but the tab made visible or taken away, so that no file name, message or
/// command can move the cursor or change the terminal.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' if characters.peek() == Some(&'[') => skip_sequence(&mut characters),
            '\t' => shown.push('\t'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => shown.push('\u{fffd}'),
            control if control.is_control() => shown.extend(control.escape_default()),
            other => shown.push(other),
        }
    }
    shown
}

/// Skips an ECMA-48 control sequence up to its final byte.
fn skip_sequence(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    characters.next();
    for character in characters.by_ref() {
        if matches!(character, '@'..='~') {
            return;
        }
    }
}

/// Returns as much of `text` as fits into `width` columns; without `unicode`, with `?` for letters beyond ASCII, save for
/// what this module's callers drew themselves.
pub fn clipped(text: &str, width: usize, unicode: bool) -> String {
    let text: String = if unicode { text.to_owned() } else { text.chars().map(ascii).collect() };
    if width_of(&text) <= width {
        return text;
    }
    let end = if unicode { "…" } else { "..." };
    let room = width.saturating_sub(width_of(end));
    let (mut short, mut taken) = (String::new(), 0);
    for character in text.chars() {
        taken += columns(character);
        if taken > room {
            break;
        }
        short.push(character);
    }
    short.push_str(end);
    short.chars().take(width).collect()
}

fn ascii(character: char) -> char {
    if character.is_ascii() { character } else { '?' }
}

/// Returns the columns that `text` takes on a terminal; escape sequences for colours take none.
pub fn width_of(text: &str) -> usize {
    let mut width = 0;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' if characters.peek() == Some(&'[') => skip_sequence(&mut characters),
            other => width += columns(other),
        }
    }
    width
}

fn columns(character: char) -> usize {
    character.width().unwrap_or(0)
}

/// Returns what is told of a registry that is let be for a while.
pub fn waiting(host: &str, why: &str, wait: std::time::Duration) -> String {
    format!("{} is asked again in {:.1}s: {}", visible(host), wait.as_secs_f64(), visible(why))
}
