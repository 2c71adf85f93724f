// What provisioned users do on the account page, for the suites that have them in browsers: signing in, making keys, unlocking. All that a
// browser sends, prints and stores is kept, for the search afterwards.
//
// Reads the suite's settings as one line of JSON from standard input.

import { writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";

import { check, held, same } from "./harness.mjs";

const lines = createInterface({ input: process.stdin });
export const settings = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
lines.close();

export const at = (path) => `${settings.base}${path}`;

// OPAQUE alone has 435, the estimate of strength, which comes when somebody types, 500.
export const WITH_KEYS_KB = 1500;

// What a browser sent or printed, by whose it is.
const sent = [];
// What must not be in it, by name.
export const secrets = new Map();

export async function scim(method, path, body) {
  const headers = { authorization: `Bearer ${settings.token}`, "content-type": "application/scim+json" };
  const answer = await fetch(`${settings.base}/scim/v2${path}`, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, body: text && JSON.parse(text) };
}

export const setActive = (id, active) =>
  scim("PATCH", `/Users/${id}`, {
    schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    Operations: [{ op: "replace", value: { active } }],
  });

export async function provision(email) {
  const user = {
    schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"],
    userName: email,
    displayName: email.split("@")[0],
    emails: [{ value: email, primary: true }],
    active: true,
  };
  const { status, body } = await scim("POST", "/Users", user);
  same(`${email} is provisioned`, status, 201);
  return body.id;
}

// A person at a browser.
export async function person(browser) {
  const visitor = await browser.visitor();
  visitor.context.on("request", (request) => {
    const headers = Object.entries(request.headers()).flat().join("\n");
    sent.push([request.method(), request.url(), headers, request.postData() ?? ""].join("\n"));
  });
  visitor.page.on("console", (message) => sent.push(`console: ${message.text()}`));
  return visitor;
}

// At the provider: whoever signs in is who they say.
export async function atProvider(visitor, email) {
  const { page } = visitor;
  await page.waitForURL((url) => url.href.startsWith(settings.issuer));
  await page.locator("input[name=login]").fill(email);
  await page.locator("input[name=password]").fill("any");
  await page.locator("button[type=submit]").click();
  await page.locator("button[type=submit]").click();
}

export async function signIn(visitor, email) {
  await visitor.goto(at("/account"));
  await visitor.page.locator("#slug").fill(settings.slug);
  await visitor.page.locator("#sign-in").click();
  await atProvider(visitor, email);
}

// By the invitation; connects the provider and signs in by it.
export async function becomeOwner(visitor, email, look) {
  await visitor.goto(settings.invite);
  await visitor.page.getByRole("button").last().click();
  await visitor.page.waitForURL(at("/console"));
  await visitor.goto(at("/console/sign-in-provider"));
  await visitor.page.locator("#issuer").fill(settings.issuer);
  await visitor.page.locator("#client-id").fill(settings.client_id);
  await visitor.page.locator("#client-secret").fill(settings.client_secret);
  await visitor.page.locator("#save-provider").click();
  await visitor.page.locator("#provider-state.good").waitFor();
  await look?.();
  await visitor.goto(at("/console/sign-in/start?organization=" + settings.slug));
  await atProvider(visitor, email);
  await visitor.page.waitForURL(at("/console"));
}

export const shown = (visitor, view) => visitor.page.locator(`#view-${view}:not([hidden])`).waitFor();
export const visible = async (visitor, id) => visitor.page.locator(`#${id}`).isVisible();

// The words that the page shows.
export async function kitWords(visitor, whose) {
  await shown(visitor, "kit");
  const words = await visitor.page.locator("#kit-words li").allInnerTexts();
  same(`${whose}: the kit has 24 words`, words.length, 24);
  secrets.set(`kit of ${whose}`, words.join(" "));
  return words;
}

// Reads the kit, and types the two words that are asked for.
export async function keepKit(visitor, whose, look) {
  const { page } = visitor;
  const words = await kitWords(visitor, whose);
  if (look) await visitor.looks("emergency kit", WITH_KEYS_KB);
  await page.locator("#word-one").fill("wrong");
  await page.locator("#word-two").fill("wrong");
  await page.locator("#kit-done").click();
  await page.locator("#error:not([hidden])").waitFor();
  held(`${whose}: wrong words do not pass`);
  for (const [field, number] of [["#word-one", "#number-one"], ["#word-two", "#number-two"]]) {
    const place = Number(await page.locator(number).innerText());
    await page.locator(field).fill(words[place - 1]);
  }
  await page.locator("#kit-done").click();
  return words;
}

// `password` is looked for afterwards.
export async function choose(visitor, password, whose) {
  const { page } = visitor;
  await shown(visitor, "set-up");
  secrets.set(whose, password);
  await page.locator("#password").fill(password);
  await page.locator("#password-again").fill(password);
  await page.locator("#make-keys").click();
}

export async function setUp(visitor, password, whose, look = false) {
  const { page } = visitor;
  await shown(visitor, "set-up");
  if (look) await visitor.looks("set-up", WITH_KEYS_KB);
  await page.locator("#password").fill("password123");
  await page.locator("#password-again").fill("password123");
  await page.locator("#make-keys").click();
  await page.locator("#error:not([hidden])").waitFor();
  held(`${whose}: a password that is guessed soon is not taken`);
  await choose(visitor, password, whose);
  const words = await keepKit(visitor, whose, look);
  await shown(visitor, "home");
  return words;
}

export async function unlock(visitor, password) {
  await shown(visitor, "unlock");
  await visitor.page.locator("#unlock-password").fill(password);
  await visitor.page.locator("#unlock-now").click();
}

export const state = (visitor) => visitor.page.locator("#state").innerText();
export const phrase = (visitor) => visitor.page.locator("#fingerprint").innerText();

export async function confirmAll(owner, password) {
  const { page } = owner;
  await page.reload();
  await unlock(owner, password);
  await shown(owner, "organization");
  await page.locator("#members li").first().waitFor();
  const phrases = await page.locator("#members code").allInnerTexts();
  for (const box of await page.locator("[name=member]").all()) await box.check();
  await page.locator("#confirm-selected").click();
  await page.locator("#members:empty").waitFor({ state: "attached" });
  return phrases;
}

// The suite searches for the secrets, and for what is derived from them, in what the browsers sent, printed and kept: it is told all of it.
export async function tell(visitors) {
  for (const { context } of visitors) sent.push(JSON.stringify(await context.storageState({ indexedDB: true })));
  check("there was something to look at", sent.length > 100, `${sent.length} requests`);
  await writeFile(settings.sent, sent.join("\n\n"));
  process.stdout.write(JSON.stringify({ sweep: [...secrets.values()] }) + "\n");
}
