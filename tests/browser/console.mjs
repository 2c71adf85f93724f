// What an administrator does in the console, from the invitation to the last revoked session.
//
// Reads its settings as one line of JSON from standard input, writes each step and check as a line of JSON.

import { createInterface } from "node:readline";

import { Failed, check, held, same, start, step } from "./harness.mjs";

const lines = createInterface({ input: process.stdin });
const told = lines[Symbol.asyncIterator]();
const settings = JSON.parse((await told.next()).value);

const at = (path) => `${settings.base}/console${path}`;
const hide = (secret) => process.stdout.write(JSON.stringify({ secret }) + "\n");

// What an identity provider gets for a request with this token.
async function scim(token, path = "/Users?count=1") {
  const headers = { authorization: `Bearer ${token}`, accept: "application/scim+json" };
  const answer = await fetch(`${settings.base}/scim/v2${path}`, { headers });
  await answer.arrayBuffer();
  return answer.status;
}

// Whoever started this plays Okta with this token, from Test Connector Configuration to a pushed group.
async function okta(token) {
  process.stdout.write(JSON.stringify({ replay: token }) + "\n");
  if ((await told.next()).done) throw new Failed("the replay was not finished");
}

async function until(what, holds, seconds = 10) {
  const begin = Date.now();
  while (!(await holds())) {
    if (Date.now() - begin > seconds * 1000) throw new Failed(`${what}: not within ${seconds} seconds`);
    await new Promise((wake) => setTimeout(wake, 200));
  }
  held(what);
}

async function firstSignIn(browser) {
  step("the first sign-in, by the invitation of the command line");
  const stranger = await browser.visitor();
  await stranger.goto(at(""));
  check("without a session there is the sign-in", /sign in/i.test(await stranger.heading()));
  await stranger.looks("sign-in");
  await stranger.goto(at("/scim"));
  check("and no other page", /sign in/i.test(await stranger.heading()));

  const owner = await browser.visitor();
  await owner.goto(settings.invite);
  check("an invitation says for whom it is", (await owner.text()).includes("owner@acme.example"));
  await owner.looks("invitation");
  await owner.page.getByRole("button").last().click();
  await owner.page.waitForURL(at(""));
  same("it signs in as that administrator", await owner.page.locator("#signed-in-as").innerText(), "owner@acme.example, owner");
  same("a hostile name of the organization is text", await owner.page.locator("#organization").innerText(), "Acme & Sons <Ltd>");
  await owner.looks("overview");
  await owner.reads("overview", [
    'link "Skip to content"',
    "banner:",
    'button "Sign out"',
    'navigation "Organization Settings"',
    'link "Provisioning log"',
    "main:",
    'heading "Acme & Sons <Ltd>" [level=1]',
    'region "What wants attention"',
    'heading "SCIM provisioning is off" [level=3]',
    'region "Requests and errors, last 7 days"',
  ]);

  const [cookie] = await owner.context.cookies();
  same("the session is out of reach of scripts and of other sites", [cookie.httpOnly, cookie.sameSite, cookie.path], [true, "Lax", "/"]);

  await stranger.goto(settings.invite);
  check("an invitation is good once", !/owner@acme\.example/.test(await stranger.text()));
  await stranger.looks("spent invitation");
  await stranger.close();
  return owner;
}

async function provisioning(owner) {
  step("SCIM is switched on, with the keyboard alone");
  await owner.follow("SCIM Configuration");
  const provisioning = owner.page.locator("#scim-switch");
  same("it is off at first", await provisioning.getAttribute("aria-checked"), "false");
  await owner.looks("SCIM configuration");
  await owner.reads("SCIM configuration", [
    'heading "SCIM Configuration" [level=1]',
    'switch "SCIM provisioning"',
    'textbox "SCIM URL"',
    'button "Copy SCIM URL"',
    'link "Manage SCIM Tokens"',
    'link "connection assistant"',
    'link "Okta"',
  ]);
  const focused = () => owner.page.evaluate(() => document.activeElement?.id);
  await owner.page.locator("body").press("Tab");
  check("the first stop leads past the navigation", (await owner.page.evaluate(() => document.activeElement?.className)) === "skip");
  await owner.page.keyboard.press("Enter");
  for (let presses = 0; presses < 10 && (await focused()) !== "scim-switch"; presses += 1) {
    await owner.page.keyboard.press("Tab");
  }
  same("the switch is reached", await focused(), "scim-switch");
  await owner.page.keyboard.press("Enter");
  await owner.page.locator("#scim-switch[aria-checked=true]").waitFor();
  held("and switched");
  same("the SCIM URL is there to copy", await owner.page.locator("#scim-url").inputValue(), `${settings.base}/scim/v2`);

  step("a token is made, shown once, and good");
  await owner.follow("Manage SCIM Tokens");
  await owner.looks("no tokens");
  await owner.page.locator("#new-token").click();
  await owner.looks("create a token");
  await owner.page.locator("#description").fill("Okta <b>\"one\"</b>");
  await owner.page.locator("#create-token").click();
  const secret = await owner.page.locator("#secret").inputValue();
  hide(secret);
  check("the token is shown", secret.startsWith("rc_scim_"));
  check("and is in no address", !owner.page.url().includes(secret));
  await owner.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await owner.page.getByRole("button", { name: /^copy/i }).first().click();
  same("the button copies it", await owner.page.evaluate(() => navigator.clipboard.readText()), secret);
  await owner.looks("a token, once");
  same("an identity provider connects with it", await scim(secret), 200);
  await owner.page.locator("#done").click();
  check("it is not shown again", !(await owner.page.content()).includes(secret));
  await owner.page.goBack();
  check("not by going back either", !(await owner.page.content()).includes(secret));
  await owner.goto(at("/scim/tokens"));
  check("a hostile description is text", (await owner.text()).includes('Okta <b>"one"</b>'));
  await until("its use is seen", async () => {
    await owner.page.reload();
    return /127\.0\.0\.1/.test(await owner.text());
  });
  await owner.looks("tokens");

  step("it is rotated without a gap, retired and revoked");
  await owner.page.locator("#tokens").getByRole("link", { name: /^Rotate/ }).click();
  await owner.looks("rotate");
  await owner.page.locator("#rotate-token").click();
  const successor = await owner.page.locator("#secret").inputValue();
  hide(successor);
  same("both are good", [await scim(secret), await scim(successor)], [200, 200]);
  await owner.page.locator("#done").click();
  await until("the old one can be retired once the new one was seen", async () => {
    await owner.page.reload();
    return (await owner.page.locator("#tokens").getByRole("link", { name: /^Retire/ }).count()) > 0;
  });
  await until("it is retired", async () => {
    const retire = owner.page.locator("#tokens").getByRole("link", { name: /^Retire/ });
    if ((await retire.count()) === 0) return true;
    await retire.click();
    const answered = owner.page.waitForResponse((answer) => answer.request().method() === "POST");
    await owner.page.locator("#confirm").click();
    await answered;
    await owner.page.waitForLoadState();
    await owner.goto(at("/scim/tokens"));
    return (await retire.count()) === 0;
  });
  await until("and refused within seconds", async () => (await scim(secret)) === 401);
  same("the new one is good", await scim(successor), 200);
  await owner.page.locator("#tokens").getByRole("link", { name: /^Revoke/ }).first().click();
  await owner.looks("revoke");
  await owner.page.locator("#confirm").click();
  await until("it is revoked", async () => (await scim(successor)) === 401);
}

async function makeToken(owner, description) {
  await owner.goto(at("/scim/tokens/new"));
  await owner.page.locator("#description").fill(description);
  await owner.page.locator("#create-token").click();
  const token = await owner.page.locator("#secret").inputValue();
  hide(token);
  return token;
}

// While a provider is set up: what it sends is wrong at first.
async function connecting(owner) {
  step("the connection assistant watches while Okta connects");
  const token = await makeToken(owner, "Okta again");
  const send = async (path, authorization = `Bearer ${token}`, body = undefined) => {
    const headers = { authorization, "content-type": "application/scim+json" };
    const answer = await fetch(`${settings.base}${path}`, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
    return { status: answer.status, json: await answer.json().catch(() => ({})) };
  };
  const found = (key) => owner.page.locator(`[data-finding="${key}"]`).isVisible();
  await owner.goto(at("/scim"));
  await owner.page.locator("#assistant").click();
  await owner.looks("connection assistant");
  await owner.press("Start watching");
  await owner.reads("connection assistant", [
    'combobox "Identity provider"',
    'button "Start again"',
    'heading "What comes in" [level=2]',
    /^status: "?Watching until \d\d:\d\d UTC\. Nothing has come in yet\./,
    'heading "What it says" [level=3]',
    'heading "Nothing has come in yet look at this" [level=4]',
  ]);
  check("nothing has come in", await found("nothing"));
  await okta(token);
  held("Okta connects, and pushes users, changes and groups, while the page watches");
  await until("the page says that it works", () => found("works"));
  check("nothing is found wrong with what Okta sends", (await owner.page.locator("#findings .wrong").count()) === 0, await owner.page.locator("#findings").innerText());
  await owner.looks("connection assistant after Okta has connected");
  await owner.press("Start again");

  step("the connection assistant says live which box is wrong");
  same("Okta asks without /scim/v2", (await send("/Users?startIndex=1&count=2")).status, 404);
  await until("the page says so by itself", () => found("base_url"));
  check("and which box it is", (await owner.text()).includes("SCIM connector base URL"));
  await owner.looks("connection assistant with a wrong base URL");
  same("Bearer is typed twice", (await send("/scim/v2/Users", `Bearer Bearer ${token}`)).status, 401);
  await until("the page says that, too", () => found("bearer_twice"));
  same("both are put right", (await send("/scim/v2/Users?startIndex=1&count=2")).status, 200);
  await until("and not said any more", async () => !(await found("bearer_twice")) && !(await found("base_url")));
  same("a group is pushed", (await send("/scim/v2/Groups", undefined, { displayName: "Assistants" })).status, 201);
  await until("the page says that it works", () => found("works"));
  same("and again", (await send("/scim/v2/Groups", undefined, { displayName: "Assistants" })).status, 409);
  await until("the page says what is in the way", () => found("uniqueness"));
  await owner.reads("connection assistant with requests", [
    /^status: .* Wrong: A group of that name is here already\./,
    'heading "A group of that name is here already wrong" [level=4]',
    'table "The newest first',
    'columnheader "Request"',
    'rowheader "POST /scim/v2/Groups',
    'cell "refused"',
  ]);

  step("what is about to be followed stays, and more is told of");
  const rows = owner.page.locator("#arrived tbody tr");
  const before = await rows.count();
  const link = owner.page.locator('[data-finding="uniqueness"] a').last();
  await link.focus();
  await send("/scim/v2/Users", undefined, { userName: "late@acme.example" });
  await owner.page.locator("#live-newer").waitFor();
  check("it is read out", /More has come in/.test(await owner.page.locator("#live-status").innerText()));
  same("the link is where it was", [await rows.count(), await link.evaluate((one) => one === document.activeElement)], [before, true]);
  await owner.looks("connection assistant that waits");
  await owner.page.locator("#live-newer").click();
  await until("the button shows it", async () => (await rows.count()) === before + 1);
  check("and is gone", await owner.page.locator("#live-newer").isHidden());
  await owner.looks("connection assistant with a conflict");

  step("the provisioning log has it all, but no secret");
  await owner.page.locator('[data-finding="uniqueness"] a', { hasText: "request" }).click();
  await owner.page.waitForURL(/\/log\//);
  check("a request with what to do", /What to do/.test(await owner.text()) && (await owner.text()).includes("Assistants"));
  await owner.looks("a logged request");
  await owner.goto(at("/log?q=assistants"));
  same("it is searched", await owner.page.locator("#requests tbody tr").count(), 2);
  await owner.looks("provisioning log");
  const asRead = ['table "The newest first"', 'columnheader "About"', 'rowheader "POST /scim/v2/Groups', 'cell "Assistants"', 'cell "refused"'];
  await owner.reads("provisioning log", [/^searchbox /, ...asRead]);
  await owner.page.setViewportSize({ width: 390, height: 844 });
  await owner.reads("provisioning log on a phone", asRead);
  const row = await owner.page.locator("#requests tbody tr").first().boundingBox();
  check("a request on a phone is as wide as the screen and no tower", row.width > 300 && row.height < 160, JSON.stringify(row));
  for (const seen of [".when", ".who", ".came", "th"]) {
    check(`and has its ${seen}`, await owner.page.locator(`#requests tbody tr ${seen}`).first().isVisible());
  }
  await owner.page.setViewportSize({ width: 1280, height: 900 });
  const log = await (await owner.context.request.get(at("/log/export"))).text();
  check("and exported, a line for each", log.trim().split("\n").every((line) => JSON.parse(line).outcome) && !log.includes(token));
  await owner.goto(at(""));
}

async function guides(owner) {
  step("every guide has this organization's values");
  for (const [slug, words] of Object.entries({
    okta: ["Unique identifier", "Push New Users", "Push Groups", "HTTP Header"],
    entra: ["Tenant URL", "Secret Token"],
    jumpcloud: ["Base URL"],
    onelogin: ["SCIM Base URL"],
    google: ["Access token"],
    pingone: ["SCIM BASE URL"],
  })) {
    await owner.goto(at(`/scim/guides/${slug}`));
    const text = await owner.text();
    const values = await owner.page.locator("input").evaluateAll((inputs) => inputs.map(({ value }) => value));
    check(`${slug}: the SCIM URL`, [text, ...values].some((value) => value.includes(`${settings.base}/scim/v2`)));
    for (const word of words) check(`${slug}: ${word}`, text.toLowerCase().includes(word.toLowerCase()));
    await owner.looks(`guide ${slug}`);
  }
}

async function directory(owner) {
  step("users and groups are found, and hostile names are text");
  const token = await makeToken(owner, "directory");
  const hostile = `<img src=x onerror="document.title='owned'"> O'Brien`;
  const post = async (path, body) => {
    const answer = await fetch(`${settings.base}/scim/v2${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/scim+json" },
      body: JSON.stringify(body),
    });
    same(`${path} is provisioned`, answer.status, 201);
    return (await answer.json()).id;
  };
  const ids = [];
  for (let n = 0; n < 3; n += 1) {
    const name = `kit${n}@acme.example`;
    ids.push(await post("/Users", { userName: name, displayName: n ? name : hostile, emails: [{ value: name }] }));
  }
  await post("/Groups", { displayName: `${hostile} & friends`, members: ids.map((value) => ({ value })) });
  await owner.goto(at("/users"));
  check("users are listed", (await owner.text()).includes("kit0@acme.example"));
  await owner.looks("users");
  await owner.page.getByRole("searchbox").first().fill("kit1");
  await owner.page.keyboard.press("Enter");
  await owner.page.waitForURL(/kit1/);
  const found = await owner.page.locator("#main").innerText();
  check("the search finds one", found.includes("kit1@acme.example") && !found.includes("kit2@acme.example"));
  await owner.goto(at(`/users/${ids[0]}`));
  check("a user's page has the name as text", (await owner.text()).includes("O'Brien"));
  await owner.looks("user");
  await owner.goto(at("/groups"));
  await owner.looks("groups");
  await owner.page.locator("#main").getByRole("link", { name: /friends/ }).first().click();
  await owner.page.waitForLoadState();
  check("a group's page has its members", (await owner.text()).includes("kit2@acme.example"));
  await owner.looks("group");
  check("no script of a name has run", (await owner.page.title()) !== "owned");
  return { token, post };
}

async function mistake(owner, { token, post }) {
  step("a department is deleted by mistake, and brought back");
  const headers = { authorization: `Bearer ${token}` };
  const gone = async (id) => {
    const answer = await fetch(`${settings.base}/scim/v2/Users/${id}`, { method: "DELETE", headers });
    same("a user is deleted", answer.status, 204);
  };
  const ids = [];
  for (let n = 0; n < 14; n += 1) {
    ids.push(await post("/Users", { userName: `pier${n}@acme.example`, displayName: `Pier ${n}` }));
  }
  const department = await post("/Groups", { displayName: "Pier", members: ids.map((value) => ({ value })) });
  for (const id of ids.slice(0, 12)) await gone(id);
  await until(
    "the overview says that many are gone",
    async () => {
      await owner.goto(at(""));
      return (await owner.page.locator("#hold-banner").count()) > 0;
    },
    90,
  );
  check("and how many", (await owner.page.locator("#hold-banner").innerText()).includes("12 users deleted"));
  await owner.looks("overview with a hold");
  await owner.goto(at("/users/deleted"));
  same("all of them are listed", await owner.page.locator("#deleted-users tbody tr").count(), 12);
  await owner.looks("deleted users");
  await owner.follow("Held changes");
  await owner.looks("held changes");
  await owner.page.getByRole("link", { name: /^Approve/ }).click();
  await owner.looks("approve a hold");
  await owner.page.goBack();
  await owner.page.getByRole("link", { name: /^Restore all/ }).click();
  await owner.looks("restore a hold");
  await owner.page.locator("#confirm").click();
  await owner.page.waitForURL(/\/holds/);
  // The page looks again by itself.
  await owner.page.getByText("restored", { exact: true }).waitFor();
  await owner.looks("a restored hold");
  await owner.goto(at(""));
  same("nothing waits any more", await owner.page.locator("#hold-banner").count(), 0);
  await owner.goto(at(`/groups/${department}`));
  same("everybody is back in the group", await owner.page.locator("#members tbody tr").count(), 14);
  await owner.goto(at(`/users/${ids[3]}`));
  same("and active", await owner.page.locator("#user-state").innerText(), "active");

  step("one deleted user is restored");
  await gone(ids[0]);
  await owner.follow("Deleted users");
  await owner.page.getByRole("link", { name: "pier0@acme.example" }).click();
  await owner.looks("a deleted user");
  await post("/Users", { userName: "PIER0@acme.example" });
  await owner.press("Restore user");
  check("the name is taken by now", (await owner.page.locator("#error").innerText()).includes("Another user has the userName"));
  await owner.looks("restore under another name");
  await owner.page.getByLabel("New user name").fill("pier0-again@acme.example");
  await owner.press("Restore user");
  await owner.page.waitForURL(at(`/users/${ids[0]}`));
  check("it is there under another", (await owner.heading()).includes("pier0-again@acme.example"));
  await owner.looks("a restored user");

  step("the deletion settings are changed");
  await owner.follow("Deletion settings");
  await owner.page.getByLabel("Days of grace").fill("0");
  await owner.press("Save");
  same("what is wrong is said beside the field", await owner.page.locator("#grace-days-error").innerText(), "Give a whole number from 1 to 3650.");
  await owner.looks("deletion settings with a mistake");
  await owner.page.getByLabel("Days of grace").fill("14");
  await owner.press("Save");
  await owner.page.locator("#notice").waitFor();
  same("and kept once it is right", await owner.page.getByLabel("Days of grace").inputValue(), "14");
  await owner.looks("deletion settings");
}

async function signIn(browser, owner) {
  step("an OpenID provider is connected, and signs in by it");
  await owner.follow("Sign-in");
  check("the page has the redirect URI to register", (await owner.page.content()).includes("/console/sign-in/callback"));
  await owner.page.getByLabel("Issuer", { exact: true }).fill(settings.issuer);
  await owner.page.getByLabel("Client id", { exact: true }).fill(settings.client_id);
  await owner.page.getByLabel("Client secret", { exact: true }).fill(settings.client_secret);
  await owner.looks("sign-in provider");
  await owner.page.locator("#save-provider").click();
  await owner.page.locator("#notice").waitFor();
  check("the secret is not shown again", !(await owner.page.content()).includes(settings.client_secret));

  const by = async (email) => {
    const person = await browser.visitor();
    await person.goto(at(""));
    await person.page.getByRole("textbox").first().fill(settings.slug);
    await person.page.keyboard.press("Enter");
    // The provider's own pages.
    await person.page.locator("input[name=login]").fill(email);
    await person.page.locator("input[name=password]").fill("anything");
    await person.page.getByRole("button").click();
    await person.page.getByRole("button", { name: /continue/i }).click();
    await person.page.waitForURL(`${settings.base}/**`);
    return person;
  };
  const again = await by("owner@acme.example");
  await again.page.waitForURL(at(""));
  same("the owner is signed in by it", await again.page.locator("#signed-in-as").innerText(), "owner@acme.example, owner");

  const nobody = await by("mallory@acme.example");
  check("who is no administrator is told so", /administrator/i.test(await nobody.text()));
  same("and has no session", (await nobody.context.cookies()).filter(({ name }) => /^(__Host-)?rollcall$/.test(name)), []);
  await nobody.looks("not an administrator");
  await nobody.close();
  const unverified = await by(settings.unverified);
  check("nor is an address that the provider does not vouch for", (await unverified.page.locator("#signed-in-as").count()) === 0);
  await unverified.close();
  return again;
}

async function people(browser, owner) {
  step("a viewer is invited, sees, and changes nothing");
  await owner.follow("Administrators");
  await owner.page.locator("#invite").click();
  await owner.looks("invite");
  await owner.page.getByLabel("E-mail address").fill("viewer@acme.example");
  await owner.page.getByRole("radio", { name: /^viewer/ }).check();
  await owner.page.locator("#create-invite").click();
  const link = await owner.page.locator("#secret").inputValue();
  check("the link is shown once", link.includes("/console/invite/"));
  hide(link.split("/").pop());
  await owner.goto(at("/administrators"));
  check("and not again", !(await owner.page.content()).includes(link));
  await owner.looks("administrators");

  const viewer = await browser.visitor();
  await viewer.goto(link);
  await viewer.page.getByRole("button").last().click();
  await viewer.page.waitForURL(at(""));
  await viewer.follow("SCIM Configuration");
  check("the switch is out of a viewer's reach", await viewer.page.locator("#scim-switch").isDisabled());
  await viewer.looks("SCIM configuration of a viewer");
  const token = await viewer.page.locator("input[name=_token]").first().inputValue();
  const status = await viewer.page.evaluate(async ([url, _token]) => {
    const body = new URLSearchParams({ _token, enabled: "false" });
    return (await fetch(url, { method: "POST", body })).status;
  }, [at("/scim/enabled"), token]);
  same("a form sent all the same is refused", status, 403);

  step("sessions are listed and end");
  await owner.goto(at("/sessions"));
  check("the viewer's session is there", (await owner.text()).includes("viewer@acme.example"));
  await owner.looks("sessions");
  await owner.goto(at("/administrators"));
  await owner.page.getByRole("link", { name: "Remove viewer@acme.example" }).click();
  await owner.looks("remove an administrator");
  await owner.page.locator("#confirm").click();
  await until("who is removed is out at once", async () => {
    await viewer.goto(at("/scim"));
    return (await viewer.page.locator("#signed-in-as").count()) === 0;
  });
  await viewer.close();
}

async function otherSites(browser, owner) {
  step("another site can do nothing in the owner's name");
  const evil = await owner.context.newPage();
  await evil.route("http://evil.example/**", (route) =>
    route.fulfill({
      contentType: "text/html",
      body: `<form method=post action="${at("/scim/enabled")}"><input name=enabled value=false></form><script>document.forms[0].submit()</script>`,
    }),
  );
  await evil.goto("http://evil.example/");
  await evil.waitForURL(at("/scim/enabled"));
  await evil.close();
  await owner.goto(at("/scim"));
  same("SCIM is still on", await owner.page.locator("#scim-switch").getAttribute("aria-checked"), "true");

  step("signing out ends the session, not only the cookie");
  const cookies = await owner.context.cookies();
  await owner.press("Sign out");
  const thief = await browser.visitor();
  await thief.context.addCookies(cookies);
  await thief.goto(at("/scim"));
  same("a copied cookie is worth nothing", await thief.page.locator("#signed-in-as").count(), 0);
  await thief.close();
}

const browser = await start(settings.chromium, settings.screenshots);
try {
  const owner = await firstSignIn(browser);
  await provisioning(owner);
  await connecting(owner);
  await guides(owner);
  const provisioned = await directory(owner);
  await mistake(owner, provisioned);
  const again = await signIn(browser, owner);
  await people(browser, again);
  await otherSites(browser, again);
  owner.isQuiet("all along");
} catch (error) {
  process.stdout.write(JSON.stringify({ failed: error instanceof Failed ? error.message : String(error.stack) }) + "\n");
  process.exitCode = 1;
} finally {
  await browser.close();
  lines.close();
}
