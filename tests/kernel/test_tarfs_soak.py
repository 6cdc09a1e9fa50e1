# SPDX-License-Identifier: Apache-2.0
"""An image of several GiB: docker archive, OCI layout, pipe, each mounted and
read whole against a model of what its layers leave."""

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import tarfile

import pytest

from lib import measure, oci
from lib.content import noise, text

pytestmark = pytest.mark.soak

LAYERS, FILES, BYTES = 6, 8000, 640 << 20
POOL = noise(4 << 20, 7) + text(12 << 20)


class Content:
    """Bytes of a file: its own beginning, then a slice of the pool."""

    def __init__(self, path, layer, size):
        self.head = hashlib.sha256(b"%d %s" % (layer, path.encode())).digest()
        self.at = int.from_bytes(self.head[:3], "little") % len(POOL)
        self.size = size
        self.left = size

    def read(self, n):
        n = min(n, self.left)
        out = b""
        while len(out) < n:
            pos = self.size - self.left + len(out)
            if pos < len(self.head):
                out += self.head[pos:n]
                continue
            start = (self.at + pos) % len(POOL)
            out += POOL[start:start + n - len(out)]
        self.left -= n
        return out[:n]


def sizes(rng):
    """Like a root file system's: most small, most bytes in few."""
    left = BYTES
    for _ in range(FILES):
        kind = rng.random()
        size = int(rng.expovariate(1 / 4000) if kind < 0.7 else
                   rng.expovariate(1 / 60000) if kind < 0.97 else
                   rng.expovariate(1 / (2 << 20)))
        size = min(size, left)
        left -= size
        yield size
    yield left


class Model:
    """{path: (layer, path of content, size)}; directories are implied."""

    def __init__(self):
        self.files = {}

    def add(self, path, layer, size):
        self.files[path] = (layer, path, size)

    def link(self, path, target):
        self.files[path] = self.files[target]

    def remove(self, prefix):
        for path in [p for p in self.files if p == prefix
                     or p.startswith(prefix + "/")]:
            del self.files[path]


def info(path, size=0, **fields):
    member = tarfile.TarInfo(path)
    member.size, member.mtime, member.mode = size, 1600000000, 0o644
    for key, value in fields.items():
        setattr(member, key, value)
    return member


def write_layer(out, layer, model):
    rng = random.Random(layer)
    below = sorted(model.files)
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as tar:
        if layer:
            for path in rng.sample(below, 300):
                where, name = os.path.split(path)
                tar.addfile(info(where + "/.wh." + name))
                model.remove(path)
            tar.addfile(info("usr/d%d/.wh..wh..opq" % layer))
            model.remove("usr/d%d" % layer)
        for i, size in enumerate(sizes(rng)):
            path = "usr/d%d/%02x/file-%d" % (rng.randrange(12), i % 97, i)
            if rng.random() < 0.8:
                path = "layer%d/" % layer + path
            tar.addfile(info(path, size), Content(path, layer, size))
            model.add(path, layer, size)
            if i % 50 == 0:
                tar.addfile(info(path + ".ln", type=tarfile.LNKTYPE,
                                 linkname=path))
                model.link(path + ".ln", path)


class Big:
    def __init__(self, work):
        self.model = Model()
        self.work = work
        self.tars = []
        for layer in range(LAYERS):
            path = os.path.join(work, "%d.tar" % layer)
            write_layer(path, layer, self.model)
            self.tars.append(path)
        self.ids = [oci.sha_of(t) for t in self.tars]
        self.config = oci.config_of(self.ids)

    def docker(self, path):
        files = {"%s.json" % oci.sha(self.config): self.config}
        names = ["%s/layer.tar" % i for i in self.ids]
        files["manifest.json"] = json.dumps([{
            "Config": next(iter(files)), "Layers": names,
            "RepoTags": ["big:1"]}]).encode()
        with tarfile.open(path, "w") as tar:
            for name, source in zip(names, self.tars):
                with open(source, "rb") as f:
                    tar.addfile(info(name, os.path.getsize(source)), f)
            for name, data in files.items():
                tar.addfile(info(name, len(data)), io.BytesIO(
                    data))
        return path


@pytest.fixture(scope="module")
def big(session_dir):
    work = os.path.join(session_dir, "big")
    os.mkdir(work)
    yield Big(work)
    shutil.rmtree(work)


def check(model, where):
    """Every name, every byte."""
    seen = set()
    for root, _, names in os.walk(where):
        for name in names:
            path = os.path.join(root, name)
            short = os.path.relpath(path, where)
            seen.add(short)
            layer, source, size = model.files[short]
            want = Content(source, layer, size)
            assert os.path.getsize(path) == size, short
            with open(path, "rb", buffering=0) as f:
                while piece := f.read(4 << 20):
                    assert piece == want.read(len(piece)), short
    assert seen == set(model.files)


@contextlib.contextmanager
def mounted(tarfs, out):
    where = out + ".mnt"
    os.mkdir(where)
    tarfs.ok("mount", "--quiet", out, where)
    try:
        yield where
    finally:
        tarfs.ok("umount", "--quiet", where)
        assert not os.path.ismount(where)
        os.rmdir(where)


def convert(tarfs, big, source, name, stdin=None):
    """Converted, verified, mounted and read; what convert took of memory."""
    out = os.path.join(big.work, name + "-out")
    done = measure.run(tarfs.argv(["convert", "--quiet", source,
                                   "-o", out]), stdin=stdin)
    assert done.code == 0, done.err
    tarfs.ok("verify", "--quiet", out)
    with mounted(tarfs, out) as where:
        check(big.model, where)
    record = json.loads(open(out + "/image.json", encoding="utf-8").read())
    assert [x["diff_id"] for x in record["layers"]] == [
        "sha256:" + i for i in big.ids]
    shutil.rmtree(out)
    return done.peak


def test_docker_archive(tarfs, big, mounter):
    """Plain: indexed where it lies, within the memory that was promised."""
    source = big.docker(os.path.join(big.work, "docker.tar"))
    assert os.path.getsize(source) > 3 << 30
    try:
        peak = convert(tarfs, big, source, "docker")
        assert peak < (64 << 20) + 400 * LAYERS * FILES
        with open(source, "rb") as f:
            convert(tarfs, big, "-", "pipe", stdin=f)
    finally:
        os.unlink(source)


@pytest.mark.parametrize("packer,suffix", [(["gzip", "-1c"], "+gzip"),
                                           (["zstd", "-q1c"], "+zstd")],
                         ids=["gzip", "zstd"])
def test_oci_layout(tarfs, big, mounter, packer, suffix):
    source = oci.large_layout(os.path.join(big.work, "layout" + suffix),
                              big.tars, packer, suffix)
    try:
        convert(tarfs, big, source, "layout")
    finally:
        shutil.rmtree(source)
