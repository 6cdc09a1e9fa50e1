# SPDX-License-Identifier: Apache-2.0
"""fsck.erofs on images of ours: verdicts, evidence and extraction. The rules
one by one are in test_fsck_rules.py."""

import hashlib
import json
import os
import random
import stat
import subprocess
import tarfile

import pytest

from lib import oracle
from lib.image import Superblock, fix_checksum
from lib.run import environment

OPTIONS = [[], ["-zlz4"], ["-zlz4hc,9", "-C65536"], ["-b512", "-zlz4"],
           ["-Enoinline_data", "-x1"], ["-Eforce-inode-extended", "-b1024"]]
CLEAN, ERRORS, UNABLE, USAGE = 0, 4, 8, 16


def ident(options):
    return "".join(options) or "plain"


@pytest.fixture(scope="module")
def images(mkfs, edges, session_dir):
    """One image for each list of options."""
    made = {}
    for options in OPTIONS:
        path = os.path.join(session_dir, "check-%d.img" % len(made))
        mkfs.ok("--quiet", *options, path, edges.path)
        made[ident(options)] = path
    return made


@pytest.fixture
def img(images):
    return images["-zlz4"]


@pytest.fixture
def copy(img, work):
    """An image that may be damaged."""
    path = os.path.join(work, "copy.img")
    with open(img, "rb") as a, open(path, "wb") as b:
        b.write(a.read())
    return path


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def patch(path, offset, data):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)


def verdict(fsck, code, *args, **kwargs):
    """Run, and demand this exit status and a word about it."""
    result = fsck.run(*args, **kwargs)
    assert result.code == code, repr(result)
    assert result.out or result.err
    return result


def codes(result):
    return [line.split()[0] for line in result.text.splitlines()]


@pytest.mark.parametrize("name", map(ident, OPTIONS))
def test_ours_are_clean(fsck, images, name):
    result = fsck.ok(images[name])
    assert "structure valid; contents not authenticated" in (
        result.text + result.errors)
    assert "0 errors, 0 warnings" in result.text + result.errors


@pytest.mark.parametrize("name", map(ident, OPTIONS))
def test_ours_hide_nothing(fsck, images, name):
    fsck.ok("--strict", images[name])


@pytest.mark.parametrize("name", map(ident, OPTIONS))
def test_extracted_is_the_source(fsck, images, edges, memory, name):
    where = os.path.join(memory, "check-extract-" + name)
    fsck.ok("--extract=" + where, images[name])
    got = oracle.normal(oracle.walk(where))
    oracle.assert_same(edges.records, got)
    sparse = os.stat(os.path.join(where, "content/zeros20m"))
    assert sparse.st_blocks * 512 < 1 << 20, "holes are holes again"
    subprocess.run(["rm", "-rf", where], check=True)


def test_metadata_only(fsck, img):
    result = fsck.ok("--metadata-only", img)
    assert "not" in result.text + result.errors
    found = json.loads(fsck.ok("--metadata-only", "--json", img).text)
    assert found["summary"]["decoded_streams"] == 0
    full = json.loads(fsck.ok("--json", img).text)
    assert full["summary"]["decoded_streams"] > 0
    assert found["summary"]["structure"] != full["summary"]["structure"]


def test_json_counts(fsck, img, edges):
    found = json.loads(fsck.ok("--json", img).text)
    inodes = {rec.get("group", path): rec
              for path, rec in edges.records.items()}
    assert found["status"] == 0 and found["findings"] == []
    assert found["summary"]["inodes"] == len(inodes)
    assert found["summary"]["directories"] == sum(
        rec["type"] == "dir" for rec in inodes.values())
    assert found["summary"]["contents"] == "contents not authenticated"


@pytest.mark.parametrize("data", [b"", b"x" * 100, bytes(8192),
                                  b"\xff" * 8192],
                         ids=["empty", "short", "zeros", "ones"])
def test_not_erofs_is_8(fsck, work, data):
    path = os.path.join(work, "x")
    with open(path, "wb") as out:
        out.write(data)
    verdict(fsck, UNABLE, path)
    assert json.loads(fsck.run("--json", path).text)["status"] == UNABLE


def test_missing_file_is_8(fsck, work):
    result = verdict(fsck, UNABLE, os.path.join(work, "none"))
    assert "none" in result.text + result.errors


@pytest.mark.parametrize("args", [
    [], ["a", "b"], ["--no-such", "a"], ["--max-decode=x", "a"],
    ["--digest=sha256:12", "a"], ["--digest=md5:00", "a"],
    ["--verity-root=xyz", "a"], ["--offset=-1", "a"], ["--nid=", "a"]],
    ids=lambda args: "_".join(args) or "none")
def test_wrong_usage_is_16(fsck, work, args):
    fsck.fails(*args, code=USAGE, cwd=work)


def test_unknown_feature_is_8(fsck, copy):
    patch(copy, 1024 + 0x52, b"\x80")
    fix_checksum(copy)
    verdict(fsck, UNABLE, copy)


def test_wrong_checksum_is_4(fsck, copy):
    patch(copy, 1024 + 0x30, b"\xaa\x55")
    result = fsck.run(copy)
    assert result.code == ERRORS
    assert any("CHECKSUM" in code for code in codes(result))
    fsck.ok("--no-sbcrc", copy)


def test_json_of_a_finding(fsck, copy):
    patch(copy, 1024 + 0x30, b"\xaa\x55")
    found = json.loads(fsck.run("--json", copy).text)
    assert found["status"] == ERRORS
    finding = found["findings"][0]
    assert "CHECKSUM" in finding["code"]
    assert finding["severity"] == "error"
    assert {"path", "nid", "offset", "words"} <= set(finding)


def test_truncated_is_4(fsck, img, work):
    """At every tenth block, and in the middle of one."""
    size = os.path.getsize(img)
    path = os.path.join(work, "cut.img")
    for at in list(range(4096, size, 4096))[::10] + [size - 1, 5000]:
        with open(img, "rb") as a, open(path, "wb") as b:
            b.write(a.read(at))
        result = fsck.run(path)
        assert result.code == ERRORS, (at, result)


def test_file_data_that_does_not_decode(fsck, dump, copy):
    found = json.loads(dump.ok("--json", "-e", "--path=/content/text1m",
                               copy).text)
    extent = found["extents"][3]
    # The end of a pcluster holds data; zeros in front are padding.
    end = extent["physical"] + extent["physical_length"]
    patch(copy, end - 2000, b"\xff" * 1500)
    result = fsck.run(copy)
    assert result.code == ERRORS
    assert "/content/text1m" in result.text
    fsck.ok("--metadata-only", copy)


def test_digest(fsck, img):
    good = sha256(img)
    result = fsck.ok("--digest=sha256:" + good, img)
    assert "contents authenticated by digest" in result.text + result.errors
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    result = fsck.run("--digest=sha256:" + wrong, img)
    assert result.code == ERRORS
    assert "EVIDENCE-DIGEST" in codes(result)


@pytest.fixture(scope="module")
def judge():
    for path in ("/usr/sbin/veritysetup", "/sbin/veritysetup"):
        if os.access(path, os.X_OK):
            return path
    pytest.skip("no veritysetup")


@pytest.mark.parametrize("block", [4096, 512])
@pytest.mark.parametrize("salt", ["-", "00" * 32, "0123456789abcdef"],
                         ids=["none", "zero", "short"])
@pytest.mark.parametrize("superblock", [True, False],
                         ids=["super", "no-super"])
def test_verity_is_veritysetups(fsck, judge, img, work, block, salt,
                                superblock):
    """The same tree as veritysetup's, to the byte and by its verdict."""
    theirs = os.path.join(work, "theirs")
    ours = os.path.join(work, "ours")
    uuid = "00000000-0000-0000-0000-000000000001"
    common = ["--hash=sha256", "--salt=" + salt, "--format=1",
              "--data-block-size=%d" % block, "--hash-block-size=%d" % block]
    common += ["--uuid=" + uuid] if superblock else ["--no-superblock"]
    done = subprocess.run([judge, "format", *common, img, theirs],
                          capture_output=True, text=True, check=True,
                          env=environment())
    root = [line.split()[-1] for line in done.stdout.splitlines()
            if line.startswith("Root hash")][0]
    options = ["--verity-block=%d" % block]
    options += [] if salt == "-" else ["--verity-salt=" + salt]
    options += [] if superblock else ["--verity-no-superblock"]
    result = fsck.ok("--make-verity=" + ours, *options, img)
    assert root in result.text
    with open(theirs, "rb") as a, open(ours, "rb") as b:
        a, b = a.read(), b.read()
    # The first block has a UUID of its own in each.
    skip = block if superblock else 0
    assert a[skip:] == b[skip:]
    subprocess.run([judge, "verify", *common[:-1],
                    *([] if superblock else ["--no-superblock"]), img, ours,
                    root], check=True, capture_output=True,
                   env=environment())
    fsck.ok("--verity-root=" + root, *options, img)
    fsck.ok("--verity-root=" + root, "--verity=" + theirs, *options, img)
    wrong = root[:-1] + ("0" if root[-1] != "0" else "1")
    result = fsck.run("--verity-root=" + wrong, *options, img)
    assert result.code == ERRORS and "EVIDENCE-VERITY" in codes(result)


def test_verity_finds_every_flip(fsck, copy, work):
    tree = os.path.join(work, "tree")
    root = fsck.ok("--make-verity=" + tree,
                   copy).text.split("root hash:")[1].split()[0]
    dice = random.Random(1)
    size = os.path.getsize(copy)
    for _ in range(20):
        at = dice.randrange(size)
        with open(copy, "rb") as f:
            f.seek(at)
            byte = f.read(1)
        patch(copy, at, bytes([byte[0] ^ 1 << dice.randrange(8)]))
        for more in ([], ["--verity=" + tree]):
            result = fsck.run("--metadata-only", "--verity-root=" + root,
                              *more, copy)
            assert result.code in (ERRORS, UNABLE), at
        patch(copy, at, byte)
    fsck.ok("--verity-root=" + root, "--verity=" + tree, copy)


def test_manifest(mkfs, fsck, edges, work):
    """mkfs writes it, fsck holds the image to it."""
    image, text = os.path.join(work, "m.img"), os.path.join(work, "m.mf")
    mkfs.ok("--quiet", "-zlz4", "--manifest-out=" + text, image, edges.path)
    result = fsck.ok("--manifest=" + text, image)
    assert "manifest" in result.text + result.errors
    assert "not authenticated" not in result.text + result.errors
    with open(text, "rb") as f:
        lines = f.read().splitlines(keepends=True)
    victim = next(i for i, line in enumerate(lines)
                  if b"hard/a" in line)
    for change in (lambda ls: ls[:victim] + ls[victim + 1:],
                   lambda ls: [ls[i].replace(b"hard/a", b"hard/aa", 1)
                               if i == victim else ls[i]
                               for i in range(len(ls))]):
        with open(text, "wb") as f:
            f.write(b"".join(change(lines)))
        assert fsck.run("--manifest=" + text, image).code != CLEAN


@pytest.mark.parametrize("option", ["--manifest", "--verity-root"])
def test_evidence_that_cannot_be_read(mkfs, fsck, edges, work, option):
    """It says nothing, neither good nor bad."""
    image, none = os.path.join(work, "m.img"), os.path.join(work, "none")
    mkfs.ok("--quiet", image, edges.path)
    options = [option + "=" + none]
    if option == "--verity-root":
        options = [option + "=" + "00" * 32, "--verity=" + none]
    result = fsck.run(*options, image)
    assert result.code == UNABLE
    assert "structure valid; contents not authenticated" in result.text
    assert "NOT" not in result.text


@pytest.mark.parametrize("change", ["data", "mode", "mtime", "owner", "xattr",
                                    "extra", "missing", "target"])
def test_manifest_finds_changes(mkfs, fsck, memory, work, change):
    """The image of a tree that differs in one fact is not the one."""
    source = os.path.join(memory, "manifest-" + change)
    os.mkdir(source)
    a, link = os.path.join(source, "a"), os.path.join(source, "link")
    with open(a, "wb") as out:
        out.write(b"contents of a " * 1000)
    os.symlink("a", link)
    times = (1600000000, 1600000000)
    for path in (a, link, source):
        os.utime(path, times, follow_symlinks=False)
    image, text = os.path.join(work, "m.img"), os.path.join(work, "m.mf")
    mkfs.ok("--quiet", "--manifest-out=" + text, image, source)
    fsck.ok("--manifest=" + text, image)
    if change == "data":
        with open(a, "r+b") as out:
            out.write(b"C")
    elif change == "mode":
        os.chmod(a, 0o600)
    elif change == "owner":
        os.chown(a, 0, 5)
    elif change == "xattr":
        os.setxattr(a, "user.x", b"")
    elif change == "extra":
        os.mkdir(os.path.join(source, "extra"))
    elif change == "missing":
        os.unlink(link)
    elif change == "target":
        os.unlink(link)
        os.symlink("b", link)
    for path in (a, link, source):
        if os.path.lexists(path):
            os.utime(path, times, follow_symlinks=False)
    if change == "mtime":
        os.utime(a, ns=(1600000000 * 10**9, 1600000000 * 10**9 + 1))
    mkfs.ok("--quiet", image, source)
    result = fsck.run("--manifest=" + text, image)
    assert result.code == ERRORS, result
    assert "EVIDENCE-MANIFEST" in codes(result)
    # The root's own link count changes with a directory.
    assert "/a" in result.text or "/link" in result.text or \
        "/extra" in result.text


def test_mkfs_verify(mkfs, edges, work):
    mkfs.ok("--quiet", "--verify", "-zlz4hc,9",
            os.path.join(work, "out.img"), edges.path)


def test_path_and_nid(fsck, dump, copy, work):
    """A part is checked or extracted alone."""
    where = os.path.join(work, "part")
    fsck.ok("--path=/hard", "--extract=" + where, copy)
    assert sorted(os.listdir(where))[:2] == ["a", "b"]
    nid = json.loads(dump.ok("--json", "--path=/hard/sub",
                             copy).text)["inode"]["nid"]
    where = os.path.join(work, "sub")
    fsck.ok("--nid=%d" % nid, "--extract=" + where, copy)
    assert sorted(os.listdir(where)) == ["big", "c"]
    assert fsck.run("--path=/nope", copy).code in (ERRORS, UNABLE, USAGE)


def test_extract_refuses_what_is_there(fsck, img, memory):
    where = os.path.join(memory, "there")
    os.makedirs(os.path.join(where, "hard"))
    with open(os.path.join(where, "hard", "a"), "w") as out:
        out.write("precious")
    result = verdict(fsck, UNABLE, "--extract=" + where, img)
    assert "hard/a" in result.text + result.errors
    with open(os.path.join(where, "hard", "a")) as f:
        assert f.read() == "precious"
    fsck.ok("--overwrite", "--extract=" + where, img)
    with open(os.path.join(where, "hard", "a")) as f:
        assert f.read() == "one inode, three names\n"


def test_extract_stays_inside(fsck, img, work):
    """A symlink that lies in wait leads nowhere."""
    where, outside = os.path.join(work, "in"), os.path.join(work, "out")
    os.mkdir(where)
    os.mkdir(outside)
    os.symlink(outside, os.path.join(where, "hard"))
    fsck.run("--overwrite", "--extract=" + where, img)
    assert os.listdir(outside) == []


def test_extract_without_root(fsck, img, session_dir, work):
    os.chmod(session_dir, 0o755)
    os.chmod(work, 0o777)
    where = os.path.join(work, "mine")
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        + fsck.argv(["--path=/hard", "--extract=" + where, img]),
        env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr
    st = os.stat(os.path.join(where, "a"))
    assert st.st_uid == 65534 and st.st_nlink == 3


def test_to_tar(fsck, img, edges, work, memory):
    """GNU tar makes the same tree of it."""
    tar = os.path.join(memory, "check.tar")
    fsck.ok("--to-tar=" + tar, img)
    piped = fsck.ok("--to-tar=-", img)
    with open(tar, "rb") as f:
        assert f.read() == piped.out
    where = os.path.join(memory, "check-untar")
    os.mkdir(where)
    subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "--acls",
                    "--same-owner", "-xpf", tar, "-C", where], check=True,
                   stderr=subprocess.DEVNULL)
    got = oracle.normal(oracle.walk(where))
    want = dict(edges.records)
    # tar has no sockets, and GNU tar no link of a FIFO.
    for path in [p for p in want if want[p]["type"] == "socket"]:
        assert path not in got
        del want[path]
    skip = {b"nodes", b"."}
    for records in (want, got):
        for path in skip:
            records.pop(path)
    # GNU tar drops empty values: Python's reader shows that they are there.
    want, got = oracle.without(want, "xattrs"), oracle.without(got, "xattrs")
    oracle.assert_same(want, got)
    subprocess.run(["rm", "-rf", where], check=True)


def test_tar_members(fsck, img, edges, memory):
    tar = os.path.join(memory, "members.tar")
    fsck.ok("--to-tar=" + tar, img)
    names = set()
    with tarfile.open(tar, "r:", encoding="utf-8",
                      errors="surrogateescape") as members:
        for member in members:
            name = os.fsencode(member.name)
            name = name[2:] if name.startswith(b"./") else name
            if name in (b"", b"."):
                continue
            names.add(name)
            want = edges.records[name]
            assert member.uid == want["uid"] and member.gid == want["gid"]
            assert stat.S_IMODE(member.mode) == want["mode"], name
            found = {key[len("SCHILY.xattr."):]: value
                     for key, value in member.pax_headers.items()
                     if key.startswith("SCHILY.xattr.")}
            assert {os.fsencode(k) for k in found} == set(
                want["xattrs"]), name
    assert names == {path for path, rec in edges.records.items()
                     if rec["type"] != "socket" and path != b"."}


def test_decode_budget(fsck, img):
    result = fsck.run("--max-decode=64k", img)
    assert result.code == UNABLE, result


def test_offset(fsck, img, work):
    path = os.path.join(work, "offset.img")
    with open(path, "wb") as out, open(img, "rb") as f:
        out.write(b"\xaa" * 4096)
        out.write(f.read())
    fsck.ok("--offset=4096", path)
    verdict(fsck, UNABLE, path)


def test_accepted_and_ignored(fsck, img):
    fsck.ok("-a", img)
    fsck.ok("-A", "-y", "-d3", img)
    assert "%" in fsck.ok("-p", img).text


def test_quiet(fsck, img):
    result = fsck.ok("--quiet", img)
    assert not result.out and not result.err


def test_it_is_only_read(fsck, copy):
    before = sha256(copy), os.stat(copy).st_mtime_ns
    os.chmod(copy, 0o444)
    fsck.ok("--strict", copy)
    assert (sha256(copy), os.stat(copy).st_mtime_ns) == before
    assert Superblock(copy).bs == 4096
