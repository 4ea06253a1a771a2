"""A console of a service for specs, which exchanges keys over TLS, and a proxy
that leads to it.

usage: console.py CERT ADDRESS PORT [proxy PORT]: with the certificate CERT.pem
and CERT.key. Prints the proxy's port, if one is wanted, or "ready"; then a line
a request: the host that was asked, and the answer's status. Hosts answer by
their names: "app.NNN.test" and "NNN.test" with HTTP status NNN, any other with a
token.
"""
import json
import re
import socket
import ssl
import sys
import threading
import time

cert, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert + ".pem", cert + ".key")


def head_of(conn):
    data = b""
    while b"\r\n\r\n" not in data:
        more = conn.recv(65536)
        if not more:
            return ""
        data += more
    return data.decode("latin1")


def serve(conn):
    try:
        conn = context.wrap_socket(conn, server_side=True)
        head = head_of(conn)
        host = re.search(r"(?im)^host: *(\S+)", head).group(1)
        status = re.search(r"(?:^|\.)(\d{3})\.test$", host)
        status = int(status.group(1)) if status else 200
        print(host, status, flush=True)
        body = json.dumps({"token": "of." + host,
                           "expires_at": time.time() + 3600}).encode()
        conn.sendall(b"HTTP/1.1 %d Answer\r\nConnection: close\r\n"
                     b"Location: https://elsewhere.test/\r\nRetry-After: 0\r\n"
                     b"Content-Length: %d\r\n\r\n" % (status, len(body)) + body)
    except (OSError, AttributeError):
        pass
    finally:
        conn.close()


def pipe(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data:
                break
            b.sendall(data)
    except OSError:
        pass
    for end in (a, b):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def tunnel(conn, grpc):
    """CONNECT to port 443 leads to the console, to any other to `grpc`."""
    head = head_of(conn)
    target = head.split(" ")[1]
    print("CONNECT" if head.startswith("CONNECT ") else "plain", target,
          flush=True)
    to = port if target.endswith(":443") else grpc
    peer = socket.create_connection(("127.0.0.1", to))
    conn.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    threading.Thread(target=pipe, args=(conn, peer), daemon=True).start()
    pipe(peer, conn)


def accept(server, handle, *args):
    while True:
        conn = server.accept()[0]
        threading.Thread(target=handle, args=(conn, *args), daemon=True).start()


console = socket.create_server((address, port))
port = console.getsockname()[1]
if len(sys.argv) > 4:
    proxy = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(proxy, tunnel, int(sys.argv[5])),
                     daemon=True).start()
    print(proxy.getsockname()[1], flush=True)
else:
    print("ready", flush=True)
accept(console, serve)
