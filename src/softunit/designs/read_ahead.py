"""The next item is made while the last one is worked on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from queue import SimpleQueue
from typing import Any, TypeVar

Item = TypeVar("Item")

NAME = "softunit-reader"  # of the thread


def read_ahead(items: Generator[Item, None, None], depth: int = 2) -> Generator[Item, None, None]:
    """Yield the items of a generator, of which up to `depth` are made ahead in a thread.

    The thread ends with the last item, with an error, which is raised here, or when this
    generator is closed; an item that is being made is then waited for, so that nothing reads on
    behind the back of the caller.

    Parameters
    ----------
    items : generator
        Run, and closed, in the thread alone.
    depth : int, default 2
        How many items are made before they are asked for, the one in the making included.

    Yields
    ------
    object
        Each item.
    """
    ready: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
    room = threading.Semaphore(depth)
    stopped = threading.Event()

    def work() -> None:
        try:
            while room.acquire() and not stopped.is_set():
                ready.put((True, next(items)))
        except StopIteration:
            ready.put((False, None))
        except BaseException as error:  # raised where the items are used
            ready.put((False, error))
        finally:
            items.close()

    thread = threading.Thread(target=work, name=NAME, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread is to be had: then nothing is read ahead
        yield from items
        return
    try:
        while True:
            more, item = ready.get()
            if not more:
                break
            yield item
            del item  # this frame would keep it while the caller waits for the next
            room.release()
    finally:
        stopped.set()
        room.release()
        if not sys.is_finalizing():  # then threads no longer run, and would be waited for for ever
            thread.join()
    if item is not None:
        raise item
