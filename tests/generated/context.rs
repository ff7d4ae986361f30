//! [`Context`]: a generated build context.

use super::random::Random;
use crate::harness::{Lab, output};

/// A generated build context.
///
/// It has no named pipes: Buildah waits for a writer of one, and the BuildKit of Docker 20.10 leaves them out.
pub struct Context {
    /// Its ignore file.
    pub ignore: Option<String>,
    /// Every path of it that sources are chosen from.
    paths: Vec<String>,
    /// Those that lead somewhere.
    reachable: Vec<String>,
}

/// Names of entries; several directories have some in common.
const NAMES: [&str; 22] = [
    "a",
    "b",
    "ab",
    "d",
    "e",
    "f",
    "x.txt",
    "y.txt",
    "deep",
    "sub",
    ".hidden",
    "-dash",
    "#hash",
    "A",
    "with space",
    "über",
    "br[ack]et",
    "st*r",
    "q?m",
    "back\\slash",
    "name.tar",
    "$dollar",
];
/// Names without anything that a pattern or a word means something by.
const PLAIN: usize = 14;
const MODES: [&str; 9] = ["0644", "0644", "0600", "0755", "0444", "0711", "4755", "2711", "0666"];
const DIRECTORY_MODES: [&str; 7] = ["0755", "0755", "0700", "0711", "0775", "1777", "2755"];
/// What a link leads to, `NAME` standing for a name.
const TARGETS: [&str; 12] = [
    "NAME",
    "NAME",
    "./NAME",
    "NAME/NAME",
    "../NAME",
    "/NAME",
    "/NAME/NAME",
    "../../../../NAME",
    "..",
    ".",
    "nowhere",
    "/nowhere/NAME",
];
/// How archives are made: options of tar, and the ending.
const ARCHIVES: [(&str, &str); 9] = [
    ("--format=gnu -cf", "tar"),
    ("--format=posix -cf", "tar"),
    ("--format=ustar -cf", "tar"),
    ("--format=v7 -cf", "tar"),
    ("--format=gnu -czf", "tar.gz"),
    ("--format=posix -cJf", "tar.xz"),
    ("--format=gnu -cjf", "tbz"),
    ("--format=gnu -czf", "txt"),
    // The last, since Docker 20.10 does not know it.
    ("--format=posix --zstd -cf", "zst"),
];
/// Lines of ignore files, `NAME` and `OTHER` standing for names and `PATH` for a path of the context.
const PATTERNS: [&str; 30] = [
    "NAME",
    "PATH",
    "PATH",
    "/PATH",
    "PATH/",
    "*.txt",
    "**/*.txt",
    "**/NAME",
    "NAME/**",
    "NAME/*",
    "*/NAME",
    "*/*/NAME",
    "?",
    "??",
    "[a-d]",
    "[^a-d]",
    "*/[ab]*",
    "!NAME",
    "!PATH",
    "!**/NAME",
    "!*.txt",
    "# NAME",
    "NAME/OTHER",
    "**/NAME/OTHER",
    "./PATH",
    "../NAME",
    "NAME/../OTHER",
    "**",
    "*",
    "**/NAME*",
];

struct Maker<'a> {
    random: &'a mut Random,
    script: String,
    paths: Vec<String>,
    files: Vec<String>,
}

/// Returns a word of a shell.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

impl Context {
    /// Makes up a context, and makes it; archives may be zstd's.
    pub fn generate(random: &mut Random, lab: &Lab, zstd: bool) -> Self {
        let mut maker = Maker { random, script: String::new(), paths: Vec::new(), files: Vec::new() };
        maker.directory("", 0);
        maker.archives(if zstd { &ARCHIVES } else { &ARCHIVES[..ARCHIVES.len() - 1] });
        let Maker { mut script, paths, .. } = maker;
        script.push_str("mkdir first; echo first > first/first\n");
        script.push_str("touch -d @1500000000 first/first first\n");
        make(lab, &script);
        let ignore = random.percent(60).then(|| ignore_file(random, &paths));
        if let Some(ignore) = &ignore {
            lab.file(".dockerignore", ignore);
            make(lab, "touch -d @1500000000 .dockerignore\n");
        }
        let reachable = paths.iter().filter(|path| lab.path(path).exists()).cloned().collect();
        Self { ignore, paths, reachable }
    }

    /// Returns a path of the context, seldom one that leads nowhere.
    pub fn path(&self, random: &mut Random) -> String {
        match random.below(40) {
            0 => format!("{}/{}", random.pick(&self.paths), name(random)),
            1 => name(random).to_owned(),
            2..5 => random.pick(&self.paths).clone(),
            _ => random.pick(&self.reachable).clone(),
        }
    }
}

/// Runs a script in a lab's context.
pub fn make(lab: &Lab, script: &str) {
    output("sh", &["-ec", &format!("cd '{}'\n{script}", lab.path("").display())]);
}

/// Returns a name, seldom an odd one.
pub fn name(random: &mut Random) -> &'static str {
    let names = if random.percent(85) { &NAMES[..PLAIN] } else { &NAMES[..] };
    names[random.below(names.len())]
}

fn ignore_file(random: &mut Random, paths: &[String]) -> String {
    let lines = (0..=random.below(4)).map(|_| {
        let pattern = random.pick(&PATTERNS).replace("NAME", name(random)).replace("OTHER", name(random));
        pattern.replace("PATH", random.pick(paths).as_str()) + "\n"
    });
    let mut text: String = lines.collect();
    if random.percent(80) {
        // What the destinations are made of.
        text.push_str("!dest*\n");
    }
    // What every Dockerfile begins with.
    text + "!first\n"
}

impl Maker<'_> {
    fn directory(&mut self, at: &str, depth: usize) {
        let count = if depth == 0 { 6 + self.random.below(4) } else { self.random.below(5) };
        for _ in 0..count {
            let path = format!("{at}{}", name(self.random));
            if !self.paths.contains(&path) {
                self.entry(&path, depth);
            }
        }
    }

    fn entry(&mut self, path: &str, depth: usize) {
        let word = quoted(&format!("./{path}"));
        self.paths.push(path.to_owned());
        match self.random.below(20) {
            0..6 if depth < 3 => {
                self.script.push_str(&format!("mkdir {word}\n"));
                self.directory(&format!("{path}/"), depth + 1);
                let mode = self.random.pick(&DIRECTORY_MODES);
                self.script.push_str(&format!("chmod {mode} {word}\n"));
            }
            6..10 => self.link(&word),
            10..12 if !self.files.is_empty() => {
                let to = self.random.pick(&self.files);
                self.script.push_str(&format!("ln {to} {word}\n"));
                return;
            }
            _ => self.file(&word),
        }
        let time = 1_600_000_000 + self.random.below(90_000_000);
        let fraction = self.random.pick(&["", "", ".25", ".123456789"]);
        self.script.push_str(&format!("touch -h -d @{time}{fraction} {word}\n"));
    }

    fn link(&mut self, word: &str) {
        let target = self.random.pick(&TARGETS).replacen("NAME", name(self.random), 1);
        let target = target.replacen("NAME", name(self.random), 1);
        self.script.push_str(&format!("ln -s -- {} {word}\n", quoted(&target)));
    }

    fn file(&mut self, word: &str) {
        let size = *self.random.pick(&[0, 1, 2, 3, 511, 512, 513, 5000]);
        let mode = self.random.pick(&MODES);
        // The size tells files apart in differences, the word in contents.
        self.script.push_str(&format!("printf '%{size}.{size}s' {word} > {word}; chmod {mode} {word}\n"));
        if self.random.percent(8) {
            self.script.push_str(&format!("setfattr -n user.generated -v x {word}\n"));
        }
        self.files.push(word.to_owned());
    }

    /// Makes archives of what is there, at the top.
    fn archives(&mut self, kinds: &[(&str, &str)]) {
        for number in 0..self.random.below(3) {
            let (how, ending) = self.random.pick(kinds);
            let file = format!("packed{number}.{ending}");
            let whole = self.random.percent(40);
            let what = if whole { ".".to_owned() } else { quoted(&format!("./{}", self.random.pick(&self.paths))) };
            let owner = if self.random.percent(50) { "--owner=u:21 --group=g:22" } else { "--owner=r:0 --group=r:0" };
            self.script.push_str(&format!("tar --exclude='./packed*' --sort=name {owner} {how} ../{file} {what}\n"));
            self.script.push_str(&format!("mv ../{file} {file}\n"));
            if self.random.percent(10) {
                self.script.push_str(&format!("truncate -s 100 {file}\n"));
            }
            self.script.push_str(&format!("touch -d @1550000000 {file}\n"));
            self.paths.push(file);
        }
    }
}
