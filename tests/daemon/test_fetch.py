# SPDX-License-Identifier: Apache-2.0
"""The daemon's registry client against the scripted registry."""

import errno
import os
import random
import time

import pytest

from lib import faults
from lib.fetcher import AHEAD, BACKGROUND, DEMAND, Fetcher, sha
from lib.proxy import Proxy
from lib.registry import Auth, Certificates, Registry

BLOB = random.Random(1).randbytes(1 << 20)
SMALL = BLOB[:5000]


@pytest.fixture(scope="session")
def program():
    build = os.environ.get("EK_BUILD") or os.path.join(
        os.path.dirname(__file__), "..", "..", "build", "release")
    path = os.environ.get("EK_FETCHER") or os.path.join(
        build, "tests", "tools", "fetcher")
    if not os.access(path, os.X_OK):
        pytest.skip("%s is not built" % path)
    return path


@pytest.fixture
def registry():
    with Registry() as made:
        made.image = made.push([BLOB, SMALL], tag="1.2")
        made.layer, made.short = made.image.layers
        yield made


@pytest.fixture
def client(program, registry):
    with Fetcher(program, "--plain", registry.host, "--tries", "3") as made:
        yield made


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(str(tmp_path_factory.mktemp("tls")))


def right(result, data):
    assert result["status"] == "ok", result
    assert result["n"] == len(data) and result["sha"] == sha(data)


def wrong(result, status, *words, sys=None):
    assert result["status"] == status, result
    for word in words:
        assert word in result["error"], result
    if sys is not None:
        assert result["errno"] == sys


def blob_requests(registry):
    return [r for r in registry.seen if r.kind == "blob"]


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


# Who may

def test_a_token_is_fetched_once_for_all(program):
    with Registry(auth=Auth()) as registry:
        image = registry.push([BLOB])
        registry.latency = 0.05
        with Fetcher(program, "--plain", registry.host) as f:
            names = [f.start(image, image.layers[0], i * 100, 100)
                     for i in range(40)]
            for i, name in enumerate(names):
                right(f.result(name), BLOB[i * 100:i * 100 + 100])
            assert registry.auth.given == 1
            assert f.asked == [registry.host]
            # Another repository is another scope.
            other = registry.push([BLOB], repo="other/one")
            right(f.manifest(other), other.manifest)
            assert registry.auth.given == 2
            assert f.stats()["auth_refreshes"] == 2


@pytest.mark.parametrize("auth", [
    Auth("basic", "us:er"[:2], "pa:ss"),
    Auth("bearer", "us", "pa:ss"),
    Auth("bearer", "us", "pa:ss", post=False, field="access_token",
         expires_in=None),
    Auth("bearer", "us", "pa:ss", challenges=[
        "Negotiate", 'Digest realm="a, b=\\"c", nonce="x"']),
], ids=["basic", "post", "get", "challenges"])
def test_users(program, auth):
    with Registry(auth=auth) as registry:
        image = registry.push([BLOB])
        with Fetcher(program, "--plain", registry.host, "--user",
                     "us:pa:ss") as f:
            right(f.manifest(image), image.manifest)
            right(f.range(image, image.layers[0], 5, 5), BLOB[5:10])
        tokens = [r for r in registry.seen if r.kind == "token"]
        assert len(tokens) == {"basic": 0}.get(auth.kind,
                                               1 if auth.post else 2)
        with Fetcher(program, "--plain", registry.host, "--user",
                     "us:hush") as f:
            wrong(f.manifest(image), "io", "401", sys=errno.EACCES)
        with Fetcher(program, "--plain", registry.host) as f:
            wrong(f.manifest(image), "io", sys=errno.EACCES)


def test_identity_tokens(program):
    auth = Auth("bearer", "us", "pa:ss", identity="identity-of-a-test")
    with Registry(auth=auth) as registry:
        image = registry.push([BLOB])
        with Fetcher(program, "--plain", registry.host, "--user",
                     "<token>:identity-of-a-test") as f:
            right(f.manifest(image), image.manifest)
            assert auth.given == 1


def test_a_stale_token_is_renewed(program):
    with Registry(auth=Auth()) as registry:
        image = registry.push([BLOB])
        with Fetcher(program, "--plain", registry.host) as f:
            right(f.manifest(image), image.manifest)
            registry.auth.expire()
            names = [f.start(image, image.layers[0], i, 100)
                     for i in range(20)]
            for i, name in enumerate(names):
                right(f.result(name), BLOB[i:i + 100])
            assert registry.auth.given == 2
            # Some answer a stale token with a challenge of another kind.
            registry.auth.expire()
            registry.fault(faults.Status(
                401, {"WWW-Authenticate": 'Basic realm="harbor"'},
                when=lambda r: r.authorization, times=1))
            right(f.range(image, image.layers[0], 7, 7), BLOB[7:14])
            assert registry.auth.given == 3
            stats = f.stats()
            assert stats["failures"] == 0 and stats["retries"] == 0


def test_a_token_that_runs_out_is_renewed_before(program):
    with Registry(auth=Auth(expires_in=1)) as registry:
        image = registry.push([BLOB])
        with Fetcher(program, "--plain", registry.host) as f:
            right(f.manifest(image), image.manifest)
            time.sleep(1.1)
            registry.forget()
            right(f.manifest(image), image.manifest)
            assert [r.status for r in registry.seen] == [200, 200]


@pytest.mark.parametrize("fault, words", [
    (faults.Status(200, body=b"{}", what="token"), ["no token"]),
    (faults.Status(200, body=b"<html>", what="token"), ["JSON"]),
    (faults.Status(200, body=b'{"token": "a\\r\\nb"}', what="token"),
     ["token"]),
    (faults.Status(200, body=bytes(2 << 20), what="token"), ["token"]),
    (faults.Status(503, what="token"), ["503"]),
    (faults.Status(404, what="token"), ["404"]),
    (faults.Status(403, what="token"), ["403", "no credentials"]),
    (faults.Status(302, {"Location": "/"}, what="token"), ["302"]),
    (faults.Drop(what="token"), []),
    (faults.Status(401), ["401"]),
    (faults.Status(401, {"WWW-Authenticate": "Negotiate"}), ["challenge"]),
    (faults.Status(401, {"WWW-Authenticate":
                         'Bearer realm="http://elsewhere.test/"'}),
     ["elsewhere.test", "plain HTTP"]),
    (faults.Status(401, {"WWW-Authenticate": 'Bearer realm="file:///etc"'}),
     ["URL"]),
], ids=lambda v: " ".join(v) if isinstance(v, list) else None)
def test_token_servers_that_fail(program, fault, words):
    with Registry(auth=Auth()) as registry:
        image = registry.push([BLOB])
        registry.fault(fault)
        with Fetcher(program, "--plain", registry.host, "--tries", "2") as f:
            wrong(f.range(image, image.layers[0], 0, 9), "io" if words not in (
                ["JSON"], ["no token"], ["token"], ["URL"]) else
                f.results["range-1"]["status"], *words)
            assert registry.requests < 10
            registry.heal()
            right(f.range(image, image.layers[0], 0, 9), BLOB[:9])


def test_a_token_that_never_helps(program):
    with Registry(auth=Auth()) as registry:
        image = registry.push([BLOB])
        registry.auth.allows = lambda header: False
        with Fetcher(program, "--plain", registry.host) as f:
            wrong(f.range(image, image.layers[0], 0, 9), "io", "401",
                  sys=errno.EACCES)
            assert registry.requests < 10


# Redirects

@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_within_a_host(client, registry, code):
    registry.fault(faults.Redirect(hops=3, code=code))
    right(client.range(registry.image, registry.layer, 7, 77), BLOB[7:84])
    assert [r.kind for r in registry.seen] == ["blob"] + 3 * ["signed"]
    assert client.stats()["redirects"] == 3


def test_no_secret_goes_to_another_host(program):
    with Registry(auth=Auth("bearer", "us", "pa:ss")) as registry, \
            Registry() as storage:
        image = registry.push([BLOB])
        registry.lend(storage)
        registry.fault(faults.Redirect(to=storage, hops=2))
        with Fetcher(program, "--plain", registry.host, "--plain",
                     storage.host, "--user", "us:pa:ss") as f:
            right(f.range(image, image.layers[0], 7, 77), BLOB[7:84])
            assert [r.authorization for r in storage.seen] == ["", ""]
            assert all(r.range == "bytes=7-83" for r in storage.seen)
            # From now on straight there.
            registry.forget()
            storage.forget()
            right(f.range(image, image.layers[0], 100, 5), BLOB[100:105])
            assert registry.requests == 0 and storage.requests == 1


def test_a_signed_place_that_runs_out(program, registry):
    with Registry() as storage:
        registry.lend(storage)
        registry.fault(faults.Redirect(to=storage, live=3))
        with Fetcher(program, "--plain", registry.host, "--plain",
                     storage.host, "--tries", "1") as f:
            for i in range(7):
                right(f.range(registry.image, registry.layer, i, 9),
                      BLOB[i:i + 9])
            assert len(blob_requests(registry)) == 3
            assert f.stats()["failures"] == 0
            storage.down()
            name = f.start(registry.image, registry.layer, 0, 9)
            wrong(f.result(name), "io", storage.host)
            storage.up()
            right(f.range(registry.image, registry.layer, 0, 9), BLOB[:9])


def test_redirects_that_are_not_followed(client, registry):
    for to, words in [("http://127.0.0.2:1/", "plain HTTP"),
                      ("file:///etc/passwd", "no plain URL"),
                      ("ftp://127.0.0.1/", "no plain URL"),
                      ("http://u:p@127.0.0.1/", "no plain URL"),
                      ("http://" + registry.host + "/a b", "no URL")]:
        fault = registry.fault(faults.Redirect(to=to))
        got = client.range(registry.image, registry.layer, 0, 9)
        assert got["status"] in ("io", "corrupt")
        assert words in got["error"]
        registry.heal(fault)
    registry.fault(faults.Status(307))
    wrong(client.range(registry.image, registry.layer, 0, 9), "corrupt",
          "nowhere")


def test_ten_redirects_and_not_one_more(client, registry):
    registry.fault(faults.Redirect(hops=10, times=1))
    right(client.range(registry.image, registry.layer, 0, 9), BLOB[:9])
    registry.fault(faults.Redirect(hops=11))
    wrong(client.range(registry.image, registry.short, 0, 9), "io",
          "more than 10")


# TLS

def test_tls(program, certificates):
    with Registry(tls=certificates, auth=Auth()) as registry:
        image = registry.push([BLOB])
        with Fetcher(program, "--ca", certificates.ca) as f:
            right(f.manifest(image), image.manifest)
            names = [f.start(image, image.layers[0], i, 100)
                     for i in range(20)]
            for i, name in enumerate(names):
                right(f.result(name), BLOB[i:i + 100])
        with Fetcher(program) as f:
            wrong(f.manifest(image), "io", registry.host, "certificate")
            assert f.stats()["requests"] == 1  # and not again
        # The name must be its own, too.
        with Fetcher(program, "--ca", certificates.ca, "--tries", "1") as f:
            name = "localhost:%d/app" % registry.port
            wrong(f.manifest(name), "io", "localhost")


def test_plain_http_is_for_hosts_that_were_named(program, registry):
    with Fetcher(program, "--plain", "127.0.0.1:1", "--tries", "1") as f:
        wrong(f.manifest(registry.image), "io", registry.host)
    assert registry.requests == 0


def test_client_certificates(program, tmp_path):
    certificates = Certificates(str(tmp_path), client=True)
    with Registry(tls=certificates) as registry:
        image = registry.push([BLOB])
        with Fetcher(program, "--ca", certificates.ca, "--cert",
                     certificates.client_cert, "--key",
                     certificates.client_key) as f:
            right(f.manifest(image), image.manifest)
            # Another host does not get it.
            with Registry(tls=certificates) as storage:
                registry.lend(storage)
                registry.fault(faults.Redirect(to=storage))
                got = f.range(image, image.layers[0], 0, 9, deadline=3000)
                wrong(got, "io", storage.host)
                assert storage.requests == 0
        with Fetcher(program, "--ca", certificates.ca, "--tries", "1") as f:
            wrong(f.manifest(image), "io", registry.host)


def test_from_https_to_http(program, certificates, registry):
    with Registry(tls=certificates) as front:
        registry.lend(front)
        front.fault(faults.Redirect(to=registry))
        options = ["--ca", certificates.ca, "--plain", registry.host,
                   "--tries", "1"]
        ref = "%s/app:1.2" % front.host
        with Fetcher(program, *options) as f:
            wrong(f.range(ref, registry.layer, 0, 9), "io", "not followed")
            assert registry.requests == 0
        with Fetcher(program, *options, "--downgrade") as f:
            right(f.range(ref, registry.layer, 0, 9), BLOB[:9])


# Mirrors and proxies

def test_a_mirror_is_asked_first(program, registry):
    with Registry() as mirror:
        registry.lend(mirror)
        with Fetcher(program, "--plain", registry.host, "--plain",
                     mirror.host, "--mirror", mirror.url + "/") as f:
            right(f.manifest(registry.image), registry.image.manifest)
            right(f.range(registry.image, registry.layer, 3, 9), BLOB[3:12])
            assert registry.requests == 0 and mirror.requests == 2
            assert mirror.seen[0].query == {"ns": registry.host}


@pytest.mark.parametrize("fault", [
    faults.Status(404, what="any"), faults.Status(503, what="any"),
    faults.Status(401, what="any"), faults.Status(403, what="any"),
    faults.Status(429, {"Retry-After": "3600"}, what="any"),
    faults.Drop(what="any"), faults.Shorter(what="any"),
    faults.Longer(what="any"), faults.Wrong(what="manifest"),
    faults.Status(307, {"Location": "http://nowhere.test/"}, what="any"),
], ids=lambda f: type(f).__name__ + str(getattr(f, "code", "")))
def test_a_mirror_that_fails(program, registry, fault):
    with Registry() as mirror:
        registry.lend(mirror)
        mirror.fault(fault)
        with Fetcher(program, "--plain", registry.host, "--plain",
                     mirror.host, "--mirror", mirror.url, "--tries",
                     "1") as f:
            right(f.manifest(registry.image.pinned), registry.image.manifest)
            right(f.range(registry.image, registry.layer, 3, 9), BLOB[3:12])
            stats = f.stats()
            assert stats["failures"] == 0 and stats["retries"] == 0


def test_a_dead_mirror_is_passed_over(program, registry):
    with Registry() as mirror:
        registry.lend(mirror)
        mirror.down()
        with Fetcher(program, "--plain", registry.host, "--plain",
                     mirror.host, "--mirror", mirror.url) as f:
            for i in range(5):
                right(f.range(registry.image, registry.layer, i, 9),
                      BLOB[i:i + 9])
            hosts = {h["host"]: h for h in f.stats()["hosts"]}
            assert hosts[mirror.host]["requests"] == 1
            assert hosts[mirror.host]["last_error"]
            mirror.up()


def test_a_mirror_that_stalls_costs_half_a_deadline(program, registry):
    with Registry() as mirror:
        registry.lend(mirror)
        mirror.fault(faults.Stall(after=5, what="any"))
        with Fetcher(program, "--plain", registry.host, "--plain",
                     mirror.host, "--mirror", mirror.url) as f:
            right(f.range(registry.image, registry.layer, 0, 9,
                          deadline=2500), BLOB[:9])
            right(f.range(registry.image, registry.layer, 9, 9,
                          deadline=2500), BLOB[9:18])
            assert mirror.requests == 1


def test_a_blob_whose_bytes_were_wrong(program, registry):
    """Who verifies says so: mirrors and old redirects are left out."""
    with Registry() as mirror, Registry() as storage:
        registry.lend(mirror)
        registry.lend(storage)
        mirror.fault(faults.Redirect(to=storage))
        with Fetcher(program, "--plain", registry.host, "--plain",
                     mirror.host, "--plain", storage.host, "--mirror",
                     mirror.url) as f:
            right(f.range(registry.image, registry.layer, 0, 9), BLOB[:9])
            assert registry.requests == 0
            f.send("blame", registry.layer)
            mirror.forget()
            storage.forget()
            right(f.range(registry.image, registry.layer, 0, 9), BLOB[:9])
            assert (registry.requests, mirror.requests,
                    storage.requests) == (1, 0, 0)
            # Others may still come from there.
            right(f.range(registry.image, registry.short, 0, 9), SMALL[:9])
            assert mirror.requests == 1


def test_proxies(program, registry, certificates):
    with Proxy() as proxy, Registry(tls=certificates) as secure:
        registry.lend(secure)
        ref = "%s/app:1.2" % secure.host
        inside = proxy.url.replace("//", "//us:pa%3Ass@")
        with Fetcher(program, "--plain", registry.host, "--ca",
                     certificates.ca, "--proxy", inside) as f:
            right(f.range(registry.image, registry.layer, 0, 9), BLOB[:9])
            right(f.range(ref, registry.layer, 0, 9), BLOB[:9])
        assert [s[0] for s in proxy.seen] == ["GET", "CONNECT"]
        assert proxy.seen[0][2]["Proxy-Authorization"].startswith("Basic ")
        assert "Proxy-Authorization" not in secure.seen[0].headers
        for env, through in [({"http_proxy": proxy.url}, 3),
                             ({"http_proxy": proxy.url,
                               "no_proxy": "127.0.0.1"}, 3)]:
            with Fetcher(program, "--plain", registry.host, env=env) as f:
                right(f.range(registry.image, registry.layer, 0, 9),
                      BLOB[:9])
            assert len(proxy.seen) == through
        with Fetcher(program, "--plain", registry.host, "--proxy",
                     "http://127.0.0.1:1", "--tries", "1") as f:
            wrong(f.range(registry.image, registry.layer, 0, 9), "io")


# Order

def asked(registry, count):
    """Wait until so many requests for blobs have come."""
    end = time.monotonic() + 60
    while len(blob_requests(registry)) < count:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_demand_does_not_wait_for_others(program, registry):
    def far(request):
        return int(request.range[6:].split("-")[0]) >= 1000

    registry.fault(faults.Delay(3600, when=far))
    with Fetcher(program, "--plain", registry.host, "--connections",
                 "3") as f:
        others = [f.start(registry.image, registry.layer, 1000 + i, 10,
                          priority=BACKGROUND if i % 2 else AHEAD,
                          deadline=600000) for i in range(50)]
        asked(registry, 2)
        # Three at a time, though two of the others never end.
        for i in range(9):
            right(f.range(registry.image, registry.layer, i, 5),
                  BLOB[i:i + 5])
        assert len(blob_requests(registry)) == 2 + 9
        registry.heal()
        for name in others:
            assert f.result(name)["status"] == "ok"


def test_connections_are_counted(program, registry):
    held = registry.fault(faults.Delay(3600))
    with Fetcher(program, "--plain", registry.host, "--connections",
                 "4") as f:
        names = [f.start(registry.image, registry.layer, i, 9,
                         priority=AHEAD, deadline=600000)
                 for i in range(12)]
        asked(registry, 3)
        time.sleep(0.1)
        assert registry.requests == 3  # one is kept for demand
        assert f.stats()["hosts"][0]["running"] == 3
        names += [f.start(registry.image, registry.layer, i, 9,
                          deadline=600000) for i in range(12)]
        asked(registry, 3 + 4)
        time.sleep(0.1)
        assert registry.requests == 3 + 4
        registry.heal(held)
        f.send("wait")
        f.result("wait")
        assert all(f.result(n)["status"] == "ok" for n in names)


def test_background_gives_way_while_demand_runs(program, registry):
    held = registry.fault(faults.Delay(3600))
    with Fetcher(program, "--plain", registry.host) as f:
        names = [f.start(registry.image, registry.layer, 0, 9,
                         deadline=600000)]
        asked(registry, 1)
        names += [f.start(registry.image, registry.layer, i, 9,
                          priority=BACKGROUND, deadline=600000)
                  for i in range(12)]
        asked(registry, 1 + 2)
        time.sleep(0.1)
        assert registry.requests == 1 + 2
        registry.heal(held)
        assert all(f.result(n)["status"] == "ok" for n in names)


def test_a_request_can_be_raised(program, registry):
    held = registry.fault(faults.Delay(3600))
    with Fetcher(program, "--plain", registry.host, "--connections",
                 "2") as f:
        names = [f.start(registry.image, registry.layer, i, 9,
                         priority=BACKGROUND, deadline=600000)
                 for i in range(10)]
        asked(registry, 1)
        f.send("raise", names[-1])
        asked(registry, 2)
        assert registry.seen[1].range == "bytes=9-17"
        # Raised while it runs, it counts as demand: room for another.
        f.send("raise", names[0])
        asked(registry, 3)
        registry.heal(held)
        for i, name in enumerate(names):
            right(f.result(name), BLOB[i:i + 9])


def test_requests_can_be_given_up(client, registry):
    registry.fault(faults.Stall(after=100))
    running = client.start(registry.image, registry.layer, 0, 65536)
    queued = [client.start(registry.image, registry.layer, i, 65536,
                           priority=BACKGROUND) for i in range(20)]
    while len(blob_requests(registry)) < 3:
        time.sleep(0.01)
    for name in [running] + queued:
        client.send("cancel", name)
        wrong(client.result(name), "cancelled")
    registry.heal()
    client.send("cancel", running)  # is no more
    right(client.range(registry.image, registry.layer, 0, 9), BLOB[:9])


def test_the_end_gives_up_what_runs(program, registry):
    registry.fault(faults.Stall(after=100))
    with Fetcher(program, "--plain", registry.host) as f:
        names = [f.start(registry.image, registry.layer, i, 9000,
                         priority=i % 3) for i in range(20)]
        while len(blob_requests(registry)) < 3:
            time.sleep(0.01)
    for name in names:
        wrong(f.results[name], "cancelled")


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
    import socket
    import threading
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


@pytest.mark.parametrize("seed", [1, 2] + [
    pytest.param(s, marks=pytest.mark.soak) for s in range(3, 40)])
def test_a_storm(program, seed):
    """Requests of all kinds, faults of all kinds, some given up: each is
    answered once, and never with wrong bytes."""
    chance = random.Random(seed)
    with Registry(auth=Auth(expires_in=2)) as registry, Registry() as mirror, \
            Registry() as storage:
        image = registry.push([BLOB, SMALL])
        registry.lend(mirror)
        registry.lend(storage)
        layer = image.layers[0]
        kinds = [lambda: faults.Status(chance.choice([429, 500, 503])),
                 faults.Drop, lambda: faults.Short(after=3000),
                 # Never as much longer as others make it shorter.
                 faults.Shorter, lambda: faults.Longer(by=50),
                 faults.Whole, faults.Chunked,
                 lambda: faults.Range(shift=1), lambda: faults.Delay(0.1),
                 lambda: faults.Redirect(to=storage, hops=2, live=3),
                 lambda: faults.Redirect(), lambda: faults.Stall(after=500)]
        for where in (registry, mirror, storage):
            for _ in range(12):
                fault = chance.choice(kinds)()
                fault.times, fault.skip = 4, chance.randrange(40)
                where.fault(fault)
        options = ["--stall", "300", "--tries", "4", "--mirror", mirror.url]
        for one in (registry, mirror, storage):
            options += ["--plain", one.host]
        asked = {}
        with Fetcher(program, *options) as f:
            for i in range(300):
                n = chance.choice([1, 100, 5000, 65536])
                offset = chance.randrange(len(BLOB) - n)
                name = f.start(image, layer, offset, n,
                               priority=chance.randrange(3),
                               deadline=chance.choice([50, 2000, 20000]))
                asked[name] = BLOB[offset:offset + n]
                what = chance.randrange(12)
                if what < 2:
                    f.send("cancel", chance.choice(list(asked)))
                elif what == 2:
                    f.send("raise", chance.choice(list(asked)))
                elif what == 3:
                    f.send("blame", layer)
                elif what == 4:
                    registry.auth.expire()
                elif what == 5:
                    chance.choice([registry, mirror,
                                   storage]).break_connections()
            for name, data in asked.items():
                got = f.result(name)
                if got["status"] == "ok":
                    right(got, data)
                else:
                    assert got["status"] in ("io", "corrupt", "cancelled")
            right(f.range(image, layer, 5, 5), BLOB[5:10])
            good = sum(f.results[n]["status"] == "ok" for n in asked)
            assert good > 100, good
            assert all(h["running"] == 0 for h in f.stats()["hosts"])
