//! Comparison of field and channel names as different senders spell them: `Motor RPM` and `motor_rpm` are the same
//! name.

/// Whether two names are equal but for case, spaces, underscores and dashes.
pub fn names_match(a: &str, b: &str) -> bool {
    fn letters(name: &str) -> impl Iterator<Item = char> {
        name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).map(|c| c.to_ascii_lowercase())
    }
    letters(a).eq(letters(b))
}
