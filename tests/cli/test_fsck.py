# SPDX-License-Identifier: Apache-2.0
"""fsck.erofs as a command: exit statuses, options, output, evidence."""

import hashlib
import json
import os
import re
import shutil

import pytest

from lib import defects, erofs

CLEAN, ERRORS, UNCHECKED, USAGE = 0, 4, 8, 16
SAYS_NOTHING = "structure valid; contents not authenticated"


@pytest.fixture(scope="module")
def good(mkfs, session_dir):
    where = os.path.join(session_dir, "fsck-good")
    os.mkdir(where)
    tree = os.path.join(where, "tree")
    os.mkdir(tree)
    defects.tree(tree)
    path = os.path.join(where, "good.img")
    mkfs.ok("--quiet", "-zlz4", "-C16384", "-T0", path, tree)
    return path


@pytest.fixture
def copy(good, work):
    path = os.path.join(work, "copy.img")
    shutil.copyfile(good, path)
    return path


def flip(path, at, bit=0):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))


def data_byte(path):
    """A place in the plain data of /noise, which no structure describes."""
    return erofs.Image(path).inode("/noise").u * 4096 + 1000


# Exit statuses

def test_clean(fsck, good):
    result = fsck.ok(good)
    assert SAYS_NOTHING in result.text
    assert re.search(r": 0 errors, 0 warnings, 0 unchecked: ", result.text)
    assert fsck.ok("--strict", good).text.count("\n") == 2


@pytest.mark.parametrize("args", [
    [], ["a", "b"], ["--nope", "x"], ["--path=/", "--nid=1", "x"],
    ["--offset=x", "x"], ["--workers=0", "x"], ["--max-decode=0", "x"],
    ["-dhigh", "x"], ["--verity=t", "x"], ["--verity-block=1024", "x"],
    ["--extract=d", "--to-tar=t", "x"], ["--to-tar=-", "--json", "x"],
    ["--xattr-inode-digest", "x"], ["--digest=md5:00", "x"],
    ["--digest=sha256:12", "x"], ["--verity-root=xyz", "x"],
    ["--verity-salt=0", "x"], ["--verity-salt=0g", "x"],
])
def test_usage(fsck, args):
    fsck.fails(*args, code=USAGE)


def test_not_there(fsck, work):
    fsck.fails(os.path.join(work, "nothing"), code=UNCHECKED)
    fsck.fails(work, code=UNCHECKED)


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 4096, b"\xff" * 70000])
def test_not_an_image(fsck, work, content):
    path = os.path.join(work, "other")
    with open(path, "wb") as f:
        f.write(content)
    result = fsck.run(path)
    assert result.code == UNCHECKED
    assert "SUPER-MAGIC unchecked" in result.text
    assert "not checked; contents not authenticated" in result.text


def test_an_error_wins_over_what_is_unchecked(fsck, copy):
    im = erofs.Image(copy)
    im.inode("/small").put_nlink(9)
    im.write(copy)
    result = fsck.run("--max-decode=1", copy)
    assert "DATA-BUDGET unchecked" in result.text
    assert result.code == ERRORS


def test_warnings_count_when_strict(fsck, copy):
    im = erofs.Image(copy)
    im.put("<Q", 1024 + 16, 999)
    im.seal()
    im.write(copy)
    assert "SUPER-INODES warning" in fsck.ok(copy).text
    result = fsck.run("--strict", copy)
    assert result.code == ERRORS and "SUPER-INODES error" in result.text


# Options

def test_no_sbcrc(fsck, copy):
    flip(copy, 1024 + 4)
    assert fsck.run(copy).code == ERRORS
    fsck.ok("--no-sbcrc", copy)


def test_ignored_ones(fsck, good):
    fsck.ok("-a", "-A", "-y", "-d9", "-p", good)


def test_ratio(fsck, good):
    assert re.search(r"compression ratio \d+\.\d\d%", fsck.ok("-p", good).text)


def test_quiet(fsck, good):
    assert fsck.ok("--quiet", good).out == b""


def test_offset(fsck, good, work):
    path = os.path.join(work, "behind")
    with open(path, "wb") as f, open(good, "rb") as image:
        f.write(b"\0" * 8192)
        shutil.copyfileobj(image, f)
    assert fsck.run(path).code == UNCHECKED
    fsck.ok("--offset=8192", path)
    fsck.ok("--offset=8k", path)


def test_part(fsck, copy):
    im = erofs.Image(copy)
    im.put("<I", im.inode("/noise").at_u, 0x7FFFFFF)
    im.write(copy)
    assert fsck.run(copy).code == ERRORS
    assert "part asked for valid" in fsck.ok("--path=/dir", copy).text
    nid = im.inode("/dir").nid
    fsck.ok("--nid=%d" % nid, copy)
    assert fsck.run("--path=/noise", copy).code == ERRORS
    fsck.fails("--path=/none", copy, code=UNCHECKED)


def test_metadata_only(fsck, copy):
    at = defects.compressed_block(erofs.Image(copy))
    with open(copy, "r+b") as f:
        f.seek(at + 2000)
        f.write(b"\xff" * 2000)
    result = fsck.run(copy)
    assert result.code == ERRORS and "DATA-DECODE" in result.text
    assert "file data not decoded" in fsck.ok("--metadata-only", copy).text


def test_workers_change_nothing(fsck, copy):
    im = erofs.Image(copy)
    for at in range(3 * 4096, len(im.data), 4096):
        im.data[at + 3000] ^= 0x55
    im.write(copy)
    texts = {fsck.run("--workers=%d" % n, copy).text for n in (1, 2, 8)}
    assert len(texts) == 1


def test_json(fsck, copy):
    im = erofs.Image(copy)
    im.entry("/names/ba").put_name(b"\xff\n")
    im.write(copy)
    result = fsck.run("--json", copy)
    told = json.loads(result.text)
    assert told["status"] == result.code == ERRORS
    cpu = told["cpu_seconds"]
    assert 0 < cpu["checking_thread"] <= cpu["all"]
    finding = [f for f in told["findings"] if f["code"] == "DIR-ORDER"][0]
    assert finding["severity"] == "error"
    assert finding["nid"] == im.inode("/names").nid
    names = [os.fsencode(f["path"]) for f in told["findings"]]
    assert any(name.startswith(b"/names/") for name in names)
    assert told["summary"]["inodes"] == 18
    assert told["summary"]["contents"] == "contents not authenticated"


def test_names_cannot_forge_lines(fsck, copy):
    im = erofs.Image(copy)
    im.entry("/names/ba").put_name(b"\n ")
    im.write(copy)
    lines = fsck.run(copy).text.splitlines()
    assert all(re.match(r"[A-Z]+-[A-Z]+ (error|warning|unchecked) \S+ "
                        r"(\d+|-) (\d+|-) .", line) for line in lines[:-2])


def test_man_page_and_help(fsck):
    help_text = fsck.ok("--help").text
    for word in ("--strict", "--manifest", "--verity-root", "--to-tar",
                 "--metadata-only", "--no-sbcrc", "--overwrite"):
        assert word in help_text
    assert "SUPER\\-CHECKSUM" in fsck.ok("--help-man").text.replace(
        "SUPER-CHECKSUM", "SUPER\\-CHECKSUM")
    assert fsck.ok("-V").text.startswith("fsck.erofs (erofs-utils) 1.9.3\n")


# Evidence

def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def test_digest(fsck, copy):
    want = "--digest=sha256:" + sha256(copy)
    assert "contents authenticated by digest" in fsck.ok(want, copy).text
    flip(copy, data_byte(copy))
    assert SAYS_NOTHING in fsck.ok(copy).text
    result = fsck.run(want, copy)
    assert result.code == ERRORS
    assert "EVIDENCE-DIGEST error" in result.text
    assert "NOT those of the evidence" in result.text


@pytest.mark.parametrize("options", [
    [], ["--verity-salt=00ff17", "--verity-block=512"],
    ["--verity-no-superblock"],
])
def test_verity(fsck, copy, work, options):
    tree = os.path.join(work, "tree.hash")
    made = fsck.ok("--make-verity=" + tree, *options, copy).text
    root = re.search(r"^root hash: ([0-9a-f]{64})$", made, re.M).group(1)
    for more in ([], ["--verity=" + tree]):
        text = fsck.ok("--verity-root=" + root, *more, *options, copy).text
        assert "authenticated by dm-verity root" in text
    flip(copy, data_byte(copy))
    for more in ([], ["--verity=" + tree]):
        result = fsck.run("--verity-root=" + root, *more, *options, copy)
        assert result.code == ERRORS, repr(result)
        assert "EVIDENCE-VERITY error" in result.text


def test_a_damaged_verity_tree_proves_nothing(fsck, good, work):
    tree = os.path.join(work, "tree.hash")
    made = fsck.ok("--make-verity=" + tree, good).text
    root = re.search(r"([0-9a-f]{64})", made).group(1)
    flip(tree, 4096 + 40)
    result = fsck.run("--verity-root=" + root, "--verity=" + tree, good)
    assert result.code == ERRORS


def test_bytes_behind_the_tree_are_not_vouched_for(fsck, copy, work):
    tree = os.path.join(work, "tree.hash")
    made = fsck.ok("--make-verity=" + tree, copy).text
    root = re.search(r"([0-9a-f]{64})", made).group(1)
    with open(copy, "ab") as f:
        f.write(b"\0" * 4096)
    result = fsck.run("--verity-root=" + root, "--verity=" + tree, copy)
    assert result.code == ERRORS


def test_no_tree_for_a_damaged_image(fsck, copy, work):
    im = erofs.Image(copy)
    im.inode("/small").put_nlink(9)
    im.write(copy)
    tree = os.path.join(work, "tree.hash")
    assert fsck.run("--make-verity=" + tree, copy).code == ERRORS
    assert not os.path.exists(tree)


@pytest.fixture
def manifest(mkfs, good, work):
    """The manifest as mkfs writes it from the source, if it can yet."""
    path = os.path.join(work, "tree.mf")
    tree = os.path.join(os.path.dirname(good), "tree")
    image = os.path.join(work, "again.img")
    result = mkfs.run("--quiet", "-zlz4", "-C16384", "-T0",
                      "--manifest-out=" + path, image, tree)
    if result.code:
        pytest.skip("this mkfs writes no manifest: " + result.errors)
    assert sha256(image) == sha256(good)
    return path


def test_manifest(fsck, copy, manifest):
    text = fsck.ok("--manifest=" + manifest, copy).text
    assert "contents authenticated by manifest" in text
    flip(copy, data_byte(copy))
    result = fsck.run("--manifest=" + manifest, copy)
    assert result.code == ERRORS
    assert "EVIDENCE-MANIFEST error /noise" in result.text


@pytest.mark.parametrize("change, where", [
    (lambda im: im.entry("/names/ab").put_name(b"ac"), "/names/ac"),
    (lambda im: im.put("<H", im.inode("/small").pos + 4, 0o100600), "/"),
    (lambda im: im.data.__setitem__(im.inode("/link").body, 0x53), "/link"),
    (lambda im: im.put("<H", im.inode("/small").pos + 0x18, 7), "/"),
    (lambda im: im.data.__setitem__(
        next(im.inode("/next").xattr_entries())[3], 0x21), "/next"),
])
def test_manifest_tells_metadata(fsck, copy, manifest, change, where):
    im = erofs.Image(copy)
    change(im)
    im.write(copy)
    fsck.ok(copy)
    result = fsck.run("--manifest=" + manifest, copy)
    assert result.code == ERRORS
    assert "EVIDENCE-MANIFEST error " + where in result.text


def test_evidence_adds_up(fsck, good, manifest):
    text = fsck.ok("--manifest=" + manifest,
                   "--digest=" + sha256(good), good).text
    assert "authenticated by digest, manifest" in text


def test_wrong_evidence_extracts_nothing(fsck, good, work):
    out = os.path.join(work, "out")
    result = fsck.run("--digest=sha256:" + "0" * 64, "--extract=" + out, good)
    assert result.code == ERRORS
    assert not os.path.exists(out)
