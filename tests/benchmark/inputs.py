"""The build contexts, made from a seed and a Debian root: the same of both give the same bytes everywhere."""
import functools, os, random, tarfile, time

#: Bytes of text that files are cut from.
POOL = 32 << 20
#: Seconds that a new context rests: what was written a moment ago may change again unseen, and is not remembered.
REST = 3
#: What a stage of w7 computes.
ARITHMETIC = "n=0; while [ $n -lt 400000 ]; do n=$((n+1)); done"
#: What the steps of w6 run.
W6 = ["mkdir /opt/t && for i in 1 2 3; do cp -a /usr/share /usr/lib /opt/t/; mv /opt/t/share /opt/t/s$i; mv /opt/t/lib /opt/t/l$i; done",
      "echo touched > /opt/t/touched", "rm -rf /opt/t/s1 /opt/t/l1"]
#: What the step of `prune` runs in its working directory: 200,000 files.
MANY = "for d in $(seq 200); do mkdir $d; for f in $(seq 1000); do echo $f > $d/$f; done; done"


def texts(root):
    """Yields the files of a root file system, a tar, that are text."""
    with tarfile.open(root) as archive:
        for member in archive:
            body = archive.extractfile(member).read() if member.isfile() else b""
            if b"\0" in body:
                continue
            try:
                body.decode()
            except UnicodeDecodeError:
                continue
            yield body


class Inputs:
    """Makes each context when it is asked for."""

    def __init__(self, root, bases, seed):
        self.root, self.bases, self.seed = root, bases, seed
        self.random = random.Random(seed)

    @functools.cached_property
    def text(self):
        """Text as people write it, in the order in which a root file system has it."""
        pool = bytearray()
        for body in texts(os.path.join(self.bases, "roots", "debian.tar")):
            pool += body
            if len(pool) >= POOL:
                break
        return bytes(pool)

    def context(self, name):
        path = os.path.join(self.root, name)
        if not os.path.exists(path):
            self.random.seed(f"{self.seed} {name}")
            getattr(self, name)()
            time.sleep(REST)
        return path

    def words(self, size):
        out = bytearray()
        while len(out) < size:
            at = self.random.randrange(len(self.text) - 4096)
            out += self.text[at:at + min(4096, size - len(out))]
        return bytes(out)

    def put(self, name, data):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())

    def small_files(self, name, count, largest):
        for i in range(count):
            self.put(f"{name}/data/d{i // 1000:03}/s{i // 100 % 10}/f{i:06}", self.words(self.random.randrange(largest)))

    def thousand(self, name):
        for i in range(1000):
            self.put(f"{name}/data/d{i // 50:02}/f{i:04}", self.words(self.random.randrange(20971)))

    def w1(self):
        self.thousand("w1")
        self.put("w1/Dockerfile", "FROM busybox\nENV A=1\nRUN echo 1 > /a\nRUN echo 2 > /b\nWORKDIR /app\nCOPY data data\n"
                 "RUN echo 3 > /c\nRUN ls -R /app > /d\nRUN echo 5 > /e\nCMD [\"sh\"]\n")

    def fifty(self):
        self.thousand("fifty")
        lines = ["FROM busybox", "WORKDIR /app", "COPY data data"]
        for i in range(9):
            self.put(f"fifty/f{i}", self.words(1000))
            lines += [f"ENV E{i}={i}", f"COPY f{i} /f{i}", f"RUN echo {i} > /r{i}", f"RUN ls /app > /l{i}", f"LABEL l{i}={i}"]
        self.put("fifty/Dockerfile", "\n".join(lines + ["USER nobody", "CMD [\"sh\"]"]) + "\n")

    def w2(self):
        self.put("w2/Dockerfile", "FROM busybox\n" + "".join(f"RUN echo {i} > /f{i}\n" for i in range(20)))

    def w3(self):
        for i in range(2000):
            body = self.random.randbytes(1 << 20) if i % 2 else self.words(1 << 20)
            self.put(f"w3/data/d{i // 100:02}/f{i:04}", body)
        self.put("w3/Dockerfile", "FROM scratch\nCOPY data /data\n")

    def big(self):
        half = self.random.randbytes(1 << 20) + self.words(1 << 20)
        self.put("big/Dockerfile", "FROM scratch\nCOPY file /file\n")
        with open(os.path.join(self.root, "big", "file"), "wb") as file:
            for _ in range(3 << 10):
                file.write(half)

    def w4(self):
        self.small_files("w4", 100000, 8193)
        self.put("w4/Dockerfile", "FROM busybox\nCOPY data /data\n")

    def w6(self):
        self.put("w6/Dockerfile", "FROM debian\n" + "".join(f"RUN {line}\n" for line in W6))

    def w7(self):
        stages = "".join(f"FROM busybox AS s{i}\nRUN sleep 1; {ARITHMETIC}; echo {i} > /out{i}\n" for i in range(8))
        self.put("w7/Dockerfile", stages + "FROM busybox\n" + "".join(f"COPY --from=s{i} /out{i} /\n" for i in range(8)))

    def w8(self):
        self.put("w8/Dockerfile", "ARG REGISTRY\nFROM $REGISTRY/base:1\nRUN echo hello > /hello\n")

    def w9(self):
        self.put("w9/app.txt", "small\n")
        self.put("w9/Dockerfile", "ARG REGISTRY\nFROM $REGISTRY/base:1\nCOPY app.txt /srv/app.txt\n")

    def prune(self):
        self.put("prune/Dockerfile", f"FROM busybox\nWORKDIR /many\nRUN {MANY}\n")

    def files(self, count):
        """Makes a context of `count` files of up to 1 KiB, for the plot; returns it."""
        name = f"files-{count}"
        path = os.path.join(self.root, name)
        if not os.path.exists(path):
            self.random.seed(f"{self.seed} {name}")
            self.small_files(name, count, 1024)
            self.put(f"{name}/Dockerfile", "FROM busybox\nCOPY data /data\n")
            time.sleep(REST)
        return path

    def steps(self, count):
        """Makes a Dockerfile of `count` RUN, for the plot; returns its context."""
        name = f"steps-{count}"
        self.put(f"{name}/Dockerfile", "FROM busybox\n" + "".join(f"RUN echo {i} > /f{i}\n" for i in range(count)))
        return os.path.join(self.root, name)
