"""A TCP relay for specs: relay.py PORT prints its own port. What comes back
from the server goes on one byte at a time; SIGUSR1 resets every connection,
SIGUSR2 stalls all: they stay open, and nothing goes on.
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


def reset(_signal, _frame):
    for c in connections:
        # AF_UNSPEC: resets at once, though a thread still reads from it.
        libc.connect(c.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16)
    connections.clear()


listener = socket.create_server(("127.0.0.1", 0))
signal.signal(signal.SIGUSR1, reset)
signal.signal(signal.SIGUSR2, lambda _signal, _frame: flowing.clear())
print(listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    for c in (client, server):
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connections += [client, server]
    for a, b, size in ((client, server, 65536), (server, client, 1)):
        threading.Thread(target=pass_on, args=(a, b, size),
                         daemon=True).start()
