# SPDX-License-Identifier: Apache-2.0
"""The small service over holder and door, tests/tools/doorman.c; fixtures."""

import contextlib
import filecmp
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get("EK_BUILD") or os.path.join(TOP, "build", "release")
FILES = 40
PATIENCE = 60  # seconds: far beyond what anything takes


class Doorman:
    """One service in directories of its own beneath `work`."""

    def __init__(self, program, work, *options):
        self.program, self.work, self.options = program, work, options
        self.run_dir = os.path.join(work, "run")
        self.root = os.path.join(work, "root")  # of files and targets
        os.makedirs(self.root, exist_ok=True)
        self.process = None
        self.patient_until = time.monotonic() + 2 * PATIENCE
        self.log_path = os.path.join(work, "log")
        self.old = []

    def start(self, *options, kill=None, wait=True, kept=None, notify=None):
        """kept: {name: descriptor} as the service manager gives them back."""
        env = dict(os.environ)
        env.pop("EKD_KILL", None)
        argv = [self.program, "run", self.run_dir,
                os.path.join(self.work, "state"), self.root, *self.options,
                *options]
        if notify:
            env["NOTIFY_SOCKET"] = notify
        place = None
        if kept:
            env["LISTEN_FDS"] = str(len(kept))
            env["LISTEN_FDNAMES"] = ":".join(kept)
            argv = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *argv]

            def place():
                for i, fd in enumerate([os.dup(os.dup(fd))
                                        for fd in kept.values()]):
                    os.dup2(fd, 40 + i)
                for i in range(len(kept)):
                    os.dup2(40 + i, 3 + i)
                os.closerange(3 + len(kept), 100)
        if kill:
            env["EKD_KILL"] = kill
        if self.process:
            self.old.append(self.process)
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=env, preexec_fn=place, close_fds=place is None)
        if wait:
            # Takes worker and holder.
            self.wait_for(lambda: self.ask("mounts").startswith("ok"))
        return self

    def wait_for(self, true):
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                if true():
                    return
            assert time.monotonic() < end, self.log()
            time.sleep(0.01)

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def connect(self):
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(PATIENCE)
        made.connect(os.path.join(self.run_dir, "api.sock"))
        return made

    def ask(self, *words, connection=None):
        """The answer, "ok ..." or the status' name and why."""
        one = connection or self.connect()
        # A worker may die with what it was asked: ask the next one.
        again = connection is None and words[0] in ("ping", "stats", "mounts")
        if again:
            one.settimeout(2)
        try:
            one.sendall(" ".join(words).encode())
            return one.recv(8192).decode().strip()
        except TimeoutError:
            if not again or time.monotonic() > self.patient_until:
                raise
            return self.ask(*words)
        finally:
            if connection is None:
                one.close()

    def ok(self, *words):
        answer = self.ask(*words)
        assert answer == "ok" or answer.startswith("ok "), \
            (words, answer, self.log())
        return answer[3:].strip()

    def stats(self):
        return {k: int(v) for k, v in
                re.findall(r"(\w+)=(\d+)", self.ok("stats"))}

    @property
    def worker(self):
        return self.stats()["pid"]

    def kill_worker(self, how=signal.SIGKILL):
        pid = self.worker
        os.kill(pid, how)
        return pid

    def kill_holder(self):
        self.process.kill()
        self.process.wait()

    def target(self, name):
        path = os.path.join(self.root, name)
        os.makedirs(path, exist_ok=True)
        return path

    def end(self):
        """No process and no mount is left, whatever happened."""
        workers = self._workers()
        for process in self.old + [self.process]:
            if process and process.poll() is None:
                process.kill()
                process.wait()
        for pid in workers:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with open("/proc/self/mounts") as mounts:
            mine = [line.split()[1] for line in mounts]
        for path in reversed(mine):
            if path.startswith(self.work + "/"):
                subprocess.run(["umount", "-l", path], capture_output=True)

    def _workers(self):
        """Pids that log where we log: ours, whoever their parent is."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink("/proc/%s/fd/2" % pid) == self.log_path:
                    found.append(int(pid))
        return found

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.end()


@pytest.fixture(autouse=True)
def patience():
    """Whatever hangs is a failure of its own test."""
    def late(*_):
        raise AssertionError("hangs")
    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


@pytest.fixture(scope="module")
def program():
    path = os.environ.get("EK_DOORMAN") or os.path.join(
        BUILD, "tests", "tools", "doorman")
    if not os.access(path, os.X_OK):
        pytest.skip("%s is not built" % path)
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        pytest.skip("needs root and /dev/fuse")
    return os.path.abspath(path)


class Image:
    """A tree and images of it: data in a blob of its own, or all in one."""

    def __init__(self, path, mkfs):
        self.tree = os.path.join(path, "tree")
        os.mkdir(self.tree)
        bytes_of = random.Random(6)
        for i in range(FILES):
            with open(os.path.join(self.tree, "f%d" % i), "wb") as out:
                out.write(bytes_of.randbytes(bytes_of.randrange(1, 400000)))
        os.chmod(os.path.join(self.tree, "f0"), 0o644)
        self.meta = os.path.join(path, "meta")
        self.blob = os.path.join(path, "blob")
        self.whole = os.path.join(path, "whole")
        mkfs.ok("--quiet", "--chunksize=4096", "--blobdev=" + self.blob,
                self.meta, self.tree)
        mkfs.ok("--quiet", self.whole, self.tree)

    def same(self, target, names=None):
        names = names or sorted(os.listdir(self.tree))
        assert sorted(os.listdir(target)) == sorted(os.listdir(self.tree))
        wrong = filecmp.cmpfiles(self.tree, target, names, shallow=False)
        assert wrong[1:] == ([], []), wrong


@pytest.fixture(scope="module")
def image(session_dir, mkfs):
    return Image(tempfile.mkdtemp(prefix="image-", dir=session_dir), mkfs)


@pytest.fixture
def service(program, work, image):
    with Doorman(program, work, "hang=1000") as made:
        for name in ("meta", "blob", "whole"):
            os.link(getattr(image, name), os.path.join(made.root, name))
        yield made


def mount(service, name="mnt", flags=0, ident="img"):
    for file in ("meta", "blob"):
        answer = service.ask("add", file, os.path.join(service.root, file))
        assert answer.startswith("ok") or "exists" in answer, answer
    target = service.target(name)
    service.ok("mount", ident, target, str(flags), "meta", "blob")
    return target


class Readers:
    """Threads that compare the tree until told to end; errors are kept."""

    def __init__(self, image, target, n=4):
        self.image, self.target, self.stop = image, target, False
        self.errors, self.rounds = [], 0
        self.threads = [threading.Thread(target=self._run, args=(i,))
                        for i in range(n)]
        for thread in self.threads:
            thread.start()

    def _run(self, seed):
        order = random.Random(seed)
        while not self.stop:
            names = os.listdir(self.image.tree)
            order.shuffle(names)
            try:
                self.image.same(self.target, names)
            except (OSError, AssertionError) as why:
                self.errors.append(why)
            self.rounds += 1

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a reader hangs"
        return self.errors


def drop_caches(target):
    """Of the files there alone: others measure on this host."""
    for name in os.listdir(target):
        file = os.open(os.path.join(target, name), os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
