"""`/intake/docs`: the intake's OpenAPI description as one page for people, which loads nothing from anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

# Nothing is loaded and nothing runs, whatever the description may hold.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
}

_STYLE = """
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1.5rem }
code, pre { font-family: ui-monospace, monospace; font-size: .9em }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: .4rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #8886 }
h2 { margin-top: 2.5rem }
"""


def render_page(description: Mapping[str, Any]) -> str:
    """An HTML page of an OpenAPI description."""
    info = description["info"]
    title = f"{info['title']}: {info['summary']}"
    parts = [
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['summary'])}",
        ' For programs: <a href="/intake/openapi.json">/intake/openapi.json</a>.</p>',
    ]
    address = next((server["url"] for server in description.get("servers", ())), "")
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            parts += _operation(method.upper(), f"{address}{path}", operation)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{escape(method)} {escape(path)}</code></h2>"
    texts = [operation.get("description"), "Authorization: Bearer TOKEN." if operation.get("security") else None]
    yield f"<p>{escape(' '.join(filter(None, texts)))}</p>"
    headers = [one for one in operation.get("parameters", ()) if one["in"] == "header"]
    if headers:
        yield _table(("Header", ""), [(one["name"], one.get("description", "")) for one in headers])
    for content in operation.get("requestBody", {}).get("content", {}).values():
        for schema in content["schema"].get("anyOf", [content["schema"]]):
            if schema["type"] == "object":  # a list of the same objects is described already
                yield f"<p>{escape(schema.get('description', ''))}</p>"
                yield _table(("Field", "Type", ""), _fields(schema))
        if "example" in content:
            yield f"<pre>{escape(json.dumps(content['example'], indent=2))}</pre>"
    answers = [(status, answer.get("description", "")) for status, answer in operation["responses"].items()]
    yield _table(("Answer", ""), answers)


def _fields(schema: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str, str]]:
    """Name, type and meaning of each field, followed by the fields inside it."""
    for name, field in schema.get("properties", {}).items():
        path = f"{within}{name}"
        meaning = ["required" if name in schema.get("required", ()) else "", field.get("description", "")]
        yield path, _type(field), ": ".join(filter(None, meaning))
        yield from _fields(field, f"{path}.")
        yield from _fields(field.get("items", {}), f"{path}[].")


def _type(field: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(map(_type, field["anyOf"]))
    if "const" in field or "enum" in field:
        return " or ".join(json.dumps(value) for value in field.get("enum", [field.get("const")]))
    return str(field.get("format", field["type"]))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = "".join(f'<th scope="col">{name}</th>' for name in head)
    lines = "".join(
        f"<tr><td><code>{escape(first)}</code></td>{''.join(f'<td>{escape(cell)}</td>' for cell in rest)}</tr>"
        for first, *rest in rows
    )
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>'
