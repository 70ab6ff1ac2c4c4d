//! Lets the process open enough files: each connection is an open file, and a process may open 1024 by
//! default. `Server::run` uses the result as its limit of connections.

use super::http::RESERVE;

/// Files that the program itself opens: the log, watches, kubelets, guest agents and other sources.
const OWN: u64 = 1024;

/// Raises the soft limit of open files as far as `most` connections need. Returns how many connections fit,
/// at most `most`. Returns `most` if the limit cannot be read.
pub fn connections(most: usize) -> usize {
    let wanted = (most + RESERVE) as u64 + OWN;
    let fit = match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) => fitting(limit, most),
        Err(error) => {
            tracing::warn!(%error, "cannot read the limit of open files");
            most
        }
    };
    if fit < most {
        tracing::warn!(connections = fit, wanted, "the hard limit of open files (ulimit -Hn) is low");
    }
    fit
}

/// Returns how many connections fit within `limit`. If the limit is too low, the program keeps half of it:
/// without its own files it has nothing to show.
fn fitting(limit: u64, most: usize) -> usize {
    let kept = (OWN + RESERVE as u64).min(limit / 2);
    usize::try_from(limit - kept).map_or(most, |left| left.clamp(1, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_sources() {
        for (limit, want) in [
            (u64::MAX, 8192),
            (65_536, 8192),
            (9248, 8192),
            (9247, 8191),
            (4096, 3040),
            (1024, 512),
            (1, 1),
            (0, 1),
        ] {
            assert_eq!(fitting(limit, 8192), want, "{limit}");
        }
    }
}
