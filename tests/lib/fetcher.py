# SPDX-License-Identifier: Apache-2.0
"""The program tests/tools/fetcher, which drives the daemon's client, and what
its tests have in common: import the fixtures by name."""

import hashlib
import json
import os
import random
import subprocess
import time

import pytest

from lib.registry import Certificates, Registry

ENVIRONMENT = ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy",
               "NO_PROXY", "all_proxy", "ALL_PROXY")
# No line that the client writes may hold one of these.
SECRETS = ("secret.", "hush", "pa:ss", "Bearer ", "Basic ", "bG9uZw",
           "identity-of-a-test")
DEMAND, AHEAD, BACKGROUND = 0, 1, 2


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Fetcher:
    """`with Fetcher(program, "--plain", host) as f: f.manifest(ref)`."""

    def __init__(self, program, *options, env=None):
        clean = {k: v for k, v in os.environ.items() if k not in ENVIRONMENT}
        clean.update(env or {})
        self.process = subprocess.Popen(
            [program, "--backoff", "20", *options], env=clean, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.results, self.logs, self.asked = {}, [], []
        self.started = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *args):
        out, err = self.process.communicate()
        for line in out.splitlines():
            self._take(line)
        if kind is None:
            assert self.process.returncode == 0, err
            assert err == ""

    def send(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()

    def _take(self, line):
        for secret in SECRETS:
            assert secret not in line
        got = json.loads(line)
        if "log" in got:
            self.logs.append(got["log"])
        elif "asked" in got:
            self.asked.append(got["asked"])
        else:
            name = got["name"]
            # A callback comes once.
            assert name not in self.results or name in (
                "wait", "stats", "info"), line
            self.results[name] = got
            return got
        return None

    def result(self, name):
        """The outcome of this name, waited for."""
        while name not in self.results:
            line = self.process.stdout.readline()
            assert line, "fetcher ended: " + self.process.stderr.read()
            self._take(line)
        return self.results[name]

    def _call(self, command, *words):
        self.started += 1
        name = "%s-%d" % (command, self.started)
        self.send(command, name, *words)
        return self.result(name)

    def manifest(self, ref, digest=""):
        return self._call("manifest", ref, digest)

    def image(self, ref, platform=""):
        return self._call("image", ref, platform)

    def small(self, ref, digest):
        return self._call("small", ref, digest)

    def stream(self, ref, digest, limit=""):
        return self._call("stream", ref, digest, limit)

    def start(self, ref, digest, offset, n, priority=DEMAND, deadline=20000):
        """Ask for a range; the name of its result."""
        self.started += 1
        name = "range-%d" % self.started
        self.send("range", name, ref, digest, offset, n, priority, deadline)
        return name

    def range(self, *args, **kwargs):
        return self.result(self.start(*args, **kwargs))

    def again(self, name, *words):
        """A command whose result may come several times."""
        self.results.pop(name, None)
        self.send(name, *words)
        return self.result(name)

    def stats(self):
        return self.again("stats")


BLOB = random.Random(1).randbytes(1 << 20)
SMALL = BLOB[:5000]


@pytest.fixture(scope="session")
def program():
    top = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    build = os.environ.get("EK_BUILD") or os.path.join(top, "build",
                                                       "release")
    path = os.environ.get("EK_FETCHER") or os.path.join(
        build, "tests", "tools", "fetcher")
    if not os.access(path, os.X_OK):
        pytest.skip("%s is not built" % path)
    return path


@pytest.fixture
def registry():
    """With one image, app:1.2, of the layers BLOB and SMALL."""
    with Registry() as made:
        made.image = made.push([BLOB, SMALL], tag="1.2")
        made.layer, made.short = made.image.layers
        yield made


@pytest.fixture
def client(program, registry):
    with Fetcher(program, "--plain", registry.host, "--tries", "3") as made:
        yield made


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(str(tmp_path_factory.mktemp("tls")))


def right(result, data):
    assert result["status"] == "ok", result
    assert result["n"] == len(data) and result["sha"] == sha(data)


def wrong(result, status, *words, sys=None):
    assert result["status"] == status, result
    for word in words:
        assert word in result["error"], result
    if sys is not None:
        assert result["errno"] == sys


def blob_requests(registry):
    return [r for r in registry.seen if r.kind == "blob"]


def asked(registry, count):
    """Wait until so many requests for blobs have come."""
    end = time.monotonic() + 60
    while len(blob_requests(registry)) < count:
        assert time.monotonic() < end
        time.sleep(0.005)
