# SPDX-License-Identifier: Apache-2.0
"""Images that are mounted on demand: right bytes, few of them fetched."""

import json
import os
import random
import shutil
import threading
import time

import pytest

from lib import faults, leaves, oci
from lib.daemon import NATIVE, ApiError, converted, push_native, quote

MiB = 1 << 20


def numbers(seed, n):
    return random.Random(seed).randbytes(n)


@pytest.fixture(scope="module")
def layers():
    """Two layers; the upper hides and adds."""
    lower = [("etc", None), ("etc/passwd", b"root\n"), ("data", None),
             ("data/gone", b"x" * 5000)]
    lower += [("data/%d" % i, numbers(i, 3 * MiB)) for i in range(4)]
    upper = [("data", None), ("data/.wh.gone", b""),
             ("data/1", numbers(100, MiB)), ("empty", b"")]
    return [oci.tar_of(lower), oci.tar_of(upper)]


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def right(mnt):
    assert sorted(os.listdir(mnt)) == ["data", "empty", "etc"]
    assert sorted(os.listdir(mnt + "/data")) == ["0", "1", "2", "3"]
    assert read(mnt, "etc/passwd") == b"root\n"
    for i in (0, 2, 3):
        assert read(mnt, "data/%d" % i) == numbers(i, 3 * MiB)
    assert read(mnt, "data/1") == numbers(100, MiB)


def test_index(daemon, tarfs, work, layers, origin):
    out, image = converted(tarfs, work, layers, origin)
    with daemon.index(out, str(image)) as mnt:
        before = origin.bytes_sent
        assert before <= MiB
        assert read(mnt, "etc/passwd") == b"root\n"
        assert origin.bytes_sent - before <= MiB
        right(mnt)
        shown = daemon.image(mnt)
        assert shown["state"] == "mounted" and shown["lazy"]
        assert shown["failed"] == 0 and shown["waited"] > 0
        assert shown["fetched_bytes"] >= 10 * MiB
        # All that was read is kept.
        waited = daemon.image(mnt)["waited"]
        os.system("echo 3 > /proc/sys/vm/drop_caches")
        right(mnt)
        assert daemon.image(mnt)["waited"] == waited
    assert daemon.images() == []
    assert os.listdir(os.path.join(daemon.state, "images")) == []


def test_complete_mounts_directly(daemon, tarfs, work, layers, origin):
    """Without the daemon, once all is here."""
    out, image = converted(tarfs, work, layers, origin)
    with daemon.index(out, str(image), "--complete") as mnt:
        daemon.must("complete", "--wait", mnt)
        assert daemon.image(mnt)["complete"]
    mnt = daemon.mount_index(out, str(image))
    shown = daemon.image(mnt)
    assert not shown["lazy"]
    assert {b["read"] for b in shown["blobs"]} == {"direct"}
    origin.down()
    worker = daemon.kill_worker()
    daemon.process.kill()
    right(mnt)
    daemon.process.wait()
    os.system("echo 3 > /proc/sys/vm/drop_caches")
    right(mnt)
    assert worker


def test_local(daemon, tarfs, work, layers):
    """The files that OUT names, without a registry."""
    layout = oci.directory(os.path.join(work, "layout"),
                           oci.oci(oci.Image(layers, "gzip"), "x"))
    out = os.path.join(work, "out")
    tarfs.ok("convert", layout, "-o", out, "--no-sync", "-q")
    with daemon.index(out) as mnt:
        right(mnt)


def test_source_gone(daemon, tarfs, work, layers):
    """What is here is read though its source is gone and the worker new."""
    layout = oci.directory(os.path.join(work, "layout"),
                           oci.oci(oci.Image(layers, None), "x"))
    out = os.path.join(work, "out")
    tarfs.ok("convert", layout, "-o", out, "--leaf-digests", "-q")
    with daemon.index(out) as mnt:
        right(mnt)
        shutil.rmtree(layout)
        shutil.rmtree(out)
        daemon.kill_worker()
        os.system("echo 3 > /proc/sys/vm/drop_caches")
        right(mnt)
        assert daemon.image(mnt)["state"] == "mounted"


@pytest.mark.parametrize("options", [(), ("--rw",)])
def test_a_mount_that_nobody_knows(daemon, tarfs, work, layers, origin,
                                   options):
    """As after a death of the worker while the kernel mounts: it goes."""
    out, image = converted(tarfs, work, layers, origin)
    mnt = daemon.mount_index(out, str(image), *options)
    kept = daemon.mount_index(out, str(image))
    shutil.rmtree(os.path.join(daemon.state, "images",
                               daemon.image(mnt)["id"]))
    daemon.wait_worker(daemon.kill_worker())
    assert [i["target"] for i in daemon.images()] == [kept]
    assert not os.path.ismount(mnt)
    right(kept)
    daemon.umount(kept)
    daemon.mount_index(out, str(image), target=mnt)
    right(mnt)
    daemon.umount(mnt)


def native(mkfs, work, trees):
    images = []
    for i, files in enumerate(trees):
        top = os.path.join(work, "tree-%d" % i)
        for name, data in files.items():
            path = os.path.join(top, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(data)
        path = os.path.join(work, "native-%d.erofs" % i)
        mkfs.ok("-zlz4", "-T0", path, top)
        with open(path, "rb") as f:
            images.append(f.read())
    return images


@pytest.fixture(scope="module")
def trees():
    text = b"".join(b"line %d of a file\n" % i for i in range(50000))
    return [{"a/text": text, "a/noise": numbers(7, 2 * MiB), "b": b"b"},
            {"a/more": numbers(8, MiB), "b": b"other b"}]


def native_right(mnt, trees):
    assert read(mnt, "a/text") == trees[0]["a/text"]
    assert read(mnt, "a/noise") == trees[0]["a/noise"]


def test_native_one_layer(daemon, mkfs, work, trees, origin):
    images = native(mkfs, work, trees[:1])
    pushed = push_native(origin, images)
    mnt = daemon.mount("oci://" + pushed.pinned)
    assert origin.bytes_sent < len(images[0]) / 2
    native_right(mnt, trees)
    assert read(mnt, "b") == b"b"
    daemon.umount(mnt)


def test_native_layers(daemon, mkfs, work, trees, origin):
    pushed = push_native(origin, native(mkfs, work, trees))
    mnt = daemon.mount("oci://" + pushed.pinned)
    native_right(mnt, trees)
    assert read(mnt, "b") == b"other b"
    assert read(mnt, "a/more") == trees[1]["a/more"]
    daemon.umount(mnt)


def test_native_streamed(daemon, mkfs, work, trees, origin):
    """No leaf digests, but a pinned manifest: read as a whole, checked."""
    pushed = push_native(origin, native(mkfs, work, trees[:1]), leafy=False)
    mnt = daemon.mount("oci://" + pushed.pinned)
    assert not daemon.image(mnt)["lazy"]
    native_right(mnt, trees)
    daemon.umount(mnt)


def test_tag_is_no_pin(daemon, mkfs, work, trees, origin):
    pushed = push_native(origin, native(mkfs, work, trees[:1]))
    mnt = os.path.join(work, "here")
    os.mkdir(mnt)
    done = daemon.run("mount", "oci://" + str(pushed), mnt)
    assert done.returncode == 1
    assert pushed.digest in done.stderr and "pin it" in done.stderr
    mnt = daemon.mount("--untrusted-index=stream-first",
                       "oci://" + str(pushed))
    native_right(mnt, trees)
    daemon.umount(mnt)


def test_again(daemon, mkfs, work, trees, origin):
    """By a tag, which became a digest: the same of the same once more."""
    image = push_native(origin, native(mkfs, work, trees[:1]))
    target = daemon.mount("oci://" + image.pinned)
    request = {"image": "oci://" + image.pinned, "target": target}
    tagged = daemon.mount("oci://" + str(image),
                          "--untrusted-index=stream-first")
    again = {"image": "oci://" + str(image), "target": tagged,
             "untrusted_index": "stream-first"}
    for body in (request, again):
        made = daemon.ask("POST", "/v1/mounts", body)
        assert made["id"] == daemon.image(body["target"])["id"]
        for other in ("rw", "persist", "loop"):
            with pytest.raises(ApiError) as error:
                daemon.ask("POST", "/v1/mounts", dict(body, **{other: True}))
            assert error.value.status == 409
    daemon.umount(target)
    daemon.umount(tagged)


def spoil(daemon):
    """No leaf that is here stays what it is: the next look drops all."""
    blobs = os.path.join(daemon.state, "store", "blobs")
    for blob in os.listdir(blobs):
        with open(os.path.join(blobs, blob, "data"), "r+b") as f:
            for at in range(0, os.fstat(f.fileno()).st_size, 4096):
                f.seek(at)
                f.write(b"spoilt")
    assert daemon.run("verify").returncode == 4


@pytest.mark.parametrize("method, path", [
    ("DELETE", "/v1/mounts?image="), ("POST", "/v1/remount?image=")])
def test_waits_for_others(daemon, mkfs, work, trees, origin, method, path):
    """What a call looks at stays mounted and what it is until that ends."""
    image = push_native(origin, native(mkfs, work, trees[:1]))
    mnt = daemon.mount("oci://" + image.pinned)
    daemon.settle(mnt)
    spoil(daemon)
    stall = origin.fault(faults.Stall())
    done = []

    def ask(*words):
        try:
            daemon.ask(*words)
            done.append(words[0])
        except ApiError as error:
            done.append(error)

    calls = [threading.Thread(target=ask, args=words) for words in (
        ("POST", "/v1/prefetch?image=" + quote(mnt), {"paths": ["/a"]}),
        (method, path + quote(mnt)))]
    end = time.monotonic() + 60
    calls[0].start()
    while not daemon.waits():
        assert time.monotonic() < end and not done, done
        time.sleep(0.01)
    calls[1].start()
    while daemon.image(mnt)["state"] != "unmounting":
        assert time.monotonic() < end and not done, done
        time.sleep(0.01)
    time.sleep(0.2)
    assert os.path.ismount(mnt) and not done
    origin.heal(stall)
    for call in calls:
        call.join(60)
    assert done == ["POST", method]
    if method == "POST":
        native_right(mnt, trees)
        daemon.umount(mnt)
    else:
        daemon.targets.remove(mnt)
    assert os.listdir(mnt) == []


def test_writable(daemon, tarfs, work, layers, origin):
    out, image = converted(tarfs, work, layers, origin)
    with daemon.index(out, str(image), "--rw") as mnt:
        right(mnt)
        with open(mnt + "/etc/new", "w") as f:
            f.write("new")
        with open(mnt + "/etc/passwd", "a") as f:
            f.write("more\n")
        assert read(mnt, "etc/passwd") == b"root\nmore\n"


def test_comes_back(daemon, tarfs, work, layers, origin):
    out, image = converted(tarfs, work, layers, origin)
    mnt = daemon.mount_index(out, str(image), "--persist")
    other = daemon.mount_index(out, str(image))
    assert read(mnt, "etc/passwd") == b"root\n"
    for target in (mnt, other):  # as a reboot does
        os.system("umount %s" % target)
    assert daemon.stop("--keep").returncode == 0
    daemon.kill_rest()
    daemon.start()
    daemon.wait_mounted(mnt)
    right(mnt)
    assert [i["target"] for i in daemon.images()] == [mnt]
    daemon.umount(mnt)


def test_odd_target(daemon, tarfs, work, layers, origin):
    """Blanks, signs of URLs and of mount options in names."""
    out, image = converted(tarfs, work, layers, origin)
    for name in ("a b", "c%20d?e&f=g", "h,i\\j:k", "\u00e9\"'",
                 "/".join(["\u00e9" * 100] * 2)):
        target = os.path.join(work, name)
        os.makedirs(target)
        for options in ((), ("--rw",)):
            daemon.mount_index(out, str(image), *options, target=target)
            assert read(target, "etc/passwd") == b"root\n"
            assert daemon.image(target)["state"] == "mounted"
            daemon.umount(target)
            assert os.listdir(target) == []


def test_busy(daemon, tarfs, work, layers, origin):
    out, image = converted(tarfs, work, layers, origin)
    mnt = daemon.mount_index(out, str(image))
    with open(mnt + "/etc/passwd", "rb") as held:
        done = daemon.run("umount", mnt)
        assert done.returncode == 1 and "busy" in done.stderr
        assert daemon.image(mnt)["state"] == "mounted"
        assert held.read() == b"root\n"
        right(mnt)
    daemon.umount(mnt)


def test_shared_layers(daemon, tarfs, work, layers, origin):
    """Two images of one layer fetch it once."""
    mine = oci.tar_of([("mine", b"m" * 70000)])
    a, first = converted(tarfs, work, layers, origin)
    b, second = converted(tarfs, work, [layers[0], mine], origin, repo="b")
    with daemon.index(a, str(first)) as one:
        right(one)
        with daemon.index(b, str(second)) as two:
            waited = daemon.image(two)["waited"]
            assert read(two, "data/0") == numbers(0, 3 * MiB)
            assert daemon.image(two)["waited"] == waited
            assert read(two, "mine") == b"m" * 70000
            assert read(two, "data/gone") == b"x" * 5000
        os.system("echo 3 > /proc/sys/vm/drop_caches")
        right(one)


def test_one_records_at_a_time(daemon, tarfs, work, layers, origin):
    """What images share goes to one trace; the other is refused, by name."""
    out, image = converted(tarfs, work, layers, origin)
    with daemon.index(out, str(image)) as one, \
         daemon.index(out, str(image)) as two:
        daemon.must("trace", "record", one)
        done = daemon.run("trace", "record", two)
        assert done.returncode == 1
        assert daemon.image(one)["id"] in done.stderr
        assert daemon.run("trace", "show", "--stop", two).returncode == 1
        right(two)
        assert daemon.must("trace", "show", "--stop", one)
        daemon.must("trace", "record", two)
        assert daemon.must("trace", "show", "--stop", two)


def test_a_root_of_its_own(daemon, mkfs, work, trees, origin):
    """Who says that a layer has another root keeps nobody else from it."""
    images = native(mkfs, work, trees[:1])
    good = push_native(origin, images)
    at = len(images[0]) // 2  # of data, that nobody reads to mount it
    odd = images[0][:at] + bytes([images[0][at] ^ 1]) + images[0][at + 1:]
    notes = {"io.erofskit.leaf-root": leaves.root(odd).hex(),
             "io.erofskit.leaf-table": origin.blob(leaves.table(odd))}
    bad = origin.push(images, repo="bad", media=NATIVE,
                      layer_annotations=[notes])
    one = daemon.mount("oci://" + good.pinned)
    native_right(one, trees)
    other = daemon.mount("oci://" + bad.pinned)
    native_right(one, trees)
    names = [b["name"] for m in (one, other) for b in daemon.image(m)["blobs"]]
    assert len(set(names)) == 2
    daemon.umount(other)
    daemon.umount(one)


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_compressed_layers(daemon, tarfs, work, layers, origin, how):
    """Read as a whole when they are mounted; checked leaf by leaf."""
    made = oci.Image(layers, [how, None])
    layout = oci.directory(os.path.join(work, "layout"), oci.oci(made, "x"))
    out = os.path.join(work, "out")
    tarfs.ok("convert", layout, "-o", out, "--leaf-digests", "-q")
    pushed = origin.push(made.blobs())
    mnt = daemon.mount_index(out, str(pushed))
    shown = {b["name"]: b["read"] for b in daemon.image(mnt)["blobs"]}
    packed = "sha256-" + oci.sha(layers[0])
    assert shown.pop(next(n for n in shown if n.startswith(packed))) == "direct"
    assert set(shown.values()) == {"door"}
    right(mnt)
    daemon.settle(mnt)
    daemon.umount(mnt)
    sent = origin.bytes_sent
    mnt = daemon.mount_index(out, str(pushed))  # it is here already
    right(mnt)
    assert origin.bytes_sent == sent
    daemon.umount(mnt)


def test_a_compressed_layer_that_lies(daemon, tarfs, work, layers, origin):
    """Right by its own digest, but not the tar that the index is of."""
    made = oci.Image(layers[1:], "gzip")
    layout = oci.directory(os.path.join(work, "layout"), oci.oci(made, "x"))
    out = os.path.join(work, "out")
    tarfs.ok("convert", layout, "-o", out, "-q")
    path = os.path.join(out, "image.json")
    mnt = os.path.join(work, "m")
    os.mkdir(mnt)
    for tar, words in ((layers[1][:-512], "too short"),
                       (layers[1] + b"x", "too long"),
                       (b"x" + layers[1][1:], "")):
        other = oci.PACKERS["gzip"](tar)
        with open(path) as f:
            record = json.load(f)
        record["devices"][0]["fetch"].update(digest=oci.digest(other),
                                             bytes=len(other))
        with open(path, "w") as f:
            json.dump(record, f)
        pushed = origin.push([other])
        done = daemon.run("mount", "--index", out, "--from", str(pushed), mnt)
        assert done.returncode == 1 and words in done.stderr
        daemon.must("gc")
    assert daemon.images() == []
