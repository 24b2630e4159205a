// Where one is and who one is: the conversations with their unread marks, the app, the switch of person.

import { fill, h, icon } from "./dom.js";
import { menuButton } from "./menu.js";
import { avatar } from "./message.js";
import { whenReleased } from "./pointer.js";
import { store } from "./store.js";

export class Sidebar {
  constructor() {
    this.box = h("nav.sidebar", { aria: { label: "Workspace" } });
    for (const kind of ["hello", "unread", "channels", "people", "state", "line", "here"]) store.on(kind, () => this.soon());
  }

  /** Many things change at once; one drawing shows them all. */
  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() =>
      whenReleased(() => {
        this.waiting = false;
        this.draw();
      }),
    );
  }

  draw() {
    if (!store.me) return;
    const channels = [...store.channels.values()].filter((channel) => !channel.im).sort((a, b) => a.name.localeCompare(b.name));
    const direct = [...store.channels.values()].filter((channel) => channel.im);
    const focused = this.box.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    fill(
      this.box,
      h("div.team", {}, h("span.team-name", {}, store.team.name), h("button.plain.only-narrow", { type: "button", aria: { label: "Close the list" }, onclick: () => store.say("drawer", { open: false }) }, icon("close"))),
      this.me(),
      this.presence(),
      h("h2.side-title", {}, "Channels"),
      h("ul.places", {}, channels.map((channel) => this.place(channel))),
      h("h2.side-title", {}, "Apps"),
      h(
        "ul.places",
        {},
        direct.map((channel) => this.place(channel)),
        store.app.home_tab && h("li", {}, this.link("home", h("span.sign", {}, icon("home")), "Home of ", store.app.name)),
      ),
      h("div.grow"),
      store.state.guide.length > 0 && this.tool("path", "Guided path", "guide"),
      this.tool("code", "Inspector", "inspector"),
    );
    if (focused) this.box.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  tool(sign, name, kind) {
    return h("button.side-tool", { type: "button", data: { key: kind }, onclick: () => store.say("toggle", { pane: kind }) }, icon(sign), name);
  }

  me() {
    const others = [...store.people.values()].filter((person) => !person.bot && !person.deleted);
    const items = () =>
      others.map((person) => ({
        text: person.name,
        nodes: [avatar(person.id, true), h("span", {}, person.name, person.id === store.me.id && " (you)")],
        note: person.title,
        run: () => {
          const url = new URL(location.href);
          url.searchParams.set("as", person.id);
          location.assign(url);
        },
      }));
    return h(
      "div.me",
      {},
      menuButton({ class: "me-button", data: { key: "me" } }, [avatar(store.me.id, true), h("span.me-name", {}, h("span.small", {}, "You are"), h("strong", {}, store.me.name), store.me.title && h("span.small", {}, store.me.title)), icon("down")], items, `You are ${store.me.name}. Be somebody else`),
      h("a.plain.icon-link", { href: location.pathname + location.search, target: "_blank", rel: "noopener", title: "Open another window", aria: { label: "Open another window" } }, icon("window")),
    );
  }

  presence() {
    if (!store.link || this.down) return h("div.presence.off", { role: "status" }, "The workspace cannot be reached. Trying again…");
    if (!store.state.connected) return h("div.presence.off", { role: "status" }, `${store.app.name} is not connected.`);
    if (store.state.ahead > 1) return h("div.presence", {}, `The clock is ${span(store.state.ahead)} ahead.`);
    return null;
  }

  place(channel) {
    const { unread = 0, mentions = 0 } = store.unread.get(channel.id) ?? {};
    const sign = channel.im ? h("span.avatar.app.small-avatar", { aria: { hidden: "true" } }, "🚨") : h("span.sign", { aria: { hidden: "true" } }, channel.private ? icon("lock") : "#");
    const name = store.nameOf(channel);
    const item = this.link(channel.id, sign, h("span.place-name", {}, name), channel.shared && h("span.badge", {}, "shared"), mentions > 0 && h("span.count", { aria: { label: `${mentions} unread for you` } }, mentions > 99 ? "99+" : mentions));
    if (unread) item.classList.add("unread");
    return h("li", {}, item);
  }

  link(key, ...content) {
    const here = store.here.channel === key;
    return h("a.place", { href: `#${key}`, data: { key }, class: here ? "here" : "", aria: { current: here ? "page" : null }, onclick: () => store.say("drawer", { open: false }) }, content);
  }
}

function span(seconds) {
  const parts = [];
  let left = Math.round(seconds);
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    if (left >= size) parts.push(`${Math.floor(left / size)} ${unit}`);
    left %= size;
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}
