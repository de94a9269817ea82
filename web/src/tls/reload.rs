//! Decides whether what is in the files replaces the certificate in use. Time and files are passed in.
//!
//! - A valid pair is used at once.
//! - A pair that cannot be used never replaces one that can. It is reported when it was the same at two polls, because
//!   two files cannot be replaced in one step; at once if a person asked for the reload.
//! - A pair that is valid only later is used then: its time is checked at each poll.
//! - A certificate that will expire soon is reported, as is one that has expired.

use volute_plant::Timestamp;

use super::pair::{CertificatePair, PairError};

/// How long before its end a certificate is reported.
const WARN_BEFORE_MS: i64 = 14 * DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// The texts of a certificate's file and of its key's file.
#[derive(Debug, Clone)]
pub struct PemFiles {
    /// The chain, the node's certificate first.
    pub chain: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

/// Keeps a server's certificate current.
#[derive(Debug)]
pub struct Reloader {
    current: CertificatePair,
    /// Why the files could not be used at the last poll.
    failed: Option<String>,
    problem: Option<String>,
}

impl PemFiles {
    /// Parses them.
    pub fn parse(&self) -> Result<CertificatePair, PairError> {
        CertificatePair::parse(&self.chain, &self.key)
    }
}

impl Reloader {
    /// Begins with the certificate in use. It may have expired: the node is needed all the same.
    pub fn new(current: CertificatePair, now: Timestamp) -> Self {
        let problem = expiry(&current, now);
        Self { current, failed: None, problem }
    }

    /// Returns the certificate in use.
    pub fn current(&self) -> &CertificatePair {
        &self.current
    }

    /// Returns what is wrong, and what to do.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Takes what is in the files now, or why they cannot be read. `requested` says that a person asked for it. Returns
    /// whether another certificate is in use now.
    pub fn poll(&mut self, files: Result<PemFiles, String>, now: Timestamp, requested: bool) -> bool {
        let candidate = files.and_then(|files| files.parse().map_err(|error| error.to_string()));
        let (replaced, failure) = match candidate {
            Ok(pair) if pair.is_same(&self.current) => (false, None),
            Ok(pair) => match pair.check_time(now) {
                Ok(()) => {
                    self.current = pair;
                    (true, None)
                }
                Err(error) => (false, Some(error.to_string())),
            },
            Err(reason) => (false, Some(reason)),
        };
        let is_certain = requested || failure == self.failed;
        let reported = match (&failure, is_certain) {
            (Some(reason), true) => Some(format!(
                "the new TLS certificate is not used, the last good one is: {reason}. Correct the files of server.tls and \
                 server.tls_key; they are read again every few seconds"
            )),
            _ => None,
        };
        // A failure that is not certain leaves what was reported before.
        if failure.is_none() || is_certain {
            self.problem = reported.or_else(|| expiry(&self.current, now));
        }
        self.failed = failure;
        replaced
    }
}

/// Returns a message about a certificate that will expire soon or has expired, or is not valid yet.
fn expiry(pair: &CertificatePair, now: Timestamp) -> Option<String> {
    const WHAT_TO_DO: &str = "put a new one into the files of server.tls and server.tls_key";
    let left_ms = pair.expires_in_ms(now);
    match pair.check_time(now) {
        Err(error @ PairError::Expired(_)) => Some(format!("TLS: {error}; {WHAT_TO_DO}")),
        Err(error) => Some(format!("TLS: {error}")),
        Ok(()) if left_ms < WARN_BEFORE_MS => {
            let days = left_ms / DAY_MS;
            Some(format!("the TLS certificate expires in {days} days, on {}; {WHAT_TO_DO}", pair.expires()))
        }
        Ok(()) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::self_signed::self_signed;

    fn day(day: i64) -> Timestamp {
        let first: Timestamp = "2026-03-09T10:00:00Z".parse().expect("a time");
        first.plus_ms(day * DAY_MS)
    }

    /// Returns a certificate made on a day, and its key. It is valid for 396 days from then on.
    fn files(made_on: i64) -> PemFiles {
        let pem = self_signed(&["plant-7".to_owned()], &[], day(made_on)).expect("made").into_bytes();
        PemFiles { chain: pem.clone(), key: pem }
    }

    fn started(files: &PemFiles, on: i64) -> Reloader {
        Reloader::new(files.parse().expect("a pair"), day(on))
    }

    #[test]
    fn a_new_pair_replaces_the_old_one_at_once() {
        let (old, new) = (files(0), files(100));
        let mut reloader = started(&old, 0);
        assert!(!reloader.poll(Ok(old), day(100), false), "nothing new");
        assert!(reloader.poll(Ok(new.clone()), day(100), false));
        assert!(reloader.current().is_same(&new.parse().expect("a pair")));
        assert!(!reloader.poll(Ok(new), day(100), false), "once");
        assert_eq!(reloader.problem(), None);
    }

    #[test]
    fn a_pair_that_cannot_be_used_leaves_the_last_good_one() {
        let (old, other) = (files(0), files(1));
        let mixed = PemFiles { chain: other.chain.clone(), key: old.key.clone() };
        let garbage = PemFiles { chain: b"hello".to_vec(), key: old.key.clone() };
        let bad: [(Result<PemFiles, String>, &str); 5] = [
            (Ok(mixed), "does not belong"),
            (Ok(garbage), "no certificate"),
            (Ok(files(-500)), "expired on"),
            (Ok(files(300)), "valid from"),
            (Err("tls.pem: No such file or directory".into()), "No such file"),
        ];
        for (bad, expected) in bad {
            let mut reloader = started(&old, 0);
            assert!(!reloader.poll(bad.clone(), day(2), false));
            assert_eq!(reloader.problem(), None, "{expected}: the files may be half replaced");
            assert!(!reloader.poll(bad.clone(), day(2), false));
            let problem = reloader.problem().unwrap_or_default();
            assert!(problem.contains(expected) && problem.contains("Correct the files"), "{problem}");
            assert!(reloader.current().is_same(&old.parse().expect("a pair")));
            assert!(!reloader.poll(Ok(old.clone()), day(2), false));
            assert_eq!(reloader.problem(), None, "{expected}: put right");

            let mut reloader = started(&old, 0);
            reloader.poll(bad, day(2), true);
            assert!(reloader.problem().is_some(), "{expected}: reported at once to who asked");
        }
    }

    #[test]
    fn half_replaced_files_are_not_reported() {
        let (old, new) = (files(0), files(1));
        let half = PemFiles { chain: new.chain.clone(), key: old.key.clone() };
        let mut reloader = started(&old, 1);
        assert!(!reloader.poll(Ok(half), day(1), false));
        assert!(reloader.poll(Ok(new), day(1), false));
        assert_eq!(reloader.problem(), None);
    }

    #[test]
    fn a_certificate_of_later_is_used_when_its_time_comes() {
        let (old, later) = (files(0), files(30));
        let mut reloader = started(&old, 0);
        assert!(!reloader.poll(Ok(later.clone()), day(10), true));
        assert!(reloader.problem().is_some_and(|problem| problem.contains("valid from")));
        assert!(reloader.poll(Ok(later), day(30), false));
        assert_eq!(reloader.problem(), None);
    }

    #[test]
    fn the_end_of_a_certificate_is_reported_two_weeks_before() {
        let old = files(0);
        for (on, expected) in [(0, None), (381, None), (384, Some("expires in 12 days")), (396, Some("expired on"))] {
            let problem = started(&old, on).problem().map(str::to_owned);
            assert_eq!(problem.is_some(), expected.is_some(), "day {on}: {problem:?}");
            let mut polled = started(&old, 0);
            polled.poll(Ok(old.clone()), day(on), false);
            assert_eq!(polled.problem(), problem.as_deref(), "day {on}");
            assert!(problem.unwrap_or_default().contains(expected.unwrap_or_default()), "day {on}");
        }
        let mut expired = started(&old, 396);
        assert!(expired.poll(Ok(files(390)), day(396), false), "a new one replaces an expired one");
        assert_eq!(expired.problem(), None);
    }
}
