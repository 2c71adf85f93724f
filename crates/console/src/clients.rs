//! The gRPC clients, built on the transports that the composition hands in.

use tonic::{Request, Status, service::interceptor::InterceptedService};
use wire::{
    MAX_MESSAGE, Transport,
    identity::{
        account_service_client::AccountServiceClient, console_service_client::ConsoleServiceClient,
        identity_service_client::IdentityServiceClient, organization_service_client::OrganizationServiceClient,
        provisioning_log_service_client::ProvisioningLogServiceClient,
    },
    token::{o_auth_service_client::OAuthServiceClient, token_service_client::TokenServiceClient},
};

type Traced = InterceptedService<Transport, fn(Request<()>) -> Result<Request<()>, Status>>;

/// One of each; cloned per call, which is cheap.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) accounts: AccountServiceClient<Traced>,
    pub(crate) admins: ConsoleServiceClient<Traced>,
    pub(crate) identity: IdentityServiceClient<Traced>,
    pub(crate) log: ProvisioningLogServiceClient<Traced>,
    pub(crate) organizations: OrganizationServiceClient<Traced>,
    pub(crate) tokens: TokenServiceClient<Traced>,
    pub(crate) oauth: OAuthServiceClient<Traced>,
}

impl Clients {
    pub(crate) fn new(identity: Transport, token: Transport) -> Self {
        let traced = |transport| InterceptedService::new(transport, telemetry::inject as fn(_) -> _);
        Self {
            accounts: AccountServiceClient::new(traced(identity.clone())),
            admins: ConsoleServiceClient::new(traced(identity.clone())),
            identity: IdentityServiceClient::new(traced(identity.clone())),
            log: ProvisioningLogServiceClient::new(traced(identity.clone())).max_decoding_message_size(MAX_MESSAGE),
            organizations: OrganizationServiceClient::new(traced(identity)),
            tokens: TokenServiceClient::new(traced(token.clone())),
            oauth: OAuthServiceClient::new(traced(token)),
        }
    }
}
