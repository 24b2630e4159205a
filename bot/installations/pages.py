"""The pages that somebody sees who installs the bot: where it begins, and how it ended. They load nothing."""

from __future__ import annotations

from html import escape

# The page of Slack is reached by a link; nothing else may be.
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_STYLE = """
:root { color-scheme: light dark }
body { font: 1.05rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 0 auto; padding: 3rem 1.25rem }
h1 { font-size: 1.6rem; line-height: 1.25 }
a.button { display: inline-block; margin-top: .5rem; padding: .6rem 1.2rem; border-radius: .4rem; background: #611f69;
  color: #fff; text-decoration: none; font-weight: 600 }
a.button:focus-visible { outline: 3px solid #1d9bd1; outline-offset: 2px }
"""

# What went wrong, by the reason of Bolt or of ours: what it means, and what to do.
FAILURES: dict[str, str] = {
    "access_denied": "The installation was cancelled in Slack. Nothing was changed.",
    "invalid_browser": "This installation was not begun in this browser. Start again here, and allow cookies.",
    "invalid_state": "This installation has expired or was already completed. Start again.",
    "missing_code": "Slack sent no code for the installation. Start again.",
    "invalid_code": "Slack did not accept the installation: its code has expired or was already used. Start again.",
    "missing_scopes": "Slack did not grant all permissions that Tocsin needs, so nothing was installed. Start again,"
    " and allow all of them.",
    "guest": "Guests cannot install Tocsin. Ask a member of the workspace to install it.",
    "other_organization": "This workspace already belongs to another organization. Nothing was changed.",
    "other_cell": "Tocsin is already installed in this workspace without an invitation. Remove the app in Slack, then"
    " open the link again.",
    "invalid_invitation": "This link has expired, or whoever made it is no longer an owner. Ask an owner for a new"
    " one.",
    "slack_away": "Slack did not answer. Nothing was installed. Try again in a moment.",
    "storage_error": "The installation could not be saved. Try again in a moment.",
    "busy": "Too many installations are under way. Try again in a moment.",
}


def render_start(url: str, organization: str | None) -> str:
    """The page where an installation begins. `url` is Slack's page; `organization` is whose owner has sent the link."""
    if organization is None:
        text = "Tocsin shows incidents in Slack to the members of your organization."
    else:
        text = (
            f"An owner of <b>{escape(organization)}</b> asks you to install Tocsin for that organization. Its owners"
            " then connect your workspace to it. Continue only if you belong to this organization."
        )
    return _page("Install Tocsin", f'<p>{text}</p><p><a class="button" href="{escape(url)}">Continue to Slack</a></p>')


def render_success(name: str, organization: str | None, *, waits: bool) -> str:
    """The page after an installation. `waits`: the workspace is to be connected to an organization yet."""
    if not waits:
        text = "Everything is ready. You can close this page and go back to Slack."
    elif organization is not None:
        text = (
            f"An owner of <b>{escape(organization)}</b> now connects it in Slack with"
            " <code>/incident workspaces</code>. You can close this page."
        )
    else:
        text = (
            "It is not connected to an organization yet. Ask an owner of your organization for an invitation from"
            " <code>/incident workspaces</code>, or the people who run Tocsin to add it to the organization file."
        )
    return _page(f"Tocsin is installed in {name}", f"<p>{text}</p>")


def render_failure(reason: str) -> str:
    """The page of an installation that failed."""
    sentence = FAILURES.get(reason, "Slack reported a problem. Nothing was installed. Start again.")
    return _page("Tocsin was not installed", f"<p>{escape(sentence)}</p>")


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
