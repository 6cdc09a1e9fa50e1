# SPDX-License-Identifier: Apache-2.0
"""The daemon's registry client: who may, and where bytes come from."""

import errno
import time

import pytest

from lib import faults
# Fixtures are names that tests use.
from lib.fetcher import (  # noqa: F401
    BLOB, Fetcher, SMALL, blob_requests, certificates, client, program,
    registry, right, wrong)
from lib.proxy import Proxy
from lib.registry import Auth, Certificates, Registry


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
            # The others wait for it, but those that had gone before.
            assert sum(r.status == 401 for r in registry.seen) <= 8
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
            assert registry.seen[-1].authorization.startswith("Bearer ")
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
        ref = "%s/app:1.2" % front.host
        with Fetcher(program, "--ca", certificates.ca, "--plain",
                     registry.host, "--tries", "1") as f:
            wrong(f.range(ref, registry.layer, 0, 9), "io", "not followed")
            assert registry.requests == 0


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
