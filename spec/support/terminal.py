"""Runs a program on a terminal of its own and plays a session on it:

    python3 terminal.py PROGRAM [ARGS] < steps.json

Steps are a JSON list of ["send", text], ["expect", text], ["prompt"],
["signal", number], ["size", columns, rows], ["run", command], which a shell outside of the
terminal runs, and ["end"], which waits for the program's end. What is
expected must come after what was expected before, within 20 s; escape sequences
of the terminal are left out. Prints the session; the exit status is the
program's (128 + n for a signal), or 99 with a reason on stderr.
"""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

LIMIT = 20
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[@-~]|[()][A-Z0-9]|[=>78]|\][^\x07]*\x07)")


class Session:
    def __init__(self, args):
        self.raw, self.seen = b"", 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(args[0], args)
        self.size(80, 24)

    def text(self):
        text = ESCAPES.sub("", self.raw.decode("utf-8", "replace"))
        return text.replace("\r\n", "\n")

    def read(self, until):
        """More output; False: there will be none, or not in time."""
        left = until - time.monotonic()
        if left <= 0 or not select.select([self.fd], [], [], left)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.raw += data
        return bool(data)

    def expect(self, wanted):
        self.match(re.escape(wanted))

    def prompt(self):
        """Lua's prompt, and that the terminal is the editor's."""
        self.match("\n>>? ")
        until = time.monotonic() + LIMIT
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            if time.monotonic() > until:
                raise SystemExit("nobody edits at this prompt")
            time.sleep(0.001)

    def match(self, pattern):
        until = time.monotonic() + LIMIT
        while True:
            found = re.compile(pattern).search(self.text(), self.seen)
            if found:
                self.seen = found.end()
                return
            if not self.read(until):
                raise SystemExit("never seen: %r after %r" % (
                    pattern, self.text()[self.seen:]))

    def send(self, text):
        os.write(self.fd, text.encode())

    def signal(self, number):
        os.kill(self.pid, number)

    def run(self, command):
        os.system(command)

    def size(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))

    def end(self):
        until = time.monotonic() + LIMIT
        while self.read(until):
            pass
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        raise SystemExit("the program does not end: %r" % self.text())


def main():
    session, status = Session(sys.argv[1:]), 0
    try:
        for step in json.load(sys.stdin):
            result = getattr(session, step[0])(*step[1:])
            if step[0] == "end":
                status = result if result >= 0 else 128 - result
    except SystemExit as failure:
        os.kill(session.pid, signal.SIGKILL)
        sys.stderr.write("%s\n" % failure)
        status = 99
    sys.stdout.write(session.text())
    sys.stdout.flush()
    os._exit(status)


main()
