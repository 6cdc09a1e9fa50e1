# SPDX-License-Identifier: Apache-2.0
"""Called as nydus-image: what nydus-snapshotter asks for, as it asks."""

import json
import os
import subprocess
import threading

import pytest

from lib import mounts, oci
from lib.content import noise
from lib.run import Tool, environment

A = oci.tar_of([("etc", None), ("etc/one", b"one\n"), ("big", noise(9000))])
B = oci.tar_of([("etc", None), ("etc/two", b"two\n"), (".wh.big", b"")])
EMPTY = oci.tar_of([])
IDS = [oci.sha(b"compressed %d" % i) for i in range(3)]


@pytest.fixture
def nydus(tarfs, work):
    path = os.path.join(work, "nydus-image")
    os.symlink(os.path.abspath(tarfs.path), path)
    return Tool(path)


def create(nydus, work, tar, blob_id, more=()):
    """Through a FIFO; the boot file, and the bytes that were read."""
    fifo = os.path.join(work, "layer_%s_tar.fifo" % blob_id[:6])
    boot = os.path.join(work, "layer.%s.boot.tarfs.tmp" % blob_id[:6])
    os.mkfifo(fifo)
    sent = []

    def feed():
        with open(fifo, "wb", buffering=0) as out:
            for at in range(0, len(tar), 777):
                sent.append(out.write(tar[at:at + 777]))

    thread = threading.Thread(target=feed)
    thread.start()
    nydus.ok("create", "--type", "tar-tarfs", "--bootstrap", boot,
             "--blob-id", blob_id, "--blob-dir", work, *more, fifo)
    thread.join()
    return boot, sum(sent)


def blobs(nydus, boot):
    result = nydus.ok("inspect", "-R blobs", boot)
    return result.text, json.loads(result.text)


def test_create_merge_inspect(nydus, fsck, work):
    boots = [create(nydus, work, tar, blob)[0]
             for tar, blob in zip((A, B, EMPTY), IDS)]
    assert sorted(n for n in os.listdir(work) if n.endswith(".tmp")) == \
        sorted(os.path.basename(b) for b in boots)
    image = os.path.join(work, "image.boot.tarfs.tmp")
    result = nydus.ok("merge", "--bootstrap", image, *boots)
    assert result.out == b""
    text, rows = blobs(nydus, image)
    # The snapshotter looks for this very text, in layer order.
    places = [text.index('"blob_id":"%s"' % blob) for blob in IDS]
    assert places == sorted(places)
    assert [set(row) for row in rows] == [
        {"blob_id", "readahead_offset", "readahead_size",
         "decompressed_size", "compressed_size"}] * 3
    assert [row["decompressed_size"] for row in rows] == [
        len(t) for t in (A, B, EMPTY)]
    assert "\n" not in text[:-1] and ": " not in text
    assert os.path.getsize(image) % 512 == 0
    tars = [oci.write(os.path.join(work, "%d.tar" % i), tar)
            for i, tar in enumerate((A, B, EMPTY))]
    told = json.loads(fsck.ok(
        "--json", *["--device=" + t for t in tars], image).text)
    assert told


def test_reads_to_the_real_end(nydus, work):
    """The snapshotter tees the stream: what is not read is lost."""
    tar = A + bytes(10240) + bytes(3000)
    boot, sent = create(nydus, work, tar, IDS[0])
    assert sent == len(tar)
    assert blobs(nydus, boot)[1][0]["blob_id"] == IDS[0]


def test_members_behind_the_end(nydus, fsck, work):
    tar = A + B
    boot, sent = create(nydus, work, tar, IDS[0])
    assert sent == len(tar)
    to = os.path.join(work, "tree")
    os.mkdir(to)
    fsck.ok("--quiet", "--extract=" + to, "--no-preserve",
            "--device=" + oci.write(work + "/t.tar", tar), boot)
    assert sorted(os.listdir(to + "/etc")) == ["one", "two"]


def test_output_json_and_log_options(nydus, work):
    where = os.path.join(work, "out.json")
    create(nydus, work, A, IDS[0], ["--log-level", "warn", "-J", where])
    with open(where) as f:
        assert json.load(f)["blobs"] == []


def test_one_layer_merges(nydus, work):
    boot, _ = create(nydus, work, A, IDS[0])
    image = os.path.join(work, "image.boot")
    nydus.ok("merge", "--bootstrap", image, boot)
    assert [r["blob_id"] for r in blobs(nydus, image)[1]] == [IDS[0]]


def test_the_same_layer_twice(nydus, work):
    """The snapshotter gives a device for each: so there is a slot for each."""
    boot, _ = create(nydus, work, A, IDS[0])
    image = os.path.join(work, "image.boot")
    nydus.ok("merge", "--bootstrap", image, boot, boot)
    assert [r["blob_id"] for r in blobs(nydus, image)[1]] == [IDS[0]] * 2


def test_mounts_as_the_snapshotter_does(nydus, mounter, work):
    boots = [create(nydus, work, tar, blob)[0]
             for tar, blob in zip((A, B), IDS)]
    image = os.path.join(work, "image.boot")
    nydus.ok("merge", "--bootstrap", image, *boots)
    where = os.path.join(work, "mnt")
    os.mkdir(where)
    tars = [oci.write(os.path.join(work, "%d.tar" % i), tar)
            for i, tar in enumerate((A, B))]
    with mounts.loop(image) as main, mounts.loop(tars[0]) as a, \
            mounts.loop(tars[1]) as b:
        mounts.mount(main, where, "erofs", "device=%s,device=%s" % (a, b))
        try:
            assert sorted(os.listdir(where + "/etc")) == ["one", "two"]
            assert not os.path.exists(where + "/big")
            with open(where + "/etc/one", "rb") as f:
                assert f.read() == b"one\n"
        finally:
            mounts.umount(where)


def test_failures(nydus, work):
    boot = os.path.join(work, "boot")
    tar = oci.write(os.path.join(work, "t.tar"), A)
    good = ["create", "--type", "tar-tarfs", "--bootstrap", boot,
            "--blob-id", IDS[0], "--blob-dir", work]
    for argv in (good, good[:4], good[:-1] + ["/missing", tar],
                 good[:6] + ["xyz", tar], good[:2] + ["tar-rafs"] + good[3:] +
                 [tar], ["export", "--block"], [], ["merge"],
                 ["merge", "--bootstrap", boot, tar], ["inspect", tar],
                 ["inspect", "-R blobs", tar]):
        nydus.fails(*argv, code=1)
    cut = oci.write(os.path.join(work, "cut.tar"), A[:7000])
    nydus.fails(*good, cut, code=1)
    assert not os.path.exists(boot)
    done = subprocess.run(nydus.argv(good + ["/dev/stdin"]), input=A,
                          env=environment(), capture_output=True)
    assert done.returncode == 0 and os.path.exists(boot)
