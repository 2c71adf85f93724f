// Clients that tell what they should not, each made of the browser's own scripts with one line changed on the way to the browser, and one
// that is as it should be. The suite that started this searches for what they told.

import { Failed, check, held, same, start, step } from "./harness.mjs";
import { choose, keepKit, person, provision, secrets, setUp, settings, shown, signIn, tell, unlock } from "./members.mjs";

const HONEST = "juniper anvil postcard reef";

// `account.js` is served by a name with its hash in it.
const matching = (file) => new RegExp(`/account/assets/${file.replace(".", "(?:-[^/]*)?\\.")}$`);

// From now on this browser gets the changed script.
async function change(visitor, { name, file, from, to }) {
  const changed = { count: 0 };
  await visitor.context.route(matching(file), async (route) => {
    const response = await route.fetch();
    const text = await response.text();
    if (text.split(from).length !== 2) throw new Failed(`${name}: ${file} does not have the line, or has it twice: ${from}`);
    changed.count += 1;
    await route.fulfill({ response, body: text.replace(from, () => to) });
  });
  return changed;
}

const browser = await start(settings.chromium);
try {
  step("an honest client");
  const visitors = [];
  const newcomer = async (name) => {
    const email = `${name}@acme.example`;
    await provision(email);
    const visitor = await person(browser);
    visitors.push(visitor);
    await signIn(visitor, email);
    return visitor;
  };
  const honest = await newcomer("honest");
  await setUp(honest, HONEST, "honest");
  await honest.page.reload();
  await unlock(honest, HONEST);
  await shown(honest, "home");
  honest.isQuiet("the honest client");

  for (const mutant of settings.mutants) {
    const { name, password, atSetUp } = mutant;
    step(`a client with a leak: ${name}`);
    const visitor = await newcomer(name);
    let changed;
    if (atSetUp) {
      changed = await change(visitor, mutant);
      await visitor.page.reload();
    }
    await choose(visitor, password, name);
    await keepKit(visitor, name);
    if (atSetUp) await visitor.page.locator("#view-home:not([hidden]), #error:not([hidden])").first().waitFor();
    else {
      await shown(visitor, "home");
      changed = await change(visitor, mutant);
      await visitor.page.reload();
      await unlock(visitor, password);
      await shown(visitor, "home");
    }
    check(`${name}: its script was changed`, changed.count > 0);
  }
  // Whoever the provider lets sign in as an owner may allow it. The owner's page waits for whoever unlocked it.
  step("members are confirmed without comparing where an administrator says so on the page, and not because the organization allows it");
  const owner = await person(browser);
  visitors.push(owner);
  await signIn(owner, settings.owner.email);
  await unlock(owner, settings.owner.password);
  await shown(owner, "organization");
  const waiting = owner.page.locator("#members li");
  await waiting.first().waitFor();
  const before = await waiting.count();
  check("there are members who wait", before > 3, `${before}`);
  await owner.page.waitForTimeout(1_000);
  same("none of them is confirmed by itself", await waiting.count(), before);
  await owner.page.locator("#confirm-automatically").click();
  await owner.page.locator("#members:empty").waitFor({ state: "attached" });
  held("all are, when the administrator says so");
  owner.isQuiet("the owner");

  step("what they told");
  same("passwords and kits", secrets.size, 2 * (settings.mutants.length + 1));
  await tell(visitors);
} catch (error) {
  const text = error instanceof Failed ? error.message : error.stack;
  process.stdout.write(JSON.stringify({ failed: text }) + "\n");
  process.exitCode = 1;
} finally {
  await browser.close();
}
