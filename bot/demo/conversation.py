"""The messages of Acme's people in the two weeks before the demo begins."""

from __future__ import annotations

from datetime import timedelta

from bot.demo.company import Company
from bot.demo.past_incidents import parse_duration
from sandbox import Sandbox

# How long ago, who, where, what; an indented line answers the one above it in its thread.
CONVERSATION = """
13d 20h 2m | ben  | checkout       | Spain pays slowly: one acquirer takes six seconds. Using the other one now.
12d 21h 57m | cyn | catalogue      | No pictures since the release: the proxy lost its certificates. On it.
12d 21h 40m |  ada |               | They are back for me :+1:
12d 4h 15m | ada  | checkout       | Somebody paid twice for one order. Refunded; @ben can you look at it?
12d 1h 40m |  ben |                | Second clicks are dropped now. Nothing else in the logs.
11d 19h 36m | dan | infrastructure | DNS fails for a third of the world. The signing key expired, I'm signing by hand.
11d 19h 30m |  ada |               | Tell me when I can let support know that it is over.
11d 19h 5m |  dan |                | Now. All regions answer.
9d 18h 42m | ada  | checkout       | No invoice left since midnight: the mail provider refuses our key.
9d 18h 5m  |  ben |                | New key is in, 1,412 invoices are on their way.
9d 3h 20m  | ada  | general        | New: whoever leaves an incident writes one line first. It helps the next one.
7d 19h 20m | ben  | checkout       | Sign-in fails for every tenth customer since 4268. Rolling back.
7d 19h 8m  |  ada |                | Rate is back to zero. Thanks!
6d 20h 41m | ben  | checkout       | One order in five is declined. @ada this looks like the acquirer again.
6d 20h 36m |  ada |                | Their status page says nothing yet. Failing over if it lasts ten more minutes.
6d 19h 50m |  ben |                | Second acquirer is live, rates are back to normal :tada:
6d 2h 12m  | cyn  | catalogue      | The index is 40 minutes behind; the import holds a lock. I let it finish.
5d 8h 3m   | dan  | infrastructure | The certificate of static.acme.test ends in a week, renewal lacks rights. On it.
5d 4h 20m  |  dan |                | Renewed, and the job runs as the right user again.
5d 3h 31m  | ada  | general        | Reminder: the audit begins next week, @eve joins us from outside for it.
4d 14h 8m  | ben  | checkout       | Invoices of March went out with the old VAT number. 214 of them; I send them again.
4d 9h 44m  |  ada |                | Thank you! Please note it on the incident, the auditors will ask.
3d 4h 57m  | dan  | infrastructure | eu-west answers 503 for half of the traffic. Rolling back the load balancers.
3d 4h 33m  |  cyn |                | Search is fine again from here.
3d 3h 26m  | dan  | general        | Rollouts now wait for the health of the first region. Write-up follows.
2d 1h 19m  | cyn  | catalogue      | Suggestions are slow, one shard lost its cache. Warming it up.
1d 4h 2m   | ben  | checkout       | Refunds queue up again. Not urgent, but it should not wait for Monday.
1d 1h 17m  | ada  | general        | New here: @tocsin answers in every channel. Type /incident help, or see its Home.
5h 38m     | dan  | infrastructure | edge-7 in staging fills its log disk; it can wait until tomorrow.
"""

# Nobody says two things at one moment.
_APART = timedelta(seconds=150)


def replay(slack: Sandbox, company: Company, span: timedelta) -> None:
    """Posts the messages. The workspace's clock must be `span` behind, and ends at the present."""
    people = {person.handle: person for person in company.people}
    places = {channel.name: channel for channel in company.channels}
    left = span
    root = None
    for line in CONVERSATION.strip().splitlines():
        ago, who, where, words = (part.rstrip() for part in line.split("|", 3))
        moment = parse_duration(ago)
        step = max(left - moment, _APART)
        slack.clock.advance(step.total_seconds())
        left -= step
        person = people[who.strip()]
        if root is not None and who.startswith("  "):
            person.reply(root, words.strip())
        else:
            root = person.say(places[where.strip()], words.strip())
    slack.clock.advance(left.total_seconds())
    slack.everything_is_read()
