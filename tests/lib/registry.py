# SPDX-License-Identifier: Apache-2.0
"""A registry on loopback that does what a test tells it to do.

    with Registry() as registry:
        image = registry.push([tar, tar], repo="app", tag="1.2")
        str(image)           # "127.0.0.1:PORT/app:1.2"
        image.pinned         # "127.0.0.1:PORT/app@sha256:..."
        registry.fault(faults.Stall(after=4096, digest=image.layers[0]))
        registry.bytes_sent, registry.requests, registry.counts(digest)

It speaks the read half of the OCI distribution protocol over HTTP/1.1, a
thread a connection. `latency` (seconds before each answer) and `bandwidth`
(bytes a second over all connections, None: as fast as it goes) may change at
any time. `auth` asks for credentials (class Auth), `tls` for TLS (class
Certificates). down() and up() make it unreachable at the same port.
"""

import hashlib
import http.server
import json
import mmap
import os
import re
import socket
import ssl
import threading
import time
import urllib.parse

from lib.regauth import Auth, Certificates  # noqa: F401  for our users

OCI = "application/vnd.oci.image."
CHUNK = 16384


class Blob:
    """Bytes, or a file that stays where it is."""

    def __init__(self, data):
        if isinstance(data, (str, os.PathLike)):
            with open(data, "rb") as f:
                self.size = os.fstat(f.fileno()).st_size
                self.data = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) \
                    if self.size else b""
        else:
            self.data, self.size = data, len(data)
        self.digest = "sha256:" + hashlib.sha256(self.data).hexdigest()

    def read(self, first, last):
        return bytes(self.data[first:last])


class Pushed:
    """What push() made; str() is the reference with host and tag."""

    def __init__(self, registry, repo, tag, manifest, layers, config):
        self.host, self.repo, self.tag = registry.host, repo, tag
        self.manifest = manifest  # bytes
        self.digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
        self.layers, self.config = layers, config  # digests

    def __str__(self):
        return "%s/%s:%s" % (self.host, self.repo, self.tag)

    @property
    def pinned(self):
        return "%s/%s@%s" % (self.host, self.repo, self.digest)


class Request:
    """One request as it came; `sent` grows with the body of its answer."""

    def __init__(self, registry, method, path, headers):
        self.registry, self.method, self.path = registry, method, path
        self.headers = dict(headers.items())
        self.authorization = headers.get("Authorization", "")
        self.range = headers.get("Range")
        self.kind, self.repo, self.name, self.digest = "other", "", "", None
        self.status, self.sent, self.time = None, 0, time.monotonic()
        where = urllib.parse.urlsplit(path)
        self.query = dict(urllib.parse.parse_qsl(where.query))
        m = re.fullmatch(r"/v2/(.+)/(blobs|manifests)/([^/]+)", where.path)
        if m:
            self.kind, self.repo, self.name = m[2][:-1], m[1], m[3]
        elif where.path == "/token":
            self.kind = "token"
        elif where.path.startswith("/signed/"):
            self.kind = "signed"
            self.name = where.path.split("/")[2]
        if self.name.startswith("sha256:"):
            self.digest = self.name


class Response:
    """An answer that faults may change before it is sent."""

    def __init__(self, status, data=b"", headers=None):
        self.become(status, data, headers)
        self.waits = []  # (bytes of body before it, seconds, event)
        self.drop = self.chunked = self.early_headers = False
        self.cut, self.change, self.pad = None, None, b""

    def become(self, status, data=b"", headers=None):
        self.status, self.headers = status, dict(headers or {})
        self.data = data if isinstance(data, Blob) else Blob(data)
        self.first, self.last = 0, self.data.size

    def whole(self):
        self.status, self.first, self.last = 200, 0, self.data.size
        self.headers.pop("Content-Range", None)

    def replace(self, data):
        """Other data: the same range of it."""
        partial, first, last = self.status == 206, self.first, self.last
        self.data = data if isinstance(data, Blob) else Blob(data)
        self.first, self.last = 0, self.data.size
        if partial:
            self.partial(first, last)

    def partial(self, first, last):
        size = self.data.size
        if first >= size:
            return self.become(416, b"", {"Content-Range":
                                          "bytes */%d" % size})
        self.status, self.first, self.last = 206, first, min(last, size)
        self.headers["Content-Range"] = "bytes %d-%d/%d" % (
            self.first, self.last - 1, size)
        return None


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "scripted"

    def log_message(self, *args):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self):
        self._serve(b"")

    def do_HEAD(self):
        self._serve(b"")

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        self._serve(self.rfile.read(min(length, 1 << 20)))

    def _serve(self, body):
        registry = self.server.registry
        request = Request(registry, self.command, self.path, self.headers)
        registry.note(request)
        response = registry.answer(request, body)
        for fault in registry.faults_for(request):
            fault.apply(request, response)
        if registry.latency:
            response.waits.insert(0, (0, registry.latency, registry.closing))
        request.status = response.status
        if response.drop:
            request.status = 0
            self.close_connection = True
            return
        try:
            self._send(registry, request, response)
        except (OSError, ssl.SSLError):
            self.close_connection = True

    def _send(self, registry, request, response):
        if not response.early_headers:
            self._wait(response, 0)
        length = response.last - response.first + len(response.pad)
        self.send_response(response.status)
        for name, value in response.headers.items():
            for one in value if isinstance(value, list) else [value]:
                self.send_header(name, one)
        if response.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.flush()
        if request.method == "HEAD":
            return
        for piece in self._pieces(response):
            registry.meter(len(piece))
            # Before: who has got it may look at once.
            request.sent += len(piece)
            if response.chunked:
                piece = b"%x\r\n%s\r\n" % (len(piece), piece)
            self.wfile.write(piece)
        if response.cut is not None:
            self.close_connection = True
        elif response.chunked:
            self.wfile.write(b"0\r\n\r\n")

    @staticmethod
    def _wait(response, done):
        """Wait where `done` bytes of the body are out."""
        for place in [w for w in response.waits if w[0] <= done]:
            response.waits.remove(place)
            place[2].wait(place[1])

    def _pieces(self, response):
        at, done = response.first, 0
        body_end = response.last
        while True:
            self._wait(response, done)
            end = min(at + CHUNK, body_end)
            stops = [response.first + w[0] for w in response.waits]
            if response.cut is not None:
                stops.append(response.first + response.cut)
            end = min([end] + [s for s in stops if s > at])
            if response.cut is not None and done >= response.cut:
                return
            if end <= at:
                break
            piece = response.data.read(at, end)
            if response.change:
                piece = response.change(at, piece)
            done += end - at
            at = end
            yield piece
        if response.pad:
            yield response.pad


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # clients may leave

    def process_request_thread(self, request, client_address):
        self.registry.connection(request, True)
        try:
            if self.registry.tls:
                request = self.registry.wrap(request)
            super().process_request_thread(request, client_address)
        except (OSError, ssl.SSLError):
            self.shutdown_request(request)
        finally:
            self.registry.connection(request, False)


class Registry:
    def __init__(self, auth=None, tls=None, latency=0, bandwidth=None):
        self.auth, self.tls = auth, tls
        self.latency, self.bandwidth = latency, bandwidth
        self.blobs, self.manifests, self.tags = {}, {}, {}
        self.signed = {}  # see faults.Redirect
        self.seen = []  # Request objects, in order
        self.faults = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._link = 0.0  # when the last byte will be out
        self._live = set()
        self._context = tls.context() if tls else None
        self._server = self._thread = None
        self.port = 0
        self.up()

    # Life

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    def up(self):
        """Listen (again, at the same port)."""
        if self._server:
            return
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.registry = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever,
                                        args=(0.01,), daemon=True)
        self._thread.start()

    def down(self):
        """Refuse connections and break those that live."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None
        self.break_connections()

    def close(self):
        self.closing.set()
        self.heal()
        self.down()

    @property
    def host(self):
        return "127.0.0.1:%d" % self.port

    @property
    def url(self):
        return "%s://%s" % ("https" if self.tls else "http", self.host)

    # What it holds

    def blob(self, data):
        """Keep bytes, or the file of this path; its digest."""
        blob = Blob(data)
        self.blobs[blob.digest] = blob
        return blob.digest

    def manifest(self, data, media, repo="app", tag=None):
        """Keep a manifest or an index; its digest."""
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        blob = Blob(data)
        self.manifests[blob.digest] = (blob, media)
        if tag:
            self.tags[repo, tag] = blob.digest
        return blob.digest

    def push(self, layers, config=None, repo="app", tag="latest",
             media=OCI + "layer.v1.tar", annotations=None,
             layer_annotations=None, **changes):
        """An image of these layers (bytes or paths), bottom first.

        `media` is one type or a list; `layer_annotations` a list of dicts.
        """
        digests = [self.blob(layer) for layer in layers]
        if config is None:
            config = {"os": "linux", "architecture": "amd64",
                      "rootfs": {"type": "layers", "diff_ids": digests}}
        if not isinstance(config, bytes):
            config = json.dumps(config).encode()
        kinds = media if isinstance(media, list) else [media] * len(layers)
        described = [{"mediaType": kind, "digest": digest,
                      "size": self.blobs[digest].size}
                     for kind, digest in zip(kinds, digests)]
        for one, notes in zip(described, layer_annotations or ()):
            one["annotations"] = notes
        manifest = {"schemaVersion": 2,
                    "mediaType": OCI + "manifest.v1+json",
                    "config": {"mediaType": OCI + "config.v1+json",
                               "digest": self.blob(config),
                               "size": len(config)},
                    "layers": described}
        if annotations:
            manifest["annotations"] = annotations
        manifest.update(changes)
        data = json.dumps(manifest).encode()
        self.manifest(data, manifest["mediaType"], repo, tag)
        return Pushed(self, repo, tag, data, digests,
                      manifest["config"]["digest"])

    def push_index(self, images, repo="app", tag="latest"):
        """An index of {"os/arch[/variant]": Pushed}; its digest."""
        entries = []
        for platform, image in images.items():
            names = ("os", "architecture", "variant")
            entries.append({"mediaType": OCI + "manifest.v1+json",
                            "digest": image.digest,
                            "size": len(image.manifest),
                            "platform": dict(zip(names,
                                                 platform.split("/")))})
        media = OCI + "index.v1+json"
        return self.manifest({"schemaVersion": 2, "mediaType": media,
                              "manifests": entries}, media, repo, tag)

    def lend(self, other):
        """Let another registry serve all that this one holds."""
        other.blobs, other.manifests = self.blobs, self.manifests
        other.tags = self.tags
        return other

    # Faults

    def fault(self, fault):
        with self._lock:
            self.faults.append(fault)
        return fault

    def heal(self, fault=None):
        """Take one fault away, or all; what waited for it goes on."""
        with self._lock:
            gone = [f for f in self.faults if fault in (None, f)]
            self.faults = [f for f in self.faults if f not in gone]
        for one in gone:
            one.gone.set()

    def faults_for(self, request):
        with self._lock:
            faults = list(self.faults)
        return [f for f in faults if f.takes(request)]

    def break_connections(self):
        with self._lock:
            live = list(self._live)
        for connection in live:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # Counters

    @property
    def requests(self):
        return len(self.seen)

    @property
    def bytes_sent(self):
        with self._lock:
            return sum(r.sent for r in self.seen)

    def counts(self, digest):
        """Requests for a blob or manifest, and bytes of it that were sent."""
        with self._lock:
            mine = [r for r in self.seen if r.digest == digest]
            return len(mine), sum(r.sent for r in mine)

    def forget(self):
        """Set the counters to zero."""
        with self._lock:
            self.seen = []

    # For the server

    def note(self, request):
        with self._lock:
            self.seen.append(request)

    def connection(self, connection, begins):
        with self._lock:
            (self._live.add if begins else self._live.discard)(connection)

    def wrap(self, connection):
        connection.settimeout(30)
        wrapped = self._context.wrap_socket(connection, server_side=True)
        wrapped.settimeout(None)
        return wrapped

    def meter(self, n):
        """Sleep until the link has room for n bytes more."""
        if not self.bandwidth:
            return
        with self._lock:
            now = time.monotonic()
            self._link = max(self._link, now) + n / self.bandwidth
            wait = self._link - now
        self.closing.wait(wait)

    def answer(self, request, body):
        if request.kind == "token":
            return self._token(request, body)
        if request.kind == "signed":
            return self._signed(request)
        if self.auth and not self.auth.allows(request.authorization):
            return Response(401, b'{"errors": [{"code": "UNAUTHORIZED"}]}', {
                "WWW-Authenticate": self.auth.challenge(self, request.repo)})
        if request.kind == "manifest":
            digest = request.digest or \
                self.tags.get((request.repo, request.name))
            request.digest = digest
            if digest not in self.manifests:
                return Response(404, b'{"errors": []}')
            blob, media = self.manifests[digest]
            return Response(200, blob, {"Content-Type": media,
                                        "Docker-Content-Digest": digest})
        if request.kind == "blob":
            return self._blob(request)
        if request.path in ("/v2", "/v2/"):
            return Response(200, b"{}")
        return Response(404, b"nothing\n")

    def _token(self, request, body):
        if not self.auth:
            return Response(404)
        form = dict(request.query)
        form.update(urllib.parse.parse_qsl(body.decode("ascii", "replace")))
        status, data = self.auth.token(request.method,
                                       request.authorization, form)
        return Response(status, data, {"Content-Type": "application/json"})

    def _signed(self, request):
        with self._lock:
            entry = self.signed.get(request.name)
            # Storage refuses what has two kinds of authority.
            if entry is None or (request.authorization and entry[4]):
                return Response(400, b"signed and authorized\n")
            request.digest = entry[3]
            # By the URL: a client may send one request twice.
            left = int(request.query.get("left", entry[0]))
            if left > 0:
                return Response(entry[2], b"", {
                    "Location": "hop?sig=hush&left=%d" % (left - 1)})
            if entry[1] is not None:
                if entry[1] <= 0:
                    return Response(403, b"expired\n")
                entry[1] -= 1
        return self._blob(request)

    def _blob(self, request):
        blob = self.blobs.get(request.digest)
        if blob is None:
            return Response(404, b'{"errors": [{"code": "BLOB_UNKNOWN"}]}')
        response = Response(200, blob, {
            "Content-Type": "application/octet-stream"})
        m = re.fullmatch(r"bytes=(\d+)-(\d*)", request.range or "")
        if m:
            response.partial(int(m[1]),
                             int(m[2]) + 1 if m[2] else blob.size)
        return response
