//! The error responses that several routes share, for the API's description. The responses themselves are made in `problem.rs`.

use utoipa::IntoResponses;

use crate::problem::Problem;

/// Defines responses with problem details, by status.
macro_rules! problems {
    ($($name:ident = $status:literal, $description:literal;)*) => {$(
        #[derive(IntoResponses)]
        #[response(status = $status, description = $description, content_type = "application/problem+json")]
        #[expect(dead_code, reason = "it describes what `problem` sends")]
        pub(crate) struct $name(Problem);
    )*};
}

problems! {
    Invalid = 400, "A parameter is unknown, repeated or has a value that is not allowed";
    NotFound = 404, "The pump or the version is unknown";
    NoSuchUser = 404, "The user is unknown";
    NoSuchToken = 404, "The token is unknown";
    NoSingleSignOn = 404, "No identity provider is configured";
    OtherKindOfUser = 409, "The user logs in with a password, or at the identity provider, and this is for the other kind";
    UserExists = 409, "There is such a user already, or there are 1000 users";
    TooManyTokens = 409, "Two valid tokens have this name, or there are 10,000 valid tokens";
    WrongLogin = 401, "The name, the password, the code or the set-up link is not valid, or a code is needed (`code-needed`)";
    HasSecondFactor = 409, "There is a second factor already";
    TooManyLogins = 429, "Too many logins have failed; Retry-After says when to try again";
    UnknownProfile = 404, "The profile is unknown";
    NoSuchActor = 404, "The actor or stage is unknown";
    Conflict = 409, "No model is loaded, or the version cannot be used with it";
    NameTaken = 409, "A different profile of this name exists, it is the profile of the node's configuration, or the node has 256 profiles already";
    ProfileInUse = 409, "Pumps have the profile, or it is the profile of the node's configuration";
    Unremovable = 409, "The pump is already being removed, or it is simulated";
    WrongState = 409, "The alarm's state does not allow it";
    OtherVersion = 409, "Somebody else has changed the alarms since they were loaded";
    NoSuchAlarm = 404, "The pump or the alarm is unknown";
    WrongStatus = 409, "The event's status does not allow it, or the plan is the user's own";
    NoSuchEvent = 404, "The event is unknown";
    NoSuchWork = 404, "The pump or the work is unknown";
    TooManyWorks = 409, "The pump has 50 planned works that are not over";
    DiskFull = 507, "The disk is full";
    Insufficient = 422, "There are not enough readings to learn a baseline from";
    TooLarge = 413, "The body or the number of items is too large";
    Slow = 408, "The body did not arrive in time";
    ForeignPage = 403, "The request comes from a page of another site";
    Forbidden = 403, "This node is not a demo";
    UnsupportedSimulation = 415, "The body is neither JSON nor CSV";
    Unsupported = 415, "The body is neither JSON nor NDJSON, or it is compressed with something other than gzip";
    TooMany = 429, "The node is overloaded; nothing was accepted. Retry-After says when to try again";
    Unavailable = 503, "The node is stopping, the store is unavailable, or all live streams are in use";
    NotReady = 503, "The node cannot accept readings";
}
