# SPDX-License-Identifier: Apache-2.0
"""Leaf digests of layers and images, against hashlib's."""

import json
import os

import pytest

from lib import leaves, oci
from lib.content import noise, text

A = oci.tar_of([("etc", None), ("etc/one", b"one\n"), ("big", text(400000))])
B = oci.tar_of([("etc/two", b"two\n"), ("c", noise(70000, 3))])
TARS = [A, B, A]


def slurp(path):
    with open(path, "rb") as f:
        return f.read()


def devices(out):
    return json.loads(slurp(out + "/image.json"))["devices"]


def files(out):
    where = out + "/leaves"
    if not os.path.isdir(where):
        return {}
    return {name: slurp(where + "/" + name) for name in os.listdir(where)}


def want(tars):
    return {oci.digest(t).replace(":", "-"): leaves.table(t) for t in tars}


def check(out, tars):
    assert files(out) == want(tars)
    for device, tar in zip(devices(out), tars):
        assert device["blob"] == oci.digest(tar)
        assert device["leaves"] == {
            "path": "leaves/" + oci.digest(tar).replace(":", "-"),
            "leaf_size": 65536, "count": (len(tar) + 65535) // 65536,
            "root": leaves.root(tar).hex()}


@pytest.mark.parametrize("packed", ["gzip", "zstd", "xz"])
def test_compressed_layers(tarfs, work, packed):
    """Made while they are decompressed, without being asked for."""
    image = oci.Image(TARS, packed)
    out = work + "/out"
    tarfs.ok("convert", "--quiet", oci.directory(work + "/l", oci.oci(image)),
             "-o", out)
    check(out, TARS)
    for device, tar in zip(devices(out), TARS):
        blob = oci.PACKERS[packed](tar)
        assert device["fetch"]["digest"] == oci.digest(blob)
        assert device["fetch"]["bytes"] == len(blob)
        assert device["fetch"]["compression"] == packed
        assert device["fetch"]["media_type"].endswith("tar+" + packed) or \
            packed == "xz"
    tarfs.ok("verify", "--quiet", out)


@pytest.mark.parametrize("option", [None, "--check-digests", "--leaf-digests",
                                    "--leaf-digests=0"])
def test_layers_that_are_not_compressed(tarfs, work, option):
    """Read for it only when asked for; `fetch` is the same blob."""
    out = work + "/out"
    source = oci.directory(work + "/l", oci.oci(oci.Image(TARS)))
    tarfs.ok("convert", "--quiet", *[option] if option else [], source,
             "-o", out)
    if option in ("--check-digests", "--leaf-digests"):
        check(out, TARS)
    else:
        assert files(out) == {}
        assert all(d["leaves"] is None for d in devices(out))
    for device in devices(out):
        assert device["fetch"]["digest"] == device["blob"]
        assert device["fetch"]["compression"] == "none"
    tarfs.ok("verify", "--quiet", out)


def test_none_of_compressed_layers(tarfs, work):
    out = work + "/out"
    source = oci.archive(work + "/in", oci.docker([oci.Image(TARS, "gzip")]))
    tarfs.ok("convert", "--quiet", "--leaf-digests=0", source, "-o", out)
    assert files(out) == {}


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("packed", [None, "gzip"])
def test_one_layer(tarfs, work, packed, pipe):
    source = oci.write(work + "/l", oci.PACKERS[packed](A))
    out = work + "/out"
    with open(source, "rb") as f:
        tarfs.ok("convert", "--quiet", "-" if pipe else source, "-o", out,
                 stdin=f if pipe else None)
    if packed or pipe:
        check(out, [A])
        tarfs.ok("verify", "--quiet", out)
    else:
        assert devices(out)[0]["leaves"] is None
        assert devices(out)[0]["blob"] is None
    assert devices(out)[0]["fetch"] is None


def test_an_archive_through_a_pipe(tarfs, work):
    """Its bytes are no blob: there are no digests of the archive."""
    source = oci.archive(work + "/in", oci.docker([oci.Image([A, B])]))
    for option, tars in (("--quiet", []), ("--leaf-digests", [A, B])):
        out = work + "/out" + option
        with open(source, "rb") as f:
            tarfs.ok("convert", "--quiet", option, "-", "-o", out, stdin=f)
        assert files(out) == want(tars)
        assert [d["fetch"] for d in devices(out)] == [None, None]
        tarfs.ok("verify", "--quiet", out)


def test_the_same_each_time(tarfs, work):
    source = oci.archive(work + "/in", oci.oci(oci.Image(TARS, "gzip")))
    seen = []
    for workers in ("1", "3"):
        out = work + "/out" + workers
        tarfs.ok("convert", "--quiet", "--workers=" + workers, source,
                 "-o", out)
        seen.append((files(out), devices(out)))
    assert seen[0] == seen[1]


def test_an_older_image_leaves_nothing(tarfs, work):
    out = work + "/out"
    for tars in ([A, B], [A]):
        image = oci.Image(tars, "gzip")
        tarfs.ok("convert", "--quiet", "--force",
                 oci.directory(work + "/l%d" % len(tars), oci.oci(image)),
                 "-o", out)
    check(out, [A])


def test_a_damaged_layer_publishes_none(tarfs, work):
    layout = oci.directory(work + "/l", oci.oci(oci.Image([A], "gzip")))
    blob = layout + "/blobs/sha256/" + oci.digest(
        oci.PACKERS["gzip"](A))[7:]
    data = bytearray(slurp(blob))
    data[len(data) // 2] ^= 1
    oci.write(blob, bytes(data))
    tarfs.fails("convert", "--quiet", layout, "-o", work + "/out", code=1)
    assert not os.path.exists(work + "/out")


def test_inspect(tarfs, work):
    out = work + "/out"
    tarfs.ok("convert", "--quiet", "--leaf-digests",
             oci.write(work + "/l", A), "-o", out)
    root = leaves.root(A).hex()
    assert root in tarfs.ok("inspect", out).text
    layer, = json.loads(tarfs.ok("inspect", "--json", out).text)["layers"]
    assert layer["leaves"]["root"] == root
    assert slurp(layer["leaves"]["path"]) == leaves.table(A)


def damage(out, what):
    where = devices(out)[0]["leaves"]
    path = out + "/" + where["path"]
    data = bytearray(slurp(path))
    if what == "digest":
        data[100] ^= 1
    elif what == "short":
        del data[-32:]
    elif what == "long":
        data += bytes(32)
    elif what == "another":
        data = leaves.table(B)
    elif what == "forged":
        # Of other bytes of that length, and the record agrees.
        data = leaves.table(bytes(len(A)))
        record = json.loads(slurp(out + "/image.json"))
        for device in record["devices"]:
            device["leaves"]["root"] = leaves.root(bytes(len(A))).hex()
        oci.write(out + "/image.json", json.dumps(record).encode())
    if what == "gone":
        os.unlink(path)
    else:
        oci.write(path, bytes(data))


@pytest.mark.parametrize("what", ["digest", "short", "long", "another",
                                  "forged", "gone"])
def test_verify_finds(tarfs, work, what):
    out = work + "/out"
    tarfs.ok("convert", "--quiet", "--leaf-digests",
             oci.write(work + "/l", A), "-o", out)
    damage(out, what)
    result = tarfs.fails("verify", out, code=4)
    assert "LAYER-LEAVES" in result.errors
    assert "LAYER-DIGEST" not in result.errors


def test_verify_names_the_leaf(tarfs, work):
    out = work + "/out"
    source = oci.write(work + "/l", A)
    tarfs.ok("convert", "--quiet", "--leaf-digests", source, "-o", out)
    data = bytearray(A)
    data[70000] ^= 1
    oci.write(source, bytes(data))
    result = tarfs.fails("verify", out, code=4)
    assert "leaf 1 has a wrong digest" in result.errors
    assert "LAYER-DIGEST" in result.errors


@pytest.mark.parametrize("leaves_of", [{"root": "00"}, {"root": 1},
                                       {"path": "../../x"},
                                       {"count": 1 << 40}])
def test_a_record_that_lies(tarfs, work, leaves_of):
    out = work + "/out"
    tarfs.ok("convert", "--quiet", "--leaf-digests",
             oci.write(work + "/l", A), "-o", out)
    record = json.loads(slurp(out + "/image.json"))
    record["devices"][0]["leaves"].update(leaves_of)
    oci.write(out + "/image.json", json.dumps(record).encode())
    result = tarfs.fails("inspect", out, code=1)
    assert "leaves" in result.errors or "leads out" in result.errors


def test_a_record_of_before(tarfs, work):
    """Without the members that tell of leaves."""
    out = work + "/out"
    tarfs.ok("convert", "--quiet", oci.write(work + "/l", A), "-o", out)
    record = json.loads(slurp(out + "/image.json"))
    for key in ("blob", "leaves", "fetch"):
        del record["devices"][0][key]
    oci.write(out + "/image.json", json.dumps(record).encode())
    tarfs.ok("verify", "--quiet", out)


def test_usage(tarfs, work):
    source = oci.write(work + "/l", A)
    for words in (["--leaf-digests=2"], ["--format=erofs", "--leaf-digests"]):
        tarfs.fails("convert", *words, source, "-o", work + "/out", code=16)
    tarfs.fails("verify", "--leaf-digests", work, code=16)


@pytest.mark.parametrize("size", [0, 100, 65536 - 4096, 300000])
def test_mkfs(mkfs, work, size):
    os.mkdir(work + "/tree")
    oci.write(work + "/tree/file", noise(size))
    result = mkfs.ok("--json", "--leaf-digests=" + work + "/i.leaves",
                     work + "/i.erofs", work + "/tree")
    image = slurp(work + "/i.erofs")
    assert slurp(work + "/i.leaves") == leaves.table(image)
    told = json.loads(result.text)["leaf_digests"]
    assert told == {"path": work + "/i.leaves", "leaf_size": 65536,
                    "count": (len(image) + 65535) // 65536,
                    "root": leaves.root(image).hex()}


@pytest.mark.parametrize("size", [0, 300000])
def test_mkfs_with_a_blob(mkfs, work, size):
    os.mkdir(work + "/tree")
    oci.write(work + "/tree/file", noise(size))
    result = mkfs.ok("--json", "--leaf-digests=" + work + "/t",
                     "--chunksize=4096", "--blobdev=" + work + "/b",
                     work + "/i.erofs", work + "/tree")
    told = json.loads(result.text)
    assert slurp(work + "/t") == leaves.table(slurp(work + "/i.erofs"))
    assert slurp(work + "/t.blob") == leaves.table(slurp(work + "/b"))
    assert told["blob_leaf_digests"]["root"] == leaves.root(
        slurp(work + "/b")).hex()


def test_mkfs_fails_without_a_trace(mkfs, work):
    os.mkdir(work + "/tree")
    for option, code in (("--leaf-digests=", 1),
                         ("--leaf-digests=" + work + "/i.erofs", 1),
                         ("--leaf-digests=" + work + "/no/t", 1)):
        mkfs.fails(option, work + "/i.erofs", work + "/tree", code=code)
    assert os.listdir(work) == ["tree"]
