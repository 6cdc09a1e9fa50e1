# SPDX-License-Identifier: Apache-2.0
"""A worker, or a holder, that comes after one which died at a bad moment:
between what the kernel had done and the word of it."""

import glob
import os
import random
import signal
import time

import pytest

from lib import oci
from lib.daemon import Connection, Daemon, push_native, quote

KiB, MiB = 1 << 10, 1 << 20
LAYERS = 48


def uncached(path):
    os.system("echo 3 > /proc/sys/vm/drop_caches")
    with open(path, "rb") as f:
        return f.read()


def local(tarfs, work, name, tars):
    layout = oci.directory(os.path.join(work, name + ".oci"),
                           oci.oci(oci.Image(tars, None), "x"))
    out = os.path.join(work, name)
    tarfs.ok("convert", layout, "-o", out, "--leaf-digests", "--no-sync", "-q")
    return out


def test_pins_before_completion(cachefilesd, can_mount, work, tarfs):
    """What a kernel reads itself is pinned before anything is fetched that
    could push it out: the image with completion is found first, and all that
    it lacks lies ready in a file."""
    whole = [oci.tar_of([("f%02d" % i, random.Random(i).randbytes(40 * KiB))])
             for i in range(LAYERS)]
    large = oci.tar_of([("large", random.Random(99).randbytes(8 * MiB))])
    first = local(tarfs, work, "first", [large])
    other = local(tarfs, work, "other", whole)
    with Daemon(cachefilesd, work, quota=3 * MiB) as daemon:
        mnt = daemon.mount_index(first)
        kept = daemon.mount_index(other)
        daemon.must("complete", "--wait", kept)
        daemon.ask("POST", "/v1/remount?image=" + quote(kept))
        assert not daemon.image(kept)["lazy"]
        images = os.path.join(daemon.state, "images")
        # In the order of making, its reverse, or that of some hash.
        for _ in range(20):
            if os.listdir(images)[0] == daemon.image(mnt)["id"]:
                break
            daemon.umount(mnt)
            mnt = daemon.mount_index(first)
        assert daemon.run("complete", "--wait", mnt).returncode == 1
        for _ in range(2):
            pid = daemon.kill_worker()
            daemon.wait_worker(pid)
            shown = daemon.image(kept)
            assert shown["state"] == "mounted", daemon.log()
            assert shown["complete"], daemon.log()
        assert "blob-incomplete" not in daemon.log()
        assert uncached(kept + "/f47") == random.Random(47).randbytes(40 * KiB)
        daemon.umount(mnt)
        daemon.umount(kept)


@pytest.fixture
def image(mkfs, work, origin):
    """(its bytes of /a, as an image of one native layer)"""
    top, path = os.path.join(work, "tree"), os.path.join(work, "native.erofs")
    os.mkdir(top)
    data = random.Random(1).randbytes(MiB)
    with open(os.path.join(top, "a"), "wb") as f:
        f.write(data)
    mkfs.ok("-T0", path, top)
    with open(path, "rb") as f:
        return data, push_native(origin, [f.read()])


@pytest.mark.parametrize("step", ["door:read", "door:answered"])
def test_worker_dies_in_a_mount(cachefilesd, can_mount, work, image, origin,
                                step):
    """While the kernel mounts, and reads for that: the holder's word of it
    comes to a worker that is dead. Its successor has the request again."""
    data, pushed = image
    with Daemon(cachefilesd, work, plain_http=[origin.host],
                environment={"EKD_KILL": step + ":1"}) as daemon:
        mnt = daemon.mount("oci://" + pushed.pinned)
        assert daemon.status()["generation"] == 1
        assert daemon.image(mnt)["state"] == "mounted"
        assert uncached(mnt + "/a") == data
        daemon.umount(mnt)
        assert os.listdir(mnt) == [] and daemon.images() == []


def right_again(daemon, pushed, data, mnt):
    assert os.listdir(mnt) == [] and daemon.images() == []
    daemon.mount("oci://" + pushed.pinned, target=mnt)
    assert uncached(mnt + "/a") == data
    daemon.umount(mnt)


@pytest.mark.parametrize("step", ["holder:recorded", "holder:mounted"])
def test_child_dies_in_a_mount(cachefilesd, can_mount, work, image, origin,
                               step):
    """That of the holder that mounts: the mount fails, and nothing is left
    of it but, where that is not certain, an image that is to be unmounted."""
    data, pushed = image
    mnt = os.path.join(work, "mnt")
    os.mkdir(mnt)
    with Daemon(cachefilesd, work, plain_http=[origin.host],
                environment={"EKD_KILL": step + ":1"}) as daemon:
        failed = daemon.run("mount", "oci://" + pushed.pinned, mnt)
        assert failed.returncode == 1 and "child died" in failed.stderr
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
        del daemon.environment["EKD_KILL"]
        daemon.start()
        for shown in daemon.images():
            assert shown["state"] == "broken"
            assert "umount it" in shown["problem"]
            daemon.must("umount", mnt)
        right_again(daemon, pushed, data, mnt)


def test_holder_dies_in_a_mount(daemon, image, work):
    """It had been asked and had not answered: nobody knows what it did."""
    data, pushed = image
    mnt = os.path.join(work, "mnt")
    os.mkdir(mnt)
    connection = Connection(daemon.socket)
    daemon.process.send_signal(signal.SIGSTOP)
    connection.send("POST", "/v1/mounts",
                    {"image": "oci://" + pushed.pinned, "target": mnt})
    images = os.path.join(daemon.state, "images", "*", "image.json")
    end = time.monotonic() + 60
    while not glob.glob(images):
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(0.2)  # from there to the holder it is not far
    daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait()
    status, _, body = connection.receive()
    assert status == 500, body
    shown = daemon.image(mnt)
    assert shown["state"] == "broken" and "umount it" in shown["problem"]
    daemon.start()
    daemon.must("umount", mnt)
    right_again(daemon, pushed, data, mnt)
