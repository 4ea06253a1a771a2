"""The bench's work on grpcio, built as the Python SDK is: a grpc.aio channel
on a loop in a thread of its own, a wrapper that blocks for each result, and a
queue between a stream's reader task and whoever takes its chunks. Messages are
taken apart by hand, which costs less than the SDK's generated classes.

  client.py PORT WORK [ARGS]    prints numbers, as client.c does
"""

import asyncio
import os
import sys
import threading
import time

import grpc

SERVICE = "/boxd.api.v1.BoxdApi/"
METADATA = (("authorization", "Bearer bench"),)
CHUNK = 1 << 20
LIMITS = [("grpc.max_receive_message_length", 64 << 20),
          ("grpc.max_send_message_length", 64 << 20),
          ("grpc.enable_http_proxy", 0)]


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def text(field, s):
    return varint(field << 3 | 2) + varint(len(s)) + s


def read_varint(data, at):
    n = shift = 0
    while True:
        byte = data[at]
        at += 1
        n |= (byte & 127) << shift
        if byte < 128:
            return n, at
        shift += 7


def fields(data):
    at, out = 0, {}
    while at < len(data):
        key, at = read_varint(data, at)
        n, at = read_varint(data, at)
        if key & 7 == 2:
            out[key >> 3] = data[at:at + n]
            at += n
        else:
            out[key >> 3] = n
    return out


class Client:
    """The loop's thread and the channel on it."""

    def __init__(self, port):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.channel = self.wait(self.connect(f"127.0.0.1:{port}"))

    async def connect(self, target):
        return grpc.aio.insecure_channel(target, options=LIMITS)

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    async def call_async(self, rpc, request):
        method = self.channel.unary_unary(SERVICE + rpc)
        return await method(request, metadata=METADATA, timeout=60)

    def call(self, rpc, request):
        return self.wait(self.call_async(rpc, request))

    def close(self):
        self.wait(self.channel.close())


class Process:
    """An Exec: a task reads the call into a queue."""

    def __init__(self, client, command):
        self.client = client
        client.wait(self.start(command))

    async def start(self, command):
        self.queue = asyncio.Queue()
        self.code = None
        method = self.client.channel.stream_stream(SERVICE + "Exec")
        self.stream = method(metadata=METADATA)
        await self.stream.write(text(4, command.encode()) + text(5, b"vm-1"))
        self.reader = asyncio.ensure_future(self.read())

    async def read(self):
        async for message in self.stream:
            chunk = fields(message)
            self.code = chunk.get(6, self.code)
            if chunk.get(1):
                await self.queue.put(chunk[1])
        await self.queue.put(None)

    async def write_eof_async(self):
        await self.stream.done_writing()

    def write_eof(self):
        self.client.wait(self.write_eof_async())

    def next(self):
        return self.client.wait(self.queue.get())

    def wait(self):
        self.client.wait(asyncio.wait_for(self.reader, None))
        assert self.code == 7


def one(client):
    assert fields(client.call("GetVm", text(1, b"vm-1")))


def timed(f):
    start = time.monotonic()
    f()
    print(f"{time.monotonic() - start:.6f}")


def unary(client, n):
    took = []
    start = time.monotonic()
    for _ in range(n):
        t = time.monotonic()
        one(client)
        took.append(time.monotonic() - t)
    total = time.monotonic() - start
    took.sort()
    print(f"{took[n // 2] * 1e6:.2f} {took[n * 99 // 100] * 1e6:.2f} "
          f"{n / total:.0f}")


def many(client, n, width):
    async def worker(count):
        for _ in range(count):
            reply = await client.call_async("GetVm", text(1, b"vm-1"))
            assert fields(reply)

    async def run():
        await asyncio.gather(*(worker(n // width) for _ in range(width)))

    start = time.monotonic()
    client.wait(run())
    print(f"{n // width * width / (time.monotonic() - start):.0f}")


def execute(client, n, size):
    process = Process(client, f"{n} {size}")
    process.write_eof()
    total = 0
    while (chunk := process.next()) is not None:
        total += len(chunk)
    process.wait()
    assert total == n * size


def upload(client, n, size):
    data = bytes(size)
    for _ in range(n):
        client.call("UploadFile", text(3, data))


def download(client, n, size):
    async def run():
        method = client.channel.unary_stream(SERVICE + "DownloadFileStream")
        stream = method(text(2, f"4 {size // 4}".encode()), metadata=METADATA)
        return b"".join([fields(message)[2] async for message in stream])

    for _ in range(n):
        assert len(client.wait(run())) == size


def upstream(client, path):
    async def chunks():
        with open(path, "rb") as f:
            while data := f.read(CHUNK):
                yield text(4, data)

    async def run():
        method = client.channel.stream_unary(SERVICE + "UploadFileStream")
        return await method(chunks(), metadata=METADATA)

    assert fields(client.wait(run()))


def downstream(client, n, size, path):
    async def run():
        method = client.channel.unary_stream(SERVICE + "DownloadFileStream")
        with open(path, "wb") as f:
            async for message in method(text(2, f"{n} {size}".encode()),
                                        metadata=METADATA):
                f.write(fields(message)[2])

    client.wait(run())
    assert os.path.getsize(path) == n * size


def resident_kib():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4


def streams(client, n):
    one(client)
    rest, start = resident_kib(), time.monotonic()
    processes = [Process(client, "hold") for _ in range(n)]
    for p in processes:
        assert p.next()
    full = resident_kib()
    for p in processes:
        p.write_eof()
    for p in processes:
        assert p.next() is None
        p.wait()
    print(f"{rest} {(full - rest) / n:.2f} {time.monotonic() - start:.4f}")


def boxes(client):
    """The boxes of a list: fields by number, for each."""
    data, at, out = client.call("ListVms", b""), 0, []
    while at < len(data):
        _, at = read_varint(data, at)
        n, at = read_varint(data, at)
        out.append(fields(data[at:at + n]))
        at += n
    return out


def list_boxes(client, n):
    for _ in range(n):
        assert len(boxes(client)) == 10000


def main():
    port, work, args = sys.argv[1], sys.argv[2], sys.argv[3:]
    client = Client(port)
    numbers = [int(a) for a in args if a.isdigit()]
    if work != "streams":
        one(client)
    if work == "unary":
        unary(client, *numbers)
    elif work == "many":
        many(client, *numbers)
    elif work == "exec":
        timed(lambda: execute(client, *numbers))
    elif work == "upload":
        timed(lambda: upload(client, *numbers))
    elif work == "download":
        timed(lambda: download(client, *numbers))
    elif work == "upstream":
        timed(lambda: upstream(client, args[0]))
    elif work == "downstream":
        timed(lambda: downstream(client, *numbers, args[2]))
    elif work == "streams":
        streams(client, *numbers)
    elif work == "list":
        timed(lambda: list_boxes(client, *numbers))
    client.close()


main()
