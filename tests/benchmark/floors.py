"""What no builder can do without, measured in the same run; `layerfs/examples/floors.rs` times what is more than a process."""
import json, os, subprocess, tarfile, time
from . import inputs, process

ALL_NAMESPACES = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--ipc", "--uts", "--cgroup", "true"]


class Archive:
    """An OCI archive, as the tars of its layers that are not compressed."""

    def __init__(self, path):
        self.path, self.layers, self.size = path, [], os.path.getsize(path)
        with tarfile.open(path) as archive:
            members = {member.name: member for member in archive}

            def read(name):
                return json.load(archive.extractfile(members[name]))

            def blob(descriptor):
                return "blobs/" + descriptor["digest"].replace(":", "/")

            manifest = read(blob(read("index.json")["manifests"][0]))
            for layer in manifest["layers"]:
                member = members[blob(layer)]
                self.layers.append((layer["mediaType"], member.offset_data, member.size))

    def ranges(self):
        plain = [(offset, size) for kind, offset, size in self.layers if kind.endswith(".tar")]
        return [f"{self.path}:{offset}:{size}" for offset, size in plain]

    def plain_bytes(self):
        return sum(size for kind, _, size in self.layers if kind.endswith(".tar"))

    def compressed_bytes(self, suffix):
        return sum(size for kind, _, size in self.layers if kind.endswith(suffix))


class Floors:
    """Measures one floor at a time; each answers in seconds."""

    def __init__(self, program, where, bases):
        self.program, self.where, self.bases = program, where, bases
        self.root = os.path.join(where, "floor-root")

    def helper(self, *words):
        return float(process.output([self.program, *map(str, words)]).split()[0])

    def start(self):
        return process.seconds(["true"])

    def unshare20(self):
        return sum(process.seconds(ALL_NAMESPACES) for _ in range(20))

    def stat(self, context):
        return self.helper("stat", context)

    def read(self, context):
        return self.helper("read", context)

    def write(self, size):
        return self.helper("write", os.path.join(self.where, "floor"), size)

    def of(self, what, archive):
        """Returns the time of sha256, gzip or zstd for the plain layers of an archive."""
        return self.helper(what, *archive.ranges())

    def inflate(self, layer):
        return self.helper("inflate", layer)

    def pigz_bytes(self, archive):
        """Returns what `pigz -6` makes of the plain layers of an archive."""
        total = 0
        for place in archive.ranges():
            path, offset, size = place.rsplit(":", 2)
            tail = f"tail -c +{int(offset) + 1} '{path}' | head -c {size} | pigz -6 -c | wc -c"
            total += int(process.output(["sh", "-c", tail]))
        return total

    def prepare_commands(self):
        """Unpacks a plain Debian root for the commands of w6."""
        process.remove(self.root)
        os.makedirs(self.root)
        process.seconds(process.in_namespace(["tar", "-xf", os.path.join(self.bases, "roots", "debian.tar"), "-C", self.root,
                                              "--exclude=./dev/*", "--numeric-owner"]))

    def commands(self):
        """Runs the commands of w6 in a plain directory."""
        self.prepare_commands()
        return sum(process.seconds(process.in_namespace(["chroot", self.root, "/bin/sh", "-c", line])) for line in inputs.W6)

    def rm(self):
        """Removes 200,000 files."""
        process.remove(self.root)
        os.makedirs(self.root)
        process.seconds(["busybox", "sh", "-c", f"cd {self.root} && {inputs.MANY}"])
        return process.seconds(["rm", "-rf", self.root])

    def arithmetic(self):
        """Runs the arithmetic of one stage of w7 on every core at once."""
        command = ["busybox", "sh", "-c", inputs.ARITHMETIC]
        start = time.perf_counter()
        running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(os.cpu_count())]
        for one in running:
            one.wait()
        return time.perf_counter() - start

    def remove(self):
        process.remove(self.root)
