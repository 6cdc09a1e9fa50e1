# SPDX-License-Identifier: Apache-2.0
"""A daemon of one's own: its directories, its verbs, its API.

    with Daemon(program, work, plain_http=[registry.host]) as daemon:
        out = converted(tarfs, work, [tar], registry)
        with daemon.index(out, origin) as mnt:      # mounted on mnt
            open(os.path.join(mnt, "etc/passwd"))
        daemon.status(), daemon.image(mnt), daemon.waits()

State lies in work/state, sockets in work/run, the log in work/log: work must
be on a disk file system. Leaving the block unmounts all and ends it.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

from lib import leaves, oci

NATIVE = "application/vnd.erofs.layer.v1"
PATIENCE = 60  # seconds: far beyond what anything takes


class ApiError(Exception):
    def __init__(self, status, body):
        super().__init__("%d: %s" % (status, body))
        self.status, self.body = status, body


class Connection:
    """HTTP over the socket; stays open from request to request."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.rest = b""

    def close(self):
        self.socket.close()

    def send(self, method, path, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        self.socket.sendall(
            b"%s %s HTTP/1.1\r\nHost: unix\r\nContent-Length: %d\r\n\r\n%s" %
            (method.encode(), path.encode(), len(data), data))

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("hung up after %r" % self.rest)
        self.rest += data

    def receive(self):
        """(status, headers with small names, body)."""
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in
                   (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self.rest) < length:
            self._more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(first.split()[1]), headers, body

    def ask(self, method, path, body=None):
        """The answer's JSON, text or None; ApiError."""
        self.send(method, path, body)
        status, headers, data = self.receive()
        if status // 100 != 2:
            raise ApiError(status, json.loads(data))
        if not data:
            return None
        if headers["content-type"].startswith("application/json"):
            return json.loads(data)
        return data.decode()


class Daemon:
    def __init__(self, program, work, environment=None, **config):
        self.program, self.work = program, work
        for path in (work, os.path.dirname(work)):
            # The worker is nobody: let it pass.
            os.chmod(path, os.stat(path).st_mode | 0o011)
        self.state = os.path.join(work, "state")
        self.run_dir = os.path.join(work, "run")
        self.log_path = os.path.join(work, "log")
        self.config_path = os.path.join(work, "daemon.json")
        self.socket = os.path.join(self.run_dir, "api.sock")
        self.environment = dict(os.environ, **(environment or {}))
        self.process = None
        self.targets = []
        self.configure(**config)

    def configure(self, **config):
        """Keys of the configuration; those of fetch and cache go there."""
        self.config = {"state_dir": self.state, "run_dir": self.run_dir,
                       "fetch": {}, "cache": {}}
        for key, value in config.items():
            if key in ("plain_http", "mirrors", "ca_file", "tries",
                       "connections", "connect_timeout", "stall_timeout",
                       "docker_config", "proxy", "readahead_size",
                       "request_size"):
                self.config["fetch"][key] = value
            elif key in ("quota", "checkpoint_bytes", "checkpoint_time"):
                self.config["cache"][key] = value
            else:
                self.config[key] = value
        with open(self.config_path, "w") as out:
            json.dump(self.config, out, indent=1)

    # Life

    def __enter__(self):
        return self.start()

    def __exit__(self, *args):
        self.end()

    def start(self, *options):
        """Start the service, or another one with options (--upgrade)."""
        with open(self.log_path, "a") as log:
            process = subprocess.Popen(
                [self.program, "run", "--config", self.config_path, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment)
        self.process = process
        self.wait_ready()
        return self

    def wait_ready(self):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self.status()
            except (OSError, EOFError) as why:
                if self.process.poll() is not None:
                    raise AssertionError("it ended with %d:\n%s" % (
                        self.process.returncode, self.log())) from why
                assert time.monotonic() < end, self.log()
                time.sleep(0.01)

    @property
    def holder(self):
        return self.process.pid

    @property
    def worker(self):
        return self.status()["pid"]

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def kill_worker(self, how=signal.SIGKILL):
        pid = self.worker
        os.kill(pid, how)
        return pid

    def wait_worker(self, other_than):
        """Until another worker serves."""
        end = time.monotonic() + PATIENCE
        while self.worker == other_than:
            assert time.monotonic() < end, self.log()
            time.sleep(0.005)

    def kill_rest(self):
        """What is left of a service that keeps its worker."""
        for pid in self._workers():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + PATIENCE
        while self._workers():
            assert time.monotonic() < end
            time.sleep(0.01)

    def wait_mounted(self, target):
        end = time.monotonic() + PATIENCE
        while self.image(target)["state"] == "mounting":
            assert time.monotonic() < end, self.log()
            time.sleep(0.01)
        assert self.image(target)["state"] == "mounted", self.log()

    def stop(self, *options):
        """Verb stop; waits for the end of the process."""
        done = self.run("stop", *options)
        if done.returncode == 0:
            self.process.wait(PATIENCE)
        return done

    def end(self):
        """Whatever its state: no mount and no process is left."""
        for target in reversed(self.targets):
            subprocess.run(["umount", "-l", target], capture_output=True)
        if self.process is None or self.process.poll() is not None:
            self._clear()
            return
        try:
            for image in self.images():
                self.run("umount", "--lazy", image["target"])
            self.run("stop")
            self.process.wait(5)
        except (OSError, EOFError, ApiError, subprocess.TimeoutExpired):
            pass
        self._clear()

    def _clear(self):
        """Processes of this daemon alone, by what they have open or are."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self._workers():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with open("/proc/self/mounts") as mounts:
            mine = [line.split()[1] for line in mounts]
        for target in reversed(mine):
            if target.startswith(self.run_dir + "/"):
                subprocess.run(["umount", "-l", target], capture_output=True)

    def _workers(self):
        """Pids that have the lock of our store."""
        store = os.path.join(self.state, "store")
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                for fd in os.listdir("/proc/%s/fd" % pid):
                    path = os.readlink("/proc/%s/fd/%s" % (pid, fd))
                    if path.startswith(store) and int(pid) != os.getpid():
                        found.append(int(pid))
                        break
        return found

    # Verbs

    def run(self, *words, timeout=PATIENCE):
        """A client's verb; the completed process."""
        return subprocess.run(
            [self.program, words[0], "--socket", self.socket, *words[1:]],
            capture_output=True, text=True, timeout=timeout)

    def must(self, *words, timeout=PATIENCE):
        """The same; its output. Failing is an error of the test."""
        done = self.run(*words, timeout=timeout)
        assert done.returncode == 0, (words, done.stderr, self.log()[-4000:])
        return done.stdout

    def ask(self, method, path, body=None):
        """One request to the API."""
        connection = Connection(self.socket)
        try:
            return connection.ask(method, path, body)
        finally:
            connection.close()

    def status(self):
        return self.ask("GET", "/v1/daemon")

    def images(self):
        return self.ask("GET", "/v1/images")["images"]

    def image(self, target):
        return next(i for i in self.images() if i["target"] == target)

    def settle(self, target):
        """Until nothing is being fetched for an image."""
        end = time.monotonic() + PATIENCE
        while self.image(target)["under_way"]:
            assert time.monotonic() < end
            time.sleep(0.01)

    def waits(self, least="0ms"):
        return self.ask("GET", "/v1/waits?min=" + least)["waits"]

    # Mounts

    def _target(self, target):
        if target is None:
            target = tempfile.mkdtemp(prefix="mnt-", dir=self.work)
        self.targets.append(target)
        return target

    def mount(self, *words, target=None):
        """Verb mount; the directory."""
        target = self._target(target)
        self.must("mount", *words, target)
        return target

    def mount_index(self, out, origin=None, *options, target=None):
        words = ["--index", out]
        if origin:
            words += ["--from", origin]
        return self.mount(*words, *options, target=target)

    def umount(self, target, *options):
        self.must("umount", *options, target)
        self.targets.remove(target)

    @contextlib.contextmanager
    def index(self, out, origin=None, *options):
        target = self.mount_index(out, origin, *options)
        try:
            yield target
        finally:
            self.umount(target)


def quote(path):
    return urllib.parse.quote(path, safe="")


def converted(tarfs, work, tars, registry, repo="app", tag="latest"):
    """Push tars (bytes) as an image and convert it: (OUT, Pushed).

    The layers in OUT are not there any more: all data must come from the
    registry."""
    image = oci.Image(tars)
    layout = oci.directory(tempfile.mkdtemp(prefix="layout-", dir=work),
                           oci.oci(image, "x"))
    out = tempfile.mkdtemp(prefix="out-", dir=work)
    os.chmod(out, 0o755)  # the worker's user is to read what is in it
    tarfs.ok("convert", layout, "-o", out, "--leaf-digests", "--no-sync", "-q")
    for tar in tars:
        path = os.path.join(layout, oci.blob_path(oci.digest(tar)))
        if os.path.exists(path):
            os.unlink(path)
    return out, registry.push(tars, repo=repo, tag=tag)


def push_native(registry, images, repo="native", tag="latest", leafy=True):
    """Push EROFS images (bytes) as layers, bottom first; Pushed. leafy: with
    leaf digests in the manifest's annotations."""
    notes = None
    if leafy:
        notes = [{"io.erofskit.leaf-root": leaves.root(i).hex(),
                  "io.erofskit.leaf-table": registry.blob(leaves.table(i))}
                 for i in images]
    return registry.push(images, repo=repo, tag=tag, media=NATIVE,
                         layer_annotations=notes)
