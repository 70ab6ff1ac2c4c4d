//! Deterministic random numbers: everything in the simulated cluster that looks random follows from a seed
//! and names.

/// SplitMix64: small, fast, and good enough for a believable scenario.
#[derive(Clone, Copy, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Returns the generator for the thing named by `parts`, independent of all others.
    pub fn of(seed: u64, parts: &[&str]) -> Self {
        Self(hash(seed, parts))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns a number in `0..n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.next() % n }
    }

    /// Returns a number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        unit(self.next())
    }

    /// Returns one of `items`, which must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

/// FNV-1a over the parts, mixed so that similar inputs differ in every bit.
pub fn hash(seed: u64, parts: &[&str]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325 ^ mix(seed);
    for part in parts {
        // The end of each part counts too, so that ("a", "bc") differs from ("ab", "c").
        for byte in part.bytes().chain([0xff]) {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    mix(state)
}

pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Converts the upper 53 bits, as many as a float can hold, to `0.0..1.0`.
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Returns a text in the form of a version 4 UUID.
pub fn uid(seed: u64, parts: &[&str]) -> String {
    let mut rng = Rng::of(seed, parts);
    let (a, b) = (rng.next(), rng.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | ((b >> 48) & 0x3fff),
        b & 0xffff_ffff_ffff
    )
}

/// Returns five characters of the alphabet that Kubernetes uses for generated names.
pub fn suffix(seed: u64, parts: &[&str]) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rng = Rng::of(seed, parts);
    (0..5).map(|_| char::from(*rng.pick(ALPHABET))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_random_numbers_and_others_differ() {
        assert_eq!(uid(7, &["pod", "a"]), uid(7, &["pod", "a"]));
        assert_ne!(uid(7, &["pod", "a"]), uid(8, &["pod", "a"]));
        assert_ne!(hash(7, &["a", "bc"]), hash(7, &["ab", "c"]));
        assert_eq!(uid(1, &["x"]).len(), 36);
        assert_eq!(suffix(1, &["x"]).len(), 5);
    }
}
