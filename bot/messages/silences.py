"""Silences: the form that makes one, the list of those in force, and what is said when one ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.incidents.limits import MAX_ENVIRONMENT_LENGTH, MAX_REASON_LENGTH
from bot.incidents.markup import encode_entities, escape
from bot.messages.answers import Confirmation, render_incident_title
from bot.messages.blocks import (
    MAX_OPTION_VALUE,
    MAX_OPTIONS,
    Block,
    Element,
    Message,
    actions,
    bold,
    build_input,
    button,
    confirm,
    context,
    format_date,
    message,
    plain_text,
    section,
    text_message,
    truncate,
)
from bot.messages.forms import Form, build_form, build_select, build_several, build_text_field
from bot.messages.incident import build_view_button, render_title
from storage.rows import IncidentHead
from storage.silence_rows import (
    EndedSilence,
    Held,
    HeldBack,
    NewSilence,
    SilencedAlert,
    SilenceRow,
    StartedMaintenance,
)

PRESETS = {
    "30m": "30 minutes",
    "1h": "1 hour",
    "2h": "2 hours",
    "4h": "4 hours",
    "8h": "8 hours",
    "1d": "1 day",
    "7d": "7 days",
}
DEFAULT_PRESET = "2h"
MOST_LISTED = 20
MOST_OTHERS = 5  # other silences that are named when one ends
LABELS_SHOWN = 10
VALUE_LENGTH = 60  # characters of a label's value
TITLE_LENGTH = 150


def render_form(incident: IncidentHead, alert: SilencedAlert, origin: str, chosen: Sequence[str] = ()) -> Form:
    """The form that silences the alert of an incident. `chosen` are the labels that are chosen at first."""
    blocks: list[Block] = [section(render_title(incident.identifier, incident.title))]
    labels = [(name, f"{name} = {value}") for name, value in alert.labels.items() if len(name) <= MAX_OPTION_VALUE]
    if labels:
        shown = labels[:MAX_OPTIONS]
        field = build_several("labels", "labels", "Same labels", shown, chosen, most=len(shown))
        hint = "Silences all alerts of this project and source with these labels. Without a label, only this alert."
        blocks.append({**field, "hint": plain_text(hint, 2000)})
    blocks += _build_end_fields()
    return build_form("silence", f"Silence #{incident.identifier}", "Silence", origin, blocks)


def render_maintenance_form(projects: Sequence[tuple[str, str]], teams: Sequence[tuple[str, str]], origin: str) -> Form:
    """The form that starts maintenance. `projects` and `teams` are the choices, each a slug and a name."""
    blocks: list[Block] = [section("All alerts that match are silenced.")]
    blocks += [build_select("project", "Project", projects, None, optional=True)] if projects else []
    blocks += [build_select("team", "Team", teams, None, optional=True)] if teams else []
    blocks.append(
        build_text_field("env", "Environment", "production", "", optional=True, length=MAX_ENVIRONMENT_LENGTH)
    )
    return build_form("maintenance", "Maintenance", "Start", origin, [*blocks, *_build_end_fields()])


def _build_end_fields() -> list[Block]:
    return [
        build_select("for", "For", list(PRESETS.items()), DEFAULT_PRESET, optional=False),
        build_input("until", "Or until", {"type": "datetimepicker", "action_id": "until"}, optional=True),
        build_text_field(
            "reason", "Reason", "Planned upgrade of the database", "", optional=True, length=MAX_REASON_LENGTH
        ),
    ]


def render_made(made: NewSilence) -> Confirmation:
    """The answer to who made a silence."""
    sentence = (
        f"You silenced the alert of {render_incident_title(made.incident)} until {format_date(made.ends)}"
        f" (silence {made.id})."
    )
    if made.held.more or made.held.incidents > 1:
        sentence += _render_held(made.held)
    if made.longer is not None:
        sentence += f" Silence {made.longer.id} keeps the alert silenced until {format_date(made.longer.ends)}."
    buttons = [build_view_button(made.incident.identifier), build_end_button(made.id)]
    return Confirmation(sentence, buttons, on_card=True)


def render_started(started: StartedMaintenance) -> Confirmation:
    """The answer to who started maintenance."""
    subject = _render_matched(started.project, started.team, started.environment)
    sentence = f"You silenced {subject} until {format_date(started.ends)} (silence {started.id})."
    if started.held.more or started.held.incidents:
        sentence += _render_held(started.held)
    return Confirmation(sentence, [build_end_button(started.id)])


def render_everything(ends: datetime, value: str) -> Message:
    """The question before everything is silenced. `value` is the button's."""
    text = f"This silences every alert of every project until {format_date(ends)}. Are you sure?"
    asked = confirm("Silence everything?", "No alert posts a card until then.", "Silence everything")
    confirmed = button("Silence everything", "silence_everything", value, style="danger", confirm=asked)
    return message(text, [section(text), actions([confirmed])])


def _render_matched(project: str | None, team: str | None, environment: str | None) -> str:
    """What maintenance is for, in mrkdwn: `all alerts of team Payments in production`."""
    owners = [f"project {escape(project)}"] if project else []
    owners += [f"team {escape(team)}"] if team else []
    where = f" in {escape(environment)}" if environment else ""
    return "all alerts" + (f" of {' and '.join(owners)}" if owners else "") + where


def _render_subject(silence: SilenceRow) -> str:
    if silence.identifier is not None:
        return truncate(render_title(silence.identifier, silence.title or ""), TITLE_LENGTH)
    if silence.member_id is None:
        return "alerts that are silenced in Alertmanager"
    team = silence.team or ("a removed team" if "team" in silence.matchers else None)
    return _render_matched(silence.project, team, silence.matchers.get("environment"))


def _render_held(held: Held) -> str:
    """What a new silence holds, as a further sentence."""
    if not held.more:
        return f" It holds {_count_open(held.incidents)}."
    return f" It holds {_count_open(held.incidents)} so far, and I am going through the rest now."


def _count_open(count: int) -> str:
    return "1 open incident" if count == 1 else f"{count:,} open incidents"


def build_end_button(silence_id: int) -> Element:
    """`End silence`."""
    return button("End silence", "silence_end", str(silence_id))


def render_list(silences: Sequence[SilenceRow], command: str, *, notice: str | None = None) -> Message:
    """The silences in force that somebody sees. `notice` is mrkdwn above them."""
    blocks: list[Block] = [context(notice)] if notice else []
    lead = f"{notice} " if notice else ""
    if not silences:
        text = f"No silences. `{encode_entities(command)} silence N 2h` silences the alert of an incident."
        return message(lead + text, [*blocks, section(text)])
    shown = silences[:MOST_LISTED]
    blocks += [section(_render_listed(one), accessory=build_end_button(one.id)) for one in shown]
    if len(silences) > MOST_LISTED:
        blocks.append(context(f"Only the first {MOST_LISTED} are shown."))
    text = "Silences: " + "; ".join(f"{one.id}, until {format_date(one.ends)}" for one in shown)
    return message(lead + text, blocks)


def render_entries(silences: Sequence[SilenceRow]) -> list[Block]:
    """Silences, each with `End silence`, which asks once more."""
    return [section(_render_listed(one), accessory=_build_confirmed_end(one.id)) for one in silences]


def _build_confirmed_end(silence_id: int) -> Element:
    asked = confirm(
        f"End silence {silence_id}?",
        "Incidents that it held back and that are still open get their cards.",
        "End silence",
    )
    return {**build_end_button(silence_id), "confirm": asked}


def _render_listed(silence: SilenceRow) -> str:
    lines = [
        f"{bold(f'Silence {silence.id}')} · {_render_subject(silence)}",
        f"Until {format_date(silence.ends)} · by {escape(silence.maker)} · holds {_count_open(silence.holds)}"
        + (" so far" if silence.holding else "")
        + (" · also in Alertmanager" if silence.in_alertmanager and silence.member_id is not None else ""),
    ]
    if labels := silence.matchers.get("labels"):
        pairs = [f"{escape(name)} = {truncate(escape(value), VALUE_LENGTH)}" for name, value in labels.items()]
        more = len(pairs) - LABELS_SHOWN
        lines.append("Alerts with " + ", ".join(pairs[:LABELS_SHOWN]) + (f" and {more} more" if more > 0 else ""))
    if silence.reason:
        lines.append(escape(silence.reason))
    return truncate("\n".join(lines), 3000)


def render_ended(ended: EndedSilence) -> str:
    """The sentence (mrkdwn) for who ended a silence."""
    id_ = ended.silence.id
    if ended.more:
        return (
            f"You ended silence {id_}. I am going through the incidents that it held. Those still open get their cards."
        )
    return f"You ended silence {id_}. {_render_held_back(ended.seen)}{_render_others(ended)}"


def render_ended_note(ended: EndedSilence, by: str | None) -> Message:
    """The message to the maker of a silence that ended. `by` is the name of who ended it; None: its time came."""
    silence = ended.silence
    lead = f"{escape(by)} ended your silence" if by else "Your silence"
    ends = "" if by else " ended"
    return text_message(
        f"{lead} {silence.id} of {_render_subject(silence)}{ends}. {_render_held_back(ended.held_back)}"
        + _render_others(ended)
    )


def _render_others(ended: EndedSilence) -> str:
    """That other silences hold the same alerts, as a further sentence; empty if none does."""
    if not ended.others:
        return ""
    *first, last = [f"{one.id}" for one in ended.others[:MOST_OTHERS]]
    keep = f"Silences {', '.join(first)} and {last} keep" if first else f"Silence {last} keeps"
    what = "the alert" if "key" in ended.silence.matchers else "some of these alerts"
    return f" {keep} {what} silenced until {format_date(ended.others[0].ends)}."


def _render_held_back(held: HeldBack) -> str:
    if not held.incidents:
        return "It held back no cards."
    if held.incidents == 1:
        if held.still_open:
            return "It held back 1 incident, which is still open. Its card is posted now."
        return "It held back 1 incident, which is resolved."
    if not held.still_open:
        return f"It held back {held.incidents:,} incidents, which are all resolved."
    if held.still_open == held.incidents:
        return f"It held back {held.incidents:,} incidents, which are all still open. Their cards are posted now."
    if held.still_open == 1:
        return f"It held back {held.incidents:,} incidents. 1 is still open. Its card is posted now."
    return f"It held back {held.incidents:,} incidents. {held.still_open:,} are still open. Their cards are posted now."
