//! Templates: the text of e-mails.
//!
//! An example, the file `raised.txt`:
//!
//! ```text
//! Subject: {priority}: {title} at {pump}
//!
//! {title} at {pump} since {at}.
//! Value: {detail}
//! What to do: {help}
//! {link}
//! ```
//!
//! The first line is the subject. Names between braces are replaced; `{{` and `}}` are braces. A line with names, all of
//! which are empty, is left out. What is put in is put in as it is, and no names in it are replaced; in the subject control
//! characters become spaces.
//!
//! Has no conditions and loops: `{lines}` has all lines of a digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::MessageKind;

/// The names that templates may use.
pub const NAMES: [&str; 12] =
    ["node", "pump", "title", "help", "priority", "detail", "at", "sent", "link", "occurrence", "lines", "count"];

/// The text of an e-mail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The subject: one line.
    pub subject: String,
    /// The body.
    pub body: String,
}

/// A template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {what}")]
pub struct TemplateError {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what is allowed.
    pub what: String,
}

/// A checked template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    subject: Vec<Part>,
    body: Vec<Vec<Part>>,
}

/// The templates of all kinds of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates(BTreeMap<MessageKind, Template>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(&'static str),
}

impl Templates {
    /// Checks the templates. `own` returns the text of a file of the plant, if there is one; otherwise the built-in one is
    /// used. Returns all mistakes.
    pub fn new(mut own: impl FnMut(&str) -> Option<String>) -> Result<Self, Vec<TemplateError>> {
        let (mut templates, mut mistakes) = (BTreeMap::new(), Vec::new());
        for kind in MessageKind::ALL {
            let file = Self::file(kind);
            let text = own(&file).unwrap_or_else(|| built_in(kind).to_owned());
            match Template::parse(&file, &text) {
                Ok(template) => drop(templates.insert(kind, template)),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() { Ok(Self(templates)) } else { Err(mistakes) }
    }

    /// Returns the name of the file of a kind.
    pub fn file(kind: MessageKind) -> String {
        format!("{}.txt", kind.as_str().replace('_', "-"))
    }

    /// Returns the text of a message with these values.
    pub fn render(&self, kind: MessageKind, values: &BTreeMap<&'static str, String>) -> Text {
        self.0.get(&kind).map(|template| template.render(values)).unwrap_or_default()
    }
}

impl Template {
    /// Checks a template.
    pub fn parse(file: &str, text: &str) -> Result<Self, TemplateError> {
        let error = |line: usize, what: String| TemplateError { file: file.to_owned(), line, what };
        let mut lines = text.lines();
        let first = lines.next().and_then(|line| line.strip_prefix("Subject:"));
        let subject = first.ok_or_else(|| error(1, r#"the first line must begin with "Subject:""#.into()))?;
        let subject = parts(subject.trim()).map_err(|what| error(1, what))?;
        if subject.is_empty() {
            return Err(error(1, "the subject is empty".into()));
        }
        let mut body = Vec::new();
        for (number, line) in lines.enumerate() {
            if number == 0 {
                if !line.trim().is_empty() {
                    return Err(error(2, "the line after the subject must be empty".into()));
                }
                continue;
            }
            body.push(parts(line).map_err(|what| error(number + 2, what))?);
        }
        Ok(Self { subject, body })
    }

    /// Puts values in.
    pub fn render(&self, values: &BTreeMap<&'static str, String>) -> Text {
        let value = |name: &str| values.get(name).map_or("", String::as_str);
        let join = |parts: &[Part]| -> String {
            let text = |part: &Part| match part {
                Part::Text(text) => text.clone(),
                Part::Name(name) => value(name).to_owned(),
            };
            parts.iter().map(text).collect()
        };
        let is_shown = |line: &&Vec<Part>| {
            let mut names = line.iter().filter_map(|part| match part {
                Part::Name(name) => Some(value(name)),
                Part::Text(_) => None,
            });
            line.iter().all(|part| matches!(part, Part::Text(_))) || names.any(|value| !value.is_empty())
        };
        let subject = join(&self.subject).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut body = String::new();
        for line in self.body.iter().filter(is_shown) {
            body += &join(line);
            body.push('\n');
        }
        Text { subject, body }
    }
}

fn parts(line: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), line);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        text += before;
        if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
            text.push_str(&brace[..1]);
            rest = after;
            continue;
        }
        let Some((name, after)) = brace.strip_prefix('{').and_then(|name| name.split_once('}')) else {
            return Err(format!("a single {:?}; allowed: {{name}}, and {{{{ or }}}} for a brace", &brace[..1]));
        };
        let known = NAMES.into_iter().find(|known| *known == name);
        let known = known.ok_or_else(|| format!("there is no {{{name}}}; allowed: {}", NAMES.join(", ")))?;
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(Part::Name(known));
        rest = after;
    }
    text += rest;
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

fn built_in(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Raised => include_str!("../templates/raised.txt"),
        MessageKind::Reminder => include_str!("../templates/reminder.txt"),
        MessageKind::Escalation => include_str!("../templates/escalation.txt"),
        MessageKind::Returned => include_str!("../templates/returned.txt"),
        MessageKind::HeldBack => include_str!("../templates/held-back.txt"),
        MessageKind::Digest => include_str!("../templates/digest.txt"),
        MessageKind::Test => include_str!("../templates/test.txt"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(title: &str, help: &str) -> BTreeMap<&'static str, String> {
        [("title", title.to_owned()), ("help", help.to_owned()), ("pump", "P-7".into())].into()
    }

    #[test]
    fn names_are_replaced_and_lines_without_values_left_out() {
        let text = "Subject: {title} at {pump}\n\n{title} {{not a name}}\nDo: {help}\n\nend";
        let template = Template::parse("raised.txt", text).expect("valid");
        let full = template.render(&values("Hot {pump}", "cool\nit"));
        assert_eq!(full.subject, "Hot {pump} at P-7", "what is put in is not a template");
        assert_eq!(full.body, "Hot {pump} {not a name}\nDo: cool\nit\n\nend\n");
        assert_eq!(template.render(&values("a\r\nBcc: x", "")).subject, "a  Bcc: x at P-7");
        assert_eq!(template.render(&values("t", "")).body, "t {not a name}\n\nend\n");
    }

    #[test]
    fn mistakes_name_file_and_line() {
        for (text, message) in [
            ("Hello", "raised.txt, line 1: the first line must begin with \"Subject:\""),
            ("Subject:\n\nbody", "raised.txt, line 1: the subject is empty"),
            ("Subject: a\nbody", "raised.txt, line 2: the line after the subject must be empty"),
            ("Subject: a\n\nb\n{titel}", "raised.txt, line 4: there is no {titel}; allowed: node, pump, title"),
            ("Subject: a\n\n{title", "raised.txt, line 3: a single \"{\"; allowed: {name}"),
            ("Subject: a}\n\n", "raised.txt, line 1: a single \"}\"; allowed: {name}"),
        ] {
            let error = Template::parse("raised.txt", text).expect_err(text).to_string();
            assert!(error.starts_with(message), "{error}");
        }
        let mistakes = Templates::new(|_| Some("x".into())).expect_err("all of them");
        assert_eq!(mistakes.len(), MessageKind::ALL.len());
    }

    #[test]
    fn built_in_templates_are_valid() {
        let templates = Templates::new(|_| None).expect("valid");
        for kind in MessageKind::ALL {
            assert!(!templates.render(kind, &values("Hot", "")).subject.is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_a_mistake(text in "(Subject:)?[{}a-z\n ä]{0,60}") {
            if let Ok(template) = Template::parse("t", &text) {
                prop_assert!(!template.render(&values("t", "h")).subject.contains('\n'));
            }
        }
    }
}
