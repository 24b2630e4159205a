"""Every statement that reads incidents is built from the one rule of who may see them, or stands below with a reason.

A new query that reads an incident table fails here until it uses `storage.queries.visibility`, or somebody says why
it need not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import storage.queries
from storage.queries import visibility

_READS = re.compile(
    r"\b(FROM|JOIN|UPDATE|USING|,)\s+incident(_\w+)?\b|\bIncident(Project|Activity|Seen|Subscription)?\b"
)
_PIECES = [name for name in vars(visibility) if not name.startswith("_") and name != "annotations"]
_RULE = re.compile("|".join([*_PIECES, re.escape("%(project_ids)s")]))

# What needs no rule, by the reason. What follows an incident by its id is called with one that the rule let through.
_FOLLOWS = "follows an incident that was found by the rule"
_RECEIVES = "takes an alert in: nobody reads what it finds"
_OPERATES = "serves the operator's `apply`, who sees the database"
_RESTORES = "serves the operator's `after-restore`, who sees the database"
_CALLS = "keeps the steps of calls; who is called is asked by _CALLEES, which is the rule"
_MAINTAINS = "keeps delivery's rows; what a message shows is read by rendering's statements"
_COUNTS = "counts for the operator's metrics, and shows nothing of an incident"
EXEMPT = {
    "acknowledging.ACKNOWLEDGE": "reads from incidents.HEAD_SQL, which has the rule",
    "commenting.COMMENT": "reads from incidents.HEAD_SQL, which has the rule",
    "acknowledging._MARK_SEEN": _FOLLOWS,
    "activity._LOG": _FOLLOWS,
    "activity.build_latest_entry": _FOLLOWS,
    "log_entries.build_entry": _FOLLOWS,
    "log_entries.build_record": _FOLLOWS,
    "activity.find_comment": _FOLLOWS,
    "activity.insert_activities": _FOLLOWS,
    "activity._LAST_STATUS_CHANGE": _FOLLOWS,
    "activity.delete_comment": _FOLLOWS,
    "activity.find_position": _FOLLOWS,
    "activity.update_comment": _FOLLOWS,
    "alertmanager.list_open_alerts": _RECEIVES,
    "backlog._PARTS": _COUNTS,
    "call_messages.create_calls": _MAINTAINS,
    "calls._BEGIN": _CALLS,
    "calls._KEY": "columns alone",
    "calls._DUE": _CALLS,
    "calls._TEAM": _CALLS,
    "calls.decline": "is for who was called, and found the incidents by the rule",
    "calls.hasten_next": _CALLS,
    "calls._INSERT_RECORDS": _CALLS,
    "calls._ACKNOWLEDGED": _CALLS,
    "calls._RECORD_RESULTS": _CALLS,
    "calls.resume": _CALLS,
    "delivery_failures.recover_channel": _MAINTAINS,
    "digest_contents._SEEN": "a part of statements that use the rule",
    "digest_contents._Statement.select_open": "its condition of projects is set from the owner's in __init__",
    "digest_contents._Statement.select_in_order": "its condition of projects is set from the owner's in __init__",
    "digest_contents._Statement.count_severities": "its condition of projects is set from the owner's in __init__",
    "digest_contents._Statement.shows": "its condition of projects is set from the owner's in __init__",
    "digest_contents.count_by_day": "reads from count_severities, and what fulfils shows",
    "digest_contents.get_news": "reads what fulfils shows",
    "digest_contents.get_open_page": "reads from select_in_order",
    "post_contents.find_identifier": _FOLLOWS,
    "post_contents.find_notification_content": "asks _READER, which is the rule, in the same transaction",
    "post_contents._find_comment_after": "is called for a reader of whom _READER has asked the rule",
    "post_contents.split_notification": _MAINTAINS,
    "restoration.count_open_incidents": _RESTORES,
    "restoration.drop_unexpanded_changes": _RESTORES,
    "restoration.find_moment": _RESTORES,
    "direct_messages._build_outdate": _MAINTAINS,
    "posts._EARLIER": _MAINTAINS,
    "posts._MARK_DELIVERED": _MAINTAINS,
    "outbox_changes._build_take": _MAINTAINS,
    "outbox_changes._build_change": "builds a value from a row that was read",
    "outbox_changes._AUDIENCES": "finds whose incident it is; who sees it is asked by _CANDIDATES",
    "expansion._CREATE_THREAD_POSTS": _MAINTAINS,
    "expansion.list_for_storms": _MAINTAINS,
    **dict.fromkeys(
        (
            "exporting._INCIDENTS",
            "exporting.count_incidents",
            "importing._LINK_SILENCES",
            "importing.find_incidents",
            "importing.find_open_alerts",
            "importing.insert_entries",
            "importing.insert_incidents",
            "importing.insert_parts",
        ),
        "serves the operator's `export` and `import`, who sees the database",
    ),
    **dict.fromkeys(
        (
            "erasing._ERASE",
            "erasing._TAKES_PART",
            "erasing.erase_from_incidents",
            "erasing.list_calls",
            "erasing.list_held_incidents",
            "erasing.list_incident_ids",
            "erasing.save_calls",
            "retention.count_log_entries",
            "retention.count_old_incidents",
            "retention.delete_incidents",
            "retention.delete_log_entries",
            "retention.hold_incident",
            "retention.list_holds",
            "retention.lock_old_incidents",
        ),
        "serves the operator's `retention`, `hold` and `erase`, who sees the database",
    ),
    "handoffs.LAST_COMMENT": "a part of statements that use the rule",
    "handoffs._get_mentions": "reads who the note of an offer mentions, for its reader",
    "handoffs.insert_handoff": "is given incidents that the rule let through",
    "handoffs.list_offered": "the handler looks each up by the rule",
    "handoffs.list_owned": "the handler looks each up by the rule",
    "incidents._INSERT_INCIDENTS": "opens incidents",
    "incidents._DETACH_ALERT": _RECEIVES,
    "incidents.filter_ids_in_projects": "is given the projects that its caller sees",
    "incidents.get_project_ids": _FOLLOWS,
    "incidents._SET_STATUS": _FOLLOWS,
    "acknowledging.mark_all_seen": _FOLLOWS,
    "subscriptions.subscribe_to_all": _FOLLOWS,
    "subscriptions.unsubscribe": _FOLLOWS,
    "subscriptions.unsubscribe_members": "removes those who no longer see it",
    "intake._DELETE_SILENT": _RECEIVES,
    "intake._LOCK_INCIDENTS": _RECEIVES,
    "intake._SAVE_MEMORIES": _RECEIVES,
    "intake._PROJECTS_OF_KEYS": _RECEIVES,
    "intake._UPDATE_TEXTS": _RECEIVES,
    "intake.lock_alert_memories": _RECEIVES,
    "list_statements.ListStatements._among_newest_of_all": "for who sees every project of the organization it names",
    "list_statements.ListStatements._of_others": "further conditions on what _branch lets through",
    "list_statements.ListStatements._passes": "further conditions on what _branch lets through",
    "list_statements.ListStatements.with_columns": "shows the ids that the other methods let through",
    "notifications._INSERT_POSTS": _MAINTAINS,
    "owner_reminders._DUE": "finds whom to ask; what they are shown is read by _CONTENT",
    "owner_reminders._HEARD_AT": "a part of statements about an incident and its owner",
    "owner_reminders._REMIND_AFTER_S": "a part of statements about an incident and its owner",
    "owner_reminders._SCHEDULE": "finds when to look at an owner; what they are shown is read by _CONTENT",
    "organization.count_incidents": _OPERATES,
    "owners.find_owner": _FOLLOWS,
    "owners._SET_OWNER": _FOLLOWS,
    "owners.set_owner_of_all": _FOLLOWS,
    "organization_changes.lock_open_incidents_only_of": _OPERATES,
    "organization_changes.delete_teams": _OPERATES,
    "outbox._RECORD_ALL": _MAINTAINS,
    "outbox._REDRAW_CARDS": _MAINTAINS,
    "outbox._REDRAW_DIRECT_MESSAGES": _MAINTAINS,
    "outbox._CONCERNS_SOMEBODY": _MAINTAINS,
    "outbox._RECORD": _MAINTAINS,
    "outbox.concerns_others": _MAINTAINS,
    "outbox.record_change": _MAINTAINS,
    "outbox.redraw_direct_messages": _MAINTAINS,
    "outbox.record_comment_change": _MAINTAINS,
    "outbox.redraw_cards_of_project": _MAINTAINS,
    "outbox.redraw_cards_of_organization": _MAINTAINS,
    "post_kinds.POST_COLUMNS": _MAINTAINS,
    "post_kinds.build_post": "builds a value from a row that was read",
    "subscriptions._SUBSCRIBE": _FOLLOWS,
    "silence_holding._DESCRIBED": "describes the alert of an incident for the statements below",
    **dict.fromkeys(
        (
            "silence_holding._build_candidates",
            "silence_holding._build_hold",
            "silence_holding._build_hold_batch",
            "silence_holding._build_lock_batch",
        ),
        "finds the incidents by _MATCHES, which has the rule",
    ),
    "silence_holding._FROM_BOTH": "names who silences what, for _MATCHES, which has the rule",
    "silences.FROM": "the title for the statements below, which ask for the projects of the silence",
    "silences._ENDS": "is given the incidents of a list, which the rule let through",
    "silences._FIND_HELD": "serves delivery, which asks for each reader",
    "silences.find_holder": "is given an incident that get_alert let through",
    "silences.insert_silence": "is given an incident that find_alert let through",
    "storms.insert_incidents": _MAINTAINS,
    "storms.list_recent_cards": _MAINTAINS,
    "storms.unfold_reopened": _MAINTAINS,
    "storm_contents._ALERTS": "reads from _ENDS, which has the rule",
    "storm_contents._CONTENT": "reads from _SHOWN",
    "storm_contents._SHOWN": "reads what _IN_CHANNEL, which is the rule, lets through",
    "threads.find_card": "finds the card of a reply; the handler looks its incident up by the rule",
}


def _units(source: str, module: str) -> Iterator[tuple[str, str]]:
    """The statements of a module and the methods of its classes: name and source, without docstrings."""
    lines = source.split("\n")  # not ast.get_source_segment, which would part the whole source for each
    for node in ast.parse(source).body:
        parts = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{module}.{node.name}" if isinstance(node, ast.ClassDef) else module
        for part in parts:
            match part:
                case ast.FunctionDef(name=name):
                    body = part.body[1:] if ast.get_docstring(part) is not None else part.body
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    body = [part]
                case _:
                    continue
            yield f"{prefix}.{name}", "\n".join("\n".join(lines[one.lineno - 1 : one.end_lineno]) for one in body)


def _reading(folder: Path) -> dict[str, bool]:
    """By name: what reads incidents, and whether it uses the rule."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        if path.stem != "visibility":
            for name, source in _units(path.read_text(), path.stem):
                if _READS.search(source):
                    found[name] = bool(_RULE.search(source))
    return found


@pytest.fixture(scope="module")
def reading() -> dict[str, bool]:
    return _reading(Path(storage.queries.__path__[0]))


def test_every_statement_that_reads_incidents_uses_the_rule_or_says_why_not(reading: dict[str, bool]) -> None:
    unruled = {name for name, ruled in reading.items() if not ruled}
    assert unruled - EXEMPT.keys() == set(), "use storage.queries.visibility, or add a reason here"
    assert EXEMPT.keys() - unruled == set(), "these reasons are no longer needed"
    assert sum(reading.values()) >= 10


def test_a_statement_without_the_rule_is_found(tmp_path: Path) -> None:
    (tmp_path / "leaks.py").write_text('COUNT = "SELECT count(*) FROM incident WHERE organization_id = %(id)s"\n')
    (tmp_path / "fine.py").write_text(
        'def titles(c):\n    """Reads FROM incident."""\n'
        "    return c.execute(f\"SELECT title FROM incident i WHERE {of_given_projects('i.id')}\")\n"
    )
    assert _reading(tmp_path) == {"leaks.COUNT": False, "fine.titles": True}


def test_the_rule_is_written_once() -> None:
    """Roles and open membership decide in one module; elsewhere they are columns."""
    folder = Path(storage.queries.__path__[0])
    again = [
        path.name
        for path in sorted(folder.glob("*.py"))
        if re.search(r"open_membership OR|m\.role IN", path.read_text())
    ]
    assert again == ["visibility.py"]
