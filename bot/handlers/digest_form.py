"""The form of `digest`: opened empty or with a digest in it, previewed, and submitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from bot.digests import content, drafts, schedule_text, service, zones
from bot.digests.content import FIRST_NEWS_PERIOD
from bot.digests.drafts import Draft
from bot.digests.errors import DigestChanged
from bot.digests.schedule import USAGE as ADD_USAGE
from bot.digests.schedule import parse_cron
from bot.digests.summary import summarize
from bot.handlers import filter_fields, redraw
from bot.handlers.context import Context
from bot.handlers.verb import Feature
from bot.incidents import search
from bot.incidents.errors import InvalidInput, Refusal
from bot.incidents.filters import ListQuery, parse_query
from bot.incidents.markup import require_storable
from bot.messages import digest as messages
from bot.messages import digest_answers as answers
from bot.messages import digest_form as form
from bot.messages import forms
from bot.messages.digest_answers import Notes
from bot.people.channels import Channel
from bot.slack.requests import Command, Origin, Press, Submission, submission_from
from bot.slack.responses import Answer, Done, FormErrors, OpenForm, Response
from storage.digest_rows import DigestRow

T = TypeVar("T")


def open_new(context: Context, request: Command) -> Response:
    service.check_role(context.access)
    require_trigger(request)
    here = request.channel_id if request.channel_id and request.channel_id[0] in "CG" else None
    return OpenForm(
        form.render_form(
            "New digest",
            "Create",
            Origin(r=request.response_url).to_metadata(),
            channel_id=here,
            schedule="weekdays at 9",
            zone=context.access.timezone,
            query=ListQuery(),
            choices=filter_fields.list_choices(context),
            skip_empty=False,
            picture=True,
        )
    )


def require_trigger(request: Command | Press) -> None:
    """Slack opens forms for slash commands and buttons, but not for messages. Raises InvalidInput."""
    if isinstance(request, Command) and request.in_message:
        raise InvalidInput(
            "A message cannot open the form. Use the slash command, or write the whole digest:", ADD_USAGE
        )


def open_existing(context: Context, digest: DigestRow, request: Command | Press) -> Response:
    where = redraw.describe_window(request) if isinstance(request, Press) else {}
    schedule = parse_cron(digest.cron)
    spoken = schedule_text.describe_schedule(schedule)
    try:
        speakable = schedule_text.parse_schedule(spoken) == schedule
    except InvalidInput:
        speakable = False
    return OpenForm(
        form.render_form(
            f"Digest {digest.id}",
            "Save",
            Origin(d=digest.id, v=service.build_version(digest), r=request.response_url, **where).to_metadata(),
            channel_id=digest.channel_id,
            schedule=spoken if speakable else digest.cron,
            zone=digest.zone,
            # Who has left is shown as typed, and refused when the form is submitted.
            query=search.name_owner_leniently(context.connection, context.access, parse_query(digest.filters)),
            choices=filter_fields.list_choices(context),
            skip_empty=digest.skip_empty,
            picture=digest.picture,
            owner=None if digest.owner_id == context.access.member_id else digest.owner,
        )
    )


@dataclass(frozen=True, slots=True)
class _FormValues:
    """What stands in the form."""

    channel_id: str
    draft: Draft


def _read_form(request: Submission) -> _FormValues | FormErrors:
    """The form's fields, or what is wrong with each of them."""
    errors: dict[str, str] = {}

    def read(field: str, reader: Callable[[], T]) -> T | None:
        try:
            return reader()
        except InvalidInput as mistake:
            errors[mistake.field or field] = mistake.sentence
            return None

    def text(block_id: str) -> str:
        return require_storable(request.text(block_id))

    schedule = read(form.SCHEDULE, lambda: schedule_text.parse_schedule(text(form.SCHEDULE)))
    zone = read(form.ZONE, lambda: zones.parse_zone(text(form.ZONE), ADD_USAGE))
    query = read(form.WORDS, lambda: drafts.check_filters(filter_fields.read_query(request)))
    channel_id = request.values.get(form.CHANNEL, {}).get("selected_conversation")
    if not channel_id:
        errors[form.CHANNEL] = "Choose a channel."
    if schedule is None or zone is None or query is None or not channel_id:
        return FormErrors(errors)
    skip_empty = request.chosen(form.EMPTY) == "skip"
    picture = bool(request.checked(form.PICTURE))
    return _FormValues(str(channel_id), Draft(schedule, zone, query, skip_empty=skip_empty, picture=picture))


def handle_submission(context: Context, request: Submission) -> Response:
    """The form, submitted."""
    service.check_role(context.access)
    filled = _read_form(request)
    if isinstance(filled, FormErrors):
        return filled
    draft = filled.draft
    changed = None
    if "d" in request.origin:
        changed = service.get_manageable_digest(
            context.connection, context.access, drafts.parse_id(str(request.origin["d"])), context.now, here=None
        )
    try:
        service.check_draft(context.connection, context.access, draft, context.now)
    except InvalidInput as mistake:
        return FormErrors({mistake.field or form.WORDS: mistake.sentence})
    try:
        kept = changed is not None and changed.channel_id == filled.channel_id
        channel = get_channel(context, filled.channel_id, changed.workspace_id if changed and kept else None)
    except Refusal as refusal:
        return FormErrors({form.CHANNEL: refusal.sentence})
    notes = build_notes(context, draft, channel)
    try:
        return _save(context, request, filled, changed, channel, notes)
    except DigestChanged as refusal:
        return FormErrors({form.CHANNEL: refusal.sentence})


def _save(
    context: Context,
    request: Submission,
    filled: _FormValues,
    changed: DigestRow | None,
    channel: Channel,
    notes: Notes,
) -> Response:
    """Stores a new digest, or the one that is changed. Raises DigestChanged, and Refusal as the rules of digests do."""
    draft, user_id = filled.draft, request.person.user_id
    with context.write(once=request.key) as tx:
        if changed:
            # Looked at again under its lock: it may have become somebody else's meanwhile.
            digest = service.get_manageable_digest(tx, context.access, changed.id, context.now, here=None, lock=True)
            if "v" in request.origin:  # a form of an earlier version has none
                service.check_version(tx, digest, str(request.origin["v"]), context.now)
            digest = service.change_digest(tx, context.access, user_id, digest, channel.id, draft, context.now)
        else:
            digest = service.create_digest(tx, context.access, user_id, channel.id, draft, context.now)
        sentence = f"You changed digest {digest.id}." if changed else f"You created digest {digest.id}."
        if changed and digest.owner_id != changed.owner_id:
            sentence += " " + answers.BECAME_OWNER
        shown = answers.render_saved(sentence, digest, summarize(digest), notes)
        if request.origin.get("s") == "modal":
            place = redraw.Place.of_origin(request.origin)
            return Done(redraw.redraw_in_place(tx, context, request, place, shown))
    to = request.origin.get("r")
    return Done(Answer(shown, to=str(to)) if to else None)


def handle_preview_press(context: Context, request: Press) -> Response:
    """`Preview` in the form: on top of it, what is wrong with it or what it would say now."""
    try:
        service.check_role(context.access)
        if request.view is None:
            raise Refusal("This button works only in the form of a digest.")
        filled = _read_form(submission_from(request.payload))
        if isinstance(filled, FormErrors):
            return OpenForm(forms.render_error(" ".join(filled.errors.values())))
        draft = filled.draft
        service.check_draft(context.connection, context.access, draft, context.now)
        channel = get_channel(context, filled.channel_id)
    except Refusal as refusal:
        return OpenForm(forms.render_error(refusal.sentence))
    notes = build_notes(context, draft, channel)
    scope = content.resolve_scope(context.connection, context.access, draft.query, context.now)
    sketch = _unsaved_digest(context, channel.id, draft)
    since = context.now - FIRST_NEWS_PERIOD
    shown = content.load_content(context.connection, scope, sketch, since=since, as_of=context.now)
    spoken = summarize(sketch)
    return OpenForm(form.render_preview(spoken, notes, messages.render_digest(shown, spoken, fire_id=None)))


def _unsaved_digest(context: Context, channel_id: str, draft: Draft) -> DigestRow:
    """A digest that is not stored yet."""
    columns = draft.columns()
    return DigestRow(
        id=0,
        organization_id=context.access.organization_id,
        workspace_id=context.access.workspace_id,
        channel_id=channel_id,
        owner_id=context.access.member_id,
        owner_user_id=None,
        owner=context.access.name,
        name=None,
        **columns,
        grace_minutes=None,
        next_fire_at=draft.schedule.next(context.now, draft.zone),
        last_sent_at=None,
        date_paused=None,
        pause_reason=None,
    )


def get_channel(context: Context, channel_id: str, workspace_id: str | None = None) -> Channel:
    """The channel, when a digest may be posted there. Raises Refusal.

    `workspace_id` is where the channel is; without it, the caller's.
    """
    channel = context.channels().get_postable(workspace_id or context.access.workspace_id, channel_id)
    if channel.shared:
        service.check_shared_channel(context.access, channel.name)
    return channel


def build_notes(context: Context, draft: Draft, channel: Channel | None) -> Notes:
    """What the author of this digest should know."""
    times = service.list_next_times(draft.schedule, draft.zone, context.now)
    projects = service.list_restricted_projects(context.connection, context.access, draft, context.now)
    return Notes(
        times,
        answers.render_audience(channel.name, channel.private, projects) if channel and projects else None,
        service.frequency_warning(draft.schedule, draft.zone, context.now),
    )


HANDLES = (
    Feature(
        buttons={"digest_form_preview": handle_preview_press},  # Preview, in the form
        forms={"digest": handle_submission},
    ),
)
