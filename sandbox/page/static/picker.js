// Lists to pick from: one popup under whatever has the focus, used by every select and completion. Menus: menu.js.
// The focus stays where it is; the arrows move the marked option, as the ARIA pattern of a combobox has it.

import { fill, fresh, h } from "./dom.js";

/** Puts a box under its anchor, or above it where there is more room. */
export function placeUnder(box, anchor) {
  const at = anchor.getBoundingClientRect();
  box.style.minWidth = `${Math.min(Math.max(at.width, 180), innerWidth - 16)}px`;
  const height = box.offsetHeight;
  const below = innerHeight - at.bottom;
  const left = Math.max(8, Math.min(at.left, innerWidth - box.offsetWidth - 8));
  box.style.left = `${left}px`;
  box.style.top = below > height + 12 || below > at.top ? `${at.bottom + 4}px` : `${Math.max(8, at.top - height - 4)}px`;
}

export class Popup {
  /** `anchor` is what it belongs to; `pick` is called with a chosen option. */
  constructor(anchor, pick, label) {
    this.anchor = anchor;
    this.pick = pick;
    this.id = fresh("list");
    this.box = h("div.popup", { id: this.id, role: "listbox", popover: "manual", aria: { label } });
    this.box.addEventListener("pointerdown", (event) => event.preventDefault());
    this.options = [];
    this.marked = -1;
    this.away = (event) => {
      if (!this.box.contains(event.target) && !this.anchor.contains(event.target)) this.close();
    };
    this.expanded(false);
  }

  /** Tells of the list beside its anchor. A text area is no combobox, and may not be said to be expanded. */
  expanded(value) {
    if (value) this.anchor.setAttribute("aria-controls", this.id);
    else this.anchor.removeAttribute("aria-controls");
    if (this.anchor.getAttribute("role") === "combobox") this.anchor.setAttribute("aria-expanded", String(value));
  }

  get open() {
    return this.box.isConnected;
  }

  /** Shows options: {text | nodes, value, note, group, chosen}; `empty` is said where there is none. */
  show(options, { empty = "Nothing found", mark = 0 } = {}) {
    const same = this.open && options.length && JSON.stringify(options) === JSON.stringify(this.options);
    this.options = options;
    if (!same) this.draw(options, empty);
    placeUnder(this.box, this.anchor);
    this.mark(options.length ? Math.max(0, Math.min(mark, options.length - 1)) : -1);
  }

  draw(options, empty) {
    let group;
    const rows = options.flatMap((option, index) => {
      const row = h(
        "div.option",
        {
          id: `${this.id}-${index}`,
          role: "option",
          aria: { selected: "false", checked: option.chosen === undefined ? null : String(option.chosen) },
          onclick: () => this.choose(index),
          onpointermove: () => this.mark(index, false),
        },
        h("span.option-text", {}, option.nodes ?? option.text),
        option.note && h("span.option-note", {}, option.note),
      );
      const heading = option.group && option.group !== group && h("div.option-group", { role: "presentation" }, option.group);
      group = option.group;
      return heading ? [heading, row] : [row];
    });
    fill(this.box, rows.length ? rows : h("div.option-none", {}, empty));
    if (!this.open) {
      // Beside its anchor in the document, so that it belongs to the dialog that the anchor is in.
      (this.anchor.closest("dialog") ?? document.body).append(this.box);
      this.box.showPopover?.();
      this.expanded(true);
      document.addEventListener("pointerdown", this.away, true);
    }
  }

  mark(index, scroll = true) {
    this.box.querySelector(".option.marked")?.classList.remove("marked");
    this.marked = index;
    const row = index < 0 ? null : document.getElementById(`${this.id}-${index}`);
    for (const other of this.box.querySelectorAll("[aria-selected=true]")) other.setAttribute("aria-selected", "false");
    row?.classList.add("marked");
    row?.setAttribute("aria-selected", "true");
    if (row) this.anchor.setAttribute("aria-activedescendant", row.id);
    else this.anchor.removeAttribute("aria-activedescendant");
    if (scroll) row?.scrollIntoView({ block: "nearest" });
  }

  /** Takes a key where it means something here; says whether it did. */
  key(event) {
    if (!this.open) return false;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (steps && this.options.length) {
      const wrapped = Math.abs(steps) === 1 ? (this.marked + steps + this.options.length) % this.options.length : null;
      this.mark(wrapped ?? Math.max(0, Math.min(this.options.length - 1, this.marked + steps)));
    } else if (event.key === "Escape") this.close();
    else if ((event.key === "Enter" || event.key === "Tab") && this.marked >= 0) this.choose(this.marked);
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  choose(index) {
    const option = this.options[index];
    this.close();
    this.pick(option);
  }

  close() {
    if (!this.open) return;
    this.box.remove();
    this.expanded(false);
    this.anchor.removeAttribute("aria-activedescendant");
    document.removeEventListener("pointerdown", this.away, true);
  }
}

const SEARCH_AFTER_MS = 200;

/**
 * A select: one or several options, found by typing. `options(typed)` gives the list, or a promise of it;
 * `changed(options)` hears of every choice. Options are {text, value, group, note}.
 */
export function select({ label, placeholder, options, chosen = [], multiple = false, most = 100, changed, least = 0, required }) {
  const input = h("input.select-input", {
    type: "text",
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: placeholder || "Choose an option",
    aria: { label, autocomplete: "list", haspopup: "listbox", required: required ? "true" : null },
  });
  const box = h("div.select", { class: multiple ? "several" : "" });
  let picked = [...chosen];
  let number = 0;
  let timer;

  const popup = new Popup(input, (option) => pick(option), label);

  function pick(option) {
    const there = picked.findIndex((one) => one.value === option.value);
    if (!multiple) picked = [option];
    else if (there >= 0) picked.splice(there, 1);
    else if (picked.length < most) picked.push(option);
    input.value = "";
    draw();
    changed(picked);
    if (multiple) input.focus();
  }

  function drop(option) {
    picked = picked.filter((one) => one !== option);
    draw();
    changed(picked);
    input.focus();
  }

  function draw() {
    const chips = multiple
      ? picked.map((option) =>
          h("span.chip", {}, option.text, h("button.plain", { type: "button", aria: { label: `Remove ${option.text}` }, onclick: () => drop(option) }, "×")),
        )
      : [];
    fill(box, chips, input);
    input.placeholder = multiple && picked.length ? "" : (placeholder || "Choose an option");
    if (!multiple) {
      input.value = picked[0]?.text ?? "";
      if (picked.length && required === false) {
        box.append(h("button.plain.clear", { type: "button", aria: { label: `Clear ${label}` }, onclick: () => drop(picked[0]) }, "×"));
      }
    }
  }

  async function look() {
    const typed = input.value === picked[0]?.text && !multiple ? "" : input.value;
    if (typed.length < least) {
      popup.show([], { empty: `Type at least ${least} ${least === 1 ? "character" : "characters"}` });
      return;
    }
    const mine = ++number;
    let found;
    try {
      const answer = options(typed);
      if (answer instanceof Promise && !popup.open) popup.show([], { empty: "Looking…" });
      found = await answer;
    } catch (error) {
      if (mine === number) popup.show([], { empty: error.message });
      return;
    }
    if (mine !== number || document.activeElement !== input) return;
    const marks = found.map((option) => ({ ...option, chosen: multiple ? picked.some((one) => one.value === option.value) : undefined }));
    const present = found.findIndex((option) => picked.some((one) => one.value === option.value));
    popup.show(marks, { mark: multiple ? 0 : present });
  }

  input.addEventListener("click", () => (popup.open ? null : look()));
  input.addEventListener("focus", () => input.select());
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, SEARCH_AFTER_MS);
  });
  input.addEventListener("blur", () => {
    popup.close();
    number += 1;
    if (!multiple) input.value = picked[0]?.text ?? "";
    else input.value = "";
  });
  input.addEventListener("keydown", (event) => {
    if (popup.key(event)) return;
    if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      look();
    } else if (event.key === "Backspace" && multiple && !input.value && picked.length) drop(picked.at(-1));
  });
  draw();
  return { box, input };
}

/** The options whose text contains what was typed. */
export function matching(options, typed) {
  const wanted = typed.trim().toLowerCase();
  return wanted ? options.filter((option) => option.text.toLowerCase().includes(wanted)) : options;
}
