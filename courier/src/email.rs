//! E-mails by SMTP.
//!
//! A connection of its own for each e-mail: they are rare, and a server closes idle connections. `Message-ID` is the same in
//! every attempt, so that mail programs can recognise a repetition. An e-mail that the server may have accepted before has a
//! subject that begins with `[possibly repeated]`, and the header `X-Volute-Possibly-Repeated: yes`.

use std::{fmt, time::Duration};

use lettre::{
    Address, Message,
    message::{
        Mailbox, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{Certificate, CertificateStore, SmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
    },
};
use volute_notify::{Courier, Delivery, Outcome, Receiver};

use crate::{Secret, SettingsError};

/// How long the server may take for each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const REPEATED_HEADER: &str = "X-Volute-Possibly-Repeated";
const AUTO_SUBMITTED_HEADER: &str = "Auto-Submitted";

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailTls {
    /// STARTTLS, which the server must offer.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Not at all.
    Off,
}

/// How e-mails are sent.
#[derive(Debug, Clone)]
pub struct EmailSettings {
    /// The server's name or address.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: EmailTls,
    /// The user at the server with the password; none: without a login.
    pub login: Option<(String, Secret)>,
    /// The sender: `volute@example.com` or `Volute <volute@example.com>`.
    pub from: String,
    /// Certificates (PEM) of the authority that the server's certificate is of; none for those of the web.
    pub authorities: Option<Vec<u8>>,
}

/// Sends e-mails.
pub struct EmailCourier {
    host: String,
    port: u16,
    tls: Option<TlsParameters>,
    tls_from_start: bool,
    login: Option<(String, Secret)>,
    from: Mailbox,
}

/// Returns whether a text is an address to which e-mails can be sent.
pub fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}

impl EmailCourier {
    /// Checks the settings. Does not connect.
    pub fn new(settings: EmailSettings) -> Result<Self, SettingsError> {
        let from: Mailbox = settings.from.parse().map_err(|error| {
            let reason = format!(
                "{:?}: {error}; allowed: \"volute@example.com\" or \"Volute <volute@example.com>\"",
                settings.from
            );
            SettingsError::new("notify.email.from", reason)
        })?;
        let tls = match settings.tls {
            EmailTls::Off => None,
            EmailTls::StartTls | EmailTls::Tls => Some(tls_parameters(&settings)?),
        };
        let EmailSettings { host, port, login, .. } = settings;
        Ok(Self { host, port, tls, tls_from_start: settings.tls == EmailTls::Tls, login, from })
    }

    fn message(&self, delivery: &Delivery, to: Address) -> Result<Vec<u8>, String> {
        let repeated = if delivery.may_be_repeated { "[possibly repeated] " } else { "" };
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .message_id(Some(self.message_id(&delivery.message.id)))
            .subject(format!("{repeated}{}", delivery.text.subject))
            .singlepart(SinglePart::plain(delivery.text.body.clone()))
            .map_err(|error| error.to_string())?;
        let headers = message.headers_mut();
        let mut add = |name: &'static str, value: &str| {
            headers.insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned()));
        };
        add(AUTO_SUBMITTED_HEADER, "auto-generated");
        if delivery.may_be_repeated {
            add(REPEATED_HEADER, "yes");
        }
        Ok(message.formatted())
    }

    /// Returns the same id for the same message.
    fn message_id(&self, id: &str) -> String {
        use sha2::{Digest, Sha256};
        let digest = crate::webhook::hex(&Sha256::digest(id.as_bytes()));
        format!("<{digest}@{}>", self.from.email.domain())
    }

    fn connect(&self) -> Result<SmtpConnection, Error> {
        let hello = ClientId::Domain(self.from.email.domain().to_owned());
        let wrapper = self.tls.as_ref().filter(|_| self.tls_from_start);
        let address = (self.host.as_str(), self.port);
        let mut connection = SmtpConnection::connect(address, Some(ANSWER_TIMEOUT), &hello, wrapper, None)?;
        if let Some(tls) = self.tls.as_ref().filter(|_| !self.tls_from_start) {
            connection.starttls(tls, &hello)?;
        }
        if let Some((user, password)) = &self.login {
            let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials)?;
        }
        Ok(connection)
    }
}

impl fmt::Debug for EmailCourier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailCourier").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Courier for EmailCourier {
    fn send(&self, delivery: &Delivery) -> Outcome {
        let Receiver::Email(address) = &delivery.message.to else {
            return Outcome::Refused("it is not an e-mail".into());
        };
        let Ok(to) = address.parse::<Address>() else {
            return Outcome::Refused(format!("{address:?} is not an address"));
        };
        let bytes = match self.message(delivery, to.clone()) {
            Ok(bytes) => bytes,
            Err(reason) => return Outcome::Refused(reason),
        };
        let mut connection = match self.connect() {
            Ok(connection) => connection,
            // A wrong password can be corrected, so this is not for good.
            Err(error) => return Outcome::NotAccepted(text(&error)),
        };
        let mail = connection.command(Mail::new(Some(self.from.email.clone()), Vec::new()));
        if let Err(error) = mail {
            connection.abort();
            return Outcome::NotAccepted(text(&error));
        }
        let recipient = connection.command(Rcpt::new(to, Vec::new())).and_then(|_| connection.command(Data));
        if let Err(error) = recipient {
            connection.abort();
            return refusal(&error, Outcome::NotAccepted);
        }
        match connection.message(&bytes) {
            Ok(_) => {
                crate::webhook::accepted_failpoint();
                let _ = connection.quit();
                Outcome::Accepted
            }
            Err(error) => {
                connection.abort();
                refusal(&error, Outcome::Unknown)
            }
        }
    }
}

/// Returns what an error says; `otherwise` if the server did not answer.
fn refusal(error: &Error, otherwise: fn(String) -> Outcome) -> Outcome {
    if error.is_permanent() {
        Outcome::Refused(text(error))
    } else if error.is_transient() {
        Outcome::NotAccepted(text(error))
    } else {
        otherwise(text(error))
    }
}

fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn tls_parameters(settings: &EmailSettings) -> Result<TlsParameters, SettingsError> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(pem) = &settings.authorities {
        let ca_file = |reason: String| SettingsError::new("notify.email.ca_file", reason);
        if !String::from_utf8_lossy(pem).contains("BEGIN CERTIFICATE") {
            return Err(ca_file("it has no certificate (PEM)".into()));
        }
        let certificates = Certificate::from_pem(pem).map_err(|error| ca_file(error.to_string()))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificates);
    }
    builder.build_rustls().map_err(|error| SettingsError::new("notify.email.server", text(&error)))
}
