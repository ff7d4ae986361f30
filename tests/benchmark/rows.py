"""The rows: what is built, how it is timed, and what bounds it."""
import os, time
from . import process
from .builders import COPIES, Lbuild, Work
from .floors import Archive


class Row:
    """One workload. `bound` is what the time may be, from the floors of the run and earlier rows; `rule` says it in words."""

    #: Rows that take milliseconds are decided by their best run, the others by the median.
    statistic = "median"
    archive, compression, cached = False, "uncompressed", False
    #: Rows of one group share a store.
    group = None
    bound = None
    rule = ""
    #: The floors that are measured, by name.
    floors = ()
    needs_registry = False
    #: Whether the commands of the image take most of the time, so that peers cannot be far away.
    commands = False
    compresses = False
    #: Bytes that must be free for it.
    room = 0
    #: Set for what is measured without peers.
    alone = False
    #: How often it runs, where that is no matter of the options.
    times = None

    def __init__(self, name, what, **fields):
        self.name, self.what = name, what
        for field, value in fields.items():
            if not hasattr(Row, field):
                raise TypeError(field)
            setattr(self, field, value)
        self.group = self.group or name

    def work(self, at, builder):
        archive = at.archive(builder) if self.archive else None
        return Work(at.inputs.context(self.group), archive, self.compression, self.cached)

    def prepare(self, at, builder):
        """Makes ready what every run finds."""
        if self.cached:
            at.drop_archives(builder)
            process.all_seconds(builder.build(self.work(at, builder)))

    def end(self, at, builder):
        """Takes away what the runs left, where that is much or in the way of other rows."""

    def once(self, at, builder, number):
        """Runs once and returns the seconds of what counts."""
        at.drop_archives(builder)
        if self.compresses and not self.cached:
            process.all_seconds(builder.forget_forms())
        return process.all_seconds(builder.build(self.work(at, builder)))


class Pruned(Row):
    """The store is emptied of what a build left in it."""

    def once(self, at, builder, number):
        process.all_seconds(builder.build(self.work(at, builder)))
        return process.all_seconds(builder.prune())


class Changed(Row):
    """One file of 100,000 is changed before each run, so that each leaves a layer behind."""

    def end(self, at, builder):
        builder.empty()

    def once(self, at, builder, number):
        path = os.path.join(at.inputs.context(self.group), "data/d050/s5/f050500")
        with open(path, "w") as file:
            file.write(f"changed {builder.name} {number} {time.time_ns()}\n")
        return super().once(at, builder, number)


class Ignoring(Row):
    """The context has a `.dockerignore` of a thousand lines that match nothing in it."""

    LINES = "".join(f"**/cache{number}\n**/*.tmp{number}\n!**/keep{number}/**\nbuild{number}\n" for number in range(250))

    def ignore_file(self, at):
        return os.path.join(at.inputs.context(self.group), ".dockerignore")

    def prepare(self, at, builder):
        # One file for all: written again, it would be another file to those who look at its times.
        if not os.path.exists(self.ignore_file(at)):
            with open(self.ignore_file(at), "w") as file:
                file.write(self.LINES)
        super().prepare(at, builder)

    def end(self, at, builder):
        if os.path.exists(self.ignore_file(at)):
            os.remove(self.ignore_file(at))


class Pulled(Row):
    """A base comes from the registry; `push` sends the image back to it, `known` is whether the base was seen before."""

    needs_registry = True
    push = known = False

    def __init__(self, name, what, push=False, known=False, **fields):
        super().__init__(name, what, **fields)
        self.push, self.known = push, known

    def build(self, at, builder, image):
        address = at.registry.address
        return process.all_seconds(builder.from_registry(at.inputs.context(self.group), address, f"{address}/{image}:1", self.push))

    def prepare(self, at, builder):
        if self.known:
            builder.empty(bases=False)
            self.build(at, builder, f"before-{builder.name}")

    def once(self, at, builder, number):
        if not self.known:
            builder.empty(bases=False)
        elif self.push:
            with open(os.path.join(at.inputs.context(self.group), "app.txt"), "w") as file:
                file.write(f"{builder.name} {number} {time.time_ns()}\n")
        return self.build(at, builder, f"{self.name}-{builder.name}-{number}")


class Pushed(Row):
    """The image of w6 is pushed: its layers new to the registry, `kept` after w6, `again` unchanged."""

    needs_registry = True
    again = kept = False

    def __init__(self, name, what, again=False, kept=False, **fields):
        super().__init__(name, what, **fields)
        self.again, self.kept = again, kept

    def new_image(self, at, builder, name):
        builder.empty()
        archive = at.archive(builder) if self.kept else None
        form = "gzip" if self.kept else "uncompressed"
        process.all_seconds(builder.build(Work(at.inputs.context(self.group), archive, form, cached=False, named=True)))
        at.drop_archives(builder)
        process.all_seconds(builder.tag(name))

    def prepare(self, at, builder):
        if self.again:
            self.new_image(at, builder, self.image(at, builder, 0))
            process.all_seconds(builder.push(self.image(at, builder, 0)))

    def image(self, at, builder, number):
        return f"{at.registry.address}/{self.name}-{builder.name}-{0 if self.again else number}:1"

    def once(self, at, builder, number):
        image = self.image(at, builder, number)
        if not self.again:
            self.new_image(at, builder, image)
        return process.all_seconds(builder.push(image))


BEST = {"statistic": "best"}
WARM = {"cached": True}
GZIP = {"archive": True, "compression": "gzip", "compresses": True}

ROWS = [
    Row("w1", "10 steps and a COPY of 1,000 files, everything cached, to the store", **BEST, **WARM, floors=("start", "stat"),
        bound=lambda f, r: 10 * f["start"] + 3 * f["stat"], rule="10 x process start + 3 x stat walk"),
    Row("fifty", "50 steps and the same COPY, everything cached, to the store", **BEST, **WARM, floors=("start", "stat"),
        bound=lambda f, r: 2 * r["w1"], rule="2 x w1"),
    Row("w2", "20 RUN, no cache, to the store", **BEST, floors=("unshare20",),
        bound=lambda f, r: 3 * f["unshare20"], rule="3 x 20 unshare with all namespaces"),
    Row("w3", "2,000 files of 1 MiB, half of them random, to an OCI archive, plain", group="w3", archive=True, room=14 << 30,
        floors=("read", "sha256", "write"), bound=lambda f, r: 2 * (f["read"] + f["sha256"] + f["write"]), rule="2 x (read + sha256 + write)"),
    Row("w3g", "the same, gzip", group="w3", **GZIP, room=14 << 30, floors=("gzip",), bound=lambda f, r: 1.2 * f["gzip"], rule="1.2 x libdeflate -6"),
    Row("w3z", "the same, zstd", group="w3", archive=True, compression="zstd", compresses=True, room=14 << 30, floors=("zstd",),
        bound=lambda f, r: 2 * f["zstd"], rule="2 x zstd -3"),
    Row("big", "one file of 6 GiB to an OCI archive, zstd: its memory", archive=True, compression="zstd", compresses=True, alone=True, times=1,
        room=20 << 30),
    Row("w4", "100,000 files of 0 to 8 KiB to an OCI archive, gzip", group="w4", **GZIP, room=8 << 30, floors=("stat", "read", "gzip"),
        bound=lambda f, r: 2 * (f["stat"] + f["read"] + f["gzip"]), rule="2 x (stat walk + read + libdeflate -6)"),
    Changed("w5", "w4 with one file changed, warm", group="w4", **GZIP, **WARM, room=8 << 30,
            bound=lambda f, r: r["w4"] / 2, rule="half of w4"),
    Changed("w5s", "the same, to the store", group="w4", **WARM, room=8 << 30, floors=("stat", "sha256", "write"),
            bound=lambda f, r: 3 * (f["stat"] + f["sha256"] + f["write"]), rule="3 x (stat walk + sha256 + write)"),
    Row("w5b", "w4 with nothing changed, warm, to the archive", group="w4", **BEST, **GZIP, **WARM, floors=("stat", "write"),
        bound=lambda f, r: 2 * f["stat"] + f["write"], rule="2 x stat walk + write"),
    Row("w5c", "the same, to the store", group="w4", **BEST, **WARM, floors=("stat",), bound=lambda f, r: 1.5 * f["stat"],
        rule="1.5 x stat walk"),
    Ignoring("w5i", "the same, with a .dockerignore of 1,000 lines", group="w4", **BEST, **WARM, floors=("stat",),
             bound=lambda f, r: 1.5 * f["stat"], rule="1.5 x stat walk"),
    Row("w6", "RUN of 300 MB in 20,000 files, one that touches, one that removes; to an OCI archive, gzip", **GZIP,
        floors=("commands", "gzip"), bound=lambda f, r: 1.3 * (f["commands"] + f["gzip"]), rule="1.3 x (the commands + libdeflate -6)",
        commands=True),
    Row("w7", "8 stages of a second's sleep and some arithmetic, a last one that copies from all", floors=("arithmetic",),
        bound=lambda f, r: 1.15 * (1 + 8 / os.cpu_count() * f["arithmetic"]), rule="1.15 x (one sleep + CPU over the cores)",
        commands=True),
    Pulled("w8", "a Debian base pulled into an empty store, and a RUN", floors=("download", "inflate", "write"),
           bound=lambda f, r: 2 * (f["download"] + f["inflate"] + f["write"]), rule="2 x (download + inflate + write)"),
    Pulled("w9", "a Debian base and a COPY, pushed to another repository, from an empty store", push=True),
    Pulled("w9i", "the same, the base seen before", push=True, known=True, group="w9", **BEST, floors=("round_trip", "start"),
           bound=lambda f, r: 4 * f["round_trip"] + 10 * f["start"], rule="4 round trips + 10 x process start"),
    Pushed("push6", "the image of w6 pushed to a new repository after w6", group="w6", kept=True),
    Pushed("push6c", "the same without w6 before: everything is compressed now, gzip", group="w6", compresses=True),
    Pushed("again", "the same image pushed again, unchanged", group="w6", again=True, **BEST),
    Pruned("prune", "rmi and prune -a of a RUN of 200,000 files", alone=True, floors=("rm",),
           bound=lambda f, r: f["rm"] / 0.7, rule="rm -rf / 0.7"),
]
NAMES = [row.name for row in ROWS]


def plain_archive(at, row):
    """Returns the archive of a row's image with nothing compressed: what compressors and digests are timed on."""
    if row.group not in at.plain:
        builder, path = Lbuild(at.where, at.lbuild, at.bases, f"plain-{row.group}"), os.path.join(at.where, "out", f"{row.group}.plain.tar")
        process.all_seconds(builder.build(Work(at.inputs.context(row.group), path)))
        builder.remove()
        at.plain[row.group] = Archive(path)
    return at.plain[row.group]


def floor_of(at, row, name):
    """Returns what measures the floor `name` for a row."""
    floors = at.floors
    if name in ("start", "unshare20", "commands", "arithmetic", "rm"):
        return getattr(floors, name)
    if name in ("stat", "read"):
        return lambda: getattr(floors, name)(at.inputs.context(row.group))
    if name in ("download", "round_trip"):
        return getattr(at.registry, name)
    if name == "inflate":
        layer = os.path.join(at.where, "out", "base.gz")
        at.registry.save_base_layer(layer)
        return lambda: floors.inflate(layer)
    if name == "write":
        size = written(at, row)
        return lambda: floors.write(size)
    return lambda: floors.of(name, plain_archive(at, row))


def written(at, row):
    """Returns the bytes that a row cannot but write."""
    if row.group == "w8":
        return os.path.getsize(os.path.join(at.bases, "roots", "debian.tar"))
    if row.name == "w5b":
        return os.path.getsize(at.archive(Lbuild))
    return plain_archive(at, row).plain_bytes()


def sizes(at, row):
    """Returns the sizes of a gzip layer and of what pigz makes of it, where that is asked for and pigz is there."""
    if row.name != "w3g" or not at.has_pigz:
        return {}
    ours = Archive(at.archive(Lbuild)).compressed_bytes("gzip")
    return {"lbuild": ours, "pigz": at.floors.pigz_bytes(plain_archive(at, row))}


def memory_of(at, row, builder, number):
    # The worker of the build before may still be on its way out.
    time.sleep(0.3)
    with process.Memory(at.lbuild, COPIES) as memory:
        row.once(at, builder, number)
    return memory.peak / 1024
