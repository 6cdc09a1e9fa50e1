# SPDX-License-Identifier: Apache-2.0
"""--share: what images that have layers together find of each other."""

import fcntl
import json
import os
import shutil
import subprocess
import time

import pytest

from lib import leaves, oci, tars
from lib.content import noise, text
from lib.run import environment
from test_tarfs_convert import A, B, C, extracted, listing, record

BITS = ("blobs", "leaves", "indexes")


def shared(where, *bits):
    return sorted(n for bit in bits or BITS
                  for n in os.listdir(os.path.join(where, bit)))


def convert(tarfs, common, source, out, *more):
    tarfs.ok("convert", "--quiet", "--share=" + common, *more, source, "-o",
             out)
    return record(out)


def layout(work, name, layers, packed="gzip"):
    return oci.directory(os.path.join(work, name),
                         oci.oci(oci.Image(layers, packed)))


def contents(path):
    with open(path, "rb") as f:
        return f.read()


def indexes(out):
    """The bytes of each layer's index, wherever it is."""
    return [contents(os.path.join(out, x["index"]))
            for x in record(out)["layers"]]


@pytest.mark.parametrize("packed", ["gzip", "zstd"])
def test_layers_shared_by_images(tarfs, fsck, work, packed):
    """The second image that has a layer finds it: the layout need not even
    have its bytes right, since nobody reads them again."""
    common = work + "/common"
    first = oci.directory(work + "/1", oci.oci(oci.Image([A, B], packed)))
    second = oci.directory(work + "/2", oci.oci(oci.Image([A, C, A], packed)))
    argv = ["convert", "--quiet", "--share=" + common]
    tarfs.ok(*argv, first, "-o", work + "/o1")
    names = [oci.digest(t).replace(":", "-") for t in (A, B)]
    assert shared(common, "blobs", "leaves") == sorted(
        names + [n + ".tar" for n in names])
    assert len(shared(common, "indexes")) == 4
    blob = oci.PACKERS[packed](A)
    oci.write(second + "/" + oci.blob_path(oci.digest(blob)),
              blob[:100] + bytes(len(blob) - 100))
    tarfs.ok(*argv, second, "-o", work + "/o2")
    layers = record(work + "/o2")["layers"]
    assert [x["checked"] for x in layers] == [False, True, False]
    assert [len(shared(common, bit)) for bit in BITS] == [3, 3, 6]
    for out, want in (("/o1", {"etc/one": b"one\n", "etc/two": b"two\n"}),
                      ("/o2", {"etc/one": b"one\n", "big": text(200000),
                               "c": noise(70000, 3)})):
        tarfs.ok("verify", "--quiet", work + out)
        assert extracted(fsck, work + out) == want
        assert not os.path.exists(work + out + "/blobs")
        for device in record(work + out)["devices"]:
            assert device["path"].startswith(os.path.realpath(common))
            assert device["leaves"]["root"]
    # Who asks gets the layout's own bytes looked at.
    tarfs.fails(*argv, "--check-digests", second, "-o", work + "/o3", code=1)


def test_shared_at_the_same_time(tarfs, work):
    source = oci.directory(work + "/l", oci.oci(oci.Image([A, B, C], "gzip")))
    runs = [subprocess.Popen(tarfs.argv(
        ["convert", "--quiet", "--share=" + work + "/common", source, "-o",
         work + "/o%d" % i]), env=environment()) for i in range(4)]
    assert [r.wait() for r in runs] == [0] * 4
    assert [len(shared(work + "/common", bit)) for bit in BITS] == [3, 3, 6]
    records = [record(work + "/o%d" % i) for i in range(4)]
    for r in records:
        for x in r["layers"]:
            del x["checked"]  # by whom
    assert len({json.dumps(r) for r in records}) == 1
    tarfs.ok("verify", "--quiet", work + "/o3")


def test_what_is_shared_is_whole(tarfs, work):
    """A wrong layer is not left there, nor is half of one taken."""
    common = work + "/common"
    argv = ["convert", "--quiet", "--share=" + common]
    good = oci.Image([A, C], "gzip")
    bad = oci.directory(work + "/bad", oci.oci(good))
    blob = oci.PACKERS["gzip"](C)
    oci.write(bad + "/" + oci.blob_path(oci.digest(blob)),
              blob[:-9] + bytes(9))
    tarfs.fails(*argv, bad, "-o", work + "/o1", code=1)
    assert not [n for n in shared(common) if oci.sha(C) in n]
    assert not [n for n in shared(common) if n.startswith(".")]
    source = oci.directory(work + "/good", oci.oci(good))
    tarfs.ok(*argv, source, "-o", work + "/o2")
    path = record(work + "/o2")["devices"][0]["path"]
    os.truncate(path, os.path.getsize(path) - 512)
    result = tarfs.fails(*argv, source, "-o", work + "/o3", code=1)
    assert path in result.errors
    os.unlink(path)
    tarfs.fails(*argv, source, "-o", work + "/o3", code=1)
    for option in ("--format=erofs", "--leaf-digests=0"):
        tarfs.fails(*argv, option, source, "-o", work + "/o3", code=16)


@pytest.mark.parametrize("option", ["--check-digests", "--leaf-digests"])
@pytest.mark.parametrize("what", ["blobs", "leaves"])
def test_who_asks_gets_the_shared_tar_looked_at(tarfs, work, option, what):
    """It is what is mounted, whatever the layout's own layer is."""
    common = work + "/common"
    source = layout(work, "l", [A, C])
    convert(tarfs, common, source, work + "/o1")
    again = convert(tarfs, common, source, work + "/o2", option)
    assert [x["checked"] for x in again["layers"]] == [True, True]
    path = os.path.join(common, what, "sha256-" + oci.sha(C) +
                        (".tar" if what == "blobs" else ""))
    data = bytearray(contents(path))
    if what == "blobs":
        data[1024] ^= 1
    else:
        data = leaves.table(bytes(len(C)))
    oci.write(path, bytes(data))
    again = convert(tarfs, common, source, work + "/o3")
    assert [x["checked"] for x in again["layers"]] == [False, False]
    result = tarfs.fails("convert", "--quiet", "--share=" + common, option,
                         source, "-o", work + "/o4", code=1)
    assert "sha256-" + oci.sha(C) in result.errors
    assert "damaged" in result.errors


def test_what_is_not_read_is_not_called_checked(tarfs, work):
    """Nor when the layout has it once more, in other bytes."""
    common = work + "/common"
    source = layout(work, "l", [A], "gzip")
    convert(tarfs, common, source, work + "/o1")
    source = layout(work, "l2", [A, C, A], ["gzip", "gzip", "zstd"])
    again = convert(tarfs, common, source, work + "/o2")
    assert [x["checked"] for x in again["layers"]] == [False, True, False]
    again = convert(tarfs, common, source, work + "/o3", "--check-digests")
    assert [x["checked"] for x in again["layers"]] == [True] * 3


def test_a_table_that_is_too_long(tarfs, work):
    common = work + "/common"
    source = layout(work, "l", [A])
    convert(tarfs, common, source, work + "/o1")
    path = common + "/leaves/sha256-" + oci.sha(A)
    os.truncate(path, 3 << 30)
    result = tarfs.fails("convert", "--quiet", "--share=" + common, source,
                         "-o", work + "/o2", code=1)
    assert path in result.errors
    assert "too long for leaf digests" in result.errors


@pytest.fixture(scope="module")
def odd():
    """A layer with all that an index must keep for the merge."""
    xattr = tars.tarfile.TarInfo()
    xattr.pax_headers = {"SCHILY.xattr.user.a": "b", "mtime": "1600000000.25"}
    device = tars.tarfile.TarInfo()
    device.type, device.devmajor, device.devminor = b"3", 1, 3
    holes = tars.sparse("holes", 90000, [(700, 100), (70000, 1000)],
                        noise(1100))
    return oci.tar_of([
        ("etc", None), ("etc/.wh..wh..opq", b""), (".wh.c", b""),
        ("etc/new", noise(3000)), ("again", oci.link("etc/new", b"1")),
        ("link", oci.link("etc/new")), ("x", xattr), ("null", device),
        ("empty", b"")])[:-10240] + holes + tars.END


@pytest.fixture(scope="module")
def layers(odd):
    return [A, C, odd, tars.END, B, A]


@pytest.mark.parametrize("times", [(), ("-T", "1500000000")])
def test_bytes_do_not_depend_on_it(tarfs, fsck, work, layers, times):
    source = layout(work, "l", layers)
    common, plain = work + "/common", work + "/plain"
    tarfs.ok("convert", "--quiet", *times, source, "-o", plain)
    want = record(plain)
    assert [x["copied_files"] for x in want["layers"]] == [0, 0, 1, 0, 0, 0]
    for i in range(3):
        out = work + "/o%d" % i
        got = convert(tarfs, common, source, out, *times)
        assert indexes(out) == indexes(plain)
        assert contents(out + "/merged.erofs") == \
            contents(plain + "/merged.erofs")
        assert got["merged"] == want["merged"]
        for x, y in zip(got["layers"], want["layers"]):
            assert x.pop("index").startswith(os.path.realpath(common))
            for record_of in (x, y):
                record_of.pop("index", None)
                record_of.pop("checked", None)
            assert x == y
        assert not os.path.exists(out + "/layers")
        tarfs.ok("verify", "--quiet", out)
    assert extracted(fsck, work + "/o2") == extracted(fsck, plain)


def test_a_shared_layer_is_indexed_once(tarfs, work):
    """The tar in DIR has no byte of the layer any more when the second image
    comes: it could not be indexed again."""
    common = work + "/common"
    one = convert(tarfs, common, layout(work, "1", [A, B]), work + "/o1")
    base = one["layers"][0]["index"]
    before = os.stat(base)
    tar = one["devices"][0]["path"]
    length = os.path.getsize(tar)
    os.truncate(tar, 0)
    os.truncate(tar, length)
    two = layout(work, "2", [A, C])
    got = convert(tarfs, common, two, work + "/o2")
    assert got["layers"][0] == dict(one["layers"][0], checked=False)
    after = os.stat(base)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino,
                                                 before.st_mtime_ns)
    tarfs.ok("convert", "--quiet", two, "-o", work + "/plain")
    assert contents(work + "/o2/merged.erofs") == \
        contents(work + "/plain/merged.erofs")
    assert len(shared(common, "indexes")) == 6
    # Nothing else but the seal says so.
    os.unlink(base.replace(".erofs", ".seal"))
    got = convert(tarfs, common, two, work + "/o3")
    assert got["layers"][0]["inodes"] == 1


def test_other_options_other_index(tarfs, work):
    common = work + "/common"
    source = layout(work, "l", [A, B])
    made = []
    for more in ((), ("-T", "1"), ("-T", "2"), ("-U", "clear"), ("-T", "1")):
        got = convert(tarfs, common, source, work + "/o", "--force", *more)
        made.append(got["layers"][0]["index"])
    assert len(set(made)) == 3
    assert made[0] == made[3] and made[1] == made[4]
    for where in made:
        assert oci.sha(A) in where


def flip(path):
    with open(path, "r+b") as f:
        f.seek(2000)
        byte = f.read(1)
        f.seek(2000)
        f.write(bytes([byte[0] ^ 1]))


def cut(path):
    os.truncate(path, os.path.getsize(path) - 512)


def grown(path):
    with open(path, "ab") as f:
        f.write(bytes(512))


def seal(change):
    return lambda path: change(path.replace(".erofs", ".seal"))


def halve(path):
    os.truncate(path, os.path.getsize(path) // 2)


def inodes(path):
    """A seal with a number that nobody writes so."""
    text = contents(path).replace(b"inodes ", b"inodes 0")
    oci.write(path, text)


DAMAGE = {"flip": flip, "cut": cut, "grown": grown, "none": os.unlink,
          "empty": lambda path: os.truncate(path, 0),
          "foreign": lambda path: shutil.copy(__file__, path),
          "seal-half": seal(halve), "seal-none": seal(os.unlink),
          "seal-foreign": seal(lambda path: shutil.copy(__file__, path)),
          "seal-odd": seal(inodes),
          "seal-empty": seal(lambda path: os.truncate(path, 0))}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_index_is_made_anew(tarfs, work, how):
    common = work + "/common"
    source = layout(work, "l", [A, B])
    path = convert(tarfs, common, source, work + "/o1")["layers"][0]["index"]
    want = listing(common + "/indexes")
    DAMAGE[how](path)
    assert listing(common + "/indexes") != want
    # What a convert that was killed leaves.
    oci.write(os.path.dirname(path) + "/.sha256-x.erofs.AbCdEf", b"left")
    convert(tarfs, common, source, work + "/o2")
    assert listing(common + "/indexes") == want
    assert contents(work + "/o1/merged.erofs") == \
        contents(work + "/o2/merged.erofs")


@pytest.mark.parametrize("end", [".erofs", ".seal"])
@pytest.mark.parametrize("what", ["directory", "symlink", "fifo"])
def test_what_is_no_file_is_refused(tarfs, work, what, end):
    common = work + "/common"
    source = layout(work, "l", [A])
    path = convert(tarfs, common, source, work + "/o1")["layers"][0]["index"]
    path = path.replace(".erofs", end)
    os.rename(path, work + "/else")
    if what == "directory":
        os.mkdir(path)
    elif what == "symlink":
        os.symlink(work + "/else", path)
    else:
        os.mkfifo(path)
    before = contents(work + "/else")
    result = tarfs.fails("convert", "--quiet", "--share=" + common, source,
                         "-o", work + "/o2", code=1)
    assert path + ": is not a file" in result.errors
    assert not os.path.exists(work + "/o2")
    assert contents(work + "/else") == before


def test_layers_that_nobody_read_have_none(tarfs, work):
    """A wrong diff id must not give others a wrong index."""
    common = work + "/common"
    source = layout(work, "l", [A, B], None)
    got = convert(tarfs, common, source, work + "/o1")
    assert shared(common) == []
    assert got["layers"][0]["index"].startswith("layers/")
    checked = convert(tarfs, common, source, work + "/o2", "--check-digests")
    assert len(shared(common)) == 4
    assert indexes(work + "/o2") == indexes(work + "/o1")
    # Of the same bytes from the start of a file as a compressed one's.
    packed = convert(tarfs, common, layout(work, "p", [A]), work + "/o3")
    assert packed["layers"][0]["index"] == checked["layers"][0]["index"]
    # Whoever has not looked at his layer does not take it either.
    again = convert(tarfs, common, source, work + "/o4")
    assert again["layers"][0]["index"].startswith("layers/")


def waits(process):
    """Whether it waits for a flock."""
    with open("/proc/locks") as lines:
        return any("->" in line and " %d " % process.pid in line
                   for line in lines)


def test_who_waited_makes_no_second_one(tarfs, work):
    source = layout(work, "l", [A])
    donor, common = work + "/donor", work + "/common"
    convert(tarfs, donor, source, work + "/o0")
    os.makedirs(common + "/indexes")
    lock = os.open(common + "/indexes", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    runs = [tarfs.start("convert", "--quiet", "--share=" + common, source,
                        "-o", work + "/o%d" % i) for i in (1, 2, 3)]
    end = time.monotonic() + 60
    while not all(waits(r) for r in runs) and time.monotonic() < end:
        assert all(r.poll() is None for r in runs)
        time.sleep(0.01)
    for name in os.listdir(donor + "/indexes"):
        os.link(donor + "/indexes/" + name, common + "/indexes/" + name)
    os.close(lock)
    for r in runs:
        assert r.communicate(timeout=120)[1] == b"" and r.returncode == 0
    for name in os.listdir(donor + "/indexes"):
        assert os.path.samefile(donor + "/indexes/" + name,
                                common + "/indexes/" + name)
    for i in (1, 2, 3):
        tarfs.ok("verify", "--quiet", work + "/o%d" % i)


def test_a_failing_convert_leaves_no_half_index(tarfs, work):
    """A layer of right digest whose tar cannot be indexed."""
    common = work + "/common"
    bad = oci.tar_of([("../out", b"x")])
    source = layout(work, "l", [A, bad])
    result = tarfs.fails("convert", "--quiet", "--share=" + common, source,
                         "-o", work + "/o", code=1)
    assert result.errors.count("layer 1") == 1
    names = shared(common, "indexes")
    assert len(names) == 2 and all(oci.sha(A) in n for n in names)


def test_members_left_out_are_told_again(tarfs, work):
    common = work + "/common"
    tar = tars.header("strange", b"Q") + tars.member("f", b"x") + tars.END
    source = layout(work, "l", [tar])
    told = [tarfs.ok("convert", "--share=" + common, source, "-o",
                     work + "/o%d" % i).errors for i in range(2)]
    assert "1 members of unknown type" in told[0]
    assert told[0] == told[1]


def test_out_is_not_shared(tarfs, work):
    source = layout(work, "l", [A])
    os.mkdir(work + "/o")
    result = tarfs.fails("convert", "--quiet", "--share=" + work + "/./o",
                         source, "-o", work + "/o", code=1)
    assert "--share" in result.errors
    assert os.listdir(work + "/o") == []


def test_a_layer_at_another_place_of_its_file(tarfs, work):
    """Archives of one length, and layers in them that have changed places."""
    common = work + "/common"
    at = []
    for i, layers in enumerate(([A, B], [B, A])):
        source = oci.archive(work + "/%d.tar" % i,
                             oci.docker([oci.Image(layers)]))
        out, plain = work + "/o%d" % i, work + "/plain%d" % i
        convert(tarfs, common, source, out, "--check-digests")
        tarfs.ok("convert", "--quiet", source, "-o", plain)
        assert indexes(out) == indexes(plain)
        tarfs.ok("verify", "--quiet", out)
        at.append([(d["bytes"], d["offset"]) for d in record(out)["devices"]])
    assert at[0][0][0] == at[1][0][0] and at[0][0] != at[1][1]
