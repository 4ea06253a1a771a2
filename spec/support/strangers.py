"""Clients without a token that mean no good, for specs.

strangers.py ADDRESS reflect BYTES N  a reflection request that long from each of
                                      N connections: prints the status of each
strangers.py ADDRESS hold N           N connections that begin as gRPC's do, then
                                      nothing: prints "held", and at the next
                                      line of stdin how many are still open
strangers.py ADDRESS call PATH        one call with bytes that are no message:
                                      prints its status
"""
import socket
import sys
import threading

import grpc

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


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


def reflect(size, n):
    # An unknown field, which any parser skips.
    message = b"\xfa\x01" + varint(size) + bytes(size)
    threads = [threading.Thread(
        target=lambda: print(status(REFLECT, message), flush=True))
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
        some[-1].sendall(PREFACE)
    print("held", flush=True)
    sys.stdin.readline()
    print(sum(map(is_open, some)))


if sys.argv[2] == "reflect":
    reflect(int(sys.argv[3]), int(sys.argv[4]))
elif sys.argv[2] == "hold":
    hold(int(sys.argv[3]))
else:
    print(status(sys.argv[3], b"\xff"))
