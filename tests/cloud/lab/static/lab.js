// The page: looks at the backend once a second while somebody looks at it, and tells both halves what is new.

import { crm } from "./crm.js";
import { h, say } from "./dom.js";
import { mailbox } from "./mailbox.js";
import { read } from "./server.js";
import { tour } from "./tour.js";

const LOOK_EVERY_MS = 1000;
const live = document.getElementById("live");
const left = crm({ refresh, findInMailbox: (id, email) => right.find(id, email) });
const right = mailbox({ refresh, openInCrm: (threadId, messageId) => left.open(threadId, messageId) });
const steps = tour({
  connect: () => left.show("settings"),
  send: () =>
    left.write({
      to: "ada@customer.example",
      subject: "Our offer for the ground floor",
      text: "Dear Ada,\n\nhere is our offer. What do you think?\n\nDana",
    }),
  answer: () => right.receive({ toCrm: true, text: "Thank you, that looks good!" }),
  outlook: () => right.replyToAnswer(),
  private: () => right.write({ to: "ada@customer.example", subject: "The garden party", text: "Will you come on Sunday?" }),
  too_large: () =>
    right.receive({ toCrm: true, text: "Here is the survey of the site.", sample: "too_large" }),
  delete: () => left.show("settings"),
});

let told = null; // the last event that was read out
let looking = null;
let again = false;

/** Look now. Whoever asks while a look is under way gets one that began after they asked. */
function refresh() {
  if (looking) again = true;
  looking ??= look().finally(() => {
    looking = null;
    if (again) {
      again = false;
      return refresh();
    }
  });
  return looking;
}

async function look() {
  const query = new URLSearchParams({ mailbox: right.person(), thread: left.threadId() ?? "" });
  try {
    const now = await read(`/now?${query}`);
    left.update(now.crm);
    right.update(now.mailbox);
    steps.update(now.tour);
    announce(now.crm.events);
    say(live, "Live");
    live.dataset.state = "live";
  } catch (problem) {
    say(live, problem.status === undefined ? "Something is wrong with this page." : `${problem.message} Trying again …`);
    live.dataset.state = "down";
    if (problem.status === undefined) throw problem;
  }
}

/** Read out what the CRM has been told since the last look. */
function announce(events) {
  const news = events.filter(({ sequence }) => told !== null && sequence > told).reverse();
  told = events[0]?.sequence ?? 0;
  if (news.length) document.getElementById("announce").replaceChildren(...news.map(({ words }) => h("p", { text: words })));
}

async function keepLooking() {
  try {
    if (!document.hidden) await refresh();
  } finally {
    setTimeout(keepLooking, LOOK_EVERY_MS);
  }
}

const outcome = new URLSearchParams(location.search).get("signed_in");
if (outcome) {
  history.replaceState(null, "", "/");
  left.returned(outcome);
}
document.addEventListener("visibilitychange", () => document.hidden || refresh());
keepLooking();
