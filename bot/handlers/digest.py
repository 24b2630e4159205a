"""`digest`: making, keeping and reading digests of open incidents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.digests import content, rules, words, zones
from bot.digests.content import FIRST_NEWS, Lost, SwitchedOff
from bot.digests.rules import Draft
from bot.digests.said import said, shown_filters
from bot.digests.schedule import FORM as ADD_FORM
from bot.digests.schedule import parse_cron
from bot.handlers.call import Call
from bot.handlers.verb import Verb
from bot.incidents.errors import BadWords, Refusal, SharedChannel
from bot.incidents.markup import readable, storable
from bot.incidents.words import closest, first_word, shortened
from bot.messages import digest as messages
from bot.messages import digest_form as form
from bot.messages import forms
from bot.messages.blocks import Message, say
from bot.messages.digest import Notes, Picture
from bot.messages.help import Group
from bot.people.channels import Channel
from bot.slack.outcomes import Answer, Done, FormErrors, OpenForm, Outcome
from bot.slack.requests import Command, Origin, Press, Submission
from storage.digest_rows import DigestRow
from storage.queries import digest_fires
from storage.queries import digests as queries

T = TypeVar("T")

LIST_FORM = "digest list"
_LARGEST_ID = 2**63 - 1


def command(call: Call, ask: Command, line: str) -> Outcome:
    """`digest [add|list|now|pause|resume|edit|remove|preview]`; nothing behind it opens the form."""
    verb, rest = first_word(readable(storable(line)))
    if not verb:
        return _open(call, ask)
    doing = _VERBS.get(verb)
    if doing is None:
        meant = closest(verb, _VERBS)
        hint = f"Did you mean `digest {meant}`?" if meant else f"There are {', '.join(_VERBS)}."
        raise BadWords(f"There is no `digest {shortened(verb)}`. {hint}", ADD_FORM)
    return doing(call, ask, rest)


# --- making ------------------------------------------------------------------------------------------------


def _add(call: Call, ask: Command, rest: str) -> Outcome:
    rules.check_role(call.access)
    draft = rules.read(rest, call.access.timezone)
    rules.check(call.connection, call.access, draft, call.now)
    channel = _channel(call, ask.channel_id or "")
    notes = _notes(call, draft, channel)
    with call.write(once=ask.key) as tx:
        digest = rules.make(tx, call.access, ask.person.user_id, channel.id, draft, call.now)
    return Answer(messages.made("You have made digest", digest, said(digest), notes))


def _channel(call: Call, channel_id: str) -> Channel:
    """The channel, when a digest may be posted there. Raises Refusal."""
    channel = call.channels().to_post_in(call.access.workspace_id, channel_id)
    if channel.shared:
        rules.refuse_shared(call.access, channel.name)
    return channel


def _notes(call: Call, draft: Draft, channel: Channel | None) -> Notes:
    """What whoever makes this digest should know."""
    times = rules.following(draft.schedule, draft.zone, call.now)
    projects = rules.audience(call.connection, call.access, draft, call.now)
    return Notes(
        [messages.time_in(moment, draft.zone.key) for moment in times],
        messages.audience(channel.name, channel.private, projects) if channel and projects else None,
        rules.too_often(draft.schedule, draft.zone, call.now),
    )


def _open(call: Call, ask: Command) -> Outcome:
    rules.check_role(call.access)
    _needs_a_trigger(ask)
    here = ask.channel_id if ask.channel_id and ask.channel_id[0] in "CG" else None
    return OpenForm(
        form.form(
            "New digest",
            "Make it",
            Origin(r=ask.response_url).written(),
            channel_id=here,
            schedule="weekdays at 9",
            zone=call.access.timezone,
            filters="",
            skip_empty=False,
            picture=True,
        )
    )


def _needs_a_trigger(ask: Command | Press) -> None:
    """Slack opens forms for slash commands and buttons, and not for what is said in a message."""
    if isinstance(ask, Command) and ask.said:
        raise BadWords("A form opens only from the slash command. In a message, say all of it:", ADD_FORM)


def _edit_form(call: Call, digest: DigestRow, response_url: str | None) -> Outcome:
    if not call.access.manages_digests and digest.owner_id != call.access.member_id:
        raise rules.MayNotMake
    schedule = parse_cron(digest.cron)
    spoken = words.describe(schedule)
    try:
        speakable = words.parse(spoken) == schedule
    except BadWords:
        speakable = False
    return OpenForm(
        form.form(
            f"Digest {digest.id}",
            "Save",
            Origin(d=digest.id, r=response_url).written(),
            channel_id=digest.channel_id,
            schedule=spoken if speakable else digest.cron,
            zone=digest.zone,
            filters=shown_filters(digest.filters),
            skip_empty=digest.skip_empty,
            picture=digest.picture,
        )
    )


@dataclass(frozen=True, slots=True)
class _Filled:
    """What stands in the form."""

    channel_id: str
    draft: Draft


def _filled(values: Mapping[str, Mapping[str, Any]]) -> _Filled | FormErrors:
    """The form's fields, or what is wrong with each of them."""

    def text(block_id: str) -> str:
        return storable(str(values.get(block_id, {}).get("value") or ""))

    errors: dict[str, str] = {}

    def read(block_id: str, reader: Callable[[], T]) -> T | None:
        try:
            return reader()
        except BadWords as mistake:
            errors[block_id] = mistake.sentence
            return None

    schedule = read(form.SCHEDULE, lambda: words.parse(text(form.SCHEDULE)))
    zone = read(form.ZONE, lambda: zones.parse(text(form.ZONE), ADD_FORM))
    query = read(form.FILTERS, lambda: rules.read_filters(text(form.FILTERS)))
    channel_id = values.get(form.CHANNEL, {}).get("selected_conversation")
    if not channel_id:
        errors[form.CHANNEL] = "In which channel?"
    if schedule is None or zone is None or query is None or not channel_id:
        return FormErrors(errors)
    empty = (values.get(form.EMPTY, {}).get("selected_option") or {}).get("value")
    pictured = bool(values.get(form.PICTURE, {}).get("selected_options"))
    return _Filled(str(channel_id), Draft(schedule, zone, query, skip_empty=empty == "skip", picture=pictured))


def submission(call: Call, ask: Submission) -> Outcome:
    """The form, sent off."""
    rules.check_role(call.access)
    filled = _filled(ask.values)
    if isinstance(filled, FormErrors):
        return filled
    draft = filled.draft
    changed = None
    if "d" in ask.origin:
        changed = rules.managed(call.connection, call.access, _number(str(ask.origin["d"])), call.now, here=None)
    try:
        rules.check(call.connection, call.access, draft, call.now)
    except BadWords as mistake:
        return FormErrors({form.FILTERS: mistake.sentence})
    try:
        channel = _channel(call, filled.channel_id)
    except Refusal as refusal:
        return FormErrors({form.CHANNEL: refusal.sentence})
    notes = _notes(call, draft, channel)
    user_id = ask.person.user_id
    with call.write(once=ask.key) as tx:
        if changed:
            # Looked at again under its lock: it may have become somebody else's meanwhile.
            digest = rules.managed(tx, call.access, changed.id, call.now, here=None, lock=True)
            digest = rules.change(tx, call.access, user_id, digest, channel.id, draft, call.now)
        else:
            digest = rules.make(tx, call.access, user_id, channel.id, draft, call.now)
    sentence = "You have changed digest" if changed else "You have made digest"
    to = ask.origin.get("r")
    return Done(Answer(messages.made(sentence, digest, said(digest), notes), to=str(to)) if to else None)


def form_preview(call: Call, ask: Press) -> Outcome:
    """`Preview` in the form: on top of it, what is wrong with it or what it would say now."""
    state = ((ask.view or {}).get("state") or {}).get("values") or {}
    try:
        rules.check_role(call.access)
        filled = _filled({block: next(iter(elements.values()), {}) for block, elements in state.items()})
        if isinstance(filled, FormErrors):
            return OpenForm(forms.gone(" ".join(filled.errors.values())))
        draft = filled.draft
        rules.check(call.connection, call.access, draft, call.now)
        channel = _channel(call, filled.channel_id)
    except Refusal as refusal:
        return OpenForm(forms.gone(refusal.sentence))
    notes = _notes(call, draft, channel)
    scope = content.scope_of(call.connection, call.access, draft.query, call.now)
    sketch = _sketch(call, channel.id, draft)
    since = call.now - FIRST_NEWS
    shown = content.compose(call.connection, scope, sketch, since=since, as_of=call.now)
    spoken = said(sketch)
    return OpenForm(form.preview(spoken, notes, messages.digest(shown, spoken, fire_id=None)))


def _sketch(call: Call, channel_id: str, draft: Draft) -> DigestRow:
    """A digest that is not stored yet."""
    columns = draft.columns()
    return DigestRow(
        id=0,
        organization_id=call.access.organization_id,
        workspace_id=call.access.workspace_id,
        channel_id=channel_id,
        owner_id=call.access.member_id,
        owner_user_id=None,
        owner=call.access.name,
        name=None,
        **columns,
        grace_minutes=rules.DEFAULT_GRACE_MINUTES,
        next_fire_at=draft.schedule.next(call.now, draft.zone),
        last_fire_at=None,
        date_paused=None,
        pause_reason=None,
    )


# --- keeping -----------------------------------------------------------------------------------------------


def _list(call: Call, ask: Command, _rest: str) -> Outcome:
    rows = queries.digests_for(
        call.connection,
        call.access.organization_id,
        ask.channel_id,
        call.access.member_id,
        messages.MOST_LISTED + 1,
    )
    drawn = [
        (row, said(row), last, rules.may_manage(call.connection, call.access, row, call.now)) for row, last in rows
    ]
    return Answer(messages.listed(drawn, ask.channel_id, call.tools.command))


def _number(word: str, form_: str = LIST_FORM) -> int:
    digits = word.strip().removeprefix("#")
    if not digits:
        raise BadWords("Which digest? Its number is missing; `digest list` shows it.", form_)
    if not (digits.isascii() and digits.isdigit()):
        raise BadWords(f"“{shortened(word)}” is not the number of a digest; `digest list` shows it.", form_)
    return min(int(digits[:20]), _LARGEST_ID)


def _tell_now(call: Call, ask: Command | Press, word: str) -> Outcome:
    digest_id = _number(word, "digest now ID")
    with call.write(once=ask.key) as tx:
        digest = rules.managed(tx, call.access, digest_id, call.now, here=ask.channel_id, lock=True)
        rules.tell_now(tx, digest, call.now)
    return Answer(say(f"Digest {digest.id} is on its way to <#{digest.channel_id}>. Its schedule stays as it is."))


def _pause(call: Call, ask: Command | Press, word: str) -> Outcome:
    digest_id = _number(word, "digest pause ID")
    with call.write() as tx:
        digest = rules.managed(tx, call.access, digest_id, call.now, here=ask.channel_id, lock=True)
        if digest.date_paused:
            return _said_back(call, "Paused already is digest", digest)
        digest = rules.pause(tx, call.access, digest, call.now)
    return _said_back(call, "You have paused digest", digest)


def _resume(call: Call, ask: Command | Press, word: str) -> Outcome:
    digest_id = _number(word, "digest resume ID")
    digest = rules.managed(call.connection, call.access, digest_id, call.now, here=ask.channel_id)
    if not digest.date_paused:
        return _said_back(call, "Running already is digest", digest)
    _channel(call, digest.channel_id)
    with call.write() as tx:
        digest = rules.managed(tx, call.access, digest_id, call.now, here=ask.channel_id, lock=True)
        digest = rules.resume(tx, call.access, ask.person.user_id, digest, call.now)
    return _said_back(call, "You have resumed digest", digest)


def _remove(call: Call, ask: Command | Press, word: str) -> Outcome:
    digest_id = _number(word, "digest remove ID")
    with call.write() as tx:
        digest = rules.managed(tx, call.access, digest_id, call.now, here=ask.channel_id, lock=True)
        queries.delete_digest(tx, digest.id)
    spoken = said(digest)
    sentence = f"You have removed digest {digest.id}: {spoken.when} in <#{digest.channel_id}>{spoken.what}."
    return Answer(say(sentence))


def _edit(call: Call, ask: Command | Press, word: str) -> Outcome:
    digest = rules.managed(call.connection, call.access, _number(word, "digest edit ID"), call.now, here=ask.channel_id)
    _needs_a_trigger(ask)
    return _edit_form(call, digest, ask.response_url)


def _preview(call: Call, ask: Command | Press, word: str) -> Outcome:
    digest = rules.managed(
        call.connection, call.access, _number(word, "digest preview ID"), call.now, here=ask.channel_id
    )
    return Answer(_page(call, digest, None, 0))


def _said_back(call: Call, sentence: str, digest: DigestRow) -> Answer:
    """The digest with its next times and its buttons."""
    times: list[str] = []
    if not digest.date_paused:
        zone = ZoneInfo(digest.zone)
        times = [
            messages.time_in(moment, digest.zone) for moment in rules.following(parse_cron(digest.cron), zone, call.now)
        ]
    return Answer(messages.made(sentence, digest, said(digest), Notes(times)))


_VERBS: Mapping[str, Callable[[Call, Command, str], Outcome]] = {
    "add": _add,
    "list": _list,
    "now": _tell_now,
    "pause": _pause,
    "resume": _resume,
    "edit": _edit,
    "remove": _remove,
    "preview": _preview,
}


def press_preview(call: Call, ask: Press) -> Outcome:
    """`Preview`."""
    return _preview(call, ask, ask.value)


def press_pause(call: Call, ask: Press) -> Outcome:
    """`Pause`."""
    return _pause(call, ask, ask.value)


def press_resume(call: Call, ask: Press) -> Outcome:
    """`Resume`."""
    return _resume(call, ask, ask.value)


def press_edit(call: Call, ask: Press) -> Outcome:
    """`Edit`: the form, filled in."""
    return _edit(call, ask, ask.value)


def press_remove(call: Call, ask: Press) -> Outcome:
    """`Remove`."""
    return _remove(call, ask, ask.value)


# --- reading -----------------------------------------------------------------------------------------------


def turn(call: Call, ask: Press) -> Outcome:
    """`Previous` and `Next`: the page, as of now, takes the place of the one before, for all who read it."""
    digest_id, fire_id, number = messages.place_read(ask.value)
    if fire_id is None:
        digest = rules.managed(call.connection, call.access, digest_id, call.now, here=ask.channel_id)
    else:
        digest = rules.found(call.connection, call.access, digest_id)
        # The message shows what its owner let this channel see. Another channel is another audience.
        if digest.channel_id != ask.channel_id:
            raise rules.NoSuchDigest(digest_id)
        if not call.may_show_in(digest.channel_id):
            raise SharedChannel
    return Answer(_page(call, digest, fire_id, number), in_channel=fire_id is not None, replace=True)


def _page(call: Call, digest: DigestRow, fire_id: int | None, number: int) -> Message:
    connection: Connection = call.connection
    fire = digest_fires.fire(connection, digest.id, fire_id) if fire_id is not None else None
    if fire_id is not None and fire is None:
        raise Refusal("That digest is so old that its pages can no longer be turned.")
    since = fire.since if fire else digest.last_fire_at or call.now - FIRST_NEWS
    try:
        access = content.owner_access(connection, digest)
        scope = content.scope_of_digest(connection, access, digest, call.now)
        shown = content.compose(connection, scope, digest, since=since, as_of=call.now, number=number)
    except Lost as lost:
        raise Refusal(f"Digest {digest.id} can no longer be shown. {lost.reason}") from None
    except SwitchedOff:
        raise Refusal("Incidents are switched off.") from None
    picture = Picture(fire.file_id, fire.picture_says or "") if fire and fire.file_id else None
    return messages.digest(shown, said(digest), fire_id=fire_id, picture=picture, preview=fire is None)


HANDLES = (
    Verb(
        name="digest",
        usage='digest [add "schedule" [tz:zone] [empty:skip] [picture:no] [list filters]|list|now ID|pause ID'
        "|resume ID|edit ID|remove ID]",
        summary="Tells this channel what is open, when it is time. Alone it opens a form. A schedule is said in words"
        " or written as cron, and keeps to the clock of its zone: yours, unless `tz:` names another.",
        examples=(
            'digest add "weekdays at 9"',
            'digest add "0 9 * * 1-5" tz:Europe/Berlin critical team:payments',
            "digest list",
            "digest now 3",
        ),
        group=Group.DIGEST,
        synonyms=("schedule", "summary"),
        command=command,
        buttons={
            "digest_preview": press_preview,  # Preview
            "digest_form_preview": form_preview,  # Preview, in the form
            "digest_pause": press_pause,  # Pause
            "digest_resume": press_resume,  # Resume
            "digest_edit": press_edit,  # Edit
            "digest_remove": press_remove,  # Remove
            "digest_previous": turn,  # Previous
            "digest_next": turn,  # Next
        },
        forms={"digest": submission},
    ),
)
