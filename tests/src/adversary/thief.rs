//! Whoever has a full dump of both databases and a dictionary with the right password in it: without the file `opaque.key` nothing opens;
//! with it, the right word opens all that its member has, and no other word does. That is the boundary, shown from both sides.

use account_keys::{
    AccountSecret, GrantOf, KitSecret, MemberKeys, OrganizationKey, Recipient,
    opaque::{client::ExportKey, server::Setup},
};
use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256, Sha512};

use super::{
    Cast,
    loot::{Loot, Stolen},
};
use crate::{
    account::{
        secrets::{log_in, random, set_up_of},
        stage::Stage,
    },
    transcript::Transcript,
};

/// Bytes of the OPRF seed, with which a set-up begins.
const SEED: usize = 64;

pub(crate) fn run(stage: &Stage, cast: &Cast, transcript: &Transcript) -> Result<()> {
    transcript.step("The database thief: all rows, and a dictionary with the right password in it");
    let loot = Loot::take(&stage.running.databases()[0])?;
    let victim = loot.of(cast.victim_user)?;
    let dictionary = ["password", "correct horse battery staple", "acme", "12345678", &cast.victim_password, "victim"];

    let set_ups = without_the_file(victim, &loot)?;
    transcript.that("there are several ways without the file", set_ups.len() >= 3)?;
    let opened = attack(victim, &set_ups, &dictionary)?;
    transcript.same("without opaque.key no word opens anything", &words(&opened), &Vec::new())?;

    // The same attack, with the file.
    let opened = attack(victim, &[set_up_of(stage.deployment())?], &dictionary)?;
    transcript.same(
        "with it the right word does, and no other",
        &words(&opened),
        &vec![cast.victim_password.clone()],
    )?;
    let (_, secret) = opened.first().context("nothing opened")?;
    transcript.same(
        "with the file and the word the thief has the keys",
        &MemberKeys::derive(secret).public(),
        &victim.public,
    )?;
    let key = granted(&loot, victim, secret)?;
    transcript.that("and the organization key", key == cast.organization_key)
}

fn words(opened: &[(String, AccountSecret)]) -> Vec<String> {
    opened.iter().map(|(word, _)| word.clone()).collect()
}

/// What a thief may put in the place of the file: a set-up that is freshly made, ones whose seed is what it could be, and whatever in the
/// dump has its length.
fn without_the_file(victim: &Stolen, loot: &Loot) -> Result<Vec<Setup>> {
    let fresh = Setup::generate(&mut random);
    let of_seed = |seed: &[u8]| {
        let mut bytes = fresh.to_bytes();
        bytes[..SEED].copy_from_slice(seed);
        Setup::from_bytes(&bytes)
    };
    let seeds = [vec![0; SEED], [victim.set_up_id; 2].concat()];
    let mut all = seeds.iter().map(|seed| of_seed(seed)).collect::<account_keys::Result<Vec<_>>>()?;
    all.extend(loot.logins.iter().filter_map(|state| Setup::from_bytes(state).ok()));
    all.push(fresh);
    Ok(all)
}

/// Each word, by every way that there is: as OPAQUE has it at these servers, and as if it had been hashed at once.
fn attack(victim: &Stolen, set_ups: &[Setup], dictionary: &[&str]) -> Result<Vec<(String, AccountSecret)>> {
    let mut opened = Vec::new();
    for word in dictionary {
        let mut export_keys = vec![ExportKey::from_bytes(Sha512::digest(word).into())];
        for set_up in set_ups {
            export_keys.extend(log_in(set_up, &victim.of, &victim.record, &victim.stretching, word)?);
        }
        let kit = KitSecret::from_bytes(Sha256::digest(word).into());
        let proven = victim.verifier.verify(&kit.recovery_proof(victim.of.member.user)).is_ok();
        let by_kit = victim.recovery.open_with_kit(&victim.of, &kit).ok();
        let by_password = export_keys.iter().find_map(|key| victim.password.open_with_password(&victim.of, key).ok());
        if let Some(secret) = by_password.or(by_kit) {
            opened.push(((*word).to_owned(), secret));
        } else if proven {
            anyhow::bail!("{word} is a kit");
        }
    }
    Ok(opened)
}

/// The organization key of the newest version that the victim has.
fn granted(loot: &Loot, victim: &Stolen, secret: &AccountSecret) -> Result<OrganizationKey> {
    let user = victim.of.member.user;
    let grant = loot.grants.iter().filter(|grant| grant.user == user).max_by_key(|grant| grant.version);
    let grant = grant.context("no grant")?;
    let granter = loot.signing.iter().find(|(id, _)| *id == grant.granter_key_id).context("no granter")?;
    let of = GrantOf {
        organization: victim.of.member.organization,
        version: grant.version,
        recipient: Recipient::Member { user, key_id: victim.of.key_id, public: victim.public },
        granter_key_id: grant.granter_key_id,
    };
    Ok(grant.grant.open(&of, MemberKeys::derive(secret).opening(), &granter.1)?)
}
