//! Permissions, roles, and the table that says which role has which permission.
//!
//! A route needs one permission; the table beside the routes (`web/src/routes/mod.rs`) says which. Pump tokens have no
//! role: see [`crate::Principal::may`].

use serde::{Deserialize, Serialize};

/// What a principal can be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// See pumps, readings, detections, maintenance events, and the state of the node.
    View,
    /// See the audit log.
    ViewAudit,
    /// Post readings.
    Ingest,
    /// Register a pump by posting its first reading.
    RegisterPumps,
    /// Acknowledge alarms.
    Acknowledge,
    /// Shelve alarms for some time.
    Shelve,
    /// Plan maintenance.
    Plan,
    /// Submit planned maintenance for approval.
    Submit,
    /// Approve submitted maintenance.
    Approve,
    /// Change maintenance rules and limits.
    EditRules,
    /// Change costs and budgets.
    EditMoney,
    /// Export readings and reports.
    Export,
    /// Name a pump, change its settings and profile, learn and activate its baselines.
    ConfigurePumps,
    /// Remove a pump with everything that is stored of it.
    RemovePumps,
    /// Add and remove profiles and models.
    ManageProfiles,
    /// Start and stop the pumps of a demo.
    Simulate,
    /// Restart parts of the node.
    OperateNode,
    /// Add, change and disable users.
    ManageUsers,
    /// Add and revoke pump tokens.
    ManageTokens,
}

/// The role of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks, and changes nothing.
    Viewer,
    /// Runs the pumps: handles alarms, plans maintenance, sets pumps up.
    Engineer,
    /// Responsible for the plant: approves maintenance.
    PlantHead,
    /// Responsible for costs and budgets.
    Manager,
    /// Runs the node: users, tokens, restarts. Has every permission that another role has, because an admin can add users
    /// of any role.
    Admin,
}

use Permission::{
    Acknowledge, Approve, ConfigurePumps, EditMoney, EditRules, Export, Ingest, ManageProfiles, ManageTokens,
    ManageUsers, OperateNode, Plan, RegisterPumps, RemovePumps, Shelve, Simulate, Submit, View, ViewAudit,
};
use Role::{Admin, Engineer, Manager, PlantHead, Viewer};

/// The roles that have each permission. No role posts readings: pump tokens do.
const GRANTS: [(Permission, &[Role]); 19] = [
    (View, &[Viewer, Engineer, PlantHead, Manager, Admin]),
    (ViewAudit, &[PlantHead, Manager, Admin]),
    (Ingest, &[]),
    (RegisterPumps, &[]),
    (Acknowledge, &[Engineer, PlantHead, Admin]),
    (Shelve, &[Engineer, PlantHead, Admin]),
    (Plan, &[Engineer, PlantHead, Admin]),
    (Submit, &[Engineer, PlantHead, Admin]),
    (Approve, &[PlantHead, Manager, Admin]),
    (EditRules, &[Engineer, Admin]),
    (EditMoney, &[Manager, Admin]),
    (Export, &[Engineer, PlantHead, Manager, Admin]),
    (ConfigurePumps, &[Engineer, Admin]),
    (RemovePumps, &[Admin]),
    (ManageProfiles, &[Engineer, Admin]),
    (Simulate, &[Engineer, Admin]),
    (OperateNode, &[Admin]),
    (ManageUsers, &[Admin]),
    (ManageTokens, &[Admin]),
];

impl Permission {
    /// Returns all permissions.
    pub fn all() -> impl Iterator<Item = Self> {
        GRANTS.iter().map(|(permission, _)| *permission)
    }

    /// Returns its name in the API and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            View => "view",
            ViewAudit => "view-audit",
            Ingest => "ingest",
            RegisterPumps => "register-pumps",
            Acknowledge => "acknowledge",
            Shelve => "shelve",
            Plan => "plan",
            Submit => "submit",
            Approve => "approve",
            EditRules => "edit-rules",
            EditMoney => "edit-money",
            Export => "export",
            ConfigurePumps => "configure-pumps",
            RemovePumps => "remove-pumps",
            ManageProfiles => "manage-profiles",
            Simulate => "simulate",
            OperateNode => "operate-node",
            ManageUsers => "manage-users",
            ManageTokens => "manage-tokens",
        }
    }
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Viewer, Engineer, PlantHead, Manager, Admin];

    /// Returns whether users of this role have the permission.
    pub fn may(self, permission: Permission) -> bool {
        GRANTS.iter().any(|(granted, roles)| *granted == permission && roles.contains(&self))
    }

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Viewer => "viewer",
            Engineer => "engineer",
            PlantHead => "plant-head",
            Manager => "manager",
            Admin => "admin",
        }
    }

    /// Returns the role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_permission_is_in_the_table_once() {
        let all: BTreeSet<_> = Permission::all().collect();
        let names: BTreeSet<_> = Permission::all().map(Permission::as_str).collect();
        assert_eq!((all.len(), names.len()), (GRANTS.len(), GRANTS.len()));
    }

    #[test]
    fn a_viewer_only_looks_and_an_admin_does_all_but_post_readings() {
        let of = |role: Role| Permission::all().filter(|permission| role.may(*permission)).collect::<Vec<_>>();
        assert_eq!(of(Viewer), [View]);
        let not_admin: Vec<_> = Permission::all().filter(|permission| !Admin.may(*permission)).collect();
        assert_eq!(not_admin, [Ingest, RegisterPumps]);
        assert!(!Manager.may(EditRules) && !Engineer.may(EditMoney) && !Engineer.may(Approve));
    }

    #[test]
    fn the_table_in_the_documentation_is_the_same() {
        let text = include_str!("../../docs/security.md");
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
        let mut found = 0;
        for row in rows.iter().filter(|row| row.len() == Role::ALL.len() + 3) {
            let names: Vec<&str> = row[1].split('`').skip(1).step_by(2).collect();
            for permission in Permission::all().filter(|permission| names.contains(&permission.as_str())) {
                let ticks: Vec<bool> = row[2..7].iter().map(|cell| *cell == "✓").collect();
                assert_eq!(ticks, Role::ALL.map(|role| role.may(permission)), "{permission:?}");
                found += 1;
            }
        }
        assert_eq!(found, GRANTS.len() - 2, "all but those of pump tokens");
    }

    #[test]
    fn a_role_is_stored_by_its_name() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).expect("JSON"), role.as_str());
            assert_eq!(Role::named(role.as_str()), Some(role));
        }
        assert_eq!(Role::named("boss"), None);
    }
}
