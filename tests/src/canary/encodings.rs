//! The ways in which a text may stand where nobody expects it.
//!
//! Not here: looking for them.

use std::fmt::Write as _;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// What is looked for, and under which name it is told.
pub(crate) struct Encoding {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// Base64, where another case is another text.
    pub(crate) case_matters: bool,
}

/// Each way once: those that leave the text as it is are left out.
pub(crate) fn of_text(text: &str) -> Vec<Encoding> {
    let units = |text: &str| text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
    let json = serde_json::Value::from(text).to_string();
    let ascii = |c: char| if c.is_ascii() { c.to_string() } else { units(&c.to_string()) };
    let ascii_json: String = inner(&json).chars().map(ascii).collect();
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let mut all = of_bytes(text.as_bytes());
    for (name, bytes) in [
        ("reversed", text.chars().rev().collect::<String>().into_bytes()),
        ("percent-encoded", percent(text, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)).into_bytes()),
        ("percent-encoded throughout", percent(text, |_| false).into_bytes()),
        ("form-encoded", testkit::client::form_encode(text).into_bytes()),
        ("JSON", inner(&json).into()),
        ("JSON in ASCII", ascii_json.into_bytes()),
        ("JSON, escaped throughout", units(text).into_bytes()),
        // A message in a message: JSON logs hold what other code printed.
        ("JSON in JSON", inner(&serde_json::Value::from(inner(&json)).to_string()).into()),
        ("Rust's Debug", inner(&format!("{text:?}")).into()),
        ("UTF-16, little end first", little),
        ("UTF-16, big end first", big),
    ] {
        if all.iter().all(|known| known.bytes != bytes) {
            all.push(Encoding { name: name.to_owned(), bytes, case_matters: false });
        }
    }
    all
}

/// As [`of_text`], of what is no text.
pub(crate) fn of_bytes(bytes: &[u8]) -> Vec<Encoding> {
    let list = bytes.iter().map(u8::to_string).collect::<Vec<_>>();
    let escaped = bytes.escape_ascii().to_string();
    let mut all: Vec<Encoding> = [
        ("plain", bytes.to_vec()),
        ("hexadecimal", hex(bytes).into_bytes()),
        ("a list of bytes", list.join(", ").into_bytes()),
        ("a JSON list of bytes", list.join(",").into_bytes()),
    ]
    .map(|(name, bytes)| Encoding { name: name.to_owned(), bytes, case_matters: false })
    .into();
    if escaped.as_bytes() != bytes {
        all.push(Encoding { name: "escaped bytes".to_owned(), bytes: escaped.into_bytes(), case_matters: false });
    }
    for before in 0..3 {
        let shifted = [&[0; 2][..before], bytes].concat();
        // Only digits that are made of the text's bits alone: they are the same whatever stands around it.
        let digits = (before * 8).div_ceil(6)..shifted.len() * 8 / 6;
        for (alphabet, encoded) in
            [("base64", STANDARD_NO_PAD.encode(&shifted)), ("base64url", URL_SAFE_NO_PAD.encode(&shifted))]
        {
            let bytes = encoded.as_bytes().get(digits.clone()).unwrap_or_default().to_vec();
            if all.iter().all(|known| known.bytes != bytes) {
                let name = format!("{alphabet}, {before} bytes before it");
                all.push(Encoding { name, bytes, case_matters: true });
            }
        }
    }
    all
}

/// In lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn percent(text: &str, stays: impl Fn(u8) -> bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if stays(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Without the quotes around it.
fn inner(quoted: &str) -> &str {
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(quoted)
}
