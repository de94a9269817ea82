//! Determines who sends a request that came through a proxy, and whether the client used HTTPS.
//!
//! A proxy adds to each request from whom it has it. Any client can send the same headers, so they are believed only
//! from the addresses in `server.behind_proxy`. With `behind_proxy = "10.0.0.1, 10.0.0.2"`:
//!
//! ```text
//! connection from  X-Forwarded-For                       the client
//! 192.168.1.9      10.0.0.7                              192.168.1.9  it is no proxy, so its header is ignored
//! 10.0.0.1         192.168.1.9                           192.168.1.9
//! 10.0.0.1         6.6.6.6, 192.168.1.9                  192.168.1.9  the client itself sent 6.6.6.6
//! 10.0.0.1         192.168.1.9, 10.0.0.2                 192.168.1.9  through two proxies
//! 10.0.0.1         (none), or what cannot be read        unknown
//! 10.0.0.1         192.168.1.9, and Forwarded: for=…7    unknown      the headers disagree; a client sent one of them
//! ```
//!
//! So the client is the right-most address that is no proxy. If all addresses are proxies, it is the left-most one. An
//! unknown client is never taken for a process on this machine, and shares its count of failed logins with all unknown
//! clients. `Forwarded` is RFC 7239; an element that does not conform makes the client unknown.
//!
//! HTTPS: what the client's element of `Forwarded` says (`proto`), or else `X-Forwarded-Proto`, if it is `https`
//! for every proxy that added to it. Without either, the client's connection counts as what the proxy's own is.
//!
//! Does not believe `X-Forwarded-Host`: the proxy passes `Host` on, or its name is in `server.allowed_hosts`. Does not
//! read `X-Real-IP` and `Via`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName, X_FORWARDED_FOR, X_FORWARDED_PROTO};
use ipnet::IpNet;

/// The proxies whose headers are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// An entry of the list is neither an address nor a network, or it is every address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network, or it is every address")]
pub struct ProxyError(String);

/// Who sends a request, as far as the node can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// The address; its port is 0 if the proxy did not say it. None if it is not known.
    pub(crate) address: Option<SocketAddr>,
    /// Whether the client uses HTTPS.
    pub(crate) https: bool,
}

impl TrustedProxies {
    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns who sends a request on a connection from `peer`. `tls` says whether this connection has TLS.
    pub(crate) fn client(&self, peer: Option<SocketAddr>, tls: bool, headers: &HeaderMap) -> Client {
        let peer = peer.map(canonical);
        if !peer.is_some_and(|peer| self.contains(peer.ip())) {
            return Client { address: peer, https: tls };
        }
        let unknown = Client { address: None, https: self.https(headers).unwrap_or(tls) };
        let hops = match (hops_of_forwarded(headers), hops_of_x_forwarded_for(headers)) {
            (Some(forwarded), None) => forwarded,
            (None, Some(plain)) => plain,
            // A proxy adds to one of them and passes the other on as the client sent it.
            (Some(forwarded), Some(plain)) => {
                let same = matches!((self.choose(&forwarded), self.choose(&plain)),
                    (Some(one), Some(other)) if one.address.is_some() && one.ip() == other.ip());
                if !same {
                    return unknown;
                }
                forwarded
            }
            (None, None) => return unknown,
        };
        match self.choose(&hops) {
            Some(Hop { address, https }) => {
                Client { address: *address, https: https.or_else(|| self.https(headers)).unwrap_or(tls) }
            }
            None => unknown,
        }
    }

    /// Returns the hop of the client: the right-most one that is no proxy. An unknown hop is no proxy.
    fn choose<'a>(&self, hops: &'a [Hop]) -> Option<&'a Hop> {
        let is_proxy = |hop: &&Hop| hop.ip().is_some_and(|ip| self.contains(ip));
        hops.iter().rev().find(|hop| !is_proxy(hop)).or(hops.first())
    }

    /// Returns what `X-Forwarded-Proto` says; none if it is absent.
    fn https(&self, headers: &HeaderMap) -> Option<bool> {
        let values = list_items(headers, X_FORWARDED_PROTO);
        (!values.is_empty()).then(|| values.iter().all(|value| value.eq_ignore_ascii_case("https")))
    }
}

impl FromStr for TrustedProxies {
    type Err = ProxyError;

    /// Parses addresses and networks, separated by commas. The empty text is the empty list.
    fn from_str(text: &str) -> Result<Self, ProxyError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let network = |entry: &str| {
            let address = entry.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
            let network = address.or_else(|_| entry.parse::<IpNet>()).ok();
            // To believe everybody is to believe nobody.
            network.filter(|network| network.prefix_len() > 0).ok_or_else(|| ProxyError(entry.to_owned()))
        };
        text.split(',').map(|entry| network(entry.trim())).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks: Vec<String> = self.0.iter().map(IpNet::to_string).collect();
        f.write_str(&networks.join(", "))
    }
}

/// One element of a header: from whom a proxy had the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hop {
    /// None if the proxy does not say it, or it cannot be read.
    address: Option<SocketAddr>,
    https: Option<bool>,
}

impl Hop {
    const UNKNOWN: Self = Self { address: None, https: None };

    fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip())
    }
}

/// Returns the hops of `X-Forwarded-For` from left to right; none if it is absent.
fn hops_of_x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Hop>> {
    let items = list_items(headers, X_FORWARDED_FOR);
    let hop = |item: &String| Hop { address: node_address(item), https: None };
    (!items.is_empty()).then(|| items.iter().map(hop).collect())
}

/// Returns the hops of `Forwarded` from left to right; none if it is absent. An element that does not conform to RFC
/// 7239 is unknown, and so are all elements of its line, because where it ends is not certain.
fn hops_of_forwarded(headers: &HeaderMap) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    for value in headers.get_all(FORWARDED) {
        let parsed = value.to_str().ok().and_then(parse_forwarded);
        hops.extend(parsed.unwrap_or_else(|| vec![Hop::UNKNOWN]));
    }
    (!hops.is_empty()).then_some(hops)
}

/// Returns the comma-separated items of all lines of a header. A line that is not text is one empty item.
fn list_items(headers: &HeaderMap, name: HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).map(|value| value.to_str().unwrap_or_default());
    lines.flat_map(|line| line.split(',')).map(|item| item.trim().to_owned()).collect()
}

/// Parses one line of `Forwarded`: elements separated by commas, of pairs separated by semicolons.
fn parse_forwarded(line: &str) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    let mut rest = line;
    loop {
        let (hop, after) = parse_element(rest)?;
        hops.push(hop);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(hops),
        }
    }
}

/// Parses one element, and returns it with the text after it.
fn parse_element(text: &str) -> Option<(Hop, &str)> {
    let (mut node, mut proto) = (None, None);
    let mut rest = text;
    loop {
        let (name, after) = parse_token(rest.trim_start())?;
        let (value, after) = parse_value(after.strip_prefix('=')?)?;
        let twice = match name.to_ascii_lowercase().as_str() {
            "for" => node.replace(value).is_some(),
            "proto" => proto.replace(value).is_some(),
            // `by`, `host` and extensions.
            _ => false,
        };
        if twice {
            return None;
        }
        rest = after.trim_start();
        match rest.strip_prefix(';') {
            Some(next) => rest = next,
            None => break,
        }
    }
    let address = node.as_deref().and_then(node_address);
    Some((Hop { address, https: proto.map(|proto: String| proto.eq_ignore_ascii_case("https")) }, rest))
}

fn parse_token(text: &str) -> Option<(&str, &str)> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let end = text.bytes().position(|byte| !is_token(byte)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Parses a token or a quoted string, and returns its value with the text after it.
fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return parse_token(text).map(|(token, rest)| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// Parses `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`. None for anything else, such as `unknown`
/// or a hidden name (`_x`).
fn node_address(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ip = bare.unwrap_or(text).parse::<IpAddr>();
    let address = canonical(ip.map(|ip| SocketAddr::new(ip, 0)).or_else(|_| text.parse::<SocketAddr>()).ok()?);
    // 0.0.0.0 is no client's address.
    (!address.ip().is_unspecified()).then_some(address)
}

/// Returns an IPv4 address in IPv6 form as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PROXIES: &str = "10.0.0.1, 10.0.9.0/24, 127.0.0.1, 2001:db8::/64";

    fn client(peer: &str, tls: bool, headers: &[(&str, &str)]) -> Client {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            map.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let peer = SocketAddr::new(peer.parse().expect("an address"), 4711);
        PROXIES.parse::<TrustedProxies>().expect("proxies").client(Some(peer), tls, &map)
    }

    fn address(peer: &str, headers: &[(&str, &str)]) -> Option<String> {
        client(peer, false, headers).address.map(|address| address.ip().to_string())
    }

    #[test]
    fn the_right_most_address_that_is_no_proxy_is_the_client() {
        for (peer, header, expected) in [
            ("192.168.1.9", "10.0.0.7", Some("192.168.1.9")),
            ("10.0.0.1", "192.168.1.9", Some("192.168.1.9")),
            ("::ffff:10.0.0.1", "192.168.1.9", Some("192.168.1.9")),
            ("10.0.0.1", "6.6.6.6, 192.168.1.9", Some("192.168.1.9")),
            ("10.0.0.1", "127.0.0.1, 192.168.1.9", Some("192.168.1.9")),
            ("10.0.0.1", "nonsense, 192.168.1.9", Some("192.168.1.9")),
            ("10.0.0.1", "192.168.1.9, 10.0.9.77", Some("192.168.1.9")),
            ("10.0.0.1", "192.168.1.9:50123", Some("192.168.1.9")),
            ("10.0.0.1", "[2001:db8:1::5]:50123", Some("2001:db8:1::5")),
            ("10.0.0.1", "2001:db8:1::5", Some("2001:db8:1::5")),
            ("2001:db8::7", "::ffff:192.168.1.9", Some("192.168.1.9")),
            ("10.0.0.1", "10.0.9.4, 10.0.9.5", Some("10.0.9.4")),
            ("10.0.0.1", "192.168.1.9, nonsense", None),
            ("10.0.0.1", "192.168.1.9,", None),
            ("10.0.0.1", "unknown", None),
            ("10.0.0.1", "", None),
            ("10.0.0.1", "0.0.0.0", None),
            ("10.0.0.1", "192.168.1.9 10.0.9.4", None),
            ("10.0.0.1", "192.168.1", None),
            ("10.0.0.1", "192.168.1.9:99999", None),
        ] {
            let got = address(peer, &[("x-forwarded-for", header)]);
            assert_eq!(got.as_deref(), expected, "{peer} {header:?}");
        }
        let two_lines = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "192.168.1.9")];
        assert_eq!(address("10.0.0.1", &two_lines).as_deref(), Some("192.168.1.9"), "the last line is the newest");
        assert_eq!(address("10.0.0.1", &[]), None, "a proxy that does not say for whom");
        assert_eq!(address("127.0.0.1", &[("via", "1.1 proxy")]), None);
        assert_eq!(address("127.0.0.2", &[]).as_deref(), Some("127.0.0.2"), "not in the list");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_says() {
        for (header, expected) in [
            ("for=192.0.2.60", Some("192.0.2.60")),
            ("For=192.0.2.60;proto=http;by=203.0.113.43", Some("192.0.2.60")),
            ("by=203.0.113.43; for=192.0.2.60", Some("192.0.2.60")),
            ("for=192.0.2.43, for=198.51.100.17", Some("198.51.100.17")),
            ("for=192.0.2.43,for=10.0.9.17", Some("192.0.2.43")),
            (r#"for="192.0.2.43:47011""#, Some("192.0.2.43")),
            (r#"for="[2001:db8:cafe::17]:4711""#, Some("2001:db8:cafe::17")),
            (r#"for="[2001:db8:cafe::17]""#, Some("2001:db8:cafe::17")),
            (r#"for="192.0.2\.43""#, Some("192.0.2.43")),
            (r#"host="a,b;for=6.6.6.6";for=192.0.2.43"#, Some("192.0.2.43")),
            ("for=unknown", None),
            ("for=_hidden", None),
            ("for=192.0.2.43, for=_hidden", None),
            ("proto=https", None),
            ("", None),
            ("for", None),
            ("for=", None),
            ("for=192.0.2.43:47011", None),
            ("for=[2001:db8:cafe::17]", None),
            (r#"for="192.0.2.43"#, None),
            (r#"for="192.0.2.43\"#, None),
            ("for=192.0.2.43;for=6.6.6.6", None),
            ("for=192.0.2.43;", None),
            ("for=192.0.2.43,", None),
            ("for=6.6.6.6 for=192.0.2.43", None),
            ("for = 192.0.2.43", None),
            ("192.0.2.43", None),
        ] {
            let got = address("10.0.0.1", &[("forwarded", header)]);
            assert_eq!(got.as_deref(), expected, "{header:?}");
            let direct = address("192.168.1.9", &[("forwarded", header)]);
            assert_eq!(direct.as_deref(), Some("192.168.1.9"), "{header:?} from elsewhere");
        }
    }

    #[test]
    fn two_headers_that_disagree_make_the_client_unknown() {
        let both =
            |forwarded: &str, plain: &str| address("10.0.0.1", &[("forwarded", forwarded), ("x-forwarded-for", plain)]);
        assert_eq!(both("for=192.0.2.1", "192.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(both("for=127.0.0.1", "192.0.2.1"), None);
        assert_eq!(both("for=192.0.2.1", "192.0.2.2"), None);
        assert_eq!(both("for=unknown", "unknown"), None);
        assert_eq!(both("for=\"", "192.0.2.1"), None);
    }

    #[test]
    fn a_proxy_says_whether_the_client_uses_https() {
        let plain = ("x-forwarded-for", "192.0.2.1");
        let https = |peer: &str, tls, headers: &[(&str, &str)]| client(peer, tls, headers).https;
        for (proto, tls, expected) in [
            ("https", false, true),
            ("HTTPS", false, true),
            ("http", true, false),
            ("https, http", false, false),
            ("https,https", false, true),
            ("", true, false),
            ("ftp", false, false),
        ] {
            assert_eq!(https("10.0.0.1", tls, &[plain, ("x-forwarded-proto", proto)]), expected, "{proto:?}");
            assert_eq!(https("192.168.1.9", tls, &[plain, ("x-forwarded-proto", proto)]), tls, "{proto:?} no proxy");
        }
        assert!(https("10.0.0.1", true, &[plain]) && !https("10.0.0.1", false, &[plain]), "the proxy's own connection");
        assert!(https("10.0.0.1", false, &[("forwarded", "for=192.0.2.1;proto=https, for=10.0.9.1;proto=http")]));
        assert!(!https("10.0.0.1", false, &[("forwarded", "proto=https;for=192.0.2.1, for=192.0.2.2;proto=http")]));
    }

    #[test]
    fn the_list_has_addresses_and_networks() {
        assert!("".parse::<TrustedProxies>().expect("empty").is_empty());
        let proxies: TrustedProxies = " 10.0.0.0/8,::1 , ::ffff:192.168.0.1".parse().expect("valid");
        assert_eq!(proxies.to_string(), "10.0.0.0/8, ::1/128, 192.168.0.1/32");
        for wrong in [
            "proxy.example",
            "10.0.0.0/33",
            "10.0.0.1,",
            "10.0.0",
            "10.0.0.1:80",
            "*",
            "0.0.0.0/0",
            "::/0",
            "10.0.0.1 10.0.0.2",
        ] {
            wrong.parse::<TrustedProxies>().expect_err(wrong);
        }
    }

    proptest! {
        /// Whatever a client sends, what the proxy appends decides.
        #[test]
        fn a_client_cannot_choose_its_address(sent in "[ -~]{0,60}", tls in any::<bool>()) {
            let appended = format!("{sent}, 192.0.2.9");
            let got = client("10.0.0.1", tls, &[("x-forwarded-for", &appended)]);
            let ip = got.address.map(|address| address.ip().to_string());
            prop_assert_eq!(ip.as_deref(), Some("192.0.2.9"));
        }

        #[test]
        fn no_forwarded_header_panics(value in "[ -~]{0,80}") {
            let got = client("127.0.0.1", false, &[("forwarded", &value)]);
            prop_assert!(got.address.is_none() || value.to_ascii_lowercase().contains("for="));
        }
    }
}
