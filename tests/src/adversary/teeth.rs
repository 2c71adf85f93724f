//! Whether the search has teeth: clients that tell what they should not, one for each way, made of the browser's own modules with one line
//! changed on the way to the browser. Each leak has to be found, where it is and nowhere else; an honest client beside them leaks nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{OWNER, OWNERS_PASSWORD};
use crate::{
    account::{
        search::Found,
        secrets::{derive, set_up_of},
        stage::{Acme, BROWSERS, DUMP, GRPC, HTTP, SLUG, Stage},
    },
    console::drive,
    transcript::Transcript,
};

const RUNNING: &str = "the dump of both databases, running";
const FILES: &str = "the files of both databases, running";

/// What a client tells.
#[derive(Clone, Copy)]
enum Leak {
    Password,
    AccountSecret,
}

struct Mutant {
    name: &'static str,
    password: &'static str,
    /// `account.js` or a module.
    file: &'static str,
    from: &'static str,
    to: &'static str,
    leak: Leak,
    /// It makes its keys with the changed script, else it unlocks with it.
    at_set_up: bool,
    places: &'static [&'static str],
}

const BEGIN: &str = "const begun = await call(\"unlock/begin\", { ke1 });";

const MUTANTS: [Mutant; 6] = [
    Mutant {
        name: "body",
        password: "walnut ripple harness cloud",
        file: "account.js",
        from: BEGIN,
        to: "const begun = await call(\"unlock/begin\", { ke1, password: $(\"unlock-password\").value });",
        leak: Leak::Password,
        at_set_up: false,
        places: &[BROWSERS, HTTP],
    },
    Mutant {
        name: "address",
        password: "pigeon lacquer tundra felt",
        file: "account.js",
        from: BEGIN,
        to: "const begun = await call(`unlock/begin?log=${encodeURIComponent($(\"unlock-password\").value)}`, { ke1 });",
        leak: Leak::Password,
        at_set_up: false,
        places: &[BROWSERS, HTTP],
    },
    Mutant {
        name: "header",
        password: "saddle inkwell gravel moth",
        file: "account.js",
        from: "\"x-rollcall-form\": meta(\"form\") }",
        to: "\"x-rollcall-form\": meta(\"form\"), \"x-log\": btoa($(\"unlock-password\").value) }",
        leak: Leak::Password,
        at_set_up: false,
        places: &[BROWSERS, HTTP],
    },
    Mutant {
        name: "log",
        password: "bramble oyster cinder drum",
        file: "account.js",
        from: BEGIN,
        to: "console.log(\"unlocking\", $(\"unlock-password\").value); const begun = await call(\"unlock/begin\", { ke1 });",
        leak: Leak::Password,
        at_set_up: false,
        places: &[BROWSERS],
    },
    Mutant {
        name: "possession",
        password: "magnet thistle canoe prism",
        file: "session.mjs",
        from: "possession: toBase64url(await keys.provePossession(of, this.#keys, nonce)),",
        to: "possession: toBase64url(Uint8Array.of(...accountSecret, ...nonce)),",
        leak: Leak::AccountSecret,
        at_set_up: true,
        places: &[BROWSERS, HTTP, GRPC],
    },
    Mutant {
        name: "stored",
        password: "quiver onion lattice frost",
        file: "session.mjs",
        from: "      ...kit,\n      fingerprint",
        to: "      ...kit,\n      recoveryVerifier: toBase64url(accountSecret),\n      fingerprint",
        leak: Leak::AccountSecret,
        at_set_up: true,
        places: &[BROWSERS, HTTP, GRPC, RUNNING, FILES, DUMP],
    },
];

impl Mutant {
    fn secret(&self) -> String {
        match self.leak {
            Leak::Password => format!("the password {:?}", self.password),
            Leak::AccountSecret => format!("the account secret behind {:?}", self.password),
        }
    }

    fn told(&self) -> Value {
        let Self { name, password, file, from, to, at_set_up, .. } = *self;
        json!({ "name": name, "password": password, "file": file, "from": from, "to": to, "atSetUp": at_set_up })
    }
}

/// Browsers, each with a changed script, and at last the owner's own. Gives passwords and kits.
pub(super) fn run(stage: &Stage, acme: &Acme, scripts: &Path, transcript: &Transcript) -> Result<Vec<String>> {
    let mut config = acme.config(stage)?;
    let policy = ["account", "policy", SLUG, "--confirm-automatically", "true"];
    stage.deployment().cli_json(&policy)?;
    config["owner"] = json!({ "email": OWNER, "password": OWNERS_PASSWORD });
    config["mutants"] = MUTANTS.iter().map(Mutant::told).collect();
    drive(scripts, "adversary.mjs", &config, transcript)
}

/// The very search of the suite `account`, in all that the suite has left behind.
pub(super) async fn search(stage: Stage, organization: &str, told: &[String], transcript: &Transcript) -> Result<()> {
    transcript.step("The search, which has to find what these clients told, and nothing else");
    let set_up = set_up_of(stage.deployment())?;
    let derived = derive(&stage.recorded.http.exchanges(), told, &set_up)?;
    let kept = stage.end(organization, transcript).await?;
    kept.is_seen(&derived.public_keys, organization, transcript)?;
    let found = kept.find(&derived.secrets, transcript)?;
    let mut places: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for Found { secret, place, .. } in &found {
        places.entry(secret.clone()).or_default().insert(place);
    }
    for mutant in &MUTANTS {
        // In one process nothing goes over a wire to identity-service.
        let expected: BTreeSet<&str> =
            mutant.places.iter().copied().filter(|place| *place != GRPC || kept.has(GRPC)).collect();
        let seen = places.remove(&mutant.secret()).unwrap_or_default();
        transcript.same(&format!("the client with a leak by {}: found in", mutant.name), &seen, &expected)?;
    }
    let honest: Vec<String> =
        found.iter().filter(|found| places.contains_key(&found.secret)).map(ToString::to_string).collect();
    ensure!(honest.is_empty(), "an honest client leaks:\n{}", honest.join("\n"));
    transcript.held("of honest clients, and of the others' other secrets, nothing is found");
    Ok(())
}
