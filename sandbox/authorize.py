"""Slack's page of authorization, `/oauth/v2/authorize`: somebody allows or cancels what an app asks for."""

from html import escape
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.page.guard import refusal
from sandbox.platform import Platform

PATH = "/oauth/v2/authorize"
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>body{{font:16px/1.5 sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem}}
select,button{{font:inherit;padding:.3rem .6rem}}</style>
<h1>{title}</h1>{body}</html>"""


def routes(platform: Platform) -> list[BaseRoute]:
    """The page, and where its form is sent."""

    async def show(request: Request) -> Response:
        given = dict(request.query_params)
        if (problem := refusal(request.headers)) or (problem := platform.oauth.find_problem(given)):
            return _page("This cannot be authorized", f"<p>{escape(problem)}</p>", 400)
        return _page(f"{platform.app.name} asks for access", _form(platform, given))

    async def decide(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        given = dict(parse_qsl(form.get("asked", ""), keep_blank_values=True))
        if (problem := refusal(request.headers)) or (problem := platform.oauth.find_problem(given)):
            return _page("This cannot be authorized", f"<p>{escape(problem)}</p>", 400)
        if form.get("answer") != "allow":
            return RedirectResponse(platform.oauth.deny(given), 303)
        number, _, user_id = form.get("who", "").partition(" ")
        known = platform.oauth.workspaces
        place = known[int(number)] if number.isdigit() and int(number) < len(known) else None
        user = place.workspace.users.get(user_id) if place else None
        if place is None or user is None:
            return _page("This cannot be authorized", "<p>There is nobody like that.</p>", 400)
        url = platform.oauth.allow(given, user, place, for_enterprise=form.get("where") == "enterprise")
        return RedirectResponse(url, 303)

    return [Route(PATH, show, methods=["GET"]), Route(PATH, decide, methods=["POST"])]


def _page(title: str, body: str, status: int = 200) -> Response:
    headers = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
    return HTMLResponse(_PAGE.format(title=escape(title), body=body), status, headers)


def _form(platform: Platform, given: dict[str, str]) -> str:
    scopes = "".join(f"<li>{escape(scope)}</li>" for scope in given["scope"].split(","))
    people = "".join(
        f'<option value="{number} {escape(user.id)}">{escape(user.real_name)}, {escape(one.workspace.name)}</option>'
        for number, one in enumerate(platform.oauth.workspaces)
        for user in one.workspace.users.values()
        if not user.is_bot and not user.deleted
    )
    enterprise = (
        '<label><input type="checkbox" name="where" value="enterprise"> for the whole organization</label>'
        if platform.oauth.org_deploy and any(one.workspace.enterprise for one in platform.oauth.workspaces)
        else ""
    )
    asked = escape(urlencode(given))
    return f"""<form method="post"><ul>{scopes}</ul>
<p><label>You are <select name="who">{people}</select></label> {enterprise}</p>
<input type="hidden" name="asked" value="{asked}">
<p><button name="answer" value="allow">Allow</button> <button name="answer" value="cancel">Cancel</button></p></form>"""
