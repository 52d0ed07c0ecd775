//! Metrics from a user's own type and back, by way of CBOR's values: they tell NaN from nothing, which JSON's do not.

use ciborium::Value;
use ciborium::value::Integer;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::json::special;
use super::{Metric, Metrics};
use crate::faults::failed;

pub(super) fn metrics(value: &impl Serialize) -> ray::Result<Metrics> {
    let value = Value::serialized(value).map_err(|error| failed(format!("what was reported cannot be serialised: {error}")))?;
    match metric(value)? {
        Metric::Map(metrics) => Ok(metrics),
        Metric::Null => Ok(Metrics::new()),
        Metric::List(list) if list.is_empty() => Ok(Metrics::new()),
        other => Err(failed(format!("what is reported has names: give a struct or a map, not the bare value `{other}`"))),
    }
}

pub(super) fn value<T: DeserializeOwned>(metrics: &Metrics) -> ray::Result<T> {
    Value::deserialized(&map(metrics)).map_err(|error| failed(format!("{metrics:?} is not what was asked for: {error}")))
}

fn metric(value: Value) -> ray::Result<Metric> {
    Ok(match value {
        Value::Null => Metric::Null,
        Value::Bool(yes) => Metric::Bool(yes),
        Value::Integer(whole) => Metric::Int(whole.into()),
        Value::Float(number) => Metric::Float(number),
        Value::Text(text) => Metric::Text(text),
        Value::Bytes(bytes) => Metric::List(bytes.into_iter().map(|byte| Metric::Int(byte.into())).collect()),
        Value::Array(list) => Metric::List(list.into_iter().map(metric).collect::<ray::Result<_>>()?),
        Value::Map(entries) => {
            let mut metrics = Metrics::new();
            for (name, value) in entries {
                metrics.set(name_of(name)?, metric(value)?);
            }
            // Metrics that were metrics before come in their JSON form.
            match special(&metrics) {
                Some(number) => Metric::Float(number),
                None => Metric::Map(metrics),
            }
        }
        // ciborium writes what 64 bits do not hold as tagged bytes.
        _ => return Err(failed("a reported number has more than 64 bits: report it as an `f64` or as text".to_owned())),
    })
}

fn name_of(name: Value) -> ray::Result<String> {
    match name {
        Value::Text(name) => Ok(name),
        Value::Integer(number) => Ok(i128::from(number).to_string()),
        other => Err(failed(format!("the names of what is reported are text, not {other:?}"))),
    }
}

fn map(metrics: &Metrics) -> Value {
    Value::Map(metrics.iter().map(|(name, value)| (Value::Text(name.to_owned()), of(value))).collect())
}

fn of(metric: &Metric) -> Value {
    match metric {
        Metric::Null => Value::Null,
        Metric::Bool(yes) => Value::Bool(*yes),
        // Made from 64 bits, so it fits.
        Metric::Int(whole) => Integer::try_from(*whole).map_or(Value::Float(*whole as f64), Value::Integer),
        Metric::Float(number) => Value::Float(*number),
        Metric::Text(text) => Value::Text(text.clone()),
        Metric::List(list) => Value::Array(list.iter().map(of).collect()),
        Metric::Map(metrics) => map(metrics),
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
    fn a_struct_and_back() {
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
    fn what_has_no_names_is_refused() {
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
