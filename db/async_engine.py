"""Async connections, on which the functions of this package run in a greenlet, SQLAlchemy's own bridge.

Apart from `db.engine`, because SQLAlchemy's async half takes as long to load as all the rest of it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

from db.engine import Connection, Unanswered, pooled
from db.errors import attend_to_errors

P = ParamSpec("P")
R = TypeVar("R")

CLOSE_SECONDS = 2.0  # For transactions that nobody waits for any more: a server that answers ends them in milliseconds.
DEADLINE_SECONDS = 5  # Of a whole transaction of the API: a slower database is down for who waits.


class PoolUse(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections there may be, how many of them work, and how many transactions wait for one."""

    size: int
    in_use: int
    waiting: int


class AsyncTransactions:
    """Runs functions of this package on pooled async connections, one transaction each."""

    def __init__(self, url: str, connections: int, deadline_seconds: float | None = None) -> None:
        self._deadline_seconds = deadline_seconds
        # For good: to switch it for each use waits, while no block gives the connection back if this is canceled.
        self._engine = create_async_engine(url, isolation_level="AUTOCOMMIT", **pooled(connections)).sync_engine
        attend_to_errors(self._engine)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._size = connections
        self._asked = 0  # Transactions that work or wait for a connection.

    @property
    def use(self) -> PoolUse:
        pool: Any = self._engine.pool
        in_use = pool.checkedout()
        return PoolUse(size=self._size, in_use=in_use, waiting=max(self._asked - in_use, 0))

    async def run(self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function` in a transaction; give up on it, and on its connection, when it takes too long.

        Raises:
            Unanswered: the database did not; whether it committed is unknown.

        """

        def transaction(connection: Connection) -> R:
            connection.exec_driver_sql("BEGIN")
            return function(connection, *args, **kwargs)

        return await self._in_time(self._run(transaction))

    async def run_statements(
        self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run `function` as `run` does, but each of its statements is a transaction of its own.

        It saves the round trips for BEGIN and COMMIT, each of which waits for a busy event loop. An error leaves what
        the statements before it did.
        """

        def statements(connection: Connection) -> R:
            return function(connection, *args, **kwargs)

        return await self._in_time(self._run(statements))

    async def _in_time(self, work: Coroutine[Any, Any, R]) -> R:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        try:
            await asyncio.wait({task}, timeout=self._deadline_seconds or DEADLINE_SECONDS)
        finally:
            if not task.done():
                task.cancel()  # Not awaited: to a server that is frozen, cancelling takes as long as asking.
        if not task.done():
            raise Unanswered("the database did not answer")
        try:
            return task.result()
        finally:
            del task  # It knows its error, whose traceback knows this frame: such a circle would hold the request.

    async def _run(self, function: Callable[[Connection], R]) -> R:
        def work() -> R:
            with self._engine.begin() as connection:
                return function(connection)

        self._asked += 1
        try:
            # In one greenlet, its end included: an AsyncConnection closes in a task of its own, which nobody awaits
            # when this one is canceled meanwhile.
            return await greenlet_spawn(work)
        finally:
            self._asked -= 1

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Taken note of: asyncio complains of an abandoned task's error that nobody heard.

    async def close(self) -> None:
        """Let what was given up come to its end, which needs the event loop, and close the connections."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        await greenlet_spawn(self._engine.dispose)
