// Requests to the server, as docs/reference/app.md describes them. Errors are in words.

const NO_ANSWER = "The server does not answer. If it was stopped, start regzoo app again and open the address that it prints.";
const NO_TOKEN = "The server does not know this browser. Open the address that regzoo app printed last, with its token.";

/** An error whose message can be shown; `code` is the HTTP status, or 0 without an answer. */
export class ServerError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/** Send a request, with a body of JSON if `json` is given, and return the answer's document. */
export async function request(address, { method = "GET", json, signal } = {}) {
  const options = { method, signal };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers = { "Content-Type": "application/json" };
  }
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError(NO_ANSWER, 0);
  }
  const text = await answer.text();
  if (!answer.ok) throw refusal(answer.status, text);
  return text ? JSON.parse(text) : null;
}

/** Send the bytes of a file; `progress` is called with the number of bytes that were sent. */
export function send(method, address, body, { progress, signal } = {}) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open(method, address);
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.upload.addEventListener("progress", (event) => progress?.(event.loaded));
    sending.addEventListener("load", () => {
      const { status, responseText: text } = sending;
      if (status < 200 || status >= 300) reject(refusal(status, text));
      else resolve(text ? JSON.parse(text) : null);
    });
    sending.addEventListener("error", () => reject(new ServerError(NO_ANSWER, 0)));
    const stop = () => sending.abort();
    sending.addEventListener("abort", () => reject(new DOMException("cancelled", "AbortError")));
    sending.addEventListener("loadend", () => signal?.removeEventListener("abort", stop));
    signal?.addEventListener("abort", stop);
    sending.send(body);
  });
}

function refusal(status, text) {
  let sentence = null;
  try {
    sentence = JSON.parse(text).error;
  } catch {
    // The answer is not from the server of regzoo.
  }
  if (status === 403 && !sentence) sentence = NO_TOKEN;
  return new ServerError(sentence ?? `The server answered with the code ${status}.`, status);
}

/**
 * Listen to a stream of events until `signal` is aborted; `handlers` maps names to functions.
 *
 * `connected` is called with true whenever the stream begins and with false when it is lost. The
 * browser connects again by itself.
 */
export function listen(address, handlers, connected, signal) {
  const source = new EventSource(address);
  for (const [name, handler] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handler(JSON.parse(event.data)));
  }
  source.addEventListener("open", () => connected(true));
  source.addEventListener("error", () => connected(false));
  const stop = () => source.close();
  signal?.addEventListener("abort", stop);
  addEventListener("pagehide", stop, { signal });
}
