# SPDX-License-Identifier: Apache-2.0
"""Sparse members: what a few bytes of an archive claim costs no more than they
are worth, and reads right."""

import os

import pytest

from lib import measure, tars
from lib.content import noise

MIB, GIB, TIB, EIB = 1 << 20, 1 << 30, 1 << 40, 1 << 60


def member(name, size, pieces):
    """pieces: {offset: bytes}"""
    return tars.sparse(name, size, [(at, len(pieces[at])) for at in
                                    sorted(pieces)],
                       b"".join(pieces[at] for at in sorted(pieces)))


def odd(size):
    """Pieces where no block begins, to the last byte."""
    return {5: b"abc", 4090: noise(20), size // 2 + 7: noise(70000, 2),
            size // 2 + 3 * MIB: b"x", size - 3: b"end"}


def holds(path, size, pieces):
    assert os.path.getsize(path) == size
    with open(path, "rb") as f:
        for at, data in pieces.items():
            before, after = min(at, 600), min(600, size - at - len(data))
            f.seek(at - before)
            near = bytearray(before + len(data) + after)
            for other, text in pieces.items():
                where = other - (at - before)
                for i, c in enumerate(text):
                    if 0 <= where + i < len(near):
                        near[where + i] = c
            assert f.read(len(near)) == bytes(near), at
        # In the middle of holes.
        for at in range(1, 8):
            f.seek(size * at // 8 + 200000)
            got = f.read(1000)
            assert got == bytes(len(got))


def limited(mkfs, *words):
    """With 512 MiB of memory and 60 seconds of CPU."""
    done = measure.run(mkfs.argv(words), cpu=60, size=4 * GIB)
    assert done.peak < 512 * MIB
    return done


@pytest.mark.parametrize("options", [
    ["--tar=f"], ["--tar=f", "-zlz4"], ["--tar=f", "--chunksize=65536"],
    ["--tar=i"]], ids=["plain", "lz4", "chunks", "index"])
@pytest.mark.parametrize("size", [7 * MIB, 3 * GIB + 1000, 100 * GIB])
def test_pieces(mkfs, fsck, mounter, work, size, options):
    tar = tars.write(work + "/t.tar", tars.member("first", noise(5000)),
                     member("big", size, odd(size)),
                     tars.member("last", noise(6000)))
    image = work + "/i.erofs"
    done = limited(mkfs, "--quiet", "--no-sync", *options, image, tar)
    assert done.code == 0, done.err
    device = [tar] if options == ["--tar=i"] else []
    if size == 100 * GIB:
        assert os.stat(image).st_blocks * 512 < 30 * MIB
    with mounter.mounted(image, options=",".join(
            "device=" + d for d in device) or None) as where:
        holds(where + "/big", size, odd(size))
        for name, data in (("first", noise(5000)), ("last", noise(6000))):
            with open(where + "/" + name, "rb") as f:
                assert f.read() == data
    if size < 100 * GIB:
        fsck.ok("--quiet", *["--device=" + d for d in device], image)


def test_pieces_in_a_blob(mkfs, mounter, work):
    size = 20 * GIB
    tar = tars.write(work + "/t.tar", tars.member("first", noise(5000)),
                     member("big", size, odd(size)),
                     tars.member("last", noise(9000)))
    mkfs.ok("--quiet", "--no-sync", "--chunksize=4096", "--tar=f",
            "--blobdev=" + work + "/blob", work + "/i.erofs", tar)
    with mounter.mounted(work + "/i.erofs",
                         options="device=" + work + "/blob") as where:
        holds(where + "/big", size, odd(size))
        with open(where + "/last", "rb") as f:
            assert f.read() == noise(9000)


@pytest.mark.parametrize("options", [["--tar=f"], ["--tar=f", "-zlz4hc"],
                                     ["--tar=f", "--chunksize=4096"],
                                     ["--tar=i"]],
                         ids=["plain", "lz4hc", "chunks", "index"])
def test_absurd_claims_are_refused(mkfs, work, options):
    tar = tars.write(work + "/t.tar", member("big", 4 * EIB, odd(4 * EIB)))
    done = limited(mkfs, "--quiet", *options, work + "/i.erofs", tar)
    assert done.code == 1
    assert b"/big: a sparse file of 4611686018427387904 bytes" in done.err
    assert os.listdir(work) == ["t.tar"]


@pytest.mark.parametrize("options", [["--tar=f"], ["--tar=f", "-zlz4"]],
                         ids=["plain", "lz4"])
def test_many_claims(mkfs, work, options):
    """A thousand headers, each of 20 GiB of holes with a byte in them."""
    size = 20 * GIB
    tar = tars.write(work + "/t.tar", *[member("m%d" % i, size,
                                               {size // 2 + 1: b"x"})
                                        for i in range(1000)])
    done = limited(mkfs, "--quiet", "--no-sync", *options,
                   work + "/i.erofs", tar)
    assert done.code in (0, 1), done.err
    if done.code:
        assert b"sparse file" in done.err
    else:
        assert os.stat(work + "/i.erofs").st_blocks * 512 < GIB


@pytest.mark.parametrize("options", [["--tar=f"], ["--clean=0"]],
                         ids=["full", "no-data"])
def test_many_files_of_holes_alone(mkfs, work, options):
    """2 MiB of chunks a header are bounded for all files together."""
    tar = tars.write(work + "/t.tar", *[member("m%d" % i, 4 * EIB, {})
                                        for i in range(3000)])
    done = limited(mkfs, "--quiet", "--tar=f", *options, work + "/i.erofs",
                   tar)
    assert done.code == 1
    assert b"chunks of sparse files" in done.err
    assert os.listdir(work) == ["t.tar"]


def test_who_needs_the_zeros_is_told(mkfs, work):
    """A manifest has digests of all of them; old kernels know no holes."""
    tar = tars.write(work + "/t.tar", member("big", 40 * GIB,
                                             odd(40 * GIB)))
    for option in ("--manifest-out=" + work + "/m", "--compat=5.4"):
        done = limited(mkfs, "--quiet", "--tar=f", option, work + "/i.erofs",
                       tar)
        assert done.code == 1 and b"sparse file" in done.err
    assert os.listdir(work) == ["t.tar"]


@pytest.mark.parametrize("options", [[], ["--chunksize=65536"], ["-b512"]],
                         ids=["plain", "chunks", "b512"])
def test_among_other_files(mkfs, mounter, work, options):
    """Between jobs of several workers: always the same bytes, and right."""
    files = {"f%02d" % i: noise(3000 + i * 70001 % 3000000, i + 1)
             for i in range(24)}
    parts = []
    for i, (name, data) in enumerate(files.items()):
        parts.append(tars.member(name, data))
        if i % 8 == 4:
            size = 5 * GIB + i
            parts.append(member("f%02dx" % i, size, odd(size)))
    tar = tars.write(work + "/t.tar", *parts)
    images = set()
    for workers in ("1", "3"):
        image = work + "/i.erofs"
        mkfs.ok("--quiet", "--no-sync", "--tar=f", "--workers=" + workers,
                *options, image, tar)
        with open(image, "rb") as f:
            images.add(f.read())
    assert len(images) == 1
    with mounter.mounted(image) as where:
        for name, data in files.items():
            with open(os.path.join(where, name), "rb") as f:
                assert f.read() == data
        for i in (4, 12, 20):
            holds(where + "/f%02dx" % i, 5 * GIB + i, odd(5 * GIB + i))
