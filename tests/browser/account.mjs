// What provisioned users do, each in a browser of their own: from the first sign-in to an open account, on a second device, with the
// emergency kit, deactivated and back, and after somebody was deleted. And an agent: a real process that confirms members.
//
// Reads its settings as one line of JSON from standard input, writes each step and check as a line of JSON.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

import { Failed, check, held, same, start, step } from "./harness.mjs";
import {
  WITH_KEYS_KB,
  at,
  atProvider,
  becomeOwner,
  choose,
  confirmAll,
  keepKit,
  kitWords,
  person,
  phrase,
  provision,
  scim,
  secrets,
  setActive,
  setUp,
  settings,
  shown,
  signIn,
  state,
  tell,
  unlock,
  visible,
} from "./members.mjs";

const PASSWORDS = {
  owner: "otter velvet quarry lantern",
  kit: "umbrella fjord mosaic kestrel",
  kitAnew: "pepper granite willow harbour",
  ada: "saffron trellis comet bassoon",
  kitLast: "marble thistle cobalt ferry",
  dee: "juniper anvil tundra sonnet",
  next: "walnut cipher meadow trombone",
  bea: "marble thistle cobalt drummer",
  cyd: "walnut glacier tulip saxophone",
  fay: "lobster parsley engine violet",
};

// The agent, as the customer runs it; where it keeps what it is, is nowhere near the server.
const cellar = await mkdtemp(path.join(tmpdir(), "agent-"));
const processes = [];
function agent(...words) {
  const plain = Object.entries(process.env).filter(([name]) => !name.startsWith("ROLLCALL_"));
  const child = spawn(settings.rollcall, ["confirm-agent", ...words, "--output", "json"], { env: Object.fromEntries(plain) });
  processes.push(child);
  const told = [];
  let wrote = "";
  createInterface({ input: child.stdout }).on("line", (line) => told.push(JSON.parse(line)));
  child.stderr.on("data", (text) => (wrote += text));
  const ended = new Promise((resolve) => child.on("close", (code) => resolve({ code, wrote })));
  const until = async (what, holds, seconds = 30) => {
    const deadline = Date.now() + seconds * 1_000;
    for (;;) {
      const found = told.find(holds);
      if (found) return found;
      if (Date.now() > deadline) throw new Failed(`the agent did not say that ${what}: ${JSON.stringify(told)} ${wrote}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  return { told, ended, until };
}

const browser = await start(settings.chromium, settings.screenshots);
try {
  step("an owner connects the provider, and users are provisioned");
  const owner = await person(browser);
  const ids = {
    owner: await provision("owner@acme.example"),
    kit: await provision("kit@acme.example"),
    ada: await provision("ada@acme.example"),
  };
  await becomeOwner(owner, "owner@acme.example", async () => {
    await owner.goto(at("/console/accounts"));
    await owner.looks("accounts");
  });
  held("the owner signs in at the console by the provider");

  step("who was not provisioned is not let in");
  const stranger = await person(browser);
  await signIn(stranger, "stranger@acme.example");
  await stranger.page.waitForURL(/\/account\/sign-in\/callback/);
  check("and is told what to do", /ask an administrator/i.test(await stranger.text()), await stranger.text());
  await stranger.looks("not let in");
  await stranger.close();

  step("first login, keys, the organization key");
  await owner.goto(at("/account"));
  await owner.page.locator("#slug").fill(settings.slug);
  await owner.page.locator("#sign-in").click();
  await setUp(owner, PASSWORDS.owner, "owner", true);
  same("accepted", await state(owner), "waiting for confirmation");
  await owner.page.locator("#create-organization-key").click();
  await keepKit(owner, "organization");
  await shown(owner, "home");
  same("confirmed by making the organization key", await state(owner), "confirmed");
  await owner.looks("open account", WITH_KEYS_KB);

  step("a member sets up, interrupted once, and is confirmed by the owner");
  const kit = await person(browser);
  await signIn(kit, "kit@acme.example");
  await choose(kit, PASSWORDS.kit, "kit");
  await kitWords(kit, "kit, thrown away");
  await kit.page.reload();
  await setUp(kit, PASSWORDS.kit, "kit");
  same("accepted, at the second try", await state(kit), "waiting for confirmation");
  const kitPhrase = await phrase(kit);
  const phrases = await confirmAll(owner, PASSWORDS.owner);
  same("the owner sees the member's phrase", phrases, [kitPhrase]);
  await kit.page.reload();
  await unlock(kit, PASSWORDS.kit);
  await shown(kit, "home");
  same("the member is confirmed", await state(kit), "confirmed");
  check("and sees who gave the key", (await kit.page.locator("#granter").innerText()).includes(await phrase(owner)));

  step("a second device");
  const phone = await person(browser);
  await signIn(phone, "kit@acme.example");
  await shown(phone, "unlock");
  await phone.looks("unlock", WITH_KEYS_KB);
  await unlock(phone, "not the password at all");
  await phone.page.locator("#error:not([hidden])").waitFor();
  held("a wrong password opens nothing");
  await unlock(phone, PASSWORDS.kit);
  await shown(phone, "home");
  same("the right one opens the same keys", await phrase(phone), kitPhrase);

  step("the password is forgotten: the kit opens, and a new password is chosen");
  await phone.page.locator("#lock").click();
  await shown(phone, "unlock");
  await phone.page.locator("#forgotten").click();
  await shown(phone, "recover");
  await phone.looks("recovery", WITH_KEYS_KB);
  await phone.page.locator("#words").fill(secrets.get("kit of kit").toUpperCase().replaceAll(" ", "\n"));
  await phone.page.locator("#recover-now").click();
  await choose(phone, PASSWORDS.kitAnew, "kit, anew");
  await shown(phone, "home");
  same("the same keys", await phrase(phone), kitPhrase);
  await kit.page.reload();
  await kit.page.waitForURL(/\/account\/sign-in/);
  held("other sessions have ended");
  await signIn(kit, "kit@acme.example").catch(() => {});
  await unlock(kit, PASSWORDS.kit);
  await kit.page.locator("#error:not([hidden])").waitFor();
  held("the old password opens nothing");
  await unlock(kit, PASSWORDS.kitAnew);
  await shown(kit, "home");

  step("deactivated: out within a second, and back with the same keys");
  same("deactivated over SCIM", (await setActive(ids.kit, false)).status, 200);
  const begin = Date.now();
  await kit.page.reload();
  await kit.page.waitForURL(/\/account\/sign-in/);
  check("the session is over", Date.now() - begin < 5_000);
  await signIn(kit, "kit@acme.example").catch(() => {});
  await kit.page.waitForURL(/\/account\/sign-in\/callback/);
  check("signing in is refused", /deactivated|active/i.test(await kit.text()), await kit.text());
  await owner.goto(at(`/console/users/${ids.kit}`));
  same("suspended, as the console has it", await owner.page.locator("#account-state").innerText(), "suspended");
  same("activated over SCIM", (await setActive(ids.kit, true)).status, 200);
  await signIn(kit, "kit@acme.example").catch(() => {});
  await unlock(kit, PASSWORDS.kitAnew);
  await shown(kit, "home");
  same("confirmed as before", await state(kit), "confirmed");
  same("the same keys as before", await phrase(kit), kitPhrase);

  step("somebody is deleted: the organization key is made anew");
  const ada = await person(browser);
  await signIn(ada, "ada@acme.example");
  await setUp(ada, PASSWORDS.ada, "ada");
  await owner.goto(at("/account"));
  await confirmAll(owner, PASSWORDS.owner);
  same("deleted over SCIM", (await scim("DELETE", `/Users/${ids.ada}`)).status, 204);
  await ada.page.reload();
  await ada.page.waitForURL(/\/account\/sign-in/);
  // It is noticed within half a minute.
  const deadline = Date.now() + 90_000;
  do {
    if (Date.now() > deadline) throw new Failed("a new organization key is not asked for");
    await owner.page.waitForTimeout(5_000);
    await owner.page.reload();
    await unlock(owner, PASSWORDS.owner);
    await shown(owner, "home");
    await owner.page.locator("#granter:not([hidden])").waitFor();
  } while (!(await visible(owner, "rotate-organization-key")));
  held("a new organization key is asked for");
  await owner.looks("rotation is due", WITH_KEYS_KB);
  await owner.goto(at("/console"));
  const due = await owner.page.locator("#key-due").innerText();
  check("the console's overview says so, and what to do", /is due/.test(due) && /An administrator who has the key makes it/.test(due), due);
  await owner.looks("overview, a key is due");
  await owner.page.locator("#key-due a").click();
  await unlock(owner, PASSWORDS.owner);
  await owner.page.locator("#granter:not([hidden])").waitFor();
  await owner.page.locator("#rotate-organization-key").click();
  await owner.page.getByText("Nobody waits for the organization key.").waitFor();
  held("whom the owner had confirmed got it without being compared again");
  await owner.looks("rotation", WITH_KEYS_KB);
  check("the owner has version 2", /version 2/.test(await owner.page.locator("#granter").innerText()));
  await kit.page.reload();
  await unlock(kit, PASSWORDS.kitAnew);
  await shown(kit, "home");
  check("the member has version 2", /version 2/.test(await kit.page.locator("#granter").innerText()));

  await owner.goto(at("/console"));
  check("the overview says it no longer", !(await visible(owner, "key-due")));

  step("an agent: made in the console, confirmed by the owner");
  await owner.goto(at("/console/accounts"));
  await owner.page.locator("#agent-name").fill("cellar");
  await owner.page.locator("#create-agent").click();
  const credential = await owner.page.locator("#secret").inputValue();
  check("its credential is shown", credential.startsWith("rc_agent_"));
  secrets.set("credential of the agent", credential);
  await owner.looks("agent credential");
  await owner.page.locator("#done").click();
  check("once", !(await owner.page.content()).includes(credential));
  const [credentialFile, stateFile] = ["credential", "state"].map((name) => path.join(cellar, name));
  await writeFile(credentialFile, `${credential}\n`, { mode: 0o600 });
  const enroll = (organization) =>
    agent("enroll", "--url", settings.base, "--organization", organization, "--credential-file", credentialFile, "--state", stateFile);
  const wrong = await enroll("other").ended;
  check("another organization than its own is refused", wrong.code === 1 && /not of other/.test(wrong.wrote), wrong.wrote);
  const enrolling = enroll(settings.slug);
  same("it enrolls", await enrolling.ended, { code: 0, wrote: "" });
  const [{ agent: agentId, fingerprint: agentPhrase }] = enrolling.told;
  const { account_secret: accountSecret, credential: kept } = JSON.parse(await readFile(stateFile, "utf8"));
  same("its state file has its credential", kept, credential);
  secrets.set("account secret of the agent", accountSecret);
  secrets.set("account secret of the agent, hex", Buffer.from(accountSecret, "base64url").toString("hex"));
  const again = enroll(settings.slug);
  same("again it makes no other keys", [(await again.ended).code, again.told[0].fingerprint], [0, agentPhrase]);
  const early = agent("run", "--state", stateFile, "--once");
  same("it waits to be confirmed", [(await early.ended).code, early.told[0].what, early.told[0].fingerprint], [0, "waiting", agentPhrase]);
  await owner.goto(at("/account"));
  await unlock(owner, PASSWORDS.owner);
  await owner.page.locator("#members li").first().waitFor();
  check("it waits on the owner's page, as an agent", /cellar\s+agent/.test(await owner.page.locator("#members li").innerText()));
  await owner.looks("agent waits", WITH_KEYS_KB);
  same("with the phrase that it printed", await confirmAll(owner, PASSWORDS.owner), [agentPhrase]);
  const ownerPhrase = await phrase(owner);
  const distrusting = await agent("run", "--state", stateFile, "--once", "--granter-phrase", kitPhrase).ended;
  check("another granter than was named is refused", distrusting.code === 1 && distrusting.wrote.includes(ownerPhrase), distrusting.wrote);
  const running = agent("run", "--state", stateFile, "--interval", "1", "--granter-phrase", ownerPhrase, "--only-email-domain", "acme.example");
  same("it has the key from the owner", (await running.until("it has the key", ({ what }) => what === "granted")).granter, ownerPhrase);

  step("a member is confirmed without a click");
  const joined = async (name) => {
    ids[name] = await provision(`${name}@acme.example`);
    const visitor = await person(browser);
    await signIn(visitor, `${name}@acme.example`);
    await setUp(visitor, PASSWORDS[name], name);
    await running.until(`${name} is confirmed`, ({ what, user }) => what === "confirmed" && user === ids[name]);
    await visitor.page.reload();
    await unlock(visitor, PASSWORDS[name]);
    await shown(visitor, "home");
    await visitor.page.locator("#granter:not([hidden])").waitFor();
    same(`${name} is confirmed`, await state(visitor), "confirmed");
    return visitor;
  };
  const bea = await joined("bea");
  const given = await bea.page.locator("#granter").innerText();
  check("its page opens the organization key, from the agent", given.includes('agent "cellar"') && given.includes(agentPhrase), given);
  await bea.looks("confirmed by an agent", WITH_KEYS_KB);

  step("somebody is deleted: the agent makes the organization key anew");
  const cyd = await joined("cyd");
  same("deleted over SCIM", (await scim("DELETE", `/Users/${ids.cyd}`)).status, 204);
  const rotated = await running.until("the key is made anew", ({ what }) => what === "rotated", 90);
  same("version 3", rotated.version, 3);
  for (const [visitor, name, password] of [[owner, "owner", PASSWORDS.owner], [kit, "kit", PASSWORDS.kitAnew], [bea, "bea", PASSWORDS.bea]]) {
    await running.until(`${name} has version 3`, ({ what, user, version }) => what === "confirmed" && user === ids[name] && version === 3);
    await visitor.page.reload();
    await unlock(visitor, password);
    await shown(visitor, "home");
    await visitor.page.locator("#granter:not([hidden])").waitFor();
    check(`${name} has version 3`, /version 3/.test(await visitor.page.locator("#granter").innerText()));
  }

  step("revoked, the agent is refused");
  await owner.goto(at("/console/accounts"));
  await owner.looks("agents");
  check("the agent is confirmed, and seen", /cellar\s+confirmed/.test(await owner.page.locator(`#agent-${agentId}`).innerText()));
  await owner.page.locator(`#agent-${agentId} .danger`).click();
  await owner.page.waitForURL(/revoke/);
  await owner.looks("revoke an agent");
  await owner.page.locator("#confirm").click();
  await owner.page.locator(`#agent-${agentId}`).getByText("revoked").waitFor();
  const end = await running.ended;
  check("the process ends, and says why", end.code === 1 && /unknown or was revoked/.test(end.wrote), end.wrote);
  const refused = await agent("run", "--state", stateFile, "--once").ended;
  check("so does the next", refused.code === 1 && /unknown or was revoked/.test(refused.wrote), refused.wrote);
  await owner.goto(at("/account"));
  await unlock(owner, PASSWORDS.owner);
  await owner.page.locator("#rotate-organization-key").waitFor();
  held("and a new organization key is asked for");
  let question = "";
  owner.page.once("dialog", (dialog) => {
    question = dialog.message();
    return dialog.accept();
  });
  await owner.page.locator("#rotate-organization-key").click();
  await owner.page.locator("#granter", { hasText: "version 4" }).waitFor();
  check("which the agent last sealed to the kit", question.includes('the agent "cellar"') && question.includes(agentPhrase), question);

  step("a new kit, printed; the old one opens nothing");
  await kit.page.locator("#new-kit").click();
  await choose(kit, PASSWORDS.kitLast, "kit, at last");
  await shown(kit, "kit");
  await kit.page.evaluate(() => {
    window.print = () => (document.title = "printed");
  });
  await kit.page.locator("#print-kit").click();
  same("the kit is printed", await kit.page.title(), "printed");
  const onPaper = () =>
    kit.page.evaluate(() => {
      const seen = (element) => element.checkVisibility({ visibilityProperty: true });
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const [inside, beside, colours] = [[], [], new Set()];
      while (texts.nextNode()) {
        const { textContent, parentElement } = texts.currentNode;
        if (!textContent.trim() || !seen(parentElement)) continue;
        (parentElement.closest(".printed") ? inside : beside).push(textContent.trim());
        colours.add(getComputedStyle(parentElement).color);
      }
      const controls = [...document.querySelectorAll("input, button, textarea, meter, img, svg")].filter(seen);
      return { inside: inside.join(" "), beside, controls: controls.length, colours: [...colours] };
    });
  const onScreen = await kit.page.locator("#kit-words li").allInnerTexts();
  for (const colorScheme of ["light", "dark"]) {
    await kit.page.emulateMedia({ media: "print", colorScheme });
    const { inside, beside, controls, colours } = await onPaper();
    check(`on paper, ${colorScheme}: the words in their order`, inside.endsWith(onScreen.join(" ")), inside);
    check(`on paper, ${colorScheme}: whose they are`, /^Emergency kit\s*: kit@acme\.example, Acme\. For your account\./.test(inside), inside);
    same(`on paper, ${colorScheme}: nothing else, in black`, [beside, controls, colours], [[], 0, ["rgb(0, 0, 0)"]]);
  }
  const paper = (await kit.page.pdf()).toString("latin1");
  same("it is one page", paper.match(/\/Type\s*\/Page\b(?!s)/g)?.length, 1);
  await kit.page.emulateMedia({ media: "screen", colorScheme: "light" });
  const oldKit = secrets.get("kit of kit");
  const newKit = (await keepKit(kit, "kit, anew", false)).join(" ");
  await shown(kit, "home");
  await kit.page.reload();
  const recover = async (words) => {
    await shown(kit, "unlock");
    await kit.page.locator("#forgotten").click();
    await kit.page.locator("#words").fill(words);
    await kit.page.locator("#recover-now").click();
  };
  await recover(oldKit);
  await kit.page.locator("#error:not([hidden])").waitFor();
  held("the old kit opens nothing");
  await kit.page.reload();
  await recover(newKit);
  await shown(kit, "set-up");
  held("the new one does");

  step("the organization's kit is lost: a new one, and a key with it that the old one does not open");
  await shown(owner, "organization");
  await owner.page.locator("#new-organization-kit").click();
  await kitWords(owner, "organization, not wanted after all");
  await owner.page.locator("#kit-drop").click();
  await unlock(owner, PASSWORDS.owner);
  await owner.page.locator("#granter", { hasText: "version 4" }).waitFor();
  held("who does not want it after all unlocks anew, and nothing has changed");
  await owner.page.locator("#new-organization-kit").click();
  await keepKit(owner, "organization, anew");
  await owner.page.locator("#granter", { hasText: "version 5" }).waitFor();
  await owner.page.locator("#new-organization-kit").waitFor();
  check("it can be used", !(await visible(owner, "kit-missing")));
  await owner.looks("a new organization kit", WITH_KEYS_KB);

  step("plain members are confirmed by an open page, where the organization allows it and the administrator says so there");
  await owner.goto(at("/console/accounts"));
  await owner.page.locator("[name=confirm_automatically]").check();
  await owner.press("Save");
  ids.dee = await provision("dee@acme.example");
  const dee = await person(browser);
  await signIn(dee, "dee@acme.example");
  await owner.goto(at("/account"));
  await unlock(owner, PASSWORDS.owner);
  await shown(owner, "organization");
  await owner.page.locator("#automatic:not([hidden])").waitFor();
  const automatic = async () =>
    Promise.all(["automatic", "automatic-on", "confirm-automatically", "stop-automatically", "automatic-off"].map((id) => visible(owner, id)));
  same("it is off at first", await automatic(), [true, false, true, false, false]);
  await owner.page.locator("#confirm-automatically").click();
  await owner.page.locator("#automatic-on:not([hidden])").waitFor();
  same("it is on, and can be stopped", await automatic(), [true, true, false, true, false]);
  await owner.looks("confirming automatically", WITH_KEYS_KB);
  await setUp(dee, PASSWORDS.dee, "dee");
  await owner.page.waitForTimeout(16_000);
  await dee.page.reload();
  await unlock(dee, PASSWORDS.dee);
  await shown(dee, "home");
  same("confirmed without a click", await state(dee), "confirmed");
  await owner.page.locator("#stop-automatically").click();
  same("stopped", await automatic(), [true, false, true, false, false]);

  step("switched off by the organization, an open page stops before it confirms anybody else");
  await owner.page.locator("#confirm-automatically").click();
  await owner.page.locator("#automatic-on:not([hidden])").waitFor();
  // With all but the last click, so that the page's next look is the first to see both.
  ids.fay = await provision("fay@acme.example");
  const fay = await person(browser);
  await signIn(fay, "fay@acme.example");
  await choose(fay, PASSWORDS.fay, "fay");
  await shown(fay, "kit");
  const beside = await owner.context.newPage();
  await beside.goto(at("/console/accounts"));
  await beside.locator("[name=confirm_automatically]").uncheck();
  await beside.getByRole("button", { name: "Save", exact: true }).click();
  await beside.getByText("saved", { exact: false }).first().waitFor();
  await beside.close();
  await keepKit(fay, "fay");
  await shown(fay, "home");
  await owner.page.locator("#automatic-off:not([hidden])").waitFor({ timeout: 20_000 });
  same("the page says that it has stopped", await automatic(), [false, false, false, false, true]);
  await owner.page.locator("#look-again").click();
  await owner.page.locator("#members li", { hasText: "fay" }).waitFor();
  await owner.looks("no longer automatically", WITH_KEYS_KB);
  await fay.page.locator("#look-again").click();
  await fay.page.locator("#look-again:enabled").waitFor();
  same("who came since is not confirmed", await state(fay), "waiting for confirmation");

  step("nobody is left who confirms: the organization's kit");
  await owner.goto(at("/console/administrators"));
  await owner.page.locator("#invite").click();
  await owner.page.getByLabel("E-mail address").fill("next@acme.example");
  await owner.page.getByRole("radio", { name: /^admin/ }).check();
  await owner.page.locator("#create-invite").click();
  const invite = await owner.page.locator("#secret").inputValue();
  await provision("next@acme.example");
  const next = await person(browser);
  await next.goto(invite);
  await next.page.getByRole("button").last().click();
  await next.page.waitForURL(at("/console"));
  await signIn(next, "next@acme.example");
  await setUp(next, PASSWORDS.next, "next");
  same("whom the console knows by the invitation alone is told so", [await visible(next, "invited"), await visible(next, "view-organization")], [true, false]);
  await next.looks("an administrator by invitation", WITH_KEYS_KB);
  await next.page.locator("#console-sign-in").click();
  await next.page.locator("#sign-in").click();
  await next.page.waitForURL(at("/console"));
  await next.goto(at("/account"));
  await unlock(next, PASSWORDS.next);
  await shown(next, "home");
  check("and is an administrator after that sign-in", !(await visible(next, "invited")));
  same("an administrator waits as others do", await state(next), "waiting for confirmation");
  await next.looks("an administrator who waits", WITH_KEYS_KB);
  await next.page.locator("#open-organization-kit").click();
  await shown(next, "organization-kit");
  await next.looks("open with the organization's kit", WITH_KEYS_KB);
  const openByKit = async (words) => {
    await next.page.locator("#organization-words").fill(words);
    await next.page.locator("#organization-recover-now").click();
  };
  await openByKit(newKit);
  await next.page.locator("#error:not([hidden])").waitFor();
  held("another kit opens nothing");
  await next.page.locator("#error").evaluate((error) => (error.hidden = true));
  await openByKit(secrets.get("kit of organization"));
  await next.page.locator("#error", { hasText: "not the words of the organization's newest kit" }).waitFor();
  held("the organization's kit of before opens nothing");
  await openByKit(secrets.get("kit of organization, anew"));
  await shown(next, "home");
  same("the organization's kit does", await state(next), "confirmed");
  check("the newest version", /version 5/.test(await next.page.locator("#granter").innerText()));

  step("what browsers sent");
  const all = [owner, kit, phone, ada, bea, cyd, dee, fay, next];
  for (const visitor of all) visitor.isQuiet("the whole visit");
  await tell(all);
} catch (error) {
  const text = error instanceof Failed ? error.message : error.stack;
  process.stdout.write(JSON.stringify({ failed: text }) + "\n");
  process.exitCode = 1;
} finally {
  for (const child of processes) child.kill();
  await rm(cellar, { recursive: true });
  await browser.close();
}
