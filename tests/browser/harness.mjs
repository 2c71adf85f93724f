// Chromium, and what holds for every page: within its weight, no finding of axe, no error of script, nothing that the content
// security policy refused, nothing wider than the screen.
//
// Not here: what the pages are for.

import { createRequire } from "node:module";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";

import { chromium } from "playwright-core";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const HEAVIEST_KB = 100;
const SCREENS = [
  { name: "desktop", width: 1280, height: 900 },
  { name: "phone", width: 390, height: 844 },
];
const SCHEMES = ["light", "dark"];

export class Failed extends Error {}

// One line for each check that holds; the suite that started this counts them.
export function held(what) {
  process.stdout.write(JSON.stringify({ held: what }) + "\n");
}

export function check(what, holds, detail = "") {
  if (!holds) throw new Failed(`${what}${detail && `: ${detail}`}`);
  held(what);
}

export function same(what, found, expected) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) throw new Failed(`${what}: expected ${right}, found ${left}`);
  held(what);
}

export function step(title) {
  process.stdout.write(JSON.stringify({ step: title }) + "\n");
}

// `screenshots`: a directory, or nothing.
export async function start(executablePath, screenshots) {
  if (screenshots) await mkdir(screenshots, { recursive: true });
  const args = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ];
  const browser = await chromium.launch({ executablePath, args });
  return new Browser(browser, screenshots);
}

export class Browser {
  constructor(browser, screenshots) {
    this.browser = browser;
    this.screenshots = screenshots;
  }

  // Another person, or another device: nothing is shared.
  async visitor(options = {}) {
    const context = await this.browser.newContext({ viewport: SCREENS[0], ...options });
    return new Visitor(context, await context.newPage(), this.screenshots);
  }

  close() {
    return this.browser.close();
  }
}

export class Visitor {
  constructor(context, page, screenshots) {
    this.context = context;
    this.page = page;
    this.screenshots = screenshots;
    this.complaints = [];
    page.setDefaultTimeout(10_000);
    page.on("pageerror", (error) => this.complaints.push(`script: ${error.message}`));
    page.on("console", (message) => {
      // What a refused status is to the browser is not the page's fault.
      if (message.type() === "error" && !/Failed to load resource/.test(message.text())) {
        this.complaints.push(`console: ${message.text()}`);
      }
    });
  }

  goto(url) {
    return this.page.goto(url);
  }

  heading() {
    return this.page.getByRole("heading", { level: 1 }).innerText();
  }

  async press(name) {
    const answered = this.page.waitForResponse((answer) => answer.request().method() === "POST");
    await this.page.getByRole("button", { name, exact: true }).click();
    await answered;
    await this.page.waitForLoadState();
  }

  async follow(name) {
    await this.page.getByRole("link", { name, exact: true }).first().click();
    await this.page.waitForLoadState();
  }

  async text() {
    return this.page.locator("body").innerText();
  }

  // The page as it is now, in both schemes and on both screens. `heaviest`: kB with all that it loads.
  async looks(name, heaviest = HEAVIEST_KB) {
    for (const screen of SCREENS) {
      await this.page.setViewportSize(screen);
      for (const colorScheme of SCHEMES) {
        await this.page.emulateMedia({ colorScheme });
        const where = `${name}, ${screen.name}, ${colorScheme}`;
        if (this.screenshots) {
          const file = `${name}-${screen.name}-${colorScheme}.png`.replaceAll(" ", "-");
          await this.page.screenshot({ path: path.join(this.screenshots, file), fullPage: true });
        }
        await this.page.evaluate(AXE);
        const { violations } = await this.page.evaluate(() => globalThis.axe.run());
        const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
        const told = serious.map(({ id, nodes }) => `${id} at ${nodes.map(({ target }) => target).join(" and ")}`);
        check(`${where}: no serious finding of axe`, serious.length === 0, told.join("; "));
        check(`${where}: there is something to see`, await this.page.getByRole("heading", { level: 1 }).first().isVisible());
        const wider = await this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        check(`${where}: nothing is wider than the screen`, wider <= 0, `by ${wider} px`);
      }
    }
    await this.page.setViewportSize(SCREENS[0]);
    await this.page.emulateMedia({ colorScheme: SCHEMES[0] });
    const bytes = await this.page.evaluate(() => {
      const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
      return entries.reduce((sum, entry) => sum + entry.decodedBodySize, 0);
    });
    check(`${name}: under ${heaviest} kB with all it loads`, bytes < heaviest * 1000, `${bytes} bytes`);
    this.isQuiet(name);
  }

  // What a screen reader is told: these lines in this order, whatever stands between them.
  async reads(name, expected) {
    const told = (await this.page.locator("body").ariaSnapshot()).split("\n").map((line) => line.trim().replace(/^- /, ""));
    let next = 0;
    for (const line of expected) {
      const found = told.findIndex((one, place) => place >= next && (line instanceof RegExp ? line.test(one) : one.startsWith(line)));
      if (found < 0) throw new Failed(`${name} is read as\n${told.join("\n")}\nwithout ${line} after line ${next}`);
      next = found + 1;
    }
    held(`${name}: read out in order`);
  }

  isQuiet(name) {
    check(`${name}: no error of script or policy`, this.complaints.length === 0, this.complaints.join("; "));
  }

  close() {
    return this.context.close();
  }
}
