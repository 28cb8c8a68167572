// The panels that explain Connect, Update and Delete. One is open at a time; it opens in place, so that it is seen in any frame.

const byId = (id) => document.getElementById(id);

function open(opener) {
  close();
  const panel = byId(opener.dataset.opens);
  panel.hidden = false;
  opener.setAttribute("aria-expanded", "true");
  panel.querySelector("h3").focus();
}

/** Close the open panel, if any. The focus goes to what opened it, or to `focusOn` where that has gone. */
export function close(focusOn = null) {
  const opener = document.querySelector('[data-opens][aria-expanded="true"]');
  if (opener === null) return;
  const panel = byId(opener.dataset.opens);
  const hadFocus = panel.contains(document.activeElement);
  panel.hidden = true;
  opener.setAttribute("aria-expanded", "false");
  if (hadFocus) (focusOn ?? opener).focus();
}

/** Close the open panel if the button that opened it is no longer there. */
export function closeOrphan(focusOn) {
  const opener = document.querySelector('[data-opens][aria-expanded="true"]');
  if (opener !== null && opener.closest("[hidden]")) close(focusOn);
}

/** Make the buttons work. `opened` is called with each panel that opens. */
export function listen(opened) {
  for (const opener of document.querySelectorAll("[data-opens]")) {
    opener.addEventListener("click", () => {
      if (opener.getAttribute("aria-expanded") === "true") return close();
      opened(byId(opener.dataset.opens));
      open(opener);
    });
  }
  for (const button of document.querySelectorAll("[data-cancels]")) button.addEventListener("click", () => close());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
}
