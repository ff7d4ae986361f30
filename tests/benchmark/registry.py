"""A docker-registry on loopback with the Debian base, and what it costs to speak to it."""
import hashlib, http.client, json, os, subprocess, time
from . import process

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry:
    def __init__(self, where, bases):
        root = os.path.join(where, "registry")
        os.makedirs(root, exist_ok=True)
        config, log = os.path.join(root, "config.yml"), os.path.join(root, "log")
        with open(config, "w") as file:
            file.write(f"version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n"
                       f"storage: {{filesystem: {{rootdirectory: {root}/data}}}}\nhttp: {{addr: '127.0.0.1:0', secret: bench}}\n")
        with open(log, "w") as file:
            self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=file, stderr=file)
        self.address = self.listening(log)
        process.seconds(["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", "--dest-compress-format", "gzip",
                         f"oci:{bases}/debian:latest", f"docker://{self.address}/base:1"])
        self.pushes = 0

    def listening(self, log):
        while True:
            with open(log) as file:
                said = file.read()
            if "listening on " in said:
                return said.split("listening on ")[1].split('"')[0]
            if self.process.poll() is not None:
                process.fail(f"docker-registry: {said}")
            time.sleep(0.01)

    def end(self):
        self.process.kill()
        self.process.wait()

    def ask(self, connection, method, path, body=None, headers=None):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            process.fail(f"{method} {path}: {answer.status} {content[:200]}")
        return answer, content

    def base_layer(self):
        connection = http.client.HTTPConnection(self.address)
        content = self.ask(connection, "GET", "/v2/base/manifests/1", headers={"Accept": MANIFEST})[1]
        return json.loads(content)["layers"][0]

    def download(self):
        """Returns how long one plain GET of the base's layer takes."""
        path = f"/v2/base/blobs/{self.base_layer()['digest']}"
        start, buffer = time.perf_counter(), bytearray(1 << 20)
        connection = http.client.HTTPConnection(self.address)
        connection.request("GET", path)
        answer = connection.getresponse()
        while answer.readinto(buffer):
            pass
        return time.perf_counter() - start

    def save_base_layer(self, path):
        connection = http.client.HTTPConnection(self.address)
        with open(path, "wb") as file:
            file.write(self.ask(connection, "GET", f"/v2/base/blobs/{self.base_layer()['digest']}")[1])

    def round_trip(self):
        """Returns what one request of a small push takes: a blob and a manifest sent to a new repository over one connection."""
        self.pushes += 1
        repository = f"/v2/trip-{os.getpid()}-{self.pushes}"
        body = json.dumps({"trip": self.pushes, "process": os.getpid()}).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": len(body)}})
        connection = http.client.HTTPConnection(self.address)
        start = time.perf_counter()
        place = self.ask(connection, "POST", f"{repository}/blobs/uploads/")[0].getheader("Location")
        place = place[place.index("/v2/"):]
        self.ask(connection, "PUT", f"{place}&digest={digest}", body, {"Content-Type": "application/octet-stream"})
        self.ask(connection, "PUT", f"{repository}/manifests/1", manifest, {"Content-Type": MANIFEST})
        return (time.perf_counter() - start) / 3
