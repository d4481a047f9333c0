"""A Modbus server by pymodbus, for tests of the client.

    pymodbus_server.py tcp | rtu-tcp | tls CERT KEY [CLIENT_CA] | rtu DEVICE

It prints "ready" and its port, if it has one, and serves until it is killed. Units 1 and 7 have
200 addresses in each table: holding register n holds unit * 4096 + n, input register n holds
unit * 4096 + 2048 + n, and of the coils and discrete inputs every third is set. 100 to 103 of the
holding registers do not exist.
"""

import asyncio
import ssl
import sys

from pymodbus import FramerType, ModbusDeviceIdentification
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

COUNT = 200


def registers(base, holes=()):
    first = 0
    blocks = []
    for start, end in [*holes, (COUNT, COUNT)]:
        values = [base + n for n in range(first, start)]
        blocks.append(SimData(first, values=values, datatype=DataType.REGISTERS))
        first = end
    return blocks


def bits():
    return [SimData(0, values=[n % 3 == 0 for n in range(COUNT)], datatype=DataType.BITS)]


def device(unit):
    base = unit * 4096
    holding = registers(base, holes=[(100, 104)])
    return SimDevice(unit, simdata=(bits(), bits(), holding, registers(base + 2048)))


IDENTITY = ModbusDeviceIdentification(
    info_name={
        "VendorName": "Peers",
        "ProductCode": "PY",
        "MajorMinorRevision": "3.16",
        "VendorUrl": "peers.example",
        "ProductName": "A product with a name",
        "ModelName": "M" * 200,
        "UserApplicationName": "tests",
    }
)


def tls(certificate, key, client_ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def main(kind, *arguments):
    devices = [device(1), device(7)]
    common = {"identity": IDENTITY}
    here = ("127.0.0.1", 0)
    if kind == "rtu":
        server = ModbusSerialServer(
            devices, framer=FramerType.RTU, port=arguments[0], baudrate=19200, parity="N", **common
        )
    elif kind == "tls":
        server = ModbusTlsServer(
            devices, framer=FramerType.SOCKET, address=here, sslctx=tls(*arguments), **common
        )
    else:
        framer = {"tcp": FramerType.SOCKET, "rtu-tcp": FramerType.RTU}[kind]
        server = ModbusTcpServer(devices, framer=framer, address=here, **common)
    await server.serve_forever(background=True)
    sockets = getattr(server.transport, "sockets", None)
    port = sockets[0].getsockname()[1] if sockets else ""
    print("ready", port, flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
