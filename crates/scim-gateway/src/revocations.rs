//! Which tokens were revoked a moment ago: token-service tells, so that what the gateway remembers of a token ends at once.
//!
//! Where it cannot tell, a remembered answer ends by its age, see [`crate::auth`].

use std::{sync::Arc, time::Duration};

use moka::future::Cache;

use crate::clients::Clients;

/// Longer than any answer is remembered, one that was under way when its token was revoked too.
const KEPT: Duration = Duration::from_secs(15);

/// The ids of tokens revoked lately. Clones share them.
#[derive(Clone)]
pub(crate) struct Revoked(Cache<Arc<str>, ()>);

impl Revoked {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().time_to_live(KEPT).build())
    }

    pub(crate) fn contains(&self, token_id: &str) -> bool {
        self.0.contains_key(token_id)
    }

    /// Follows token-service for ever.
    pub(crate) async fn watch(self, clients: Clients) {
        let heard = |message: wire::token::Revocations| {
            let revoked = self.0.clone();
            async move {
                for id in message.token_ids {
                    revoked.insert(id.into(), ()).await;
                }
            }
        };
        wire::revocations::follow(clients.tokens, heard).await;
    }
}
