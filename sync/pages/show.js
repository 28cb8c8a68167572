// Puts a view on the page. Only what differs is touched, so that focus, an open panel and a selection stay as they are.

import { adminLinkOf, dayInWords, isLive, outcomeOf, stateOf, timeInWords } from "./words.js";

const byId = (id) => document.getElementById(id);

/** Show this view: `{connection, sign_in, now}`. */
export function show(view) {
  const state = stateOf(view);
  const live = isLive(view.connection);
  byId("state").dataset.tone = state.tone;
  setIcon("state-icon", state.tone);
  setText(byId("state-words"), state.words, view.now);
  setText(byId("state-detail"), state.detail, view.now);
  showOutcome(view);
  showAdminLink(adminLinkOf(view));
  for (const id of ["mailbox", "change", "default-email"]) byId(id).hidden = !live;
  byId("begin").hidden = live;
  byId("reconnect").hidden = view.connection?.state !== "needs_reconnect";
  if (live) showConnection(view.connection, view.now);
  byId("content").hidden = false;
}

/** Select the door that the view names. */
export function showDefaultSender(view) {
  for (const choice of document.getElementsByName("default-sender")) {
    choice.checked = choice.value === view.connection?.default_sender;
  }
}

/** Write a text of `words.js` into an element, unless it stands there already. */
export function setText(element, text, now) {
  const parts = text.map((part) => (typeof part === "string" ? part : timeElement(part.at, timeInWords(part.at, now))));
  const words = parts.map((part) => part.textContent ?? part).join("");
  const times = parts.filter((part) => part instanceof Element).length;
  if (element.textContent !== words || element.childElementCount !== times) element.replaceChildren(...parts);
}

function showConnection(connection, now) {
  setText(byId("address"), [connection.email ?? ""], now);
  for (const place of document.querySelectorAll("[data-address]")) setText(place, [connection.email ?? "your mailbox"], now);
  setText(byId("name"), [connection.display_name ? `${connection.display_name} · ` : ""], now);
  const since = byId("since");
  const day = dayInWords(connection.connected_at, now);
  if (since.textContent !== `connected since ${day}`) {
    since.replaceChildren("connected since ", timeElement(connection.connected_at, day));
  }
}

function showOutcome(view) {
  const outcome = outcomeOf(view);
  byId("outcome").hidden = outcome === null;
  if (outcome === null) return;
  byId("outcome").dataset.tone = outcome.tone;
  setIcon("outcome-icon", outcome.tone);
  setText(byId("outcome-words"), outcome.text, view.now);
}

function showAdminLink(link) {
  byId("handover").hidden = link === null;
  if (link !== null && byId("admin-link").value !== link) byId("admin-link").value = link;
}

function setIcon(id, tone) {
  byId(id).setAttribute("href", `#icon-${tone}`);
}

function timeElement(at, words) {
  const element = document.createElement("time");
  element.dateTime = at;
  element.textContent = words;
  return element;
}
