//! The flags of other builders: what each one means here. One table ([`table::ROWS`]) says it; the command line, the
//! warnings and `docs/flags.md` are made from it.

mod table;
#[cfg(test)]
mod tests;

use crate::settings::SettingsError;
use builder::diagnostic::Diagnostic;
use clap::{Arg, ArgAction, ArgMatches, Command};
pub use table::ROWS;

/// A flag that another builder has.
#[derive(Debug)]
pub struct Row {
    /// Its name, without the dashes.
    pub name: &'static str,
    /// Its short name.
    pub short: Option<char>,
    /// What follows it.
    pub value: Value,
    /// Who has it: `x` docker buildx build, `d` docker build, `p` podman build.
    pub owners: &'static str,
    /// What it means here.
    pub meaning: Meaning,
}

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// Nothing, or `=true` or `=false`.
    Switch,
    /// A value.
    Text,
}

/// What a flag of another builder means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// What it means there, with a remark.
    Own(&'static str),
    /// Nothing, and why that does not matter.
    Nothing(&'static str),
    /// Something that lbuild does not do, and what to do in its place.
    Refused(&'static str),
    /// Nothing for some values, and why; anything else is refused, with what to do in its place. A value that ends with
    /// `=` stands for all that begin so.
    Only {
        /// The values for which it means nothing.
        values: &'static [&'static str],
        /// Why that does not matter.
        why: &'static str,
        /// What to do in place of any other.
        cure: &'static str,
    },
}

/// A flag of another builder as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// Its name, without the dashes.
    pub name: &'static str,
    /// The value; `true` for a switch that stood alone.
    pub value: String,
}

/// Returns the flags of the table that `command` does not have itself.
pub fn foreign_to(command: &Command) -> Vec<&'static Row> {
    ROWS.iter().filter(|row| !command.get_arguments().any(|argument| is_called(argument, row.name))).collect()
}

fn is_called(argument: &Arg, name: &str) -> bool {
    argument.get_long() == Some(name) || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
}

/// Returns `command` with the flags `rows`, hidden from its help.
pub fn with_flags(command: Command, rows: &[&Row]) -> Command {
    rows.iter().fold(command, |command, row| command.arg(argument(row)))
}

fn argument(row: &Row) -> Arg {
    // Ids are static, as are the names of the table.
    let argument = Arg::new(row.name).long(row.name).hide(true).action(ArgAction::Append).allow_hyphen_values(true);
    let argument = match row.short {
        Some(short) => argument.short(short),
        None => argument,
    };
    match row.value {
        Value::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Value::Text => argument.num_args(1),
    }
}

/// Returns those flags of `rows` that were typed, in their order.
pub fn typed(matches: &ArgMatches, rows: &[&Row]) -> Vec<Typed> {
    rows.iter()
        .flat_map(|row| {
            let values = matches.get_many::<String>(row.name).unwrap_or_default();
            values.map(|value| Typed { name: row.name, value: value.clone() })
        })
        .collect()
}

/// Returns a warning for each flag that means nothing here, one for all its values.
///
/// # Errors
/// [`SettingsError::ForeignFlag`] for the first that is refused.
pub fn judge(typed: &[Typed]) -> Result<Vec<Diagnostic>, SettingsError> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for flag in typed {
        let row = ROWS.iter().find(|row| row.name == flag.name).expect("a typed flag is one of the table");
        let why = row.judge(&flag.value)?;
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) if names.contains(&flag.name) => {}
            Some((_, names)) => names.push(flag.name),
            None => reasons.push((why, vec![flag.name])),
        }
    }
    Ok(reasons.into_iter().map(|(why, names)| useless(&names, why)).collect())
}

/// Returns the warning that flags have no effect, all for one reason.
fn useless(names: &[&str], why: &str) -> Diagnostic {
    let verb = if names.len() == 1 { "has" } else { "have" };
    let names: Vec<String> = names.iter().map(|name| format!("`--{name}`")).collect();
    Diagnostic::warning(format!("{} {verb} no effect here: {why}", names.join(", ")))
}

impl Row {
    /// Returns the command of the first builder that has the flag.
    fn owner(&self) -> &'static str {
        match self.owners.chars().next() {
            Some('x') => "docker buildx build",
            Some('d') => "docker build",
            _ => "podman build",
        }
    }

    /// Returns why it does not matter that the flag with this value means nothing here.
    fn judge(&self, value: &str) -> Result<&'static str, SettingsError> {
        let refused = |cure: &'static str| {
            let flag = match self.value {
                Value::Switch if value == "true" => format!("--{}", self.name),
                Value::Switch => format!("--{}={value}", self.name),
                Value::Text => format!("--{} {value}", self.name),
            };
            Err(SettingsError::ForeignFlag { flag, owner: self.owner(), cure })
        };
        match self.meaning {
            Meaning::Own(why) | Meaning::Nothing(why) => Ok(why),
            Meaning::Refused(cure) => refused(cure),
            Meaning::Only { values, why, cure } => {
                let is = |wanted: &&&str| {
                    if wanted.ends_with('=') { value.starts_with(**wanted) } else { value == **wanted }
                };
                if values.iter().any(|wanted| is(&wanted)) { Ok(why) } else { refused(cure) }
            }
        }
    }
}
