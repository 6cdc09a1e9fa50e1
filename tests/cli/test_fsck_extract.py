# SPDX-License-Identifier: Apache-2.0
"""Extraction into directories and tar streams, of good and hostile images.

That each fixture of erofs-utils is restored as its manifest says is tested in
tests/interop/test_fixtures.py.
"""

import os
import random
import shutil
import stat
import subprocess
import tarfile
import tempfile

import pytest

from lib import defects, erofs, oracle

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="needs root")


@pytest.fixture
def image(mkfs, memory):
    """An image of the tree of edges where xattrs of all kinds are."""
    top = tempfile.mkdtemp(prefix="ex-", dir=memory)
    source = os.path.join(top, "source")
    os.mkdir(source)
    defects.tree(source)
    os.chmod(os.path.join(source, "dir/sub"), 0o555)
    os.setxattr(os.path.join(source, "small"), "user.empty", b"")
    if ROOT:
        os.setxattr(os.path.join(source, "link"), "trusted.on-link", b"l",
                    follow_symlinks=False)
    with open(os.path.join(source, "holes"), "wb") as f:
        f.truncate(8 << 20)
        f.seek(4 << 20)
        f.write(b"island")
    path = os.path.join(top, "x.img")
    mkfs.ok("--quiet", "-zlz4", path, source)
    return path, source, top


def differences(source, where):
    return oracle.differences(oracle.normal(oracle.walk(source)),
                              oracle.normal(oracle.walk(where)))


@pytest.fixture(scope="module")
def edge_image(mkfs, edges, memory):
    path = os.path.join(memory, "edges-for-fsck.img")
    mkfs.ok("--quiet", "-zlz4", "-C65536", path, edges.path)
    yield path, edges.path
    os.unlink(path)


@needs_root
def test_everything_comes_back(fsck, edge_image, memory):
    path, source = edge_image
    where = os.path.join(memory, "edges-out")
    fsck.ok("--extract=" + where, path)
    oracle.assert_same(oracle.normal(oracle.walk(source), image=False),
                       oracle.normal(oracle.walk(where), image=False))


@needs_root
def test_owner_before_capability(fsck, mkfs, memory):
    top = os.path.join(memory, "caps")
    os.makedirs(top + "/s")
    name = top + "/s/tool"
    with open(name, "wb") as f:
        f.write(b"tool")
    os.chown(name, 1234, 5678)
    os.chmod(name, 0o4755)
    cap = b"\x01\x00\x00\x02\x00\x04" + bytes(14)
    os.setxattr(name, "security.capability", cap)
    os.setxattr(name, "user.nothing", b"")
    mkfs.ok("--quiet", top + "/i", top + "/s")
    fsck.ok("--extract=" + top + "/o", top + "/i")
    st = os.lstat(top + "/o/tool")
    assert (st.st_uid, st.st_gid) == (1234, 5678)
    assert stat.S_IMODE(st.st_mode) == 0o4755
    assert os.getxattr(top + "/o/tool", "security.capability") == cap
    assert os.getxattr(top + "/o/tool", "user.nothing") == b""


MODES = (0o644, 0o755, 0o4755, 0o600, 0o444, 0o2711, 0o664, 0o000, 0o1777)
OWNERS = ((0, 0), (0, 0), (1000, 1000), (0, 4321))


@pytest.fixture(scope="module")
def many(mkfs, memory):
    """Files of all modes and owners, more than one job has, some empty."""
    top = tempfile.mkdtemp(prefix="many-", dir=memory)
    source = os.path.join(top, "source")
    for i in range(150):
        path = os.path.join(source, "d%d" % (i % 2), "%03d" % i)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(b"%d\n" % i * (i % 5))
        os.chown(path, *OWNERS[i % len(OWNERS)])
        os.chmod(path, MODES[i % len(MODES)])
        os.utime(path, ns=(i, i))
    mkfs.ok("--quiet", "-zlz4", os.path.join(top, "x.img"), source)
    return top, source


@needs_root
@pytest.mark.parametrize("target", ["plain", "setgid", "acl", "foreign"])
@pytest.mark.parametrize("umask", [0o022, 0o077, 0, 0o777])
def test_what_new_files_have_by_themselves(fsck, many, target, umask):
    """Nothing is left to the umask, the directory or the order of files."""
    top, source = many
    where = os.path.join(top, "%s-%o" % (target, umask))
    os.mkdir(where)
    if target == "setgid":
        os.chown(where, 0, 4321)
        os.chmod(where, 0o2770)
    if target == "foreign":
        os.chown(where, 1000, 4321)
        os.chmod(where, 0o2777)
    if target in ("acl", "foreign"):
        os.setxattr(where, "system.posix_acl_default", defects.ACL)
    done = subprocess.run([fsck.path, "--extract=" + where,
                           os.path.join(top, "x.img")], umask=umask,
                          check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert differences(source, where) == []


@needs_root
def test_umask_that_nothing_tells(fsck, many):
    """Without /proc no file is taken to have the right mode by itself."""
    top, source = many
    where = os.path.join(top, "no-proc")
    os.mkdir(where)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c",
         'mount -t tmpfs none /proc && umask 077 && exec "$@"', "sh",
         fsck.path, "--extract=" + where, os.path.join(top, "x.img")],
        check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert differences(source, where) == []


def test_no_acl_from_above(fsck, image):
    """A default ACL of the target is no part of what was packed."""
    path, source, top = image
    where = os.path.join(top, "acl")
    os.mkdir(where)
    os.setxattr(where, "system.posix_acl_default", defects.ACL)
    fsck.ok("--extract=" + os.path.join(where, "out"), path)
    out = os.path.join(where, "out")
    assert "system.posix_acl_default" not in os.listxattr(
        os.path.join(out, "empty"))
    if ROOT:
        assert differences(source, out) == []


def test_holes_are_holes(fsck, image):
    path, source, top = image
    fsck.ok("--extract=" + top + "/out", path)
    st = os.stat(top + "/out/holes")
    assert st.st_size == 8 << 20
    assert st.st_blocks * 512 < 1 << 20


def test_hard_links(fsck, image):
    path, _, top = image
    fsck.ok("--extract=" + top + "/out", path)
    assert os.path.samefile(top + "/out/small", top + "/out/dir/hard")


def test_existing_files(fsck, image):
    path, _, top = image
    os.mkdir(top + "/out")
    with open(top + "/out/small", "wb") as f:
        f.write(b"mine")
    result = fsck.run("--extract=" + top + "/out", path)
    assert result.code == 8, repr(result)
    assert "/small" in result.text and "exists" in result.text
    with open(top + "/out/small", "rb") as f:
        assert f.read() == b"mine"
    # The others are there all the same.
    assert os.path.getsize(top + "/out/big") == 300000
    fsck.ok("--overwrite", "--extract=" + top + "/out", path)
    with open(top + "/out/small", "rb") as f:
        assert f.read() == b"small content"


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_symlinks_in_the_target_are_not_followed(fsck, image, overwrite):
    path, _, top = image
    os.mkdir(top + "/out")
    os.mkdir(top + "/outside")
    with open(top + "/outside/victim", "wb") as f:
        f.write(b"keep")
    os.symlink(top + "/outside", top + "/out/dir")
    os.symlink(top + "/outside/victim", top + "/out/small")
    os.symlink(top + "/outside/new", top + "/out/big")
    result = fsck.run(*overwrite, "--extract=" + top + "/out", path)
    assert result.code == (0 if overwrite else 8), repr(result)
    assert os.listdir(top + "/outside") == ["victim"]
    with open(top + "/outside/victim", "rb") as f:
        assert f.read() == b"keep"
    if overwrite:
        assert not ROOT or differences(image[1], top + "/out") == []


def hostile(image, path, change):
    bad = erofs.Image(path)
    change(bad)
    bad.seal()
    where = os.path.join(os.path.dirname(path), "bad.img")
    bad.write(where)
    return where


def test_a_symlink_and_a_directory_of_one_name(fsck, image):
    """The classic way out: a link, then a directory that goes through it."""
    path, _, top = image
    os.mkdir(top + "/outside")

    def change(im):
        # names/aa becomes a link outside; names/ab the directory "aa".
        im.entry("/names/aa").put_nid(im.entry("/link").nid)
        im.entry("/names/ab").put_nid(im.entry("/dir/sub").nid)
        im.entry("/names/ab").put_name(b"aa")
        link = im.inode("/link")
        im.data[link.body:link.body + 11] = b"../../outsi"

    bad = hostile(image, path, change)
    for more in ([], ["--overwrite"]):
        result = fsck.run(*more, "--extract=" + top + "/out", bad)
        assert result.code in (4, 8)
        assert os.listdir(top + "/outside") == []


@pytest.mark.parametrize("name", [b"..", b"a/", b"/a", b". "])
def test_names_that_lead_out(fsck, image, name):
    path, _, top = image
    before = set(os.listdir(top)) | {"bad.img", "out"}

    def change(im):
        im.entry("/names/aa").put_name(name)

    bad = hostile(image, path, change)
    fsck.run("--extract=" + top + "/out", bad)
    assert set(os.listdir(top)) <= before


def test_a_loop_ends(fsck, image):
    path, _, top = image

    def change(im):
        im.entry("/dir/tub").put_nid(im.root)

    bad = hostile(image, path, change)
    result = fsck.run("--extract=" + top + "/out", bad, timeout=30)
    assert result.code == 4
    assert "another name" in result.text
    result = fsck.run("--to-tar=" + top + "/t.tar", bad, timeout=30)
    assert result.code == 4
    assert not os.path.exists(top + "/t.tar")


def test_damaged_data_is_told_and_the_rest_restored(fsck, image):
    path, _, top = image

    def change(im):
        node = im.inode("/noise")
        im.put("<I", node.at_u, 0x7FFFFFF)

    bad = hostile(image, path, change)
    result = fsck.run("--extract=" + top + "/out", bad)
    assert result.code == 4
    assert "/noise" in result.text
    assert not os.path.exists(top + "/out/noise")
    assert os.path.getsize(top + "/out/big") == 300000


@pytest.mark.parametrize("flags", [[], ["-zlz4"], ["-zzstd", "-C65536"],
                                   ["--chunksize=4096"]],
                         ids=" ".join)
@pytest.mark.parametrize("workers", [1, 3])
def test_each_file_fails_for_itself_alone(fsck, mkfs, memory, flags, workers):
    """Files are read and decoded together; one is not told for another."""
    top = tempfile.mkdtemp(prefix="hole-", dir=memory)
    source, where = os.path.join(top, "source"), os.path.join(top, "out")
    os.mkdir(source)
    numbers = random.Random(4)
    for i in range(90):
        with open(os.path.join(source, "%02d" % i), "wb") as f:
            f.write(numbers.randbytes(3000 + 700 * i)
                    + b"%d " % i * (900 * (i % 7)))
    path = os.path.join(top, "x.img")
    mkfs.ok("--quiet", *flags, path, source)
    im = erofs.Image(path)
    # Zeros are no stream of any codec; plain data is what it is.
    at, n = len(im.data) // 3 & ~4095, 64 << 10
    im.data[at:at + n] = bytes(n)
    im.write(path)
    result = fsck.run("--workers=%d" % workers, "--extract=" + where, path)
    bad = []
    for name in sorted(os.listdir(source)):
        with open(os.path.join(source, name), "rb") as f:
            want = f.read()
        if not os.path.exists(os.path.join(where, name)):
            bad.append(name)
            continue
        with open(os.path.join(where, name), "rb") as f:
            got = f.read()
        assert len(got) == len(want)
        if got != want:
            # Stored as it is, so nothing can tell.
            at = next(i for i in range(len(got)) if got[i] != want[i])
            assert not any(got[at:at + 4])
    assert all("/" + name in result.text for name in bad)
    assert result.code == (4 if bad else 0)
    assert len(bad) < 60


@needs_root
@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_system_calls_of_an_extraction(fsck, many):
    """Each costs time, and one of them all threads' time."""
    top, source = many
    log = os.path.join(top, "calls")
    # Leaks cannot be looked for beneath strace.
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
    done = subprocess.run(
        ["strace", "-f", "-o", log, fsck.path, "--workers=2",
         "--extract=" + os.path.join(top, "traced"),
         os.path.join(top, "x.img")], check=False, capture_output=True,
        env=env)
    assert done.returncode == 0, done.stderr
    with open(log, encoding="utf-8", errors="replace") as f:
        calls = [line.split(None, 1)[1].split("(")[0] for line in f]
    # The table of descriptors grows while one thread alone has it.
    threads = [i for i, c in enumerate(calls) if c.startswith("clone")]
    assert calls.index("fcntl") < threads[0]
    files = sum(len(names) for _, _, names in os.walk(source))
    # Made, written, its times set, closed; some have other owners or modes.
    made = [c for c in calls if c in ("openat", "pwrite64", "utimensat",
                                      "close", "fchmod", "fchownat")]
    assert len(made) < 6 * files + 200


def test_budget(fsck, image):
    path, _, top = image
    result = fsck.run("--max-decode=1000", "--extract=" + top + "/out", path)
    assert result.code == 8
    assert "1000 bytes" in result.text


def test_the_host_root_needs_force(fsck, image):
    result = fsck.run("--extract=/", image[0])
    assert result.code == 8
    assert "--force" in result.text + result.errors
    assert not os.path.exists("/small")


def test_part_of_the_tree(fsck, image):
    path, source, top = image
    fsck.ok("--path=/dir", "--extract=" + top + "/out", path)
    assert sorted(os.listdir(top + "/out")) == ["hard", "sub", "tub"]
    fsck.ok("--path=/dir/sub/file", "--extract=" + top + "/one", path)
    with open(top + "/one", "rb") as f:
        assert f.read() == b"x" * 5000


@needs_root
def test_without_root(fsck, image):
    """Owners and devices are left out with a note; modes obey the umask."""
    path, _, top = image
    os.mkdir(top + "/out")
    os.chown(top + "/out", 65534, 65534)
    part = top
    while part != "/":
        if not os.stat(part).st_mode & 0o001:
            os.chmod(part, 0o711)
        part = os.path.dirname(part)
    result = fsck.run("--extract=" + top + "/out", path, user=65534,
                      group=65534, extra_groups=[], umask=0o027)
    assert result.code == 0, repr(result)
    st = os.stat(top + "/out/small")
    assert st.st_uid == 65534
    assert stat.S_IMODE(st.st_mode) == 0o640
    assert stat.S_IMODE(os.stat(top + "/out/dir/sub").st_mode) == 0o550


# Tar

def test_tar_by_gnu_tar(fsck, edge_image, memory):
    if not ROOT:
        pytest.skip("needs root")
    path, source = edge_image
    where = os.path.join(memory, "gnu-out")
    os.mkdir(where)
    tar = os.path.join(memory, "edge.tar")
    fsck.ok("--to-tar=" + tar, path)
    subprocess.run(["tar", "-x", "-p", "--xattrs", "--xattrs-include=*",
                    "--numeric-owner", "-C", where, "-f", tar], check=True,
                   capture_output=True)
    os.unlink(tar)
    want, got = oracle.walk(source), oracle.walk(where)
    # Tar has no sockets; GNU tar loses nothing else.
    for records in (want, got):
        for name in [n for n, r in records.items() if r["type"] == "socket"]:
            del records[name]
    oracle.assert_same(oracle.normal(want, image=False),
                       oracle.normal(got, image=False))


def test_tar_by_python(fsck, image):
    path, source, top = image
    fsck.ok("--to-tar=" + top + "/t.tar", path)
    with tarfile.open(top + "/t.tar") as tar:
        members = {m.name: m for m in tar}
        assert members["dir/hard"].islnk() or members["small"].islnk()
        assert members["link"].linkname == "some/target"
        assert members["holes"].size == 8 << 20
        assert members["noise"].pax_headers["SCHILY.xattr.user.aa"] == "first"
        with open(source + "/big", "rb") as f:
            assert tar.extractfile("big").read() == f.read()


def test_tar_to_standard_output(fsck, image):
    path, _, top = image
    result = fsck.ok("--to-tar=-", path)
    fsck.ok("--to-tar=" + top + "/t.tar", path)
    with open(top + "/t.tar", "rb") as f:
        assert result.out == f.read()
    assert b"structure valid" in result.err


def test_odd_members(fsck, mkfs, memory):
    """255-byte names, long targets, times before 1970: all need PAX."""
    top = os.path.join(memory, "odd")
    name = "d" * 200
    os.makedirs(top + "/s/" + name)
    with open(top + "/s/" + name + "/" + "n" * 255, "wb") as f:
        f.write(b"deep")
    os.utime(top + "/s/" + name, ns=(0, -1500000000))
    os.symlink("t" * 300, top + "/s/link")
    mkfs.ok("--quiet", top + "/i", top + "/s")
    fsck.ok("--to-tar=" + top + "/t", top + "/i")
    with tarfile.open(top + "/t") as tar:
        seen = {m.name: m for m in tar}
    assert seen["link"].linkname == "t" * 300
    assert seen[name].mtime == -1.5
    assert name + "/" + "n" * 255 in seen


@pytest.mark.soak
def test_a_member_beyond_8_gib(fsck, mkfs, memory):
    top = os.path.join(memory, "large")
    os.makedirs(top + "/s")
    with open(top + "/s/large", "wb") as f:
        f.truncate((8 << 30) + 5)
    mkfs.ok("--quiet", "-zlz4", "-C1048576", top + "/i", top + "/s")
    pipe = fsck.start("--to-tar=-", "--max-decode=20g", top + "/i")
    with tarfile.open(fileobj=pipe.stdout, mode="r|") as tar:
        sizes = {}
        for m in tar:
            sizes[m.name] = m.size
            if m.name == "large":
                break
    pipe.kill()
    pipe.communicate()
    assert sizes["large"] == (8 << 30) + 5
