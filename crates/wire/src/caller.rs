//! Who asks, where a service credential let the call in.

use std::sync::Arc;

use tonic::Request;

use crate::{
    Reason, Refusal,
    common::{Caller, InternalService, caller::Kind},
    identity::{
        AddSchemaRequest, ApproveHoldRequest, CreateAdminInviteRequest, CreateConfirmAgentRequest, CreateGroupRequest,
        CreateOrganizationRequest, CreateUserRequest, DeleteGroupRequest, DeleteUserRequest, GetGroupRequest,
        GetRequestRequest, GetUserRequest, InviteToSetUpRequest, ListDeletedUsersRequest, ListGroupsOfUserRequest,
        ListGroupsRequest, ListHoldUsersRequest, ListHoldsRequest, ListMembersRequest, ListRequestsRequest,
        ListResourcesRequest, ListUsersRequest, LookUpUsersRequest, PatchGroupRequest, PatchUserRequest,
        RemoveAdminRequest, RemoveSignInProviderRequest, ReplaceGroupRequest, ReplaceUserRequest, RestoreHoldRequest,
        RestoreUserRequest, RevokeConfirmAgentRequest, RevokeSessionRequest, SetAccountPolicyRequest,
        SetAdminRoleRequest, SetDeletionPolicyRequest, SetPlanRequest, SetProvisioningLogRequest,
        SetRequestLimitRequest, SetScimEnabledRequest, SetSignInProviderRequest, UnlinkAccountRequest,
    },
    token::{
        CreateOAuthApprovalRequest, CreateOAuthClientRequest, CreateScimTokenRequest, CreateServiceCredentialRequest,
        RetireOAuthSecretRequest, RetireScimTokenRequest, RetireServiceSecretRequest, RevokeOAuthClientRequest,
        RevokeOAuthGrantRequest, RevokeScimTokenRequest, RevokeServiceCredentialRequest, RotateOAuthSecretRequest,
        RotateScimTokenRequest, RotateServiceCredentialRequest, SetTokenPolicyRequest,
    },
};

/// The service credential that let a call in; in the extensions of its request. Absent: the call comes from a part of
/// Rollcall or from the command line, and its message says who asks.
#[derive(Clone, Debug)]
pub struct CalledBy {
    /// What it is called in events.
    pub name: Arc<str>,
    /// Whether it has the scope `administer`.
    pub administers: bool,
}

/// A request that says who asks.
pub trait Called {
    /// Who.
    fn caller_mut(&mut self) -> &mut Option<Caller>;
}

macro_rules! called {
    ($($request:ident)*) => {
        $(impl Called for $request {
            fn caller_mut(&mut self) -> &mut Option<Caller> {
                &mut self.caller
            }
        })*
    };
}

called! {
    AddSchemaRequest CreateGroupRequest CreateOrganizationRequest CreateUserRequest DeleteGroupRequest DeleteUserRequest
    GetGroupRequest GetUserRequest ListGroupsOfUserRequest ListGroupsRequest ListMembersRequest ListResourcesRequest
    ListUsersRequest LookUpUsersRequest PatchGroupRequest PatchUserRequest ReplaceGroupRequest ReplaceUserRequest
    SetPlanRequest SetRequestLimitRequest SetScimEnabledRequest
    ListDeletedUsersRequest RestoreUserRequest SetDeletionPolicyRequest
    ApproveHoldRequest ListHoldsRequest ListHoldUsersRequest RestoreHoldRequest
    GetRequestRequest ListRequestsRequest SetProvisioningLogRequest
    CreateConfirmAgentRequest InviteToSetUpRequest RevokeConfirmAgentRequest SetAccountPolicyRequest UnlinkAccountRequest
    CreateAdminInviteRequest RemoveAdminRequest RemoveSignInProviderRequest RevokeSessionRequest SetAdminRoleRequest
    SetSignInProviderRequest
    CreateScimTokenRequest CreateServiceCredentialRequest RetireScimTokenRequest RetireServiceSecretRequest
    RevokeScimTokenRequest RevokeServiceCredentialRequest RotateScimTokenRequest RotateServiceCredentialRequest
    SetTokenPolicyRequest
    CreateOAuthApprovalRequest CreateOAuthClientRequest RetireOAuthSecretRequest RevokeOAuthClientRequest
    RevokeOAuthGrantRequest RotateOAuthSecretRequest
}

/// The message of a call. A service credential is its caller, whatever the message says.
///
/// # Errors
/// [`Reason::CallerNotAllowed`], if it says what the credential may not: an administrator without the scope `administer`,
/// or a SCIM client, for which the gateway alone may speak: rules bind such a client that do not bind a service.
pub fn received<T: Called>(request: Request<T>) -> Result<T, Refusal> {
    let by = request.extensions().get::<CalledBy>().cloned();
    let mut message = request.into_inner();
    let Some(CalledBy { name, administers }) = by else { return Ok(message) };
    let caller = message.caller_mut();
    let refused = |what: &str| Err(Refusal::new(Reason::CallerNotAllowed, what));
    match caller.as_ref().and_then(|caller| caller.kind.as_ref()) {
        Some(Kind::ScimClient(_)) => {
            return refused(
                "A service credential cannot speak for a SCIM client. Leave the caller out, or name a service.",
            );
        }
        Some(Kind::Administrator(_)) if !administers => {
            return refused(
                "This service credential lacks the scope administer, so it cannot speak for an administrator. Leave the \
                 caller out, or name a service.",
            );
        }
        _ => {}
    }
    let kind = Some(Kind::InternalService(InternalService { name: name.to_string() }));
    let request_id = caller.take().map(|caller| caller.request_id).unwrap_or_default();
    *caller = Some(Caller { kind, request_id });
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{Administrator, ScimClient};

    fn call(kind: Option<Kind>, by: Option<bool>) -> Result<Option<Caller>, Reason> {
        let caller = kind.map(|kind| Caller { kind: Some(kind), request_id: "r".to_owned() });
        let mut request = Request::new(GetUserRequest { caller, ..GetUserRequest::default() });
        if let Some(administers) = by {
            request.extensions_mut().insert(CalledBy { name: "mail".into(), administers });
        }
        received(request).map(|message| message.caller).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn a_service_credential_is_the_caller_whatever_the_message_says() {
        let service = |name: &str| Kind::InternalService(InternalService { name: name.to_owned() });
        let administrator = || Kind::Administrator(Administrator { name: "ada".to_owned() });
        let client = || Kind::ScimClient(ScimClient { token_id: "t".to_owned(), entry_id: String::new() });
        let mail =
            |request_id: &str| Ok(Some(Caller { kind: Some(service("mail")), request_id: request_id.to_owned() }));
        for administers in [false, true] {
            assert_eq!(call(Some(service("other")), Some(administers)), mail("r"));
            assert_eq!(call(None, Some(administers)), mail(""));
            assert_eq!(call(Some(client()), Some(administers)), Err(Reason::CallerNotAllowed));
        }
        assert_eq!(call(Some(administrator()), Some(true)), mail("r"));
        assert_eq!(call(Some(administrator()), Some(false)), Err(Reason::CallerNotAllowed));
        // Between our own parts.
        for kind in [service("other"), administrator(), client()] {
            let as_sent = Ok(Some(Caller { kind: Some(kind.clone()), request_id: "r".to_owned() }));
            assert_eq!(call(Some(kind), None), as_sent);
        }
    }
}
