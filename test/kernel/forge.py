"""Forges TCP resets: SOURCE DESTINATION DESTINATION_PORT TTL COUNT [SOURCE_PORT]. Sequence numbers are out of any window."""
import os
import socket
import struct
import sys

source, destination, port, ttl, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
source_port = int(sys.argv[6]) if len(sys.argv) > 6 else None
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
raw.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
raw.bind((source, 0))
addresses = socket.inet_aton(source) + socket.inet_aton(destination)


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


for number in range(count):
    sequence = struct.unpack("!I", os.urandom(4))[0]
    fields = [source_port or 20000 + number % 40000, port, sequence, 0, 5 << 4, 0x04, 0, 0, 0]
    pseudo = addresses + struct.pack("!BBH", 0, socket.IPPROTO_TCP, 20)
    fields[7] = checksum(pseudo + struct.pack("!HHIIBBHHH", *fields))
    raw.sendto(struct.pack("!HHIIBBHHH", *fields), (destination, 0))
print(count)
