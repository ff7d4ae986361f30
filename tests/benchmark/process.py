"""Running and timing programs: their time, their memory, the disk they fill."""
import os, shutil, subprocess, sys, tempfile, threading, time

#: Runs a command with all of the caller's subordinate ids, who owns what builders unpack.
WITH_RANGES = ["unshare", "--user", "--map-root-user", "--map-auto", "--"]


class Failed(SystemExit):
    """A program failed: it ends the run with what it said, unless the run can go on without it."""

    def __init__(self, command, said):
        super().__init__(f"bench: {' '.join(command)}\n{said.decode(errors='replace')[-2000:]}")


def fail(text):
    sys.exit(f"bench: {text}")


def seconds(command):
    """Runs `command`, its output dropped, and returns how long it took; and raises what it says when it fails."""
    with tempfile.TemporaryFile() as said:
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                   (os.POSIX_SPAWN_DUP2, said.fileno(), 2)]
        start = time.perf_counter()
        process = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
        status = os.waitpid(process, 0)[1]
        took = time.perf_counter() - start
        if status:
            said.seek(0)
            raise Failed(command, said.read())
    return took


def all_seconds(commands):
    return sum(seconds(command) for command in commands)


def output(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise Failed(command, done.stderr)
    return done.stdout.decode()


def in_namespace(command):
    """Returns `command` as one that may touch what builders unpacked."""
    return command if os.geteuid() == 0 else WITH_RANGES + command


def remove(path):
    """Removes a tree, of which parts may belong to subordinate ids."""
    if os.path.lexists(path):
        shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        subprocess.run(in_namespace(["rm", "-rf", path]), stderr=subprocess.DEVNULL)


def disk(path):
    """Returns the bytes of disk that a tree takes; zero if it is not there."""
    if not os.access(path, os.R_OK):
        return 0
    said = subprocess.run(in_namespace(["du", "-s", "--block-size=1", path]), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return int(said.stdout.split()[0])


class Memory(threading.Thread):
    """Samples the memory of all processes that run a program and descend from this one, and keeps the highest sum, in KiB.

    Commands of the image are other programs, so they do not count; copies of the program in memory do."""

    def __init__(self, program, copies):
        super().__init__(daemon=True)
        self.programs = (os.path.realpath(program), f"/memfd:{copies} (deleted)")
        self.peak, self.ended, self.own = 0, False, str(os.getpid())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.join()

    def run(self):
        while not self.ended:
            self.peak = max(self.peak, sum(map(self.resident, filter(str.isdigit, os.listdir("/proc")))))
            time.sleep(0.005)

    def descends(self, process):
        """Reports whether a process was started by this one, or by one that was."""
        while process not in ("0", "1"):
            if process == self.own:
                return True
            with open(f"/proc/{process}/stat") as file:
                process = file.read().rsplit(")", 1)[1].split()[1]
        return False

    def resident(self, process):
        try:
            if os.readlink(f"/proc/{process}/exe") not in self.programs or not self.descends(process):
                return 0
            with open(f"/proc/{process}/smaps_rollup") as file:
                return sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            return 0
