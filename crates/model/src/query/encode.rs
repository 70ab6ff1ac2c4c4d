//! Writes parameters into the query string of an address.

/// Appends `key=value`; nothing if the value is empty, which means the default.
pub(crate) fn push(out: &mut String, key: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    out.push(if out.is_empty() { '?' } else { '&' });
    out.push_str(key);
    out.push('=');
    encode(out, value);
}

/// Percent-encodes everything but RFC 3986's unreserved characters and the comma, which any part of an
/// address may contain.
pub fn encode(out: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}
