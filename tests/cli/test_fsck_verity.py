# SPDX-License-Identifier: Apache-2.0
"""Debian's veritysetup judges our trees, and we judge its."""

import re
import shutil
import subprocess

import pytest

from lib import defects

UUID = "00000000-0000-0000-0000-000000000000"
CASES = [(4096, ""), (512, ""), (4096, "00ff17"), (512, "ab" * 32)]


@pytest.fixture(scope="module")
def veritysetup():
    path = shutil.which("veritysetup", path="/usr/sbin:/sbin:/usr/bin")
    if not path:
        pytest.skip("no veritysetup (package cryptsetup-bin)")

    def run(*argv, check=True):
        done = subprocess.run([path, *argv], capture_output=True, text=True,
                              timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done
    return run


@pytest.fixture
def image(mkfs, work):
    tree = work + "/tree"
    subprocess.run(["mkdir", tree], check=True)
    defects.tree(tree)
    mkfs.ok("--quiet", "-zlz4", work + "/i", tree)
    return work + "/i"


def options(size, salt):
    return (["--verity-block=%d" % size]
            + (["--verity-salt=" + salt] if salt else []))


def theirs(size, salt):
    return ["--data-block-size=%d" % size, "--hash-block-size=%d" % size,
            "--salt=" + (salt or "-"), "--uuid=" + UUID, "--hash=sha256"]


@pytest.mark.parametrize("size, salt", CASES)
@pytest.mark.parametrize("super", [True, False])
def test_equal_trees(fsck, veritysetup, image, work, size, salt, super):
    no = [] if super else ["--verity-no-superblock"]
    made = fsck.ok("--make-verity=" + work + "/ours", *no,
                   *options(size, salt), image).text
    root = re.search(r"^root hash: (\w{64})$", made, re.M).group(1)
    done = veritysetup("format", *theirs(size, salt),
                       *([] if super else ["--no-superblock"]), image,
                       work + "/theirs")
    assert re.search(r"Root hash:\s+(\w{64})", done.stdout).group(1) == root
    with open(work + "/ours", "rb") as a, open(work + "/theirs", "rb") as b:
        ours, wanted = a.read(), b.read()
    if super:
        # The UUID is the only thing that a tree does not depend on.
        ours = ours[:16] + bytes(16) + ours[32:]
        wanted = wanted[:16] + bytes(16) + wanted[32:]
    assert ours == wanted


@pytest.mark.parametrize("size, salt", CASES)
def test_each_verifies_the_other(fsck, veritysetup, image, work, size, salt):
    made = fsck.ok("--make-verity=" + work + "/ours", *options(size, salt),
                   image).text
    root = re.search(r"^root hash: (\w{64})$", made, re.M).group(1)
    veritysetup("verify", image, work + "/ours", root)
    veritysetup("format", *theirs(size, salt), image, work + "/theirs")
    fsck.ok("--verity-root=" + root, "--verity=" + work + "/theirs", image)
    with open(image, "r+b") as f:
        f.seek(5000)
        byte = f.read(1)
        f.seek(5000)
        f.write(bytes([byte[0] ^ 1]))
    assert veritysetup("verify", image, work + "/ours", root,
                       check=False).returncode != 0
    result = fsck.run("--verity-root=" + root, "--verity=" + work + "/theirs",
                      image)
    assert result.code == 4 and "EVIDENCE-VERITY error" in result.text
