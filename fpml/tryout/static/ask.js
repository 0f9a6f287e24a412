// Requests to the page's own server, and its errors in one line.
let session = null;

export async function open() {
  session = (await (await request("/api/open", { method: "POST" })).json()).session;
  // Closing the page drops what it holds on the server. Without this it goes after half an hour.
  addEventListener("pagehide", () => navigator.sendBeacon("/api/close", session));
}

async function request(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer; is fpml try still running?");
  }
  if (answer.ok) return answer;
  let line;
  try {
    line = (await answer.json()).error;
  } catch {
    line = `the server answered ${answer.status}`;
  }
  throw new Error(line);
}

function asked(path, body, type) {
  return request(path, { method: "POST", body, headers: { "fpml-session": session, "content-type": type } });
}

export const ask = async (path, body = {}) => (await asked(path, JSON.stringify(body), "application/json")).json();
export const fetched = async (path, body) => (await asked(path, JSON.stringify(body), "application/json")).blob();
export const sent = async (path, file) => (await asked(path, file, "application/octet-stream")).json();

// Runs what a button does: one at a time, its error in one line.
export async function working(button, error, work) {
  if (button.disabled) return;
  const said = button.textContent;
  button.disabled = true;
  button.textContent = "Working …";
  error.textContent = "";
  try {
    await work();
  } catch (problem) {
    error.textContent = problem.message;
  } finally {
    button.disabled = false;
    button.textContent = said;
    button.focus();
  }
}

export function element(name, attributes = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

export function about(answer) {
  const m = answer.model;
  const by = m ? `Model ${m.name} (${m.version}), trained on ${m.trained_on}. ` : `Generator ${answer.generator}, no model. `;
  return element("p", { class: "about" }, `${by}Computed in ${answer.ms} ms.`);
}

export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
