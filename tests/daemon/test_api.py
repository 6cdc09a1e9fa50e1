# SPDX-License-Identifier: Apache-2.0
"""The API of a running daemon, by requests as any client sends them."""

import os
import select
import signal
import socket
import stat
import threading
import time

import pytest

from lib import faults, oci
from lib.daemon import ApiError, Connection, Daemon, converted, quote

MiB = 1 << 20
DATA = os.urandom(4 * MiB)


@pytest.fixture
def image(daemon, tarfs, work, origin):
    tar = oci.tar_of([("a", DATA), ("b", b"b")])
    return converted(tarfs, work, [tar], origin)


def hung_up(connection):
    return bool(select.select([connection.socket], [], [], 0)[0])


def test_idle_connections_outlive_the_worker(daemon):
    """Nobody who watches by a connection sees a hang-up at a restart."""
    idle = [Connection(daemon.socket) for _ in range(20)]
    used = Connection(daemon.socket)
    first = used.ask("GET", "/v1/daemon")["pid"]
    time.sleep(0.2)  # until the holder has duplicates
    daemon.kill_worker()
    daemon.wait_worker(first)
    assert not any(hung_up(c) for c in idle + [used])
    for connection in idle + [used]:
        assert connection.ask("GET", "/v1/daemon")["pid"] != first
        connection.close()


def test_a_request_outlives_the_worker(daemon, image, work, origin):
    """It lies in its socket until a successor has answered it."""
    out, pushed = image
    target = os.path.join(work, "target")
    os.mkdir(target)
    daemon.targets.append(target)
    stall = origin.fault(faults.Stall(after=0))
    connection = Connection(daemon.socket)
    first = connection.ask("GET", "/v1/daemon")["pid"]
    native = origin.push([b"x" * MiB], repo="n",
                         media="application/vnd.erofs.layer.v1")
    connection.send("POST", "/v1/mounts",
                    {"image": "oci://" + native.pinned, "target": target})
    time.sleep(0.3)
    daemon.kill_worker(signal.SIGKILL)
    daemon.wait_worker(first)
    origin.heal(stall)
    status, _, body = connection.receive()
    assert status == 422 and b"not fit for the kernel" in body, body
    assert daemon.images() == []


def test_again_is_no_error(daemon, image, work):
    out, pushed = image
    with daemon.index(out, str(pushed)) as mnt:
        request = {"index": out, "from": str(pushed), "target": mnt}
        a = daemon.ask("POST", "/v1/mounts", request)
        b = daemon.ask("POST", "/v1/mounts", request)
        assert a == b and len(daemon.images()) == 1
        with pytest.raises(ApiError) as other:
            daemon.ask("POST", "/v1/mounts", dict(request, rw=True))
        assert other.value.status == 409


@pytest.mark.parametrize("method, path, body, status, words", [
    ("GET", "/", None, 404, "no such path"),
    ("PUT", "/v1/daemon", None, 405, "method"),
    ("DELETE", "/v1/mounts", None, 400, "image"),
    ("DELETE", "/v1/mounts?image=/nowhere", None, 404, "no image"),
    ("POST", "/v1/mounts", {}, 400, "target"),
    ("POST", "/v1/mounts", {"target": "x", "index": "/o"}, 400, "absolute"),
    ("POST", "/v1/mounts", {"target": "/x"}, 400, "index or an image"),
    ("POST", "/v1/mounts", {"target": "/x", "image": "oci://a.b/c",
                            "index": "/o"}, 400, "index or an image"),
    ("POST", "/v1/mounts", {"targte": "/x"}, 400, "targte"),
    ("POST", "/v1/mounts", {"target": 1}, 400, "not a text"),
    ("POST", "/v1/mounts", {"target": "/" + "x" * 2000, "index": "/o"}, 400,
     "bytes"),
    ("POST", "/v1/mounts", {"target": "/x", "index": "/nowhere"}, 404,
     "/nowhere"),
    ("POST", "/v1/mounts", {"target": "/x", "image": "noregistry"}, 400, ""),
    ("POST", "/v1/mounts", [1], 400, "object"),
    ("GET", "/v1/waits?min=soon", None, 400, "time"),
    ("GET", "/v1/trace?image=/nowhere", None, 404, "no image"),
])
def test_wrong(daemon, method, path, body, status, words):
    with pytest.raises(ApiError) as error:
        daemon.ask(method, path, body)
    assert error.value.status == status, error.value
    assert words in error.value.body["message"]
    assert error.value.body["code"]


def test_socket_is_roots(daemon):
    st = os.stat(daemon.socket)
    assert stat.S_ISSOCK(st.st_mode) and stat.S_IMODE(st.st_mode) & 0o077 == 0


def test_garbage(daemon):
    for data in (b"\0" * 100 + b"\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                 b"A" * 20000):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(daemon.socket)
            s.settimeout(20)
            s.sendall(data)
            assert s.recv(100).split()[1] in (b"400", b"431", b"505")
    assert daemon.status()["holder"]


def test_waits_and_metrics(daemon, image, origin):
    out, pushed = image
    with daemon.index(out, str(pushed)) as mnt:
        origin.fault(faults.Stall(after=0))

        def read():
            with open(mnt + "/a", "rb") as f:
                assert f.read(4096) == DATA[:4096]

        reader = threading.Thread(target=read)
        reader.start()
        waits = []
        end = time.monotonic() + 20
        while not (waits and waits[0]["host"]) and time.monotonic() < end:
            waits = daemon.waits()
            time.sleep(0.02)
        assert waits[0]["host"] == origin.host and waits[0]["bytes"] >= 4096
        assert waits[0]["blob"].startswith("sha256-")
        shown = daemon.must("waits", "--min", "0ms")
        assert origin.host in shown and "waits for" in shown
        origin.heal()
        reader.join()
        assert daemon.must("waits").strip() == "Nobody waits"
        text = daemon.ask("GET", "/metrics")
        values = dict(line.rsplit(" ", 1) for line in text.splitlines()
                      if not line.startswith("#"))
        assert values["erofs_cachefilesd_images"] == "1"
        assert int(values["erofs_cachefilesd_fetch_bytes_total"]) >= 4096
        name = "erofs_cachefilesd_image_reads_total{image=\"%s\",target=" \
            "\"%s\"}" % (daemon.image(mnt)["id"], mnt)
        assert int(values[name]) > 0
        helps = [w for w in text.splitlines() if w.startswith("# HELP")]
        assert len(helps) == len(set(helps)) > 20


def test_trace_and_prefetch(daemon, image, work, origin):
    out, pushed = image
    mnt = daemon.mount_index(out, str(pushed))
    where = "/v1/trace?image=" + quote(mnt)
    daemon.must("trace", "record", mnt)
    with pytest.raises(ApiError) as again:
        daemon.ask("POST", where)
    assert again.value.status == 409
    with open(mnt + "/a", "rb") as f:
        f.seek(2 * MiB)
        assert f.read(100) == DATA[2 * MiB:2 * MiB + 100]
    path = os.path.join(work, "trace")
    daemon.must("trace", "show", "--stop", "-o", path, mnt)
    with pytest.raises(ApiError) as gone:
        daemon.ask("GET", where)
    assert gone.value.status == 404
    daemon.umount(mnt)
    daemon.must("gc")
    assert daemon.status()["store"]["blobs"] == 0
    mnt = daemon.mount_index(out, str(pushed), "--trace", path)
    daemon.must("prefetch", "--wait", "--trace", path, mnt)
    origin.down()
    with open(mnt + "/a", "rb") as f:
        f.seek(2 * MiB)
        assert f.read(100) == DATA[2 * MiB:2 * MiB + 100]
    origin.up()
    daemon.umount(mnt)
    daemon.must("gc")
    mnt = daemon.mount_index(out, str(pushed))
    said = daemon.ask("POST", "/v1/prefetch?image=" + quote(mnt),
                      {"paths": ["/a"]})
    assert said["bytes"] >= 4 * MiB
    daemon.must("prefetch", "--wait", mnt, "/b")
    with pytest.raises(ApiError):
        daemon.ask("POST", "/v1/prefetch?image=" + quote(mnt),
                   {"paths": ["/none"]})
    daemon.umount(mnt)


def test_prefetch_that_fails(cachefilesd, can_mount, image, work, origin):
    """Whoever waits for it hears that, and not before all tries are over."""
    out, pushed = image
    with Daemon(cachefilesd, work, plain_http=[origin.host], tries=1) \
            as daemon:
        mnt = daemon.mount_index(out, str(pushed))
        origin.fault(faults.Status(404))
        done = daemon.run("prefetch", "--wait", mnt, "/a")
        assert done.returncode == 1 and "not all was fetched" in done.stderr
        assert daemon.image(mnt)["prefetch_failed"] > 0
        origin.heal()
        daemon.must("prefetch", "--wait", mnt, "/a")
        assert daemon.image(mnt)["present"] >= 4 * MiB
        many = {"paths": ["/a"] * 257}
        with pytest.raises(ApiError) as error:
            daemon.ask("POST", "/v1/prefetch?image=" + quote(mnt), many)
        assert error.value.status == 400


def test_trace_of_too_much(daemon, image, work, origin):
    """Of a trace with more ranges than are listed for a blob, the first are,
    and as many more as are through while it is read."""
    out, pushed = image
    mnt = daemon.mount_index(out, str(pushed))
    blob = daemon.image(mnt)["blobs"][0]
    origin.fault(faults.Stall())
    trace = os.path.join(work, "trace")
    n = 100000
    with open(trace, "w") as f:
        f.write("erofskit trace 1\nblob %s %d\n" % (blob["name"],
                                                   blob["size"]))
        f.write("0 0 4096\n" * n + "end %d\n" % n)
    done = daemon.ask("POST", "/v1/prefetch?image=" + quote(mnt),
                      {"trace": trace})
    assert 65536 * 4096 <= done["bytes"] <= n * 4096
    assert daemon.image(mnt)["prefetch_listed"] <= 65536
    daemon.umount(mnt)


def test_complete_from_all_sides(daemon, image):
    """Each is told how it went, and what is kept is what one of them said."""
    out, pushed = image
    mnt = daemon.mount_index(out, str(pushed))
    wrong = []

    def change():
        for i in range(40):
            try:
                daemon.ask("POST", "/v1/complete?image=" + quote(mnt),
                           {"on": bool(i % 2)})
            except ApiError as error:
                wrong.append(error)

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    daemon.kill_worker()
    shown = daemon.image(mnt)
    assert shown["state"] == "mounted" and not shown["problem"]
    daemon.umount(mnt)


def test_verify(daemon, image, work):
    """A leaf that was changed on disk is found, dropped and fetched anew."""
    out, pushed = image
    with daemon.index(out, str(pushed), "--complete") as mnt:
        daemon.must("complete", "--wait", mnt)
        assert "Nothing is wrong" in daemon.must("verify")
        name = daemon.image(mnt)["blobs"][0]["name"]
        path = os.path.join(daemon.state, "store", "blobs", name, "data")
        with open(path, "r+b") as f:
            f.seek(MiB)
            f.write(b"changed")
        done = daemon.run("verify", "--json")
        assert done.returncode == 4 and '"wrong": 1' in done.stdout
        os.system("echo 3 > /proc/sys/vm/drop_caches")
        with open(mnt + "/a", "rb") as f:
            assert f.read() == DATA
