"""A client of the contract that is not ours: gRPC's Python, stubs by protoc.

walk.py STUBS TARGET EXCHANGE_URL API_KEY

STUBS is the folder of boxd_pb2.py, or "-": messages made of what the server's
reflection says.

Walks the life of a box, a disk, a proxy, a token and a template, and prints
"walked" at the end; else it fails where something is not as it should be.
"""
import json
import sys
import time
import urllib.request

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "/boxd.api.v1.BoxdApi/"
target, exchange_url, api_key = sys.argv[2:5]
options = [("grpc.max_receive_message_length", 64 << 20),
           ("grpc.max_send_message_length", 64 << 20)]
channel = grpc.insecure_channel(target, options)


def fields_of(data):
    """The length-delimited fields of a message: number, bytes."""
    def varint(i):
        n = shift = 0
        while True:
            n |= (data[i] & 127) << shift
            shift, i = shift + 7, i + 1
            if data[i - 1] < 128:
                return n, i
    i = 0
    while i < len(data):
        tag, i = varint(i)
        n, i = varint(i)
        if tag & 7 == 2:
            yield tag >> 3, data[i:i + n]
            i += n


class Reflected:
    """Like boxd_pb2, by server reflection."""

    def __init__(self):
        symbol = b"boxd.api.v1.BoxdApi"
        ask = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        answer = next(ask(iter([b"\x22" + bytes([len(symbol)]) + symbol])))
        files = dict(fields_of(answer))[4]
        self.pool = descriptor_pool.DescriptorPool()
        for number, data in fields_of(files):
            if number == 1:
                self.pool.Add(descriptor_pb2.FileDescriptorProto.FromString(
                    data))
        self.DESCRIPTOR = self.pool.FindFileContainingSymbol(symbol.decode())

    def __getattr__(self, name):
        kind = self.pool.FindMessageTypeByName("boxd.api.v1." + name)
        if hasattr(message_factory, "GetMessageClass"):
            return message_factory.GetMessageClass(kind)
        # protobuf before 4.22
        return message_factory.MessageFactory(self.pool).GetPrototype(kind)


if sys.argv[1] == "-":
    pb = Reflected()
else:
    sys.path.insert(0, sys.argv[1])
    import boxd_pb2 as pb


def exchange(key):
    body = json.dumps({"api_key": key}).encode()
    with urllib.request.urlopen(
            urllib.request.Request(exchange_url, body), timeout=10) as reply:
        return json.load(reply)["token"]


token = exchange(api_key)


def method(kind, name, bearer=None):
    desc = pb.DESCRIPTOR.services_by_name["BoxdApi"].methods_by_name[name]
    reply = getattr(pb, desc.output_type.name)
    call = getattr(channel, kind)(
        SERVICE + name, lambda m: m.SerializeToString(), reply.FromString)
    metadata = [("authorization", "Bearer " + (bearer or token))]
    return lambda request: call(request, metadata=metadata, timeout=30)


def unary(rpc, bearer=None, /, **fields):
    desc = pb.DESCRIPTOR.services_by_name["BoxdApi"].methods_by_name[rpc]
    return method("unary_unary", rpc, bearer)(
        getattr(pb, desc.input_type.name)(**fields))


def refused(code, fn, *args, **fields):
    try:
        fn(*args, **fields)
    except grpc.RpcError as e:
        assert e.code() == code, (e.code(), e.details())
        assert e.details()
        return
    raise AssertionError("it was not refused")


def execute(vm_id, command, stdin=b""):
    def chunks():
        yield pb.ExecChunk(vm_id=vm_id, command=command)
        if stdin:
            yield pb.ExecChunk(stdin=True, data=stdin)
    out, err, code = b"", b"", 0
    for chunk in method("stream_stream", "Exec")(chunks()):
        if chunk.is_stderr:
            err += chunk.data
        else:
            out += chunk.data
        code = chunk.exit_code
    return out, err, code


def walk_box():
    box = unary("CreateVm", name="walked",
                cmd=["sh", "-c", "echo main; exec sleep 100"],
                env=[pb.EnvVar(key="K", value="v")])
    assert box.status == "running", box
    vm = box.vm_id
    assert [b.name for b in unary("ListVms").vms] == ["walked"]
    assert execute(vm, "cat; echo $K >&2; exit 3", b"in") == (b"in", b"v\n", 3)
    unary("UploadFile", vm_id=vm, path="/home/boxd/a/b", data=b"\0\xff")
    assert unary("DownloadFile", vm_id=vm, path="/home/boxd/a/b").data == b"\0\xff"
    sent = method("stream_unary", "UploadFileStream")(iter(
        [pb.UploadFileChunk(vm_id=vm, path="/home/boxd/s", total_size=3 << 20,
                            data=b"x" * (1 << 20))] +
        [pb.UploadFileChunk(data=b"y" * (1 << 20))] * 2))
    assert sent.bytes_written == 3 << 20
    back = list(method("unary_stream", "DownloadFileStream")(
        pb.DownloadFileRequest(vm_id=vm, path="/home/boxd/s")))
    assert sum(len(c.data) for c in back) == 3 << 20
    assert back[0].total_size == 3 << 20
    logs = b"".join(c.data for c in method("unary_stream", "StreamLogs")(
        pb.StreamLogsRequest(vm_id=vm)))
    assert logs == b"main\n", logs
    assert unary("SuspendVm", vm_id=vm).suspend_us > 0
    assert unary("GetVm", vm_id=vm).status == "suspended"
    assert unary("ResumeVm", vm_id=vm).resume_us > 0
    fork = unary("ForkVm", source_vm_id=vm, name="forked")
    assert fork.forked_from == vm
    assert execute(fork.vm_id, "hostname")[0] == b"forked\n"
    unary("DestroyVm", vm_id=fork.vm_id)
    unary("StopVm", vm_id=vm)
    refused(grpc.StatusCode.FAILED_PRECONDITION, execute, vm, "true")
    unary("StartVm", vm_id=vm)
    unary("RebootVm", vm_id=vm)
    assert execute(vm, "cat a/b")[0] == b"\0\xff"
    return vm


def walk_proxy(vm):
    proxy = unary("ListProxies", vm_name="walked").proxies[0]
    assert proxy.is_default and proxy.effective_port == 8000
    made = unary("CreateProxy", vm_name="walked", name="web", port=9000)
    execute(vm, "mkdir -p w; echo page > w/p; cd w; "
                "python3 -m http.server 9000 >/dev/null 2>&1 &")
    for _ in range(500):
        try:
            url = "http://" + made.domain + "/p"
            with urllib.request.urlopen(url, timeout=5) as reply:
                assert reply.read() == b"page\n"
                break
        except OSError:
            time.sleep(0.01)
    else:
        raise AssertionError("the proxy never answered")
    unary("SetProxyPort", vm_name="walked", name="web", port="9001")
    unary("DeleteProxy", vm_name="walked", name="web")
    assert len(unary("ListProxies", vm_name="walked").proxies) == 1


def walk_disk(vm):
    disk = unary("CreateDisk", name="d", size_bytes=1 << 20).disk_id
    unary("AttachDisk", disk_id=disk, vm_id=vm, mount_path="/mnt/d")
    execute(vm, "echo kept > /mnt/d/f")
    refused(grpc.StatusCode.FAILED_PRECONDITION, unary, "DestroyDisk",
            disk_id=disk)
    unary("DetachDisk", disk_id=disk, vm_id=vm)
    assert execute(vm, "test -e /mnt/d/f")[2] == 1
    unary("AttachDisk", disk_id=disk, vm_id=vm, mount_path="/mnt/d",
          read_only=True)
    out, _, code = execute(vm, "cat /mnt/d/f; echo x > /mnt/d/g")
    assert out == b"kept\n" and code != 0
    attached = unary("ListDisks").disks[0].attachments[0]
    assert attached.vm_name == "walked" and attached.mount_mode == "ro"
    unary("DetachDisk", disk_id=disk, vm_id=vm)
    unary("DestroyDisk", disk_id=disk)
    assert not unary("ListDisks").disks


def walk_tokens():
    made = unary("CreateToken")
    jti = unary("ListTokens", made.token).tokens[0].jti
    unary("RevokeToken", jti=jti)
    refused(grpc.StatusCode.UNAUTHENTICATED, unary, "Whoami", made.token)
    key = unary("CreateApiKey", name="k")
    mine = exchange(key.api_key)
    assert unary("Whoami", mine).user_id
    unary("DeleteApiKey", id=key.id)
    refused(grpc.StatusCode.UNAUTHENTICATED, unary, "Whoami", mine)


def walk_template():
    made = unary("CreateTemplate", name="t", image_ref="debian:12",
                 config=pb.VmConfig(vcpu=1))
    box = unary("CreateVmFromTemplate", template_id=made.template_id, name="tv")
    assert unary("GetVm", vm_id=box.vm_id).image_ref == "debian:12"
    unary("DestroyVm", vm_id=box.vm_id)
    unary("DeleteTemplate", template_id=made.template_id)
    assert not unary("ListTemplates").templates


vm_id = walk_box()
walk_proxy(vm_id)
walk_disk(vm_id)
walk_tokens()
walk_template()
unary("DestroyVm", vm_id=vm_id)
refused(grpc.StatusCode.NOT_FOUND, unary, "GetVm", vm_id=vm_id)
assert not unary("ListVms").vms
print("walked")
