// What a view of the connection means in words. Pure: values in, values out; nothing here knows the page.
//
// A text is an array of strings and of `{at: "RFC 3339 time"}`, which the page shows in the reader's own time.

const WAITING = "admin_consent_required";
const APPROVED = "admin_consented";

/** Whether there is a connection whose threads sync, or will once its owner has signed in again. */
export function isLive(connection) {
  return connection !== null && connection.state !== "disconnected";
}

/**
 * The state of the sync: `{name, tone, words, detail}`.
 *
 * `name` changes exactly when something happened that a person should be told of; `tone` is ok, busy, wait, warn or off.
 */
export function stateOf({ connection, sign_in: signIn }) {
  if (isLive(connection)) return liveState(connection);
  if (signIn?.outcome === WAITING) {
    return {
      name: "waiting",
      tone: "wait",
      words: ["Waiting for your administrator"],
      detail: [
        "In your organisation an administrator has to approve the app first. Send them the link below. " +
          "This page shows it as soon as they have approved.",
      ],
    };
  }
  if (signIn?.outcome === APPROVED) {
    return { name: "approved", tone: "ok", words: ["Your administrator has approved"], detail: ["You can connect now."] };
  }
  if (connection === null) {
    return { name: "never", tone: "off", words: ["Not connected"], detail: ["Nothing syncs until you connect your mailbox."] };
  }
  const which = connection.email === null ? "The mailbox" : connection.email;
  return {
    name: "disconnected",
    tone: "off",
    words: ["Disconnected"],
    detail: [`${which} is no longer connected, and its threads have stopped. Connecting again starts anew.`],
  };
}

function liveState(connection) {
  const upTo = connection.synced_through;
  if (connection.state === "needs_reconnect") {
    const why = connection.problem ?? "Microsoft no longer accepts the sign-in of this mailbox.";
    return { name: `needs_reconnect ${connection.problem_code ?? ""}`, tone: "warn", words: ["Sign in again"], detail: [why] };
  }
  if (connection.state === "connecting" || connection.sync_state === "starting") {
    return { name: "connecting", tone: "busy", words: ["Connecting…"], detail: ["This takes a few seconds."] };
  }
  if (connection.sync_state === "catching_up") {
    return {
      name: "catching_up",
      tone: "busy",
      words: ["Catching up…"],
      detail: upTo ? ["Complete up to ", { at: upTo }, ". What came since is on its way."] : ["What came meanwhile is on its way."],
    };
  }
  if (connection.sync_state === "active") {
    return { name: "in_sync", tone: "ok", words: upTo ? ["In sync up to ", { at: upTo }] : ["In sync"], detail: [] };
  }
  return { name: "stopped", tone: "warn", words: ["Not in sync"], detail: [connection.problem ?? "The sync has stopped."] };
}

/** How the last sign-in ended, where the state does not say it: `{tone, text}` or null. */
export function outcomeOf({ connection, sign_in: signIn }) {
  if (signIn === null) return null;
  const live = isLive(connection);
  switch (signIn.outcome) {
    case "declined":
      return { tone: "off", text: ["The sign-in was cancelled at ", { at: signIn.at }, ". Nothing has changed."] };
    case "expired":
      return { tone: "warn", text: ["The sign-in took too long and has expired. Nothing has changed. Please try again."] };
    case "failed":
      return {
        tone: "warn",
        text: ["The sign-in at ", { at: signIn.at }, " did not work. Nothing has changed. Please try again in a few minutes."],
      };
    case "wrong_mailbox":
      return {
        tone: "warn",
        text: [
          "That was another mailbox than the one this sign-in was for. Nothing has changed. " +
            "Please try again with the right one.",
        ],
      };
    case WAITING:
      return live
        ? {
            tone: "wait",
            text: ["Waiting for your administrator: the sign-in needs their approval first. Send them the link below."],
          }
        : null;
    case APPROVED:
      return live ? { tone: "ok", text: ["Your administrator has approved. You can sign in now."] } : null;
    default:
      return { tone: "off", text: ["The last sign-in made no connection. Nothing has changed."] };
  }
}

/** What to read out to somebody who does not see the page change from one view to the next; null for nothing new. */
export function newsOf(before, after) {
  const state = stateOf(after);
  const outcome = outcomeOf(after);
  const changed = state.name !== stateOf(before).name;
  const ended = outcome !== null && after.sign_in.at !== before.sign_in?.at;
  if (!changed && !ended) return null;
  return [...(changed ? [...state.words, ". ", ...state.detail, " "] : []), ...(ended ? outcome.text : [])];
}

/** The link that an administrator opens, or null where nobody waits for one. */
export function adminLinkOf({ sign_in: signIn }) {
  return signIn?.outcome === WAITING ? (signIn.admin_consent_url ?? null) : null;
}

/** Whether something is under way, so that the next look should come soon. */
export function isUnderWay(view) {
  return stateOf(view).tone === "busy" || view.sign_in?.outcome === WAITING;
}

/** What to tell a person whose action failed, and what to do. `problem`: what the service threw. */
export function failureOf(problem) {
  if (problem.status === 0) return "The server could not be reached. Check your internet connection, then try again.";
  const toDo = problem.retryable
    ? "That did not work just now. Please try again in a minute."
    : "That did not work. Please try again; if it fails again, tell whoever looks after your CRM.";
  return problem.requestId ? `${toDo} Reference: ${problem.requestId}` : toDo;
}

/** A time in the reader's own words: only the clock today, with the date on other days. `now`: the server's time. */
export function timeInWords(at, now) {
  const time = new Date(at);
  const today = new Date(now);
  const clock = { hour: "numeric", minute: "2-digit" };
  if (time.toDateString() === today.toDateString()) return time.toLocaleTimeString(undefined, clock);
  const sameYear = time.getFullYear() === today.getFullYear();
  const day = { day: "numeric", month: "long", ...(sameYear ? {} : { year: "numeric" }) };
  return time.toLocaleString(undefined, { ...day, ...clock });
}

/** A day in the reader's own words; "today" where it is. */
export function dayInWords(at, now) {
  const time = new Date(at);
  if (time.toDateString() === new Date(now).toDateString()) return "today";
  return time.toLocaleDateString(undefined, { day: "numeric", month: "long", year: "numeric" });
}
