// An OpenID provider for the browser tests: whoever signs in is who they say, by e-mail address.
//
// Reads {client_id, client_secret, redirect_uris} as JSON from standard input, writes {issuer} as one line, and serves until
// standard input ends. With {unverified: [EMAIL, ..]} these addresses are not verified.

import { createServer } from "node:http";
import { createInterface } from "node:readline";

import { Provider } from "oidc-provider";

// Standard output has one line, and nobody reads on.
console.info = console.log = console.error;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const settings = JSON.parse((await lines.next()).value);

const server = createServer((request, response) => provider.callback()(request, response));
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const unverified = new Set(settings.unverified ?? []);
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: settings.client_id,
      client_secret: settings.client_secret,
      redirect_uris: settings.redirect_uris,
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "preferred_username"] },
  // As most providers do: claims of scopes stand in the ID token.
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: true } },
  pkce: { required: () => true },
  async findAccount(_context, id) {
    return {
      accountId: id,
      async claims() {
        return { sub: `subject-of-${id}`, email: id, email_verified: !unverified.has(id), name: id.split("@")[0], preferred_username: id };
      },
    };
  },
});

process.stdout.write(JSON.stringify({ issuer }) + "\n");
// Until the tests are over.
for await (const _ of lines);
server.closeAllConnections();
server.close();
