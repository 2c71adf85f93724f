// Saves clicks. Everything works without it.

// Beside a field with `data-copy`: a button that copies it.
for (const field of document.querySelectorAll("input[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  const name = (word) => {
    button.textContent = word;
    button.setAttribute("aria-label", `${word} ${field.dataset.copy}`);
  };
  name("Copy");
  const said = document.createElement("span");
  said.className = "unseen";
  said.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      field.select();
      document.execCommand("copy");
    }
    name("Copied");
    said.textContent = `${field.dataset.copy} copied`;
    setTimeout(() => {
      name("Copy");
      said.textContent = "";
    }, 2000);
  });
  field.after(button, said);
  field.addEventListener("focus", () => field.select());
}

// A form is sent once.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    // A page that is come back to may be sent again.
    addEventListener("pageshow", () => delete form.dataset.sent, { once: true });
  });
}

// Instants in the reader's own time zone.
function localize(part) {
  for (const time of part.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) {
      time.title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "short" });
    }
  }
}
localize(document);

// What arrives while a provider is set up: the server sends that part of the page anew. One line of it is read out.
for (const live of document.querySelectorAll("[data-events]")) {
  const status = document.getElementById("live-status");
  const newer = document.getElementById("live-newer");
  let [known, waiting] = ["", null];
  // Not under a link that somebody is about to follow: they are told that there is more.
  const held = () => live.contains(document.activeElement);
  const show = () => {
    if (newer !== document.activeElement) newer.hidden = true;
    if (waiting === null) return;
    live.innerHTML = waiting;
    waiting = null;
    localize(live);
    const said = live.querySelector("[data-status]")?.textContent ?? "";
    if (status.textContent !== said) status.textContent = said;
    if (live.querySelector("[data-over]")) status.classList.add("warn");
  };
  const source = new EventSource(live.dataset.events);
  source.addEventListener("message", (event) => {
    if (event.data === known) return;
    known = waiting = event.data;
    if (known.includes(" data-over>")) source.close();
    if (held()) {
      newer.hidden = false;
      status.textContent = "More has come in. Press the button to show it.";
    } else {
      show();
    }
  });
  newer.addEventListener("click", () => {
    document.getElementById("live-title").focus();
    show();
  });
  newer.addEventListener("blur", () => setTimeout(() => held() || show()));
  live.addEventListener("focusout", () => setTimeout(() => held() || document.activeElement === newer || show()));
}

// What goes on in the background is looked at again, unless somebody is about to press something.
if (document.querySelector("[data-again]")) {
  setInterval(() => {
    if (!document.querySelector("#main :focus")) location.replace(location.pathname);
  }, 3000);
}

// What is wrong with a form is read first.
document.querySelector("[data-focus]")?.focus();
