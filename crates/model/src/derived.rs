//! A value that is computed from the object that holds it, when it is first used.

use std::sync::OnceLock;

/// Belongs to one object, which does not change any more. A copy of the object computes its own value, since a copy is made
/// to be changed. It takes no part in comparisons: equal objects have equal values.
#[derive(Debug)]
pub struct Derived<T>(OnceLock<T>);

impl<T: Copy> Derived<T> {
    /// Returns the value, which `compute` makes the first time.
    pub fn get_or_compute(&self, compute: impl FnOnce() -> T) -> T {
        *self.0.get_or_init(compute)
    }
}

impl<T> Default for Derived<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Clone for Derived<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> PartialEq for Derived<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Derived<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_computed_once_and_again_for_a_copy() {
        let value = Derived::default();
        assert_eq!((value.get_or_compute(|| 1), value.get_or_compute(|| 2)), (1, 1));
        let copy = value.clone();
        assert_eq!((copy.get_or_compute(|| 3), copy == value), (3, true));
    }
}
