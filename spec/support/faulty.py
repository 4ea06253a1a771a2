"""HTTP/2 servers that go wrong, each in a way of its own, for specs.

usage: faulty.py: prints "NAME PORT" for each of FAULTS, then "ready". What they
answer is gRPC's as far as the fault allows; the message is one of which every
type has a use: field 1 is the text "there". And one, "flow", that tells how much
a client lets come.
"""
import os
import re
import socket
import struct
import threading
import time
import zlib

DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = (
    0, 1, 3, 4, 6, 7, 8, 9)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
MESSAGE = b"\x0a\x05there"


def frame(kind, flags, stream, payload=b""):
    return (struct.pack(">I", len(payload))[1:] + bytes([kind, flags])
            + struct.pack(">I", stream) + payload)


def literal(name, value):
    """A header without indexing or Huffman, shorter than 127 bytes."""
    return (b"\0" + bytes([len(name)]) + name.encode()
            + bytes([len(value)]) + value.encode())


def head(stream, status=b"\x88", kind="application/grpc", flags=END_HEADERS):
    return frame(HEADERS, flags, stream, status + literal("content-type", kind))


def packed(stream):
    """60 MB that come as 60 KB."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    octets = pack.compress(bytes(60 << 20)) + pack.flush()
    whole = struct.pack(">BI", 1, len(octets)) + octets
    lines = (b"\x88" + literal("content-type", "application/grpc") +
             literal("grpc-encoding", "gzip"))
    return frame(HEADERS, END_HEADERS, stream, lines) + b"".join(
        frame(DATA, 0, stream, whole[i:i + 16000])
        for i in range(0, len(whole), 16000))


def data(stream, message, announced=None, compressed=0):
    length = len(message) if announced is None else announced
    return frame(DATA, 0, stream,
                 struct.pack(">BI", compressed, length) + message)


def trailers(stream, status="0", message=""):
    lines = literal("grpc-status", status)
    if message:
        lines += literal("grpc-message", message)
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, lines)


class Connection:
    """One connection: `send` may be slow, `answer` is the fault."""

    def __init__(self, conn, fault):
        self.conn, self.fault, self.delay = conn, fault, 0.0
        self.window = 0 if fault == "window" else None
        self.flow = Flow(self) if fault == "flow" else None

    def send(self, octets):
        if not self.delay:
            return self.conn.sendall(octets)
        for octet in octets:
            self.conn.sendall(bytes([octet]))
            time.sleep(self.delay)

    def exactly(self, n):
        got = b""
        while len(got) < n:
            part = self.conn.recv(n - len(got))
            if not part:
                raise ConnectionError("the client has gone")
            got += part
        return got

    def next(self):
        """The next frame, with what every server answers to it."""
        lead = self.exactly(9)
        length = int.from_bytes(lead[:3], "big")
        kind, flags = lead[3], lead[4]
        stream = int.from_bytes(lead[5:], "big")
        payload = self.payload = self.exactly(length)
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and self.flow:
            pass  # gRPC measures by the answers how much more it lets come
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == DATA and payload and self.window is None:
            more = struct.pack(">I", len(payload))
            self.conn.sendall(frame(WINDOW, 0, 0, more)
                              + frame(WINDOW, 0, stream, more))
        if self.flow:
            self.flow.see(kind, flags, stream, payload)
        return kind, stream

    def run(self):
        self.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.fault == "garbage":
            return self.flood(os.urandom(4096))
        if self.fault in ("slow", "slower"):
            self.delay = 0.01 if self.fault == "slow" else 1.0
        settings = b"" if self.window is None else struct.pack(">HI", 4, 0)
        self.exactly(24)
        self.send(frame(SETTINGS, 0, 0, settings))
        while True:
            kind, stream = self.next()
            if kind == HEADERS and ANSWERS[self.fault](self, stream):
                return None

    def flood(self, octets):
        """Sends it, then reads on until the client has enough."""
        self.send(octets)
        while self.conn.recv(65536):
            pass

    def reset(self):
        self.conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        return True


class Flow:
    """Output, logs or a file, as far as the client's windows allow it: as many MiB
    as the command or the path says, or without an end."""
    LEADS = {b"/Exec": b"\x0a", b"/StreamLogs": b"\x0a",  # the field "data"
             b"/DownloadFileStream": b"\x12"}
    last = None

    def __init__(self, c):
        self.c, self.stream, self.sent, self.all = c, None, 0, None
        self.window, self.granted = 65535, {}

    def begin(self, stream, lead):
        chunk = lead + b"\x80\x80\x04" + bytes(64 << 10)
        self.whole = struct.pack(">BI", 0, len(chunk)) + chunk
        self.stream, Flow.last = stream, self
        self.c.send(head(stream))

    def see(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack(">HI", payload):
                self.window = value if name == 4 else self.window
        elif kind == WINDOW:
            more, = struct.unpack(">I", payload)
            self.granted[stream] = self.granted.get(stream, 0) + more
        elif kind == DATA and stream == self.stream and not self.all:
            mib = re.search(rb"[\x12\x22][\x01-\x09](\d+)", payload)
            self.all = (int(mib[1]) * 16 if mib else 1 << 40) * len(self.whole)
        self.go_on()

    def go_on(self):
        while self.all and self.sent < self.all:
            room = min(self.window + self.granted.get(self.stream, 0),
                       65535 + self.granted.get(0, 0)) - self.sent
            if room <= 0:
                return
            at = self.sent % len(self.whole)
            part = self.whole[at:at + min(room, 16384)]
            self.c.send(frame(DATA, 0, self.stream, part))
            self.sent += len(part)
        if self.all:
            self.c.send(trailers(self.stream))
            self.all = self.stream = None


def flow(c, s):
    """Other calls have, instead of a name, the bytes that the last stream was
    sent, and the window that it began with."""
    for rpc, lead in Flow.LEADS.items():
        if rpc in c.payload:
            return c.flow.begin(s, lead)
    text = b"%d %d" % (Flow.last.sent, Flow.last.window) if Flow.last else b"none"
    c.send(head(s) + data(s, b"\x0a" + bytes([len(text)]) + text) + trailers(s))


def whole(c, s):
    c.send(head(s) + data(s, MESSAGE) + trailers(s))


def began(c, s):
    c.send(head(s) + data(s, MESSAGE))


def reset_late(c, s):
    began(c, s)
    time.sleep(0.05)  # else the reset overtakes what was sent
    return c.reset()


def half(c, s):
    began(c, s)
    c.conn.shutdown(socket.SHUT_WR)


def garbage_late(c, s):
    began(c, s)
    c.flood(b"\xff" * 4096)  # random bytes may be a frame that is not over
    return True


def endless(c, s):
    """Says that 4 GiB follow, and sends as much as it may."""
    c.send(head(s) + data(s, b"", 0xffffffff))
    threading.Thread(target=zeros, args=(c, s), daemon=True).start()


def zeros(c, s):
    part = frame(DATA, 0, s, bytes(16384))
    try:
        while True:
            c.conn.sendall(part)
    except OSError:
        pass  # the client has enough


def goaway(c, s, last=0, code=0):
    c.send(frame(GOAWAY, 0, 0, struct.pack(">II", last, code)))


def goaway_first(c, s):
    goaway(c, s)
    return True


def goaway_late(c, s):
    began(c, s)
    goaway(c, s, s)
    time.sleep(0.1)
    c.send(trailers(s))


def calm(c, s):
    """As a server does that takes pings for an attack."""
    began(c, s)
    c.send(frame(GOAWAY, 0, 0, struct.pack(">II", s, 11) + b"too_many_pings"))
    return True


def much_metadata(c, s):
    value = b"x" * 120
    lines = b"".join(literal("x-%05d" % i, value.decode())
                     for i in range(2000))
    parts = [lines[i:i + 16000] for i in range(0, len(lines), 16000)]
    c.send(head(s, flags=0))
    for part in parts[:-1]:
        c.send(frame(CONTINUATION, 0, s, part))
    c.send(frame(CONTINUATION, END_HEADERS, s, parts[-1]))


def rst(code):
    return lambda c, s: c.send(frame(RST, 0, s, struct.pack(">I", code)))


ANSWERS = {
    "whole": whole,
    "slow": whole,
    "slower": whole,
    "silent": lambda c, s: None,
    "window": lambda c, s: None,
    "reset": lambda c, s: c.reset(),
    "reset-late": reset_late,
    "half": half,
    "garbage": None,
    "garbage-late": garbage_late,
    "no-message": lambda c, s: c.send(
        head(s) + data(s, b"\xff\xff\xff\xff") + trailers(s)),
    "other-message": lambda c, s: c.send(
        head(s) + data(s, b"\x08\x01\x52\x01x") + trailers(s)),
    "cut-message": lambda c, s: c.send(
        head(s) + data(s, MESSAGE, 100) + trailers(s)),
    "compressed": lambda c, s: c.send(
        head(s) + data(s, MESSAGE, compressed=1) + trailers(s)),
    "packed": lambda c, s: c.send(packed(s) + trailers(s)),
    "endless": endless,
    "flow": flow,
    "trailers": lambda c, s: c.send(frame(
        HEADERS, END_HEADERS | END_STREAM, s, b"\x88"
        + literal("content-type", "application/grpc")
        + literal("grpc-status", "5") + literal("grpc-message", "not here"))),
    "no-status": lambda c, s: c.send(head(s, flags=END_HEADERS | END_STREAM)),
    "odd-status": lambda c, s: c.send(head(s) + trailers(s, "99", "odd")),
    "empty": lambda c, s: c.send(head(s) + trailers(s)),
    "html": lambda c, s: c.send(head(s, b"\x8d", "text/html",
                                     END_HEADERS | END_STREAM)),
    "metadata": much_metadata,
    "goaway": goaway_first,
    "goaway-late": goaway_late,
    "calm": calm,
    "rst-internal": rst(2),
    "rst-refused": rst(7),
    "rst-cancel": rst(8),
    "rst-calm": rst(11),
}


def serve(conn, fault):
    try:
        Connection(conn, fault).run()
    except OSError:
        pass  # the client has gone: what specs are about
    finally:
        conn.close()


def listen(fault):
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0], fault),
                             daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


for name in ANSWERS:
    print(name, listen(name))
print("ready", flush=True)
threading.Event().wait()
