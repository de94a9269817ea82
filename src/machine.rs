//! The names and addresses of this machine, and the URL at which people reach a node on it.

use std::net::{IpAddr, SocketAddr};

use crate::config::{Server, TlsMode};

/// Returns the names of this machine, its own first.
pub(crate) fn names() -> Vec<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let own = (!name.is_empty()).then(|| [name.clone(), format!("{name}.local")]);
    own.into_iter().flatten().chain(["localhost".to_owned()]).collect()
}

/// Returns the addresses of this machine's interfaces, those that other machines reach first. None if they cannot be
/// read.
pub(crate) fn addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).filter(has_no_scope).collect();
    addresses.sort_by_key(|address| (address.is_loopback(), address.is_ipv6()));
    addresses.dedup();
    addresses
}

/// Returns the address that people open, for a node that listens on `listen`. It is the first of the configured names if
/// the node is behind a proxy, and an address of this machine if the node listens on all of them.
pub(crate) fn node_url(server: &Server, listen: SocketAddr) -> String {
    url(server, listen, &addresses())
}

fn url(server: &Server, listen: SocketAddr, addresses: &[IpAddr]) -> String {
    if let (false, Some(name)) = (server.behind_proxy.is_empty(), server.allowed_hosts.names().first()) {
        return format!("https://{name}");
    }
    let scheme = if server.tls == TlsMode::Off { "http" } else { "https" };
    let reached = addresses.iter().find(|address| listen.is_ipv6() || address.is_ipv4());
    let ip = if listen.ip().is_unspecified() { reached.copied().unwrap_or(listen.ip()) } else { listen.ip() };
    format!("{scheme}://{}", SocketAddr::new(ip, listen.port()))
}

/// Returns whether an address is complete. A link-local address of IPv6 needs the name of an interface besides.
fn has_no_scope(address: &IpAddr) -> bool {
    !matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    #[test]
    fn the_url_is_what_people_open() {
        let addresses =
            ["192.168.1.20", "127.0.0.1", "2001:db8::5"].map(|address| address.parse().expect("an address"));
        for (listen, tls, proxies, hosts, expected) in [
            ("127.0.0.1:5000", "off", "", "", "http://127.0.0.1:5000"),
            ("127.0.0.1:5000", "self-signed", "", "volute.example", "https://127.0.0.1:5000"),
            ("0.0.0.0:5000", "self-signed", "", "", "https://192.168.1.20:5000"),
            ("[::1]:5000", "off", "", "", "http://[::1]:5000"),
            ("127.0.0.1:5000", "off", "127.0.0.1", "volute.example", "https://volute.example"),
            ("127.0.0.1:5000", "off", "127.0.0.1", "", "http://127.0.0.1:5000"),
        ] {
            let env = [("TLS", tls), ("BEHIND_PROXY", proxies), ("ALLOWED_HOSTS", hosts)];
            let env = env.map(|(key, value)| (format!("VOLUTE__SERVER__{key}").into(), value.into()));
            let server = load(None, env, &[]).expect("valid").config.server;
            assert_eq!(url(&server, listen.parse().expect("an address"), &addresses), expected, "{listen} {tls}");
        }
    }

    #[test]
    fn this_machine_has_a_name_and_a_loopback_address() {
        assert!(names().contains(&"localhost".to_owned()));
        assert!(addresses().iter().any(IpAddr::is_loopback), "{:?}", addresses());
    }
}
