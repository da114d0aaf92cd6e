"""A process that appends decisions, each to a customer of its own, and says the id of each once it is on record.

``python -m tests.serving.records.appender WORKSPACE URL|- ON_FAILURE COUNT TASKS``; COUNT 0: until it dies
"""

import asyncio
import itertools
import sys
from pathlib import Path

from serving.records import Entry, Records, RecordsConfig, RecordsUnavailable, new_entry_id


def say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def append(records, numbers, count):
    for number in numbers:
        if count and number >= count:
            return
        entry_id = new_entry_id()
        try:
            await records.append([Entry("decision", entry_id, f"C{number}", entry_id.encode() * 50)])
        except RecordsUnavailable as error:
            say(f"refused {error}")
        else:
            say(entry_id)


async def main(workspace, url, on_failure, count, tasks):
    config = RecordsConfig(database="" if url == "-" else url, on_failure=on_failure, commit_timeout=20)
    records = Records.open(Path(workspace), config)
    say("open")
    numbers = itertools.count()
    await asyncio.gather(*(append(records, numbers, int(count)) for _ in range(int(tasks))))
    records.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
