# SPDX-License-Identifier: Apache-2.0
"""Every pair of choices of an image, each row mounted and compared whole."""

import os

import pytest

from lib import corpora, oracle, pairwise

CODECS = ["-zlz4", "-zlz4hc,3", "-zzstd,1", "-zzstd,dictsize=4096", "-zlzma,0",
          "-zdeflate,1", "-zlibdeflate,1"]
BLOCKS = ["-b4096", "-b2048", "-b1024", "-b512"]
CLUSTERS = ["", "-C8192", "-C65536", "-C131072", "-C524288"]
FORMS = ["", "-Elegacy-compress", "-E48bit"]
FACTORS = [
    CODECS, BLOCKS, CLUSTERS, FORMS,
    ["", "-Eztailpacking"],
    ["", "-Enoinline_data"],
    ["", "-Eforce-inode-extended"],
    ["", "-Edot-omitted"],
    ["", "-x0", "-Exattr-name-filter", "--xattr-prefix=user."],
    ["", "--dsunit=4", "--dsunit=7"],
    ["", "--max-extent-bytes=65536"],
    ["--workers=2", "--workers=1"],
]
LZ4_BLOCKS = 256
# Of the real world; a codec each, the clusters and features that are usual.
NAMED = [
    ("minbase", ["-zlz4"]),
    ("minbase", ["-zzstd,3", "-C65536"]),
    ("minbase", ["-zlz4hc,9", "-C65536", "-Eztailpacking"]),
    ("minbase", ["-zzstd,3", "-C65536", "-E48bit"]),
    ("kernel", ["-zlibdeflate,6", "-C65536"]),
    ("kernel", ["-zzstd,9", "-C1048576", "-Eztailpacking"]),
    ("kernel", ["-zdeflate,6", "-b1024", "-C131072"]),
    ("node", ["-zlzma,3", "-C1048576", "-Eztailpacking"]),
    ("node", ["-zlz4:zstd", "-C16384", "-Elegacy-compress,dot-omitted"]),
    ("slice", ["-zlibdeflate,9", "-C262144", "-Eztailpacking"]),
]


def possible(row):
    """LZ4 has 256 blocks a cluster at most."""
    codec, block, cluster = row[:3]
    if codec is None or not codec.startswith("-zlz4") or not block:
        return True
    return int((cluster or "-C0")[2:]) <= LZ4_BLOCKS * int(block[2:])


ROWS = [[o for o in row if o] for row in pairwise.array(FACTORS, possible)]


def name_of(options):
    return "".join(options).replace("--", "_")


def check(mkfs, fsck, mounter, work, source, records, options):
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "--no-sync", *options, image, source)
    with mounter.mounted(image) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(records, got)
    fsck.ok("--extract", image)


def test_every_pair_is_there():
    have = set()
    for row in pairwise.array(FACTORS, possible):
        assert possible(row)
        have |= pairwise.pairs(tuple(row))
    for i, one in enumerate(FACTORS):
        for k in range(i + 1, len(FACTORS)):
            for a in one:
                for b in FACTORS[k]:
                    row = [None] * len(FACTORS)
                    row[i], row[k] = a, b
                    assert not possible(row) or ((i, a), (k, b)) in have


@pytest.mark.parametrize("options", ROWS, ids=name_of)
def test_pairs(mkfs, fsck, mounter, work, small_edges, options):
    check(mkfs, fsck, mounter, work, small_edges.path, small_edges.records,
          options)


@pytest.mark.soak
@pytest.mark.parametrize("corpus, options", NAMED,
                         ids=lambda v: v if isinstance(v, str) else name_of(v))
def test_named(mkfs, fsck, mounter, work, corpus, options):
    check(mkfs, fsck, mounter, work, corpora.get(corpus),
          corpora.records(corpus), options)
