//! [`Case`]: a few generated instructions below a directory of their own.

use super::context::{Context, make, name, quoted};
use super::random::Random;
use crate::harness::Lab;
use crate::tree::written;
use std::fmt;

/// A few generated instructions that write below `/c` and the case's number.
#[derive(Clone)]
pub struct Case {
    /// Its number in its Dockerfile.
    pub number: usize,
    /// Its instructions.
    pub instructions: Vec<Instruction>,
}

/// A generated instruction.
#[derive(Clone)]
pub enum Instruction {
    /// `WORKDIR`.
    Workdir(String),
    /// `COPY` or `ADD`.
    Copy(Copy),
}

/// A generated COPY or ADD.
#[derive(Clone)]
pub struct Copy {
    /// Whether it is an ADD.
    pub add: bool,
    /// `--from=s`, a stage that has the context at `/s`.
    pub from: bool,
    /// `--chown`.
    pub chown: Option<&'static str>,
    /// `--chmod`.
    pub chmod: Option<&'static str>,
    /// Sources as written.
    pub sources: Vec<String>,
    /// The destination as written.
    pub to: String,
}

/// Destinations below a case's directory, `NAME` standing for a name.
const DESTINATIONS: [&str; 44] = [
    "",
    "/",
    "/NAME",
    "/NAME",
    "/NAME",
    "/NAME/",
    "/NAME/NAME",
    "/NAME/NAME",
    "/NAME/NAME/",
    "/new/deep/NAME",
    "/new/deep/NAME",
    "/new/",
    "/new/",
    "/d",
    "/d",
    "/d",
    "/d/",
    "/d/.",
    "/d/NAME",
    "/d/NAME",
    "/d/NAME/",
    "/d/sub",
    "/d/sub/NAME",
    "/d/sub/..",
    "/f",
    "/f/",
    "/f/NAME",
    "/ld",
    "/ld/",
    "/ld/NAME",
    "/ld/NAME",
    "/ld/sub/NAME/",
    "/lf",
    "/gone",
    "/gone/",
    "/gone/NAME",
    "/labs",
    "/labs/NAME",
    "/labs/NAME",
    "/out",
    "/out/NAME",
    "/up/NAME",
    "/up/NAME/",
    "/loop",
];

/// The directories that links of [`destination`] lead to.
const LINKED: [&str; 6] = ["", "/d", "/d/sub", "/d/nowhere", "/new", "/new/place"];

/// Links to directories that [`destination`] makes, and where they lead.
const LINKS: [(&str, &str); 5] = [("ld", "d"), ("labs", "d"), ("up", "d"), ("out", "d/sub"), ("gone", "new/place")];

/// Returns the script that makes `dest` and a case's number: what a case finds at its destination.
fn destination(random: &mut Random, number: usize) -> String {
    let (first, second) = (name(random), name(random));
    let kind = *random.pick(&["mkdir", "echo there >", "ln -s ../f", "ln -s sub", "ln -s nowhere"]);
    let first = quoted(&format!("d/{first}"));
    let below = quoted(&format!("d/sub/{second}"));
    format!(
        "mkdir dest{number}; (cd dest{number}; mkdir -p d/sub; echo old > d/old; echo old > f; chmod 0600 f; \
         [ -e {first} ] || {kind} {first}; [ -e {below} ] || ln d/old {below}; \
         ln -s d ld; ln -s f lf; ln -s new/place gone; ln -s /c{number}/d labs; ln -s ../../../c{number}/d/sub out; \
         ln -s d/sub/.. up; ln -s loop loop; chmod 0710 d; chmod 0701 d/sub; \
         find . -exec touch -h -d @1400000000 {{}} +)\n"
    )
}

impl Case {
    /// Makes up a case, and makes what it finds at its destination.
    pub fn generate(random: &mut Random, number: usize, context: &Context, lab: &Lab, stage: bool) -> Self {
        let mut instructions = Vec::new();
        if random.percent(75) {
            make(lab, &destination(random, number));
            instructions.push(Instruction::Copy(Copy {
                add: false,
                from: false,
                chown: Some("7:8"),
                chmod: None,
                sources: vec![format!("dest{number}")],
                to: format!("/c{number}"),
            }));
        }
        let mut case = Self { number, instructions };
        for _ in 0..=random.below(2) {
            let relative = random.percent(25);
            if relative {
                case.instructions
                    .push(Instruction::Workdir(format!("/c{number}{}", random.pick(&["", "", "/d", "/w"]))));
            }
            case.instructions.push(Instruction::Copy(copy(random, context, number, stage, relative)));
        }
        if random.percent(10) {
            let to = case.place(random);
            case.instructions.push(Instruction::Workdir(to));
        }
        case
    }

    /// Returns the case as it is before its instruction `at`, and then with that one's first source, the first two, and so
    /// on, but for the last.
    pub fn before(&self, at: usize) -> Vec<Self> {
        let part = |instructions: &[Instruction]| Self { number: self.number, instructions: instructions.to_vec() };
        let mut parts = vec![part(&self.instructions[..at])];
        if let Instruction::Copy(copy) = &self.instructions[at] {
            parts.extend((1..copy.sources.len()).map(|count| {
                let sources = copy.sources[..count].to_vec();
                let mut whole = part(&self.instructions[..at]);
                whole.instructions.push(Instruction::Copy(Copy { sources, ..copy.clone() }));
                whole
            }));
        }
        parts
    }

    /// Returns its COPYs and ADDs.
    pub fn copies(&self) -> impl Iterator<Item = &Copy> {
        self.instructions.iter().filter_map(|instruction| match instruction {
            Instruction::Copy(copy) => Some(copy),
            Instruction::Workdir(_) => None,
        })
    }

    /// Reports whether one of its instructions is the step that an error is about.
    pub fn failed(&self, error: &str) -> bool {
        self.instructions.iter().any(|instruction| error.contains(&step(&instruction.printed())))
    }

    /// Reports whether a path, as a snapshot writes it, is of this case.
    pub fn holds(&self, path: &str) -> bool {
        let path = path.trim_matches(['\'', '"']);
        path.strip_prefix(&format!("c{}", self.number)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Reports whether one of its instructions makes a directory or puts something into it: one above or at a
    /// destination, or that links lead to from there.
    pub fn writes_into(&self, path: &str) -> bool {
        let path = format!("/{}", path.trim_matches(['\'', '"']));
        let linked = LINKED.iter().any(|place| path == format!("/c{}{place}", self.number));
        let above = |to: String| to == path || to.starts_with(&format!("{path}/"));
        linked || self.destinations().into_iter().map(|to| written(&to)).any(above)
    }

    /// Reports whether one of its instructions writes at a path, and one at the name `other` beside it.
    pub fn writes_beside(&self, path: &str, other: &str) -> bool {
        let path = format!("/{}", path.trim_matches(['\'', '"']));
        let beside = format!("{}/{other}", path.rsplit_once('/').map_or("", |(above, _)| above));
        let destinations = self.destinations();
        [path, beside].iter().all(|wanted| destinations.iter().any(|to| written(to) == *wanted))
    }

    /// Reports whether one of its instructions may unpack something below a path's directory.
    pub fn unpacks_into(&self, path: &str) -> bool {
        let path = format!("/{}", path.trim_matches(['\'', '"']));
        let below = |to: String| path.starts_with(&format!("{}/", to.trim_end_matches('/')));
        self.unpacks() && self.destinations().into_iter().map(|to| written(&to)).any(below)
    }

    /// Reports whether one of its instructions may unpack something whose root is this path.
    pub fn unpacks_at(&self, path: &str) -> bool {
        let path = format!("/{}", path.trim_matches(['\'', '"']));
        self.unpacks() && self.destinations().into_iter().any(|to| written(&to) == path)
    }

    /// Reports whether it has an ADD of what may be an archive.
    fn unpacks(&self) -> bool {
        let archive = |source: &String| source.contains("packed") || source.contains(['*', '?', '[']);
        self.copies().any(|copy| copy.add && copy.sources.iter().any(archive))
    }

    /// Reports whether its instruction `at` may match several files by a pattern.
    pub fn has_pattern(&self, at: usize) -> bool {
        matches!(&self.instructions[at], Instruction::Copy(copy) if copy.has_pattern())
    }

    /// Returns where its instructions write: as they say, and where the links of [`destination`] lead.
    fn destinations(&self) -> Vec<String> {
        let mut directory = "/".to_owned();
        let mut destinations = Vec::new();
        for instruction in &self.instructions {
            let (Instruction::Workdir(to) | Instruction::Copy(Copy { to, .. })) = instruction;
            // A `\` before a plain character says that it is one.
            let to = to.replace('\\', "");
            let to = clean(&format!("{}{to}", if to.starts_with('/') { "" } else { &directory }));
            if let Instruction::Workdir(_) = instruction {
                directory = format!("{to}/");
            }
            let top = format!("/c{}", self.number);
            for (link, place) in LINKS {
                let rest = to.strip_prefix(&format!("{top}/{link}"));
                let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with('/'));
                destinations.extend(rest.map(|rest| format!("{top}/{place}{rest}")));
            }
            destinations.push(to);
        }
        destinations
    }

    fn place(&self, random: &mut Random) -> String {
        below(random, self.number)
    }
}

/// Returns how an error of Buildah names an instruction.
pub fn step(printed: &str) -> String {
    format!("STEP \"{printed}\"")
}

/// Returns a path without `.` and `..`.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Returns a place below a case's directory.
fn below(random: &mut Random, number: usize) -> String {
    let place = random.pick(&DESTINATIONS).replacen("NAME", name(random), 1).replacen("NAME", name(random), 1);
    format!("/c{number}{place}")
}

fn copy(random: &mut Random, context: &Context, number: usize, stage: bool, relative: bool) -> Copy {
    let from = stage && random.percent(40);
    let sources = match random.below(8) {
        0 => vec![source(random, context, from), source(random, context, from)],
        _ => vec![source(random, context, from)],
    };
    let mut to = match relative {
        true => relative_place(random),
        false => below(random, number),
    };
    if sources.len() > 1 && random.percent(80) && !to.ends_with('/') {
        to.push('/');
    }
    Copy {
        add: !from && random.percent(35),
        from,
        chown: random.percent(20).then(|| *random.pick(&["5:6", "9", "0:0", "1000:1000"])),
        chmod: random.percent(15).then(|| *random.pick(&["0711", "4755", "600", "0777"])),
        sources,
        to,
    }
}

fn relative_place(random: &mut Random) -> String {
    let form = random.pick(&[".", "./", "NAME", "NAME/", "./NAME", "d/../NAME", "NAME/NAME", "d/", "./d/NAME/", "f"]);
    form.replacen("NAME", name(random), 1).replacen("NAME", name(random), 1)
}

/// Returns a source: a path of the context, written in one of many ways, or a pattern.
fn source(random: &mut Random, context: &Context, from: bool) -> String {
    let path = context.path(random);
    let path = if random.percent(25) { pattern(random, &path) } else { path };
    if from {
        return format!("/s/{path}{}", random.pick(&["", "", "", "/", "/."]));
    }
    match random.below(16) {
        0 => format!("./{path}"),
        1 => format!("/{path}"),
        2 => format!("../{path}"),
        3 => format!("/../../{path}"),
        4 => format!("{path}/"),
        5 => format!("{path}/."),
        6 => format!("{path}/.."),
        7 => format!("nothing/../{path}"),
        8 => ".".to_owned(),
        _ => path,
    }
}

/// Makes a pattern of a path.
fn pattern(random: &mut Random, path: &str) -> String {
    let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    let at = random.below(parts.len());
    let part = &parts[at];
    let first = part.chars().next().unwrap_or('a');
    let rest: String = part.chars().skip(1).collect();
    parts[at] = match random.below(9) {
        0 | 1 => "*".to_owned(),
        2 => format!("{first}*"),
        3 => format!("?{rest}"),
        4 => format!("[{first}b]{rest}"),
        5 => format!("[^{first}]*"),
        6 => "*.txt".to_owned(),
        7 => format!("\\{part}"),
        _ => format!("[a-e]{rest}"),
    };
    parts.join("/")
}

impl Instruction {
    /// Returns it as builders print it: words with spaces between.
    fn printed(&self) -> String {
        match self {
            Self::Workdir(path) => format!("WORKDIR {path}"),
            Self::Copy(copy) => copy.printed(),
        }
    }
}

impl Copy {
    /// Returns its words, the keyword too.
    fn words(&self) -> Vec<String> {
        let flag = |name: &str, value: Option<&str>| value.map(|value| format!("--{name}={value}"));
        let keyword = if self.add { "ADD" } else { "COPY" };
        let flags = [flag("from", self.from.then_some("s")), flag("chown", self.chown), flag("chmod", self.chmod)];
        let flags = flags.into_iter().flatten();
        [keyword.to_owned()].into_iter().chain(flags).chain(self.paths().cloned()).collect()
    }

    /// Returns it as builders print it: words with spaces between.
    pub fn printed(&self) -> String {
        self.words().join(" ")
    }

    fn paths(&self) -> impl Iterator<Item = &String> {
        self.sources.iter().chain([&self.to])
    }

    /// Reports whether a source is a pattern.
    pub fn has_pattern(&self) -> bool {
        self.patterns().next().is_some()
    }

    /// Returns its sources that are patterns, as Buildah writes them: from the root, seldom without their escapes.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        let patterns = self.sources.iter().filter(|source| source.contains(['*', '?', '[']));
        patterns.flat_map(|source| [clean(source), clean(&source.replace('\\', ""))])
    }
}

impl fmt::Display for Instruction {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workdir(path) => write!(to, "WORKDIR {}", path.replace('$', "\\$")),
            Self::Copy(copy) => copy.fmt(to),
        }
    }
}

impl fmt::Display for Copy {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |word: &String| word.replace('$', "\\$");
        if !self.paths().any(|word| word.contains([' ', '#', '"', '\\', '['])) {
            return write!(to, "{}", self.words().iter().map(escaped).collect::<Vec<_>>().join(" "));
        }
        let json: Vec<String> = self.paths().map(|word| serde_json::json!(escaped(word)).to_string()).collect();
        let words = self.words();
        let before = &words[..words.len() - json.len()];
        write!(to, "{} [{}]", before.join(" "), json.join(", "))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.instructions.iter().try_for_each(|instruction| writeln!(to, "{instruction}"))
    }
}
