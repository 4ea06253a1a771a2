"""A TCP relay that passes everything on later: delay.py HOST PORT SECONDS prints
its own port and its process. SECONDS are of one direction.
"""
import asyncio
import os
import sys

HOST, PORT, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])


async def pass_on(reader, writer):
    queue = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def read():
        while data := await reader.read(65536):
            queue.put_nowait((loop.time() + SECONDS, data))
        queue.put_nowait((loop.time() + SECONDS, None))

    reading = asyncio.create_task(read())
    while True:
        due, data = await queue.get()
        await asyncio.sleep(due - loop.time())
        if data is None:
            break
        writer.write(data)
        await writer.drain()
    await reading
    writer.close()


async def connect(reader, writer):
    to_reader, to_writer = await asyncio.open_connection(HOST, PORT)
    await asyncio.gather(pass_on(reader, to_writer), pass_on(to_reader, writer),
                         return_exceptions=True)


async def main():
    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], os.getpid(), flush=True)
    await server.serve_forever()


asyncio.run(main())
