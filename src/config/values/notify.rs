//! Types of the values of `[notify]`.

use std::{collections::BTreeMap, fmt};

use chrono_tz::Tz;
use serde::{
    Deserializer,
    de::{Error, MapAccess, Unexpected, Visitor},
};
use volute_alarm::Priority;
use volute_courier::{EmailTls, is_address};
use volute_notify::QuietHours;

use super::FromText;

/// A mail server: name and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// The name or address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Addresses of e-mail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressList(pub Vec<String>);

const PRIORITIES: [(&str, Priority); 4] =
    [("low", Priority::Low), ("medium", Priority::Medium), ("high", Priority::High), ("critical", Priority::Critical)];

fn priority(name: &str) -> Option<Priority> {
    PRIORITIES.iter().find(|(known, _)| *known == name).map(|(_, priority)| *priority)
}

impl FromText for Priority {
    const ALLOWED: &'static str = r#""low", "medium", "high" or "critical""#;

    fn from_text(text: &str) -> Result<Self, String> {
        priority(text).ok_or_else(|| <Self as FromText>::ALLOWED.into())
    }
}

impl FromText for Tz {
    const ALLOWED: &'static str = "a time zone by its name, such as UTC, Europe/Berlin or Asia/Kolkata";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| Self::ALLOWED.into())
    }
}

impl FromText for EmailTls {
    const ALLOWED: &'static str = r#""starttls", "tls" or "off""#;

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "starttls" => Ok(Self::StartTls),
            "tls" => Ok(Self::Tls),
            "off" => Ok(Self::Off),
            _ => Err(Self::ALLOWED.into()),
        }
    }
}

impl FromText for Option<MailServer> {
    const ALLOWED: &'static str = r#"a name and a port, such as smtp.example.com:587, or "" for none"#;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let server = || {
            let (host, port) = text.rsplit_once(':')?;
            let host = host.trim_matches(['[', ']']);
            let is_host = !host.is_empty() && !host.chars().any(|c| c.is_whitespace() || c == '/');
            let port = port.parse().ok().filter(|port| *port > 0)?;
            is_host.then(|| MailServer { host: host.to_owned(), port })
        };
        server().map(Some).ok_or_else(|| Self::ALLOWED.into())
    }
}

impl FromText for AddressList {
    const ALLOWED: &'static str = r#"addresses of e-mail separated by commas, or "" for none"#;

    fn from_text(text: &str) -> Result<Self, String> {
        let addresses: Vec<String> =
            text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect();
        if addresses.iter().all(|address| is_address(address)) {
            Ok(Self(addresses))
        } else {
            Err(Self::ALLOWED.into())
        }
    }
}

/// Deserialises a table of priorities by address.
pub(in crate::config) fn priorities<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Priority>, D::Error> {
    deserializer.deserialize_map(TableVisitor {
        expecting: r#"the lowest priority for each address, such as { "ops@example.com" = "low" }; the priorities: low, medium, high, critical"#,
        entry: |address, name| Some((is_address(address).then(|| address.to_owned())?, priority(name)?)),
    })
}

/// Deserialises a table of quiet hours by priority.
pub(in crate::config) fn quiet_hours<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Priority, QuietHours>, D::Error> {
    deserializer.deserialize_map(TableVisitor {
        expecting: r#"a part of the day for each priority, such as { low = "22:00-06:00" }; the priorities: low, medium, high, critical"#,
        entry: |name, hours| Some((priority(name)?, QuietHours::parse(hours)?)),
    })
}

struct TableVisitor<K, V> {
    expecting: &'static str,
    entry: fn(&str, &str) -> Option<(K, V)>,
}

impl<'de, K: Ord, V> Visitor<'de> for TableVisitor<K, V> {
    type Value = BTreeMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut table = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            let both = format!("{key} = {value}");
            let entry = (self.entry)(&key, &value);
            let (key, value) = entry.ok_or_else(|| A::Error::invalid_value(Unexpected::Str(&both), &self))?;
            table.insert(key, value);
        }
        Ok(table)
    }
}
