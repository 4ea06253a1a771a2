"""An HTTP peer for specs, whose answers the path scripts; they are below.

usage: peer.py [CERT...]: prints the ports it listens on, all of 127.0.0.1: two
plain ones, then one for TLS with each CERT.pem and CERT.key.
"""
import json
import socket
import ssl
import sys
import threading
import time
from email.utils import formatdate
from urllib.parse import unquote

hits = {}  # requests by path
lock = threading.Lock()


def date(seconds):
    return formatdate(seconds, usegmt=True)


def read_request(conn):
    data = b""
    while b"\r\n\r\n" not in data:
        more = conn.recv(65536)
        if not more:
            return None
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, value = line.split(":", 1)
        headers.setdefault(name.lower(), []).append(value.strip())
    length = int(headers.get("content-length", ["0"])[0])
    while len(body) < length:
        more = conn.recv(65536)
        if not more:
            return None
        body += more
    return method, path, headers, body


def answer(conn, status, body=b"", *lines):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    head = ["HTTP/1.1 %d Scripted" % status, "Connection: close", *lines]
    if not any(line.startswith("Content-Length:") for line in lines):
        head.append("Content-Length: %d" % len(body))
    conn.sendall("\r\n".join(head + ["", ""]).encode("latin1") + body)


def token(conn, count, life=3600.0, skew=0.0, say_date=True):
    """What the exchange answers; skew: how far ahead the peer's clock is."""
    now = time.time() + skew
    reply = {"token": "token%d" % count, "expires_at": now + life,
             "user_id": "user"}
    answer(conn, 200, reply, *(["Date: " + date(now)] if say_date else []))


def endless(conn, start, chunk):
    conn.sendall(start)
    while True:
        conn.sendall(chunk)


def limited(conn, count, *lines):
    """Every other request is one too many."""
    if count % 2:
        answer(conn, 429, b"", *lines)
    else:
        token(conn, count)


def serve(conn):
    request = read_request(conn)
    if not request:
        return
    method, target, headers, body = request
    if target.startswith("http://"):  # as a proxy is asked
        target = "/" + target.split("/", 3)[3]
    path, _, rest = target.partition("?")
    with lock:
        hits[path] = count = hits.get(path, 0) + 1
    if path == "/echo":
        answer(conn, 200, {"method": method, "target": target,
                           "headers": headers, "body": body.decode("latin1")},
               "X-Twice: 1", "x-twice:2", "X-Empty:")
    elif path == "/hits":
        answer(conn, 200, hits.get(rest, 0))
    elif path == "/status":  # ?STATUS
        answer(conn, int(rest), {"error": body.decode("latin1")})
    elif path == "/body":  # ?BODY
        answer(conn, 200, unquote(rest, "latin1").encode("latin1"))
    elif path == "/big":  # ?BYTES
        answer(conn, 200, b"x" * int(rest))
    elif path == "/redirect":  # ?STATUS&URL
        status, url = rest.split("&", 1)
        answer(conn, int(status), b"moved", "Location: " + url)
    elif path == "/silent":
        conn.recv(1)
    elif path == "/slow":
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            conn.sendall(b"x")
            time.sleep(0.02)
    elif path == "/garbage":
        conn.sendall(b"\x16\x03 not HTTP\r\n\r\n")
    elif path == "/folded":
        conn.sendall(b"HTTP/1.1 200 OK\r\nX-Folded: one\r\n  two\r\n\tthree\r\n"
                     b"Content-Length: 0\r\nConnection: close\r\n\r\n")
    elif path == "/trailer":  # ?BODY
        body = b"%x\r\n%s\r\n" % (len(rest), rest.encode()) if rest else b""
        conn.sendall(b"HTTP/1.1 200 OK\r\nX-Kept: yes\r\nConnection: close\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n" + body +
                     b"0\r\nHTTP/1.1: no\r\nX-After: 1\r\n\r\n")
    elif path == "/long-header":
        answer(conn, 200, b"", "X-Long: " + "x" * 120000)
    elif path == "/cut":
        answer(conn, 200, b"abc", "Content-Length: 1000")
    elif path == "/endless":
        endless(conn, b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)
    elif path == "/endless-headers":
        endless(conn, b"HTTP/1.1 200 OK\r\n", b"A: " + b"x" * 6000 + b"\r\n")
    elif path == "/token":
        key = json.loads(body)
        sent = headers.get("content-type") == ["application/json"]
        if method != "POST" or not sent or key != {"api_key": "bxk_good"}:
            return answer(conn, 401, {"error": body.decode("latin1")})
        token(conn, count)
    elif path == "/later":
        time.sleep(0.2)
        token(conn, count)
    elif path == "/life":  # ?SECONDS&SKEW
        life, skew = rest.split("&")
        token(conn, count, float(life), float(skew))
    elif path == "/ended":  # by every clock
        token(conn, count, -5.0, say_date=False)
    elif path == "/limited":
        limited(conn, count, "Retry-After: 1")
    elif path == "/limited-until":
        limited(conn, count, "Date: " + date(1e9),
                "Retry-After: " + date(1e9 + 1))
    elif path == "/limited-always":
        answer(conn, 429, b"", "Retry-After: 0")
    else:
        answer(conn, 404)


def connection(conn, tls):
    try:
        if tls:
            conn = tls.wrap_socket(conn, server_side=True)
        serve(conn)
    except OSError:
        pass  # the client went, or did not trust us: what specs are about
    finally:
        conn.close()


def listen(tls=None):
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def accept():
        while True:
            conn = listener.accept()[0]
            threading.Thread(target=connection, args=(conn, tls),
                             daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def tls_context(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(name + ".pem", name + ".key")
    return context


print(listen(), listen(), *[listen(tls_context(n)) for n in sys.argv[1:]],
      flush=True)
threading.Event().wait()
