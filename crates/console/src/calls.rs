//! Calls to the services: each with its request id and a deadline, and for whoever is signed in by name.

use std::time::Duration;

use tonic::Request;
use wire::common::{Administrator, Caller, caller::Kind};

use crate::{session::SignedIn, visit::Visit};

const PATIENCE: Duration = Duration::from_secs(10);

impl Visit {
    pub(crate) fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(PATIENCE);
        if let Ok(id) = self.request_id.parse() {
            request.metadata_mut().insert(telemetry::names::REQUEST_ID_HEADER, id);
        }
        request
    }
}

impl SignedIn {
    pub(crate) fn call<T>(&self, message: T) -> Request<T> {
        self.visit.call(message)
    }

    /// In events.
    #[expect(clippy::unnecessary_wraps, reason = "the field of every message is optional")]
    pub(crate) fn caller(&self) -> Option<Caller> {
        let name = self.admin.email.clone();
        Some(Caller {
            kind: Some(Kind::Administrator(Administrator { name })),
            request_id: self.visit.request_id.to_string(),
        })
    }

    pub(crate) fn organization_id(&self) -> String {
        self.organization.id.clone()
    }
}
