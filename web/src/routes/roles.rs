//! `GET /api/roles`: the roles of users, and what each of them may do.
//!
//! Made from the table of permissions (`access/src/permission.rs`). The dashboard uses it where an admin selects a role.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use volute_access::{Permission, Role};

use crate::{
    problem::ApiError,
    query::{NoParameters, Query},
    responses::Invalid,
};

/// The roles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RolesResponse {
    /// From the role that may do least to the one that may do everything.
    items: Vec<RoleResponse>,
}

/// A role.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleResponse {
    /// `viewer`, `engineer`, `plant-head`, `manager` or `admin`.
    #[schema(example = "engineer")]
    role: &'static str,
    /// What users of this role may do, by name, such as `view`.
    permissions: Vec<&'static str>,
}

/// The roles of users, and what each of them may do.
#[utoipa::path(
    get,
    path = "/api/roles",
    tag = "access",
    responses((status = 200, description = "All roles", body = RolesResponse), Invalid)
)]
pub(crate) async fn roles(_: Query<NoParameters>) -> Result<web::Json<RolesResponse>, ApiError> {
    Ok(web::Json(RolesResponse { items: Role::ALL.into_iter().map(RoleResponse::from).collect() }))
}

impl From<Role> for RoleResponse {
    fn from(role: Role) -> Self {
        let permissions = Permission::all().filter(|permission| role.may(*permission));
        Self { role: role.as_str(), permissions: permissions.map(Permission::as_str).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_the_permissions_of_the_table() {
        let roles = Role::ALL.map(RoleResponse::from);
        assert_eq!((roles[0].role, roles[0].permissions.as_slice()), ("viewer", ["view"].as_slice()));
        for (role, response) in Role::ALL.into_iter().zip(&roles) {
            for permission in Permission::all() {
                let is_listed = response.permissions.contains(&permission.as_str());
                assert_eq!(is_listed, role.may(permission), "{} {}", response.role, permission.as_str());
            }
        }
    }
}
