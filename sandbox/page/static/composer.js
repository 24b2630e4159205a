// Where a person writes: messages, commands, files; in a conversation or in a thread.

import { complete } from "./complete.js";
import { add, h, icon, toast } from "./dom.js";
import { menuButton } from "./menu.js";
import { fromMarkup } from "./richtext.js";
import { store } from "./store.js";

// What was typed and not sent is there again after a reload, for each person and conversation.
const drafts = {
  get(key) {
    return localStorage.getItem(`draft ${store.me?.id} ${key}`) ?? "";
  },
  set(key, text) {
    if (text) localStorage.setItem(`draft ${store.me?.id} ${key}`, text);
    else localStorage.removeItem(`draft ${store.me?.id} ${key}`);
  },
};

export class Composer {
  /** `where()` gives {channel, thread}. */
  constructor(where, { id, thread = false } = {}) {
    this.where = where;
    this.sending = 0;
    this.area = h("textarea.composer-area", { id, rows: 1, spellcheck: "true", aria: { label: thread ? "Reply in the thread" : "Message" } });
    this.file = h("input", { type: "file", hidden: true, multiple: true, onchange: () => this.upload([...this.file.files]) });
    this.also = thread ? h("label.also", {}, h("input", { type: "checkbox" }), h("span", {}, "Also send to the channel")) : null;
    this.button = h("button.send", { type: "button", title: "Send", aria: { label: "Send" }, onclick: () => this.send() }, icon("send"));
    this.hint = h("div.composer-hint");
    this.box = h("div.composer", {});
    add(
      this.box,
      this.hint,
      h(
        "div.composer-frame",
        {},
        this.area,
        h(
          "div.composer-tools",
          {},
          h("button.plain", { type: "button", title: "Attach a file", aria: { label: "Attach a file" }, onclick: () => this.file.click() }, icon("clip")),
          h("button.plain", { type: "button", title: "Mention somebody", aria: { label: "Mention somebody" }, onclick: () => this.insert("@") }, "@"),
          !thread && menuButton({ class: "plain", title: "Shortcuts" }, icon("bolt"), () => this.shortcuts(), "Shortcuts"),
          this.also,
          h("span.grow"),
          this.button,
        ),
      ),
      this.file,
    );
    complete(this.area, { commands: !thread });
    this.area.addEventListener("input", () => this.changed());
    this.area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.send();
      }
      if (event.key === "ArrowUp" && !this.area.value && this.last) {
        event.preventDefault();
        this.area.value = this.last;
        this.changed();
      }
    });
    this.area.addEventListener("paste", (event) => {
      if (event.clipboardData?.files.length) this.upload([...event.clipboardData.files]);
    });
    this.box.addEventListener("dragover", (event) => event.preventDefault());
    this.box.addEventListener("drop", (event) => {
      event.preventDefault();
      this.upload([...event.dataTransfer.files]);
    });
    this.changed();
  }

  key() {
    const { channel, thread } = this.where();
    return `${channel} ${thread ?? ""}`;
  }

  /** The conversation is another now. */
  moved(placeholder) {
    this.area.placeholder = placeholder;
    this.area.value = drafts.get(this.key());
    this.changed(false);
  }

  changed(keep = true) {
    if (keep && this.where().channel) drafts.set(this.key(), this.area.value);
    this.grow();
    this.button.disabled = !this.area.value.trim();
    const command = this.command();
    this.hint.textContent = command?.known ? `${command.known.name} ${command.known.hint}: ${command.known.description}` : "";
  }

  /** As high as what is typed, up to a point. */
  grow() {
    this.area.style.height = "auto";
    if (this.area.scrollHeight) this.area.style.height = `${Math.min(this.area.scrollHeight, 240)}px`;
  }

  /** The command that is being typed, if one is. */
  command() {
    const match = /^\/([\w-]+)(?:\s+([\s\S]*))?$/.exec(this.area.value);
    if (!match) return null;
    const name = `/${match[1]}`;
    return { name, text: match[2] ?? "", known: store.app.commands.find((one) => one.name === name) };
  }

  insert(text) {
    const { selectionStart: start, selectionEnd: end } = this.area;
    const gap = start && !/\s/.test(this.area.value[start - 1]) ? " " : "";
    this.area.setRangeText(gap + text, start, end, "end");
    this.area.focus();
    this.area.dispatchEvent(new Event("input"));
  }

  shortcuts() {
    const global = store.app.shortcuts.filter((shortcut) => shortcut.type === "global");
    const found = global.map((shortcut) => ({
      text: shortcut.name,
      note: shortcut.description,
      run: () => store.act("shortcut", { callback_id: shortcut.callback_id }).catch((error) => toast(error.message)),
    }));
    const commands = store.app.commands.map((command) => ({ text: command.name, note: command.description, run: () => this.insert(`${command.name} `) }));
    return [...found, ...commands];
  }

  async send() {
    if (!this.area.value.trim()) return;
    const { channel, thread } = this.where();
    const key = this.key();
    const command = thread ? null : this.command();
    const typed = (this.last = this.take());
    this.busy(1);
    try {
      if (command) await store.act("command", { channel, name: command.name, text: command.text.trim() });
      else await store.act("say", { channel, text: typed.trimEnd(), rich: fromMarkup(typed), ...(thread ? { thread, broadcast: this.also.querySelector("input").checked } : {}) });
      if (this.also) this.also.querySelector("input").checked = false;
    } catch (error) {
      toast(error.message);
      this.giveBack(key, typed);
    } finally {
      this.busy(-1);
    }
  }

  /** Shows that something is on its way, until all of it has been answered. */
  busy(more) {
    this.sending += more;
    this.box.setAttribute("aria-busy", String(this.sending > 0));
  }

  /** What was typed; it is sent, and the area is free for more. */
  take() {
    const typed = this.area.value;
    this.area.value = "";
    this.changed();
    return typed;
  }

  /** What could not be sent is there again where it was typed, unless something else is by now. */
  giveBack(key, typed) {
    if (key !== this.key()) drafts.set(key, drafts.get(key) || typed);
    else if (!this.area.value) {
      this.area.value = typed;
      this.changed();
    }
  }

  async upload(files) {
    const { channel, thread } = this.where();
    const key = this.key();
    let text = this.take();
    for (const file of files) {
      const query = new URLSearchParams({ as: store.me.id, channel, name: file.name, text, ...(thread ? { thread } : {}) });
      try {
        const answer = await fetch(`/page/files?${query}`, { method: "POST", body: file });
        if (!answer.ok) throw new Error((await answer.json()).error);
        text = "";
      } catch (error) {
        toast(`${file.name}: ${error.message}`);
      }
    }
    if (text) this.giveBack(key, text);
    this.file.value = "";
  }
}
