"""Talks to ADDRESS in raw bytes, for specs.

raw.py ADDRESS            sends stdin, prints what comes until the end
raw.py ADDRESS slow       the same, a byte at a time
raw.py ADDRESS half       the same, half-closing behind what was sent
raw.py ADDRESS crowd N    N connections that say too little, then one that asks
                          for /alone: prints its answer's first line, and how
                          many of the N are still there; then closes all, asks
                          again, prints that
raw.py ADDRESS twins      two HTTP/2 connections from one address and port, the
                          second to 127.0.0.2: prints for each if it is served
"""
import socket
import sys
import time


def connect():
    host, _, port = sys.argv[1].rpartition(":")
    s = socket.create_connection((host.strip("[]"), int(port)), 10)
    s.settimeout(20)
    return s


def all_of(s):
    got = b""
    try:
        while True:
            part = s.recv(65536)
            if not part:
                return got
            got += part
    except ConnectionResetError:
        return got + b"<reset>"


def ask():
    s = connect()
    s.sendall(b"GET /alone HTTP/1.1\r\nHost: x\r\n\r\n")
    return all_of(s).split(b"\r\n")[0].decode()


def is_open(s):
    s.setblocking(False)
    try:
        return s.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def crowd(n):
    some = []
    for i in range(n):
        s = connect()
        s.sendall((b"P", b"", b"GET /never-ending HTTP/1.1\r\nA")[i % 3])
        some.append(s)
    if len(sys.argv) > 4:  # no descriptor is left for one more: don't ask
        time.sleep(float(sys.argv[4]))
        print("not asked")
    else:
        print(ask())
    print(sum(map(is_open, some)))
    for s in some:
        s.close()
    print(ask())


def twin(address, source):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.settimeout(20)
    s.bind(source)
    s.connect(address)
    s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4] + 5 * [0]))
    return s


def served(s):
    try:
        return s.recv(1) != b""
    except ConnectionResetError:
        return False


def twins():
    port = int(sys.argv[1].rpartition(":")[2])
    first = twin(("127.0.0.1", port), ("127.0.0.1", 0))
    print(served(first))
    print(served(twin(("127.0.0.2", port), first.getsockname())))


if sys.argv[2:3] == ["crowd"]:
    crowd(int(sys.argv[3]))
elif sys.argv[2:3] == ["twins"]:
    twins()
else:
    how = sys.argv[2] if len(sys.argv) > 2 else ""
    peer = connect()
    data = sys.stdin.buffer.read()
    try:
        if how == "slow":
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in data:
                peer.sendall(bytes([byte]))
        else:
            peer.sendall(data)
        if how == "half":
            peer.shutdown(socket.SHUT_WR)
    except ConnectionError:
        pass
    sys.stdout.buffer.write(all_of(peer))
