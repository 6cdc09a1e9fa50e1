# SPDX-License-Identifier: Apache-2.0
"""Devices of 2^32 blocks and more: 2 TiB in blocks of 512 bytes."""

import json
import os

import pytest

from lib import tars
from lib.content import noise

TIB = 1 << 40
HOLE = 2 * TIB + (3 << 30) + 1000
EDGES = {"start": 0, "far": 2 * TIB - 7, "end": HOLE - 600}


def edge(name):
    return noise(600, len(name))


@pytest.fixture(scope="module")
def archive(session_dir):
    """A member larger than 2 TiB, most of it a hole of the file system, and
    small ones before and behind it."""
    path = os.path.join(session_dir, "wide.tar")
    with open(path, "wb") as out:
        try:
            out.truncate(HOLE + (1 << 20))
        except OSError:
            pytest.skip("no files of 2 TiB here")
        out.truncate(0)
        out.write(tars.member("first", b"first\n"))
        out.write(tars.header("big", size=HOLE))
        start = out.tell()
        for name, at in EDGES.items():
            out.seek(start + at)
            out.write(edge(name))
        out.seek(start + (HOLE + 511) // 512 * 512)
        out.write(tars.member("last", noise(5000)) + tars.END)
    return path


def look(where):
    with open(os.path.join(where, "first"), "rb") as f:
        assert f.read() == b"first\n"
    with open(os.path.join(where, "last"), "rb") as f:
        assert f.read() == noise(5000)
    assert os.path.getsize(os.path.join(where, "big")) == HOLE
    with open(os.path.join(where, "big"), "rb") as f:
        for name, at in EDGES.items():
            f.seek(at)
            assert f.read(600) == edge(name), name


def test_index(mkfs, dump, fsck, mounter, work, archive):
    image = work + "/i.erofs"
    result = mkfs.ok("--tar=i", "--json", image, archive)
    told = json.loads(result.text)
    assert told["oldest_kernel"] == "6.15" and told["devices"] == 1
    blocks = os.path.getsize(archive) // 512
    assert blocks > 1 << 32
    assert "device 1: blocks %d" % blocks in dump.ok(image).text
    for name, data in (("first", b"first\n"), ("last", noise(5000))):
        out = dump.ok("--device=" + archive, "--cat", "--path=/" + name, image)
        assert out.out == data
    with mounter.mounted(image, options="device=" + archive) as where:
        look(where)


def test_merged(mkfs, mounter, work, archive):
    """A layer that is wide among some that are not."""
    small = tars.write(work + "/small.tar", tars.member("small", b"small\n"))
    for name, tar in (("wide", archive), ("small", small)):
        mkfs.ok("--quiet", "--tar=i", "%s/%s.erofs" % (work, name), tar)
    image = work + "/m.erofs"
    layers = ["%s/%s.erofs" % (work, n) for n in ("small", "wide", "small")]
    mkfs.ok("--quiet", image, *layers)
    devices = [small, archive, small]
    options = ",".join("device=" + d for d in devices)
    with mounter.mounted(image, options=options) as where:
        look(where)
        with open(os.path.join(where, "small"), "rb") as f:
            assert f.read() == b"small\n"


def test_older_kernels_are_told(mkfs, work, archive):
    result = mkfs.fails("--tar=i", "--compat=6.12", work + "/i", archive,
                        code=1)
    assert "6.15" in result.errors
    assert os.listdir(work) == []
