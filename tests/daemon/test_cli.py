# SPDX-License-Identifier: Apache-2.0
"""The command line of erofs-cachefilesd, and its words on failures."""

import json
import os
import subprocess

import pytest

from lib import oci
from lib.daemon import converted


@pytest.fixture
def run(cachefilesd):
    def call(*words):
        return subprocess.run([cachefilesd, *words], capture_output=True,
                              text=True, timeout=60)
    return call


@pytest.mark.parametrize("words, says", [
    ([], "which verb"),
    (["fly"], "'fly' is no verb"),
    (["status", "x"], "too many operands"),
    (["umount"], "too few operands"),
    (["run", "--state-dir", ""], "--state-dir=: it is empty"),
    (["images", "--socket="], "--socket=: it is empty"),
    (["status", "--rw"], "takes no option --rw"),
    (["mount", "/mnt"], "needs IMAGE and DIR"),
    (["mount", "--index", "/o", "x", "/mnt"], "needs DIR alone"),
    (["mount", "--from", "a.b/c", "oci://a.b/c", "/mnt"], "need --index"),
    (["mount", "--index", "/o", "--platform", "a/b", "/mnt"], "--platform"),
    (["mount", "--untrusted-index=maybe", "oci://a.b/c", "/m"], "neither"),
    (["trace", "forget", "/mnt"], "record or show"),
    (["stop", "--umount", "--keep"], "one of"),
    (["prefetch", "/mnt"], "needs a PATH"),
    (["waits", "--min", "soon"], "not a time"),
])
def test_usage(run, words, says):
    done = run(*words)
    assert done.returncode == 16 and says in done.stderr, done


def test_help_and_man(run):
    done = run("--help")
    assert done.returncode == 0 and "--untrusted-index" in done.stdout
    man = run("--help-man")
    assert man.returncode == 0 and "PROMISE" in man.stdout
    assert "worker" not in run("--help").stdout.split("Service:")[0]


def test_no_daemon(run, work):
    done = run("status", "--run-dir", work)
    assert done.returncode == 1
    assert "no daemon at %s/api.sock: start it" % work in done.stderr


def test_doors(run):
    doors = json.loads(run("doors", "--json").stdout)["doors"]
    assert [d["name"] for d in doors] == ["fuse", "loop", "fanotify",
                                          "cachefiles"]
    assert all(d["why"] for d in doors)
    assert "fuse" in run("doors").stdout


def reasons(*words):
    """The exit status of `doors`, and what it says of each."""
    done = subprocess.run([*words, "doors", "--json"], capture_output=True,
                          text=True, timeout=120)
    doors = json.loads(done.stdout)["doors"]
    return done.returncode, {d["name"]: d for d in doors}


def test_doors_by_trial(cachefilesd, can_mount):
    """What works was mounted and read; nothing is left of it."""
    def mounted():
        with open("/proc/self/mountinfo") as lines:
            return sorted(line.split()[4] for line in lines)
    before = mounted()
    status, doors = reasons(cachefilesd)
    assert status == 0
    assert doors["fuse"]["works"] or doors["loop"]["works"]
    for door in doors.values():
        if door["works"] and door["name"] != "cachefiles":
            assert "mounted and read" in door["why"], door
    assert mounted() == before
    # No device: said so, and the status tells that nothing works.
    status, doors = reasons(
        "unshare", "-m", "sh", "-c",
        'mount -t tmpfs none /dev && exec "$0" "$@"', cachefilesd)
    assert status == 1
    assert doors["fuse"]["why"] == doors["loop"]["why"] == "no /dev/fuse"


def test_doors_no_file_system_for_events(cachefilesd, can_mount):
    """Pre-content events need more of a file system than tmpfs has."""
    _, doors = reasons(cachefilesd)
    if not doors["fanotify"]["works"]:
        pytest.skip(doors["fanotify"]["why"])
    for fs in "/var/lib", "/var/tmp", "/tmp":
        if cachefilesd.startswith(fs + "/"):
            pytest.skip("the program is in %s" % fs)
    status, doors = reasons(
        "unshare", "-m", "sh", "-c",
        "for d in /var/lib /var/tmp /tmp; do mount -t tmpfs none $d || exit; "
        'done; exec "$0" "$@"', cachefilesd)
    assert status == 0 and doors["fuse"]["works"]
    assert not doors["fanotify"]["works"]
    assert "not on the file systems" in doors["fanotify"]["why"]


def test_doors_without_root(cachefilesd, can_mount):
    status, doors = reasons("setpriv", "--reuid=65534", "--regid=65534",
                            "--clear-groups", cachefilesd)
    assert status == 1
    for name in "fuse", "loop", "fanotify":
        assert not doors[name]["works"]
        assert doors[name]["why"] == "needs root to try"


def test_stop_rules(daemon, tarfs, work, origin):
    data = os.urandom(3 << 20)
    out, image = converted(tarfs, work, [oci.tar_of([("a", data)])], origin)
    mnt = daemon.mount_index(out, str(image))
    done = daemon.run("stop")
    assert done.returncode == 1 and mnt in done.stderr
    assert daemon.status()["images"] == 1
    # Completed, it needs nobody.
    done = daemon.stop("--complete")
    assert done.returncode == 0, done.stderr + daemon.log()
    origin.down()
    with open(mnt + "/a", "rb") as f:
        assert f.read() == data
    origin.up()
    daemon.start()
    assert daemon.image(mnt)["lazy"] is False
    assert daemon.stop("--umount").returncode == 0
    assert os.listdir(mnt) == []


def test_shows(daemon, tarfs, work, origin):
    data = os.urandom(1 << 20)
    out, image = converted(tarfs, work, [oci.tar_of([("a", data)])], origin)
    assert "No image" in daemon.must("images")
    with daemon.index(out, str(image)) as mnt:
        with open(mnt + "/a", "rb") as f:
            assert f.read() == data
        shown = daemon.must("images")
        assert mnt in shown and "needs the daemon" in shown
        status = daemon.must("status")
        assert "fails closed" in status and "1 need the daemon" in status
        assert json.loads(daemon.must("status", "--json"))["images"] == 1
        assert "in use" in daemon.must("blobs")
        assert "Removed 0 blobs" in daemon.must("gc")
    assert "Removed 1 blobs" in daemon.must("gc")


def test_what_cannot_be_mounted(daemon, tarfs, work, origin):
    """Each says what to do."""
    mnt = os.path.join(work, "m")
    os.mkdir(mnt)
    tar = oci.tar_of([("a", b"a" * 5000)])
    plain = oci.directory(os.path.join(work, "plain"),
                          oci.oci(oci.Image([tar]), "x"))
    out = os.path.join(work, "plain-out")
    tarfs.ok("convert", plain, "-o", out, "--no-sync", "-q")
    done = daemon.run("mount", "--index", out, mnt)
    assert done.returncode == 1 and "--leaf-digests" in done.stderr
    done = daemon.run("mount", "oci://%s/none:1" % origin.host, mnt)
    assert done.returncode == 1 and origin.host in done.stderr
    done = daemon.run("mount", "--index", out, os.path.join(work, "none"))
    assert done.returncode == 1 and "none" in done.stderr
    image = origin.push([tar])
    done = daemon.run("mount", "oci://" + image.pinned, mnt)
    assert done.returncode == 1 and "erofs-tarfs" in done.stderr
    origin.down()
    done = daemon.run("mount", "oci://" + image.pinned, mnt, timeout=90)
    assert done.returncode == 1 and origin.host in done.stderr
    origin.up()
    assert daemon.images() == []


def test_index_digest(daemon, tarfs, work, origin):
    out, image = converted(tarfs, work, [oci.tar_of([("a", b"a" * 999)])],
                           origin)
    with open(out + "/image.json", "rb") as f:
        pin = oci.digest(f.read())
    mnt = os.path.join(work, "m")
    os.mkdir(mnt)
    with daemon.index(out, str(image), "--index-digest", pin):
        pass
    done = daemon.run("mount", "--index", out, "--from", str(image),
                      "--index-digest", oci.digest(b"other"), mnt)
    assert done.returncode == 1 and pin in done.stderr
    with open(out + "/merged.erofs", "r+b") as f:
        f.seek(2000)
        f.write(b"x")
    done = daemon.run("mount", "--index", out, "--from", str(image),
                      "--index-digest", pin, mnt)
    assert done.returncode == 1
    assert "is not the index that image.json names" in done.stderr


def test_too_many_layers(daemon, tarfs, work, origin):
    """More devices than a mount can have are counted, not read."""
    out, image = converted(tarfs, work, [oci.tar_of([("a", b"a" * 999)])],
                           origin)
    with open(out + "/image.json") as f:
        record = json.load(f)
    record["devices"] *= 128
    with open(out + "/image.json", "w") as f:
        json.dump(record, f)
    mnt = os.path.join(work, "m")
    os.mkdir(mnt)
    done = daemon.run("mount", "--index", out, "--from", str(image), mnt)
    assert done.returncode == 1 and "128 devices" in done.stderr


def test_hostile_index(daemon, tarfs, work, origin):
    """The kernel never sees an index that breaks a rule."""
    out, image = converted(tarfs, work, [oci.tar_of([("a", b"a" * 999)])],
                           origin)
    with open(out + "/image.json") as f:
        record = json.load(f)
    del record["merged"]["digest"]
    with open(out + "/image.json", "w") as f:
        json.dump(record, f)
    with open(out + "/merged.erofs", "r+b") as f:
        f.seek(1024 + 14)  # root nid
        f.write(b"\xff\xff")
    mnt = os.path.join(work, "m")
    os.mkdir(mnt)
    done = daemon.run("mount", "--index", out, "--from", str(image), mnt)
    assert done.returncode == 1 and "not fit for the kernel" in done.stderr
