# SPDX-License-Identifier: Apache-2.0
"""mkfs.erofs with archives and images: what it takes, prints and leaves."""

import json
import os
import subprocess

import pytest

from lib import tars
from lib.image import Superblock

OPTIONS = """--tar --ungzip --gzip --unxz --unlzma --aufs --ovlfs-strip --sort
--clean --chunksize --blobdev""".split()


@pytest.fixture
def tar(work):
    return tars.write(os.path.join(work, "a.tar"),
                      tars.member("one", b"1" * 700),
                      tars.member("two", b"2" * 5000),
                      tars.header("again", b"1", link="one"))


@pytest.fixture
def img(work):
    return os.path.join(work, "out.img")


def report(mkfs, *args, **more):
    return json.loads(mkfs.ok("--json", *args, **more).out)


def test_help_and_man_name_the_options(mkfs):
    for flag in ("--help", "--help-man"):
        text = mkfs.ok(flag).text.replace("\\-", "-")
        assert not [o for o in OPTIONS if o not in text], flag


def test_counts_of_an_index(mkfs, tar, img):
    r = report(mkfs, "--tar=i", img, tar)
    assert r["files"] == 2 and r["inodes"] == 3
    assert r["block_size"] == 512 and r["devices"] == 1
    assert r["copied_files"] == r["copied_bytes"] == r["blob_bytes"] == 0
    assert r["source"] == tar and r["sources"] == [tar]
    assert r["bytes_out"] == os.path.getsize(img) == r["blocks"] * 512
    with open(tar, "rb") as stdin:
        r = report(mkfs, "--tar=i", img, stdin=stdin)
    assert r["source"] is None and r["sources"] == []


def test_larger_blocks_copy(mkfs, tar, img):
    r = report(mkfs, "--tar=i", "-b4096", img, tar)
    assert r["block_size"] == 4096
    assert r["copied_files"] == 2 and r["copied_bytes"] == 5700


def test_text_tells_devices_and_copies(mkfs, tar, img):
    text = mkfs.ok("--tar=i", "-b4096", img, tar).text
    assert "Devices that it needs when mounted: 1\n" in text
    assert "Copied into the index: 2 files, 5700 bytes\n" in text
    text = mkfs.ok("--tar=f", img, tar).text
    assert "Devices" not in text and "Copied" not in text


def test_dash_is_standard_input(mkfs, tar, img):
    with open(tar, "rb") as stdin:
        assert report(mkfs, "--tar", img, "-", stdin=stdin)["files"] == 2


def test_input_goes_on_where_it_stands(mkfs, work, tar, img):
    both = os.path.join(work, "both")
    with open(both, "wb") as out, open(tar, "rb") as data:
        out.write(b"something else" + data.read())
    for mode in "fi":
        with open(both, "rb", buffering=0) as stdin:
            stdin.read(14)
            assert report(mkfs, "--tar=" + mode, img,
                          stdin=stdin)["files"] == 2


def test_a_stream_needs_no_tmpdir(mkfs, work, tar, img):
    cat = subprocess.Popen(["cat", tar], stdout=subprocess.PIPE)
    mkfs.ok("--tar=f", img, stdin=cat.stdout,
            env={"TMPDIR": os.path.join(work, "nowhere")})
    cat.stdout.close()
    assert cat.wait() == 0
    assert sorted(os.listdir(work)) == ["a.tar", "out.img"]


def test_an_index_of_a_pipe_needs_no_room(mkfs, work, img):
    """Nothing of the data is kept, so its size does not matter."""
    size = 1 << 30
    maker = subprocess.Popen(
        ["/usr/bin/python3", "-c",
         "import sys; o = sys.stdout.buffer; o.write(%r)\n"
         "for _ in range(%d): o.write(bytes(1 << 20))\n"
         "o.write(bytes(1024))" % (tars.header("big", size=size),
                                   size >> 20)], stdout=subprocess.PIPE)
    r = report(mkfs, "--tar=i", img, stdin=maker.stdout)
    maker.stdout.close()
    assert maker.wait() == 0
    assert r["bytes_in"] == size and os.path.getsize(img) <= 4096


def test_what_is_left_out_is_told(mkfs, work, img):
    tar = tars.write(os.path.join(work, "a.tar"),
                     tars.header("strange", b"Q"), tars.member("file", b"x"))
    done = mkfs.ok("--tar=f", img, tar)
    assert "1 members of an unknown type" in done.errors
    assert mkfs.ok("--tar=f", "--quiet", img, tar).err == b""
    tar = tars.write(os.path.join(work, "b.tar"), tars.member("file", b"x"),
                     end=tars.END + b"trailing" * 64)
    assert "after the end" in mkfs.ok("--tar=f", img, tar).errors


def test_options_that_mean_nothing_are_told(mkfs, work, tar, img):
    src = os.path.join(work, "src")
    os.mkdir(src)
    assert "--aufs" in mkfs.ok("--aufs", img, src).errors
    assert "--ovlfs-strip" in mkfs.ok("--ovlfs-strip", img, src).errors
    done = mkfs.ok("--tar", "--exclude-path=one", img, tar)
    assert "--exclude-path" in done.errors


@pytest.mark.parametrize("args", [
    ["--tar", "out.img", "a.tar", "b.tar"], ["--tar"],
    ["--tar=i", "--chunksize=4096", "out.img", "a.tar"],
    ["--tar=i", "--clean=data", "out.img", "a.tar"],
    ["--tar=i", "-Eforce-inode-blockmap", "out.img", "a.tar"],
    ["--blobdev=b", "out.img", "."], ["out.img", "a.tar"],
    ["out.img", "a.tar", "."], ["--tar", "out.img", "nowhere.tar"],
    ["--tar", "out.img", "."]])
def test_wrong_ways(mkfs, work, tar, args):
    mkfs.fails(*args, code=1, cwd=work)
    assert os.listdir(work) == ["a.tar"]


def test_one_wrong_file_gets_a_hint(mkfs, tar, img):
    assert "--tar" in mkfs.fails(img, tar, code=1).errors


def test_blocks_of_layers_decide(mkfs, work, tar, img):
    index, plain = (os.path.join(work, n) for n in ("i.img", "p.img"))
    mkfs.ok("--tar=i", index, tar)
    mkfs.ok("--tar=f", plain, tar)
    mkfs.ok(img, plain)
    assert Superblock(img).bs == 4096
    mkfs.ok(img, plain, index)
    assert Superblock(img).bs == 512


def test_the_device_of_an_image_is_known_by_its_uuid(mkfs, dump, work, tar,
                                                      img):
    plain = os.path.join(work, "p.img")
    uuid = "01234567-89ab-cdef-0123-456789abcdef"
    mkfs.ok("--tar=f", "-Enoinline_data", "-U", uuid, plain, tar)
    mkfs.ok(img, plain)
    with open(img, "rb") as f:
        assert uuid.replace("-", "").encode() in f.read()
