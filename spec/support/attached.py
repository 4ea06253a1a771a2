# Runs a program under a pseudo-terminal of 100x30 and acts on it:
#   attached.py ACTION PROGRAM ARGS...
# Prints what the terminal showed, then "status N" and whether its mode is as it
# was before ("restored" or "raw").
import fcntl, os, pty, select, signal, struct, sys, termios, time

action, args = sys.argv[1], sys.argv[2:]
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.execvp(args[0], args)

shown = b""
ends = time.time() + 20


def read_until(mark):
    global shown
    while mark not in shown and time.time() < ends:
        if select.select([master], [], [], 0.05)[0]:
            shown += os.read(master, 65536)


read_until(b"ready")
if action == "type":
    os.write(master, b"hello\x03")
    read_until(b"typed 68656c6c6f03")
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    read_until(b"size 120 40")
    os.write(master, b"q")
elif action == "signal":
    os.kill(pid, signal.SIGTERM)
elif action == "twice":
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.2)
    os.kill(pid, signal.SIGTERM)

_, status = os.waitpid(pid, 0)
while select.select([master], [], [], 0.05)[0]:
    shown += os.read(master, 65536)
sys.stdout.write(shown.decode("latin-1").replace("\r", ""))
print("status", os.waitstatus_to_exitcode(status))
print("restored" if termios.tcgetattr(slave) == before else "raw")
