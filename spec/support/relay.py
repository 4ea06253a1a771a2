"""A TCP relay for specs: relay.py PORT prints its own port. What comes back
from the server goes on one byte at a time; SIGUSR1 resets every connection,
SIGUSR2 stalls all: they stay open, and nothing goes on.

relay.py PORT cut: connections are reset by themselves. The first lasts until the
first message of the server (a DATA frame of HTTP/2), the second until the second,
and so on to the eighth, then again: every other one until the middle of the
message. It prints "cut" for each.
"""
import ctypes
import signal
import socket
import struct
import sys
import threading

libc = ctypes.CDLL(None)
connections = []
flowing = threading.Event()
flowing.set()


def pass_on(source, to, size):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            flowing.wait()
            for i in range(0, len(data), size):
                to.sendall(data[i:i + size])
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # reset, from either side


def reset_one(c):
    # AF_UNSPEC: resets at once, though a thread still reads from it.
    libc.connect(c.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16)


def reset(_signal, _frame):
    for c in connections:
        reset_one(c)
    connections.clear()


def read_whole(source, size):
    data = b""
    while len(data) < size:
        part = source.recv(size - len(data))
        if not part:
            raise OSError("the server's end")
        data += part
    return data


def pass_frames(server, client, last):
    """Passes the server's frames on until its DATA frame number `last`."""
    seen = 0
    try:
        while True:
            head = read_whole(server, 9)
            body = read_whole(server, int.from_bytes(head[:3], "big"))
            seen += head[3] == 0 and len(body) > 0
            if seen == last:
                client.sendall(head + body[:len(body) // (1 + last % 2)])
                break
            client.sendall(head + body)
        print("cut", flush=True)
    except OSError:
        pass
    # After the bytes, not instead of them.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.shutdown(socket.SHUT_WR)
    reset_one(server)


listener = socket.create_server(("127.0.0.1", 0))
signal.signal(signal.SIGUSR1, reset)
signal.signal(signal.SIGUSR2, lambda _signal, _frame: flowing.clear())
print(listener.getsockname()[1], flush=True)
cutting = sys.argv[2:] == ["cut"]
number = 0
while True:
    client, _ = listener.accept()
    number += 1
    server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    for c in (client, server):
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connections += [client, server]
    back = (pass_frames, (server, client, (number - 1) % 8 + 1)) if cutting else (
        pass_on, (server, client, 1))
    for run, args in ((pass_on, (client, server, 65536)), back):
        threading.Thread(target=run, args=args, daemon=True).start()
