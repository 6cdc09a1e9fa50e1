# SPDX-License-Identifier: Apache-2.0
"""Images of erofs-utils 1.9.3 read back by our programs as the manifests
say; each with all layouts that version can make."""

import hashlib
import json
import os
import subprocess

import pytest

from lib import manifest, oracle

IMAGES = """plain plain-b512 plain-xattrprefix lz4 lz4-legacy lz4hc-64k
lz4-tail lz4hc-frag lz4hc-allfrag-dedupe lzma deflate zstd multi-algo chunk4k
blobdev e48bit e48-lz4-extents metabox dotomitted tar-i""".split()
IMAGES2 = """lz4-dedupe zstd-tail legacy-tail lz4-frag-interlaced
metabox-chunk b2048-zstd l1 l2 merged2dev""".split()
DEVICES = {
    "images/blobdev": ["images/blobdev.blob"],
    "images/tar-i": ["images/tree.tar"],
    "images2/l1": ["images2/tree.tar"],
    "images2/l2": ["images2/upper.tar"],
    "images2/merged2dev": ["images2/tree.tar", "images2/upper.tar"],
}
ALL = (["images/" + name for name in IMAGES]
       + ["images2/" + name for name in IMAGES2])
# The upper layer alone holds another tree than the manifest's.
WHOLE = [name for name in ALL if name != "images2/l2"]


class Fixture:
    def __init__(self, where, shared, name):
        self.image = os.path.join(where, name + ".erofs")
        self.devices = [os.path.join(where, device)
                        for device in DEVICES.get(name, ())]
        self.options = ["--device=" + path for path in self.devices]
        text = ("merged2dev" if name.endswith("merged2dev")
                else "tree") + ".manifest.jsonl"
        self.want = manifest.load(os.path.join(
            shared, "fixtures", os.path.dirname(name), text))


@pytest.fixture
def fixture(request, fixtures_dir, shared):
    return Fixture(fixtures_dir, shared, request.param)


def compare(want, where, image=True):
    got = oracle.normal(oracle.walk(where), image=image)
    oracle.assert_same(want, manifest.restrict(got, want))


@pytest.mark.parametrize("fixture", WHOLE, indirect=True)
def test_fsck_finds_nothing(fsck, fixture):
    result = fsck.ok(*fixture.options, fixture.image)
    assert "contents not authenticated" in result.text + result.errors


@pytest.mark.parametrize("fixture", WHOLE, indirect=True)
def test_fsck_extracts(fsck, memory, fixture):
    where = os.path.join(memory, "extract-" + os.path.basename(fixture.image))
    fsck.ok("--extract=" + where, *fixture.options, fixture.image)
    compare(fixture.want, where, image=False)


@pytest.mark.parametrize("fixture", WHOLE, indirect=True)
def test_dump_reads(dump, fixture):
    """Some files of each kind, by --cat and by --json."""
    paths = sorted(fixture.want)
    kinds = {}
    for path in paths:
        kinds.setdefault((fixture.want[path]["type"],
                          path.split(b"/")[0]), []).append(path)
    for group in kinds.values():
        for path in group[:12:2]:
            check_path(dump, fixture, path)


def check_path(dump, fixture, path):
    want = fixture.want[path]
    options = fixture.options + [b"--path=/" + path, fixture.image]
    got = json.loads(dump.ok("--json", *options).text)["inode"]
    assert got["mode"] & 0o7777 == want["mode"], path
    assert (got["uid"], got["gid"]) == (want["uid"], want["gid"]), path
    assert got["mtime"] * 10**9 + got["mtime_nsec"] == want["mtime"], path
    xattrs = {os.fsencode(x["name"]): bytes.fromhex(x["value"])
              for x in got["xattrs"]}
    assert xattrs == want["xattrs"], path
    if want["type"] == "file":
        data = dump.ok("--cat", *options).out
        assert hashlib.sha256(data).hexdigest() == want["sha256"], path
    elif want["type"] == "symlink":
        assert os.fsencode(got["target"]) == want["target"], path
    elif "rdev" in want:
        assert tuple(got["rdev"]) == want["rdev"], path


@pytest.mark.parametrize("name", ALL)
def test_dump_statistics(dump, fixtures_dir, name):
    image = os.path.join(fixtures_dir, name + ".erofs")
    devices = ["--device=" + os.path.join(fixtures_dir, device)
               for device in DEVICES.get(name, ())]
    dump.ok("-S", *devices, image)
    json.loads(dump.ok("--json", "-s", "-S", *devices, image).text)


@pytest.mark.parametrize("fixture", WHOLE, indirect=True)
def test_the_kernel_agrees(mounter, fixture):
    """The oracle itself is tested here: kernel and manifest are one."""
    options = ",".join("device=" + path for path in fixture.devices)
    with mounter.mounted(fixture.image, options=options or None) as where:
        compare(fixture.want, where)


@pytest.mark.parametrize("name", ["images", "images2"])
def test_source_of_the_fixtures(mkfs, mounter, fixtures_dir, shared, memory,
                                work, name):
    """The same tree through our mkfs reads back as the same manifest."""
    path = os.path.join(memory, "source-" + name)
    os.mkdir(path)
    subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "--acls",
                    "--same-owner", "-xpf",
                    os.path.join(fixtures_dir, name, "tree.tar"), "-C", path],
                   check=True, stderr=subprocess.PIPE)
    want = manifest.load(os.path.join(shared, "fixtures", name,
                                      "tree.manifest.jsonl"))
    source = manifest.restrict(oracle.normal(oracle.walk(path)), want)
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "-zlz4hc", "-C65536", image, path)
    with mounter.mounted(image) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(source, manifest.restrict(got, want))
