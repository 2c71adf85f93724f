//! Personal data in logs and spans.

use std::fmt;

/// Holds a value that may be personal or secret where it could be logged: `Debug` and `Display` show neither the value
/// nor its length.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Redacted<T>(pub T);

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::Redacted;

    #[test]
    fn nothing_of_the_value_is_shown() {
        let secret = Redacted("jane@example.com");
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
    }
}
