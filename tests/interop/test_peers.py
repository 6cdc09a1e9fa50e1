# SPDX-License-Identifier: Apache-2.0
"""Our images read by two versions of erofs-utils, and theirs by us.

1.5 is what Debian has, and knows LZ4 alone. 1.9.3 is read when EK_PEER, or
build/peer, is a built tree of it (mkfs/mkfs.erofs, fsck/fsck.erofs, as for
./dev bench); it knows everything that is compared here. What 1.5 does wrong by
itself is told in test_debian.py, and left out.
"""

import os
import re
import shutil

import pytest

from lib import oracle
from lib.run import Tool

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
TREE = os.environ.get("EK_PEER") or os.path.join(TOP, "build", "peer")
HINTS = """0 ^content/noise
65536 1 text
16384 2 mixed
"""
# Of ours for 1.5: levels, clusters, extents, alignment, chunks, profiles.
OLD = [["-zlz4hc,1", "-C8192"], ["-zlz4hc,12", "-C131072"],
       ["-zlz4", "-C65536", "--max-extent-bytes=65536"],
       ["-zlz4", "-Elegacy-compress,noinline_data", "--compat=5.10"],
       ["-zlz4:lz4hc,3:lz4hc,12", "--compress-hints={hints}"],
       ["--profile=speed"], ["--profile=balanced", "--compat=debian-12"],
       ["--chunksize=4096"], ["--chunksize=65536", "-Eforce-chunk-indexes"]]
# Of ours for 1.9.3.
NEW = [["-zzstd,1", "-C8192"], ["-zzstd,3", "-C65536", "-Eztailpacking"],
       ["-zzstd,15,dictsize=65536", "-C1048576", "-x1"],
       ["-zzstd,3", "-C65536", "-E48bit"],
       ["-zzstd,9", "-b1024", "-C131072", "-E48bit,dot-omitted"],
       ["-zdeflate,9", "-C65536"], ["-zdeflate,1", "-b512", "-E48bit"],
       ["-zlibdeflate,9", "-C65536", "-Eztailpacking"],
       ["-zlibdeflate,12", "-C16384", "-Elegacy-compress"],
       ["-zlzma,6", "-C65536"],
       ["-zlzma,100,lc=1,lp=2,pb=1", "-C1048576", "-Eztailpacking"],
       ["-zlzma,1", "-E48bit"],
       ["-zlz4:zstd:lzma,1", "--compress-hints={hints}", "--dsunit=8"],
       ["-zlz4hc,9", "-b2048", "-C65536", "--max-extent-bytes=32768"],
       ["--xattr-prefix=user.s", "--xattr-prefix=trusted.", "-x0", "-zlz4",
        "-Exattr-name-filter"],
       ["--xattr-prefix=user.", "-Eplain-xattr-prefixes"],
       ["--profile=small"], ["--chunksize=8192"], []]
# Of 1.5 for us.
OLD_MADE = [["-zlz4"], ["-zlz4hc,6", "-C65536"],
            ["-zlz4hc", "-C16384", "-Eztailpacking"], ["-zlz4", "-Ededupe"],
            ["-zlz4", "-Efragments"], ["-zlz4hc", "-Eall-fragments,dedupe"],
            ["-zlz4", "-Elegacy-compress,noinline_data"],
            ["-zlz4", "-C32768", "--max-extent-bytes=65536"],
            ["--chunksize=4096"], ["-Eforce-inode-extended", "-x1"]]
# Of 1.9.3 for us, where the fixtures have no image of that kind.
NEW_MADE = [["-zzstd,3", "-C65536", "-E48bit"],
            ["-zlibdeflate,9", "-C65536", "-Ededupe"],
            ["-zlzma,1", "-C65536", "-Eztailpacking,fragments"],
            ["-zdeflate,9", "-b1024", "-C131072"],
            ["-zlz4:zstd:lzma", "-Eall-fragments"]]
# Nothing new for readers, or (the rest) what 1.5 cannot do: see there. Nor
# does it restore a file that is shorter without the hole at its end.
COMMON = ("dirs/many/", "hard/m")
OLD_OUT = ("names/n", "xattrs/crowd", "content/zero",
           "content/.*hole")
# 1.9.3 loses attributes without a value, and capabilities when it sets owners.
NEW_OUT = ("xattrs/empty$", "xattrs/some$", "xattrs/caps$")
LESS = ("xattrs", "nlink", "group")


def ident(options):
    return "".join(options).replace("--", "_") or "plain"


def tool(path, what):
    if not os.access(path, os.X_OK):
        pytest.skip("no %s: %s is not there" % (what, path))
    return Tool(path)


@pytest.fixture
def old():
    return {name: tool("/usr/bin/%s.erofs" % name, "erofs-utils of Debian")
            for name in ("mkfs", "fsck")}


@pytest.fixture
def new():
    return {name: tool(os.path.join(TREE, name, name + ".erofs"),
                       "erofs-utils 1.9.3, which EK_PEER would name")
            for name in ("mkfs", "fsck")}


class Trip:
    """A part of the tree through an image and out again."""

    def __init__(self, source, work, memory):
        self.source = source
        self.image = os.path.join(work, "out.img")
        self.hints = os.path.join(work, "hints")
        self.tree = os.path.join(memory, "peers")
        with open(self.hints, "w", encoding="ascii") as out:
            out.write(HINTS)

    def run(self, maker, options, reader, read_options, out=(), less=()):
        leave = "^(%s)" % "|".join(COMMON + tuple(out))
        made = maker.ok("--quiet", "--exclude-regex=" + leave,
                        *(o.format(hints=self.hints) for o in options),
                        self.image, self.source.path)
        read = reader.ok("--extract=" + self.tree, *read_options, self.image)
        for result in (made, read):
            assert "<E>" not in result.text + result.errors, repr(result)
        got = oracle.normal(oracle.walk(self.tree))
        want = {path: rec for path, rec in self.source.records.items()
                if not re.match(leave.encode(), path)}
        oracle.assert_same(oracle.without(want, *less),
                           oracle.without(got, *less))


@pytest.fixture
def trip(small_edges, work, memory):
    one = Trip(small_edges, work, memory)
    yield one
    shutil.rmtree(one.tree, ignore_errors=True)


@pytest.mark.parametrize("options", OLD, ids=ident)
def test_old_reads_ours(mkfs, old, trip, options):
    trip.run(mkfs, ["--no-sync", *options], old["fsck"], ["--preserve"],
             OLD_OUT, LESS)


@pytest.mark.parametrize("options", OLD_MADE, ids=ident)
def test_we_read_old(fsck, old, trip, options):
    trip.run(old["mkfs"], options, fsck, [], OLD_OUT)


@pytest.mark.parametrize("options", NEW, ids=ident)
def test_new_reads_ours(mkfs, new, trip, options):
    trip.run(mkfs, ["--no-sync", *options], new["fsck"],
             ["--preserve", "--xattrs"], NEW_OUT)


@pytest.mark.parametrize("options", NEW_MADE, ids=ident)
def test_we_read_new(fsck, new, trip, options):
    trip.run(new["mkfs"], options, fsck, [])
