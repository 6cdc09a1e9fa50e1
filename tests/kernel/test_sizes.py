# SPDX-License-Identifier: Apache-2.0
"""Trees that are wide, deep or large."""

import os

import pytest

from lib import corpora, oracle
from lib.content import noise, text

GIB = 1 << 30


def make(mkfs, work, source, *options):
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", *options, image, source, timeout=600)
    return image


def many_files(where, count):
    os.makedirs(where)
    fd = os.open(where, os.O_RDONLY)
    for i in range(count):
        os.mknod("file-%d" % (i * 7919 % count), dir_fd=fd)
    os.utime(where, (1, 1))
    os.close(fd)


def look_up_all(where, count):
    names = os.listdir(where)
    assert len(names) == count and len(set(names)) == count
    fd = os.open(where, os.O_RDONLY)
    for i in range(count):
        os.stat("file-%d" % i, dir_fd=fd)
    for absent in ("file-", "file-%d" % count, "a", "zz", "file-00"):
        with pytest.raises(FileNotFoundError):
            os.stat(absent, dir_fd=fd)
    os.close(fd)


@pytest.mark.parametrize("options", [[], ["-b512"]], ids=["plain", "b512"])
def test_directory_of_100000(mkfs, mounter, memory, work, options):
    source = os.path.join(memory, "many")
    if not os.path.isdir(source):
        many_files(os.path.join(source, "d"), 100000)
    image = make(mkfs, work, source, *options)
    with mounter.mounted(image) as where:
        look_up_all(os.path.join(where, "d"), 100000)


def sparse_file(path, size):
    """Holes and a few islands; returns {offset: data}."""
    islands = {0: b"first", GIB - 10: noise(30), 2 * GIB + 4095: b"xy",
               4 * GIB - 1: b"over four GiB", size - 4: b"last"}
    with open(path, "wb") as out:
        out.truncate(size)
        for offset, data in islands.items():
            out.seek(offset)
            out.write(data)
    return islands


def windows(size, islands):
    """Where to look: at each island, and every 96 MiB between."""
    step = 1 << 17
    places = set(range(0, size, 96 << 20))
    for offset, data in islands.items():
        places |= {offset // step * step,
                   (offset + len(data) - 1) // step * step}
        places.add(max(0, offset // step * step - step))
    return sorted(places), step


def check_sparse(path, size, islands):
    """Decoding all of it takes the kernel a minute: see windows()."""
    assert os.path.getsize(path) == size
    places, step = windows(size, islands)
    with open(path, "rb", buffering=0) as f:
        for place in places:
            want = bytearray(min(step, size - place))
            for offset, data in islands.items():
                for i, byte in enumerate(data):
                    if place <= offset + i < place + len(want):
                        want[offset + i - place] = byte
            got = os.pread(f.fileno(), step, place)
            assert got == want, "differs near %d" % place


def sparse_round(mkfs, mounter, memory, work, *options):
    size = 5 * GIB + 4097
    # tmpfs reads holes without filling memory.
    source = os.path.join(memory, "sparse")
    if not os.path.isdir(source):
        os.mkdir(source)
    islands = sparse_file(os.path.join(source, "sparse"), size)
    image = make(mkfs, work, source, *options)
    with mounter.mounted(image) as where:
        check_sparse(os.path.join(where, "sparse"), size, islands)
    return os.path.getsize(image)


def test_sparse_file_of_5_gib(mkfs, mounter, memory, work):
    assert sparse_round(mkfs, mounter, memory, work, "-zlz4") < 64 << 20


@pytest.mark.soak
def test_sparse_file_of_5_gib_plain(mkfs, mounter, memory, work):
    sparse_round(mkfs, mounter, memory, work)


def deep_tree(root, levels, length):
    fd = os.open(root, os.O_RDONLY)
    for level in range(levels):
        name = ("%d-" % level).ljust(length, "d")
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    out = os.open("leaf", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=fd)
    os.write(out, b"at the bottom")
    os.close(out)
    os.close(fd)


@pytest.mark.parametrize("levels, length", [(18, 200), (200, 4), (40, 250)],
                         ids=["long", "deep", "beyond-path-max"])
def test_deep_paths(mkfs, mounter, work, memory, levels, length):
    """Longer than PATH_MAX as well: no step needs a whole path."""
    source = os.path.join(memory, "deep-%d" % levels)
    os.mkdir(source)
    deep_tree(source, levels, length)
    want = oracle.normal(oracle.walk(source))
    image = make(mkfs, work, source, "-zlz4")
    with mounter.mounted(image) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(want, got)


def test_empty_tree(mkfs, mounter, work):
    source = os.path.join(work, "src")
    os.mkdir(source)
    image = make(mkfs, work, source)
    assert os.path.getsize(image) <= 8192
    with mounter.mounted(image) as where:
        assert os.listdir(where) == []
        assert os.stat(where).st_nlink == 2


@pytest.mark.parametrize("options", [["-zlz4"], ["-zlz4hc,9", "-C65536"], []],
                         ids=["lz4", "lz4hc-64k", "plain"])
@pytest.mark.parametrize("corpus", corpora.NAMES)
def test_corpus(mkfs, mounter, work, corpus, options):
    source = corpora.get(corpus)
    image = make(mkfs, work, source, *options)
    want = corpora.records(corpus)
    with mounter.mounted(image) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(want, got)


@pytest.mark.soak
def test_200000_files(mkfs, mounter, work, memory):
    source = os.path.join(memory, "200k")
    for d in range(200):
        many_files(os.path.join(source, "dir-%d" % d), 1000)
    image = make(mkfs, work, source, "-zlz4")
    with mounter.mounted(image) as where:
        for d in range(200):
            look_up_all(os.path.join(where, "dir-%d" % d), 1000)


@pytest.mark.soak
@pytest.mark.parametrize("options", [[], ["-zlz4"], ["-zlz4", "-C1048576"]],
                         ids=["plain", "lz4", "lz4-1m"])
def test_dense_file_over_4_gib(mkfs, mounter, work, options):
    source = os.path.join(work, "src")
    os.mkdir(source)
    hard, easy = noise(8 << 20), text(8 << 20)
    with open(os.path.join(source, "dense"), "wb") as out:
        for i in range(270):
            out.write(b"%08d" % i)
            out.write(hard)
            out.write(easy)
    want = oracle.normal(oracle.walk(source))
    image = make(mkfs, work, source, *options)
    with mounter.mounted(image) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(want, got)
