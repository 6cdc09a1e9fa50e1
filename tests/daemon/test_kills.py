# SPDX-License-Identifier: Apache-2.0
"""The daemon's processes die under 16 readers; nobody reads a wrong byte.

A round counts only if the store was empty, caches were dropped, a fifth of the
reads waited for a fill, and somebody died while they read.
"""

import contextlib
import hashlib
import os
import random
import signal
import threading
import time

import pytest

from lib import oci
from lib.daemon import Daemon, converted
from lib.registry import Registry

SOAK = os.environ.get("EK_SOAK") == "1"
READERS = 16
FILES = 5000
# What a round reads of them, drawn anew each time: rounds are to be cheap.
# EK_SOAK_READ=5000 reads them all.
READ = int(os.environ.get("EK_SOAK_READ") or READERS * (40 if SOAK else 12))
KILLS = 8 if SOAK else 2  # in a round, at most
PAUSE = 0.3 if SOAK else 0.06  # seconds before the next kill, at most
KiB = 1 << 10
MiB = 1 << 20


class Corpus:
    """5,000 files of 300 MiB, some large, and what they hash to."""

    def __init__(self, tarfs, registry, work):
        numbers = random.Random(31)
        self.digests, entries = {}, []
        for i in range(FILES):
            size = 3 * MiB if i % 250 == 0 else numbers.randrange(1, 104 * KiB)
            data = numbers.randbytes(size)
            name = "d%02d/f%04d" % (i % 50, i)
            if i < 50:
                entries.append(("d%02d" % i, None))
            entries.append((name, data))
            self.digests[name] = hashlib.blake2b(data).digest()
        entries.sort(key=lambda e: e[0])
        self.bytes = sum(len(e[1] or b"") for e in entries)
        assert self.bytes >= 300 * MiB
        self.out, self.image = converted(tarfs, work, [oci.tar_of(entries)],
                                         registry)


class Readers:
    """They read their share, at once; errors, wrong and zero files counted.

    The corpus is random: a sector of zeros is one that nobody fetched."""

    def __init__(self, corpus, target, seed, read=READ):
        self.corpus, self.target = corpus, target
        self.errors, self.wrong, self.zeros, self.right = [], [], [], 0
        self.lock = threading.Lock()
        names = random.Random(repr(seed)).sample(sorted(corpus.digests), read)
        self.threads = [
            threading.Thread(target=self._run, args=(names[i::READERS],))
            for i in range(READERS)]
        for thread in self.threads:
            thread.start()

    def _run(self, names):
        for name in names:
            try:
                with open(os.path.join(self.target, name), "rb") as file:
                    data = file.read()
            except OSError as why:
                with self.lock:
                    self.errors.append((name, why.errno))
                continue
            same = hashlib.blake2b(data).digest() == self.corpus.digests[name]
            with self.lock:
                if same:
                    self.right += 1
                elif not data.strip(b"\0") or bytes(512) in data:
                    self.zeros.append(name)
                else:
                    self.wrong.append(name)

    def alive(self):
        return any(thread.is_alive() for thread in self.threads)

    def end(self):
        for thread in self.threads:
            thread.join(120)
        assert not self.alive(), "a reader hangs"
        assert self.wrong == [] and self.zeros == []


@pytest.fixture(autouse=True)
def patience():
    """Whatever hangs is a failure of its own test."""
    def late(*_):
        raise AssertionError("hangs")
    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(6 * 3600 if SOAK else 300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


@pytest.fixture(scope="module")
def origin():
    with Registry() as made:
        yield made


@pytest.fixture(scope="module")
def corpus(tarfs, origin, session_dir):
    where = os.path.join(session_dir, "kills")
    os.mkdir(where)
    return Corpus(tarfs, origin, where)


@pytest.fixture
def daemon(cachefilesd, can_mount, work, origin):
    with Daemon(cachefilesd, work, plain_http=[origin.host]) as made:
        yield made


def worker_of(daemon):
    """Asked again when the worker that took the connection died with it."""
    end = time.monotonic() + 60
    while True:
        try:
            return daemon.worker
        except (OSError, EOFError):
            assert time.monotonic() < end, daemon.log()
            time.sleep(0.005)


def wait_other(daemon, pid):
    end = time.monotonic() + 60
    while worker_of(daemon) == pid:
        assert time.monotonic() < end, daemon.log()
        time.sleep(0.005)


class Waited:
    """Reads, and those of them that waited, over all workers of a round."""

    def __init__(self):
        self.reads = self.waited = 0

    def add(self, daemon, target):
        with contextlib.suppress(Exception):
            shown = daemon.image(target)
            self.reads += shown["reads"]
            self.waited += shown["waited"]

    def enough(self):
        return self.waited * 5 >= self.reads > 0


def mounted(daemon, corpus):
    """With an empty store and no caches."""
    target = daemon.mount_index(corpus.out, str(corpus.image))
    assert daemon.status()["store"]["bytes"] == 0
    with open("/proc/sys/vm/drop_caches", "w") as out:
        out.write("3")
    return target


def cleared(daemon, target):
    daemon.umount(target, "--lazy")
    daemon.must("gc")


@contextlib.contextmanager
def a_round(daemon, corpus):
    target = mounted(daemon, corpus)
    try:
        yield target
    finally:
        cleared(daemon, target)


def rounds(name, few, many, daemon, corpus, kill):
    """Rounds until enough of them counted."""
    wanted, counted, tried, kills = (many if SOAK else few), 0, 0, 0
    errors = []
    numbers = random.Random(name)
    while counted < wanted:
        tried += 1
        assert tried <= 2 * wanted + 3, "too few rounds count"
        waited, before = Waited(), kills
        with a_round(daemon, corpus) as target:
            readers = Readers(corpus, target, (name, tried))
            time.sleep(numbers.uniform(0.01, PAUSE))
            for _ in range(KILLS):
                if not readers.alive():
                    break
                kill(daemon, target, waited)
                kills += 1
                time.sleep(numbers.uniform(0.02, PAUSE))
            readers.end()
            waited.add(daemon, target)
        errors += readers.errors
        counted += waited.enough() and kills > before
        print("%s %d: %d kills, %d of %d reads waited, %d files right, "
              "%d errors" % (name, tried, kills - before, waited.waited,
                             waited.reads, readers.right,
                             len(readers.errors)), flush=True)
    print("%s: %d rounds, %d counted, %d kills, %d errors" %
          (name, tried, counted, kills, len(errors)))
    return errors


def test_worker(daemon, corpus):
    def kill(daemon, target, waited):
        waited.add(daemon, target)
        pid = worker_of(daemon)
        os.kill(pid, signal.SIGKILL)
        wait_other(daemon, pid)

    assert rounds("worker", 20, 500, daemon, corpus, kill) == []
    assert "event=door-lost" not in daemon.log()


def test_holder(daemon, corpus):
    def kill(daemon, target, waited):
        daemon.process.kill()
        daemon.process.wait()
        time.sleep(0.02)
        daemon.start()

    assert rounds("holder", 10, 200, daemon, corpus, kill) == []


def test_upgrade(daemon, corpus):
    def kill(daemon, target, waited):
        waited.add(daemon, target)
        old, pid = daemon.process, worker_of(daemon)
        daemon.start("--upgrade")
        assert old.wait(60) == 0
        wait_other(daemon, pid)

    assert rounds("upgrade", 3, 50, daemon, corpus, kill) == []


def test_worker_hangs(daemon, corpus):
    def kill(daemon, target, waited):
        waited.add(daemon, target)
        pid = worker_of(daemon)
        os.kill(pid, signal.SIGSTOP)
        wait_other(daemon, pid)

    assert rounds("hang", 2, 50, daemon, corpus, kill) == []


def both_die(daemon, corpus, number):
    """One round: (readers in whose midst they died, a fifth waited)."""
    waited, target = Waited(), mounted(daemon, corpus)
    readers = Readers(corpus, target, ("both", number))
    time.sleep(random.Random(number).uniform(0.05, 2 * PAUSE))
    waited.add(daemon, target)
    pid, killed = daemon.worker, readers.alive()
    # Not to be restarted in between.
    daemon.process.send_signal(signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    daemon.process.kill()
    daemon.process.wait()
    readers.end()
    daemon.targets.remove(target)
    daemon.start()
    # What was mounted stands no more; what is mounted anew is right.
    target = daemon.mount_index(corpus.out, str(corpus.image))
    after = Readers(corpus, target, ("after", number), READERS * 12)
    after.end()
    assert after.errors == []
    cleared(daemon, target)
    return readers, killed and waited.enough()


def test_both(daemon, corpus):
    """Errors in the gap, as the FUSE door fails closed; never zeros."""
    wanted, counted, tried = (100 if SOAK else 3), 0, 0
    failed = right = 0
    while counted < wanted:
        tried += 1
        assert tried <= 2 * wanted + 3, "too few rounds count"
        readers, counts = both_die(daemon, corpus, tried)
        failed += len(readers.errors)
        right += readers.right
        counted += counts and len(readers.errors) > 0
        print("both %d: %d failed, %d right, %d wrong, %d with zeros" %
              (tried, len(readers.errors), readers.right, len(readers.wrong),
               len(readers.zeros)), flush=True)
    print("both: %d rounds, %d counted, %d failed, %d right, none wrong, "
          "none with zeros" % (tried, counted, failed, right))
