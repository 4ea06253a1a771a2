"""Speaks TLS for a server that does not: tls.py NAME PORT, with NAME.pem and
NAME.key for itself, prints its own port and passes on to PORT of this machine.
"""
import asyncio
import ssl
import sys


async def pass_on(source, to):
    try:
        while data := await source.read(65536):
            to.write(data)
            await to.drain()
    except OSError:
        pass  # either side may reset
    to.close()


async def connected(reader, writer):
    up, down = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(pass_on(reader, down), pass_on(up, writer))


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1] + ".pem", sys.argv[1] + ".key")
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
