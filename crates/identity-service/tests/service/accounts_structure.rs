//! What may hold key material, as lists: a field or a column that is not here is looked at before it is added.

use std::collections::BTreeSet;

use prost_types::{FileDescriptorSet, field_descriptor_proto::Type};

use crate::world::{sealing_key, some_set_up};

/// All tables of accounts.
pub(crate) const TABLES: [&str; 14] = [
    "account",
    "account_session",
    "account_registration",
    "account_key",
    "account_key_wrap",
    "opaque_record",
    "recovery_verifier",
    "unlock_limit",
    "unlock_budget",
    "login_state",
    "org_key",
    "org_key_grant",
    "account_policy",
    "confirm_agent",
];

/// Each column with bytes, but for ids: public keys, signatures, ciphertext, hashes of secrets, and what OPAQUE stores. With its
/// length.
const BYTES: [(&str, &str, usize); 25] = [
    ("account_key", "challenge", 32),
    ("account_key", "enc_pub", 32),
    ("account_key", "possession", 64),
    ("account_key", "sig_pub", 32),
    ("account_key_wrap", "ciphertext", 48),
    ("account_key_wrap", "nonce", 12),
    ("account_registration", "challenge", 32),
    ("account_registration", "set_up_id", 32),
    ("account_session", "secret_sha256", 32),
    ("confirm_agent", "challenge", 32),
    ("confirm_agent", "secret_sha256", 32),
    ("login_state", "state", 128),
    ("opaque_record", "record", 192),
    ("opaque_record", "set_up_id", 32),
    ("org_key", "kit_ciphertext", 48),
    ("org_key", "kit_enc", 32),
    ("org_key", "kit_pub", 32),
    ("org_key", "kit_signature", 64),
    ("org_key", "kit_verifier", 32),
    ("org_key", "link_ciphertext", 48),
    ("org_key", "link_nonce", 12),
    ("org_key_grant", "ciphertext", 48),
    ("org_key_grant", "enc", 32),
    ("org_key_grant", "signature", 64),
    ("recovery_verifier", "proof_sha256", 32),
];

/// Each column with text.
const TEXTS: [(&str, &str); 7] = [
    ("account", "issuer"),
    ("account", "subject"),
    ("account_key_wrap", "kind"),
    ("account_session", "address"),
    ("account_session", "user_agent"),
    ("confirm_agent", "created_by"),
    ("confirm_agent", "name"),
];

/// Each field with bytes of the messages of AccountService.
const FIELDS: [&str; 62] = [
    "AccountKey.enc_pub",
    "AccountKey.sig_pub",
    "AccountSessionRequest.secret_sha256",
    "BeginKeySetUpRequest.registration_request",
    "BeginKeySetUpRequest.secret_sha256",
    "BeginKeySetUpResponse.challenge",
    "BeginKeySetUpResponse.registration_response",
    "BeginPasswordChangeRequest.registration_request",
    "BeginPasswordChangeRequest.secret_sha256",
    "BeginPasswordChangeResponse.registration_response",
    "BeginUnlockRequest.ke1",
    "BeginUnlockRequest.secret_sha256",
    "BeginUnlockResponse.ke2",
    "ChainLink.ciphertext",
    "ChainLink.nonce",
    "ConfirmAgentRequest.secret_sha256",
    "ConfirmMembersRequest.secret_sha256",
    "CreateOrganizationKeyRequest.kit_ciphertext",
    "CreateOrganizationKeyRequest.kit_enc",
    "CreateOrganizationKeyRequest.kit_pub",
    "CreateOrganizationKeyRequest.kit_sha256",
    "CreateOrganizationKeyRequest.kit_signature",
    "CreateOrganizationKeyRequest.secret_sha256",
    "EnrollConfirmAgentRequest.enc_pub",
    "EnrollConfirmAgentRequest.proof_of_possession",
    "EnrollConfirmAgentRequest.secret_sha256",
    "EnrollConfirmAgentRequest.sig_pub",
    "EnrolledConfirmAgent.challenge",
    "FinishKeySetUpRequest.enc_pub",
    "FinishKeySetUpRequest.proof_of_possession",
    "FinishKeySetUpRequest.record",
    "FinishKeySetUpRequest.recovery_sha256",
    "FinishKeySetUpRequest.secret_sha256",
    "FinishKeySetUpRequest.sig_pub",
    "FinishPasswordChangeRequest.record",
    "FinishPasswordChangeRequest.recovery_sha256",
    "FinishPasswordChangeRequest.secret_sha256",
    "FinishUnlockRequest.ke3",
    "FinishUnlockRequest.secret_sha256",
    "Grant.ciphertext",
    "Grant.enc",
    "Grant.signature",
    "ListMembersToConfirmAsAgentRequest.secret_sha256",
    "ListMembersToConfirmRequest.secret_sha256",
    "OrganizationKey.kit_ciphertext",
    "OrganizationKey.kit_enc",
    "OrganizationKey.kit_pub",
    "OrganizationKey.kit_signature",
    "RecoverAccountRequest.proof",
    "RecoverAccountRequest.secret_sha256",
    "RecoverOrganizationKeyRequest.proof",
    "RecoverOrganizationKeyRequest.secret_sha256",
    "RotateOrganizationKeyRequest.kit_ciphertext",
    "RotateOrganizationKeyRequest.kit_enc",
    "RotateOrganizationKeyRequest.kit_pub",
    "RotateOrganizationKeyRequest.kit_sha256",
    "RotateOrganizationKeyRequest.kit_signature",
    "RotateOrganizationKeyRequest.secret_sha256",
    "UnconfirmedMember.challenge",
    "UnconfirmedMember.proof_of_possession",
    "Wrap.ciphertext",
    "Wrap.nonce",
];

#[test]
fn messages_have_no_other_bytes() {
    let set: FileDescriptorSet = prost::Message::decode(wire::DESCRIPTOR_SET).expect("descriptors");
    let file = set.file.iter().find(|file| file.name().ends_with("account.proto")).expect("account.proto");
    let mut found = BTreeSet::new();
    for message in &file.message_type {
        for field in &message.field {
            let name = format!("{}.{}", message.name(), field.name());
            if field.r#type() == Type::Bytes {
                found.insert(name.clone());
            }
            // Nor is there a word for what must not be sent, of any type.
            for word in ["password", "kit_words", "export", "private", "seed", "kek", "account_secret"] {
                let wrap = ["FinishKeySetUpRequest.password_wrap", "FinishPasswordChangeRequest.password_wrap"];
                assert!(!field.name().contains(word) || wrap.contains(&&*name), "{name}");
            }
        }
    }
    let known: BTreeSet<String> = FIELDS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(found, known);
}

#[tokio::test]
async fn tables_have_no_other_bytes_and_each_has_one_length() {
    let (sqlite, postgres) = (testkit::sqlite(), testkit::postgres());
    for database in [&sqlite, &postgres] {
        let config = identity_service::Config {
            database_url: database.url().to_owned(),
            pool_size: 1,
            sealing_key: sealing_key(7),
            opaque_set_ups: some_set_up(),
            mailing: None,
        };
        identity_service::Service::open(&config, store::Clock::system()).await.expect("open").shutdown().await;
    }
    let of_type = |types: &str| {
        let select = format!(
            "SELECT table_name || '.' || column_name AS line FROM information_schema.columns WHERE table_schema = \
             current_schema() AND data_type IN ({types}) ORDER BY 1"
        );
        let all = postgres.lines(&select).expect("columns");
        all.into_iter().filter(|line| TABLES.contains(&line.split('.').next().unwrap_or_default())).collect::<Vec<_>>()
    };
    assert_eq!(of_type("'bytea'"), BYTES.map(|(table, column, _)| format!("{table}.{column}")));
    assert_eq!(
        of_type("'text', 'character varying', 'json', 'jsonb'"),
        TEXTS.map(|(table, column)| format!("{table}.{column}"))
    );
    // SQLite has the same columns, see `schema`.
    for (table, column, length) in BYTES {
        let checks = postgres.lines(&format!(
            "SELECT pg_get_constraintdef(oid) AS line FROM pg_constraint WHERE conrelid = CAST('{table}' AS regclass)"
        ));
        let checks = checks.expect("constraints").join("\n");
        assert!(checks.contains(&format!("octet_length({column}) = {length}")), "{table}.{column}: {checks}");
        let made =
            sqlite.lines(&format!("SELECT sql AS line FROM sqlite_master WHERE name = '{table}'")).expect("table");
        assert!(made[0].contains(&format!("length({column}) = {length}")), "{table}.{column}");
    }
}
