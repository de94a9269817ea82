//! What a person writes about an alarm, a maintenance event or planned work.

use serde::{Deserialize, Serialize};

/// What a person wrote: a comment or a reason. 1 to 1,000 characters, without white space at both ends. Control characters
/// other than tabs and line breaks, and characters that reorder the text around them, are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Comment(String);

/// A comment that is empty or too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not allowed; allowed: {}", Comment::ALLOWED)]
pub struct CommentError;

impl Comment {
    /// Which comments are valid, for error messages.
    pub const ALLOWED: &'static str = "1 to 1000 characters, not only white space";
    const MAX_CHARS: usize = 1_000;

    /// The comment as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Comment {
    type Error = CommentError;

    fn try_from(text: String) -> Result<Self, CommentError> {
        let shown: String = text.chars().filter(|character| !is_hidden(*character)).collect();
        let trimmed = shown.trim();
        if trimmed.is_empty() || trimmed.chars().count() > Self::MAX_CHARS {
            return Err(CommentError);
        }
        Ok(Self(trimmed.to_owned()))
    }
}

/// Whether it is a control character, or one that reorders the text around it.
fn is_hidden(character: char) -> bool {
    let is_break = matches!(character, '\n' | '\r' | '\t');
    (character.is_control() && !is_break) || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl TryFrom<&str> for Comment {
    type Error = CommentError;

    fn try_from(text: &str) -> Result<Self, CommentError> {
        text.to_owned().try_into()
    }
}

impl From<Comment> for String {
    fn from(comment: Comment) -> Self {
        comment.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_trimmed_and_bounded() {
        assert_eq!(Comment::try_from(" seen \n").expect("a comment").as_str(), "seen");
        Comment::try_from("ü".repeat(1_000)).expect("1,000 characters");
        assert_eq!(Comment::try_from("\u{202e}pu\0mp\nhot").expect("a comment").as_str(), "pump\nhot");
        for bad in [String::new(), "\0".into(), " \n ".into(), "ü".repeat(1_001)] {
            Comment::try_from(bad).expect_err("empty or too long");
        }
    }
}
