"""The figures of delivery: how fast it sends, and how long it waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """In seconds, unless said otherwise. What Slack allows: https://docs.slack.dev/apis/web-api/rate-limits"""

    post_s: float = 1.0  # between two messages in one conversation
    update_s: float = 1.2  # between two chat.update in one workspace: fifty a minute
    update_burst: int = 10  # so many of them may come at once
    call_s: int = 5  # for one call; a part of the ten seconds that a stop may take
    late_s: float = 10.0  # after that, for which Slack may still take a message whose sender has given up
    answered_s: float = 2.0  # after an answer that it went wrong, until what came of it can be seen
    patience_s: float = 60.0  # for which the less urgent waits in a conversation for the more urgent; then it has
    overdue_turn: int = 4  # every so-manyth turn, so that a stream of urgent messages does not hold it up for good
    order_s: float = 60.0  # for which a message waits for an earlier one about the same incident that is searched for
    refused_s: float = 5.0  # between two attempts at what Slack refuses for a reason that may pass; doubled each time,
    longest_refused_s: float = 600.0  # up to this
    refused_for_s: float = 3600.0  # after which it is given up
    lease_s: float = 30.0  # a destination is one worker's for so long, and free again when that one died
    first_retry_s: float = 1.0  # after trouble that may pass; doubled each time, with jitter
    longest_retry_s: float = 60.0
    failed_s: float = 5.0  # between two attempts at a conversation that takes nothing; doubled each time,
    longest_failed_s: float = 600.0  # up to this
    defect_s: float = 300.0  # for which a message is put off that the bot itself stumbles over
    paused_s: float = 30.0  # between two attempts at a workspace whose token is no good
    poll_s: float = 2.0  # when nobody has said that there is something to do
    known_channel_s: float = 300.0  # for which what Slack said of a channel is believed
    known_person_s: float = 86_400.0  # and of a person

    @property
    def settles_s(self) -> float:
        """After this long a message that was taken is in its conversation, and one that is not never will be."""
        return self.call_s + self.late_s
