"""Reading ahead: in order, bounded, ended when nobody asks any more."""

from __future__ import annotations

import threading

import pytest

from softunit.designs.read_ahead import NAME, read_ahead


def readers():
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def test_items_come_in_order_and_the_thread_ends():
    assert list(read_ahead(i for i in range(1000))) == list(range(1000))
    assert list(read_ahead(i for i in ())) == []
    assert not readers()


def test_no_more_than_the_depth_is_made_ahead():
    made, waiting = [], threading.Event()

    def items():
        for i in range(10):
            made.append(i)
            if i == 2:
                waiting.set()
            yield i

    ahead = read_ahead(items(), depth=2)
    assert next(ahead) == 0
    # One is in the hands of the caller and holds its place until the next is asked for.
    assert next(ahead) == 1
    assert waiting.wait(10)
    ahead.close()
    assert made == [0, 1, 2]


def test_an_error_is_raised_where_the_items_are_used():
    def items():
        yield 1
        raise OSError("the disk is gone")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)
    assert not readers()


def test_closing_closes_the_items_in_their_thread():
    closed = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread().name)

    for _ in read_ahead(items()):
        break
    assert closed == [NAME]
    assert not readers()


def test_an_error_of_the_consumer_ends_the_thread():
    with pytest.raises(ZeroDivisionError, match="division"):
        assert all(1 // item for item in read_ahead(i for i in range(10**9)))
    assert not readers()


def test_without_a_thread_nothing_is_read_ahead(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert list(read_ahead(i for i in range(5))) == [0, 1, 2, 3, 4]
