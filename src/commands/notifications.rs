//! How people are notified: from the configuration, the files that it names, and the environment.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use volute_actors::NotificationSettings;
use volute_alarm::Priority;
use volute_courier::{EmailCourier, EmailSettings, Secret, WebhookCourier, WebhookSettings};
use volute_notify::{Courier, Couriers, EmailPolicy, Policy, Recipient, Renderer, RetryPolicy, Templates};

use crate::{
    config::{Config, Notify},
    secret_file::{SecretPlace, read_authorities, read_secret},
};

/// The environment variables that may have the secrets in place of files.
const PASSWORD_VARIABLE: &str = "VOLUTE_SMTP_PASSWORD";
const SECRET_VARIABLE: &str = "VOLUTE_WEBHOOK_SECRET";

/// Returns how people are notified; none if nobody is. Connects to nothing.
pub(super) fn notification_settings(config: &Config) -> Result<Option<NotificationSettings>> {
    let notify = &config.notify;
    let (true, Some(public_url)) = (notify.is_on(), &config.server.public_url) else { return Ok(None) };
    let couriers = Couriers { email: email(notify)?, webhook: webhook(notify)? };
    let renderer =
        Renderer { templates: templates(notify.templates.as_deref())?, public_url: public_url.as_str().to_owned() };
    let retry = RetryPolicy { first_pause_ms: ms(notify.retry), give_up_after_ms: ms(notify.give_up) };
    Ok(Some(NotificationSettings { policy: policy(notify), renderer, couriers, retry }))
}

fn policy(notify: &Notify) -> Policy {
    let recipient = |(address, from): (&String, &Priority)| Recipient { address: address.clone(), from: *from };
    let email = notify.email.server.as_ref().map(|_| EmailPolicy {
        recipients: notify.email.to.iter().map(recipient).collect(),
        escalate_to: notify.email.escalate_to.0.clone(),
    });
    Policy {
        email,
        webhook_from: (!notify.webhook.url.is_empty()).then_some(notify.webhook.from_priority),
        at_once: notify.at_once,
        digest_after_ms: ms(notify.digest),
        remind_after_ms: ms(notify.remind),
        reminders: u32::try_from(notify.reminders).unwrap_or(u32::MAX),
        escalate_after_ms: ms(notify.escalate),
        max_per_pump_and_hour: notify.max_per_pump_and_hour,
        quiet: notify.quiet.clone(),
        zone: notify.time_zone,
    }
}

fn email(notify: &Notify) -> Result<Option<Arc<dyn Courier>>> {
    let email = &notify.email;
    let Some(server) = &email.server else { return Ok(None) };
    let password =
        secret("notify.email.password_file", email.password_file.path().map(PathBuf::as_path), PASSWORD_VARIABLE)?;
    let login = match (email.user.is_empty(), password) {
        (true, _) => None,
        (false, Some(password)) => Some((email.user.clone(), password)),
        (false, None) => bail!("notify.email.user is set, and there is no password: set notify.email.password_file"),
    };
    let courier = EmailCourier::new(EmailSettings {
        host: server.host.clone(),
        port: server.port,
        tls: email.tls,
        login,
        from: email.from.clone(),
        authorities: read_authorities("notify.email.ca_file", email.ca_file.path().map(PathBuf::as_path))?,
    })?;
    Ok(Some(Arc::new(courier)))
}

fn webhook(notify: &Notify) -> Result<Option<Arc<dyn Courier>>> {
    let webhook = &notify.webhook;
    if webhook.url.is_empty() {
        return Ok(None);
    }
    let secret =
        secret("notify.webhook.secret_file", webhook.secret_file.path().map(PathBuf::as_path), SECRET_VARIABLE)?;
    let secret = secret.context("notify.webhook.url is set, and there is no secret: set notify.webhook.secret_file")?;
    let authorities = read_authorities("notify.webhook.ca_file", webhook.ca_file.path().map(PathBuf::as_path))?;
    Ok(Some(Arc::new(WebhookCourier::new(WebhookSettings { url: webhook.url.clone(), secret, authorities })?)))
}

/// Reads and checks the templates. An error names each mistake with file and line.
fn templates(folder: Option<&Path>) -> Result<Templates> {
    let mut unreadable = None;
    let own = |file: &str| {
        let path = folder?.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                unreadable = Some(format!("{}: {error}", path.display()));
                None
            }
        }
    };
    let templates = Templates::new(own);
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        bail!("notify.templates = {}: there is no such folder", folder.display());
    }
    if let Some(unreadable) = unreadable {
        bail!("notify.templates: {unreadable}");
    }
    templates.map_err(|mistakes| {
        let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let folder = folder.map(|folder| folder.display().to_string()).unwrap_or_default();
        anyhow::anyhow!("notify.templates = {folder}: {}", mistakes.join("; "))
    })
}

/// Reads a secret from the file, or from the environment. None if neither has one.
fn secret(key: &str, file: Option<&Path>, variable: &str) -> Result<Option<Secret>> {
    read_secret(SecretPlace { key, file, variable }, env::var(variable).ok(), Secret::new)
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_secret_is_in_a_file_that_others_cannot_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        fs::write(&file, "swordfish\n").expect("written");
        let with_mode = |mode| {
            fs::set_permissions(&file, Permissions::from_mode(mode)).expect("set");
            secret("notify.webhook.secret_file", Some(&file), "VOLUTE_NO_SUCH_VARIABLE")
        };
        assert_eq!(with_mode(0o600).expect("read"), Secret::new("swordfish"));
        let error = with_mode(0o644).expect_err("others may read it").to_string();
        assert!(error.contains("chmod 600") && !error.contains("swordfish"), "{error}");
    }

    #[test]
    fn a_mistake_in_a_template_names_file_and_line() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(templates(Some(folder.path())).is_ok(), "those that are not there are built in");
        fs::write(folder.path().join("raised.txt"), "Subject: x\n\n{titel}\n").expect("written");
        let error = templates(Some(folder.path())).expect_err("a wrong name").to_string();
        assert!(error.contains("raised.txt, line 3: there is no {titel}; allowed: node, pump"), "{error}");
        assert!(templates(Some(&folder.path().join("nothing"))).is_err());
    }
}
