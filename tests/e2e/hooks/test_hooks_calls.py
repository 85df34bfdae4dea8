"""Calls to the webhook address: who is let in, what is refused with which sentence, and that it stays up (B10)."""

import asyncio
import json
from uuid import uuid4

import aiohttp
import pytest
from hooks_kit import Called, customer
from support import eventually

from worker.handlers.hooks.keeping import HEADER
from worker.web.hook_body import MAX_BODY


async def refused(called: Called, **which: str) -> tuple[int, str]:
    """Status and body of a call that is not let in."""
    headers = {HEADER: which.get("secret", "")}
    path = f"/webhooks/economic/{which.get('connection') or await called.connection_id()}{which.get('rest', '')}"
    async with called.post(path, customer(2).encode(), headers=headers) as answer:
        return answer.status, await answer.text()


@pytest.mark.requirement("B10")
async def test_wrong_secrets_and_unknown_connections_get_the_same_answer_and_nothing_is_kept(called: Called) -> None:
    secret = await called.secret()
    answers = {
        await refused(called, secret="wrong" * 10),
        await refused(called),
        await refused(called, secret=secret + "x"),
        await refused(called, secret=secret[:-1]),
        await refused(called, secret="ø" * 40),
        await refused(called, secret=secret, connection=str(uuid4())),
        await refused(called, secret=secret, connection="'; drop table economic.hints;--"),
        await refused(called, secret=secret, rest=f"/{secret}"),  # the header's secret does not open the address
    }
    assert len(answers) == 1
    assert next(iter(answers))[0] == 404
    assert await called.running.value("select count(*) from economic.hints") == 0


@pytest.mark.requirement("B10")
async def test_the_secret_of_an_address_does_not_open_the_header_way_and_is_not_logged(
    called: Called, capsys: pytest.CaptureFixture[str]
) -> None:
    address = (await called.by_hand())["CUSTOMER_UPDATED"]
    secret = address.partition("?")[0].rpartition("/")[2]
    assert await called.call(customer(2), secret=secret) == 404
    filled = address.replace("[OLDNUMBER]", "2").replace("[NEWNUMBER]", "2")
    async with called.post(filled) as answer:
        assert answer.status == 202
    async with called.post(filled.replace("CUSTOMER_UPDATED", "NO_SUCH")) as answer:
        assert answer.status == 400
    await called.all_read()
    shown = capsys.readouterr()
    assert secret not in shown.out + shown.err
    assert await called.secret() not in shown.out + shown.err


@pytest.mark.requirement("B10")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"\xff\xfe\x00",
        b"event=CUSTOMER_UPDATED",
        b"event=CUSTOMER_UPDATED\nold=[OLDNUMBER]\nnew=[NEWNUMBER]",
        b"event=CUSTOMER_UPDATED\nold=2\nnew=2 or 1=1",
        b"event=CUSTOMER_UPDATED\nold=2\nnew=99999999999999999999",
        b"event=CUSTOMER_UPDATED\nold=2\nnew=-1",
        b"event=INVOICE_BOOKED\nnumber=0",
        b"event=PRODUCT_UPDATED\nold=\nnew=" + b"x" * 26,
        b"event=PRODUCT_UPDATED\nold=\nnew=a\x00b",
        b"event=BILL_BOOKED\nnumber=1",
        b'{"event": "CUSTOMER_UPDATED", "new": {"a": 1}}',
        b'{"event": ' + b"[" * 4000,
        b"[" * 4000,
        b"&".join(b"a%d=1" % number for number in range(500)),
    ],
)
async def test_a_malformed_call_is_refused_with_a_sentence_and_nothing_is_kept(called: Called, body: bytes) -> None:
    headers = {HEADER: await called.secret(), "Content-Type": "text/plain"}
    path = f"/webhooks/economic/{await called.connection_id()}"
    async with called.post(path, body, headers=headers) as answer:
        assert answer.status == 400
        assert answer.content_type == "application/problem+json"
        assert len((await answer.json())["detail"]) > 20
    assert await called.running.value("select count(*) from economic.hints") == 0
    assert await called.call(customer(2)) == 202  # it goes on


@pytest.mark.requirement("B10")
@pytest.mark.parametrize(
    "body",
    [
        "event=CUSTOMER_UPDATED\nold=2\nnew=2",
        "event=CUSTOMER_UPDATED\r\nold=\r\nnew=2\r\n",
        "event=CUSTOMER_UPDATED&old=2&new=2",
        '{"eventType": "customer_updated", "oldNumber": "", "newNumber": 2}',
    ],
)
async def test_lines_forms_and_json_are_understood(called: Called, body: str) -> None:
    called.running.agreement.hooks.by_type.clear()  # only our own call tells
    secret = dict((await called.by_hand()).items())["CUSTOMER_UPDATED"].partition("?")[0]
    customer_two = called.running.agreement.customers[2]
    customer_two.name = "Nyt Navn ApS"
    called.running.agreement.customers.touch(2)
    async with called.post(secret, body.encode()) as answer:
        assert answer.status == 202
    sql = "select name = 'Nyt Navn ApS' from pike.customers where external_number = '2'"
    await eventually(lambda: called.running.value(sql), timeout_s=20)


@pytest.mark.requirement("B10")
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_oversized_call_is_refused_without_being_read(called: Called, chunked: bool) -> None:
    async def pieces() -> object:
        for _ in range(200):
            yield b"x" * 1000  # type: ignore[misc]

    headers = {HEADER: await called.secret()}
    path = f"/webhooks/economic/{await called.connection_id()}"
    data = pieces() if chunked else b"x" * (MAX_BODY + 1)
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(called.address + path, data=data, headers=headers) as answer,
        ):
            assert answer.status == 413
    except aiohttp.ClientError:
        pass  # the connection was ended under our hands: it was not read either
    assert await called.running.value("select count(*) from economic.hints") == 0
    assert await called.call(customer(2)) == 202


@pytest.mark.requirement("B10")
async def test_other_methods_and_longer_addresses_are_nothing(called: Called) -> None:
    async with aiohttp.ClientSession() as session:
        base = f"{called.address}/webhooks/economic/{await called.connection_id()}"
        async with session.get(base) as answer:
            assert answer.status == 405
        async with session.post(f"{base}/a/b") as answer:
            assert answer.status == 404
            assert (await answer.json())["status"] == 404
        address = (await called.by_hand())["CUSTOMER_UPDATED"]
        async with session.get(address.replace("[OLDNUMBER]", "").replace("[NEWNUMBER]", "2")) as answer:
            assert answer.status == 202


@pytest.mark.requirement("B10")
async def test_a_flood_of_strangers_does_not_keep_economic_out(called: Called) -> None:
    async def stranger() -> None:
        for _ in range(20):
            await called.call(customer(2), secret="guess" + "x" * 40, connection=str(uuid4()))

    flood = [asyncio.create_task(stranger()) for _ in range(20)]
    statuses = [await called.call(customer(2)) for _ in range(20)]
    await asyncio.gather(*flood)
    assert set(statuses) == {202}
    assert len(called.running.worker.dispatcher.tally.outcomes) < 20


@pytest.mark.requirement("B10")
async def test_while_postgres_is_away_a_call_is_not_answered_well(called: Called) -> None:
    secret, connection = await called.secret(), await called.connection_id()
    await called.call(customer(2))
    await called.running.rows("alter table economic.hook_receivers rename to away")
    try:
        async with called.post(
            f"/webhooks/economic/{connection}", customer(2).encode(), headers={HEADER: secret}
        ) as answer:
            assert answer.status >= 500
            assert "away" not in json.dumps(await answer.json())
    finally:
        await called.running.rows("alter table economic.away rename to hook_receivers")
