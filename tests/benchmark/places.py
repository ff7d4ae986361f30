"""Where it runs: file systems that are mounted for it, and the user that it runs as."""
import os, shutil, subprocess, tempfile
from . import process

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REPOSITORY = os.path.dirname(HERE)


def available_memory():
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable:")) << 10


class Places:
    """File systems as pairs of what and where; mounted for root, else the one that target/ is on."""

    def __init__(self, scratch, wanted):
        self.scratch, self.mounted, self.found = scratch, [], []
        os.makedirs(scratch, exist_ok=True)
        if os.geteuid() != 0:
            kind = process.output(["stat", "-f", "-c", "%T", scratch]).strip()
            self.found.append((f"{kind} (of target/)", scratch))
            return
        self.above = tempfile.mkdtemp(prefix="lbuild-bench.", dir="/var/tmp")
        os.chmod(self.above, 0o711)
        if "ext4" in wanted:
            image = os.path.join(scratch, "image")
            process.output(["truncate", "-s", "48G", image])
            process.output(["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-O", "has_journal", image])
            self.mount("ext4", "ext4 with a journal (loop)", ["-o", "loop", image])
        if "tmpfs" in wanted:
            # What is not to be had must not be asked for: the whole machine would suffer.
            self.mount("tmpfs", "tmpfs", ["-t", "tmpfs", "-o", f"size={available_memory() * 6 // 10}", "lbuild-bench"])

    def mount(self, name, what, how):
        where = os.path.join(self.above, name)
        os.makedirs(where)
        process.output(["mount", *how, where])
        self.mounted.append(where)
        # Whoever runs the benchmark makes what it needs; nothing of it may be taken away by another.
        os.chmod(where, 0o1777)
        self.found.append((what, where))

    def end(self):
        for where in reversed(self.mounted):
            subprocess.run(["umount", "--recursive", where])
        if self.mounted:
            process.output(["rm", "-rf", "--one-file-system", self.above])
        process.remove(self.scratch)


def as_user(user, command):
    """Returns `command` as one that `user` runs: `with` is a user made for it who has id ranges, `without` one who has none."""
    if user in ("with", "without"):
        return [os.path.join(HERE, "as-user"), user, *command]
    home = os.path.expanduser(f"~{user}")
    environment = ["env", "-i", f"PATH={os.environ['PATH']}", f"HOME={home}", f"USER={user}", f"LOGNAME={user}", "LANG=C.UTF-8"]
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--inh-caps=-all", *environment, *command]


class Docker:
    """A Docker daemon of its own, for the BuildKit inside it; needs root."""

    def __init__(self, where):
        self.data, self.above = os.path.join(where, "docker"), tempfile.mkdtemp(prefix="lbuild-bench-docker.", dir="/var/tmp")
        self.socket = os.path.join(self.above, "socket")
        os.chmod(self.above, 0o755)
        self.log = open(os.path.join(self.above, "log"), "w")
        self.process = None
        for driver in ("overlay2", "vfs"):
            if self.process is None:
                self.process = self.started(driver)

    @staticmethod
    def is_here():
        return shutil.which("dockerd") is not None

    def started(self, driver):
        command = ["dockerd", "--data-root", self.data, "--exec-root", os.path.join(self.above, "exec"), "-p", os.path.join(self.above, "pid"),
                   "-H", f"unix://{self.socket}", "--iptables=false", "--ip6tables=false", "--bridge=none",
                   f"--storage-driver={driver}", "--userland-proxy=false"]
        daemon = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        asked = ["docker", "-H", f"unix://{self.socket}", "version"]
        for _ in range(100):
            if daemon.poll() is not None:
                return None
            if subprocess.run(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                os.chmod(self.socket, 0o666)
                return daemon
            try:
                daemon.wait(0.2)
            except subprocess.TimeoutExpired:
                pass
        daemon.kill()
        daemon.wait()
        return None

    def end(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
        self.log.close()
        process.remove(self.above)
