# SPDX-License-Identifier: Apache-2.0
"""Rows of the codecs, with the targets of issue 7.

Slow codecs (the peer reads every byte up to 15 times) get a piece of a corpus,
so that the whole bench ends the same day.
"""

import os

from lib import corpora
from rows import Build

MIB = 1 << 20
SLOW = 8 * MIB
LARGE = 48 * MIB
FILE_MAX = MIB // 2
CORPORA = ("minbase", "binaries", "kernel", "node")
ZSTD = ["-zzstd,level=3", "-C65536"]
WIDE = [*ZSTD, "-E48bit"]
LZMA = ["-zlzma,6", "-C65536"]


def _copy(path, into, room):
    """The middle of a file, at most FILE_MAX and room bytes; its length."""
    size = os.lstat(path).st_size
    n = min(size, FILE_MAX, room)
    with open(path, "rb") as old, open(into, "wb") as new:
        old.seek((size - n) // 2)
        new.write(old.read(n))
    return n


def piece(corpus, scratch, size):
    """Files of a corpus from all over it, size bytes; made once."""
    where = os.path.join(scratch, "%s-%d" % (corpus, size // MIB))
    if os.path.isdir(where):
        return where
    root = corpora.get(corpus)
    files = sorted(os.path.join(d, n) for d, _, names in os.walk(root)
                   for n in names)
    files = [f for f in files if os.path.isfile(f) and not os.path.islink(f)]
    total = sum(min(os.lstat(f).st_size, FILE_MAX) for f in files)
    os.makedirs(where)
    seen = taken = 0
    for f in files:
        # Whenever what is taken falls behind its share of what was seen.
        seen += min(os.lstat(f).st_size, FILE_MAX)
        if taken * total <= seen * size and taken < size:
            into = os.path.join(where, os.path.relpath(f, root))
            os.makedirs(os.path.dirname(into), exist_ok=True)
            taken += _copy(f, into, size - taken)
    return where


class Piece(Build):
    """mkfs of a piece of a corpus."""

    def __init__(self, name, corpus, flags, target, take, **limits):
        super().__init__(name, corpus, flags, target, **limits)
        self.take = take
        self.words = "mkfs %s, %d MiB of %s, --no-sync" % (
            " ".join(flags), take // MIB, corpus)

    def prepare(self, tools, scratch):
        piece(self.corpus, scratch, self.take)

    def commands(self, tools, scratch):
        ours, peer = (os.path.join(scratch, n) for n in ("ours", "peer"))
        quiet = ["--quiet", "--workers=%d" % self.workers, *self.flags]
        tree = piece(self.corpus, scratch, self.take)
        return ([tools.mkfs, *quiet, "--no-sync", ours, tree],
                [tools.peer_mkfs, *quiet, peer, tree], ours, peer)


class OnePass(Build):
    """Our filled clusters against our own one-pass build of the same."""

    def __init__(self, name, corpus, target):
        super().__init__(name, corpus, ZSTD, target)
        self.words = "mkfs %s, %s; our own -E48bit" % (" ".join(ZSTD), corpus)

    def commands(self, tools, scratch):
        ours, _, our_out, peer_out = super().commands(tools, scratch)
        tree = corpora.get(self.corpus)
        return (ours, [tools.mkfs, "--quiet", "--workers=%d" % self.workers,
                       *WIDE, "--no-sync", peer_out, tree], our_out, peer_out)


def _slow(name, flags, target, size, **limits):
    return [Piece("%s-%s" % (name, c), c, flags, target, SLOW, size=size,
                  **limits) for c in CORPORA]


ROWS = [
    Build("zstd-minbase", "minbase", ZSTD, 0.35, size=1.01, codec_passes=2.0),
    Piece("zstd-binaries", "binaries", ZSTD, 0.35, LARGE, size=1.01,
          codec_passes=2.0),
    Build("zstd-kernel", "kernel", ZSTD, None, size=1.01),
    Build("zstd-node", "node", ZSTD, None, size=1.01),
    OnePass("zstd-one-pass-kernel", "kernel", 1.25),
    OnePass("zstd-one-pass-node", "node", 1.25),
    *(Build("wide-%s" % c, c, WIDE, 0.9, size=1.0) for c in CORPORA),
    *_slow("zstd15", ["-zzstd,level=15", "-C65536"], 0.35, 1.01,
           codec_passes=2.0),
    *_slow("libdeflate9", ["-zlibdeflate,9", "-C65536"], 0.5, 1.01,
           codec_passes=2.0),
    *_slow("deflate9", ["-zdeflate,9", "-C65536"], 1.0, 1.01,
           codec_passes=2.0),
    # Images of a few MiB have a block more than the peer's: whole trees here.
    *(Build("lzma6-%s" % c, c, LZMA, 1.02, size=1.0)
      for c in ("slice", "python")),
    Piece("lzma6-binaries", "binaries", LZMA, 1.02, 2 * SLOW),
]
