//! `lbuild plan`.

use super::{Scene, build, io_failure, json, print};
use crate::args::{PlanArgs, PlanShapeArg};
use crate::engine;
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings;
use crate::ui::{KnownSource, Placed, Shared, View};
use builder::Planned;
use builder::plan::op::{From, MountKind, Network, Op};
use builder::plan::{PlanBase, PlannedStage, Step};
use builder::progress::StepId;
use serde_json::{Value, json};
use std::sync::Arc;

/// Shows what a build would do, with every variable gone; runs nothing.
pub fn run(args: &PlanArgs, scene: &Scene) -> Result<Exit, Failure> {
    let registries = build::registries(&args.build, scene)?;
    let settings = settings::build(&args.build, &scene.config, registries, &scene.environment)?;
    let view = if settings.view == View::Quiet { View::Quiet } else { View::Plain };
    let source = KnownSource::default();
    let screen = view.open(&scene.environment, &source).map_err(io_failure)?;
    let sink = Placed::new(source.clone(), Box::new(Shared(Arc::clone(&screen))));
    let request = build::fetched(&settings, scene, &sink)?;
    source.tell(&request.dockerfile);
    let planned = engine::plan(&request, &scene.root, &sink, &scene.cancel)
        .map_err(|failure| Failure { source: source.get().cloned(), ..failure })?;
    let drawing = Drawing { planned: &planned };
    print(&match args.show {
        PlanShapeArg::Tree => drawing.tree(),
        PlanShapeArg::Json => json(&drawing.object()),
        PlanShapeArg::Dot => drawing.dot(),
    })?;
    Ok(Exit::Success)
}

struct Drawing<'a> {
    planned: &'a Planned,
}

impl Drawing<'_> {
    fn stages(&self) -> &[PlannedStage] {
        &self.planned.plan.stages
    }

    /// Returns how a stage is called.
    fn title(&self, stage: usize) -> String {
        let stage = &self.stages()[stage];
        stage.name.clone().unwrap_or_else(|| format!("stage-{}", stage.number))
    }

    fn base(&self, stage: &PlannedStage) -> String {
        match stage.base {
            PlanBase::Scratch => "scratch".to_owned(),
            PlanBase::Stage(below) => self.title(below),
            PlanBase::Image(number) => self.image(number),
        }
    }

    fn image(&self, number: usize) -> String {
        let image = &self.planned.images[number];
        format!("{} ({})", image.name, image.location)
    }

    fn source(&self, from: &From) -> String {
        match from {
            From::Context => "the build context".to_owned(),
            From::NamedContext(name) => format!("the build context `{name}`"),
            From::Stage(stage) => self.title(*stage),
            From::Image(number) => self.image(*number),
            From::Scratch => "nothing".to_owned(),
        }
    }

    /// Returns the stages and their steps as a tree.
    fn tree(&self) -> String {
        let plan = &self.planned.plan;
        let mut text = format!("{} for {}\n", self.title(plan.target), plan.platform);
        for (number, stage) in self.stages().iter().enumerate() {
            let last = number + 1 == self.stages().len();
            let target = if number == plan.target { ", the image" } else { "" };
            let (branch, below) = if last { ("└─", "   ") } else { ("├─", "│  ") };
            text.push_str(&format!("{branch} {}: from {}{target}\n", self.title(number), self.base(stage)));
            for (at, step) in stage.steps.iter().enumerate() {
                let (twig, under) = if at + 1 == stage.steps.len() { ("└─", "   ") } else { ("├─", "│  ") };
                let mut lines = self.told(step).into_iter();
                let first = lines.next().unwrap_or_default();
                text.push_str(&format!("{below}{twig} {}.{at} {first}\n", stage.number));
                lines.for_each(|line| text.push_str(&format!("{below}{under}     {line}\n")));
            }
        }
        text
    }

    /// Returns a step in a few lines.
    fn told(&self, step: &Step) -> Vec<String> {
        match &step.op {
            Op::Run(run) => {
                let mut lines = vec![format!("RUN {}", super::on_fail::command(&run.arguments))];
                let user = if run.user.is_empty() { "root" } else { &run.user };
                let alone = if run.network == Network::None { ", without network" } else { "" };
                lines.push(format!(
                    "in /{} as {user}{alone}",
                    run.working_directory.to_string().trim_start_matches('/')
                ));
                lines.extend(run.mounts.iter().map(|mount| {
                    let target = mount.target.to_string();
                    format!("with {} at /{}", self.mounted(&mount.kind), target.trim_start_matches('/'))
                }));
                lines
            }
            Op::Copy(copy) => {
                let what: Vec<&str> = copy
                    .sources
                    .iter()
                    .map(String::as_str)
                    .chain(copy.heredocs.iter().map(|heredoc| heredoc.name.as_str()))
                    .collect();
                let to = copy.destination.to_string();
                vec![
                    format!("COPY {} /{}", what.join(" "), to.trim_start_matches('/')),
                    format!("from {}", self.source(&copy.from)),
                ]
            }
            Op::Workdir(workdir) => {
                vec![format!("WORKDIR /{}", workdir.path.to_string().trim_start_matches('/'))]
            }
        }
    }

    fn mounted(&self, kind: &MountKind) -> String {
        match kind {
            MountKind::Bind { from, .. } => self.source(from),
            MountKind::Cache { id, .. } => format!("the cache `{id}`"),
            MountKind::Tmpfs { .. } => "memory".to_owned(),
            MountKind::Secret { id, .. } => format!("the secret `{id}`"),
            MountKind::Ssh { id, .. } => format!("the agent `{id}`"),
        }
    }

    /// Returns the plan for programs.
    fn object(&self) -> Value {
        let plan = &self.planned.plan;
        let edges = plan.edges();
        let stages: Vec<Value> = self.stages().iter().map(|stage| self.stage(stage, &edges)).collect();
        let images: Vec<Value> =
            self.planned.images.iter().map(|image| json!({"name": image.name, "location": image.location})).collect();
        json!({
            "platform": plan.platform.to_string(),
            "target": plan.stages[plan.target].number,
            "images": images,
            "stages": stages,
        })
    }

    fn stage(&self, stage: &PlannedStage, edges: &[(StepId, StepId)]) -> Value {
        let base = match stage.base {
            PlanBase::Scratch => json!("scratch"),
            PlanBase::Stage(below) => json!({"stage": self.stages()[below].number}),
            PlanBase::Image(number) => json!({"image": number}),
        };
        let step = |(at, step): (usize, &Step)| {
            let id = StepId { stage: stage.number, step: at };
            let after: Vec<String> =
                edges.iter().filter(|(_, next)| *next == id).map(|(one, _)| one.to_string()).collect();
            json!({"step": id.to_string(), "name": step.name, "after": after, "does": operation(&step.op)})
        };
        json!({
            "number": stage.number,
            "name": stage.name,
            "base": base,
            "steps": stage.steps.iter().enumerate().map(step).collect::<Vec<_>>(),
            "config": serde_json::to_value(&stage.config).unwrap_or_default(),
        })
    }

    /// Returns the steps and what waits for what, for Graphviz.
    fn dot(&self) -> String {
        let mut text = "digraph plan {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
        for (number, stage) in self.stages().iter().enumerate() {
            text.push_str(&format!("  subgraph cluster_{number} {{\n    label={};\n", quoted(&self.title(number))));
            if let PlanBase::Image(image) = stage.base {
                let label = quoted(&self.planned.images[image].name);
                text.push_str(&format!("    \"base.{number}\" [label={label}, shape=ellipse];\n"));
            }
            for (at, step) in stage.steps.iter().enumerate() {
                text.push_str(&format!("    \"{}.{at}\" [label={}];\n", stage.number, quoted(&step.name)));
            }
            text.push_str("  }\n");
            if let (PlanBase::Image(_), false) = (&stage.base, stage.steps.is_empty()) {
                text.push_str(&format!("  \"base.{number}\" -> \"{}.0\";\n", stage.number));
            }
        }
        for (one, next) in self.planned.plan.edges() {
            text.push_str(&format!("  \"{one}\" -> \"{next}\";\n"));
        }
        text + "}\n"
    }
}

fn operation(op: &Op) -> Value {
    match op {
        Op::Run(run) => json!({
            "run": run.arguments,
            "environment": run.environment.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
            "workingDirectory": run.working_directory.to_string(),
            "user": run.user,
            "network": if run.network == Network::None { "none" } else { "host" },
            "mounts": run.mounts.iter().map(|mount| mount.target.to_string()).collect::<Vec<_>>(),
        }),
        Op::Copy(copy) => json!({
            "copy": copy.sources,
            "destination": copy.destination.to_string(),
            "chown": copy.chown,
            "chmod": copy.chmod,
            "link": copy.link,
        }),
        Op::Workdir(workdir) => json!({"workdir": workdir.path.to_string(), "user": workdir.user}),
    }
}

/// Returns text as a quoted string of the DOT language.
fn quoted(text: &str) -> String {
    let short = crate::ui::visible(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{short}\"")
}
