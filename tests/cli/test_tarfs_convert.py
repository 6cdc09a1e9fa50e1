# SPDX-License-Identifier: Apache-2.0
"""What convert reads, what it makes, and inspect, verify, merge of it."""

import json
import os
import shutil
import subprocess
import threading

import pytest

from lib import oci
from lib.content import noise, text
from lib.run import environment

A = oci.tar_of([("etc", None), ("etc/one", b"one\n"), ("big", text(200000))])
B = oci.tar_of([("etc", None), ("etc/two", b"two\n"), (".wh.big", b"")])
C = oci.tar_of([("c", noise(70000, 3))])


def record(out):
    with open(os.path.join(out, "image.json")) as f:
        return json.load(f)


def listing(out):
    found = {}
    for where, _, names in os.walk(out):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, out)] = f.read()
    return found


def extracted(fsck, out):
    """{path: bytes} of the merged image, by fsck.erofs."""
    r = record(out)
    to = out + ".tree"
    shutil.rmtree(to, ignore_errors=True)
    os.mkdir(to)
    fsck.ok("--quiet", "--extract=" + to,
            *["--device=" + os.path.join(out, d["path"])
              for d in r["devices"]], os.path.join(out, "merged.erofs"))
    return listing(to)


WANT = {"etc/one": b"one\n", "etc/two": b"two\n", "c": noise(70000, 3)}


def inputs(work, packed):
    """Every kind of input of the same image."""
    image = oci.Image([A, B, C], packed)
    yield oci.archive(work + "/docker.tar", oci.docker([image]))
    yield oci.archive(work + "/oci.tar", oci.oci(image))
    yield oci.directory(work + "/layout", oci.oci(image))
    for how in ("gzip", "xz", "zstd"):
        yield oci.archive(work + "/docker.tar." + how, oci.docker([image]),
                          how)


@pytest.mark.parametrize("packed", [None, "gzip", "xz", "zstd"])
def test_inputs(tarfs, fsck, work, packed):
    merged = set()
    for i, source in enumerate(inputs(work, packed)):
        out = os.path.join(work, "out%d" % i)
        tarfs.ok("convert", "--quiet", source, "-o", out)
        assert extracted(fsck, out) == WANT
        r = record(out)
        assert [layer["diff_id"] for layer in r["layers"]] == [
            oci.digest(t) for t in (A, B, C)]
        assert all(layer["compression"] == (packed or "none")
                   for layer in r["layers"])
        assert all(layer["checked"] == (packed is not None)
                   for layer in r["layers"])
        assert r["platform"]["architecture"] == "amd64"
        with open(out + "/config.json", "rb") as f:
            assert oci.digest(f.read()) == r["config"]["digest"]
        merged.add(len(open(out + "/merged.erofs", "rb").read()))
        tarfs.ok("verify", "--quiet", out)
    assert len(merged) == 1


def test_plain_layers_stay_where_they_are(tarfs, work):
    source = oci.archive(work + "/in.tar", oci.docker([oci.Image([A, B])]))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    assert sorted(os.listdir(out)) == ["config.json", "image.json", "layers",
                                       "merged.erofs"]
    for device, tar in zip(record(out)["devices"], (A, B)):
        assert device["path"] == source
        with open(source, "rb") as f:
            f.seek(device["offset"])
            assert f.read(device["tar_bytes"]) == tar
        assert device["bytes"] == os.path.getsize(source)


@pytest.mark.parametrize("packed", [None, "gzip", "xz", "zstd"])
@pytest.mark.parametrize("how", ["file", "fifo", "stdin"])
def test_one_layer(tarfs, fsck, work, packed, how):
    tar = oci.tar_of([("etc/one", b"one\n"), ("big", noise(200000))])
    data = oci.PACKERS[packed](tar)
    source = os.path.join(work, "layer")
    out = os.path.join(work, "out")
    argv = ["convert", "--quiet", "-o", out]
    if how == "file":
        tarfs.ok(*argv, oci.write(source, data))
    elif how == "stdin":
        done = subprocess.run(tarfs.argv(argv + ["-"]), input=data,
                              env=environment(), capture_output=True)
        assert done.returncode == 0, done.stderr
    else:
        os.mkfifo(source)
        feed = threading.Thread(target=oci.write, args=(source, data))
        feed.start()
        tarfs.ok(*argv, source)
        feed.join()
    assert extracted(fsck, out) == {"etc/one": b"one\n",
                                    "big": noise(200000)}
    layer, = record(out)["layers"]
    if packed or how != "file":
        assert layer["diff_id"] == oci.digest(tar)
        assert layer["digest"] == oci.digest(data)
        with open(out + "/" + record(out)["devices"][0]["path"], "rb") as f:
            assert f.read() == tar
        tarfs.ok("verify", out)
    else:
        assert layer["diff_id"] is None and not layer["checked"]


@pytest.mark.parametrize("how", ["layer", "gzip", "docker"])
def test_a_tar_that_was_never_closed(tarfs, fsck, work, how):
    """As umoci insert writes them: no padding of the last member, no end. A
    loop device ends with a whole sector, so the index has that file's data."""
    tar = oci.tar_of([("a", b"a" * 700), ("z", noise(700))])[:3 * 512 + 512
                                                             + 700]
    if how == "docker":
        source = oci.archive(work + "/in.tar", oci.docker([oci.Image([tar])]))
    else:
        source = oci.write(work + "/l.tar",
                           oci.PACKERS[how if how == "gzip" else None](tar))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    assert extracted(fsck, out) == {"a": b"a" * 700, "z": noise(700)}
    # In an archive the next member's header is behind it.
    assert record(out)["layers"][0]["copied_files"] == (how != "docker")


def test_one_plain_layer_with_its_digest(tarfs, work):
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", "--check-digests",
             oci.write(work + "/l.tar", A), "-o", out)
    layer, = record(out)["layers"]
    assert layer["diff_id"] == oci.digest(A) and layer["checked"]


def test_archives_through_a_pipe(tarfs, fsck, work):
    """Kept when layers lie in it, dropped when all were compressed."""
    for packed, kept in ((None, True), ("gzip", False)):
        source = oci.archive(work + "/in.tar", oci.docker(
            [oci.Image([A, B, C], packed)]))
        out = os.path.join(work, "out-%s" % packed)
        with open(source, "rb") as f:
            tarfs.ok("convert", "--quiet", "-", "-o", out, stdin=f)
        os.unlink(source)
        assert os.path.exists(out + "/archive.tar") == kept
        assert extracted(fsck, out) == WANT
        tarfs.ok("verify", "--quiet", out)


def test_a_layer_that_looks_like_an_archive_at_first(tarfs, fsck, work):
    tar = oci.tar_of([("manifest.json", b"[]"), ("blobs", None),
                      ("blobs/x", b"x"), ("etc/one", b"1")])
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", oci.write(work + "/l.tar", tar), "-o", out)
    assert set(extracted(fsck, out)) == {"manifest.json", "blobs/x",
                                         "etc/one"}


def test_symlinked_layers(tarfs, fsck, work):
    """As docker wrote a layer that an earlier image has."""
    files = oci.docker([oci.Image([A]), oci.Image([A, C])],
                       ["one:latest", "two:1"])
    assert any(isinstance(v, tuple) for v in files.values())
    source = oci.archive(work + "/in.tar", files)
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", "--image=two:1", source, "-o", out)
    assert set(extracted(fsck, out)) == {"etc/one", "big", "c"}


def test_several_images(tarfs, work):
    images = [oci.Image([A]), oci.Image([B])]
    source = oci.archive(work + "/in.tar",
                         oci.docker(images, ["one:latest", "two:1"]))
    out = os.path.join(work, "out")
    result = tarfs.fails("convert", source, "-o", out, code=1)
    assert "one:latest" in result.errors and "two:1" in result.errors
    result = tarfs.fails("convert", "--image=three", source, "-o", out, code=1)
    assert "two:1" in result.errors
    assert not os.path.exists(out)
    tarfs.ok("convert", "--quiet", "--image=one", source, "-o", out)
    assert record(out)["name"] == "one:latest"
    assert record(out)["layers"][0]["diff_id"] == oci.digest(A)
    by_config = "--image=sha256:" + oci.sha(images[1].config)
    tarfs.ok("convert", "--quiet", "--force", by_config, source, "-o", out)
    assert record(out)["layers"][0]["diff_id"] == oci.digest(B)


def test_several_images_of_a_layout(tarfs, work):
    blobs, entries = {}, []
    for name, tar in (("v1", A), ("v2", B)):
        found, entry = oci.Image([tar]).contents()
        blobs.update(found)
        entry["annotations"] = {
            "org.opencontainers.image.ref.name": name,
            "io.containerd.image.name": "docker.io/library/x:" + name}
        entries.append(entry)
    source = oci.directory(work + "/in", oci.layout(blobs, entries))
    out = os.path.join(work, "out")
    result = tarfs.fails("convert", source, "-o", out, code=1)
    assert "x:v1" in result.errors and "x:v2" in result.errors
    for ref in ("v2", "docker.io/library/x:v2", entries[1]["digest"]):
        tarfs.ok("convert", "--quiet", "--force", "--image=" + ref, source,
                 "-o", out)
        assert record(out)["layers"][0]["diff_id"] == oci.digest(B)


def platforms(nested=True, attest=True):
    """A layout of images for several platforms, as buildx makes it."""
    blobs, entries = {}, []
    for arch, variant, tar in (("amd64", None, A), ("arm64", "v8", B),
                               ("arm", "v6", A), ("arm", "v7", C)):
        image = oci.Image([tar], arch=arch, variant=variant)
        found, entry = image.contents()
        blobs.update(found)
        entry["platform"] = image.platform
        entries.append(entry)
    if attest:
        found, entry = oci.Image([A], arch="unknown",
                                 os_="unknown").contents()
        blobs.update(found)
        entry["platform"] = {"os": "unknown", "architecture": "unknown"}
        entry["annotations"] = {
            "vnd.docker.reference.type": "attestation-manifest"}
        entries.append(entry)
    if not nested:
        return oci.layout(blobs, entries)
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    blobs[oci.digest(index)] = index
    return oci.layout(blobs, [{
        "mediaType": oci.OCI + "index.v1+json", "digest": oci.digest(index),
        "size": len(index)}])


@pytest.mark.parametrize("nested", [True, False])
def test_platforms(tarfs, work, nested):
    source = oci.directory(work + "/in", platforms(nested))
    out = os.path.join(work, "out")
    for want, arch, tar in (("linux/amd64", "amd64", A),
                            ("linux/arm64", "arm64", B),
                            ("linux/arm64/v8", "arm64", B),
                            ("linux/arm/v6", "arm", A),
                            ("linux/arm", "arm", C)):
        tarfs.ok("convert", "--quiet", "--force", "--platform=" + want, source,
                 "-o", out)
        r = record(out)
        assert r["platform"]["architecture"] == arch
        assert r["layers"][0]["diff_id"] == oci.digest(tar)
    result = tarfs.fails("convert", "--force", "--platform=linux/s390x",
                         source, "-o", out, code=1)
    assert "arm64" in result.errors and "unknown" not in result.errors
    tarfs.fails("convert", "--force", "--platform=linux", source, "-o", out)
    assert record(out)["platform"]["variant"] == "v7"


def test_the_only_image_needs_no_platform(tarfs, work):
    """But a wish is one."""
    for i, files in enumerate([oci.docker([oci.Image([A], arch="s390x")]),
                               oci.oci(oci.Image([A], arch="s390x"))]):
        source = oci.archive(work + "/in%d.tar" % i, files)
        out = os.path.join(work, "out%d" % i)
        tarfs.ok("convert", "--quiet", source, "-o", out)
        assert record(out)["platform"]["architecture"] == "s390x"
        result = tarfs.fails("convert", "--force", "--platform=linux/amd64",
                             source, "-o", out, code=1)
        assert "s390x" in result.errors


@pytest.mark.parametrize("packed", [None, "gzip"])
def test_deterministic(tarfs, work, packed):
    source = oci.archive(work + "/in.tar", oci.docker(
        [oci.Image([A, B, C, A], packed)]))
    seen = []
    for workers in (1, 2, 8):
        out = os.path.join(work, "out")
        tarfs.ok("convert", "--quiet", "--workers=%d" % workers, source, "-o",
                 out)
        seen.append(listing(out))
        shutil.rmtree(out)
    assert seen[0] == seen[1] == seen[2]
    assert b"1600000000" not in seen[0]["image.json"]


def test_times_and_uuid(tarfs, dump, work):
    tar = oci.tar_of([(".", None), ("a", b"a")])
    source = oci.archive(work + "/in.tar", oci.docker([oci.Image([tar])]))
    out = os.path.join(work, "out")
    uuid = "12345678-1234-5678-9abc-123456789abc"
    tarfs.ok("convert", "--quiet", "-U", uuid, "-T", "77", source, "-o", out)
    assert record(out)["merged"]["uuid"] == uuid
    assert uuid in dump.ok("-s", out + "/merged.erofs").text
    first = listing(out)
    tarfs.ok("convert", "--quiet", "--force", "-U", uuid, source, "-o", out,
             env={"SOURCE_DATE_EPOCH": "77"})
    assert listing(out)["merged.erofs"] == first["merged.erofs"]


def test_one_diff_id_packed_in_two_ways(tarfs, fsck, work):
    """Kept once, but both are checked."""
    source = oci.archive(work + "/in.tar", oci.oci(
        oci.Image([A, B, A], ["gzip", None, "zstd"])))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    assert [layer["checked"] for layer in record(out)["layers"]] == [
        True, False, True]
    assert len(os.listdir(out + "/blobs")) == 1
    assert set(extracted(fsck, out)) == {"etc/one", "etc/two", "big"}


def test_complete_is_refused_and_forced(tarfs, work):
    one = oci.archive(work + "/1.tar", oci.docker([oci.Image([A, B],
                                                             "gzip")]))
    two = oci.archive(work + "/2.tar", oci.docker([oci.Image([C])]))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", one, "-o", out)
    before = listing(out)
    result = tarfs.fails("convert", two, "-o", out, code=1)
    assert "--force" in result.errors
    assert listing(out) == before
    tarfs.ok("convert", "--quiet", "--force", two, "-o", out)
    assert len(os.listdir(out + "/layers")) == 1
    assert os.listdir(out + "/blobs") == []
    tarfs.ok("verify", out)


def test_two_at_once(tarfs, work):
    """Into one store: one waits, and finds it complete."""
    source = oci.archive(work + "/in.tar", oci.docker(
        [oci.Image([noise_tar(i) for i in range(4)], "gzip")]))
    out = os.path.join(work, "out")
    running = [tarfs.start("convert", "--quiet", source, "-o", out)
               for _ in range(3)]
    codes = []
    for process in running:
        process.communicate(timeout=60)
        codes.append(process.returncode)
    assert sorted(codes) == [0, 1, 1]
    tarfs.ok("verify", "--quiet", out)
    assert not [n for n in listing(out) if "/." in n or n.startswith(".")]


def noise_tar(seed):
    return oci.tar_of([("n%d" % seed, noise(500000, seed))])


def test_inspect(tarfs, work):
    source = oci.archive(work + "/in.tar", oci.oci(
        oci.Image([A, B], [None, "gzip"]), "x:1"))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    shown = tarfs.ok("inspect", out).text
    for word in (oci.digest(A), oci.digest(B), "x:1", "linux/amd64", source,
                 "gzip"):
        assert word in shown
    told = json.loads(tarfs.ok("inspect", "--json", out).text)
    assert [layer["diff_id"] for layer in told["layers"]] == [
        oci.digest(A), oci.digest(B)]
    assert all(os.path.isabs(layer["device"]) for layer in told["layers"])
    tarfs.fails("inspect", work, code=1)


def test_moved_store(tarfs, work):
    """What is inside goes by relative paths."""
    source = oci.archive(work + "/in.tar", oci.oci(oci.Image([A, B], "gzip")))
    tarfs.ok("convert", "--quiet", source, "-o", work + "/out")
    os.unlink(source)
    os.rename(work + "/out", work + "/elsewhere")
    tarfs.ok("verify", "--quiet", work + "/elsewhere")


def test_verify_finds(tarfs, work):
    source = oci.archive(work + "/in.tar", oci.oci(
        oci.Image([A, C], [None, "gzip"])))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    blob, = [os.path.join(out, d["path"]) for d in record(out)["devices"]
             if d["path"].startswith("blobs/")]
    told = json.loads(tarfs.ok("verify", "--json", out).text)
    assert told["errors"] == 0 and told["layers_checked"] == 2
    assert told["files"] == 3

    with open(blob, "r+b") as f:
        f.seek(1000)
        f.write(b"?")
    result = tarfs.fails("verify", out, code=4)
    assert oci.digest(C) in result.errors
    os.truncate(blob, 1024)
    tarfs.fails("verify", "--quiet", out, code=4)
    os.unlink(blob)
    told = json.loads(tarfs.run("verify", "--json", out).text)
    assert told["errors"] > 0
    tarfs.ok("convert", "--quiet", "--force", source, "-o", out)
    with open(out + "/config.json", "ab") as f:
        f.write(b" ")
    tarfs.fails("verify", out, code=4)
    tarfs.ok("convert", "--quiet", "--force", source, "-o", out)
    with open(out + "/merged.erofs", "r+b") as f:
        f.seek(1024 + 20)
        f.write(b"\xff")
    tarfs.fails("verify", out, code=4)
    tarfs.fails("verify", work, code=8)


def test_merge(tarfs, fsck, work):
    paths = []
    for i, tar in enumerate((A, B, C)):
        out = os.path.join(work, "l%d" % i)
        tarfs.ok("convert", "--quiet", oci.write(out + ".tar", tar), "-o",
                 out)
        paths.append(out + "/merged.erofs" if i == 0
                     else out + "/layers/000.erofs")
    merged = os.path.join(work, "all.erofs")
    told = json.loads(tarfs.ok("merge", "--json", "-o", merged, *paths).text)
    assert told["images"] == 3
    to = os.path.join(work, "tree")
    os.mkdir(to)
    fsck.ok("--quiet", "--extract=" + to,
            *["--device=%s/l%d.tar" % (work, i) for i in range(3)], merged)
    assert listing(to) == WANT
    tarfs.fails("merge", "-o", merged, paths[0], work + "/l0.tar", code=1)
    tarfs.fails("merge", "-o", merged, *[paths[0]] * 128, code=1)
    fsck.ok("--quiet", *["--device=%s/l%d.tar" % (work, i)
                         for i in range(3)], merged)


def test_usage(tarfs, work):
    for argv in ([], ["nothing"], ["convert", "x"], ["convert", "-o", "x"],
                 ["convert", "-zlz4", "x", "-o", "y"],
                 ["inspect", "--rw", "x"], ["mount", "--rw", "x", "y"],
                 ["mount", "x"], ["umount"], ["merge", "a"],
                 ["convert", "--format=tar", "x", "-o", "y"],
                 ["convert", "-U", "x", "y", "-o", "z"]):
        tarfs.fails(*argv, code=16)
    assert "convert" in tarfs.ok("--help").text
    tarfs.fails("convert", work + "/missing", "-o", work + "/out", code=1)
    assert os.listdir(work) == []
