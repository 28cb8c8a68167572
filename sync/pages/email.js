// The settings page "Email (2-way sync)": looks at the connection again and again, and does what a person asks.

import { close, closeOrphan, listen } from "./panels.js";
import { beginSignIn, chooseDefaultSender, deleteConnection, readView } from "./service.js";
import { setText, show, showDefaultSender } from "./show.js";
import { failureOf, isUnderWay, newsOf } from "./words.js";

const byId = (id) => document.getElementById(id);

/** Between two looks, in milliseconds: while something is under way, and otherwise. */
const SOON = 3_000;
const LATER = 20_000;

/** The newest view; null until there is one. */
let view = null;
/** Counts what changes the connection or the page: a look that began earlier has seen something older. */
let turn = 0;
/** Failed looks in a row. */
let failures = 0;
let nextLook;
let savingDefaultSender = false;

// --- looking

async function look() {
  clearTimeout(nextLook);
  const began = ++turn;
  try {
    const seen = await readView();
    if (began === turn) take(seen);
  } catch (problem) {
    if (began !== turn) return;
    if (problem.expired) return expire();
    interrupted();
  }
  if (began === turn) plan();
}

function plan() {
  clearTimeout(nextLook);
  if (document.hidden) return;
  const calm = view !== null && !isUnderWay(view);
  // Trying again begins soon and slows down: what is down has enough to do.
  const wait = failures > 0 ? Math.min(SOON * 2 ** (failures - 1), LATER) : calm ? LATER : SOON;
  nextLook = setTimeout(look, wait);
}

function take(seen) {
  const before = view;
  view = seen;
  if (failures > 0) setText(byId("announcement"), []);
  failures = 0;
  show(view);
  if (!savingDefaultSender) showDefaultSender(view);
  byId("loading").hidden = true;
  byId("interruption").hidden = true;
  closeOrphan(byId("mailbox-title"));
  const news = before && newsOf(before, view);
  if (news) setText(byId("announcement"), news, view.now);
}

function interrupted() {
  failures += 1;
  byId("interruption").hidden = false;
  // Read out once, not for each try.
  if (failures === 1) setText(byId("announcement"), [byId("interruption-words").textContent]);
}

function expire() {
  turn += 1;
  clearTimeout(nextLook);
  for (const id of ["loading", "interruption", "content"]) byId(id).hidden = true;
  byId("expired").hidden = false;
  if (document.hasFocus()) byId("expired-title").focus();
  setText(byId("announcement"), ["Open this page again from the CRM."]);
}

// --- doing

/**
 * Run an action of a button once: until it has ended, pressing the button again does nothing.
 *
 * The button stays focusable meanwhile, so that a keyboard does not lose its place.
 */
async function once(button, failure, action) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  setText(failure, []);
  try {
    await action();
  } catch (problem) {
    failed(problem, failure);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

function failed(problem, failure) {
  if (problem.expired) return expire();
  setText(failure, [failureOf(problem)]);
  look(); // It may have happened all the same: show how things are.
}

// An action's answer is newer than any look that is under way.
function taken(seen) {
  turn += 1;
  take(seen);
  plan();
}

function signInSlot(slot) {
  slot.append(byId("sign-in").content.cloneNode(true));
  const [button, leaving, failure] = [".microsoft", ".leaving", ".failure"].map((part) => slot.querySelector(part));
  if ("cancel" in slot.dataset) {
    const cancel = document.createElement("button");
    cancel.type = "button";
    cancel.textContent = "Cancel";
    cancel.dataset.cancels = "";
    button.after(cancel);
  }
  button.addEventListener("click", (event) => {
    if (event.detail > 1) return; // the rest of a double click, though the answer came in between
    leaving.hidden = true;
    once(button, failure, async () => {
      const { sign_in_url: url } = await beginSignIn();
      const link = leaving.querySelector("a");
      link.href = url;
      leaving.hidden = false;
      setText(byId("announcement"), ["Taking you to Microsoft…"]);
      // At the top, since Microsoft shows itself in no frame. Where the browser does not let us, the link is there to be clicked.
      link.click();
    });
  });
}

// Back from Microsoft by the browser's button, or a panel that opens anew: nobody is on the way.
function stay() {
  for (const leaving of document.querySelectorAll(".leaving")) leaving.hidden = true;
  for (const failure of document.querySelectorAll(".failure")) setText(failure, []);
}

function deletes() {
  once(byId("delete"), byId("delete-failure"), async () => {
    const seen = await deleteConnection();
    close(byId("mailbox-title"));
    taken(seen);
  });
}

/** The last choice wins: what is chosen while one is being saved is saved next. */
async function savesDefaultSender() {
  setText(byId("default-saved"), []);
  setText(byId("default-failure"), []);
  if (savingDefaultSender) return;
  savingDefaultSender = true;
  try {
    let saved;
    do {
      saved = chosenDefaultSender();
      taken(await chooseDefaultSender(saved));
    } while (saved !== chosenDefaultSender());
    setText(byId("default-saved"), ["Saved"]);
  } catch (problem) {
    failed(problem, byId("default-failure"));
  }
  savingDefaultSender = false;
  showDefaultSender(view);
}

function chosenDefaultSender() {
  return document.querySelector('[name="default-sender"]:checked').value;
}

function copyAdminLink() {
  // The one way to copy that also works in a frame to which the CRM has granted nothing.
  byId("admin-link").select();
  const copied = document.execCommand("copy");
  setText(byId("copied"), [copied ? "Copied. Send it to your administrator." : "Press Ctrl+C or ⌘C to copy the selected link."]);
  if (copied) byId("copy").focus();
}

// --- start

for (const slot of document.querySelectorAll("[data-sign-in]")) signInSlot(slot);
listen(stay);
byId("delete").addEventListener("click", deletes);
byId("copy").addEventListener("click", copyAdminLink);
for (const choice of document.getElementsByName("default-sender")) choice.addEventListener("change", savesDefaultSender);

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(nextLook) : look()));
addEventListener("online", look);
addEventListener("hashchange", () => location.reload()); // The CRM put a new link into the same frame.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  stay();
  look();
});

byId("loading").hidden = false;
look();
