"""Asks ADDRESS twice, in one stream, for its services, in both versions of
server reflection; prints the name of the one and how many answers came."""
import sys

import grpc

channel = grpc.insecure_channel(sys.argv[1])
for version in ("v1", "v1alpha"):
    ask = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
    answers = list(ask(iter([b"\x3a\x01*", b"\x3a\x01*"])))
    name = b"\n\x13boxd.api.v1.BoxdApi"
    assert all(name in a for a in answers), answers
    print(name[2:].decode(), len(answers))
