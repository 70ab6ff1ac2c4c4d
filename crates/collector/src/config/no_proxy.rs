//! NO_PROXY, interpreted as Go does (`golang.org/x/net/http/httpproxy`, `config.init` and `useProxy`). Used
//! by [`super::ProxyRules`].

use std::net::IpAddr;

use ipnet::IpNet;
use url::Url;

/// The hosts that are reached without a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy {
    /// Whether `*` is in the list.
    everything: bool,
    networks: Vec<IpNet>,
    addresses: Vec<(IpAddr, Option<u16>)>,
    domains: Vec<Domain>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Domain {
    /// The suffix to match, in lower case and ASCII, with a leading dot.
    suffix: String,
    /// Whether the domain itself matches too: it was written without a leading dot.
    itself: bool,
    port: Option<u16>,
}

impl NoProxy {
    /// Parses a comma-separated list. Items that cannot be understood are ignored.
    pub fn parse(text: &str) -> Self {
        let mut list = Self::default();
        for item in text.split(',').map(|item| item.trim().to_lowercase()).filter(|item| !item.is_empty()) {
            list.add(&item);
        }
        list
    }

    fn add(&mut self, item: &str) {
        if item == "*" {
            self.everything = true;
            return;
        }
        if let Ok(network) = item.parse::<IpNet>() {
            self.networks.push(network);
            return;
        }
        let Some((host, port)) = split_port(item) else { return };
        match host.parse::<IpAddr>() {
            Ok(address) => self.addresses.push((address.to_canonical(), port)),
            Err(_) => self.domains.extend(Domain::parse(host, port)),
        }
    }

    /// Whether a host is reached without a proxy. IPv6 addresses are in brackets, as in URLs.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        if self.everything {
            return true;
        }
        let fits = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => {
                let address = address.to_canonical();
                self.networks.iter().any(|network| network.contains(&address))
                    || self.addresses.iter().any(|(known, port)| *known == address && fits(port))
            }
            Err(_) => {
                let host = host.to_ascii_lowercase();
                self.domains.iter().any(|domain| domain.covers(&host) && fits(&domain.port))
            }
        }
    }
}

/// Splits `host`, `host:port` or `[IPv6]:port`. `None` for an item that matches nothing: a port alone, or a
/// port that is not a number.
fn split_port(item: &str) -> Option<(&str, Option<u16>)> {
    let bracketed = item.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
    let plain = || item.split_once(':').filter(|(_, port)| !port.contains(':'));
    match bracketed.or_else(plain) {
        Some((host, port)) if !host.is_empty() => Some((host, Some(port.parse().ok()?))),
        Some(_) => None,
        None => Some((item, None)),
    }
}

impl Domain {
    /// Parses a domain: `example.com` matches itself and its subdomains, `.example.com` and `*.example.com`
    /// only the subdomains.
    fn parse(host: &str, port: Option<u16>) -> Option<Self> {
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let name = host.strip_prefix('.').unwrap_or(host);
        Some(Self { suffix: format!(".{}", in_ascii(name)?), itself: !host.starts_with('.'), port })
    }

    fn covers(&self, host: &str) -> bool {
        host.ends_with(&self.suffix) || self.itself && *host == self.suffix[1..]
    }
}

/// An internationalized name as it is resolved: in ASCII.
fn in_ascii(name: &str) -> Option<String> {
    if name.is_ascii() {
        return (!name.is_empty()).then(|| name.to_owned());
    }
    Url::parse(&format!("http://{name}/")).ok()?.host_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list and the hosts of the tests of golang.org/x/net/http/httpproxy (`UseProxyTests`, v0.56.0), on
    /// port 80.
    #[test]
    fn hosts_match_as_in_go() {
        let list = NoProxy::parse(
            "foobar.com, .barbaz.net, *.wildcard.io, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, \
             2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64",
        );
        for (host, proxied) in [
            ("[::2]", true),
            ("192.168.1.1", false),
            ("192.168.1.2", true),
            ("192.168.1.3", false),
            ("192.168.1.4", true),
            ("10.0.0.2", false),
            ("[2001:db8::52:0:1]", false),
            ("[2001:db8::52:0:2]", true),
            ("[2001:db8::52:0:3]", false),
            ("[2002:db8:a::123]", false),
            ("[fe80::424b:c8be:1643:a1b6]", true),
            ("barbaz.net", true),
            ("www.barbaz.net", false),
            ("foobar.com", false),
            ("www.foobar.com", false),
            ("foofoobar.com", true),
            ("baz.com", true),
            ("localhost.net", true),
            ("local.localhost", true),
            ("barbarbaz.net", true),
            ("wildcard.io", true),
            ("nested.wildcard.io", false),
            ("awildcard.io", true),
        ] {
            assert_eq!(!list.matches(host, 80), proxied, "{host}");
            assert!(NoProxy::parse("*").matches(host, 80), "{host}");
            assert!(!NoProxy::parse(":1").matches(host, 80), "{host}");
        }
    }

    #[test]
    fn the_list_of_a_corporate_network() {
        let list = NoProxy::parse(".corp,10.0.0.0/8, API.Example.org:6443,fd00::/8,");
        for (host, port, want) in [
            ("api.corp", 6443, true),
            ("corp", 6443, false),
            ("notcorp", 6443, false),
            ("10.96.0.1", 443, true),
            ("[::ffff:10.96.0.1]", 443, true),
            ("11.0.0.1", 443, false),
            ("api.example.org", 6443, true),
            ("API.EXAMPLE.ORG", 6443, true),
            ("deep.api.example.org", 6443, true),
            ("api.example.org", 443, false),
            ("[fd12::1]", 443, true),
            ("[fe80::1]", 443, false),
            // An address is never matched by a domain of the list.
            ("10.0.0.corp", 443, true),
        ] {
            assert_eq!(list.matches(host, port), want, "{host}:{port}");
        }
    }

    /// Lists from public reports: kubernetes/kubernetes#130029 with its misprint, #97704 with a network that
    /// is written as an address of one of its hosts, #58397, and kubernetes-client/javascript#233, where Go
    /// takes the beginning of an address for a name.
    #[test]
    fn lists_that_people_have() {
        for (list, host, want) in [
            (
                "192.168.0.0/16,10.100.0.10,[ocalhost,127.0.0.1,169.254.169.254,.internal",
                "192.168.10.20",
                true,
            ),
            (
                "192.168.0.0/16,10.100.0.10,[ocalhost,127.0.0.1,169.254.169.254,.internal",
                "ip-10-0-0-1.internal",
                true,
            ),
            (
                "192.168.0.0/16,10.100.0.10,[ocalhost,127.0.0.1,169.254.169.254,.internal",
                "10.100.0.11",
                false,
            ),
            ("localhost,127.0.0.1,192.168.0.1/24,10.96.0.0/12,172.16.0.0/16", "192.168.0.7", true),
            ("localhost,127.0.0.1,192.168.0.1/24,10.96.0.0/12,172.16.0.0/16", "10.111.255.254", true),
            ("localhost,127.0.0.1,192.168.0.1/24,10.96.0.0/12,172.16.0.0/16", "10.112.0.1", false),
            ("2001:420:2c50:2021::/64", "[2001:420:2c50:2021::7]", true),
            ("2001:420:2c50:2021::/64", "[2001:420:2c50:2022::7]", false),
            ("10.96.", "10.96.0.1", false),
        ] {
            assert_eq!(NoProxy::parse(list).matches(host, 443), want, "{list}: {host}");
        }
    }

    #[test]
    fn an_address_never_matches_a_name() {
        let list = NoProxy::parse("0.0.1,.1,1,example.com:x,a:b:c");
        for host in ["10.0.0.1", "[::1:1]", "example.com"] {
            assert!(!list.matches(host, 80), "{host}");
        }
    }
}
