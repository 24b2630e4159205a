// The focus outlives that a message is drawn anew: its controls are found again by their words.

const controlsOf = (root) => [...root.querySelectorAll("button, input, select, textarea, a")];

/** The control of a message that stands for one of an earlier drawing; null where there is none any more. */
export function refind(root, control) {
  const label = control.getAttribute("aria-label");
  return controlsOf(root).find((one) => one.textContent === control.textContent && one.getAttribute("aria-label") === label) ?? null;
}

/** Gives the focus back to a control, or to the one that has taken its place meanwhile. */
export function refocus(control) {
  const old = control?.closest("li.message");
  const now = old && document.querySelector(`li.message[data-ts="${CSS.escape(old.dataset.ts)}"]`);
  const target = control?.isConnected || !now ? control : refind(now, control) ?? now;
  target?.focus({ preventScroll: true });
}
