//! Opens the listening socket of the server, and finds the addresses at which it can be reached from this
//! machine. Used by `main`.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::config::Listen;

/// Most connections that wait to be accepted; Tokio and Go use the same number.
const BACKLOG: i32 = 1024;

/// Whether an IPv6 socket also accepts IPv4 clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DualStack {
    Yes,
    /// As the system is configured: `net.ipv6.bindv6only` on Linux.
    Default,
}

/// Opens the listener. On a machine without IPv6, all addresses means all IPv4 addresses. Must be called
/// within a Tokio runtime.
pub fn bind(listen: Listen) -> io::Result<TcpListener> {
    TcpListener::from_std(bind_with(listen, open)?)
}

fn bind_with<T>(
    listen: Listen,
    mut open: impl FnMut(SocketAddr, DualStack) -> io::Result<T>,
) -> io::Result<T> {
    let (address, stack) = match listen {
        Listen::EveryFamily { port } => (SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), DualStack::Yes),
        Listen::Address(address) => (address, DualStack::Default),
    };
    match open(address, stack) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && lacks_ipv6(&error) => {
            tracing::info!("this machine has no IPv6: listening on every IPv4 address");
            open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())), DualStack::Default)
        }
        opened => opened,
    }
}

fn open(address: SocketAddr, stack: DualStack) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Allows a port whose last listener closed a moment ago.
    socket.set_reuse_address(true)?;
    if stack == DualStack::Yes {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Returns whether the error means that the kernel has no IPv6, or that no interface has an IPv6 address.
fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

/// Returns the addresses at which this machine can reach the listener, the likeliest first.
pub fn within_reach(listen: Listen) -> Vec<SocketAddr> {
    let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    let (ips, port) = match listen {
        Listen::EveryFamily { port } => (vec![v4, v6], port),
        Listen::Address(address) if address.ip() == Ipv6Addr::UNSPECIFIED => (vec![v6, v4], address.port()),
        Listen::Address(address) if address.ip().is_unspecified() => (vec![v4], address.port()),
        Listen::Address(address) => return vec![address],
    };
    ips.into_iter().map(|ip| (ip, port).into()).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn every(port: u16) -> Listen {
        Listen::EveryFamily { port }
    }

    fn at(address: &str) -> Listen {
        Listen::Address(address.parse().unwrap())
    }

    #[tokio::test]
    async fn a_port_alone_is_reached_by_both_families_and_an_address_by_its_own() {
        for (listen, v4, v6) in [
            (every(0), true, true),
            (at("0.0.0.0:0"), true, false),
            (at("127.0.0.1:0"), true, false),
            (at("[::1]:0"), false, true),
        ] {
            let port = bind(listen).map(|listener| (listener.local_addr().unwrap().port(), listener));
            let (port, _listener) = port.unwrap();
            let reached = |ip: IpAddr| TcpStream::connect((ip, port)).is_ok();
            let got = (reached(Ipv4Addr::LOCALHOST.into()), reached(Ipv6Addr::LOCALHOST.into()));
            assert_eq!(got, (v4, v6), "{listen}");
        }
    }

    /// Returns the attempts to bind, and whether one succeeded, if binding to IPv6 fails with the error
    /// number `ipv6`.
    fn attempts(listen: Listen, ipv6: i32) -> (Vec<(String, DualStack)>, bool) {
        let mut attempts = Vec::new();
        let opened = bind_with(listen, |address, stack| {
            attempts.push((address.to_string(), stack));
            if address.is_ipv6() { Err(io::Error::from_raw_os_error(ipv6)) } else { Ok(()) }
        });
        (attempts, opened.is_ok())
    }

    #[test]
    fn without_ipv6_all_addresses_are_those_of_ipv4() {
        for missing in [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL] {
            let (tried, opened) = attempts(every(80), missing);
            let want =
                [("[::]:80".to_owned(), DualStack::Yes), ("0.0.0.0:80".to_owned(), DualStack::Default)];
            assert_eq!((tried.as_slice(), opened), (&want[..], true));
            let (tried, opened) = attempts(at("[::]:80"), missing);
            assert_eq!((tried[0].1, tried.len(), opened), (DualStack::Default, 2, true));
            assert!(!attempts(at("[::1]:80"), missing).1, "one address is that address");
        }
        assert!(!attempts(every(80), libc::EADDRINUSE).1, "a port that is taken is no missing family");
        assert!(!attempts(every(80), libc::EACCES).1);
    }

    #[test]
    fn a_listener_on_every_address_is_within_reach_on_this_machines_own() {
        for (listen, want) in [
            (every(8081), "127.0.0.1:8081 [::1]:8081"),
            (at("[::]:8081"), "[::1]:8081 127.0.0.1:8081"),
            (at("0.0.0.0:8081"), "127.0.0.1:8081"),
            (at("10.0.0.1:8081"), "10.0.0.1:8081"),
            (at("[fd00::1]:8081"), "[fd00::1]:8081"),
        ] {
            let reach: Vec<String> = within_reach(listen).iter().map(ToString::to_string).collect();
            assert_eq!(reach.join(" "), want);
        }
    }
}
