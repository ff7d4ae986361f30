"""Measures rows on one file system: lbuild, its peers and the floors in turn."""
import os, shutil, statistics
from . import process, rows
from .builders import Buildah, BuildKit, Lbuild
from .floors import Floors
from .inputs import Inputs
from .registry import Registry

#: A peer that takes longer than this, in seconds, does not run as often as lbuild.
SLOW = 2.0


class At:
    """One file system with all that the rows need there."""

    def __init__(self, where, options):
        self.where, self.options = where, options
        self.lbuild, self.bases, self.has_pigz = options.lbuild, options.bases, shutil.which("pigz") is not None
        self.inputs = Inputs(os.path.join(where, "inputs"), options.bases, options.seed)
        self.floors = Floors(options.floors, where, options.bases)
        self.plain, self.registry = {}, None
        self.out = os.path.join(where, "out")
        os.makedirs(self.out, exist_ok=True)

    def has_room(self, row):
        """Reports whether a row's files fit; what it made before counts as free."""
        found = os.statvfs(self.where)
        made = process.disk(os.path.join(self.inputs.root, row.group))
        return found.f_bavail * found.f_frsize + made >= row.room

    def begin_group(self, row):
        """Returns who builds the rows of a group, each with an empty store; nobody if there is no room."""
        found = self.builders(row) if self.has_room(row) else []
        for builder in found:
            attempt(builder, builder.empty)
        return found

    def builders(self, row):
        options, group = self.options, row.group
        found = [Lbuild(self.where, self.lbuild, self.bases, group)]
        if row.alone:
            return found
        if "buildah" in options.peers and Buildah.is_here():
            found.append(Buildah(self.where, self.bases, group))
        if "buildkit" in options.peers and options.docker:
            found.append(BuildKit(options.docker, os.path.join(self.where, "docker"), self.bases))
        return found

    def archive(self, builder):
        return os.path.join(self.out, f"{builder.name}.tar")

    def drop_archives(self, builder):
        if os.path.exists(self.archive(builder)):
            os.remove(self.archive(builder))

    def end_of_group(self, group, builders):
        if group in ("w3", "big"):
            process.remove(os.path.join(self.inputs.root, group))
        for builder in builders:
            builder.remove()
            self.drop_archives(builder)
        plain = self.plain.pop(group, None)
        if plain:
            os.remove(plain.path)

    def end(self):
        if self.registry:
            self.registry.end()
        self.floors.remove()


def runs_of(row, options):
    if row.times:
        return row.times
    return options.best_runs if row.statistic == "best" else options.runs


def statistic_of(row, options):
    return "best" if options.best else row.statistic


def value(statistic, times):
    return min(times) if statistic == "best" else statistics.median(times)


def attempt(builder, action):
    """Returns what `action` does; a peer that fails at it is told of and left out from there on, lbuild ends the run."""
    try:
        return action()
    except process.Failed as failed:
        if builder.name == "lbuild":
            raise
        builder.failure = str(failed)
        print(f"{builder.name} failed, and is left out until the next group of rows: {failed}", flush=True)
        return None


def measure(row, at, builders, results):
    """Returns everything that was measured for a row, ready for JSON."""
    if row.needs_registry and at.registry is None:
        at.registry = Registry(at.where, at.bases)
    grown, memory = {}, 0
    for builder in working(builders):
        before = sum(map(process.disk, builder.places()))
        attempt(builder, lambda: row.prepare(at, builder))
        if builder.name == "lbuild":
            memory = rows.memory_of(at, row, builder, 1000)
        elif not builder.failure:
            attempt(builder, lambda: row.once(at, builder, 1000))
        if all(os.access(place, os.R_OK) for place in builder.places()):
            grown[builder.name] = sum(map(process.disk, builder.places())) - before
    sizes = rows.sizes(at, row)
    floors = {name: rows.floor_of(at, row, name) for name in row.floors}
    times = in_turn(row, at, builders, floors)
    for builder in working(builders):
        attempt(builder, lambda: row.end(at, builder))
    took = {builder.name: times[builder.name] for builder in working(builders)}
    return summary(row, statistic_of(row, at.options), took, {name: times[name] for name in floors}, results) | {
        "memory_mib": memory, "store_growth": grown, "sizes": sizes,
        "failures": {builder.name: builder.failure for builder in builders if builder.failure}}


def working(builders):
    return [builder for builder in builders if not builder.failure]


def in_turn(row, at, builders, floors):
    """Runs everything once a round, so that what disturbs one disturbs all."""
    times = {name: [] for name in [builder.name for builder in builders] + list(floors)}
    for number in range(runs_of(row, at.options)):
        for builder in working(builders):
            if wants_another(times[builder.name], builder, at.options):
                times[builder.name].append(attempt(builder, lambda: row.once(at, builder, number)))
        for name, floor in floors.items():
            times[name].append(floor())
    return times


def wants_another(times, builder, options):
    return builder.name == "lbuild" or len(times) < options.peer_runs or max(times) < SLOW


def summary(row, statistic, times, floors, results):
    """Returns the figures of a row: the best or median of each, the bound, and the share of it that lbuild took."""
    took = {name: value(statistic, some) for name, some in times.items()}
    least = {name: value(statistic, some) for name, some in floors.items()}
    earlier = {one["row"]: one["took"]["lbuild"] for one in results}
    try:
        bound = row.bound(least, earlier) if row.bound else None
    except KeyError:
        # It is a share of another row, which was not asked for.
        bound = None
    return {"row": row.name, "what": row.what, "rule": row.rule, "statistic": statistic, "took": took, "floors": least,
            "bound": bound, "share": took["lbuild"] / bound if bound else None, "runs": times, "floor_runs": floors,
            "commands": row.commands, "compresses": row.compresses}


def measure_all(where, wanted, options, tell):
    """Measures the wanted rows, in the order of the table, and tells each result."""
    at, results, builders, group = At(where, options), [], [], None
    try:
        for row in (row for row in rows.ROWS if row.name in wanted):
            if row.group != group:
                at.end_of_group(group, builders)
                builders, group = at.begin_group(row), row.group
            if builders:
                results.append(measure(row, at, builders, results))
                tell(results[-1])
            else:
                print(f"{row.name:6} left out: it needs {row.room >> 30} GiB", flush=True)
        at.end_of_group(group, builders)
    finally:
        at.end()
    return results
