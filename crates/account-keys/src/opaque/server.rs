//! The server's side. It learns neither passwords nor export keys, and stretches nothing.

use opaque_ke::{
    CipherSuite, CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload, Ristretto255,
    ServerLogin, ServerLoginParameters, ServerRegistration, ServerSetup, errors::ProtocolError, ksf::Identity,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{KE1, KE2, KE3, RECORD, REGISTRATION_REQUEST, REGISTRATION_RESPONSE, Source, exactly, identifiers};
use crate::{Error, Fill, Member, Result, member::text};

struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = super::KeyExchange;
    type Ksf = Identity;
}

/// Bytes of a set-up, as [`Setup::to_bytes`] gives them.
pub const SETUP: usize = 128;

/// Bytes of what is kept between the two messages of a login.
pub const LOGIN_STATE: usize = 128;

/// OPRF seed and private key. Kept outside the database: without it no guess at a password can be checked.
pub struct Setup(ServerSetup<Suite>);

/// What is kept between the two messages of a login, for seconds.
pub struct LoginState(Zeroizing<[u8; LOGIN_STATE]>);

impl Setup {
    /// A new one. Passwords registered with another cannot be used with it.
    pub fn generate(random: &mut Fill) -> Self {
        Self(ServerSetup::new(&mut Source(random)))
    }

    /// # Errors
    /// [`Error::Length`], [`Error::Opaque`]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bytes = Zeroizing::new(exactly::<SETUP>("the server's set-up", bytes)?);
        ServerSetup::deserialize(bytes.as_slice()).map(Self).map_err(|_| Error::Opaque("the server's set-up"))
    }

    /// What [`Self::from_bytes`] takes.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.serialize().to_vec())
    }

    /// Names the set-up without telling of it: which one a record belongs to.
    pub fn id(&self) -> [u8; 32] {
        Sha256::digest(self.0.keypair().public().serialize()).into()
    }
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Setup(..)")
    }
}

impl LoginState {
    /// # Errors
    /// [`Error::Length`]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Ok(Self(Zeroizing::new(exactly("the state of a login", bytes)?)))
    }

    /// To be kept for as long as a login may take.
    pub fn expose(&self) -> &[u8; LOGIN_STATE] {
        &self.0
    }
}

impl std::fmt::Debug for LoginState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginState(..)")
    }
}

/// The name that the OPRF key is derived with. With the account key's id, so that what is answered to whoever registers for other
/// keys is of no use against the record that there is: it would be a guess that nobody counts.
fn credential(member: &Member, key_id: Uuid) -> String {
    format!("{}/{}", member.identifier(), text(key_id))
}

/// The answer to a registration request for this account key. Nothing is to be kept of it.
///
/// # Errors
/// [`Error::Length`], [`Error::Opaque`]
pub fn register(setup: &Setup, member: &Member, key_id: Uuid, request: &[u8]) -> Result<[u8; REGISTRATION_RESPONSE]> {
    const WHAT: &str = "the registration request";
    let request = exactly::<REGISTRATION_REQUEST>(WHAT, request)?;
    let request = RegistrationRequest::<Suite>::deserialize(&request).map_err(|_| Error::Opaque(WHAT))?;
    let started = ServerRegistration::start(&setup.0, request, credential(member, key_id).as_bytes());
    let message = started.map_err(|_| Error::Opaque(WHAT))?.message.serialize();
    exactly("the registration response", &message)
}

/// What is to be stored of the registration's last message: itself, if it is one.
///
/// # Errors
/// [`Error::Length`], [`Error::Opaque`]
pub fn record(upload: &[u8]) -> Result<[u8; RECORD]> {
    const WHAT: &str = "the registration record";
    let upload = exactly::<RECORD>(WHAT, upload)?;
    let message = RegistrationUpload::<Suite>::deserialize(&upload).map_err(|_| Error::Opaque(WHAT))?;
    exactly(WHAT, &ServerRegistration::<Suite>::finish(message).serialize())
}

/// The answer to a login's first message; `key_id` is what the record was registered for. Without a record it looks as with one, and
/// no password finishes it.
///
/// # Errors
/// [`Error::Length`], [`Error::Opaque`]
pub fn begin_login(
    setup: &Setup,
    member: &Member,
    key_id: Uuid,
    record: Option<&[u8; RECORD]>,
    ke1: &[u8],
    random: &mut Fill,
) -> Result<([u8; KE2], LoginState)> {
    const WHAT: &str = "the login's first message";
    let ke1 = CredentialRequest::<Suite>::deserialize(&exactly::<KE1>(WHAT, ke1)?).map_err(|_| Error::Opaque(WHAT))?;
    let record = record.map(|record| ServerRegistration::<Suite>::deserialize(record)).transpose();
    let record = record.map_err(|_| Error::Opaque("the stored record"))?;
    let identifier = member.identifier();
    let parameters = ServerLoginParameters { context: None, identifiers: identifiers(&identifier) };
    let credential = credential(member, key_id);
    let started = ServerLogin::start(&mut Source(random), &setup.0, record, ke1, credential.as_bytes(), parameters);
    let started = started.map_err(|_| Error::Opaque(WHAT))?;
    let state = Zeroizing::new(started.state.serialize().to_vec());
    Ok((exactly("the login's second message", &started.message.serialize())?, LoginState::from_bytes(&state)?))
}

/// Whether the login's third message is of who knows the password.
///
/// # Errors
/// [`Error::Length`], [`Error::Opaque`], [`Error::LoginRefused`]
pub fn finish_login(member: &Member, state: &LoginState, ke3: &[u8]) -> Result<()> {
    const WHAT: &str = "the login's third message";
    let ke3 = exactly::<KE3>(WHAT, ke3)?;
    let ke3 = CredentialFinalization::<Suite>::deserialize(&ke3).map_err(|_| Error::Opaque(WHAT))?;
    let state = ServerLogin::<Suite>::deserialize(state.expose()).map_err(|_| Error::Opaque("the state of a login"))?;
    let identifier = member.identifier();
    let parameters = ServerLoginParameters { context: None, identifiers: identifiers(&identifier) };
    match state.finish(ke3, parameters) {
        Ok(_session_key) => Ok(()),
        Err(ProtocolError::InvalidLoginError) => Err(Error::LoginRefused),
        Err(_) => Err(Error::Opaque(WHAT)),
    }
}
