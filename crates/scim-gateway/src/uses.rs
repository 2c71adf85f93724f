//! When tokens were used, and by whom: told to token-service in batches. Only the gateway knows, since it remembers tokens
//! and sees the client.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use tokio::sync::Notify;
use tonic::Code;
use wire::token::{ReportScimTokenUsesRequest, ScimTokenUse};

use crate::{clients::Clients, gateway::Gateway, provisioning_log::plain};

/// The first use is told at once, those that follow it once in this time.
const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Uses in one call.
const BATCH: usize = 500;

/// The last use of one token.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    pub(crate) organization: Arc<str>,
    /// Microseconds since the epoch.
    pub(crate) at: i64,
    pub(crate) address: Option<IpAddr>,
    pub(crate) user_agent: Option<HeaderValue>,
}

/// What has not been told yet, by token. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Uses(Arc<Pending>);

#[derive(Default)]
struct Pending {
    last: Mutex<HashMap<Arc<str>, Use>>,
    any: Notify,
}

impl Uses {
    pub(crate) fn note(&self, token_id: &Arc<str>, new: Use) {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_empty() {
            self.0.any.notify_one();
        }
        match last.get_mut(token_id) {
            Some(known) if known.at > new.at => {}
            Some(known) => *known = new,
            None => drop(last.insert(Arc::clone(token_id), new)),
        }
    }

    /// Tells for ever.
    pub(crate) async fn report(self, clients: Clients) {
        loop {
            self.0.any.notified().await;
            let uses = std::mem::take(&mut *self.0.last.lock().unwrap_or_else(PoisonError::into_inner));
            let uses: Vec<(Arc<str>, Use)> = uses.into_iter().collect();
            for batch in uses.chunks(BATCH) {
                self.tell(&clients, batch).await;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn tell(&self, clients: &Clients, batch: &[(Arc<str>, Use)]) {
        let uses = batch.iter().map(|(token_id, last)| to_wire(token_id, last)).collect();
        let request = Gateway::call(ReportScimTokenUsesRequest { uses }, "uses", TIMEOUT);
        let mut client = clients.tokens.clone();
        let told = tokio::time::timeout(TIMEOUT, client.report_scim_token_uses(request)).await;
        match told {
            Ok(Ok(_)) => {}
            // A release that notes uses by itself.
            Ok(Err(status)) if status.code() == Code::Unimplemented => {}
            failed => {
                let code = failed.ok().and_then(Result::err).map(|status| status.code());
                tracing::info!(tokens = batch.len(), ?code, "uses of tokens could not be told, they are told again");
                for (token_id, last) in batch {
                    self.note(token_id, last.clone());
                }
            }
        }
    }
}

fn to_wire(token_id: &str, last: &Use) -> ScimTokenUse {
    ScimTokenUse {
        organization_id: last.organization.to_string(),
        token_id: token_id.to_owned(),
        used_at: Some(wire::to_timestamp(last.at)),
        address: last.address.map(|address| address.to_string()).unwrap_or_default(),
        // It is shown to whoever may see the token.
        user_agent: plain(last.user_agent.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_sent_as_a_user_agent_is_not_told() {
        let of = |agent: &'static str| {
            let user_agent = Some(HeaderValue::from_static(agent));
            to_wire("t", &Use { organization: Arc::from("o"), at: 0, address: None, user_agent }).user_agent
        };
        assert_eq!(of("Okta SCIM Client 1.0.0"), "Okta SCIM Client 1.0.0");
        assert!(!of("x/Bearer_rc_scim_abcdefghijklmnopqrst").contains("rc_scim_"));
    }
}
