//! Removes addresses from a peer's error text: readers of pages need not know where the metric stores are.

/// Replaces addresses by an ellipsis, `dial tcp 10.0.0.3:10901: refused` → `dial tcp …: refused`.
/// Readers need not know where the metric stores are.
pub fn without_addresses(line: &str) -> String {
    let mut out = String::new();
    for word in line.split_inclusive(|c: char| !is_of_address(c)) {
        let (word, end) = word.split_at(word.trim_end_matches(|c| !is_of_address(c)).len());
        let bare = word.trim_end_matches([':', '.']);
        out.push_str(if is_address(bare) { "…" } else { bare });
        out.push_str(&word[bare.len()..]);
        out.push_str(end);
    }
    out
}

fn is_of_address(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".:-_/[]@%".contains(c)
}

/// Whether the word is a URL, an IP address, or a host with a port.
fn is_address(word: &str) -> bool {
    let bare = word.trim_matches(['[', ']']);
    let is_host_and_port = || {
        let (host, port) = word.rsplit_once(':')?;
        (host.contains(|c: char| c.is_ascii_alphanumeric()) && port.parse::<u16>().is_ok()).then_some(())
    };
    word.contains("://") || bare.parse::<std::net::IpAddr>().is_ok() || is_host_and_port().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_tell_no_addresses() {
        for (remark, want) in [
            ("a store is away", "a store is away"),
            (
                "rpc error: dial tcp 10.0.0.3:10901: connect: refused",
                "rpc error: dial tcp …: connect: refused",
            ),
            ("fetch from http://user:pw@store-1.mon.svc:10901/x failed", "fetch from … failed"),
            ("{addr=\"thanos-store-0.mon.svc:10901\"} [fd00::7]:9090, fd00::7.", "{addr=\"…\"} …, …."),
            (
                "PromQL info: metric might not be a counter: \"x\" (1:6)",
                "PromQL info: metric might not be a counter: \"x\" (…)",
            ),
        ] {
            assert_eq!(without_addresses(remark), want);
        }
    }
}
