// The page's calls to the app. Each answers the JSON or throws a Problem; nothing is repeated here.

/** How long an answer may take, in milliseconds: beyond it the server counts as not reachable. */
const PATIENCE = 30_000;

/** A call that failed. `status` 0: no answer came. `expired`: the link that opened this page is no longer good. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.code ?? `status ${status}`);
    this.status = status;
    this.requestId = body.request_id ?? null;
    this.retryable = body.retryable ?? status >= 500;
    this.expired = status === 401;
  }
}

/** The view: `{connection, sign_in, now}`. */
export const readView = () => call("GET", "email/connection");

/** A new link to sign in with: `{sign_in_url, expires_at}`. */
export const beginSignIn = () => call("POST", "email/sign-in", {});

/** The view, with individual emails going through `outlook` or `provider`. */
export const chooseDefaultSender = (sender) => call("PUT", "email/default-sender", { default_sender: sender });

/** The view, without the connection. */
export const deleteConnection = () => call("DELETE", "email/connection");

// The link carries the token in its fragment, which browsers send to nobody. It stays there, so that a reload works.
function token() {
  return new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
}

async function call(method, path, body) {
  if (!token()) throw new Problem(401, {});
  const headers = { Authorization: `Bearer ${token()}` };
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  let content;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(PATIENCE),
    });
    content = await answer.text();
  } catch {
    throw new Problem(0, { retryable: true });
  }
  const json = parsed(content);
  if (!answer.ok) throw new Problem(answer.status, json ?? {});
  if (json === null) throw new Problem(answer.status, { retryable: true });
  return json;
}

// What stands between us and the app may answer with something else than JSON.
function parsed(content) {
  try {
    return JSON.parse(content);
  } catch {
    return null;
  }
}
