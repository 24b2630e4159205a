"""The order of the messages about an incident in a conversation: which of them wait for an earlier one."""

from __future__ import annotations

from bot.delivery.pace import Pace
from storage.queries.post_kinds import KnownPost


def find_wait(earlier: KnownPost, pace: Pace, slack_now: float) -> float:
    """Returns for how many seconds later messages about the incident wait for one that is not due; 0: they do not.

    It may be searched for, or not be complete yet; or it has waited for one before it, and its own turn comes a little
    later than that of the others, as it does after another replica's clock was ahead. `slack_now` is in seconds since
    the epoch, by Slack's clock. While Slack refuses a message, no other waits: it may be the only one that is refused.
    """
    if earlier.begun_at is not None:
        return max(0.0, min(earlier.due_in_s, earlier.begun_at + pace.order_s - slack_now))
    is_put_off = earlier.refused_s is not None or earlier.due_in_s > pace.order_s
    return 0.0 if is_put_off else earlier.due_in_s
