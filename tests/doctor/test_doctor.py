"""Deliberate faults, one at a time: `doctor` finds each, says how to mend it, and names nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, make_url, select, text

from bot.cli import main
from bot.doctor.database import judge_role, judge_timeouts
from bot.intake.tokens import Source, new_token, token_hash
from bot.organization.apply import apply
from bot.organization.file import load
from bot.secret_box import SecretBox
from bot.slack.manifest import EVENTS, SCOPES
from sandbox import Sandbox
from storage.clock import Clock
from storage.embedded import as_superuser
from storage.engine import Store
from storage.models import IntakeToken
from storage.queries import outbox, pacing
from storage.queries.destinations import ensure_destination
from storage.queries.doctor import RoleRow
from storage.queries.intake_tokens import record_token_refusal
from storage.queries.replicas import ReplicaRow, record_replica
from storage.queries.tokens import insert_token
from storage.values import PostKind
from tests.cli.test_settings import VARIABLES
from tests.patience import SESSION_TIMEOUTS

ORGANIZATION = """
organization: {slug: acme, name: Acme, workspaces: [T0001]}
teams: [{slug: payments, name: Payments}]
projects:
  - {slug: checkout, name: Checkout, teams: [payments], channels: [C0001]}
  - {slug: refunds, name: Refunds, teams: [payments], channels: [C0001, C0002]}
members:
  - {email: ada@acme.test, name: Ada Obi, slack: U0001, role: owner, teams: [payments]}
"""
KEY = "correct-horse-battery-staple"
PASSWORD = "geheim-und-lang"
UNBOUND = "so row-level security does not protect organizations from each other"
MENDED = 'a role that is no superuser: docs/database.md has the statements under "From a superuser to a plain role"'


@contextmanager
def _without_scopes(api_url: str) -> Iterator[str]:
    """The address of a server that passes everything on, save the header with the scopes."""

    class Between(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sent = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
            answer = httpx.post(api_url + self.path.removeprefix("/api/"), content=body, headers=sent)
            self.send_response_only(answer.status_code)
            for name in ("Content-Type", "Date"):
                self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(answer.content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Between) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/api/"
        finally:
            server.shutdown()
            thread.join()


class Patient:
    """A set-up in which all is well, until a test does something to it."""

    def __init__(
        self,
        slack: Sandbox,
        store: Store,
        environment: pytest.MonkeyPatch,
        capture: pytest.CaptureFixture[str],
        folder: Path,
    ) -> None:
        self.slack, self.store = slack, store
        self._environment, self._capture, self._folder = environment, capture, folder

    def set(self, **variables: str | None) -> None:
        """Sets variables; None takes one away."""
        for name, value in variables.items():
            if value is None:
                self._environment.delenv(name, raising=False)
            else:
                self._environment.setenv(name, value)

    def apply(self, organization: str) -> None:
        """Makes the database match an organization file."""
        path = self._folder / "organization.yaml"
        path.write_text(organization, encoding="utf-8")
        apply(self.store, load(path), self.store.clock.now(), prune=True, dry_run=False)

    def sentry_token(self, key: str) -> None:
        """A token of Sentry, its secret kept with that key."""
        with self.store.write() as tx:
            insert_token(
                tx,
                organization_id=tx.exec_driver_sql("SELECT id FROM organization").scalar_one(),
                project_id=None,
                source=Source.SENTRY,
                token_hash=token_hash(new_token()),
                secret_encrypted=SecretBox(key).seal("sentry's secret"),
                now=self.store.clock.now(),
            )

    def examined(self) -> tuple[int, list[str]]:
        """What `doctor` prints, line by line, and its exit code."""
        code = main(["doctor"])
        out, err = self._capture.readouterr()
        assert err == ""
        for secret in (self.slack.bot_token, self.slack.app_token, self.slack.signing_secret, KEY, PASSWORD):
            assert secret not in out
        return code, out.splitlines()

    def fault(self) -> str:
        """The one line of what is wrong."""
        code, lines = self.examined()
        (fault,) = [line for line in lines if not line.startswith("ok     ")]
        assert code == 1
        assert fault.startswith("FAULT  ")
        return fault


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = Store.open(database_url)
    yield opened
    opened.close()


@pytest.fixture
def slack() -> Iterator[Sandbox]:
    with Sandbox(scopes=SCOPES, subscriptions=EVENTS) as sandbox:
        sandbox.person("U0001", "Ada Obi", "ada@acme.test")
        sandbox.channel("C0001", "checkout")
        sandbox.channel("C0002", "refunds")
        yield sandbox


@pytest.fixture
def patient(
    slack: Sandbox,
    store: Store,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Patient:
    monkeypatch.chdir(tmp_path)
    found = Patient(slack, store, monkeypatch, capsys, tmp_path)
    found.set(**dict.fromkeys(VARIABLES))
    found.set(
        DATABASE_URL=database_url,
        SLACK_API_URL=slack.api_url,
        SLACK_BOT_TOKEN=slack.bot_token,
        SLACK_APP_TOKEN=slack.app_token,
    )
    found.apply(ORGANIZATION)
    return found


@pytest.mark.production_deadlines(*SESSION_TIMEOUTS)
def test_all_is_well(patient: Patient) -> None:
    patient.sentry_token(KEY)
    patient.set(TOCSIN_SECRET_KEY=KEY)
    code, lines = patient.examined()
    assert code == 0
    assert all(line.startswith("ok     ") for line in lines)
    said = "\n".join(lines)
    for fact in (
        *(
            "Socket Mode",
            "PostgreSQL 1",
            "sentry (1)",
            "workspace: Acme, id T0001",
            "agrees with Slack's",
            "time-outs: statement_timeout 2000 ms, lock_timeout 1000 ms, idle_in_transaction_session_timeout 10000 ms",
            "reads and writes the tables and may change the schema",
            "extension: pg_trgm 1.",
            "processes: none runs",
            "lag: nothing waits for longer than it should",
            f"all {len(SCOPES)}",
        ),
        *(
            "opens a connection",
            "1 member, 2 projects",
            "members: all are known",
            "#checkout of checkout, refunds",
            "#refunds of refunds",
        ),
    ):
        assert fact in said, fact
    assert not list(patient.slack.problems)


def test_all_is_well_over_http(patient: Patient) -> None:
    patient.set(SLACK_APP_TOKEN=None, SLACK_SIGNING_SECRET=patient.slack.signing_secret)
    code, lines = patient.examined()
    assert code == 0
    assert lines[0] == "ok     settings: HTTP mode"


# --- settings and tokens -----------------------------------------------------------------------------------


def test_no_tokens(patient: Patient) -> None:
    patient.set(SLACK_BOT_TOKEN=None, SLACK_APP_TOKEN=None)
    fault = patient.fault()
    for word in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "run_bot.py manifest"):
        assert word in fault


def test_a_setting_that_makes_no_sense(patient: Patient) -> None:
    patient.set(HTTP_PORT="many")
    fault = patient.fault()
    assert "HTTP_PORT should be a port number" in fault and "run doctor again" in fault


def test_a_token_whose_last_delivery_was_refused(patient: Patient, store: Store) -> None:
    patient.sentry_token(KEY)
    patient.set(TOCSIN_SECRET_KEY=KEY)
    with store.write() as tx:
        organization_id, token_id = tx.execute(select(IntakeToken.organization_id, IntakeToken.id)).one()
        record_token_refusal(
            tx, organization_id, token_id, datetime(2026, 11, 1, 9, 30, tzinfo=UTC), "dedup_key is missing"
        )
    fault = patient.fault()
    assert f"with token {token_id} (sentry) was refused at 2026-11-01 09:30 UTC: dedup_key is missing" in fault
    with store.write() as tx:
        record_token_refusal(tx, organization_id, token_id, None, None)
    assert patient.examined()[0] == 0


@pytest.mark.parametrize(("token", "what"), [("xoxp-1-2-3456789", "user token"), ("xapp-1-A1-2-abcdef", "app-level")])
def test_a_token_of_another_kind_by_its_looks(patient: Patient, token: str, what: str) -> None:
    patient.set(SLACK_BOT_TOKEN=token)
    fault = patient.fault()
    assert "SLACK_BOT_TOKEN" in fault and what in fault and "begins with xoxb-" in fault
    assert token not in fault


@pytest.mark.parametrize("reason", ["invalid_auth", "token_revoked", "account_inactive"])
def test_a_bot_token_that_slack_refuses(patient: Patient, reason: str) -> None:
    patient.slack.revoke(reason)
    _, lines = patient.examined()
    fault = next(line for line in lines if line.startswith("FAULT  SLACK_BOT_TOKEN"))
    assert f"refuses it ({reason})" in fault and "OAuth & Permissions" in fault


def test_a_bot_token_that_is_wrong(patient: Patient) -> None:
    patient.set(SLACK_BOT_TOKEN="xoxb-not-the-right-one")
    fault = patient.fault()
    assert "SLACK_BOT_TOKEN: Slack refuses it (invalid_auth)" in fault and "OAuth & Permissions" in fault


def test_an_app_token_that_is_refused(patient: Patient) -> None:
    patient.set(SLACK_APP_TOKEN="xapp-1-A0001-2-wrong")
    fault = patient.fault()
    assert "SLACK_APP_TOKEN: Slack refuses it" in fault and "connections:write" in fault


def test_tokens_of_two_apps(patient: Patient) -> None:
    patient.set(SLACK_APP_TOKEN="xapp-1-A0OTHER-2-abcdef")
    fault = patient.fault()
    assert "of the app A0OTHER, and SLACK_BOT_TOKEN of A0001" in fault and "same app" in fault


def test_a_bot_whose_app_slack_does_not_tell_is_no_fault(patient: Patient) -> None:
    patient.slack.platform.app.app_id = ""
    code, lines = patient.examined()
    assert code == 0, lines


def test_a_scope_is_missing(patient: Patient) -> None:
    patient.slack.platform.app.scopes = frozenset(SCOPES) - {"chat:write"}
    fault = patient.fault()
    assert "chat:write for chat.postMessage" in fault and "run_bot.py manifest" in fault and "install" in fault


def test_a_server_that_tells_no_scopes_is_no_fault(patient: Patient) -> None:
    """Slack's header is Slack's own: another server that speaks its language may leave it out."""
    with _without_scopes(patient.slack.api_url) as address:
        patient.set(SLACK_API_URL=address)
        code, lines = patient.examined()
    assert code == 0, lines
    assert any(line.startswith("ok     scopes: not told") for line in lines)


def test_scopes_are_missing_that_doctor_itself_needs(patient: Patient) -> None:
    patient.slack.platform.app.scopes = frozenset({"chat:write", "users:read.email"})
    code, lines = patient.examined()
    assert code == 1
    assert "channels:read for conversations.info" in "\n".join(lines)
    assert sum("Slack could not look it up (missing_scope). See scopes, above." in line for line in lines) == 2


def test_slack_cannot_be_reached(patient: Patient) -> None:
    patient.set(SLACK_API_URL="http://127.0.0.1:1/api/")
    fault = patient.fault()
    assert "Slack: cannot be reached" in fault and "SLACK_API_URL" in fault


def test_something_else_answers_at_slacks_address(patient: Patient) -> None:
    patient.set(SLACK_API_URL=patient.slack.api_url.removesuffix("api/") + "elsewhere/")
    assert "SLACK_API_URL" in patient.fault()


def test_slack_is_out_of_sorts(patient: Patient) -> None:
    patient.slack.faults.fail("auth.test", status=503, times=None)
    assert "SLACK_API_URL" in patient.fault()
    patient.slack.faults.clear()
    patient.slack.faults.refuse("auth.test", "internal_error")
    fault = patient.fault()
    assert "internal_error" in fault and "try again" in fault


def test_many_channels_take_patience_but_are_no_fault(patient: Patient) -> None:
    patient.slack.faults.rate_limit("conversations.info", retry_after=1, times=1)
    assert patient.examined()[0] == 0


# --- database ----------------------------------------------------------------------------------------------


def test_the_database_cannot_be_reached(patient: Patient) -> None:
    patient.set(DATABASE_URL=f"postgresql://tocsin:{PASSWORD}@127.0.0.1:1/tocsin")
    fault = patient.fault()
    assert "database: cannot be used" in fault and "Connection refused" in fault and "DATABASE_URL" in fault


def test_the_database_does_not_exist(patient: Patient, database_url: str) -> None:
    patient.set(DATABASE_URL=database_url.replace("/test_", "/no_test_"))
    fault = patient.fault()
    assert "does not exist" in fault and "DATABASE_URL" in fault


def test_the_schema_is_behind(patient: Patient) -> None:
    with patient.store.write() as tx:
        now = tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        tx.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    try:
        fault = patient.fault()
    finally:
        with patient.store.write() as tx:
            tx.execute(text("UPDATE alembic_version SET version_num = :now"), {"now": now})
    assert f"at 0001, and {now} is needed" in fault and "run_bot.py migrate" in fault


def test_a_schema_that_a_later_version_made_is_no_fault(patient: Patient) -> None:
    with patient.store.write() as tx:
        now = tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        tx.execute(text("UPDATE alembic_version SET version_num = 'of_next_year'"))
    try:
        assert patient.examined()[0] == 0
    finally:
        with patient.store.write() as tx:
            tx.execute(text("UPDATE alembic_version SET version_num = :now"), {"now": now})


def test_a_sentry_token_without_the_key(patient: Patient) -> None:
    patient.sentry_token(KEY)
    fault = patient.fault()
    assert "1 token of Sentry" in fault and "TOCSIN_SECRET_KEY is not set" in fault


def test_a_sentry_token_with_another_key(patient: Patient) -> None:
    patient.sentry_token(KEY)
    patient.set(TOCSIN_SECRET_KEY="another-key-of-some-length")
    fault = patient.fault()
    assert "1 token of Sentry" in fault and "another TOCSIN_SECRET_KEY (ID " in fault and "revoke" in fault


# --- the organization and its channels ---------------------------------------------------------------------


def test_a_workspace_of_no_organization(patient: Patient) -> None:
    patient.apply(ORGANIZATION.replace("[T0001]", "[T0009]"))
    fault = patient.fault()
    assert "the workspace T0001 belongs to none" in fault and "organization.workspaces" in fault


def test_what_cannot_arrive(patient: Patient) -> None:
    with patient.store.write() as tx:
        member = tx.exec_driver_sql("SELECT id FROM member WHERE name = 'Ada Obi'").scalar_one()
        person = ensure_destination(tx, "T0001", now=patient.store.clock.now(), member_id=member)
        tx.exec_driver_sql("UPDATE destination SET failed_reason = 'user_disabled', failed_at = now()")
    fault = patient.fault()
    assert "messages to Ada Obi cannot arrive (user_disabled)" in fault and "account in Slack" in fault
    with patient.store.write() as tx:
        channel = ensure_destination(tx, "T0001", now=patient.store.clock.now(), channel_id="C0001")
        tx.exec_driver_sql("UPDATE destination SET failed_reason = NULL WHERE id = %(id)s", {"id": person})
        tx.exec_driver_sql("UPDATE destination SET failed_reason = 'is_archived' WHERE id = %(id)s", {"id": channel})
    assert "messages to channel C0001 cannot arrive (is_archived)" in patient.fault()


def test_messages_that_slack_refuses_for_a_reason_of_its_own(patient: Patient) -> None:
    with patient.store.write() as tx:
        now = patient.store.clock.now()
        outbox.enqueue(
            tx,
            workspace_id="T0001",
            channel_id="C0001",
            kind=PostKind.NOTE,
            key="one",
            message={"text": "one"},
            now=now,
        )
        tx.exec_driver_sql("UPDATE destination SET failed_reason = 'restricted_action', failed_at = now()")
    fault = patient.fault()
    assert "cannot arrive (restricted_action)" in fault and "tried again for an hour" in fault
    with patient.store.write() as tx:
        tx.exec_driver_sql("UPDATE destination SET failed_reason = NULL")
        tx.exec_driver_sql("UPDATE post SET failed_reason = 'restricted_action', drawn_version = 1, date_done = now()")
    fault = patient.fault()
    assert "1 message was given up since yesterday (restricted_action)" in fault and "log" in fault
    with patient.store.write() as tx:
        tx.exec_driver_sql("UPDATE post SET date_done = date_done - interval '2 days'")
    assert patient.examined()[0] == 0


def test_a_workspace_that_takes_nothing(patient: Patient) -> None:
    with patient.store.write() as tx:
        now = patient.store.clock.now()
        pacing.pause_workspace(tx, "T0001", "token_revoked", 30, now)
        outbox.enqueue(
            tx,
            workspace_id="T0001",
            channel_id="C0001",
            kind=PostKind.NOTE,
            key="one",
            message={"text": "one"},
            now=now,
        )
    fault = patient.fault()
    assert "paused for T0001, Slack says token_revoked; 1 messages wait" in fault and "Nothing is lost" in fault


def test_incidents_are_off(patient: Patient) -> None:
    patient.apply(ORGANIZATION.replace("[T0001]", "[T0001], incidents: false"))
    fault = patient.fault()
    assert "switched off for Acme" in fault and "organization.incidents" in fault


def test_nobody_is_a_member(patient: Patient) -> None:
    with patient.store.write() as tx:
        tx.exec_driver_sql("UPDATE member SET date_removed = now()")
    fault = patient.fault()
    assert "no members" in fault and "organization file" in fault


def test_the_user_group_of_who_is_on_call(patient: Patient) -> None:
    team = "{slug: payments, name: Payments}"
    patient.apply(ORGANIZATION.replace(team, "{slug: payments, name: Payments, oncall_usergroup: S0009}"))
    fault = patient.fault()
    assert "user group S0009, on call for payments: Slack has no such user group" in fault
    group = patient.slack.usergroup("S0009", "oncall", "On call")
    assert "nobody is in it, so nobody is called" in patient.fault()
    patient.slack.set_members(group, [patient.slack.who("U0001")])
    status, found = patient.examined()[:2]
    assert status == 0 and "1 person on call" in str(found)


def test_a_channel_is_gone(patient: Patient) -> None:
    patient.apply(ORGANIZATION.replace("C0002", "C0404"))
    fault = patient.fault()
    assert "channel C0404 of refunds" in fault and "or gone" in fault and "projects.channels" in fault


def test_a_channel_is_archived(patient: Patient) -> None:
    patient.slack.archive(patient.slack.platform.workspace.channels["C0002"])
    fault = patient.fault()
    assert "#refunds of refunds: it is archived" in fault and "Unarchive it" in fault


def test_a_private_channel_without_the_bot(patient: Patient) -> None:
    patient.slack.channel("C0007", "war-room", private=True, bot_in=False)
    patient.apply(ORGANIZATION.replace("C0002", "C0007"))
    fault = patient.fault()
    assert "channel C0007 of refunds" in fault and "private without the bot in it" in fault and "/invite @" in fault


def test_a_public_channel_without_the_bot(patient: Patient) -> None:
    patient.slack.remove_bot(patient.slack.platform.workspace.channels["C0001"])
    fault = patient.fault()
    assert "#checkout of checkout, refunds: the bot is not in it" in fault and "/invite @" in fault


def test_a_channel_shared_with_another_company(patient: Patient) -> None:
    patient.slack.channel("C0008", "with-globex", shared_with="T0042")
    patient.apply(ORGANIZATION.replace("C0002", "C0008"))
    fault = patient.fault()
    assert "#with-globex of refunds: it is shared with another company" in fault
    assert "organization.shared_channels" in fault
    allowed = ORGANIZATION.replace("C0002", "C0008").replace("[T0001]", "[T0001], shared_channels: true")
    patient.apply(allowed)
    assert patient.examined()[0] == 0


# --- members -----------------------------------------------------------------------------------------------


def test_members_whom_their_slack_profile_does_not_prove(patient: Patient) -> None:
    patient.apply(
        ORGANIZATION
        + """  - {email: new@acme.test, name: New Hire}
  - {email: gil@acme.test, name: Gil Guest}
  - {email: far@acme.test, name: Far Away}
  - {email: ben@acme.test, name: Ben Tal}
"""
    )
    patient.slack.person("U0002", "Ben Tal", "ben@acme.test")
    patient.slack.person("U0090", "New Hire", "new@acme.test", email_confirmed=False)
    patient.slack.person("U0091", "Gil Guest", "gil@acme.test", restricted=True)
    fault = patient.fault()
    assert "members: 2 are not let in" in fault
    assert "new@acme.test (U0090, e-mail not confirmed)" in fault and "gil@acme.test (U0091, guest)" in fault
    assert "slack: U0090" in fault and "organization file" in fault
    assert "ben@" not in fault and "ada@" not in fault
    assert any("1 has no account in this workspace" in line for line in patient.examined()[1])


def test_members_are_not_looked_at_beyond_slacks_pace(patient: Patient) -> None:
    everybody = "".join(f"  - {{email: m{n}@acme.test, name: M {n}}}\n" for n in range(60))
    patient.apply(ORGANIZATION + everybody)
    code, lines = patient.examined()
    assert code == 0
    assert len(patient.slack.calls("users.lookupByEmail")) <= 40
    assert any("20 more were not looked at" in line for line in lines)


def test_the_user_group_of_a_team(patient: Patient) -> None:
    team = "{slug: payments, name: Payments}"
    patient.apply(ORGANIZATION.replace(team, "{slug: payments, name: Payments, slack_usergroup: S0001}"))
    fault = patient.fault()
    assert "user group S0001 of payments: Slack has no such user group" in fault and "slack_usergroup" in fault
    patient.slack.usergroup("S0001", "payments", "Payments")
    status, lines = patient.examined()
    assert status == 0 and "ok     user groups: the one of a team is there" in lines
    patient.slack.faults.refuse("usergroups.list", "missing_scope")
    assert "user groups: Slack could not list them (missing_scope). See scopes, above." in patient.fault()


# --- the session, the processes, and what waits --------------------------------------------------------------


@pytest.mark.production_deadlines(*SESSION_TIMEOUTS)
def test_timeouts_that_are_not_in_force() -> None:
    sound = {"statement_timeout": 2000, "lock_timeout": 1000, "idle_in_transaction_session_timeout": 10000}
    assert judge_timeouts(sound).fix is None
    line = judge_timeouts({**sound, "statement_timeout": 0}).line()
    assert line.startswith("FAULT  time-outs: statement_timeout is 0 ms instead of 2000. Something between")


@pytest.mark.parametrize(
    ("privileges", "end"),
    [
        ("", ""),
        (
            "BYPASSRLS",
            "; it has BYPASSRLS, {unbound}. Run ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS as another superuser.",
        ),
        (
            "SUPERUSER",
            " and may change the schema; it is a superuser, {unbound}. Give the tables to {page}.",
        ),
    ],
)
def test_a_role_that_row_level_security_does_not_bind_is_a_warning(
    patient: Patient, database_url: str, privileges: str, end: str
) -> None:
    """Not a fault: the bot works, as it has for those who set it up so."""
    plain = make_url(database_url)
    role = f"least_{privileges.lower()}_{plain.database}"  # connections that are kept are of one role
    admin = create_engine(as_superuser(plain), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN {privileges} PASSWORD '{PASSWORD}'")
        connection.exec_driver_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    try:
        url = plain.set(username=role, password=PASSWORD)
        patient.set(DATABASE_URL=url.render_as_string(hide_password=False))
        status, lines = patient.examined()
        level = "WARN " if end else "ok   "
        line = f"{level}  role: {role} reads and writes the tables{end.format(role=role, unbound=UNBOUND, page=MENDED)}"
        assert status == 0 and line in lines, lines
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {role}; DROP ROLE {role}")
        admin.dispose()


def test_the_role_of_the_embedded_database_is_plain(patient: Patient) -> None:
    assert "ok     role: tocsin_bot reads and writes the tables and may change the schema" in patient.examined()[1]


def test_a_superuser_that_owns_the_tables_can_become_a_plain_role() -> None:
    role = RoleRow(
        name="a b",
        quoted_name='"a b"',
        superuser=True,
        bypasses_row_security=False,
        owns_tables=True,
        first=False,
        may_migrate=True,
    )
    assert 'Run ALTER ROLE "a b" NOSUPERUSER NOBYPASSRLS as another superuser.' in judge_role(role).line()
    assert "docs/database.md" in judge_role(replace(role, first=True)).line()


def record(patient: Patient, role: str, version: str = "0.1.0", ahead_s: float = 0.0) -> None:
    """A process that runs, as it records itself."""
    now = patient.store.clock.now()
    with patient.store.read() as connection:
        record_replica(connection, ReplicaRow(f"{role}-{version}", role, version, "web-1.example", ahead_s, now))


def test_processes_that_do_not_fit_together(patient: Patient) -> None:
    record(patient, "web")
    fault = patient.fault()
    assert "processes: web 0.1.0 on web-1.example; nothing is sent" in fault and "--role worker" in fault
    record(patient, "worker", "0.0.9")
    fault = patient.fault()
    assert "several versions run: web 0.1.0 on web-1.example, worker 0.0.9" in fault and "during an upgrade" in fault
    with patient.store.write() as tx:
        tx.exec_driver_sql("UPDATE replica SET date_seen = date_seen - interval '61 s' WHERE role = 'web'")
    assert "nobody answers Slack and takes alerts" in patient.fault()
    record(patient, "all", "0.0.9")
    assert patient.examined()[0] == 0


def test_a_process_whose_clock_is_wrong(patient: Patient) -> None:
    record(patient, "all", ahead_s=-61.4)
    fault = patient.fault()
    assert "clock: that of web-1.example (all) is 61 s away from the database's" in fault and "NTP" in fault


def test_what_waits_too_long(patient: Patient) -> None:
    now = patient.store.clock.now()
    with patient.store.write() as tx:
        outbox.enqueue(
            tx,
            workspace_id="T0001",
            channel_id="C0001",
            kind=PostKind.NOTE,
            key="one",
            message={"text": "one"},
            now=now,
        )
    assert patient.examined()[0] == 0
    with patient.store.write() as tx:
        tx.exec_driver_sql("UPDATE post SET date_added = date_added - interval '400 s'")
    fault = patient.fault()
    assert "lag: 1 bulk message waits to be sent, the oldest for 40" in fault and "--role worker" in fault


# --- the clock ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_s", [420, -420])
def test_a_clock_of_the_database_that_is_wrong(patient: Patient, ahead_s: int, monkeypatch: pytest.MonkeyPatch) -> None:
    adjust = Clock.adjust
    monkeypatch.setattr(
        Clock, "adjust", lambda self, said, asked: adjust(self, said + timedelta(seconds=ahead_s), asked)
    )
    fault = patient.fault()
    assert "clock: the database's is 4" in fault and "s away from Slack's" in fault and "NTP" in fault


def test_the_clocks_are_compared(patient: Patient) -> None:
    patient.slack.clock.advance(300)
    assert "s away from Slack's" in patient.fault()


def test_alertmanager_that_cannot_be_reached(patient: Patient) -> None:
    patient.set(ALERTMANAGER_URL=f"http://ada:{PASSWORD}@127.0.0.1:9")
    fault = patient.fault()
    assert "Alertmanager: 127.0.0.1:9 cannot be reached" in fault and "ALERTMANAGER_URL" in fault
