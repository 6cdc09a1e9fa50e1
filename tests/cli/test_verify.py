# SPDX-License-Identifier: Apache-2.0
"""mkfs.erofs --manifest-out and --verify: an image is what was read."""

import os
import subprocess

import pytest

from lib.content import noise, text

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = {
    "plain": (),
    "lz4": ("-zlz4",),
    "lz4hc-big": ("-zlz4hc,9", "-C65536"),
    "chunks": ("--chunksize=4096",),
}


@pytest.fixture
def src(work):
    path = os.path.join(work, "src")
    os.makedirs(os.path.join(path, "d/e"))
    for name, data in (("text", text(300000)), ("noise", noise(200000, 1)),
                       ("d/empty", b""), ("d/e/one", b"1")):
        with open(os.path.join(path, name), "wb") as out:
            out.write(data)
    os.symlink("text", os.path.join(path, "link"))
    os.link(os.path.join(path, "noise"), os.path.join(path, "d/again"))
    return path


@pytest.fixture(scope="module")
def flipper(tmp_path_factory):
    """The shared object that damages an image before it is read again."""
    out = str(tmp_path_factory.mktemp("flipper") / "flipper.so")
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o",
                    out, os.path.join(HERE, "../tools/flipper.c"), "-ldl"],
                   check=True)
    return out


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_good_image_is_published_with_its_manifest(mkfs, fsck, work, src,
                                                     kind):
    image, manifest = (os.path.join(work, n) for n in ("image", "manifest"))
    mkfs.ok("--verify", "--manifest-out=" + manifest, *KINDS[kind], image, src)
    told = fsck.ok("--manifest=" + manifest, image)
    assert "authenticated by manifest" in told.text
    with open(manifest, encoding="ascii") as f:
        lines = f.read().splitlines()
    assert lines[0] == "erofskit-manifest 1"
    assert len(lines) == 1 + 9


def test_another_tree_is_told(mkfs, fsck, work, src):
    image, manifest = (os.path.join(work, n) for n in ("image", "manifest"))
    mkfs.ok("--manifest-out=" + manifest, image, src)
    with open(os.path.join(src, "d/e/one"), "wb") as out:
        out.write(b"2")
    mkfs.ok(image, src)
    told = fsck.run("--manifest=" + manifest, image)
    assert told.code == 4
    assert "/d/e/one" in told.text


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("place", (0.02, 0.5))
def test_a_flipped_byte_publishes_nothing(mkfs, work, src, flipper, kind,
                                          place):
    good, image, manifest = (os.path.join(work, n)
                             for n in ("good", "image", "manifest"))
    mkfs.ok(*KINDS[kind], good, src)
    size = os.path.getsize(good)
    with open(image, "wb") as out:
        out.write(b"old")
    at = max(int(size * place), 5000)
    env = {"LD_PRELOAD": flipper, "EK_FLIP_AT": str(at),
           "EK_FLIP_SIZE": str(size)}
    told = mkfs.run("--verify", "--manifest-out=" + manifest, *KINDS[kind],
                    image, src, env=env)
    assert told.code == 1, told
    assert "erofs:" in told.errors
    assert open(image, "rb").read() == b"old"
    assert not os.path.exists(manifest)
    assert sorted(os.listdir(work)) == ["good", "image", "src"]


def test_without_verify_the_flip_goes_unseen(mkfs, work, src, flipper):
    """The seam works: nothing but --verify stands between."""
    good, image = (os.path.join(work, n) for n in ("good", "image"))
    mkfs.ok(good, src)
    env = {"LD_PRELOAD": flipper, "EK_FLIP_AT": "5000",
           "EK_FLIP_SIZE": str(os.path.getsize(good))}
    mkfs.ok(image, src, env=env)
    assert open(good, "rb").read() != open(image, "rb").read()


def test_an_index_cannot_be_verified(mkfs, work, src):
    tar = os.path.join(work, "t.tar")
    subprocess.run(["tar", "-cf", tar, "-C", src, "."], check=True)
    told = mkfs.run("--verify", "--tar=i", os.path.join(work, "image"), tar)
    assert told.code == 1
    assert "manifest" in told.errors
