//! OAuth clients and what was granted to them. [`client_by_id`] finds the organization of a client; all else names it.

mod client;
mod grant;
mod purge;

pub(crate) use self::{
    client::{
        Approval, Client, Trust, approval_good, approval_guess, approval_insert, approval_take, assertion_use,
        client_by_id, client_get, client_insert, client_issue, client_list, client_retire_secret, client_revoke,
        client_rotate, client_secret_used,
    },
    grant::{
        Access, Code, Grant, Refresh, access_insert, access_revoke, access_revoke_since, access_used_since, code_get,
        code_insert, code_use, grant_get, grant_insert, grant_issue, grant_list, grant_revoke, grant_used,
        refresh_children, refresh_get, refresh_insert, refresh_use, refresh_used,
    },
    purge::{Kept, purge, purge_organization},
};
