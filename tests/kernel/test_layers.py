# SPDX-License-Identifier: Apache-2.0
"""Layers merged by mkfs.erofs against the kernel's own overlay of them."""

import os
import shutil

import pytest

from lib import mounts, oracle, tars
from lib.content import noise, text

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"


def layer(root, files, links=(), dirs=()):
    """A tree of files (None: a whiteout in AUFS's form)."""
    for name in dirs:
        os.makedirs(os.path.join(root, name), exist_ok=True)
    os.makedirs(root, exist_ok=True)
    for name, data in files.items():
        where, base = os.path.split(os.path.join(root, name))
        os.makedirs(where, exist_ok=True)
        if data is None:
            base, data = WHITEOUT + base, b""
        with open(os.path.join(where, base), "wb") as out:
            out.write(data)
    for name, target in links:
        os.link(os.path.join(root, target), os.path.join(root, name))
    tars.set_times(root)
    return root


def layers(where):
    """Three layers that hide, replace and complete each other."""
    yield layer(os.path.join(where, "0"), {
        "kept": text(5000), "gone": b"x", "replaced": noise(9000),
        "dir/a": b"a", "dir/b": b"b", "full/old": b"old",
        "full/sub/older": b"o", "was-dir/x": b"x", "was-file": b"f",
        "removed/deep/file": b"x", "link-1": noise(2000)},
        links=[("link-2", "link-1"), ("dir/link-3", "link-1")])
    yield layer(os.path.join(where, "1"), {
        "gone": None, "replaced": text(100), "dir/a": None, "dir/c": b"c",
        "full/" + OPAQUE: b"", "full/new": b"new", "was-dir": b"a file",
        "was-file/now": b"dir", "removed": None, "link-2": None,
        "back": None})
    yield layer(os.path.join(where, "2"), {
        "dir/d": noise(1234), "back": b"again", "full/sub/younger": b"y",
        "removed/other": b"o", "dir/c": None, "empty": b""})


def as_overlay(root):
    """Turn AUFS's marks into those of overlayfs, in place."""
    times = {}
    for where, dirs, files in os.walk(root):
        times[where] = os.stat(where).st_mtime_ns
        for name in files:
            path = os.path.join(where, name)
            if name == OPAQUE:
                os.remove(path)
                os.setxattr(where, "trusted.overlay.opaque", b"y")
            elif name.startswith(WHITEOUT):
                os.remove(path)
                os.mknod(os.path.join(where, name[4:]), 0o020000, 0)
    for where, ns in times.items():
        os.utime(where, ns=(ns, ns))


@pytest.fixture
def stack(memory, work):
    """The tars of the layers, and what the overlay of them shows."""
    where = os.path.join(memory, "stack")
    os.mkdir(where)
    roots, archives = [], []
    for root in layers(where):
        number = os.path.basename(root)
        archives.append(tars.gnu(root, os.path.join(work, number + ".tar"),
                                 "--format=pax"))
        as_overlay(root)
        roots.append(root)
    merged = os.path.join(where, "merged")
    os.mkdir(merged)
    mounts.mount("overlay", merged, "overlay",
                 "ro,lowerdir=" + ":".join(reversed(roots)))
    try:
        want = oracle.normal(oracle.walk(merged))
    finally:
        mounts.umount(merged)
        shutil.rmtree(where)
    return archives, want


def check(mounter, image, want, *devices):
    options = ",".join("device=" + d for d in devices)
    with mounter.mounted(image, options=options or None) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(want, got)


def indexes(mkfs, work, archives, *options):
    for i, tar in enumerate(archives):
        image = os.path.join(work, "layer-%d.img" % i)
        mkfs.ok("--aufs", "--quiet", *options, image, tar)
        yield image


def test_indexes_of_tars(mkfs, mounter, fsck, work, stack):
    archives, want = stack
    images = list(indexes(mkfs, work, archives, "--tar=i"))
    merged = os.path.join(work, "merged.img")
    mkfs.ok("--quiet", "--ovlfs-strip=1", merged, *images)
    check(mounter, merged, want, *archives)
    fsck.ok(*["--device=" + a for a in archives], merged)
    flat = os.path.join(work, "flat.img")
    with open(flat, "wb") as out:
        for part in [merged] + archives:
            with open(part, "rb") as f:
                shutil.copyfileobj(f, out)
    check(mounter, flat, want)


def test_images_are_devices_themselves(mkfs, mounter, work, stack):
    archives, want = stack
    images = list(indexes(mkfs, work, archives, "--tar=f",
                          "-Enoinline_data"))
    merged = os.path.join(work, "merged.img")
    report = mkfs.ok("--ovlfs-strip=1", merged, *images)
    assert "Copied" not in report.text
    assert os.path.getsize(merged) <= 16384
    check(mounter, merged, want, *images)


def test_data_beside_inodes_is_copied(mkfs, mounter, work, stack):
    archives, want = stack
    images = list(indexes(mkfs, work, archives, "--tar=f", "-zlz4"))
    merged = os.path.join(work, "merged.img")
    report = mkfs.ok("--ovlfs-strip=1", merged, *images)
    assert "Copied into the index" in report.text
    check(mounter, merged, want, *images)


@pytest.mark.parametrize("options", [[], ["-zlz4"], ["--chunksize=4096"]],
                         ids=["plain", "lz4", "chunks"])
def test_all_data_in_one_image(mkfs, mounter, fsck, work, stack, options):
    archives, want = stack
    images = list(indexes(mkfs, work, archives, "--tar=f"))
    merged = os.path.join(work, "merged.img")
    mkfs.ok("--quiet", "--ovlfs-strip", "--clean=data", *options, merged,
            *images)
    fsck.ok(merged)
    check(mounter, merged, want)


def test_marks_stay_for_an_overlay_of_images(mkfs, mounter, memory, work,
                                             stack):
    """Each layer mounted by itself; the kernel merges them."""
    archives, want = stack
    images = list(indexes(mkfs, work, archives, "--tar=f"))
    where = os.path.join(memory, "over")
    os.mkdir(where)
    with mounter.mounted(images[0]) as a, mounter.mounted(images[1]) as b, \
            mounter.mounted(images[2]) as c:
        mounts.mount("overlay", where, "overlay",
                     "ro,lowerdir=%s:%s:%s" % (c, b, a))
        try:
            got = oracle.normal(oracle.walk(where))
        finally:
            mounts.umount(where)
            os.rmdir(where)
    oracle.assert_same(oracle.without(want, "xattrs"),
                       oracle.without(got, "xattrs"))


def test_merging_does_not_depend_on_workers(mkfs, work, stack):
    archives, _ = stack
    images = list(indexes(mkfs, work, archives, "--tar=i"))
    found = set()
    for workers in (1, 2, 8):
        merged = os.path.join(work, "w%d.img" % workers)
        mkfs.ok("--quiet", "--workers=%d" % workers, merged, *images)
        with open(merged, "rb") as f:
            found.add(f.read())
    assert len(found) == 1


def test_a_layer_may_come_twice_and_be_empty(mkfs, mounter, work, stack):
    archives, _ = stack
    empty = tars.write(os.path.join(work, "empty.tar"))
    archives = [archives[0], empty, archives[0]]
    images = list(indexes(mkfs, work, archives, "--tar=i"))
    merged, one = (os.path.join(work, n) for n in ("m.img", "one.img"))
    mkfs.ok("--quiet", merged, *images)
    mkfs.ok("--quiet", one, images[0])
    with mounter.mounted(one, options="device=" + archives[0]) as where:
        want = oracle.normal(oracle.walk(where), image=True)
    check(mounter, merged, want, *archives)


def test_what_is_no_layer_is_refused(mkfs, work, stack):
    archives, _ = stack
    images = list(indexes(mkfs, work, archives, "--tar=i"))
    out = os.path.join(work, "out.img")
    assert "0.tar" in mkfs.fails(out, images[0], archives[0], code=1).errors
    assert work in mkfs.fails(out, images[0], work, code=1).errors
    mkfs.fails("--chunksize=4096", out, *images, code=1)
    mkfs.fails(out, *(images * 43), code=1)
    mkfs.fails(images[1], *images, code=1)
    # The data of an index is not there to be copied.
    mkfs.fails("--clean=data", out, *images, code=1)
    devices = ["--device=" + a for a in archives]
    for wrong in (devices[:-1], devices + devices[:1], ["--device=/none"],
                  ["--device="]):
        mkfs.fails("--clean=data", *wrong, out, *images, code=1)
    mkfs.fails("--clean=data", *devices, archives[0], *images, code=1)
    assert not os.path.exists(out)


@pytest.mark.parametrize("options", [[], ["-zlz4hc"], ["--chunksize=4096"]],
                         ids=["plain", "lz4hc", "chunks"])
def test_the_data_of_indexes_is_copied(mkfs, mounter, fsck, work, stack,
                                       options):
    """From the tars, each the device of one index; one layer has its data."""
    archives, want = stack
    images = list(indexes(mkfs, work, archives, "--tar=i"))
    images[1] = os.path.join(work, "full.img")
    mkfs.ok("--quiet", "--tar=f", "--aufs", "-Enoinline_data", images[1],
            archives[1])
    out = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "--clean=data", "--ovlfs-strip", *options,
            *["--device=" + a for i, a in enumerate(archives) if i != 1],
            out, *images)
    fsck.ok("--quiet", out)
    check(mounter, out, want)
