// What provisioned users do, each in a browser of their own: from the first sign-in to an open account, on a second device, with the
// emergency kit, deactivated and back, and after somebody was deleted.
//
// Reads its settings as one line of JSON from standard input, writes each step and check as a line of JSON.

import { Failed, check, held, same, start, step } from "./harness.mjs";
import {
  WITH_KEYS_KB,
  at,
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
};

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
  await owner.page.locator("#rotate-organization-key").click();
  await owner.page.locator("#members li").first().waitFor();
  await owner.looks("rotation", WITH_KEYS_KB);
  check("the owner has version 2", /version 2/.test(await owner.page.locator("#granter").innerText()));
  await confirmAll(owner, PASSWORDS.owner);
  await kit.page.reload();
  await unlock(kit, PASSWORDS.kitAnew);
  await shown(kit, "home");
  check("the member has version 2", /version 2/.test(await kit.page.locator("#granter").innerText()));

  step("what browsers sent");
  for (const visitor of [owner, kit, phone, ada]) visitor.isQuiet("the whole visit");
  await tell([owner, kit, phone, ada]);
} catch (error) {
  const text = error instanceof Failed ? error.message : error.stack;
  process.stdout.write(JSON.stringify({ failed: text }) + "\n");
  process.exitCode = 1;
} finally {
  await browser.close();
}
