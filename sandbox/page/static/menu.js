// Menus behind a button, as the ARIA pattern of a menu has it: the focus goes into the menu, the arrows and the first
// letters move it, Escape gives it back to the button.

import { add, fill, fresh, h } from "./dom.js";
import { refocus } from "./focus.js";
import { placeUnder } from "./picker.js";

/** A button that opens a menu: `items()` gives {text | nodes, note, danger, run} each time. */
export function menuButton(given, content, items, label) {
  const id = fresh("menu");
  const button = h("button", { type: "button", ...given, aria: { haspopup: "menu", expanded: "false", label, ...given.aria } });
  add(button, content);
  let menu = null;

  const away = (event) => {
    if (!menu.contains(event.target) && !button.contains(event.target)) close(false);
  };

  function open(which) {
    const rows = items().map((item) =>
      h(
        "div.option",
        { role: "menuitem", tabindex: "-1", onclick: () => choose(item), onpointermove: (event) => event.currentTarget.focus() },
        h("span.option-text", {}, item.nodes ?? item.text),
        item.note && h("span.option-note", {}, item.note),
      ),
    );
    menu = h("div.popup.menu", { id, role: "menu", popover: "manual", aria: { label }, onkeydown: key }, rows);
    menu.addEventListener("focusout", (event) => {
      if (menu && !menu.contains(event.relatedTarget)) close(false);
    });
    (button.closest("dialog") ?? document.body).append(menu);
    menu.showPopover?.();
    button.setAttribute("aria-expanded", "true");
    button.setAttribute("aria-controls", id);
    document.addEventListener("pointerdown", away, true);
    placeUnder(menu, button);
    (which === "last" ? rows.at(-1) : rows[0])?.focus();
  }

  function close(back = true) {
    if (!menu) return;
    const old = menu;
    menu = null;
    document.removeEventListener("pointerdown", away, true);
    button.setAttribute("aria-expanded", "false");
    button.removeAttribute("aria-controls");
    if (back) refocus(button);
    old.remove();
  }

  function choose(item) {
    close();
    item.run();
  }

  function key(event) {
    const rows = [...menu.children];
    const at = rows.indexOf(document.activeElement);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1 + rows.length, Home: 0, End: rows.length - 1 };
    if (event.key in steps) rows[steps[event.key] % rows.length]?.focus();
    else if (event.key === "Enter" || event.key === " ") rows[at]?.click();
    else if (event.key === "Escape" || event.key === "Tab") close();
    else if (/^\S$/.test(event.key)) letters(rows, at, event.key.toLowerCase());
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function letters(rows, at, letter) {
    const after = [...rows.slice(at + 1), ...rows.slice(0, at + 1)];
    after.find((row) => row.textContent.trim().toLowerCase().startsWith(letter))?.focus();
  }

  button.addEventListener("click", () => (menu ? close() : open("first")));
  button.addEventListener("keydown", (event) => {
    const which = { ArrowDown: "first", ArrowUp: "last" }[event.key];
    if (!which) return;
    event.preventDefault();
    event.stopPropagation();
    open(which);
  });
  return button;
}
