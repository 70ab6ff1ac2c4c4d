//! Finds marks and numbers in the bytes of an answer, however they are written: as text, in base64, in postcard's
//! variable-length integers, compressed.

use std::{collections::BTreeSet, io::Read};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::Value;

use crate::server::http::tests::fixture::Answer;

/// Marks and numbers, of objects or in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub owners: BTreeSet<String>,
    pub numbers: BTreeSet<u64>,
}

impl Facts {
    /// The least number that tells objects apart. Smaller ones are found by chance in any bytes.
    pub const LEAST: u64 = 100_000_000;

    /// Adds the marks and numbers of an object.
    pub fn add(&mut self, object: &impl Serialize) {
        self.add_value(&serde_json::to_value(object).unwrap());
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add_text(text.as_bytes()),
            Value::Number(number) => self.add_number(number.as_u64().unwrap_or_default()),
            Value::Array(items) => items.iter().for_each(|item| self.add_value(item)),
            Value::Object(fields) => fields.values().for_each(|item| self.add_value(item)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn add_number(&mut self, number: u64) {
        if number >= Self::LEAST {
            self.numbers.insert(number);
        }
    }

    pub fn without(mut self, others: &Self) -> Self {
        self.owners.retain(|owner| !others.owners.contains(owner));
        self.numbers.retain(|number| !others.numbers.contains(number));
        self
    }

    /// Returns the facts that are also in `others`.
    pub fn among(&self, others: &Self) -> Self {
        Self {
            owners: self.owners.intersection(&others.owners).cloned().collect(),
            numbers: self.numbers.intersection(&others.numbers).copied().collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.numbers.is_empty()
    }

    /// Returns everything that is in the headers and the body of an answer.
    pub fn of_answer(answer: &Answer) -> Self {
        let mut facts = Self::default();
        for (name, value) in &answer.headers {
            facts.add_bytes(name.as_str().as_bytes());
            facts.add_bytes(value.as_bytes());
        }
        facts.add_bytes(&plain(answer));
        facts
    }

    /// Returns everything that is in these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut facts = Self::default();
        facts.add_bytes(bytes);
        facts
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        self.add_text(bytes);
        if !is_text(bytes) {
            self.add_integers(bytes);
        }
        let is_coded = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
        for token in bytes.split(|byte| !is_coded(byte)).filter(|token| token.len() >= 16) {
            // Padding is not a part of the token.
            let whole = &token[..token.len() - usize::from(token.len() % 4 == 1)];
            let padded = [whole, &b"=="[..(4 - whole.len() % 4) % 4]].concat();
            if let Ok(inner) = STANDARD.decode(padded) {
                self.add_text(&inner);
                self.add_integers(&inner);
            }
        }
    }

    fn add_text(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(at) = find(rest, *b"zq") {
            rest = &rest[at + 2..];
            let Some(end) = find(rest, *b"qz") else { break };
            if let Some(owner) = std::str::from_utf8(&rest[..end]).ok().filter(|owner| is_owner(owner)) {
                self.owners.insert(owner.to_owned());
            }
        }
        // Digits, and digits around decimal points: thousandths of a unit.
        let (mut digits, mut decimal) = (0_u64, 0_u64);
        for byte in bytes.iter().chain(b" ") {
            match byte {
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    digits = digits.saturating_mul(10).saturating_add(digit);
                    decimal = decimal.saturating_mul(10).saturating_add(digit);
                }
                b'.' => self.add_number(std::mem::take(&mut digits)),
                _ => {
                    self.add_number(std::mem::take(&mut digits));
                    self.add_number(std::mem::take(&mut decimal));
                }
            }
        }
    }

    /// Adds every integer that postcard could have written here: unsigned, or signed in zigzag.
    fn add_integers(&mut self, bytes: &[u8]) {
        for start in 0..bytes.len() {
            let (mut number, mut shift) = (0_u64, 0);
            for byte in bytes[start..].iter().take(10) {
                number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
                shift += 7;
                if byte & 0x80 == 0 {
                    self.add_number(number);
                    self.add_number(number / 2);
                    break;
                }
            }
        }
    }
}

fn is_owner(text: &str) -> bool {
    text.len() < 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn find(bytes: &[u8], wanted: [u8; 2]) -> Option<usize> {
    let mut before = 0;
    bytes.iter().position(|byte| [std::mem::replace(&mut before, *byte), *byte] == wanted).map(|at| at - 1)
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes)
        .is_ok_and(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace()))
}

/// Returns the body without its coding.
pub fn plain(answer: &Answer) -> Vec<u8> {
    let mut plain = Vec::new();
    let body = &*answer.body;
    match answer.header("content-encoding") {
        "br" => brotli::Decompressor::new(body, 4096).read_to_end(&mut plain).unwrap(),
        "gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap(),
        coding => {
            assert_eq!(coding, "");
            (&mut &*body).read_to_end(&mut plain).unwrap()
        }
    };
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Sample {
        text: String,
        unsigned: u64,
        signed: i64,
    }

    #[test]
    fn what_an_answer_holds_is_found_in_any_coding() {
        let sample =
            Sample { text: "a zqv1s0qz-b".into(), unsigned: 1_234_567_890_123, signed: 1_900_000_000_001 };
        let mut wanted = Facts::default();
        wanted.add(&sample);
        assert_eq!((wanted.owners.len(), wanted.numbers.len()), (1, 2));
        let json = serde_json::to_vec(&sample).unwrap();
        let postcard = postcard::to_allocvec(&sample).unwrap();
        for offset in 0..3 {
            let before = "x".repeat(offset).into_bytes();
            let coded = STANDARD.encode([&before[..], &postcard].concat());
            for bytes in [
                json.clone(),
                postcard.clone(),
                format!("data: {coded}\n\n").into_bytes(),
                format!("<script>let a = [\"{}\"]</script>", coded.trim_end_matches('=')).into_bytes(),
                b"zqv1s0qz,1234567890.123,1900000000.001".to_vec(),
            ] {
                assert_eq!(wanted.among(&Facts::of(&bytes)), wanted, "{}", String::from_utf8_lossy(&bytes));
            }
        }
        assert!(Facts::of(b"zq-qz zq zq v1 12345").is_empty());
    }
}
