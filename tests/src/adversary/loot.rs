//! What stands in the database of identity-service, as whoever has a dump of it reads it.

use account_keys::{AccountKey, Grant, Member, PublicKeys, RecoveryVerifier, Stretching, Wrap};
use anyhow::{Context as _, Result};
use uuid::Uuid;

use crate::account::search::Secret;

/// The tables with keys, and with what becomes of accounts. Sessions and logins that have begun come and go by themselves.
pub(crate) const TABLES: [&str; 11] = [
    "account",
    "account_key",
    "account_key_wrap",
    "account_policy",
    "account_registration",
    "opaque_record",
    "org_key",
    "org_key_grant",
    "recovery_verifier",
    "unlock_budget",
    "unlock_limit",
];

#[derive(Clone, Copy)]
enum Column {
    /// Bytes or an id, in hexadecimal.
    Hex(&'static str),
    Id(&'static str),
    Text(&'static str),
}

use Column::{Hex, Id, Text};

/// Rows, each with the texts of these columns.
fn select(url: &str, table: &str, columns: &[Column]) -> Result<Vec<Vec<String>>> {
    let sqlite = url.starts_with("sqlite:");
    let written = columns.iter().map(|column| match (column, sqlite) {
        (Hex(name) | Id(name), true) => format!("coalesce(lower(hex({name})), '')"),
        (Hex(name), false) => format!("coalesce(encode({name}, 'hex'), '')"),
        (Id(name), false) => format!("replace({name}::text, '-', '')"),
        (Text(name), _) => format!("CAST({name} AS text)"),
    });
    let line = written.collect::<Vec<_>>().join(" || ' ' || ");
    let rows = testkit::lines(url, &format!("SELECT {line} AS line FROM {table} ORDER BY 1"))?;
    Ok(rows.into_iter().map(|row| row.split(' ').map(str::to_owned).collect()).collect())
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}

fn exactly<const N: usize>(text: &str) -> Result<[u8; N]> {
    bytes(text)?.try_into().ok().with_context(|| format!("not {N} bytes"))
}

/// What there is of a member.
pub(crate) struct Stolen {
    pub(crate) of: AccountKey,
    pub(crate) public: PublicKeys,
    pub(crate) record: [u8; 192],
    pub(crate) set_up_id: [u8; 32],
    pub(crate) stretching: Stretching,
    pub(crate) password: Wrap,
    pub(crate) recovery: Wrap,
    pub(crate) verifier: RecoveryVerifier,
}

/// An organization key, sealed.
pub(crate) struct StolenGrant {
    pub(crate) user: Uuid,
    pub(crate) version: u32,
    pub(crate) grant: Grant,
    pub(crate) granter_key_id: Uuid,
}

/// All of it.
pub(crate) struct Loot {
    pub(crate) members: Vec<Stolen>,
    pub(crate) grants: Vec<StolenGrant>,
    /// By key id; of those who granted.
    pub(crate) signing: Vec<(Uuid, [u8; 32])>,
    /// States of logins that have begun.
    pub(crate) logins: Vec<Vec<u8>>,
}

impl Loot {
    /// # Errors
    /// The database's.
    pub(crate) fn take(url: &str) -> Result<Self> {
        let keys = [Id("id"), Id("org"), Id("user_id"), Text("version"), Hex("enc_pub"), Hex("sig_pub")];
        let keys = select(url, "account_key", &keys)?;
        let wraps = select(
            url,
            "account_key_wrap",
            &[Id("user_id"), Id("key_id"), Text("kind"), Hex("nonce"), Hex("ciphertext")],
        )?;
        let records =
            [Id("user_id"), Hex("record"), Hex("set_up_id"), Text("memory"), Text("iterations"), Text("parallelism")];
        let records = select(url, "opaque_record", &records)?;
        let verifiers = select(url, "recovery_verifier", &[Id("user_id"), Hex("proof_sha256")])?;
        let wrap = |key: &str, kind: &str| -> Result<Option<Wrap>> {
            let row = wraps.iter().find(|row| row[1] == key && row[2] == kind);
            row.map(|row| Ok(Wrap { nonce: exactly(&row[3])?, ct: exactly(&row[4])? })).transpose()
        };
        let mut members = Vec::new();
        for key in &keys {
            // Of keys that others took the place of there is no wrap.
            let Some(password) = wrap(&key[0], "password")? else { continue };
            let record = records.iter().find(|row| row[0] == key[2]).context("no record")?;
            let verifier = verifiers.iter().find(|row| row[0] == key[2]).context("no verifier")?;
            let member = Member { organization: key[1].parse()?, user: key[2].parse()? };
            members.push(Stolen {
                of: AccountKey { member, key_id: key[0].parse()?, version: key[3].parse()? },
                public: PublicKeys { enc: exactly(&key[4])?, sig: exactly(&key[5])? },
                record: exactly(&record[1])?,
                set_up_id: exactly(&record[2])?,
                stretching: Stretching {
                    memory_kib: record[3].parse()?,
                    passes: record[4].parse()?,
                    lanes: record[5].parse()?,
                },
                password,
                recovery: wrap(&key[0], "recovery")?.context("no recovery wrap")?,
                verifier: RecoveryVerifier(exactly(&verifier[1])?),
            });
        }
        let grants =
            [Id("user_id"), Text("version"), Hex("enc"), Hex("ciphertext"), Hex("signature"), Id("granter_key_id")];
        let grants = select(url, "org_key_grant", &grants)?.into_iter().map(|row| {
            let grant = Grant { enc: exactly(&row[2])?, ct: exactly(&row[3])?, signature: exactly(&row[4])? };
            Ok(StolenGrant { user: row[0].parse()?, version: row[1].parse()?, grant, granter_key_id: row[5].parse()? })
        });
        let logins = select(url, "login_state", &[Hex("state")])?;
        Ok(Self {
            members,
            grants: grants.collect::<Result<_>>()?,
            signing: keys.iter().map(|row| Ok((row[0].parse()?, exactly(&row[5])?))).collect::<Result<_>>()?,
            logins: logins.iter().map(|row| bytes(&row[0])).collect::<Result<_>>()?,
        })
    }

    pub(crate) fn of(&self, user: Uuid) -> Result<&Stolen> {
        self.members.iter().find(|stolen| stolen.of.member.user == user).context("nothing of this member")
    }
}

/// What of the database nobody is given who has not shown a password or a kit.
///
/// # Errors
/// The database's.
pub(crate) fn withheld(url: &str) -> Result<Vec<Secret>> {
    let mut all = Vec::new();
    for (table, columns) in [
        ("account_key_wrap", &[Hex("ciphertext")][..]),
        ("opaque_record", &[Hex("record")]),
        ("org_key", &[Hex("kit_enc"), Hex("kit_ciphertext"), Hex("link_ciphertext")]),
        ("org_key_grant", &[Hex("enc"), Hex("ciphertext")]),
    ] {
        for row in select(url, table, columns)? {
            for (text, column) in row.iter().zip(columns).filter(|(text, _)| !text.is_empty()) {
                let (Hex(name) | Id(name) | Text(name)) = column;
                all.push(Secret::bytes(format!("{table}.{name}"), &bytes(text)?));
            }
        }
    }
    Ok(all)
}

/// All rows of these tables, by table.
///
/// # Errors
/// The database's.
pub(crate) fn rows(url: &str, tables: &[&'static str]) -> Result<Vec<(&'static str, Vec<String>)>> {
    tables.iter().map(|table| Ok((*table, testkit::rows(url, table)?))).collect()
}
