// What the console's pages do when a browser runs scripts; without, they are whole and are loaded again by hand.
"use strict";

const RETRY_MS = 5000;

// Parts of a page that renew themselves: <main data-live="/console/…/live">, filled by the id of each element.
function follow(root) {
  const status = document.querySelector("[data-live-status]");
  const say = (state, text) => {
    if (!status || status.dataset.state === state) return;
    status.dataset.state = state;
    status.textContent = text;
  };
  let source;

  const put = (event) => {
    say("live", "Live");
    for (const [id, html] of Object.entries(JSON.parse(event.data))) {
      const element = document.getElementById(id);
      if (element) renew(element, html);
    }
  };

  const open = () => {
    source = new EventSource(root.dataset.live);
    source.addEventListener("parts", put);
    source.addEventListener("over", () => { source.close(); say("over", "Nothing changes any more"); });
    source.addEventListener("signed-out", () => { source.close(); signIn(); });
    source.addEventListener("error", () => {
      say("waiting", "Connecting again …");
      // refused, not interrupted: the browser gives up, so we ask why and try again
      if (source.readyState === EventSource.CLOSED) setTimeout(again, RETRY_MS);
    });
  };

  const again = async () => {
    try {
      const answer = await fetch("/api/v1/whoami", { headers: { Accept: "application/json" } });
      if (answer.status === 401) return signIn();
    } catch { /* the worker is away */ }
    open();
  };

  const signIn = () => {
    say("out", "Signed out. ");
    if (!status) return;
    const link = document.createElement("a");
    link.href = `/console/login?next=${encodeURIComponent(location.pathname + location.search)}`;
    link.textContent = "Sign in again";
    status.append(link);
  };

  open();
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
}

// The server's HTML takes the place of the old. Nobody's focus, open details or place in a list is lost.
function renew(element, html) {
  if (element.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) return;
  const focused = element.contains(document.activeElement) ? pathTo(element, document.activeElement) : null;
  const opened = [...element.querySelectorAll("details")].map((each) => each.open);
  const scrolled = [...element.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  element.innerHTML = html;
  element.querySelectorAll("details").forEach((each, place) => { if (opened[place]) each.open = true; });
  element.querySelectorAll(".scroll").forEach((each, place) => { each.scrollLeft = scrolled[place] ?? 0; });
  if (focused) focused.reduce((at, place) => at?.children[place], element)?.focus({ preventScroll: true });
}

function pathTo(root, element) {
  const path = [];
  for (let at = element; at !== root; at = at.parentElement) path.unshift([...at.parentElement.children].indexOf(at));
  return path;
}

// What was typed into a large field survives a session that ends meanwhile: <textarea data-keep="name">.
function keep(field) {
  const name = `pike ${field.dataset.keep}`;
  const kept = sessionStorage.getItem(name);
  if (kept !== null) field.value = kept;
  field.addEventListener("input", () => sessionStorage.setItem(name, field.value));
}

document.querySelectorAll("[data-live]").forEach(follow);
document.querySelectorAll("textarea[data-keep]").forEach(keep);
// A form is sent once, however often it is clicked.
document.querySelectorAll("form[method=post]").forEach((form) => {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));
document.addEventListener("click", (event) => {
  const menu = document.querySelector("details.me[open]");
  if (menu && !menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.me[open]");
  if (menu && event.key === "Escape") { menu.open = false; menu.querySelector("summary").focus(); }
});
