# SPDX-License-Identifier: Apache-2.0
"""Mounts over a registry that does wrong.

Every fault has an image of its own, and all are read at the same time by one
daemon: a reader gets the right bytes or an I/O error, within its deadline; once
the registry is well again, the right bytes.
"""

import errno
import os
import random
import subprocess
import tempfile
import threading
import time

import pytest

from lib import faults, leaves, mounts, oci
from lib.daemon import Daemon, converted, push_native
from lib.registry import Auth, Certificates, Registry

SIZE = 400000
DEADLINE = 8  # seconds; the kernel asks twice before it gives up
SLACK = 60
CACHES = "/proc/sys/vm/drop_caches"
# RIGHT: no reader hears of the fault.
RIGHT, EIO = "right", "EIO"

FAULTS = {
    "latency": (RIGHT, lambda s: faults.Delay(0.3)),
    "200 for a range": (RIGHT, lambda s: faults.Whole()),
    "chunked": (RIGHT, lambda s: faults.Chunked()),
    "500 once": (RIGHT, lambda s: faults.Status(500, times=1)),
    "503 twice": (RIGHT, lambda s: faults.Status(503, times=2)),
    "dropped once": (RIGHT, lambda s: faults.Drop(times=1)),
    "short once": (RIGHT, lambda s: faults.Short(after=70000, times=1)),
    "stalled once": (RIGHT, lambda s: faults.Stall(after=70000, times=1)),
    "silent once": (RIGHT, lambda s: faults.Delay(3600, times=1)),
    "longer once": (RIGHT, lambda s: faults.Longer(times=1)),
    "wrong bytes once": (RIGHT, lambda s: faults.Wrong(times=1)),
    "zeros once": (RIGHT, lambda s: faults.Zeros(times=1)),
    "redirects": (RIGHT, lambda s: faults.Redirect(to=s, hops=3)),
    "relative redirects": (RIGHT, lambda s: faults.Redirect(hops=2)),
    "signed for one use": (RIGHT, lambda s: faults.Redirect(to=s, live=1)),
    "401": (EIO, lambda s: faults.Status(401)),
    "401 without end": (EIO, lambda s: faults.Status(
        401, {"WWW-Authenticate": 'Bearer realm="%s/token"' % s.url})),
    "403": (EIO, lambda s: faults.Status(403)),
    "404": (EIO, lambda s: faults.Status(404)),
    "416": (EIO, lambda s: faults.Status(416)),
    "429": (EIO, lambda s: faults.Status(429)),
    "500": (EIO, lambda s: faults.Status(500)),
    "502": (EIO, lambda s: faults.Status(502)),
    "dropped": (EIO, lambda s: faults.Drop()),
    "silent": (EIO, lambda s: faults.Delay(3600)),
    "stalled": (EIO, lambda s: faults.Stall(after=1000)),
    "short": (EIO, lambda s: faults.Short(after=60000)),
    "shorter": (EIO, lambda s: faults.Shorter()),
    "longer": (EIO, lambda s: faults.Longer()),
    "wrong bytes": (EIO, lambda s: faults.Wrong(every=65536)),
    "zeros": (EIO, lambda s: faults.Zeros()),
    "another blob": (EIO, lambda s: faults.Replace(
        random.Random("other").randbytes(3 * SIZE))),
    "another range": (EIO, lambda s: faults.Range(shift=65536)),
    "no Content-Range": (EIO, lambda s: faults.Range(text="")),
    "encoded": (EIO, lambda s: faults.Encoded()),
    "too many redirects": (EIO, lambda s: faults.Redirect(to=s, hops=11)),
    "redirect to nobody": (EIO, lambda s: faults.Redirect(
        to="http://127.0.0.1:1/x")),
    "redirect to a file": (EIO, lambda s: faults.Redirect(
        to="file:///etc/passwd")),
}


def numbers(seed):
    return random.Random(seed).randbytes(SIZE)


def drop_caches():
    with open(CACHES, "w") as f:
        f.write("3\n")


class Reading:
    """All of MNT/f: the bytes or an errno, and how long it took."""

    def __init__(self, mnt):
        self.path = os.path.join(mnt, "f")
        self.data, self.errno, self.seconds = b"", None, None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        begun = time.monotonic()
        try:
            with open(self.path, "rb", buffering=0) as f:
                while len(self.data) < SIZE:
                    piece = f.read(SIZE - len(self.data))
                    if not piece:
                        break
                    self.data += piece
        except OSError as why:
            self.errno = why.errno
        self.seconds = time.monotonic() - begun

    def wait(self):
        self._thread.join(2 * DEADLINE + SLACK)
        assert self.seconds is not None, "a reader hangs"
        return self

    def outcome(self, want):
        # What came before an error is right as well.
        assert self.data == want[:len(self.data)], "wrong bytes"
        if self.errno is None:
            assert len(self.data) == SIZE
            return RIGHT
        assert self.errno == errno.EIO
        return EIO


class World:
    """Daemon, registry, storage; an image of one file for each name."""

    def __init__(self, program, tarfs, work, names, **config):
        self.origin, self.storage = Registry(), Registry()
        self.origin.lend(self.storage)
        self.tarfs, self.work = tarfs, work
        config.setdefault("plain_http", [self.origin.host, self.storage.host,
                                         "127.0.0.1:1"])
        self.daemon = Daemon(
            program, work, deadline="%ds" % DEADLINE, tries=3,
            connections=64, stall_timeout="1s", connect_timeout="1s",
            **config)
        self.images = {}
        self.daemon.start()
        for name in names:
            self.image(name)

    def image(self, name, registry=None):
        registry = registry or self.origin
        tar = oci.tar_of([("f", numbers(name))])
        repo = "r" + "".join(c for c in name if c.isalnum()).lower()
        out, pushed = converted(self.tarfs, self.work, [tar], registry, repo)
        mnt = self.daemon.mount_index(out, str(pushed))
        self.images[name] = (mnt, pushed)
        return mnt, pushed

    def read(self, name):
        return Reading(self.images[name][0]).wait().outcome(numbers(name))

    def close(self):
        self.daemon.end()
        self.origin.close()
        self.storage.close()


@pytest.fixture(scope="module")
def results(cachefilesd, can_mount, tarfs, session_dir):
    """{fault: (reading while it holds, reading once all is well)}."""
    work = tempfile.mkdtemp(prefix="faults-", dir=session_dir)
    world = World(cachefilesd, tarfs, work, FAULTS)
    try:
        hurt = {}
        for name, (_, make) in FAULTS.items():
            fault = make(world.storage)
            fault.digest = world.images[name][1].layers[0]
            hurt[name] = world.origin.fault(fault)
        drop_caches()
        during = {name: Reading(world.images[name][0]) for name in FAULTS}
        for one in during.values():
            one.wait()
        hits = {name: fault.hits for name, fault in hurt.items()}
        waits = world.daemon.waits()
        world.origin.heal()
        drop_caches()
        after = {name: Reading(world.images[name][0]) for name in FAULTS}
        for one in after.values():
            one.wait()
        yield {name: (during[name], after[name], hits[name])
               for name in FAULTS}, waits
    finally:
        world.close()


@pytest.mark.parametrize("name", FAULTS)
def test_right_bytes_or_an_error(results, name):
    during, after, hits = results[0][name]
    assert hits > 0
    assert during.outcome(numbers(name)) == FAULTS[name][0]
    assert during.seconds < 2 * DEADLINE + SLACK / 2
    assert after.outcome(numbers(name)) == RIGHT


def test_nobody_waits_when_all_have_their_answer(results):
    assert results[1] == []


@pytest.fixture
def world(cachefilesd, can_mount, tarfs, work):
    made = World(cachefilesd, tarfs, work, [])
    yield made
    made.close()


def test_a_registry_that_goes_away(world):
    """Down, up; everything that was under way broken; too busy for a while."""
    for name in ("down", "broken", "busy"):
        world.image(name)
    world.origin.down()
    assert world.read("down") == EIO
    world.origin.up()
    assert world.read("down") == RIGHT
    stall = world.origin.fault(faults.Stall(after=100000, times=4))
    reading = Reading(world.images["broken"][0])
    while stall.hits == 0:
        time.sleep(0.01)
    world.origin.break_connections()
    assert reading.wait().outcome(numbers("broken")) == RIGHT
    world.origin.fault(faults.Status(429, {"Retry-After": "2"}, times=1))
    begun = time.monotonic()
    assert world.read("busy") == RIGHT
    assert time.monotonic() - begun >= 1.9


def test_tokens_and_tls(cachefilesd, can_mount, tarfs, work):
    """Tokens that expire under readers, over TLS with a root of our own."""
    certificates = Certificates(os.path.join(work, "tls"))
    os.chmod(certificates.where, 0o755)
    with Registry(tls=certificates, auth=Auth()) as secure:
        world = World(cachefilesd, tarfs, work, [],
                      ca_file=certificates.ca)
        try:
            for name in ("one", "two", "three"):
                world.image(name, secure)
            secure.auth.expire()
            readings = [Reading(world.images[n][0]) for n in ("one", "two")]
            secure.auth.expire()
            for name, reading in zip(("one", "two"), readings):
                assert reading.wait().outcome(numbers(name)) == RIGHT
            secure.auth.allows = lambda header: False
            assert world.read("three") == EIO
            del secure.auth.allows
            assert world.read("three") == RIGHT
            assert "secret." not in world.daemon.log()
        finally:
            world.close()


@pytest.fixture
def hosts(work):
    """registry.test is loopback, in our mount namespace."""
    path = os.path.join(work, "hosts")
    with open(path, "w") as f:
        f.write("127.0.0.1 localhost registry.test\n")
    subprocess.run(["mount", "--bind", path, "/etc/hosts"], check=True)
    yield
    mounts.umount("/etc/hosts")


def test_a_registry_by_name(cachefilesd, can_mount, tarfs, work, hosts):
    """Names are looked up by the worker, confined as it is."""
    certificates = Certificates(os.path.join(work, "tls"),
                                name="registry.test")
    os.chmod(certificates.where, 0o755)
    with Registry(tls=certificates) as named:
        world = World(cachefilesd, tarfs, work, [],
                      ca_file=certificates.ca)
        try:
            tar = oci.tar_of([("f", numbers("named"))])
            out, pushed = converted(tarfs, work, [tar], named)
            ref = "registry.test:%d/app" % named.port
            mnt = world.daemon.mount_index(out, ref)
            assert Reading(mnt).wait().outcome(numbers("named")) == RIGHT
            assert named.counts(pushed.layers[0])[0] > 0
            # A name that nobody knows: an error, and the worker lives.
            worker = world.daemon.worker
            tar = oci.tar_of([("f", numbers("nowhere"))])
            out, _ = converted(tarfs, work, [tar], named, repo="nowhere")
            mnt = world.daemon.mount_index(out, "nowhere.test/app")
            assert Reading(mnt).wait().outcome(numbers("nowhere")) == EIO
            assert world.daemon.worker == worker
        finally:
            world.close()


def test_mirrors_that_lie(cachefilesd, can_mount, tarfs, work):
    """Wrong bytes of a mirror: the right ones come from the registry."""
    with Registry() as mirror, Registry() as origin:
        origin.lend(mirror)
        world = World(cachefilesd, tarfs, work, [], mirrors=[mirror.url],
                      plain_http=[mirror.host, origin.host])
        try:
            for name in ("wrong", "zeros", "gone", "slow"):
                world.image(name, origin)
            layer = {n: p.layers[0] for n, (_, p) in world.images.items()}
            mirror.fault(faults.Wrong(digest=layer["wrong"]))
            mirror.fault(faults.Zeros(digest=layer["zeros"]))
            mirror.fault(faults.Status(404, digest=layer["gone"]))
            mirror.fault(faults.Stall(after=9, digest=layer["slow"]))
            for name in world.images:
                assert world.read(name) == RIGHT
                assert origin.counts(layer[name])[0] > 0
        finally:
            world.close()


def test_a_consistent_forgery(world, mkfs, work):
    """Data, leaf digests and manifest forged alike: nothing of it is read."""
    images = {}
    for what in ("true", "forged"):
        top = os.path.join(work, what)
        os.mkdir(top)
        with open(os.path.join(top, "f"), "wb") as f:
            f.write(numbers(what))
        path = os.path.join(work, what + ".erofs")
        mkfs.ok("-T0", "-U00000000-0000-0000-0000-000000000001", path, top)
        with open(path, "rb") as f:
            images[what] = f.read()
    origin = world.origin
    true = push_native(origin, [images["true"]])
    with Registry() as other:
        forged = push_native(other, [images["forged"]])
    table = leaves.table(images["true"])
    # Mounted while it was true; forged when it is read.
    mnt = world.daemon.mount("oci://" + true.pinned)
    origin.fault(faults.Replace(images["forged"], digest=true.layers[0]))
    origin.fault(faults.Replace(leaves.table(images["forged"]),
                                digest=origin.blob(table)))
    origin.fault(faults.Replace(forged.manifest, what="manifest"))
    drop_caches()
    assert Reading(mnt).wait().outcome(numbers("true")) == EIO
    # Forged from the beginning: the name is a digest, and it is not his.
    here = os.path.join(work, "here")
    os.mkdir(here)
    done = world.daemon.run("mount", "oci://" + true.pinned, here)
    assert done.returncode != 0
    assert not os.path.ismount(here)
    origin.heal()
    drop_caches()
    assert Reading(mnt).wait().outcome(numbers("true")) == RIGHT
    world.daemon.umount(mnt)
