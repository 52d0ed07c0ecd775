//! Metrics from a user's type and back, through CBOR values: CBOR has NaN and the infinities, which JSON does not have.

use ciborium::Value;
use ciborium::value::Integer;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::json::non_finite;
use super::metric::{Metric, Metrics};
use crate::error::failed;

impl Metrics {
    /// Converts a value of your own: the fields of a struct, the entries of a map, or nothing for `()`.
    ///
    /// # Errors
    /// The value is neither a struct nor a map, a name is not text, or a number has more than 64 bits.
    ///
    /// ```
    /// # use std::collections::BTreeMap;
    /// let metrics = ray_train::Metrics::of(&BTreeMap::from([("loss", f32::INFINITY)]))?;
    /// assert_eq!(metrics.number("loss"), Some(f64::INFINITY));
    /// assert!(ray_train::Metrics::of(&0.5).unwrap_err().to_string().contains("a struct or a map"));
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn of(value: &impl Serialize) -> ray::Result<Metrics> {
        let value = Value::serialized(value).map_err(|error| failed(format!("the metrics cannot be serialised: {error}")))?;
        match metric_from(value)? {
            Metric::Map(metrics) => Ok(metrics),
            Metric::Null => Ok(Metrics::new()),
            Metric::List(list) if list.is_empty() => Ok(Metrics::new()),
            other => Err(failed(format!("metrics have names: pass a struct or a map, not the bare value `{other}`"))),
        }
    }

    /// Converts these metrics to a type of your own.
    ///
    /// # Errors
    /// A field is missing or of another type. The error names the field.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Loss { loss: f64 }
    /// let metrics = ray_train::Metrics::new().with("loss", 0.5).with("epoch", 1);
    /// assert_eq!(metrics.to::<Loss>()?.loss, 0.5);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn to<T: DeserializeOwned>(&self) -> ray::Result<T> {
        Value::deserialized(&map_value(self))
            .map_err(|error| failed(format!("the metrics {self:?} do not have the requested type: {error}")))
    }
}

fn metric_from(value: Value) -> ray::Result<Metric> {
    Ok(match value {
        Value::Null => Metric::Null,
        Value::Bool(value) => Metric::Bool(value),
        Value::Integer(integer) => Metric::Int(integer.into()),
        Value::Float(number) => Metric::Float(number),
        Value::Text(text) => Metric::Text(text),
        Value::Bytes(bytes) => Metric::List(bytes.into_iter().map(|byte| Metric::Int(byte.into())).collect()),
        Value::Array(list) => Metric::List(list.into_iter().map(metric_from).collect::<ray::Result<_>>()?),
        Value::Map(entries) => {
            let mut metrics = Metrics::new();
            for (name, value) in entries {
                metrics.set(name_from(name)?, metric_from(value)?);
            }
            // A `Metrics` inside the user's type serialises in its JSON form, where a NaN is a map.
            match non_finite(&metrics) {
                Some(number) => Metric::Float(number),
                None => Metric::Map(metrics),
            }
        }
        // ciborium represents an integer of more than 64 bits as tagged bytes.
        _ => return Err(failed("a metric has more than 64 bits: report it as an `f64` or as text".to_owned())),
    })
}

fn name_from(name: Value) -> ray::Result<String> {
    match name {
        Value::Text(name) => Ok(name),
        Value::Integer(number) => Ok(i128::from(number).to_string()),
        other => Err(failed(format!("the names of metrics are text, not {other:?}"))),
    }
}

fn map_value(metrics: &Metrics) -> Value {
    Value::Map(metrics.iter().map(|(name, value)| (Value::Text(name.to_owned()), value_of(value))).collect())
}

fn value_of(metric: &Metric) -> Value {
    match metric {
        Metric::Null => Value::Null,
        Metric::Bool(value) => Value::Bool(*value),
        // Only a `Metric::Int` that the user made can have more than 64 bits; it becomes the nearest float.
        Metric::Int(integer) => Integer::try_from(*integer).map_or(Value::Float(*integer as f64), Value::Integer),
        Metric::Float(number) => Value::Float(*number),
        Metric::Text(text) => Value::Text(text.clone()),
        Metric::List(list) => Value::Array(list.iter().map(value_of).collect()),
        Metric::Map(metrics) => map_value(metrics),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::json::FLOAT;
    use super::*;

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct All {
        step: usize,
        wide: u64,
        low: i64,
        loss: f32,
        rate: f64,
        done: bool,
        name: Option<String>,
        none: Option<u8>,
        list: Vec<f64>,
        order: Order,
    }

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum Order {
        Plain,
        By { key: String },
    }

    fn all() -> All {
        All {
            step: 7,
            wide: u64::MAX,
            low: i64::MIN,
            loss: 0.1,
            rate: 1.0,
            done: true,
            name: Some("a".into()),
            none: None,
            list: vec![0.1, 2.0],
            order: Order::By { key: "k".into() },
        }
    }

    #[test]
    fn a_struct_converts_and_back() {
        let metrics = Metrics::of(&all()).unwrap();
        assert_eq!(metrics.to::<All>().unwrap(), all());
        let json = serde_json::to_string(&metrics).unwrap();
        let read: Metrics = serde_json::from_str(&json).unwrap();
        assert_eq!(read, metrics, "{json}");
        assert_eq!(read.to::<All>().unwrap(), all());
        assert_eq!(Metrics::of(&read).unwrap(), metrics);
        assert_eq!(
            Metrics::new().with("order", "Plain").to::<std::collections::BTreeMap<String, Order>>().unwrap()["order"],
            Order::Plain
        );
    }

    #[test]
    fn every_float_survives() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.1, f64::MIN_POSITIVE / 3.0, 1e300] {
            let metrics = Metrics::new().with("x", number);
            let json = serde_json::to_string(&metrics).unwrap();
            let read: Metrics = serde_json::from_str(&json).unwrap();
            let again = Metrics::of(&read).unwrap();
            for read in [&read, &again] {
                let Some(Metric::Float(read)) = read.value("x") else { panic!("{json}") };
                assert!(read.to_bits() == number.to_bits() || (read.is_nan() && number.is_nan()), "{json}");
            }
            assert_eq!(json.contains(FLOAT), !number.is_finite());
        }
    }

    #[test]
    fn values_without_names_are_refused() {
        assert!(Metrics::of(&()).unwrap().is_empty());
        for error in [
            Metrics::of(&7),
            Metrics::of(&"x"),
            Metrics::of(&[1, 2]),
            Metrics::of(&std::collections::BTreeMap::from([((1, 2), 3)])),
        ] {
            assert!(error.is_err());
        }
        assert!(Metrics::of(&std::collections::BTreeMap::from([("x", u128::MAX)])).unwrap_err().to_string().contains("64 bits"));
    }
}
