# SPDX-License-Identifier: Apache-2.0
"""Converted images, mounted, against an overlay of the unpacked layers."""

import contextlib
import json
import os
import subprocess

import pytest

from lib import mounts, oci, oracle


@contextlib.contextmanager
def overlay(work, directories):
    """Bottom first."""
    where = os.path.join(work, "overlay")
    os.makedirs(where, exist_ok=True)
    lower = ":".join(reversed(directories))
    empty = os.path.join(work, "lowest")
    os.makedirs(empty, exist_ok=True)
    # overlayfs wants two at least.
    mounts.mount("overlay", where, "overlay",
                 "ro,lowerdir=%s%s" % (lower, "" if len(directories) > 1
                                       else ":" + empty))
    try:
        yield where
    finally:
        mounts.umount(where)


def mounted_at(where):
    with open("/proc/self/mountinfo") as lines:
        return [line.split(" - ")[1].split()[0] for line in lines
                if line.split()[4] == where]


class Sample:
    def __init__(self, work):
        self.layers = oci.sample_layers(work)
        self.tars = [layer.tar for layer in self.layers]
        with overlay(work, [layer.overlay for layer in self.layers]) as where:
            self.records = oracle.normal(oracle.walk(where))


@pytest.fixture(scope="module")
def sample(session_dir, mounter):
    path = os.path.join(session_dir, "tarfs-sample")
    os.mkdir(path)
    return Sample(path)


@contextlib.contextmanager
def mounted(tarfs, out, *options):
    where = os.path.realpath(out) + ".mnt"
    os.makedirs(where, exist_ok=True)
    result = tarfs.ok("mount", *options, out, where)
    try:
        yield where, result.text
    finally:
        tarfs.ok("umount", where)
        assert mounted_at(where) == []


def check(tarfs, sample, out):
    with mounted(tarfs, out) as (where, _):
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(sample.records, got)


FORMS = {
    "docker": lambda w, i: oci.archive(w + "/in.tar", oci.docker([i])),
    "docker-gz": lambda w, i: oci.archive(w + "/in.tar.gz", oci.docker([i]),
                                          "gzip"),
    "oci-archive": lambda w, i: oci.archive(w + "/in.tar", oci.oci(i)),
    "oci-archive-zst": lambda w, i: oci.archive(w + "/in.tar.zst", oci.oci(i),
                                                "zstd"),
    "layout": lambda w, i: oci.directory(w + "/in", oci.oci(i)),
}


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("packed", [None, "gzip", "zstd", "xz"])
def test_same_tree(tarfs, sample, work, form, packed):
    source = FORMS[form](work, oci.Image(sample.tars, packed))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    check(tarfs, sample, out)


def test_mixed_and_merged_by_hand(tarfs, sample, work, mounter):
    source = oci.directory(work + "/in", oci.oci(
        oci.Image(sample.tars, [None, "gzip", "zstd"])))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    with open(out + "/image.json") as f:
        record = json.load(f)
    merged = os.path.join(work, "by-hand.erofs")
    tarfs.ok("merge", "--quiet", "-o", merged,
             *[os.path.join(out, layer["index"])
               for layer in record["layers"]])
    devices = ",".join("device=" + os.path.join(out, d["path"])
                       for d in record["devices"])
    with mounter.mounted(merged, options=devices) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(sample.records, got)


def test_by_loop(tarfs, sample, work):
    """The kernel mounts no file of a tmpfs: loop devices take over."""
    with mounts.tmpfs(os.path.join(work, "memory"), "64m") as memory:
        source = oci.archive(memory + "/in.tar",
                             oci.oci(oci.Image(sample.tars, [None, None,
                                                             "gzip"])))
        out = os.path.join(memory, "out")
        tarfs.ok("convert", "--quiet", source, "-o", out)
        with mounted(tarfs, out) as (where, said):
            assert "loop" in said
            got = oracle.normal(oracle.walk(where), image=True)
        oracle.assert_same(sample.records, got)
        busy = subprocess.run(["losetup", "-l", "-n", "-O", "BACK-FILE"],
                              capture_output=True, text=True, check=True)
        assert memory not in busy.stdout


def test_as_a_file(tarfs, sample, work):
    source = oci.archive(work + "/in.tar", oci.docker([oci.Image(
        sample.tars)]))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    with mounted(tarfs, out) as (where, said):
        assert "as a file" in said or "loop" in said
        assert mounted_at(where) == ["erofs"]


def test_odd_paths(tarfs, sample, work):
    """Commas, colons, spaces and long paths in the way of options."""
    deep = os.path.join(work, "a,b:c d\\e", "x" * 200, "y" * 100)
    os.makedirs(deep)
    source = oci.archive(deep + "/in, put.tar",
                         oci.docker([oci.Image(sample.tars)]))
    out = os.path.join(deep, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    check(tarfs, sample, out)
    upper = os.path.join(deep, "up,per")
    os.mkdir(upper)
    where = os.path.join(deep, "m:n,t")
    os.mkdir(where)
    tarfs.ok("mount", "--rw", "--upper", upper, out, where)
    assert mounted_at(where.replace("\\", "\\134").replace(
        " ", "\\040")) == ["erofs", "overlay"]
    tarfs.ok("umount", where)


def test_writable(tarfs, sample, work):
    source = oci.archive(work + "/in.tar", oci.docker([oci.Image(
        sample.tars)]))
    out, upper = os.path.join(work, "out"), os.path.join(work, "upper")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    os.mkdir(upper)
    for text in (b"first", b"second"):
        with mounted(tarfs, out, "--rw", "--upper=" + upper) as (where, said):
            assert "overlay" in said
            assert mounted_at(where) == ["erofs", "overlay"]
            if text == b"second":
                with open(where + "/etc/added", "rb") as f:
                    assert f.read() == b"first"
                assert not os.path.exists(where + "/empty")
            else:
                os.unlink(where + "/empty")
            oci.write(where + "/etc/added", text)
    with open(upper + "/upper/etc/added", "rb") as f:
        assert f.read() == b"second"
    # The image itself is as it was.
    check(tarfs, sample, out)


def test_refused(tarfs, sample, work):
    source = oci.archive(work + "/in.tar", oci.docker([oci.Image(
        sample.tars)]))
    out, where = os.path.join(work, "out"), os.path.join(work, "mnt")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    os.mkdir(where)
    tarfs.fails("mount", out, os.path.join(work, "missing"), code=1)
    tarfs.fails("mount", work, where, code=1)
    tarfs.fails("umount", where, code=1)
    with mounts.tmpfs(where, "1m"):
        tarfs.fails("umount", where, code=1)
        assert mounted_at(where) == ["tmpfs"]
    with open(source, "ab") as f:
        f.write(bytes(512))
    result = tarfs.fails("mount", out, where, code=1)
    assert "in.tar" in result.errors
    os.unlink(source)
    result = tarfs.fails("mount", out, where, code=1)
    assert "in.tar" in result.errors
    assert mounted_at(where) == []


def test_an_image_that_is_none(tarfs, sample, work):
    """Every way fails, and each is told."""
    source = oci.archive(work + "/in.tar", oci.docker([oci.Image(
        sample.tars)]))
    out, where = os.path.join(work, "out"), os.path.join(work, "mnt")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    os.mkdir(where)
    oci.write(out + "/merged.erofs", b"x" * 4096)
    result = tarfs.fails("mount", out, where, code=1)
    assert "loop" in result.errors and "erofsfuse" in result.errors
    assert mounted_at(where) == []


def test_twice_and_empty_layers(tarfs, work, mounter):
    a = oci.tar_of([("d", None), ("d/a", b"a" * 2000), ("x", b"x")])
    b = oci.tar_of([("d", None), ("d/.wh.a", b""), ("d/b", b"b")])
    empty = oci.tar_of([])
    hidden = oci.tar_of([("z", b"zz")])
    hide = oci.tar_of([(".wh.z", b"")])
    image = oci.Image([empty, a, b, a, empty, hidden, hide],
                      [None, None, "gzip", None, "gzip", None, None])
    source = oci.archive(work + "/in.tar", oci.oci(image))
    out = os.path.join(work, "out")
    result = tarfs.ok("convert", "--json", source, "-o", out)
    record = json.loads(result.text)
    assert len(record["devices"]) == 7
    assert record["layers"][1]["index"] == record["layers"][3]["index"]
    assert record["layers"][0]["index"] == record["layers"][4]["index"]
    assert len(os.listdir(out + "/layers")) == 5
    with mounted(tarfs, out) as (where, _):
        assert sorted(os.listdir(where)) == ["d", "x"]
        assert sorted(os.listdir(where + "/d")) == ["a", "b"]
        with open(where + "/d/a", "rb") as f:
            assert f.read() == b"a" * 2000
    tarfs.ok("verify", out)


def test_native_layers(tarfs, sample, work, mounter):
    """Each layer an image of its own; the overlay of them is the tree."""
    source = oci.archive(work + "/in.tar",
                         oci.oci(oci.Image(sample.tars, "gzip")))
    out = os.path.join(work, "layout")
    tarfs.ok("convert", "--quiet", "--format=erofs", "-zlz4hc", "-C65536",
             source, "-o", out)
    with open(out + "/index.json") as f:
        index = json.load(f)
    with open(out + "/" + oci.blob_path(
            index["manifests"][0]["digest"])) as f:
        manifest = json.load(f)
    with contextlib.ExitStack() as stack:
        lower = []
        for layer in manifest["layers"]:
            path = os.path.join(out, oci.blob_path(layer["digest"]))
            lower.append(stack.enter_context(mounter.mounted(path)))
        with overlay(work, lower) as where:
            got = oracle.normal(oracle.walk(where))
    oracle.assert_same(sample.records, got)


def test_many_layers(tarfs, work, mounter):
    """As many as merge, all in one archive: options beyond one page."""
    tars = [oci.tar_of([("f%03d" % i, b"%d" % i * 600)]) for i in range(127)]
    source = oci.archive(work + "/in.tar", oci.docker([oci.Image(tars)]))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    with mounted(tarfs, out) as (where, _):
        for i in range(127):
            with open(where + "/f%03d" % i, "rb") as f:
                assert f.read() == b"%d" % i * 600


def test_edges(tarfs, edges, mounter, work):
    """All kinds of entries that tar has, through one layer."""
    tar = os.path.join(work, "edges.tar")
    done = subprocess.run(
        ["tar", "-C", edges.path, "--format=pax", "--numeric-owner",
         "--xattrs", "--xattrs-include=*", "-cf", tar, "."],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", tar, "-o", out)
    with mounted(tarfs, out) as (where, _):
        got = oracle.normal(oracle.walk(where), image=True)
    # GNU tar has no sockets and no links of FIFOs; what is overlayfs's own is
    # applied, not kept.
    want, fifos = {}, {b"hard/fifo", b"hard/fifo2"}
    for path, rec in edges.records.items():
        if rec["type"] == "socket":
            continue
        want[path] = dict(rec, xattrs={
            k: v for k, v in rec["xattrs"].items()
            if not k.startswith(b"trusted.overlay.")})
        if path in fifos:
            want[path].update(group=(path,), nlink=1)
    oracle.assert_same(want, got)
