//! Sessions: one's own and, for owners, everybody's.

use askama::Template;
use axum::{extract::Path, response::Response};
use http::{StatusCode, header::SET_COOKIE};
use wire::identity::{ListSessionsRequest, RevokeSessionRequest, Session};

use super::see;
use crate::{
    page::{self, Section, Shell},
    problem::{Problem, Result},
    session::{Role, SignedIn},
    time::When,
};

struct SessionRow {
    id: String,
    email: String,
    this: bool,
    address: String,
    agent: String,
    created: Option<When>,
    used: Option<When>,
    expires: Option<When>,
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct Sessions {
    shell: Shell,
    mine: Vec<SessionRow>,
    others: Vec<SessionRow>,
    owner: bool,
}

async fn all(signed_in: &SignedIn, admin_id: String) -> Result<Vec<Session>> {
    let request = ListSessionsRequest { organization_id: signed_in.organization_id(), admin_id };
    let mut client = signed_in.visit.console.clients.admins.clone();
    Ok(client.list_sessions(signed_in.call(request)).await?.into_inner().sessions)
}

async fn end(signed_in: &SignedIn, id: String) -> Result<()> {
    let request = RevokeSessionRequest { organization_id: signed_in.organization_id(), caller: signed_in.caller(), id };
    signed_in.visit.console.clients.admins.clone().revoke_session(signed_in.call(request)).await?;
    Ok(())
}

/// `GET sessions`
pub(crate) async fn list(signed_in: SignedIn) -> Result<Response> {
    let owner = signed_in.role >= Role::Owner;
    let now = signed_in.visit.console.now();
    let me = signed_in.admin.id.clone();
    let listed = all(&signed_in, if owner { String::new() } else { me.clone() }).await?;
    let (mine, others): (Vec<_>, Vec<_>) =
        listed.into_iter().partition(|session| session.admin.as_ref().is_some_and(|admin| admin.id == me));
    let row = |session: Session| {
        let browser = session.browser.unwrap_or_default();
        SessionRow {
            this: session.id == signed_in.session.id,
            created: When::of(session.created_at.as_ref(), now),
            used: When::of(session.last_used_at.as_ref(), now),
            expires: When::of(session.expires_at.as_ref(), now),
            id: session.id,
            email: session.admin.map(|admin| admin.email).unwrap_or_default(),
            address: browser.address,
            agent: browser.user_agent,
        }
    };
    let mut mine: Vec<_> = mine.into_iter().map(row).collect();
    mine.sort_by_key(|session| !session.this);
    let others = others.into_iter().map(row).collect();
    let shell = Shell::new(&signed_in, Section::Sessions, "Sessions");
    page::html(StatusCode::OK, &Sessions { shell, mine, others, owner })
}

/// `POST sessions/{id}/end`
pub(crate) async fn end_one(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    if signed_in.role < Role::Owner {
        let mine = all(&signed_in, signed_in.admin.id.clone()).await?;
        if !mine.iter().any(|session| session.id == id) {
            return Err(Problem::not_found());
        }
    }
    let this = id == signed_in.session.id;
    end(&signed_in, id).await?;
    if !this {
        return see(&signed_in, "sessions", "session-ended");
    }
    let console = &signed_in.visit.console;
    let mut response = page::see(&format!("{}/sign-in", console.site.root))?;
    if let Some(cookie) = console.cookies.remove(console.cookies.session) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `POST sessions/end-others`
pub(crate) async fn end_others(signed_in: SignedIn) -> Result<Response> {
    for session in all(&signed_in, signed_in.admin.id.clone()).await? {
        if session.id != signed_in.session.id {
            end(&signed_in, session.id).await?;
        }
    }
    see(&signed_in, "sessions", "session-ended")
}
