//! Names of fields and channels as different senders spell them: `Motor RPM` and `motor_rpm` are one.

/// Whether two names have the same letters and digits.
pub fn alike(a: &str, b: &str) -> bool {
    fn letters(name: &str) -> impl Iterator<Item = char> {
        name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).map(|c| c.to_ascii_lowercase())
    }
    letters(a).eq(letters(b))
}
