//! Gives an instruction another place: that of a trigger is where its FROM stands.

use super::Parsed;
use super::instruction::{Add, Arg, Copy, Heredoc, Instruction, KeyValue, Run, Sources};
use crate::source::{Span, Spanned};

impl Parsed {
    /// Returns this instruction with `span` for every place in it.
    #[must_use]
    pub fn relocated(mut self, span: Span) -> Self {
        (self.span, self.name_span) = (span, span);
        self.instruction.relocate(span);
        self
    }
}

/// Has places in a source.
trait Relocate {
    /// Makes `span` every place in it.
    fn relocate(&mut self, span: Span);
}

impl<T> Relocate for Spanned<T> {
    fn relocate(&mut self, span: Span) {
        self.span = span;
    }
}

impl<T: Relocate> Relocate for Option<T> {
    fn relocate(&mut self, span: Span) {
        self.iter_mut().for_each(|one| one.relocate(span));
    }
}

impl<T: Relocate> Relocate for Vec<T> {
    fn relocate(&mut self, span: Span) {
        self.iter_mut().for_each(|one| one.relocate(span));
    }
}

impl Relocate for Instruction {
    fn relocate(&mut self, span: Span) {
        match self {
            Self::Add(add) => add.relocate(span),
            Self::Arg(arguments) => arguments.relocate(span),
            Self::Copy(copy) => copy.relocate(span),
            Self::Env(pairs) | Self::Label(pairs) => pairs.relocate(span),
            Self::Expose(words) | Self::Volume(words) => words.relocate(span),
            Self::Onbuild(onbuild) => onbuild.trigger.relocate(span),
            Self::Run(run) => run.relocate(span),
            Self::Stopsignal(word) | Self::User(word) | Self::Workdir(word) => word.relocate(span),
            Self::Cmd(_) | Self::Entrypoint(_) | Self::Healthcheck(_) | Self::Maintainer(_) | Self::Shell(_) => {}
        }
    }
}

impl Relocate for Arg {
    fn relocate(&mut self, span: Span) {
        self.name.relocate(span);
        self.default.relocate(span);
    }
}

impl Relocate for KeyValue {
    fn relocate(&mut self, span: Span) {
        self.key.relocate(span);
        self.value.relocate(span);
    }
}

impl Relocate for Heredoc {
    fn relocate(&mut self, span: Span) {
        self.body.relocate(span);
    }
}

impl Relocate for Sources {
    fn relocate(&mut self, span: Span) {
        self.paths.relocate(span);
        self.heredocs.relocate(span);
        self.destination.relocate(span);
    }
}

impl Relocate for Copy {
    fn relocate(&mut self, span: Span) {
        let Self { sources, from, chown, chmod, link: _, parents: _, exclude } = self;
        sources.relocate(span);
        from.relocate(span);
        chown.relocate(span);
        chmod.relocate(span);
        exclude.relocate(span);
    }
}

impl Relocate for Add {
    fn relocate(&mut self, span: Span) {
        let Self { sources, chown, chmod, link: _, exclude, checksum, keep_git_dir: _, unpack: _ } = self;
        sources.relocate(span);
        chown.relocate(span);
        chmod.relocate(span);
        exclude.relocate(span);
        checksum.relocate(span);
    }
}

impl Relocate for Run {
    fn relocate(&mut self, span: Span) {
        let Self { command: _, heredocs, mounts, network, security, devices } = self;
        heredocs.relocate(span);
        mounts.relocate(span);
        network.relocate(span);
        security.relocate(span);
        devices.relocate(span);
    }
}

#[cfg(test)]
mod tests {
    use crate::dockerfile::parse_instruction;
    use crate::source::{Source, Span};

    /// Every span that the debug form shows is the given one.
    #[test]
    fn every_place_moves() {
        for text in [
            "ADD --chown=a --chmod=1 --exclude=x --checksum=y s <<E d\nbody\nE",
            "COPY --from=a --chown=a --chmod=1 --exclude=x s <<E d\nbody\nE",
            "ARG a=b c",
            "ENV a=b c=d",
            "EXPOSE 1 2",
            "RUN --mount=type=tmpfs,target=/x --network=none --security=sandbox --device=a/b=c <<E\nx\nE",
            "USER x",
            "VOLUME a b",
        ] {
            let parsed = parse_instruction(&Source::new("t", text)).expect(text);
            let shown = format!("{:?}", parsed.relocated(Span::new(777, 778)));
            let places = shown.matches("Span {").count();
            assert!(places > 2, "{shown}");
            assert_eq!(shown.matches("Span { start: 777, end: 778 }").count(), places, "{shown}");
        }
    }
}
