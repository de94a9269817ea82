//! Who may do what: roles and permissions, users, sessions and pump tokens, as plain state machines.
//!
//! An example: an engineer logs in and changes a pump's settings.
//!
//! ```text
//! POST /api/login  {"name":"ada", ...}    Lockout: are there too many failures? If so: refused, before the costly hash
//!                                         password: argon2id of the sent password, compared with the stored hash
//!                                         UserDirectory::plan_login: a new session, as records to be stored
//!                                         once these are durable, UserDirectory::apply: the session is valid
//!                                         the response has the session's credential: vss_<id>_<secret>
//! PUT /api/pumps/P-1/settings  (cookie)   UserDirectory::session: finds <id>, compares the hash of <secret>, checks the limits
//!                                         -> Principal::User { ada, engineer }
//!                                         Principal::may(ConfigurePumps): the role's row in the table of permissions
//! ```
//!
//! The modules, the lowest layer first:
//!
//! ```text
//! permission    what can be allowed, and which role may do it (one table)
//! name          names of users and tokens
//! credential    random secrets of sessions, tokens and set-up links, and their hashes
//! password      rules, argon2id
//! second_factor codes of an authenticator app
//! records       users, sessions and tokens as they are stored
//! principal     who sends a request, and what this principal may do
//! lockout       failed logins by name and address
//! directory     all users, sessions and tokens in memory: look-ups
//! plan          changes: each is planned as records, stored by the caller, and then applied
//! external      users who log in at an identity provider: the role by their groups, and their logins
//! ```
//!
//! Does not store anything (the store does, see `volute-data`), knows nothing of HTTP (see `volute-web`), and reads no
//! clock: time is passed in.

mod credential;
mod directory;
mod error;
mod external;
mod lockout;
mod name;
mod password;
mod permission;
mod plan;
mod principal;
mod records;
mod second_factor;

pub use credential::{Credential, CredentialHash, CredentialId, CredentialKind};
pub use directory::{LookupError, UserDirectory};
pub use error::AccessError;
pub use external::{ExternalLogin, role_of_groups};
pub use lockout::{LockedOut, Lockout};
pub use name::{Name, NameError};
pub use password::{PasswordError, PasswordHash, check_password, hash_password, verify_password};
pub use permission::{Permission, Role};
pub use plan::{Change, NewSession, NewToken, SessionLimits};
pub use principal::{AnonymousIngest, LocalRights, Principal};
pub use records::{ExternalIdentity, PumpToken, Record, Session, SetupLink, User};
pub use second_factor::SecondFactor;
