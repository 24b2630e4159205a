// What is long in a message is shown in part until somebody asks for the rest, as in Slack: the text of a section by its
// height, an attachment by its length or its blocks.

import { h } from "./dom.js";

const opened = new Set(); // so that it stays open when its message is drawn again

/** A node of which only the first lines are shown. `key` says which it is in every drawing of its message. */
export function collapseHeight(node, key, words) {
  const box = h("div.collapsible", {}, node);
  const button = moreButton(words, key, box, () => node.classList.remove("clamped"));
  if (opened.has(key)) return box;
  node.classList.add("clamped");
  node.addEventListener("focusin", () => button.click(), { once: true });
  // How high it is shows once it is drawn.
  const observer = new ResizeObserver(() => {
    const long = node.scrollHeight > node.clientHeight + 2;
    if (long && !button.isConnected && node.classList.contains("clamped")) box.append(button);
    else if (!long) button.remove();
  });
  observer.observe(node);
  return box;
}

/** Nodes of which only the first `most` are shown. */
export function collapseList(nodes, most, key, words) {
  if (nodes.length <= most || opened.has(key)) return nodes;
  const rest = h("div.collapsed", { hidden: true }, nodes.slice(most));
  const button = moreButton(words, key, rest, () => rest.removeAttribute("hidden"));
  return [...nodes.slice(0, most), button, rest];
}

function moreButton(words, key, box, open) {
  const button = h(
    "button.plain.link.more",
    {
      type: "button",
      aria: { expanded: "false" },
      onclick: () => {
        opened.add(key);
        open();
        const hadFocus = document.activeElement === button;
        button.remove();
        if (hadFocus) {
          box.tabIndex = -1;
          box.focus({ preventScroll: true });
        }
      },
    },
    words,
  );
  return button;
}
