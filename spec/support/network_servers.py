"""network_servers.py LOG machine|internet [ADDRESS...]: servers of the pretended world that
answer, over TCP and UDP at port 18991, with "from" and their name; each hit is a
line of LOG. Whatever sends a datagram to the internet's is also sent one by a
stranger, from another port. The machine's port 53 is its resolver."""
import selectors
import socket
import sys

log = open(sys.argv[1], "a", 1)
name = sys.argv[2]
machine = name == "machine"
selector = selectors.DefaultSelector()
stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
stranger.bind(("0.0.0.0", 6666))


def serve(kind, address, port, handle):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((address, port))
    if kind == socket.SOCK_STREAM:
        s.listen(64)
    selector.register(s, selectors.EVENT_READ, handle)


def on_tcp(s):
    connection, peer = s.accept()
    log.write(f"{name} tcp from {peer[0]} to {connection.getsockname()[0]}\n")
    try:
        connection.send(f"from {name}".encode())
    except OSError:
        pass
    connection.close()


def on_udp(s):
    data, peer = s.recvfrom(2000)
    log.write(f"{name} udp from {peer[0]}: {data[:80]!r}\n")
    s.sendto(f"from {name}".encode(), peer)
    if not machine and ":" not in peer[0]:
        stranger.sendto(b"from stranger", peer)


def on_dns(s):
    """Every name is 203.0.113.9."""
    query, peer = s.recvfrom(600)
    end = query.index(b"\0", 12) + 5
    kind = query[end - 4:end - 2]
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([203, 0, 113, 9])
    found = kind == b"\0\1"
    s.sendto(query[:2] + b"\x81\x80\0\1" + (b"\0\1" if found else b"\0\0")
             + b"\0\0\0\0" + query[12:end] + (answer if found else b""), peer)


for address in ("0.0.0.0", "::", *sys.argv[3:]):
    if address in ("0.0.0.0", "::"):
        serve(socket.SOCK_STREAM, address, 18991, on_tcp)
    serve(socket.SOCK_DGRAM, address, 18991, on_udp)  # answers by that address
if machine:
    serve(socket.SOCK_DGRAM, "127.0.0.1", 53, on_dns)
log.write(f"{name} ready\n")
while True:
    for key, _ in selector.select():
        try:
            key.data(key.fileobj)
        except (OSError, ValueError, IndexError):
            pass
