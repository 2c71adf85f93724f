//! The gRPC face: protobuf in, an operation, protobuf out.
//!
//! Not here: rules, transactions, credentials (whoever calls was authenticated before).

mod accounts;
mod agents;
mod console;
mod convert;
mod deleted_users;
mod events;
mod groups;
mod holds;
mod organizations;
mod request_log;
mod resources;
mod users;

use tonic::{Request, Response, Status};
use wire::{
    identity::{self as proto, identity_service_server::IdentityService},
    received,
};

use crate::operations::Core;

pub(crate) use accounts::Accounts;
pub(crate) use console::Console;
pub(crate) use organizations::Organizations;
pub(crate) use request_log::ProvisioningLog;

/// `rollcall.identity.v1.IdentityService`.
pub(crate) struct Identity(pub(crate) Core);

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl IdentityService for Identity {
    async fn create_user(&self, request: Request<proto::CreateUserRequest>) -> Reply<proto::User> {
        reply(users::create(&self.0, received(request)?).await)
    }

    async fn get_user(&self, request: Request<proto::GetUserRequest>) -> Reply<proto::User> {
        reply(users::get(&self.0, received(request)?).await)
    }

    async fn look_up_users(&self, request: Request<proto::LookUpUsersRequest>) -> Reply<proto::LookUpUsersResponse> {
        reply(users::look_up(&self.0, received(request)?).await)
    }

    async fn list_users(&self, request: Request<proto::ListUsersRequest>) -> Reply<proto::ListUsersResponse> {
        reply(users::list(&self.0, received(request)?).await)
    }

    async fn replace_user(&self, request: Request<proto::ReplaceUserRequest>) -> Reply<proto::User> {
        reply(users::replace(&self.0, received(request)?).await)
    }

    async fn patch_user(&self, request: Request<proto::PatchUserRequest>) -> Reply<proto::User> {
        reply(users::patch(&self.0, received(request)?).await)
    }

    async fn delete_user(&self, request: Request<proto::DeleteUserRequest>) -> Reply<proto::DeleteUserResponse> {
        reply(users::delete(&self.0, received(request)?).await)
    }

    async fn list_groups_of_user(
        &self,
        request: Request<proto::ListGroupsOfUserRequest>,
    ) -> Reply<proto::ListGroupsOfUserResponse> {
        reply(users::groups(&self.0, received(request)?).await)
    }

    async fn list_deleted_users(
        &self,
        request: Request<proto::ListDeletedUsersRequest>,
    ) -> Reply<proto::ListDeletedUsersResponse> {
        reply(deleted_users::list(&self.0, received(request)?).await)
    }

    async fn restore_user(&self, request: Request<proto::RestoreUserRequest>) -> Reply<proto::RestoreUserResponse> {
        reply(deleted_users::restore(&self.0, received(request)?).await)
    }

    async fn list_holds(&self, request: Request<proto::ListHoldsRequest>) -> Reply<proto::ListHoldsResponse> {
        reply(holds::list(&self.0, received(request)?).await)
    }

    async fn list_hold_users(
        &self,
        request: Request<proto::ListHoldUsersRequest>,
    ) -> Reply<proto::ListHoldUsersResponse> {
        reply(holds::users(&self.0, received(request)?).await)
    }

    async fn approve_hold(&self, request: Request<proto::ApproveHoldRequest>) -> Reply<proto::Hold> {
        reply(holds::approve(&self.0, received(request)?).await)
    }

    async fn restore_hold(&self, request: Request<proto::RestoreHoldRequest>) -> Reply<proto::Hold> {
        reply(holds::restore(&self.0, received(request)?).await)
    }

    async fn create_group(&self, request: Request<proto::CreateGroupRequest>) -> Reply<proto::Group> {
        reply(groups::create(&self.0, received(request)?).await)
    }

    async fn get_group(&self, request: Request<proto::GetGroupRequest>) -> Reply<proto::Group> {
        reply(groups::get(&self.0, received(request)?).await)
    }

    async fn list_groups(&self, request: Request<proto::ListGroupsRequest>) -> Reply<proto::ListGroupsResponse> {
        reply(groups::list(&self.0, received(request)?).await)
    }

    async fn replace_group(&self, request: Request<proto::ReplaceGroupRequest>) -> Reply<proto::Group> {
        reply(groups::replace(&self.0, received(request)?).await)
    }

    async fn patch_group(&self, request: Request<proto::PatchGroupRequest>) -> Reply<proto::Group> {
        reply(groups::patch(&self.0, received(request)?).await)
    }

    async fn delete_group(&self, request: Request<proto::DeleteGroupRequest>) -> Reply<proto::DeleteGroupResponse> {
        reply(groups::delete(&self.0, received(request)?).await)
    }

    async fn list_resources(
        &self,
        request: Request<proto::ListResourcesRequest>,
    ) -> Reply<proto::ListResourcesResponse> {
        reply(resources::list(&self.0, received(request)?).await)
    }

    async fn list_members(&self, request: Request<proto::ListMembersRequest>) -> Reply<proto::ListMembersResponse> {
        reply(groups::members(&self.0, received(request)?).await)
    }

    async fn list_events(&self, request: Request<proto::ListEventsRequest>) -> Reply<proto::ListEventsResponse> {
        reply(events::list(&self.0, request.into_inner()).await)
    }
}

fn reply<T>(result: Result<T, wire::Refusal>) -> Reply<T> {
    result.map(Response::new).map_err(Status::from)
}
