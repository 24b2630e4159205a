// Making elements. Text only ever becomes a text node, so nothing that anybody typed can become markup.

import { hashOf } from "./permalink.js";

/**
 * An element: h("p.note", {id: "x", onclick: f, aria: {label: "…"}, data: {ts: "…"}}, "text", child, [children]).
 * What is null, undefined or false is left out.
 */
export function h(kind, given = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "aria") setAll(element, "aria-", value);
    else if (name === "data") setAll(element, "data-", value);
    else if (name === "class") element.classList.add(...value.split(" ").filter(Boolean));
    else if (name in PROPERTIES) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

const PROPERTIES = { value: 1, checked: 1, disabled: 1, hidden: 1, textContent: 1, indeterminate: 1 };

function setAll(element, prefix, values) {
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined) element.setAttribute(prefix + name, String(value));
  }
}

/** Appends texts, nodes and lists of these. */
export function add(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Puts other children in place of the present ones. */
export function fill(element, ...children) {
  element.replaceChildren();
  return add(element, ...children);
}

let count = 0;

/** An id that no other element has. */
export const fresh = (name) => `${name}-${++count}`;

function parseUrl(url) {
  try {
    const parsed = new URL(url);
    return ["http:", "https:", "mailto:", "tel:"].includes(parsed.protocol) ? parsed : null;
  } catch {
    return null;
  }
}

/** A link out, or to a message of this workspace; only its words where a browser should not follow the address. */
export function link(url, ...words) {
  const parsed = parseUrl(url);
  if (!parsed) return h("span", {}, ...words);
  const hash = hashOf(parsed);
  if (hash) return h("a", { href: hash }, ...words);
  return h("a", { href: parsed.href, target: "_blank", rel: "noopener noreferrer" }, ...words);
}

/** Follows an address: to a message of this workspace on this page, anywhere else in a new tab. */
export function follow(url) {
  const parsed = parseUrl(url);
  const hash = parsed && hashOf(parsed);
  if (hash) location.hash = hash;
  else if (parsed) open(parsed.href, "_blank", "noopener,noreferrer");
}

/** Says something at the edge of the page, for a while. */
export function toast(words, kind = "error") {
  const box = h(`div.toast.${kind}`, {}, h("span", {}, words));
  box.append(h("button.plain", { type: "button", aria: { label: "Dismiss" }, onclick: () => box.remove() }, "×"));
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), 9000);
}

/** Reads something to those who do not see the page. */
export function announce(words) {
  document.getElementById("news").textContent = words;
}

/** A picture for a button, drawn with lines; from the paths below. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  for (const d of ICONS[name].split("|")) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

const ICONS = {
  menu: "M3 5h14|M3 10h14|M3 15h14",
  close: "M5 5l10 10|M15 5L5 15",
  back: "M12 4l-6 6 6 6",
  send: "M3 10l14-6-5 14-3-6z",
  thread: "M4 5h12v8H9l-4 3v-3H4z",
  smile: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14|M7.5 8v.5|M12.5 8v.5|M7 12c1.5 2 4.500 2 6 0",
  more: "M5 10h.01|M10 10h.01|M15 10h.01",
  code: "M7 6l-4 4 4 4|M13 6l4 4-4 4",
  clip: "M14 6l-6 6a2 2 0 0 0 3 3l6-6a4 4 0 0 0-6-6l-6 6a6 6 0 0 0 8 9",
  bolt: "M11 2L4 11h5l-1 7 7-9h-5z",
  home: "M3 10l7-6 7 6|M5 9v8h10V9",
  lock: "M6 9V7a4 4 0 0 1 8 0v2|M5 9h10v8H5z",
  search: "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4|M13 13l4 4",
  path: "M5 16V4h9l-2 3 2 3H5",
  copy: "M7 7h9v10H7z|M4 13V3h9",
  window: "M8 4H4v12h12v-4|M11 4h5v5|M16 4l-7 7",
  down: "M5 8l5 5 5-5",
};
