# SPDX-License-Identifier: Apache-2.0
"""The daemon's registry client against the scripted registry: bodies, refusals,
time."""

import errno
import socket
import threading
import time

import pytest

from lib import faults
# Fixtures are names that tests use.
from lib.fetcher import (  # noqa: F401
    AHEAD, BACKGROUND, BLOB, DEMAND, Fetcher, SMALL, blob_requests, client,
    program, registry, right, sha, wrong)


# Manifests

def test_manifests_by_tag_and_by_digest(client, registry):
    image = registry.image
    got = client.manifest(image)
    right(got, image.manifest)
    assert got["media"] == "application/vnd.oci.image.manifest.v1+json"
    right(client.manifest(image.pinned), image.manifest)
    right(client.manifest(image, image.digest), image.manifest)
    wrong(client.manifest(registry.host + "/app:9"), "not-found",
          registry.host, "404")
    wrong(client.manifest(registry.host + "/other:1.2"), "not-found")
    wrong(client.manifest("app:1.2"), "invalid", "docker.io/library")


def test_a_forged_manifest_is_refused(client, registry):
    registry.fault(faults.Replace(b'{"schemaVersion": 2}', what="manifest"))
    wrong(client.manifest(registry.image.pinned), "corrupt", "digest")
    # A tag promises nothing.
    assert client.manifest(registry.image)["status"] == "ok"


def test_indexes_and_platforms(client, registry):
    arm = registry.push([SMALL], tag="arm")
    registry.push_index({"linux/amd64": registry.image, "linux/arm64/v8": arm},
                        tag="both")
    both = registry.host + "/app:both"
    got = client.image(both, "linux/arm64/v8")
    right(got, arm.manifest)
    assert got["digest"] == arm.digest
    right(client.image(both, "linux/arm64"), arm.manifest)
    right(client.image(both, "linux/amd64"), registry.image.manifest)
    wrong(client.image(both, "linux/s390x"), "not-found",
          "linux/amd64 linux/arm64/v8")
    got = client.image(registry.image, "linux/s390x")  # no index, no choice
    assert got["digest"] == registry.image.digest


def test_small_blobs(client, registry):
    right(client.small(registry.image, registry.short), SMALL)
    large = registry.blob(bytes((8 << 20) + 1))
    wrong(client.small(registry.image, large), "limit")
    largest = registry.blob(bytes(8 << 20))
    right(client.small(registry.image, largest), bytes(8 << 20))
    registry.fault(faults.Chunked())
    wrong(client.small(registry.image, large), "limit")
    registry.heal()
    registry.fault(faults.Wrong())
    wrong(client.small(registry.image, registry.short), "corrupt")
    right(client.small(registry.image, registry.blob(b"")), b"")


# Ranges

@pytest.mark.parametrize("offset, n", [
    (0, 1), (0, 65536), (4096, 100000), ((1 << 20) - 1, 1), (0, 1 << 20),
])
def test_ranges(client, registry, offset, n):
    right(client.range(registry.image, registry.layer, offset, n),
          BLOB[offset:offset + n])
    assert registry.seen[0].range == "bytes=%d-%d" % (offset, offset + n - 1)
    assert registry.counts(registry.layer) == (1, n)


def test_a_range_beyond_the_end(client, registry):
    wrong(client.range(registry.image, registry.layer, 1 << 20, 1), "corrupt",
          "416")
    assert registry.requests == 1  # that will not change
    wrong(client.range(registry.image, registry.layer, (1 << 20) - 5, 10),
          "corrupt", "asked for 10 bytes")


@pytest.mark.parametrize("fault, status, words", [
    (faults.Short(after=1000), "io", ["closed"]),
    (faults.Short(after=0), "io", ["closed"]),
    (faults.Drop(), "io", []),
    (faults.Shorter(by=1), "corrupt", ["Content-Length"]),
    (faults.Longer(by=1), "corrupt", ["Content-Length"]),
    (faults.Range(shift=1), "corrupt", ["from 4097"]),
    (faults.Range(shift=-4096), "corrupt", ["from 0"]),
    (faults.Range(text=""), "corrupt", ["Content-Range"]),
    (faults.Range(text="bytes 4096-*/9"), "corrupt", ["Content-Range"]),
    (faults.Status(204, body=b""), "corrupt", ["204"]),
    # A body that must not be: the next answer begins in its midst.
    (faults.Status(204), None, []),
    (faults.Status(500), "io", ["500"]),
    (faults.Status(502, {"Content-Encoding": "gzip"}), "io", ["502"]),
], ids=lambda v: type(v).__name__ if isinstance(v, faults.Fault) else None)
def test_a_bad_answer_is_no_answer(client, registry, fault, status, words):
    """Once: another try gets the bytes. Always: the reader hears of it."""
    fault.times, fault.hits = 1, 0
    fault.gone.clear()
    registry.fault(fault)
    got = client.range(registry.image, registry.layer, 4096, 65536)
    right(got, BLOB[4096:4096 + 65536])
    assert fault.hits == 1
    if status is None:
        return
    assert registry.requests == 2
    fault.times = None
    got = client.range(registry.image, registry.layer, 4096, 65536)
    wrong(got, status, *words)
    # libcurl itself asks again when a connection that was kept is dead.
    assert registry.requests == 5 or isinstance(fault, faults.Drop)
    registry.heal()
    got = client.range(registry.image, registry.layer, 4096, 65536)
    right(got, BLOB[4096:4096 + 65536])
    assert client.stats()["retries"] == 3


def test_chunked_bodies(client, registry):
    registry.fault(faults.Chunked())
    right(client.range(registry.image, registry.layer, 5, 50000),
          BLOB[5:50005])
    for bad in (faults.Shorter(by=1), faults.Longer(by=1)):
        registry.fault(bad)
        wrong(client.range(registry.image, registry.layer, 5, 50000),
              "corrupt")
        registry.heal(bad)


def test_an_encoding_that_nobody_asked_for(client, registry):
    registry.fault(faults.Encoded("gzip"))
    wrong(client.range(registry.image, registry.layer, 0, 10), "corrupt",
          "encoding")


def test_the_whole_blob_for_a_range(client, registry):
    registry.fault(faults.Whole())
    right(client.range(registry.image, registry.layer, 70000, 65536),
          BLOB[70000:70000 + 65536])
    right(client.range(registry.image, registry.layer, 0, 1 << 20), BLOB)
    right(client.range(registry.image, registry.layer, (1 << 20) - 1, 1),
          BLOB[-1:])
    wrong(client.range(registry.image, registry.layer, (1 << 20) - 5, 10),
          "corrupt", "1048576 bytes")


def test_the_rest_of_a_whole_blob_is_not_read(client, registry):
    large = BLOB * 65
    digest = registry.blob(large)
    registry.fault(faults.Whole())
    right(client.range(registry.image, digest, 1000, 1000), BLOB[1000:2000])
    # Buffers of both sides are full of it, but not 65 MiB.
    assert registry.counts(digest)[1] < 33 << 20
    edge = 64 << 20
    right(client.range(registry.image, digest, edge, 1000),
          large[edge:edge + 1000])
    wrong(client.range(registry.image, digest, edge + 1, 1000), "limit",
          "ignores ranges")


# Refusals

@pytest.mark.parametrize("code, status, sys", [
    (404, "not-found", 0), (410, "not-found", 0), (403, "io", errno.EACCES),
    (400, "io", errno.EIO), (416, "corrupt", 0), (401, "io", errno.EACCES),
    (451, "io", errno.EIO), (304, "io", errno.EIO), (300, "io", errno.EIO),
])
def test_refusals_are_final(client, registry, code, status, sys):
    registry.fault(faults.Status(
        code, body=b'{"errors": [{"code": "DENIED", "message": "hush"}]}'))
    got = client.range(registry.image, registry.layer, 0, 10)
    wrong(got, status, registry.host, "401" if code == 401 else str(code),
          sys=sys)
    assert registry.requests == 1
    if code in (400, 403, 404):
        assert "DENIED" in got["error"]


def test_errors_of_the_server_are_tried_again(client, registry):
    registry.fault(faults.Status(503, times=2))
    right(client.range(registry.image, registry.layer, 0, 10), BLOB[:10])
    registry.fault(faults.Status(500))
    begun = time.monotonic()
    wrong(client.range(registry.image, registry.layer, 0, 10), "io", "500")
    assert time.monotonic() - begun < 10
    assert registry.requests == 3 + 3
    stats = client.stats()
    assert stats["retries"] == 4 and stats["failures"] == 1
    assert stats["hosts"][0]["failures"] == 5
    assert "500" in stats["hosts"][0]["last_error"]


def test_retry_after(client, registry):
    registry.fault(faults.Status(429, {"Retry-After": "1"}, times=1))
    begun = time.monotonic()
    first = client.start(registry.image, registry.layer, 0, 10)
    right(client.result(first), BLOB[:10])
    assert time.monotonic() - begun >= 0.9
    assert registry.requests == 2
    # Not within the deadline: no use to wait for it.
    registry.fault(faults.Status(429, {"Retry-After": "3600"}, times=1))
    begun = time.monotonic()
    wrong(client.range(registry.image, registry.layer, 0, 10), "io", "429")
    wrong(client.range(registry.image, registry.layer, 0, 10), "io",
          "after the deadline")
    assert time.monotonic() - begun < 10
    assert registry.requests == 3


# Time

def test_a_stall_is_noticed(program, registry):
    with Fetcher(program, "--plain", registry.host, "--stall", "150") as f:
        for after in (0, 20000):
            registry.fault(faults.Stall(after=after, times=1))
            right(f.range(registry.image, registry.layer, 0, 65536),
                  BLOB[:65536])
        registry.fault(faults.Delay(3600, times=1))
        right(f.range(registry.image, registry.layer, 0, 9), BLOB[:9])
        assert f.stats()["retries"] >= 3


def test_a_deadline_holds(client, registry):
    registry.fault(faults.Stall(after=100))
    begun = time.monotonic()
    names = [client.start(registry.image, registry.layer, 0, 65536,
                          priority=p, deadline=300)
             for p in (DEMAND, AHEAD, BACKGROUND)]
    for name in names:
        wrong(client.result(name), "io", registry.host, sys=errno.ETIMEDOUT)
    assert 0.25 < time.monotonic() - begun < 10
    registry.heal()
    right(client.range(registry.image, registry.layer, 0, 9), BLOB[:9])


def test_half_of_the_deadline_is_for_another_try(client, registry):
    registry.fault(faults.Stall(times=1))
    right(client.range(registry.image, registry.layer, 0, 9, deadline=3000),
          BLOB[:9])
    assert client.stats()["retries"] == 1


def test_slow_is_not_stalled(program, registry):
    registry.bandwidth = 400000
    with Fetcher(program, "--plain", registry.host, "--stall", "500") as f:
        right(f.range(registry.image, registry.layer, 0, 300000),
              BLOB[:300000])


def test_a_registry_that_comes_back(program, registry):
    with Fetcher(program, "--plain", registry.host, "--tries", "20") as f:
        right(f.range(registry.image, registry.layer, 0, 9), BLOB[:9])
        registry.down()
        name = f.start(registry.image, registry.layer, 9, 9)
        info = {"attempts": 0}
        while info.get("attempts", 0) < 2:
            info = f.again("info", name)
            assert name not in f.results
        assert info["host"] == registry.host
        assert registry.host in info["last_error"]
        registry.up()
        right(f.result(name), BLOB[9:18])


def test_connections_that_break_under_way(client, registry):
    registry.fault(faults.Stall(after=30000, times=4))
    names = [client.start(registry.image, registry.layer, i * 65536, 65536)
             for i in range(8)]
    while len(blob_requests(registry)) < 8:
        time.sleep(0.01)
    registry.break_connections()
    for i, name in enumerate(names):
        right(client.result(name), BLOB[i * 65536:(i + 1) * 65536])


# Streams

def test_streams(client, registry):
    right(client.stream(registry.image, registry.layer), BLOB)
    right(client.stream(registry.image, registry.blob(b"")), b"")
    wrong(client.stream(registry.image, registry.layer, 500000), "limit",
          "sink is full")
    wrong(client.stream(registry.image, sha(b"nobody has this")), "not-found")


@pytest.mark.parametrize("whole", [False, True], ids=["206", "200"])
def test_a_broken_stream_goes_on(client, registry, whole):
    if whole:
        registry.fault(faults.Whole())
    registry.fault(faults.Short(after=400000, times=1))
    registry.fault(faults.Short(after=0, times=1, skip=1))
    right(client.stream(registry.image, registry.layer), BLOB)
    ranges = [r.range for r in registry.seen]
    assert len(ranges) == 3 and ranges[0] is None
    assert all(r.startswith("bytes=") for r in ranges[1:])


def test_a_long_stream_goes_on_without_ranges(client, registry):
    """Who wants all of it may well read its beginning again."""
    digest = registry.blob(BLOB * 66)
    registry.fault(faults.Whole())
    registry.fault(faults.Short(after=65 << 20, times=1))
    right(client.stream(registry.image, digest), BLOB * 66)
    assert registry.counts(digest)[0] == 2


def test_a_stream_of_other_bytes(client, registry):
    registry.fault(faults.Wrong())
    wrong(client.stream(registry.image, registry.layer), "corrupt", "digest")


# Whatever a server says

def test_headers_without_end(client, registry):
    registry.fault(faults.Status(200, {"X-%d" % i: "y" * 60000
                                       for i in range(8)}, times=1))
    got = client.range(registry.image, registry.layer, 0, 9)
    wrong(got, "limit", "headers")


def test_an_error_without_end(client, registry):
    registry.fault(faults.Status(404, body=bytes(30 << 20)))
    wrong(client.range(registry.image, registry.layer, 0, 9), "not-found")
    assert registry.bytes_sent < 20 << 20


def test_what_is_no_http(program):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            try:
                while True:
                    with server.accept()[0] as one:
                        one.recv(1000)
                        one.sendall(b"SSH-2.0-hello\r\n" * 100)
            except OSError:
                pass
        threading.Thread(target=serve, daemon=True).start()
        host = "127.0.0.1:%d" % server.getsockname()[1]
        with Fetcher(program, "--plain", host, "--tries", "2") as f:
            wrong(f.manifest(host + "/app"), "io", host)
        server.shutdown(socket.SHUT_RDWR)
