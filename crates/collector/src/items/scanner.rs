//! Finds where JSON values begin and end, in bytes that arrive in pieces.

/// Finds the end of a JSON value. It does not validate: decoding does.
#[derive(Debug, Default)]
pub(super) struct ValueScanner {
    depth: usize,
    text: TextScanner,
}

impl ValueScanner {
    /// The number of bytes that belong to the value; `None` if it continues after them.
    pub(super) fn end(&mut self, data: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < data.len() {
            if self.text.is_open() {
                at += self.text.end(&data[at..])?;
                continue;
            }
            match data[at] {
                b'"' => self.text.open(),
                b'{' | b'[' => self.depth += 1,
                // A number, a word or a string at the top ends where its list continues.
                b'}' | b']' | b',' if self.depth == 0 => return Some(at),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// Tracks whether a position is inside a JSON string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TextScanner {
    #[default]
    Closed,
    Open,
    /// After a backslash.
    Escaped,
}

impl TextScanner {
    fn is_open(self) -> bool {
        self != Self::Closed
    }

    fn open(&mut self) {
        *self = Self::Open;
    }

    /// The index after the closing quote; `None` if the string continues.
    fn end(&mut self, data: &[u8]) -> Option<usize> {
        let mut at = 0;
        if *self == Self::Escaped {
            at = 1;
            *self = Self::Open;
        }
        loop {
            let Some(rest) = data.get(at..) else {
                // The backslash was the last byte.
                *self = Self::Escaped;
                return None;
            };
            let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            if rest[found] == b'"' {
                *self = Self::Closed;
                return Some(at + found + 1);
            }
            at += found + 2;
        }
    }
}

/// Finds the array under the key `items` of the outermost object.
#[derive(Debug, Default)]
pub(super) struct KeyScanner {
    depth: usize,
    text: TextScanner,
    /// The last string of the outermost object with its quotes, as long as it can be the key.
    last: Vec<u8>,
    /// Whether a colon follows it.
    is_key: bool,
}

const ITEMS: &[u8] = b"\"items\"";

impl KeyScanner {
    /// The index after the bracket that begins the items; `None` if it is not in these bytes.
    pub(super) fn items(&mut self, data: &[u8]) -> Option<usize> {
        for (at, byte) in data.iter().enumerate() {
            if self.text.is_open() {
                self.keep(*byte);
                self.text.end(std::slice::from_ref(byte));
                continue;
            }
            match byte {
                b'"' => {
                    self.text.open();
                    (self.last, self.is_key) = (Vec::new(), false);
                    self.keep(*byte);
                }
                b':' => self.is_key = self.depth == 1,
                b'[' if self.depth == 1 && self.is_key && self.last == ITEMS => {
                    (self.depth, self.is_key) = (self.depth + 1, false);
                    return Some(at + 1);
                }
                b'{' | b'[' => (self.depth, self.is_key) = (self.depth + 1, false),
                b'}' | b']' => (self.depth, self.is_key) = (self.depth.saturating_sub(1), false),
                b' ' | b'\n' | b'\r' | b'\t' => {}
                _ => self.is_key = false,
            }
        }
        None
    }

    fn keep(&mut self, byte: u8) {
        if self.last.len() <= ITEMS.len() {
            self.last.push(byte);
        }
    }
}
