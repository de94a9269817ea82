//! The refusals that several routes have in common, as the API's description has them. What is sent is made in `problem.rs`.

use utoipa::IntoResponses;

use crate::problem::Problem;

/// A response of problem details, by status.
macro_rules! problems {
    ($($name:ident = $status:literal, $description:literal;)*) => {$(
        #[derive(IntoResponses)]
        #[response(status = $status, description = $description, content_type = "application/problem+json")]
        #[expect(dead_code, reason = "it describes what `problem` answers")]
        pub(crate) struct $name(Problem);
    )*};
}

problems! {
    Invalid = 400, "A parameter is unknown, repeated or has a value that is not allowed";
    NotFound = 404, "The pump was never heard of, or there is no such version";
    NoSuchActor = 404, "There is no such actor or stage";
    Conflict = 409, "No model is loaded, or the version cannot be used with it";
    NameTaken = 409, "There is a profile of this name, with other channels or another interval; or the node has 256 already";
    Unremovable = 409, "The pump is being removed already, or it is simulated";
    DiskFull = 507, "The disk is full";
    Insufficient = 422, "These readings do not suffice to learn from";
    TooLarge = 413, "The body or the number of items is too large";
    Slow = 408, "The body did not come in time";
    Forbidden = 403, "This node is not a demo";
    UnsupportedSimulation = 415, "The body is neither JSON nor CSV";
    Unsupported = 415, "The body is neither JSON nor NDJSON, or it is compressed otherwise than with gzip";
    TooMany = 429, "The node has more to do than it can; nothing was taken. Retry-After says when to come back";
    Unavailable = 503, "The node is stopping, the store does not answer, or all live streams are taken";
    NotReady = 503, "The node cannot take readings";
}
