//! Who sends a request, and what this principal may do.

use std::{collections::BTreeSet, fmt, net::SocketAddr, sync::Arc};

use volute_plant::PumpId;

use crate::{
    credential::CredentialId,
    name::Name,
    permission::{Permission, Role},
};

/// Who sends a request. `Display` is the form in the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user who has logged in.
    User {
        /// The user's name.
        name: Name,
        /// The user's role.
        role: Role,
        /// The session.
        session: CredentialId,
    },
    /// A device or gateway with a pump token.
    PumpToken {
        /// The token's name.
        name: Name,
        /// The token's id.
        id: CredentialId,
        /// The pumps whose readings it may post.
        pumps: Arc<BTreeSet<PumpId>>,
        /// Whether it may register those of them that are new.
        register: bool,
    },
    /// Someone who can open the node's control socket: the user of the system that owns the data directory.
    LocalOperator {
        /// The id of the user in the system.
        uid: u32,
    },
    /// A client without credentials.
    Anonymous {
        /// The client's address; none if it is not known.
        peer: Option<SocketAddr>,
        /// What it may do.
        rights: LocalRights,
    },
}

/// What a client without credentials may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalRights {
    /// Nothing.
    Nothing,
    /// Post readings.
    Ingest,
    /// Everything: the client is on the node's machine, and the node has no users yet.
    Everything,
}

/// Whether clients on the node's machine may post readings without a token once the node has users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnonymousIngest {
    /// They may.
    Loopback,
    /// Nobody may.
    Never,
}

impl LocalRights {
    /// Returns the rights of a client without credentials. `is_local`: the client is a process on the node's machine.
    /// `secured`: the node has users.
    pub fn of(is_local: bool, secured: bool, ingest: AnonymousIngest) -> Self {
        match (is_local, secured, ingest) {
            (true, false, _) => Self::Everything,
            (true, true, AnonymousIngest::Loopback) => Self::Ingest,
            (true, true, AnonymousIngest::Never) | (false, ..) => Self::Nothing,
        }
    }
}

impl Principal {
    /// Returns whether this principal has the permission.
    pub fn may(&self, permission: Permission) -> bool {
        let is_ingest = matches!(permission, Permission::Ingest | Permission::RegisterPumps);
        match self {
            Self::User { role, .. } => role.may(permission),
            Self::PumpToken { register, .. } => {
                permission == Permission::Ingest || (permission == Permission::RegisterPumps && *register)
            }
            Self::LocalOperator { .. } | Self::Anonymous { rights: LocalRights::Everything, .. } => true,
            Self::Anonymous { rights: LocalRights::Ingest, .. } => is_ingest,
            Self::Anonymous { rights: LocalRights::Nothing, .. } => false,
        }
    }

    /// Returns whether this principal, if it may post readings, may post those of this pump.
    pub fn may_post(&self, pump: &PumpId) -> bool {
        match self {
            Self::PumpToken { pumps, .. } => pumps.contains(pump),
            Self::User { .. } | Self::LocalOperator { .. } | Self::Anonymous { .. } => true,
        }
    }

    /// Returns whether the client has shown who it is.
    pub fn is_identified(&self) -> bool {
        !matches!(self, Self::Anonymous { .. })
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name, .. } => write!(f, "user {name}"),
            Self::PumpToken { name, id, .. } => write!(f, "token {name} {id}"),
            Self::LocalOperator { uid } => write!(f, "uid {uid}"),
            Self::Anonymous { peer: Some(peer), .. } => write!(f, "{peer}"),
            Self::Anonymous { peer: None, .. } => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous(rights: LocalRights) -> Principal {
        Principal::Anonymous { peer: "127.0.0.1:9".parse().ok(), rights }
    }

    #[test]
    fn only_a_local_client_may_do_anything_without_credentials() {
        use AnonymousIngest::{Loopback, Never};
        for (is_local, secured, ingest, rights) in [
            (true, false, Loopback, LocalRights::Everything),
            (true, false, Never, LocalRights::Everything),
            (true, true, Loopback, LocalRights::Ingest),
            (true, true, Never, LocalRights::Nothing),
            (false, false, Loopback, LocalRights::Nothing),
            (false, true, Loopback, LocalRights::Nothing),
        ] {
            assert_eq!(LocalRights::of(is_local, secured, ingest), rights, "{is_local} {secured} {ingest:?}");
        }
    }

    #[test]
    fn what_each_principal_may_do() {
        let pumps: Arc<BTreeSet<PumpId>> = Arc::new(["P-1".parse().expect("an id")].into());
        let token = |register| Principal::PumpToken {
            name: "gateway-1".parse().expect("a name"),
            id: CredentialId::from("00"),
            pumps: pumps.clone(),
            register,
        };
        for permission in Permission::all() {
            let (post, register) = (permission == Permission::Ingest, permission == Permission::RegisterPumps);
            assert_eq!(token(false).may(permission), post, "{permission:?}");
            assert_eq!(token(true).may(permission), post || register, "{permission:?}");
            assert_eq!(anonymous(LocalRights::Ingest).may(permission), post || register, "{permission:?}");
            assert!(!anonymous(LocalRights::Nothing).may(permission));
            assert!(anonymous(LocalRights::Everything).may(permission));
            assert!(Principal::LocalOperator { uid: 0 }.may(permission));
        }
        let (own, other) = ("P-1".parse().expect("an id"), "P-2".parse().expect("an id"));
        assert!(token(false).may_post(&own) && !token(true).may_post(&other));
        assert_eq!(token(false).to_string(), "token gateway-1 00");
        assert_eq!(anonymous(LocalRights::Nothing).to_string(), "127.0.0.1:9");
    }
}
