# SPDX-License-Identifier: Apache-2.0
"""dump.erofs: what it prints, and that it fails when it should."""

import json
import os
import re
import subprocess

import pytest

from lib.image import Superblock
from lib.run import environment

TYPES = {"file": "regular file", "dir": "directory", "symlink":
         "symlink file", "char": "char dev", "block": "block dev",
         "fifo": "FIFO file", "socket": "SOCK file"}
DIRENT = {"file": 1, "dir": 2, "char": 3, "block": 4, "fifo": 5, "socket": 6,
          "symlink": 7}


@pytest.fixture(scope="module")
def img(mkfs, edges, session_dir):
    path = os.path.join(session_dir, "dump.img")
    mkfs.ok("--quiet", "-zlz4hc", "-C65536", "-Ldump-me", "-T1700000000",
            "--mkfs-time", path, edges.path)
    return path


@pytest.fixture(scope="module")
def chosen(edges):
    """Every eighth path, and all of the rarer kinds."""
    paths = sorted(path for path in edges.records if path != b".")
    return [path for i, path in enumerate(paths)
            if i % 8 == 0 or edges.records[path]["type"] not in
            ("file", "dir")]


def look(dump, img, path, *options):
    return json.loads(dump.ok("--json", *options,
                              b"--path=/" + path, img).text)


def test_superblock_text(dump, img):
    text = dump.ok(img).text
    sb = Superblock(img)
    assert text == dump.ok("-s", img).text
    for title, value in (
            ("magic number:", "0xE0F5E1E2"), ("blocks:", "%d" % sb.blocks),
            ("inode metadata start block:", "%d" % sb.meta_blkaddr),
            ("shared xattr metadata start block:", "%d" % sb.xattr_blkaddr),
            ("root nid:", "%d" % sb.root_nid),
            ("inode count:", "%d" % sb.inos),
            ("created:", "Tue Nov 14 22:13:20 2023"),
            ("UUID:", sb.uuid_text()), ("volume name:", "dump-me")):
        line = r"^Filesystem %s\s+%s\s*$" % (re.escape(title),
                                             re.escape(value))
        assert re.search(line, text, re.M), (title, text)
    features = re.search(r"^Filesystem features:\s+(.*)$", text, re.M)
    assert {"sb_csum", "mtime", "0padding", "big_pcluster"} <= set(
        features.group(1).split())


def test_superblock_lines_as_the_peer_has_them(dump, img):
    """Each line of Debian's dump.erofs is one of ours."""
    done = subprocess.run(["/usr/bin/dump.erofs", "-s", img],
                          capture_output=True, text=True,
                          env=environment())
    if done.returncode == 127:
        pytest.skip("no erofs-utils here")
    ours = [" ".join(line.split()) for line in
            dump.ok("-s", img).text.splitlines()]
    for line in done.stdout.splitlines():
        line = " ".join(line.split())
        if line and not line.startswith("Filesystem features"):
            assert line in ours


def test_superblock_json(dump, img):
    sb = Superblock(img)
    found = json.loads(dump.ok("--json", img).text)["superblock"]
    assert found["uuid"] == sb.uuid_text()
    assert found["blocks"] == sb.blocks and found["block_size"] == 4096
    assert found["inodes"] == sb.inos
    assert found["created"] == 1700000000
    assert found["volume_name"] == "dump-me"
    assert found["oldest_kernel"] == "5.13"


@pytest.mark.parametrize("options", [[], ["-zlz4"], ["-b512", "-zlz4"]],
                         ids=["plain", "lz4", "b512"])
def test_metadata_in_at_most_two_ranges(mkfs, dump, edges, work, options):
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", *options, image, edges.path)
    found = json.loads(dump.ok("--json", "-S", image).text)["statistics"]
    ranges = found["metadata_ranges"]
    assert 1 <= len(ranges) <= 2
    assert all(start < end for start, end in ranges)
    assert ranges[-1][1] <= Superblock(image).blocks
    assert found["metadata_blocks"] == sum(e - s for s, e in ranges)


def test_statistics(dump, img, edges):
    found = json.loads(dump.ok("--json", "-S", img).text)["statistics"]
    inodes = {}
    for path, rec in edges.records.items():
        inodes[rec.get("group", path)] = rec

    def count(kind):
        return sum(1 for rec in inodes.values() if rec["type"] == kind)

    assert found["inodes"] == len(inodes)
    assert found["files"] == count("file")
    assert found["directories"] == count("dir")
    assert found["symlinks"] == count("symlink")
    assert found["char_devices"] == count("char")
    assert found["block_devices"] == count("block")
    assert found["fifos"] == count("fifo")
    assert found["sockets"] == count("socket")
    text = dump.ok("-S", img).text
    assert re.search(r"^Filesystem total file count:\s+%d$" % len(inodes),
                     text, re.M)
    assert re.search(r"^Filesystem compressed files:\s+\d+$", text, re.M)
    assert "file size distribution" in text


def test_inodes(dump, img, edges, chosen):
    """Facts of every kind of inode, equal to those of the source."""
    for path in chosen:
        want = edges.records[path]
        got = look(dump, img, path)["inode"]
        sec, nsec = divmod(want["mtime"], 10**9)
        facts = {
            "type": TYPES[want["type"]], "uid": want["uid"],
            "gid": want["gid"], "nlink": want["nlink"], "mtime": sec,
            "mtime_nsec": nsec,
        }
        if "size" in want:
            facts["size"] = want["size"]
        if "rdev" in want:
            facts["rdev"] = list(want["rdev"])
        assert {k: got.get(k) for k in facts} == facts, path
        assert got["mode"] & 0o7777 == want["mode"], path
        if "target" in want:
            assert os.fsencode(got["target"]) == want["target"], path
        xattrs = {os.fsencode(x["name"]): bytes.fromhex(x["value"])
                  for x in got["xattrs"]}
        assert xattrs == want["xattrs"], path


def test_path_and_nid_agree(dump, img):
    by_path = look(dump, img, b"content/text1m")["inode"]
    nid = "--nid=%d" % by_path["nid"]
    by_nid = json.loads(dump.ok("--json", nid, img).text)["inode"]
    assert by_nid["path"] == "/content/text1m"
    assert by_nid == by_path


@pytest.mark.parametrize("path", ["/hard/a", "hard/a", "//hard///a",
                                  "/./hard/./a"])
def test_spellings_of_a_path(dump, img, path):
    a = json.loads(dump.ok("--json", "--path=" + path, img).text)["inode"]
    b = look(dump, img, b"hard/a")["inode"]
    assert a["nid"] == b["nid"]


def test_root(dump, img):
    found = look(dump, img, b"")["inode"]
    assert found["nid"] == Superblock(img).root_nid
    assert found["type"] == "directory"


def test_inode_text(dump, img):
    text = dump.ok("--path=/content/text1m", img).text
    assert re.search(r"^File : /content/text1m$", text, re.M)
    assert re.search(r"^Size: 1048576  On-disk size: \d+  regular file$",
                     text, re.M)
    assert re.search(r"^NID: \d+   Links: 1   Layout: 3   Compression ratio: "
                     r"\d+\.\d\d%$", text, re.M)
    assert re.search(r"^Uid: 0   Gid: 0  Access: 0644/rw-r--r--$", text, re.M)
    assert re.search(r"^Timestamp: 2023-11-14 22:13:20\.000000000$", text,
                     re.M)


def test_ls(dump, img, edges):
    for path in (b"names", b"dirs/many", b"dirs/d4096", b"empty/also",
                 b"nodes"):
        found = look(dump, img, path, "--ls")["entries"]
        names = [os.fsencode(entry["name"]) for entry in found]
        below = {p[len(path) + 1:]: rec for p, rec in edges.records.items()
                 if p.startswith(path + b"/")
                 and b"/" not in p[len(path) + 1:]}
        assert set(names) == set(below) | {b".", b".."}
        assert names == sorted(names), "kernel order"
        for entry in found:
            name = os.fsencode(entry["name"])
            if name in below:
                assert entry["type"] == DIRENT[below[name]["type"]]


def test_ls_text(dump, img):
    lines = dump.ok("--ls", "--path=/hard", img).text.splitlines()
    at = next(i for i, line in enumerate(lines)
              if line.split() == ["NID", "TYPE", "FILENAME"])
    rows = [line.split() for line in lines[at + 1:] if line]
    assert ["a", "b"] == [row[2] for row in rows if row[2] in ("a", "b")]
    nids = {row[2]: row[0] for row in rows}
    assert nids["a"] == nids["b"] != nids["big"]


def test_text_of_names_cannot_steer_a_terminal(dump, img):
    out = dump.ok("--ls", "--path=/names", img).out
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", out)


def test_cat(dump, img, edges):
    files = [path for path, rec in edges.records.items()
             if rec["type"] == "file" and rec["size"] < 2 << 20
             and path.split(b"/")[0] in (b"sizes", b"content", b"hard")]
    for path in files[::3]:
        got = dump.ok("--cat", b"--path=/" + path, img).out
        with open(os.path.join(os.fsencode(edges.path), path), "rb") as f:
            assert got == f.read(), path


def test_cat_by_nid(dump, img):
    nid = look(dump, img, b"hard/a")["inode"]["nid"]
    assert dump.ok("--cat", "--nid=%d" % nid,
                   img).out == b"one inode, three names\n"


def test_extents_cover_a_file(dump, img):
    for name in (b"content/text1m", b"content/noise300k", b"content/mixed4k",
                 b"content/zeros20m", b"sizes/t4097", b"sizes/r4097"):
        found = look(dump, img, name, "-e")
        at = 0
        for extent in found["extents"]:
            assert extent["logical"] == at and extent["length"] > 0
            at += extent["length"]
        assert at == found["inode"]["size"]


def test_extents_text(dump, img):
    text = dump.ok("-e", "--path=/content/text1m", img).text
    assert re.search(r"^\s*0:\s+0\.\.\s*\d+ \|\s+\d+ :\s+\d+\.\.\s*\d+ \|\s+"
                     r"\d+", text, re.M)
    assert re.search(r"^/content/text1m: \d+ extents found$", text, re.M)


FAILS = [
    (["--path=/nope"], "nope"), (["--path=/hard/a/x"], ""),
    (["--nid=99999999999"], "99999999999"), (["--path=/hard/../hard/a"], ""),
    (["--cat", "--path=/nope"], "nope"), (["--cat", "--path=/hard"], ""),
    (["--cat", "--path=/links/dir"], ""), (["--ls", "--path=/hard/a"], ""),
    (["--ls", "--path=/nope"], "nope"), (["-e", "--path=/nope"], "nope"),
    (["--nid=x"], "nid"), (["--nid=-1"], "nid"), (["--no-such"], "no-such"),
    (["--offset=4096"], ""), (["--offset=x"], "offset"),
    (["--path=/" + "x" * 300], ""),
]


@pytest.mark.parametrize("args, word", FAILS,
                         ids=lambda v: "".join(v)[:40] or "any")
def test_failures(dump, img, args, word):
    result = dump.fails(*args, img, code=1)
    assert word in result.errors
    assert b"--cat" not in [os.fsencode(a) for a in args] or not result.out


def test_json_stays_json_when_it_fails(dump, img):
    result = dump.fails("--json", "--path=/nope", img)
    assert not result.out.strip() or json.loads(result.text) == {}


@pytest.mark.parametrize("data", [b"", b"x", bytes(4096), b"\xff" * 8192,
                                  bytes(1024) + b"\xe2\xe1\xf5\xe0"],
                         ids=["empty", "one", "zeros", "ones", "cut"])
def test_not_an_image(dump, work, data):
    path = os.path.join(work, "bad.img")
    with open(path, "wb") as out:
        out.write(data)
    result = dump.fails(path, code=1)
    assert "bad.img" in result.errors


def test_statistics_name_what_is_damaged(mkfs, dump, work):
    """The path of an inode, or of the directory that cannot be read."""
    source = os.path.join(work, "named")
    os.makedirs(os.path.join(source, "sub", "deep"))
    for name in ("victim", "zz"):
        with open(os.path.join(source, "sub", name), "wb") as out:
            out.write(b"x")
    path = os.path.join(work, "named.img")
    mkfs.ok("--quiet", "-T0", path, source)

    def damage(victim, at, data):
        copy = os.path.join(work, "damaged.img")
        inode = json.loads(dump.ok("--json", "--path=" + victim, path).text)
        with open(path, "rb") as f, open(copy, "wb") as out:
            out.write(f.read())
            out.seek(inode["inode"]["position"] + at)
            out.write(data)
        return dump.fails("-S", copy, code=1).errors

    # An unknown layout; a first name offset that cannot be.
    assert "/sub/victim: " in damage("/sub/victim", 0, b"\x0e\0")
    errors = damage("/sub", 32 + 8, b"\x01\0")
    assert "/sub: " in errors and "/sub/" not in errors


def test_no_such_image(dump, work):
    result = dump.fails(os.path.join(work, "none.img"), code=1)
    assert "none.img" in result.errors


def test_offset(dump, img, work):
    path = os.path.join(work, "offset.img")
    with open(path, "wb") as out, open(img, "rb") as f:
        out.write(b"\xaa" * 8192)
        out.write(f.read())
    want = dump.ok("--json", "-S", img).text
    assert dump.ok("--json", "-S", "--offset=8192", path).text == want
    assert dump.ok("--json", "-S", "--offset=8k", path).text == want


@pytest.mark.parametrize("program", ["dump", "fsck"])
def test_version_and_help(request, program):
    tool = request.getfixturevalue(program)
    lines = tool.ok("-V").text.splitlines()
    assert lines[0] == program + ".erofs (erofs-utils) 1.9.3"
    assert re.match(r"erofskit \d+\.\d+\.\d+\S*, command line compatible with "
                    r"erofs-utils 1\.9\.3$", lines[1])
    text = tool.ok("--help").text
    words = {"dump": "-s -S --path --nid -e --ls --cat --json --device "
                     "--offset -V -h",
             "fsck": "--extract --manifest --digest --verity-root --verity "
                     "--strict --metadata-only --max-decode --json --device "
                     "--offset --nid --path --no-sbcrc --to-tar -p -d -a -A "
                     "-y -V -h"}
    for word in words[program].split():
        assert re.search(r"(^|[\s,\[])%s([\s,=<\[A-Z]|$)" % re.escape(word),
                         text, re.M), word


def test_stdout_that_cannot_be_written(dump, img):
    with open("/dev/full", "wb") as full:
        result = dump.run("-S", img, stdout=full)
        assert result.code == 1 and result.err
        result = dump.run("--cat", "--path=/content/text1m", img, stdout=full)
        assert result.code == 1 and result.err
