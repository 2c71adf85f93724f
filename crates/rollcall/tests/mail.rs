//! Mail as it is configured on the command line, taken by a mail server on loopback.

#![expect(clippy::expect_used, reason = "tests")]

use std::time::Duration;

use serde_json::json;
use testkit::{
    process::{Deployment, Program},
    smtp::SmtpServer,
};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;
const FROM: &str = "--mail-from=Rollcall <rollcall@example.com>";

fn program() -> Program {
    Program::at(env!("CARGO_BIN_EXE_rollcall")).expect("the binary under test")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_mail_arrives_and_what_the_server_refuses_is_said() {
    let server = SmtpServer::start().await;
    let url = format!("--smtp-url=smtp://{}", server.address());
    let words = ["mail", "test", "ada@example.com", &url, FROM, "--output", "json"];
    let sent = program().run(&words).expect("it runs");
    assert_eq!(sent.status.code(), Some(0), "{}", sent.stderr);
    assert_eq!(sent.json().expect("JSON"), json!({"sent": true, "to": "ada@example.com"}));
    let mails = server.mails();
    assert_eq!((mails.len(), &mails[0].to[..]), (1, &["ada@example.com".to_owned()][..]));
    assert!(mails[0].text.contains("Subject: Rollcall: a test"), "{}", mails[0].text);

    server.refuse("ada@example.com", &[550]);
    let refused = program().run(&words).expect("it runs");
    assert_eq!((refused.status.code(), refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("550") && refused.stderr.lines().count() == 1, "{}", refused.stderr);

    server.repeat_passwords(true);
    server.refuse("ada@example.com", &[550]);
    let refused = program().run(&words).expect("it runs");
    assert!(refused.stderr.contains("[31m") && !refused.stderr.contains('\u{1b}'), "{:?}", refused.stderr);
}

#[test]
fn what_is_wrong_about_mail_is_said_at_the_start_before_anything_is_written() {
    let place = tempfile::tempdir().expect("a directory");
    let data_dir = place.path().join("data");
    let data = data_dir.to_str().expect("a path");
    for (words, said) in [
        (&["--smtp-url=smtps://mail.example.com"][..], "--mail-from"),
        (&["--smtp-url=mail.example.com", FROM], "smtps://USER@HOST"),
        (&["--smtp-url=smtps://mail.example.com", "--mail-from=nobody"], "not a sender"),
        (&["--smtp-url=smtps://ada@mail.example.com", FROM], "password"),
        (&["--smtp-url=smtps://ada:pw@mail.example.com", FROM], "in a file"),
        (&["--smtp-url=smtps://ada@h", "--smtp-password-file=/nowhere", FROM], "/nowhere"),
        (&["--smtp-url=smtps://h", "--smtp-ca=/nowhere", FROM], "/nowhere"),
    ] {
        let begin = ["serve", "--data-dir", data, "--http=127.0.0.1:0", "--grpc=127.0.0.1:0"];
        let refused = program().run(&[&begin, words].concat()).expect("it runs");
        assert_eq!(refused.status.code(), Some(1), "{words:?}");
        assert!(refused.stderr.contains(said) && refused.stderr.lines().count() == 1, "{said}: {}", refused.stderr);
    }
    let begin = ["serve", "identity", "--data-dir", data, "--grpc=127.0.0.1:0", "--smtp-url=smtps://h", FROM];
    let refused = program().run(&begin).expect("it runs");
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("--public-url"), "{}", refused.stderr);
    assert!(!data_dir.exists(), "nothing is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_tells_an_owner_of_a_token_that_expires() {
    let mail = SmtpServer::start().await;
    let place = tempfile::tempdir().expect("a directory");
    let url = format!("--smtp-url=smtp://{}", mail.address());
    let arguments = [url.as_str(), FROM, "--public-url=https://scim.example.com"];
    let server = Deployment::all_in_one(&program(), place.path(), &arguments).expect("a running server");
    server.cli_json(&["org", "create", "acme", "--name", "Acme"]).expect("an organization");
    server.cli_json(&["token", "create", "acme", "--description", "Okta"]).expect("a token");
    server.stop().expect("stopped");
    // As if 336 of its 365 days were over.
    let database = |file: &str| format!("sqlite:{}", place.path().join(file).display());
    let older = format!("UPDATE token SET expires = expires - {0}, warn_at = warn_at - {0}", 336 * DAY);
    testkit::execute(&database("token.db"), &older).expect("older");
    let owner = "INSERT INTO console_admin (org, id, email, email_key, name, role, created) \
                 SELECT id, id, 'ada@example.com', 'ada@example.com', '', 'owner', 0 FROM organization";
    testkit::execute(&database("identity.db"), owner).expect("an owner");

    let server = Deployment::all_in_one(&program(), place.path(), &arguments).expect("a running server");
    for _ in 0..900 {
        if !mail.mails().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mails = mail.mails();
    assert_eq!(mails.len(), 1, "{}", server.output());
    assert_eq!(mails[0].to, ["ada@example.com"]);
    assert!(mails[0].text.contains("the SCIM token \"Okta\" expires within 30 days"), "{}", mails[0].text);
    assert!(mails[0].text.contains("https://scim.example.com/console/scim/tokens"), "{}", mails[0].text);
    server.stop().expect("stopped");
}
