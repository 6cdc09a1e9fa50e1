# SPDX-License-Identifier: Apache-2.0
"""The command line of mkfs.erofs: what it takes, refuses and prints."""

import json
import os
import pty
import re
import select
import subprocess

import pytest

from lib.image import SB_CHKSUM, Superblock
from lib.run import environment

DATA = os.path.join(os.path.dirname(os.path.dirname(__file__)), "data")


def lines_of(name):
    with open(os.path.join(DATA, name)) as lines:
        return [line.rstrip("\n").split("\t") for line in lines
                if not line.startswith("#")]


@pytest.fixture
def src(work):
    path = os.path.join(work, "src")
    os.makedirs(os.path.join(path, "d"))
    for i in range(3):
        with open(os.path.join(path, "d", "f%d" % i), "w") as out:
            out.write("some text " * 1000 * i)
    for name in ("d/f0", "d/f1", "d/f2", "d", "."):
        os.utime(os.path.join(path, name), (1600000000, 1600000000))
    return path


@pytest.fixture
def img(work):
    return os.path.join(work, "out.img")


def only(work, *names):
    """Nothing else is left in the work directory."""
    assert sorted(os.listdir(work)) == sorted(names)


@pytest.mark.parametrize("option, word", lines_of("mkfs-later.txt"))
def test_refused_by_name(mkfs, work, src, img, option, word):
    result = mkfs.fails(option, img, src, code=1)
    assert word in result.errors
    only(work, "src")


@pytest.mark.parametrize("option, word", lines_of("mkfs-wrong.txt"))
def test_wrong_values(mkfs, work, src, img, option, word):
    with open(img, "w") as out:
        out.write("old")
    result = mkfs.fails(option, img, src, code=1)
    assert word in result.errors
    only(work, "out.img", "src")
    with open(img) as old:
        assert old.read() == "old"


@pytest.mark.parametrize("args", [[], ["one"], ["a", "b", "c"]],
                         ids=["none", "one", "three"])
def test_wrong_number_of_arguments(mkfs, work, args):
    mkfs.fails(*args, code=1, cwd=work)
    only(work)


def test_source_must_exist(mkfs, work, img):
    result = mkfs.fails(img, os.path.join(work, "nowhere"), code=1)
    assert "nowhere" in result.errors
    only(work)


def test_source_must_be_a_directory(mkfs, work, img, src):
    result = mkfs.fails(img, os.path.join(src, "d/f0"), code=1)
    assert "f0" in result.errors
    only(work, "src")


def test_target_directory_must_exist(mkfs, work, src):
    result = mkfs.fails(os.path.join(work, "no/dir/out.img"), src, code=1)
    assert "no/dir" in result.errors
    only(work, "src")


def test_target_may_not_be_a_directory(mkfs, work, src):
    os.mkdir(os.path.join(work, "out"))
    result = mkfs.fails(os.path.join(work, "out"), src, code=1)
    assert "out" in result.errors
    only(work, "src", "out")


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version(mkfs, flag):
    lines = mkfs.ok(flag).text.splitlines()
    assert lines[0] == "mkfs.erofs (erofs-utils) 1.9.3"
    assert re.fullmatch(r"erofskit \d+\.\d+\.\d+\S*, command line compatible "
                        r"with erofs-utils 1\.9\.3", lines[1])
    assert re.search(r"lz4.*\d+\.\d+", "\n".join(lines[2:]))


HELP = """-z -C -b -d -x -L -U -T --all-time --mkfs-time --preserve-mtime
--ignore-mtime -E --all-root --force-uid --force-gid --uid-offset --gid-offset
--exclude-path --exclude-regex --hard-dereference --workers --quiet --json
--no-sync -V -h --version --help""".split()


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(mkfs, flag):
    result = mkfs.ok(flag)
    assert not result.err
    for option in HELP:
        assert re.search(r"(^|[\s,\[])%s([\s,=<\[A-Z]|$)" % re.escape(option),
                         result.text, re.M), option
    for word in ("noinline_data", "force-inode-compact",
                 "force-inode-extended", "nosbcrc"):
        assert word in result.text
    for line in result.text.splitlines():
        assert len(line) <= 100, line


def test_man_page(mkfs, work):
    """Made of the same table, and groff has nothing to say against it."""
    result = mkfs.ok("--help-man")
    for option in HELP:
        plain = result.text.replace("\\-", "-").replace("\\f", "")
        assert option.lstrip("-") in plain, option
    done = subprocess.run(["man", "--warnings", "-l", "-"],
                          input=result.out, capture_output=True,
                          env=environment({"MANWIDTH": "100"}))
    if done.returncode != 127:
        assert done.returncode == 0 and not done.stderr, done.stderr


def test_contract_lines(mkfs, img, src):
    result = mkfs.ok("-zlz4", img, src)
    sb = Superblock(img)
    lines = result.text.splitlines()
    assert lines[0] == "mkfs.erofs 1.9.3"
    assert "Build completed." in lines
    assert "------" in lines
    assert "Filesystem UUID: " + sb.uuid_text() in lines
    assert ("Filesystem total blocks: %d (of 4096-byte blocks)" % sb.blocks
            in lines)
    assert "Filesystem total inodes: 5" in lines
    assert re.search(r"^Filesystem total metadata blocks: \d+$",
                     result.text, re.M)
    assert re.search(r"^Filesystem total deduplicated bytes "
                     r"\(of source files\): \d+$", result.text, re.M)
    assert "Oldest kernel that mounts it: Linux 5.4" in lines
    assert re.search(r"^Bytes: 30000 in files, %d in the image"
                     % os.path.getsize(img), result.text, re.M)
    assert not result.err
    assert "\r" not in result.text


@pytest.mark.parametrize("options, oldest", [
    ([], "5.4"), (["-zlz4"], "5.4"), (["-zlz4", "-C65536"], "5.13"),
    (["-b1024"], "6.4"), (["-b512", "-zlz4"], "6.8")],
    ids=["plain", "lz4", "big", "b1024", "b512-lz4"])
def test_oldest_kernel(mkfs, img, src, options, oldest):
    """What the image uses counts, not what the options allow."""
    with open(os.path.join(src, "large"), "w") as out:
        out.write("some more text " * 99999 + "%r" % list(range(99999)))
    found = json.loads(mkfs.ok("--json", *options, img, src).text)
    assert found["oldest_kernel"] == oldest


def test_quiet_is_silent(mkfs, img, src):
    result = mkfs.ok("--quiet", "-zlz4", img, src)
    assert result.out == b"" and result.err == b""


def test_quiet_tells_errors(mkfs, img):
    result = mkfs.fails("--quiet", img, "/no/such/place", code=1)
    assert result.out == b"" and "/no/such/place" in result.errors


def test_json(mkfs, img, src):
    found = json.loads(mkfs.ok("--json", "-zlz4hc,9", img, src).text)
    sb = Superblock(img)
    assert found["uuid"] == sb.uuid_text()
    assert found["blocks"] == sb.blocks
    assert found["block_size"] == 4096
    assert found["inodes"] == 5
    assert found["files"] == 3 and found["directories"] == 2
    assert found["symlinks"] == 0 and found["others"] == 0
    assert found["bytes_in"] == 30000
    assert found["bytes_out"] == os.path.getsize(img)
    assert found["build_time"] == 1600000000
    assert re.match(r"\d+\.\d+\.\d+", found["codecs"]["lz4hc"])
    assert found["seconds"]["total"] >= 0


def test_json_names_that_are_not_utf8(mkfs, work, src):
    """The byte XX of a name is \\udcXX, as Python decodes it."""
    name = os.path.join(os.fsencode(work), b"out\xff\xe9.img")
    found = json.loads(mkfs.ok("--json", name, src).text)
    assert os.fsencode(found["image"]) == name


def test_json_and_errors(mkfs, img, work):
    result = mkfs.fails("--json", img, os.path.join(work, "none"), code=1)
    assert result.out == b"" or json.loads(result.text)


def read_terminal(argv):
    """What argv prints on a terminal of 80 columns."""
    master, slave = pty.openpty()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=slave,
                               stderr=slave, env=environment())
    os.close(slave)
    out = b""
    while True:
        ready, _, _ = select.select([master], [], [], 60)
        try:
            data = os.read(master, 65536) if ready else b""
        except OSError:
            data = b""
        if not data:
            break
        out += data
    os.close(master)
    return process.wait(60), out


def test_progress_only_on_a_terminal(mkfs, img, work):
    path = os.path.join(work, "src")
    os.mkdir(path)
    for i in range(300):
        with open(os.path.join(path, "big-%d\x1b[31m" % i), "wb") as out:
            out.write(os.urandom(40000) * 4)
    argv = mkfs.argv(["-zlz4hc,12", "-C65536", "--workers=1", img, path])
    code, out = read_terminal(argv)
    assert code == 0
    assert b"Processing" in out and b"\r" in out
    assert b"\x1b[31m" not in out, "a name may not steer the terminal"
    assert b"Build completed." in out
    code, out = read_terminal(argv[:1] + ["--quiet"] + argv[1:])
    assert code == 0 and out == b""


@pytest.mark.parametrize("order", [
    ["-zlz4", "IMG", "SRC"], ["IMG", "-zlz4", "SRC"], ["IMG", "SRC", "-zlz4"],
    ["IMG", "SRC", "-z", "lz4"], ["-zlz4", "--", "IMG", "SRC"],
    ["-zfoo", "-zlz4", "IMG", "SRC"], ["-zlz4hc", "-zlz4", "IMG", "SRC"]],
    ids=lambda order: "_".join(order))
def test_options_permute_and_the_last_wins(mkfs, work, img, src, order):
    args = [{"IMG": img, "SRC": src}.get(word, word) for word in order]
    if "-zfoo" in order:
        mkfs.fails(*args, code=1)
        return
    mkfs.ok("--quiet", *args)
    twin = os.path.join(work, "twin.img")
    mkfs.ok("--quiet", "-zlz4", twin, src)
    with open(img, "rb") as a, open(twin, "rb") as b:
        assert a.read() == b.read()


@pytest.mark.parametrize("one, other", [
    (["-C65536"], ["-C64k"]), (["-C65536"], ["-C64K"]),
    (["-C1048576"], ["-C1M"]), (["-C1048576"], ["-C", "1m"]),
    (["-b4096"], ["-b4k"]), (["-b1024"], ["-b1K"]), (["-b4096"], []),
    (["-zlz4hc"], ["-zlz4hc,9"]), (["-zlz4hc,9"], ["-zlz4hc,level=9"]),
    (["-C4096"], []), (["-x2"], []), (["--preserve-mtime"], []),
    (["--excl"], None), (["--exclude-p=d/f0"], ["--exclude-path=d/f0"]),
    (["--exclude-path=d/f0"], ["--exclude-path", "d/f0"]),
    (["-Enoinline_data"], ["-E^inline_data"]),
    (["-Enoinline_data,^noinline_data"], []),
    (["-Eforce-inode-compact,nosbcrc", "-E^force-inode-compact,^nosbcrc"],
     []),
    (["-E^dedupe"], []), (["-T5", "--all-time"], ["-T5"]),
    (["--max-extent-bytes=5000"], ["--max-extent-bytes=4096"]),
    (["--max-extent-bytes=8388608"], []),
    (["-b512", "--max-extent-bytes=700"], ["-b512", "--max-extent-bytes=512"]),
    (["-T", " 5"], ["-T5"]), (["-Enosbcrc,"], ["-Enosbcrc"]),
    (["-zzstd,dictsize=0"], ["-zzstd"]),
    (["--mount-point=/vendor", "--async-queue-limit=8"], []),
    (["--workers=1"], ["--workers=7"])],
    ids=lambda words: "_".join(words) if words is not None else "ambiguous")
def test_ways_to_say_the_same(mkfs, work, src, one, other):
    a, b = os.path.join(work, "a.img"), os.path.join(work, "b.img")
    if other is None:
        mkfs.fails(*one, a, src, code=1)
        return
    base = [] if any("-z" in word for word in one) else ["-zlz4"]
    mkfs.ok("--quiet", *base, *one, a, src)
    mkfs.ok("--quiet", *base, *other, b, src)
    with open(a, "rb") as x, open(b, "rb") as y:
        assert x.read() == y.read()


def test_uuid(mkfs, img, src):
    text = "01234567-89ab-cdef-0123-456789abcdef"
    mkfs.ok("--quiet", "-U", text.upper(), img, src)
    assert Superblock(img).uuid_text() == text
    mkfs.ok("--quiet", "-Uclear", img, src)
    assert Superblock(img).uuid == bytes(16)
    found = set()
    for _ in range(2):
        mkfs.ok("--quiet", "-Urandom", img, src)
        uuid = Superblock(img).uuid
        assert uuid[6] >> 4 == 4 and uuid[8] >> 6 == 2
        found.add(uuid)
    assert len(found) == 2


def test_uuid_of_content(mkfs, img, src):
    """Version 8, the same for the same tree, another for another."""
    mkfs.ok("--quiet", img, src)
    first = Superblock(img).uuid
    assert first[6] >> 4 == 8 and first[8] >> 6 == 2
    mkfs.ok("--quiet", img, src)
    assert Superblock(img).uuid == first
    with open(os.path.join(src, "d/f1"), "r+b") as out:
        out.write(b"S")
    os.utime(os.path.join(src, "d/f1"), (1600000000, 1600000000))
    mkfs.ok("--quiet", img, src)
    assert Superblock(img).uuid != first


def test_label(mkfs, img, src):
    mkfs.ok("--quiet", "-Lfifteen-letters", img, src)
    assert Superblock(img).label == b"fifteen-letters"
    mkfs.ok("--quiet", img, src)
    assert Superblock(img).label == b""


@pytest.mark.parametrize("options, env, want", [
    ([], {}, 1600000000), (["-T77"], {}, 77), (["-T0"], {}, 0),
    (["-T77", "--mkfs-time"], {}, 77),
    ([], {"SOURCE_DATE_EPOCH": "1500000000"}, 1500000000),
    ([], {"SOURCE_DATE_EPOCH": "1700000000"}, 1700000000),
    (["-T77"], {"SOURCE_DATE_EPOCH": "1500000000"}, 77)],
    ids=["newest", "T77", "T0", "mkfs-time", "clamp", "later", "T-wins"])
def test_build_time(mkfs, img, src, options, env, want):
    mkfs.ok("--quiet", *options, img, src, env=env)
    assert Superblock(img).epoch == want


@pytest.mark.parametrize("value", ["foo", "1x", "99999999999999999999", " "])
def test_wrong_source_date_epoch(mkfs, work, img, src, value):
    result = mkfs.fails(img, src, code=1, env={"SOURCE_DATE_EPOCH": value})
    assert "SOURCE_DATE_EPOCH" in result.errors
    only(work, "src")


def test_negative_time(mkfs, img, src):
    """Refused by name, or kept: never a different time."""
    result = mkfs.run("--quiet", "-T-5", img, src)
    if result.code:
        assert "-T" in result.errors
    else:
        assert Superblock(img).epoch == -5


@pytest.mark.parametrize("bs", [512, 1024, 2048, 4096])
def test_checksum_and_size(mkfs, img, src, bs):
    mkfs.ok("--quiet", "-b%d" % bs, "-zlz4", img, src)
    sb = Superblock(img)
    assert sb.compat & SB_CHKSUM and sb.checksum == sb.computed
    assert sb.bs == bs
    assert sb.blocks * bs == os.path.getsize(img)
    assert sb.inos == 5


def test_nosbcrc(mkfs, img, src):
    mkfs.ok("--quiet", "-Enosbcrc", img, src)
    sb = Superblock(img)
    assert not sb.compat & SB_CHKSUM and sb.checksum == 0


@pytest.mark.parametrize("form, size", [("compact", 32), ("extended", 64)])
def test_forced_inode_form(mkfs, dump, img, src, form, size):
    mkfs.ok("--quiet", "-Eforce-inode-" + form, img, src)
    for path in ("/", "/d", "/d/f1"):
        found = json.loads(dump.ok("--json", "--path=" + path, img).text)
        assert found["inode"]["inode_size"] == size


def test_exclude_matches_nothing(mkfs, work, img, src):
    twin = os.path.join(work, "twin.img")
    mkfs.ok("--quiet", "--exclude-path=nope", "--exclude-regex=zzz", img, src)
    mkfs.ok("--quiet", twin, src)
    with open(img, "rb") as a, open(twin, "rb") as b:
        assert a.read() == b.read()


def test_trailing_slash_and_dot(mkfs, work, src):
    images = []
    for name in (src, src + "/", src + "/.", os.path.join(src, "d/..")):
        img = os.path.join(work, "out%d.img" % len(images))
        mkfs.ok("--quiet", "--exclude-path=d/f0", img, name)
        with open(img, "rb") as f:
            images.append(f.read())
    assert len(set(images)) == 1


def test_relative_paths(mkfs, work, src):
    mkfs.ok("--quiet", "here.img", "src", cwd=work)
    assert Superblock(os.path.join(work, "here.img")).inos == 5
    only(work, "here.img", "src")


def test_source_is_a_symlink(mkfs, work, img, src):
    os.symlink("src", os.path.join(work, "link"))
    mkfs.ok("--quiet", img, os.path.join(work, "link"))
    assert Superblock(img).inos == 5


def test_stdout_that_cannot_be_written(mkfs, img, src):
    with open("/dev/full", "wb") as full:
        result = mkfs.run(img, src, stdout=full)
    assert result.code == 1 and result.err


# How others call mkfs.erofs: word by word, before the image and the source.
CALLERS = [
    ["--quiet", "-Enoinline_data"],  # containerd, of a directory
    ["--aufs", "--quiet", "-Enoinline_data", "-T 1750791050", "-Uclear",
     "-x-1"],  # dm-verity for containers
    ["-U", "01234567-89ab-cdef-0123-456789abcdef", "-zzstd,level=6"],  # repart
    ["-zlz4hc", "--force-uid=0", "--force-gid=0", "-Eztailpacking"],  # microvm
    ["-z", "lz4hc,9", "-b", "4096", "--mount-point", "/vendor", "-T", "0",
     "-C", "65536", "-E", "legacy-compress"],  # Android
    ["-T1000", "-z", "lz4hc,1", "-x", "1", "-E", "legacy-compress"],  # fuzzers
    ["-d0", "--quiet", "--all-root", "-zlz4hc,6", "-C1048576"],  # live media
    ["--all-root", "-d2", "-E", "noinline_data", "-b", "4096"],  # unikernels
]


@pytest.mark.parametrize("words", CALLERS, ids=" ".join)
def test_as_others_call_it(mkfs, fsck, img, src, words):
    mkfs.ok(*words, img, src)
    fsck.ok("--extract", img)
