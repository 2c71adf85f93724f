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
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) {
    time.title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "short" });
  }
}

// What arrives while a provider is set up: the server sends that part of the page anew.
for (const live of document.querySelectorAll("[data-events]")) {
  let latest = live.innerHTML;
  // Not under a link that somebody is about to follow.
  const show = () => {
    if (!live.contains(document.activeElement)) live.innerHTML = latest;
  };
  new EventSource(live.dataset.events).addEventListener("message", (event) => {
    latest = event.data;
    show();
  });
  live.addEventListener("focusout", () => setTimeout(show));
}

// What goes on in the background is looked at again, unless somebody is about to press something.
if (document.querySelector("[data-again]")) {
  setInterval(() => {
    if (!document.querySelector("#main :focus")) location.replace(location.pathname);
  }, 3000);
}

// What is wrong with a form is read first.
document.querySelector("[data-focus]")?.focus();
