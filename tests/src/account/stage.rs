//! A deployment of which everything is kept that a secret could have got into, with an organization and its OpenID provider.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{
    otlp::Sink,
    process::{Deployment, Program},
};
use tonic::transport::Endpoint;
use wire::{
    Credential, Transport,
    identity::{ListEventsRequest, identity_service_client::IdentityServiceClient},
};

use super::search::{Found, Search, Secret};
use crate::{
    canary::{Evidence, Place, gather},
    console::{CLIENT_ID, CLIENT_SECRET, Provider, chromium},
    forms::{Form, Options, Recorded, Running},
    transcript::Transcript,
};

pub(crate) const SLUG: &str = "acme";

/// What browsers tell of themselves.
pub(crate) const BROWSERS: &str = "what the browsers sent, printed and kept";
/// As it went over the wire.
pub(crate) const HTTP: &str = "HTTP to and from the gateway";
/// As it went over the wire.
pub(crate) const GRPC: &str = "gRPC between the gateway and identity-service";
/// The last one.
pub(crate) const DUMP: &str = "the dump of both databases, stopped";

/// A running form, at the most talkative log level.
pub(crate) struct Stage {
    pub(crate) running: Running,
    pub(crate) recorded: Recorded,
    sink: Sink,
    directory: TempDir,
}

/// All that is to be searched, by place.
pub(crate) struct Kept(Vec<(String, Vec<u8>)>);

impl Stage {
    /// As [`Running::start`].
    pub(crate) async fn start(program: &Program, form: Form) -> Result<Self> {
        let (sink, recorded) = (Sink::start().await, Recorded::start().await?);
        let arguments = ["--log-filter", "trace", "--otlp-endpoint", &sink.endpoint()].map(str::to_owned).into();
        let options = Options { arguments, recorded: Some(recorded.clone()), ..Options::default() };
        let running = Running::start_with(program, form, options).await?;
        Ok(Self { running, recorded, sink, directory: tempfile::tempdir()? })
    }

    pub(crate) fn deployment(&self) -> &Deployment {
        &self.running.deployment
    }

    /// Where a browser script leaves what the browsers sent.
    pub(crate) fn sent(&self) -> PathBuf {
        self.directory.path().join("sent")
    }

    /// With what the processes said of it.
    pub(crate) fn failed(&self, error: &anyhow::Error) -> anyhow::Error {
        let output = self.deployment().output();
        let faults: Vec<&str> =
            output.lines().filter(|line| line.contains("ERROR") || line.contains(" WARN ")).collect();
        anyhow::anyhow!("{error:#}\n--- faults that the processes told:\n{}", faults.join("\n"))
    }

    async fn events(&self, organization: &str) -> Result<Vec<u8>> {
        let channel = Endpoint::from_shared(self.deployment().grpc("identity")?)?.connect().await?;
        let credential = Credential::new(&self.deployment().admin_credential()?).context("no credential")?;
        let mut identity = IdentityServiceClient::new(Transport::network(channel, credential))
            .max_decoding_message_size(wire::MAX_MESSAGE);
        let (mut bytes, mut after_sequence) = (Vec::new(), 0);
        loop {
            let request =
                ListEventsRequest { organization_id: organization.to_owned(), after_sequence, page_size: 1000 };
            let events = identity.list_events(request).await?.into_inner().events;
            let Some(last) = events.last() else { return Ok(bytes) };
            after_sequence = last.sequence;
            for event in events {
                bytes.extend(prost::Message::encode_to_vec(&event));
                bytes.extend(format!("\n{event:?}\n").into_bytes());
            }
        }
    }

    /// Stops it, and gives all that there is.
    pub(crate) async fn end(self, organization: &str, transcript: &Transcript) -> Result<Kept> {
        let mut all = vec![("the events".to_owned(), self.events(organization).await?)];
        if let Ok(sent) = fs::read(self.sent()) {
            all.push((BROWSERS.to_owned(), sent));
        }
        let mut evidence = Evidence::default();
        gather(self.running, &mut evidence, transcript)?;
        all.extend(evidence.0.into_iter().map(|(name, _, bytes): (String, Place, Vec<u8>)| (name, bytes)));
        all.push((HTTP.to_owned(), self.recorded.http.bytes()));
        all.push((GRPC.to_owned(), self.recorded.grpc.bytes()));
        all.push(("the export, printed".to_owned(), self.sink.text().into_bytes()));
        all.push(("the export, encoded".to_owned(), self.sink.bytes()));
        ensure!(!self.sink.spans().is_empty() && !self.sink.logs().is_empty(), "nothing was exported");
        // In one process nothing goes over a wire to identity-service.
        all.retain(|(name, bytes)| name != GRPC || !bytes.is_empty());
        Ok(Kept(all))
    }
}

impl Kept {
    /// The public keys, which have to be where bytes may be seen, and the organization's id where texts are.
    pub(crate) fn is_seen(&self, public_keys: &[[u8; 32]], organization: &str, transcript: &Transcript) -> Result<()> {
        let keys: Vec<Secret> = public_keys.iter().map(|key| Secret::bytes("a public key", key)).collect();
        let (keys, texts) = (Search::new(&keys)?, Search::new(&[Secret::text("the organization", organization)])?);
        let mut logs = 0;
        for (name, bytes) in &self.0 {
            let expected = if [HTTP, GRPC, DUMP].contains(&&**name) {
                Some(keys.find(name, bytes).len() == public_keys.len())
            } else if name == BROWSERS {
                // Not everybody has one.
                Some(!keys.find(name, bytes).is_empty())
            } else if name.starts_with("the log of ") && !name.ends_with("PostgreSQL") {
                // Whichever part serves the organization.
                logs += texts.find(name, bytes).len();
                None
            } else if ["the events", "the export, printed", "the export, encoded"].contains(&&**name) {
                Some(!texts.find(name, bytes).is_empty())
            } else {
                None
            };
            if let Some(seen) = expected {
                transcript.that(&format!("{name}: what everybody may see is seen there"), seen)?;
            }
        }
        transcript.that("the logs: what everybody may see is seen there", logs > 0)
    }

    pub(crate) fn has(&self, place: &str) -> bool {
        self.0.iter().any(|(name, _)| name == place)
    }

    /// Wherever one of them is.
    pub(crate) fn find(&self, secrets: &[Secret], transcript: &Transcript) -> Result<Vec<Found>> {
        let search = Search::new(secrets)?;
        let mut all = Vec::new();
        for (name, bytes) in &self.0 {
            let found = search.find(name, bytes);
            if found.is_empty() {
                transcript.held(&format!("{name}: none of {} secrets in {} bytes", secrets.len(), bytes.len()));
            }
            all.extend(found);
        }
        Ok(all)
    }
}

/// An organization whose users come by SCIM and sign in at a provider that believes everybody.
pub(crate) struct Acme {
    pub(crate) id: String,
    /// For SCIM.
    pub(crate) token: String,
    /// Of the first owner.
    pub(crate) invite: String,
    pub(crate) provider: Provider,
}

impl Acme {
    /// Makes it by the command line, as an administrator does.
    pub(crate) fn make(deployment: &Deployment, scripts: &Path, transcript: &Transcript) -> Result<Self> {
        let created = deployment.cli_json(&["org", "create", SLUG, "--name", "Acme", "--plan", "enterprise"])?;
        let id = created["id"].as_str().with_context(|| format!("no id in {created}"))?;
        deployment.cli_json(&["scim", "enable", SLUG])?;
        let token = deployment.cli_json(&["token", "create", SLUG, "--description", "browser tests"])?;
        let token = token["token"].as_str().context("no token")?;
        transcript.hide(token);
        let invite = deployment.cli_json(&["admin", "invite", SLUG, "--email", "owner@acme.example"])?;
        let link = invite["link"].as_str().with_context(|| format!("no link in {invite}"))?;
        if let Some(secret) = link.rsplit('/').next() {
            transcript.hide(secret);
        }
        let base = deployment.http();
        let redirect_uris = ["console", "account"].map(|pages| format!("{base}/{pages}/sign-in/callback/{id}"));
        let settings =
            json!({ "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uris": redirect_uris });
        let provider = Provider::start(scripts, &settings)?;
        Ok(Self { id: id.to_owned(), token: token.to_owned(), invite: link.to_owned(), provider })
    }

    /// What a browser script is told.
    pub(crate) fn config(&self, stage: &Stage) -> Result<Value> {
        Ok(json!({
            "base": stage.deployment().http(),
            "slug": SLUG,
            "invite": self.invite,
            "token": self.token,
            "issuer": self.provider.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "chromium": chromium()?,
            "sent": stage.sent(),
        }))
    }
}
