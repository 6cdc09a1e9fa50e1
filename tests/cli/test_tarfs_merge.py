# SPDX-License-Identifier: Apache-2.0
"""Merging images whose files lie in many runs."""

import os

import pytest

from lib import erofs, oci
from lib.content import noise

BLOCK = 512


def pieces(kind):
    """Bytes of a file that its chunks make of many runs."""
    a, b = noise(BLOCK, 1), noise(BLOCK, 2)
    hole = bytes(BLOCK)
    return {"alternating": (a + b) * 500, "one": a * 1000,
            "with-holes": (a + hole + b + hole * 3) * 200,
            "hole": hole * 1000, "odd-end": (a + b) * 50 + b"end",
            "small": b"x", "empty": b"", "plain": noise(40000, 5)}[kind]


KINDS = ("alternating", "one", "with-holes", "hole", "odd-end", "small",
         "empty", "plain")


def layer(mkfs, work, name, kinds):
    tree = os.path.join(work, name)
    os.mkdir(tree)
    for kind in kinds:
        oci.write("%s/%s-%s" % (tree, name, kind), pieces(kind))
    mkfs.ok("--quiet", "-b512", "--chunksize=512", "-Enoinline_data",
            tree + ".erofs", tree)
    return tree + ".erofs"


@pytest.mark.parametrize("order", [1, -1])
def test_runs(mkfs, fsck, work, order):
    """Twice over: the merged image is itself merged."""
    a = layer(mkfs, work, "a", KINDS)
    b = layer(mkfs, work, "b", KINDS[::-1])
    c = layer(mkfs, work, "c", KINDS[:3])
    ab, all_ = work + "/ab.erofs", work + "/all.erofs"
    mkfs.ok("--quiet", ab, a, b)
    layers = [c, ab][::order]
    devices = [[c], [a, b]][::order]
    mkfs.ok("--quiet", all_, *layers)
    to = work + "/to"
    os.mkdir(to)
    fsck.ok("--quiet", "--extract=" + to,
            *["--device=" + d for x in devices for d in x], all_)
    want = {"%s-%s" % (n, k): pieces(k) for n, ks in
            (("a", KINDS), ("b", KINDS), ("c", KINDS[:3])) for k in ks}
    got = {}
    for name in os.listdir(to):
        with open(os.path.join(to, name), "rb") as f:
            got[name] = f.read()
    assert got == want


@pytest.mark.parametrize("more", [0, 1])
def test_runs_have_a_limit(mkfs, work, more):
    """A map of zeros, which a file of holes can be, is a run a chunk."""
    small = layer(mkfs, work, "a", ["alternating"])
    image = erofs.Image(small)
    old = image.inode("a-alternating")
    nid = (len(image.data) - image.meta) // 32
    n = (1 << 22) + more
    image.data += image.data[old.pos:old.body]
    at = image.meta + nid * 32
    image.put("<I", at + 8, n * BLOCK)
    image.put("<I", at + 16, 0)  # chunks of a block, by 4 bytes each
    image.entry("a-alternating").put_nid(nid)
    blocks = -(-(len(image.data) + n * 4) // BLOCK)
    image.put("<I", erofs.SB + 36, blocks)
    image.seal()
    oci.write(small, bytes(image.data))
    os.truncate(small, blocks * BLOCK)
    out = work + "/out.erofs"
    if not more:
        mkfs.ok("--quiet", out, small)
        return
    result = mkfs.fails("--quiet", out, small, code=1)
    assert "more than 4194304 items" in result.errors
