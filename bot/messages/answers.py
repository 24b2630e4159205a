"""Short answers: confirmations, refusals and errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.incidents.access import Access
from bot.incidents.markup import decode_slack_text, encode_entities, escape, replace_unstorable
from bot.messages.blocks import Block, Element, Message, actions, message, section
from bot.messages.incident import render_title
from storage.rows import IncidentHead

# In parts of this length the longest text that Slack lets anybody type (40,000 characters) fits a message's blocks.
_PART = 2900


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a person is told after they changed something."""

    sentence: str  # mrkdwn
    buttons: Sequence[Element] = ()  # for what makes sense next, at most two
    on_card: bool = False  # the incident's card shows it, too


def render_confirmation(confirmation: Confirmation, *, late: bool = False) -> Message:
    """A confirmation as a message. `late`: the card will show the change, but not within seconds."""
    sentence = confirmation.sentence
    if late:
        sentence += " Slack is busy. The message will be updated in a moment."
    blocks = [section(sentence)]
    if confirmation.buttons:
        blocks.append(actions(confirmation.buttons))
    return message(sentence, blocks)


def render_incident_title(incident: IncidentHead) -> str:
    """`#12 Checkout is down`, in mrkdwn."""
    return render_title(incident.identifier, incident.title)


def render_refusal(
    sentence: str,
    *,
    form: str | None = None,
    is_guess: bool = False,
    typed: str | None = None,
    command: str,
    offered: Element | None = None,
    more: str | None = None,
) -> Message:
    """A refusal: the mistake (plain text), the correct usage, and the typed text, to correct and send again.

    `is_guess`: `form` is what was probably meant. `offered` is a button that does it. `more` (mrkdwn) follows the
    sentence.
    """
    text = encode_entities(sentence)
    if more:
        text += f" {more}"
    right = f"`{encode_entities(f'{command} {form}')}`"
    if form and is_guess:
        text += f" Did you mean {right}?"
    blocks: list[Block] = [section(f":warning: {text}")]
    if form and not is_guess:
        blocks.append(section(f"Like this: {right}"))
    if offered:
        blocks.append(actions([offered]))
    if typed and typed.strip():
        blocks += render_typed_text(f"{command} {typed}")
    return message(text, blocks)


def render_typed_text(typed: str) -> list[Block]:
    """The text that somebody typed, to copy. Mentions and links appear as names and URLs."""
    text = replace_unstorable(decode_slack_text(typed))
    parts = [text[place : place + _PART] for place in range(0, len(text), _PART)]
    return [section("You typed:"), *({"type": "rich_text", "elements": [_preformatted(part)]} for part in parts)]


def _preformatted(text: str) -> dict[str, Any]:
    return {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]}


def render_database_away(typed: str | None, command: str) -> Message:
    """The answer while the database is away: nothing was done, and no incident can be shown."""
    return render_refusal(
        "I cannot reach my database, so I cannot show or change anything. Nothing was changed. Try again in a moment.",
        typed=typed,
        command=command,
    )


def render_no_answer_in_time(typed: str | None, command: str) -> Message:
    """The answer if a statement took longer than its time-out. The database is there: other requests are answered."""
    return render_refusal(
        "This took too long, so I stopped it. Nothing was changed. Try again in a moment, or ask for less at once.",
        typed=typed,
        command=command,
    )


def render_late(*, begun: bool, typed: str | None, command: str) -> Message:
    """The answer to a request that missed its deadline. `begun` says whether a worker had begun it."""
    if begun:
        sentence = (
            "This takes longer than Slack waits, and I do not know yet whether it was done. Look again in a moment."
        )
    else:
        sentence = "I could not do this in time. Nothing was changed. Try again in a moment."
    return render_refusal(sentence, typed=typed, command=command)


def render_moving(typed: str | None, command: str) -> Message:
    """The answer to a change while the organization is moved to another database."""
    return render_refusal(
        "Your organization is being moved to another database, so nothing can be changed for a few minutes. You can"
        " still look at incidents. Nothing was changed. Try again in a few minutes.",
        typed=typed,
        command=command,
    )


def render_contended(typed: str | None, command: str) -> Message:
    """The answer if another transaction holds a lock for too long."""
    return render_refusal(
        "Somebody else is changing this incident right now. Nothing was changed. Try again in a moment.",
        typed=typed,
        command=command,
    )


def render_unexpected_error(error_id: str, typed: str | None, command: str) -> Message:
    """The answer to an unexpected exception, which the log has as `request_id`."""
    return render_refusal(
        f"Something went wrong on my side. Nothing was changed. Error ID: {error_id}.",
        typed=typed,
        command=command,
    )


def render_whoami(access: Access, user_id: str, teams: list[str], projects: list[str]) -> Message:
    """Who the bot takes the caller for."""
    role = access.role.value + (", superuser" if access.superuser else "")
    facts = [
        f"*Name*\n{escape(access.name)}",
        f"*E-mail*\n{escape(access.email)}",
        f"*Organization*\n{escape(access.organization_name)}",
        f"*Role*\n{escape(role)}",
        f"*Teams*\n{escape(', '.join(teams)) or 'None'}",
        f"*Projects you see*\n{escape(', '.join(projects)) or 'None'}",
        f"*Time zone*\n{escape(access.timezone)}",
        f"*Slack ID*\n`{escape(user_id)}`",
    ]
    return message(f"{escape(access.name)}, {role} of {escape(access.organization_name)}", [section("", fields=facts)])
