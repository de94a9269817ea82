//! Messages as texts: an e-mail by its template, or the body of a webhook call.
//!
//! The body of a webhook call is JSON:
//!
//! ```json
//! { "id": "P-7/alarm hot/1@1773050460000/raised to webhook", "kind": "raised", "at": "2026-03-09T10:01:00.000Z",
//!   "pump": "P-7", "priority": "critical", "title": "Hot", "help": "cool it", "detail": "95.25, limit 93", "occurrence": 1,
//!   "happened_at": "2026-03-09T10:01:00.000Z", "link": "https://volute.example.com/pumps/P-7?at=2026-03-09T10:01:00.000Z" }
//! ```

use std::{collections::BTreeMap, fmt::Write};

use serde_json::json;
use volute_alarm::Priority;
use volute_plant::{PumpId, Timestamp};

use crate::{Line, Message, MessageKind, Policy, Receiver, Templates, Text};

/// Makes the texts of messages.
#[derive(Debug, Clone)]
pub struct Renderer {
    /// The templates of e-mails.
    pub templates: Templates,
    /// The address under which browsers reach the node, such as `https://volute.example.com`.
    pub public_url: String,
}

impl Renderer {
    /// Returns the text of a message.
    pub fn render(&self, message: &Message, policy: &Policy) -> Text {
        match &message.to {
            Receiver::Email(_) => self.templates.render(message.kind, &self.values(message, policy)),
            Receiver::Webhook => Text { subject: message.kind.as_str().to_owned(), body: self.json(message) },
        }
    }

    fn values(&self, message: &Message, policy: &Policy) -> BTreeMap<&'static str, String> {
        let mut values: BTreeMap<&'static str, String> = [
            ("node", self.public_url.clone()),
            ("sent", policy.readable(message.at)),
            ("priority", priority_name(message.priority).to_owned()),
            ("count", message.lines.len().to_string()),
        ]
        .into();
        let Some(line) = message.lines.first() else { return values };
        let pump = message.pump.as_ref().map_or("the node", PumpId::as_str).to_owned();
        let occurrence = if line.occurrence == 0 { String::new() } else { line.occurrence.to_string() };
        values.extend([
            ("pump", pump),
            ("title", line.title.clone()),
            ("help", line.help.clone()),
            ("detail", line.detail.clone()),
            ("at", policy.readable(line.at)),
            ("link", self.link(message.pump.as_ref(), line.at)),
            ("occurrence", occurrence),
            ("lines", self.lines(&message.lines, policy)),
        ]);
        values
    }

    /// Returns the lines of a digest, each with its link.
    fn lines(&self, lines: &[Line], policy: &Policy) -> String {
        let mut text = String::new();
        for line in lines {
            let pump = line.pump().map_or("the node", PumpId::as_str);
            let what = if line.kind == MessageKind::Returned { "over: " } else { "" };
            let (at, priority) = (policy.readable(line.at), priority_name(line.priority));
            // Writing to a string does not fail.
            let _ = match &line.subject {
                Some(_) => writeln!(text, "{at}  {priority}  {pump}: {what}{}", line.title),
                None => writeln!(text, "{}", line.title),
            };
            if !line.detail.is_empty() {
                let _ = writeln!(text, "    {}", line.detail);
            }
            if line.subject.is_some() {
                let _ = writeln!(text, "    {}", self.link(line.pump(), line.at));
            }
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn json(&self, message: &Message) -> String {
        let line = message.lines.first();
        let link = self.link(message.pump.as_ref(), line.map_or(message.at, |line| line.at));
        json!({
            "id": message.id,
            "kind": message.kind,
            "at": message.at,
            "pump": message.pump,
            "priority": message.priority,
            "title": line.map(|line| &line.title),
            "help": line.map(|line| &line.help),
            "detail": line.map(|line| &line.detail),
            "occurrence": line.map(|line| line.occurrence),
            "happened_at": line.map(|line| line.at),
            "subject": line.and_then(|line| line.subject.as_ref()),
            "link": link,
        })
        .to_string()
    }

    /// Returns the address of a pump's page at a time; without a pump, that of all alarms.
    fn link(&self, pump: Option<&PumpId>, at: Timestamp) -> String {
        match pump {
            Some(pump) => format!("{}/pumps/{}?at={at}", self.public_url, percent_encoded(pump.as_str())),
            None => format!("{}/alarms", self.public_url),
        }
    }
}

fn priority_name(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "low",
        Priority::Medium => "medium",
        Priority::High => "high",
        Priority::Critical => "critical",
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use volute_alarm::AlarmId;

    use super::*;
    use crate::Subject;

    fn message(to: Receiver, kind: MessageKind) -> (Message, Policy) {
        let at: Timestamp = "2026-03-09T10:01:00Z".parse().expect("a time");
        let pump: PumpId = "10 PAC/1".parse().expect("an id");
        let subject = Subject::Alarm { pump: Some(pump.clone()), alarm: AlarmId::from_text("hot") };
        let line = Line {
            kind: MessageKind::Raised,
            at,
            subject: Some(subject),
            occurrence: 3,
            priority: Priority::High,
            title: "Bearing hot".into(),
            help: "cool it".into(),
            detail: "95.25, limit 93".into(),
        };
        let message = Message {
            id: "m".into(),
            kind,
            at,
            not_before: at,
            to,
            pump: Some(pump),
            priority: Priority::High,
            lines: vec![line],
        };
        let policy = Policy {
            email: None,
            webhook_from: None,
            at_once: Priority::Critical,
            digest_after_ms: 1,
            remind_after_ms: 1,
            reminders: 0,
            escalate_after_ms: 1,
            max_per_pump_and_hour: 1,
            quiet: BTreeMap::new(),
            zone: chrono_tz::Asia::Kolkata,
        };
        (message, policy)
    }

    fn renderer() -> Renderer {
        let templates = Templates::new(|_| None).expect("valid");
        Renderer { templates, public_url: "https://v.example".into() }
    }

    #[test]
    fn an_email_has_value_help_local_time_and_link() {
        let (message, policy) = message(Receiver::Email("ops@x".into()), MessageKind::Raised);
        let text = renderer().render(&message, &policy);
        assert_eq!(text.subject, "high: Bearing hot at 10 PAC/1");
        for part in [
            "Since: 2026-03-09 15:31:00 IST",
            "Value: 95.25, limit 93",
            "What to do: cool it",
            "https://v.example/pumps/10%20PAC%2F1?at=2026-03-09T10:01:00.000Z",
        ] {
            assert!(text.body.contains(part), "{part} in {}", text.body);
        }
    }

    #[test]
    fn a_digest_has_all_lines_with_links() {
        let (mut message, policy) = message(Receiver::Email("ops@x".into()), MessageKind::Digest);
        message.lines.push(Line { kind: MessageKind::Returned, ..message.lines[0].clone() });
        let text = renderer().render(&message, &policy);
        assert_eq!(text.subject, "2 alarms and events of lower priority");
        assert_eq!(text.body.matches("?at=2026-03-09T10:01:00.000Z").count(), 2);
        assert!(text.body.contains("10 PAC/1: over: Bearing hot"), "{}", text.body);
    }

    #[test]
    fn a_webhook_call_is_json() {
        let (message, policy) = message(Receiver::Webhook, MessageKind::Raised);
        let text = renderer().render(&message, &policy);
        let json: serde_json::Value = serde_json::from_str(&text.body).expect("JSON");
        assert_eq!((json["title"].as_str(), json["occurrence"].as_u64()), (Some("Bearing hot"), Some(3)));
        assert_eq!(json["link"], "https://v.example/pumps/10%20PAC%2F1?at=2026-03-09T10:01:00.000Z");
    }
}
