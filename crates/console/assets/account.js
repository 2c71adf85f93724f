// The account page: what is shown, and what is sent. Keys are in the worker, which has no network; this page has no keys.
// docs/account-keys.md is the protocol.

const $ = (id) => document.getElementById(id);
const meta = (name) => document.querySelector(`meta[name="rollcall-${name}"]`)?.content ?? "";
const root = meta("root");

// ---- the worker

// Trusted Types: this address alone becomes a script.
const workerUrl = meta("worker");
const policy = globalThis.trustedTypes?.createPolicy("account-worker", {
  createScriptURL(url) {
    if (url !== workerUrl) throw new TypeError("not the worker");
    return url;
  },
});
const worker = new Worker(policy ? policy.createScriptURL(workerUrl) : workerUrl, { type: "module" });
const asked = new Map();
let latest = 0;
worker.addEventListener("message", ({ data: { id, result, error } }) => {
  const waiting = asked.get(id);
  asked.delete(id);
  if (error) waiting?.reject(Object.assign(new Error(error.message), { code: error.code }));
  else waiting?.resolve(result);
});
worker.addEventListener("error", () => {
  for (const waiting of asked.values()) waiting.reject(new Error("The modules with the keys could not be loaded. Load the page anew."));
  asked.clear();
});
const keys = (method, params = {}) =>
  new Promise((resolve, reject) => {
    const id = ++latest;
    asked.set(id, { resolve, reject });
    worker.postMessage({ id, method, params });
  });

// ---- the server

const call = async (path, body = {}) => {
  let answer;
  try {
    answer = await fetch(`${root}/api/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-rollcall-form": meta("form") },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("The server cannot be reached. Try again in a moment.");
  }
  const text = await answer.text();
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error("The server's answer cannot be read. Load the page anew.");
  }
  if (answer.ok) return json;
  if (json.code === "signed_out") {
    location.assign(`${root}/sign-in`);
    // Until the page is gone.
    await new Promise(() => {});
  }
  throw Object.assign(new Error(json.message), { code: json.code });
};

// ---- what is shown

const views = ["loading", "set-up", "kit", "unlock", "recover", "home", "organization", "organization-kit"];
let session;

const show = (...names) => {
  for (const view of views) $(`view-${view}`).hidden = !names.includes(view);
  for (const element of document.querySelectorAll("[data-only=unlocked]")) element.hidden = !session?.open;
  tell("");
  const first = $(`view-${names[0]}`);
  (first.querySelector("input:not([type=hidden]), textarea") ?? first.querySelector("button"))?.focus();
};

const tell = (text) => {
  $("error").textContent = text;
  $("error").hidden = !text;
  if (text) $("error").focus();
};

// One thing at a time; its button waits, what goes wrong is said.
const doing = (button, words, work) => async (event) => {
  event?.preventDefault();
  if (button.disabled) return;
  const label = button.textContent;
  button.disabled = true;
  button.textContent = words;
  $("status").textContent = words;
  tell("");
  try {
    await work();
  } catch (error) {
    tell(error.message);
  } finally {
    button.disabled = false;
    button.textContent = label;
    $("status").textContent = "";
  }
};

const who = () => ({ organization: session.organization, user: session.user });

// ---- strength

const STRENGTHS = ["Guessed at once.", "Guessed soon.", "Some hours of guessing. Longer is better.", "Good.", "Very good."];
let estimate;
const strength = async () => {
  estimate ??= import(`${root}/assets/strength.mjs`);
  const known = [meta("user"), $("signed-in-as").textContent, $("organization").textContent];
  const { strength: of } = await estimate;
  const { score } = of($("password").value, known);
  $("strength").value = $("password").value ? score : 0;
  $("strength-words").textContent = $("password").value ? STRENGTHS[score] : "";
  return score;
};
$("password").addEventListener("input", () => strength().catch(() => {}));

// ---- set-up, a new password, new keys

// What the form is for: "set-up", "reset" (new keys), "password", or "kit" (a password with a new kit).
let purpose = "set-up";

const choosePassword = (what) => {
  purpose = what;
  const anew = what === "password" || what === "kit";
  $("set-up-title").textContent = anew ? "Choose a new master password" : "Choose a master password";
  $("make-keys").textContent = anew ? "Change the password" : "Create my keys";
  $("set-up").reset();
  $("strength").value = 0;
  $("strength-words").textContent = "";
  show("set-up");
};

const chosen = async () => {
  const password = $("password").value;
  if (password.normalize("NFKC") !== $("password-again").value.normalize("NFKC")) {
    throw new Error("The two passwords are not the same. Type them again.");
  }
  if ([...password].length < 10) throw new Error("The password is too short: it takes at least 10 characters.");
  // Without the estimate the length has to do.
  const score = await strength().catch(() => 4);
  if (score < 2) throw new Error("This password would be guessed soon. Take one that is longer, or of several unrelated words.");
  return password;
};

$("set-up").addEventListener(
  "submit",
  doing($("make-keys"), "Making keys", async () => {
    const password = await chosen();
    if (purpose === "password" || purpose === "kit") {
      await changePassword(password, purpose === "kit");
      return;
    }
    const { registrationRequest } = await keys("setUpBegin", { password });
    const begun = await call("set-up/begin", { registrationRequest, reset: purpose === "reset" });
    const { kitWords, ...made } = await keys("setUpFinish", { ...who(), ...begun });
    $("set-up").reset();
    kit("your account", kitWords, async () => {
      await call("set-up/finish", { keyId: begun.keyId, ...made });
      await open();
    });
  }),
);

const changePassword = async (password, withKit) => {
  const { registrationRequest } = await keys("changePasswordBegin", { password });
  const begun = await call("password/begin", { registrationRequest });
  const made = await keys("changePasswordFinish", begun);
  $("set-up").reset();
  if (!withKit) {
    await call("password/finish", made);
    await open();
    return;
  }
  const { kitWords, ...kitMade } = await keys("newKit");
  kit("your account", kitWords, async () => {
    await call("password/finish", { ...made, kit: kitMade });
    await open();
  });
};

// ---- a kit is shown, kept, and two of its words are asked for

// `drop`: what happens if it is not wanted after all.
let afterKit;
const kit = (what, text, then, drop) => {
  const words = text.split(" ");
  afterKit = then;
  $("kit-drop").hidden = !drop;
  $("kit-drop").onclick = drop;
  $("kit-kind").textContent = `For ${what}.`;
  $("kit-title").textContent = what === "your account" ? "Your emergency kit" : "Your organization's emergency kit";
  $("kit-lead").textContent =
    what === "your account"
      ? "These 24 words open your account if you forget the password. They are shown once. Whoever has them and can sign in as you can read your data."
      : "These 24 words open your organization's data if no administrator is left who can. They are shown once. Keep them where the organization keeps what must not be lost.";
  $("kit-words").replaceChildren(
    ...words.map((word) => {
      const item = document.createElement("li");
      item.textContent = word;
      return item;
    }),
  );
  const [one, two] = pick(words.length);
  $("number-one").textContent = one + 1;
  $("number-two").textContent = two + 1;
  $("kit-check").reset();
  $("kit-check").onsubmit = doing($("kit-done"), "Saving", async () => {
    const typed = (id) => $(id).value.trim().toLowerCase();
    if (typed("word-one") !== words[one] || typed("word-two") !== words[two]) {
      throw new Error(`These are not the words ${one + 1} and ${two + 1}. Look at the kit again.`);
    }
    await afterKit();
    $("kit-words").replaceChildren();
  });
  $("copy-kit").onclick = async () => {
    await navigator.clipboard.writeText(words.join(" "));
    $("status").textContent = "Copied";
  };
  show("kit");
};
$("print-kit").addEventListener("click", () => print());

// Two different places.
const pick = (count) => {
  const [a, b] = crypto.getRandomValues(new Uint32Array(2));
  const one = a % count;
  const two = (one + 1 + (b % (count - 1))) % count;
  return one < two ? [one, two] : [two, one];
};

// ---- unlock, recovery

const openAccount = (method, { key, wrap }) => keys(method, { ...who(), ...key, wrap });

$("unlock").addEventListener(
  "submit",
  doing($("unlock-now"), "Unlocking", async () => {
    const { ke1 } = await keys("unlockBegin", { password: $("unlock-password").value });
    const begun = await call("unlock/begin", { ke1 });
    const { ke3 } = await keys("unlockFinish", { ...who(), ...begun });
    const released = await call("unlock/finish", { id: begun.id, ke3 });
    await openAccount("open", released);
    $("unlock").reset();
    await open();
  }),
);

$("recover").addEventListener(
  "submit",
  doing($("recover-now"), "Opening", async () => {
    const { proof } = await keys("recoverBegin", { user: session.user, words: $("words").value });
    const released = await call("recover", { proof });
    await openAccount("recoverOpen", released);
    $("recover").reset();
    session = { ...(await call("session")), open: true };
    choosePassword("password");
  }),
);

$("reset").addEventListener("click", () => choosePassword("reset"));
for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => (button.dataset.view === "home" ? open() : show(button.dataset.view)));
}

// ---- an open account

const states = {
  accepted: ["warn", "waiting for confirmation", "Your keys are made. An administrator of your organization confirms you next; then its data opens here, too."],
  confirmed: ["good", "confirmed", "Your keys are made, and you have your organization's key."],
};

const open = async () => {
  session = { ...(await call("session")), open: true };
  const [tone, tag, words] = states[session.state] ?? ["plain", session.state, ""];
  $("state").className = `tag ${tone}`;
  $("state").textContent = tag;
  $("state-words").textContent = words;
  $("invited").hidden = session.mayConfirm || !session.invitedToConsole;
  const { words: phrase } = await keys("fingerprint", { ...who(), publicKeys: session.key.publicKeys });
  $("fingerprint").textContent = phrase;
  const organizationKey = await call("organization-key");
  await member(organizationKey);
  await organization(organizationKey);
};

// The key of one's own organization, from whom; older versions by the chain.
const member = async ({ granted, chain }) => {
  $("granter").hidden = true;
  if (!granted) return;
  const { version, granterFingerprint } = await keys("openGrant", granted);
  // A newer version than one's own is not for this member yet.
  const older = chain.filter(({ version: newer }) => newer <= version);
  for (const { version: newer, link } of older) await keys("openPrevious", { version: newer, link });
  const { agent } = granted.granter;
  const by = agent ? `your organization's agent "${agent}", which has the phrase` : "the member with the phrase";
  $("granter").textContent = `Organization key version ${version}, given by ${by}: ${granterFingerprint}.`;
  $("granter").hidden = false;
};

$("change-password").addEventListener("click", () => choosePassword("password"));
$("new-kit").addEventListener("click", () => choosePassword("kit"));
$("look-again").addEventListener("click", doing($("look-again"), "Looking", () => open()));
$("lock").addEventListener("click", async () => {
  await keys("lock");
  session.open = agreed = false;
  show("unlock");
});

// ---- administrators: the organization key, and who waits for it

let waiting = [];

const organization = async ({ version, granted, rotationDue, kit: ofOrganization }) => {
  if (!session.mayConfirm) {
    show("home");
    return;
  }
  const none = version === 0;
  const confirmed = session.state === "confirmed";
  const awaited = !none && granted?.version !== version;
  $("organization-none").hidden = !none;
  $("organization-due").hidden = !(confirmed && !awaited && rotationDue);
  $("organization-awaited").hidden = !(awaited && ofOrganization);
  $("open-organization-kit").hidden = $("kit-usable").hidden = !ofOrganization?.recovers;
  $("kit-unusable").hidden = $("kit-missing").hidden = !ofOrganization || ofOrganization.recovers;
  $("organization-members").hidden = !confirmed || awaited;
  show(...(none || confirmed || awaited ? ["home", "organization"] : ["home"]));
  if (confirmed && !awaited) await listMembers();
};

const listMembers = async () => {
  await grantUnasked();
  const { members, more } = await call("members");
  waiting = members;
  $("members-lead").textContent = members.length
    ? `${members.length}${more ? " and more" : ""} waiting for the organization key. Compare the words with those on the member's own page, or with what the agent printed.`
    : "Nobody waits for the organization key.";
  $("confirm-selected").hidden = members.length === 0;
  showAutomatic();
  const items = await Promise.all(
    members.map(async ({ user, agent, userName, displayName, email, publicKeys }) => {
      const { words } = await keys("fingerprint", { organization: session.organization, user, publicKeys });
      const item = document.createElement("li");
      const label = document.createElement("label");
      label.className = "check";
      const box = document.createElement("input");
      box.type = "checkbox";
      box.name = "member";
      box.value = user;
      const text = document.createElement("span");
      const name = document.createElement("b");
      name.textContent = displayName || userName;
      const phrase = document.createElement("code");
      phrase.textContent = words;
      if (agent) {
        const tag = document.createElement("span");
        tag.className = "tag plain";
        tag.textContent = "agent";
        text.append(name, " ", tag, " confirms members by itself from then on ");
      } else text.append(name, ` ${email || userName} `);
      text.append(document.createElement("br"), phrase);
      label.append(box, text);
      item.append(label);
      return item;
    }),
  );
  $("members").replaceChildren(...items);
};

// Nobody has to look at these: somebody whom this member confirmed granted to the very keys before; or who unlocked this
// page wants it so, of members who are no administrators, and no agents.
const isVouchedFor = async ({ user, keyId, publicKeys, granted }) => {
  if (!granted) return false;
  const checked = keys("checkGrant", { ...granted, member: { user, keyId, publicKeys } });
  return checked.then(({ confirmed }) => confirmed, () => false);
};
const comesByItself = ({ administrator, agent }) => agreed && session.confirmAutomatically && !administrator && !agent;

const grantUnasked = async () => {
  if (agreed) await lookAtPolicy();
  const tried = new Set();
  // Who is vouched for vouches for others.
  for (let more = true; more; ) {
    more = false;
    for (let after = ""; after !== undefined; ) {
      const page = await call("members", { after });
      const [vouched, others] = [[], []];
      for (const member of page.members.filter(({ keyId }) => !tried.has(keyId))) {
        if (await isVouchedFor(member)) vouched.push(member);
        else if (comesByItself(member)) others.push(member);
      }
      for (const { keyId } of [...vouched, ...others]) tried.add(keyId);
      // Who was refused is in the list, and is told of when somebody confirms it.
      if (vouched.length) await grantTo(vouched);
      if (others.length) await grantByItself(others);
      more ||= vouched.length + others.length > 0;
      after = page.more ? page.members.at(-1).keyId : undefined;
    }
  }
  return true;
};
// Who signs in as an owner may switch it on, and that is whom the provider says: so whoever unlocked this page says it here, each time.
let agreed = false;

// The organization may have changed its mind since: the server does not take it then, either.
const lookAtPolicy = async () => {
  const { confirmAutomatically } = await call("session");
  session.confirmAutomatically = confirmAutomatically;
  if (!agreed || confirmAutomatically) return;
  agreed = false;
  $("automatic-off").hidden = false;
};
const grantByItself = async (members) => {
  // Stopped while this was on its way.
  if (!agreed) return;
  try {
    await grantTo(members, true);
  } catch (error) {
    if (error.code === "not_confirming") await lookAtPolicy();
    if (agreed) throw error;
  }
};
const showAutomatic = () => {
  $("automatic").hidden = !session.confirmAutomatically;
  $("confirm-automatically").hidden = agreed;
  $("automatic-on").hidden = $("stop-automatically").hidden = !agreed;
};
$("confirm-automatically").addEventListener(
  "click",
  doing($("confirm-automatically"), "Confirming", async () => {
    agreed = true;
    $("automatic-off").hidden = true;
    showAutomatic();
    await listMembers();
  }),
);
$("stop-automatically").addEventListener("click", () => {
  agreed = false;
  showAutomatic();
  $("status").textContent = "Stopped";
  $("confirm-automatically").focus();
});
let looking = false;
setInterval(async () => {
  if (looking || !session?.open || !agreed || !session.confirmAutomatically || session.state !== "confirmed") return;
  if ($("view-organization").hidden || $("organization-members").hidden) return;
  looking = true;
  await listMembers().catch((error) => tell(error.message));
  showAutomatic();
  looking = false;
}, 15_000);

// By the key of this member.
const mine = (grant) => ({ ...grant, granterKeyId: session.key.keyId });
const toMyself = (version, grant) => mine({ version, user: session.user, keyId: session.key.keyId, grant });

// Gives what was wrong with whom.
const grantTo = async (members, automatic = false) => {
  const [grants, wrong] = [[], []];
  for (const { user, keyId, version, publicKeys, challenge, possession } of members) {
    const member = { user, keyId, publicKeys };
    try {
      await keys("checkPossession", { member: { ...member, version }, challenge, possession });
    } catch (error) {
      wrong.push(error.message);
      continue;
    }
    const { version: of, grant } = await keys("grantTo", { member });
    grants.push(mine({ version: of, user, keyId, grant }));
  }
  const { confirmed } = grants.length ? await call("members/confirm", { grants, automatic }) : { confirmed: [] };
  return [...wrong, ...confirmed.map(({ refused }) => refused).filter(Boolean)];
};

$("confirm").addEventListener(
  "submit",
  doing($("confirm-selected"), "Confirming", async () => {
    const users = [...document.querySelectorAll("[name=member]:checked")].map(({ value }) => value);
    if (!users.length) throw new Error("Select at least one member.");
    const chosen = waiting.filter(({ user }) => users.includes(user));
    for (const { user, keyId, publicKeys } of chosen) await keys("confirm", { member: { user, keyId, publicKeys } });
    const wrong = await grantTo(chosen);
    await listMembers();
    if (wrong.length) throw new Error(`${wrong.length} not confirmed: ${wrong[0]}`);
  }),
);

// Nobody is left who confirms: the organization's kit opens the key, and this member grants it to itself.
$("organization-recover").addEventListener(
  "submit",
  doing($("organization-recover-now"), "Opening", async () => {
    const { kit } = await call("organization-key");
    const { version } = kit;
    const { proof, ownGrant } = await keys("openOrganizationKit", { words: $("organization-words").value, ...kit });
    await call("organization-key/recover", { proof, grant: toMyself(version, ownGrant) });
    $("organization-recover").reset();
    await open();
  }),
);

$("create-organization-key").addEventListener(
  "click",
  doing($("create-organization-key"), "Making the key", async () => {
    const { version, grant, kit: sealed, kitWords } = await keys("createOrganizationKey");
    kit("your organization", kitWords, async () => {
      await call("organization-key/create", { grant: toMyself(version, grant), kit: sealed });
      await open();
    });
  }),
);

$("rotate-organization-key").addEventListener(
  "click",
  doing($("rotate-organization-key"), "Making the key", async () => {
    const { kit: before } = await call("organization-key");
    await orBeginAnew(async () => {
      const { version, link, grant } = await keys("rotate");
      const { grant: sealed } = await toKit(before);
      const kept = { publicKey: before.publicKey, grant: sealed };
      await call("organization-key/rotate", { grant: toMyself(version, grant), link, kit: kept });
    });
    await open();
  }),
);

// The worker has a key that nobody else will have.
const beginAnew = async () => {
  $("kit-words").replaceChildren();
  await keys("lock");
  session.open = agreed = false;
  show("unlock");
};
const orBeginAnew = async (work) => {
  try {
    return await work();
  } catch (error) {
    await beginAnew();
    throw error;
  }
};

// A kit of a version that it alone was made for: the old one has no copy of it.
$("new-organization-kit").addEventListener(
  "click",
  doing($("new-organization-kit"), "Making the kit", async () => {
    await orBeginAnew(async () => {
      const { version, link, grant } = await keys("rotate");
      const { kitWords, ...made } = await keys("newOrganizationKit");
      const send = () => call("organization-key/rotate", { grant: toMyself(version, grant), link, kit: made });
      kit("your organization", kitWords, () => orBeginAnew(send).then(open), beginAnew);
    });
  }),
);

// The newest key for the organization kit. Who sealed it last vouches for its public key; somebody has to know that one.
const toKit = async ({ publicKey, ...previous }) => {
  try {
    return await keys("grantToKit", { publicKey, previous });
  } catch (error) {
    if (error.code !== "not_confirmed") throw error;
    const { user, agent, keyId, publicKeys } = previous.granter;
    const { words } = await keys("fingerprint", { organization: session.organization, user, publicKeys });
    const question = `The organization's emergency kit was last used by ${agent ? `the agent "${agent}"` : "the administrator"} with this fingerprint phrase:\n\n${words}\n\nHave you compared it with ${agent ? "what the agent printed" : "that administrator's page"}?`;
    if (!confirm(question)) throw new Error("Nothing was changed. Compare the phrase first, then make the new key.");
    await keys("confirm", { member: { user, keyId, publicKeys } });
    return keys("grantToKit", { publicKey, previous });
  }
};

// ---- at the beginning

const begin = async () => {
  show("loading");
  session = { ...(await call("session")), open: false };
  if (session.state === "setup_required") choosePassword("set-up");
  else show("unlock");
};
begin().catch((error) => tell(error.message));
