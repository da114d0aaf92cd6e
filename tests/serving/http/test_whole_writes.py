"""What is written at once is sent as one, in its order, and nothing is lost at the end."""

import asyncio

import uvloop

from serving.http.whole_writes import WholeWrites


class Transport(asyncio.Transport):
    """Notes what is done to it."""

    def __init__(self):
        super().__init__()
        self.done = []

    def write(self, data):
        self.done.append(bytes(data))

    def close(self):
        self.done.append("closed")

    def abort(self):
        self.done.append("aborted")


def done_by(work):
    """What is done to a transport by `work`, which is given a `WholeWrites` over it, within one turn and one more."""

    async def whole():
        transport = Transport()
        work(WholeWrites(transport, asyncio.get_running_loop()))
        assert b"held" not in transport.done
        await asyncio.sleep(0)
        return transport.done

    return asyncio.run(whole())


def test_what_is_written_at_once_is_sent_as_one():
    def work(writes):
        writes.write(b"held")
        writes.write(bytearray(b", "))
        writes.write(memoryview(b"too"))

    assert done_by(work) == [b"held, too"]


def test_what_is_written_later_is_sent_later():
    async def whole():
        transport = Transport()
        writes = WholeWrites(transport, asyncio.get_running_loop())
        for data in (b"a", b"b"):
            writes.write(data)
            await asyncio.sleep(0)
        return transport.done

    assert asyncio.run(whole()) == [b"a", b"b"]


def test_closing_sends_what_is_held():
    def work(writes):
        writes.write(b"last ")
        writes.write(b"words")
        writes.close()

    assert done_by(work) == [b"last words", "closed"]


def test_aborting_does_not():
    def work(writes):
        writes.write(b"held")
        writes.abort()

    assert done_by(work) == ["aborted"]


def test_a_connection_of_uvloop_is_sent_all_of_it():
    parts = [bytes([number % 251]) * (1 + number * 997 % 5000) for number in range(300)]

    class Sender(asyncio.Protocol):
        def connection_made(self, transport):
            writes = WholeWrites(transport, asyncio.get_running_loop())
            for part in parts:
                writes.write(part)
            assert writes.get_extra_info("sockname") is not None
            assert not writes.is_closing()
            writes.close()
            assert writes.is_closing()

    async def whole():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Sender, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            received = await reader.read()
            writer.close()
        return received

    assert uvloop.run(whole()) == b"".join(parts)
