# SPDX-License-Identifier: Apache-2.0
"""convert --format=erofs, and other tools at both ends."""

import json
import os
import shutil
import subprocess

import pytest

from lib import oci
from lib.content import text

A = oci.tar_of([("etc", None), ("etc/one", b"one\n"), ("big", text(200000))])
B = oci.tar_of([("etc", None), ("etc/two", b"two\n"), (".wh.big", b"")])
EROFS = "application/vnd.erofs.layer.v1"


def load(out, descriptor=None):
    name = oci.blob_path(descriptor["digest"]) if descriptor else "index.json"
    with open(os.path.join(out, name), "rb") as f:
        data = f.read()
    if descriptor:
        assert oci.digest(data) == descriptor["digest"]
        assert len(data) == descriptor["size"]
    return json.loads(data)


def tool(name):
    if not shutil.which(name):
        pytest.skip("%s is not installed" % name)
    return name


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("packed", [None, "gzip"])
@pytest.mark.parametrize("options", [[], ["-zlz4"], ["-zlz4hc,9",
                                                     "-C65536"]])
def test_layout(tarfs, fsck, dump, work, packed, options):
    image = oci.Image([A, B, A], packed)
    source = oci.archive(work + "/in.tar", oci.oci(image, "v1"))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", "--format=erofs", *options, source, "-o",
             out)
    with open(out + "/oci-layout") as f:
        assert json.load(f) == {"imageLayoutVersion": "1.0.0"}
    entry, = load(out)["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "v1"
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}
    manifest = load(out, entry)
    config = load(out, manifest["config"])
    assert [layer["mediaType"] for layer in manifest["layers"]] == [EROFS] * 3
    assert config["rootfs"]["diff_ids"] == [
        layer["digest"] for layer in manifest["layers"]]
    before = json.loads(image.config)
    before.pop("rootfs"), config.pop("rootfs")
    assert config == before
    blobs = set(os.listdir(out + "/blobs/sha256"))
    assert len(blobs) == 4
    for layer in manifest["layers"]:
        path = os.path.join(out, oci.blob_path(layer["digest"]))
        with open(path, "rb") as f:
            assert oci.digest(f.read()) == layer["digest"]
        fsck.ok("--quiet", path)
    top = os.path.join(out, oci.blob_path(manifest["layers"][1]["digest"]))
    assert "Character" in dump.ok("--path=/big", top).text \
        or "char" in dump.ok("--path=/big", top).text


def test_one_tar(tarfs, work):
    """It gets the least configuration that is one."""
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", "--format=erofs",
             oci.write(work + "/l.tar", A), "-o", out)
    config = load(out, load(out, load(out)["manifests"][0])["config"])
    assert config["os"] == "linux" and len(config["rootfs"]["diff_ids"]) == 1


def test_deterministic_and_replaced(tarfs, work):
    source = oci.archive(work + "/in.tar", oci.oci(oci.Image([A, B], "gzip")))
    out = os.path.join(work, "out")
    seen = []
    for argv in (["--workers=1"], ["--force", "--workers=4"]):
        tarfs.ok("convert", "--quiet", "--format=erofs", "-zlz4", *argv,
                 source, "-o", out)
        seen.append((sorted(os.listdir(out + "/blobs/sha256")),
                     open(out + "/index.json").read()))
    assert seen[0] == seen[1]
    tarfs.fails("convert", "--format=erofs", source, "-o", out, code=1)
    tarfs.ok("convert", "--quiet", "--format=erofs", "--force", source, "-o",
             out)
    assert len(os.listdir(out + "/blobs/sha256")) == 4


def test_skopeo_copies_it(tarfs, work):
    skopeo = tool("skopeo")
    source = oci.archive(work + "/in.tar", oci.oci(oci.Image([A, B]), "v1"))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", "--format=erofs", source, "-o", out)
    run(skopeo, "--insecure-policy", "copy", "--preserve-digests",
        "oci:%s:v1" % out, "oci:%s/copy:v2" % work)
    assert load(work + "/copy")["manifests"][0]["digest"] == \
        load(out)["manifests"][0]["digest"]
    assert set(os.listdir(work + "/copy/blobs/sha256")) == \
        set(os.listdir(out + "/blobs/sha256"))


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci"])
def test_what_skopeo_writes(tarfs, work, form):
    skopeo = tool("skopeo")
    image = oci.Image([A, B, A], "gzip")
    source = oci.directory(work + "/in", oci.oci(image, "v1"))
    target = os.path.join(work, "made")
    run(skopeo, "--insecure-policy", "copy", "oci:%s:v1" % source,
        "%s:%s:%s" % (form, target, "name:v1" if form != "oci" else "v1"))
    out = os.path.join(work, "out")
    told = json.loads(tarfs.ok("convert", "--json", target, "-o", out).text)
    assert [layer["diff_id"] for layer in told["layers"]] == [
        oci.digest(t) for t in (A, B, A)]
    tarfs.ok("verify", "--quiet", out)


def test_what_umoci_makes(tarfs, work):
    umoci = tool("umoci")
    layout = os.path.join(work, "layout")
    tree = os.path.join(work, "tree")
    os.makedirs(tree + "/dir")
    oci.write(tree + "/dir/file", text(5000))
    os.symlink("dir/file", tree + "/link")
    run(umoci, "init", "--layout", layout)
    run(umoci, "new", "--image", layout + ":v1")
    run(umoci, "insert", "--image", layout + ":v1", tree, "/data")
    run(umoci, "insert", "--image", layout + ":v1", "--whiteout",
        "/data/link")
    out = os.path.join(work, "out")
    told = json.loads(tarfs.ok("convert", "--json", layout, "-o", out).text)
    assert len(told["layers"]) == 2
    tarfs.ok("verify", "--quiet", out)
