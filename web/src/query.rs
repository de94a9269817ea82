//! Query parameters, parsed strictly: an unknown one, a repeated one and a bad value each have an answer
//! that names it.

use actix_web::web;
use volute_plant::{Profile, PumpId, PumpIdError, Timestamp};

use crate::problem::ApiError;

/// How long a list is if nothing else is asked for.
const DEFAULT_LIMIT: usize = 1000;
/// How long a list can be.
const MAX_LIMIT: usize = 10_000;

/// The parameters of one request, all of them known.
#[derive(Debug)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Splits and decodes a query string. Only `channel` may come more than once.
    pub(crate) fn parse(query: &str, known: &[&str]) -> Result<Self, ApiError> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|error| ApiError::invalid("", query, "name=value pairs joined by &", &error.to_string()))?
            .into_inner();
        for (place, (name, value)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let allowed = if known.is_empty() { "no parameter".into() } else { known.join(", ") };
                return Err(ApiError::invalid(name, value, allowed, "no such parameter"));
            }
            if name != "channel" && pairs[..place].iter().any(|(earlier, _)| earlier == name) {
                return Err(ApiError::invalid(name, value, "one value", "given more than once"));
            }
        }
        Ok(Self(pairs))
    }

    /// A parameter's text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// `pump_id`.
    pub(crate) fn pump(&self) -> Result<Option<PumpId>, ApiError> {
        self.text("pump_id").map(|text| parse_pump("pump_id", text)).transpose()
    }

    /// `from` or `to`.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        self.parsed(name, Timestamp::ALLOWED, parse_time)
    }

    /// `from` and `to`, in this order.
    pub(crate) fn span(&self) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
        let (from, to) = (self.time("from")?, self.time("to")?);
        if let (Some(from), Some(to)) = (from, to)
            && to < from
        {
            return Err(ApiError::invalid("to", &to.to_string(), format!("{from} or later"), "before from"));
        }
        Ok((from, to))
    }

    /// `limit`: how many items are asked for.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        let in_range = |text: &str| text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        Ok(self.parsed("limit", &format!("1 to {MAX_LIMIT}"), in_range)?.unwrap_or(DEFAULT_LIMIT))
    }

    /// `points`: into how many items at most a stretch is summed up.
    pub(crate) fn points(&self) -> Result<Option<usize>, ApiError> {
        let in_range = |text: &str| text.parse().ok().filter(|points| (2..=MAX_LIMIT).contains(points));
        self.parsed("points", &format!("2 to {MAX_LIMIT}"), in_range)
    }

    /// Whether a parameter is there.
    pub(crate) fn given(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// A parameter that is `true` or `false`; absent is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        Ok(self.parsed(name, "true, false", |text| text.parse().ok())?.unwrap_or(false))
    }

    /// `channel`, repeated or separated by commas: places in the profile, in its order; all if none is named.
    pub(crate) fn channels(&self, profile: &Profile) -> Result<Vec<usize>, ApiError> {
        let all = 0..profile.channels().len();
        if self.text("channel").is_none() {
            return Ok(all.collect());
        }
        let mut wanted = vec![false; profile.channels().len()];
        for name in self.0.iter().filter(|(n, _)| n == "channel").flat_map(|(_, value)| value.split(',')) {
            let Some(index) = profile.index_of(name) else {
                let allowed = profile.channel_names().collect::<Vec<_>>().join(", ");
                return Err(ApiError::invalid("channel", name, allowed, "no such channel"));
            };
            wanted[index] = true;
        }
        Ok(all.filter(|&index| wanted[index]).collect())
    }

    /// A parameter through a parser of its own.
    pub(crate) fn parsed<T>(
        &self,
        name: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| ApiError::invalid(name, text, allowed, "not allowed here"))
    }
}

/// The pump that a parameter names, or a part of a path, once it is decoded.
pub(crate) fn parse_pump(field: &str, text: &str) -> Result<PumpId, ApiError> {
    text.parse().map_err(|no: PumpIdError| ApiError::invalid(field, text, PumpId::ALLOWED, &no.why()))
}

fn parse_time(text: &str) -> Option<Timestamp> {
    // A `+` that was not percent-encoded arrives as a space: 10:14:33 05:30.
    text.parse().or_else(|_| text.replace(' ', "+").parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::tests::profile;

    fn refused<T: std::fmt::Debug>(result: Result<T, ApiError>) -> (String, String) {
        match result {
            Err(ApiError::Invalid(no)) => (no.field, no.value.as_str().expect("text").to_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused_by_name() {
        let parse = |query| Params::parse(query, &["limit", "channel"]);
        assert_eq!(refused(parse("limit=1&limt=2")), ("limt".into(), "2".into()));
        assert_eq!(refused(parse("limit=1&limit=2")), ("limit".into(), "2".into()));
        assert_eq!(refused(Params::parse("a=1", &[])), ("a".into(), "1".into()));
        assert!(parse("channel=a&channel=b&limit=3").is_ok());
    }

    #[test]
    fn times_come_as_text_or_milliseconds() {
        for text in [
            "2026-03-09T10:14:33Z",
            "2026-03-09T15:44:33%2B05:30",
            "2026-03-09T15:44:33+05:30",
            "1773051273000",
            "1773051273",
        ] {
            let params = Params::parse(&format!("from={text}"), &["from"]).expect(text);
            assert_eq!(params.time("from").expect(text).map(Timestamp::millis), Some(1_773_051_273_000), "{text}");
        }
        for bad in ["", "yesterday", "17730512", "2026-03-09", "99999999999999999999"] {
            let params = Params::parse(&format!("to={bad}"), &["to"]).expect(bad);
            assert_eq!(refused(params.time("to")), ("to".into(), bad.into()));
        }
    }

    #[test]
    fn limits_have_limits() {
        let limit = |query: &str| Params::parse(query, &["limit"]).expect(query).limit();
        assert_eq!(limit("").expect("the default"), 1000);
        assert_eq!(limit("limit=10000").expect("the most"), 10_000);
        for bad in ["0", "10001", "-1", "many", "1.5", ""] {
            assert_eq!(refused(limit(&format!("limit={bad}"))), ("limit".into(), bad.into()));
        }
    }

    #[test]
    fn flags_and_names_are_checked() {
        let flag = |query| Params::parse(query, &["only_anomalies"]).expect(query).flag("only_anomalies");
        assert!(!flag("").expect("absent") && flag("only_anomalies=true").expect("true"));
        assert_eq!(refused(flag("only_anomalies=1")), ("only_anomalies".into(), "1".into()));
        let pump = |query: &str| Params::parse(query, &["pump_id"]).expect(query).pump();
        for (query, id) in [("P-1", "P-1"), ("a%20b", "a b"), ("a+b", "a b"), ("%2BA%26B", "+A&B"), ("Fo%CC%88", "Fö")]
        {
            let pump = pump(&format!("pump_id={query}")).expect(query);
            assert_eq!(pump.as_ref().map(PumpId::as_str), Some(id), "{query}");
        }
        assert_eq!(refused(pump("pump_id=a%0Ab")), ("pump_id".into(), "a\nb".into()));
        assert_eq!(refused(pump("pump_id=..")), ("pump_id".into(), "..".into()));
    }

    #[test]
    fn channels_are_repeated_or_listed_and_come_in_the_profiles_order() {
        let profile = profile();
        let channels = |query| Params::parse(query, &["channel"]).expect(query).channels(&profile);
        for (query, expected) in
            [("", vec![0, 1]), ("channel=Q", vec![1]), ("channel=Q,Tb", vec![0, 1]), ("channel=Q&channel=Q", vec![1])]
        {
            assert_eq!(channels(query).expect(query), expected, "{query}");
        }
        assert_eq!(refused(channels("channel=Tb,Torque")), ("channel".into(), "Torque".into()));
        assert_eq!(refused(channels("channel=")), ("channel".into(), String::new()));
    }
}
