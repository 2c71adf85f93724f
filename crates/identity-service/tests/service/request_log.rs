//! The provisioning log: what gateways report is found again, by its organization alone, for as long as it is kept.

use serde_json::json;
use tonic::Status;
use uuid::Uuid;
use wire::{
    Reason,
    common::{Caller, ScimClient, caller::Kind},
    identity::{self as proto, Outcome, provisioning_log_service_client::ProvisioningLogServiceClient},
    to_timestamp,
};

use crate::{
    statements::{literal, numbers, sql},
    world::{NOW, World, administrator, client, json_of, kit, on_both, reason, refused, replace},
};

const HOUR: i64 = 60 * 60 * 1_000_000;
const DAY: i64 = 24 * HOUR;

/// The id of a request that ended then, the nth of its millisecond.
fn id_at(micros: i64, n: u32) -> String {
    let millis = u64::try_from(micros / 1000).expect("an instant");
    let mut rest = [0; 10];
    rest[6..].copy_from_slice(&n.to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid().to_string()
}

pub(crate) fn request(org: &str, micros: i64, n: u32, outcome: Outcome) -> proto::LoggedRequest {
    proto::LoggedRequest {
        id: id_at(micros, n),
        organization_id: org.to_owned(),
        occurred_at: Some(to_timestamp(micros)),
        duration_us: 1500,
        request_id: format!("req-{n}"),
        token_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        address: "192.0.2.1".to_owned(),
        user_agent: "Okta SCIM Client".to_owned(),
        method: "POST".to_owned(),
        path: "/scim/v2/Users".to_owned(),
        status: 409,
        outcome: outcome.into(),
        reason: "uniqueness".to_owned(),
        detail: format!("The userName \"user{n}@x\" is taken."),
        resource_type: "User".to_owned(),
        subject_id: String::new(),
        subject_name: format!("user{n}@x"),
        understood: vec!["create".to_owned(), "active: true".to_owned()],
        coerced: vec!["booleans_as_text".to_owned()],
        ignored: vec!["nickname".to_owned()],
        body: "{\"userName\":\"user\"}".to_owned(),
        entry_id: String::new(),
    }
}

fn all() -> Vec<i32> {
    [Outcome::Read, Outcome::Changed, Outcome::Unchanged, Outcome::Refused, Outcome::Failed].map(i32::from).into()
}

fn of(requests: &[proto::LoggedRequest]) -> Vec<String> {
    requests.iter().map(|request| request.id.clone()).collect()
}

impl World {
    fn log(&self) -> ProvisioningLogServiceClient<wire::Transport> {
        ProvisioningLogServiceClient::new(wire::Transport::in_process(self.service.routes()))
            .max_decoding_message_size(wire::MAX_MESSAGE)
            .max_encoding_message_size(wire::MAX_MESSAGE)
    }

    pub(crate) async fn report(
        &self,
        requests: Vec<proto::LoggedRequest>,
        counts: Vec<proto::RequestCount>,
    ) -> Result<(), Status> {
        self.log().report_requests(proto::ReportRequestsRequest { requests, counts }).await.map(drop)
    }

    async fn log_page(
        &self,
        org: &str,
        request: proto::ListRequestsRequest,
    ) -> Result<proto::ListRequestsResponse, Status> {
        let request =
            proto::ListRequestsRequest { organization_id: org.to_owned(), caller: administrator(), ..request };
        Ok(self.log().list_requests(request).await?.into_inner())
    }

    /// All pages, and how many there were.
    async fn logged(&self, org: &str, request: proto::ListRequestsRequest) -> (Vec<proto::LoggedRequest>, usize) {
        let (mut found, mut pages, mut request) = (Vec::new(), 0, request);
        loop {
            let page = self.log_page(org, request.clone()).await.expect("a page");
            found.extend(page.requests);
            pages += 1;
            if page.next_page_token.is_empty() {
                return (found, pages);
            }
            request =
                proto::ListRequestsRequest { page_token: page.next_page_token, after_id: String::new(), ..request };
        }
    }

    async fn logged_ids(&self, org: &str, request: proto::ListRequestsRequest) -> Vec<String> {
        of(&self.logged(org, request).await.0)
    }

    async fn logged_one(&self, org: &str, id: &str) -> Result<proto::GetRequestResponse, Status> {
        let request =
            proto::GetRequestRequest { organization_id: org.to_owned(), caller: administrator(), id: id.to_owned() };
        Ok(self.log().get_request(request).await?.into_inner())
    }

    async fn counted(&self, org: &str, from: i64, to: i64) -> Result<Vec<proto::RequestCount>, Status> {
        let (from, to) = (Some(to_timestamp(from)), Some(to_timestamp(to)));
        let request = proto::CountRequestsRequest { organization_id: org.to_owned(), from, to };
        Ok(self.log().count_requests(request).await?.into_inner().counts)
    }

    async fn log_set(
        &self,
        org: &str,
        retention_days: Option<u32>,
        watch_seconds: Option<u32>,
    ) -> Result<proto::ProvisioningLogSettings, Status> {
        let request = proto::SetProvisioningLogRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            retention_days,
            watch_seconds,
        };
        Ok(self.log().set_provisioning_log(request).await?.into_inner())
    }

    async fn log_settings(&self, org: &str) -> proto::ProvisioningLogSettings {
        let request = proto::GetProvisioningLogRequest { organization_id: org.to_owned() };
        self.log().get_provisioning_log(request).await.expect("settings").into_inner()
    }
}

#[tokio::test]
async fn what_is_reported_is_found_again_once() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let subject = Uuid::from_u128(77).to_string();
        let whole = proto::LoggedRequest { subject_id: subject.clone(), ..request(&org, NOW, 1, Outcome::Refused) };
        let plain = proto::LoggedRequest {
            id: id_at(NOW + 1000, 2),
            organization_id: org.clone(),
            occurred_at: Some(to_timestamp(NOW + 1000)),
            status: 200,
            outcome: Outcome::Changed.into(),
            ..Default::default()
        };
        let read = request(&org, NOW + 2000, 3, Outcome::Read);
        // Also twice in one report, and one of nobody.
        let nobody = request(&Uuid::from_u128(5).to_string(), NOW, 9, Outcome::Refused);
        let reported =
            vec![whole.clone(), plain.clone(), whole.clone(), nobody, request("x", NOW, 9, Outcome::Refused)];
        world.report(reported, Vec::new()).await.expect("report");
        let again = proto::LoggedRequest { detail: "Another.".to_owned(), ..whole.clone() };
        world.report(vec![again, read.clone()], Vec::new()).await.expect("report");

        let list = async |request| world.logged(&org, request).await.0;
        assert_eq!(
            list(proto::ListRequestsRequest::default()).await,
            [plain.clone(), whole.clone()],
            "not what was read"
        );
        let every = proto::ListRequestsRequest { outcomes: all(), ..Default::default() };
        assert_eq!(list(every.clone()).await, [read.clone(), plain.clone(), whole.clone()]);
        let refused_ones =
            proto::ListRequestsRequest { outcomes: vec![Outcome::Refused.into(); 2], ..Default::default() };
        assert_eq!(list(refused_ones).await, std::slice::from_ref(&whole));
        let two = vec![Outcome::Read.into(), Outcome::Refused.into()];
        let two = proto::ListRequestsRequest { outcomes: two, ..Default::default() };
        assert_eq!(list(two).await, [read.clone(), whole.clone()]);
        for (id, outcomes, found) in [
            (&subject, Vec::new(), vec![whole.clone()]),
            (&subject, all(), vec![whole.clone()]),
            (&subject, vec![Outcome::Changed.into()], Vec::new()),
            (&Uuid::from_u128(78).to_string(), Vec::new(), Vec::new()),
        ] {
            let of_subject = proto::ListRequestsRequest { subject_id: id.clone(), outcomes, ..Default::default() };
            assert_eq!(list(of_subject).await, found);
        }
        for (from, to, found) in [
            (Some(NOW), Some(NOW + 1000), vec![whole.clone()]),
            (Some(NOW + 1000), None, vec![read.clone(), plain.clone()]),
            (None, Some(NOW + 2000), vec![plain.clone(), whole.clone()]),
            (Some(NOW + 3000), None, Vec::new()),
        ] {
            let (from, to) = (from.map(to_timestamp), to.map(to_timestamp));
            assert_eq!(list(proto::ListRequestsRequest { from, to, ..every.clone() }).await, found);
        }
        let shown = world.logged_one(&org, &read.id).await.expect("there");
        assert_eq!((shown.request, shown.events), (Some(read), Vec::new()));

        // To another organization it is not there.
        let other = world.organization("other").await;
        assert_eq!(world.logged(&other, every).await.0, []);
        for id in [&whole.id, &id_at(NOW, 4), "", "x"] {
            assert_eq!(reason(world.logged_one(&other, id).await), Reason::RequestNotFound, "{id}");
        }
        // Nor is there one of nobody.
        let unknown = Uuid::from_u128(5).to_string();
        assert_eq!(world.database.rows_of("request_log", &unknown).expect("rows"), Vec::<String>::new());
        assert_eq!(reason(world.log_page(&unknown, Default::default()).await), Reason::OrganizationNotFound);
        assert_eq!(reason(world.logged_one(&unknown, &whole.id).await), Reason::OrganizationNotFound);
        let by_client =
            proto::ListRequestsRequest { organization_id: org.clone(), caller: client(), ..Default::default() };
        assert_eq!(reason(world.log().list_requests(by_client).await), Reason::InvalidArgument);
    })
    .await;
}

#[tokio::test]
async fn words_are_looked_for_as_they_are() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let texts = ["50% of it", "50 of it", "a_b", "axb", "Straße 7", r"back\slash", ""];
        let requests = texts.iter().zip(1..).map(|(text, n)| proto::LoggedRequest {
            detail: (*text).to_owned(),
            subject_name: "Kit".to_owned(),
            coerced: Vec::new(),
            ..request(&org, NOW, n, Outcome::Refused)
        });
        world.report(requests.collect(), Vec::new()).await.expect("report");
        let found = async |words: &str| {
            let request = proto::ListRequestsRequest { words: words.to_owned(), ..Default::default() };
            let found = world.logged(&org, request).await.0.into_iter().rev();
            found.map(|request| request.detail).collect::<Vec<_>>()
        };
        assert_eq!(found("50%").await, ["50% of it"]);
        assert_eq!(found("%").await, ["50% of it"]);
        assert_eq!(found("a_b").await, ["a_b"]);
        assert_eq!(found("_").await, ["a_b"]);
        assert_eq!(found(r"k\s").await, [r"back\slash"]);
        assert_eq!(found("STRASSE").await, ["Straße 7"]);
        // All of them, wherever they are.
        assert_eq!(found(" of  kit ").await, ["50% of it", "50 of it"]);
        assert_eq!(found("of 7").await, Vec::<String>::new());
        for words in ["uniqueness", "scim/v2/users", "kIT", "  "] {
            assert_eq!(found(words).await.len(), texts.len(), "{words}");
        }
        assert_eq!(found("a\0b").await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn what_is_shown_of_a_request_is_found() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let wanted = proto::LoggedRequest {
            reason: "base_url_version".to_owned(),
            method: "PATCH".to_owned(),
            status: 422,
            ..request(&org, NOW, 7, Outcome::Refused)
        };
        let another = proto::LoggedRequest {
            user_agent: "curl".to_owned(),
            address: "198.51.100.7".to_owned(),
            // With digits of the other's status in it.
            request_id: "a422b".to_owned(),
            ignored: Vec::new(),
            coerced: Vec::new(),
            reason: String::new(),
            ..request(&org, NOW, 8, Outcome::Refused)
        };
        world.report(vec![wanted.clone(), another.clone()], Vec::new()).await.expect("report");
        let found = async |words: &str| {
            let request = proto::ListRequestsRequest { words: words.to_owned(), ..Default::default() };
            world.logged_ids(&org, request).await
        };
        for words in [
            "422",
            "patch",
            "Okta SCIM",
            "NickName",
            "192.0.2.1",
            "req-7",
            "REQ-7",
            "base URL",
            "\"base URL\"",
            "booleans_as_text",
            "422 patch /scim/v2/users",
        ] {
            assert_eq!(found(words).await, std::slice::from_ref(&wanted.id), "{words}");
        }
        assert_eq!(found("a422b").await, std::slice::from_ref(&another.id));
        // Nor is a part of an id looked for.
        for words in ["req-", "22b", "422 curl"] {
            assert_eq!(found(words).await, Vec::<String>::new(), "{words}");
        }
    })
    .await;
}

#[tokio::test]
async fn requests_are_found_by_the_name_of_whom_they_are_about() {
    on_both(async |world| {
        let (org, other) = (world.organization("acme").await, world.organization("other").await);
        let about = |org: &str, n, kind: &str, name: &str| proto::LoggedRequest {
            resource_type: kind.to_owned(),
            subject_name: name.to_owned(),
            ..request(org, NOW + i64::from(n) * 1000, n, if n % 2 == 0 { Outcome::Refused } else { Outcome::Changed })
        };
        let requests = vec![
            about(&org, 1, "User", "Kit@x"),
            about(&org, 2, "User", "kit@X"),
            about(&org, 3, "User", "kit@x.example"),
            about(&org, 4, "Group", "kit@x"),
            about(&org, 5, "User", ""),
            about(&other, 6, "User", "kit@x"),
        ];
        let ids = of(&requests);
        world.report(requests, Vec::new()).await.expect("report");
        let found = async |request| world.logged_ids(&org, request).await;
        let user = |name: &str| proto::ListRequestsRequest { user_name: name.to_owned(), ..Default::default() };
        assert_eq!(found(user("KIT@x")).await, [ids[1].clone(), ids[0].clone()]);
        assert_eq!(found(user(" kit@x ")).await, [ids[1].clone(), ids[0].clone()]);
        assert_eq!(found(user("kit")).await, Vec::<String>::new(), "the whole name");
        let group = proto::ListRequestsRequest { group_name: "kit@x".to_owned(), ..Default::default() };
        assert_eq!(found(group).await, std::slice::from_ref(&ids[3]));
        let refused = proto::ListRequestsRequest { outcomes: vec![Outcome::Refused.into()], ..user("kit@x") };
        assert_eq!(found(refused).await, std::slice::from_ref(&ids[1]));
        let worded = proto::ListRequestsRequest { words: "user2@x".to_owned(), ..user("kit@x") };
        assert_eq!(found(worded).await, std::slice::from_ref(&ids[1]));
        let pages = proto::ListRequestsRequest { page_size: 1, ..user("kit@x") };
        assert_eq!(found(pages).await, [ids[1].clone(), ids[0].clone()]);
        let oldest = proto::ListRequestsRequest { after_id: Uuid::nil().to_string(), ..user("kit@x") };
        assert_eq!(found(oldest).await, ids[..2]);
        let late = proto::ListRequestsRequest { from: Some(to_timestamp(NOW + 2000)), ..user("kit@x") };
        assert_eq!(found(late).await, std::slice::from_ref(&ids[1]));
    })
    .await;
}

#[tokio::test]
async fn what_was_deleted_or_refused_has_the_name_that_it_had() {
    on_both(async |world| {
        let (org, other) = (world.organization("acme").await, world.organization("other").await);
        let (there, gone) = (world.user(&org, "there@x").await.id, world.user(&org, "gone@x").await.id);
        let group = world.group(&org, "Ops", &[&there]).await.id;
        let theirs = world.user(&other, "theirs@x").await.id;
        world.delete(&org, &gone).await.expect("delete");
        let nameless = |n, id: &str, outcome| proto::LoggedRequest {
            subject_id: id.to_owned(),
            subject_name: String::new(),
            detail: String::new(),
            ..request(&org, NOW, n, outcome)
        };
        let named =
            proto::LoggedRequest { subject_name: "Renamed".to_owned(), ..nameless(5, &there, Outcome::Refused) };
        let requests = vec![
            nameless(1, &there, Outcome::Refused),
            nameless(2, &gone, Outcome::Changed),
            nameless(3, &group, Outcome::Refused),
            nameless(4, &theirs, Outcome::Refused),
            named,
            nameless(6, &Uuid::from_u128(6).to_string(), Outcome::Refused),
        ];
        world.report(requests, Vec::new()).await.expect("report");
        let (mut found, _) = world.logged(&org, Default::default()).await;
        found.reverse();
        let names: Vec<&str> = found.iter().map(|request| request.subject_name.as_str()).collect();
        assert_eq!(names, ["there@x", "gone@x", "Ops", "", "Renamed", ""]);
        // By which they are found.
        for request in [
            proto::ListRequestsRequest { words: "GONE".to_owned(), ..Default::default() },
            proto::ListRequestsRequest { user_name: "gone@x".to_owned(), ..Default::default() },
        ] {
            assert_eq!(world.logged_ids(&org, request).await, [id_at(NOW, 2)]);
        }
        // What was refused of a group right before its deletion is named by that.
        let vanished = Uuid::from_u128(9).to_string();
        let deletion =
            proto::LoggedRequest { subject_name: "Old".to_owned(), ..nameless(12, &vanished, Outcome::Changed) };
        world.report(vec![nameless(11, &vanished, Outcome::Refused), deletion], Vec::new()).await.expect("report");
        assert_eq!(
            world.logged_one(&org, &id_at(NOW, 11)).await.expect("there").request.expect("a request").subject_name,
            "Old"
        );
        // What a group was called its deletion says itself.
        let delete =
            proto::DeleteGroupRequest { organization_id: org.clone(), caller: client(), id: group, if_match: None };
        let deleted = world.identity.clone().delete_group(delete).await.expect("deleted").into_inner();
        assert_eq!(deleted.display_name, "Ops");
    })
    .await;
}

#[tokio::test]
async fn a_list_has_the_events_of_each_if_they_are_asked_for() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let user = world.user(&org, "kit@x").await;
        let mut requests = Vec::new();
        // Some close to each other, some far apart.
        for (n, apart) in [0, 1000, HOUR / 60, HOUR, 2 * HOUR, DAY].into_iter().enumerate() {
            world.later(apart);
            // Without an id of the gateway's own it is found by the client's, and by its token.
            let token_id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
            let kind = Kind::ScimClient(ScimClient { token_id, entry_id: String::new() });
            let patch = proto::PatchUserRequest {
                organization_id: org.clone(),
                caller: Some(Caller { kind: Some(kind), request_id: format!("req-{n}") }),
                id: user.id.clone(),
                operations: vec![replace("displayName", &json!(format!("Name {n}")))],
                ..Default::default()
            };
            world.identity.clone().patch_user(patch).await.expect("patch");
            let n = u32::try_from(n).expect("few");
            let outcome = if n == 1 { Outcome::Refused } else { Outcome::Changed };
            requests
                .push(proto::LoggedRequest { subject_id: user.id.clone(), ..request(&org, world.now(), n, outcome) });
        }
        // Two of the organization, one of the creation.
        world.events(&org, 9).await;
        world.report(requests.clone(), Vec::new()).await.expect("report");
        let asked =
            |with_events, page_size| proto::ListRequestsRequest { with_events, page_size, ..Default::default() };
        assert_eq!(world.log_page(&org, asked(false, 0)).await.expect("page").events, []);
        for page_size in [1, 4, 1000] {
            let (mut request, mut names, mut ids) = (asked(true, page_size), Vec::new(), Vec::new());
            loop {
                let page = world.log_page(&org, request.clone()).await.expect("page");
                assert_eq!(page.events.len(), page.requests.len());
                ids.extend(of(&page.requests));
                names.extend(page.events.iter().map(|of_it| {
                    let names =
                        of_it.events.iter().map(|event| json_of(&event.delta_json)["after"]["displayName"].clone());
                    names.collect::<Vec<_>>()
                }));
                if page.next_page_token.is_empty() {
                    break;
                }
                request.page_token = page.next_page_token;
            }
            assert_eq!(ids, of(&requests).into_iter().rev().collect::<Vec<_>>());
            let expected: Vec<_> =
                (0..6).rev().map(|n| if n == 1 { Vec::new() } else { vec![json!(format!("Name {n}"))] }).collect();
            assert_eq!(names, expected, "{page_size}");
        }
        // A page has no more than are looked up.
        let many = (0..150).map(|n| request(&org, world.now(), 1000 + n, Outcome::Changed)).collect();
        world.report(many, Vec::new()).await.expect("report");
        assert_eq!(world.log_page(&org, asked(true, 1000)).await.expect("page").requests.len(), 100);
    })
    .await;
}

#[tokio::test]
async fn pages_have_each_request_once_both_ways() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        // Many of the same millisecond, of all outcomes.
        let outcomes = [Outcome::Changed, Outcome::Unchanged, Outcome::Refused, Outcome::Failed, Outcome::Read];
        let requests: Vec<_> = (0..23_u32)
            .map(|n| request(&org, NOW + i64::from(n / 10) * 1000, n, outcomes[n as usize % outcomes.len()]))
            .collect();
        let ascending = of(&requests);
        let descending: Vec<String> = ascending.iter().rev().cloned().collect();
        world.report(requests.into_iter().rev().collect(), Vec::new()).await.expect("report");
        for page_size in [1, 4, 22, 23, 1000] {
            let every = proto::ListRequestsRequest { outcomes: all(), page_size, ..Default::default() };
            let (found, pages) = world.logged(&org, every.clone()).await;
            assert_eq!(of(&found), descending, "{page_size}");
            assert_eq!(pages, 23_usize.div_ceil(page_size as usize));
            let worded = proto::ListRequestsRequest { words: "user".to_owned(), ..every.clone() };
            assert_eq!(world.logged_ids(&org, worded).await, descending);
            for (after_id, first) in [(Uuid::nil().to_string(), 0), (ascending[6].clone(), 7)] {
                let after = proto::ListRequestsRequest { after_id, ..every.clone() };
                assert_eq!(world.logged_ids(&org, after).await, ascending[first..], "{page_size}");
            }
        }
        let last = proto::ListRequestsRequest { after_id: ascending[22].clone(), ..Default::default() };
        assert_eq!(world.log_page(&org, last.clone()).await.expect("page"), Default::default());
        // What comes later is what comes after.
        let late = request(&org, NOW + 9000, 99, Outcome::Changed);
        world.report(vec![late.clone()], Vec::new()).await.expect("report");
        assert_eq!(world.log_page(&org, last).await.expect("page").requests, [late]);

        for page_token in ["x", "after.", &ascending[0].to_uppercase()] {
            let request = proto::ListRequestsRequest { page_token: page_token.to_owned(), ..Default::default() };
            assert_eq!(reason(world.log_page(&org, request).await), Reason::InvalidCursor, "{page_token}");
        }
        let id = || ascending[0].clone();
        for request in [
            proto::ListRequestsRequest { page_token: id(), after_id: id(), ..Default::default() },
            proto::ListRequestsRequest { after_id: "x".to_owned(), ..Default::default() },
            proto::ListRequestsRequest { subject_id: "x".to_owned(), ..Default::default() },
            proto::ListRequestsRequest { user_name: "x".to_owned(), group_name: "x".to_owned(), ..Default::default() },
            proto::ListRequestsRequest { subject_id: id(), user_name: "x".to_owned(), ..Default::default() },
            proto::ListRequestsRequest { outcomes: vec![0], ..Default::default() },
            proto::ListRequestsRequest { outcomes: vec![6], ..Default::default() },
            proto::ListRequestsRequest { words: "a ".repeat(11), ..Default::default() },
            proto::ListRequestsRequest { words: "a".repeat(201), ..Default::default() },
            proto::ListRequestsRequest { from: Some(to_timestamp(1)), to: Some(to_timestamp(1)), ..Default::default() },
        ] {
            assert_eq!(reason(world.log_page(&org, request).await), Reason::InvalidValue);
        }
    })
    .await;
}

#[tokio::test]
async fn a_search_looks_at_so_many_and_goes_on() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let (numbers, literal) = (numbers(45_000), literal(&world, &org));
        let first = Uuid::parse_str(&id_at(NOW, 0)).expect("id").as_u128() >> 96;
        // Those of one outcome are as many as are looked at, but for one; and the one that is meant is the oldest.
        sql(
            &world,
            &format!(
                "{numbers} INSERT INTO request_log (org, id, occurred, outcome, status, request_id, search, document) \
                 SELECT {literal}, {{id:i}}, {{now}}, CASE WHEN i <= 19999 THEN 3 ELSE 2 END, 200, 'r', \
                 CASE WHEN i = 1 OR i = 44000 THEN 'this one' ELSE 'another' END, '{{}}' FROM n"
            )
            .replace("{id:i}", &{
                // After the time in the id: 32 bits of it, the rest is the number.
                match world.is_sqlite() {
                    true => format!("unhex(printf('{first:08x}%024x', i))"),
                    false => format!("CAST('{first:08x}' || lpad(to_hex(i), 24, '0') AS uuid)"),
                }
            }),
        );
        let wanted = proto::ListRequestsRequest { words: "this".to_owned(), ..Default::default() };
        let (found, pages) = world.logged(&org, wanted.clone()).await;
        assert_eq!((found.len(), pages), (2, 3), "of 20,000, of 20,000, and the rest");
        let oldest = proto::ListRequestsRequest { after_id: Uuid::nil().to_string(), ..wanted.clone() };
        let (backwards, pages) = world.logged(&org, oldest).await;
        assert_eq!((backwards.iter().rev().cloned().collect::<Vec<_>>(), pages), (found, 3));
        let one = proto::ListRequestsRequest { outcomes: vec![Outcome::Unchanged.into()], ..wanted };
        assert_eq!(world.logged(&org, one).await.1, 1);
    })
    .await;
}

#[tokio::test]
async fn a_request_is_shown_with_its_events() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let token = Uuid::from_u128(1).to_string();
        let by = |entry_id: &str| {
            let kind = Kind::ScimClient(ScimClient { token_id: token.clone(), entry_id: entry_id.to_owned() });
            Some(Caller { kind: Some(kind), request_id: "mine".to_owned() })
        };
        let user = world.user(&org, "kit@x").await;
        let other = world.user(&org, "eve@x").await;
        // An hour of other changes before and after.
        for step in 0..3 {
            for n in 0..4 {
                let name = json!(format!("Name {step} {n}"));
                world.patch(&org, &user.id, vec![replace("displayName", &name)]).await.expect("patch");
            }
            world.later(HOUR);
            if step == 1 {
                for (id, entry, name) in [
                    (&user.id, "e-1", "Mine"),
                    (&user.id, "e-2", "Of another request that its client called the same"),
                    (&user.id, "e-1", "Still mine"),
                    (&other.id, "e-1", "Not its subject"),
                    (&user.id, "", "By a gateway of before"),
                ] {
                    let patch = proto::PatchUserRequest {
                        organization_id: org.clone(),
                        caller: by(entry),
                        id: id.clone(),
                        operations: vec![replace("displayName", &json!(name))],
                        ..Default::default()
                    };
                    world.identity.clone().patch_user(patch).await.expect("patch");
                }
                let logged = proto::LoggedRequest {
                    subject_id: user.id.clone(),
                    request_id: "mine".to_owned(),
                    entry_id: "e-1".to_owned(),
                    token_id: token.clone(),
                    ..request(&org, world.now(), 1, Outcome::Changed)
                };
                let others = [("e-2", &*token, 2), ("", &token, 3), ("", "01890a5d-ac96-774b-bcce-b302099a8057", 4)];
                let others = others.map(|(entry, token_id, n)| proto::LoggedRequest {
                    id: id_at(world.now(), n),
                    entry_id: entry.to_owned(),
                    token_id: token_id.to_owned(),
                    ..logged.clone()
                });
                world.report(others.to_vec(), Vec::new()).await.expect("report");
                // The same request id an hour later is another request's.
                let later = proto::LoggedRequest { id: id_at(world.now() + HOUR, 1), ..logged.clone() };
                let later = proto::LoggedRequest { occurred_at: Some(to_timestamp(world.now() + HOUR)), ..later };
                world.report(vec![logged, later], Vec::new()).await.expect("report");
            }
        }
        let (at, all) = (world.now() - HOUR, world.events(&org, 21).await);
        let shown = world.logged_one(&org, &id_at(at, 1)).await.expect("there");
        let names = |shown: &proto::GetRequestResponse| -> Vec<_> {
            shown.events.iter().map(|event| json_of(&event.delta_json)["after"]["displayName"].clone()).collect()
        };
        assert_eq!(names(&shown), [json!("Mine"), json!("Still mine"), json!("By a gateway of before")]);
        for (n, expected) in [
            (2, &["Of another request that its client called the same", "By a gateway of before"][..]),
            (3, &["By a gateway of before"]),
            (4, &[]),
        ] {
            let shown = world.logged_one(&org, &id_at(at, n)).await.expect("there");
            assert_eq!(names(&shown), expected, "{n}");
        }
        assert!(shown.events.iter().all(|event| all.contains(event)));
        assert_eq!(world.logged_one(&org, &id_at(at + HOUR, 1)).await.expect("there").events, []);

        // And the subject with all of them.
        let of_subject = async |org: &str, before_sequence, page_size| {
            let (organization_id, subject_id) = (org.to_owned(), user.id.clone());
            let request = proto::ListEventsOfSubjectRequest { organization_id, subject_id, before_sequence, page_size };
            world.log().list_events_of_subject(request).await.expect("events").into_inner().events
        };
        let mut expected: Vec<_> = all.into_iter().filter(|event| event.subject_id == user.id).collect();
        expected.reverse();
        assert_eq!((expected.len(), of_subject(&org, 0, 0).await), (17, expected.clone()));
        assert_eq!(of_subject(&org, 0, 4).await, expected[..4]);
        assert_eq!(of_subject(&org, expected[3].sequence, 4).await, expected[4..8]);
        let theirs = world.organization("other").await;
        assert_eq!(of_subject(&theirs, 0, 0).await, []);
        assert_eq!(reason(world.create(&org, &kit("kit@x")).await), Reason::Uniqueness);
    })
    .await;
}

#[tokio::test]
async fn counts_add_up_by_the_hour() {
    on_both(async |world| {
        let (org, other) = (world.organization("acme").await, world.organization("other").await);
        let hour = NOW - NOW % HOUR;
        let count = |org: &str, at: i64, changed: u64| proto::RequestCount {
            organization_id: org.to_owned(),
            hour: Some(to_timestamp(at)),
            read: 1,
            changed,
            unchanged: 2,
            refused: 3,
            failed: 4,
            left_out: 5,
        };
        let nobody = Uuid::from_u128(5).to_string();
        // Twice in one report, once within its hour.
        let counts =
            vec![count(&org, hour, 10), count(&org, hour + 5, 20), count(&other, hour, 7), count(&nobody, hour, 7)];
        world.report(Vec::new(), counts).await.expect("report");
        world.report(Vec::new(), vec![count(&org, hour, 70), count(&org, hour - HOUR, 1)]).await.expect("report");
        let sum = proto::RequestCount {
            read: 3,
            unchanged: 6,
            refused: 9,
            failed: 12,
            left_out: 15,
            ..count(&org, hour, 100)
        };
        let before = count(&org, hour - HOUR, 1);
        assert_eq!(world.counted(&org, hour - DAY, NOW).await.expect("counts"), [before.clone(), sum.clone()]);
        assert_eq!(world.counted(&org, NOW, NOW + 1).await.expect("counts"), [sum], "the hour that it is in");
        assert_eq!(world.counted(&org, hour - HOUR, hour).await.expect("counts"), [before]);
        assert_eq!(world.counted(&other, hour, NOW).await.expect("counts"), [count(&other, hour, 7)]);
        assert_eq!(world.database.rows_of("request_count", &nobody).expect("rows"), Vec::<String>::new());
        assert_eq!(reason(world.counted(&org, NOW, NOW - 1).await), Reason::InvalidValue);
        assert_eq!(reason(world.counted(&org, NOW - 401 * DAY, NOW).await), Reason::InvalidValue);
        assert_eq!(reason(world.counted(&nobody, hour, NOW).await), Reason::OrganizationNotFound);
    })
    .await;
}

#[tokio::test]
async fn what_is_older_than_is_kept_is_gone() {
    on_both(async |world| {
        let (org, other) = (world.organization("acme").await, world.organization("other").await);
        let days = world.log_set(&org, Some(2), None).await.expect("set");
        assert_eq!(days, proto::ProvisioningLogSettings { retention_days: 2, watched_until: None });
        // More than one transaction deletes.
        for chunk in 0..3 {
            let requests = (0..450).map(|n| request(&org, NOW, chunk * 450 + n, Outcome::Changed)).collect();
            world.report(requests, Vec::new()).await.expect("report");
        }
        let young = request(&org, NOW + DAY, 1, Outcome::Refused);
        let count = |at| proto::RequestCount {
            organization_id: org.clone(),
            hour: Some(to_timestamp(at)),
            refused: 1,
            ..Default::default()
        };
        let counts = vec![count(NOW - 398 * DAY), count(NOW - 397 * DAY)];
        world.report(vec![young.clone(), request(&other, NOW, 1, Outcome::Changed)], counts).await.expect("report");
        let rows = |org: &str| world.database.rows_of("request_log", org).expect("rows").len();
        assert_eq!(rows(&org), 1351);
        world.later(2 * DAY - 1000);
        assert_eq!(
            world.logged(&org, proto::ListRequestsRequest { page_size: 1000, ..Default::default() }).await.0.len(),
            1351
        );
        world.later(HOUR);
        // Not shown, before it is deleted and after it.
        let first = id_at(NOW, 0);
        for deleted in [false, true] {
            assert_eq!(world.logged_ids(&org, Default::default()).await, std::slice::from_ref(&young.id));
            let oldest = proto::ListRequestsRequest { after_id: first.clone(), ..Default::default() };
            assert_eq!(world.logged_ids(&org, oldest).await, std::slice::from_ref(&young.id));
            assert_eq!(reason(world.logged_one(&org, &first).await), Reason::RequestNotFound);
            if deleted {
                break;
            }
            assert_eq!(rows(&org), 1351);
            let second = world.reopen().await;
            for _ in 0..500 {
                // One that was counted, and the sizes of two hours.
                if rows(&org) == 1 && world.database.rows_of("request_count", &org).expect("rows").len() == 3 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            second.shutdown().await;
        }
        assert_eq!((rows(&org), rows(&other)), (1, 1));
        let left = world.counted(&org, NOW - 398 * DAY, NOW).await.expect("counts");
        assert_eq!(left, [proto::RequestCount { hour: left[0].hour, ..count(0) }]);
        assert!(wire::from_timestamp(&left[0].hour.expect("hour")) > NOW - 397 * DAY - HOUR);
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_refusals_fills_its_hour_and_no_more_and_the_oldest_give_way() {
    on_both(async |world| {
        let (org, other) = (world.organization("acme").await, world.organization("other").await);
        let large = |org: &str, at: i64, n: u32, outcome| proto::LoggedRequest {
            path: "p".repeat(2000),
            detail: "d".repeat(2000),
            body: "b".repeat(4096),
            understood: vec!["u".repeat(500); 50],
            ..request(org, at, n, outcome)
        };
        let hour = NOW - NOW % HOUR;
        let flood = async |org: &str, at: i64, outcome: Outcome| {
            for part in 0..12 {
                let requests = (0..100).map(|n| large(org, at, part * 100 + n, outcome)).collect();
                world.report(requests, Vec::new()).await.expect("report");
            }
            world.database.rows_of("request_log", org).expect("rows").len()
        };
        let kept = flood(&org, hour, Outcome::Refused).await;
        assert!((500..1200).contains(&kept), "{kept}: 32 MiB");
        let counted = world.counted(&org, hour, NOW + 1).await.expect("counts");
        assert_eq!(counted[0].left_out, 1200 - u64::try_from(kept).expect("rows"));
        // What changed something is kept, so is the next hour's, and others have their own.
        world.report(vec![large(&org, hour, 2000, Outcome::Changed)], Vec::new()).await.expect("report");
        world.report(vec![large(&org, hour + HOUR, 2001, Outcome::Refused)], Vec::new()).await.expect("report");
        world.report(vec![large(&other, hour, 1, Outcome::Refused)], Vec::new()).await.expect("report");
        let rows = |org: &str| world.database.rows_of("request_log", org).expect("rows").len();
        assert_eq!((rows(&org), rows(&other)), (kept + 2, 1));

        // As if it were a gibibyte.
        let more = "UPDATE request_count SET kept_bytes = kept_bytes + 1073741824 WHERE left_out > 0";
        world.database.execute(more).expect("more");
        let second = world.reopen().await;
        for _ in 0..500 {
            if rows(&org) == 1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        second.shutdown().await;
        assert_eq!((rows(&org), rows(&other)), (1, 1), "the newest hour stays");
    })
    .await;
}

#[tokio::test]
async fn what_is_over_does_not_come_back_when_more_days_are_kept() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        world.log_set(&org, Some(2), None).await.expect("set");
        for chunk in 0..3 {
            let requests = (0..450).map(|n| request(&org, NOW, chunk * 450 + n, Outcome::Changed)).collect();
            world.report(requests, Vec::new()).await.expect("report");
        }
        let young = request(&org, NOW + DAY, 1, Outcome::Refused);
        world.report(vec![young.clone()], Vec::new()).await.expect("report");
        world.later(2 * DAY + HOUR);
        assert_eq!(world.logged_ids(&org, Default::default()).await, std::slice::from_ref(&young.id));
        world.log_set(&org, Some(30), None).await.expect("set");
        assert_eq!(world.logged_ids(&org, Default::default()).await, std::slice::from_ref(&young.id));
    })
    .await;
}

#[tokio::test]
async fn reads_are_watched_for_a_while_and_the_days_are_an_event() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let days = |retention_days| proto::ProvisioningLogSettings { retention_days, watched_until: None };
        assert_eq!(world.log_settings(&org).await, days(30));
        let organization = async || {
            let key = Some(proto::get_organization_request::Key::Id(org.clone()));
            let request = proto::GetOrganizationRequest { key };
            world.organizations.clone().get_organization(request).await.expect("there").into_inner()
        };
        let before = organization().await;
        let events = world.events(&org, 2).await.len();
        let watched = world.log_set(&org, None, Some(60)).await.expect("set");
        let until = Some(to_timestamp(NOW + 60 * 1_000_000));
        assert_eq!(watched, proto::ProvisioningLogSettings { watched_until: until, ..days(30) });
        assert_eq!(organization().await, proto::Organization { requests_watched_until: until, ..before.clone() });
        world.later(60 * 1_000_000 - 1);
        assert_eq!(world.log_settings(&org).await, watched);
        world.later(1);
        assert_eq!(world.log_settings(&org).await, days(30));
        assert_eq!(organization().await, before);
        world.log_set(&org, None, Some(3600)).await.expect("set");
        assert_eq!(world.log_set(&org, None, Some(0)).await.expect("set"), days(30));
        assert_eq!(world.log_set(&org, None, None).await.expect("set"), days(30));
        assert_eq!(world.log_set(&org, Some(30), None).await.expect("set"), days(30), "as it was");
        assert_eq!(world.log_set(&org, Some(365), Some(0)).await.expect("set"), days(365));
        let all = world.events(&org, events + 1).await;
        assert_eq!(all.len(), events + 1, "nothing but the days is an event");
        let event = all.last().expect("an event");
        assert_eq!(event.r#type, "organization.provisioning_log_changed");
        let delta = json!({"before": {"retention_days": 30}, "after": {"retention_days": 365}});
        assert_eq!(json_of(&event.delta_json), delta);

        for (days, seconds) in [(Some(0), None), (Some(366), None), (None, Some(3601))] {
            assert_eq!(reason(world.log_set(&org, days, seconds).await), Reason::InvalidValue);
        }
        let by_client =
            proto::SetProvisioningLogRequest { organization_id: org.clone(), caller: client(), ..Default::default() };
        assert_eq!(reason(world.log().set_provisioning_log(by_client).await), Reason::InvalidArgument);
        assert_eq!(reason(world.log_set("x", None, None).await), Reason::OrganizationNotFound);
    })
    .await;
}

#[tokio::test]
async fn what_is_too_long_is_cut_and_what_is_none_is_refused() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let long = || format!("a\0{}", "ä".repeat(10_000));
        let request = |n| request(&org, NOW, n, Outcome::Refused);
        let huge = proto::LoggedRequest {
            request_id: long(),
            token_id: long(),
            address: long(),
            user_agent: long(),
            method: long(),
            path: long(),
            reason: long(),
            detail: long(),
            resource_type: long(),
            subject_id: long(),
            subject_name: long(),
            understood: vec![long(); 100],
            coerced: vec![long(); 100],
            ignored: vec![long(); 100],
            body: long(),
            duration_us: -5,
            ..request(1)
        };
        world.report(vec![huge], Vec::new()).await.expect("report");
        let cut = world.logged_one(&org, &id_at(NOW, 1)).await.expect("there").request.expect("a request");
        assert_eq!((cut.path.len(), cut.body.len(), cut.detail.len()), (2000, 4096, 2000));
        assert!(cut.path.starts_with("a\u{fffd}ä") && cut.request_id.len() == 200);
        assert_eq!((cut.understood.len(), cut.coerced.len(), cut.ignored.len()), (50, 50, 50));
        assert_eq!((cut.subject_id.as_str(), cut.duration_us), ("", 0));

        // A whole report is as large as it may be.
        let full = (0..500).map(|n| proto::LoggedRequest {
            body: "b".repeat(4096),
            detail: "d".repeat(9000),
            ..request(10 + n)
        });
        world.report(full.collect(), Vec::new()).await.expect("report");
        let largest = proto::ListRequestsRequest { page_size: 1000, ..Default::default() };
        assert_eq!(world.log_page(&org, largest).await.expect("page").requests.len(), 501);

        let (why, text) = refused(world.report((0..501).map(request).collect(), Vec::new()).await);
        assert!(why == Reason::InvalidArgument && text.contains("500"), "{text}");
        for wrong in [
            proto::LoggedRequest { id: "x".to_owned(), ..request(2) },
            proto::LoggedRequest { id: Uuid::from_u128(7).to_string(), ..request(2) },
            proto::LoggedRequest { outcome: 0, ..request(2) },
            proto::LoggedRequest { status: 1000, ..request(2) },
        ] {
            assert_eq!(reason(world.report(vec![wrong], Vec::new()).await), Reason::InvalidArgument);
        }
        let no_hour = proto::RequestCount { organization_id: org.clone(), ..Default::default() };
        assert_eq!(reason(world.report(Vec::new(), vec![no_hour]).await), Reason::InvalidArgument);
        assert_eq!(reason(world.logged_one(&org, &id_at(NOW, 2)).await), Reason::RequestNotFound);
    })
    .await;
}
