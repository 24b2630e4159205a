"""The format of the organization file. Everything is checked before anything is changed, and every mistake is reported.

The README has an example. A new field goes into the model of its entry here, and into `difference.py` or
`member_difference.py`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)

from bot.digests import schedule_text, zones
from bot.digests.drafts import parse_filters
from bot.incidents.errors import InvalidInput
from bot.incidents.markup import EMOJI_NAME
from bot.organization.calls import CallEntry, check_calls
from bot.organization.durations import LongDuration, Retention, StormWindow
from bot.organization.references import check_references
from bot.organization.tree import Mistake, NotReadable, Tree, format_path, format_value, parse_tree
from bot.organization.tree import Path as TreePath
from storage.values import Role

MAX_NAME_LENGTH = 80  # characters
DEFAULT_QUIET_MINUTES = 5
MAX_QUIET_MINUTES = 1440
DEFAULT_STORM_CARDS = 5
MAX_STORM_CARDS = 1000
DEFAULT_STORM_WITHIN_S = 60
MAX_EMAIL_LENGTH = 254  # characters, RFC 5321's longest path without its brackets
# If there are more, the first ones should be fixed before the rest is worth reading.
MAX_MISTAKES_SHOWN = 100

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
DEFAULT_ACKNOWLEDGE_REACTION = "eyes"
DEFAULT_RESOLVE_REACTION = "white_check_mark"
_EMAIL = re.compile(r"[!-?A-~]+@[!-?A-~]+")


class BadFile(ValueError):
    """The organization file cannot be used; `lines` has one line for each mistake."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def _check_name(value: str) -> str:
    folded = " ".join(value.split())
    if not folded:
        raise ValueError("is empty")
    if len(folded) > MAX_NAME_LENGTH:
        raise ValueError(f"is longer than {MAX_NAME_LENGTH} characters")
    if not folded.isprintable():
        raise ValueError("holds characters that cannot be shown")
    return folded


def _check_slug(value: str) -> str:
    if not _SLUG.fullmatch(value):
        raise ValueError(
            "should be a slug: at most 50 lower case letters, digits, - and _, the first a letter or a digit"
        )
    return value


def _check_email(value: str) -> str:
    if not _EMAIL.fullmatch(value) or len(value) > MAX_EMAIL_LENGTH:
        raise ValueError("should be an e-mail address, like ada@acme.test")
    return value.lower()


def _parse_minutes(value: Any) -> Any:
    # Scalars of the file are text until their field says otherwise.
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,4}", value) or int(value) > MAX_QUIET_MINUTES:
        raise ValueError(f"should be a number of minutes from 0 to {MAX_QUIET_MINUTES}")
    return int(value)


def _parse_storm_cards(value: Any) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,4}", value) or not 1 <= int(value) <= MAX_STORM_CARDS:
        raise ValueError(f"should be a number of cards from 1 to {MAX_STORM_CARDS:,}")
    return int(value)


def _parsed_by(parse_tree: Callable[[str], object]) -> AfterValidator:
    """A value that people may also type in Slack; it is stored as `read` returns it."""

    def check(value: str) -> str:
        try:
            return str(parse_tree(value))
        except InvalidInput as mistake:
            raise ValueError(mistake.sentence) from None

    return AfterValidator(check)


def _check_empty(value: str) -> str:
    if value not in ("send", "skip"):
        raise ValueError("should be send or skip")
    return value


def _check_slack_id(letters: str, what: str) -> AfterValidator:
    pattern = re.compile(rf"[{letters}][A-Z0-9]+")
    shape = " or ".join(f"{letter}0123ABCD" for letter in letters)

    def check(value: str) -> str:
        if not pattern.fullmatch(value) or len(value) > 32:
            raise ValueError(f"should be the Slack id of {what}, like {shape}")
        return value

    return AfterValidator(check)


def _parse_reaction(value: str) -> str:
    name = value.strip(":")
    if not EMOJI_NAME.fullmatch(name):
        raise ValueError("should be the name of an emoji, like eyes")
    return name


Name = Annotated[str, AfterValidator(_check_name)]
Reaction = Annotated[str, AfterValidator(_parse_reaction)]
Slug = Annotated[str, AfterValidator(_check_slug)]
Email = Annotated[str, AfterValidator(_check_email)]
WorkspaceId = Annotated[str, _check_slack_id("T", "a workspace")]
ChannelId = Annotated[str, _check_slack_id("CG", "a channel")]
UsergroupId = Annotated[str, _check_slack_id("S", "a user group")]
UserId = Annotated[str, _check_slack_id("UW", "a person")]

Minutes = Annotated[int, BeforeValidator(_parse_minutes)]
StormCards = Annotated[int, BeforeValidator(_parse_storm_cards)]


CronText = Annotated[str, _parsed_by(schedule_text.parse_schedule)]
ZoneName = Annotated[str, _parsed_by(lambda name: zones.parse_zone(name, "").key)]
Filters = Annotated[str, _parsed_by(parse_filters)]


class _Entry(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class RetentionEntry(_Entry):
    """How many seconds something is kept. None: for good."""

    closed_incidents: Retention | None = None
    audit: Retention | None = None


class OrganizationEntry(_Entry):
    slug: Slug
    name: Name
    workspaces: list[WorkspaceId] = []
    open_membership: bool = False
    incidents: bool = True
    shared_channels: bool = False
    # Reactions on a card, as Slack names them.
    acknowledge_reaction: Reaction = DEFAULT_ACKNOWLEDGE_REACTION
    resolve_reaction: Reaction = DEFAULT_RESOLVE_REACTION
    retention: RetentionEntry = RetentionEntry()


class TeamEntry(_Entry):
    slug: Slug
    name: Name
    slack_usergroup: UsergroupId | None = None
    sync_members: bool = False
    # An owner from whom nothing has been heard for so long is asked; in seconds.
    remind_owner: LongDuration | None = None
    oncall_usergroup: UsergroupId | None = None
    oncall_channel: ChannelId | None = None  # where a change of who is on call is posted
    timezone: ZoneName | None = None
    calls: list[CallEntry] | None = None  # None: what managers have set in Slack counts


class StormEntry(_Entry):
    """More new cards than `cards` within `within` (in seconds) become one message in a channel."""

    cards: StormCards = DEFAULT_STORM_CARDS
    within: StormWindow = DEFAULT_STORM_WITHIN_S


class ProjectEntry(_Entry):
    slug: Slug
    name: Name
    teams: list[Slug] = []
    channels: list[ChannelId] = []
    # An alert that ends and fires again within this time is the same incident.
    quiet_minutes: Minutes = DEFAULT_QUIET_MINUTES
    storm: StormEntry = StormEntry()


# How the two shapes of `slack:` are told apart; pydantic puts these into the paths of its errors.
_ONE_ID, _ID_BY_WORKSPACE = "one id", "ids by workspace"


def _choose_shape(value: Any) -> str | None:
    return _ONE_ID if isinstance(value, str) else _ID_BY_WORKSPACE if isinstance(value, Mapping) else None


SlackIdsEntry = Annotated[
    Annotated[UserId, Tag(_ONE_ID)] | Annotated[dict[WorkspaceId, UserId], Tag(_ID_BY_WORKSPACE)],
    Discriminator(_choose_shape),
]


class MemberEntry(_Entry):
    email: Email
    name: Name
    slack: SlackIdsEntry | None = None  # without one, the e-mail identifies them
    role: Annotated[Role, Field(strict=False)] = Role.MEMBER
    teams: list[Slug] = []
    superuser: bool = False


class DigestEntry(_Entry):
    name: Slug  # identifies the digest in the file
    channel: ChannelId
    owner: Email
    schedule: CronText
    zone: ZoneName = "UTC"
    filters: Filters = "open"
    empty: Annotated[str, AfterValidator(_check_empty)] = "send"
    picture: bool = True
    grace_minutes: Minutes | None = None  # None: see `bot.digests.grace`


class OrganizationFile(_Entry):
    organization: OrganizationEntry
    teams: list[TeamEntry] = []
    projects: list[ProjectEntry] = []
    members: list[MemberEntry] = []
    digests: list[DigestEntry] = []


def load(path: Path) -> OrganizationFile:
    """Reads and checks an organization file. Raises BadFile with every mistake in it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BadFile([f"{path}:{line}: is not UTF-8 text"]) from None
    except OSError as error:
        raise BadFile([f"{path}: cannot be read: {error.strerror}"]) from None
    return parse(text, str(path))


def parse(text: str, name: str) -> OrganizationFile:
    """Checks the text of an organization file; `name` stands before each mistake's line. Raises BadFile."""
    try:
        tree = parse_tree(text)
    except NotReadable as error:
        raise BadFile([error.mistake.format(name)]) from None
    if not isinstance(tree.value, dict):
        raise BadFile([f"{name}:1: should begin with the field organization:"])
    mistakes = [*tree.mistakes, *check_references(tree)]
    file = None
    try:
        file = OrganizationFile.model_validate(_without_nulls(tree.value))
    except ValidationError as error:
        mistakes += _build_mistakes(tree, [dict(item) for item in error.errors(include_url=False)])
    if not mistakes:  # a wrong role or team would let rules of calls look wrong, too
        mistakes += check_calls(tree)
    if file is None or mistakes:
        mistakes.sort(key=lambda mistake: mistake.line)
        lines = [mistake.format(name) for mistake in mistakes[:MAX_MISTAKES_SHOWN]]
        if len(mistakes) > MAX_MISTAKES_SHOWN:
            lines.append(f"{name}: and {len(mistakes) - MAX_MISTAKES_SHOWN} more mistakes")
        raise BadFile(lines)
    return file


def _without_nulls(value: Any) -> Any:
    """A field with nothing behind its colon counts as absent, as it looks."""
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(v) for v in value]
    return value


# --- describing mistakes -------------------------------------------------------------------------------

_FIELDS: dict[str | None, list[str]] = {
    None: list(OrganizationFile.model_fields),
    "organization": list(OrganizationEntry.model_fields),
    "retention": list(RetentionEntry.model_fields),
    "teams": list(TeamEntry.model_fields),
    "projects": list(ProjectEntry.model_fields),
    "storm": list(StormEntry.model_fields),
    "members": list(MemberEntry.model_fields),
    "digests": list(DigestEntry.model_fields),
    "calls": list(CallEntry.model_fields),
}


def _build_mistakes(tree: Tree, items: list[dict[str, Any]]) -> Iterator[Mistake]:
    found = [(_get_path(item), item) for item in items]
    misspelt = {(*path[:-1], _find_meant(path)) for path, item in found if item["type"] == "extra_forbidden"}
    for path, item in found:
        if item["type"] != "missing" or path not in misspelt:  # one mistake, not two
            yield Mistake(tree.line(path), format_path(path), _describe(path, item))


def _get_path(item: dict[str, Any]) -> TreePath:
    return tuple(step for step in item["loc"] if step not in (_ONE_ID, _ID_BY_WORKSPACE, "[key]"))


def _get_fields(path: TreePath) -> list[str]:
    """The fields of the entry in which a path ends."""
    return _FIELDS[next((str(name) for name in reversed(path[:-1]) if name in _FIELDS), None)]


def _find_meant(path: TreePath) -> str | None:
    """The field that was probably meant where a path ends in one that there is not."""
    near = difflib.get_close_matches(str(path[-1]).lower(), _get_fields(path), n=1)
    return near[0] if near else None


def _describe(path: TreePath, item: dict[str, Any]) -> str:
    given = item.get("input")
    match item["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            meant = _find_meant(path)
            hint = f"did you mean {meant}?" if meant else f"the fields are {_join(_get_fields(path), 'and')}"
            return f"is no field here; {hint}"
        case "string_type":
            if isinstance(given, bool):
                return "should be text; yes, no, on, off, true and false need quotes to be text"
            return "should be text"
        case "bool_type":
            return f"should be true or false, not {format_value(given)}"
        case "list_type":
            return "should be a list"
        case "model_type" | "dict_type":
            return "should be a group of fields, each written as name: value"
        case "union_tag_not_found":
            return "should be a Slack id, like U0123ABCD, or one for each workspace, like {T0123ABCD: U0123ABCD}"
        case "enum":
            return f"should be {_join([role.value for role in reversed(Role)])}, not {format_value(given)}"
        case _:
            message = str(item["msg"]).removeprefix("Value error, ")
            quotable = isinstance(given, str) and given.strip() and not message.endswith((".", "?"))
            return message + (f", not {format_value(given)}" if quotable else "")


def _join(words: list[str], word: str = "or") -> str:
    return f"{', '.join(words[:-1])} {word} {words[-1]}"
