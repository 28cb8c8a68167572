// Asking the lab's backend. A refusal is an error whose message is meant for the person.

export class Refused extends Error {
  constructor(status, answer) {
    super(answer.error ?? `The lab answered ${status}.`);
    this.status = status;
    this.files = answer.files ?? [];
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused(0, { error: "The lab does not answer. Is “make start” still running?" });
  }
  const text = await response.text();
  let answer = {};
  try {
    answer = JSON.parse(text);
  } catch {
    // Not JSON: the status has to say it all.
  }
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

/** The JSON at this path. */
export const read = (path) => ask(path, {});

/** Do something; the answer's JSON. */
export const act = (path, body = {}) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
