"""network_attack.py FACTS: tries, for network_spec, to reach from where it runs
all that a box must not, and prints a line "HOW ADDRESS reached|refused" a try. FACTS
is JSON: "targets", the addresses, and "device", the one to send by. All tries are
made at once; a target that has answered after a while was reached."""
import fcntl
import json
import random
import select
import socket
import struct
import sys
import threading
import time

PORT = 18991
WAIT = 1
FACTS = json.loads(sys.argv[1])
DEVICE = FACTS["device"].encode()


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def plain(kind, bound, address):
    """A connected socket, sent on its way; or None, where that fails at once."""
    s = socket.socket(family(address), kind)
    s.setblocking(False)
    try:
        if bound:
            s.setsockopt(socket.SOL_SOCKET, 25, DEVICE)  # SO_BINDTODEVICE
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.connect((address, PORT))
    except BlockingIOError:
        return s
    except OSError:
        s.close()
        return None
    try:
        s.send(b"plain")
    except OSError:
        s.close()
        return None
    return s


def is_answer(s):
    try:
        return s.recv(200).startswith(b"from ")
    except OSError:
        return False


def try_plain(report):
    waiting = {}
    for address in FACTS["targets"]:
        for kind, name in ((socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")):
            for bound in (False, True):
                how = f"{name}{' by the device' if bound else ''} {address}"
                report[how] = "refused"
                s = plain(kind, bound, address)
                if s:
                    waiting[s] = how
    end = time.time() + WAIT
    while waiting and time.time() < end:
        for s in select.select(list(waiting), [], [], 0.1)[0]:
            how = waiting.pop(s)
            if is_answer(s):
                report[how] = "reached"
            s.close()


# ---- frames ----------------------------------------------------------------

def interface(request):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return fcntl.ioctl(s, request, struct.pack("256s", DEVICE))


def own_address():
    return socket.inet_ntoa(interface(0x8915)[20:24])


def gateway_mac():
    for line in open("/proc/net/route").read().splitlines()[1:]:
        word = line.split()
        if word[1] == "00000000":
            gateway = socket.inet_ntoa(struct.pack("<I", int(word[2], 16)))
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for _ in range(100):
                try:
                    s.sendto(b"x", (gateway, 9))
                except OSError:
                    pass
                for entry in open("/proc/net/arp"):
                    word = entry.split()
                    if word[0] == gateway and word[3] != "00:00:00:00:00:00":
                        return bytes.fromhex(word[3].replace(":", ""))
                time.sleep(0.02)
    return b"\xff" * 6


def checksum(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def packet(source, target, protocol, segment, at):
    f = family(target)
    s, t = socket.inet_pton(f, source), socket.inet_pton(f, target)
    if f == socket.AF_INET:
        pseudo = s + t + struct.pack("!BBH", 0, protocol, len(segment))
    else:
        pseudo = s + t + struct.pack("!II", len(segment), protocol)
    segment = (segment[:at] + struct.pack("!H", checksum(pseudo + segment))
               + segment[at + 2:])
    if f == socket.AF_INET6:
        return (b"\x86\xdd" + struct.pack("!IHBB", 0x60000000, len(segment),
                                          protocol, 64) + s + t + segment)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment),
                       random.randrange(65536), 0, 64, protocol, 0) + s + t
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return b"\x08\0" + head + segment


def ports_of(frame):
    """Protocol, source and target port of a received frame, and the segment."""
    if frame[12:14] == b"\x08\0":
        protocol, rest = frame[23], frame[14 + 4 * (frame[14] & 15):]
    elif frame[12:14] == b"\x86\xdd":
        protocol, rest = frame[20], frame[54:]
    else:
        return None
    if len(rest) < 8:
        return None
    return (protocol, *struct.unpack("!HH", rest[:4]), rest)


def try_raw(report):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((FACTS["device"], 0))
    head = gateway_mac() + interface(0x8927)[18:24]
    tries = {}
    pairs = [(own_address() if ":" not in t else "fe80::1", t)
             for t in FACTS["targets"]] + [tuple(p) for p in FACTS["spoofed"]]
    for i, (source, target) in enumerate(pairs):
        name = target if i < len(FACTS["targets"]) else f"{target} as {source}"
        port = 30000 + i
        text = f"raw {source}".encode()
        udp = struct.pack("!HHHH", port, PORT, 8 + len(text), 0) + text
        tcp = struct.pack("!HHIIBBHHH", port, PORT, 1000, 0, 0x50, 2, 65000, 0, 0)
        for protocol, segment, at in ((17, udp, 6), (6, tcp, 16)):
            how = f"raw {'udp' if protocol == 17 else 'tcp'} {name}"
            report[how] = "refused"
            tries[protocol, port] = how
            s.send(head + packet(source, target, protocol, segment, at))
    end = time.time() + WAIT
    s.settimeout(0.1)
    while time.time() < end:
        try:
            frame, where = s.recvfrom(4000)
        except OSError:
            continue
        got = where[2] != socket.PACKET_OUTGOING and ports_of(frame)
        if not got or got[1] != PORT or (got[0], got[2]) not in tries:
            continue
        if got[0] == 17 or got[3][13] & 0x12 == 0x12:
            report[tries[got[0], got[2]]] = "reached"


def try_stranger(report):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(WAIT)
    s.sendto(b"who is there", ("203.0.113.9", PORT))
    got = []
    end = time.time() + WAIT
    while time.time() < end and len(got) < 2:
        try:
            got.append(s.recv(100))
        except OSError:
            break
    report["udp the friend"] = "reached" if b"from internet" in got else "refused"
    report["udp of the stranger"] = "reached" if b"from stranger" in got else "refused"


result = {}
kinds = [try_plain] + [try_raw] * FACTS["raw"] + [try_stranger] * FACTS["stranger"]
threads = [threading.Thread(target=kind, args=(result,)) for kind in kinds]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for how in result:
    print(how, result[how])
