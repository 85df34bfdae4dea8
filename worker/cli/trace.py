"""``trace``: everything that happened to one event, in order."""

from dataclasses import asdict

import click

from worker.bootstrap import tools
from worker.cli.output import BAD_ANSWER, fail, print_json, print_table, with_settings
from worker.insight.story import Story, tell
from worker.store import story


async def trace(event_id: str, source: str | None, as_json: bool) -> int:
    """Print the story of an event; exit code 1 when nobody has heard of it."""
    async with tools(with_settings()) as kit:
        async with kit.database.connection("trace") as connection:
            found = await story.find(connection, event_id, source)
        stories = [tell(traces, kit.clock.now()) for traces in found]
    if not stories:
        fail(
            f"No event or dead letter {event_id} was ever received here. Was it published, and to this RabbitMQ? The "
            "publisher knows when it got a confirm; pike-economic status shows what still waits in the queues.",
            BAD_ANSWER,
        )
    if as_json:
        print_json([asdict(each) for each in stories])
    else:
        for each in stories:
            _print(each)
    return 0


def _print(told: Story) -> None:
    click.echo(f"{told.type} {told.event_id}")
    click.echo(f"workspace {told.workspace_id or '(none)'}, from {told.source or '(unknown)'}")
    click.echo(f"{told.now}\n")
    start = told.steps[0].at if told.steps else None
    print_table(
        ["time (UTC)", "after", "what", "details"],
        [[f"{step.at:%Y-%m-%d %H:%M:%S.%f}"[:-3], _after((step.at - start).total_seconds() if start else 0), step.what,
          step.told] for step in told.steps],
        empty="Nothing is written down about it.",
    )  # fmt: skip
    click.echo()


def _after(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
