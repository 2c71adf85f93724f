//! What can be wrong. No message holds a secret.

/// With an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What was wrong.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Of a message or a stored field.
    #[error("{what} has {found} bytes, and must have {expected}")]
    Length {
        /// What it is of.
        what: &'static str,
        /// In bytes.
        expected: usize,
        /// In bytes.
        found: usize,
    },
    /// Bytes that are no point of the curve, or one that keeps no secret.
    #[error("{0} is not a usable public key")]
    PublicKey(&'static str),
    /// A proof of possession that does not verify.
    #[error("the proof of possession was not made by this key for this account key and challenge")]
    Possession,
    /// The signature of a grant does not verify.
    #[error("the grant was not signed by this granter for this recipient, key and version")]
    GrantSignature,
    /// The grant names another key than the one it should be opened with.
    #[error("the grant was made for another public key than this one")]
    GrantRecipient,
    /// HPKE refused it.
    #[error("the grant does not open with this key: it was sealed for another recipient, organization or version")]
    GrantSealed,
    /// AES-GCM refused it.
    #[error("the {0} wrap does not open: it is of another secret or member, of another key or version, or damaged")]
    Wrap(&'static str),
    /// AES-GCM refused it.
    #[error("the chain does not open: it is of another organization key, organization or version, or damaged")]
    Chain,
    /// A version that nothing comes before.
    #[error("version {0} of an organization key has no previous version")]
    NoPrevious(u32),
    /// After the normalization.
    #[error("the password has {0} bytes, and must have 1 to 1024")]
    PasswordLength(usize),
    /// The client could not log in.
    #[error("the password is wrong")]
    WrongPassword,
    /// The server was not shown that the password is known.
    #[error("the login was not finished by who knows the password")]
    LoginRefused,
    /// Parameters of the key stretching.
    #[error(
        "the key stretching of {memory_kib} KiB, {passes} passes and {lanes} lanes is out of bounds: 19456 to 1048576 KiB, \
         2 to 16 passes and 1 to 4 lanes"
    )]
    Stretching {
        /// In KiB.
        memory_kib: u32,
        /// How often the memory is gone over.
        passes: u32,
        /// How many parts it has.
        lanes: u32,
    },
    /// A message of OPAQUE that is none.
    #[error("{0} is not a message of OPAQUE, or not of this exchange")]
    Opaque(&'static str),
    /// Of a kit.
    #[error("the kit has 24 words, and here are {0}")]
    WordCount(usize),
    /// Of a fingerprint phrase.
    #[error("a fingerprint phrase has eight words, and here are {0}")]
    PhraseLength(usize),
    /// Of a kit or a phrase, counted from 1. The word itself is not told: it may be nearly right.
    #[error("word {0} is not in the list of words")]
    UnknownWord(usize),
    /// Each word is in the list, together they are no kit.
    #[error("the words do not belong together: one of them is another than in the kit, or their order is")]
    WordsChecksum,
    /// The proof is not the one whose hash is stored.
    #[error("the recovery proof is not of this member's kit")]
    RecoveryProof,
}
