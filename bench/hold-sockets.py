"""
Listens on loopback PORT and, at another loopback address, on OTHER_PORT; its children keep COUNT connections to PORT
open. Says so; ends when its standard input does.
"""
import os
import resource
import socket
import sys

count, port, other_port = (int(argument) for argument in sys.argv[1:])
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
listener = socket.create_server(("127.0.0.1", port), backlog=128)
other = socket.create_server(("127.0.0.2", other_port))


def child(hold):
    """One process may not have the descriptors of both ends, and sshd's listener has none of its sessions'."""
    reading, writing = os.pipe()
    if os.fork() != 0:
        return reading
    with open("/proc/self/comm", "w", encoding="ascii") as comm:
        comm.write("holder")
    held = [hold() for _ in range(count)]
    os.write(writing, b"1")
    sys.stdin.read()
    os._exit(len(held) == 0)


for reading in (child(listener.accept), child(lambda: socket.create_connection(("127.0.0.1", port)))):
    os.read(reading, 1)
print("held", flush=True)
sys.stdin.read()
