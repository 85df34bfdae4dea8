"""Sessions of operators, known by the hashes of their cookies, and strangers that are slowed down. Database times."""

from dataclasses import dataclass

from worker.store.pool import Connection

LASTS_H = 12
IDLE_H = 2
_FREE_FAILURES = 5
_LONGEST_BLOCK_S = 300


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has not ended. It counts only while the operator still has the token it was made with."""

    operator: str
    token_hash: bytes


async def begin(connection: Connection, id_hash: bytes, operator: str, token_hash: bytes) -> None:
    """Begin a session; those that ended are forgotten."""
    await connection.execute("delete from economic.operator_sessions where expires_at < now()")
    await connection.execute(
        """insert into economic.operator_sessions (id_hash, operator, token_hash, expires_at)
           values ($1, $2, $3, now() + make_interval(hours => $4))""",
        id_hash,
        operator,
        token_hash,
        LASTS_H,
    )


async def find(connection: Connection, id_hash: bytes) -> Session | None:
    """Return a session that has neither ended nor been idle for too long; looking keeps it alive."""
    row = await connection.fetchrow(
        """update economic.operator_sessions set seen_at = now()
           where id_hash = $1 and expires_at > now() and seen_at > now() - make_interval(hours => $2)
           returning operator, token_hash""",
        id_hash,
        IDLE_H,
    )
    return Session(row["operator"], row["token_hash"]) if row else None


async def look(connection: Connection, id_hash: bytes) -> Session | None:
    """Return a session as ``find`` does, without keeping it alive."""
    row = await connection.fetchrow(
        """select operator, token_hash from economic.operator_sessions
           where id_hash = $1 and expires_at > now() and seen_at > now() - make_interval(hours => $2)""",
        id_hash,
        IDLE_H,
    )
    return Session(row["operator"], row["token_hash"]) if row else None


async def end(connection: Connection, id_hash: bytes) -> None:
    """End a session at once, for every worker."""
    await connection.execute("delete from economic.operator_sessions where id_hash = $1", id_hash)


async def blocked_s(connection: Connection, address: str) -> float:
    """Return how long this address must wait before it may try again; 0 when it may."""
    seconds = await connection.fetchval(
        "select extract(epoch from blocked_until - now())::float8 from economic.login_failures where address = $1",
        address,
    )
    return max(0.0, seconds or 0.0)


async def note_failure(connection: Connection, address: str) -> int:
    """Count a failed sign-in; from the sixth in an hour on, each makes the address wait twice as long (5 min at most)."""
    return int(
        await connection.fetchval(
            """insert into economic.login_failures as f (address, failures, blocked_until) values ($1, 1, now())
               on conflict (address) do update set
                 failures = case when f.updated_at < now() - interval '1 hour' then 1 else f.failures + 1 end,
                 blocked_until = case
                     when f.updated_at < now() - interval '1 hour' or f.failures < $2 then now()
                     else now() + make_interval(secs => least($3, power(2, least(f.failures - $2, 20)))) end,
                 updated_at = now()
               returning failures""",
            address,
            _FREE_FAILURES,
            _LONGEST_BLOCK_S,
        )
    )


async def note_success(connection: Connection, address: str) -> None:
    """Forget the failures of an address; those of yesterday go with them."""
    await connection.execute(
        "delete from economic.login_failures where address = $1 or updated_at < now() - interval '1 day'", address
    )
