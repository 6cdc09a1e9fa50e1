# SPDX-License-Identifier: Apache-2.0
"""The power is cut: what reached the disk since its last flush is there in
part. The store's file system lies on a disk that knows its flushes; readers
read, blobs are filled and evicted, and a copy of the disk with a random part
of the unflushed writes lost is what the next daemon finds."""

import os
import random
import shutil
import subprocess
import threading
import time

import pytest

from lib import mounts, oci
from lib.daemon import Daemon, converted
from lib.powerdisk import Disk

KiB, MiB = 1 << 10, 1 << 20
FILES, SIZE = 6, MiB
DISK = 48 * MiB


def numbers(seed):
    return random.Random(seed).randbytes(SIZE)


def uncached(path, offset, n):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        return os.pread(fd, n, offset)
    finally:
        os.close(fd)


class Busy:
    """A thread that reads here and there until it is told to stop."""

    def __init__(self, mnt, contents, seed):
        self.mnt, self.contents = mnt, contents
        self.rng = random.Random(seed)
        self.over, self.right, self.wrong, self.failed = False, 0, 0, None
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *args):
        self.over = True
        self.thread.join()
        assert not self.wrong and not self.failed

    def run(self):
        while not self.over:
            i = self.rng.randrange(FILES)
            at = self.rng.randrange(0, SIZE - 128 * KiB, 4 * KiB)
            try:
                got = uncached("%s/%d" % (self.mnt, i), at, 128 * KiB)
            except OSError as why:
                self.failed = why
                return
            if got == self.contents[i][at:at + 128 * KiB]:
                self.right += 1
            else:
                self.wrong += 1


def found(cachefilesd, work, origin, copy, out, image, contents):
    """What a daemon makes of the disk that is left; bytes that it fetched."""
    here = os.path.join(work, "after")
    where = os.path.join(here, "disk")
    os.makedirs(where)
    os.chmod(here, 0o755)
    try:
        with mounts.loop(copy) as device:
            mounts.mount(device, where, "ext4")
            try:
                with Daemon(cachefilesd, here, plain_http=[origin.host],
                            state_dir=os.path.join(where, "state")) as daemon:
                    with daemon.index(out, str(image)) as mnt:
                        for i, want in enumerate(contents):
                            assert uncached("%s/%d" % (mnt, i), 0,
                                            SIZE) == want
                        # And nothing that is kept is wrong.
                        done = daemon.run("verify")
                        assert done.returncode == 0, done.stdout
                        fetched = daemon.image(mnt)["fetched_bytes"]
                    assert daemon.run("stop").returncode == 0
                    daemon.process.wait(60)
            finally:
                mounts.umount(where)
    finally:
        shutil.rmtree(here)
    return fetched


@pytest.mark.parametrize("rounds", [
    10, pytest.param(200, marks=pytest.mark.soak)])
def test_power_cut(cachefilesd, can_mount, work, origin, tarfs, rounds):
    contents = [numbers(i) for i in range(FILES)]
    tar = oci.tar_of([("%d" % i, c) for i, c in enumerate(contents)])
    out, image = converted(tarfs, work, [tar], origin)
    where = os.path.join(work, "disk")
    os.mkdir(where)
    copy = os.path.join(work, "copy")
    counted = kept = 0
    with Disk(work, DISK) as disk:
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "nodiscard",
                        disk.file], check=True, stdin=subprocess.DEVNULL)
        with mounts.loop(disk.file) as device:
            mounts.mount(device, where, "ext4")
            try:
                with Daemon(cachefilesd, work, plain_http=[origin.host],
                            quota=3 * MiB, checkpoint_time="100ms",
                            checkpoint_bytes="1M",
                            state_dir=os.path.join(where, "state")) as daemon:
                    mnt = daemon.mount_index(out, str(image))
                    # A new blob's own files are synced by nobody: what is
                    # cut then is made anew, and nothing would be kept.
                    os.sync()
                    with Busy(mnt, contents, 1) as busy:
                        for seed in range(20 * rounds):
                            time.sleep(random.Random(seed).random() / 4)
                            # Nothing was lost: no round.
                            if not disk.cut(copy, seed):
                                continue
                            fetched = found(cachefilesd, work, origin, copy,
                                            out, image, contents)
                            counted += 1
                            kept += fetched < FILES * SIZE
                            print("power cut %d: %d of %d bytes fetched" %
                                  (counted, fetched, FILES * SIZE), flush=True)
                            if counted == rounds:
                                break
                    stats = daemon.status()["store"]
                    daemon.umount(mnt)
            finally:
                mounts.umount(where)
    assert counted == rounds
    assert stats["checkpoints"] > rounds and stats["evicted_leaves"] > rounds
    # What had been synced was there again.
    assert kept > 0
    print("power cut: %d rounds, %d with leaves kept, %d reads meanwhile, %d "
          "checkpoints, %d leaves evicted" %
          (counted, kept, busy.right, stats["checkpoints"],
           stats["evicted_leaves"]))
