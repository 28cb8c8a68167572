// The right half: one person's Outlook mailbox, and the world that writes to it.

import { choices, cleared, h, keyed, say, time } from "./dom.js";
import { act } from "./server.js";
import { messageView } from "./message.js";
import { incoming, newMail } from "./writing.js";

const BADGES = { synced: "In the CRM", private: "Private", open: "Looking …" };
const WRITTEN_HERE = ["sentitems", "drafts", "outbox"];
const half = document.getElementById("mailbox");
const part = (name) => document.getElementById(`mailbox-${name}`);

/** refresh: look at the backend at once. openInCrm(threadId, messageId): show a message in the other half. */
export function mailbox({ refresh, openInCrm }) {
  let now = null;
  let person = sessionStorage.getItem("mailbox") ?? "";
  let folder = "inbox";
  let openId = null;
  let view = null;

  close();
  part("new").addEventListener("click", () => write());
  part("receive").addEventListener("click", () => receive());
  part("person").addEventListener("change", ({ target }) => lookInto(target.value));

  function lookInto(email) {
    person = email;
    sessionStorage.setItem("mailbox", person);
    folder = "inbox";
    close();
    cleared(part("messages"));
    return refresh();
  }

  function update(news) {
    if (news.asked !== person) return; // a look that began at somebody else's mailbox
    if (now && now.email !== news.email) cleared(part("messages"));
    now = news;
    person = news.email;
    choices(part("person"), news.people, ({ email, name }) => [email, `${name} (${email})`], news.email);
    if (!news.folders.some(({ name }) => name === folder)) folder = "inbox";
    draw();
    const opened = news.messages.find(({ id }) => id === openId);
    if (!opened) return openId && close();
    if (opened.is_draft !== view.isDraft) open(openId); // it has been sent: another folder, and other things to do with it
    else view.update(opened);
  }

  function draw() {
    const folders = now.folders.map((each) => ({ ...each, current: each.name === folder }));
    keyed(part("folders"), folders, ({ name }) => name, folderTab);
    const shown = now.messages.filter((message) => message.folder === folder);
    const rows = shown.map((message) => ({ ...message, current: message.id === openId }));
    keyed(part("messages"), rows, ({ id }) => id, messageRow);
    part("none").hidden = rows.length > 0;
  }

  function folderTab({ name, display_name }) {
    const count = h("span", { class: "count" });
    const tab = h("button", { type: "button", on: { click: () => turnTo(name) } }, display_name, " ", count);
    tab.update = ({ total, unread, current }) => {
      say(count, unread ? `${unread} new` : total ? `${total}` : "");
      count.classList.toggle("new", unread > 0);
      tab.setAttribute("aria-current", current);
    };
    return tab;
  }

  function messageRow({ id }) {
    const [who, files, subject, badge, snippet] = ["from", "clip", "subject", "badge", "snippet"].map((name) =>
      h("span", { class: name }),
    );
    const at = time(null);
    const button = h(
      "button",
      { type: "button", on: { click: () => open(id) } },
      h("span", { class: "line" }, who, files, at),
      h("span", { class: "line" }, subject, badge),
      snippet,
    );
    const row = h("li", {}, button);
    row.update = (message) => {
      say(who, WRITTEN_HERE.includes(message.folder) ? `To ${message.to}` : message.from);
      say(files, message.attachments ? (message.attachments === 1 ? "1 file" : `${message.attachments} files`) : "");
      at.update(message.at);
      say(subject, message.subject || "(no subject)");
      say(snippet, message.snippet);
      say(badge, BADGES[message.sync.state]);
      badge.dataset.state = message.sync.state;
      button.title = message.sync.says;
      button.classList.toggle("unread", !message.is_read);
      button.setAttribute("aria-current", message.current);
    };
    return row;
  }

  function turnTo(name) {
    folder = name;
    close();
    cleared(part("messages"));
    draw();
  }

  /** Open a message; `then` says what to do with its view at once: `reply`. */
  function open(id, then = null) {
    const message = now.messages.find((each) => each.id === id);
    if (!message) return;
    if (message.folder !== folder) {
      folder = message.folder;
      cleared(part("messages"));
    }
    openId = id;
    view = messageView(now.email, message, { refresh, openInCrm, close });
    part("detail").replaceChildren(view.node);
    draw();
    if (!message.is_read) act(`/mailbox/${now.email}/messages/${id}/mark`, { read: true }).then(refresh, () => {});
    if (then === "reply") view.reply("reply");
  }

  function close() {
    openId = null;
    view = null;
    part("detail").replaceChildren(h("p", { class: "empty", text: "Choose a message to read it." }));
  }

  function write(preset) {
    form(newMail(now.email, preset, { done: (id) => done("sentitems", id), cancel }));
  }

  /** Mail from outside; `preset` fills the form in. It may answer what is open here, or the CRM's newest email. */
  function receive(preset = {}) {
    const opened = now.messages.find(({ id, is_draft }) => id === openId && !is_draft);
    const crms = now.messages.find(({ sync }) => sync.reason === "from_crm");
    const answerable = preset.toCrm ? [crms, opened] : [opened, crms];
    form(incoming(now, [...new Set(answerable.filter(Boolean))], preset, { done: () => done("inbox"), cancel }));
  }

  function form(composed) {
    close();
    part("detail").replaceChildren(composed);
    draw();
    composed.focusFirst();
  }

  async function done(where, id = null) {
    turnTo(where);
    half.focus({ preventScroll: true }); // the form that had the focus is gone
    await refresh();
    if (id) open(id);
  }

  function cancel() {
    close();
    half.focus({ preventScroll: true });
    draw();
  }

  return {
    update,
    write,
    receive,
    person: () => person,
    /** Show the message with this Message-ID in the mailbox with this address; false if it is not there. */
    async find(internetMessageId, email) {
      if (email && email !== person) await lookInto(email);
      const found = now.messages.find((message) => message.internet_message_id === internetMessageId);
      if (found) open(found.id);
      return Boolean(found);
    },
    /** Open the newest answer that synced, ready to be answered in its turn. */
    replyToAnswer() {
      const answer = now.messages.find(({ sync }) => sync.reason === "answer");
      if (answer) open(answer.id, "reply");
      else receive();
    },
  };
}
