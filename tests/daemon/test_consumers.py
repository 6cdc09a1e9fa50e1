# SPDX-License-Identifier: Apache-2.0
"""Who really uses such mounts: overlays, containers, a web server, images
that share layers."""

import contextlib
import json
import os
import random
import re
import shutil
import subprocess

import pytest

from lib import corpora, mounts, oci, stack
from lib.daemon import converted

MiB = 1 << 20


def numbers(seed, n):
    return random.Random(seed).randbytes(n)


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def test_overlay_on_top(daemon, tarfs, work, origin):
    """A container's usual root: our mount below, a writable layer above."""
    tar = oci.tar_of([("a", None)] +
                     [("a/%d" % i, numbers(i, 300000)) for i in range(6)])
    out, image = converted(tarfs, work, [tar], origin)
    top = {name: os.path.join(work, name) for name in ("up", "wk", "all")}
    for path in top.values():
        os.mkdir(path)
    with daemon.index(out, str(image)) as low:
        mounts.mount("overlay", top["all"], "overlay",
                     "lowerdir=%s,upperdir=%s,workdir=%s" %
                     (low, top["up"], top["wk"]))
        try:
            # A copy-up of what was never read; a deletion; a new name.
            with open(top["all"] + "/a/1", "ab") as f:
                f.write(b"more")
            os.unlink(top["all"] + "/a/2")
            os.rename(top["all"] + "/a/3", top["all"] + "/a/moved")
            assert read(top["all"], "a/0") == numbers(0, 300000)
            assert read(top["all"], "a/1") == numbers(1, 300000) + b"more"
            assert read(top["all"], "a/moved") == numbers(3, 300000)
            assert sorted(os.listdir(top["all"] + "/a")) == [
                "0", "1", "4", "5", "moved"]
        finally:
            mounts.umount(top["all"])
        for i in range(6):
            assert read(low, "a/%d" % i) == numbers(i, 300000)
        assert daemon.image(low)["failed"] == 0


def test_two_images_share_layers(daemon, tarfs, work, origin):
    """What one image read, the other has: the blob is the same."""
    common = oci.tar_of([("common", numbers(1, 3 * MiB))])
    first = oci.tar_of([("mine", b"first")])
    second = oci.tar_of([("mine", b"second"),
                         ("also", numbers(2, MiB))])
    one, image = converted(tarfs, work, [common, first], origin, repo="one")
    two, other = converted(tarfs, work, [common, second], origin, repo="two")
    with daemon.index(one, str(image)) as mnt:
        assert read(mnt, "common") == numbers(1, 3 * MiB)
        with daemon.index(two, str(other)) as beside:
            sent = origin.bytes_sent
            assert read(beside, "common") == numbers(1, 3 * MiB)
            assert origin.bytes_sent == sent
            assert read(beside, "mine") == b"second"
            assert read(mnt, "mine") == b"first"
            assert read(beside, "also") == numbers(2, MiB)
        # The other is gone, the blob is not.
        os.system("echo 3 > /proc/sys/vm/drop_caches")
        sent = origin.bytes_sent
        assert read(mnt, "common") == numbers(1, 3 * MiB)
        assert origin.bytes_sent == sent
    daemon.must("gc")
    assert daemon.status()["store"]["blobs"] == 0


def needed(path):
    """Shared libraries of a program."""
    done = subprocess.run(["ldd", path], check=True, capture_output=True,
                          text=True)
    return re.findall(r"(/\S+)", done.stdout)


def small_root(work):
    """The tar of a root that can run a shell, and much that is not read."""
    root = os.path.join(work, "root")
    for name in ("bin", "proc", "dev", "sys", "data", "etc"):
        os.makedirs(os.path.join(root, name))
    shutil.copy("/bin/busybox", root + "/bin/busybox")
    for name in ("sh", "cat", "sha256sum", "touch", "ls", "find", "xargs"):
        os.symlink("busybox", root + "/bin/" + name)
    for path in needed("/bin/busybox"):
        os.makedirs(root + os.path.dirname(path), exist_ok=True)
        shutil.copy(path, root + path)
    os.mkdir(root + "/unread")
    for name, i, n in [("data", i, MiB) for i in range(8)] + \
            [("unread", 8, 8 * MiB)]:
        with open("%s/%s/%d" % (root, name, i), "wb") as f:
            f.write(numbers(i, n))
    return subprocess.run(
        ["tar", "-C", root, "--format=pax", "--numeric-owner", "--sort=name",
         "-cf", "-", "."], check=True, stdout=subprocess.PIPE).stdout


@contextlib.contextmanager
def container(work, root, argv, name):
    """A bundle for runc; yields the words that run it."""
    bundle = os.path.join(work, "bundle-" + name)
    os.mkdir(bundle)
    subprocess.run(["runc", "spec", "--bundle", bundle], check=True)
    path = os.path.join(bundle, "config.json")
    with open(path) as f:
        config = json.load(f)
    config["root"] = {"path": root, "readonly": False}
    config["process"].update(args=argv, terminal=False)
    config["process"]["user"] = {"uid": 0, "gid": 0}
    for kind in config["process"]["capabilities"].values():
        kind += ["CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_OVERRIDE"]
    config["linux"]["namespaces"] = [
        n for n in config["linux"]["namespaces"]
        if n["type"] not in ("network", "cgroup")]
    config["linux"].pop("resources", None)
    with open(path, "w") as f:
        json.dump(config, f)
    state = os.path.join(work, "runc-" + name)
    words = ["runc", "--root", state]
    full = "%s-%d" % (name, os.getpid())
    try:
        yield [*words, "run", "--bundle", bundle, full]
    finally:
        subprocess.run([*words, "kill", full, "KILL"], capture_output=True)
        subprocess.run([*words, "delete", "--force", full],
                       capture_output=True)


@pytest.fixture
def runc(can_mount):
    if not shutil.which("runc"):
        pytest.skip("no runc")


def test_container(daemon, runc, tarfs, work, origin):
    """runc, its root on our mount; it is killed when half is read."""
    tar = small_root(work)
    out, image = converted(tarfs, work, [tar], origin)
    with daemon.index(out, str(image), "--rw") as root:
        argv = ["sh", "-c", "sha256sum /data/3; touch /data/new; ls /data"]
        with container(work, root, argv, "one") as words:
            done = subprocess.run(words, capture_output=True, text=True,
                                  timeout=60)
        assert done.returncode == 0, done.stderr
        assert oci.sha(numbers(3, MiB)) in done.stdout
        assert "new" in done.stdout.split()
        # A shell, its libraries, one file and what was read ahead of it.
        assert daemon.image(root)["fetched_bytes"] < len(tar) / 2
        argv = ["sh", "-c", "find /data -type f | xargs sha256sum"]
        with container(work, root, argv, "two") as words:
            worker = daemon.worker
            process = subprocess.Popen(words, stdout=subprocess.PIPE,
                                       text=True)
            daemon.kill_worker()
            text, _ = process.communicate(timeout=60)
        daemon.wait_worker(worker)
        assert process.returncode == 0
        for i in range(8):
            assert oci.sha(numbers(i, MiB)) in text


@pytest.mark.skipif(not corpora.FULL, reason="set EK_CORPORA=full")
@pytest.mark.parametrize("how", ["chroot", "runc"])
def test_wordpress(daemon, runc, tarfs, work, origin, how):
    """Apache and PHP from packages answer out of an image that is read as
    they go; the same page as from the unpacked files."""
    paths = stack.layers(work)
    tars = []
    for path in paths:
        with open(path, "rb") as f:
            tars.append(f.read())
    out, image = converted(tarfs, work, tars, origin)
    port = stack.free_port()
    with daemon.index(out, str(image), "--rw") as root:
        if how == "chroot":
            with stack.running(root, port) as ended:
                status, page = stack.answer(port, ended)
        else:
            stack.configure(root, port)
            with container(work, root, stack.COMMAND, "web") as words, \
                    subprocess.Popen(words, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL) as process:
                status, page = stack.answer(
                    port, lambda: process.poll() is not None)
                process.terminate()
        shown = daemon.image(root)
        assert status == 200 and b"WordPress" in page
        assert shown["failed"] == 0
        # A few of the many MiB of packages were needed.
        assert shown["fetched_bytes"] < sum(map(len, tars)) / 4
