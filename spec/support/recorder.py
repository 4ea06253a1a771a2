"""A gRPC server for specs, of python3-grpcio and Google's protobuf, that notes
what each call of boxd.api.v1.BoxdApi brings and answers as it was told.

usage: recorder.py [CERT...]: prints ports, all of 127.0.0.1: that of its
controls (HTTP), one for gRPC, then one for gRPC over TLS with each CERT.pem
and CERT.key.

Controls: POST /script, whose body gives a list of answers for each method, one
a call; GET /calls, once all calls have ended: what has come since the last
/script. Without an answer of its own a call gets an empty message.

An answer: {"reply": message} after half-close, or {"steps": [...]}; then
"status" (number), "message" and "trailers" (a map). Steps, one after another:
  ["messages", n]   wait until n have come        ["half_close"]  ... until that
  ["send", message]                               ["sleep", seconds]
  ["fill", n]       send a message with n bytes in its field "data"
  ["cut"]           end without a status: the whole process goes

Messages are tables by field name. Those noted hold the fields that the wire
had, no others; bytes read as text, or as {"bytes": n, "sha256": hex} where they
are long or no text. Bytes to send are text or {"hex": digits}.
"""
import hashlib
import http.server
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures

os.environ["GRPC_VERBOSITY"] = "NONE"  # of handshakes that fail on purpose
import grpc  # noqa: E402

PACKAGE = "boxd.api.v1"
CODES = {code.value[0]: code for code in grpc.StatusCode}


def contract():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["protoc", "-Iproto", "--python_out=" + folder,
                        "proto/boxd.proto"], check=True)
        sys.path.insert(0, folder)
        return importlib.import_module("boxd_pb2")


pb = contract()
service = pb.DESCRIPTOR.services_by_name["BoxdApi"]


def shown_bytes(data):
    if len(data) <= 4096 and b"\0" not in data:
        try:
            return data.decode()
        except UnicodeDecodeError:
            pass
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def shown(field, value):
    if field.type == field.TYPE_MESSAGE:
        return table_of(value)
    return shown_bytes(value) if field.type == field.TYPE_BYTES else value


def is_map(field):
    return field.message_type and field.message_type.GetOptions().map_entry


def repeated(field):
    if hasattr(field, "is_repeated"):
        return field.is_repeated
    return field.label == field.LABEL_REPEATED  # before protobuf 6.31


def table_of(message):
    out = {}
    for field, value in message.ListFields():
        if is_map(field):
            out[field.name] = dict(value)
        elif repeated(field):
            out[field.name] = [shown(field, one) for one in value]
        else:
            out[field.name] = shown(field, value)
    return out


def given(field, value):
    if field.type == field.TYPE_BYTES:
        return (bytes.fromhex(value["hex"]) if isinstance(value, dict)
                else value.encode())
    return value


def fill(message, table):
    for name, value in table.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        target = getattr(message, name)
        if is_map(field):
            target.update(value)
        elif repeated(field):
            for one in value:
                if field.message_type:
                    fill(target.add(), one)
                else:
                    target.append(given(field, one))
        elif field.message_type:
            target.SetInParent()
            fill(target, value)
        else:
            setattr(message, name, given(field, value))
    return message


class Call:
    """One call: what has come of it, and the answer that it gets."""

    def __init__(self, method, context, answer):
        self.method, self.answer = method, answer
        self.context = context
        self.metadata = [[m.key, m.value] for m in
                         context.invocation_metadata()]
        left = context.time_remaining()  # without a deadline: for ages
        self.deadline = left if left is not None and left < 1e9 else None
        self.messages = []
        self.exact = True  # no field on the wire that could have been left out
        self.half_close = None  # messages before it
        self.answered = self.ended = False
        self.change = threading.Condition()
        if not context.add_callback(self.end):
            self.end()

    def end(self):
        with self.change:
            self.ended = True
            self.change.notify_all()
        with ended:
            ended.notify_all()

    def read(self, requests, kind):
        try:
            for raw in requests:
                self.note(kind, raw)
        except grpc.RpcError:
            return  # cancelled
        with self.change:
            if not self.answered and not self.ended:
                self.half_close = len(self.messages)
            self.change.notify_all()

    def note(self, kind, raw):
        message = kind.FromString(raw)
        message.DiscardUnknownFields()
        with self.change:
            self.exact = self.exact and message.ByteSize() == len(raw)
            self.messages.append(table_of(message))
            self.change.notify_all()

    def wait(self, is_there):
        with self.change:
            self.change.wait_for(lambda: self.ended or is_there())

    def steps(self, method):
        answer = self.answer
        if "steps" in answer:
            return answer["steps"]
        steps = [["half_close"]]
        if "reply" in answer or (not answer.get("status")
                                 and not method.server_streaming):
            steps.append(["send", answer.get("reply", {})])
        return steps

    def play(self, method):
        kind = getattr(pb, method.output_type.name)
        for name, *args in self.steps(method):
            if self.ended:
                return
            if name == "messages":
                self.wait(lambda: len(self.messages) >= args[0])
            elif name == "half_close":
                self.wait(lambda: self.half_close is not None)
            elif name == "sleep":
                time.sleep(args[0])
            elif name == "send":
                yield fill(kind(), args[0]).SerializeToString()
            elif name == "fill":
                yield kind(data=b"x" * args[0]).SerializeToString()
            elif name == "cut":
                os._exit(0)
            else:
                raise ValueError(name)
        if self.ended:
            return
        with self.change:
            self.answered = True
        self.finish()

    def finish(self):
        trailers = self.answer.get("trailers", {})
        self.context.set_trailing_metadata(list(trailers.items()))
        self.context.set_code(CODES[self.answer.get("status", 0)])
        self.context.set_details(self.answer.get("message", ""))

    def report(self):
        return {"method": self.method, "metadata": self.metadata,
                "deadline": self.deadline, "messages": self.messages,
                "exact": self.exact, "half_close": self.half_close,
                "cancelled": not self.answered}


calls, script = [], {}
ended = threading.Condition()


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        path = "/%s.%s/" % (PACKAGE, service.name)
        name = details.method.removeprefix(path)
        method = service.methods_by_name.get(name)
        if not method or not details.method.startswith(path):
            return None

        # On the wire a unary call is a stream of one message each way.
        def handle(requests, context):
            with ended:
                answers = script.get(name, [])
                call = Call(name, context, answers.pop(0) if answers else {})
                calls.append(call)
            kind = getattr(pb, method.input_type.name)
            threading.Thread(target=call.read, args=(requests, kind),
                             daemon=True).start()
            return call.play(method)

        return grpc.stream_stream_rpc_method_handler(handle)


class Control(http.server.BaseHTTPRequestHandler):
    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with ended:
            calls.clear()
            script.clear()
            script.update(json.loads(body))
        self.answer(True)

    def do_GET(self):
        with ended:
            ended.wait_for(lambda: all(c.ended for c in calls), timeout=10)
            self.answer([c.report() for c in calls])

    def log_message(self, *_):
        pass


def listen(server, name):
    if not name:
        return server.add_insecure_port("127.0.0.1:0")
    with open(name + ".key", "rb") as key, open(name + ".pem", "rb") as cert:
        creds = grpc.ssl_server_credentials([(key.read(), cert.read())])
    return server.add_secure_port("127.0.0.1:0", creds)


grpc_server = grpc.server(
    futures.ThreadPoolExecutor(64), handlers=[Handler()],
    options=[("grpc.max_send_message_length", -1),
             ("grpc.max_receive_message_length", -1)])
ports = [listen(grpc_server, name) for name in [None, *sys.argv[1:]]]
grpc_server.start()
control = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Control)
print(control.server_port, *ports, flush=True)
control.serve_forever()
