//! Chooses the content coding (RFC 9110, 12.5.3) of answers that are compressed beforehand: files and the
//! list of VMs. Compresses by gzip.

use std::io::Write;

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, header},
};

/// A content coding, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

impl Encoding {
    /// Returns the value of `Content-Encoding`; `None` for uncompressed bytes.
    pub fn header(self) -> Option<HeaderValue> {
        match self {
            Self::Brotli => Some(HeaderValue::from_static("br")),
            Self::Gzip => Some(HeaderValue::from_static("gzip")),
            Self::Identity => None,
        }
    }
}

/// Returns the coding with the largest weight; of equal weights brotli, which is smaller, then gzip. A
/// client that refuses all of them gets uncompressed bytes.
pub fn negotiate(headers: &HeaderMap) -> Encoding {
    let accepted = Weights::read(headers);
    let (brotli, gzip) = (accepted.weight("br"), accepted.weight("gzip"));
    let identity = accepted.identity.unwrap_or(0);
    if brotli > 0 && brotli >= gzip && brotli >= identity {
        Encoding::Brotli
    } else if gzip > 0 && gzip >= identity {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

/// Weights in thousandths; `None` if the header does not name the coding.
#[derive(Default)]
struct Weights {
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    rest: Option<u16>,
}

impl Weights {
    fn read(headers: &HeaderMap) -> Self {
        let mut accepted = Self::default();
        let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
        for item in lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')) {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = Some(weight(parameters));
            match coding.trim().to_ascii_lowercase().as_str() {
                "br" => accepted.brotli = weight,
                "gzip" | "x-gzip" => accepted.gzip = weight,
                "identity" => accepted.identity = weight,
                "*" => accepted.rest = weight,
                _ => {}
            }
        }
        accepted
    }

    fn weight(&self, coding: &str) -> u16 {
        let named = if coding == "br" { self.brotli } else { self.gzip };
        named.or(self.rest).unwrap_or(0)
    }
}

/// Returns the weight in thousandths: 500 for `q=0.5`, 1000 if there is none, 0 if it cannot be parsed.
fn weight(parameters: &str) -> u16 {
    let quality = parameters.split(';').find_map(|p| p.trim().strip_prefix(['q', 'Q'])?.strip_prefix('='));
    let Some(quality) = quality else { return 1000 };
    match quality.trim().parse::<f32>() {
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1000.0) as u16,
        _ => 0,
    }
}

/// At level 4 gzip compresses about as fast as a list is serialized.
const GZIP_LEVEL: flate2::Compression = flate2::Compression::new(4);

pub fn gzip(plain: &[u8]) -> Bytes {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), GZIP_LEVEL);
    // A Vec takes every write.
    let _ = writer.write_all(plain);
    writer.finish().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_decides_and_the_smaller_one_wins_a_tie() {
        use Encoding::*;
        for (accept, want) in [
            ("gzip, deflate, br, zstd", Brotli),
            ("br;q=0.5, gzip", Gzip),
            ("gzip;q=0.8, br;q=0.9", Brotli),
            ("br;q=0, gzip", Gzip),
            ("*", Brotli),
            ("*;q=0.1, gzip;q=0", Brotli),
            ("identity, br;q=0.5", Identity),
            ("GZIP", Gzip),
            ("deflate", Identity),
            ("", Identity),
            ("br;q=nonsense", Identity),
            ("br;q=2", Identity),
            ("br;q=NaN", Identity),
            ("*;q=0", Identity),
            ("brx", Identity),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accept))]);
            assert_eq!(negotiate(&headers), want, "{accept}");
        }
        assert_eq!(negotiate(&HeaderMap::new()), Identity);
    }
}
