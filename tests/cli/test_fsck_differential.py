# SPDX-License-Identifier: Apache-2.0
"""Our verdict against erofs-utils' and the kernel's over mutated images.

What someone else refuses, or fails to read in part, must not be clean for us.
The other way round is common: tests/data/fsck.tsv tells how much of what is
broken the kernel reads.
"""

import os
import random
import shutil
import subprocess

import pytest

from lib import erofs, fsckrun

IMAGES = """images/plain-b512 images/lz4 images/lz4hc-64k images/lz4-legacy
images/lz4-tail images/chunk4k images2/b2048-zstd""".split()
SOAK = os.environ.get("EK_SOAK") == "1"
FLIPS = int(os.environ.get("EK_FLIPS") or (300 if SOAK else 10))


def metadata(image):
    """Ranges of bytes that describe something, by the second reader."""
    ranges = [(1024, 1152)]
    for node in image.walk():
        ranges.append((node.pos, node.body + 24))
        if node.is_dir and node.layout in (0, 2):
            ranges += [(at, at + n) for at, n in node.blocks()]
    return ranges


def mutants(fixtures_dir, name, n):
    """(bit, bytes) of n images with one flip in their metadata."""
    image = erofs.Image(os.path.join(fixtures_dir, name + ".erofs"))
    ranges = metadata(image)
    pick = random.Random("metadata of " + name)
    for _ in range(n):
        start, end = pick.choice(ranges)
        bit = pick.randrange(start * 8, min(end, len(image.data)) * 8)
        image.data[bit // 8] ^= 1 << bit % 8
        image.seal()
        yield bit, image.data
        image.data[bit // 8] ^= 1 << bit % 8


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


@pytest.mark.parametrize("name", IMAGES)
def test_against_erofs_utils(fsck, fixtures_dir, work, name):
    peer = shutil.which("fsck.erofs", path="/usr/bin:/usr/sbin:/bin")
    if not peer:
        pytest.skip("no erofs-utils")
    path = os.path.join(work, "m.img")

    def theirs():
        done = subprocess.run([peer, "--extract", path], capture_output=True,
                              timeout=60)
        return done.returncode

    shutil.copyfile(os.path.join(fixtures_dir, name + ".erofs"), path)
    if theirs() != 0:
        pytest.skip("this erofs-utils does not read the good image")
    for bit, data in mutants(fixtures_dir, name, FLIPS):
        write(path, data)
        if theirs() == 0:
            continue
        result = fsck.run(path, timeout=60)
        assert result.code != 0, "bit %d of %s: only erofs-utils refuses" % (
            bit, name)


@pytest.mark.soak
@pytest.mark.parametrize("name", IMAGES)
def test_against_the_kernel(fsck, mounter, fixtures_dir, work, name):
    path = os.path.join(work, "m.img")
    for bit, data in mutants(fixtures_dir, name, FLIPS):
        write(path, data)
        if fsckrun.kernel_verdict(mounter, path, []) == "reads":
            continue
        result = fsck.run(path, timeout=60)
        assert result.code != 0, "bit %d of %s: only the kernel refuses" % (
            bit, name)
