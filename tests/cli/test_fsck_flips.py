# SPDX-License-Identifier: Apache-2.0
"""Flipped bits and cut ends, over all fixtures.

EROFS has no checksum over data, so structure alone misses flips: the shares
that docs/fsck.md publishes are measured here (EK_SOAK=1). With evidence no
flip may be missed, and no image may crash or hang anything.
"""

import hashlib
import os
import random

import pytest

from lib import erofs

IMAGES = """images/plain images/lz4 images/lz4hc-64k images/lzma images/deflate
images/zstd images/lz4-legacy images/lz4-tail images/lz4hc-frag images/chunk4k
images/e48-lz4-extents images/metabox images2/lz4-dedupe images2/zstd-tail
images2/b2048-zstd""".split()
FLIPS = int(os.environ.get("EK_FLIPS") or
            (2000 if os.environ.get("EK_SOAK") == "1" else 4))
CUTS = None if os.environ.get("EK_SOAK") == "1" else 4


def load(fixtures_dir, name):
    with open(os.path.join(fixtures_dir, name + ".erofs"), "rb") as f:
        return bytearray(f.read())


def places(name, data, n):
    """n bits at random, the same on every machine."""
    pick = random.Random("flips of " + name)
    end = len(data) * 8
    return [pick.randrange(1024 * 8, end) for _ in range(n)]


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


@pytest.mark.parametrize("name", IMAGES)
def test_flips(fsck, fixtures_dir, work, name):
    data = load(fixtures_dir, name)
    digest = "--digest=sha256:" + hashlib.sha256(data).hexdigest()
    path = os.path.join(work, "flipped.img")
    found = 0
    bits = places(name, data, FLIPS)
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
        write(path, data)
        result = fsck.run("--workers=1", path, timeout=30)
        assert result.code in (0, 4, 8), repr(result)
        found += result.code != 0
        with_evidence = fsck.run("--metadata-only", digest, path, timeout=30)
        assert with_evidence.code == 4, "missed bit %d" % bit
        data[bit // 8] ^= 1 << bit % 8
    print("%s: %d of %d flips missed by structure alone" % (
        name, len(bits) - found, len(bits)))


@pytest.mark.parametrize("name", IMAGES)
def test_flips_of_the_superblock(fsck, fixtures_dir, work, name):
    """All of it is under the checksum, so none is missed; without the
    checksum nothing may crash."""
    data = load(fixtures_dir, name)
    path = os.path.join(work, "flipped.img")
    for bit in random.Random(name).sample(range(128 * 8), FLIPS):
        data[1024 + bit // 8] ^= 1 << bit % 8
        write(path, data)
        # The bit that says that there is a checksum cannot guard itself.
        assert fsck.run("--strict", path,
                        timeout=30).code != 0 or bit == 64
        fsck.run("--no-sbcrc", path, timeout=30)
        data[1024 + bit // 8] ^= 1 << bit % 8


@pytest.mark.parametrize("name", IMAGES)
def test_cut_at_every_block(fsck, fixtures_dir, work, name):
    data = load(fixtures_dir, name)
    path = os.path.join(work, "cut.img")
    bs = erofs.Image(os.path.join(fixtures_dir, name + ".erofs")).bs
    blocks = range(len(data) // bs)
    if CUTS and len(blocks) > CUTS:
        blocks = [0, 1, 2] + random.Random(name).sample(blocks, CUTS)
    for block in blocks:
        write(path, data[:block * bs])
        result = fsck.run(path, timeout=30)
        # Nothing that says EROFS is left, or the superblock tells the size.
        want = 8 if block * bs < 1024 + 128 else 4
        assert result.code == want, repr(result)
