//! Case folding of values whose attribute is not caseExact.

/// The version of [`fold`]; stored beside folded keys, raised when its result changes.
pub const VERSION: u32 = 1;

/// NFKC and full Unicode case folding (Unicode `toNFKC_Casefold`).
pub fn fold(_text: &str) -> String {
    todo!()
}
