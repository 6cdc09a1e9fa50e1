# SPDX-License-Identifier: Apache-2.0
"""Archives become images that the kernel shows as tar would extract them."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from lib import oracle, tars
from lib.content import noise, text
from lib.run import kill_when

GIB = 1 << 30
MODES = ("f", "i")


@pytest.fixture(scope="module")
def plain(memory):
    return tars.plain_tree(os.path.join(memory, "tar-plain"))


def make(mkfs, work, tar, mode, *options, **more):
    image = os.path.join(work, "%s.img" % mode)
    mkfs.ok("--tar=%s" % mode, "--quiet", *options, image, tar, **more)
    return image


def shown(mounter, image, *devices):
    options = ",".join("device=" + d for d in devices)
    with mounter.mounted(image, options=options or None) as where:
        return oracle.normal(oracle.walk(where), image=True)


def check(mkfs, mounter, fsck, memory, work, tar):
    """Both kinds of image against what GNU tar extracts."""
    want = tars.extracted(tar, os.path.join(memory, "extracted"))
    full = make(mkfs, work, tar, "f")
    oracle.assert_same(want, shown(mounter, full))
    fsck.ok(full)
    index = make(mkfs, work, tar, "i")
    oracle.assert_same(want, shown(mounter, index, tar))
    fsck.ok("--device=" + tar, index)
    return index


@pytest.mark.parametrize("form", ["v7", "ustar", "oldgnu", "gnu", "pax"])
def test_gnu_tar(mkfs, mounter, fsck, memory, work, plain, form):
    tar = tars.gnu(plain, os.path.join(work, "a.tar"), *(
        ["--no-xattrs"] if form != "pax" else []), "--format=" + form,
        *(["--exclude=fifo", "--exclude=null"] if form == "v7" else []))
    check(mkfs, mounter, fsck, memory, work, tar)


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_gnu_tar_of_all_edges(mkfs, mounter, fsck, memory, work, edges, form):
    """Names, times, ids, links, holes, attributes: as far as tar has them."""
    extra = ["--no-xattrs"] if form == "gnu" else ["--sparse"]
    tar = tars.gnu(edges.path, os.path.join(work, "a.tar"),
                   "--format=" + form, *extra)
    check(mkfs, mounter, fsck, memory, work, tar)


@pytest.mark.parametrize("form", ["ustar", "gnu", "pax"])
def test_python_tarfile(mkfs, mounter, fsck, memory, work, plain, form):
    tar = tars.python(plain, os.path.join(work, "a.tar"), form)
    check(mkfs, mounter, fsck, memory, work, tar)


@pytest.mark.parametrize("form", ["ustar", "pax", "gnutar", "v7"])
def test_bsdtar(mkfs, mounter, fsck, memory, work, plain, form):
    if not shutil.which("bsdtar"):
        pytest.skip("no bsdtar")
    tar = os.path.join(work, "a.tar")
    tars.run("bsdtar", "--format=" + form, "--numeric-owner", "-C", plain,
             "-cf", tar, ".")
    check(mkfs, mounter, fsck, memory, work, tar)


def test_busybox(mkfs, mounter, fsck, memory, work, plain):
    if not shutil.which("busybox"):
        pytest.skip("no busybox")
    tar = os.path.join(work, "a.tar")
    tars.run("busybox", "tar", "-C", plain, "-cf", tar, ".")
    check(mkfs, mounter, fsck, memory, work, tar)


def sparse_tree(root):
    os.mkdir(root)
    with open(os.path.join(root, "sparse"), "wb") as out:
        for at, data in ((0, noise(4096)), (1 << 20, noise(8192)),
                         (3 << 20, text(4096))):
            out.seek(at)
            out.write(data)
        out.truncate(5 << 20)
    with open(os.path.join(root, "all-hole"), "wb") as out:
        out.truncate(1 << 20)
    with open(os.path.join(root, "many"), "wb") as out:
        for i in range(40):
            out.seek(i * 65536 + 4096)
            out.write(noise(4096))
    tars.set_times(root)
    return root


@pytest.mark.parametrize("options", [
    ["--format=gnu", "--no-xattrs"],
    ["--format=pax", "--sparse-version=0.0"],
    ["--format=pax", "--sparse-version=0.1"],
    ["--format=pax", "--sparse-version=1.0"]],
    ids=["old-gnu", "pax-0.0", "pax-0.1", "pax-1.0"])
def test_sparse_members(mkfs, mounter, fsck, memory, work, options):
    tree = sparse_tree(os.path.join(work, "src"))
    tar = tars.gnu(tree, os.path.join(work, "a.tar"), "--sparse", *options)
    index = check(mkfs, mounter, fsck, memory, work, tar)
    assert os.path.getsize(index) < 65536
    with mounter.mounted(index, options="device=" + tar) as where:
        fd = os.open(os.path.join(where, "sparse"), os.O_RDONLY)
        assert os.lseek(fd, 0, os.SEEK_HOLE) == 4096
        assert os.lseek(fd, 4096, os.SEEK_DATA) == 1 << 20
        os.close(fd)
        fd = os.open(os.path.join(where, "all-hole"), os.O_RDONLY)
        assert os.lseek(fd, 0, os.SEEK_HOLE) == 0
        os.close(fd)


def test_sparse_members_that_no_block_reaches_are_copied(mkfs, mounter, work):
    """Offsets in the file that are no multiples of 512."""
    data = noise(300)
    records = b"".join(
        b"%d %s\n" % (len(r) + 4, r) for r in (
            b"GNU.sparse.map=100,300", b"GNU.sparse.size=1000",
            b"GNU.sparse.numblocks=1", b"GNU.sparse.name=odd"))
    fixed = []
    for r in records.splitlines():
        body = r.split(b" ", 1)[1]
        n = len(body) + 2
        while len(b"%d %s\n" % (n, body)) != n:
            n += 1
        fixed.append(b"%d %s\n" % (n, body))
    tar = tars.write(os.path.join(work, "a.tar"),
                     tars.member("./PaxHeaders/odd", b"".join(fixed),
                                 kind=b"x"),
                     tars.member("odd", data))
    out = mkfs.ok("--tar=i", "--json", os.path.join(work, "i.img"), tar)
    report = json.loads(out.text)
    assert (report["copied_files"], report["copied_bytes"]) == (1, 1000)
    assert report["devices"] == 1
    with mounter.mounted(os.path.join(work, "i.img"),
                         options="device=" + tar) as where:
        with open(os.path.join(where, "odd"), "rb") as f:
            assert f.read() == bytes(100) + data + bytes(600)


def test_a_member_over_8_gib(mkfs, mounter, work):
    """Only its header is read; the archive is a sparse file."""
    size = 9 * GIB + 5
    tar = os.path.join(work, "a.tar")
    with open(tar, "wb") as out:
        out.write(tars.header("big", size=size))
        out.seek(size - 4, 1)
        out.write(b"last")
        out.seek(-size % 512, 1)
        out.write(tars.member("after", b"all"))
        out.write(tars.END)
    start = time.monotonic()
    image = make(mkfs, work, tar, "i")
    assert time.monotonic() - start < 5
    with mounter.mounted(image, options="device=" + tar) as where:
        with open(os.path.join(where, "big"), "rb") as f:
            assert os.fstat(f.fileno()).st_size == size
            f.seek(size - 6)
            assert f.read() == b"\0\0last"
        with open(os.path.join(where, "after"), "rb") as f:
            assert f.read() == b"all"


def test_inputs_give_the_same_image(mkfs, work, plain):
    """File, pipe, each compression and number of workers."""
    tar = tars.gnu(plain, os.path.join(work, "a.tar"), "--format=pax")
    tars.run("gzip", "-k", tar)
    tars.run("xz", "-k", tar)
    tars.run("xz", "-k", "--format=lzma", tar)
    tars.run("zstd", "-q", "-k", tar)
    for mode in MODES:
        with open(make(mkfs, work, tar, mode), "rb") as f:
            want = f.read()
        inputs = [([], tar + s) for s in (".gz", ".xz", ".lzma", ".zst")]
        inputs += [(["--workers=%d" % n], tar) for n in (1, 2, 8)]
        inputs += [(["--ungzip"], tar + ".gz"), (["--unxz"], tar + ".xz"),
                   (["--unlzma"], tar + ".lzma"), (["--gzip"], tar)]
        for options, name in inputs:
            with open(make(mkfs, work, name, mode, *options), "rb") as f:
                assert f.read() == want, (mode, options, name)
        for name in (tar, tar + ".zst"):
            cat = subprocess.Popen(["cat", name], stdout=subprocess.PIPE)
            image = os.path.join(work, "pipe.img")
            mkfs.ok("--tar=" + mode, image, stdin=cat.stdout)
            cat.stdout.close()
            assert cat.wait() == 0
            with open(image, "rb") as f:
                assert f.read() == want, (mode, name)
            with open(name, "rb") as stdin:
                mkfs.ok("--tar=" + mode, image, stdin=stdin)
            with open(image, "rb") as f:
                assert f.read() == want, (mode, name)


def test_the_raw_tar_can_be_saved(mkfs, mounter, work, plain):
    tar = tars.gnu(plain, os.path.join(work, "a.tar"), "--format=pax")
    tars.run("gzip", "-k", tar)
    raw = os.path.join(work, "raw.tar")
    image = make(mkfs, work, tar + ".gz", "i", "--ungzip=" + raw)
    with open(raw, "rb") as a, open(tar, "rb") as b:
        assert a.read() == b.read()
    oracle.assert_same(oracle.normal(oracle.walk(plain)),
                       shown(mounter, image, raw))
    os.remove(raw)
    with open(tar + ".gz", "r+b") as f:
        f.truncate(os.path.getsize(tar + ".gz") - 9)
    mkfs.fails("--tar=i", "--ungzip=" + raw, os.path.join(work, "x.img"),
               tar + ".gz", code=1)
    assert sorted(os.listdir(work)) == ["a.tar", "a.tar.gz", "i.img"]


def test_as_containerd_calls_it(mkfs, mounter, work, plain):
    """The tar on stdin; an index with the tar behind it is one layer."""
    assert b"--tar=" in mkfs.ok("--help").out
    want = oracle.normal(oracle.walk(plain))
    tar = tars.gnu(plain, os.path.join(work, "a.tar"), "--format=pax")
    layer = os.path.join(work, "layer.erofs")
    uuid = "01234567-89ab-cdef-0123-456789abcdef"
    with open(tar, "rb") as stdin:
        done = mkfs.ok("--tar=f", "--aufs", "--quiet", "-Enoinline_data",
                       "-U", uuid, layer, stdin=stdin)
    assert done.out == done.err == b""
    oracle.assert_same(want, shown(mounter, layer))
    with open(tar, "rb") as stdin:
        mkfs.ok("--quiet", "-Uclear", "-T 1750791050", "--mkfs-time", "-x-1",
                "-Enoinline_data", "--tar=-", layer, stdin=stdin)
    oracle.assert_same(oracle.without(want, "xattrs"),
                       oracle.without(shown(mounter, layer), "xattrs"))
    cat = subprocess.Popen(["cat", tar], stdout=subprocess.PIPE)
    mkfs.ok("--tar=i", "--aufs", "--quiet", layer, stdin=cat.stdout)
    cat.stdout.close()
    assert cat.wait() == 0
    with open(layer, "ab") as out, open(tar, "rb") as data:
        shutil.copyfileobj(data, out)
    oracle.assert_same(want, shown(mounter, layer))
    with mounter.mounted(layer, how="loop") as where:
        oracle.assert_same(want, oracle.normal(oracle.walk(where),
                                               image=True))


def test_headers_alone(mkfs, mounter, fsck, work, plain):
    tar = tars.gnu(plain, os.path.join(work, "a.tar"), "--format=pax")
    heads = os.path.join(work, "heads")
    with open(heads, "wb") as out:
        out.write(tars.headers_only(tar))
    image = make(mkfs, work, heads, "headerball")
    fsck.ok(image)
    got = shown(mounter, image)
    oracle.assert_same(
        oracle.without(oracle.normal(oracle.walk(plain)), "sha256"),
        oracle.without(got, "sha256"))
    with mounter.mounted(image) as where:
        with open(os.path.join(where, "dir/large"), "rb") as f:
            assert f.read() == bytes(300000)


def test_files_without_data(mkfs, mounter, work, plain):
    tar = tars.gnu(plain, os.path.join(work, "a.tar"), "--format=pax")
    image = make(mkfs, work, tar, "f", "--clean=0")
    assert os.path.getsize(image) < 16384
    with mounter.mounted(image) as where:
        with open(os.path.join(where, "dir/large"), "rb") as f:
            assert f.read() == bytes(300000)


def test_the_label_of_a_volume(mkfs, work, plain):
    tar = tars.gnu(plain, os.path.join(work, "a.tar"), "--no-xattrs",
                   "--format=gnu", "-V", "my volume")
    image = make(mkfs, work, tar, "f")
    with open(image, "rb") as f:
        f.seek(1024 + 0x40)
        assert f.read(16) == b"my volume".ljust(16, b"\0")
    image = make(mkfs, work, tar, "f", "-Lmine")
    with open(image, "rb") as f:
        f.seek(1024 + 0x40)
        assert f.read(16) == b"mine".ljust(16, b"\0")


def test_an_archive_without_members(mkfs, mounter, work):
    tar = tars.write(os.path.join(work, "a.tar"))
    for mode in MODES:
        image = make(mkfs, work, tar, mode)
        assert list(shown(mounter, image, *([tar] if mode == "i" else []))) \
            == [b"."]


def damaged():
    long = tars.member("file", b"x" * 1000)
    yield "empty", b""
    yield "text", b"this is no archive at all\n" * 100
    yield "short", b"abc"
    yield "cut-data", long[:800]
    yield "cut-header", long + tars.header("next")[:300]
    bad = bytearray(tars.header("name"))
    bad[0] ^= 1
    yield "checksum", long + bytes(bad) + tars.END
    yield "up", tars.member("../../etc/passwd", b"x") + tars.END
    yield "up-inside", tars.member("a/../../b", b"x") + tars.END
    yield "through-file", long + tars.member("file/below", b"x") + tars.END
    yield "link-to-nothing", tars.header("l", b"1", link="gone") + tars.END
    yield "link-to-dir", (tars.header("d", b"5", mode=0o755) +
                          tars.header("l", b"1", link="d") + tars.END)
    yield "root-is-file", tars.member(".", b"x") + tars.END
    huge = bytearray(tars.header("huge"))
    huge[124:136] = b"\x80" + b"\xff" * 11
    huge[148:156] = b" " * 8
    huge[148:156] = b"%06o\0 " % sum(huge)
    yield "huge", bytes(huge) + tars.END
    yield "gzip-cut", b"\x1f\x8b\x08" + bytes(20)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("data", [d for _, d in damaged()],
                         ids=[n for n, _ in damaged()])
def test_damage_is_refused(mkfs, work, data, mode):
    tar = os.path.join(work, "bad.tar")
    with open(tar, "wb") as out:
        out.write(data)
    image = os.path.join(work, "out.img")
    with open(image, "w") as out:
        out.write("old")
    result = mkfs.fails("--tar=" + mode, image, tar, code=1)
    assert "bad.tar" in result.errors
    with open(tar, "rb") as stdin:
        mkfs.fails("--tar=" + mode, image, stdin=stdin, code=1)
    cat = subprocess.Popen(["cat", tar], stdout=subprocess.PIPE)
    mkfs.fails("--tar=" + mode, image, stdin=cat.stdout, code=1)
    cat.stdout.close()
    cat.wait()
    assert sorted(os.listdir(work)) == ["bad.tar", "out.img"]
    with open(image) as old:
        assert old.read() == "old"


def test_a_signal_while_waiting_leaves_nothing(mkfs, work):
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [mkfs.path, "--tar=f", os.path.join(work, "out.img")], stdin=reader,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(reader)
    os.write(writer, tars.member("file", b"x" * 100000)[:50000])
    code = kill_when(process, lambda: os.listdir(work))
    os.close(writer)
    assert code == -signal.SIGTERM
    assert os.listdir(work) == []


def test_an_output_is_no_source(mkfs, work, plain):
    tar = tars.gnu(plain, os.path.join(work, "a.tar"))
    size = os.path.getsize(tar)
    assert "source" in mkfs.fails("--tar=i", tar, tar, code=1).errors
    assert "source" in mkfs.fails("--tar=i", "--ungzip=" + tar,
                                  os.path.join(work, "i.img"), tar).errors
    same = os.path.join(work, "same")
    assert "one file" in mkfs.fails("--tar=i", "--ungzip=" + same, same,
                                    tar).errors
    assert os.listdir(work) == ["a.tar"] and os.path.getsize(tar) == size
