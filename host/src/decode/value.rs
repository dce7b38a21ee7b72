//! A decoded value, as renderers see it.

use std::borrow::Cow;
use std::cmp::Ordering;

/// What bytes mean by their BTF type. Field order is the order of the C declaration.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An unsigned integer of up to 128 bits, bit fields included.
    Unsigned(u128),
    /// A signed integer of up to 128 bits, bit fields included.
    Signed(i128),
    /// A `bool`.
    Bool(bool),
    /// A floating point number.
    Float(f64),
    /// An enumeration: the enumerator's name where the value has one, and the value.
    Enum {
        /// Name of the enumerator.
        name: Option<String>,
        /// Its value.
        value: i128,
    },
    /// A `char` array up to its first NUL; bytes that are not UTF-8 are kept as they are.
    Text(Vec<u8>),
    /// A pointer, or an integer that is an address.
    Pointer(u64),
    /// A struct or union: names and values; an anonymous member's fields stand in their place.
    Struct(Vec<(String, Value)>),
    /// An array that is no text.
    Array(Vec<Value>),
    /// Bytes whose type is unknown or incomplete.
    Bytes(Vec<u8>),
    /// One value for each CPU.
    PerCpu(Vec<Value>),
}

impl Value {
    /// The value at a path of field names; itself at an empty path. On the way, values of CPUs are added up where they
    /// can be.
    pub fn at(&self, path: &[String]) -> Option<Cow<'_, Self>> {
        let Some((name, rest)) = path.split_first() else { return Some(Cow::Borrowed(self)) };
        match self {
            Self::Struct(fields) => fields.iter().find(|(field, _)| field == name)?.1.at(rest),
            Self::PerCpu(_) => self.sum()?.at(path).map(|found| Cow::Owned(found.into_owned())),
            _ => None,
        }
    }

    /// The sum over all CPUs, of a value for each CPU: numbers are added, structs field by field. None for other values
    /// and where something is no number. Sums of more than 128 bits stay at the largest.
    pub fn sum(&self) -> Option<Self> {
        let Self::PerCpu(cpus) = self else { return None };
        let (first, others) = cpus.split_first()?;
        if others.is_empty() {
            return first.plus(&first.zero()?);
        }
        others.iter().try_fold(first.clone(), |sum, next| sum.plus(next))
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        Some(match (self, other) {
            (Self::Unsigned(a), Self::Unsigned(b)) => Self::Unsigned(a.saturating_add(*b)),
            (Self::Signed(a), Self::Signed(b)) => Self::Signed(a.saturating_add(*b)),
            (Self::Float(a), Self::Float(b)) => Self::Float(a + b),
            (Self::Struct(a), Self::Struct(b)) if a.len() == b.len() => Self::Struct(
                a.iter().zip(b).map(|((name, a), (_, b))| Some((name.clone(), a.plus(b)?))).collect::<Option<_>>()?,
            ),
            (Self::Array(a), Self::Array(b)) if a.len() == b.len() => {
                Self::Array(a.iter().zip(b).map(|(a, b)| a.plus(b)).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    /// What added to a value leaves it; none where something is no number.
    fn zero(&self) -> Option<Self> {
        Some(match self {
            Self::Unsigned(_) => Self::Unsigned(0),
            Self::Signed(_) => Self::Signed(0),
            Self::Float(_) => Self::Float(0.0),
            Self::Struct(fields) => Self::Struct(
                fields.iter().map(|(name, field)| Some((name.clone(), field.zero()?))).collect::<Option<_>>()?,
            ),
            Self::Array(elements) => Self::Array(elements.iter().map(Self::zero).collect::<Option<_>>()?),
            _ => return None,
        })
    }

    /// The value as an integer; none for what is no number.
    pub fn integer(&self) -> Option<i128> {
        match self {
            Self::Unsigned(number) => Some(i128::try_from(*number).unwrap_or(i128::MAX)),
            Self::Signed(number) | Self::Enum { value: number, .. } => Some(*number),
            Self::Bool(truth) => Some(i128::from(*truth)),
            Self::Pointer(address) => Some(i128::from(*address)),
            Self::PerCpu(_) => self.sum()?.integer(),
            Self::Float(_) | Self::Text(_) | Self::Struct(_) | Self::Array(_) | Self::Bytes(_) => None,
        }
    }

    /// The order in which people expect values: numbers by size, text and bytes by letters, structs and arrays by their
    /// first difference.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Unsigned(a), Self::Unsigned(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Text(a) | Self::Bytes(a), Self::Text(b) | Self::Bytes(b)) => a.cmp(b),
            (Self::Struct(a), Self::Struct(b)) => first_difference(a.iter().map(second), b.iter().map(second)),
            (Self::Array(a) | Self::PerCpu(a), Self::Array(b) | Self::PerCpu(b)) => {
                first_difference(a.iter(), b.iter())
            }
            _ => self.integer().cmp(&other.integer()),
        }
    }
}

fn second(field: &(String, Value)) -> &Value {
    &field.1
}

fn first_difference<'a>(mut a: impl Iterator<Item = &'a Value>, mut b: impl Iterator<Item = &'a Value>) -> Ordering {
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) => match a.order(b) {
                Ordering::Equal => {}
                different => return different,
            },
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
        }
    }
}
