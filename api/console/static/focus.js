// The focus of the keyboard: what has it may be switched off or taken away by what it did, and then it is not lost.

/** What had the focus last, and what holds it and can have the focus. @type {HTMLElement[]} */
let held = [];

/** @returns {HTMLElement | null} what has the focus; null for nothing */
function focused() {
  const { activeElement } = document;
  return activeElement instanceof HTMLElement && activeElement !== document.body ? activeElement : null;
}

/** Remember what has the focus. */
function remember() {
  held = [];
  for (let each = focused(); each; each = each.parentElement) if (!held.length || each.hasAttribute("tabindex")) held.push(each);
}

/** Move a focus that is lost: to what had it as soon as that can have it again, else to what held that. */
function look() {
  if (!focused()) held.find((each) => each.isConnected)?.focus({ preventScroll: true });
}

/** Remember what has the focus, for when a window over the page is closed. @returns {() => void} to be called then */
export function keepBelow() {
  if (focused()) remember();
  const before = held;
  return () => {
    held = before;
    held.find((each) => each.isConnected)?.focus({ preventScroll: true });
  };
}

/** Watch the page from now on. */
export function keepFocus() {
  addEventListener("focusin", remember);
  addEventListener("pointerup", remember); // who clicks beside everything wants no focus
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributeFilter: ["disabled"] });
}
