"""The command line of `tests/bench`."""
import argparse, json, os, platform, signal, subprocess, sys
from . import measure, plot, process, ratios, report
from .places import HERE, REPOSITORY, Docker, Places, as_user
from .rows import NAMES, ROWS

TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(REPOSITORY, "target"))
DESCRIPTION = """Times lbuild beside its peers and beside the floors of this machine.

Every context is made here, from a seed. lbuild, the peers that are there and the floors run in turn. Rows of milliseconds
are decided by the best of --best-runs, the others by the median of --runs. The bound of a row is worked out from the floors
of the same run; a share of at most 1 holds. As root it runs once on an ext4 with a journal (a loop mount) and once on tmpfs,
else where target/ is. Compare ratios, not the times of two machines. Memory is the sum over lbuild's own processes, the
commands of the image left out.
"""


def parsed():
    rows = "rows:\n" + "\n".join(f"  {row.name:6} {row.what}{': at most ' + row.rule if row.rule else ''}" for row in ROWS)
    parser = argparse.ArgumentParser(prog="tests/bench", description=DESCRIPTION, epilog=rows, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="ROW", help="rows to measure (all)")
    parser.add_argument("--runs", type=int, default=5, help="runs of rows of seconds (5)")
    parser.add_argument("--best-runs", type=int, default=15, help="runs of rows of milliseconds (15)")
    parser.add_argument("--peer-runs", type=int, default=3, help="runs of a peer that takes seconds (3)")
    parser.add_argument("--peers", default="buildah,buildkit", help="peers to run where they are there (buildah,buildkit)")
    parser.add_argument("--places", default="ext4,tmpfs", help="file systems to mount for root (ext4,tmpfs)")
    parser.add_argument("--as", dest="user", help="who runs it: a user, or `with` for one made for it who has id ranges (the caller)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="keep all numbers")
    parser.add_argument("--markdown", action="store_true", help="print tables for docs/PERFORMANCE.md at the end")
    parser.add_argument("--best", action="store_true", help="let the best run decide every row")
    parser.add_argument("--ratios", choices=["check", "write"], help="compare the quick rows with the committed ratios, or write these")
    parser.add_argument("--plot", metavar="FILE", help="measure and draw cost against work as SVG, in place of the rows")
    parser.add_argument("--most", type=int, default=1_000_000, help="the most files or steps of the plot (1000000)")
    parser.add_argument("--lbuild", default=os.environ.get("LBUILD", os.path.join(TARGET, "release", "lbuild")), help="the program (target/release/lbuild)")
    parser.add_argument("--floors", default=os.path.join(TARGET, "release", "examples", "floors"), help=argparse.SUPPRESS)
    parser.add_argument("--bases", default=os.path.join(TARGET, "bases"), help=argparse.SUPPRESS)
    parser.add_argument("--docker", default="", help=argparse.SUPPRESS)
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no such row: {' '.join(unknown)}; there are {' '.join(NAMES)}")
    options.typed, options.names = options.names, options.names or NAMES
    if options.ratios:
        options.peers, options.places, options.best, options.runs, options.best_runs = "none", "tmpfs", True, 3, 15
    return options


def machine():
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) >> 20
    asked = ["git", "-c", f"safe.directory={REPOSITORY}", "-C", REPOSITORY, "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().strip()
    return f"{os.cpu_count()} CPUs, {memory} GiB, {platform.machine()}, Linux {platform.release()}, commit {commit or 'unknown'}"


def who():
    return "root" if os.geteuid() == 0 else f"a plain user, uid {os.geteuid()}"


def passed_on(options):
    """Returns the words of a run inside one place."""
    words = [*options.names, "--runs", options.runs, "--best-runs", options.best_runs, "--peer-runs", options.peer_runs, "--peers", options.peers,
             "--seed", options.seed, "--lbuild", os.path.abspath(options.lbuild), "--floors", options.floors, "--bases", options.bases]
    return [str(word) for word in words] + (["--best"] if options.best else []) + (["--plot", "x", "--most", str(options.most)] if options.plot else [])


def inside(options):
    """Measures in one place, as whoever we are, and writes what came out beside it."""
    where = options.inside
    if options.plot:
        return write_results(where, {"points": plot.measure(where, options)})
    results = measure.measure_all(where, set(options.names), options, lambda result: print(report.line(result), flush=True))
    write_results(where, {"who": who(), "results": results})


def write_results(where, what):
    with open(os.path.join(where, "results.json"), "w") as file:
        json.dump(what, file)


def in_place(options, what, where):
    """Measures in one place by a process of the wanted user."""
    docker = Docker(where) if os.geteuid() == 0 and "buildkit" in options.peers and Docker.is_here() else None
    # Started by its name: the interpreter of root may be where nobody else may look.
    command = [os.path.join(HERE, "bench"), *passed_on(options), "--inside", where]
    if docker and docker.process:
        command += ["--docker", docker.socket]
    try:
        print(f"\n{what}", flush=True)
        if subprocess.run(as_user(options.user, command) if options.user else command).returncode:
            sys.exit(1)
        with open(os.path.join(where, "results.json")) as file:
            return {"place": what, **json.load(file)}
    finally:
        if docker:
            docker.end()


def of_ratios(options, what, where):
    def run(names):
        options.names = names
        return in_place(options, what, where)["results"]

    rows = options.typed
    ratios.check(run, rows) if options.ratios == "check" else ratios.write(run, machine(), rows)


def draw(options, what, where):
    points = in_place(options, what, where)["points"]
    with open(options.plot, "w") as file:
        file.write(plot.svg(points, f"best of {plot.RUNS}, {what}; {machine()}"))


def outside(options):
    print(f"machine: {machine()}; best of {options.best_runs} or median of {options.runs}, seed {options.seed}")
    places, measured = Places(os.path.join(TARGET, "bench"), options.places.split(",")), []
    try:
        if options.plot:
            return draw(options, *places.found[0])
        if options.ratios:
            return of_ratios(options, *places.found[0])
        for what, where in places.found:
            measured.append(in_place(options, what, where))
    finally:
        places.end()
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": machine(), "seed": options.seed, "places": measured}, file, indent=1)
    if options.markdown:
        print(f"\n{machine()}; by {measured[0]['who']}; seconds.\n")
        print("\n".join(report.markdown(one["place"], one["results"]) for one in measured))


def main():
    options = parsed()
    # What was mounted is unmounted, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for needed in (options.lbuild, options.floors):
        if not os.access(needed, os.X_OK):
            process.fail(f"{needed} is not there: `make bench` builds it")
    inside(options) if options.inside else outside(options)
