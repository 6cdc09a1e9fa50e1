# SPDX-License-Identifier: Apache-2.0
"""Tokens and certificates of a scripted registry."""

import base64
import json
import os
import re
import ssl
import subprocess


class Auth:
    """Who may read: `kind` is "bearer" or "basic".

    Without user anybody gets a token. `post` False refuses token requests
    by POST; `field` is the name of the token in the answer; `challenges` are
    sent before our own. expire() makes all tokens so far invalid.
    """

    def __init__(self, kind="bearer", user=None, password=None, post=True,
                 field="token", expires_in=300, challenges=(), identity=None):
        self.kind, self.user, self.password = kind, user, password
        self.post, self.field, self.expires_in = post, field, expires_in
        self.challenges, self.identity = list(challenges), identity
        self.tokens = set()
        self.given = 0  # tokens
        self.realm = None

    def expire(self):
        self.tokens.clear()

    def basic_ok(self, header):
        want = "%s:%s" % (self.user, self.password)
        return header == "Basic " + base64.b64encode(want.encode()).decode()

    def allows(self, header):
        if self.kind == "basic":
            return self.basic_ok(header)
        return header.startswith("Bearer ") and header[7:] in self.tokens

    def challenge(self, registry, repo):
        if self.kind == "basic":
            return self.challenges + ['Basic realm="the \\"realm\\", this"']
        realm = self.realm or registry.url + "/token?kind=a=b"
        return self.challenges + [
            'Bearer realm="%s",service="scripted, registry",'
            'scope="repository:%s:pull"' % (realm, repo)]

    def token(self, method, header, form):
        """The answer to a token request: status and bytes."""
        if method == "POST" and not self.post:
            return 405, b"no POST here"
        if form.get("grant_type") == "refresh_token":
            if form.get("refresh_token") != self.identity:
                return 401, b"not you"
        elif self.user is not None and not self.basic_ok(header):
            return 401, b"not you"
        if not form.get("service") or not form.get("scope"):
            return 400, b"service and scope are needed"
        self.given += 1
        token = "secret.%d.%s" % (self.given, os.urandom(6).hex())
        self.tokens.add(token)
        answer = {self.field: token, "issued_at": "2026-01-01T00:00:00Z"}
        if self.expires_in is not None:
            answer["expires_in"] = self.expires_in
        return 200, json.dumps(answer).encode()


class Certificates:
    """A root made here, a server's and a client's certificate under it."""

    def __init__(self, where, client=False, name="127.0.0.1"):
        os.makedirs(where, exist_ok=True)
        self.where, self.ask_client = where, client
        self.ca = self._path("ca.pem")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                      "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", "/CN=root of a test", "-keyout",
                      self._path("ca.key"), "-out", self.ca)
        kind = "DNS" if re.search("[a-z]", name) else "IP"
        self.cert, self.key = self._issue("server", "subjectAltName=%s:%s" %
                                          (kind, name))
        self.client_cert, self.client_key = self._issue(
            "client", "extendedKeyUsage=clientAuth")

    def _path(self, name):
        return os.path.join(self.where, name)

    @staticmethod
    def _openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)

    def _issue(self, name, extension):
        key, request, cert = (self._path(name + end)
                              for end in (".key", ".csr", ".pem"))
        with open(self._path(name + ".ext"), "w", encoding="ascii") as out:
            out.write(extension + "\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt",
                      "ec_paramgen_curve:P-256", "-nodes", "-subj",
                      "/CN=" + name, "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca,
                      "-CAkey", self._path("ca.key"), "-CAcreateserial",
                      "-days", "2", "-extfile", self._path(name + ".ext"),
                      "-out", cert)
        return cert, key

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        if self.ask_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context
