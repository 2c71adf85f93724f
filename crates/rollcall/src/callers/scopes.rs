//! Which rpc needs which scope of a service credential: one table for all of them.

use std::fmt;

/// What a service credential may do.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Read users, groups and organizations
    #[value(name = "identities:read")]
    IdentitiesRead,
    /// Read what changes: events
    #[value(name = "identities:watch")]
    IdentitiesWatch,
    /// Everything, tokens and credentials included
    #[value(name = "administer")]
    Administer,
}

impl Scope {
    pub(crate) const ALL: [Self; 3] = [Self::IdentitiesRead, Self::IdentitiesWatch, Self::Administer];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::IdentitiesRead => "identities:read",
            Self::IdentitiesWatch => "identities:watch",
            Self::Administer => "administer",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a credential has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes([bool; 3]);

impl Scopes {
    /// Those that are known here: one of a later release gives nothing in this one.
    pub(crate) fn named(names: &[String]) -> Self {
        Self(Scope::ALL.map(|scope| names.iter().any(|name| name == scope.as_str())))
    }

    pub(crate) fn administers(self) -> bool {
        self.0[2]
    }

    fn contains(self, scope: Scope) -> bool {
        let [read, watch, administer] = self.0;
        administer
            || match scope {
                Scope::IdentitiesRead => read,
                Scope::IdentitiesWatch => watch,
                Scope::Administer => false,
            }
    }

    /// Whether these are enough for the rpc at this path. `None`: there is no such rpc.
    ///
    /// # Errors
    /// The scope that is missing.
    pub(crate) fn allow(self, path: &str) -> Result<(), Option<Scope>> {
        match needed(path) {
            Needed::Any => Ok(()),
            Needed::One(scope) if self.contains(scope) => Ok(()),
            Needed::One(scope) => Err(Some(scope)),
            Needed::Nothing if self.administers() => Ok(()),
            Needed::Nothing => Err(None),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    /// Any credential that is valid.
    Any,
    One(Scope),
    /// In no table, so it is an administrator's if it is there at all.
    Nothing,
}

fn needed(path: &str) -> Needed {
    let (service, method) = path.strip_prefix('/').and_then(|path| path.split_once('/')).unwrap_or_default();
    if REFLECTION.contains(&service) {
        return Needed::Any;
    }
    let rpcs = TABLE.iter().find(|(known, _)| *known == service).map(|(_, rpcs)| *rpcs).unwrap_or_default();
    let found = rpcs.iter().find(|(known, _)| *known == method);
    found.map_or(Needed::Nothing, |(_, scope)| Needed::One(*scope))
}

const REFLECTION: [&str; 1] = ["grpc.reflection.v1.ServerReflection"];

type Rpcs = &'static [(&'static str, Scope)];

const TABLE: [(&str, Rpcs); 8] = [
    (
        "rollcall.identity.v1.AccountService",
        &[
            ("FinishAccountSignIn", Scope::Administer),
            ("VerifyAccountSession", Scope::Administer),
            ("EndAccountSession", Scope::Administer),
            ("BeginKeySetUp", Scope::Administer),
            ("FinishKeySetUp", Scope::Administer),
            ("BeginUnlock", Scope::Administer),
            ("FinishUnlock", Scope::Administer),
            ("RecoverAccount", Scope::Administer),
            ("BeginPasswordChange", Scope::Administer),
            ("FinishPasswordChange", Scope::Administer),
            ("GetOrganizationKey", Scope::Administer),
            ("CreateOrganizationKey", Scope::Administer),
            ("RotateOrganizationKey", Scope::Administer),
            ("RecoverOrganizationKey", Scope::Administer),
            ("ListMembersToConfirm", Scope::Administer),
            ("ConfirmMembers", Scope::Administer),
            ("GetAccount", Scope::IdentitiesRead),
            ("ListAccounts", Scope::IdentitiesRead),
            ("CountAccounts", Scope::IdentitiesRead),
            ("GetAccountPolicy", Scope::IdentitiesRead),
            ("SetAccountPolicy", Scope::Administer),
            ("UnlinkAccount", Scope::Administer),
            ("InviteToSetUp", Scope::Administer),
            ("CreateConfirmAgent", Scope::Administer),
            ("ListConfirmAgents", Scope::IdentitiesRead),
            ("RevokeConfirmAgent", Scope::Administer),
            ("GetConfirmAgent", Scope::Administer),
            ("EnrollConfirmAgent", Scope::Administer),
            ("GetOrganizationKeyAsAgent", Scope::Administer),
            ("ListMembersToConfirmAsAgent", Scope::Administer),
            ("ConfirmMembersAsAgent", Scope::Administer),
            ("RotateOrganizationKeyAsAgent", Scope::Administer),
        ],
    ),
    (
        "rollcall.identity.v1.ConsoleService",
        &[
            ("CreateAdminInvite", Scope::Administer),
            ("ListAdmins", Scope::Administer),
            ("SetAdminRole", Scope::Administer),
            ("RemoveAdmin", Scope::Administer),
            ("SetSignInProvider", Scope::Administer),
            ("GetSignInProvider", Scope::Administer),
            ("RemoveSignInProvider", Scope::Administer),
            ("GetAdminInvite", Scope::Administer),
            ("AcceptAdminInvite", Scope::Administer),
            ("BeginSignIn", Scope::Administer),
            ("TakeSignIn", Scope::Administer),
            ("FinishSignIn", Scope::Administer),
            ("VerifySession", Scope::Administer),
            ("RotateSession", Scope::Administer),
            ("ListSessions", Scope::Administer),
            ("RevokeSession", Scope::Administer),
        ],
    ),
    (
        "rollcall.identity.v1.IdentityService",
        &[
            ("CreateUser", Scope::Administer),
            ("GetUser", Scope::IdentitiesRead),
            ("LookUpUsers", Scope::IdentitiesRead),
            ("ListUsers", Scope::IdentitiesRead),
            ("ReplaceUser", Scope::Administer),
            ("PatchUser", Scope::Administer),
            ("DeleteUser", Scope::Administer),
            ("ListGroupsOfUser", Scope::IdentitiesRead),
            // Gone for every read but an administrator's.
            ("ListDeletedUsers", Scope::Administer),
            ("RestoreUser", Scope::Administer),
            ("ListHolds", Scope::Administer),
            ("ListHoldUsers", Scope::Administer),
            ("ApproveHold", Scope::Administer),
            ("RestoreHold", Scope::Administer),
            ("CreateGroup", Scope::Administer),
            ("GetGroup", Scope::IdentitiesRead),
            ("ListGroups", Scope::IdentitiesRead),
            ("ReplaceGroup", Scope::Administer),
            ("PatchGroup", Scope::Administer),
            ("DeleteGroup", Scope::Administer),
            ("ListResources", Scope::IdentitiesRead),
            ("ListMembers", Scope::IdentitiesRead),
            ("ListEvents", Scope::IdentitiesWatch),
        ],
    ),
    (
        "rollcall.identity.v1.OrganizationService",
        &[
            ("CreateOrganization", Scope::Administer),
            ("GetOrganization", Scope::IdentitiesRead),
            ("ListOrganizations", Scope::IdentitiesRead),
            ("SetScimEnabled", Scope::Administer),
            ("SetRequestLimit", Scope::Administer),
            ("SetPlan", Scope::Administer),
            ("SetDeletionPolicy", Scope::Administer),
            ("AddSchema", Scope::Administer),
            ("ListSchemas", Scope::IdentitiesRead),
        ],
    ),
    (
        "rollcall.identity.v1.ProvisioningLogService",
        &[
            ("ReportRequests", Scope::Administer),
            // What was refused is not what changed, and bodies stand in it.
            ("ListRequests", Scope::Administer),
            ("GetRequest", Scope::Administer),
            ("CountRequests", Scope::Administer),
            ("ListEventsOfSubject", Scope::IdentitiesWatch),
            ("SetProvisioningLog", Scope::Administer),
            ("GetProvisioningLog", Scope::Administer),
        ],
    ),
    (
        "rollcall.token.v1.TokenService",
        &[
            ("CreateScimToken", Scope::Administer),
            ("ListScimTokens", Scope::Administer),
            ("RevokeScimToken", Scope::Administer),
            ("Verify", Scope::Administer),
            ("VerifyMany", Scope::Administer),
            ("IdentifyTokens", Scope::Administer),
            ("RotateScimToken", Scope::Administer),
            ("RetireScimToken", Scope::Administer),
            ("GetTokenPolicy", Scope::Administer),
            ("SetTokenPolicy", Scope::Administer),
            ("ReportScimTokenUses", Scope::Administer),
            ("ListExpiryWarnings", Scope::Administer),
            ("WatchRevocations", Scope::Administer),
        ],
    ),
    (
        "rollcall.token.v1.OAuthService",
        &[
            ("CreateOAuthClient", Scope::Administer),
            ("ListOAuthClients", Scope::Administer),
            ("RevokeOAuthClient", Scope::Administer),
            ("RotateOAuthSecret", Scope::Administer),
            ("RetireOAuthSecret", Scope::Administer),
            ("CreateOAuthApproval", Scope::Administer),
            ("ListOAuthGrants", Scope::Administer),
            ("RevokeOAuthGrant", Scope::Administer),
            ("GetOAuthClient", Scope::Administer),
            ("ApproveOAuthAuthorization", Scope::Administer),
            ("IssueOAuthToken", Scope::Administer),
            ("RevokeOAuthToken", Scope::Administer),
        ],
    ),
    (
        "rollcall.token.v1.ServiceCredentialService",
        &[
            ("CreateServiceCredential", Scope::Administer),
            ("ListServiceCredentials", Scope::Administer),
            ("RevokeServiceCredential", Scope::Administer),
            ("RotateServiceCredential", Scope::Administer),
            ("RetireServiceSecret", Scope::Administer),
            ("VerifyServiceCredential", Scope::Administer),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// `/package.Service/Method` of all.
    fn described() -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(wire::DESCRIPTOR_SET).expect("descriptors");
        let services = set.file.iter().flat_map(|file| file.service.iter().map(move |service| (file, service)));
        let rpcs = services.flat_map(|(file, service)| {
            let rpc = move |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
            service.method.iter().map(move |method| rpc(method.name()))
        });
        rpcs.collect()
    }

    #[test]
    fn every_rpc_has_its_scope_and_the_table_names_no_other() {
        let listed =
            TABLE.iter().flat_map(|(service, rpcs)| rpcs.iter().map(move |(rpc, _)| format!("/{service}/{rpc}")));
        let listed: Vec<String> = listed.collect();
        assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), described(), "give each rpc the scope it needs");
        assert_eq!(listed.len(), described().len(), "each once");
    }

    #[test]
    fn what_changes_something_is_the_administrators() {
        for rpc in described() {
            let method = rpc.rsplit('/').next().expect("a method");
            let reads = ["Count", "Get", "List", "LookUp"].iter().any(|verb| method.starts_with(verb));
            assert!(reads || needed(&rpc) == Needed::One(Scope::Administer), "{rpc}");
            let others = [".token.v1.", ".ConsoleService/"].iter().any(|part| rpc.contains(part));
            assert!(!others || needed(&rpc) == Needed::One(Scope::Administer), "{rpc}");
        }
    }

    #[test]
    fn a_scope_allows_its_rpcs_and_administer_allows_all() {
        let with = |names: &[&str]| Scopes::named(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let (read, watch) = (with(&["identities:read"]), with(&["identities:watch", "later:scope"]));
        let (get, events) =
            ("/rollcall.identity.v1.IdentityService/GetUser", "/rollcall.identity.v1.IdentityService/ListEvents");
        assert_eq!((read.allow(get), read.allow(events)), (Ok(()), Err(Some(Scope::IdentitiesWatch))));
        assert_eq!((watch.allow(get), watch.allow(events)), (Err(Some(Scope::IdentitiesRead)), Ok(())));
        for unknown in ["/rollcall.identity.v1.IdentityService/EraseAll", "/other.Service/Get", "/", "", "GetUser"] {
            assert_eq!(read.allow(unknown), Err(None), "{unknown}");
            assert_eq!(with(&["administer"]).allow(unknown), Ok(()));
        }
        assert_eq!(watch.allow("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"), Ok(()));
        assert!(!with(&[]).administers() && with(&["administer"]).administers());
    }
}
