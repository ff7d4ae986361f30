//! [`Splitter`]: splits what expansion yields into words.

/// Collects words: unquoted white space ends one, quoted and escaped white space belongs to it.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    word: String,
    words: Vec<String>,
}

impl Splitter {
    /// Adds text in which white space separates words.
    pub(super) fn split(&mut self, text: &str) {
        for character in text.chars() {
            if character.is_whitespace() {
                self.end_word();
            } else {
                self.word.push(character);
            }
        }
    }

    /// Adds text that belongs to the word as it is.
    pub(super) fn keep(&mut self, text: &str) {
        self.word.push_str(text);
    }

    /// Returns the words; empty ones are dropped.
    pub(super) fn finish(mut self) -> Vec<String> {
        self.end_word();
        self.words
    }

    fn end_word(&mut self) {
        if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }
}
