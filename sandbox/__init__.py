"""A Slack workspace on localhost, for trying and testing an app without Slack. Imports nothing of the bot
or its storage.
"""

from sandbox.driver.acting import Acknowledged
from sandbox.driver.form import Form, Outcome
from sandbox.driver.person import Answer, Person
from sandbox.driver.surface import Home, SeenMessage
from sandbox.errors import NotAcknowledged, NotConnected, NotThere, Problem, SandboxError
from sandbox.sandbox import Sandbox
from sandbox.scopes import ALL_BOT_SCOPES, ALL_EVENTS, USUAL_EVENTS

__all__ = [
    "ALL_BOT_SCOPES",
    "ALL_EVENTS",
    "USUAL_EVENTS",
    "Acknowledged",
    "Answer",
    "Form",
    "Home",
    "NotAcknowledged",
    "NotConnected",
    "NotThere",
    "Outcome",
    "Person",
    "Problem",
    "Sandbox",
    "SandboxError",
    "SeenMessage",
]
