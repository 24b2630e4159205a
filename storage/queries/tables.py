"""Which tables an export has, and why it lacks the others; which a move leaves out.

A test compares both lists with the models: whoever adds a table decides what becomes of it.
"""

from __future__ import annotations

from collections.abc import Mapping

# By table, the kind of the lines of an export that hold it.
EXPORTED: Mapping[str, str] = {
    "organization": "organization",
    "workspace": "organization",  # without those that were disconnected
    "team": "team",
    "project": "project",
    "project_team": "project",
    "project_channel": "project",
    "member": "member",
    "member_slack_user": "member",
    "member_team": "member",
    "digest": "digest",
    "digest_fire": "digest",  # when the last one was sent: the next one shows what is new since then
    "personal_digest": "personal_digest",
    "followed_filter": "followed_filter",
    "silence": "silence",
    "incident": "incident",
    "incident_project": "incident",
    "incident_seen": "incident",
    "incident_subscription": "incident",
    "incident_activity": "incident",  # without deleted comments
    "comment_mention": "incident",  # in the texts of comments
    "alert_memory": "incident",  # of the alerts that have one
    "audit_entry": "audit",
}

# By table, the columns that are not in its lines, beside the ids of rows and what the place of a line says.
COLUMNS_LEFT_OUT: Mapping[str, frozenset[str]] = {
    "organization": frozenset({"date_added"}),  # here
    "workspace": frozenset({"paused_reason", "paused_until", "date_added", "date_disconnected"}),  # of this bot in it
    # When they are due next, an import computes; the others are for versions before.
    "digest": frozenset({"next_fire_at", "last_fire_at", "default_grace"}),
    "personal_digest": frozenset({"next_fire_at"}),
    "silence": frozenset({"hold_after", "release_after"}),  # how far its batches have come
    "incident": frozenset({"dedup_key"}),  # for a version before
    "incident_activity": frozenset({"date_deleted"}),  # deleted comments are left out
    "alert_memory": frozenset({"dedup_key"}),  # for a version before
    "audit_entry": frozenset({"transaction_id"}),
}

_SECRET = "a secret, which no file should hold: make it anew there"
_UNDER_WAY = "under way for moments, and an import notifies nobody"
_MESSAGES = "about messages in Slack, which the bot that posted them keeps current"
_FROM_SLACK = "what Slack says, and is asked for again"
_OF_PROCESSES = "about the processes of one installation"

# By table, why it is not in an export.
NOT_EXPORTED: Mapping[str, str] = {
    "intake_token": _SECRET,
    "installation": _SECRET,
    "installation_workspace": "about installations: install the app there anew",
    "workspace_request": "about installations that wait for an owner of this organization",
    "oauth_state": _UNDER_WAY,
    "outbox": _UNDER_WAY,
    "handled_request": _UNDER_WAY,
    "form_text": "of forms that are open in Slack, for a day",
    "call_step": "calls under way; those that were made are in the logs of their incidents",
    "call_recipient": "calls under way; those that were made are in the logs of their incidents",
    "owner_reminder": "made anew by an import, from the owners of incidents and their teams",
    "handoff": "offers for a day, in messages of this bot; those that were accepted are in the logs of their incidents",
    "handoff_item": "offers for a day, in messages of this bot",
    "join_request": "in messages of this bot; who asked can ask again",
    "destination": _MESSAGES,
    "post": _MESSAGES,
    "notification": _MESSAGES,
    "thread_reply": _MESSAGES,
    "storm": _MESSAGES,
    "storm_incident": _MESSAGES,
    "slack_person": _FROM_SLACK,
    "usergroup": _FROM_SLACK,
    "usergroup_user": _FROM_SLACK,
    "method_pace": _OF_PROCESSES,
    "process_lease": _OF_PROCESSES,
    "replica": _OF_PROCESSES,
    "organization_move": "about databases of one installation",
}

# What a move leaves out: it belongs to processes, or is worth nothing elsewhere.
NOT_MOVED = frozenset({"process_lease", "replica", "oauth_state", "organization_move"})
