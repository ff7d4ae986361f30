//! [`Config`]: what the user set once, in `$XDG_CONFIG_HOME/lbuild/config.toml`. Flags and variables go before it.

use super::{Environment, SettingsError};
use crate::args::{BuildArgs, NetworkArg, ProgressArg, PullArg};
use builder::dockerfile::suggest::nearest;
use builder::plan::size;
use clap::ValueEnum;
use layerfs::io_error::IoError;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What the user set once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// `root`: the store.
    pub root: Option<PathBuf>,
    /// `insecure-registries`: registries that need not prove who they are.
    pub insecure_registries: Vec<String>,
    /// `progress`: how it is shown.
    pub progress: Option<ProgressArg>,
    /// `build`: flags of builds.
    pub build: BuildDefaults,
    /// `logs.keep`: of how many builds the logs are kept.
    pub kept_logs: Option<usize>,
    /// `max-used-space`: bytes that builds keep the store below.
    pub max_used_space: Option<u64>,
}

/// Flags of builds that were set once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildDefaults {
    network: Option<NetworkArg>,
    pull: Option<PullArg>,
    jobs: Option<NonZeroUsize>,
    platform: Option<String>,
    shm_size: Option<String>,
    add_hosts: Vec<String>,
    ulimits: Vec<String>,
    limits: Vec<String>,
    build_args: Vec<String>,
    labels: Vec<String>,
}

const TOP: &[&str] = &["root", "insecure-registries", "progress", "max-used-space", "build", "logs"];
const BUILD: &[&str] =
    &["network", "pull", "jobs", "platform", "shm-size", "add-hosts", "ulimits", "limits", "build-args", "labels"];
const LOGS: &[&str] = &["keep"];

/// Returns what the user set once; nothing if there is no such file.
///
/// # Errors
/// [`SettingsError::File`] with the line; the operating system's.
pub fn config(environment: &Environment) -> Result<Config, SettingsError> {
    // The XDG base directory specification says that a relative path is to be ignored.
    let home = environment.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let home = home.or_else(|| environment.path("HOME").map(|home| home.join(".config")));
    let Some(path) = home.map(|home| home.join("lbuild/config.toml")) else { return Ok(Config::default()) };
    match std::fs::read(&path) {
        // `HOME=/dev/null` is how some services say that they have none.
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(Config::default())
        }
        Err(error) => Err(IoError::new("read", path, &error).into()),
        Ok(bytes) => Reader { path: &path, text: &text(&path, bytes)? }.config(),
    }
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, SettingsError> {
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        SettingsError::File { path: path.to_owned(), line, why: "it is not UTF-8".to_owned(), help: None }
    })
}

impl BuildDefaults {
    /// Returns `typed` with what was not typed; lists are joined, what was typed last.
    pub fn completed(&self, typed: &BuildArgs) -> BuildArgs {
        let mut args = typed.clone();
        let around = &mut args.surroundings;
        around.network = around.network.or(self.network);
        if !around.pull_always && !around.pull_never {
            args.pull = args.pull.or(self.pull);
        }
        args.jobs = args.jobs.or(self.jobs);
        around.shm_size = around.shm_size.take().or_else(|| self.shm_size.clone());
        let before = |own: &[String], typed: &mut Vec<String>| {
            typed.splice(..0, own.iter().cloned());
        };
        before(&self.add_hosts, &mut around.add_host);
        before(&self.ulimits, &mut around.ulimit);
        before(&self.limits, &mut around.limit);
        before(&self.build_args, &mut args.build_arg);
        before(&self.labels, &mut args.label);
        args
    }

    /// Returns the platform that was set.
    pub fn platform(&self) -> Option<&str> {
        self.platform.as_deref()
    }
}

/// A file that is being read.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn config(&self) -> Result<Config, SettingsError> {
        let parsed = DeTable::parse(self.text)
            .map_err(|error| self.wrong(error.span().unwrap_or_default(), error.message().to_owned(), None))?;
        let top = Section { reader: self, table: parsed.get_ref() };
        top.check("", TOP)?;
        let build = top.section("build", BUILD)?;
        let logs = top.section("logs", LOGS)?;
        Ok(Config {
            root: top.string("root")?.map(PathBuf::from),
            insecure_registries: top.strings("insecure-registries")?,
            progress: top.choice("progress")?,
            build: build.map(Section::build).transpose()?.unwrap_or_default(),
            max_used_space: top.size("max-used-space")?,
            kept_logs: logs.map(|logs| logs.number("keep")).transpose()?.flatten(),
        })
    }

    fn wrong(&self, span: Range<usize>, why: String, help: Option<String>) -> SettingsError {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        SettingsError::File { path: self.path.to_owned(), line, why, help }
    }
}

/// A table of a file.
struct Section<'a> {
    reader: &'a Reader<'a>,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    /// Refuses keys that are not `known`.
    fn check(&self, name: &str, known: &'static [&'static str]) -> Result<(), SettingsError> {
        // Of several, the first in the file is told.
        let unknown = self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        let Some(key) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let help = match nearest(key.get_ref(), known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are: {}", known.join(", ")),
        };
        let place = if name.is_empty() { String::new() } else { format!(" in `[{name}]`") };
        Err(self.reader.wrong(key.span(), format!("no key is called `{}`{place}", key.get_ref()), Some(help)))
    }

    fn section(&self, name: &str, known: &'static [&'static str]) -> Result<Option<Section<'a>>, SettingsError> {
        let Some(value) = self.table.get(name) else { return Ok(None) };
        let table = value.get_ref().as_table().ok_or_else(|| self.unlike(name, value, "a table"))?;
        let section = Section { reader: self.reader, table };
        section.check(name, known)?;
        Ok(Some(section))
    }

    fn build(self) -> Result<BuildDefaults, SettingsError> {
        Ok(BuildDefaults {
            network: self.choice("network")?,
            pull: self.choice("pull")?,
            jobs: self.number("jobs")?,
            platform: self.string("platform")?,
            shm_size: self.string("shm-size")?,
            add_hosts: self.strings("add-hosts")?,
            ulimits: self.strings("ulimits")?,
            limits: self.strings("limits")?,
            build_args: self.pairs("build-args")?,
            labels: self.pairs("labels")?,
        })
    }

    fn unlike(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) -> SettingsError {
        self.reader.wrong(value.span(), format!("`{key}` is not {wanted}"), None)
    }

    fn string(&self, key: &str) -> Result<Option<String>, SettingsError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let text = value.get_ref().as_str().ok_or_else(|| self.unlike(key, value, "a string"))?;
        Ok(Some(text.to_owned()))
    }

    fn size(&self, key: &str) -> Result<Option<u64>, SettingsError> {
        let (Some(text), Some(value)) = (self.string(key)?, self.table.get(key)) else { return Ok(None) };
        size::parse(&text).map(Some).ok_or_else(|| self.unlike(key, value, "a size as `20GB`"))
    }

    fn strings(&self, key: &str) -> Result<Vec<String>, SettingsError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let unlike = || self.unlike(key, value, "a list of strings");
        let list = value.get_ref().as_array().ok_or_else(unlike)?;
        let text = |one: &Spanned<DeValue<'_>>| one.get_ref().as_str().map(str::to_owned);
        list.iter().map(|one| text(one).ok_or_else(|| self.unlike(key, one, "a list of strings"))).collect()
    }

    /// Returns a table of strings as `NAME=VALUE`.
    fn pairs(&self, key: &str) -> Result<Vec<String>, SettingsError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let table = value.get_ref().as_table().ok_or_else(|| self.unlike(key, value, "a table of strings"))?;
        let pair = |(name, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            let text = value.get_ref().as_str().ok_or_else(|| self.unlike(name.get_ref(), value, "a string"))?;
            Ok(format!("{}={text}", name.get_ref()))
        };
        table.iter().map(pair).collect()
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, SettingsError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let number = value.get_ref().as_integer().filter(|number| number.radix() == 10);
        let number = number.and_then(|number| number.as_str().parse().ok());
        number.map(Some).ok_or_else(|| self.unlike(key, value, "a number that can be used here"))
    }

    /// Returns one of the values that the flag takes.
    fn choice<T: ValueEnum>(&self, key: &str) -> Result<Option<T>, SettingsError> {
        let (Some(text), Some(value)) = (self.string(key)?, self.table.get(key)) else { return Ok(None) };
        T::from_str(&text, false).map(Some).map_err(|_| {
            let known: Vec<String> = T::value_variants()
                .iter()
                .filter_map(|one| Some(format!("`{}`", one.to_possible_value()?.get_name())))
                .collect();
            self.reader.wrong(value.span(), format!("`{key}` is not {text}", text = known.join(", ")), None)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder::diagnostic::Diagnose;

    fn read(text: &str) -> Result<Config, (String, Option<String>)> {
        Reader { path: Path::new("config.toml"), text }.config().map_err(|error| {
            let diagnostic = error.diagnose();
            (diagnostic.message, diagnostic.help)
        })
    }

    #[test]
    fn what_is_set_once_is_read() {
        let config = read(
            "root = \"/s\"\ninsecure-registries = [\"h:1\"]\nprogress = \"plain\"\nmax-used-space = \"2k\"\n[build]\nnetwork = \"none\"\njobs = 2\n\
             pull = \"always\"\nadd-hosts = [\"a:1.2.3.4\"]\nlabels = { a = \"b=c\" }\n[logs]\nkeep = 3\n",
        )
        .expect("good");
        assert_eq!(config.root.as_deref(), Some(Path::new("/s")));
        assert_eq!((config.insecure_registries, config.kept_logs), (vec!["h:1".to_owned()], Some(3)));
        assert_eq!((config.progress, config.max_used_space), (Some(ProgressArg::Plain), Some(2048)));
        assert_eq!((config.build.network, config.build.pull), (Some(NetworkArg::None), Some(PullArg::Always)));
        assert_eq!((config.build.jobs, config.build.labels), (NonZeroUsize::new(2), vec!["a=b=c".to_owned()]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_near_names() {
        for (text, message, help) in [
            (
                "root = \"x\"\nprogres = \"tty\"\n",
                "`config.toml`, line 2: no key is called `progres`",
                Some("did you mean `progress`?"),
            ),
            (
                "[build]\n\nnetwrok = \"none\"\n",
                "`config.toml`, line 3: no key is called `netwrok` in `[build]`",
                Some("did you mean `network`?"),
            ),
            (
                "frobnicate = 1\n",
                "`config.toml`, line 1: no key is called `frobnicate`",
                Some("known are: root, insecure-registries, progress, max-used-space, build, logs"),
            ),
            ("[build]\njobs = 0\n", "`config.toml`, line 2: `jobs` is not a number that can be used here", None),
            ("max-used-space = \"lots\"\n", "`config.toml`, line 1: `max-used-space` is not a size as `20GB`", None),
            ("max-used-space = 20\n", "`config.toml`, line 1: `max-used-space` is not a string", None),
            ("root = 1\n", "`config.toml`, line 1: `root` is not a string", None),
            ("[build]\nulimits = [\"a\", 1]\n", "`config.toml`, line 2: `ulimits` is not a list of strings", None),
            ("[build]\nlabels = { a = 1 }\n", "`config.toml`, line 2: `a` is not a string", None),
            ("build = 1\n", "`config.toml`, line 1: `build` is not a table", None),
            (
                "[build]\nnetwork = \"bridge\"\n",
                "`config.toml`, line 2: `network` is not `default`, `host`, `none`",
                None,
            ),
        ] {
            assert_eq!(read(text).expect_err(text), (message.to_owned(), help.map(str::to_owned)));
        }
        let (message, _) = read("a = \n").expect_err("no TOML");
        assert!(message.starts_with("`config.toml`, line 1: "), "{message}");
    }
}
