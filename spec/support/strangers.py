"""Clients without a token that mean no good, for specs.

strangers.py ADDRESS weigh PATH BYTES N
    a call with a message that long on each of N connections: prints their status
strangers.py ADDRESS hold N
    N connections that begin as gRPC's do, then nothing: waits for stdin's end and
    prints how many are still open
strangers.py ADDRESS silent N
    the same with connections that say nothing
strangers.py ADDRESS call PATH
    one call with bytes that are no message: prints its status
"""
import socket
import sys
import threading

import grpc

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"


def status(path, message):
    options = [("grpc.max_send_message_length", -1),
               ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(sys.argv[1], options) as channel:
        call = channel.stream_stream(path)(iter([message]), timeout=20)
        try:
            for _ in call:
                pass
        except grpc.RpcError as e:
            return e.code().name + " " + e.details()
        return "OK"


def weigh(path, size, n):
    # An unknown field, which any parser skips.
    message = b"\xfa\x01" + varint(size) + bytes(size)
    threads = [threading.Thread(
        target=lambda: print(status(path, message) + "\n", end=""))
        for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def is_open(s):
    s.setblocking(False)
    try:
        while s.recv(65536):
            pass
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def hold(n):
    host, _, port = sys.argv[1].rpartition(":")
    some = []
    for _ in range(n):
        some.append(socket.create_connection((host, int(port)), 10))
        if sys.argv[2] == "hold":
            some[-1].sendall(PREFACE)
    print("held", flush=True)
    sys.stdin.read()
    print(sum(map(is_open, some)))


if sys.argv[2] == "weigh":
    weigh(sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
elif sys.argv[2] in ("hold", "silent"):
    hold(int(sys.argv[3]))
else:
    print(status(sys.argv[3], b"\xff"))
