//! Text for a terminal.

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

/// Returns at most `width` characters of `text`.
pub fn clipped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Returns what is told of a registry that is let be for a while.
pub fn waiting(host: &str, why: &str, wait: std::time::Duration) -> String {
    format!("{} is asked again in {:.1}s: {}", visible(host), wait.as_secs_f64(), visible(why))
}
