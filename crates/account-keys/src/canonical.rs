//! One sequence of bytes for a label and its fields.

/// For the label and each field its length as 4 bytes, big-endian, then its bytes. Two lists of fields give the same
/// bytes only if they are the same.
///
/// ```
/// assert_eq!(account_keys::canonical("a/v1", &[b"", b"xy"]), b"\0\0\0\x04a/v1\0\0\0\0\0\0\0\x02xy");
/// ```
pub fn canonical(label: &str, fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in std::iter::once(label.as_bytes()).chain(fields.iter().copied()) {
        // Ids, versions, keys and signatures: nothing comes near the end of the length.
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
