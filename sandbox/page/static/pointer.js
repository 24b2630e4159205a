// Nothing is drawn anew while the pointer is pressed: a button that is replaced in between would lose the press.

const waiting = [];
let pressed = false;

/** Each in a task of its own, as it came. */
function next() {
  if (pressed || !waiting.length) return;
  setTimeout(next);
  waiting.shift()();
}

// The click comes before the next task.
function release() {
  pressed = false;
  setTimeout(next);
}

addEventListener("pointerdown", (event) => (pressed ||= event.button === 0), true);
for (const end of ["pointerup", "pointercancel", "dragend", "blur"]) addEventListener(end, release, end !== "blur");

/** Runs something at once, or when the pointer is released; all in the order in which they came. */
export function whenReleased(run) {
  if (pressed || waiting.length) waiting.push(run);
  else run();
}
