"""Controls the workspace over HTTP, from any language: people's actions, what they see, faults, the clock.
Each route calls the method of the same name in `driver`; errors are JSON with a message.

Only for programs on this machine: requests from another site's page in a browser are refused by their Host
or Origin.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from sandbox.control_values import (
    Advance,
    Close,
    Command,
    Edit,
    Fill,
    MessageAt,
    NewChannel,
    NewPerson,
    NewUsergroup,
    React,
    Say,
    Shortcut,
    Sockets,
    Trouble,
    Use,
    UseHttp,
    shown_form,
    shown_home,
    shown_message,
)
from sandbox.driver.acting import Acknowledged
from sandbox.driver.form import Form
from sandbox.driver.person import Person
from sandbox.driver.surface import SeenMessage, Surface
from sandbox.errors import NotAcknowledged, NotConnected, NotThere, SandboxError, SlackError
from sandbox.records import Channel, Json

if TYPE_CHECKING:
    from sandbox.sandbox import Sandbox

# The HTTP status of each error of the driver.
STATUSES: list[tuple[type[Exception], int]] = [
    (NotThere, 404),
    (NotConnected, 503),
    (NotAcknowledged, 504),
    (SandboxError, 409),
    (SlackError, 409),
    (AssertionError, 408),
    (TypeError, 422),
]


def _done(acknowledged: Acknowledged) -> Json:
    return {"acknowledged_in": acknowledged.seconds, "answer": acknowledged.answer}


def control_application(slack: "Sandbox") -> FastAPI:
    """The routes of `slack`, below `/sandbox`, with errors of the driver returned as JSON."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(Control(slack).router)
    for kind, status in STATUSES:
        app.add_exception_handler(kind, _handler(status))
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


class Control:
    """The routes of one workspace."""

    def __init__(self, slack: "Sandbox") -> None:
        self._slack = slack
        self.router = APIRouter(dependencies=[Depends(self._guard)])
        self._workspace_setup()
        self._people()
        self._forms()
        self._seeing()
        self._trouble()

    def _guard(self, request: Request) -> None:
        """Refuse requests that a page of another site sends through a browser."""
        hosts = {f"{name}:{self._slack.port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        origins = {f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts}
        origin = request.headers.get("origin")
        if request.headers.get("host") not in hosts:
            raise HTTPException(403, "This server is reached as 127.0.0.1 or localhost, with its port.")
        if origin is not None and origin not in origins:
            raise HTTPException(403, "Pages of other sites may not drive this workspace.")
        if request.method == "POST" and request.headers.get("content-type", "").split(";")[0] != "application/json":
            raise HTTPException(415, "Send application/json.")

    def _post(self, path: str, act: Callable[..., Any]) -> None:
        self.router.add_api_route(path, act, methods=["POST"], response_model=None)

    def _get(self, path: str, look: Callable[..., Any]) -> None:
        self.router.add_api_route(path, look, methods=["GET"], response_model=None)

    # -- looking things up

    def _who(self, person_id: str) -> Person:
        return self._slack.who(person_id)

    def _channel(self, channel_id: str) -> Channel:
        return self._slack.platform.workspace.channel(channel_id)

    def _message(self, person: Person, at: MessageAt) -> SeenMessage:
        """A message that the person sees, replies included; raises NotThere."""
        channel = self._channel(at.channel)
        workspace = self._slack.platform.workspace
        with workspace.lock:
            everyone_s = channel.messages.get(at.ts)
            alone = [m for m in workspace.ephemerals.get(person.id, []) if m.ts == at.ts]
        found = everyone_s if everyone_s is not None and person.id in channel.members else next(iter(alone), None)
        if found is None:
            raise NotThere(f"{person!r} sees no message {at.ts} in {at.channel}")
        return SeenMessage(self._slack.platform, found, person.user)

    def _surface(self, person: Person, on: MessageAt | Literal["form", "home"]) -> Surface:
        if isinstance(on, MessageAt):
            return self._message(person, on)
        surface = person.form if on == "form" else person.home()
        if surface is None:
            raise NotThere(f"{person!r} has no {on} in front of them")
        return surface

    def _form(self, person_id: str) -> Form:
        form = self._who(person_id).form
        if form is None:
            raise NotThere(f"{self._who(person_id)!r} has no form in front of them")
        return form

    # -- the routes

    def _workspace_setup(self) -> None:
        slack = self._slack

        def person(body: NewPerson) -> Json:
            given = body.model_dump()
            slack.person(given.pop("id"), **given)
            return {}

        def channel(body: NewChannel) -> Json:
            given = body.model_dump()
            members = given.pop("members")
            chosen = None if members is None else [self._who(member) for member in members]
            slack.channel(given.pop("id"), members=chosen, **given)
            return {}

        def usergroup(body: NewUsergroup) -> Json:
            users = [self._who(user) for user in body.users]
            slack.usergroup(body.id, body.handle, body.name, users, announced=body.announced)
            return {}

        self._post("/people", person)
        self._post("/channels", channel)
        self._post("/usergroups", usergroup)

    def _people(self) -> None:
        def command(person_id: str, body: Command) -> Json:
            person = self._who(person_id)
            answer = person.command(body.command, body.text, channel=body.channel, resolve=body.resolve)
            message = shown_message(answer.message) if answer.message else None
            return {**_done(answer.acknowledged), "message": message}

        def press(person_id: str, body: Use) -> Json:
            person = self._who(person_id)
            surface = self._surface(person, body.on)
            return _done(person.press(surface, body.label, row=body.row, containing=body.containing))

        def choose(person_id: str, body: Use) -> Json:
            person = self._who(person_id)
            surface = self._surface(person, body.on)
            return _done(person.choose(surface, body.label, body.choice, row=body.row, containing=body.containing))

        def options(person_id: str, body: Use) -> Json:
            person = self._who(person_id)
            return {"options": person.options(self._surface(person, body.on), body.label, body.typed)}

        def say(person_id: str, body: Say) -> Json:
            person, slack = self._who(person_id), self._slack
            channel = body.channel or slack.platform.workspace.direct(person.id)
            place = channel if isinstance(channel, str) else channel.id
            thread = self._message(person, MessageAt(channel=place, ts=body.thread)) if body.thread else None
            text = f"{slack.bot_mention} {body.text}" if body.mention_app else body.text
            return shown_message(person.say(channel, text, thread=thread, broadcast=body.broadcast))

        def edit(person_id: str, body: Edit) -> Json:
            person = self._who(person_id)
            person.edit(self._message(person, body), body.text)
            return {}

        def delete(person_id: str, body: MessageAt) -> Json:
            person = self._who(person_id)
            person.delete(self._message(person, body))
            return {}

        def react(person_id: str, body: React) -> Json:
            person = self._who(person_id)
            person.react(self._message(person, body), body.name)
            return {}

        def unreact(person_id: str, body: React) -> Json:
            person = self._who(person_id)
            person.unreact(self._message(person, body), body.name)
            return {}

        def shortcut(person_id: str, body: Shortcut) -> Json:
            person = self._who(person_id)
            if body.message is None:
                return _done(person.shortcut(body.callback_id))
            return _done(person.message_shortcut(self._message(person, body.message), body.callback_id))

        def open_home(person_id: str) -> Json | None:
            return shown_home(self._who(person_id).opens_home())

        for act in (command, press, choose, options, say, edit, delete, react, unreact, shortcut, open_home):
            self._post(f"/people/{{person_id}}/{act.__name__}", act)

    def _forms(self) -> None:
        def form(person_id: str) -> Json | None:
            return shown_form(self._who(person_id).form)

        def fill(person_id: str, body: Fill) -> Json | None:
            filled = self._form(person_id)
            if body.text is not None:
                filled.fill(body.label, body.text)
            if body.choices is not None:
                filled.choose(body.label, *body.choices)
            if body.checked is not None:
                filled.check(body.label, *body.checked)
            if body.moment is not None:
                filled.pick(body.label, body.moment)
            return shown_form(filled)

        def submit(person_id: str) -> Json:
            outcome = self._form(person_id).submit()
            return {
                "errors": outcome.errors,
                "closed": outcome.closed,
                "updated": outcome.updated,
                "pushed": shown_form(outcome.pushed),
                "form": shown_form(self._who(person_id).form),
            }

        def close(person_id: str, body: Close) -> Json:
            self._form(person_id).close(everything=body.everything)
            return {}

        self._get("/people/{person_id}/form", form)
        for act in (fill, submit, close):
            self._post(f"/people/{{person_id}}/form/{act.__name__}", act)

    def _seeing(self) -> None:
        slack = self._slack

        def state() -> Json:
            workspace = slack.platform.workspace
            with workspace.lock:
                return {
                    "team": {"id": workspace.team_id, "name": workspace.name, "domain": workspace.domain},
                    "app": {"id": slack.platform.app.app_id, "user_id": slack.bot_user_id},
                    "sockets": slack.connections,
                    "now": slack.clock.now(),
                    "guide": slack.platform.guide,
                    "people": [
                        {"id": user.id, "name": user.real_name, "handle": user.name, "team_id": user.team_id}
                        for user in workspace.users.values()
                    ],
                    "channels": [
                        channel.render(workspace.team_id, member=workspace.hears(channel), with_num_members=True)
                        for channel in workspace.channels.values()
                    ],
                    "usergroups": [
                        {"id": group.id, "handle": group.handle, "users": group.users}
                        for group in workspace.usergroups.values()
                    ],
                }

        def sees(person_id: str, channel: Annotated[str | None, Query()] = None) -> Json:
            person = self._who(person_id)
            seen = person.sees(channel) if channel else person.direct_messages()
            return {"messages": [shown_message(message) for message in seen]}

        def thread(person_id: str, channel: str, ts: str) -> Json:
            message = self._message(self._who(person_id), MessageAt(channel=channel, ts=ts))
            return {"messages": [shown_message(reply) for reply in message.thread]}

        def home(person_id: str) -> Json | None:
            return shown_home(self._who(person_id).home())

        def problems() -> Json:
            return {
                "problems": [{"kind": p.kind, "detail": p.detail, "at": p.at} for p in slack.problems],
            }

        def traffic(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Json:
            return {
                "traffic": [
                    {
                        "kind": one.kind,
                        "name": one.name,
                        "at": one.at,
                        "answered_at": one.answered_at,
                        "sent": one.sent,
                        "answer": one.answer,
                        "retry_attempt": one.retry_attempt,
                    }
                    for one in slack.traffic[-limit:]
                ]
            }

        self._get("/state", state)
        self._get("/people/{person_id}/sees", sees)
        self._get("/people/{person_id}/thread", thread)
        self._get("/people/{person_id}/home", home)
        self._get("/problems", problems)
        self._get("/traffic", traffic)

    def _trouble(self) -> None:
        slack = self._slack

        def clear_problems() -> Json:
            slack.problems.clear()
            return {}

        def advance(body: Advance) -> Json:
            slack.clock.advance(body.seconds)
            return {"now": slack.clock.now()}

        def faults(body: Trouble) -> Json:
            if body.kind == "rate_limit":
                slack.faults.rate_limit(body.methods, retry_after=body.retry_after, times=body.times)
            elif body.kind == "fail":
                slack.faults.fail(body.methods, status=body.status, times=body.times)
            elif body.kind == "refuse":
                slack.faults.refuse(body.methods, body.error, times=body.times)
            elif body.kind == "slow":
                slack.faults.slow(body.methods, body.seconds, times=body.times)
            else:
                slack.faults.cut(body.methods, times=body.times, performed=body.performed)
            return {}

        def clear_faults() -> Json:
            slack.faults.clear()
            return {}

        async def sockets(body: Sockets) -> Json:
            actions = {
                "warn": slack.warn_sockets,
                "refresh": slack.refresh_sockets,
                "drop": slack.drop_sockets,
                "hang_up": slack.hang_up,
            }
            await run_in_threadpool(actions[body.do])
            return {}

        def http(body: UseHttp) -> Json:
            slack.use_http(body.url, interactivity=body.interactivity, commands=body.commands, options=body.options)
            return {}

        self._post("/problems/clear", clear_problems)
        self._post("/clock/advance", advance)
        self._post("/faults", faults)
        self._post("/faults/clear", clear_faults)
        self._post("/sockets", sockets)
        self._post("/http", http)


def _handler(status: int) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def handle(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error), "kind": type(error).__name__}, status)

    return handle


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Report the invalid fields of a request's JSON, without repeating their values."""
    assert isinstance(error, RequestValidationError)
    wrong = [f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in error.errors()]
    return JSONResponse({"error": "; ".join(wrong), "kind": "Invalid"}, 422)
