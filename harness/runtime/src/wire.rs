//! A compact binary form in which the parent hands its plan to the init.
//!
//! Both ends are the same program, so there is no versioning: integers in native order, lengths before contents.
//! It exists since the init's first page faults are what a container's start costs, and a general deserialiser
//! touches far more code than this.

use std::ffi::CString;

/// Why bytes are not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Something that can be written to and read back from bytes.
pub(crate) trait Wire: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(input: &mut &[u8]) -> Result<Self, Malformed>;
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Wire for $t {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_ne_bytes());
            }

            fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
                let (head, rest) = input.split_first_chunk().ok_or(Malformed)?;
                *input = rest;
                Ok(Self::from_ne_bytes(*head))
            }
        }
    )*};
}
integers!(u8, u32, i32, u64);

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(u8::take(input)? != 0)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
        bool::take(input)?.then(|| T::take(input)).transpose()
    }
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    (length as u64).put(out);
}

fn take_length(input: &mut &[u8]) -> Result<usize, Malformed> {
    // Every element takes at least a byte, so a length beyond the rest is malformed; no allocation follows it.
    usize::try_from(u64::take(input)?).ok().filter(|&n| n <= input.len()).ok_or(Malformed)
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
        let length = take_length(input)?;
        (0..length).map(|_| T::take(input)).collect()
    }
}

impl Wire for CString {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.as_bytes().len(), out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
        let Blob(bytes) = Blob::take(input)?;
        Self::new(bytes).map_err(|_| Malformed)
    }
}

/// Bytes, moved as one piece.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl Wire for Blob {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.0.len(), out);
        out.extend_from_slice(&self.0);
    }

    fn take(input: &mut &[u8]) -> Result<Self, Malformed> {
        let length = take_length(input)?;
        let (head, rest) = input.split_at_checked(length).ok_or(Malformed)?;
        *input = rest;
        Ok(Self(head.to_vec()))
    }
}

/// Defines a structure together with its [`Wire`] form: its fields in order.
macro_rules! wire_struct {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $t:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub(crate) struct $name { $($(#[$field_meta])* pub(crate) $field: $t,)* }

        impl $crate::wire::Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::wire::Wire::put(&self.$field, out);)*
            }

            fn take(input: &mut &[u8]) -> Result<Self, $crate::wire::Malformed> {
                Ok(Self { $($field: $crate::wire::Wire::take(input)?,)* })
            }
        }
    };
}
pub(crate) use wire_struct;

#[cfg(test)]
mod tests {
    use super::*;

    wire_struct! {
        Sample {
            number: u64,
            text: CString,
            blob: Blob,
            list: Vec<CString>,
            maybe: Option<i32>,
        }
    }

    fn sample() -> Sample {
        Sample {
            number: u64::MAX - 1,
            text: c"with space".into(),
            blob: Blob(vec![0, 1, 0, 255]),
            list: vec![c"".into(), c"x".into()],
            maybe: Some(-3),
        }
    }

    #[test]
    fn what_is_put_is_taken() {
        let mut bytes = Vec::new();
        sample().put(&mut bytes);
        let mut input = bytes.as_slice();
        assert_eq!(Sample::take(&mut input), Ok(sample()));
        assert!(input.is_empty());
    }

    #[test]
    fn every_truncation_is_malformed() {
        let mut bytes = Vec::new();
        sample().put(&mut bytes);
        for length in 0..bytes.len() {
            assert_eq!(Sample::take(&mut &bytes[..length]), Err(Malformed), "{length} bytes");
        }
    }

    #[test]
    fn a_length_beyond_the_input_allocates_nothing() {
        let mut bytes = Vec::new();
        u64::MAX.put(&mut bytes);
        assert_eq!(Vec::<CString>::take(&mut bytes.as_slice()), Err(Malformed));
    }
}
