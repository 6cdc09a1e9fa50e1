# SPDX-License-Identifier: Apache-2.0
"""Archives of each maker, member by member, with two readers as judges.

tests/kernel/test_tar.py has GNU tar's, bsdtar's, busybox's and Python's plain
archives; here are what they do beyond: attributes, holes, times, appended and
joined archives, and Go's archive/tar through skopeo, buildah and umoci. What
GNU tar extracts and what bsdtar extracts must both be what we show, but for
what one of them cannot: each such field is named where it is left out.
"""

import json
import os
import shutil
import subprocess

import pytest

from lib import layers, oci, oracle, tars
from lib.content import noise, text

NS = 1234567890 * 10**9 + 123456789


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip("no %s" % program)


def by_bsdtar(tar, where):
    """What bsdtar extracts: its xattrs too, as root."""
    os.mkdir(where)
    tars.run("bsdtar", "--numeric-owner", "-p", "-xf", tar, "-C", where)
    records = oracle.normal(oracle.walk(where))
    shutil.rmtree(where)
    return records


def by_index(mkfs, mounter, fsck, work, tar):
    image = os.path.join(work, "index")
    mkfs.ok("--tar=i", "--quiet", image, tar)
    fsck.ok("--device=" + tar, image)
    with mounter.mounted(image, options="device=" + tar) as where:
        return oracle.normal(oracle.walk(where), image=True)


def by_image(mkfs, mounter, work, tar):
    image = os.path.join(work, "full")
    mkfs.ok("--tar=f", "--quiet", "-zlz4", image, tar)
    with mounter.mounted(image) as where:
        return oracle.normal(oracle.walk(where), image=True)


class Judge:
    """Our two kinds of image against both extractions."""

    def __init__(self, mkfs, mounter, fsck, memory, work):
        self.mkfs, self.mounter, self.fsck = mkfs, mounter, fsck
        self.memory, self.work = memory, work

    def __call__(self, tar, *readers, root=True):
        """readers: "gnu", "bsd"; both when none is named. root: a member
        is the root; if not, its time is when a reader made it. bsdtar sets
        that time never.
        """
        got = by_index(self.mkfs, self.mounter, self.fsck, self.work, tar)
        oracle.assert_same(got, by_image(self.mkfs, self.mounter, self.work,
                                         tar))
        where = os.path.join(self.memory, "extracted")
        for reader in readers or ("gnu", "bsd"):
            extract = tars.extracted if reader == "gnu" else by_bsdtar
            want = extract(tar, where)
            if reader == "bsd" or not root:
                want[b"."]["mtime"] = got[b"."]["mtime"]
            oracle.assert_same(want, got)
        return got


@pytest.fixture
def judge(mkfs, mounter, fsck, memory, work):
    need("tar", "bsdtar")
    return Judge(mkfs, mounter, fsck, memory, work)


@pytest.fixture(scope="module")
def rich(memory):
    """Attributes, ACLs, capabilities, holes, odd times."""
    root = tars.plain_tree(os.path.join(memory, "rich"))
    for name, attr, value in (("one", "user.text", b"value"),
                              ("page", "user.bytes", bytes(range(256))),
                              ("page", "user.empty", b""),
                              ("dir", "user.dir", b"d" * 1000)):
        os.setxattr(os.path.join(root, name), attr, value)
    os.setxattr(os.path.join(root, "half"), "security.capability",
                bytes.fromhex("0100000200200000000000000000000000000000"))
    with open(os.path.join(root, "holes"), "wb") as out:
        out.seek(1 << 20)
        out.write(noise(4096))
        out.seek(3 << 20)
        out.write(text(5000))
        out.truncate(4 << 20)
    with open(os.path.join(root, "none"), "wb") as out:
        out.truncate(1 << 16)
    tars.set_times(root)
    os.utime(os.path.join(root, "page"), ns=(NS, NS))
    os.utime(os.path.join(root, "link"), ns=(NS, NS), follow_symlinks=False)
    os.utime(os.path.join(root, "half"), ns=(0, -5 * 10**9))
    yield root
    shutil.rmtree(root)


def test_gnu_pax_with_everything(judge, work, rich):
    tar = tars.gnu(rich, os.path.join(work, "a.tar"), "--format=pax", "-S")
    got = judge(tar)
    assert got[b"page"]["mtime"] == NS
    assert got[b"page"]["xattrs"][b"user.bytes"] == bytes(range(256))
    assert b"security.capability" in got[b"half"]["xattrs"]
    oracle.assert_same(oracle.normal(oracle.walk(rich)), got)


def test_gnu_acls(judge, work, rich):
    """Lists are texts in a header of their own."""
    need("setfacl")
    root = os.path.join(work, "tree")
    shutil.copytree(os.path.join(rich, "dir"), os.path.join(root, "dir"))
    for how, name in (("u:7:rw,g:9:r", "dir/large"), ("u:8:rwx", "dir"),
                      ("d:u:8:rx,d:g:12:r", "dir")):
        tars.run("setfacl", "-m", how, os.path.join(root, name))
    tars.set_times(root)
    tar = tars.gnu(root, os.path.join(work, "a.tar"), "--format=pax",
                   "--acls")
    got = by_index(judge.mkfs, judge.mounter, judge.fsck, work, tar)
    oracle.assert_same(oracle.normal(oracle.walk(root)), got)


@pytest.mark.parametrize("form", [["--format=pax"], []],
                         ids=["pax", "restricted"])
def test_bsdtar_with_everything(judge, work, rich, form):
    """LIBARCHIVE.xattr beside SCHILY.xattr, holes as PAX 1.0."""
    tar = os.path.join(work, "a.tar")
    tars.run("bsdtar", *form, "--numeric-owner", "-C", rich, "-cf", tar,
             ".")
    got = judge(tar)
    if form:
        oracle.assert_same(oracle.normal(oracle.walk(rich)), got)


@pytest.mark.parametrize("form", ["pax", "gnu"])
def test_python_with_everything(judge, work, rich, form):
    """Python keeps times to the fraction that a float has; no attributes."""
    tar = tars.python(rich, os.path.join(work, "a.tar"), form)
    judge(tar)


def test_star_like_base256(judge, work):
    """Owner and size fields in base-256, negative time."""
    tar = tars.write(os.path.join(work, "a.tar"),
                     tars.member("a", b"a", uid=3000000, gid=4000000),
                     tars.member("b", b"b" * 513, mode=0o7777))
    got = judge(tar, root=False)
    assert (got[b"a"]["uid"], got[b"a"]["gid"]) == (3000000, 4000000)


def test_appended_members_win(judge, work, rich):
    """tar -r: the same names again, one of them of another type."""
    root = os.path.join(work, "tree")
    os.mkdir(root)
    tar = os.path.join(work, "a.tar")
    for i, data in enumerate((noise(3000), text(100), noise(70000))):
        with open(os.path.join(root, "file"), "wb") as out:
            out.write(data)
        with open(os.path.join(root, "only-%d" % i), "wb") as out:
            out.write(b"%d" % i)
        tars.set_times(root, tars.TIME + i)
        tars.run("tar", "--format=gnu", "-C", root, "-r", "-f", tar, "file",
                 "only-%d" % i)
    # No member is the root: its time is the reader's own.
    got = judge(tar, root=False)
    assert got[b"file"]["mtime"] == (tars.TIME + 2) * 10**9
    assert got[b"file"]["size"] == 70000


def test_joined_archives(judge, work, rich):
    """tar -A, and two archives by cat, which GNU tar reads with -i."""
    one = tars.gnu(os.path.join(rich, "dir"), os.path.join(work, "1.tar"),
                   "--format=gnu", "--no-xattrs")
    two = tars.write(os.path.join(work, "2.tar"),
                     tars.member("added", b"added"))
    joined = os.path.join(work, "joined.tar")
    shutil.copy(one, joined)
    tars.run("tar", "-A", "-f", joined, two)
    want = judge(joined, root=False)
    assert b"added" in want
    both = os.path.join(work, "both.tar")
    with open(both, "wb") as out:
        for part in (one, two):
            with open(part, "rb") as source:
                shutil.copyfileobj(source, out)
    oracle.assert_same(want, by_index(judge.mkfs, judge.mounter, judge.fsck,
                                      work, both))


def test_absent_end_and_long_end(judge, work):
    members = [tars.member("a", noise(700)), tars.member("b", b"")]
    for end in (b"", bytes(512), bytes(100 * 512)):
        tar = tars.write(os.path.join(work, "a.tar"), *members, end=end)
        judge(tar, *(() if end else ("bsd",)), root=False)


def test_links_before_and_among(judge, work):
    """Links of links, links to symlinks, a file of many names."""
    root = os.path.join(work, "tree")
    os.makedirs(os.path.join(root, "d"))
    with open(os.path.join(root, "d/z"), "wb") as out:
        out.write(noise(5000))
    os.symlink("d/z", os.path.join(root, "s"))
    os.link(os.path.join(root, "s"), os.path.join(root, "t"),
            follow_symlinks=False)
    for name in "abcxy":
        os.link(os.path.join(root, "d/z"), os.path.join(root, name))
    tars.set_times(root)
    for program in (["tar"], ["bsdtar"]):
        tar = os.path.join(work, "a.tar")
        tars.run(*program, "--format=pax", "-C", root, "-cf", tar, "t", "s",
                 "y", "a", "d", "b", "c", "x")
        got = judge(tar, root=False)
        assert got[b"a"]["nlink"] == 6 and got[b"s"]["nlink"] == 2


LONG = ("l" * 100, "m" * 101, "n" * 255, "/".join(["p" * 60] * 6),
        "q" * 99 + "/" + "r" * 150, "\u00fc\u00df\u20ac" * 30)


def records(*pairs):
    """A header of PAX records before a member."""
    data = b""
    for key, value in pairs:
        body = b" %s=%s\n" % (key.encode(), value)
        size = len(body) + 1
        while len(b"%d" % size) + len(body) != size:
            size += 1
        data += b"%d" % size + body
    return tars.member("PaxHeaders/x", data, kind=b"x")


def test_sizes_of_what_has_no_data(judge, work):
    """The block behind is the next header, whatever the size says."""
    for kind, more in ((b"1", {"link": "a"}), (b"2", {"link": "a"}),
                       (b"3", {"devmajor": 1, "devminor": 3}),
                       (b"4", {"devmajor": 1, "devminor": 3}),
                       (b"5", {"mode": 0o755}), (b"6", {})):
        tar = tars.write(os.path.join(work, "a.tar"), tars.member("a", b"1"),
                         tars.header("odd", kind, size=1000, **more),
                         tars.member("b", b"2"))
        got = judge(tar, root=False)
        assert b"b" in got and b"odd" in got


def test_directories_by_their_slash(judge, work):
    for kind in (b"\0", b"0", b"7"):
        tar = tars.write(os.path.join(work, "a.tar"),
                         tars.header("alone/", kind),
                         tars.header("d/", kind, mode=0o755),
                         tars.member("d/a", b"1"))
        got = judge(tar, root=False)
        assert got[b"alone"]["type"] == "dir"


def test_symlinks_have_all_bits(judge, work):
    """Writers in Go leave 0 there."""
    tar = tars.write(os.path.join(work, "a.tar"),
                     tars.header("link", b"2", link="a", mode=0))
    assert judge(tar, root=False)[b"link"]["mode"] == 0o777


def test_attributes_of_other_systems(mkfs, tarfs, mounter, fsck, work):
    """bsdtar on a Mac: told and left out, as GNU tar does."""
    tar = tars.write(
        os.path.join(work, "a.tar"),
        records(("LIBARCHIVE.xattr.com.apple.provenance", b"AQIA"),
                ("SCHILY.xattr.com.apple.provenance", b"\1\2\0"),
                ("SCHILY.xattr.system.nfs4_acl", b"x"),
                ("SCHILY.xattr.user.", b"x"),
                ("SCHILY.xattr.user.kept", b"x"),
                ("RHT.security.selinux", b"a_u:b_r:c_t:s0")),
        tars.member("a", b"1"))
    got = by_index(mkfs, mounter, fsck, work, tar)
    assert got[b"a"]["xattrs"] == {b"user.kept": b"x",
                                   b"security.selinux": b"a_u:b_r:c_t:s0\0"}
    done = mkfs.ok("--tar=f", os.path.join(work, "i"), tar)
    assert "3 attributes are left out" in done.errors
    done = tarfs.ok("convert", tar, "-o", os.path.join(work, "out"))
    assert "3 attributes left out" in done.errors


@pytest.mark.parametrize("maker", [
    "gnu-gnu", "gnu-pax", "bsd-pax", "bsd-gnutar", "busybox", "python-pax",
    "python-gnu"])
def test_long_names(judge, work, maker):
    root = os.path.join(work, "tree")
    for name in LONG:
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(os.fsencode(name))
    os.symlink("/" + "t" * 200, os.path.join(root, "link"))
    os.link(os.path.join(root, LONG[2]), os.path.join(root, "hard"))
    tars.set_times(root)
    tar = os.path.join(work, "a.tar")
    program, _, form = maker.partition("-")
    if program == "gnu":
        tars.gnu(root, tar, "--format=" + form, "--no-xattrs")
    elif program == "bsd":
        tars.run("bsdtar", "--format=" + form, "-C", root, "-cf", tar, ".")
    elif program == "busybox":
        need("busybox")
        tars.run("busybox", "tar", "-C", root, "-cf", tar, ".")
    else:
        tars.python(root, tar, form)
    oracle.assert_same(oracle.normal(oracle.walk(root)), judge(tar))


def layer_of(layout):
    """The path of the last layer's blob of an OCI layout with one image."""
    blobs = os.path.join(layout, "blobs/sha256")

    def load(digest):
        with open(os.path.join(blobs, digest.split(":")[1])) as f:
            return json.load(f)

    with open(os.path.join(layout, "index.json")) as f:
        manifest = load(json.load(f)["manifests"][0]["digest"])
    return os.path.join(blobs, manifest["layers"][-1]["digest"].split(":")[1])


def test_go_by_umoci(judge, work, rich):
    """umoci insert: a whole tree by Go's archive/tar, PAX with attributes."""
    need("umoci")
    layout = os.path.join(work, "layout")
    umoci = ["umoci", "--log=error"]
    tars.run(*umoci, "init", "--layout", layout)
    tars.run(*umoci, "new", "--image", layout + ":t")
    tars.run(*umoci, "insert", "--image", layout + ":t", rich, "/tree")
    tar = os.path.join(work, "a.tar")
    with open(tar, "wb") as out:
        subprocess.run(["gzip", "-dcf", layer_of(layout)], check=True,
                       stdout=out)
    got = judge(tar, root=False)
    assert got[b"tree/page"]["mtime"] // 10**9 == NS // 10**9
    assert b"user.bytes" in got[b"tree/page"]["xattrs"]


def test_go_by_buildah(tarfs, mounter, work, rich):
    """buildah commits a directory as a layer; converted, and compared."""
    need("buildah")
    store = ["--root", os.path.join(work, "s"), "--runroot",
             os.path.join(work, "r"), "--storage-driver", "vfs"]
    name = tars.run("buildah", *store, "from", "scratch").stdout.decode()
    tars.run("buildah", *store, "add", name.strip(), rich, "/tree")
    layout = os.path.join(work, "layout")
    tars.run("buildah", *store, "commit", name.strip(), "oci:%s:t" % layout)
    out, where = os.path.join(work, "out"), os.path.join(work, "mnt")
    tarfs.ok("convert", "--quiet", layout, "-o", out)
    os.mkdir(where)
    tarfs.ok("mount", out, where)
    got = oracle.normal(oracle.walk(where), image=True)
    tarfs.ok("umount", where)
    tar = os.path.join(work, "a.tar")
    with open(tar, "wb") as f:
        subprocess.run(["gzip", "-dcf", layer_of(layout)], check=True,
                       stdout=f)
    want = oracle.normal(oracle.walk(layers.unpack(
        tar, os.path.join(work, "unpacked"))))
    oracle.assert_same(oracle.without(want, "mtime"),
                       oracle.without(got, "mtime"))


def test_go_by_skopeo(tarfs, work):
    """The outer archive is by Go too: docker-archive and oci-archive."""
    need("skopeo")
    tar = oci.tar_of([(".", None), ("a", b"a"), ("d", None), ("d/b", b"b")])
    layout = oci.directory(os.path.join(work, "layout"),
                           oci.oci(oci.Image([tar], "gzip"), "t"))
    for kind in ("docker-archive", "oci-archive"):
        path = os.path.join(work, kind + ".tar")
        tars.run("skopeo", "--insecure-policy", "copy", "-q",
                 "oci:%s:t" % layout, "%s:%s:name:1" % (kind, path)
                 if kind == "docker-archive" else "%s:%s" % (kind, path),
                 cwd=work)
        out = os.path.join(work, kind)
        tarfs.ok("convert", "--quiet", path, "-o", out)
        tarfs.ok("verify", "--quiet", out)
