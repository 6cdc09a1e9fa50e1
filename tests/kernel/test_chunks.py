# SPDX-License-Identifier: Apache-2.0
"""Files in chunks: stored once, holes left out, on a device of their own."""

import json
import os

import pytest

from lib import oracle
from lib.content import noise, text

SIZES = ("4096", "64k", "1m", "64m")


@pytest.fixture(scope="module")
def repeats(memory):
    """Content that repeats at multiples of 4 KiB, 64 KiB and 1 MiB."""
    root = os.path.join(memory, "repeats")
    os.makedirs(os.path.join(root, "d"))
    a, b = noise(1 << 20), noise(1 << 20)[::-1]
    files = {
        "a": a, "d/same": a, "ab": a + b, "ba": b + a, "aa": a * 2,
        "short": a[:300000], "shorter": a[:299999], "small": b"small",
        "block": a[:4096], "more": a[:4097], "empty": b"",
        "zeros": bytes(3 << 20), "zeros-end": bytes((1 << 20) + 5),
        "mixed": a[:65536] + bytes(65536) + b[:65536] + bytes(70000),
        "large": (a + b) * 3 + text(500000), "odd": b[1:] + a,
    }
    for name, data in files.items():
        with open(os.path.join(root, name), "wb") as out:
            out.write(data)
    with open(os.path.join(root, "sparse"), "wb") as out:
        out.seek(9 << 20)
        out.write(a)
        out.truncate(20 << 20)
    return root, oracle.normal(oracle.walk(root))


def make(mkfs, work, tree, *options, name="out.img"):
    image = os.path.join(work, name)
    out = mkfs.ok("--json", *options, image, tree)
    return image, json.loads(out.text)


def check(mounter, fsck, image, want, *devices):
    fsck.ok(*["--device=" + d for d in devices], image)
    options = ",".join("device=" + d for d in devices)
    with mounter.mounted(image, options=options or None) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(want, got)


@pytest.mark.parametrize("form", [[], ["-Eforce-chunk-indexes"],
                                  ["-Eforce-inode-blockmap"]],
                         ids=["auto", "indexes", "blockmap"])
@pytest.mark.parametrize("size", SIZES)
def test_in_the_image(mkfs, mounter, fsck, work, repeats, size, form):
    tree, want = repeats
    image, report = make(mkfs, work, tree, "--chunksize=" + size, *form)
    check(mounter, fsck, image, want)
    if size in ("4096", "64k", "1m"):
        # Of the large ones nothing but a, b and odd's shifted b is new.
        assert report["deduplicated_bytes"] > 10 << 20
        assert report["bytes_out"] < 7 << 20


@pytest.mark.parametrize("block", ["512", "1024", "4096"])
def test_small_blocks(mkfs, mounter, fsck, work, repeats, block):
    tree, want = repeats
    image, report = make(mkfs, work, tree, "-b" + block, "--chunksize=4096")
    assert report["block_size"] == int(block)
    check(mounter, fsck, image, want)


@pytest.mark.parametrize("size", SIZES)
def test_on_a_device(mkfs, mounter, fsck, work, repeats, size):
    tree, want = repeats
    blob = os.path.join(work, "out.blob")
    image, report = make(mkfs, work, tree, "--chunksize=" + size,
                         "--blobdev=" + blob)
    assert report["devices"] == 1
    assert report["blob_bytes"] == os.path.getsize(blob)
    assert os.path.getsize(image) < 300000
    check(mounter, fsck, image, want, blob)
    flat = os.path.join(work, "flat.img")
    with open(flat, "wb") as out:
        for part in (image, blob):
            with open(part, "rb") as f:
                out.write(f.read())
    check(mounter, fsck, flat, want)


def test_holes_are_told(mkfs, mounter, work, repeats):
    image, _ = make(mkfs, work, repeats[0], "--chunksize=64k")
    with mounter.mounted(image) as where:
        fd = os.open(os.path.join(where, "mixed"), os.O_RDONLY)
        assert os.lseek(fd, 0, os.SEEK_HOLE) == 65536
        assert os.lseek(fd, 65536, os.SEEK_DATA) == 131072
        os.close(fd)
        fd = os.open(os.path.join(where, "zeros-end"), os.O_RDONLY)
        assert os.lseek(fd, 0, os.SEEK_HOLE) == 0
        os.close(fd)


def test_equal_chunks_can_be_kept(mkfs, mounter, fsck, work, repeats):
    tree, want = repeats
    image, report = make(mkfs, work, tree, "--chunksize=64k", "-E^dedupe")
    assert report["deduplicated_bytes"] == 0
    assert report["bytes_out"] > 12 << 20
    check(mounter, fsck, image, want)


def test_workers_do_not_matter(mkfs, work, repeats):
    found = set()
    for workers in (1, 2, 8):
        blob = os.path.join(work, "out.blob")
        image, _ = make(mkfs, work, repeats[0], "--chunksize=4096",
                        "--blobdev=" + blob, "--workers=%d" % workers)
        with open(image, "rb") as a, open(blob, "rb") as b:
            found.add((a.read(), b.read()))
    assert len(found) == 1


def test_outputs_inside_the_source_are_left_out(mkfs, mounter, work):
    tree = os.path.join(work, "src")
    os.mkdir(tree)
    with open(os.path.join(tree, "file"), "wb") as out:
        out.write(noise(100000))
    image, blob = (os.path.join(tree, n) for n in ("x.img", "x.blob"))
    for _ in range(2):
        mkfs.ok("--chunksize=4096", "--blobdev=" + blob, image, tree)
        with mounter.mounted(image, options="device=" + blob) as where:
            pass
    with mounter.mounted(image, options="device=" + blob) as where:
        assert sorted(os.listdir(where)) == ["file"]


def test_a_failure_leaves_nothing(mkfs, work):
    tree = os.path.join(work, "src")
    os.mkdir(tree)
    image, blob = (os.path.join(work, n) for n in ("x.img", "x.blob"))
    with open(blob, "w") as out:
        out.write("old")
    mkfs.fails("--chunksize=4096", "--blobdev=" + blob, image,
               os.path.join(work, "nowhere"), code=1)
    mkfs.fails("--chunksize=4096", "-zlz4", image, tree, code=1)
    mkfs.fails("--chunksize=4096", "--blobdev=" + image, image, tree, code=1)
    mkfs.fails("--chunksize=4096", "--blobdev=" + blob,
               "-Eforce-inode-blockmap", image, tree, code=1)
    assert sorted(os.listdir(work)) == ["src", "x.blob"]
    with open(blob) as old:
        assert old.read() == "old"
