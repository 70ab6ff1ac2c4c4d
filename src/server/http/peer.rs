//! The peer of a request: the address that limits count and the log names. It is never an identity: it
//! grants no access, and no answer depends on it. `connection` and `layers` use it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The one header that nginx, Traefik, Envoy and HAProxy (`option forwardfor`) all set. `Forwarded` (RFC
/// 7239) is ignored: a proxy that sets one of the two passes the other through as the client wrote it.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The network part of an IPv6 address. Hosts choose the other 64 bits themselves (RFC 4291, 2.5.1), so one
/// host can have any number of addresses.
const IPV6_NETWORK: u128 = u128::MAX << 64;

/// Who asks: an address, and the user if somebody is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    address: IpAddr,
    user: Option<u64>,
}

/// What limits count as one. Behind an ingress everybody has one address, so people who are signed in count by
/// themselves, however many sessions and tokens they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// An IPv4 address, or the /64 of an IPv6 address. `::1` counts as `127.0.0.1`.
    Network(IpAddr),
    /// The hash of a user, or of the namespace whose service accounts count as one.
    User(u64),
}

impl Peer {
    /// Makes a peer. A listener on `[::]` sees IPv4 clients as `::ffff:192.0.2.1`, which are all in one /64;
    /// they count as IPv4.
    pub fn new(address: IpAddr) -> Self {
        Self { address: address.to_canonical(), user: None }
    }

    /// Returns the same peer, who is signed in.
    pub fn signed_in(self, user: u64) -> Self {
        Self { user: Some(user), ..self }
    }

    /// Returns what limits count.
    pub fn client(self) -> Client {
        match (self.user, self.address) {
            (Some(user), _) => Client::User(user),
            // One machine has both of them.
            (None, IpAddr::V6(Ipv6Addr::LOCALHOST)) => Client::Network(Ipv4Addr::LOCALHOST.into()),
            (None, IpAddr::V4(_)) => Client::Network(self.address),
            (None, IpAddr::V6(address)) => {
                Client::Network(Ipv6Addr::from(u128::from(address) & IPV6_NETWORK).into())
            }
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => address.fmt(f),
            Self::User(user) => write!(f, "user {user:016x}"),
        }
    }
}

impl From<Client> for Peer {
    /// Returns a peer that counts as this client.
    fn from(client: Client) -> Self {
        match client {
            Client::Network(address) => Self::new(address),
            Client::User(user) => Self::new(Ipv4Addr::UNSPECIFIED.into()).signed_in(user),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// The networks of `--trusted-proxies`.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns the peer of a connection; `None` for that of a proxy, which carries the requests of many
    /// clients.
    pub fn peer_of_connection(&self, address: SocketAddr) -> Option<Peer> {
        (!self.contain(address.ip())).then(|| Peer::new(address.ip()))
    }

    /// Returns the peer of a request. On a proxy's connection it is the rightmost forwarded address that is
    /// not a proxy's, since addresses to the left of it may be forged. If there is no such address, it is
    /// the connection's own.
    pub fn peer_of_request(&self, connection: SocketAddr, headers: &HeaderMap) -> Peer {
        let own = Peer::new(connection.ip());
        if !self.contain(connection.ip()) {
            return own;
        }
        self.forwarded_for(headers).map_or(own, Peer::new)
    }

    /// Returns the rightmost forwarded address that is not a proxy's. Every line of the header counts:
    /// HAProxy adds a line of its own after those of the client.
    fn forwarded_for(&self, headers: &HeaderMap) -> Option<IpAddr> {
        for line in headers.get_all(FORWARDED_FOR).iter().rev() {
            let items = line.to_str().ok()?.split(',').map(str::trim);
            for item in items.rev().filter(|item| !item.is_empty()) {
                let address = parse_address(item)?;
                if !self.contain(address) {
                    return Some(address);
                }
            }
        }
        None
    }
}

/// Parses an address as proxies write it, some with the client's port: `192.0.2.1:5678`,
/// `[2001:db8::1]:5678`.
fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().or_else(|_| text.parse().map(|socket: SocketAddr| socket.ip())).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(&["10.42.0.0/16", "192.0.2.7/32", "fd00::/8"].map(|net| net.parse().unwrap()))
    }

    fn peer(connection: &str, lines: &[&'static str]) -> String {
        let lines = lines.iter().map(|line| (FORWARDED_FOR, HeaderValue::from_static(line)));
        let mut headers = HeaderMap::new();
        lines.for_each(|(name, value)| {
            headers.append(name, value);
        });
        let connection = SocketAddr::new(connection.parse().unwrap(), 5678);
        proxies().peer_of_request(connection, &headers).to_string()
    }

    #[test]
    fn a_machine_with_both_protocols_is_one_client_of_its_own() {
        let client = |address: &str| Peer::new(address.parse().unwrap()).client();
        assert_eq!(client("::1"), client("127.0.0.1"));
        assert_ne!(client("::1"), client("::2"), "only this address of the network");
    }

    #[test]
    fn behind_a_proxy_the_rightmost_address_that_is_no_proxy_counts() {
        for (lines, want) in [
            (&["203.0.113.5"][..], "203.0.113.5"),
            (&["203.0.113.5, 10.42.0.9"], "203.0.113.5"),
            (&["203.0.113.5,10.42.0.9 , 192.0.2.7"], "203.0.113.5"),
            // The client wrote what stands to the left.
            (&["8.8.8.8, 203.0.113.5"], "203.0.113.5"),
            (&["8.8.8.8, 203.0.113.5, 10.42.3.4"], "203.0.113.5"),
            (&["not an address, 203.0.113.5"], "203.0.113.5"),
            // HAProxy adds a line and keeps those of the client.
            (&["8.8.8.8", "203.0.113.5"], "203.0.113.5"),
            (&["8.8.8.8, 203.0.113.5", "10.42.0.9"], "203.0.113.5"),
            (&["203.0.113.5:41234"], "203.0.113.5"),
            (&["2001:db8::5"], "2001:db8::5"),
            (&["[2001:db8::5]"], "2001:db8::5"),
            (&["[2001:db8::5]:41234"], "2001:db8::5"),
            (&["::ffff:203.0.113.5"], "203.0.113.5"),
            (&["203.0.113.5, ::ffff:10.42.0.9"], "203.0.113.5"),
            (&["203.0.113.5, , ", ""], "203.0.113.5"),
        ] {
            assert_eq!(peer("10.42.1.2", lines), want, "{lines:?}");
        }
        assert_eq!(peer("::ffff:10.42.1.2", &["203.0.113.5"]), "203.0.113.5");
        assert_eq!(peer("fd00::1", &["203.0.113.5"]), "203.0.113.5");
    }

    #[test]
    fn without_a_usable_address_it_is_the_connection_s_own() {
        for lines in [
            &[][..],
            &[""],
            &["unknown"],
            &["_hidden"],
            &["203.0.113.5, unknown"],
            &["203.0.113.5", "\"\""],
            &["203.0.113.5 8.8.8.8"],
            &["203.0.113.5:x"],
            &["203.0.113.5/24"],
            &["10.42.0.9, 192.0.2.7"],
            &["fe80::1%eth0"],
        ] {
            assert_eq!(peer("10.42.1.2", lines), "10.42.1.2", "{lines:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, HeaderValue::from_bytes(b"\xff").unwrap());
        let peer = proxies().peer_of_request("10.42.1.2:1".parse().unwrap(), &headers);
        assert_eq!(peer.to_string(), "10.42.1.2");
    }

    #[test]
    fn a_stranger_s_header_is_not_read() {
        for stranger in ["203.0.113.9", "10.43.0.1", "192.0.2.8", "::1", "::ffff:203.0.113.9"] {
            let own = Peer::new(stranger.parse().unwrap()).to_string();
            assert_eq!(peer(stranger, &["203.0.113.5"]), own);
        }
    }

    #[test]
    fn a_proxy_s_connection_is_no_single_peer_s() {
        let of = |address: &str| proxies().peer_of_connection(SocketAddr::new(address.parse().unwrap(), 1));
        assert_eq!(of("10.42.0.1"), None);
        assert_eq!(of("::ffff:192.0.2.7"), None);
        assert_eq!(of("203.0.113.5"), Some(Peer::new("203.0.113.5".parse().unwrap())));
    }

    #[test]
    fn an_ipv6_host_counts_by_its_network_and_an_ipv4_one_by_itself() {
        let network = |address: &str| Peer::new(address.parse().unwrap()).client();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2:ffff::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("203.0.113.5"), network("203.0.113.6"));
        assert_eq!(network("::ffff:203.0.113.5"), network("203.0.113.5"));
        assert_ne!(network("::ffff:203.0.113.5"), network("::ffff:203.0.113.6"));
    }
}
