# SPDX-License-Identifier: Apache-2.0
"""Archives that lie: refused by name, and nothing is left behind."""

import json
import os
import signal
import time

import pytest

from lib import oci
from lib.content import noise
from lib.run import kill_when

A = oci.tar_of([("a", b"a" * 5000)])
B = oci.tar_of([("b", noise(60000))])


def refused(tarfs, work, source, *words, options=()):
    out = os.path.join(work, "out")
    result = tarfs.fails("convert", *options, source, "-o", out, code=1)
    for word in words:
        assert word in result.errors, result
    assert not os.path.exists(out)
    return result


def changed(image, find, change):
    """The files of a layout in which one blob is other bytes."""
    files = oci.oci(image)
    name = oci.blob_path(oci.digest(find))
    files[name] = change(files[name])
    return files


def flip(data):
    return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]


@pytest.mark.parametrize("packed", ["gzip", "zstd", "xz"])
def test_wrong_layer_digest(tarfs, work, packed):
    """Whole and decodable, but another."""
    image = oci.Image([A, B], packed)
    blob = image.blobs()[1]
    other = oci.PACKERS[packed](flip(B))
    files = oci.oci(image)
    where = oci.blob_path(oci.digest(blob))
    entry = json.loads(files["index.json"])["manifests"][0]
    manifest = json.loads(files[oci.blob_path(entry["digest"])])
    files[where] = other
    if len(other) == len(blob):
        source = oci.archive(work + "/in.tar", files)
        refused(tarfs, work, source, oci.digest(blob), oci.digest(other))
    # The manifest agrees, the configuration does not: a wrong diff id.
    manifest["layers"][1].update(digest=oci.digest(other), size=len(other))
    files = oci.oci(image, layers=manifest["layers"])
    files[oci.blob_path(oci.digest(other))] = other
    source = oci.directory(work + "/in", files)
    refused(tarfs, work, source, oci.digest(B), oci.digest(flip(B)))


def test_wrong_plain_digest_when_asked(tarfs, work):
    image = oci.Image([A, B])
    source = oci.archive(work + "/in.tar", changed(image, B, flip))
    refused(tarfs, work, source, oci.digest(B), oci.digest(flip(B)),
            options=["--check-digests"])
    refused(tarfs, work, source, oci.digest(B), options=["--format=erofs"])
    # Not read, not known; verify finds it.
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    result = tarfs.fails("verify", out, code=4)
    assert oci.digest(flip(B)) in result.errors


def test_plain_layer_with_another_diff_id(tarfs, work):
    """Told without reading it."""
    image = oci.Image([A, B], config={
        "rootfs": {"type": "layers",
                   "diff_ids": [oci.digest(A), oci.digest(A + b"x")]}})
    source = oci.archive(work + "/in.tar", oci.oci(image))
    refused(tarfs, work, source, oci.digest(B), oci.digest(A + b"x"))


@pytest.mark.parametrize("which", ["config", "manifest"])
def test_damaged_documents(tarfs, work, which):
    image = oci.Image([A])
    find = image.config if which == "config" else image.manifest()
    files = changed(image, find, lambda d: d.replace(b"linux", b"Linux")
                    .replace(b"layers", b"Layers"))
    source = oci.directory(work + "/in", files)
    refused(tarfs, work, source, oci.digest(find), "damaged")
    if which == "config":
        files = oci.docker([image])
        name = oci.sha(image.config) + ".json"
        files[name] = files[name].replace(b"linux", b"Linux")
        source = oci.archive(work + "/docker.tar", files)
        refused(tarfs, work, source, "damaged")


def manifest_of(**changes):
    return oci.oci(oci.Image([A]), **changes)


LIES = {
    "no layers": lambda: manifest_of(layers="x"),
    "layers of numbers": lambda: manifest_of(layers=[1]),
    "digest of another kind": lambda: manifest_of(layers=[{
        "mediaType": oci.OCI + "layer.v1.tar", "size": 1,
        "digest": "sha512:" + "0" * 128}]),
    "digest that climbs": lambda: manifest_of(layers=[{
        "mediaType": oci.OCI + "layer.v1.tar", "size": 1,
        "digest": "sha256:../../../../etc/passwd"}]),
    "upper-case digest": lambda: manifest_of(layers=[{
        "mediaType": oci.OCI + "layer.v1.tar", "size": 1,
        "digest": "sha256:" + "A" * 64}]),
    "negative size": lambda: manifest_of(layers=[{
        "mediaType": oci.OCI + "layer.v1.tar", "size": -1,
        "digest": oci.digest(A)}]),
    "too few layers": lambda: manifest_of(layers=[]),
    "missing layer": lambda: manifest_of(layers=[{
        "mediaType": oci.OCI + "layer.v1.tar", "size": 1,
        "digest": oci.digest(b"missing")}]),
    "wrong size": lambda: manifest_of(layers=[{
        "mediaType": oci.OCI + "layer.v1.tar", "size": 1,
        "digest": oci.digest(A)}]),
    "encrypted": lambda: manifest_of(layers=[{
        "mediaType": oci.OCI + "layer.v1.tar+gzip+encrypted",
        "size": len(A), "digest": oci.digest(A)}]),
    "no image": lambda: manifest_of(config={
        "mediaType": "application/vnd.cncf.helm.config.v1+json",
        "digest": oci.digest(A), "size": len(A)}),
    "config that is a tar": lambda: manifest_of(config={
        "mediaType": oci.OCI + "config.v1+json",
        "digest": oci.digest(A), "size": len(A)}),
    "many layers": lambda: oci.oci(oci.Image([A] * 128)),
    "no rootfs": lambda: oci.oci(oci.Image([A], config={"rootfs": None})),
    "diff ids of numbers": lambda: oci.oci(oci.Image([A], config={
        "rootfs": {"diff_ids": [7]}})),
    "diff id that climbs": lambda: oci.oci(oci.Image([A], "gzip", config={
        "rootfs": {"diff_ids": ["sha256:/../x"]}})),
    "index that is a list": lambda: dict(oci.oci(oci.Image([A])),
                                         **{"index.json": b"[]"}),
    "index that is cut": lambda: dict(oci.oci(oci.Image([A])),
                                      **{"index.json": b'{"manifests": ['}),
    "index and more": lambda: dict(oci.oci(oci.Image([A])),
                                   **{"index.json": b'{"manifests": []} x'}),
    "deep index": lambda: dict(oci.oci(oci.Image([A])), **{
        "index.json": b'{"manifests": ' + b"[" * 10000 + b"]" * 10000 + b"}"}),
    "no images": lambda: dict(oci.oci(oci.Image([A])),
                              **{"index.json": b'{"manifests": []}'}),
    "name with a NUL": lambda: dict(oci.oci(oci.Image([A])), **{
        "index.json": b'{"manifests": [{"digest": "sha256:a\\u0000b", '
                      b'"size": 1}]}'}),
    "docker list of numbers": lambda: dict(oci.docker([oci.Image([A])]),
                                           **{"manifest.json": b"[1, 2]"}),
    "docker object": lambda: dict(oci.docker([oci.Image([A])]),
                                  **{"manifest.json": b"{}"}),
    "docker nothing": lambda: dict(oci.docker([oci.Image([A])]),
                                   **{"manifest.json": b"[]"}),
    "docker missing": lambda: dict(oci.docker([oci.Image([A])]), **{
        "manifest.json": b'[{"Config": "x.json", "Layers": '
                         b'["../../etc/passwd"]}]'}),
}


@pytest.mark.parametrize("lie", sorted(LIES))
def test_lies(tarfs, work, lie):
    refused(tarfs, work, oci.archive(work + "/in.tar", LIES[lie]()))


def test_nested_for_ever(tarfs, work):
    """Indexes in indexes, as deep as a stranger likes."""
    blobs, entry = oci.Image([A]).contents()
    for _ in range(10):
        index = json.dumps({"manifests": [entry]}).encode()
        blobs[oci.digest(index)] = index
        entry = {"mediaType": oci.OCI + "index.v1+json", "size": len(index),
                 "digest": oci.digest(index)}
    source = oci.directory(work + "/in", oci.layout(blobs, [entry]))
    refused(tarfs, work, source, "indexes in one another")


def test_link_loop(tarfs, work):
    files = oci.docker([oci.Image([A])])
    name, = [n for n in files if n.endswith("layer.tar")]
    files[name] = ("link", "layer.tar")
    refused(tarfs, work, oci.archive(work + "/in.tar", files), "links")


def test_foreign(tarfs, work):
    missing = b"windows"
    files = manifest_of(layers=[{
        "mediaType": oci.OCI + "layer.nondistributable.v1.tar+gzip",
        "size": len(missing), "digest": oci.digest(missing),
        "urls": ["https://example.invalid/x"]}])
    refused(tarfs, work, oci.archive(work + "/in.tar", files), "foreign")


@pytest.mark.parametrize("packed", [None, "gzip", "zstd", "xz"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_cut(tarfs, work, packed, part):
    """Outer archives and layers that end too early."""
    data = oci.PACKERS[packed](B)
    source = oci.write(work + "/l.tar", data[:int(len(data) * part)])
    if packed or part < 0.9:
        refused(tarfs, work, source)
    image = oci.Image([A, B], packed)
    whole = open(oci.archive(work + "/in.tar", oci.oci(image)), "rb").read()
    cut = oci.write(work + "/cut.tar", whole[:int(len(whole) * part)])
    refused(tarfs, work, cut)
    cut_layer = dict(oci.oci(image))
    where = oci.blob_path(oci.digest(image.blobs()[1]))
    cut_layer[where] = cut_layer[where][:int(len(cut_layer[where]) * part)]
    refused(tarfs, work, oci.directory(work + "/layout", cut_layer))


def test_garbage_behind(tarfs, work):
    """Bytes behind the stream are in the digest, so they are seen."""
    blob = oci.PACKERS["gzip"](A)
    files = oci.oci(oci.Image([A], "gzip"))
    files[oci.blob_path(oci.digest(blob))] = blob + b"garbage"
    refused(tarfs, work, oci.directory(work + "/in", files))


NAMES = ["../../escape", "/../x", "a/../../b", ".."]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("packed", [None, "gzip"])
def test_names_that_climb(tarfs, work, name, packed):
    tar = oci.tar_of([("ok", b"ok"), (name, b"evil")])
    files = oci.docker([oci.Image([A, tar], packed)])
    refused(tarfs, work, oci.archive(work + "/in.tar", files), "..")


def test_inputs_that_are_none(tarfs, work):
    os.mkdir(work + "/dir")
    refused(tarfs, work, work + "/dir", "layout")
    refused(tarfs, work, oci.write(work + "/empty", b""))
    refused(tarfs, work, oci.write(work + "/text", b"hello\n" * 1000))
    refused(tarfs, work, "/dev/null")
    refused(tarfs, work, oci.write(work + "/gz", oci.PACKERS["gzip"](b"")))


def test_nothing_to_choose_from(tarfs, work):
    source = oci.write(work + "/l.tar", A)
    for option in ("--image=x", "--platform=linux/amd64"):
        refused(tarfs, work, source, "one layer", options=[option])


def test_a_failure_keeps_what_was_there(tarfs, work):
    good = oci.archive(work + "/good.tar", oci.oci(oci.Image([A], "gzip")))
    bad = oci.archive(work + "/bad.tar", oci.oci(oci.Image(
        [A, B], "gzip", config={"rootfs": {"diff_ids": [
            oci.digest(A), oci.digest(A)]}})))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", good, "-o", out)
    before = sorted(os.walk(out))
    tarfs.fails("convert", "--force", bad, "-o", out, code=1)
    assert sorted(os.walk(out)) == before
    tarfs.ok("verify", "--quiet", out)


def test_signal(tarfs, work):
    """Everything is undone, and the caller sees the signal."""
    tars = [oci.tar_of([("n", noise(1 << 20, i) * 24)]) for i in range(3)]
    source = oci.archive(work + "/in.tar", oci.docker([oci.Image(tars,
                                                                 "gzip")]))
    out = os.path.join(work, "out")
    process = tarfs.start("convert", "--quiet", source, "-o", out)
    code = kill_when(process, lambda: os.path.isdir(out + "/blobs"))
    assert code == -signal.SIGTERM
    assert not os.path.exists(out)


def test_kill(tarfs, work):
    """What it leaves is not complete, and the next run clears it away."""
    tars = [oci.tar_of([("n", noise(1 << 20, i) * 24)]) for i in range(3)]
    source = oci.archive(work + "/in.tar", oci.docker([oci.Image(tars,
                                                                 "gzip")]))
    out = os.path.join(work, "out")
    process = tarfs.start("convert", "--quiet", source, "-o", out)
    kill_when(process, lambda: os.path.isdir(out + "/blobs") and
              os.listdir(out + "/blobs"), signal.SIGKILL)
    assert not os.path.exists(out + "/image.json")
    tarfs.fails("inspect", out, code=1)
    oci.write(out + "/.config.json.keep-me", b"of somebody else")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    left = [name for _, _, names in os.walk(out) for name in names
            if name.startswith(".")]
    assert left == [".config.json.keep-me"]
    tarfs.ok("verify", "--quiet", out)


def test_signal_at_a_pipe(tarfs, work):
    fifo = os.path.join(work, "fifo")
    os.mkfifo(fifo)
    out = os.path.join(work, "out")
    process = tarfs.start("convert", "--quiet", fifo, "-o", out)
    with open(fifo, "wb") as feed:
        feed.write(B[:4096])
        feed.flush()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert not os.path.exists(out)


def test_no_room(tarfs, work):
    from lib import mounts
    if os.geteuid() != 0:
        pytest.skip("a tmpfs needs root")
    tar = oci.tar_of([("n", noise(1 << 20) * 3)])
    source = oci.archive(work + "/in.tar", oci.docker([oci.Image([tar],
                                                                 "gzip")]))
    with mounts.tmpfs(os.path.join(work, "full"), "1m") as where:
        result = tarfs.fails("convert", source, "-o", where + "/out", code=1)
        assert "No space left" in result.errors
        assert os.listdir(where) == []


def test_record_that_leads_out(tarfs, work):
    source = oci.archive(work + "/in.tar", oci.oci(oci.Image([A], "gzip")))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    with open(out + "/image.json") as f:
        good = json.load(f)
    for change in ({"version": 2}, {"layers": []}, {"devices": "x"},
                   {"merged": {"path": "../x", "uuid": "", "bytes": 1,
                               "inodes": 1}}):
        oci.write(out + "/image.json", json.dumps(
            dict(good, **change)).encode())
        tarfs.fails("inspect", out, code=1)
    oci.write(out + "/image.json", b"{")
    tarfs.fails("verify", out, code=4)
