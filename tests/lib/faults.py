# SPDX-License-Identifier: Apache-2.0
"""What a scripted registry does wrong: each fault is an object.

    fault = registry.fault(Status(503, times=2))
    ...
    assert fault.hits == 2
    registry.heal()          # takes all faults away, ends those that stall

A fault looks at requests of one kind (`what`: "blob", "manifest", "token",
"any"), of one `digest` when given, from the `skip`th on, `times` times (None:
until it is taken away), and changes the Response that would be sent.
"""

import threading


class Fault:
    def __init__(self, what="blob", digest=None, times=None, skip=0,
                 when=None):
        self.what, self.digest, self.when = what, digest, when
        self.times, self.skip = times, skip
        self.hits = 0
        self.gone = threading.Event()  # set: those that wait go on
        self._lock = threading.Lock()

    def takes(self, request):
        if self.gone.is_set() or self.what not in ("any", request.kind):
            return False
        if self.digest and self.digest != request.digest:
            return False
        if self.when and not self.when(request):
            return False
        with self._lock:
            if self.skip > 0:
                self.skip -= 1
                return False
            if self.times is not None and self.hits >= self.times:
                return False
            self.hits += 1
        return True

    def apply(self, request, response):
        raise NotImplementedError


class Status(Fault):
    """Answer with this status, and these headers, instead."""

    def __init__(self, code, headers=None, body=b"no\n", **match):
        super().__init__(**match)
        self.code, self.headers, self.body = code, headers or {}, body

    def apply(self, request, response):
        response.become(self.code, self.body, self.headers)


class Drop(Fault):
    """Close the connection without a word."""

    def apply(self, request, response):
        response.drop = True


class Delay(Fault):
    """Wait before the answer."""

    def __init__(self, seconds, **match):
        super().__init__(**match)
        self.seconds = seconds

    def apply(self, request, response):
        response.waits.append((0, self.seconds, self.gone))


class Stall(Fault):
    """Send `after` bytes of the body, then nothing for `seconds`."""

    def __init__(self, after=0, seconds=3600, **match):
        super().__init__(**match)
        self.after, self.seconds = after, seconds

    def apply(self, request, response):
        response.waits.append((self.after, self.seconds, self.gone))
        if self.after == 0:
            response.early_headers = True


class Short(Fault):
    """Promise all, send `after` bytes, close."""

    def __init__(self, after=0, **match):
        super().__init__(**match)
        self.after = after

    def apply(self, request, response):
        response.cut = self.after


class Shorter(Fault):
    """A whole answer that is `by` bytes too short, in a valid frame."""

    def __init__(self, by=1, **match):
        super().__init__(**match)
        self.by = by

    def apply(self, request, response):
        response.last = max(response.first, response.last - self.by)


class Longer(Fault):
    """`by` bytes too many, in a valid frame."""

    def __init__(self, by=1, **match):
        super().__init__(**match)
        self.by = by

    def apply(self, request, response):
        response.pad = b"+" * self.by


class Chunked(Fault):
    """The body in chunks, without a Content-Length."""

    def apply(self, request, response):
        response.chunked = True


class Wrong(Fault):
    """The right number of wrong bytes: each `every`th is turned over."""

    def __init__(self, every=4096, **match):
        super().__init__(**match)
        self.every = every

    def apply(self, request, response):
        def turn(offset, data):
            out = bytearray(data)
            first = -offset % self.every
            for i in range(first, len(out), self.every):
                out[i] ^= 0xFF
            return bytes(out)
        response.change = turn


class Zeros(Fault):
    """The right number of zeros."""

    def apply(self, request, response):
        response.change = lambda offset, data: bytes(len(data))


class Replace(Fault):
    """Other contents under the same name, consistently: a forgery."""

    def __init__(self, data, **match):
        super().__init__(**match)
        self.data = data

    def apply(self, request, response):
        response.replace(self.data)


class Whole(Fault):
    """Ignore the range: 200 and all of the blob."""

    def apply(self, request, response):
        if response.status == 206:
            response.whole()


class Range(Fault):
    """206 with another Content-Range: `shift` bytes off, or `text`."""

    def __init__(self, shift=0, text=None, **match):
        super().__init__(**match)
        self.shift, self.text = shift, text

    def apply(self, request, response):
        if response.status != 206:
            return
        if self.text is None:
            response.headers["Content-Range"] = "bytes %d-%d/%d" % (
                response.first + self.shift,
                response.last - 1 + self.shift, response.data.size)
        elif self.text == "":
            del response.headers["Content-Range"]
        else:
            response.headers["Content-Range"] = self.text


class Encoded(Fault):
    """Say that the body is encoded (it is not)."""

    def __init__(self, how="gzip", **match):
        super().__init__(**match)
        self.how = how

    def apply(self, request, response):
        response.headers["Content-Encoding"] = self.how


class Redirect(Fault):
    """Send the client elsewhere.

    `to` is another Registry (which must have the blob: see
    Registry.lend()), or a whole URL, or None: this one, by a path without
    host. Each of `hops` answers leads to the next. `live` is for how many
    uses the last URL, signed, is good; then it answers 403.
    """

    def __init__(self, to=None, hops=1, code=307, live=None, **match):
        super().__init__(**match)
        self.to, self.hops, self.code, self.live = to, hops, code, live
        self._count = 0

    def apply(self, request, response):
        if response.status not in (200, 206):
            return  # who may not have it is not told where it is
        if isinstance(self.to, str):
            place = self.to
        else:
            base = self.to.url if self.to else ""
            with self._lock:
                self._count += 1
                sign = "s%d" % self._count
            target = self.to or request.registry
            target.signed[sign] = [self.hops - 1, self.live, self.code,
                                   request.digest,
                                   target is not request.registry]
            place = "%s/signed/%s/hop?sig=hush%s" % (base, sign, sign)
        response.become(self.code, b"", {"Location": place})
