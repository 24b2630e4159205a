// A picture, large: over the page, until it is closed.

import { fresh, h, icon } from "./dom.js";
import { refocus } from "./focus.js";

/** A picture that opens large when it is pressed. */
export function zoomable(src, alt) {
  const words = alt || "picture";
  const name = words.split(/(?<=[.:]) /)[0]; // what describes a chart in full is no name for it
  return h(
    "button.zoom",
    { type: "button", title: "Show it large", aria: { label: `Show large: ${name}` }, onclick: () => open(src, words, name) },
    h("img.picture", { src, alt: words, loading: "lazy" }),
  );
}

function open(src, words, name) {
  const title = fresh("title");
  const close = () => {
    dialog.close();
    dialog.remove();
  };
  const dialog = h(
    "dialog.lightbox",
    { aria: { labelledby: title }, onclick: (event) => event.target === dialog && close() },
    h(
      "header.lightbox-head",
      {},
      h("h2.lightbox-title", { id: title }, name),
      h("a.plain", { href: src, target: "_blank", rel: "noopener", title: "Open in a tab", aria: { label: "Open in a tab" } }, icon("window")),
      h("button.plain", { type: "button", autofocus: true, title: "Close", aria: { label: "Close" }, onclick: close }, icon("close")),
    ),
    h("img.large", { src, alt: words }),
  );
  // Escape closes the dialog by itself.
  const back = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    refocus(back);
  });
  document.body.append(dialog);
  dialog.showModal();
}
