// The left half: Contoso CRM. Its conversations, its settings, what the app told it, and who is signed in.

import { choices, cleared, h, keyed, say, time } from "./dom.js";
import { composer } from "./composer.js";
import { act, read } from "./server.js";
import { settings } from "./settings.js";
import { threadView } from "./thread.js";

const VIEWS = ["conversations", "settings", "activity"];
const TROUBLE = { queued: "Waiting", sending: "On its way", failed: "Not sent", bounced: "Bounced" };
const WELCOME =
  "Write an email, and it begins a conversation. All of it is kept here: what the contact answers, and what you write from Outlook.";
const half = document.getElementById("crm");
const part = (name) => document.getElementById(`crm-${name}`);

/** refresh: look at the backend at once. findInMailbox: show a message in the other half, by its Message-ID. */
export function crm({ refresh, findInMailbox }) {
  const profile = settings();
  const seen = new Map(); // by thread: how many of its messages were looked at
  let now = null;
  let openId = null; // the thread that is open or about to be
  let thread = null; // its view, once its messages are here
  let writing = false;
  let signingIn = null; // the user who was picked, until the backend knows
  let wanted = null; // the message to point at once it is here

  for (const button of half.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => show(button.dataset.view));
  }
  part("new").addEventListener("click", () => write());
  part("user").addEventListener("change", async ({ target }) => {
    signingIn = target.value;
    await act("/crm/session", { user_id: signingIn }).catch(() => (signingIn = null)); // the next look says what is wrong
    openId = null;
    clear();
    cleared(part("threads"));
    profile.forget();
    await refresh();
    if (!part("settings").hidden) profile.open();
  });

  function show(view) {
    for (const each of VIEWS) part(each).hidden = each !== view;
    for (const button of half.querySelectorAll("[data-view]")) {
      if (button.dataset.view === view) button.setAttribute("aria-current", "page");
      else button.removeAttribute("aria-current");
    }
    if (view === "settings") profile.open();
    else profile.quiet();
  }

  function update(news) {
    if (signingIn && news.signed_in !== signingIn) return; // a look that began as somebody else
    signingIn = null;
    now = news;
    choices(part("user"), news.users, ({ user_id, name }) => [user_id, name], news.signed_in);
    profile.update(news.users.find(({ user_id }) => user_id === news.signed_in), news.connection);
    keyed(part("events"), news.events, ({ event_id }) => event_id, eventRow);
    part("none").hidden = news.threads.length > 0;
    if (openId && !news.threads.some(({ thread_id }) => thread_id === openId) && thread) {
      openId = null; // erased
      clear();
    }
    if (!openId && !writing) openId = news.threads[0]?.thread_id ?? null;
    if (!openId && !writing && !thread) part("detail").replaceChildren(h("p", { class: "empty", text: WELCOME }));
    if (news.thread && news.thread.thread_id === openId && !writing) showThread(news.thread);
    draw();
  }

  /** The list, with the marks that depend on what is open here. */
  function draw() {
    const rows = now.threads.map((each) => ({
      ...each,
      current: each.thread_id === openId,
      unread: each.thread_id !== openId && (seen.get(each.thread_id) ?? 0) < each.count,
    }));
    keyed(part("threads"), rows, ({ thread_id }) => thread_id, threadRow);
  }

  function threadRow({ thread_id }) {
    const [who, count, subject, state, snippet] = ["from", "count", "subject", "chip", "snippet"].map((name) =>
      h("span", { class: name }),
    );
    const at = time(null);
    const button = h(
      "button",
      { type: "button", on: { click: () => open(thread_id) } },
      h("span", { class: "line" }, who, count, at),
      h("span", { class: "line" }, subject, state),
      snippet,
    );
    const row = h("li", {}, button);
    row.update = (item) => {
      say(who, item.contacts);
      say(count, item.count > 1 ? `${item.count}` : "");
      at.update(item.last.at);
      say(subject, item.subject || "(no subject)");
      say(snippet, item.last.snippet);
      say(state, item.state === "stopped" ? "Stopped" : (TROUBLE[item.last.status] ?? ""));
      state.dataset.state = item.state === "stopped" ? "stopped" : item.last.status;
      button.classList.toggle("unread", item.unread);
      button.setAttribute("aria-current", item.current);
    };
    return row;
  }

  function eventRow({ event_id, sequence, type, at, words }) {
    const raw = h("pre", { tabindex: "0" });
    const more = h("details", {}, h("summary", { text: type }), raw);
    more.addEventListener("toggle", async () => {
      if (!more.open) return;
      const told = await read(`/crm/events/${event_id}`).catch((refusal) => refusal.message);
      raw.textContent = typeof told === "string" ? told : JSON.stringify(told, null, 2);
    });
    const said = h("span", { text: words });
    const row = h("li", {}, h("p", { class: "line" }, h("b", { text: `#${sequence}` }), said, time(at)), more);
    row.update = (item) => say(said, item.words);
    return row;
  }

  function open(threadId, messageId = null) {
    show("conversations");
    wanted = messageId;
    writing = false;
    if (openId !== threadId || !thread) clear();
    openId = threadId;
    refresh();
  }

  function showThread(news) {
    seen.set(news.thread_id, news.messages.length);
    if (!thread) {
      thread = threadView(news, {
        answer,
        findInMailbox: (internetMessageId) => findInMailbox(internetMessageId, now.connection?.email),
      });
      part("detail").replaceChildren(thread.node);
    }
    thread.update(news);
    if (wanted && thread.point(wanted)) wanted = null;
  }

  async function answer(threadId, values, idempotencyKey) {
    await act("/crm/emails", { ...values, thread_id: threadId, idempotency_key: idempotencyKey });
    await refresh();
  }

  /** A new email; `preset` fills the form in. */
  function write(preset = {}) {
    show("conversations");
    clear();
    openId = null;
    writing = true;
    const idempotencyKey = crypto.randomUUID();
    const { state, email } = now?.connection ?? {};
    const form = composer({
      title: "New email",
      hint: state === "connected" ? `It leaves through ${email}, and begins a conversation that syncs.` : null,
      fields: [
        { name: "to", label: "To", value: preset.to, list: (now?.contacts ?? []).map(({ address }) => address) },
        { name: "subject", label: "Subject", value: preset.subject },
      ],
      text: preset.text,
      rows: 7,
      send: "Send",
      cancel: () => {
        writing = false;
        clear();
        half.focus({ preventScroll: true }); // the form that had the focus is gone
        refresh();
      },
      submit: async (values) => {
        const accepted = await act("/crm/emails", { ...values, idempotency_key: idempotencyKey });
        half.focus({ preventScroll: true });
        open(accepted.messages[0].thread_id);
      },
    });
    part("detail").replaceChildren(form);
    if (now) draw();
    form.focusFirst();
  }

  function clear() {
    thread = null;
    part("detail").replaceChildren();
  }

  return {
    update,
    show,
    open,
    write,
    threadId: () => openId,
    returned(outcome) {
      show("settings");
      profile.returned(outcome);
    },
  };
}
