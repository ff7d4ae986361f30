//! [`Style`]: colours and letters that the terminal can show.

use crate::settings::Environment;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing in particular.
    Plain,
    /// A step that runs or ended well.
    Run,
    /// A step that failed.
    Error,
    /// A step that was ended.
    Cancel,
    /// A warning.
    Warning,
    /// Of less weight.
    Faint,
}

/// Colours and letters that the terminal can show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    colors: Option<Colors>,
    /// Whether letters beyond ASCII can be shown.
    pub unicode: bool,
}

/// The parameters of SGR sequences (ECMA-48) for each role.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Colors {
    run: String,
    error: String,
    cancel: String,
    warning: String,
}

impl Style {
    /// Returns the style of a terminal that `environment` describes (3.3-5).
    pub fn of(environment: &Environment) -> Self {
        let colorless = environment.text("NO_COLOR").is_some() || environment.text("TERM") == Some("dumb");
        let colors = Colors::of(environment.text("BUILDKIT_COLORS").unwrap_or_default());
        Self { colors: (!colorless).then_some(colors), unicode: is_utf8(environment) }
    }

    /// Returns a style without colours.
    #[cfg(test)]
    pub fn plain(unicode: bool) -> Self {
        Self { colors: None, unicode }
    }

    /// Returns `text` in the colour of `role`.
    pub fn paint(&self, role: Role, text: &str) -> String {
        let Some(colors) = &self.colors else { return text.to_owned() };
        let code = match role {
            Role::Plain => return text.to_owned(),
            Role::Run => &colors.run,
            Role::Error => &colors.error,
            Role::Cancel => &colors.cancel,
            Role::Warning => &colors.warning,
            Role::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Returns one of two forms of a sign.
    pub fn sign(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }
}

/// Reports whether the locale's letters are UTF-8: the first of the three variables that is set says so (locale(7)).
fn is_utf8(environment: &Environment) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| environment.text(name)).unwrap_or_default();
    let locale = locale.to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

impl Colors {
    /// Reads `run=green:error=255,0,0`; what is not understood keeps its usual colour.
    fn of(text: &str) -> Self {
        let mut colors =
            Self { run: "36".to_owned(), error: "31".to_owned(), cancel: "33".to_owned(), warning: "33".to_owned() };
        for field in text.split(':') {
            let Some((name, value)) = field.split_once('=') else { continue };
            let Some(code) = code(value.trim()) else { continue };
            match name.trim() {
                "run" => colors.run = code,
                "error" => colors.error = code,
                "cancel" => colors.cancel = code,
                "warning" => colors.warning = code,
                _ => {}
            }
        }
        colors
    }
}

/// Returns the SGR parameters of a colour: a name, or `R,G,B`.
fn code(color: &str) -> Option<String> {
    const NAMES: [&str; 8] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
    let (base, name) = match color.strip_prefix("light-") {
        Some(name) => (90, name),
        None => (30, color),
    };
    if let Some(number) = NAMES.iter().position(|known| *known == name) {
        return Some((base + number).to_string());
    }
    let parts: Vec<u8> = color.split(',').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    let [red, green, blue] = <[u8; 3]>::try_from(parts).ok()?;
    Some(format!("38;2;{red};{green};{blue}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(variables: &[(&str, &str)]) -> Style {
        Style::of(&variables.iter().copied().collect())
    }

    /// FEATURES 3.3-5.
    #[test]
    fn colours_are_those_that_were_asked_for() {
        let painted = |variables: &[(&str, &str)], role| style(variables).paint(role, "x").replace('\u{1b}', "^");
        for (variables, role, wanted) in [
            (&[][..], Role::Run, "^[36mx^[0m"),
            (&[("BUILDKIT_COLORS", "run=green:error=255,165,0:bad:warning=purple")], Role::Run, "^[32mx^[0m"),
            (&[("BUILDKIT_COLORS", "run=green:error=255,165,0")], Role::Error, "^[38;2;255;165;0mx^[0m"),
            (&[("BUILDKIT_COLORS", "warning=purple")], Role::Warning, "^[33mx^[0m"),
            (&[("BUILDKIT_COLORS", "cancel=light-blue")], Role::Cancel, "^[94mx^[0m"),
            (&[("BUILDKIT_COLORS", "cancel=1,2")], Role::Cancel, "^[33mx^[0m"),
            (&[], Role::Plain, "x"),
            (&[("NO_COLOR", "1")], Role::Error, "x"),
            (&[("NO_COLOR", "")], Role::Error, "^[31mx^[0m"),
            (&[("TERM", "dumb")], Role::Error, "x"),
        ] {
            assert_eq!(painted(variables, role), wanted, "{variables:?}");
        }
    }

    #[test]
    fn letters_are_those_of_the_locale() {
        for (variables, unicode) in [
            (&[("LANG", "en_GB.UTF-8")][..], true),
            (&[("LANG", "C.utf8")], true),
            (&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")], false),
            (&[("LC_CTYPE", "de_DE.UTF-8"), ("LANG", "C")], true),
            (&[], false),
        ] {
            assert_eq!(style(variables).unicode, unicode, "{variables:?}");
        }
    }
}
