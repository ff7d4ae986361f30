//! `lbuild fsck`.

use super::{Scene, print};
use crate::args::FsckArgs;
use crate::engine;
use crate::exit::Exit;
use crate::report::Failure;
use crate::ui::visible;
use layerfs::store::{FsckReport, Problem};

/// Checks the store: says what is wrong, a line each; 125 if anything is, or is still after a repair.
pub fn run(args: &FsckArgs, scene: &Scene) -> Result<Exit, Failure> {
    let report = engine::check(&scene.root, args.repair, &scene.cancel)?;
    print(&shown(&report, args.repair))?;
    Ok(if report.is_well() { Exit::Success } else { Exit::Lbuild })
}

/// Returns what is printed of a report.
fn shown(report: &FsckReport, repaired: bool) -> String {
    if report.problems.is_empty() {
        return "clean\n".to_owned();
    }
    let mut text: String = report.problems.iter().map(|problem| line(problem, repaired)).collect();
    if !repaired && report.problems.iter().any(|problem| problem.cure.is_none()) {
        text.push_str("`lbuild fsck --repair` removes what is damaged; the next build makes it again\n");
    }
    text
}

fn line(problem: &Problem, repaired: bool) -> String {
    let mark = match (repaired, problem.mended) {
        (false, _) => "",
        (true, true) => "mended: ",
        (true, false) => "left: ",
    };
    let cure = problem.cure.as_ref().map(|cure| format!("; {cure}")).unwrap_or_default();
    format!("{mark}{}{}\n", visible(&problem.text), visible(&cure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_is_to_be_done() {
        let problem = |text: &str, cure: Option<&str>, mended| Problem {
            text: text.to_owned(),
            cure: cure.map(str::to_owned),
            mended,
        };
        let report = |problems| FsckReport { problems, ..FsckReport::default() };
        let hint = "`lbuild fsck --repair` removes what is damaged; the next build makes it again\n";
        for (problems, repaired, wanted) in [
            (vec![], false, "clean\n".to_owned()),
            (vec![], true, "clean\n".to_owned()),
            (vec![problem("blob x", None, false)], false, format!("blob x\n{hint}")),
            (vec![problem("image x", Some("build it"), false)], false, "image x; build it\n".to_owned()),
            (
                vec![problem("blob x", None, true), problem("image x", Some("build it"), false)],
                true,
                "mended: blob x\nleft: image x; build it\n".to_owned(),
            ),
        ] {
            assert_eq!(shown(&report(problems), repaired), wanted);
        }
    }
}
