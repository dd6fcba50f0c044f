//! The properties of a manifest as output, driven by their table in `solo5_abi::mft2`.

use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use solo5_abi::mft2::{Mft2, Property, Shape, Value};

/// The properties of one device, or of the unikernel. In JSON a map from names to values.
pub(crate) struct Properties<'a>(Vec<(&'static Property, Value<&'a str>)>);

impl<'a> Properties<'a> {
    /// Those of the device with this handle; for 0, those of the unikernel.
    pub(crate) fn of(all: Option<&Mft2<'a>>, handle: usize) -> Properties<'a> {
        Properties(all.map(|all| all.properties(handle).collect()).unwrap_or_default())
    }

    /// Texts, by their names.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        self.0.iter().filter_map(|(property, value)| match value {
            Value::Text(text) => Some((property.name, *text)),
            Value::Set | Value::Number(_) => None,
        })
    }

    /// Flags and numbers, by their names; a flag has no value. `size` writes sizes in bytes.
    pub(crate) fn values(
        &self,
        size: fn(u64) -> String,
    ) -> impl Iterator<Item = (&'static str, Option<String>)> {
        self.0.iter().filter_map(move |(property, value)| match value {
            Value::Set => Some((property.name, None)),
            Value::Number(number) => Some((property.name, Some(written(property, *number, size)))),
            Value::Text(_) => None,
        })
    }

    /// Phrases for flags and numbers; with `critical`, only for those that a loader must know.
    pub(crate) fn phrases(
        &self,
        critical: bool,
        size: fn(u64) -> String,
    ) -> impl Iterator<Item = String> {
        let rows = self.0.iter().filter(move |(property, _)| property.critical || !critical);
        rows.filter_map(move |(property, value)| match value {
            Value::Set => Some(property.phrase.to_owned()),
            Value::Number(number) => {
                Some(property.phrase.replace("{}", &written(property, *number, size)))
            }
            Value::Text(_) => None,
        })
    }
}

fn written(property: &Property, number: u64, size: fn(u64) -> String) -> String {
    match property.shape {
        Shape::Size | Shape::Stack => size(number),
        _ => number.to_string(),
    }
}

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(property, value)| {
            let value = match value {
                Value::Set => Json::from(true),
                Value::Number(number) => Json::from(*number),
                Value::Text(text) => Json::from(*text),
            };
            (property.name.replace('-', "_"), value)
        }))
    }
}
