//! The client's side, with the key stretching.

use argon2::{Algorithm, Argon2, Params, Version};
use icu_normalizer::ComposingNormalizerBorrowed;
use opaque_ke::{
    CipherSuite, ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters,
    CredentialResponse, RegistrationResponse, Ristretto255,
    errors::{InternalError, ProtocolError},
    generic_array::{ArrayLength, GenericArray},
    ksf::Ksf,
};
use zeroize::Zeroizing;

use super::{KE1, KE2, KE3, RECORD, REGISTRATION_REQUEST, REGISTRATION_RESPONSE, Source, exactly, identifiers};
use crate::{Error, Fill, Member, Result, Stretching};

/// In bytes, after the normalization.
const LONGEST: usize = 1024;

struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = super::KeyExchange;
    type Ksf = Argon2id;
}

struct Argon2id(Stretching);

impl Default for Argon2id {
    fn default() -> Self {
        Self(Stretching::RECOMMENDED)
    }
}

impl Ksf for Argon2id {
    fn hash<L: ArrayLength<u8>>(
        &self,
        input: GenericArray<u8, L>,
    ) -> std::result::Result<GenericArray<u8, L>, InternalError> {
        let Stretching { memory_kib, passes, lanes } = self.0;
        let mut output = GenericArray::default();
        let params = Params::new(memory_kib, passes, lanes, Some(output.len())).map_err(|_| InternalError::KsfError)?;
        // The input is another for each record already.
        let hashed =
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(&input, &[0; 16], &mut output);
        hashed.map_err(|_| InternalError::KsfError)?;
        Ok(output)
    }
}

/// What was typed, NFKC: the same for whoever's keyboard composes and whoever's does not.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// 64 bytes that a right password gives the client, and the server never has.
#[derive(Clone)]
pub struct ExportKey(Zeroizing<[u8; 64]>);

/// A registration whose answer is awaited.
pub struct Registration {
    password: Password,
    state: ClientRegistration<Suite>,
}

/// A registration that the server only has to store.
#[derive(Debug)]
pub struct Registered {
    /// For the server.
    pub record: [u8; RECORD],
    /// To wrap the account secret with.
    pub export_key: ExportKey,
}

/// A login whose answer is awaited.
pub struct Login {
    password: Password,
    state: ClientLogin<Suite>,
}

/// A login that the server only has to believe.
#[derive(Debug)]
pub struct LoggedIn {
    /// For the server.
    pub ke3: [u8; KE3],
    /// To open the wrap with.
    pub export_key: ExportKey,
}

impl Password {
    /// # Errors
    /// [`Error::PasswordLength`]
    pub fn new(typed: &str) -> Result<Self> {
        // A long one is not even normalized; a character shrinks to a third at most.
        if typed.len() > 16 * LONGEST {
            return Err(Error::PasswordLength(typed.len()));
        }
        let normal = Zeroizing::new(ComposingNormalizerBorrowed::new_nfkc().normalize(typed).into_owned());
        if normal.is_empty() || normal.len() > LONGEST {
            return Err(Error::PasswordLength(normal.len()));
        }
        Ok(Self(normal))
    }
}

impl ExportKey {
    /// One that was had before.
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key itself.
    pub fn expose(&self) -> &[u8; 64] {
        &self.0
    }

    fn of(output: &[u8]) -> Result<Self> {
        Ok(Self(Zeroizing::new(exactly("the export key", output)?)))
    }
}

impl Registration {
    /// What to send, and what to go on with.
    ///
    /// # Errors
    /// [`Error::Opaque`]
    pub fn begin(password: Password, random: &mut Fill) -> Result<(Self, [u8; REGISTRATION_REQUEST])> {
        let started = ClientRegistration::start(&mut Source(random), password.0.as_bytes());
        let started = started.map_err(|_| Error::Opaque("the registration request"))?;
        let request = exactly("the registration request", &started.message.serialize())?;
        Ok((Self { password, state: started.state }, request))
    }

    /// Stretches: a third of a second of work.
    ///
    /// # Errors
    /// [`Error::Stretching`], [`Error::Length`], [`Error::Opaque`]
    pub fn finish(
        self,
        member: &Member,
        response: &[u8],
        stretching: &Stretching,
        random: &mut Fill,
    ) -> Result<Registered> {
        const WHAT: &str = "the registration response";
        stretching.check()?;
        let response = exactly::<REGISTRATION_RESPONSE>(WHAT, response)?;
        let response = RegistrationResponse::deserialize(&response).map_err(|_| Error::Opaque(WHAT))?;
        let (identifier, ksf) = (member.identifier(), Argon2id(*stretching));
        let parameters = ClientRegistrationFinishParameters::new(identifiers(&identifier), Some(&ksf));
        let finished = self.state.finish(&mut Source(random), self.password.0.as_bytes(), response, parameters);
        let finished = finished.map_err(|_| Error::Opaque(WHAT))?;
        let record = exactly("the registration record", &finished.message.serialize())?;
        Ok(Registered { record, export_key: ExportKey::of(&finished.export_key)? })
    }
}

impl Login {
    /// What to send, and what to go on with.
    ///
    /// # Errors
    /// [`Error::Opaque`]
    pub fn begin(password: Password, random: &mut Fill) -> Result<(Self, [u8; KE1])> {
        let started = ClientLogin::start(&mut Source(random), password.0.as_bytes());
        let started = started.map_err(|_| Error::Opaque("the login's first message"))?;
        let ke1 = exactly("the login's first message", &started.message.serialize())?;
        Ok((Self { password, state: started.state }, ke1))
    }

    /// Stretches: a third of a second of work.
    ///
    /// # Errors
    /// [`Error::WrongPassword`], [`Error::Stretching`], [`Error::Length`], [`Error::Opaque`]
    pub fn finish(self, member: &Member, ke2: &[u8], stretching: &Stretching, random: &mut Fill) -> Result<LoggedIn> {
        const WHAT: &str = "the login's second message";
        stretching.check()?;
        let ke2 = CredentialResponse::deserialize(&exactly::<KE2>(WHAT, ke2)?).map_err(|_| Error::Opaque(WHAT))?;
        let (identifier, ksf) = (member.identifier(), Argon2id(*stretching));
        let parameters = ClientLoginFinishParameters::new(None, identifiers(&identifier), Some(&ksf));
        let finished = self.state.finish(&mut Source(random), self.password.0.as_bytes(), ke2, parameters);
        let finished = finished.map_err(|error| match error {
            ProtocolError::InvalidLoginError => Error::WrongPassword,
            _ => Error::Opaque(WHAT),
        })?;
        let ke3 = exactly("the login's third message", &finished.message.serialize())?;
        Ok(LoggedIn { ke3, export_key: ExportKey::of(&finished.export_key)? })
    }
}

/// What holds a secret shows nothing but its name.
macro_rules! redacted {
    ($($name:ident)*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted! { Password ExportKey Registration Login }
