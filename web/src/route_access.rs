//! What a route needs: the permission of its sender, and the content type of its body. The table of all routes is in
//! `routes/mod.rs`.

use actix_web::{Route, http::Method};
use volute_access::Permission;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteAccess {
    /// Everybody who reaches the node.
    Public,
    /// A user who has logged in, whatever the role.
    User,
    /// Whoever has this permission.
    Needs(Permission),
}

/// The content type of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// There is no body, or the handler checks its type.
    ByHandler,
    /// JSON, also if the body is empty.
    Json,
    /// JSON, also if the body is empty, or CSV.
    JsonOrCsv,
}

/// A method of a path, with its handler.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) path: &'static str,
    /// `GET` includes `HEAD`, unless the path is the live stream's, whose response does not end.
    pub(crate) method: &'static str,
    pub(crate) access: RouteAccess,
    pub(crate) content: Content,
    pub(crate) with_head: bool,
    pub(crate) route: fn() -> Route,
}

impl Operation {
    /// Returns whether it is a command of a person: it changes something, and is no post of readings.
    pub(crate) fn is_command(&self) -> bool {
        self.method != "GET" && self.access != RouteAccess::Needs(Permission::Ingest)
    }

    /// Returns whether it handles requests of this method.
    pub(crate) fn is_for(&self, method: &Method) -> bool {
        method.as_str() == self.method || (self.with_head && *method == Method::HEAD)
    }
}
