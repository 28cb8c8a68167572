// Settings › My Profile: where this CRM embeds the app's page "Email (2-way sync)".

import { h, say } from "./dom.js";
import { act } from "./server.js";

const part = (name) => document.getElementById(`crm-${name}`);

// How a way to Microsoft and back can end. Of these the embedded page itself tells:
const TOLD_BY_THE_PAGE = ["declined", "admin_consent_required", "expired", "failed", "wrong_mailbox"];
// and these are between this CRM and the app: codes of a refused confirmation.
const OUTCOMES = {
  ok: "Welcome back from Microsoft. The sign-in is confirmed.",
  completion_code_expired: "The sign-in took too long. Please start again.",
  completion_code_unknown: "That sign-in was started for somebody else. Nothing has changed.",
};
const NO_PAGE = "Here the app’s own settings page would be. This version of the app has none.";
const FAILED = "The sign-in did not work. Nothing has changed; please try again.";

/** The profile page: `update` it, `open` it, `forget` whose it was; say how a sign-in `returned`, and be `quiet` of it. */
export function settings() {
  let usableUntil = null; // when the link of the page in the frame stops working, in ms since 1970
  let asked = null; // the request for a link that still counts: not one for a user who was signed in before

  function update(user, connection) {
    const name = h("b");
    const state = h("span", { class: "soft" });
    if (!part("profile").childElementCount) {
      part("profile").append(h("span", { class: "face", "aria-hidden": "true" }), h("p", {}, name, h("br"), state));
    }
    const [face, words] = part("profile").children;
    say(face, user.name.split(" ").map((word) => word[0]).join(""));
    say(words.firstElementChild, user.name);
    say(words.lastElementChild, `${user.role} · ${connected(connection)}`);
    if (connection?.state === "disconnected" && part("returned").classList.contains("good")) quiet();
  }

  async function open() {
    if (asked || (usableUntil && Date.now() < usableUntil)) return;
    const asking = (asked = act("/crm/settings-page"));
    try {
      const { url, expires_at } = await asking;
      if (asked === asking) show(h("iframe", { src: url, title: "Email (2-way sync)" }), Date.parse(expires_at));
    } catch (refusal) {
      const text = refusal.status === 404 ? NO_PAGE : refusal.message;
      if (asked === asking) show(h("p", { class: "notice", text }));
    } finally {
      if (asked === asking) asked = null;
    }
  }

  function show(content, until = null) {
    usableUntil = until;
    part("embedded").replaceChildren(content);
  }

  function forget() {
    usableUntil = asked = null;
    quiet();
    part("embedded").replaceChildren();
  }

  function quiet() {
    part("returned").hidden = true;
  }

  function returned(outcome) {
    say(part("returned"), OUTCOMES[outcome] ?? FAILED);
    part("returned").classList.toggle("good", outcome === "ok");
    part("returned").hidden = TOLD_BY_THE_PAGE.includes(outcome);
  }

  return { update, open, forget, quiet, returned };
}

function connected(connection) {
  if (!connection || connection.state === "disconnected") return "no mailbox connected";
  return connection.state === "needs_reconnect" ? "has to sign in again" : `connected to ${connection.email}`;
}
