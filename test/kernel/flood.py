"""
Makes and resets COUNT connections on loopback PORT, one after the other: at RATE a second, else as fast as it can.
Prints the seconds it took.
"""
import socket
import struct
import sys
import time

count, port = int(sys.argv[1]), int(sys.argv[2])
rate = float(sys.argv[3]) if len(sys.argv) > 3 else None
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(128)
begin = time.monotonic()
for done in range(count):
    if rate is not None and (ahead := begin + done / rate - time.monotonic()) > 0.001:
        time.sleep(ahead)
    client = socket.create_connection(("127.0.0.1", port))
    server, _ = listener.accept()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    server.close()
print(time.monotonic() - begin)
