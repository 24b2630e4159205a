// The forms in front of a person: a stack of up to three, of which the topmost is worked on; and the surface
// that forms and the Home share.

import { blocks } from "./blocks.js";
import { fill, fresh, h, icon, toast } from "./dom.js";
import { refocus } from "./focus.js";
import { textNodes } from "./mrkdwn.js";
import { store } from "./store.js";

/** The surface of a form or Home. */
export function viewSurface(view) {
  const at = (block, element) => ({ view: view.id, block: block.block_id, action: element.action_id });
  return {
    form: view.type === "modal",
    use: async (block, element, value) => {
      await flush();
      return store.act("use", { ...at(block, element), value });
    },
    fill: async (block, element, value, dispatch) => {
      if (dispatch && !element.type.endsWith("_input")) await flush();
      const done = store.act("fill", { ...at(block, element), value, dispatch }).catch((error) => {
        if (isOpen(view)) throw error;
      });
      underway.add(done);
      return done.finally(() => underway.delete(done));
    },
    options: async (block, element, typed) => (await store.act("options", { ...at(block, element), typed })).options,
    state: (block, element) => view.state.values[block.block_id]?.[element.action_id],
    upload: async (file) => {
      const query = new URLSearchParams({ as: store.me.id, name: file.name });
      const answer = await fetch(`/page/files?${query}`, { method: "POST", body: file });
      const given = await answer.json();
      if (!answer.ok) throw new Error(given.error);
      return given.id;
    },
  };
}

const underway = new Set();
const left = new Set(); // the ids of forms that the person has left, of which the workspace may not know yet

const isOpen = (view) => view.type === "home" || (!left.has(view.id) && store.views.stack.some((one) => one.id === view.id));

/** Sends off what was typed, and waits until everything that was filled in has arrived. */
async function flush() {
  for (const field of document.querySelectorAll("dialog.form [data-flush]")) field.flush();
  await Promise.allSettled(underway);
}

export class Forms {
  constructor() {
    this.dialog = null;
    this.shown = null;
    this.errors = {};
    store.on("views", () => this.sync());
    store.on("hello", () => this.sync());
  }

  get top() {
    return store.views.stack.at(-1) ?? null;
  }

  sync() {
    const top = this.top;
    if (!top) {
      this.remove();
      return;
    }
    if (left.has(top.id)) return;
    const same = this.shown && this.shown.id === top.id && this.shown.hash === top.hash;
    const errors = JSON.stringify(top.errors);
    if (same && errors === this.shownErrors) {
      this.shown.state = top.state;
      return;
    }
    this.shownErrors = errors;
    this.draw(top, Boolean(same));
  }

  remove() {
    const dialog = this.dialog;
    this.dialog = this.shown = null;
    if (!dialog) return;
    dialog.close();
    dialog.remove();
    refocus(this.back);
  }

  draw(view, same) {
    const focused = document.activeElement;
    if (!this.dialog) {
      this.back = focused;
      this.dialog = h("dialog.form", {});
      this.dialog.addEventListener("cancel", (event) => {
        event.preventDefault();
        this.close();
      });
      document.body.append(this.dialog);
    }
    const keptLabel = this.dialog.contains(focused) ? focused.getAttribute("aria-label") : null;
    const keptAt = focused?.selectionStart;
    const scrolled = this.shown?.id === view.id ? this.dialog.querySelector(".form-body")?.scrollTop : 0;
    const typed = this.take(view);
    this.shown = view;
    const title = fresh("title");
    this.dialog.setAttribute("aria-labelledby", title);
    const pushed = store.views.stack.length > 1;
    const busy = this.dialog.classList.contains("busy");
    this.submitButton = view.submit && h("button.button.primary", { type: "submit", disabled: busy }, textNodes(view.submit));
    this.trouble = h("div.trouble", { role: "alert" });
    const errors = view.errors ?? {};
    const body = h("div.form-body", {}, blocks(viewSurface(view), view.blocks, errors));
    const form = h(
      "form",
      { novalidate: true, autocomplete: "off", onsubmit: (event) => this.submit(event) },
      h(
        "header.form-head",
        {},
        h("span.avatar.app.small-avatar", { aria: { hidden: "true" } }, "🚨"),
        h("h2", { id: title }, textNodes(view.title)),
        h("button.plain", { type: "button", title: "Inspect", aria: { label: "Inspect this form" }, onclick: () => store.say("inspect", { view: view.id }) }, icon("code")),
        h("button.plain", { type: "button", title: "Close", aria: { label: "Close" }, onclick: () => this.close(true) }, icon("close")),
      ),
      body,
      this.trouble,
      h("footer.form-foot", {}, h("button.button", { type: "button", onclick: () => this.close() }, view.close ? textNodes(view.close) : pushed ? "Back" : "Cancel"), this.submitButton),
    );
    fill(this.dialog, form);
    for (const field of body.querySelectorAll("[data-flush]")) field.value = typed.get(field.dataset.flush) ?? field.value;
    if (!this.dialog.open) this.dialog.showModal();
    body.scrollTop = scrolled ?? 0;
    this.focus(body, { keptLabel, keptAt, same, errors });
  }

  /** What was typed into the fields that are there, for those of the same form that take their place. */
  take(view) {
    const fields = [...this.dialog.querySelectorAll("[data-flush]")].filter((field) => field.touched());
    for (const field of fields) field.flush();
    return new Map(this.shown?.id === view.id ? fields.map((field) => [field.dataset.flush, field.value]) : []);
  }

  focus(body, { keptLabel, keptAt, same, errors }) {
    const wrong = Object.keys(errors).length && same ? body.querySelector(".wrong input, .wrong textarea, .wrong fieldset input") : null;
    const kept = keptLabel && [...this.dialog.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === keptLabel);
    const first = body.querySelector("[autofocus]") ?? body.querySelector("input, textarea") ?? body.querySelector("button");
    const target = wrong ?? kept ?? first ?? this.submitButton;
    target?.focus({ preventScroll: false });
    if (kept && target === kept && keptAt !== undefined && keptAt !== null) kept.setSelectionRange?.(keptAt, keptAt);
  }

  async submit(event) {
    event.preventDefault();
    const { shown: view, dialog } = this;
    if (!view || dialog.classList.contains("busy")) return;
    dialog.classList.add("busy");
    if (this.submitButton) this.submitButton.disabled = true;
    this.trouble.textContent = "";
    try {
      await flush();
      const answer = await store.act("submit", { view: view.id });
      if (answer.trouble && this.trouble.isConnected) this.trouble.textContent = answer.trouble;
    } catch (error) {
      if (this.shown) this.trouble.textContent = error.message;
      else toast(error.message);
    } finally {
      dialog.classList.remove("busy");
      if (this.dialog === dialog && this.submitButton) this.submitButton.disabled = false;
    }
  }

  /** Leaves the form. The last of the stack goes at once: what is typed next is for the page. */
  close(everything = false) {
    const view = this.shown;
    if (!view || left.has(view.id)) return;
    left.add(view.id);
    if (everything || store.views.stack.length === 1) this.remove();
    store.act("close", { view: view.id, everything }).catch((error) => {
      left.delete(view.id);
      toast(error.message);
      this.sync();
    });
  }
}
