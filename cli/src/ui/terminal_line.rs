//! [`terminal_line`]: a line as a terminal shows it in the end.

use super::text::visible;
use std::iter::Peekable;
use std::str::Chars;

/// Columns between two stops of the tab.
const TAB: usize = 8;

/// Returns what stands in the line of a terminal that was given `line`: what was written over is gone, and so is all that
/// would change the terminal or move the cursor to another line. The rest is safe to show.
///
/// Progress bars write one state over the other, by a carriage return, backspaces or sequences of ECMA-48.
pub fn terminal_line(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut shown = Written::default();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => shown.escaped(&mut characters),
            '\u{9b}' => shown.sequence(&mut characters),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut characters),
            '\r' => shown.cursor = 0,
            '\u{8}' => shown.cursor = shown.cursor.saturating_sub(1),
            '\t' => shown.tab(),
            control if control.is_control() => {}
            other => shown.put(other),
        }
    }
    visible(shown.letters.into_iter().collect::<String>().trim_end())
}

/// Letters that stand in a line, and where the next one goes. One that takes two columns counts once: it is mostly written
/// over by one of its kind.
#[derive(Default)]
struct Written {
    letters: Vec<char>,
    cursor: usize,
}

impl Written {
    fn put(&mut self, letter: char) {
        match self.letters.get_mut(self.cursor) {
            Some(known) => *known = letter,
            None => self.letters.push(letter),
        }
        self.cursor += 1;
    }

    fn tab(&mut self) {
        let stop = (self.cursor / TAB + 1) * TAB;
        while self.cursor < stop {
            match self.letters.get(self.cursor) {
                Some(_) => self.cursor += 1,
                None => self.put(' '),
            }
        }
    }

    /// Does what an escape says, as far as it matters in one line.
    fn escaped(&mut self, characters: &mut Peekable<Chars<'_>>) {
        match characters.next() {
            Some('[') => self.sequence(characters),
            Some('P' | 'X' | ']' | '^' | '_') => skip_string(characters),
            // A set of letters is chosen, and the like: intermediate bytes, then a final one.
            Some(' '..='/') => while characters.next().is_some_and(|next| matches!(next, ' '..='/')) {},
            _ => {}
        }
    }

    /// Does what a control sequence says, as far as it matters in one line.
    fn sequence(&mut self, characters: &mut Peekable<Chars<'_>>) {
        let mut parameters = String::new();
        for character in characters.by_ref() {
            match character {
                ' '..='?' => parameters.push(character),
                last => return self.end(&parameters, last),
            }
        }
    }

    fn end(&mut self, parameters: &str, last: char) {
        let number = |usual: usize| parameters.parse().unwrap_or(usual);
        match last {
            'G' => self.cursor = number(1).saturating_sub(1),
            'C' => self.cursor = self.cursor.saturating_add(number(1).max(1)),
            'D' => self.cursor = self.cursor.saturating_sub(number(1).max(1)),
            'H' | 'f' => self.cursor = 0,
            'K' | 'J' if number(0) == 0 => self.letters.truncate(self.cursor),
            'K' | 'J' if number(0) == 1 => {
                let before = self.cursor.min(self.letters.len());
                self.letters[..before].fill(' ');
            }
            'K' | 'J' => self.letters.fill(' '),
            _ => {}
        }
        // What stands beyond the end is not known to be on the same line.
        self.cursor = self.cursor.min(self.letters.len());
    }
}

/// Skips a control string up to its end: a string terminator, or a bell.
fn skip_string(characters: &mut Peekable<Chars<'_>>) {
    while let Some(character) = characters.next() {
        match character {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                characters.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_is_left_of_it_on_a_terminal() {
        for (written, shown) in [
            ("plain é 日本語", "plain é 日本語"),
            ("10%\r20%\r100%", "100%"),
            // As curl, pip, npm, cargo and wget draw.
            ("  5 10.0M\r\n", "  5 10.0M"),
            ("\r\u{1b}[K   12% |#   |\r\u{1b}[K   13% |#   |", "   13% |#   |"),
            ("\u{1b}[1G\u{1b}[0K⠙ idealTree\u{1b}[1G\u{1b}[0K⠹ reify", "⠹ reify"),
            ("    Building [=>   ] 3/40: libc\r\u{1b}[K", ""),
            ("- \u{8}\u{8}\\ \u{8}\u{8}| ", "|"),
            ("abcdef\u{1b}[3DX\u{1b}[2CY", "abcXefY"),
            ("abcdef\u{1b}[3D\u{1b}[1Kx", "   xef"),
            ("\u{1b}[999999999999999999999Cx\u{1b}[99999999Gy", "xy"),
            // What changes a terminal.
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "alink"),
            ("\u{1b}(B\u{1b}[m\u{1b}7x\u{1b}8\u{1b}=\u{1b}Mup\u{1b}#8", "xup"),
            ("\u{1b}P+q544e\u{1b}\\x\u{90}1\u{9c}y\u{9d}0;t\u{7}z", "xyz"),
            ("gone\u{1b}[2J\u{1b}[H\u{1b}[?25l\u{1b}[?1049h\u{1b}[31mred\u{9b}0m", "red"),
            ("bell\u{7}\u{b}\u{c}\0", "bell"),
            ("a\tb\tc", "a       b       c"),
            ("12345678\r\tx", "12345678x"),
            ("a\u{202e}b", "a\u{fffd}b"),
            // What breaks off.
            ("a\u{1b}", "a"),
            ("a\u{1b}[", "a"),
            ("a\u{1b}[12", "a"),
            ("a\u{1b}]0;x", "a"),
            ("a\u{1b}(", "a"),
        ] {
            assert_eq!(terminal_line(written.as_bytes()), shown, "{written:?}");
        }
        assert_eq!(terminal_line(b"\xff\xfe bad"), "\u{fffd}\u{fffd} bad");
    }
}
