"""The mutations: what is removed, and the few tests of which one must turn red."""

from dataclasses import dataclass

PUSH = "tests/e2e/test_push_walk.py::"
FAULTS = "tests/e2e/test_faults_push.py::"
INBOX = "tests/integration/store/test_store_inbox.py::"
BROKER = "tests/integration/broker/test_broker_faults.py::"
WALKS = "tests/e2e/crash/test_crash_walks.py::test_killed_at_any_step_a_walk_ends_in_the_same_rows_and_one_answer"


@dataclass(frozen=True)
class Mutation:
    """``old`` is replaced by ``new`` wherever it stands in ``file``; it must stand there."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS = (
    Mutation(
        "no look-up before a repeat",
        "worker/handlers/pushing/ledger.py",
        "        return await look_up()\n",
        "        return None\n",
        (f"{FAULTS}test_a_replay_after_the_keys_hour_finds_the_invoice_and_sends_nothing",),
    ),
    Mutation(
        "a look-up is believed before it has settled",
        "worker/handlers/pushing/ledger.py",
        "    if known.age_s < SETTLE_S:\n",
        "    if known.age_s < 0:\n",
        (f"{FAULTS}test_a_look_up_that_does_not_see_the_draft_yet_makes_no_second_one",),
    ),
    Mutation(
        "the key's hour is ignored",
        "worker/handlers/pushing/ledger.py",
        "KEY_LIFE_S = 55 * 60.0",
        "KEY_LIFE_S = 1e9",
        (f"{PUSH}test_after_the_keys_hour_two_settled_look_ups_come_before_a_new_key",),
    ),
    Mutation(
        "a new key for every sending",
        "worker/handlers/pushing/ledger.py",
        "known.body, known.idempotency_key, on_unknown",
        "known.body, str(uuid4()), on_unknown",
        (f"{PUSH}test_a_write_lost_before_it_arrived_is_sent_again_with_the_same_key",),
    ),
    Mutation(
        "no inbox check: what is done is done again",
        "worker/store/inbox.py",
        "  and (i.state = 'waiting'\n",
        "  and (i.state in ('waiting', 'done')\n",
        (
            f"{PUSH}test_the_same_event_twice_makes_one_draft_and_one_answer",
            f"{INBOX}test_a_finished_event_is_done_for_ever",
        ),
    ),
    Mutation(
        "no lease: what somebody works on is taken over",
        "worker/store/inbox.py",
        "(i.lease_until < now() or i.owner = excluded.owner)",
        "true",
        (f"{INBOX}test_of_many_claims_at_once_one_succeeds", f"{INBOX}test_extending_keeps_others_out"),
    ),
    Mutation(
        "no fence: a late writer writes",
        "worker/store/inbox.py",
        " and i.fence = t.fence and i.state || '' = 'running'",
        "",
        (
            f"{FAULTS}test_a_stalled_loop_loses_its_lease_and_writes_nothing_after_it",
            f"{INBOX}test_whoever_was_overtaken_writes_nothing_any_more",
        ),
    ),
    Mutation(
        "acknowledged before the commit",
        "worker/broker/handling.py",
        "            await self._obey(await self._judge(process, delivery), delivery, message, settler)\n",
        "            settler.ack(message.delivery_tag or 0)\n"
        "            await self._obey(await self._judge(process, delivery), delivery, message, settler)\n",
        (
            f"{BROKER}test_a_delivery_in_work_when_the_connection_is_lost_comes_again",
            f"{WALKS}[push at finish.before_commit]",
        ),
    ),
    Mutation(
        "the lease is never renewed",
        "worker/runtime/lease.py",
        "                    await inbox.extend_many(connection, [(claim, LEASE_S) for claim in due])\n",
        "                    pass\n",
        (f"{FAULTS}test_a_run_that_takes_longer_than_its_lease_keeps_it",),
    ),
    Mutation(
        "published before the commit",
        "worker/store/group.py",
        '        pass_by("before_commit", endings)\n',
        "        for (ending, _), rows in zip(self._parts, written, strict=True):\n"
        "            ending.announce(rows)\n"
        "        await asyncio.sleep(0.3)\n"
        '        pass_by("before_commit", endings)\n',
        (f"{WALKS}[refresh at finish.before_commit]",),
    ),
    Mutation(
        "answers deleted before they are confirmed",
        "worker/runtime/relay.py",
        '        failpoints.hit("relay.taken")\n',
        '        failpoints.hit("relay.taken")\n'
        "        self._confirmed = [row.id for row in rows]\n"
        "        await self._forget_confirmed()\n",
        (f"{WALKS}[push at relay.deleted]",),
    ),
    Mutation(
        "the original acknowledged before its copy is confirmed",
        "worker/broker/handling.py",
        "        backoff = Backoff()\n",
        "        backoff = Backoff()\n"
        "        settler.ack(message.delivery_tag or 0)\n"
        "        await self._clock.sleep(0.5)\n"
        '        failpoints.hit("retry.copied")\n',
        (f"{WALKS}[push whose draft was answered into the void at retry.copied]",),
    ),
    Mutation(
        "deaths are not counted",
        "worker/runtime/solo.py",
        "    return max(claim.attempts - 1 - ended_tries(claim.history), 0)\n",
        "    return 0\n",
        (
            "tests/e2e/crash/test_crash_poison.py::test_a_harmless_message_that_died_twice_with_others_is_done_alone",
            "tests/unit/runtime/test_solo.py",
        ),
    ),
    Mutation(
        "every failed try counts as a death",
        "worker/runtime/failures.py",
        '        "ended": ended + (decision.action is Action.RETRY),',
        '        "ended": 0,',
        ("tests/e2e/crash/test_crash_poison.py::test_tries_that_failed_are_no_deaths",),
    ),
)
