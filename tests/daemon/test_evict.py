# SPDX-License-Identifier: Apache-2.0
"""Too little room: evictions beside readers, small quotas, full disks; and
stores that are not as this daemon left them."""

import errno
import os
import random
import threading

import pytest

from lib import mounts, oci
from lib.daemon import Daemon, converted

KiB, MiB = 1 << 10, 1 << 20
FILES = 12
SIZE = MiB


def numbers(seed, n=SIZE):
    return random.Random(seed).randbytes(n)


@pytest.fixture(scope="module")
def contents():
    return [numbers(i) for i in range(FILES)]


@pytest.fixture(scope="module")
def tar(contents):
    return oci.tar_of([("%d" % i, c) for i, c in enumerate(contents)])


def uncached(path, offset, n):
    """Read as if nobody had read it before: no page of it is kept."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        return os.pread(fd, n, offset)
    finally:
        os.close(fd)


class Readers:
    """Threads that read random ranges and compare."""

    def __init__(self, mnt, contents, reads, n=4):
        self.mnt, self.contents, self.reads = mnt, contents, reads
        self.good = self.failed = 0
        self.wrong = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i,))
                        for i in range(n)]
        for t in self.threads:
            t.start()

    def run(self, seed):
        rng = random.Random(seed)
        while True:
            with self.lock:
                if not self.reads:
                    return
                self.reads -= 1
            i = rng.randrange(FILES)
            n = rng.choice((4 * KiB, 64 * KiB, 128 * KiB))
            at = rng.randrange(0, SIZE - n, 4 * KiB)
            try:
                got = uncached("%s/%d" % (self.mnt, i), at, n)
            except OSError as why:
                assert why.errno == errno.EIO
                with self.lock:
                    self.failed += 1
                continue
            with self.lock:
                if got == self.contents[i][at:at + n]:
                    self.good += 1
                else:
                    self.wrong.append((i, at, n))

    def join(self):
        for t in self.threads:
            t.join()
        assert self.wrong == []


def restarted(cachefilesd, work, origin, **config):
    return Daemon(cachefilesd, work, plain_http=[origin.host], **config)


def all_right(mnt, contents):
    for i, want in enumerate(contents):
        assert uncached("%s/%d" % (mnt, i), 0, SIZE) == want


@pytest.mark.parametrize("reads", [
    500, pytest.param(10000, marks=pytest.mark.soak)])
def test_evictions_beside_readers(cachefilesd, can_mount, work, origin, tarfs,
                                  tar, contents, reads):
    """A quarter of the image fits: everybody gets the right bytes."""
    with restarted(cachefilesd, work, origin, quota=3 * MiB) as daemon:
        out, image = converted(tarfs, work, [tar], origin)
        with daemon.index(out, str(image)) as mnt:
            readers = Readers(mnt, contents, reads)
            readers.join()
            store = daemon.status()["store"]
            assert readers.failed == 0
            assert readers.good == reads
            assert store["evicted_leaves"] > reads / 4
            assert store["bytes"] <= 3 * MiB
            waited = daemon.image(mnt)["waited"]
            assert waited > reads / 5
            print("%d reads, none wrong, none failed; %d at the door waited, "
                  "%d leaves evicted" %
                  (reads, waited, store["evicted_leaves"]))


def test_quota_of_next_to_nothing(cachefilesd, can_mount, work, origin, tarfs,
                                  tar, contents):
    """No more than one read of the kernel: still, what is read is right."""
    with restarted(cachefilesd, work, origin, quota=MiB) as daemon:
        out, image = converted(tarfs, work, [tar], origin)
        with daemon.index(out, str(image)) as mnt:
            for i in (0, 5):
                assert uncached("%s/%d" % (mnt, i), 0, SIZE) == contents[i]
            readers = Readers(mnt, contents, 60)
            readers.join()
            assert readers.failed == 0
            assert daemon.status()["store"]["bytes"] <= MiB


def test_completion_ends_when_full(cachefilesd, can_mount, work, origin, tarfs,
                                   tar, contents):
    """It does not fetch round and round what cannot be kept."""
    with restarted(cachefilesd, work, origin, quota=2 * MiB) as daemon:
        out, image = converted(tarfs, work, [tar], origin)
        with daemon.index(out, str(image)) as mnt:
            done = daemon.run("complete", "--wait", mnt)
            assert done.returncode == 1
            assert "no room" in done.stderr
            shown = daemon.image(mnt)
            assert not shown["complete"] and not shown["completing"]
            assert shown["completed_bytes"] <= 2 * len(tar)
            # What was given up can be asked for again.
            assert daemon.run("complete", "--wait", mnt).returncode == 1
            assert daemon.image(mnt)["completed_bytes"] > \
                shown["completed_bytes"]
            assert uncached(mnt + "/3", 0, SIZE) == contents[3]


@pytest.fixture
def small_disk(can_mount, work):
    """An ext4 of 24 MiB for the state."""
    where = os.path.join(work, "disk")
    os.mkdir(where)
    os.chmod(work, 0o755)
    with mounts.ext4(os.path.join(work, "disk.img"), where, 24 * MiB):
        os.chmod(where, 0o755)
        yield where


def test_disk_full(cachefilesd, work, small_disk, origin, tarfs, tar,
                   contents):
    """The disk is filled beneath the store: right bytes or EIO, and right
    bytes again when there is room."""
    with restarted(cachefilesd, work, origin,
                   state_dir=os.path.join(small_disk, "state")) as daemon:
        out, image = converted(tarfs, work, [tar], origin)
        mnt = daemon.mount_index(out, str(image))
        assert uncached(mnt + "/0", 0, SIZE) == contents[0]
        ballast = os.path.join(small_disk, "ballast")
        with open(ballast, "wb", buffering=0) as f:
            step = MiB
            while step >= 4096:
                try:
                    if f.write(bytes(step)) == step:
                        continue
                except OSError as why:
                    assert why.errno == errno.ENOSPC
                step //= 2
        readers = Readers(mnt, contents, 100)
        readers.join()
        assert readers.good > 0
        # What had been kept makes room for what is wanted, or nothing does.
        store = daemon.status()["store"]
        assert store["evicted_leaves"] or readers.failed
        os.unlink(ballast)
        all_right(mnt, contents)
        daemon.umount(mnt)


def stored(daemon, origin, image, name):
    blobs = os.path.join(daemon.state, "store", "blobs")
    layer = image.layers[0].replace(":", "-")  # its root is in the name, too
    blob = next(b for b in os.listdir(blobs) if b.startswith(layer))
    path = os.path.join(blobs, blob, name)
    assert os.path.exists(path), path
    return path


@pytest.fixture
def left(cachefilesd, can_mount, work, origin, tarfs, tar, contents):
    """A daemon that had half of the image and was stopped."""
    daemon = restarted(cachefilesd, work, origin)
    try:
        daemon.start()
        out, image = converted(tarfs, work, [tar], origin)
        mnt = daemon.mount_index(out, str(image))
        for i in range(0, FILES, 2):
            assert uncached("%s/%d" % (mnt, i), 0, SIZE) == contents[i]
        daemon.umount(mnt)
        assert daemon.stop().returncode == 0
        yield daemon, out, image
    finally:
        daemon.end()


def serves_all(daemon, out, image, contents):
    daemon.start()
    with daemon.index(out, str(image)) as mnt:
        all_right(mnt, contents)


def test_what_was_kept_is_used(left, origin, contents, tar):
    daemon, out, image = left
    origin.forget()
    serves_all(daemon, out, image, contents)
    assert origin.bytes_sent < len(tar) * 2 / 3


def test_tampered_data(left, origin, contents):
    """A byte of each leaf, while the daemon was away."""
    daemon, out, image = left
    path = stored(daemon, origin, image, "data")
    with open(path, "r+b") as f:
        size = os.fstat(f.fileno()).st_size
        for at in range(100, size, 64 * KiB):
            f.seek(at)
            old = f.read(1)
            f.seek(at)
            f.write(bytes([old[0] ^ 1]))
    serves_all(daemon, out, image, contents)
    assert daemon.status()["store"]["dropped_leaves"] > 0


def test_data_replaced(left, origin, contents):
    """Another file of the same size in its place."""
    daemon, out, image = left
    path = stored(daemon, origin, image, "data")
    status = os.stat(path)
    os.rename(path, path + ".old")
    with open(path, "wb") as f:
        f.write(random.Random(99).randbytes(status.st_size))
    os.chown(path, status.st_uid, status.st_gid)
    os.unlink(path + ".old")
    serves_all(daemon, out, image, contents)


def test_swapped_map(left, origin, contents):
    """A map that says everything is here: of a copy that was whole."""
    daemon, out, image = left
    daemon.start()
    with daemon.index(out, str(image)) as mnt:
        all_right(mnt, contents)
    assert daemon.stop().returncode == 0
    map_path = stored(daemon, origin, image, "map")
    with open(map_path, "rb") as f:
        whole = f.read()
    owner = os.stat(map_path)
    # Made anew, with a leaf or two in it.
    daemon.start()
    daemon.must("gc")
    with daemon.index(out, str(image)) as mnt:
        assert uncached(mnt + "/1", 0, 4096) == contents[1][:4096]
    assert daemon.stop().returncode == 0
    with open(map_path, "wb") as f:
        f.write(whole)
    os.chown(map_path, owner.st_uid, owner.st_gid)
    serves_all(daemon, out, image, contents)


def test_verify_finds_and_mends(cachefilesd, can_mount, work, origin, tarfs,
                                tar, contents):
    """Tampered with while it runs: verify tells, and then all is right."""
    with restarted(cachefilesd, work, origin) as daemon:
        out, image = converted(tarfs, work, [tar], origin)
        with daemon.index(out, str(image)) as mnt:
            all_right(mnt, contents)
            assert daemon.run("verify").returncode == 0
            with open(stored(daemon, origin, image, "data"), "r+b") as f:
                for leaf in (3, 77):
                    f.seek(leaf * 64 * KiB + 5)
                    f.write(b"not these")
            done = daemon.run("verify")
            assert done.returncode == 4
            assert image.layers[0].split(":")[1][:12] in done.stdout
            all_right(mnt, contents)
            assert daemon.run("verify").returncode == 0


def test_store_of_another_version(left, contents):
    """It is refused by name and left as it is."""
    daemon, out, image = left
    path = os.path.join(daemon.state, "store", "version")
    with open(path) as f:
        old = f.read()
    with open(path, "w") as f:
        f.write("erofskit store 2\n")
    with pytest.raises(AssertionError):
        daemon.start()
    assert "version" in daemon.log()
    with open(path) as f:
        assert f.read() == "erofskit store 2\n"
    with open(path, "w") as f:
        f.write(old)
    serves_all(daemon, out, image, contents)
