//! Canaries of OAuth, of service credentials and of the console: what the product hands out, and wrong ones of each kind.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use testkit::client::{Client, Reply, form_encode};
use wire::identity::{
    AcceptAdminInviteRequest, GetSignInProviderRequest, ListOrganizationsRequest, RotateSessionRequest,
    VerifySessionRequest, console_service_client::ConsoleServiceClient,
    organization_service_client::OrganizationServiceClient,
};

use super::{
    Kind,
    drive::{SLUG, Stage},
};

const CALLBACK: &str = "https://idp.example/callback";

impl Stage<'_> {
    /// As the others that print something secret once; gives all that was printed.
    fn once(&mut self, name: &str, words: &[&str], member: &str) -> Result<(String, Value)> {
        let finished = self.cli(&[words, &["--output", "json"]].concat())?;
        let printed = finished.json().with_context(|| format!("rollcall {}", words.join(" ")))?;
        let secret = printed[member].as_str().with_context(|| format!("no {member}"))?.to_owned();
        self.shown_once(name, &finished, &secret)?;
        Ok((secret, printed))
    }

    /// A form, and the answer, which is searched unless it hands something out.
    async fn form(&mut self, path: &str, basic: Option<&str>, pairs: &[(&str, &str)], status: u16) -> Result<Reply> {
        let mut client =
            Client::new(self.deployment.http()).with_header("content-type", "application/x-www-form-urlencoded")?;
        if let Some(basic) = basic {
            client = client.with_header("authorization", &format!("Basic {basic}"))?;
        }
        let body = pairs.iter().map(|(name, value)| format!("{name}={}", form_encode(value))).collect::<Vec<_>>();
        let reply = client.send(Method::POST, path, Some(body.join("&").into())).await?;
        self.transcript.same(&format!("POST {path}"), &reply.status, &status)?;
        if status >= 400 {
            self.answers.extend(&reply.body);
        }
        Ok(reply)
    }

    fn issued(&self, name: &str, reply: &Reply) -> Result<[String; 2]> {
        let document = reply.json()?;
        let token = |member: &str| -> Result<String> {
            let token = document[member].as_str().with_context(|| format!("no {member}"))?;
            self.transcript.hide(token);
            self.canaries.keep(Kind::Secret, &format!("{member} of {name}"), token);
            Ok(token.to_owned())
        };
        Ok([token("access_token")?, token("refresh_token")?])
    }

    pub(super) async fn oauth(&mut self) -> Result<()> {
        let create = ["oauth", "client", "create", SLUG, "--name", "Canary", "--redirect-uri", CALLBACK];
        let words = [&create[..], &["--grant", "authorization_code,client_credentials"]].concat();
        let (secret, made) = self.once("an OAuth client's secret", &words, "client_secret")?;
        let id = made["client_id"].as_str().context("no client_id")?.to_owned();
        let (rotated, _) =
            self.once("its next secret", &["oauth", "client", "rotate-secret", SLUG, &id], "client_secret")?;
        let (approval, _) = self.once("an approval code", &["oauth", "approve", SLUG, &id], "approval_code")?;
        self.canaries.keep(Kind::Secret, "its letters", &approval.replace('-', ""));

        let asked = [("response_type", "code"), ("client_id", id.as_str()), ("redirect_uri", CALLBACK)];
        let (guess, state) = (self.secret("a wrong approval code")?, self.refused("the state")?);
        let more = [("state", state.as_str()), ("approval_code", guess.as_str()), ("decision", "approve")];
        self.form("/oauth/authorize", None, &[&asked[..], &more].concat(), 400).await?;
        let more = [("approval_code", approval.as_str()), ("decision", "approve")];
        let back = self.form("/oauth/authorize", None, &[&asked[..], &more].concat(), 200).await?;
        let location = crate::oauth::onward(&back)?;
        let code =
            location.split(['?', '&']).find_map(|pair| pair.strip_prefix("code=")).context("no code")?.to_owned();
        self.transcript.hide(&code);
        self.canaries.keep(Kind::Secret, "an authorization code", &code);

        let wrong = self.secret("a wrong client secret")?;
        let basic = STANDARD.encode(format!("{id}:{wrong}"));
        self.form("/oauth/token", Some(&basic), &[("grant_type", "client_credentials")], 401).await?;
        let own = [("client_id", id.as_str()), ("client_secret", rotated.as_str())];
        for (name, pair, value) in [
            ("authorization_code", "code", "a wrong code"),
            ("refresh_token", "refresh_token", "a wrong refresh token"),
        ] {
            let value = self.secret(value)?;
            let pairs = [("grant_type", name), (pair, value.as_str()), ("redirect_uri", CALLBACK)];
            self.form("/oauth/token", None, &[&own[..], &pairs].concat(), 400).await?;
        }
        let assertion = format!("{}.{}.{}", STANDARD.encode("{}"), STANDARD.encode("{}"), self.secret("a signature")?);
        let pairs = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("client_id", id.as_str()),
            ("assertion", assertion.as_str()),
        ];
        self.form("/oauth/token", None, &pairs, 400).await?;

        let exchange = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
        let given = self.form("/oauth/token", None, &[&own[..], &exchange].concat(), 200).await?;
        let [access, refresh] = self.issued("a code", &given)?;
        let client = Client::new(&format!("{}/scim/v2", self.deployment.http())).with_token(&access)?;
        let users = client.send(Method::GET, "/Users?count=0", None).await?;
        ensure!(users.status == 200, "an access token lists users: {}", users.status);
        self.answers.extend(&users.body);
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        let given = self.form("/oauth/token", None, &[&own[..], &pairs].concat(), 200).await?;
        let [access, _] = self.issued("a refresh", &given)?;
        // The old secret is still good, and tells so by nothing.
        let pairs = [("client_id", id.as_str()), ("client_secret", secret.as_str()), ("token", access.as_str())];
        self.form("/oauth/revoke", None, &pairs, 200).await?;
        self.form("/oauth/token", None, &[&own[..], &exchange].concat(), 400).await?;
        self.command(&["oauth", "client", "list", SLUG])?;
        self.command(&["oauth", "grant", "list", SLUG])?;
        Ok(())
    }

    pub(super) async fn console(&mut self) -> Result<()> {
        let client_secret = self.secret("a sign-in provider's client secret")?;
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("client-secret");
        std::fs::write(&file, &client_secret)?;
        let file = file.to_string_lossy().into_owned();
        let set = ["sign-in", "set", SLUG, "--issuer", "https://idp.example", "--client-id", "canary"];
        self.command(&[&set[..], &["--client-secret-file", &file]].concat())?;
        self.command(&["sign-in", "show", SLUG])?;
        let key = std::fs::read_to_string(self.deployment.data_dir().join("sealing.key")).context("the sealing key")?;
        self.canaries.keep(Kind::Secret, "the sealing key", key.trim());

        let words = ["admin", "invite", SLUG, "--email", "canary@idp.example"];
        let finished = self.cli(&[&words[..], &["--output", "json"]].concat())?;
        let made = finished.json().context("rollcall admin invite")?;
        let link = made["link"].as_str().context("no link")?;
        let before = format!("{}/console/invite/", self.deployment.http());
        let invite = link.strip_prefix(&before).with_context(|| format!("not below {before}"))?.to_owned();
        self.shown_once("an invitation", &finished, &invite)?;
        for path in [format!("/console/invite/{invite}"), format!("/console/invite/{}", self.secret("a wrong one")?)] {
            let reply = Client::new(self.deployment.http()).send(Method::GET, &path, None).await?;
            self.answers.extend(&reply.body);
        }
        let sha256 = |secret: &str| -> bytes::Bytes { Sha256::digest(secret).to_vec().into() };
        let mut console =
            ConsoleServiceClient::new(self.channel("identity", &self.deployment.admin_credential()?).await?);
        let accept = AcceptAdminInviteRequest { secret_sha256: sha256(&invite), ..Default::default() };
        let session = console.accept_admin_invite(accept).await?.into_inner();
        let rotate = RotateSessionRequest { secret_sha256: sha256(&session.secret) };
        let rotated = console.rotate_session(rotate).await?.into_inner();
        for (name, secret) in [("a session", &session.secret), ("its next secret", &rotated.secret)] {
            self.transcript.hide(secret);
            self.canaries.keep(Kind::Secret, name, secret);
            let verify = VerifySessionRequest { secret_sha256: sha256(secret), browser: None, watching: false };
            self.answers.extend(format!("{:?}", console.verify_session(verify).await?).into_bytes());
        }
        // The one answer with the client secret is the console's own.
        let organization_id = session.session.and_then(|session| session.admin).context("no one")?.organization_id;
        let get = GetSignInProviderRequest { organization_id, with_client_secret: true };
        let shown = console.get_sign_in_provider(get).await?.into_inner();
        ensure!(shown.client_secret == client_secret, "another client secret");
        self.command(&["admin", "list", SLUG])?;
        Ok(())
    }

    pub(super) async fn services(&mut self) -> Result<()> {
        let words = ["service", "create", "canary", "--scope", "identities:read"];
        let (secret, _) = self.once("a service credential", &words, "secret")?;
        let (rotated, _) = self.once("its next secret", &["service", "rotate", "canary"], "secret")?;
        let wrong = format!("rc_svc_{}", self.secret("a wrong service credential")?);
        for (name, secret, works) in [("old", &secret, true), ("new", &rotated, true), ("wrong", &wrong, false)] {
            let transport = self.channel("identity", secret).await?;
            let mut organizations = OrganizationServiceClient::new(transport);
            let answer = organizations.list_organizations(ListOrganizationsRequest::default()).await;
            ensure!(answer.is_ok() == works, "{name}: {:?}", answer.err());
            let client = Client::new(&format!("{}/scim/v2", self.deployment.http())).with_token(secret)?;
            let reply = client.send(Method::GET, "/Users", None).await?;
            ensure!(reply.status == 401, "a service credential opens SCIM: {}", reply.status);
            self.answers.extend(&reply.body);
        }
        self.command(&["service", "list"])?;
        self.command(&["service", "revoke", "canary"])?;
        Ok(())
    }
}
