# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy on loopback that counts: CONNECT, and URLs of plain HTTP."""

import http.client
import http.server
import select
import socket
import threading
import urllib.parse


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_CONNECT(self):
        self.server.proxy.seen.append(("CONNECT", self.path,
                                       dict(self.headers.items())))
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as far:
            self.send_response(200)
            self.end_headers()
            self._relay(self.connection, far)
        self.close_connection = True

    @staticmethod
    def _relay(near, far):
        while True:
            ready, _, _ = select.select([near, far], [], [], 30)
            if not ready:
                return
            for one in ready:
                data = one.recv(65536)
                if not data:
                    return
                (far if one is near else near).sendall(data)

    def do_GET(self):
        self.server.proxy.seen.append(("GET", self.path,
                                       dict(self.headers.items())))
        where = urllib.parse.urlsplit(self.path)
        far = http.client.HTTPConnection(where.netloc)
        path = where.path + ("?" + where.query if where.query else "")
        headers = {k: v for k, v in self.headers.items()
                   if not k.lower().startswith("proxy-")}
        far.request("GET", path, headers=headers)
        answer = far.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("date", "server"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        far.close()


class Proxy:
    def __init__(self):
        self.seen = []  # (method, path, headers)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                       _Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.proxy = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,),
                         daemon=True).start()

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self._server.server_address[1]

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self._server.shutdown()
        self._server.server_close()
