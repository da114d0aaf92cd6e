"""Many appends, few writes; who gives up is not written behind their back."""

import asyncio
import threading
import time

import pytest

from serving.records import RecordsUnavailable, group_commit
from serving.records.group_commit import GROUP, GroupCommit


class Disk:
    """Writes when it is let, and remembers what it wrote together."""

    def __init__(self):
        self.groups = []
        self.may_write = threading.Event()
        self.began = threading.Event()

    def write(self, appends):
        self.began.set()
        assert self.may_write.wait(20)
        self.groups.append([list(items) for items in appends])
        return range(1, len(appends) + 1)


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def commit(disk):
    commit = GroupCommit("the test", disk.write, timeout=20)
    yield commit
    disk.may_write.set()
    commit.close()


async def appended(commit, disk, appends):
    """Append the first, and once it is being written all others; what is said of each."""
    first = asyncio.ensure_future(commit.append(appends[0]))
    await asyncio.to_thread(disk.began.wait)
    others = [asyncio.ensure_future(commit.append(items)) for items in appends[1:]]
    await asyncio.sleep(0)
    assert commit.waiting == sum(map(len, appends))
    disk.may_write.set()
    return await asyncio.gather(first, *others)


def test_what_comes_in_during_a_write_is_written_together(commit, disk):
    said = asyncio.run(appended(commit, disk, [["a"], ["b"], ["c", "d"], []]))
    assert disk.groups == [[["a"]], [["b"], ["c", "d"], []]]
    assert said == [1, 1, 2, 3]


def test_a_group_has_an_end(commit, disk):
    said = asyncio.run(appended(commit, disk, [["first"], *([n] for n in range(GROUP + 1))]))
    assert [len(group) for group in disk.groups] == [1, GROUP, 1]
    assert said == [1, *range(1, GROUP + 1), 1]


def test_who_gave_up_is_not_written(disk):
    commit = GroupCommit("the test", disk.write, timeout=0.2)

    async def append_two():
        first = asyncio.ensure_future(commit.append(["in the middle of it"]))
        await asyncio.to_thread(disk.began.wait)
        return await asyncio.gather(first, commit.append(["waits"]), return_exceptions=True)

    said = asyncio.run(append_two())
    assert [type(error) for error in said] == [RecordsUnavailable] * 2
    assert "the test took more than 0.2 s" in str(said[1])
    disk.may_write.set()
    commit.close()
    assert disk.groups == [[["in the middle of it"]]]
    assert commit.waiting == 0


def test_what_fails_is_said_to_the_group_and_the_next_goes_on():
    def write(appends):
        if ["bad"] in appends:
            raise RecordsUnavailable("no room")
        return [1] * len(appends)

    commit = GroupCommit("the test", write, timeout=20)
    with pytest.raises(RecordsUnavailable, match="no room"):
        asyncio.run(commit.append(["bad"]))
    assert asyncio.run(commit.append(["good"])) == 1
    commit.close()
    with pytest.raises(RecordsUnavailable, match="the test is closed"):
        asyncio.run(commit.append(["late"]))


@pytest.mark.parametrize("fails", [False, True])
def test_who_is_answered_waits_no_more(monkeypatch, fails):
    """Broken before: it was counted down after the answer, and a thread may be kept from going on for a while there."""
    answer = group_commit._answer

    def answer_and_rest(group, said):
        answer(group, said)
        time.sleep(0.2)

    def write(appends):
        if fails:
            raise RecordsUnavailable("no room")
        return [1] * len(appends)

    monkeypatch.setattr(group_commit, "_answer", answer_and_rest)
    commit = GroupCommit("the test", write, timeout=20)

    async def append():
        await asyncio.gather(commit.append(["one", "two"]), return_exceptions=True)
        return commit.waiting

    assert asyncio.run(append()) == 0
    assert (commit.seconds_since_failure < 20) is fails
    commit.close()
