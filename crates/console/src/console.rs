//! What all requests share.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use wire::Transport;

use crate::{
    Clock, Config, Random, busy::Busy, clients::Clients, cookies::Names, pages::Newest, sign_in::Providers, site::Site,
    strangers::Strangers,
};

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub(crate) struct Console(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) site: Site,
    pub(crate) cookies: Names,
    pub(crate) clients: Clients,
    /// The OpenID providers that were asked lately.
    pub(crate) providers: Providers,
    pub(crate) strangers: Strangers,
    pub(crate) busy: Busy,
    /// For pages that watch.
    pub(crate) newest: Newest,
    pub(crate) request_timeout: Duration,
    clock: Clock,
    random: Random,
}

impl std::ops::Deref for Console {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Console {
    pub(crate) fn new(config: &Config, identity: Transport, token: Transport, clock: Clock, random: Random) -> Self {
        let site = Site::new(&config.public_url);
        Self(Arc::new(Shared {
            cookies: Names::of(site.reached),
            providers: Providers::new(site.reached, Arc::clone(&clock)),
            clients: Clients::new(identity, token),
            strangers: Strangers::new(),
            busy: Busy::default(),
            newest: Newest::new(),
            request_timeout: config.request_timeout,
            site,
            clock,
            random,
        }))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// 256 random bits as text that may stand in a URL.
    pub(crate) fn secret(&self) -> String {
        let mut bytes = [0; 32];
        (self.random)(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// What is known of a secret elsewhere.
pub(crate) fn sha256(secret: &str) -> Bytes {
    Bytes::copy_from_slice(&Sha256::digest(secret))
}
