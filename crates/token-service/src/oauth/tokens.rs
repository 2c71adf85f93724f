//! What the gateway asks for: codes for approved authorizations, tokens for codes, refresh tokens and credentials.

use store::{AnyConnection, Failure, Instant};
use wire::{
    Reason, Refusal,
    token::{
        ApproveOAuthAuthorizationRequest, ApproveOAuthAuthorizationResponse, IssueOAuthTokenRequest,
        IssueOAuthTokenResponse, OAuthGrantType, RevokeOAuthTokenRequest, RevokeOAuthTokenResponse,
        issue_o_auth_token_request::Grant as Asked,
    },
};

use super::{DAY, SECOND, Shown, argument, check, client_invalid, sha256};
use crate::{
    Service,
    caller::{Actor, Caller},
    error::refusal,
    restrictions,
    secret::{self, Secret},
    store::{
        ClientId, EventId, GrantId, Kind, OrgId, TokenId,
        oauth::{self, Access, Client, Code, Grant, Refresh},
        oauth_event_insert,
    },
};

const ACCESS_SECONDS: u32 = 3600;
/// A code goes from the consent page to the client and comes straight here.
const CODE: i64 = 60 * SECOND;
/// A grant that is not refreshed for as long is over.
const REFRESH: i64 = 365 * DAY;
/// For as long a refresh token is answered once more, so that a lost answer cuts nobody off.
const ONCE_MORE: i64 = 30 * SECOND;
/// For as long a second use of a refresh token is known as one.
const REMEMBERED: i64 = 30 * DAY;
/// Wrong approval codes after which the right one is refused, too. It has 80 random bits.
const MOST_GUESSES: i64 = 100;
const LONGEST_REQUEST_ID: usize = 200;

/// All that is drawn before the transaction, which may run more than once.
#[derive(Clone)]
struct Drawn {
    access: (TokenId, [u8; 32]),
    refresh: [u8; 32],
    grant: GrantId,
    event: EventId,
    now: Instant,
}

struct Issued {
    scopes: String,
    refresh: bool,
    /// Access tokens that were given before ended with it.
    revoked: bool,
}

impl Service {
    pub(super) async fn oauth_authorize(
        &self,
        request: ApproveOAuthAuthorizationRequest,
    ) -> Result<ApproveOAuthAuthorizationResponse, Refusal> {
        let approval = sha256(&request.approval_sha256, "approval_sha256")?;
        let client = self.oauth_client_known(&request.client_id).await?;
        let (org, id) = (client.org, client.id);
        if !check::has_grant_type(&client.grant_types, OAuthGrantType::AuthorizationCode) {
            return Err(not_allowed(OAuthGrantType::AuthorizationCode));
        }
        if !client.redirect_uris.split(' ').any(|uri| uri == request.redirect_uri) {
            return Err(argument("redirect_uri is none of the client's."));
        }
        let scopes = check::scopes_of(&client.scopes, &request.scopes)?;
        if request.code_challenge.as_ref().is_some_and(|challenge| challenge.len() != 43) {
            return Err(argument("code_challenge must be the base64url of a SHA-256."));
        }
        let caller = by_client(id, request.request_id);
        let code = Secret::generate(secret::CODE, &self.inner.random);
        let (now, event) = (self.inner.clock.now(), self.oauth_event());
        let new = Code {
            org,
            code_sha256: code.sha256().to_vec(),
            client: id,
            redirect_uri: request.redirect_uri,
            code_challenge: request.code_challenge,
            scopes,
            approved_by: String::new(),
            expires: now.saturating_add_micros(CODE),
            used: None,
            grant_id: None,
        };
        let entitled = request.oauth_entitled;
        let refused_by_plan = caller.clone();
        let written = self.inner.db.of(org).write(move |connection| {
            // Not used up by a plan that says no. Whoever has no good one causes no event and learns nothing.
            if !entitled && oauth::approval_good(connection, org, id, &approval, MOST_GUESSES, now)? {
                return Ok(Ok(()));
            }
            let Some(approved_by) = oauth::approval_take(connection, org, id, &approval, MOST_GUESSES, now)? else {
                oauth::approval_guess(connection, org, id, MOST_GUESSES, now)?;
                return Ok(Err(()));
            };
            let request_id = caller.request_id.clone();
            let approver = Caller { actor: Actor::Administrator(approved_by.clone()), request_id };
            oauth::code_insert(connection, org, &Code { approved_by, ..new.clone() })?;
            let kind = Kind::OAuthAuthorized;
            oauth_event_insert(connection, org, event, Some(id), None, kind, &approver, now)?;
            Ok(Ok(()))
        });
        written.await.map_err(refusal)?.map_err(|()| {
            Refusal::new(
                Reason::ApprovalInvalid,
                "This approval code is not valid: it is wrong, used, older than ten minutes, or of another client.",
            )
        })?;
        self.oauth_entitled(entitled, org, Some(id), &refused_by_plan).await?;
        Ok(ApproveOAuthAuthorizationResponse { code: code.into_answer() })
    }

    pub(super) async fn oauth_issue(
        &self,
        request: IssueOAuthTokenRequest,
    ) -> Result<IssueOAuthTokenResponse, Refusal> {
        let (client, shown) = self.oauth_authenticate(request.credential).await?;
        let org = client.org;
        let asked = Wanted::read(request.grant, request.scopes)?;
        if !asked.is_of(&client, &shown) {
            return Err(not_allowed(asked.grant_type()));
        }
        if matches!(asked, Wanted::Own(OAuthGrantType::JwtBearer, _)) && !matches!(shown, Shown::Assertion(..)) {
            return Err(argument("The grant type jwt-bearer needs an assertion."));
        }
        let access = Secret::generate(secret::ACCESS, &self.inner.random);
        let refresh = Secret::generate(secret::REFRESH, &self.inner.random);
        let drawn = Drawn {
            access: (TokenId(self.inner.ids.next()), access.sha256()),
            refresh: refresh.sha256(),
            grant: GrantId(self.inner.ids.next()),
            event: self.oauth_event(),
            now: self.inner.clock.now(),
        };
        let caller = by_client(client.id, request.request_id);
        if let Wanted::Refresh(hash, _) = &asked {
            self.uses_known(org, *hash).await?;
        }
        let written = self.inner.db.of(org).write(move |connection| {
            hold(connection, &client, &shown, drawn.now)?;
            match &asked {
                Wanted::Code(code) => by_code(connection, org, &client, code, &drawn, &caller),
                Wanted::Refresh(shown, scopes) => by_refresh(connection, org, &client, shown, scopes, &drawn, &caller),
                Wanted::Own(_, scopes) => {
                    let scopes = check::scopes_of(&client.scopes, scopes).map_err(Failure::Refused)?;
                    access_token(connection, &client, None, &scopes, &drawn)?;
                    Ok(Ok(Issued { scopes, refresh: false, revoked: false }))
                }
            }
        });
        let issued = match written.await.map_err(refusal)? {
            Ok(issued) => {
                if issued.revoked {
                    self.inner.feed.poke();
                }
                issued
            }
            Err(Ended) => {
                self.inner.feed.poke();
                return Err(grant_invalid());
            }
        };
        Ok(IssueOAuthTokenResponse {
            access_token: access.into_answer(),
            refresh_token: if issued.refresh { refresh.into_answer() } else { String::new() },
            expires_in: ACCESS_SECONDS,
            scopes: restrictions::split(&issued.scopes),
        })
    }

    /// Writes the uses that are noted here, if the refresh token was used before: they say whether its answer arrived.
    async fn uses_known(&self, org: OrgId, refresh: [u8; 32]) -> Result<(), Refusal> {
        let read = self.inner.db.of(org).read(move |connection| Ok(oauth::refresh_get(connection, org, &refresh)?));
        if read.await.map_err(refusal)?.is_some_and(|(refresh, _)| refresh.used.is_some()) {
            self.inner.usage.flush(&self.inner.db).await;
        }
        Ok(())
    }

    pub(super) async fn oauth_token_revoke(
        &self,
        request: RevokeOAuthTokenRequest,
    ) -> Result<RevokeOAuthTokenResponse, Refusal> {
        let (client, shown) = self.oauth_authenticate(request.credential).await?;
        let hash = sha256(&request.token_sha256, "token_sha256")?;
        let caller = by_client(client.id, request.request_id);
        let (org, id, at, event) = (client.org, client.id, self.inner.clock.now(), self.oauth_event());
        let written = self.inner.db.of(org).write(move |connection| {
            used_once(connection, &client, &shown)?;
            match oauth::refresh_get(connection, org, &hash)? {
                Some((_, grant)) if grant.client == id => {
                    if oauth::grant_revoke(connection, org, grant.id, "revoked", at)? {
                        let kind = Kind::OAuthGrantRevoked;
                        oauth_event_insert(connection, org, event, Some(id), Some(grant.id), kind, &caller, at)?;
                    }
                }
                _ => drop(oauth::access_revoke(connection, org, id, &hash, at)?),
            }
            Ok(())
        });
        written.await.map_err(refusal)?;
        self.inner.feed.poke();
        Ok(RevokeOAuthTokenResponse {})
    }
}

/// What is asked for, read.
#[derive(Clone)]
enum Wanted {
    Code(ShownCode),
    Refresh([u8; 32], Vec<String>),
    Own(OAuthGrantType, Vec<String>),
}

#[derive(Clone)]
struct ShownCode {
    hash: [u8; 32],
    redirect_uri: String,
    code_challenge: Option<String>,
}

impl Wanted {
    /// The scopes of a code were settled when it was approved.
    fn read(grant: Option<Asked>, scopes: Vec<String>) -> Result<Self, Refusal> {
        match grant {
            Some(Asked::Code(code)) => Ok(Self::Code(ShownCode {
                hash: sha256(&code.code_sha256, "code_sha256")?,
                redirect_uri: code.redirect_uri,
                code_challenge: code.code_challenge,
            })),
            Some(Asked::RefreshSha256(hash)) => Ok(Self::Refresh(sha256(&hash, "refresh_sha256")?, scopes)),
            Some(Asked::Own(own)) => match OAuthGrantType::try_from(own) {
                Ok(own @ (OAuthGrantType::ClientCredentials | OAuthGrantType::JwtBearer)) => Ok(Self::Own(own, scopes)),
                _ => Err(argument("grant.own must be CLIENT_CREDENTIALS or JWT_BEARER.")),
            },
            None => Err(argument("grant is missing. Say what the token is for.")),
        }
    }

    fn grant_type(&self) -> OAuthGrantType {
        match self {
            Self::Code(_) | Self::Refresh(..) => OAuthGrantType::AuthorizationCode,
            Self::Own(own, _) => *own,
        }
    }

    /// An identity provider that signs assertions shows one in either of the places of RFC 7523 section 2: as the grant, or as
    /// the client's credential with client_credentials. Who was made for the grant may do both.
    fn is_of(&self, client: &Client, shown: &Shown) -> bool {
        let has = |grant_type| check::has_grant_type(&client.grant_types, grant_type);
        match (self, shown) {
            (Self::Own(OAuthGrantType::ClientCredentials, _), Shown::Assertion(..)) => {
                has(OAuthGrantType::ClientCredentials) || has(OAuthGrantType::JwtBearer)
            }
            _ => has(self.grant_type()),
        }
    }
}

/// A grant was ended by what was shown, which has to be committed.
struct Ended;

type Outcome = Result<Result<Issued, Ended>, Failure<Refusal>>;

/// The client's row, until the transaction ends; of two who show the same code or refresh token one comes after the other.
fn hold(connection: &mut AnyConnection, client: &Client, shown: &Shown, now: Instant) -> Result<(), Failure<Refusal>> {
    let secret = match shown {
        Shown::Secret(hash) => Some(hash),
        Shown::Assertion(..) => None,
    };
    if !oauth::client_issue(connection, client.org, client.id, secret, now)? {
        return Err(Failure::Refused(client_invalid()));
    }
    if let Some(hash) = secret.filter(|_| client.secret_used.is_none()) {
        oauth::client_secret_used(connection, client.org, client.id, hash, now)?;
    }
    used_once(connection, client, shown)
}

/// RFC 7523 section 3, item 7.
fn used_once(connection: &mut AnyConnection, client: &Client, shown: &Shown) -> Result<(), Failure<Refusal>> {
    let Shown::Assertion(Some(jti), expires) = shown else { return Ok(()) };
    if oauth::assertion_use(connection, client.org, client.id, jti, *expires)? {
        Ok(())
    } else {
        Err(Failure::Refused(client_invalid()))
    }
}

fn by_code(
    connection: &mut AnyConnection,
    org: OrgId,
    client: &Client,
    shown: &ShownCode,
    drawn: &Drawn,
    caller: &Caller,
) -> Outcome {
    let invalid = || Err(Failure::Refused(grant_invalid()));
    let Some(code) = oauth::code_get(connection, org, client.id, &shown.hash)? else { return invalid() };
    if code.used.is_some() {
        // RFC 6749 section 4.1.2: what it gave ends. The client has had it, so somebody else may have seen it.
        return match code.grant_id {
            Some(grant) => end(connection, org, client, grant, Reused::Code, drawn, caller),
            None => invalid(),
        };
    }
    // A verifier without a challenge is refused, too: somebody took the challenge out of the request (RFC 9700 section 2.1.1).
    if code.expires <= drawn.now
        || code.redirect_uri != shown.redirect_uri
        || code.code_challenge != shown.code_challenge
        || !oauth::code_use(connection, org, &shown.hash, drawn.grant, drawn.now)?
    {
        return invalid();
    }
    let grant = Grant {
        org,
        id: drawn.grant,
        client: client.id,
        scopes: code.scopes.clone(),
        created: drawn.now,
        approved_by: code.approved_by,
        expires: drawn.now.saturating_add_micros(REFRESH),
        revoked: None,
        revoked_for: None,
        last_issued: drawn.now,
        last_used: None,
        last_used_address: None,
        last_used_user_agent: None,
    };
    oauth::grant_insert(connection, org, &grant)?;
    let (id, kind) = (Some(grant.id), Kind::OAuthGrantCreated);
    oauth_event_insert(connection, org, drawn.event, Some(client.id), id, kind, caller, drawn.now)?;
    refresh_token(connection, org, grant.id, None, drawn)?;
    access_token(connection, client, Some(grant.id), &code.scopes, drawn)?;
    Ok(Ok(Issued { scopes: code.scopes, refresh: true, revoked: false }))
}

/// Each refresh token is used once. One that is used again is answered once more if its answer may have been lost: for half a
/// minute, a single time, and only while nothing that was given for it has been used. Else somebody else has it, too, and all
/// ends. Of what was given for one refresh token one access token is good at a time.
fn by_refresh(
    connection: &mut AnyConnection,
    org: OrgId,
    client: &Client,
    shown: &[u8; 32],
    scopes: &[String],
    drawn: &Drawn,
    caller: &Caller,
) -> Outcome {
    let invalid = || Err(Failure::Refused(grant_invalid()));
    let Some((refresh, grant)) = oauth::refresh_get(connection, org, shown)? else { return invalid() };
    let expires = drawn.now.saturating_add_micros(REFRESH);
    if grant.client != client.id || refresh.expires <= drawn.now {
        return invalid();
    }
    if !oauth::grant_issue(connection, org, grant.id, expires, drawn.now)? {
        return invalid();
    }
    // The one that was used first, and what was given for it.
    let (used, given) = match (refresh.used, &refresh.parent) {
        (Some(used), _) => (Some(used), oauth::refresh_children(connection, org, grant.id, shown)?),
        (None, Some(parent)) => {
            let used = oauth::refresh_used(connection, org, parent)?;
            (used, oauth::refresh_children(connection, org, grant.id, parent)?)
        }
        (None, None) => (None, Vec::new()),
    };
    let mut again = given.iter().any(Option::is_some);
    if let Some(used) = refresh.used {
        again = again
            || drawn.now >= used.saturating_add_micros(ONCE_MORE)
            || oauth::access_used_since(connection, org, grant.id, used)?;
    }
    if again {
        return end(connection, org, client, grant.id, Reused::Refresh, drawn, caller);
    }
    if refresh.used.is_some() && given.len() > 1 {
        return invalid();
    }
    let scopes = check::scopes_of(&grant.scopes, scopes).map_err(Failure::Refused)?;
    let revoked = match used {
        Some(used) if refresh.used.is_some() || given.len() > 1 => {
            oauth::access_revoke_since(connection, org, grant.id, used, drawn.now)?
        }
        _ => false,
    };
    oauth::refresh_use(connection, org, shown, drawn.now.saturating_add_micros(REMEMBERED), drawn.now)?;
    refresh_token(connection, org, grant.id, Some(shown.to_vec()), drawn)?;
    // Another one that was drawn earlier and came later was given after it all the same.
    let drawn = Drawn { now: used.map_or(drawn.now, |used| used.max(drawn.now)), ..drawn.clone() };
    access_token(connection, client, Some(grant.id), &scopes, &drawn)?;
    Ok(Ok(Issued { scopes, refresh: true, revoked }))
}

enum Reused {
    Code,
    Refresh,
}

fn end(
    connection: &mut AnyConnection,
    org: OrgId,
    client: &Client,
    grant: GrantId,
    reused: Reused,
    drawn: &Drawn,
    caller: &Caller,
) -> Outcome {
    let (reason, kind) = match reused {
        Reused::Code => ("code_reused", Kind::OAuthCodeReused),
        Reused::Refresh => ("refresh_reused", Kind::OAuthRefreshReused),
    };
    if oauth::grant_revoke(connection, org, grant, reason, drawn.now)? {
        tracing::warn!(organization = %org, client = %client.id, %grant, reason, "an OAuth grant was ended");
        let (client, grant) = (Some(client.id), Some(grant));
        oauth_event_insert(connection, org, drawn.event, client, grant, kind, caller, drawn.now)?;
    }
    Ok(Err(Ended))
}

fn refresh_token(
    connection: &mut AnyConnection,
    org: OrgId,
    grant: GrantId,
    parent: Option<Vec<u8>>,
    drawn: &Drawn,
) -> Result<(), Failure<Refusal>> {
    let expires = drawn.now.saturating_add_micros(REFRESH);
    let new = Refresh { org, refresh_sha256: drawn.refresh.to_vec(), grant_id: grant, parent, expires, used: None };
    Ok(oauth::refresh_insert(connection, org, &new)?)
}

fn access_token(
    connection: &mut AnyConnection,
    client: &Client,
    grant: Option<GrantId>,
    scopes: &str,
    drawn: &Drawn,
) -> Result<(), Failure<Refusal>> {
    let access = Access {
        id: drawn.access.0,
        client: client.id,
        grant,
        secret_sha256: &drawn.access.1,
        scopes,
        allowed_cidrs: &client.allowed_cidrs,
        created: drawn.now,
        expires: drawn.now.saturating_add_micros(i64::from(ACCESS_SECONDS) * SECOND),
    };
    Ok(oauth::access_insert(connection, client.org, &access)?)
}

fn by_client(id: ClientId, request_id: String) -> Caller {
    let request_id = request_id.chars().take(LONGEST_REQUEST_ID).collect();
    Caller { actor: Actor::OAuthClient(id.to_string()), request_id }
}

fn grant_invalid() -> Refusal {
    Refusal::new(Reason::GrantInvalid, "The code or refresh token is not valid: it is unknown, used, expired or ended.")
}

fn not_allowed(wanted: OAuthGrantType) -> Refusal {
    let name = match wanted {
        OAuthGrantType::AuthorizationCode => "authorization_code",
        OAuthGrantType::ClientCredentials => "client_credentials",
        OAuthGrantType::JwtBearer | OAuthGrantType::Unspecified => "jwt-bearer",
    };
    Refusal::new(
        Reason::GrantNotAllowed,
        format!(
            "The client was not made for the grant type {name}. Make one that is (rollcall oauth client create ORG --name TEXT \
             --grant {name}), or let the identity provider use a grant type of this one."
        ),
    )
}
