// What is behind the page: the JSON of a message or form and the verdict on it, everything that crosses the wire,
// trouble on demand, and the clock.

import { add, fill, h, icon, toast } from "./dom.js";
import { store } from "./store.js";

const KEPT = 400;

export class InspectorPane {
  constructor(closed) {
    this.lines = new Map();
    this.filter = "";
    this.detail = h("div.inspected");
    this.list = h("ol.wire", { role: "list", aria: { label: "What crossed the wire" } });
    this.tab = "wire";
    this.body = h("div.scroll.inspector-body");
    this.tabs = h("div.tabs", { role: "tablist", aria: { label: "Inspector" } });
    this.box = h(
      "aside.pane.inspector-pane",
      { aria: { label: "Inspector" } },
      h("header.pane-head", {}, h("h2", {}, "Inspector"), h("button.plain", { type: "button", title: "Close", aria: { label: "Close the inspector" }, onclick: closed }, icon("close"))),
      this.tabs,
      this.body,
    );
    store.on("traffic", (lines) => this.take(lines));
    store.on("state", () => this.drawTabs());
    store.on("hello", () => this.watching && store.act("watch", { on: true }));
  }

  watch(on) {
    if (on === Boolean(this.watching)) return;
    this.watching = on;
    if (on) {
      this.lines.clear();
      fill(this.list);
      this.show(this.tab);
    }
    store.act("watch", { on }).catch(() => {});
  }

  show(tab) {
    this.tab = tab;
    this.drawTabs();
    fill(this.body, tab === "wire" ? this.wire() : tab === "trouble" ? this.trouble() : this.detail);
  }

  drawTabs() {
    const tabs = [["wire", "Wire"], ["detail", "Message"], ["trouble", "Trouble and time"]];
    fill(
      this.tabs,
      tabs.map(([key, name]) => h("button.tab", { type: "button", role: "tab", aria: { selected: String(this.tab === key) }, onclick: () => this.show(key) }, name)),
      store.state.problems > 0 && h("span.problem-count", { title: "What the app did that Slack would refuse" }, `${store.state.problems} ${store.state.problems === 1 ? "problem" : "problems"}`),
    );
  }

  // -- the wire

  wire() {
    const search = h("input.field", {
      type: "search",
      placeholder: "Filter: chat.update, block_actions, an id…",
      value: this.filter,
      aria: { label: "Filter" },
      oninput: () => {
        this.filter = search.value.toLowerCase();
        this.redraw();
      },
    });
    this.redraw();
    return [
      h("div.wire-head", {}, search, h("button.button", { type: "button", onclick: () => { this.lines.clear(); this.redraw(); } }, "Clear")),
      h("p.small", {}, "→ to the app, ← from the app. A line opens to what was sent and answered."),
      this.list,
    ];
  }

  take(lines) {
    for (const line of lines) {
      const old = this.lines.get(line.n);
      this.lines.set(line.n, line);
      if (!this.fits(line)) continue;
      const node = drawLine(line);
      const there = old && this.list.querySelector(`[data-n="${line.n}"]`);
      if (there) there.replaceWith(node);
      else this.list.prepend(node);
    }
    while (this.lines.size > KEPT) {
      const first = this.lines.keys().next().value;
      this.lines.delete(first);
      this.list.querySelector(`[data-n="${first}"]`)?.remove();
    }
  }

  fits(line) {
    return !this.filter || JSON.stringify(line).toLowerCase().includes(this.filter);
  }

  redraw() {
    fill(this.list, [...this.lines.values()].reverse().filter((line) => this.fits(line)).map(drawLine));
  }

  // -- one message or form

  async inspect(place) {
    this.show("detail");
    fill(this.detail, "Looking…");
    try {
      const found = await store.act("inspect", place);
      fill(
        this.detail,
        h("h3", {}, "Verdict"),
        verdict(found),
        h("h3", {}, "JSON"),
        json(found.json, true),
        h("h3", {}, "On the wire"),
        h("ol.wire", { role: "list" }, found.exchanges.map(drawLine)),
        found.exchanges.length === 0 && h("p.small", {}, "Nothing that crossed the wire names it."),
      );
    } catch (error) {
      fill(this.detail, h("p", {}, error.message));
    }
  }

  // -- trouble and time

  trouble() {
    const methods = h("input.field", { type: "text", value: "*", aria: { label: "Which methods" }, list: "methods" });
    const times = h("input.field", { type: "number", value: "1", min: "1", max: "1000", aria: { label: "How many calls" } });
    const known = h("datalist", { id: "methods" }, ["*", "chat.*", "chat.postMessage", "chat.update", "views.*", "views.open", "response_url", "users.info", "conversations.*", "files.*"].map((name) => h("option", { value: name })));
    const fault = (kind, name, given = {}) =>
      h(
        "button.button",
        {
          type: "button",
          onclick: () =>
            store.act("fault", { kind, methods: methods.value || "*", times: Number(times.value) || 1, ...given }).then(
              () => toast(`${name}, for ${nextCalls(Number(times.value) || 1, methods.value)}.`, "done"),
              (error) => toast(error.message),
            ),
        },
        name,
      );
    const now = (kind, name, said) => h("button.button", { type: "button", onclick: () => store.act("fault", { kind }).then(() => toast(said, "done"), (error) => toast(error.message)) }, name);
    const forward = (name, seconds) => h("button.button", { type: "button", onclick: () => store.act("clock", { seconds }).then(() => toast(`The clock is ${name} further.`, "done"), (error) => toast(error.message)) }, name);
    return [
      h("h3", {}, "Calls of the app"),
      h("p.small", {}, "What the app's next calls meet with. The app should retry, or tell the person; nothing should be lost or doubled."),
      h("div.pair", {}, h("label", {}, "Methods", methods), h("label", {}, "Calls", times)),
      known,
      h("div.actions", {}, fault("rate_limit", "Rate limit (429)"), fault("fail", "Failure (503)", { status: 503 }), fault("slow", "Two seconds late", { seconds: 2 }), fault("cut", "Answer lost")),
      h("h3", {}, "The app's sockets"),
      h("div.actions", {}, now("drop_sockets", "Drop the socket", "The socket was cut off."), now("refresh_sockets", "Ask to reconnect", "The app was asked to reconnect.")),
      h("div.actions", {}, now("clear", "No more trouble", "All trouble is gone.")),
      h("h3", {}, "The clock"),
      h("p.small", {}, "Forward only: triggers and response URLs end, retries fall due, and what the app plans by this workspace's time."),
      h("div.actions", {}, forward("one minute", 60), forward("30 minutes", 1800), forward("one hour", 3600), forward("one day", 86400)),
    ];
  }
}

function verdict(found) {
  if (!found.by_app) return h("p", {}, "A person wrote this; only what the app sends is checked.");
  if (!found.problems.length) return h("p.good", {}, "✓ Slack would take this.");
  return h("ul.bad", {}, found.problems.map((problem) => h("li", {}, problem)));
}

function drawLine(line) {
  const at = new Date(line.at * 1000);
  const summary = h(
    "summary",
    {},
    h("span.way", { aria: { label: line.direction === "out" ? "to the app" : "from the app" } }, line.direction === "out" ? "→" : "←"),
    h("span.wire-name", {}, line.kind === "web_api" ? line.name : line.kind === "response_url" ? "response_url" : `${line.kind} ${line.name}`, line.attempt ? ` (attempt ${line.attempt + 1})` : ""),
    h("span.wire-time", {}, at.toLocaleTimeString("en-GB", { hour12: false }) + `.${String(at.getMilliseconds()).padStart(3, "0")}`),
    h("span.wire-took", {}, line.ms === null ? "…" : `${line.ms} ms`),
  );
  const details = h("details", {}, summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) {
      add(details, h("div.small", {}, line.direction === "out" ? "Sent to the app" : "Sent by the app", line.envelope && ` · envelope ${line.envelope}`), json(line.sent), h("div.small", {}, line.ms === null ? "No answer yet" : line.answer === null ? "Never acknowledged" : "Answer"), line.answer && json(line.answer));
    }
  });
  return h("li.wire-line", { class: line.ok === false ? "bad" : line.ok === null ? "open" : "", data: { n: line.n } }, details);
}

function json(value, copy = false) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return h("div.json-box", {}, copy && h("button.plain.copy", { type: "button", title: "Copy", aria: { label: "Copy the JSON" }, onclick: () => navigator.clipboard?.writeText(text) }, icon("copy")), h("pre.json", { tabindex: "0" }, text));
}

function nextCalls(times, methods) {
  const which = methods && methods !== "*" ? ` of ${methods}` : "";
  return times === 1 ? `the next call${which}` : `the next ${times} calls${which}`;
}
