"""`python3 -m sandbox --port N`: the workspace alone, with a few people and channels, for any app in any
language.
"""

import argparse
import signal
import sys
from pathlib import Path

from sandbox import Sandbox, SandboxError
from sandbox.manifest import read


def set_up(slack: Sandbox) -> None:
    """A small workspace: two channels, three people, a user group."""
    ada = slack.person("U0001", "Ada Obi", "ada@acme.test", tz="Europe/Berlin")
    bob = slack.person("U0002", "Bob Ray", "bob@acme.test", tz="America/New_York")
    slack.person("U0003", "Cleo Day", "cleo@acme.test")
    slack.channel("C0001", "checkout")
    slack.channel("C0002", "general")
    slack.usergroup("S0001", "payments", "Payments", [ada, bob])


def main() -> int:
    """Run until interrupted; returns 2 when the port is taken or the manifest cannot be used."""
    parser = argparse.ArgumentParser(prog="python3 -m sandbox", description="A Slack workspace on localhost.")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on (default: any free one)")
    parser.add_argument(
        "--manifest", type=Path, help="the app's manifest, JSON or YAML: its scopes, events, commands and shortcuts"
    )
    parser.add_argument("--tls", action="store_true", help="serve https and wss, with a certificate of its own")
    options = parser.parse_args()
    # They wait until `sigwait`, in all threads; a handler could interrupt the main thread where it holds a lock.
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    slack = Sandbox(port=options.port, tls=options.tls)
    set_up(slack)
    try:
        if options.manifest is not None:
            slack.install(read(options.manifest))
        slack.start()
    except SandboxError as error:
        sys.stderr.write(f"{options.manifest}: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"Port {options.port} cannot be used: {error.strerror}. Choose another with --port.\n")
        return 2
    sys.stdout.write(
        f"SLACK_API_URL={slack.api_url}\n"
        f"SLACK_BOT_TOKEN={slack.bot_token}\n"
        f"SLACK_APP_TOKEN={slack.app_token}\n"
        f"SLACK_SIGNING_SECRET={slack.signing_secret}\n"
        + (f"SSL_CERT_FILE={slack.authority}\n" if slack.tls else "")
        + f"# The workspace in a browser: {slack.platform.base_url}/\n"
    )
    sys.stdout.flush()
    signal.sigwait(signals)
    slack.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
