//! Walks over lists that change under way: nobody is lost.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::stream::{self, StreamExt as _};
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::json;
use tonic::Status;
use wire::{
    Reason,
    identity::{self as proto, SortOrder},
};

use crate::world::{World, client, kit, on_both, reason, refused};

/// Numbers that are the same in every run.
struct Dice(TestRng);

impl Dice {
    fn new() -> Self {
        Self(TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    }

    fn below(&mut self, limit: usize) -> usize {
        use proptest::prelude::Rng as _;
        usize::try_from(self.0.next_u64() % limit.max(1) as u64).expect("small")
    }
}

/// An organization that is walked over, and what a client that waits at its door does to it.
struct Directory<'w> {
    world: &'w World,
    org: String,
    /// Those who were there from the beginning, and are still.
    survivors: BTreeMap<String, String>,
    dice: Dice,
    made: usize,
}

impl<'w> Directory<'w> {
    async fn of(world: &'w World, users: usize) -> Self {
        let org = world.organization("acme").await;
        let made = stream::iter(0..users).map(|n| {
            let org = &org;
            async move {
                let mut body = kit(&format!("user{:06}@example.com", n * 7919 % users));
                body["title"] = json!(format!("t{}", n % 10));
                let user = world.create(org, &body).await.expect("create");
                (user.id, user.user_name)
            }
        });
        let survivors = made.buffer_unordered(32).collect().await;
        Self { world, org, survivors, dice: Dice::new(), made: users }
    }

    /// Deletes, inserts and renames a few at random. Those behind the reader are deleted as well as those before.
    async fn stir(&mut self, deletions: usize, insertions: usize, renames: usize) {
        for _ in 0..deletions {
            let victim = self.somebody();
            self.world.delete(&self.org, &victim).await.expect("delete");
            self.survivors.remove(&victim);
        }
        for _ in 0..insertions {
            self.made += 1;
            self.world.user(&self.org, &format!("new{:06}@example.com", self.made)).await;
        }
        for _ in 0..renames {
            let somebody = self.somebody();
            self.made += 1;
            let name = format!("a-renamed{}@example.com", self.made);
            self.world.put(&self.org, &somebody, &kit(&name)).await.expect("rename");
            self.survivors.insert(somebody, name);
        }
    }

    fn somebody(&mut self) -> String {
        let n = self.dice.below(self.survivors.len());
        self.survivors.keys().nth(n).expect("somebody").clone()
    }

    async fn page(&self, query: proto::ListQuery) -> proto::ListUsersResponse {
        list(self.world, &self.org, query).await.expect("page")
    }

    #[track_caller]
    fn nobody_is_missing_in(&self, seen: &[String]) {
        let all: HashSet<&str> = seen.iter().map(String::as_str).collect();
        let missing: BTreeSet<&str> =
            self.survivors.keys().map(String::as_str).filter(|id| !all.contains(id)).collect();
        assert!(missing.is_empty(), "{} of {} are missing", missing.len(), self.survivors.len());
    }

    #[track_caller]
    fn each_is_seen_once_in(&self, seen: &[String]) {
        self.nobody_is_missing_in(seen);
        let all: HashSet<&str> = seen.iter().map(String::as_str).collect();
        assert_eq!(all.len(), seen.len(), "somebody was seen twice");
    }
}

async fn list(world: &World, org: &str, query: proto::ListQuery) -> Result<proto::ListUsersResponse, Status> {
    let request = proto::ListUsersRequest {
        organization_id: org.to_owned(),
        caller: client(),
        query: Some(query),
        mask: Some(proto::UserMask { omit_groups: true }),
    };
    Ok(world.identity.clone().list_users(request).await?.into_inner())
}

fn by_cursor(cursor: &str, count: u32) -> proto::ListQuery {
    proto::ListQuery { cursor: Some(cursor.to_owned()), count: Some(count), ..Default::default() }
}

fn ids(page: &proto::ListUsersResponse) -> impl Iterator<Item = String> {
    page.users.iter().map(|user| user.id.clone())
}

/// The ids of the pages up to the last one, which are also met on the way back. The list must not change meanwhile.
async fn there_and_back<P: Page>(page: impl AsyncFn(&str) -> P) -> Vec<Vec<String>> {
    let mut pages = vec![page("").await];
    assert_eq!(pages[0].previous(), "", "the first page");
    while let Some(next) = pages.last().map(Page::next).filter(|next| !next.is_empty()) {
        let next = page(&next).await;
        assert_ne!(next.previous(), "");
        pages.push(next);
    }
    let mut at = pages.len() - 1;
    let mut previous = pages[at].previous();
    while !previous.is_empty() {
        let back = page(&previous).await;
        assert_eq!(back.ids(), pages[at - 1].ids());
        assert_eq!(page(&back.next()).await.ids(), pages[at].ids(), "forwards again");
        previous = back.previous();
        at -= 1;
    }
    assert_eq!(at, 0);
    pages.iter().map(Page::ids).collect()
}

trait Page {
    fn ids(&self) -> Vec<String>;
    fn previous(&self) -> String;
    fn next(&self) -> String;
}

impl Page for proto::ListUsersResponse {
    fn ids(&self) -> Vec<String> {
        ids(self).collect()
    }

    fn previous(&self) -> String {
        self.previous_cursor.clone()
    }

    fn next(&self) -> String {
        self.next_cursor.clone()
    }
}

impl Page for proto::ListResourcesResponse {
    fn ids(&self) -> Vec<String> {
        let users = self.users.iter().map(|user| user.id.clone());
        users.chain(self.groups.iter().map(|group| group.id.clone())).collect()
    }

    fn previous(&self) -> String {
        self.previous_cursor.clone()
    }

    fn next(&self) -> String {
        self.next_cursor.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_backwards_sees_each_survivor_once() {
    on_both(async |world| {
        let mut directory = Directory::of(&world, 300).await;
        let (mut last, mut seen) = (directory.page(by_cursor("", 20)).await, Vec::new());
        while !last.next_cursor.is_empty() {
            last = directory.page(by_cursor(&last.next_cursor, 20)).await;
        }
        loop {
            seen.extend(ids(&last));
            if last.previous_cursor.is_empty() {
                break;
            }
            directory.stir(8, 3, 3).await;
            last = directory.page(by_cursor(&last.previous_cursor, 20)).await;
        }
        directory.each_is_seen_once_in(&seen);
    })
    .await;
}

#[tokio::test]
async fn the_first_page_is_the_first_whoever_was_before_it() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let mut users = Vec::new();
        for n in 0..6 {
            users.push(world.user(&org, &format!("u{n}")).await.id);
        }
        let page = async |cursor: &str| list(&world, &org, by_cursor(cursor, 2)).await.expect("page");
        let first = page("").await;
        let second = page(&first.next_cursor).await;
        let third = page(&second.next_cursor).await;
        assert_eq!((third.ids(), third.next()), (users[4..].to_vec(), String::new()));
        for id in &users[..2] {
            world.delete(&org, id).await.expect("delete");
        }
        let again = page(&first.next_cursor).await;
        assert_eq!((again.ids(), again.previous()), (users[2..4].to_vec(), String::new()));
        assert_ne!(again.next(), "");
        // Nothing is left before it: the rest is behind.
        let empty = page(&second.previous_cursor).await;
        assert_eq!((empty.ids(), empty.previous()), (vec![], String::new()));
        assert_eq!(page(&empty.next_cursor).await.ids(), users[2..4]);
        // Nor after the second page: the rest is before.
        for id in &users[4..] {
            world.delete(&org, id).await.expect("delete");
        }
        let empty = page(&second.next_cursor).await;
        assert_eq!((empty.ids(), empty.next()), (vec![], String::new()));
        let back = page(&empty.previous_cursor).await;
        assert_eq!((back.ids(), back.previous(), back.next()), (users[2..4].to_vec(), String::new(), String::new()));
        let last = page(&third.previous_cursor).await;
        assert_eq!((last.ids(), last.next()), (users[2..4].to_vec(), String::new()), "the last page by now");
    })
    .await;
}

async fn resources(world: &World, org: &str, query: proto::ListQuery) -> Result<proto::ListResourcesResponse, Status> {
    let request = proto::ListResourcesRequest {
        organization_id: org.to_owned(),
        caller: client(),
        query: Some(query),
        user_mask: None,
        group_mask: None,
    };
    Ok(world.identity.clone().list_resources(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_groups_are_one_list() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        for n in 0..5 {
            world.user(&org, &format!("u{}", 9 - n)).await;
        }
        for n in 0..4 {
            world.group(&org, &format!("g{}", 9 - n), &[]).await;
        }
        for (filter, users, groups) in [
            ("", 5, 4),
            ("userName pr", 5, 0),
            ("displayName sw \"g\"", 0, 4),
            ("displayName eq \"nobody\"", 0, 0),
            ("userName eq \"u7\" or displayName ge \"g8\"", 5, 2),
            ("title pr and members pr", 0, 0),
        ] {
            for (sort_by, order) in [
                ("", SortOrder::Ascending),
                ("", SortOrder::Descending),
                ("displayName", SortOrder::Ascending),
                ("userName", SortOrder::Descending),
                ("meta.created", SortOrder::Descending),
            ] {
                let query = |cursor: Option<&str>, start_index, count| proto::ListQuery {
                    filter: filter.to_owned(),
                    sort_by: sort_by.to_owned(),
                    sort_order: order.into(),
                    cursor: cursor.map(str::to_owned),
                    start_index,
                    count: Some(count),
                    ..Default::default()
                };
                let whole = resources(&world, &org, query(None, 1, 100)).await.expect("whole");
                assert_eq!((whole.users.len(), whole.groups.len()), (users, groups), "{filter}");
                let total = whole.total_results;
                assert_eq!(usize::try_from(total).expect("count"), users + groups);
                for count in [1_u32, 3, 4, 5, 9] {
                    let by_cursor = async |cursor: &str| {
                        let page = resources(&world, &org, query(Some(cursor), 0, count)).await.expect("page");
                        assert_eq!(page.total_results, total);
                        page
                    };
                    let pages = there_and_back(by_cursor).await;
                    let full = pages.iter().rev().skip(1).all(|page| page.len() == count as usize);
                    assert!(full, "{filter} by {count}");
                    assert_eq!(pages.concat(), whole.ids(), "{filter} {sort_by} {order:?} by {count}");
                    let (mut walked, mut start) = (Vec::new(), 1);
                    while start <= total {
                        let page = resources(&world, &org, query(None, start, count)).await.expect("page");
                        assert_eq!(page.total_results, total);
                        walked.extend(page.ids());
                        start += i64::from(count);
                    }
                    assert_eq!(walked, whole.ids(), "{filter} {sort_by} {order:?} by {count}");
                }
                let none = resources(&world, &org, query(Some(""), 0, 0)).await.expect("page");
                assert_eq!((none.ids(), none.total_results), (vec![], total));
                assert_eq!((none.previous(), none.next()), (String::new(), String::new()));
            }
        }
        let unsorted = proto::ListQuery { sort_by: "boat".to_owned(), ..Default::default() };
        assert_eq!(reason(resources(&world, &org, unsorted).await), Reason::InvalidValue);
        // A cursor of one list is none of another.
        let joint = resources(&world, &org, by_cursor("", 2)).await.expect("page").next_cursor;
        let users = list(&world, &org, by_cursor("", 2)).await.expect("page").next_cursor;
        assert_eq!(reason(list(&world, &org, by_cursor(&joint, 2)).await), Reason::InvalidCursor);
        assert_eq!(reason(resources(&world, &org, by_cursor(&users, 2)).await), Reason::InvalidCursor);
        assert_eq!(reason(resources(&world, &org, by_cursor(&joint, 3)).await), Reason::InvalidCount);
        let narrower = proto::ListQuery { filter: "userName pr".to_owned(), ..by_cursor(&joint, 2) };
        assert_eq!(reason(resources(&world, &org, narrower).await), Reason::InvalidCursor);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_over_users_and_groups_loses_nobody() {
    on_both(async |world| {
        let mut directory = Directory::of(&world, 40).await;
        let org = directory.org.clone();
        let mut groups = Vec::new();
        for n in 0..40 {
            groups.push(world.group(&org, &format!("g{n}"), &[]).await.id);
        }
        let (mut by_index, mut start_index, mut total) = (Vec::new(), 1, 80);
        let (mut by_cursors, mut cursor) = (Vec::new(), Some(String::new()));
        while cursor.is_some() || start_index <= total {
            if let Some(text) = cursor.take() {
                let page = resources(&world, &org, by_cursor(&text, 7)).await.expect("page");
                by_cursors.extend(page.ids());
                cursor = Some(page.next_cursor).filter(|next| !next.is_empty());
            }
            if start_index <= total {
                let query = proto::ListQuery { start_index, count: Some(7), ..Default::default() };
                let page = resources(&world, &org, query).await.expect("page");
                by_index.extend(page.ids());
                start_index += i64::try_from(page.ids().len()).expect("small");
                total = page.total_results;
            }
            directory.stir(2, 0, 1).await;
            let victim = groups.remove(directory.dice.below(groups.len()));
            world.delete_group(&org, &victim).await.expect("delete");
        }
        for seen in [by_cursors, by_index] {
            directory.each_is_seen_once_in(&seen);
            assert!(groups.iter().all(|group| seen.contains(group)), "a group was lost");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_by_cursor_sees_each_survivor_once() {
    on_both(async |world| {
        let mut directory = Directory::of(&world, 2000).await;
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = directory.page(by_cursor(&cursor, 100)).await;
            seen.extend(ids(&page));
            if page.next_cursor.is_empty() {
                break;
            }
            assert_eq!(page.users.len(), 100);
            cursor = page.next_cursor;
            directory.stir(15, 5, 3).await;
        }
        directory.each_is_seen_once_in(&seen);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_by_index_misses_no_survivor() {
    on_both(async |world| {
        let mut directory = Directory::of(&world, 2000).await;
        let (mut seen, mut start_index) = (Vec::new(), 1);
        loop {
            let query = || proto::ListQuery { start_index, count: Some(100), ..Default::default() };
            let page = directory.page(query()).await;
            let again = directory.page(query()).await;
            assert_eq!(ids(&again).collect::<Vec<_>>(), ids(&page).collect::<Vec<_>>(), "an answer that was lost");
            seen.extend(ids(&page));
            directory.stir(15, 5, 3).await;
            start_index += i64::try_from(page.users.len()).expect("small");
            if page.users.is_empty() || start_index > page.total_results {
                break;
            }
        }
        directory.each_is_seen_once_in(&seen);
    })
    .await;
}

/// A directory of a size that companies have, on one database for the time it takes; both walks at once.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_users_are_walked_without_loss() {
    let world = World::open(testkit::sqlite()).await;
    let mut directory = Directory::of(&world, 20_000).await;
    let (mut by_index, mut start_index, mut total) = (Vec::new(), 1, i64::MAX);
    let (mut by_cursors, mut cursor) = (Vec::new(), Some(String::new()));
    while cursor.is_some() || start_index <= total {
        if let Some(text) = cursor.take() {
            let page = directory.page(by_cursor(&text, 250)).await;
            by_cursors.extend(ids(&page));
            cursor = Some(page.next_cursor).filter(|next| !next.is_empty());
        }
        if start_index <= total {
            let query = proto::ListQuery { start_index, count: Some(250), ..Default::default() };
            let page = directory.page(query).await;
            by_index.extend(ids(&page));
            start_index += i64::try_from(page.users.len()).expect("small");
            total = page.total_results;
        }
        directory.stir(10, 5, 5).await;
    }
    directory.each_is_seen_once_in(&by_cursors);
    directory.each_is_seen_once_in(&by_index);
    world.service.shutdown().await;
}

/// The measurement that made other servers lose people: many deletions behind the reader.
#[tokio::test(flavor = "multi_thread")]
async fn deletions_behind_a_walk_by_index_move_nobody_out_of_it() {
    on_both(async |world| {
        let directory = Directory::of(&world, 300).await;
        let page = |start_index| proto::ListQuery { start_index, count: Some(100), ..Default::default() };
        let first = directory.page(page(1)).await;
        assert_eq!((first.users.len(), first.total_results), (100, 300));
        for id in ids(&first).take(50) {
            world.delete(&directory.org, &id).await.expect("delete");
        }
        let second = directory.page(page(101)).await;
        let third = directory.page(page(201)).await;
        assert_eq!((second.total_results, third.total_results), (300, 300), "so that the client goes on to the end");
        let seen: Vec<String> = ids(&first).chain(ids(&second)).chain(ids(&third)).collect();
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 300);
        // A walk that begins afterwards counts those who are there.
        assert_eq!(directory.page(page(1)).await.total_results, 250);
        let fresh = directory.page(page(101)).await;
        assert_eq!((fresh.users.len(), fresh.total_results), (100, 250));
        // After ten minutes an index is a rank.
        world.later(600_000_001);
        let cold = directory.page(page(201)).await;
        assert_eq!((cold.users.len(), cold.total_results), (50, 250));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sorted_and_filtered_walks_are_continued_after_the_last_value() {
    on_both(async |world| {
        let mut directory = Directory::of(&world, 60).await;
        let mut bodies = Vec::new();
        for (id, name) in &directory.survivors {
            bodies.push((id.clone(), name.clone()));
        }
        for (n, (id, name)) in bodies.iter().enumerate() {
            let mut body = kit(name);
            body["title"] = if n % 4 == 0 { json!(null) } else { json!(format!("T{}", n % 5)) };
            body["phoneNumbers"] = json!([{"value": format!("{}", n % 7)}, {"value": "0", "primary": n % 2 == 0}]);
            body["active"] = json!(n % 3 != 0);
            world.later(1);
            world.put(&directory.org, id, &body).await.expect("put");
        }
        let sorts = [
            "userName",
            "title",
            "active",
            "meta.created",
            "meta.lastModified",
            "phoneNumbers",
            "id",
            "emails.value",
            "externalId",
            "nickName",
        ];
        for sort_by in sorts {
            for order in [SortOrder::Ascending, SortOrder::Descending] {
                for filter in ["", "active eq true or title sw \"t\""] {
                    let query = |cursor: Option<String>, start_index, count| proto::ListQuery {
                        filter: filter.to_owned(),
                        sort_by: sort_by.to_owned(),
                        sort_order: order.into(),
                        start_index,
                        count: Some(count),
                        cursor,
                        ..Default::default()
                    };
                    let whole: Vec<String> = ids(&directory.page(query(None, 1, 1000)).await).collect();
                    let by_cursor = async |cursor: &str| {
                        let page = directory.page(query(Some(cursor.to_owned()), 0, 7)).await;
                        assert_eq!(usize::try_from(page.total_results).expect("count"), whole.len());
                        page
                    };
                    let pages = there_and_back(by_cursor).await;
                    assert_eq!(pages.concat(), whole, "by cursor: {sort_by} {order:?} {filter}");
                    let mut walked = Vec::new();
                    while walked.len() < whole.len() {
                        let next = i64::try_from(walked.len()).expect("small") + 1;
                        let page = directory.page(query(None, next, 7)).await;
                        assert_eq!(usize::try_from(page.total_results).expect("count"), whole.len());
                        assert!(!page.users.is_empty());
                        walked.extend(ids(&page));
                    }
                    assert_eq!(walked, whole, "by index: {sort_by} {order:?} {filter}");
                }
            }
        }
        // The last one that was sent need not be there any more.
        let sorted = |cursor: &str| proto::ListQuery { sort_by: "userName".to_owned(), ..by_cursor(cursor, 25) };
        let first = directory.page(sorted("")).await;
        let last = first.users.last().expect("user").clone();
        world.delete(&directory.org, &last.id).await.expect("delete");
        directory.survivors.remove(&last.id);
        let second = directory.page(sorted(&first.next_cursor)).await;
        assert!(second.users.iter().all(|user| user.user_name > last.user_name));
        assert_eq!(second.users.len(), 25);
    })
    .await;
}

#[tokio::test]
async fn a_cursor_is_good_for_its_list_for_an_hour() {
    on_both(async |world| {
        let (org, other) = (world.organization("acme").await, world.organization("other").await);
        for n in 0..5 {
            world.user(&org, &format!("jay{n}")).await;
            world.user(&other, &format!("jay{n}")).await;
        }
        let first = list(&world, &org, by_cursor("", 2)).await.expect("first");
        assert_eq!((first.users.len(), first.total_results), (2, 5));
        let cursor = first.next_cursor;
        let ask = async |org: &str, query: proto::ListQuery| list(&world, org, query).await;
        assert_eq!(ask(&org, by_cursor(&cursor, 2)).await.expect("second").users.len(), 2);

        let foreign = refused(ask(&other, by_cursor(&cursor, 2)).await);
        assert_eq!(foreign.0, Reason::InvalidCursor);
        // Also where the other organization has a key of its own.
        assert!(!ask(&other, by_cursor("", 2)).await.expect("first").next_cursor.is_empty());
        let filtered = proto::ListQuery { filter: "userName sw \"j\"".to_owned(), ..by_cursor(&cursor, 2) };
        let sorted = proto::ListQuery { sort_by: "userName".to_owned(), ..by_cursor(&cursor, 2) };
        let descending = proto::ListQuery { sort_order: SortOrder::Descending.into(), ..by_cursor(&cursor, 2) };
        let mut tampered = cursor.clone();
        tampered.replace_range(20..21, if &cursor[20..21] == "A" { "B" } else { "A" });
        assert_eq!(refused(ask(&other, by_cursor(&cursor, 2)).await), foreign);
        for query in [filtered, sorted, descending, by_cursor(&tampered, 2), by_cursor("VZUTiyhEQJ94IR", 2)] {
            assert_eq!(refused(ask(&org, query).await), foreign, "one answer to all of them");
        }
        let groups = proto::ListGroupsRequest {
            organization_id: org.clone(),
            caller: client(),
            query: Some(by_cursor(&cursor, 2)),
            mask: None,
        };
        assert_eq!(refused(world.identity.clone().list_groups(groups).await), foreign);

        assert_eq!(reason(ask(&org, by_cursor(&cursor, 3)).await), Reason::InvalidCount);
        // RFC 9865 section 2 spells the same filter in two ways.
        let jays = |filter: &str, cursor: &str| proto::ListQuery { filter: filter.to_owned(), ..by_cursor(cursor, 2) };
        let some = ask(&org, jays("userName sw \"J\"", "")).await.expect("first").next_cursor;
        assert_eq!(ask(&org, jays("username SW \"J\"", &some)).await.expect("second").users.len(), 2);

        world.later(3_600_000_000);
        assert!(ask(&org, by_cursor(&cursor, 2)).await.is_ok());
        world.later(1);
        assert_eq!(reason(ask(&org, by_cursor(&cursor, 2)).await), Reason::ExpiredCursor);
        world.switch(&org, false).await;
        assert_eq!(reason(ask(&org, by_cursor(&cursor, 2)).await), Reason::ScimDisabled);
    })
    .await;
}

#[tokio::test]
async fn pages_by_cursor_end_where_the_list_ends() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let empty = list(&world, &org, by_cursor("", 2)).await.expect("page");
        assert_eq!((empty.users.len(), empty.total_results, empty.next_cursor.as_str()), (0, 0, ""));
        for n in 0..4 {
            world.user(&org, &format!("u{n}")).await;
        }
        let total_only = list(&world, &org, by_cursor("", 0)).await.expect("page");
        assert_eq!((total_only.users.len(), total_only.total_results, total_only.next_cursor.as_str()), (0, 4, ""));
        let first = list(&world, &org, by_cursor("", 2)).await.expect("page");
        let second = list(&world, &org, by_cursor(&first.next_cursor, 2)).await.expect("page");
        assert_eq!((second.users.len(), second.total_results, second.next_cursor.as_str()), (2, 4, ""));
        let by_index =
            list(&world, &org, proto::ListQuery { count: Some(2), ..Default::default() }).await.expect("page");
        assert_eq!(by_index.next_cursor, "");
    })
    .await;
}

#[tokio::test]
async fn groups_are_walked_alike() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let mut groups = Vec::new();
        for n in 0..9 {
            groups.push(world.group(&org, &format!("g{n}"), &[]).await.id);
        }
        let page = async |query: proto::ListQuery| {
            let request = proto::ListGroupsRequest {
                organization_id: org.clone(),
                caller: client(),
                query: Some(query),
                mask: None,
            };
            let page = world.identity.clone().list_groups(request).await.expect("page").into_inner();
            let ids: Vec<String> = page.groups.iter().map(|group| group.id.clone()).collect();
            (ids, page.total_results, page.next_cursor)
        };
        let index = |start_index| proto::ListQuery { start_index, count: Some(4), ..Default::default() };
        let (first, _, cursor) = page(by_cursor("", 4)).await;
        let (indexed, total, _) = page(index(1)).await;
        assert_eq!((&first, &indexed, total), (&groups[..4].to_vec(), &first, 9));
        world.delete_group(&org, &groups[0]).await.expect("delete");
        world.delete_group(&org, &groups[3]).await.expect("delete");
        let (second, total, cursor) = page(by_cursor(&cursor, 4)).await;
        assert_eq!((&second, total), (&groups[4..8].to_vec(), 7));
        assert_eq!(page(index(5)).await, (second, 9, String::new()));
        assert_eq!(page(by_cursor(&cursor, 4)).await, (groups[8..].to_vec(), 7, String::new()));
    })
    .await;
}

#[tokio::test]
async fn replicas_open_each_others_cursors() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        for n in 0..3 {
            world.user(&org, &format!("u{n}")).await;
        }
        if world.is_sqlite() {
            return;
        }
        let replica = world.reopen().await;
        let mut there =
            proto::identity_service_client::IdentityServiceClient::new(wire::Transport::in_process(replica.routes()));
        let first = list(&world, &org, by_cursor("", 2)).await.expect("first");
        let request = proto::ListUsersRequest {
            organization_id: org.clone(),
            caller: client(),
            query: Some(by_cursor(&first.next_cursor, 2)),
            mask: None,
        };
        let second = there.list_users(request).await.expect("second").into_inner();
        assert_eq!((second.users.len(), second.next_cursor.as_str()), (1, ""));
        replica.shutdown().await;
    })
    .await;
}
