//! Mail to administrators, taken by a mail server on loopback.

use std::{sync::Arc, time::Duration};

use identity_service::{Mailing, Smtp, SmtpConfig};
use testkit::smtp::{Received, SmtpServer};
use wire::{
    Transport,
    identity::{AdminRole, Outcome, RequestCount},
    token::{CreateScimTokenRequest, token_service_client::TokenServiceClient},
};

use crate::{
    admins::HOUR,
    request_log::request,
    world::{World, administrator},
};

const DAY: i64 = 24 * HOUR;
const SECOND: i64 = 1_000_000;

fn config(url: String) -> SmtpConfig {
    SmtpConfig { url, password: None, ca_pem: None, from: "Rollcall <rollcall@example.com>".to_owned() }
}

fn mailing(config: &SmtpConfig) -> Mailing {
    let smtp = Smtp::new(config).expect("usable");
    Mailing { smtp, public_url: "https://scim.example.com".to_owned() }
}

/// Runs a test on each database, with a mail server of its own.
pub(crate) async fn on_both(test: impl AsyncFn(&World, &SmtpServer)) {
    for database in testkit::databases() {
        let server = SmtpServer::start().await;
        let mailing = mailing(&config(format!("smtp://{}", server.address())));
        let world = World::open_with(database, Some(mailing)).await;
        test(&world, &server).await;
        world.service.shutdown().await;
    }
}

impl World {
    /// What is written of each mail, by recipient.
    fn mails(&self) -> Vec<String> {
        let select = "SELECT recipient || ' ' || CAST(state AS text) || ' ' || CAST(attempts AS text) || ' ' || \
                      coalesce(last_error, '') AS line FROM mail ORDER BY recipient, dedupe";
        self.database.lines(select).expect("rows")
    }

    /// Until it is so.
    pub(crate) async fn mails_are(&self, expected: &[&str]) {
        for _ in 0..500 {
            let mails = self.mails();
            let same = |(line, start): (&String, &&str)| line.starts_with(*start);
            if mails.len() == expected.len() && mails.iter().zip(expected).all(same) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?} and not {expected:?}", self.mails());
    }

    /// Ten of twelve users at once.
    async fn lose_many(&self, org: &str) {
        let mut users = Vec::new();
        for n in 0..12 {
            users.push(self.user(org, &format!("user{n}@x")).await.id);
        }
        for id in &users[..10] {
            self.delete(org, id).await.expect("delete");
        }
        self.look(org).await;
    }

    /// A process that looks once.
    async fn send(&self, expected: &[&str]) {
        let second = self.reopen().await;
        self.mails_are(expected).await;
        second.shutdown().await;
    }
}

fn recipients(mails: &[Received]) -> Vec<&str> {
    let mut to: Vec<&str> = mails.iter().flat_map(|mail| mail.to.iter().map(String::as_str)).collect();
    to.sort_unstable();
    to
}

#[tokio::test]
async fn a_hold_is_told_to_the_owners_and_admins_of_its_organization_once() {
    on_both(async |world, server| {
        let (org, other) = (world.organization("acme").await, world.organization("other").await);
        for (email, role) in [("ada@x", AdminRole::Owner), ("bob@x", AdminRole::Admin), ("vic@x", AdminRole::Viewer)] {
            world.joined(&org, email, role).await;
        }
        world.joined(&other, "eve@x", AdminRole::Owner).await;
        assert!(world.admin_list(&org).await.mailed, "the console can say so");
        world.lose_many(&org).await;
        world.send(&["ada@x 1 1 ", "bob@x 1 1 "]).await;
        // Nor does looking again tell anybody again.
        world.look(&org).await;
        world.send(&["ada@x 1 1 ", "bob@x 1 1 "]).await;
        let mails = server.mails();
        assert_eq!(recipients(&mails), ["ada@x", "bob@x"]);
        let hold = world.told(&org, "hold.opened", 1).await;
        for mail in &mails {
            assert_eq!(mail.from, "rollcall@example.com");
            for said in [
                "From: Rollcall <rollcall@example.com>",
                "Subject: acme: many users lost their access at once",
                "Auto-Submitted: auto-generated",
                "Message-ID: <",
                "10 of 12 users",
                "https://scim.example.com/console",
                "rollcall hold approve acme ",
            ] {
                assert!(mail.text.contains(said), "{said}: {}", mail.text);
            }
            assert!(!mail.text.contains("user0@x"), "nobody is named: {}", mail.text);
        }
        assert_eq!(hold.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn provisioning_that_fails_for_an_hour_is_told_once_a_day() {
    on_both(async |world, server| {
        let (org, other) = (world.organization("acme").await, world.organization("other").await);
        world.joined(&org, "ada@x", AdminRole::Owner).await;
        world.joined(&other, "eve@x", AdminRole::Owner).await;
        let minute = HOUR / 60;
        let at = |org: &str, ago: i64, outcome| {
            request(org, world.now() - ago * minute, u32::try_from(ago).expect("few"), outcome)
        };
        let requests = vec![
            at(&org, 110, Outcome::Refused),
            at(&org, 100, Outcome::Changed),
            at(&org, 90, Outcome::Refused),
            at(&org, 60, Outcome::Failed),
            at(&org, 29, Outcome::Refused),
            // One alone, at the end of an hour, is none.
            at(&other, 61, Outcome::Refused),
        ];
        world.report(requests, Vec::new()).await.expect("reported");
        // Nor are several where reads go well and most is as it should be.
        let among_reads = world.organization("reads").await;
        world.joined(&among_reads, "rob@x", AdminRole::Owner).await;
        let several = [110, 80, 50, 20].map(|ago| at(&among_reads, ago, Outcome::Refused));
        let hour = Some(wire::to_timestamp(world.now() - world.now().rem_euclid(HOUR) - HOUR));
        let read = RequestCount { organization_id: among_reads, hour, read: 40, ..RequestCount::default() };
        world.report(several.into(), vec![read]).await.expect("reported");
        for _ in 0..2 {
            world.send(&["ada@x 1 1 "]).await;
        }
        let told = |n: usize| server.mails()[n].text.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=");
        assert_eq!(recipients(&server.mails()), ["ada@x"]);
        let since = store::Instant::from_micros(world.now() - 90 * minute).to_string();
        // As people write it.
        let since = format!("{} {} UTC", &since[..10], &since[11..16]);
        for said in [
            "Subject: acme: provisioning is failing",
            &*format!("Since {since}"),
            "3 requests were refused or failed",
            "/console/log?outcome=problems",
        ] {
            assert!(told(0).contains(said), "{said}: {}", told(0));
        }
        // It goes on: the same day that is no news, the next day it is.
        world.report(vec![at(&org, 1, Outcome::Refused)], Vec::new()).await.expect("reported");
        world.send(&["ada@x 1 1 "]).await;
        world.later(DAY);
        world.report(vec![at(&org, 2, Outcome::Refused)], Vec::new()).await.expect("reported");
        world.send(&["ada@x 1 1 ", "ada@x 1 1 "]).await;
        assert!(told(1).contains(&format!("Since {since}")) && told(1).contains("5 requests"), "{}", told(1));
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_for_now_is_tried_again_and_what_is_refused_for_good_is_not() {
    on_both(async |world, server| {
        let org = world.organization("acme").await;
        world.joined(&org, "ada@x", AdminRole::Owner).await;
        world.joined(&org, "bob@x", AdminRole::Admin).await;
        world.joined(&org, "cy@x", AdminRole::Admin).await;
        server.refuse("ada@x", &[451, 450]);
        server.refuse("bob@x", &[550]);
        server.refuse("cy@x", &[451]);
        world.lose_many(&org).await;
        world.send(&["ada@x 0 1 ", "bob@x 2 1 ", "cy@x 0 1 "]).await;
        assert!(world.mails()[1].contains("550"), "{:?}", world.mails());
        world.later(59 * SECOND);
        world.reopen().await.shutdown().await;
        assert_eq!(server.attempts().len(), 3, "not before the pause is over");
        // Who may do nothing about it any more is not told.
        let admins = world.admin_list(&org).await.admins;
        let cy = admins.iter().find(|admin| admin.email == "cy@x").expect("cy");
        world.role(&org, &cy.id, AdminRole::Viewer).await.expect("role");
        world.later(2 * SECOND);
        world.send(&["ada@x 0 2 ", "bob@x 2 1 ", "cy@x 2 2 the recipient is no administrator"]).await;
        world.later(4 * 60 * SECOND + SECOND);
        world.send(&["ada@x 1 3 ", "bob@x 2 1 ", "cy@x 2 2 "]).await;
        assert_eq!(recipients(&server.mails()), ["ada@x"]);
        assert_eq!(server.attempts().len(), 5);
        world.later(31 * DAY);
        world.send(&[]).await;
        assert_eq!(server.attempts().len(), 5);
    })
    .await;
}

#[tokio::test]
async fn while_the_server_is_away_mail_waits_and_then_each_is_sent_by_one_of_several_processes() {
    on_both(async |world, server| {
        server.shut(true);
        let org = world.organization("acme").await;
        let mut admins = Vec::new();
        for n in 10..22 {
            let email = format!("admin{n}@x");
            world.joined(&org, &email, AdminRole::Owner).await;
            admins.push(email);
        }
        world.lose_many(&org).await;
        let waiting: Vec<String> = admins.iter().map(|email| format!("{email} 0 0 ")).collect();
        let waiting: Vec<&str> = waiting.iter().map(String::as_str).collect();
        world.send(&waiting).await;
        world.later(2 * DAY);
        world.send(&waiting).await;

        server.shut(false);
        server.slow_down(Duration::from_millis(5));
        let processes = tokio::join!(world.reopen(), world.reopen(), world.reopen());
        let sent: Vec<String> = admins.iter().map(|email| format!("{email} 1 1 ")).collect();
        world.mails_are(&sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
        tokio::join!(processes.0.shutdown(), processes.1.shutdown(), processes.2.shutdown());
        assert_eq!(recipients(&server.mails()), admins);
    })
    .await;
}

#[tokio::test]
async fn what_could_not_be_sent_for_three_days_is_no_news_any_more() {
    on_both(async |world, server| {
        server.shut(true);
        let org = world.organization("acme").await;
        world.joined(&org, "ada@x", AdminRole::Owner).await;
        world.lose_many(&org).await;
        world.send(&["ada@x 0 0 "]).await;
        world.later(3 * DAY + SECOND);
        world.send(&["ada@x 2 1 it could not be sent for three days"]).await;
        server.shut(false);
        world.reopen().await.shutdown().await;
        assert_eq!(server.attempts().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn without_a_mail_server_nothing_is_put_down() {
    crate::world::on_both(async |world| {
        let org = world.organization("acme").await;
        world.joined(&org, "ada@x", AdminRole::Owner).await;
        world.lose_many(&org).await;
        assert_eq!(world.told(&org, "hold.opened", 1).await.len(), 1);
        assert_eq!(world.mails(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn each_warning_of_a_token_is_one_mail_however_often_it_is_heard() {
    on_both(async |world, server| {
        let (org, other) = (world.organization("acme").await, world.organization("other").await);
        world.joined(&org, "ada@x", AdminRole::Owner).await;
        world.joined(&other, "eve@x", AdminRole::Owner).await;
        let database = Arc::new(if world.is_sqlite() { testkit::sqlite() } else { testkit::postgres() });
        let tokens = async || {
            let config = token_service::Config { database_url: database.url().to_owned(), pool_size: 2 };
            token_service::Service::open(&config, world.clock()).await.expect("open")
        };
        let service = tokens().await;
        let mut client = TokenServiceClient::new(Transport::in_process(service.routes()));
        for (org, ttl, description) in [(&org, 40, "Okta"), (&other, 100, "Later")] {
            let request = CreateScimTokenRequest {
                organization_id: org.clone(),
                caller: administrator(),
                description: description.to_owned(),
                ttl_days: Some(ttl),
                ..Default::default()
            };
            client.create_scim_token(request).await.expect("created");
        }
        service.shutdown().await;
        let mut expected = Vec::new();
        for (days, subject) in [(10, "30 days"), (23, "7 days"), (6, "a day")] {
            world.later(days * DAY);
            expected.push("ada@x 1 1 ");
            // Warns.
            let service = tokens().await;
            for _ in 0..2 {
                let second = world.reopen().await;
                second.follow_tokens(Transport::in_process(service.routes()));
                // The warning is written behind this.
                for _ in 0..50 {
                    second.follow_tokens(Transport::in_process(service.routes()));
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    if world.mails().len() == expected.len() {
                        break;
                    }
                }
                world.mails_are(&expected).await;
                second.shutdown().await;
            }
            service.shutdown().await;
            let last = server.mails().pop().expect("sent");
            assert!(last.text.contains(&format!("the SCIM token \"Okta\" expires within {subject}")), "{}", last.text);
            assert!(last.text.contains("https://scim.example.com/console/scim/tokens"), "{}", last.text);
        }
        assert_eq!(recipients(&server.mails()), ["ada@x"; 3]);
    })
    .await;
}

#[tokio::test]
async fn with_a_user_mail_is_sent_over_tls_alone_and_a_wrong_password_costs_no_mail() {
    let server = SmtpServer::start_with_user("rollcall@x", "correct horse").await;
    let good = SmtpConfig {
        password: Some("correct horse".to_owned().into()),
        ca_pem: Some(server.certificate().as_bytes().to_vec()),
        ..config(format!("smtp+starttls://rollcall%40x@localhost:{}", server.address().port()))
    };
    let wrong_password = SmtpConfig { password: Some("battery staple".to_owned().into()), ..good.clone() };
    let unknown_ca = SmtpConfig { ca_pem: None, ..good.clone() };
    let world = World::open_with(testkit::sqlite(), Some(mailing(&wrong_password))).await;
    let org = world.organization("acme").await;
    world.joined(&org, "ada@x", AdminRole::Owner).await;
    world.lose_many(&org).await;
    for config in [&wrong_password, &unknown_ca] {
        let second = world.reopen_with(Some(mailing(config))).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        second.shutdown().await;
        assert!(world.mails()[0].starts_with("ada@x 0 0 "), "{:?}", world.mails());
    }
    let second = world.reopen_with(Some(mailing(&good))).await;
    world.mails_are(&["ada@x 1 1 "]).await;
    second.shutdown().await;
    let mails = server.mails();
    assert_eq!((recipients(&mails), mails[0].user.as_deref()), (vec!["ada@x"], Some("rollcall@x")));
    world.service.shutdown().await;
}

#[tokio::test]
async fn what_is_said_before_tls_begins_is_no_answer() {
    let server = SmtpServer::start_with_user("rollcall@x", "correct horse").await;
    let config = SmtpConfig {
        password: Some("correct horse".to_owned().into()),
        ca_pem: Some(server.certificate().as_bytes().to_vec()),
        ..config(format!("smtp+starttls://rollcall%40x@localhost:{}", server.address().port()))
    };
    let smtp = Smtp::new(&config).expect("usable");
    let now = "2026-01-31T08:30:00Z".parse().expect("an instant");
    smtp.send_test("ada@x", now).await.expect("sent");
    // Everything that a mail is answered with.
    server.say_early(
        "250-localhost\r\n250 AUTH PLAIN LOGIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n221 bye\r\n",
    );
    smtp.send_test("ada@x", now).await.expect_err("not sent");
    server.say_early("250 x\r\n");
    smtp.send_test("ada@x", now).await.expect_err("not sent");
    server.say_early("");
    smtp.send_test("ada@x", now).await.expect("sent");
    assert_eq!(server.mails().len(), 2);
}

#[tokio::test]
async fn a_server_that_repeats_the_password_is_not_repeated() {
    let server = SmtpServer::start_with_user("rollcall@x", "correct horse").await;
    server.repeat_passwords(true);
    let good = SmtpConfig {
        password: Some("correct horse".to_owned().into()),
        ca_pem: Some(server.certificate().as_bytes().to_vec()),
        ..config(format!("smtp+starttls://rollcall%40x@localhost:{}", server.address().port()))
    };
    let now = "2026-01-31T08:30:00Z".parse().expect("an instant");
    let error = async |config: &SmtpConfig| {
        let smtp = Smtp::new(config).expect("usable");
        smtp.send_test("ada@x", now).await.expect_err("not sent").to_string()
    };
    let wrong = SmtpConfig { password: Some("battery staple".to_owned().into()), ..good.clone() };
    assert_eq!(error(&wrong).await, "the server answered 535 5.7.8");
    server.refuse("ada@x", &[550]);
    let refused = error(&good).await;
    assert!(refused.contains("550") && refused.contains("(not shown)"), "{refused}");
    assert!(!refused.contains("horse") && !refused.contains(char::is_control), "{refused}");
}
