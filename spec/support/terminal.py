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


ENDED = re.compile(rb"\x1b\]ended (\d+)\x07")
IGNORED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU,
           signal.SIGHUP)


def resize(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def lead(args, report, hold):
    """Leads the terminal's session, as a shell does, with the program in the
    foreground. As a session's leader ends, Linux drops what was not read from
    its terminal, so this one stays until `hold` is closed."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    resize(0, 80, 24)
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        for number in IGNORED:
            signal.signal(number, signal.SIG_DFL)
        os.execvp(args[0], args)
    os.write(report, b"%d" % pid)
    end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    killed = 0 if end.si_code == os.CLD_EXITED else 128
    os.write(1, b"\x1b]ended %d\x07" % (killed + end.si_status))
    os.read(hold, 1)
    os._exit(0)


class Session:
    def __init__(self, args):
        self.raw, self.seen = b"", 0
        told, report = os.pipe()
        hold, self.held = os.pipe()
        leader, self.fd = pty.fork()
        if leader == 0:
            os.close(self.held)
            lead(args, report, hold)
        os.close(report)
        self.pid = int(os.read(told, 20))

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
        resize(self.fd, columns, rows)

    def end(self):
        until = time.monotonic() + LIMIT
        while True:
            ended = ENDED.search(self.raw)
            if ended:
                return int(ended.group(1))
            if not self.read(until):
                raise SystemExit("the program does not end: %r" % self.text())


def main():
    session, status = Session(sys.argv[1:]), 0
    try:
        for step in json.load(sys.stdin):
            result = getattr(session, step[0])(*step[1:])
            if step[0] == "end":
                status = result
    except SystemExit as failure:
        os.kill(session.pid, signal.SIGKILL)
        sys.stderr.write("%s\n" % failure)
        status = 99
    sys.stdout.write(session.text())
    sys.stdout.flush()
    os._exit(status)


main()
