# SPDX-License-Identifier: Apache-2.0
"""The program tests/tools/fetcher, which drives the daemon's client."""

import hashlib
import json
import os
import subprocess

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
